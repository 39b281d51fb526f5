//! From `rules/*.cedar` to checked rules, split by what they do, so that each evaluation sees only
//! the rules that can matter to it.

use crate::annotations::{self, Rule, RuleKind};
use crate::evaluation::{Conditions, RuleSet};
use crate::finding::Finding;
use crate::nesting;
use crate::seat::HumanAction;
use crate::settings::Settings;
use crate::vocabulary::Vocabulary;
use cedar_policy::pst::{Clause, Expr, Var};
use cedar_policy::{
    ActionConstraint, Effect, Policy, PolicyId, PolicySet, ValidationMode, Validator,
};
use miette::Diagnostic;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

/// Rules in one policy at most.
pub(crate) const RULES_MAX: usize = 2000;

/// The rules of a policy, ready to be evaluated.
#[derive(Debug)]
pub(crate) struct RuleBook {
    /// What the rules for agents are made of.
    pub(crate) conditions: Conditions,
    /// Every rule's account of itself.
    pub(crate) rules: BTreeMap<PolicyId, Rule>,
    /// Permits of `execute`.
    pub(crate) standing: RuleSet,
    /// Forbids that `execute` has and `request` has not (or answers differently).
    pub(crate) withholding: RuleSet,
    /// Permits of `request`.
    pub(crate) requests: RuleSet,
    /// Forbids of `request`.
    pub(crate) limits: RuleSet,
    /// Rules for people, by action.
    pub(crate) seats: BTreeMap<HumanAction, PolicySet>,
}

impl RuleBook {
    /// The rules that agents' changes are decided by; some stand in two kinds.
    pub(crate) fn for_agents(&self) -> impl Iterator<Item = &Policy> {
        [
            &self.limits,
            &self.standing,
            &self.withholding,
            &self.requests,
        ]
        .into_iter()
        .flat_map(|set| set.whole().policies())
    }
}

/// A rule as it was parsed, with its place.
struct Parsed {
    policy: Policy,
    file: String,
    text: Arc<str>,
    span: Range<usize>,
}

impl Parsed {
    fn finding(&self, needle: Option<&str>, message: impl Into<String>) -> Finding {
        let within = self.text.get(self.span.clone()).unwrap_or_default();
        let span = needle
            .and_then(|needle| {
                let start = self.span.start + within.find(needle)?;
                Some(start..start + needle.len())
            })
            .unwrap_or_else(|| self.span.start..self.span.start + first_line(within));
        Finding::at(&self.file, &self.text, span, message)
    }
}

fn first_line(text: &str) -> usize {
    text.find('\n').unwrap_or(text.len())
}

