//! What must hold of every decision, and the order of outcomes rule by rule.

use super::*;
use crate::sheet::{FactSheet, TargetSheet};
use crate::strategies::{STARTER, sheets, with_rules};
use countersign_domain::plan::RollbackSource;
use countersign_domain::{Environment, Tier};
use proptest::prelude::*;
use std::sync::LazyLock;

/// What the starter policy lets run by itself.
fn allowed() -> FactSheet {
    FactSheet {
        security_origin: true,
        cves: Some(1),
        rollback: RollbackSource::Mirror,
        ..FactSheet::default()
    }
}

fn rule(head: &str, action: &str, condition: &str) -> String {
    format!(
        "@id(\"T-1\") @owner(\"platform\") @title(\"Test\") @why(\"A test.\")\n{head}\
         (principal is Agent, action {action}, resource is Target) when {{ {condition} }};"
    )
}

const OVERFLOW: &str = "context.blast.hosts + 9223372036854775807 > 0 || context.blast.hosts < 0";

fn decide(policy: &Policy, sheet: &FactSheet) -> Decided {
    policy.decide(&sheet.facts().unwrap())
}

#[test]
fn any_error_denies_and_alarms() {
    assert_eq!(
        decide(&STARTER, &allowed()).decision.outcome,
        Outcome::Allow
    );
    for (head, action) in [
        ("forbid ", "in Action::\"remediate\""),
        ("forbid ", "== Action::\"execute\""),
        ("permit ", "== Action::\"execute\""),
        (
            "@approvers(\"reviewers=1\") permit ",
            "== Action::\"request\"",
        ),
    ] {
        let policy = with_rules(&rule(head, action, OVERFLOW)).unwrap();
        let decided = decide(&policy, &allowed());
        assert_eq!(decided.decision.outcome, Outcome::Deny, "{head}{action}");
        assert!(decided.alarm.unwrap().contains("T-1"), "{head}{action}");
        assert!(decided.decision.rules.is_empty());
    }
}

#[test]
fn facts_that_do_not_fit_deny_and_alarm() {
    let mut facts = allowed().facts().unwrap();
    facts.scopes.clear();
    let decided = STARTER.decide(&facts);
    assert_eq!(decided.decision.outcome, Outcome::Deny);
    assert!(decided.alarm.unwrap().contains("there is no target"));
}

#[test]
fn a_decision_names_policy_and_facts() {
    let facts = allowed().facts().unwrap();
    let decision = STARTER.decide(&facts).decision;
    assert_eq!(decision.policy, STARTER.digest());
    assert_eq!(decision.facts, canonical::digest(&facts).unwrap());
    assert_eq!(decision.duties.review_within_seconds, 86_400);
    let owners: Vec<_> = decision
        .duties
        .rule_owners
        .iter()
        .map(PersonId::as_str)
        .collect();
    assert_eq!(owners, ["policy-owner"]);
    assert_eq!(
        decision.reasons[0].rule.as_ref().unwrap().as_str(),
        "SA-200"
    );
}

#[test]
fn asking_says_what_the_nearest_rule_wants() {
    for (sheet, wanted) in [
        (
            FactSheet {
                cves: Some(0),
                ..allowed()
            },
            "no standing authority; the nearest, SA-200 (Security patch in production), wants \
             number of CVEs fixed: more than 0 (here 0)",
        ),
        (
            FactSheet {
                rollback: RollbackSource::Repacked,
                kev: Some(true),
                ..allowed()
            },
            "no standing authority; the nearest, SA-200 (Security patch in production), wants \
             way back: cached or mirror or not-needed (here repacked)",
        ),
        (
            FactSheet {
                cves: None,
                ..allowed()
            },
            "no standing authority; the nearest, SA-200 (Security patch in production), wants \
             number of CVEs fixed: known (here not known)",
        ),
    ] {
        let decision = decide(&STARTER, &sheet).decision;
        assert_eq!(decision.outcome, Outcome::Ask);
        assert_eq!(decision.reasons.last().unwrap().text, wanted);
    }
}

