//! The roster's chain: each change signed by the quorum of the roster before it, the first by the
//! quorum of the roster it founds and pinned by digest at enrolment. `domain` folds the changes;
//! here it is checked who signed them, and that every key in them can be used.

use crate::key::{Ed25519Key, KeyError};
use crate::log::{LogKeys, LogKeysError};
use crate::ssh::{SshKeyError, StatementError, fingerprint, verify_statement};
use countersign_domain::canonical::{self, CanonicalError};
use countersign_domain::roster::{Operation, RosterError, SignedRosterChange};
use countersign_domain::statement::Subject;
use countersign_domain::text::shown;
use countersign_domain::{Digest, GroupId, PersonId, Roster, RosterChange, Timestamp};
use std::collections::BTreeSet;
use std::ops::Deref;

/// Statements under one roster change at most.
pub const SIGNERS_MAX: usize = 64;
/// A roster change at most, in bytes, without its statements.
pub const CHANGE_BYTES_MAX: usize = 48 * 1024;
/// Changes in one chain at most.
pub const CHAIN_MAX: usize = 10_000;

/// A roster all of whose changes were signed by whom they had to be, back to a pinned genesis.
/// Only [`found`], [`extend`], [`accept`] and [`chain`] make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRoster(Roster);

impl Deref for VerifiedRoster {
    type Target = Roster;

    fn deref(&self) -> &Roster {
        &self.0
    }
}

impl VerifiedRoster {
    /// The roster alone; that it was verified is forgotten.
    #[must_use]
    pub fn into_inner(self) -> Roster {
        self.0
    }
}

/// A roster change that is not taken, and which one it was.
#[derive(Debug, thiserror::Error)]
#[error("roster change {step}: {problem}")]
pub struct ChainError {
    /// The version that the change would have made: 1 is the genesis.
    pub step: u64,
    /// Why it is not taken.
    pub problem: ChangeProblem,
}

