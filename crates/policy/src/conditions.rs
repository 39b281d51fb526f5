//! A rule's conditions one by one: the top-level conjuncts of its head and clauses, each with its
//! text, its words, and whether it holds. Explains only; decisions evaluate the whole rule.

use crate::words;
use cedar_policy::pst::{BinaryOp, Clause, Expr, PrincipalConstraint, ResourceConstraint, UnaryOp};
use cedar_policy::{
    Entities, EvalResult, Expression, Policy as CedarPolicy, Request, eval_expression,
};
use serde::Serialize;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

/// What came of one condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "is", content = "why", rename_all = "kebab-case")]
pub enum Truth {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// A condition before it does not hold, and without that one it means nothing.
    NotReached,
    /// It could not be evaluated, so the change is denied.
    Error(String),
}

/// One top-level condition of a rule.
#[derive(Debug)]
pub(crate) struct Conjunct {
    /// In Cedar.
    pub(crate) source: String,
    /// In words.
    pub(crate) words: String,
    /// True when it looks at the target alone.
    pub(crate) about_target: bool,
    /// True when it only asks whether an attribute is known.
    guard: bool,
    expression: Expression,
    attributes: Vec<(String, Expression)>,
}

impl Conjunct {
    fn new(expression: &Expr) -> Result<Self, String> {
        let source = expression.to_string();
        let mut paths = Vec::new();
        attribute_paths(expression, &mut paths);
        let attributes: Result<Vec<_>, String> = paths
            .into_iter()
            .map(|path| {
                let read = Expression::from_str(&path).map_err(|error| error.to_string())?;
                Ok((path, read))
            })
            .collect();
        let attributes = attributes?;
        Ok(Self {
            words: words::phrase(expression),
            about_target: !attributes.is_empty()
                && attributes
                    .iter()
                    .all(|(path, _)| path.starts_with("resource.")),
            guard: matches!(expression, Expr::HasAttr { .. }),
            expression: Expression::from_str(&source).map_err(|error| error.to_string())?,
            source,
            attributes,
        })
    }

    /// True when it only asks whether something is known that `other` then looks at: people need not
    /// read both.
    pub(crate) fn only_guards(&self, other: &Self) -> bool {
        self.guard && !other.guard && {
            let mut paths = self.attributes.iter().map(|(path, _)| path);
            paths.all(|path| {
                other
                    .attributes
                    .iter()
                    .any(|(looked_at, _)| looked_at == path)
            })
        }
    }

    /// What is evaluated.
    pub(crate) const fn expression(&self) -> &Expression {
        &self.expression
    }

    /// Whether it holds.
    pub(crate) fn evaluate(&self, request: &Request, entities: &Entities) -> Truth {
        match eval_expression(request, entities, &self.expression) {
            Ok(EvalResult::Bool(true)) => Truth::True,
            Ok(EvalResult::Bool(false)) => Truth::False,
            Ok(other) => Truth::Error(format!("`{other}` is neither true nor false")),
            Err(error) => Truth::Error(error.to_string()),
        }
    }

    /// The values of the attributes it mentions, in words, by attribute.
    pub(crate) fn values(
        &self,
        request: &Request,
        entities: &Entities,
    ) -> BTreeMap<String, String> {
        self.attributes
            .iter()
            .map(|(path, read)| {
                let value = eval_expression(request, entities, read)
                    .map_or_else(|_| "not known".to_owned(), |value| words::value(&value));
                (path.clone(), value)
            })
            .collect()
    }

    /// The condition and what is so instead: `tier: at least 2 (here 1)`.
    pub(crate) fn unmet(&self, request: &Request, entities: &Entities) -> String {
        let values = self.values(request, entities);
        let here: Vec<_> = match values.len() {
            1 => values.into_values().collect(),
            _ => values
                .iter()
                .map(|(path, value)| format!("{} {value}", words::noun(path)))
                .collect(),
        };
        if here.is_empty() {
            self.words.clone()
        } else {
            format!("{} (here {})", self.words, here.join(", "))
        }
    }
}

