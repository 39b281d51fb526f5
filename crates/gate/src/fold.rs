//! The fold: every projection is the result of applying log entries in order, here and nowhere
//! else. Live transactions and `log fsck --rebuild` run the same code.
//!
//! Nothing is verified or decided here: an entry in the log is what happened. An entry that does
//! not fit the state before it is an error, which undoes the job that tried to append it.

mod change;
mod contact;
mod deployment;
mod emergency;
mod packages;

pub(crate) use deployment::{CALENDARS_UNREAD, halt_key};
pub(crate) use packages::UNWARRANTED;

use crate::state::{self, ChangeRecord, Record};
use crate::world;
use countersign_domain::canonical::{self, CanonicalError};
use countersign_domain::change::ChangeError;
use countersign_domain::entry::{Entry, Event, LogEntry};
use countersign_domain::execution::ExecutionError;
use countersign_domain::roster::RosterError;
use countersign_store::{Appended, Log, Read, StoreError, Write};

/// An entry does not fit what came before it.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// Storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The entry, or a document that it names, cannot be read.
    #[error("entry {index} cannot be read: {problem}")]
    Unreadable {
        /// The entry.
        index: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The change cannot take the event.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The execution cannot take the event.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
    /// The roster cannot take the change.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// It speaks of something that does not exist.
    #[error("entry {index} speaks of {what}, which does not exist")]
    Unknown {
        /// The entry.
        index: u64,
        /// What it speaks of.
        what: String,
    },
    /// It has no canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

/// Appends an entry to the authorizations log and applies it, in the same transaction.
///
/// # Errors
/// When it does not fit, or storage fails. The caller's job is then undone.
pub fn append(tx: &mut dyn Write, entry: &Entry) -> Result<Appended, FoldError> {
    let appended = tx.append(Log::Authorizations, &canonical::to_bytes(entry)?)?;
    apply_entry(tx, appended.index, entry)?;
    Ok(appended)
}

/// Appends a warrant's JWS to the authorizations log and applies it, in the same transaction.
///
/// # Errors
/// As [`append`].
pub fn append_warrant(tx: &mut dyn Write, jws: &str) -> Result<Appended, FoldError> {
    let appended = tx.append(Log::Authorizations, jws.as_bytes())?;
    change::warrant(tx, appended.index, jws)?;
    Ok(appended)
}

/// Applies the entry at `index` of the authorizations log.
///
/// # Errors
/// When it cannot be read or does not fit.
pub fn apply(tx: &mut dyn Write, index: u64, bytes: &[u8]) -> Result<(), FoldError> {
    let unreadable = |error: CanonicalError| FoldError::Unreadable {
        index,
        problem: error.to_string(),
    };
    match LogEntry::read(bytes).map_err(unreadable)? {
        LogEntry::Entry(entry) => apply_entry(tx, index, &entry),
        LogEntry::Warrant(jws) => change::warrant(tx, index, &jws),
    }
}

fn apply_entry(tx: &mut dyn Write, index: u64, entry: &Entry) -> Result<(), FoldError> {
    if let Some(change) = entry.event.change() {
        let opened = match entry.event {
            Event::Proposed { .. } => Some(index),
            _ => state::read::<ChangeRecord>(tx, change.as_str())?.map(|record| record.opened),
        };
        // An alarm may name a change that there is not.
        if let Some(opened) = opened {
            tx.put_trail(opened, index)?;
        }
    }
    match &entry.event {
        Event::Roster { .. }
        | Event::Policy { .. }
        | Event::Inventory { .. }
        | Event::Feed { .. }
        | Event::Halted { .. }
        | Event::Resumed { .. } => {
            deployment::apply(tx, index, entry)?;
            world::advance_epoch(tx, index)
        }
        Event::Observed { .. } | Event::Alarm { .. } | Event::HostSilent { .. } => {
            deployment::apply(tx, index, entry)
        }
        Event::PackagesReported { .. }
        | Event::Unwarranted { .. }
        | Event::UnwarrantedReviewed { .. }
        | Event::UnwarrantedOverdue { .. } => packages::apply(tx, index, entry),
        Event::Emergency { .. }
        | Event::EmergencyReviewed { .. }
        | Event::EmergencyOverdue { .. } => emergency::apply(tx, index, entry),
        Event::Proposed { .. }
        | Event::Prepared { .. }
        | Event::Unprepared { .. }
        | Event::Decided { .. }
        | Event::Voted { .. }
        | Event::Authorized { .. }
        | Event::Started { .. }
        | Event::Settled { .. }
        | Event::ExecutionClosed { .. }
        | Event::ExecutionReconciled { .. }
        | Event::EndingStated { .. }
        | Event::Closed { .. }
        | Event::ReviewRequired { .. }
        | Event::ReviewOverdue { .. }
        | Event::Reviewed { .. } => change::apply(tx, index, entry),
        Event::CrossCommitted { .. } => Ok(()),
    }
}

/// A record that has to be there.
fn required<R: Record>(store: &dyn Read, index: u64, key: &str) -> Result<R, FoldError> {
    state::load(store, key)?.ok_or_else(|| FoldError::Unknown {
        index,
        what: format!("{} `{key}`", R::KIND),
    })
}
