//! What a feed says of one CVE, as the store keeps it per feed and CVE: compact canonical JSON
//! (`canonical::to_text`). Not yet a fact: that needs the import it came from and a clock.

use super::FeedKind;
use countersign_domain::facts::{Exploitation, TechnicalImpact};
use countersign_domain::package::CveId;
use countersign_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What one feed says of one CVE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntelRecord {
    /// The CVE.
    pub cve: CveId,
    /// What is said of it.
    pub says: Intel,
}

/// The part that differs by feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Intel {
    /// It is in CISA's catalogue of known exploited vulnerabilities.
    CisaKev(KevEntry),
    /// How likely FIRST's model holds exploitation within 30 days.
    Epss(EpssScore),
    /// Its CVE 5 record.
    Cve(CveRecord),
}

/// An entry of CISA's catalogue. Its being there is the fact; the rest is detail.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KevEntry {
    /// The day it was added, at midnight UTC; none when the entry gives no readable day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<Timestamp>,
    /// The day by which federal agencies had to act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// Known to be used in ransomware campaigns.
    #[serde(default)]
    pub ransomware: bool,
}

/// A score of the Exploit Prediction Scoring System.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpssScore {
    /// Probability of exploitation within 30 days, in ten-thousandths.
    pub ten_thousandths: u16,
    /// Share of all CVEs that score no higher, in ten-thousandths.
    pub percentile_ten_thousandths: u16,
}

/// What a CVE 5 record says that matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CveRecord {
    /// True when the id was rejected: there is no such vulnerability.
    #[serde(default)]
    pub rejected: bool,
    /// When any part of the record was last updated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
    /// The highest CVSS base score that a container of the record gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cvss: Option<CvssScore>,
    /// CISA's SSVC judgement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssvc: Option<SsvcJudgement>,
    /// True when CISA's container says that it is in the catalogue of known exploited ones.
    #[serde(default)]
    pub kev: bool,
}

/// A CVSS base score (v3.0, v3.1 or v4.0).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CvssScore {
    /// The score in tenths: 98 is 9.8.
    pub tenths: u8,
    /// The version of CVSS, such as `3.1`.
    pub version: String,
    /// Who scored it: the container's short name.
    pub by: String,
}

/// CISA's SSVC decision points for a CVE; none where the record's word is not known here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SsvcJudgement {
    /// Evidence of exploitation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exploitation: Option<Exploitation>,
    /// Whether exploitation can be automated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automatable: Option<bool>,
    /// How much control it gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub technical_impact: Option<TechnicalImpact>,
    /// When CISA judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl IntelRecord {
    /// The feed that it comes from.
    #[must_use]
    pub const fn feed(&self) -> FeedKind {
        match self.says {
            Intel::CisaKev(_) => FeedKind::CisaKev,
            Intel::Epss(_) => FeedKind::Epss,
            Intel::Cve(_) => FeedKind::Cve,
        }
    }

    /// Folds a second record of the same feed and CVE into this one: the graver of two scores, the
    /// newer of two CVE records (the later one, where neither or both say when).
    pub(super) fn absorb(&mut self, later: Self) {
        match (&mut self.says, later.says) {
            (Intel::CisaKev(mine), Intel::CisaKev(other)) => {
                mine.ransomware |= other.ransomware;
                mine.added = mine.added.or(other.added);
                mine.due = mine.due.or(other.due);
            }
            (Intel::Epss(mine), Intel::Epss(other)) => {
                if other.ten_thousandths > mine.ten_thousandths {
                    *mine = other;
                }
            }
            (Intel::Cve(mine), Intel::Cve(other)) => {
                if other.updated_at >= mine.updated_at {
                    *mine = other;
                }
            }
            // Records of one document are of one feed.
            (Intel::CisaKev(_) | Intel::Epss(_) | Intel::Cve(_), _) => {}
        }
    }
}

/// A time as feeds write it: RFC 3339, the same without a zone (taken as UTC), or a day.
pub(super) fn lenient_time(text: &str) -> Option<Timestamp> {
    if text.len() > 40 {
        return None;
    }
    text.parse()
        .or_else(|_| format!("{text}Z").parse())
        .or_else(|_| format!("{text}T00:00:00Z").parse())
        .ok()
}
