//! Where a feed's rows come from and how old they are. Says whether they are fresh at a given time;
//! reads no clock.

use super::{FeedKind, Import};
use countersign_domain::digest::Digest;
use countersign_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How far ahead of `now` a document may be dated, in seconds: days are written without zones.
const AHEAD_SECONDS_MAX: i64 = 26 * 3600;

/// One import, as the store keeps it beside the rows that it brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedState {
    /// Which feed.
    pub kind: FeedKind,
    /// When its publisher says it is from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_at: Option<Timestamp>,
    /// When it was imported.
    pub imported_at: Timestamp,
    /// True when it was fetched from a URL at that time, false when it came from a file.
    pub live: bool,
    /// Digest of the document.
    pub digest: Digest,
    /// The file or URL it came from.
    pub source: String,
    /// Records that were left out as unreadable.
    pub skipped: u64,
}

impl FeedState {
    /// The state after `import`, fetched from `source` at `imported_at`.
    #[must_use]
    pub fn new(import: &Import, source: &str, live: bool, imported_at: Timestamp) -> Self {
        Self {
            kind: import.kind,
            published_at: import.published_at,
            imported_at,
            live,
            digest: import.digest,
            source: source.to_owned(),
            skipped: import.skipped.count,
        }
    }

    /// The time up to which the feed is known. CISA's catalogue and CVE records change only when
    /// there is news, so fetching them confirms that they are current; EPSS comes out daily, so its
    /// own date counts, as it does for every file. None: its age cannot be told.
    #[must_use]
    pub const fn as_of(&self) -> Option<Timestamp> {
        match self.kind {
            FeedKind::CisaKev | FeedKind::Cve if self.live => Some(self.imported_at),
            FeedKind::CisaKev | FeedKind::Cve | FeedKind::Epss | FeedKind::SsvcTable => {
                self.published_at
            }
        }
    }

    /// Whether it is older than `limits` allow at `now`, dated ahead of it, or of unknown age.
    #[must_use]
    pub fn is_stale(&self, limits: &FreshnessLimits, now: Timestamp) -> bool {
        let hours = match self.kind {
            FeedKind::CisaKev => limits.kev_hours,
            FeedKind::Epss => limits.epss_hours,
            FeedKind::Cve => limits.cve_hours,
            // A table is a norm, which does not age by the hour.
            FeedKind::SsvcTable => return false,
        };
        self.as_of().is_none_or(|as_of| {
            let age = now.seconds_since(as_of);
            age > i64::from(hours) * 3600 || age < -AHEAD_SECONDS_MAX
        })
    }
}

/// The latest import of each feed, where there was one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feeds {
    /// CISA's catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kev: Option<FeedState>,
    /// EPSS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epss: Option<FeedState>,
    /// CVE records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cve: Option<FeedState>,
}

/// How old feeds may be before their facts count as stale, in hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreshnessLimits {
    /// CISA's catalogue.
    pub kev_hours: u32,
    /// EPSS.
    pub epss_hours: u32,
    /// CVE records.
    pub cve_hours: u32,
}