/// Parses, lints and validates all rule files.
pub(crate) fn read(
    files: &BTreeMap<String, Arc<str>>,
    settings: &Settings,
    vocabulary: &Vocabulary,
) -> Result<RuleBook, Vec<Finding>> {
    let mut findings = Vec::new();
    let mut parsed = Vec::new();
    for (file, text) in files {
        match parse(file, text) {
            Ok(rules) => parsed.extend(rules),
            Err(found) => findings.extend(found),
        }
    }
    if parsed.len() > RULES_MAX {
        findings.push(Finding::whole(
            "rules",
            format!("{} rules; at most {RULES_MAX} are allowed", parsed.len()),
        ));
        return Err(findings);
    }
    let mut rules: BTreeMap<PolicyId, (Rule, Parsed)> = BTreeMap::new();
    for one in parsed {
        match lint(&one, settings, vocabulary) {
            Ok(rule) => {
                let id = PolicyId::new(rule.id.as_str());
                if let Some((earlier, _)) = rules.get(&id) {
                    findings.push(
                        one.finding(
                            Some("@id"),
                            format!(
                                "rule `{}` is already defined at {}:{}",
                                rule.id, earlier.file, earlier.line
                            ),
                        )
                        .hint("give each rule an id of its own"),
                    );
                } else {
                    rules.insert(id, (rule, one));
                }
            }
            Err(found) => findings.extend(found),
        }
    }
    findings.extend(validate(&rules, vocabulary));
    if rules.is_empty() && findings.is_empty() {
        findings.push(
            Finding::whole("rules", "the policy has no rules")
                .hint("put at least one into `rules/NAME.cedar`"),
        );
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    split(rules, vocabulary).map_err(|message| vec![Finding::whole("rules", message)])
}

/// Parses one file; each rule keeps its place.
fn parse(file: &str, text: &Arc<str>) -> Result<Vec<Parsed>, Vec<Finding>> {
    nesting::check(text).map_err(|(span, why)| {
        vec![Finding::at(file, text, span, why).hint("write several shorter rules")]
    })?;
    let set = PolicySet::from_str(text).map_err(|errors| {
        errors
            .iter()
            .map(|error| Finding::from_cedar(file, text, 0..0, error))
            .collect::<Vec<_>>()
    })?;
    if set.num_of_templates() > 0 {
        return Err(vec![
            Finding::whole(
                file,
                "templates (`?principal`, `?resource`) are not used here",
            )
            .hint("write the rule out"),
        ]);
    }
    // Cedar names rules `policy0`, `policy1`, … in the order of the file.
    let mut policies: Vec<(usize, &Policy)> = set
        .policies()
        .map(|policy| {
            let id: &str = policy.id().as_ref();
            let number = id.trim_start_matches("policy").parse();
            (number.unwrap_or(usize::MAX), policy)
        })
        .collect();
    policies.sort_by_key(|(number, _)| *number);
    let mut from = 0;
    Ok(policies
        .into_iter()
        .map(|(_, policy)| {
            let rule_text = policy.to_cedar().unwrap_or_default();
            let start = text
                .get(from..)
                .and_then(|rest| rest.find(&rule_text))
                .map_or(from, |offset| from + offset);
            let end = (start + rule_text.len()).min(text.len());
            from = end;
            Parsed {
                policy: policy.clone(),
                file: file.to_owned(),
                text: Arc::clone(text),
                span: start..end,
            }
        })
        .collect())
}

/// Checks one rule's form and annotations.
fn lint(one: &Parsed, settings: &Settings, vocabulary: &Vocabulary) -> Result<Rule, Vec<Finding>> {
    let kind = kind(&one.policy, vocabulary)
        .map_err(|(message, hint)| vec![one.finding(Some("action"), message).hint(hint)])?;
    let mut findings = Vec::new();
    for uid in one.policy.entity_literals() {
        let name: &str = uid.id().unescaped();
        if uid.type_name().basename() == "Group" && !settings.has_group(name) {
            let known: Vec<_> = settings.groups.keys().map(|group| group.as_str()).collect();
            let finding = one.finding(
                Some(&format!("Group::\"{name}\"")),
                format!("group `{name}` is not in [groups] of policy.toml"),
            );
            findings.push(match annotations::nearest(name, &known) {
                Some(near) => finding.hint(format!("did you mean `{near}`?")),
                None => finding.hint("declare it there, or correct the name"),
            });
        }
    }
    let values: BTreeMap<&str, &str> = one.policy.annotations().collect();
    let place = one.text.get(..one.span.start).unwrap_or_default();
    let line = place.matches('\n').count() + 1;
    match annotations::read(&values, kind, settings, (&one.file, line)) {
        Ok(rule) if findings.is_empty() => Ok(rule),
        Ok(_) => Err(findings),
        Err(problems) => {
            findings.extend(problems.into_iter().map(|problem| {
                let needle = problem.key.map(|key| format!("@{key}"));
                let finding = one.finding(needle.as_deref(), problem.message);
                match problem.hint {
                    Some(hint) => finding.hint(hint),
                    None => finding,
                }
            }));
            Err(findings)
        }
    }
}

/// What a rule does, from its effect and actions.
fn kind(
    policy: &Policy,
    vocabulary: &Vocabulary,
) -> Result<RuleKind, (&'static str, &'static str)> {
    let covers = covered(policy, vocabulary);
    let people = HumanAction::ALL
        .iter()
        .any(|action| covers.contains(action.as_str()));
    let execute = covers.contains("execute");
    let request = covers.contains("request");
    match (policy.effect(), people, execute, request) {
        (_, true, true, _) | (_, true, _, true) => Err((
            "the rule covers what agents do and what people do at once",
            "name its actions: `action == Action::\"execute\"`, or `action in Action::\"govern\"`",
        )),
        (_, false, false, false) => Err((
            "the rule covers no action",
            "name one of the schema: `execute`, `request`, `remediate`, `approve`, …",
        )),
        (Effect::Permit, true, _, _) => Ok(RuleKind::SeatPermit),
        (Effect::Forbid, true, _, _) => Ok(RuleKind::SeatForbid),
        (Effect::Permit, false, true, true) => Err((
            "a permit covers either `execute` or `request`, not both",
            "write two rules: standing authority, and what may be asked for",
        )),
        (Effect::Permit, false, true, false) => Ok(RuleKind::Standing),
        (Effect::Permit, false, false, true) => Ok(RuleKind::Request),
        (Effect::Forbid, false, _, true) => Ok(RuleKind::Limit),
        (Effect::Forbid, false, true, false) => Ok(RuleKind::Withhold),
    }
}

/// The names of the schema's leaf actions that a rule's head covers.
fn covered(policy: &Policy, vocabulary: &Vocabulary) -> BTreeSet<String> {
    let named: Option<BTreeSet<String>> = match policy.action_constraint() {
        ActionConstraint::Any => None,
        ActionConstraint::Eq(uid) => Some([uid.id().unescaped().to_owned()].into()),
        ActionConstraint::In(uids) => Some(
            uids.iter()
                .map(|uid| uid.id().unescaped().to_owned())
                .collect(),
        ),
    };
    vocabulary
        .leaf_actions()
        .filter(|(action, group)| {
            named
                .as_ref()
                .is_none_or(|named| named.contains(*action) || named.contains(*group))
        })
        .map(|(action, _)| action.to_owned())
        .collect()
}

/// Strict validation against the schema. Warnings (a condition that can never hold …) are findings
/// too: a rule that means nothing is a mistake.
fn validate(rules: &BTreeMap<PolicyId, (Rule, Parsed)>, vocabulary: &Vocabulary) -> Vec<Finding> {
    let all = rules
        .iter()
        .map(|(id, (_, one))| one.policy.new_id(id.clone()));
    let set = match PolicySet::from_policies(all) {
        Ok(set) => set,
        Err(error) => return vec![Finding::whole("rules", error.to_string())],
    };
    let finding = |id: &PolicyId, error: &dyn Diagnostic| match rules.get(id) {
        Some((rule, one)) => {
            let fallback = one.span.start..one.span.start;
            Finding::from_cedar(&rule.file, &one.text, fallback, error)
        }
        None => Finding::whole("rules", error.to_string()),
    };
    let validator = Validator::new(vocabulary.schema.clone());
    // Level 1: rules look at attributes of principal and resource, never through another entity, so
    // the two entities that a decision builds are all there is to see.
    let result = validator.validate_with_level(&set, ValidationMode::Strict, 1);
    let mut findings: Vec<_> = result
        .validation_errors()
        .map(|error| finding(error.policy_id(), error))
        .chain(
            result
                .validation_warnings()
                .map(|warning| finding(warning.policy_id(), warning)),
        )
        .collect();
    findings.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    findings
}

/// Sorts the rules into the sets that decisions evaluate.
fn split(
    parsed: BTreeMap<PolicyId, (Rule, Parsed)>,
    vocabulary: &Vocabulary,
) -> Result<RuleBook, String> {
    let mut rules = BTreeMap::new();
    let mut standing = PolicySet::new();
    let mut withholding = PolicySet::new();
    let mut requests = PolicySet::new();
    let mut limits = PolicySet::new();
    let mut seats: BTreeMap<_, _> = HumanAction::ALL
        .into_iter()
        .map(|action| (action, PolicySet::new()))
        .collect();
    let failed = |error: cedar_policy::PolicySetError| error.to_string();
    for (id, (rule, one)) in parsed {
        let policy = one.policy.new_id(id.clone());
        let covers = covered(&policy, vocabulary);
        match rule.kind {
            RuleKind::Standing => standing.add(policy).map_err(failed)?,
            RuleKind::Request => requests.add(policy).map_err(failed)?,
            RuleKind::Withhold => withholding.add(policy).map_err(failed)?,
            RuleKind::Limit => {
                // A limit that holds for `request` has decided already. Only one whose condition
                // looks at the action can hold for `execute` alone.
                if covers.contains("execute") && mentions_action(&policy)? {
                    withholding.add(policy.clone()).map_err(failed)?;
                }
                limits.add(policy).map_err(failed)?;
            }
            RuleKind::SeatPermit | RuleKind::SeatForbid => {
                for (action, set) in &mut seats {
                    if covers.contains(action.as_str()) {
                        set.add(policy.clone()).map_err(failed)?;
                    }
                }
            }
        }
        rules.insert(id, rule);
    }
    let mut conditions = Conditions::default();
    Ok(RuleBook {
        rules,
        standing: RuleSet::of(standing, &mut conditions),
        withholding: RuleSet::of(withholding, &mut conditions),
        requests: RuleSet::of(requests, &mut conditions),
        limits: RuleSet::of(limits, &mut conditions),
        conditions,
        seats,
    })
}

/// True when a rule's conditions look at `action`.
fn mentions_action(policy: &Policy) -> Result<bool, String> {
    let tree = policy.to_pst().map_err(|error| error.to_string())?;
    let mut found = false;
    for clause in tree.body().clauses() {
        let (Clause::When(expression) | Clause::Unless(expression)) = clause;
        walk(expression, &mut |expression| {
            found |= matches!(expression, Expr::Var(Var::Action));
        });
    }
    Ok(found)
}

/// Calls `visit` on `expression` and everything in it, from the outside in.
pub(crate) fn walk(expression: &Expr, visit: &mut impl FnMut(&Expr)) {
    visit(expression);
    match expression {
        Expr::UnaryOp { expr, .. }
        | Expr::GetAttr { expr, .. }
        | Expr::HasAttr { expr, .. }
        | Expr::Like { expr, .. } => walk(expr, visit),
        Expr::BinaryOp { left, right, .. } => {
            walk(left, visit);
            walk(right, visit);
        }
        Expr::Is { expr, in_expr, .. } => {
            walk(expr, visit);
            if let Some(inner) = in_expr {
                walk(inner, visit);
            }
        }
        Expr::IfThenElse {
            cond,
            then_expr,
            else_expr,
        } => {
            walk(cond, visit);
            walk(then_expr, visit);
            walk(else_expr, visit);
        }
        Expr::Set(items) => items.iter().for_each(|item| walk(item, visit)),
        Expr::Record(fields) => fields.values().for_each(|field| walk(field, visit)),
        _ => {}
    }
}
