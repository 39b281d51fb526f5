//! Why each rule held or did not: every top-level condition on its own, with the values it looked
//! at. Explains a decision that [`Policy::decide`] made; it never makes one.

use crate::annotations::{Rule, RuleKind};
pub use crate::conditions::Truth;
use crate::conditions::{self, Conjunct};
use crate::decide::Decided;
use crate::policy::Policy;
use crate::request::{Situation, Strictest};
use cedar_policy::{Authorizer, Entities, Policy as CedarPolicy, PolicyId, PolicySet, Request};
use countersign_domain::facts::DecisionFacts;
use countersign_domain::{Decision, Environment, Outcome, RuleId, Tier};
use serde::Serialize;
use std::collections::BTreeMap;

/// A decision and how every rule came to it.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// Why the policy could not be evaluated, when it could not.
    pub alarm: Option<String>,
    /// Each scope on its own.
    pub scopes: Vec<ScopeExplanation>,
}

/// One scope of the change.
#[derive(Debug, Clone, Serialize)]
pub struct ScopeExplanation {
    /// Its hosts.
    pub hosts: Vec<String>,
    /// Its environment, the strictest of its hosts.
    pub environment: Environment,
    /// Its tier, the highest of its hosts.
    pub tier: Tier,
    /// What this scope alone comes to; the decision is the strictest of all.
    pub outcome: Outcome,
    /// Every rule for agents, by what it does and then by id.
    pub rules: Vec<RuleExplanation>,
}

/// One rule.
#[derive(Debug, Clone, Serialize)]
pub struct RuleExplanation {
    /// Its id.
    pub rule: RuleId,
    /// What it does.
    pub kind: RuleKind,
    /// Its title.
    pub title: String,
    /// Its sentence.
    pub why: String,
    /// True when it held.
    pub held: bool,
    /// Why it could not be evaluated, when it could not.
    pub error: Option<String>,
    /// Its conditions, in its order.
    pub conditions: Vec<Condition>,
}

/// One condition of a rule.
#[derive(Debug, Clone, Serialize)]
pub struct Condition {
    /// In Cedar.
    pub source: String,
    /// In words.
    pub words: String,
    /// What came of it.
    pub truth: Truth,
    /// The values of the attributes that it mentions.
    pub values: BTreeMap<String, String>,
}

impl Policy {
    /// Explains the decision on these facts.
    #[must_use]
    pub fn explain(&self, facts: &DecisionFacts) -> Explanation {
        let Decided { decision, alarm } = self.decide(facts);
        let situations = self
            .vocabulary()
            .situations(facts, self.attributes())
            .unwrap_or_default();
        let scopes = facts
            .scopes
            .iter()
            .zip(&situations)
            .filter_map(|(scope, situation)| {
                let strictest = Strictest::of(scope).ok()?;
                Some(ScopeExplanation {
                    hosts: scope.assets.iter().map(|a| a.host.to_string()).collect(),
                    environment: strictest.environment,
                    tier: strictest.tier,
                    outcome: self
                        .judge(situation, facts.policy_lapsed)
                        .ok()
                        .and_then(|verdict| verdict.outcome)
                        .unwrap_or(Outcome::Deny),
                    rules: self.explain_scope(situation),
                })
            })
            .collect();
        Explanation {
            decision,
            alarm,
            scopes,
        }
    }

    fn explain_scope(&self, situation: &Situation) -> Vec<RuleExplanation> {
        let book = self.book();
        [
            (&book.limits, RuleKind::Limit, &situation.request),
            (&book.standing, RuleKind::Standing, &situation.execute),
            (&book.withholding, RuleKind::Withhold, &situation.execute),
            (&book.requests, RuleKind::Request, &situation.request),
        ]
        .into_iter()
        .flat_map(|(set, kind, request)| {
            self.rules_of(kind).filter_map(move |rule| {
                let policy = set.whole().policy(&PolicyId::new(rule.id.as_str()))?;
                Some(explain_rule(rule, policy, request, &situation.entities))
            })
        })
        .collect()
    }
}

fn explain_rule(
    rule: &Rule,
    policy: &CedarPolicy,
    request: &Request,
    entities: &Entities,
) -> RuleExplanation {
    let (held, mut error) = whole(policy, request, entities);
    let conditions = match conditions::conjuncts(policy) {
        Ok(conjuncts) => one_by_one(&conjuncts, request, entities),
        Err(message) => {
            error.get_or_insert(message);
            Vec::new()
        }
    };
    RuleExplanation {
        rule: rule.id.clone(),
        kind: rule.kind,
        title: rule.title.clone(),
        why: rule.why.clone(),
        held,
        error,
        conditions,
    }
}

/// Whether the rule as a whole holds, by the evaluator that decides.
fn whole(policy: &CedarPolicy, request: &Request, entities: &Entities) -> (bool, Option<String>) {
    match PolicySet::from_policies([policy.clone()]) {
        Ok(set) => {
            let response = Authorizer::new().is_authorized(request, &set, entities);
            let error = response
                .diagnostics()
                .errors()
                .next()
                .map(ToString::to_string);
            (response.diagnostics().reason().next().is_some(), error)
        }
        Err(error) => (false, Some(error.to_string())),
    }
}

fn one_by_one(conjuncts: &[Conjunct], request: &Request, entities: &Entities) -> Vec<Condition> {
    let mut met_so_far = true;
    conjuncts
        .iter()
        .map(|one| {
            let truth = match one.evaluate(request, entities) {
                // `context.vuln.cves > 0` has no meaning where `context.vuln has cves` is false.
                Truth::Error(_) if !met_so_far => Truth::NotReached,
                truth => truth,
            };
            met_so_far &= truth == Truth::True;
            Condition {
                source: one.source.clone(),
                words: one.words.clone(),
                truth,
                values: one.values(request, entities),
            }
        })
        .collect()
}

impl RuleExplanation {
    /// One line: held, or which conditions did not.
    #[must_use]
    pub fn in_words(&self) -> String {
        if let Some(error) = &self.error {
            return format!("{} could not be evaluated: {error}", self.rule);
        }
        if self.held {
            return format!("{} holds: {}", self.rule, self.why);
        }
        let unmet: Vec<_> = self
            .conditions
            .iter()
            .filter(|one| one.truth == Truth::False)
            .map(|one| {
                let here: Vec<_> = one.values.values().map(String::as_str).collect();
                if here.is_empty() {
                    one.words.clone()
                } else {
                    format!("{} (here {})", one.words, here.join(", "))
                }
            })
            .collect();
        format!("{} does not hold; it wants {}", self.rule, unmet.join("; "))
    }
}

#[cfg(test)]
mod tests;
