//! Facts: what Countersign looked up or what hosts signed, each with source, time and digest, and
//! the input of a decision that is made of them. A fact that is missing or stale says so; policy sees it.

use crate::asset::Asset;
use crate::digest::Digest;
use crate::id::{AgentId, ChangeId, PersonId};
use crate::plan::RollbackSource;
use crate::proposal::{Category, RemediationPath};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A fact with where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact<T> {
    /// The value, or why there is none.
    pub value: Known<T>,
    /// Who says so, such as `cisa-kev` or `host web-1`.
    pub source: String,
    /// When the source said it.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Digest of the document that says it.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

const fn none<T>() -> Option<T> {
    None
}

/// Whether a value is known, and how well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "value", rename_all = "kebab-case")]
pub enum Known<T> {
    /// Known, and fresh enough.
    Fresh(T),
    /// Known once, but older than its source's limit.
    Stale(T),
    /// Not known, and why.
    Missing(String),
}

impl<T> Fact<T> {
    /// The value when it is fresh; stale and missing count as nothing (invariant 2).
    #[must_use]
    pub const fn fresh(&self) -> Option<&T> {
        match &self.value {
            Known::Fresh(value) => Some(value),
            Known::Stale(_) | Known::Missing(_) => None,
        }
    }

    /// A fact that could not be had.
    #[must_use]
    pub fn missing(source: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            value: Known::Missing(why.into()),
            source: source.into(),
            at: None,
            digest: None,
        }
    }
}

/// SSVC: evidence of exploitation (decision point `exploitation` 1.1.0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exploitation {
    /// No evidence.
    None,
    /// A proof of concept is public.
    PublicPoc,
    /// It is being exploited.
    Active,
}

impl Exploitation {
    /// The word used in rules, files and on screen.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::PublicPoc => "public-poc",
            Self::Active => "active",
        }
    }
}

/// SSVC: technical impact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TechnicalImpact {
    /// Limited control.
    Partial,
    /// Total control.
    Total,
}

/// How soon CISA's BOD 26-04 wants it remediated, least urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemediationTimeline {
    /// With the next system upgrade.
    OnSystemUpgrade,
    /// Within 60 days.
    Days60,
    /// Within 14 days.
    Days14,
    /// Within 3 days.
    Days3,
    /// Within 3 days, with a forensic look at the asset.
    Days3Forensics,
}

impl RemediationTimeline {
    /// The word used in rules, files and on screen.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnSystemUpgrade => "on-system-upgrade",
            Self::Days60 => "60-days",
            Self::Days14 => "14-days",
            Self::Days3 => "3-days",
            Self::Days3Forensics => "3-days-forensics",
        }
    }
}

/// SSVC deployer's priority (`deployer patch application priority` 1.0.0), least urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PatchPriority {
    /// Not now.
    Defer,
    /// In regular maintenance.
    Scheduled,
    /// Sooner than usual.
    OutOfCycle,
    /// At once.
    Immediate,
}

impl PatchPriority {
    /// The word used in rules, files and on screen.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Defer => "defer",
            Self::Scheduled => "scheduled",
            Self::OutOfCycle => "out-of-cycle",
            Self::Immediate => "immediate",
        }
    }
}

/// What intelligence says of the CVEs that a change fixes: the worst over all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VulnerabilityFacts {
    /// How many CVE ids the change fixes, by the hosts' observations.
    pub cves: Fact<u32>,
    /// In CISA's catalogue of known exploited vulnerabilities.
    pub kev: Fact<bool>,
    /// Highest CVSS base score, in tenths.
    pub cvss_tenths: Fact<u8>,
    /// Highest EPSS probability, in ten-thousandths.
    pub epss_ten_thousandths: Fact<u16>,
    /// SSVC exploitation.
    pub exploitation: Fact<Exploitation>,
    /// SSVC automatable.
    pub automatable: Fact<bool>,
    /// SSVC technical impact.
    pub technical_impact: Fact<TechnicalImpact>,
    /// BOD 26-04 timeline, from the table.
    pub timeline: Fact<RemediationTimeline>,
    /// SSVC deployer priority, from the table.
    pub priority: Fact<PatchPriority>,
}

