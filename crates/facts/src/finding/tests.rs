//! Tests of findings: that they carry the facts, and what a host could reach.

use super::*;
use crate::feed::{Feeds, FreshnessLimits};
use crate::samples::{NOW, asset, host, ids, observation, time};
use crate::ssvc::Tables;
use countersign_domain::asset::{Criticality, Environment, Tier};
use countersign_domain::digest::Digest;
use countersign_domain::proposal::Category;

#[test]
fn reach_sums_up_the_gravest() {
    let mut web = asset("web");
    web.neighbours = [host("db"), host("dev")].into();
    let mut db = asset("db");
    db.tier = Tier::new(1).unwrap();
    db.criticality = Criticality::High;
    let mut dev = asset("dev");
    dev.environment = Environment::Development;
    dev.criticality = Criticality::Low;
    let inventory = Inventory::from_assets([web.clone(), db, dev]);
    let reached = reach(&inventory, &host("web"));
    assert_eq!((reached.hosts, reached.complete), (2, true));
    assert_eq!(reached.named, [host("db"), host("dev")]);
    assert_eq!(reached.highest_tier, Tier::new(1).ok());
    assert_eq!(reached.highest_criticality, Some(Criticality::High));
    assert_eq!(reached.highest_environment, Some(Environment::Production));
    // A neighbour that the inventory does not name gets the strictest reading.
    let alone = reach(&Inventory::from_assets([web]), &host("web"));
    assert_eq!(alone.highest_tier, Some(Tier::HIGHEST));
    assert_eq!(reach(&Inventory::default(), &host("x")).highest_tier, None);
}

#[test]
fn a_finding_carries_its_facts_and_reads_back() {
    let inventory = Inventory::from_assets([asset("a")]);
    let tables = Tables::embedded().unwrap();
    let read = CveCoverage::Read {
        ids: ids(&["CVE-2026-0001"]),
    };
    let observed_at = |at: &str, cves: CveCoverage| {
        let observation = observation("a", at, cves);
        let nothing = Fact::missing("none", "not asked");
        let mut found = findings(
            &Observed {
                observation: &observation,
                digest: Digest::of(b"observation"),
            },
            3600,
            &inventory,
            &CategoryPatterns::default(),
            &Question {
                cves: &nothing,
                rows: &[],
                feeds: &Feeds::default(),
                limits: FreshnessLimits {
                    kev_hours: 48,
                    epss_hours: 48,
                    cve_hours: 48,
                },
                assets: &[],
                tables: &tables,
                now: time(NOW),
            },
        );
        assert_eq!(found.len(), 1);
        found.remove(0)
    };
    let finding = observed_at(NOW, read.clone());
    assert_eq!(finding.vulnerability.cves.value, Known::Fresh(1));
    assert_eq!(
        finding.vulnerability.cves.digest,
        Some(Digest::of(b"observation"))
    );
    assert_eq!(finding.category, Category::OsSecurity);
    assert_eq!(finding.asset, asset("a"));
    let bytes = countersign_domain::canonical::to_bytes(&finding).unwrap();
    let back: Finding = countersign_domain::canonical::from_bytes(&bytes).unwrap();
    assert_eq!(back, finding);

    let old = observed_at("2026-05-20T10:00:00Z", read);
    assert_eq!(old.vulnerability.cves.value, Known::Stale(1));
    let unknown = observed_at(NOW, CveCoverage::Unknown { why: "none".into() });
    assert!(matches!(
        unknown.vulnerability.cves.value,
        Known::Missing(_)
    ));
}
