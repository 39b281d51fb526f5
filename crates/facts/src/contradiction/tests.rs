//! Tests of contradictions, as a table: a claim, the facts, and what is said of it.

use super::*;
use crate::observed::CategoryPatterns;
use crate::samples::{asked, asset, host, ids, plan, proposal, version};
use countersign_domain::asset::{Environment, Tier};
use countersign_domain::facts::Known;
use countersign_domain::proposal::Category;
use expect_test::{Expect, expect};

struct World {
    proposal: Proposal,
    assets: Vec<Asset>,
    facts: VulnerabilityFacts,
    cves: Fact<BTreeSet<CveId>>,
    plans: Vec<PreparedPlan>,
}

fn fact<T>(value: T, source: &str) -> Fact<T> {
    Fact {
        value: Known::Fresh(value),
        source: source.into(),
        at: None,
        digest: None,
    }
}

fn world() -> World {
    let mut staging = asset("b");
    staging.environment = Environment::Staging;
    staging.tier = Tier::new(3).unwrap();
    World {
        proposal: proposal(&["a", "b"]),
        assets: vec![asset("a"), staging],
        facts: VulnerabilityFacts {
            cves: fact(1, "host a"),
            kev: Fact::missing("cisa-kev", "never imported"),
            cvss_tenths: Fact::missing("cve", "never imported"),
            epss_ten_thousandths: Fact::missing("epss", "never imported"),
            exploitation: Fact::missing("cve", "never imported"),
            automatable: Fact::missing("cve", "never imported"),
            technical_impact: Fact::missing("cve", "never imported"),
            timeline: Fact::missing("cve", "never imported"),
            priority: Fact::missing("cve", "never imported"),
        },
        cves: fact(ids(&["CVE-2026-0001"]), "host a and 1 more"),
        plans: vec![plan("a", vec![asked()]), plan("b", vec![asked()])],
    }
}

