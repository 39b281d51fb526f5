//! What a storage backend offers: one write transaction that holds the log heads, consistent
//! snapshots to read from, and nothing that knows what a change is. SQLite implements it; the
//! conformance suite says what a second backend has to pass.
//!
//! Everything but the logs and the blobs is a projection: rows that are the fold of log entries, and
//! that can be thrown away and rebuilt.

use countersign_domain::{AgentId, CveId, Digest, Environment, HostId, PersonId, Timestamp};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::sync::Arc;

/// One of the two logs (invariant 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Log {
    /// What agents asked for, as they signed it.
    Recommendations,
    /// What the gate decided and issued; only the gate writes it.
    Authorizations,
}

impl Log {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Recommendations, Self::Authorizations];

    /// The last part of its origin, its folder and its address.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recommendations => "recommendations",
            Self::Authorizations => "authorizations",
        }
    }
}

/// How far a log reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Entries.
    pub size: u64,
    /// RFC 6962 root over them.
    pub root: Digest,
}

/// Bytes kept beside the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// The salt (32 hex digits) when the digest is salted, that is for erasable text.
    pub salt: Option<String>,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A projection row whose meaning its writer knows: a change, an execution, a host, a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What it is, such as `change`.
    pub kind: &'static str,
    /// Unique within its kind.
    pub key: String,
    /// A word to select by, such as a state; empty where there is none.
    pub state: String,
    /// When somebody has to look at it again; none when nobody has to.
    pub due_at: Option<Timestamp>,
    /// What listings are ordered by (usually the index of the entry that made it).
    pub order: u64,
    /// True when it is found by a query for its kind or its state; otherwise only by its key, a
    /// prefix of it, or when it is due.
    pub listed: bool,
    /// JSON.
    pub body: String,
}

/// Which documents of one kind.
#[derive(Debug, Clone, Default)]
pub struct DocumentQuery<'a> {
    /// Only in one of these states; empty means any.
    pub states: &'a [&'a str],
    /// Only those due at this time or before, the earliest first.
    pub due_by: Option<Timestamp>,
    /// Only keys that start with this.
    pub key_prefix: Option<&'a str>,
    /// Only those with a smaller `order` than this (newest first, for paging).
    pub before: Option<u64>,
    /// At most so many; 0 means 1,000.
    pub limit: usize,
}

impl DocumentQuery<'_> {
    /// True when it goes by kind, state and order alone: such a query finds only documents that
    /// are [`Document::listed`].
    #[must_use]
    pub const fn is_listing(&self) -> bool {
        self.due_by.is_none() && self.key_prefix.is_none()
    }
}

/// One host reserved by one change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// The index of the entry that opened the change.
    pub opened: u64,
    /// The host.
    pub host: HostId,
    /// Who asked.
    pub agent: AgentId,
    /// Who answers for that agent.
    pub owner: PersonId,
    /// The host's service, where it has one.
    pub service: Option<String>,
    /// The host's environment.
    pub environment: Environment,
    /// True when it runs without asking a human: only these count in the sliding windows.
    pub standing: bool,
    /// When it was reserved.
    pub at: Timestamp,
}

/// Whose reservations are counted. The change itself is left out.
#[derive(Debug, Clone)]
pub struct ReservationQuery<'a> {
    /// The index of the entry that opened the change that is being decided; none while no entry has.
    pub opened: Option<u64>,
    /// Its agent.
    pub agent: &'a AgentId,
    /// That agent's owner.
    pub owner: &'a PersonId,
    /// The services it touches.
    pub services: &'a [String],
    /// The environments it touches.
    pub environments: &'a [Environment],
    /// The hosts it touches: what other changes have in flight on these widens nothing.
    pub hosts: &'a [HostId],
    /// The present.
    pub now: Timestamp,
}

/// How the same transition fared on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransitionOutcome {
    /// The index of the entry that opened the change.
    pub opened: u64,
    /// The host.
    pub host: HostId,
    /// `name|architecture|old|new`.
    pub transition: String,
    /// The host's environment then.
    pub environment: Environment,
    /// The host's tier then.
    pub tier: u8,
    /// True when it succeeded, false when it failed or was rolled back.
    pub succeeded: bool,
    /// When it ended.
    pub at: Timestamp,
}

/// Hosts on which transitions succeeded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Healthy {
    /// How many.
    pub hosts: u32,
    /// When the first of them had all its transitions.
    pub first: Option<Timestamp>,
}

/// A row of intelligence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntelRow {
    /// The feed, such as `cisa-kev`.
    pub feed: String,
    /// The CVE id.
    pub cve: CveId,
    /// JSON of the record.
    pub body: String,
}

/// Where an appended entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its leaf index.
    pub index: u64,
    /// The head with it, inside the transaction.
    pub head: Head,
}

