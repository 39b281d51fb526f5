//! Records of emergencies: what hosts did without the gate, and whether a human has reviewed it.

use super::Record;
use countersign_domain::receipt::Ending;
use countersign_domain::statement::Verdict;
use countersign_domain::{ChangeId, Digest, HostId, PersonId, Timestamp, Transition};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// An emergency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmergencyRecord {
    /// The change that the order became.
    pub change: ChangeId,
    /// The entry that tells of it.
    pub index: u64,
    /// Digest of that entry's bytes: what a review signs.
    pub entry: Digest,
    /// When the host told of it.
    pub told_at: Timestamp,
    /// The host.
    pub host: HostId,
    /// Digest of the order.
    pub order: Digest,
    /// Digest of the plan.
    pub plan: Digest,
    /// Digest of all that was signed, kept beside the log.
    pub bundle: Digest,
    /// Those whose signature counts.
    pub people: BTreeSet<PersonId>,
    /// Digest of the signed receipt.
    pub receipt: Digest,
    /// How it ended.
    pub ending: Ending,
    /// When intent was journalled, by the host's clock.
    pub started_at: Option<Timestamp>,
    /// When it ended, by the host's clock.
    pub ended_at: Timestamp,
    /// What inspection found in place.
    pub in_place: Vec<Transition>,
    /// What the host noted.
    pub notes: Vec<String>,
    /// Until when a human has to review it; then, when the next rung is reached.
    pub due_at: Timestamp,
    /// The rung, 0 while it is in time.
    pub rung: u8,
    /// What was found, by whom, when, and the entry that holds it.
    pub reviewed: Option<(Verdict, PersonId, Timestamp, u64)>,
}

impl EmergencyRecord {
    /// The state of those that nobody has reviewed.
    pub const OPEN: &'static str = "open";
    /// The state of those that somebody has reviewed.
    pub const REVIEWED: &'static str = "reviewed";
}

impl Record for EmergencyRecord {
    const KIND: &'static str = "emergency";
    const LISTED: bool = true;
    fn key(&self) -> String {
        self.change.to_string()
    }
    fn state(&self) -> String {
        match self.reviewed {
            None => Self::OPEN.into(),
            Some(_) => Self::REVIEWED.into(),
        }
    }
    fn due_at(&self) -> Option<Timestamp> {
        self.reviewed.is_none().then_some(self.due_at)
    }
    fn order(&self) -> u64 {
        self.index
    }
}
