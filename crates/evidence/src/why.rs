//! `why CHANGE`: the whole chain of accountability of one change, from log entries alone.
//!
//! The entries of the change are followed together with those that govern all changes, every
//! signature is verified with the roster as of then, and each entry shown is proven to be in the
//! log under its signed checkpoint. Roots that entries cite of each other are not recomputed here,
//! which takes the whole log: `verify_log` does.

mod aftermath;
mod basis;
mod collect;
mod grounds;
mod lines;
mod model;
pub(crate) mod page;
mod people;
mod proofs;
mod render;
mod story;

pub use aftermath::{
    Closed, Ended, ExecutedOn, HaltLine, IssuedWarrant, Noted, Review, Reviewed, Started, Stated,
};
pub use model::{
    Asked, Authorized, Basis, Decided, FactLine, Freshness, Person, PlanStep, Planned,
    PolicyVersion, Proofs, Rationale, SignedBy, VoteCast, Why,
};
pub use render::render;

use crate::finding::{FindingKind, Findings, Note};
use crate::replay::{Replay, Surroundings};
use crate::source::{LogName, Source, SourceError};
use collect::Collector;
use countersign_domain::entry::LogEntry;
use countersign_domain::jws::take_apart;
use countersign_domain::warrant::{LogReference, Warrant};
use countersign_domain::{ChangeId, Digest, Timestamp, canonical};
use std::collections::BTreeSet;

/// Entries about one change at most: 500 hosts, a handful each, decided again now and then.
pub const TRAIL_MAX: usize = 10_000;

/// Why nothing can be told about a change.
#[derive(Debug, thiserror::Error)]
pub enum WhyError {
    /// The source failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// No entries.
    #[error("no entry concerns change `{0}`; list changes with `countersign change list`")]
    Unknown(ChangeId),
    /// Too many of them.
    #[error(
        "{0} entries concern one change, at most {TRAIL_MAX} are read; run `countersign log verify`"
    )]
    TooMany(usize),
}

/// Reconstructs what happened to a change. `trail` are the indices of the authorizations entries
/// that concern it, in any order: what a store's index lists, or [`trail`] finds. An entry that it
/// leaves out is noticed only where another one needs it.
///
/// # Errors
/// [`WhyError`] when there is nothing to tell, or the source fails. What does not hold is a
/// finding of the result.
pub fn why(
    source: &dyn Source,
    change: &ChangeId,
    trail: &[u64],
    now: Timestamp,
) -> Result<Why, WhyError> {
    if trail.is_empty() {
        return Err(WhyError::Unknown(change.clone()));
    }
    if trail.len() > TRAIL_MAX {
        return Err(WhyError::TooMany(trail.len()));
    }
    let trail: BTreeSet<u64> = trail.iter().copied().collect();
    let size = source.size(LogName::Authorizations)?;
    let governing = source.governing(size)?;
    let all: BTreeSet<u64> = trail.iter().copied().chain(governing).collect();
    let mut findings = Findings::default();
    let mut replay = Replay::new(None, true);
    let mut collector = Collector::new(source, change);
    for index in all {
        let mut note = findings.at(LogName::Authorizations, Some(index));
        let Some(bytes) = source.entry(LogName::Authorizations, index)? else {
            note.say(FindingKind::Missing, "this entry of the change is missing");
            continue;
        };
        let entry = match LogEntry::read(&bytes) {
            Ok(entry) => entry,
            Err(error) => {
                note.say(FindingKind::Form, error.to_string());
                continue;
            }
        };
        let mut around = Alone {
            source,
            failed: None,
        };
        let proven = replay.apply(index, &entry, &mut around, &mut note);
        if let Some(error) = around.failed {
            return Err(error.into());
        }
        collector.take(
            index,
            &entry,
            proven,
            &replay,
            trail.contains(&index),
            &mut note,
        );
    }
    if replay.roster().is_none() {
        findings.at(LogName::Authorizations, Some(0)).say(
            FindingKind::Genesis,
            "without a genesis that holds nothing here can be verified",
        );
    }
    let proofs = proofs::prove(source, &trail, &collector, &replay, &mut findings)?;
    Ok(collector.finish(&replay, proofs, findings, now))
}

/// The indices of all authorizations entries that concern a change, found by reading the whole log:
/// for a folder, or for whoever does not trust an index.
///
/// # Errors
/// [`SourceError`].
pub fn trail(source: &dyn Source, change: &ChangeId) -> Result<Vec<u64>, SourceError> {
    let mut indices = Vec::new();
    for index in 0..source.size(LogName::Authorizations)? {
        let Some(bytes) = source.entry(LogName::Authorizations, index)? else {
            break;
        };
        // What cannot be read concerns nothing; `verify_log` reports it.
        let concerns = match LogEntry::read(&bytes) {
            Ok(LogEntry::Entry(entry)) => entry.event.change() == Some(change),
            Ok(LogEntry::Warrant(jws)) => take_apart(&jws)
                .ok()
                .and_then(|parts| canonical::from_bytes::<Warrant>(&parts.payload).ok())
                .is_some_and(|warrant| warrant.txn == *change),
            Err(_) => false,
        };
        if concerns {
            indices.push(index);
        }
    }
    Ok(indices)
}

/// Entries without their tree: references are followed, roots are left to `verify_log`.
struct Alone<'s> {
    source: &'s dyn Source,
    failed: Option<SourceError>,
}

impl Surroundings for Alone<'_> {
    fn recommendation(&mut self, reference: &LogReference, note: &mut Note<'_>) -> Option<Vec<u8>> {
        match self.source.entry(LogName::Recommendations, reference.index) {
            Ok(Some(bytes)) => Some(bytes),
            Ok(None) => {
                let words = format!(
                    "recommendation {}, which it cites, is missing",
                    reference.index
                );
                note.say(FindingKind::Missing, words);
                None
            }
            Err(error) => {
                self.failed = Some(error);
                None
            }
        }
    }

    fn authorizations_root(&mut self, _size: u64, _root: &Digest, _note: &mut Note<'_>) {}

    fn recommendations_root(&mut self, _size: u64, _root: &Digest, _note: &mut Note<'_>) {}
}
