//! A finding: an upgrade that a host could make, with what is known of it and of the host. The API
//! gives findings to agents, which rank them; every fact carries its own source, time and digest.
//! Nothing is decided on a finding: the gate looks everything up again.

use crate::asset::{Asset, Criticality, Environment, Tier};
use crate::facts::VulnerabilityFacts;
use crate::id::HostId;
use crate::observation::CveCoverage;
use crate::package::{Architecture, PackageName, Transition, Version};
use crate::plan::RollbackSource;
use crate::proposal::Category;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Reachable hosts that a finding names; the count covers the rest.
pub const REACHED_NAMED_MAX: usize = 20;

/// One pending upgrade of one host, with its facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The host.
    pub host: HostId,
    /// The package.
    pub package: PackageName,
    /// Its architecture.
    pub architecture: Architecture,
    /// The version installed.
    pub from: Version,
    /// The version offered.
    pub to: Version,
    /// True when it comes from the distribution's security archive.
    pub security: bool,
    /// What kind of software changes, by the policy's patterns, what it pulls in included.
    pub category: Category,
    /// What else changes with it.
    pub pulls_in: Vec<Transition>,
    /// The CVE ids it fixes, as far as they could be learned.
    pub cves: CveCoverage,
    /// Where a rollback artifact would come from.
    pub rollback: RollbackSource,
    /// When the host observed this, by its own clock.
    pub observed_at: Timestamp,
    /// What intelligence says of these CVE ids.
    pub vulnerability: VulnerabilityFacts,
    /// What the inventory says of the host.
    pub asset: Asset,
    /// What could be reached from the host.
    pub reach: Reach,
}

/// What could be reached from a host, should it fall, by the inventory's neighbours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reach {
    /// How many hosts.
    pub hosts: u32,
    /// False when the walk ended at its bound: then there are more.
    pub complete: bool,
    /// The first of them by name, at most [`REACHED_NAMED_MAX`].
    pub named: Vec<HostId>,
    /// The highest tier among them; none when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub highest_tier: Option<Tier>,
    /// The highest criticality among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub highest_criticality: Option<Criticality>,
    /// The most sensitive environment among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub highest_environment: Option<Environment>,
}
