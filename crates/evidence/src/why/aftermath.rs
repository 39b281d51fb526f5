//! What came of a change, as values: warrants, executions, reviews, halts and alarms.

use super::model::{Person, SignedBy};
use countersign_domain::entry::{Closing, ExecutionClosing};
use countersign_domain::receipt::Ending;
use countersign_domain::statement::{HaltScope, Verdict};
use countersign_domain::{Digest, HostId, Timestamp, Transition};
use serde::Serialize;

/// A warrant that was issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IssuedWarrant {
    /// The digest of the JWS.
    pub warrant: Digest,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it expired.
    pub expires_at: Timestamp,
    /// Its entry: the JWS itself.
    pub entry: u64,
}

/// When a host began, relative to the permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Started {
    /// When, by the host's clock.
    pub at: Timestamp,
    /// Milliseconds from the authorization to the start; negative when it started BEFORE.
    pub after_authorization_ms: Option<i64>,
    /// The entry that says so.
    pub entry: u64,
}

/// How it ended on a host, as the host signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// When, by the host's clock.
    pub at: Timestamp,
    /// How.
    pub ending: Ending,
    /// Transitions found in place.
    pub in_place: Vec<Transition>,
    /// Health checks: name, and whether each passed.
    pub health: Vec<(String, bool)>,
    /// What happened, in words.
    pub notes: Vec<String>,
    /// Its entry.
    pub entry: u64,
}

/// One host's execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExecutedOn {
    /// The host.
    pub host: HostId,
    /// The wave, from 0.
    pub wave: u32,
    /// Where the execution stands.
    pub state: String,
    /// Its warrant.
    pub warrant: Option<IssuedWarrant>,
    /// When it started.
    pub started: Option<Started>,
    /// How it ended.
    pub ended: Option<Ended>,
    /// How the gate ended it, and why.
    pub closed: Option<(ExecutionClosing, String)>,
    /// How it ended by what the host showed of its packages afterwards, and why.
    pub reconciled: Option<(Ending, String)>,
    /// How it ended, as a human found and signed, where nobody knew.
    pub stated: Option<Stated>,
    /// Why the host could not prepare.
    pub unprepared: Option<String>,
}

/// A human's word of how an execution ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stated {
    /// How.
    pub ending: Ending,
    /// Who, and when.
    pub by: SignedBy,
    /// What they wrote, where it is still kept.
    pub note: Option<String>,
    /// Its entry.
    pub entry: u64,
}

/// How the change ended without running, or without running further.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Closed {
    /// How.
    pub closing: Closing,
    /// Why, in words.
    pub why: String,
    /// When.
    pub at: Timestamp,
    /// Its entry.
    pub entry: u64,
}

/// A human's review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reviewed {
    /// What was found.
    pub verdict: Verdict,
    /// Who, and when.
    pub by: SignedBy,
    /// What they wrote, where it is still kept.
    pub note: Option<String>,
    /// Its entry.
    pub entry: u64,
}

/// The review that a change needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Review {
    /// Until when.
    pub due_at: Timestamp,
    /// How many rungs up the ladder it has gone.
    pub overdue_rung: u8,
    /// The review, once it is done.
    pub done: Option<Reviewed>,
}

/// A halt or resumption that covers the change, while it was open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HaltLine {
    /// What.
    pub halt: HaltScope,
    /// True when it let things go on.
    pub resumed: bool,
    /// When.
    pub at: Timestamp,
    /// Whose signatures verified.
    pub by: Vec<Person>,
    /// Its entry.
    pub entry: u64,
}

/// An alarm that the gate raised about the change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Noted {
    /// When.
    pub at: Timestamp,
    /// A short word.
    pub kind: String,
    /// In words.
    pub text: String,
    /// Its entry.
    pub entry: u64,
}
