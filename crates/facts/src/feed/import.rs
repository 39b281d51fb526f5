//! What an import holds, and how its records are gathered: bounded, sorted, each CVE once.

use super::record::{Intel, IntelRecord};
use super::{FeedError, FeedKind, Limits, cve};
use crate::ssvc::DecisionTable;
use countersign_domain::digest::Digest;
use countersign_domain::text::shown;
use countersign_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Of skipped records, how many are described.
const SKIPPED_SHOWN: usize = 20;

/// Records that could not be read and were left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// How many.
    pub count: u64,
    /// Where the first few stand and what is wrong with each, in words.
    pub first: Vec<String>,
}

/// What an import holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Records, sorted by CVE, each CVE once.
    Records(Vec<IntelRecord>),
    /// A decision table, complete and sound.
    Table(DecisionTable),
}

/// A feed document, read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Which feed.
    pub kind: FeedKind,
    /// What it says.
    pub content: Content,
    /// When its publisher says it is from (for CVE records: the newest update among them).
    pub published_at: Option<Timestamp>,
    /// Digest of the document as it was fetched.
    pub digest: Digest,
    /// Its size as it was fetched.
    pub bytes: u64,
    /// Records that were left out.
    pub skipped: Skipped,
}

impl Import {
    /// The records; none for a decision table.
    #[must_use]
    pub fn records(&self) -> &[IntelRecord] {
        match &self.content {
            Content::Records(records) => records,
            Content::Table(_) => &[],
        }
    }
}

/// Records as they are gathered.
pub(crate) struct Batch {
    records: Vec<IntelRecord>,
    skipped: Skipped,
    records_max: usize,
}

impl Batch {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            records: Vec::new(),
            skipped: Skipped::default(),
            records_max: limits.records,
        }
    }

    pub(crate) fn push(&mut self, record: IntelRecord) -> Result<(), FeedError> {
        if self.records.len() >= self.records_max {
            return Err(FeedError::TooManyRecords {
                limit: self.records_max,
            });
        }
        self.records.push(record);
        Ok(())
    }

    pub(crate) fn skip(&mut self, position: impl AsRef<str>, why: &str) {
        self.skipped.count += 1;
        if self.skipped.first.len() < SKIPPED_SHOWN {
            let line = format!("{}: {}", position.as_ref(), why);
            self.skipped.first.push(shown(&line, 300));
        }
    }

    /// Reads one CVE record, or counts it as skipped.
    pub(crate) fn cve(&mut self, position: impl AsRef<str>, bytes: &[u8]) -> Result<(), FeedError> {
        match cve::read(bytes) {
            Ok(record) => self.push(record),
            Err(why) => {
                self.skip(position, &why);
                Ok(())
            }
        }
    }

    /// Everything gathered, sorted, each CVE once.
    pub(crate) fn finish(mut self) -> Result<(Vec<IntelRecord>, Skipped), FeedError> {
        if self.records.is_empty() {
            return Err(FeedError::Empty {
                first: self.skipped.first.into_iter().next(),
            });
        }
        self.records.sort_by(|a, b| a.cve.cmp(&b.cve));
        self.records.dedup_by(|later, kept| {
            let same = later.cve == kept.cve;
            if same {
                kept.absorb(later.clone());
            }
            same
        });
        Ok((self.records, self.skipped))
    }
}

/// The newest update among CVE records.
pub(crate) fn newest(records: &[IntelRecord]) -> Option<Timestamp> {
    records
        .iter()
        .filter_map(|record| match &record.says {
            Intel::Cve(says) => says.updated_at,
            Intel::CisaKev(_) | Intel::Epss(_) => None,
        })
        .max()
}
