//! What the recommendations log says of the authorizations log: each root that it commits to must
//! be the one the authorizations log really had. Read along with the tree, one commitment ahead.

use crate::finding::{FindingKind, Findings, Note};
use crate::source::{LogName, Source, SourceError};
use countersign_domain::canonical;
use countersign_domain::entry::{Entry, Event};
use countersign_domain::{Digest, Roster};
use countersign_ledger::Tree;

pub(super) struct Commitments<'s> {
    source: &'s dyn Source,
    /// The next recommendations entry to look at, and where to stop.
    next: u64,
    end: u64,
    ahead: Option<Commitment>,
    last_size: u64,
}

#[derive(Clone, Copy)]
struct Commitment {
    index: u64,
    size: u64,
    root: Digest,
}

impl<'s> Commitments<'s> {
    pub(super) const fn new(source: &'s dyn Source, end: u64) -> Self {
        Self {
            source,
            next: 0,
            end,
            ahead: None,
            last_size: 0,
        }
    }

    /// The tree has this size now: checks every commitment to it.
    pub(super) fn passed(
        &mut self,
        tree: &Tree,
        roster: Option<&Roster>,
        findings: &mut Findings,
    ) -> Result<(), SourceError> {
        while let Some(commitment) = self.peek(roster, findings)? {
            if commitment.size > tree.size() {
                return Ok(());
            }
            let mut note = findings.at(LogName::Recommendations, Some(commitment.index));
            let holds = tree
                .root_at(commitment.size)
                .is_ok_and(|root| root.as_bytes() == commitment.root.as_bytes());
            note.expect(
                holds,
                FindingKind::CrossCommitment,
                format!(
                    "it commits to another authorizations log of {} entries: that log was rewritten",
                    commitment.size
                ),
            );
            self.ahead = None;
        }
        Ok(())
    }

    /// What is left commits to entries that the source must hold, though no checkpoint covers
    /// them yet.
    pub(super) fn check_end(
        &mut self,
        held: u64,
        roster: Option<&Roster>,
        findings: &mut Findings,
    ) -> Result<(), SourceError> {
        while let Some(commitment) = self.peek(roster, findings)? {
            let mut note = findings.at(LogName::Recommendations, Some(commitment.index));
            note.expect(
                commitment.size <= held,
                FindingKind::CrossCommitment,
                format!(
                    "it commits to {} authorizations, but only {held} are there: that log was cut off",
                    commitment.size
                ),
            );
            self.ahead = None;
        }
        Ok(())
    }

    fn peek(
        &mut self,
        roster: Option<&Roster>,
        findings: &mut Findings,
    ) -> Result<Option<Commitment>, SourceError> {
        while self.ahead.is_none() && self.next < self.end {
            let index = self.next;
            self.next += 1;
            let Some(bytes) = self.source.entry(LogName::Recommendations, index)? else {
                // Said where the recommendations themselves are read.
                self.next = self.end;
                break;
            };
            if bytes.first() != Some(&b'{') {
                continue;
            }
            let Ok(entry) = canonical::from_bytes::<Entry>(&bytes) else {
                continue;
            };
            if let Event::CrossCommitted { size, root, origin } = &entry.event {
                let mut note = findings.at(LogName::Recommendations, Some(index));
                if let Some(roster) = roster {
                    check_frame(&entry, origin, roster, &mut note);
                }
                let (size, root) = (*size, *root);
                note.expect(
                    size >= self.last_size,
                    FindingKind::CrossCommitment,
                    format!(
                        "it commits to {size} authorizations, an earlier one to {}",
                        self.last_size
                    ),
                );
                self.last_size = self.last_size.max(size);
                self.ahead = Some(Commitment { index, size, root });
            }
        }
        Ok(self.ahead)
    }
}

/// Deployment and trial mark never change, so that any roster of the chain will do.
fn check_frame(entry: &Entry, origin: &str, roster: &Roster, note: &mut Note<'_>) {
    note.expect(
        entry.v == 1 && entry.deployment == roster.deployment,
        FindingKind::Deployment,
        format!("it is of deployment `{}`", entry.deployment),
    );
    note.expect(
        entry.trial == roster.trial,
        FindingKind::Trial,
        "its trial mark contradicts the genesis",
    );
    note.expect(
        origin == LogName::Authorizations.origin(&roster.deployment),
        FindingKind::CrossCommitment,
        format!("it commits to the log `{origin}`, which is not the other log here"),
    );
}
