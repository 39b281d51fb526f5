//! Feeds: documents of intelligence, recognised by their content and read as bounded streams. An
//! import is whole or an error, never half. Reads what it is given; `fetch` gets it.

pub(crate) mod bounded;
mod cve;
mod epss;
mod import;
mod kev;
pub mod record;
mod split;
mod state;

pub(crate) use import::{Batch, newest};
pub use import::{Content, Import, Skipped};
pub use record::{CveRecord, CvssScore, EpssScore, Intel, IntelRecord, KevEntry, SsvcJudgement};
pub use state::{FeedState, Feeds, FreshnessLimits};

use crate::ssvc::{DecisionTable, TableError};
use bounded::{Bounded, Exceeded, Hashed, head};
use countersign_domain::text::shown;
use countersign_domain::time::Timestamp;
use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use split::{Element, Elements};
use std::io::{self, BufRead, BufReader, Read};

/// How deep the JSON of a feed may be nested.
const DEPTH_MAX: u32 = 64;

/// The feeds that can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeedKind {
    /// CISA's catalogue of known exploited vulnerabilities; an import replaces the one before.
    CisaKev,
    /// FIRST's EPSS scores; an import replaces the one before.
    Epss,
    /// CVE 5 records; an import adds to what is known, the newer record standing.
    Cve,
    /// An SSVC decision table; an import replaces the table of the same namespace and key.
    SsvcTable,
}

impl FeedKind {
    /// The word used as a fact's source, in files and on screen.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CisaKev => "cisa-kev",
            Self::Epss => "epss",
            Self::Cve => "cve",
            Self::SsvcTable => "ssvc-table",
        }
    }
}

/// Bounds on one import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The document as it is fetched, in bytes.
    pub document_bytes: u64,
    /// The document after decompression, in bytes.
    pub unpacked_bytes: u64,
    /// One record, and a document that is not a list of records, in bytes.
    pub record_bytes: usize,
    /// Records.
    pub records: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            document_bytes: 512 * 1024 * 1024,
            unpacked_bytes: 2 * 1024 * 1024 * 1024,
            record_bytes: 8 * 1024 * 1024,
            records: 2_000_000,
        }
    }
}

/// Why a feed was not imported. What was known before stays.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// Larger than [`Limits::document_bytes`].
    #[error("the document has more than {limit} bytes; import it in parts")]
    TooLarge {
        /// The bound in bytes.
        limit: u64,
    },
    /// Larger than [`Limits::unpacked_bytes`] once decompressed.
    #[error("the document has more than {limit} bytes after decompression; import it in parts")]
    UnpackedTooLarge {
        /// The bound in bytes.
        limit: u64,
    },
    /// More than [`Limits::records`].
    #[error("the document has more than {limit} records; import it in parts")]
    TooManyRecords {
        /// The bound.
        limit: usize,
    },
    /// None of the known forms.
    #[error(
        "this is none of the feeds known here; expected CISA KEV (JSON), EPSS (CSV), CVE 5 records \
         (JSON, JSON Lines) or an SSVC decision table (JSON)"
    )]
    Unrecognised,
    /// A known form, but broken as a whole.
    #[error("broken at {position}: {why}; fetch it again")]
    Broken {
        /// Where.
        position: String,
        /// What is wrong.
        why: String,
    },
    /// The document states another number of records than it has.
    #[error("the document states {stated} records but has {found}; fetch it again")]
    Incomplete {
        /// As stated.
        stated: u64,
        /// As found.
        found: u64,
    },
    /// Not one record that can be read.
    #[error("no record in it can be read{}", .first.as_ref().map(|f| format!("; the first: {f}")).unwrap_or_default())]
    Empty {
        /// What was wrong with the first.
        first: Option<String>,
    },
    /// A decision table that is not sound.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Reading failed.
    #[error("cannot read the document: {0}")]
    Read(io::Error),
}

impl From<io::Error> for FeedError {
    fn from(error: io::Error) -> Self {
        match Exceeded::within(&error) {
            Some(Exceeded { limit, unpacked }) if unpacked => Self::UnpackedTooLarge { limit },
            Some(Exceeded { limit, .. }) => Self::TooLarge { limit },
            None => Self::Read(error),
        }
    }
}

impl FeedError {
    pub(crate) fn json(error: serde_json::Error) -> Self {
        Self::Broken {
            position: format!("line {} column {}", error.line(), error.column()),
            why: shown(&error.to_string(), 200),
        }
    }
}