/// Why a roster change is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ChangeProblem {
    /// No change at all.
    #[error("the chain is empty; it must begin with the genesis")]
    Empty,
    /// More than is looked at.
    #[error("{0} has more than is accepted; split the change")]
    TooMuch(&'static str),
    /// Not the canonical bytes of a change.
    #[error("it is malformed: {0}")]
    Form(#[from] CanonicalError),
    /// Another deployment's, or a forged beginning.
    #[error(
        "its digest is `{found}`, but `{pinned}` was pinned at enrolment; this is another deployment's roster, or a forged one"
    )]
    Pin {
        /// What was pinned.
        pinned: Digest,
        /// What came.
        found: Digest,
    },
    /// It does not follow, or makes no sense.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// An operation with a key that cannot be used.
    #[error("operation {at}: {problem}")]
    Key {
        /// Which, from 0.
        at: usize,
        /// What is wrong with the key.
        problem: UnusableKey,
    },
    /// The log and witness keys of the result do not go together.
    #[error("its log keys: {0}")]
    LogKeys(#[from] LogKeysError),
    /// A statement that does not verify.
    #[error("statement {at}: {problem}")]
    Statement {
        /// Which, from 0.
        at: usize,
        /// Why.
        problem: Box<StatementError>,
    },
    /// A statement about something else, or from another version.
    #[error(
        "statement {at} by `{approver}` is not about this change at roster version {version}; sign this change"
    )]
    OtherSubject {
        /// Which, from 0.
        at: usize,
        /// Who signed it.
        approver: PersonId,
        /// The version that the signer had to look at.
        version: u64,
    },
    /// Too few signed.
    #[error("{found} members of group `{group}` signed it, {needed} must; collect more signatures")]
    Quorum {
        /// The group of the threshold.
        group: GroupId,
        /// Distinct people that must sign.
        needed: u32,
        /// Distinct members that did.
        found: u32,
    },
}

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UnusableKey {
    /// A person's.
    #[error(transparent)]
    Ssh(#[from] SshKeyError),
    /// An agent's, a host's or the gate's.
    #[error(transparent)]
    Ed25519(#[from] KeyError),
    /// The fingerprint is another key's.
    #[error("fingerprint `{stated}` is not that of the key, which is `{computed}`")]
    Fingerprint {
        /// As stated.
        stated: String,
        /// As computed.
        computed: String,
    },
    /// One key for two purposes (invariant 9).
    #[error("warrants and the two logs need three different keys; generate one for each")]
    Shared,
    /// A log key.
    #[error(transparent)]
    Vkey(#[from] crate::log::VkeyError),
}

/// The roster that a genesis founds, which must be the one that was pinned.
///
/// # Errors
/// [`ChainError`] with step 1.
pub fn found(
    pinned_genesis: &Digest,
    signed: &SignedRosterChange,
) -> Result<VerifiedRoster, ChainError> {
    found_unnamed(pinned_genesis, signed).map_err(|problem| ChainError { step: 1, problem })
}

/// The roster after a change of the past.
///
/// # Errors
/// [`ChainError`] with the version that was expected next.
pub fn extend(
    before: &VerifiedRoster,
    signed: &SignedRosterChange,
) -> Result<VerifiedRoster, ChainError> {
    extend_at(before, signed, None)
}

/// The roster after a change that is being handed in now: as [`extend`], and every statement must
/// still be usable.
///
/// # Errors
/// [`ChainError`] with the version that was expected next.
pub fn accept(
    before: &VerifiedRoster,
    signed: &SignedRosterChange,
    now: Timestamp,
) -> Result<VerifiedRoster, ChainError> {
    extend_at(before, signed, Some(now))
}

/// The roster after a whole chain, from the genesis on.
///
/// # Errors
/// [`ChainError`] names the step.
pub fn chain(
    pinned_genesis: &Digest,
    changes: &[SignedRosterChange],
) -> Result<VerifiedRoster, ChainError> {
    let step_one = |problem| ChainError { step: 1, problem };
    let (genesis, rest) = changes
        .split_first()
        .ok_or_else(|| step_one(ChangeProblem::Empty))?;
    if changes.len() > CHAIN_MAX {
        return Err(step_one(ChangeProblem::TooMuch("the chain")));
    }
    rest.iter()
        .try_fold(found(pinned_genesis, genesis)?, |roster, change| {
            extend(&roster, change)
        })
}

fn found_unnamed(
    pinned_genesis: &Digest,
    signed: &SignedRosterChange,
) -> Result<VerifiedRoster, ChangeProblem> {
    let change = read(signed)?;
    let digest = Digest::of(signed.change.as_bytes());
    if digest != *pinned_genesis {
        return Err(ChangeProblem::Pin {
            pinned: *pinned_genesis,
            found: digest,
        });
    }
    check_keys(&change)?;
    let roster = Roster::found(&change)?;
    check_log_keys(&roster)?;
    check_signers(signed, &change, &roster, None)?;
    Ok(VerifiedRoster(roster))
}

fn extend_at(
    before: &VerifiedRoster,
    signed: &SignedRosterChange,
    now: Option<Timestamp>,
) -> Result<VerifiedRoster, ChainError> {
    let extended = || {
        let change = read(signed)?;
        check_keys(&change)?;
        let roster = before.extended(&change)?;
        check_log_keys(&roster)?;
        check_signers(signed, &change, before, now)?;
        Ok(VerifiedRoster(roster))
    };
    extended().map_err(|problem| ChainError {
        step: before.version.saturating_add(1),
        problem,
    })
}

fn read(signed: &SignedRosterChange) -> Result<RosterChange, ChangeProblem> {
    if signed.change.len() > CHANGE_BYTES_MAX {
        return Err(ChangeProblem::TooMuch("the change"));
    }
    if signed.statements.len() > SIGNERS_MAX {
        return Err(ChangeProblem::TooMuch("the list of statements"));
    }
    Ok(canonical::from_bytes(signed.change.as_bytes())?)
}

/// Every key that the change brings in must be one that can be used, or the roster would hold
/// names without keys behind them.
fn check_keys(change: &RosterChange) -> Result<(), ChangeProblem> {
    for (at, operation) in change.operations.iter().enumerate() {
        check_operation(operation).map_err(|problem| ChangeProblem::Key { at, problem })?;
    }
    Ok(())
}

fn check_operation(operation: &Operation) -> Result<(), UnusableKey> {
    match operation {
        Operation::AddKey {
            fingerprint: stated,
            public_key,
            ..
        } => {
            let computed = fingerprint(public_key)?;
            if computed != *stated {
                return Err(UnusableKey::Fingerprint {
                    stated: shown(stated, 100),
                    computed,
                });
            }
        }
        Operation::SetAgent { public_key, .. } | Operation::SetHost { public_key, .. } => {
            public_key.parse::<Ed25519Key>()?;
        }
        Operation::SetGate(keys) => {
            let warrant: Ed25519Key = keys.warrant.parse()?;
            let authorizations = crate::log::LogKey::parse(&keys.authorizations)?;
            let recommendations = crate::log::LogKey::parse(&keys.recommendations)?;
            // INVARIANT (two logs): separate logs, separate keys.
            if warrant == *authorizations.key()
                || warrant == *recommendations.key()
                || authorizations.key() == recommendations.key()
            {
                return Err(UnusableKey::Shared);
            }
        }
        Operation::SetWitnesses { witnesses, .. } => {
            for vkey in witnesses {
                crate::log::WitnessKey::parse(vkey)?;
            }
        }
        Operation::SetThreshold { .. }
        | Operation::AddPerson { .. }
        | Operation::RemovePerson { .. }
        | Operation::RevokeKey { .. }
        | Operation::SetGroup { .. }
        | Operation::RemoveAgent { .. }
        | Operation::RemoveHost { .. } => {}
    }
    Ok(())
}

/// Names equal the origins, and no witness is the log or another witness.
fn check_log_keys(roster: &Roster) -> Result<(), ChangeProblem> {
    LogKeys::authorizations(roster, 0)?;
    LogKeys::recommendations(roster, 0)?;
    Ok(())
}

/// INVARIANT (named humans are proven): the quorum of the roster `judging` signed exactly this
/// change, looking at that very version. One statement that does not verify spoils the change.
fn check_signers(
    signed: &SignedRosterChange,
    change: &RosterChange,
    judging: &Roster,
    now: Option<Timestamp>,
) -> Result<(), ChangeProblem> {
    let subject = Subject::Roster {
        change: Digest::of(signed.change.as_bytes()),
        version: change.version,
    };
    let threshold = &judging.threshold;
    let members: BTreeSet<_> = judging.members(&threshold.group).collect();
    let mut signers = BTreeSet::new();
    for (at, statement) in signed.statements.iter().enumerate() {
        let statement = verify_statement(statement, judging, now).map_err(|problem| {
            ChangeProblem::Statement {
                at,
                problem: Box::new(problem),
            }
        })?;
        if statement.subject != subject || statement.roster_version != judging.version {
            return Err(ChangeProblem::OtherSubject {
                at,
                approver: statement.approver.clone(),
                version: judging.version,
            });
        }
        if members.contains(&statement.approver) {
            signers.insert(statement.approver.clone());
        }
    }
    let found = u32::try_from(signers.len()).unwrap_or(u32::MAX);
    if found < threshold.quorum.max(1) {
        return Err(ChangeProblem::Quorum {
            group: threshold.group.clone(),
            needed: threshold.quorum.max(1),
            found,
        });
    }
    Ok(())
}
