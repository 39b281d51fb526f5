//! Which rules can hold at all on the facts at hand, so that the others need not be evaluated.
//!
//! A rule is skipped only when evaluating it would certainly give `false`, and no error: some
//! top-level condition of it is about one attribute with few values alone, it is `false` for the
//! value at hand, and nothing that Cedar evaluates before it can err. What each such condition comes
//! to is asked of Cedar, value by value, when the policy loads; nothing here interprets a condition.
//! Whatever is not understood may hold, and is evaluated whole. Decides nothing.

use crate::conditions;
use crate::vocabulary::{Unfit, Vocabulary};
use crate::words;
use cedar_policy::pst::{BinaryOp, Expr, Literal, UnaryOp};
use cedar_policy::{
    Context, Entities, Entity, EvalResult, Expression, Policy as CedarPolicy, PolicySet, Request,
    RestrictedExpression as Value, eval_expression,
};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::str::FromStr;

/// The values that an attribute can have.
#[derive(Debug, Clone, Copy)]
enum Values {
    /// Words of an enumerated entity type.
    Words(&'static str, &'static [&'static str]),
    /// Numbers, from and to.
    Numbers(i64, i64),
    /// False and true.
    Truth,
}

impl Values {
    fn count(self) -> u32 {
        match self {
            Self::Words(_, words) => u32::try_from(words.len()).unwrap_or(u32::MAX),
            Self::Numbers(from, to) => u32::try_from(to - from + 1).unwrap_or(u32::MAX),
            Self::Truth => 2,
        }
    }

    fn position(self, facet: Facet<'_>) -> Option<u32> {
        match (self, facet) {
            (Self::Words(_, words), Facet::Word(word)) => words
                .iter()
                .position(|one| *one == word)
                .and_then(|position| u32::try_from(position).ok()),
            (Self::Numbers(from, to), Facet::Number(number)) if (from..=to).contains(&number) => {
                u32::try_from(number - from).ok()
            }
            (Self::Truth, Facet::Truth(yes)) => Some(u32::from(yes)),
            _ => None,
        }
    }

    fn each(self, vocabulary: &Vocabulary) -> Result<Vec<Value>, Unfit> {
        match self {
            Self::Words(of, words) => words.iter().map(|id| vocabulary.word(of, id)).collect(),
            Self::Numbers(from, to) => Ok((from..=to).map(Value::new_long).collect()),
            Self::Truth => Ok([false, true].map(Value::new_bool).into()),
        }
    }
}

/// The attributes that rules are told apart by: always present, and with few values. A word that is
/// not listed here excludes no rule. Tests compare the lists with the schema.
const DIMENSIONS: [(&str, Values); 13] = [
    (
        "resource.environment",
        Values::Words("Environment", &["development", "staging", "production"]),
    ),
    ("resource.tier", Values::Numbers(0, 4)),
    ("resource.criticality", Values::Numbers(1, 4)),
    ("resource.exposure", Values::Numbers(1, 3)),
    ("resource.known", Values::Truth),
    (
        "context.path",
        Values::Words(
            "Path",
            &["patch", "virtual-patch", "hardening", "isolation"],
        ),
    ),
    (
        "context.category",
        Values::Words(
            "Category",
            &[
                "dependency",
                "application",
                "os-security",
                "core-system",
                "database-engine",
                "kernel",
            ],
        ),
    ),
    (
        "context.rollback.source",
        Values::Words(
            "RollbackSource",
            &["not-needed", "cached", "mirror", "repacked", "unavailable"],
        ),
    ),
    ("context.securityOrigin", Values::Truth),
    ("context.calendar.inWindow", Values::Truth),
    ("context.calendar.freeze", Values::Truth),
    ("context.policyLapsed", Values::Truth),
    ("context.trial", Values::Truth),
];

/// The dimension that `path` names, its first bit and its values.
fn dimension(path: &str) -> Option<(u32, Values)> {
    let mut first = 0;
    for (name, values) in DIMENSIONS {
        if name == path {
            return Some((first, values));
        }
        first += values.count();
    }
    None
}

/// One value, as a decision's facts have it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Facet<'a> {
    Word(&'a str),
    Number(i64),
    Truth(bool),
}

/// What a situation is, in the dimensions: one bit for each that is known. None excludes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Facets(u64);

impl Facets {
    /// The facets of a situation. A value outside its dimension, or of an attribute that is none,
    /// is left out.
    pub(crate) fn of<'a>(values: impl IntoIterator<Item = (&'static str, Facet<'a>)>) -> Self {
        let mut bits = 0;
        for (path, facet) in values {
            if let Some((first, values)) = dimension(path)
                && let Some(position) = values.position(facet)
            {
                bits |= bit(first + position);
            }
        }
        Self(bits)
    }
}

fn bit(position: u32) -> u64 {
    1_u64.checked_shl(position).unwrap_or(0)
}

/// A condition about one dimension alone: the values for which it holds. For all others it is
/// `false`; for none it errs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Guard {
    /// All bits of the dimension.
    dimension: u64,
    /// The bits of the values for which it holds.
    holds: u64,
}