#[test]
fn a_contradiction_escalates_without_any_rule() {
    let policy = with_rules("").unwrap();
    let mut sheet = allowed();
    sheet.contradictions = 1;
    // Without HL-901: the engine alone.
    let mut files = crate::starter().files().clone();
    files.retain(|path, _| !path.starts_with("cases/") && path != "rules/limits.cedar");
    let bare = Policy::load(&crate::PolicySource::new(files).unwrap()).unwrap();
    for (policy, rules) in [(&policy, 1), (&bare, 0)] {
        let decision = decide(policy, &sheet).decision;
        assert_eq!(decision.outcome, Outcome::Escalate);
        assert_eq!(decision.rules.len(), rules);
        let text = &decision.reasons.last().unwrap().text;
        assert!(
            text.starts_with("the agent claims `claim-0` is `one thing`"),
            "{text}"
        );
        assert!(!decision.duties.approvers.is_empty());
    }
}

#[test]
fn what_no_rule_covers_escalates() {
    let sheet = FactSheet {
        target: TargetSheet {
            environment: Environment::Staging,
            ..TargetSheet::default()
        },
        ..allowed()
    };
    let mut files = crate::starter().files().clone();
    files.retain(|path, _| path == "policy.toml");
    files.insert(
        "rules/one.cedar".into(),
        rule("permit ", "== Action::\"execute\"", "resource.tier == 4").into_bytes(),
    );
    let policy = Policy::load(&crate::PolicySource::new(files).unwrap()).unwrap();
    let decision = decide(&policy, &sheet).decision;
    assert_eq!(decision.outcome, Outcome::Escalate);
    assert_eq!(decision.reasons[0].text, "no rule covers this");
    assert_eq!(
        decision.duties.approvers[0].group.as_str(),
        "change-approvers"
    );
}