/// How much a change touches, over all its targets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlastRadius {
    /// Hosts.
    pub hosts: u32,
    /// The largest share of an environment's inventoried hosts, in percent, rounded up.
    pub percent: u32,
    /// Clusters.
    pub clusters: u32,
    /// Accounts.
    pub accounts: u32,
}

/// Hosts reserved by changes other than this one; in flight, hosts that this one touches itself are
/// left out, since another change on the same host widens nothing. Read where it is decided, under the log head's
/// lock, so that two decisions can never both see the same room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reservations {
    /// In flight (authorized or running) by this agent.
    pub in_flight_agent: u32,
    /// In flight by all agents of this owner.
    pub in_flight_owner: u32,
    /// In flight for this service (the largest, when the change touches several).
    pub in_flight_service: u32,
    /// In flight in the environment (the largest, when the change touches several).
    pub in_flight_environment: u32,
    /// In flight everywhere.
    pub in_flight_fleet: u32,
    /// Hosts touched without asking by all agents of this owner in the last hour.
    pub hour_owner: u32,
    /// Hosts touched without asking in the last hour, everywhere.
    pub hour_fleet: u32,
    /// Hosts touched without asking by all agents of this owner in the last 24 hours.
    pub day_owner: u32,
    /// Hosts touched without asking in the last 24 hours, everywhere.
    pub day_fleet: u32,
}

/// What is known of the way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackFacts {
    /// The worst artifact source over all steps and hosts.
    pub source: RollbackSource,
    /// Rollbacks of the same transition on other hosts in the same environment and tier, 90 days.
    pub prior_in_similar: u32,
}

/// The dependency chain of the change: the largest over its hosts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainFacts {
    /// Packages upgraded that the proposal did not name.
    pub upgraded: u32,
    /// Packages newly installed.
    pub added: u32,
    /// Packages removed.
    pub removed: u32,
}

/// The health of the same transition in lower environments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LowerFacts {
    /// Hosts in lower environments where it succeeded and was not rolled back since.
    pub healthy_hosts: u32,
    /// Hours since the first of these; 0 when there is none.
    pub healthy_hours: u32,
}

/// Change windows and freezes, resolved before the decision. Without a calendar: in the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalendarFacts {
    /// Within a change window.
    pub in_window: bool,
    /// Within a freeze.
    pub freeze: bool,
}

/// A claim at odds with a fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contradiction {
    /// The claim's field.
    pub field: String,
    /// What the agent said.
    pub claimed: String,
    /// What is so.
    pub fact: String,
    /// Who says so.
    pub source: String,
}

/// Hosts that share environment, account and cluster: the policy is evaluated once for each such
/// scope, and the strictest outcome stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetScope {
    /// The assets in it, as the inventory has them (never empty).
    pub assets: Vec<Asset>,
}

/// Everything that a decision rests on. Its canonical digest stands in the decision; the document
/// is kept beside the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionFacts {
    /// The change.
    pub change: ChangeId,
    /// When the facts were gathered.
    pub at: Timestamp,
    /// Who asks.
    pub agent: AgentId,
    /// The human who answers for that agent.
    pub owner: PersonId,
    /// How the vulnerability is dealt with.
    pub path: RemediationPath,
    /// What kind of software changes, derived from the plans: the most sensitive of all steps.
    pub category: Category,
    /// True when every requested package comes from the distribution's security archive.
    pub security_origin: bool,
    /// Targets by scope (never empty).
    pub scopes: Vec<TargetScope>,
    /// What intelligence says.
    pub vulnerability: VulnerabilityFacts,
    /// How much it touches.
    pub blast: BlastRadius,
    /// What other changes have reserved.
    pub reservations: Reservations,
    /// The way back.
    pub rollback: RollbackFacts,
    /// What else changes.
    pub chain: ChainFacts,
    /// How it fared elsewhere.
    pub lower: LowerFacts,
    /// Windows and freezes.
    pub calendar: CalendarFacts,
    /// Age of the oldest observation or plan that this rests on, in seconds.
    pub evidence_age_seconds: u32,
    /// Claims at odds with facts.
    pub contradictions: Vec<Contradiction>,
    /// True when the policy in force has lapsed its periodic review (invariant 7).
    pub policy_lapsed: bool,
    /// True in a trial deployment.
    pub trial: bool,
}
