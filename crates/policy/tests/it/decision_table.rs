//! The whole decision table of the starter policy as one snapshot: where, what, which way back, and
//! what intelligence says. A reviewer reads here what an edit of a rule changes.

use countersign_domain::plan::RollbackSource;
use countersign_domain::proposal::{Category, RemediationPath};
use countersign_domain::{Environment, GroupQuorum, RuleId, Tier};
use countersign_policy::sheet::{FactSheet, TargetSheet};
use countersign_policy::{Policy, starter};
use std::fmt::Write as _;

const CATEGORIES: [Category; 6] = [
    Category::Dependency,
    Category::Application,
    Category::OsSecurity,
    Category::CoreSystem,
    Category::DatabaseEngine,
    Category::Kernel,
];
const BACKS: [RollbackSource; 5] = [
    RollbackSource::NotNeeded,
    RollbackSource::Cached,
    RollbackSource::Mirror,
    RollbackSource::Repacked,
    RollbackSource::Unavailable,
];

/// An ordinary security update in a company: two CVEs, way back on the mirror, no feeds imported.
fn usual(environment: Environment, tier: u8) -> FactSheet {
    FactSheet {
        category: Category::OsSecurity,
        security_origin: true,
        target: TargetSheet {
            environment,
            tier: Tier::new(tier).unwrap(),
            ..TargetSheet::default()
        },
        cves: Some(2),
        rollback: RollbackSource::Mirror,
        hosts: 1,
        percent: 5,
        evidence_age_seconds: 600,
        ..FactSheet::default()
    }
}

fn join(ids: &[RuleId]) -> String {
    ids.iter().map(RuleId::as_str).collect::<Vec<_>>().join("+")
}

fn quorums(approvers: &[GroupQuorum]) -> String {
    let words: Vec<_> = approvers
        .iter()
        .map(|one| format!("{}={}", one.group, one.quorum))
        .collect();
    words.join(" ")
}

fn row(table: &mut String, policy: &Policy, label: &str, sheet: &FactSheet) {
    let decided = policy.decide(&sheet.facts().unwrap());
    assert_eq!(decided.alarm, None);
    let decision = decided.decision;
    let withheld = if decision.withheld_by.is_empty() {
        String::new()
    } else {
        format!(" (withheld by {})", join(&decision.withheld_by))
    };
    let line = format!(
        "  {label:<44} {:<9} {:<15} {}{withheld}",
        decision.outcome.as_str(),
        join(&decision.rules),
        quorums(&decision.duties.approvers)
    );
    writeln!(table, "{}", line.trim_end()).unwrap();
}

#[test]
fn the_decision_table_of_the_starter_policy() {
    let policy = Policy::load(&starter()).unwrap();
    let mut table = String::new();
    let places = [
        (Environment::Development, 3),
        (Environment::Staging, 2),
        (Environment::Production, 3),
        (Environment::Production, 2),
        (Environment::Production, 1),
        (Environment::Production, 0),
    ];

    writeln!(table, "Base: a security update from the security archive that fixes 2 known CVEs, way back on the mirror,\n1 host (5 % of its environment), evidence 10 min old, in window, no feeds imported. Rows name what differs.").unwrap();
    for trial in [false, true] {
        for (environment, tier) in places {
            // A trial differs where two people would be asked: seen on these two.
            if trial && !matches!((environment, tier), (Environment::Production, 1 | 2)) {
                continue;
            }
            let kind = if trial {
                "in a trial"
            } else {
                "outside a trial"
            };
            writeln!(
                table,
                "\n{} tier {tier}, {kind}: category × way back",
                environment.as_str()
            )
            .unwrap();
            for category in CATEGORIES {
                for rollback in BACKS {
                    // Cached and not-needed count as mirror in every rule: shown once, below.
                    if matches!(rollback, RollbackSource::NotNeeded | RollbackSource::Cached) {
                        let mut other = usual(environment, tier);
                        (other.category, other.trial) = (category, trial);
                        let mirror = policy.decide(&other.facts().unwrap()).decision;
                        other.rollback = rollback;
                        let same = policy.decide(&other.facts().unwrap()).decision;
                        assert!(!same.differs_for_people(&mirror));
                        continue;
                    }
                    let mut sheet = usual(environment, tier);
                    (sheet.category, sheet.rollback, sheet.trial) = (category, rollback, trial);
                    let label = format!("{} · {}", category.as_str(), rollback.as_str());
                    row(&mut table, &policy, &label, &sheet);
                }
            }
        }
    }
    for (environment, tier) in places.into_iter().filter(|place| *place != places[1]) {
        writeln!(
            table,
            "\n{} tier {tier}, outside a trial: intelligence and everything else",
            environment.as_str()
        )
        .unwrap();
        for (label, change) in VARIATIONS {
            let mut sheet = usual(environment, tier);
            change(&mut sheet);
            row(&mut table, &policy, label, &sheet);
        }
    }
    insta::assert_snapshot!("starter_decision_table", table);
}

