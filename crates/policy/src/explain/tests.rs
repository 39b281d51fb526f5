//! An explanation agrees with the decision, rule by rule.

use super::*;
use crate::sheet::FactSheet;
use crate::strategies::{STARTER, sheets, with_rules};
use countersign_domain::plan::RollbackSource;
use proptest::prelude::*;

#[test]
fn a_rule_says_which_of_its_conditions_failed() {
    let sheet = FactSheet {
        security_origin: true,
        rollback: RollbackSource::Mirror,
        upgraded: 7,
        evidence_age_seconds: 600,
        ..FactSheet::default()
    };
    let explained = STARTER.explain(&sheet.facts().unwrap());
    let rules = &explained.scopes[0].rules;
    let rule = rules
        .iter()
        .find(|one| one.rule.as_str() == "SA-200")
        .unwrap();
    assert!(!rule.held);
    assert_eq!(
        rule.in_words(),
        "SA-200 does not hold; it wants number of CVEs fixed: known (here not known); \
         further packages upgraded: at most 5 (here 7)"
    );
    let of = |source: &str| {
        rule.conditions
            .iter()
            .find(|one| one.source.contains(source))
            .unwrap()
    };
    assert_eq!(of("resource.tier").truth, Truth::True);
    assert_eq!(of("resource.tier").values["resource.tier"], "2");
    assert_eq!(of("vuln.cves").truth, Truth::NotReached);
    assert_eq!(of("evidenceAge").values["context.evidenceAge"], "10 min");
    assert_eq!(of("category").values["context.category"], "application");
    let json = serde_json::to_value(&explained).unwrap();
    assert_eq!(json["decision"]["outcome"], "ask");
    assert_eq!(json["scopes"][0]["rules"][0]["kind"], "limit");
}

#[test]
fn unless_and_named_heads_are_conditions_too() {
    let policy = with_rules(
        "@id(\"T-1\") @owner(\"platform\") @title(\"Test\") @why(\"A test.\")
         permit (principal == Agent::\"another\", action == Action::\"execute\", resource is Target)
         when { context.trial } unless { context.calendar.freeze || context.chain.added > 1 };",
    )
    .unwrap();
    let sheet = FactSheet {
        trial: true,
        added: 2,
        ..FactSheet::default()
    };
    let explained = policy.explain(&sheet.facts().unwrap());
    let rules = &explained.scopes[0].rules;
    let rule = rules.iter().find(|one| one.rule.as_str() == "T-1").unwrap();
    let truths: Vec<_> = rule
        .conditions
        .iter()
        .map(|one| (one.words.as_str(), &one.truth))
        .collect();
    assert_eq!(
        truths,
        [
            ("`principal == Agent::\"another\"`", &Truth::False),
            ("in a trial", &Truth::True),
            ("no change freeze is on", &Truth::True),
            ("packages newly installed: at most 1", &Truth::False),
        ]
    );
}

#[test]
fn an_error_is_shown_as_one() {
    let policy = with_rules(
        "@id(\"T-1\") @owner(\"platform\") @title(\"Test\") @why(\"A test.\")
         permit (principal is Agent, action == Action::\"execute\", resource is Target)
         when { context.blast.hosts + 9223372036854775807 > 0 };",
    )
    .unwrap();
    let explained = policy.explain(&FactSheet::default().facts().unwrap());
    assert!(explained.alarm.is_some());
    assert_eq!(explained.scopes[0].outcome, Outcome::Deny);
    let rules = &explained.scopes[0].rules;
    let rule = rules.iter().find(|one| one.rule.as_str() == "T-1").unwrap();
    assert!(rule.error.is_some());
    assert!(matches!(rule.conditions[0].truth, Truth::Error(_)));
    assert!(rule.in_words().starts_with("T-1 could not be evaluated"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_rule_holds_exactly_when_all_its_conditions_do(sheet in sheets()) {
        let explained = STARTER.explain(&sheet.facts().unwrap());
        prop_assert_eq!(explained.scopes.len(), 1 + sheet.also.len());
        for scope in &explained.scopes {
            prop_assert_eq!(scope.rules.len(), STARTER.rules().filter(|rule| {
                !matches!(rule.kind, RuleKind::SeatPermit | RuleKind::SeatForbid)
            }).count());
            for rule in &scope.rules {
                prop_assert_eq!(&rule.error, &None);
                let all = rule.conditions.iter().all(|one| one.truth == Truth::True);
                prop_assert_eq!(rule.held, all, "{}", rule.rule);
                // What a condition reads is never an error in a validated policy.
                let failed = |one: &Condition| matches!(one.truth, Truth::Error(_));
                prop_assert!(!rule.conditions.iter().any(failed), "a condition errs");
            }
        }
        let strictest = Outcome::strictest(explained.scopes.iter().map(|scope| scope.outcome));
        if sheet.contradictions == 0 {
            prop_assert_eq!(explained.decision.outcome, strictest);
        }
    }
}