#[test]
fn duties_unite_and_the_shortest_time_wins() {
    let policy = with_rules(
        "@id(\"T-1\") @owner(\"platform\") @title(\"Test\") @why(\"A test.\")
         @approvers(\"change-approvers=3, reviewers=1\") @decide_within(\"1h\")
         permit (principal is Agent, action == Action::\"request\", resource is Target);",
    )
    .unwrap();
    let decision = decide(
        &policy,
        &FactSheet {
            cves: Some(0),
            ..allowed()
        },
    )
    .decision;
    let approvers: Vec<_> = decision
        .duties
        .approvers
        .iter()
        .map(|one| format!("{}={}", one.group, one.quorum))
        .collect();
    assert_eq!(approvers, ["change-approvers=3", "reviewers=1"]);
    assert_eq!(decision.duties.decide_within_seconds, 3600);
    let rules: Vec<_> = decision.rules.iter().map(RuleId::as_str).collect();
    assert_eq!(rules, ["RQ-300", "T-1"]);
}

#[test]
fn one_approval_covers_every_scope() {
    let scope = |environment, tier| TargetSheet {
        environment,
        tier: Tier::new(tier).unwrap(),
        ..TargetSheet::default()
    };
    // Staging would run by itself, tier 0 needs two people, the unknown host escalates.
    let sheet = FactSheet {
        target: scope(Environment::Staging, 2),
        also: vec![
            scope(Environment::Production, 0),
            TargetSheet {
                known: false,
                ..scope(Environment::Staging, 2)
            },
        ],
        ..allowed()
    };
    let decision = decide(&STARTER, &sheet).decision;
    assert_eq!(decision.outcome, Outcome::Escalate);
    assert_eq!(decision.duties.approvers[0].quorum, 2);
    let rules: Vec<_> = decision.rules.iter().map(RuleId::as_str).collect();
    assert_eq!(rules, ["HL-900"]);
}

#[test]
fn a_limit_that_looks_at_the_action_still_counts() {
    let policy = with_rules(&rule(
        "forbid ",
        "in Action::\"remediate\"",
        "action == Action::\"execute\" && context.blast.hosts == 1",
    ))
    .unwrap();
    let decision = decide(&policy, &allowed()).decision;
    assert_eq!(decision.outcome, Outcome::Ask);
    let withheld: Vec<_> = decision.withheld_by.iter().map(RuleId::as_str).collect();
    assert_eq!(withheld, ["T-1"]);
}

/// More forbids, none of which the starter policy has.
static STRICTER: LazyLock<Vec<Policy>> = LazyLock::new(|| {
    [
        rule(
            "forbid ",
            "in Action::\"remediate\"",
            "context.blast.hosts > 5",
        ),
        rule(
            "@outcome(\"escalate\") forbid ",
            "in Action::\"remediate\"",
            "context.securityOrigin",
        ),
        rule("forbid ", "== Action::\"execute\"", "context.trial"),
        rule("forbid ", "== Action::\"request\"", "resource.tier == 3"),
    ]
    .iter()
    .map(|more| with_rules(more).unwrap())
    .collect()
});

/// The loaded policy's outcome on one of the sheet's scopes alone.
fn alone(sheet: &FactSheet, target: &TargetSheet) -> Decision {
    let one = FactSheet {
        target: target.clone(),
        also: Vec::new(),
        ..sheet.clone()
    };
    decide(&STARTER, &one).decision
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_strictest_scope_wins(sheet in sheets()) {
        let all = decide(&STARTER, &sheet);
        prop_assert_eq!(all.alarm, None);
        let each: Vec<_> = std::iter::once(&sheet.target)
            .chain(&sheet.also)
            .map(|target| alone(&sheet, target))
            .collect();
        let strictest = Outcome::strictest(each.iter().map(|one| one.outcome));
        prop_assert_eq!(all.decision.outcome, strictest);
        let rules: BTreeSet<_> = each
            .iter()
            .filter(|one| one.outcome == strictest)
            .flat_map(|one| one.rules.iter().cloned())
            .collect();
        prop_assert_eq!(all.decision.rules, rules.into_iter().collect::<Vec<_>>());
        if matches!(strictest, Outcome::Ask | Outcome::Escalate) {
            for needed in each.iter().flat_map(|one| &one.duties.approvers) {
                let kept = all.decision.duties.approvers.iter().any(|one| {
                    one.group == needed.group && one.quorum >= needed.quorum
                });
                prop_assert!(kept, "lost an approver");
            }
        }
    }

    #[test]
    fn another_forbid_never_makes_it_less_strict(sheet in sheets()) {
        let before = decide(&STARTER, &sheet).decision.outcome;
        for policy in STRICTER.iter() {
            let after = decide(policy, &sheet).decision.outcome;
            prop_assert!(after >= before, "{before:?} became {after:?}");
        }
    }

    #[test]
    fn nothing_is_allowed_against_an_invariant(sheet in sheets()) {
        let decision = decide(&STARTER, &sheet).decision;
        prop_assert!(!decision.reasons.is_empty());
        if sheet.contradictions > 0 {
            prop_assert!(decision.outcome >= Outcome::Escalate);
        }
        if sheet.policy_lapsed || sheet.freeze {
            prop_assert!(decision.outcome != Outcome::Allow);
        }
        match decision.outcome {
            Outcome::Allow => {
                prop_assert!(!decision.rules.is_empty());
                prop_assert!(sheet.rollback <= RollbackSource::Mirror);
                prop_assert!(decision.duties.approvers.is_empty());
                for id in &decision.rules {
                    let kind = STARTER.rule(id).unwrap().kind;
                    prop_assert_eq!(kind, crate::RuleKind::Standing);
                }
            }
            Outcome::Ask | Outcome::Escalate => {
                prop_assert!(!decision.duties.approvers.is_empty());
            }
            Outcome::Deny => prop_assert!(decision.duties.approvers.is_empty()),
        }
    }

    #[test]
    fn a_lapsed_policy_asks_no_fewer_people(mut sheet in sheets()) {
        sheet.policy_lapsed = false;
        let current = decide(&STARTER, &sheet).decision;
        sheet.policy_lapsed = true;
        let lapsed = decide(&STARTER, &sheet).decision;
        prop_assert!(lapsed.outcome >= current.outcome);
        for needed in &current.duties.approvers {
            prop_assert!(lapsed.duties.approvers.contains(needed));
        }
    }
}
