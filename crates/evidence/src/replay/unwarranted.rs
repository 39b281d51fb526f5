//! Package reports and the transitions that no warrant covers: each rests on a report of that host,
//! each report follows the one before, and each review is a human's signature over that very entry.
//!
//! Whether a warrant covers a transition is not judged again here: the reports lie beside the log.

use super::{Place, Replay, verified};
use crate::finding::{FindingKind, Note};
use countersign_domain::canonical;
use countersign_domain::entry::{Entry, Event};
use countersign_domain::statement::Subject;
use countersign_domain::{Digest, HostId, SignedStatement};
use std::collections::BTreeMap;

/// What is remembered of the hosts' packages.
#[derive(Debug)]
pub(super) struct Packages {
    /// Each host's last report and its number.
    reports: BTreeMap<HostId, (Digest, u64)>,
    /// Transitions that no human has looked at, by entry, with the digest of the entry.
    open: BTreeMap<u64, Digest>,
}

impl Packages {
    pub(super) const fn new() -> Self {
        Self {
            reports: BTreeMap::new(),
            open: BTreeMap::new(),
        }
    }
}

impl Replay {
    pub(super) fn packages_seen(&mut self, index: u64, entry: &Entry, note: &mut Note<'_>) {
        match &entry.event {
            Event::PackagesReported {
                host,
                report,
                sequence,
                explained,
                ..
            } => {
                let next = self
                    .packages
                    .reports
                    .get(host)
                    .map_or(1, |(_, last)| last.saturating_add(1));
                note.expect(
                    *sequence == next || *sequence == 1,
                    FindingKind::Order,
                    format!("report {sequence} of `{host}`, report {next} was to come"),
                );
                // Changes that have ended are forgotten, so only those still known are held
                // against it.
                for spent in explained {
                    if let Some(change) = self.changes.get(&spent.change)
                        && change
                            .executions
                            .get(host)
                            .is_some_and(|execution| execution.warrant.is_none())
                    {
                        note.say(
                            FindingKind::Link,
                            format!(
                                "a transition of `{host}` is explained by `{}`, which has no warrant for it",
                                spent.change
                            ),
                        );
                    }
                }
                self.packages
                    .reports
                    .insert(host.clone(), (*report, *sequence));
            }
            Event::Unwarranted { host, report, .. } => {
                let last = self.packages.reports.get(host).map(|(digest, _)| digest);
                note.expect(
                    last == Some(report),
                    FindingKind::Link,
                    format!("it rests on no report that `{host}` has just handed in"),
                );
                if let Ok(bytes) = canonical::to_bytes(entry) {
                    self.packages.open.insert(index, Digest::of(&bytes));
                }
            }
            Event::UnwarrantedOverdue { finding, .. } => {
                note.expect(
                    self.packages.open.contains_key(finding),
                    FindingKind::Order,
                    format!("entry {finding} is no transition that waits for a review"),
                );
            }
            _ => {}
        }
    }

    /// The digest of the last report of a host.
    pub(super) fn last_report(&self, host: &HostId) -> Option<&Digest> {
        self.packages.reports.get(host).map(|(digest, _)| digest)
    }

    pub(super) fn unwarranted_reviewed(
        &mut self,
        place: Place,
        finding: u64,
        signed: &SignedStatement,
        note: &mut Note<'_>,
    ) {
        let Some(roster) = &self.roster else { return };
        let Some(statement) = verified(signed, roster, place.at, note) else {
            return;
        };
        let Some(digest) = self.packages.open.get(&finding) else {
            note.say(
                FindingKind::Order,
                format!("entry {finding} is no transition that waits for a review"),
            );
            return;
        };
        let about = matches!(
            &statement.subject,
            Subject::Unwarranted { finding: stated, entry, .. }
                if *stated == finding && entry == digest
        );
        if note.expect(
            about,
            FindingKind::Link,
            format!(
                "`{}` signed no review of entry {finding}",
                statement.approver
            ),
        ) {
            self.packages.open.remove(&finding);
        }
    }
}
