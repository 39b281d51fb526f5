//! Assets and what the inventory says of them. What the inventory does not know gets the strictest
//! reading: production, the highest tier, vital, exposed.

use crate::id::{AccountId, ClusterId, HostId, PersonId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Where an asset serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Where changes are tried first.
    Development,
    /// Where changes are rehearsed.
    Staging,
    /// Where users and customers depend on it. Changes here are reviewed (invariant 8).
    Production,
}

impl Environment {
    /// Every one, the lowest first.
    pub const ALL: [Self; 3] = [Self::Development, Self::Staging, Self::Production];

    /// The word used in files and on screen.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }

    /// The environments in which a change is seen before it comes to this one.
    #[must_use]
    pub const fn lower(self) -> &'static [Self] {
        match self {
            Self::Development => &[],
            Self::Staging => &[Self::Development],
            Self::Production => &[Self::Development, Self::Staging],
        }
    }
}

/// How much depends on an asset: 0 is the highest tier, 4 the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub struct Tier(u8);

impl Tier {
    /// Tier 0: what an unknown asset is taken for.
    pub const HIGHEST: Self = Self(0);
    /// Tier 4.
    pub const LOWEST: Self = Self(4);

    /// The tier `number`.
    ///
    /// # Errors
    /// When it is not 0 to 4.
    pub fn new(number: u8) -> Result<Self, TierError> {
        if number <= 4 {
            Ok(Self(number))
        } else {
            Err(TierError(number))
        }
    }

    /// 0 (highest) to 4 (lowest).
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// Not a tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("tier `{0}` does not exist; tiers run from 0 (highest) to 4 (lowest)")]
pub struct TierError(u8);

impl TryFrom<u8> for Tier {
    type Error = TierError;

    fn try_from(number: u8) -> Result<Self, TierError> {
        Self::new(number)
    }
}

impl From<Tier> for u8 {
    fn from(tier: Tier) -> Self {
        tier.0
    }
}

/// What the loss of an asset would mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Criticality {
    /// Nobody would notice for days.
    Low,
    /// Inconvenient.
    Medium,
    /// A service stops.
    High,
    /// The business, or people's safety, is at stake.
    Vital,
}

/// Who can reach an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exposure {
    /// Only a few known systems.
    Small,
    /// The organisation's own networks.
    Controlled,
    /// Untrusted parties on public networks.
    Open,
}

/// A compliance scope an asset is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// PCI DSS.
    Pci,
    /// HIPAA.
    Hipaa,
    /// SOX.
    Sox,
    /// SOC 2.
    Soc2,
    /// GDPR.
    Gdpr,
}

/// One asset as the inventory has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asset {
    /// The host that enforces for it.
    pub host: HostId,
    /// Where it serves.
    pub environment: Environment,
    /// Its tier.
    pub tier: Tier,
    /// What its loss would mean.
    pub criticality: Criticality,
    /// Who can reach it.
    pub exposure: Exposure,
    /// Compliance scopes it is in.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub scopes: BTreeSet<Scope>,
    /// The human who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<PersonId>,
    /// The service it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The cluster it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterId>,
    /// The account it is billed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// Hosts that could be reached from it, should it fall.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub neighbours: BTreeSet<HostId>,
    /// False when the inventory does not know the host and the strictest reading stands here.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub known: bool,
}

const fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_true(value: &bool) -> bool {
    *value
}

impl Asset {
    /// What is assumed of a host that the inventory does not know (invariant 2).
    #[must_use]
    pub fn unknown(host: HostId) -> Self {
        Self {
            host,
            environment: Environment::Production,
            tier: Tier::HIGHEST,
            criticality: Criticality::Vital,
            exposure: Exposure::Open,
            scopes: BTreeSet::new(),
            owner: None,
            service: None,
            cluster: None,
            account: None,
            neighbours: BTreeSet::new(),
            known: false,
        }
    }
}