/// Reads a feed document, packed with gzip or not, and says which feed it is.
///
/// # Errors
/// When it is none of the known forms, broken as a whole, empty, or beyond `limits`.
pub fn read(document: impl Read, limits: &Limits) -> Result<Import, FeedError> {
    let mut raw = Hashed::new(Bounded::new(document, limits.document_bytes, false));
    let (kind, content, published_at, skipped) = {
        let start = head(&mut raw, 2)?;
        let packed = start == [0x1f, 0x8b];
        let whole = start.as_slice().chain(&mut raw);
        if packed {
            let unpacked = MultiGzDecoder::new(BufReader::new(whole));
            understand(Bounded::new(unpacked, limits.unpacked_bytes, true), limits)?
        } else {
            understand(whole, limits)?
        }
    };
    let (digest, bytes) = raw.finish();
    Ok(Import {
        kind,
        content,
        published_at,
        digest,
        bytes,
        skipped,
    })
}

type Understood = (FeedKind, Content, Option<Timestamp>, Skipped);

fn understand(mut text: impl Read, limits: &Limits) -> Result<Understood, FeedError> {
    let start = head(&mut text, 64)?;
    let plain = start
        .strip_prefix(b"\xef\xbb\xbf".as_slice())
        .unwrap_or(&start);
    let text = BufReader::with_capacity(64 * 1024, plain.chain(text));
    let solid = plain.trim_ascii_start();
    match solid.first() {
        Some(b'#') => read_epss(text, limits),
        Some(_) if solid.starts_with(b"cve,epss") => read_epss(text, limits),
        Some(b'{') => read_values(text, false, limits),
        Some(b'[') => read_values(text, true, limits),
        Some(_) | None => Err(FeedError::Unrecognised),
    }
}

fn read_epss(text: impl BufRead, limits: &Limits) -> Result<Understood, FeedError> {
    let mut batch = Batch::new(limits);
    let published_at = epss::read(text, &mut batch)?;
    let (records, skipped) = batch.finish()?;
    Ok((
        FeedKind::Epss,
        Content::Records(records),
        published_at,
        skipped,
    ))
}

/// Which keys the first object has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    cve_metadata: Option<serde::de::IgnoredAny>,
    catalog_version: Option<serde::de::IgnoredAny>,
    vulnerabilities: Option<serde::de::IgnoredAny>,
    #[serde(rename = "decision_points")]
    decision_points: Option<serde::de::IgnoredAny>,
    mapping: Option<serde::de::IgnoredAny>,
}

impl Shape {
    const fn kind(&self) -> Option<FeedKind> {
        if self.cve_metadata.is_some() {
            Some(FeedKind::Cve)
        } else if self.catalog_version.is_some() && self.vulnerabilities.is_some() {
            Some(FeedKind::CisaKev)
        } else if self.decision_points.is_some() && self.mapping.is_some() {
            Some(FeedKind::SsvcTable)
        } else {
            None
        }
    }
}

fn read_values(text: impl BufRead, array: bool, limits: &Limits) -> Result<Understood, FeedError> {
    let mut elements = Elements::new(text, array, limits.record_bytes, DEPTH_MAX);
    let mut batch = Batch::new(limits);
    while let Some((number, element)) = elements.next()? {
        let position = format!("record {}", number + 1);
        let bytes = match element {
            Element::Whole(bytes) => bytes,
            Element::Beyond(why) => {
                batch.skip(position, why);
                continue;
            }
        };
        // Only a document of its own can be something else than a CVE record.
        if number == 0 && !array {
            let shape: Shape = serde_json::from_slice(bytes).map_err(FeedError::json)?;
            match shape.kind() {
                None => return Err(FeedError::Unrecognised),
                Some(FeedKind::CisaKev) => {
                    let published_at = kev::read(bytes, &mut batch)?;
                    only(&mut elements)?;
                    let (records, skipped) = batch.finish()?;
                    let content = Content::Records(records);
                    return Ok((FeedKind::CisaKev, content, published_at, skipped));
                }
                Some(FeedKind::SsvcTable) => {
                    let table = DecisionTable::from_json(bytes)?;
                    only(&mut elements)?;
                    let content = Content::Table(table);
                    return Ok((FeedKind::SsvcTable, content, None, Skipped::default()));
                }
                Some(FeedKind::Cve | FeedKind::Epss) => {}
            }
        }
        batch.cve(position, bytes)?;
    }
    let (records, skipped) = batch.finish()?;
    let published_at = newest(&records);
    Ok((
        FeedKind::Cve,
        Content::Records(records),
        published_at,
        skipped,
    ))
}

/// Refuses anything after a document that stands alone.
fn only<R: BufRead>(elements: &mut Elements<R>) -> Result<(), FeedError> {
    match elements.next()? {
        None => Ok(()),
        Some(_) => Err(FeedError::Broken {
            position: "the end".into(),
            why: "there is more after the document".into(),
        }),
    }
}

#[cfg(test)]
mod tests;
