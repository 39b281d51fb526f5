//! Why the gate did not do what it was asked to. Every variant denies; surfaces map them to status
//! codes and exit codes.

use crate::fold::FoldError;
use countersign_domain::canonical::CanonicalError;
use countersign_domain::{ChangeId, ChangeState, Timestamp};
use countersign_store::StoreError;

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// What was handed in is malformed or out of bounds.
    #[error("`{field}`: {problem}")]
    Invalid {
        /// The field at fault.
        field: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A signature, credential or statement does not hold.
    #[error("not accepted: {0}")]
    Unproven(String),
    /// The signer is known, but may not do this.
    #[error("not permitted: {0}")]
    Forbidden(String),
    /// There is no such thing.
    #[error("there is no {what} `{name}`")]
    NotFound {
        /// What kind of thing.
        what: &'static str,
        /// Its name, as asked for.
        name: String,
    },
    /// The change is not in a state for it.
    #[error("change `{change}` is {state}: {problem}")]
    State {
        /// The change.
        change: ChangeId,
        /// Where it stands.
        state: ChangeState,
        /// Why that does not fit.
        problem: String,
    },
    /// It contradicts something that is there already.
    #[error("{0}")]
    Conflict(String),
    /// Roster, policy, inventory, feeds or halts changed between the check and the write.
    #[error("roster, policy or halts changed meanwhile; nothing was written, ask again")]
    Changed,
    /// A warrant is not handed out, for now or for good.
    #[error(transparent)]
    Withheld(#[from] Withheld),
    /// A policy that does not validate; the old version stays in force.
    #[error("the policy does not validate ({} findings); the version in force stays", .0.len())]
    Policy(Vec<String>),
    /// Storage failed: nothing was decided, which denies.
    #[error("could not decide: {0}")]
    Store(#[from] StoreError),
    /// The log and the request do not fit: nothing was decided, which denies.
    #[error("could not decide: {0}")]
    Fold(#[from] FoldError),
    /// A signed document does not hold.
    #[error("not accepted: {0}")]
    Document(#[from] countersign_verify::document::DocumentError),
    /// Something has no canonical form.
    #[error("malformed: {0}")]
    Canonical(#[from] CanonicalError),
}

/// Why a host gets no warrant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Withheld {
    /// The change is not authorized.
    #[error("change is {0}, not authorized")]
    NotAuthorized(ChangeState),
    /// An earlier wave has not succeeded yet.
    #[error("an earlier wave has not finished; ask again")]
    NotYourTurn,
    /// Standing authority would end before the host could begin.
    #[error(
        "the change window ends, or a freeze begins, at {0}: too soon to begin; ask again then"
    )]
    ClosingSoon(Timestamp),
    /// Decided again on fresh facts, and stricter.
    #[error("decided again on fresh facts: {0}")]
    DecidedAgain(String),
    /// A human has halted it.
    #[error("halted by a human; it can go on only after a resume")]
    Halted,
    /// It has ended on this host.
    #[error("this execution has ended ({0})")]
    Settled(&'static str),
    /// The plan has expired.
    #[error("the host's plan has expired; the host dropped out of the change")]
    PlanStale,
}

impl Withheld {
    /// A short word for machines.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::NotAuthorized(_) => "not-authorized",
            // To a host, both are the same: not now, and perhaps later.
            Self::NotYourTurn | Self::ClosingSoon(_) => "not-your-turn",
            Self::DecidedAgain(_) => "decided-again",
            Self::Halted => "halted",
            Self::Settled(_) => "settled",
            Self::PlanStale => "plan-stale",
        }
    }
}

impl GateError {
    /// An [`GateError::Invalid`].
    pub fn invalid(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Invalid {
            field,
            problem: problem.into(),
        }
    }

    /// A [`GateError::NotFound`], the name made safe to show.
    #[must_use]
    pub fn not_found(what: &'static str, name: &str) -> Self {
        Self::NotFound {
            what,
            name: countersign_domain::text::shown(name, 60),
        }
    }
}
