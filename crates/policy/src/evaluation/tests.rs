//! Sharing conditions changes nothing: whatever the rules, those hold and err that Cedar's authorizer
//! finds, given all of them.

use super::*;
use crate::Policy;
use crate::attributes::Attributes;
use crate::conditions::Truth;
use crate::reads::Reads;
use crate::request::Situation;
use crate::sheet::FactSheet;
use crate::strategies::{STARTER, sheets, with_rules};
use cedar_policy::Authorizer;
use countersign_domain::canonical;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::sync::LazyLock;

/// Errs where the change touches one host.
const ERRS: &str = "context.blast.hosts + 9223372036854775807 > 0";

/// Conditions of every sort, some that err, and one that looks at the action.
const CONDITIONS: [&str; 25] = [
    "resource.environment == Environment::\"production\"",
    "Environment::\"staging\" != resource.environment",
    "[Environment::\"development\", Environment::\"staging\"].contains(resource.environment)",
    "resource.environment in [Environment::\"staging\", Environment::\"production\"]",
    "resource.tier <= 1",
    "!(resource.tier > 2)",
    "(resource.tier == 0 || resource.tier == 3)",
    "resource.tier * 4611686018427387904 > 0",
    "resource.criticality >= 3",
    "resource.exposure != 2",
    "resource.known",
    "context.path == Path::\"patch\"",
    "context.category == Category::\"kernel\"",
    "[RollbackSource::\"cached\", RollbackSource::\"mirror\"].contains(context.rollback.source)",
    "!context.securityOrigin",
    "context.calendar.inWindow == true",
    "context.calendar.freeze",
    "context.trial",
    "(resource.tier <= 1 || context.category == Category::\"kernel\")",
    "(if context.vuln has kev then context.vuln.kev else false)",
    "context.evidenceAge <= duration(\"6h\")",
    "context.blast.hosts <= 10",
    "resource.scopes.contains(Scope::\"pci\")",
    "(action == Action::\"execute\" || context.trial)",
    ERRS,
];

fn text(rules: &[(usize, Vec<usize>, bool)]) -> String {
    const HEADS: [(&str, &str); 5] = [
        ("permit ", "== Action::\"execute\""),
        (
            "@approvers(\"reviewers=1\") permit ",
            "== Action::\"request\"",
        ),
        ("forbid ", "in Action::\"remediate\""),
        ("@outcome(\"escalate\") forbid ", "in Action::\"remediate\""),
        ("forbid ", "== Action::\"execute\""),
    ];
    rules
        .iter()
        .enumerate()
        .map(|(number, (head, conditions, unless))| {
            let (effect, action) = HEADS[*head];
            let (word, by) = if *unless {
                ("unless", " || ")
            } else {
                ("when", " && ")
            };
            let conditions: Vec<_> = conditions.iter().map(|one| CONDITIONS[*one]).collect();
            format!(
                "@id(\"T-{number}\") @owner(\"platform\") @title(\"Test\") @why(\"Test {number}.\")\n\
                 {effect}(principal is Agent, action {action}, resource is Target) \
                 {word} {{ {} }};\n",
                conditions.join(by)
            )
        })
        .collect()
}

fn rules() -> impl Strategy<Value = Vec<(usize, Vec<usize>, bool)>> {
    let conditions = vec(0..CONDITIONS.len(), 1..5);
    vec((0..5_usize, conditions, prop::bool::weighted(0.3)), 1..12)
}

/// Rules that validation admits: some conditions contradict one another, and a rule that can never
/// hold is refused.
static POLICIES: LazyLock<Vec<Policy>> = LazyLock::new(|| {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut policies = Vec::new();
    for _ in 0..100 {
        let drawn = rules().new_tree(&mut runner).unwrap().current();
        policies.extend(with_rules(&text(&drawn)).ok());
    }
    assert!(policies.len() > 25, "{} policies load", policies.len());
    policies
});

/// Every rule evaluated, in one set, by Cedar's authorizer: what holds, and what errs.
fn by_cedar(rules: &RuleSet, request: &Request, one: &Situation) -> Result<Vec<String>, usize> {
    let response = Authorizer::new().is_authorized(request, rules.whole(), &one.entities);
    let errors = response.diagnostics().errors().count();
    if errors > 0 {
        return Err(errors);
    }
    let mut held: Vec<_> = response
        .diagnostics()
        .reason()
        .map(ToString::to_string)
        .collect();
    held.sort();
    Ok(held)
}

fn by_conditions(
    evaluation: &mut Evaluation<'_>,
    asked: Asked,
    rules: &RuleSet,
) -> Result<Vec<String>, usize> {
    match evaluation.holding(asked, rules) {
        Ok(rules) => Ok(rules.iter().map(ToString::to_string).collect()),
        Err(error) => Err(error.0.split("; ").count()),
    }
}

