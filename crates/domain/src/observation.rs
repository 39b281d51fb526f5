//! What a host says of itself, signed: pending upgrades, what they pull in, their CVE ids, and what
//! it could not learn. Kept beside the log; the entry holds its digest.

use crate::id::{DeploymentId, HostId};
use crate::package::{Architecture, CveId, PackageName, Transition, Version};
use crate::plan::RollbackSource;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Pending upgrades in one observation at most.
pub const PENDING_MAX: usize = 2_000;
/// A signed observation at most, in bytes.
pub const OBSERVATION_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The CVE ids that an upgrade fixes, as far as they could be learned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "coverage", rename_all = "kebab-case", deny_unknown_fields)]
pub enum CveCoverage {
    /// The changelog of the new package was read; these are all it names.
    Read {
        /// The ids; an empty set means that it names none.
        ids: BTreeSet<CveId>,
    },
    /// Could not be learned.
    Unknown {
        /// Why, in words.
        why: String,
    },
}

/// One upgrade that the host could make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PendingUpgrade {
    /// The package.
    pub name: PackageName,
    /// Its architecture.
    pub architecture: Architecture,
    /// The version installed.
    pub from: Version,
    /// The version offered.
    pub to: Version,
    /// Where it comes from, as apt names it, such as `Debian-Security:12/oldstable-security`.
    pub origin: String,
    /// True when that is the distribution's security archive.
    pub security: bool,
    /// The archive's section, such as `kernel` or `libs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// True when the package is essential or of priority `required`.
    #[serde(default)]
    pub essential: bool,
    /// What else changes with it, itself left out.
    pub pulls_in: Vec<Transition>,
    /// The CVE ids it fixes.
    pub cves: CveCoverage,
    /// Where a rollback artifact would come from.
    pub rollback: RollbackSource,
}

/// A host's observation of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// The form of this document: 1.
    pub v: u8,
    /// The deployment.
    pub deployment: DeploymentId,
    /// The host.
    pub host: HostId,
    /// When it was observed, by the host's clock.
    pub observed_at: Timestamp,
    /// When the package lists were last refreshed; none when that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lists_refreshed_at: Option<Timestamp>,
    /// Upgrades that could be made.
    pub pending: Vec<PendingUpgrade>,
    /// Health checks by name, and whether each passes now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health: Vec<Health>,
    /// What could not be learned, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<String>,
}

/// The result of one health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// The check.
    pub check: crate::id::CheckName,
    /// Whether it passed.
    pub passed: bool,
    /// What it said, shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}