impl Guard {
    /// Whether it holds, where the facets say.
    pub(crate) const fn truth(self, facets: Facets) -> Option<bool> {
        let here = facets.0 & self.dimension;
        if here == 0 {
            None
        } else {
            Some(here & self.holds != 0)
        }
    }
}

/// Finds guards. Remembers them by their text: rules of one policy repeat one another.
#[derive(Debug)]
pub(crate) struct Guards<'a> {
    vocabulary: &'a Vocabulary,
    known: HashMap<String, Option<Guard>>,
}

impl<'a> Guards<'a> {
    pub(crate) fn new(vocabulary: &'a Vocabulary) -> Self {
        Self {
            vocabulary,
            known: HashMap::new(),
        }
    }

    /// `condition` as a guard, if it is one.
    pub(crate) fn guard(&mut self, condition: &Expr) -> Option<Guard> {
        let mut paths = BTreeSet::new();
        if !attributes(condition, &mut paths) || paths.len() != 1 {
            return None;
        }
        let path = paths.pop_first()?;
        let (first, values) = dimension(&path)?;
        let text = condition.to_string();
        if let Some(known) = self.known.get(&text) {
            return *known;
        }
        let guard = self.ask(&text, &path, first, values);
        self.known.insert(text, guard);
        guard
    }

    /// Lets Cedar evaluate the condition for each value of its dimension. An error for any of them
    /// means that it is no guard.
    fn ask(&self, text: &str, path: &str, first: u32, values: Values) -> Option<Guard> {
        let condition = Expression::from_str(text).ok()?;
        let mut guard = Guard {
            dimension: 0,
            holds: 0,
        };
        for (position, value) in (first..).zip(values.each(self.vocabulary).ok()?) {
            let (request, entities) = self.probe(path, value)?;
            guard.dimension |= bit(position);
            match eval_expression(&request, &entities, &condition) {
                Ok(EvalResult::Bool(true)) => guard.holds |= bit(position),
                Ok(EvalResult::Bool(false)) => {}
                Ok(_) | Err(_) => return None,
            }
        }
        Some(guard)
    }

    /// A request in which the attribute `path` has `value`, and no other attribute is there.
    fn probe(&self, path: &str, value: Value) -> Option<(Request, Entities)> {
        let mut names = path.split('.');
        let root = names.next()?;
        let first = names.next()?;
        let mut value = value;
        for name in names.rev() {
            value = Value::new_record([(name.to_owned(), value)]).ok()?;
        }
        let (in_resource, in_context) = match root {
            "resource" => (Some((first.to_owned(), value)), None),
            "context" => (None, Some((first.to_owned(), value))),
            _ => return None,
        };
        let resource = self.vocabulary.uid("Target", "probe").ok()?;
        let target = Entity::new(
            resource.clone(),
            in_resource.into_iter().collect(),
            HashSet::new(),
        )
        .ok()?;
        let request = Request::new(
            self.vocabulary.uid("Agent", "probe").ok()?,
            self.vocabulary.execute.clone(),
            resource,
            Context::from_pairs(in_context).ok()?,
            None,
        )
        .ok()?;
        Some((request, Entities::from_entities([target], None).ok()?))
    }