fn situations(policy: &Policy, sheet: &FactSheet, attributes: &Attributes) -> Vec<Situation> {
    let facts = sheet.facts().unwrap();
    policy.vocabulary().situations(&facts, attributes).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_rules_hold_that_cedar_finds(policy in select((0..POLICIES.len()).collect::<Vec<_>>()), sheet in sheets()) {
        for policy in [&POLICIES[policy], &*STARTER] {
            let book = policy.book();
            for one in situations(policy, &sheet, policy.attributes()) {
                // One evaluation for all, in the order in which decisions ask.
                let mut evaluation = Evaluation::new(&book.conditions, &one);
                for (asked, rules, request) in [
                    (Asked::Request, &book.limits, &one.request),
                    (Asked::Execute, &book.standing, &one.execute),
                    (Asked::Execute, &book.withholding, &one.execute),
                    (Asked::Request, &book.requests, &one.request),
                ] {
                    prop_assert_eq!(
                        by_conditions(&mut evaluation, asked, rules),
                        by_cedar(rules, request, &one)
                    );
                }
            }
        }
    }

    #[test]
    fn every_condition_comes_to_what_cedar_says_of_it_alone(policy in select((0..POLICIES.len()).collect::<Vec<_>>()), sheet in sheets()) {
        for policy in [&POLICIES[policy], &*STARTER] {
            for one in situations(policy, &sheet, policy.attributes()) {
                let conditions = &policy.book().conditions;
                let mut evaluation = Evaluation::new(conditions, &one);
                for (number, conjunct) in policy.standing_conditions().values().flatten() {
                    let alone = conjunct.evaluate(&one.execute, &one.entities);
                    match evaluation.holds(Asked::Execute, *number) {
                        Ok(holds) => prop_assert_eq!(alone, if holds { Truth::True } else { Truth::False }),
                        Err(why) => prop_assert_eq!(alone, Truth::Error(why.to_string())),
                    }
                }
            }
        }
    }

    #[test]
    fn what_no_rule_reads_decides_nothing(policy in select((0..POLICIES.len()).collect::<Vec<_>>()), sheet in sheets()) {
        for policy in [&POLICIES[policy], &*STARTER] {
            let facts = sheet.facts().unwrap();
            let everything = situations(policy, &sheet, &Attributes::read(&Reads::everything()));
            let digest = canonical::digest(&facts).unwrap();
            prop_assert_eq!(policy.decide(&facts), policy.decide_on(&facts, digest, &everything));
        }
    }
}

/// Whether a request that is asked for on the default facts (one production host that is known) holds.
fn holds(condition: &str) -> Result<bool, usize> {
    let policy = with_rules(&format!(
        "@id(\"T-1\") @owner(\"platform\") @title(\"Test\") @why(\"A test.\") @approvers(\"reviewers=1\")\n\
         permit (principal is Agent, action == Action::\"request\", resource is Target) when {{ {condition} }};"
    ))
    .unwrap();
    let book = policy.book();
    let one = situations(&policy, &FactSheet::default(), policy.attributes()).remove(0);
    let mut evaluation = Evaluation::new(&book.conditions, &one);
    by_conditions(&mut evaluation, Asked::Request, &book.requests)
        .map(|rules| rules.iter().any(|rule| rule == "T-1"))
}

#[test]
fn an_error_counts_where_cedar_comes_to_it_and_nowhere_else() {
    let fails = "!resource.known";
    assert_eq!(holds("resource.known"), Ok(true));
    assert_eq!(holds(fails), Ok(false));
    assert_eq!(holds(&format!("{fails} && {ERRS}")), Ok(false));
    assert_eq!(holds(&format!("{ERRS} && {fails}")), Err(1));
    assert_eq!(holds(&format!("({fails} || {ERRS})")), Err(1));
    assert_eq!(holds(&format!("(resource.known || {ERRS})")), Ok(true));
}

#[test]
fn conditions_that_rules_share_are_kept_once() {
    let count = |policy: &Policy| policy.book().conditions.all.len();
    let rule = |id: &str, more: &str| {
        format!(
            "@id(\"{id}\") @owner(\"platform\") @title(\"Test\") @why(\"A test.\")\n\
             permit (principal is Agent, action == Action::\"execute\", resource is Target)\n\
             when {{ context.blast.hosts <= 7 && context.chain.added == 5{more} }};\n"
        )
    };
    let one = with_rules(&rule("T-1", "")).unwrap();
    let two =
        with_rules(&(rule("T-1", "") + &rule("T-2", " && context.chain.added == 6"))).unwrap();
    assert_eq!(count(&two), count(&one) + 1);
}