/// Shows what contradicts after `edit`.
fn check(edit: impl FnOnce(&mut World), expected: Expect) {
    let mut world = world();
    edit(&mut world);
    let plans: Vec<&PreparedPlan> = world.plans.iter().collect();
    let plan_facts = PlanFacts::of(&plans, &CategoryPatterns::default());
    let found = contradictions(
        &world.proposal,
        &Against {
            assets: &world.assets,
            vulnerability: &world.facts,
            cves: &world.cves,
            plans: &plans,
            plan_facts: plan_facts.as_ref(),
        },
    );
    let lines: Vec<String> = found
        .iter()
        .map(|c| format!("{}: {} | {} | {}", c.field, c.claimed, c.fact, c.source))
        .collect();
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn an_honest_proposal_contradicts_nothing() {
    check(|_| {}, expect![""]);
    check(
        |w| {
            w.proposal.claims.tier = Tier::new(2).ok();
            w.proposal.claims.hosts = Some(2);
            w.proposal.claims.cves = ids(&["CVE-2026-0001"]);
            w.proposal.claims.cvss_tenths = Some(98);
            w.facts.cvss_tenths = fact(98, "cve");
            w.proposal.claims.exploited = Some(true);
            w.facts.kev = fact(true, "cisa-kev");
            w.facts.exploitation = fact(Exploitation::None, "cve");
        },
        expect![""],
    );
}

#[test]
fn tier_and_environment_against_the_inventory() {
    let tier = |number: u8| move |w: &mut World| w.proposal.claims.tier = Tier::new(number).ok();
    check(tier(3), expect!["claims.tier: 3 | 2 (`a`) | inventory"]);
    check(tier(1), expect!["claims.tier: 1 | 2 (`a`) | inventory"]);
    check(
        |w| w.proposal.claims.environment = Some(Environment::Staging),
        expect!["claims.environment: staging | production (`a`) | inventory"],
    );
    // An unknown asset may be stricter than those that are known, and never proves a claim wrong.
    let with_unknown = |claimed: u8| {
        move |w: &mut World| {
            w.assets.push(Asset::unknown(host("c")));
            w.proposal.claims.tier = Tier::new(claimed).ok();
        }
    };
    check(with_unknown(1), expect![[r#""#]]);
    check(
        with_unknown(3),
        expect!["claims.tier: 3 | 2 (`a`) | inventory"],
    );
    check(
        |w| {
            w.assets = vec![Asset::unknown(host("c"))];
            w.proposal.claims.tier = Tier::new(4).ok();
            w.proposal.claims.environment = Some(Environment::Development);
        },
        expect![[r#""#]],
    );
}

#[test]
fn counts_and_scores() {
    check(
        |w| w.proposal.claims.hosts = Some(1),
        expect!["claims.hosts: 1 | 2 | the proposal's waves"],
    );
    let cvss = |known: Known<u8>| {
        move |w: &mut World| {
            w.proposal.claims.cvss_tenths = Some(98);
            w.facts.cvss_tenths = Fact {
                value: known,
                ..fact(0, "cve")
            };
        }
    };
    check(
        cvss(Known::Fresh(97)),
        expect!["claims.cvss_tenths: 9.8 | 9.7 | cve"],
    );
    check(cvss(Known::Stale(50)), expect![[r#""#]]);
    check(cvss(Known::Missing("no".into())), expect![[r#""#]]);
}

#[test]
fn exploitation() {
    let case = |claimed: bool, kev: Option<bool>, ssvc: Option<Exploitation>| {
        move |w: &mut World| {
            w.proposal.claims.exploited = Some(claimed);
            if let Some(kev) = kev {
                w.facts.kev = fact(kev, "cisa-kev");
            }
            if let Some(ssvc) = ssvc {
                w.facts.exploitation = fact(ssvc, "cve");
            }
        }
    };
    check(
        case(false, Some(true), None),
        expect![
            "claims.exploited: false | in the catalogue of known exploited vulnerabilities | cisa-kev"
        ],
    );
    check(
        case(false, None, Some(Exploitation::Active)),
        expect!["claims.exploited: false | evidence of active exploitation | cve"],
    );
    check(
        case(false, Some(false), Some(Exploitation::PublicPoc)),
        expect![[r#""#]],
    );
    check(
        case(true, Some(false), Some(Exploitation::None)),
        expect!["claims.exploited: true | no evidence of active exploitation | cve"],
    );
    // Absence from the catalogue alone proves nothing.
    check(case(true, Some(false), None), expect![[r#""#]]);
    check(case(true, None, None), expect![[r#""#]]);
}

#[test]
fn cve_ids_against_the_changelog() {
    let many = |w: &mut World| {
        w.proposal.claims.cves = ids(&[
            "CVE-2026-0001",
            "CVE-2026-0002",
            "CVE-2026-0003",
            "CVE-2026-0004",
            "CVE-2026-0005",
            "CVE-2026-0006",
            "CVE-2026-0007",
        ]);
    };
    check(
        many,
        expect![[
            r#"claims.cves: CVE-2026-0002, CVE-2026-0003, CVE-2026-0004, CVE-2026-0005, CVE-2026-0006 and 1 more | the changelog names CVE-2026-0001 | host a and 1 more"#
        ]],
    );
    check(
        |w| {
            w.proposal.claims.cves = ids(&["CVE-2026-0002"]);
            w.cves = fact(BTreeSet::new(), "host a");
        },
        expect!["claims.cves: CVE-2026-0002 | the changelog names none | host a"],
    );
    check(
        |w| {
            w.proposal.claims.cves = ids(&["CVE-2026-0002"]);
            w.cves = Fact::missing("host a", "no changelog");
        },
        expect![[r#""#]],
    );
}

#[test]
fn what_is_pulled_in_makes_no_claim_false() {
    let pull_in_a_kernel = |w: &mut World| {
        let mut pulled = w.plans[0].steps[0].clone();
        pulled.requested = false;
        pulled.section = Some("kernel".into());
        w.plans[0].steps.push(pulled);
    };
    check(pull_in_a_kernel, expect![[r#""#]]);
    check(
        |w| {
            pull_in_a_kernel(w);
            w.proposal.category = Category::Dependency;
        },
        expect!["category: dependency | kernel | the hosts' plans"],
    );
}

#[test]
fn category_and_versions_against_the_plans() {
    check(
        |w| w.proposal.category = Category::Dependency,
        expect!["category: dependency | os-security | the hosts' plans"],
    );
    check(
        |w| w.proposal.packages[0].from = Some(version("0")),
        expect!["packages.from: libssl3 0 | libssl3 1 | host a"],
    );
    check(
        |w| w.plans[1].steps[0].transition.old = None,
        expect!["packages.from: libssl3 1 | libssl3 is not installed | host b"],
    );
    check(|w| w.proposal.packages[0].from = None, expect![[r#""#]]);
    check(
        |w| {
            w.plans.clear();
            w.proposal.category = Category::Kernel;
        },
        expect![[r#""#]],
    );
}
