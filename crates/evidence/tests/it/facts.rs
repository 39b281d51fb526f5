//! Facts of every freshness, for decisions to rest on.

use crate::people::{agent, host, person};
use countersign_domain::asset::{Asset, Criticality, Environment, Exposure, Tier};
use countersign_domain::facts::*;
use countersign_domain::plan::RollbackSource;
use countersign_domain::proposal::{Category, RemediationPath};
use countersign_domain::{ChangeId, Digest, Timestamp};

pub fn facts(change: &ChangeId, at: Timestamp) -> DecisionFacts {
    fn known<T>(value: T, source: &str, at: Timestamp) -> Fact<T> {
        Fact {
            value: Known::Fresh(value),
            source: source.into(),
            at: Some(at.plus_seconds(-7200)),
            digest: Some(Digest::of(source.as_bytes())),
        }
    }
    let mut epss = known(9_123, "epss", at);
    epss.value = Known::Stale(9_123);
    DecisionFacts {
        change: change.clone(),
        at,
        agent: agent(),
        owner: person("maria"),
        path: RemediationPath::Patch,
        category: Category::OsSecurity,
        security_origin: true,
        scopes: vec![TargetScope {
            assets: vec![Asset {
                host: host("web-1"),
                environment: Environment::Production,
                tier: Tier::new(2).unwrap(),
                criticality: Criticality::Medium,
                exposure: Exposure::Open,
                scopes: Default::default(),
                owner: None,
                service: None,
                cluster: None,
                account: None,
                neighbours: Default::default(),
                known: true,
            }],
        }],
        vulnerability: VulnerabilityFacts {
            cves: known(2, "host web-1", at),
            kev: known(true, "cisa-kev", at),
            cvss_tenths: known(98, "cve", at),
            epss_ten_thousandths: epss,
            exploitation: known(Exploitation::Active, "cve", at),
            automatable: Fact::missing("cve", "no record"),
            technical_impact: Fact::missing("cve", "no record"),
            timeline: Fact::missing("ssvc", "automatable is missing"),
            priority: Fact::missing("ssvc", "automatable is missing"),
        },
        blast: BlastRadius {
            hosts: 1,
            percent: 50,
            clusters: 0,
            accounts: 0,
        },
        reservations: Reservations::default(),
        rollback: RollbackFacts {
            source: RollbackSource::Cached,
            prior_in_similar: 0,
        },
        chain: ChainFacts::default(),
        lower: LowerFacts {
            healthy_hosts: 3,
            healthy_hours: 26,
        },
        calendar: CalendarFacts {
            in_window: true,
            freeze: false,
        },
        evidence_age_seconds: 340,
        contradictions: vec![Contradiction {
            field: "tier".into(),
            claimed: "4".into(),
            fact: "2".into(),
            source: "inventory".into(),
        }],
        policy_lapsed: false,
        trial: false,
    }
}
