//! What an agent asks to do. A proposal names packages, checks and recipes; it never carries a
//! command (invariant 13), and everything it says of the world is a claim (invariant 3).

use crate::asset::{Environment, Tier};
use crate::digest::Digest;
use crate::id::{AgentId, CheckName, DeploymentId, HostId, Nonce, RecipeName};
use crate::package::{Architecture, CveId, PackageName, Version};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How a vulnerability is dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemediationPath {
    /// Install a fixed version.
    Patch,
    /// Block the attack in front of the service.
    VirtualPatch,
    /// Change a setting.
    Hardening,
    /// Take the asset off the network.
    Isolation,
}

impl RemediationPath {
    /// The word used in rules, files and on screen.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Patch => "patch",
            Self::VirtualPatch => "virtual-patch",
            Self::Hardening => "hardening",
            Self::Isolation => "isolation",
        }
    }
}

/// What kind of software changes. The gate derives it from what the host planned; in a proposal it
/// is a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Category {
    /// Libraries and applications that other software is built with.
    Dependency,
    /// A service or application of its own.
    Application,
    /// An update from the distribution's security archive.
    OsSecurity,
    /// The base system: libc, init, package tools, login.
    CoreSystem,
    /// A database engine.
    DatabaseEngine,
    /// The kernel or the boot loader.
    Kernel,
}

impl Category {
    /// The word used in rules, files and on screen.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dependency => "dependency",
            Self::Application => "application",
            Self::OsSecurity => "os-security",
            Self::CoreSystem => "core-system",
            Self::DatabaseEngine => "database-engine",
            Self::Kernel => "kernel",
        }
    }
}

/// A package that shall get another version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageRequest {
    /// The package.
    pub name: PackageName,
    /// Its architecture.
    pub architecture: Architecture,
    /// The version the agent believes is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Version>,
    /// The version it shall get.
    pub to: Version,
}

/// What the agent says of the world. Recorded, compared with facts, never decided on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// CVSS base score in tenths (98 is 9.8).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cvss_tenths: Option<u8>,
    /// Known to be exploited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exploited: Option<bool>,
    /// The highest tier among the targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// The environment of the targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// How many hosts are touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<u32>,
    /// The CVE ids that this change fixes.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub cves: BTreeSet<CveId>,
}

/// How the change is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RollbackPlan {
    /// Every transition is reversed from a stored artifact.
    ReverseTransitions,
    /// It cannot be undone; never under standing authority.
    None,
}

/// An agent's request, as it signs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// The form of this document: 1.
    pub v: u8,
    /// The deployment it is meant for.
    pub deployment: DeploymentId,
    /// Who asks.
    pub agent: AgentId,
    /// Makes two equal requests two proposals.
    pub nonce: Nonce,
    /// When it was made, by the agent's clock.
    pub proposed_at: Timestamp,
    /// How the vulnerability is dealt with.
    pub path: RemediationPath,
    /// What kind of software the agent believes it changes.
    pub category: Category,
    /// Hosts in waves: a wave starts when every host of the one before has succeeded.
    pub waves: Vec<Vec<HostId>>,
    /// Packages that shall change.
    pub packages: Vec<PackageRequest>,
    /// Health checks to run afterwards, by name; the host adds those it demands anyway.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckName>,
    /// A recipe by name, for paths other than `patch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<RecipeName>,
    /// How it is undone.
    pub rollback: RollbackPlan,
    /// What the agent says of the world.
    #[serde(default)]
    pub claims: Claims,
    /// Salted digest of the rationale, whose text is kept beside the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rationale: Option<Digest>,
}

/// Hosts in one proposal at most.
pub const HOSTS_MAX: usize = 500;
/// Waves in one proposal at most.
pub const WAVES_MAX: usize = 50;
/// Packages in one proposal at most.
pub const PACKAGES_MAX: usize = 100;
/// Checks in one proposal at most.
pub const CHECKS_MAX: usize = 20;
/// CVE ids in one proposal's claims at most.
pub const CVES_MAX: usize = 200;
/// A signed proposal at most, in bytes.
pub const PROPOSAL_BYTES_MAX: usize = 48 * 1024;

/// What is wrong with a proposal, naming the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {problem}")]
pub struct ProposalError {
    /// The field at fault.
    pub field: &'static str,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl Proposal {
    /// All hosts, in the order of the waves.
    pub fn hosts(&self) -> impl Iterator<Item = &HostId> {
        self.waves.iter().flatten()
    }

    /// The wave (from 0) that `host` is in.
    #[must_use]
    pub fn wave_of(&self, host: &HostId) -> Option<usize> {
        self.waves.iter().position(|wave| wave.contains(host))
    }

    /// Checks the bounds and the inner consistency that types alone do not give.
    ///
    /// # Errors
    /// Names the first field at fault and what would be right.
    pub fn check(&self) -> Result<(), ProposalError> {
        let wrong = |field, problem: String| Err(ProposalError { field, problem });
        let bounded = |field, count: usize, max: usize| {
            if (1..=max).contains(&count) {
                Ok(())
            } else {
                wrong(
                    field,
                    format!("has {count} entries; 1 to {max} are allowed"),
                )
            }
        };
        if self.v != 1 {
            return wrong("v", format!("version {} is not known; expected 1", self.v));
        }
        bounded("waves", self.waves.len(), WAVES_MAX)?;
        bounded("waves", self.hosts().count(), HOSTS_MAX)?;
        if self.waves.iter().any(Vec::is_empty) {
            return wrong("waves", "a wave is empty; leave it out".into());
        }
        let distinct: BTreeSet<_> = self.hosts().collect();
        if distinct.len() != self.hosts().count() {
            return wrong("waves", "a host is named twice; name each once".into());
        }
        match (self.path, &self.recipe) {
            (RemediationPath::Patch, None) => {
                bounded("packages", self.packages.len(), PACKAGES_MAX)?;
            }
            (RemediationPath::Patch, Some(_)) => {
                return wrong("recipe", "a patch names packages, not a recipe".into());
            }
            (
                RemediationPath::VirtualPatch
                | RemediationPath::Hardening
                | RemediationPath::Isolation,
                None,
            ) => {
                return wrong(
                    "recipe",
                    format!("path `{}` needs a recipe", self.path.as_str()),
                );
            }
            (
                RemediationPath::VirtualPatch
                | RemediationPath::Hardening
                | RemediationPath::Isolation,
                Some(_),
            ) => {
                if !self.packages.is_empty() {
                    return wrong(
                        "packages",
                        "a recipe changes no packages; leave them out".into(),
                    );
                }
            }
        }
        let names: BTreeSet<_> = self
            .packages
            .iter()
            .map(|package| (&package.name, &package.architecture))
            .collect();
        if names.len() != self.packages.len() {
            return wrong(
                "packages",
                "a package is named twice; name each once".into(),
            );
        }
        if self.checks.len() > CHECKS_MAX {
            return wrong("checks", format!("more than {CHECKS_MAX}"));
        }
        if self.claims.cves.len() > CVES_MAX {
            return wrong("claims.cves", format!("more than {CVES_MAX}"));
        }
        if self.claims.cvss_tenths.is_some_and(|tenths| tenths > 100) {
            return wrong("claims.cvss_tenths", "above 100 (a CVSS of 10.0)".into());
        }
        Ok(())
    }
}
