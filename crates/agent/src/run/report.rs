//! What a run did, for people and for `--json`. Bounded: a continuous run may go on for years.

use crate::client::ChangeView;
use crate::propose::Subject;
use countersign_domain::{ChangeId, ChangeState};
use serde::Serialize;

/// Failures and withdrawals that are kept; older ones go first.
const KEPT_MAX: usize = 200;

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Rounds begun.
    pub rounds: u64,
    /// Findings that the server gave in the last round.
    pub findings: usize,
    /// What was proposed, in order, and where it stood last. Of a long run the latest.
    pub proposed: Vec<Proposed>,
    /// What was not proposed in the last round, and why.
    pub skipped: Vec<Skipped>,
    /// Proposals beyond the limit of the last round.
    pub left_for_later: usize,
    /// Changes taken back because a newer version is offered; the latest.
    pub withdrawn: Vec<ChangeId>,
    /// What went wrong, in words; the latest.
    pub failures: Vec<String>,
    /// True when it was told to stop.
    pub stopped: bool,
}

impl Report {
    pub(super) fn begin_round(&mut self) {
        self.rounds = self.rounds.saturating_add(1);
        self.findings = 0;
        self.skipped.clear();
        self.left_for_later = 0;
    }

    pub(super) fn skipped(&mut self, skipped: Skipped) {
        self.skipped.push(skipped);
    }

    pub(super) fn withdrawn(&mut self, change: ChangeId) {
        keep(&mut self.withdrawn, change);
    }

    pub(super) fn failed(&mut self, words: String) {
        keep(&mut self.failures, words);
    }
}

fn keep<T>(kept: &mut Vec<T>, one: T) {
    if kept.len() >= KEPT_MAX {
        kept.remove(0);
    }
    kept.push(one);
}

/// A proposal that the server took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proposed {
    /// The change that it became.
    pub change: ChangeId,
    /// What it is about.
    pub subject: Subject,
    /// The score of its most urgent finding.
    pub score: u32,
    /// How that score came about, in sentences.
    pub explanation: Vec<String>,
    /// Where it stood last.
    pub state: ChangeState,
    /// The change as it was seen last; none until it was looked at.
    pub view: Option<ChangeView>,
}

/// A finding that was not proposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// What it is about.
    pub subject: Subject,
    /// Why not.
    pub why: Skip,
}

/// Why a finding is not proposed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "reason", content = "detail", rename_all = "kebab-case")]
pub enum Skip {
    /// A human refused this very upgrade on this host.
    Refused(ChangeId),
    /// It was tried on this host and failed, or nobody knows how it ended.
    FailedBefore(ChangeId),
    /// It was made, and the host has not been observed since.
    Done(ChangeId),
    /// It is proposed, and that change is still open.
    Open(ChangeId),
    /// It was proposed today already; in the server's words.
    ProposedToday(String),
}

impl std::fmt::Display for Skip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(change) => write!(f, "a human refused it as change `{change}`"),
            Self::FailedBefore(change) => write!(f, "it failed on this host as change `{change}`"),
            Self::Done(change) => write!(
                f,
                "it was made as change `{change}`; the host has not been observed since"
            ),
            Self::Open(change) => write!(f, "it is proposed already as change `{change}`"),
            Self::ProposedToday(said) => write!(f, "it was proposed today already: {said}"),
        }
    }
}
