//! What the decision is measured against: plain Cedar over all rules at once, on requests that are
//! ready. For measurements and tests. It counts rules that hold and never makes a decision;
//! [`Policy::decide`] is the only evaluator (invariant 12).

use crate::policy::Policy;
use crate::request::Situation;
use cedar_policy::{Authorizer, PolicySet, Response};
use countersign_domain::facts::DecisionFacts;

/// Why there is nothing to measure.
#[derive(Debug, thiserror::Error)]
#[error("{0}; hint: measure with facts that `decide` takes without an alarm")]
pub struct NotMeasured(String);

/// A policy's rules for agents, in one set.
#[derive(Debug)]
pub struct Yardstick<'a> {
    policy: &'a Policy,
    all: PolicySet,
}

/// Facts, put into requests.
#[derive(Debug)]
pub struct Ready(Vec<Situation>);

impl<'a> Yardstick<'a> {
    /// For the rules of `policy`.
    ///
    /// # Errors
    /// When Cedar refuses the set.
    pub fn of(policy: &'a Policy) -> Result<Self, NotMeasured> {
        let book = policy.book();
        let mut all = PolicySet::new();
        for rule in book.for_agents() {
            if all.policy(rule.id()).is_none() {
                all.add(rule.clone())
                    .map_err(|error| NotMeasured(error.to_string()))?;
            }
        }
        Ok(Self { policy, all })
    }

    /// How many rules there are.
    #[must_use]
    pub fn rules(&self) -> usize {
        self.all.policies().count()
    }

    /// Puts facts into requests.
    ///
    /// # Errors
    /// When they do not fit the schema.
    pub fn ready(&self, facts: &DecisionFacts) -> Result<Ready, NotMeasured> {
        self.policy
            .vocabulary()
            .situations(facts, self.policy.attributes())
            .map(Ready)
            .map_err(|error| NotMeasured(error.to_string()))
    }

    /// Evaluates every rule for both actions. How many held, over all scopes.
    #[must_use]
    pub fn plain(&self, ready: &Ready) -> usize {
        let authorizer = Authorizer::new();
        let held = |response: &Response| response.diagnostics().reason().count();
        ready
            .0
            .iter()
            .map(|one| {
                held(&authorizer.is_authorized(&one.execute, &self.all, &one.entities))
                    + held(&authorizer.is_authorized(&one.request, &self.all, &one.entities))
            })
            .sum()
    }
}
