//! Evaluates rules for agents on one situation: each condition at most once, however many rules have
//! it (twice, if it looks at the action: may it run, and may it be asked for). A rule is the conjunction that Cedar makes of its head and clauses, cut at its top-level `&&`;
//! each condition is evaluated by Cedar, in Cedar's order, up to the first that does not hold or
//! errs. Property tests show that it comes to what Cedar's authorizer finds with all rules. Decides
//! nothing, and remembers nothing from one situation to the next.

use crate::request::Situation;
use crate::vocabulary::Unfit;
use cedar_policy::{Expression, PolicyId, PolicySet, Request};
use cedar_policy_core::ast::{self, Expr, ExprKind, Literal, SlotEnv, ValueKind, Var};
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;
use std::collections::HashMap;
use std::sync::Arc;

/// A condition, by its place in [`Conditions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number(usize);

/// What is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Whether it may run.
    Execute,
    /// Whether it may be asked for.
    Request,
}

/// A condition.
#[derive(Debug)]
struct Condition {
    expression: Expr,
    /// True when it looks at the action.
    about_action: bool,
}

/// The conditions of a policy's rules for agents, each once.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    all: Vec<Condition>,
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
        let action = |part: &Expr| matches!(part.expr_kind(), ExprKind::Var(Var::Action));
        self.all.push(Condition {
            about_action: condition.subexpressions().any(action),
            expression: condition.clone(),
        });
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

/// The evaluation of one situation.
pub(crate) struct Evaluation<'a> {
    conditions: &'a Conditions,
    execute: Evaluator<'a>,
    request: Evaluator<'a>,
    found: Vec<Found>,
    /// Of conditions that look at the action, for requests.
    found_for_request: Vec<Found>,
}

impl<'a> Evaluation<'a> {
    pub(crate) fn new(conditions: &'a Conditions, situation: &'a Situation) -> Self {
        let evaluator = |request: &Request| {
            let request: &ast::Request = request.as_ref();
            let entities = situation.entities.as_ref();
            Evaluator::new(request.clone(), entities, Extensions::all_available())
        };
        let nothing = || conditions.all.iter().map(|_| Found::NotAsked).collect();
        Self {
            conditions,
            execute: evaluator(&situation.execute),
            request: evaluator(&situation.request),
            found: nothing(),
            found_for_request: nothing(),
        }
    }

    /// Whether a condition holds, or why Cedar cannot say.
    pub(crate) fn holds(&mut self, asked: Asked, number: Number) -> Result<bool, Arc<str>> {
        const OTHER: &str = "a condition of another policy";
        let condition = self.conditions.all.get(number.0).ok_or(OTHER)?;
        let (evaluator, found) = match asked {
            Asked::Request if condition.about_action => {
                (&self.request, &mut self.found_for_request)
            }
            Asked::Request | Asked::Execute => (&self.execute, &mut self.found),
        };
        let found = found.get_mut(number.0).ok_or(OTHER)?;
        if matches!(found, Found::NotAsked) {
            let expression = &condition.expression;
            *found = match evaluator.interpret(expression, &SlotEnv::new()) {
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
    pub(crate) fn holding<'r>(
        &mut self,
        asked: Asked,
        rules: &'r RuleSet,
    ) -> Result<Vec<&'r PolicyId>, Unfit> {
        let mut holding = Vec::new();
        let mut errors = Vec::new();
        for (id, conditions) in &rules.cut {
            match self.all_hold(asked, conditions) {
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
    fn all_hold(&mut self, asked: Asked, conditions: &[Number]) -> Result<bool, Arc<str>> {
        for condition in conditions {
            if !self.holds(asked, *condition)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