/// Storage failed. Nothing of the transaction was kept; the caller could not decide, which denies.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The engine reported an error.
    #[error("storage failed: {0}")]
    Engine(String),
    /// Something that was stored cannot be read back.
    #[error("storage is damaged: {0}; run `countersign log fsck`")]
    Damaged(String),
    /// An entry or blob is larger than a log or the store takes.
    #[error("{what} of {bytes} bytes is larger than {max}")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// Too many transactions wait already. Nothing was tried.
    #[error("the store is overloaded: `{0}` transactions wait already; try again in a moment")]
    Overloaded(usize),
    /// The store has stopped (an earlier commit or fsync failed, or it was closed).
    #[error("the store has stopped: {0}; restart the server")]
    Stopped(String),
}

/// A consistent view.
pub trait Read {
    /// How far `log` reaches, entries of this very transaction included.
    ///
    /// # Errors
    /// When storage fails; so for all methods of this trait.
    fn head(&self, log: Log) -> Result<Head, StoreError>;
    /// The bytes of one entry.
    fn entry(&self, log: Log, index: u64) -> Result<Option<Vec<u8>>, StoreError>;
    /// Up to `count` entries from `start` on, in order.
    fn entries(&self, log: Log, start: u64, count: usize) -> Result<Vec<Vec<u8>>, StoreError>;
    /// The bytes behind a digest.
    fn blob(&self, digest: &Digest) -> Result<Option<Blob>, StoreError>;
    /// One document.
    fn document(&self, kind: &'static str, key: &str) -> Result<Option<Document>, StoreError>;
    /// What a document of this transaction was read as, where [`Read::remember`] was told and the
    /// document is still the same.
    fn recall(&self, _kind: &'static str, _key: &str) -> Option<Arc<dyn Any + Send + Sync>> {
        None
    }
    /// Keeps what a document was read as, for as long as the transaction lasts and nobody writes it:
    /// so a job that comes back to it need not parse it again. A view need not keep anything.
    fn remember(&self, _kind: &'static str, _key: &str, _value: Arc<dyn Any + Send + Sync>) {}
    /// Documents of one kind: newest first, or the earliest due first when asked by due time.
    fn documents(
        &self,
        kind: &'static str,
        query: &DocumentQuery<'_>,
    ) -> Result<Vec<Document>, StoreError>;
    /// The entries of the authorizations log that concern the change that the entry `opened` opened,
    /// in order, at most 10,000.
    fn trail(&self, opened: u64) -> Result<Vec<u64>, StoreError>;
    /// How many hosts other changes have reserved. The edge of a sliding window is rounded outward
    /// to the whole minute: it may count up to a minute longer, never shorter.
    fn reservations(
        &self,
        query: &ReservationQuery<'_>,
    ) -> Result<countersign_domain::facts::Reservations, StoreError>;
    /// Executions in which one of these transitions did not succeed since a time, newest first, at
    /// most 1,000.
    fn failures(
        &self,
        transitions: &[String],
        since: Timestamp,
    ) -> Result<Vec<TransitionOutcome>, StoreError>;
    /// On how many hosts of these environments each of these transitions succeeded the last time it
    /// was tried since a time. With no transition there are none.
    fn healthy(
        &self,
        transitions: &[String],
        environments: &[Environment],
        since: Timestamp,
    ) -> Result<Healthy, StoreError>;
    /// All rows for these CVE ids.
    fn intel(&self, cves: &[CveId]) -> Result<Vec<IntelRow>, StoreError>;
}

/// The write transaction. Holds the log heads: there is only one at a time.
pub trait Write: Read {
    /// Appends an entry.
    ///
    /// # Errors
    /// When storage fails or the entry is too large; so for all methods of this trait.
    fn append(&mut self, log: Log, entry: &[u8]) -> Result<Appended, StoreError>;
    /// Keeps bytes beside the log. Keeping the same digest again changes nothing.
    fn put_blob(&mut self, digest: &Digest, blob: &Blob) -> Result<(), StoreError>;
    /// Writes a document, replacing one of the same kind and key. Reads of this transaction see it
    /// at once; a failure to keep it may come only when the job has ended, and undoes the job.
    fn put_document(&mut self, document: &Document) -> Result<(), StoreError>;
    /// Removes a document.
    fn remove_document(&mut self, kind: &'static str, key: &str) -> Result<(), StoreError>;
    /// Remembers that an entry of the authorizations log concerns the change that the entry `opened`
    /// opened.
    fn put_trail(&mut self, opened: u64, index: u64) -> Result<(), StoreError>;
    /// Reserves a host for a change; reserving the same again replaces it.
    fn reserve(&mut self, reservation: &Reservation) -> Result<(), StoreError>;
    /// No longer in flight (it still counts in the windows): one host of a change, or all.
    fn release(
        &mut self,
        opened: u64,
        host: Option<&HostId>,
        at: Timestamp,
    ) -> Result<(), StoreError>;
    /// Takes back reservations that came to nothing (they no longer count anywhere).
    fn unreserve(&mut self, opened: u64, host: Option<&HostId>) -> Result<(), StoreError>;
    /// Remembers how a transition fared.
    fn record_outcome(&mut self, outcome: &TransitionOutcome) -> Result<(), StoreError>;
    /// Replaces all rows of a feed (`whole`), or only those for the CVE ids given.
    fn put_intel(
        &mut self,
        feed: &str,
        whole: bool,
        rows: &mut dyn Iterator<Item = IntelRow>,
    ) -> Result<(), StoreError>;
}
