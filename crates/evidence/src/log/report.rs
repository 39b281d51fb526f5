//! What a verification of both logs came to, and what the verifier trusted from the start.

use crate::documents::DocumentSummary;
use crate::finding::Findings;
use crate::source::LogName;
use countersign_domain::entry::{Event, LogEntry};
use countersign_domain::{DeploymentId, Digest};
use countersign_ledger::Hash;
use serde::Serialize;
use std::collections::BTreeMap;

/// What the verifier knows from elsewhere. Nothing pinned means that the logs are only held
/// against themselves: consistent, but perhaps another deployment's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedRoots {
    /// The digest of the genesis, as it was pinned at enrolment.
    pub genesis: Option<Digest>,
    /// The verifier key of the authorizations log, in signed-note form.
    pub authorizations: Option<String>,
    /// The verifier key of the recommendations log, in signed-note form.
    pub recommendations: Option<String>,
    /// How many witnesses must have cosigned; the roster may demand more.
    pub witness_quorum: u32,
    /// What is demanded of the documents that entries name.
    pub documents: DemandedDocuments,
}

/// What is demanded of the documents that entries name by digest. One with other bytes than it is
/// named by is a finding in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DemandedDocuments {
    /// Each has to be there, unless the source carries none at all, as an export without `--blobs`.
    #[default]
    WhereCarried,
    /// Each has to be there.
    All,
    /// Those that are not there are only counted: they are known to be lost.
    None,
}

impl TrustedRoots {
    pub(crate) fn vkey(&self, log: LogName) -> Option<&str> {
        match log {
            LogName::Recommendations => self.recommendations.as_deref(),
            LogName::Authorizations => self.authorizations.as_deref(),
        }
    }
}

/// How far a verification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Which log is being read.
    pub log: LogName,
    /// Entries done.
    pub done: u64,
    /// Entries in all.
    pub of: u64,
}

impl Progress {
    pub(crate) const fn of(log: LogName, done: u64, of: u64) -> Self {
        Self { log, done, of }
    }
}

/// One log, as far as its signed checkpoint goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogSummary {
    /// The entries that the checkpoint states.
    pub size: u64,
    /// The root that the entries give.
    pub root: Digest,
    /// How many entries there are of each kind.
    pub kinds: BTreeMap<String, u64>,
}

/// The result of verifying both logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogReport {
    /// The deployment; none without a genesis that holds.
    pub deployment: Option<DeploymentId>,
    /// The digest of the genesis.
    pub genesis: Option<Digest>,
    /// False when no genesis was pinned: then the logs were only held against themselves.
    pub genesis_pinned: bool,
    /// True in a trial: then one person may have done it all, and the evidence is partial.
    pub trial: bool,
    /// The last roster version.
    pub roster_version: u64,
    /// How many changes were proposed.
    pub changes: u64,
    /// The authorizations log.
    pub authorizations: LogSummary,
    /// The recommendations log.
    pub recommendations: LogSummary,
    /// What entries name by digest, and how much of it is kept.
    pub documents: DocumentSummary,
    /// What does not hold.
    pub findings: Findings,
}

impl LogReport {
    /// True when everything holds. A surface exits with 0 then, and with 1 otherwise.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Counts entries by kind.
#[derive(Debug, Default)]
pub(crate) struct Summing(BTreeMap<String, u64>);

impl Summing {
    pub(crate) fn count(&mut self, kind: &str) {
        if let Some(count) = self.0.get_mut(kind) {
            *count += 1;
        } else {
            self.0.insert(kind.to_owned(), 1);
        }
    }

    pub(crate) fn summary(self, size: u64, root: Hash) -> LogSummary {
        LogSummary {
            size,
            root: Digest::from_bytes(*root.as_bytes()),
            kinds: self.0,
        }
    }
}

/// The kind of an entry, as it stands in the log.
pub(crate) const fn kind(entry: &LogEntry) -> &'static str {
    let entry = match entry {
        LogEntry::Warrant(_) => return "warrant",
        LogEntry::Entry(entry) => entry,
    };
    match entry.event {
        Event::Roster { .. } => "roster",
        Event::Policy { .. } => "policy",
        Event::Inventory { .. } => "inventory",
        Event::Feed { .. } => "feed",
        Event::Observed { .. } => "observed",
        Event::Proposed { .. } => "proposed",
        Event::Prepared { .. } => "prepared",
        Event::Unprepared { .. } => "unprepared",
        Event::Decided { .. } => "decided",
        Event::Voted { .. } => "voted",
        Event::Authorized { .. } => "authorized",
        Event::Started { .. } => "started",
        Event::Settled { .. } => "settled",
        Event::ExecutionClosed { .. } => "execution-closed",
        Event::EndingStated { .. } => "ending-stated",
        Event::ExecutionReconciled { .. } => "execution-reconciled",
        Event::Closed { .. } => "closed",
        Event::ReviewRequired { .. } => "review-required",
        Event::ReviewOverdue { .. } => "review-overdue",
        Event::Reviewed { .. } => "reviewed",
        Event::Halted { .. } => "halted",
        Event::Resumed { .. } => "resumed",
        Event::Alarm { .. } => "alarm",
        Event::PackagesReported { .. } => "packages-reported",
        Event::Unwarranted { .. } => "unwarranted",
        Event::UnwarrantedReviewed { .. } => "unwarranted-reviewed",
        Event::UnwarrantedOverdue { .. } => "unwarranted-overdue",
        Event::Emergency { .. } => "emergency",
        Event::EmergencyReviewed { .. } => "emergency-reviewed",
        Event::EmergencyOverdue { .. } => "emergency-overdue",
        Event::HostSilent { .. } => "host-silent",
        Event::CrossCommitted { .. } => "cross-committed",
    }
}
