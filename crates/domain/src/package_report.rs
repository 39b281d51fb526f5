//! What a host says of changes to its packages, signed: transitions from its package log, and what
//! is installed. Reports form a chain, so that nothing is told twice and nothing is left out
//! unnoticed. Kept beside the log; the entry holds its digest. Which transitions had a warrant is
//! judged by `gate`, never here and never by the host.

use crate::canonical::{self, CanonicalError};
use crate::digest::Digest;
use crate::id::{ChangeId, DeploymentId, HostId};
use crate::package::{Architecture, PackageName, Version};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Transitions in one report at most; what is more follows in the next.
pub const SEEN_MAX: usize = 150;
/// Packages in one list of what is installed at most.
pub const INSTALLED_MAX: usize = 20_000;
/// Gaps in one report at most.
pub const GAPS_MAX: usize = 10;
/// One gap at most, in bytes.
pub const GAP_BYTES_MAX: usize = 300;
/// A signed report at most, in bytes.
pub const REPORT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Transitions that one entry may explain by warrants: so that it fits in a log entry.
pub const EXPLAINED_MAX: usize = 300;

/// Where a transition was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeenIn {
    /// A line of the package tool's own log.
    PackageLog,
    /// What is installed differs from before, and no line of the log says why.
    State,
}

impl SeenIn {
    /// In words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PackageLog => "package log",
            Self::State => "not in the package log",
        }
    }
}

/// A package that went from one version to another, whoever did it. The same version twice is a
/// reinstallation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenTransition {
    /// The package.
    pub name: PackageName,
    /// Its architecture.
    pub architecture: Architecture,
    /// The version before; none when it was not installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Version>,
    /// The version after; none when it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Version>,
    /// When, by the host's clock, to the second; none when no log says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Where it was seen.
    pub seen_in: SeenIn,
}

/// A package that is installed, soundly or not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstalledPackage {
    /// The package.
    pub name: PackageName,
    /// Its architecture.
    pub architecture: Architecture,
    /// Its version.
    pub version: Version,
}

/// What is installed, once every line of the package log has been told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstalledState {
    /// Digest of the sorted list; see [`installed_digest`].
    pub digest: Digest,
    /// The list, sorted; left out when it is the one that the host told last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packages: Option<Vec<InstalledPackage>>,
}

/// The digest of a list of installed packages.
///
/// # Errors
/// Never in practice: the parts are text.
pub fn installed_digest(packages: &[InstalledPackage]) -> Result<Digest, CanonicalError> {
    canonical::digest(&packages)
}

/// A host's report of its packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageReport {
    /// The form of this document: 1.
    pub v: u8,
    /// The deployment.
    pub deployment: DeploymentId,
    /// The host.
    pub host: HostId,
    /// Its number, from 1. The first tells what is installed and no transition: what came before
    /// is the baseline. A host that lost its place begins at 1 again, which raises an alarm.
    pub sequence: u64,
    /// Digest of the signed report before; none in the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// When it was made, by the host's clock.
    pub observed_at: Timestamp,
    /// From the package log since the report before, in its order.
    pub transitions: Vec<SeenTransition>,
    /// What is installed; none when more transitions follow or a package tool was at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed: Option<InstalledState>,
    /// What could not be read, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<String>,
}

/// That a warrant covered a transition that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explained {
    /// The change whose warrant it was.
    pub change: ChangeId,
    /// The step of the host's plan, from 0.
    pub step: u32,
    /// True when it was the step's way back.
    pub reverse: bool,
}
