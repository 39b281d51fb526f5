//! Facts in short form, for the cases of a policy and for tests: what is not written takes a stated
//! default. Never a source of facts for a real decision.

use countersign_domain::asset::{Asset, Criticality, Environment, Exposure, Scope};
use countersign_domain::facts::{
    BlastRadius, CalendarFacts, ChainFacts, Contradiction, DecisionFacts, Exploitation, Fact,
    Known, LowerFacts, PatchPriority, RemediationTimeline, Reservations, RollbackFacts,
    TargetScope, TechnicalImpact, VulnerabilityFacts,
};
use countersign_domain::id::IdError;
use countersign_domain::plan::RollbackSource;
use countersign_domain::proposal::{Category, RemediationPath};
use countersign_domain::{AgentId, ChangeId, HostId, PersonId, Tier, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Scopes, assets or contradictions in one sheet at most.
const LIST_MAX: usize = 500;

/// One scope of targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetSheet {
    /// Default: production.
    pub environment: Environment,
    /// Default: 2.
    pub tier: Tier,
    /// Default: medium.
    pub criticality: Criticality,
    /// Default: controlled.
    pub exposure: Exposure,
    /// Default: none.
    pub compliance: BTreeSet<Scope>,
    /// Default: true.
    pub known: bool,
}

impl Default for TargetSheet {
    fn default() -> Self {
        Self {
            environment: Environment::Production,
            // INVARIANT: 2 is a tier; the fallback is the strictest.
            tier: Tier::new(2).unwrap_or(Tier::HIGHEST),
            criticality: Criticality::Medium,
            exposure: Exposure::Controlled,
            compliance: BTreeSet::new(),
            known: true,
        }
    }
}

/// Names of the facts that can be stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names of the facts themselves")]
pub enum FactName {
    Cves,
    Kev,
    Cvss,
    Epss,
    Exploitation,
    Automatable,
    Impact,
    Timeline,
    Priority,
}

/// Facts in short form. Intelligence that is not written is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(
    missing_docs,
    reason = "named as in `DecisionFacts`, where each is explained"
)]
pub struct FactSheet {
    pub agent: AgentId,
    pub owner: PersonId,
    pub at: Timestamp,
    /// Default: patch.
    pub path: RemediationPath,
    /// Default: application.
    pub category: Category,
    pub security_origin: bool,
    /// The first scope.
    pub target: TargetSheet,
    /// Further scopes.
    pub also: Vec<TargetSheet>,
    pub cves: Option<u32>,
    pub kev: Option<bool>,
    pub cvss_tenths: Option<u8>,
    pub epss_ten_thousandths: Option<u16>,
    pub exploitation: Option<Exploitation>,
    pub automatable: Option<bool>,
    pub impact: Option<TechnicalImpact>,
    pub timeline: Option<RemediationTimeline>,
    pub priority: Option<PatchPriority>,
    /// Which of the facts above are stale.
    pub stale: BTreeSet<FactName>,
    /// Default: 1.
    pub hosts: u32,
    /// Default: 1.
    pub percent: u32,
    pub clusters: u32,
    pub accounts: u32,
    pub in_flight_agent: u32,
    pub in_flight_owner: u32,
    pub in_flight_service: u32,
    pub in_flight_environment: u32,
    pub in_flight_fleet: u32,
    pub hour_owner: u32,
    pub hour_fleet: u32,
    pub day_owner: u32,
    pub day_fleet: u32,
    /// Default: unavailable.
    pub rollback: RollbackSource,
    pub prior_in_similar: u32,
    pub upgraded: u32,
    pub added: u32,
    pub removed: u32,
    pub healthy_hosts: u32,
    pub healthy_hours: u32,
    /// Default: true.
    pub in_window: bool,
    pub freeze: bool,
    pub evidence_age_seconds: u32,
    /// How many claims are at odds with facts.
    pub contradictions: u32,
    pub policy_lapsed: bool,
    pub trial: bool,
}

impl Default for FactSheet {
    fn default() -> Self {
        // INVARIANT: the two literals are identifiers.
        let agent = AgentId::new("agent").expect("an identifier");
        let owner = PersonId::new("owner").expect("an identifier");
        Self {
            agent,
            owner,
            at: Timestamp::EPOCH,
            path: RemediationPath::Patch,
            category: Category::Application,
            security_origin: false,
            target: TargetSheet::default(),
            also: Vec::new(),
            cves: None,
            kev: None,
            cvss_tenths: None,
            epss_ten_thousandths: None,
            exploitation: None,
            automatable: None,
            impact: None,
            timeline: None,
            priority: None,
            stale: BTreeSet::new(),
            hosts: 1,
            percent: 1,
            clusters: 0,
            accounts: 0,
            in_flight_agent: 0,
            in_flight_owner: 0,
            in_flight_service: 0,
            in_flight_environment: 0,
            in_flight_fleet: 0,
            hour_owner: 0,
            hour_fleet: 0,
            day_owner: 0,
            day_fleet: 0,
            rollback: RollbackSource::Unavailable,
            prior_in_similar: 0,
            upgraded: 0,
            added: 0,
            removed: 0,
            healthy_hosts: 0,
            healthy_hours: 0,
            in_window: true,
            freeze: false,
            evidence_age_seconds: 0,
            contradictions: 0,
            policy_lapsed: false,
            trial: false,
        }
    }
}