type Change = fn(&mut FactSheet);

const VARIATIONS: &[(&str, Change)] = &[
    ("as usual", |_| {}),
    ("CVEs not known", |s| s.cves = None),
    ("no CVE", |s| s.cves = Some(0)),
    ("not from the security archive", |s| {
        s.security_origin = false
    }),
    ("KEV", |s| s.kev = Some(true)),
    ("KEV, CVEs not known", |s| {
        (s.kev, s.cves) = (Some(true), None)
    }),
    ("KEV, outside the window", |s| {
        (s.kev, s.in_window) = (Some(true), false)
    }),
    ("KEV, in a freeze", |s| {
        (s.kev, s.freeze) = (Some(true), true)
    }),
    ("KEV, 8 others upgraded", |s| {
        (s.kev, s.upgraded) = (Some(true), 8)
    }),
    ("not in KEV, CVEs not known", |s| {
        (s.kev, s.cves) = (Some(false), None)
    }),
    ("outside the window", |s| s.in_window = false),
    ("in a freeze", |s| s.freeze = true),
    ("1 added", |s| s.added = 1),
    ("2 added", |s| s.added = 2),
    ("3 added", |s| s.added = 3),
    ("5 others upgraded", |s| s.upgraded = 5),
    ("6 others upgraded", |s| s.upgraded = 6),
    ("20 others upgraded", |s| s.upgraded = 20),
    ("21 others upgraded", |s| s.upgraded = 21),
    ("1 removed", |s| s.removed = 1),
    ("1 removed, core-system", |s| {
        (s.removed, s.category) = (1, Category::CoreSystem)
    }),
    ("rolled back once", |s| s.prior_in_similar = 1),
    ("rolled back twice", |s| s.prior_in_similar = 2),
    ("evidence 6 h 1 s old", |s| s.evidence_age_seconds = 21_601),
    ("evidence 24 h old", |s| s.evidence_age_seconds = 86_400),
    ("evidence 24 h 1 s old", |s| s.evidence_age_seconds = 86_401),
    ("2 hosts, 100 %", |s| (s.hosts, s.percent) = (2, 100)),
    ("3 hosts, 26 %", |s| (s.hosts, s.percent) = (3, 26)),
    ("10 hosts, 25 %", |s| (s.hosts, s.percent) = (10, 25)),
    ("11 hosts", |s| s.hosts = 11),
    ("26 hosts", |s| s.hosts = 26),
    ("50 hosts", |s| s.hosts = 50),
    ("51 hosts", |s| s.hosts = 51),
    ("50 others in flight by the owner", |s| {
        s.in_flight_owner = 50
    }),
    ("100 others in the last hour by the owner", |s| {
        s.hour_owner = 100
    }),
    ("600 others in the last day everywhere", |s| {
        s.day_fleet = 600
    }),
    ("unknown host", |s| s.target.known = false),
    ("a contradiction", |s| s.contradictions = 1),
    ("policy lapsed", |s| s.policy_lapsed = true),
    ("virtual patch", |s| s.path = RemediationPath::VirtualPatch),
    ("hardening", |s| s.path = RemediationPath::Hardening),
    ("isolation", |s| s.path = RemediationPath::Isolation),
];