/// The top-level conditions of a rule, in its order.
pub(crate) fn conjuncts(policy: &CedarPolicy) -> Result<Vec<Conjunct>, String> {
    let tree = policy.to_pst().map_err(|error| error.to_string())?;
    let body = tree.body();
    let mut conjuncts = Vec::new();
    // A head that names a principal or resource is a condition too; one that names a type is met by
    // every request that the schema admits.
    let head = [
        match &body.principal {
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
            named => Some(format!("principal {named}")),
        },
        match &body.resource {
            ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
            named => Some(format!("resource {named}")),
        },
    ];
    for source in head.into_iter().flatten() {
        conjuncts.push(Conjunct {
            words: format!("`{source}`"),
            about_target: source.starts_with("resource"),
            guard: false,
            expression: Expression::from_str(&source).map_err(|error| error.to_string())?,
            source,
            attributes: Vec::new(),
        });
    }
    for part in parts(policy)? {
        conjuncts.push(Conjunct::new(&part)?);
    }
    Ok(conjuncts)
}

/// The top-level conditions of a rule's clauses, in the order in which Cedar evaluates them. The head
/// comes before all of them.
pub(crate) fn parts(policy: &CedarPolicy) -> Result<Vec<Arc<Expr>>, String> {
    let tree = policy.to_pst().map_err(|error| error.to_string())?;
    let mut parts = Vec::new();
    for clause in tree.body().clauses() {
        match clause {
            Clause::When(expression) => flatten(expression, BinaryOp::And, &mut parts),
            Clause::Unless(expression) => {
                let mut alternatives = Vec::new();
                flatten(expression, BinaryOp::Or, &mut alternatives);
                parts.extend(alternatives.into_iter().map(|expr| {
                    Arc::new(Expr::UnaryOp {
                        op: UnaryOp::Not,
                        expr,
                    })
                }));
            }
        }
    }
    Ok(parts)
}

fn flatten(expression: &Arc<Expr>, by: BinaryOp, into: &mut Vec<Arc<Expr>>) {
    match expression.as_ref() {
        Expr::BinaryOp { op, left, right } if *op == by => {
            flatten(left, by, into);
            flatten(right, by, into);
        }
        _ => into.push(Arc::clone(expression)),
    }
}

/// The longest attribute paths in `expression`, each once.
fn attribute_paths(expression: &Expr, into: &mut Vec<String>) {
    let path = match expression {
        Expr::GetAttr { .. } => words::path(expression),
        Expr::HasAttr { expr, attrs } => words::path(expr).map(|base| {
            attrs
                .iter()
                .fold(base, |path, attr| format!("{path}.{attr}"))
        }),
        _ => None,
    };
    if let Some(path) = path {
        if !into.contains(&path) {
            into.push(path);
        }
        return;
    }
    match expression {
        Expr::UnaryOp { expr, .. } | Expr::Like { expr, .. } | Expr::GetAttr { expr, .. } => {
            attribute_paths(expr, into);
        }
        Expr::BinaryOp { left, right, .. } => {
            attribute_paths(left, into);
            attribute_paths(right, into);
        }
        Expr::IfThenElse {
            cond,
            then_expr,
            else_expr,
        } => {
            attribute_paths(cond, into);
            attribute_paths(then_expr, into);
            attribute_paths(else_expr, into);
        }
        Expr::Is { expr, in_expr, .. } => {
            attribute_paths(expr, into);
            if let Some(inner) = in_expr {
                attribute_paths(inner, into);
            }
        }
        Expr::Set(items) => items.iter().for_each(|item| attribute_paths(item, into)),
        Expr::Record(fields) => fields
            .values()
            .for_each(|field| attribute_paths(field, into)),
        _ => {}
    }
}
