//! Why a host refuses to act on what the gate handed over, worded for the host's operator: what is
//! wrong, and what to do.

use crate::document::DocumentError;
use crate::jws::JwsError;
use crate::key::KeyError;
use crate::log::{LogError, LogKeysError};
use crate::ssh::StatementError;
use crate::warrant::WarrantError;
use countersign_domain::{ChangeId, Digest, GroupId, HostId, PersonId};

/// A refusal to act. Nothing was changed on the host.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// More than a handover can have.
    #[error("the handover has more {0} than any change needs; report the gate")]
    TooMuch(&'static str),
    /// Roster changes came along that the host did not apply before.
    #[error(
        "the handover brings roster changes up to version {handed}, this host applied {known}; apply them, then verify again"
    )]
    RosterBehind {
        /// What the gate relies on.
        handed: u64,
        /// What the host has.
        known: u64,
    },
    /// The gate's key in the roster.
    #[error("the gate's warrant key in the roster cannot be used: {0}")]
    GateKey(#[from] KeyError),
    /// The warrant itself.
    #[error(transparent)]
    Warrant(#[from] WarrantError),
    /// The trial mark of warrant and roster differ.
    #[error("the warrant's trial mark contradicts the roster; report the gate")]
    TrialMark,
    /// The log keys.
    #[error("the log cannot be verified as this host demands: {0}")]
    LogKeys(#[from] LogKeysError),
    /// Not in the log, or not witnessed.
    #[error("the warrant is not proven to be in the authorizations log: {0}")]
    NotLogged(#[from] LogError),
    /// The authorization does not stand in the log before the warrant.
    #[error(
        "the warrant cites authorization entry `{authorization}` of {size}, but stands at entry `{warrant}` itself; report the gate"
    )]
    AuthorizationNotBefore {
        /// Leaf index of the authorization.
        authorization: u64,
        /// Tree size that it was cited under.
        size: u64,
        /// Leaf index of the warrant.
        warrant: u64,
    },
    /// The log is shorter than it was.
    #[error(
        "the authorizations log has {now} entries, this host has seen {seen}: it was rolled back; stop, and have the log examined"
    )]
    LogRolledBack {
        /// How many there were.
        seen: u64,
        /// How many there are.
        now: u64,
    },
    /// The log is another than it was.
    #[error(
        "the authorizations log of {now} entries does not contain the one of {seen} that this host has seen ({problem}): it was rewritten, or split; stop, and have the log examined"
    )]
    SplitView {
        /// How many there were.
        seen: u64,
        /// How many there are.
        now: u64,
        /// What does not fit.
        problem: LogError,
    },
    /// The lease's signature or form.
    #[error("the gate's answer cannot be believed: {0}")]
    Lease(#[from] JwsError),
    /// A lease for something else.
    #[error("the gate's answer has another `{0}` than this host asked with; ask again")]
    LeaseMismatch(&'static str),
    /// An answer that came so late that it proves nothing of now.
    #[error(
        "the gate's answer came `{waited_ms}` ms after it was asked for, at most `{max_ms}` ms are accepted; ask again, and look at the way to the gate if this repeats"
    )]
    LeaseHeldBack {
        /// From asking until now, by a clock that nobody sets.
        waited_ms: i64,
        /// The limit.
        max_ms: i64,
    },
    /// The gate's answer was not made between asking and now, by this host's clock.
    #[error(
        "this host's clock is `{by_ms}` ms {direction} the gate's, at most `{max_ms}` ms are accepted; set the clock that is wrong (`timedatectl` says whether this one is synchronized), then ask again"
    )]
    ClocksDisagree {
        /// `ahead of` or `behind`.
        direction: &'static str,
        /// By how much, at least.
        by_ms: i64,
        /// The skew that this host allows.
        max_ms: i64,
    },
    /// A lease that is too old.
    #[error(
        "the gate's answer is `{age_ms}` ms old, at most `{max_ms}` ms are accepted; ask again"
    )]
    LeaseAge {
        /// By this host's clock.
        age_ms: i64,
        /// The limit.
        max_ms: i64,
    },
    /// Stopped by a human.
    #[error(
        "a human halted this change, its agent, rule or environment; nothing runs until it is resumed"
    )]
    Halted,
    /// The count of halts went back.
    #[error(
        "the gate's halt epoch is {now}, this host has seen {seen}: the gate forgot a halt; stop, and have it examined"
    )]
    HaltEpochBack {
        /// What was seen.
        seen: u64,
        /// What the lease says.
        now: u64,
    },
    /// Something was halted or resumed after the warrant was issued.
    #[error(
        "the warrant is from halt epoch {warrant}, the gate is at {now}; redeem the authorization again"
    )]
    HaltEpochOld {
        /// The warrant's.
        warrant: u64,
        /// The lease's.
        now: u64,
    },
    /// The lease is older than the warrant.
    #[error(
        "the warrant is from halt epoch {warrant}, the gate's answer from {now} before it; ask again"
    )]
    HaltEpochAhead {
        /// The warrant's.
        warrant: u64,
        /// The lease's.
        now: u64,
    },
    /// The proposal.
    #[error(transparent)]
    Proposal(#[from] DocumentError),
    /// The warrant is for another agent's request.
    #[error(
        "the warrant is for agent `{warrant}`, the proposal is by `{proposal}`; report the gate"
    )]
    OtherAgent {
        /// The warrant's `sub`.
        warrant: String,
        /// Who proposed.
        proposal: String,
    },
    /// The warrant is for another change.
    #[error(
        "the warrant is for change `{warrant}`, the proposal became `{proposal}`; report the gate"
    )]
    OtherChange {
        /// The warrant's `txn`.
        warrant: ChangeId,
        /// The proposal's.
        proposal: ChangeId,
    },
    /// A plan of a host that is no target, or two of one host.
    #[error(
        "the change lists a plan of `{0}`, which is no target or is listed twice; report the gate"
    )]
    PlanList(HostId),
    /// More plans than the warrant's bound.
    #[error("the change touches {plans} hosts, the warrant allows {max}; report the gate")]
    TooManyTargets {
        /// How many there are.
        plans: usize,
        /// How many may be.
        max: u32,
    },
    /// This host has no plan in the change.
    #[error("this host has no plan in the change; it dropped out, and must prepare again")]
    NotInChange,
    /// This host's plan is another than the one decided on.
    #[error("the change was decided on plan `{decided}`, this host holds `{own}`; prepare again")]
    OtherPlan {
        /// In the change or the warrant.
        decided: Digest,
        /// The host's own.
        own: Digest,
    },
    /// Proposal, waves or plans are not what was decided on.
    #[error(
        "proposal, waves and plans give change digest `{computed}`, the warrant says `{warrant}`: something was exchanged after the decision; report the gate"
    )]
    ChangeDigest {
        /// As computed here.
        computed: Digest,
        /// As in the warrant.
        warrant: Digest,
    },
    /// The warrant's wave is not this host's.
    #[error("the warrant is for wave {warrant}, this host is in wave {own}; report the gate")]
    Wave {
        /// The warrant's.
        warrant: u32,
        /// The proposal's for this host.
        own: usize,
    },
    /// Standing authority where this host demands people.
    #[error(
        "this host demands human signatures and refuses standing authority; have the change approved, or change the host's pins"
    )]
    StandingRefused,
    /// A human said no.
    #[error("`{0}` signed a refusal of this very change; nothing runs against a refusal")]
    RefusedBy(PersonId),
    /// A group's quorum that nobody can fail to reach.
    #[error("this host's pins demand no one of group `{0}`; set `quorum` to at least 1")]
    PinQuorumZero(GroupId),
    /// Too few human signatures.
    #[error("{found} members of group `{group}` approved, this host demands {needed}{}; collect more approvals", because(.unusable))]
    HumanQuorum {
        /// The group that is pinned.
        group: GroupId,
        /// Distinct people that are needed.
        needed: u32,
        /// Distinct people that count.
        found: u32,
        /// Why the first statement that did not count did not, where one did not.
        unusable: Option<Box<UnusableApproval>>,
    },
}

/// Why a statement was not counted as an approval of the change.
#[derive(Debug, thiserror::Error)]
pub enum UnusableApproval {
    /// It does not verify, or is no longer usable.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// It is about something else than this change under this policy.
    #[error("the statement of `{0}` is not an approval of this change under this policy")]
    OtherSubject(PersonId),
    /// It is the agent's owner's (invariant 5).
    #[error("`{0}` answers for the agent and cannot approve its changes")]
    Owner(PersonId),
}

fn because(unusable: &Option<Box<UnusableApproval>>) -> String {
    unusable
        .as_ref()
        .map_or_else(String::new, |why| format!(" (not counted: {why})"))
}
