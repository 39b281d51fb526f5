//! Findings for tests. Shared by unit tests and the integration binary; no part of the product.
#![allow(dead_code, reason = "each test binary uses its own part")]

use countersign_domain::asset::{Asset, Criticality, Environment, Exposure, Tier};
use countersign_domain::facts::{Fact, Known, VulnerabilityFacts};
use countersign_domain::finding::{Finding, Reach};
use countersign_domain::observation::CveCoverage;
use countersign_domain::plan::RollbackSource;
use countersign_domain::proposal::Category;
use countersign_domain::{Architecture, HostId, PackageName, Timestamp, Version};

/// The time at which tests take place: 2026-03-01T00:00:00Z.
pub fn noon() -> Timestamp {
    Timestamp::from_unix_seconds(1_772_323_200)
}

/// A fresh fact.
pub fn fresh<T>(value: T, source: &str) -> Fact<T> {
    Fact {
        value: Known::Fresh(value),
        source: source.into(),
        at: None,
        digest: None,
    }
}

fn missing<T>() -> Fact<T> {
    Fact::missing("feed", "never imported")
}

/// A staging host of tier 2 with one upgrade of which no intelligence is known.
pub fn finding(host: &str, package: &str) -> Finding {
    let host = HostId::new(host).unwrap();
    Finding {
        host: host.clone(),
        package: PackageName::new(package).unwrap(),
        architecture: Architecture::new("amd64").unwrap(),
        from: Version::new("1.0-1").unwrap(),
        to: Version::new("1.0-2").unwrap(),
        security: false,
        category: Category::Application,
        pulls_in: Vec::new(),
        cves: CveCoverage::Unknown {
            why: "no changelog".into(),
        },
        rollback: RollbackSource::Mirror,
        observed_at: noon(),
        vulnerability: VulnerabilityFacts {
            cves: missing(),
            kev: missing(),
            cvss_tenths: missing(),
            epss_ten_thousandths: missing(),
            exploitation: missing(),
            automatable: missing(),
            technical_impact: missing(),
            timeline: missing(),
            priority: missing(),
        },
        asset: Asset {
            environment: Environment::Staging,
            tier: Tier::new(2).unwrap(),
            criticality: Criticality::Medium,
            exposure: Exposure::Controlled,
            known: true,
            ..Asset::unknown(host)
        },
        reach: Reach {
            hosts: 0,
            complete: true,
            named: Vec::new(),
            highest_tier: None,
            highest_criticality: None,
            highest_environment: None,
        },
    }
}