    /// The facets that a rule can hold with: the bits that no guard of it forbids.
    fn admitted(&mut self, rule: &CedarPolicy) -> Result<u64, String> {
        let mut admitted = u64::MAX;
        for part in conditions::parts(rule)? {
            if let Some(guard) = self.guard(&part) {
                admitted &= !guard.dimension | guard.holds;
            } else if !cannot_err(&part) {
                // INVARIANT (silence denies): were a later guard false, this condition might still
                // err before Cedar came to it, and an error denies.
                break;
            }
        }
        Ok(admitted)
    }
}

/// Collects the attributes that `expression` reads. False when it is about anything else.
fn attributes(expression: &Expr, into: &mut BTreeSet<String>) -> bool {
    match expression {
        Expr::Literal(_) => true,
        Expr::GetAttr { .. } => match words::path(expression) {
            Some(path) => {
                into.insert(path);
                true
            }
            None => false,
        },
        Expr::UnaryOp { expr, .. } => attributes(expr, into),
        Expr::BinaryOp { left, right, .. } => attributes(left, into) && attributes(right, into),
        Expr::Set(items) => items.iter().all(|item| attributes(item, into)),
        _ => false,
    }
}

/// True when evaluating `expression`, which strict validation has passed, can only give a value.
/// Validation rules out wrong types, absent attributes and constructors whose text means nothing;
/// what it leaves is arithmetic that overflows and the methods that compute, so neither is here.
fn cannot_err(expression: &Expr) -> bool {
    match expression {
        Expr::Literal(_) | Expr::Var(_) => true,
        Expr::GetAttr { expr, .. } | Expr::HasAttr { expr, .. } | Expr::Like { expr, .. } => {
            cannot_err(expr)
        }
        Expr::UnaryOp { op, expr } => match op {
            UnaryOp::Not | UnaryOp::IsEmpty => cannot_err(expr),
            UnaryOp::Datetime | UnaryOp::Decimal | UnaryOp::Duration => {
                matches!(expr.as_ref(), Expr::Literal(Literal::String(_)))
            }
            _ => false,
        },
        Expr::BinaryOp { op, left, right } => {
            matches!(
                op,
                BinaryOp::Eq
                    | BinaryOp::NotEq
                    | BinaryOp::Less
                    | BinaryOp::LessEq
                    | BinaryOp::Greater
                    | BinaryOp::GreaterEq
                    | BinaryOp::And
                    | BinaryOp::Or
                    | BinaryOp::In
                    | BinaryOp::Contains
                    | BinaryOp::ContainsAll
                    | BinaryOp::ContainsAny
                    | BinaryOp::DecimalLessThan
                    | BinaryOp::DecimalLessEq
                    | BinaryOp::DecimalGreater
                    | BinaryOp::DecimalGreaterEq
            ) && cannot_err(left)
                && cannot_err(right)
        }
        Expr::Is { expr, in_expr, .. } => {
            cannot_err(expr) && in_expr.as_ref().is_none_or(|inner| cannot_err(inner))
        }
        Expr::IfThenElse {
            cond,
            then_expr,
            else_expr,
        } => cannot_err(cond) && cannot_err(then_expr) && cannot_err(else_expr),
        Expr::Set(items) => items.iter().all(|item| cannot_err(item)),
        _ => false,
    }
}

/// Rules of one kind, sorted by what they can hold with.
#[derive(Debug)]
pub(crate) struct Slices {
    whole: PolicySet,
    slices: Vec<(u64, PolicySet)>,
}

impl Slices {
    pub(crate) fn of(whole: PolicySet, guards: &mut Guards<'_>) -> Result<Self, String> {
        let mut sorted: BTreeMap<u64, PolicySet> = BTreeMap::new();
        for rule in whole.policies() {
            sorted
                .entry(guards.admitted(rule)?)
                .or_default()
                .add(rule.clone())
                .map_err(|error| error.to_string())?;
        }
        Ok(Self {
            whole,
            slices: sorted.into_iter().collect(),
        })
    }

    /// All of them, to be looked up by id and listed.
    pub(crate) const fn whole(&self) -> &PolicySet {
        &self.whole
    }

    /// The slices whose rules may hold, or err, with these facets.
    pub(crate) fn applying(&self, facets: Facets) -> impl Iterator<Item = &PolicySet> {
        self.slices
            .iter()
            .filter(move |(admitted, _)| facets.0 & !admitted == 0)
            .map(|(_, rules)| rules)
    }
}

#[cfg(test)]
mod tests;
