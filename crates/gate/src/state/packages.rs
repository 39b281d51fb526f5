//! Records of what hosts say of their packages: how far each has told, which warrants its
//! transitions may still be explained by, and what no warrant explains.

use super::{Record, parse};
use countersign_domain::package_report::SeenTransition;
use countersign_domain::statement::Verdict;
use countersign_domain::{ChangeId, Digest, HostId, PersonId, Timestamp};
use countersign_store::{DocumentQuery, Read, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Warrants of one host that may explain something, at most: what has ended leaves with the next
/// report that is whole.
const WARRANTED_MAX: usize = 1_000;

/// How far a host has told its packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackagesRecord {
    /// The host.
    pub host: HostId,
    /// Digest of its last signed report, kept beside the log.
    pub report: Digest,
    /// The number of that report.
    pub sequence: u64,
    /// When it was made, by the host's clock.
    pub observed_at: Timestamp,
    /// The report that holds the list of what was installed last.
    pub listed: Digest,
    /// The digest of that list.
    pub installed: Digest,
    /// When the host told what is installed last.
    pub whole_at: Timestamp,
    /// Reports since, which told transitions but not yet what is installed.
    pub since: Vec<Digest>,
    /// The entry of the last report.
    pub index: u64,
}

impl Record for PackagesRecord {
    const KIND: &'static str = "packages";
    const LISTED: bool = true;
    fn key(&self) -> String {
        self.host.to_string()
    }
    fn order(&self) -> u64 {
        self.index
    }
}

/// A warrant that may explain transitions of a host that reports them, and which steps of its plan
/// were seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarrantedRecord {
    /// The host.
    pub host: HostId,
    /// The change.
    pub change: ChangeId,
    /// Steps of the plan that were seen.
    pub forward: BTreeSet<u32>,
    /// Steps whose way back was seen.
    pub reverse: BTreeSet<u32>,
}

impl WarrantedRecord {
    /// Keys of all of a host start with this.
    #[must_use]
    pub fn key_prefix(host: &HostId) -> String {
        format!("{host} ")
    }

    /// The key of one.
    #[must_use]
    pub fn key_of(host: &HostId, change: &ChangeId) -> String {
        format!("{host} {change}")
    }
}

impl Record for WarrantedRecord {
    const KIND: &'static str = "warranted";
    fn key(&self) -> String {
        Self::key_of(&self.host, &self.change)
    }
}

/// All warrants that may explain transitions of a host.
///
/// # Errors
/// When storage fails.
pub fn warranted(store: &dyn Read, host: &HostId) -> Result<Vec<WarrantedRecord>, StoreError> {
    let query = DocumentQuery {
        key_prefix: Some(&WarrantedRecord::key_prefix(host)),
        limit: WARRANTED_MAX,
        ..Default::default()
    };
    let documents = super::documents::<WarrantedRecord>(store, &query)?;
    documents.iter().map(parse).collect()
}

/// A transition that no warrant explains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnwarrantedRecord {
    /// The entry that found it: what a review names.
    pub index: u64,
    /// Digest of that entry's bytes: what a review signs.
    pub entry: Digest,
    /// When it was found.
    pub found_at: Timestamp,
    /// The host.
    pub host: HostId,
    /// The signed report that shows it.
    pub report: Digest,
    /// What was seen.
    pub transition: SeenTransition,
    /// Until when a human has to look at it; then, when the next rung is reached.
    pub due_at: Timestamp,
    /// The rung, 0 while it is in time.
    pub rung: u8,
    /// What was found, by whom, when, and the entry that holds it.
    pub reviewed: Option<(Verdict, PersonId, Timestamp, u64)>,
}

impl UnwarrantedRecord {
    /// The state of those that nobody has looked at.
    pub const OPEN: &'static str = "open";
    /// The state of those that somebody has looked at.
    pub const REVIEWED: &'static str = "reviewed";

    /// The key of the one that an entry found.
    #[must_use]
    pub fn key_of(index: u64) -> String {
        format!("{index:020}")
    }
}

impl Record for UnwarrantedRecord {
    const KIND: &'static str = "unwarranted";
    const LISTED: bool = true;
    fn key(&self) -> String {
        Self::key_of(self.index)
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