impl FactSheet {
    /// The facts in full.
    ///
    /// # Errors
    /// Names the field that is out of bounds.
    pub fn facts(&self) -> Result<DecisionFacts, String> {
        for (field, count) in [
            ("also", self.also.len()),
            ("contradictions", self.contradictions as usize),
        ] {
            if count > LIST_MAX {
                return Err(format!(
                    "`{field}`: {count}; at most {LIST_MAX} are allowed"
                ));
            }
        }
        let scopes: Result<Vec<_>, IdError> = std::iter::once(&self.target)
            .chain(&self.also)
            .enumerate()
            .map(|(number, target)| target.scope(number))
            .collect();
        Ok(DecisionFacts {
            change: ChangeId::new("chg-case").map_err(|error| error.to_string())?,
            at: self.at,
            agent: self.agent.clone(),
            owner: self.owner.clone(),
            path: self.path,
            category: self.category,
            security_origin: self.security_origin,
            scopes: scopes.map_err(|error| error.to_string())?,
            vulnerability: self.vulnerability(),
            blast: BlastRadius {
                hosts: self.hosts,
                percent: self.percent,
                clusters: self.clusters,
                accounts: self.accounts,
            },
            reservations: Reservations {
                in_flight_agent: self.in_flight_agent,
                in_flight_owner: self.in_flight_owner,
                in_flight_service: self.in_flight_service,
                in_flight_environment: self.in_flight_environment,
                in_flight_fleet: self.in_flight_fleet,
                hour_owner: self.hour_owner,
                hour_fleet: self.hour_fleet,
                day_owner: self.day_owner,
                day_fleet: self.day_fleet,
            },
            rollback: RollbackFacts {
                source: self.rollback,
                prior_in_similar: self.prior_in_similar,
            },
            chain: ChainFacts {
                upgraded: self.upgraded,
                added: self.added,
                removed: self.removed,
            },
            lower: LowerFacts {
                healthy_hosts: self.healthy_hosts,
                healthy_hours: self.healthy_hours,
            },
            calendar: CalendarFacts {
                in_window: self.in_window,
                freeze: self.freeze,
            },
            evidence_age_seconds: self.evidence_age_seconds,
            contradictions: (0..self.contradictions)
                .map(|number| Contradiction {
                    field: format!("claim-{number}"),
                    claimed: "one thing".into(),
                    fact: "another".into(),
                    source: "case".into(),
                })
                .collect(),
            policy_lapsed: self.policy_lapsed,
            trial: self.trial,
        })
    }

    fn vulnerability(&self) -> VulnerabilityFacts {
        VulnerabilityFacts {
            cves: self.fact(FactName::Cves, self.cves),
            kev: self.fact(FactName::Kev, self.kev),
            cvss_tenths: self.fact(FactName::Cvss, self.cvss_tenths),
            epss_ten_thousandths: self.fact(FactName::Epss, self.epss_ten_thousandths),
            exploitation: self.fact(FactName::Exploitation, self.exploitation),
            automatable: self.fact(FactName::Automatable, self.automatable),
            technical_impact: self.fact(FactName::Impact, self.impact),
            timeline: self.fact(FactName::Timeline, self.timeline),
            priority: self.fact(FactName::Priority, self.priority),
        }
    }

    fn fact<T>(&self, name: FactName, value: Option<T>) -> Fact<T> {
        Fact {
            value: match value {
                None => Known::Missing("not in the case".into()),
                Some(value) if self.stale.contains(&name) => Known::Stale(value),
                Some(value) => Known::Fresh(value),
            },
            source: "case".into(),
            at: None,
            digest: None,
        }
    }
}

impl TargetSheet {
    fn scope(&self, number: usize) -> Result<TargetScope, IdError> {
        let asset = Asset {
            environment: self.environment,
            tier: self.tier,
            criticality: self.criticality,
            exposure: self.exposure,
            scopes: self.compliance.clone(),
            known: self.known,
            ..Asset::unknown(HostId::new(format!("host-{number}"))?)
        };
        Ok(TargetScope {
            assets: vec![asset],
        })
    }
}
