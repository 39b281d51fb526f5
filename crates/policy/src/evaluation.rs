//! Evaluates rules for agents on one request: each condition at most once, however many rules have
//! it. A rule is the conjunction that Cedar makes of its head and clauses, cut at its top-level `&&`;
//! each condition is evaluated by Cedar, in Cedar's order, up to the first that does not hold or
//! errs. Property tests show that it comes to what Cedar's authorizer finds with all rules. Decides
//! nothing, and remembers nothing from one request to the next.

use crate::vocabulary::Unfit;
use cedar_policy::{Entities, Expression, PolicyId, PolicySet, Request};
use cedar_policy_core::ast::{self, Expr, ExprKind, Literal, SlotEnv, ValueKind};
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;
use std::collections::HashMap;
use std::sync::Arc;

/// A condition, by its place in [`Conditions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number(usize);

/// The conditions of a policy's rules for agents, each once.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    all: Vec<Expr>,
    numbers: HashMap<Expr, Number>,
}

impl Conditions {
    /// The number of `expression`.
    pub(crate) fn number(&mut self, expression: &Expression) -> Number {
        self.insert(expression.as_ref())
    }

    fn insert(&mut self, condition: &Expr) -> Number {
        if let Some(number) = self.numbers.get(condition) {
            return *number;
        }
        let number = Number(self.all.len());
        self.all.push(condition.clone());
        self.numbers.insert(condition.clone(), number);
        number
    }

    /// Cuts a rule's conjunction, from left to right.
    fn cut(&mut self, conjunction: &Expr, into: &mut Vec<Number>) {
        if let ExprKind::And { left, right } = conjunction.expr_kind() {
            self.cut(left, into);
            self.cut(right, into);
        } else {
            into.push(self.insert(conjunction));
        }
    }
}

/// Rules of one kind, each as its conditions.
#[derive(Debug)]
pub(crate) struct RuleSet {
    whole: PolicySet,
    /// By id.
    cut: Vec<(PolicyId, Box<[Number]>)>,
}

impl RuleSet {
    /// Cuts the rules of `whole`.
    pub(crate) fn of(whole: PolicySet, conditions: &mut Conditions) -> Self {
        let mut cut: Vec<_> = whole
            .policies()
            .map(|rule| {
                let mut numbers = Vec::new();
                conditions.cut(
                    &AsRef::<ast::Policy>::as_ref(rule).condition(),
                    &mut numbers,
                );
                (rule.id().clone(), numbers.into_boxed_slice())
            })
            .collect();
        cut.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        Self { whole, cut }
    }

    /// All of them, to be looked up by id and listed.
    pub(crate) const fn whole(&self) -> &PolicySet {
        &self.whole
    }
}

/// What came of a condition on the request.
enum Found {
    NotAsked,
    Holds,
    Fails,
    Errs(Arc<str>),
}

/// The evaluation of one request.
pub(crate) struct Evaluation<'a> {
    conditions: &'a Conditions,
    evaluator: Evaluator<'a>,
    found: Vec<Found>,
}

impl<'a> Evaluation<'a> {
    pub(crate) fn new(
        conditions: &'a Conditions,
        request: &Request,
        entities: &'a Entities,
    ) -> Self {
        let request: &ast::Request = request.as_ref();
        Self {
            conditions,
            evaluator: Evaluator::new(
                request.clone(),
                entities.as_ref(),
                Extensions::all_available(),
            ),
            found: conditions.all.iter().map(|_| Found::NotAsked).collect(),
        }
    }

    /// Whether a condition holds, or why Cedar cannot say.
    pub(crate) fn holds(&mut self, condition: Number) -> Result<bool, Arc<str>> {
        let (Some(found), Some(expression)) = (
            self.found.get_mut(condition.0),
            self.conditions.all.get(condition.0),
        ) else {
            return Err("a condition of another policy".into());
        };
        if matches!(found, Found::NotAsked) {
            *found = match self.evaluator.interpret(expression, &SlotEnv::new()) {
                Ok(value) => match value.value_kind() {
                    ValueKind::Lit(Literal::Bool(true)) => Found::Holds,
                    ValueKind::Lit(Literal::Bool(false)) => Found::Fails,
                    _ => Found::Errs(format!("`{expression}` is neither true nor false").into()),
                },
                Err(error) => Found::Errs(error.to_string().into()),
            };
        }
        match found {
            Found::Holds => Ok(true),
            Found::Fails => Ok(false),
            Found::Errs(error) => Err(Arc::clone(error)),
            Found::NotAsked => Err("it was not evaluated".into()),
        }
    }

    /// The rules that hold, by id.
    ///
    /// # Errors
    /// When any of the rules errs.
    pub(crate) fn holding<'r>(&mut self, rules: &'r RuleSet) -> Result<Vec<&'r PolicyId>, Unfit> {
        let mut holding = Vec::new();
        let mut errors = Vec::new();
        for (id, conditions) in &rules.cut {
            match self.all_hold(conditions) {
                Ok(true) => holding.push(id),
                Ok(false) => {}
                Err(error) => errors.push(format!("while evaluating rule `{id}`: {error}")),
            }
        }
        // INVARIANT (silence denies): Cedar skips a rule that errs, so an erring forbid would count
        // as absent.
        if errors.is_empty() {
            Ok(holding)
        } else {
            Err(Unfit(errors.join("; ")))
        }
    }

    /// Whether all hold, as `&&` has it: nothing after the first that does not is looked at.
    fn all_hold(&mut self, conditions: &[Number]) -> Result<bool, Arc<str>> {
        for condition in conditions {
            if !self.holds(*condition)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
