//! Which attributes of the context the rules read, so that the others need not be built: making a
//! value for Cedar costs more than reading it. What is not understood here counts as read. Decides
//! nothing.

use crate::conditions;
use crate::words;
use cedar_policy::Policy as CedarPolicy;
use cedar_policy::pst::{Expr, Var};
use std::collections::HashSet;

/// Records of the context. A rule that takes one as a whole reads everything.
const RECORDS: [&str; 8] = [
    "context",
    "context.vuln",
    "context.blast",
    "context.reservations",
    "context.rollback",
    "context.chain",
    "context.lower",
    "context.calendar",
];

/// The attributes that are read, as paths such as `context.chain.added`, and what they lie in.
#[derive(Debug)]
pub(crate) struct Reads(Option<HashSet<String>>);

impl Reads {
    /// Every attribute.
    pub(crate) const fn everything() -> Self {
        Self(None)
    }

    /// What these rules read.
    pub(crate) fn of<'a>(rules: impl IntoIterator<Item = &'a CedarPolicy>) -> Self {
        let mut found = HashSet::new();
        for rule in rules {
            let understood = conditions::parts(rule)
                .is_ok_and(|parts| parts.iter().all(|part| collect(part, &mut found)));
            if !understood {
                return Self::everything();
            }
        }
        if RECORDS.iter().any(|record| found.contains(*record)) {
            return Self::everything();
        }
        let outer: Vec<String> = found
            .iter()
            .filter_map(|path| path.rsplit_once('.'))
            .map(|(outer, _)| outer.to_owned())
            .collect();
        found.extend(outer);
        Self(Some(found))
    }

    /// True when `path` has to be built.
    pub(crate) fn contains(&self, path: &str) -> bool {
        self.0.as_ref().is_none_or(|found| found.contains(path))
    }
}

/// Collects the paths that `expression` reads. False when something in it is not understood.
fn collect(expression: &Expr, into: &mut HashSet<String>) -> bool {
    match expression {
        Expr::Literal(_) => true,
        Expr::Var(Var::Context) => {
            into.insert("context".into());
            true
        }
        Expr::Var(_) => true,
        Expr::GetAttr { expr, .. } => match words::path(expression) {
            Some(path) => {
                into.insert(path);
                true
            }
            None => collect(expr, into),
        },
        Expr::HasAttr { expr, attrs } => match words::path(expr) {
            Some(mut path) => {
                for attr in attrs.iter() {
                    path = format!("{path}.{attr}");
                }
                into.insert(path);
                true
            }
            None => collect(expr, into),
        },
        Expr::UnaryOp { expr, .. } | Expr::Like { expr, .. } => collect(expr, into),
        Expr::BinaryOp { left, right, .. } => collect(left, into) && collect(right, into),
        Expr::Is { expr, in_expr, .. } => {
            collect(expr, into) && in_expr.as_ref().is_none_or(|inner| collect(inner, into))
        }
        Expr::IfThenElse {
            cond,
            then_expr,
            else_expr,
        } => collect(cond, into) && collect(then_expr, into) && collect(else_expr, into),
        Expr::Set(items) => items.iter().all(|item| collect(item, into)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(condition: &str) -> Reads {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        let rule: CedarPolicy = text.parse().unwrap();
        Reads::of([&rule])
    }

    #[test]
    fn what_is_named_is_read_and_nothing_else() {
        let found = reads(
            "context.vuln has kev && context.vuln.kev && [1].contains(context.chain.added) && \
             (if context.trial then context.blast.hosts + 1 < 2 else !context[\"policyLapsed\"])",
        );
        for path in [
            "context.vuln",
            "context.vuln.kev",
            "context.chain",
            "context.chain.added",
            "context.trial",
            "context.blast.hosts",
            "context.policyLapsed",
        ] {
            assert!(found.contains(path), "{path}");
        }
        for path in ["context.vuln.cves", "context.at", "context.lower"] {
            assert!(!found.contains(path), "{path}");
        }
    }

    #[test]
    fn whoever_takes_a_record_whole_reads_everything() {
        for condition in [
            "context == context",
            "context.blast == {\"hosts\": 1}",
            "{\"a\": context.trial}.a",
            "(if context.trial then context.chain else context.chain).added == 0",
            "[context.calendar].contains(context.calendar)",
        ] {
            assert!(reads(condition).contains("context.at"), "{condition}");
        }
    }
}
