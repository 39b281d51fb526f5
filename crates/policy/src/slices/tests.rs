//! Slicing changes nothing: whatever the rules, what is decided on slices is what evaluating every
//! rule decides.

use super::*;
use crate::Policy;
use crate::decide::Decided;
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

/// Conditions of every sort: guards, two dimensions at once, none at all, and some that err.
const CONDITIONS: [&str; 24] = [
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
    for _ in 0..200 {
        let drawn = rules().new_tree(&mut runner).unwrap().current();
        policies.extend(with_rules(&text(&drawn)).ok());
    }
    assert!(policies.len() > 50, "{} policies load", policies.len());
    policies
});

/// Every rule evaluated, in one set, by plain Cedar: what holds, and what errs.
fn plain(slices: &Slices, request: &Request, one: &Situation) -> Result<Vec<String>, usize> {
    let response = Authorizer::new().is_authorized(request, slices.whole(), &one.entities);
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

fn sliced(
    policy: &Policy,
    slices: &Slices,
    request: &Request,
    one: &Situation,
) -> Result<Vec<String>, usize> {
    match policy.holding(slices, request, one) {
        Ok(rules) => Ok(rules.iter().map(|rule| rule.id.to_string()).collect()),
        Err(error) => Err(error.0.split("; ").count()),
    }
}

fn decide_all(policy: &Policy, sheet: &FactSheet) -> (Decided, Decided) {
    let facts = sheet.facts().unwrap();
    let on_slices = policy.decide(&facts);
    // Every attribute is built, and no facet excludes a rule.
    let everything = Reads::everything();
    let mut situations = policy.vocabulary().situations(&facts, &everything).unwrap();
    for one in &mut situations {
        one.facets = Facets::default();
    }
    let digest = canonical::digest(&facts).unwrap();
    (on_slices, policy.decide_on(&facts, digest, &situations))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn slices_decide_as_all_rules_do(policy in select((0..POLICIES.len()).collect::<Vec<_>>()), sheet in sheets()) {
        for policy in [&POLICIES[policy], &*STARTER] {
            let (on_slices, on_all) = decide_all(policy, &sheet);
            prop_assert_eq!(on_slices, on_all);
            let book = policy.book();
            for one in policy.vocabulary().situations(&sheet.facts().unwrap(), policy.reads()).unwrap() {
                for (slices, request) in [
                    (&book.limits, &one.request),
                    (&book.standing, &one.execute),
                    (&book.withholding, &one.execute),
                    (&book.requests, &one.request),
                ] {
                    prop_assert_eq!(
                        sliced(policy, slices, request, &one),
                        plain(slices, request, &one)
                    );
                }
            }
        }
    }
}

/// How many rules may apply on the default facts, of the starter policy's requests and one more.
fn evaluated(condition: &str) -> usize {
    let policy = with_rules(&format!(
        "@id(\"T-1\") @owner(\"platform\") @title(\"Test\") @why(\"A test.\") @approvers(\"reviewers=1\")\n\
         permit (principal is Agent, action == Action::\"request\", resource is Target) when {{ {condition} }};"
    ))
    .unwrap();
    let facts = FactSheet::default().facts().unwrap();
    let situation = policy
        .vocabulary()
        .situations(&facts, &Reads::everything())
        .unwrap()
        .remove(0);
    let slices = policy.book().requests.applying(situation.facets);
    slices
        .flat_map(PolicySet::policies)
        .filter(|rule| rule.id().to_string() == "T-1")
        .count()
}

#[test]
fn a_rule_is_skipped_only_where_nothing_before_its_guard_can_err() {
    // The default facts are of a production host that is known.
    let guard = "!resource.known";
    assert_eq!(evaluated(guard), 0);
    assert_eq!(
        evaluated(&format!("context.blast.hosts <= 3 && {guard}")),
        0
    );
    assert_eq!(evaluated(&format!("{guard} && {ERRS}")), 0);
    assert_eq!(evaluated(&format!("{ERRS} && {guard}")), 1);
    assert_eq!(evaluated(&format!("({guard} || context.trial)")), 1);
    assert_eq!(evaluated("resource.known"), 1);
}

/// The values as rules write them.
fn literals(values: Values) -> Vec<String> {
    match values {
        Values::Words(of, words) => words.iter().map(|id| format!("{of}::\"{id}\"")).collect(),
        Values::Numbers(from, to) => (from..=to).map(|number| number.to_string()).collect(),
        Values::Truth => vec!["false".into(), "true".into()],
    }
}

#[test]
fn facets_are_what_cedar_is_given() {
    let facts = FactSheet::default().facts().unwrap();
    let vocabulary = STARTER.vocabulary();
    let situation = vocabulary
        .situations(&facts, &Reads::everything())
        .unwrap()
        .remove(0);
    let guards = Guards::new(vocabulary);
    for (path, values) in DIMENSIONS {
        let mut holding = 0;
        for value in literals(values) {
            let text = format!("{path} == {value}");
            let (first, values) = dimension(path).unwrap();
            let guard = guards.ask(&text, path, first, values).unwrap();
            let condition = Expression::from_str(&text).unwrap();
            let given = eval_expression(&situation.execute, &situation.entities, &condition);
            let given = given.unwrap() == EvalResult::Bool(true);
            assert_eq!(guard.truth(situation.facets), Some(given), "{text}");
            holding += usize::from(given);
        }
        // Each list holds every value of the schema, so one of them is the one at hand.
        assert_eq!(holding, 1, "{path}");
    }
}
