//! Conditions in words: `context.chain.added <= 1` reads `packages newly installed: at most 1`.
//! What has no wording is shown in Cedar, never guessed at.

use cedar_policy::EvalResult;
use cedar_policy::pst::{BinaryOp, Expr, Literal, UnaryOp, Var};
use countersign_domain::time::in_words;

/// What an attribute is called.
const NOUNS: [(&str, &str); 43] = [
    ("principal.owner", "agent's owner"),
    ("resource.environment", "environment"),
    ("resource.tier", "tier"),
    ("resource.criticality", "criticality"),
    ("resource.exposure", "exposure"),
    ("resource.scopes", "compliance scopes"),
    ("resource.hosts", "hosts in this scope"),
    ("context.at", "time"),
    ("context.path", "remediation path"),
    ("context.category", "category"),
    ("context.vuln.cves", "number of CVEs fixed"),
    ("context.vuln.kev", "KEV listing"),
    ("context.vuln.cvss", "CVSS score"),
    ("context.vuln.epss", "EPSS"),
    ("context.vuln.exploitation", "exploitation"),
    ("context.vuln.automatable", "automatable"),
    ("context.vuln.impact", "technical impact"),
    ("context.vuln.timeline", "BOD 26-04 timeline"),
    ("context.vuln.priority", "SSVC priority"),
    ("context.stale", "stale facts"),
    ("context.missing", "missing facts"),
    ("context.blast.hosts", "hosts touched"),
    (
        "context.blast.percent",
        "percent of the environment touched",
    ),
    ("context.blast.clusters", "clusters touched"),
    ("context.blast.accounts", "accounts touched"),
    (
        "context.reservations.inFlightAgent",
        "hosts in flight by this agent",
    ),
    (
        "context.reservations.inFlightOwner",
        "hosts in flight by this owner's agents",
    ),
    (
        "context.reservations.inFlightService",
        "hosts in flight in the service",
    ),
    (
        "context.reservations.inFlightEnvironment",
        "hosts in flight in the environment",
    ),
    (
        "context.reservations.inFlightFleet",
        "hosts in flight everywhere",
    ),
    (
        "context.reservations.hourOwner",
        "hosts changed unasked in the last hour by this owner's agents",
    ),
    (
        "context.reservations.hourFleet",
        "hosts changed unasked in the last hour",
    ),
    (
        "context.reservations.dayOwner",
        "hosts changed unasked in the last day by this owner's agents",
    ),
    (
        "context.reservations.dayFleet",
        "hosts changed unasked in the last day",
    ),
    ("context.rollback.source", "way back"),
    (
        "context.rollback.priorInSimilar",
        "rollbacks on similar hosts",
    ),
    ("context.chain.upgraded", "further packages upgraded"),
    ("context.chain.added", "packages newly installed"),
    ("context.chain.removed", "packages removed"),
    (
        "context.lower.healthyHosts",
        "hosts in lower environments where it is healthy",
    ),
    (
        "context.lower.healthyHours",
        "hours it has been healthy in lower environments",
    ),
    ("context.evidenceAge", "age of the evidence"),
    ("context.contradictions", "claims at odds with facts"),
];

/// What a yes-or-no attribute says, and what its opposite does.
const STATEMENTS: [(&str, &str, &str); 9] = [
    (
        "resource.known",
        "the inventory knows the host",
        "the inventory does not know the host",
    ),
    (
        "context.securityOrigin",
        "from the security archive",
        "not from the security archive",
    ),
    (
        "context.vuln.kev",
        "listed as exploited (KEV)",
        "not listed as exploited (KEV)",
    ),
    (
        "context.vuln.automatable",
        "attacks can be automated",
        "attacks cannot be automated",
    ),
    (
        "context.calendar.inWindow",
        "within a change window",
        "outside every change window",
    ),
    (
        "context.calendar.freeze",
        "a change freeze is on",
        "no change freeze is on",
    ),
    (
        "context.policyLapsed",
        "the policy's review has lapsed",
        "the policy's review is current",
    ),
    ("context.trial", "in a trial", "outside a trial"),
    (
        "context.isRequester",
        "they asked for it",
        "they did not ask for it",
    ),
];

/// What the attribute at `path` is called; the path itself where it has no name.
pub(crate) fn noun(path: &str) -> &str {
    NOUNS
        .iter()
        .find(|(known, _)| *known == path)
        .map_or(path, |(_, noun)| noun)
}

/// `context.chain.added` and the like, where the expression is nothing else.
pub(crate) fn path(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Var(Var::Principal) => Some("principal".into()),
        Expr::Var(Var::Resource) => Some("resource".into()),
        Expr::Var(Var::Context) => Some("context".into()),
        Expr::GetAttr { expr, attr } => Some(format!("{}.{attr}", path(expr)?)),
        _ => None,
    }
}

/// A condition in words.
pub(crate) fn phrase(expression: &Expr) -> String {
    say(expression, true).unwrap_or_else(|| format!("`{expression}`"))
}

fn say(expression: &Expr, positive: bool) -> Option<String> {
    match expression {
        Expr::UnaryOp {
            op: UnaryOp::Not,
            expr,
        } => say(expr, !positive),
        Expr::GetAttr { .. } => {
            let path = path(expression)?;
            let (_, yes, no) = STATEMENTS.iter().find(|(known, ..)| *known == path)?;
            Some((if positive { yes } else { no }).to_string())
        }
        Expr::HasAttr { expr, attrs } => {
            let path = attrs
                .iter()
                .fold(path(expr)?, |path, attr| format!("{path}.{attr}"));
            let state = if positive { "known" } else { "not known" };
            Some(format!("{}: {state}", noun(&path)))
        }
        Expr::BinaryOp { op, left, right } => binary(*op, left, right, positive),
        Expr::IfThenElse {
            cond,
            then_expr,
            else_expr,
        } if positive => match literal(else_expr)?.as_str() {
            "false" => Some(format!(
                "{} and {}",
                say(cond, true)?,
                say(then_expr, true)?
            )),
            "true" => Some(format!(
                "{} where {}",
                say(then_expr, true)?,
                say(cond, true)?
            )),
            _ => None,
        },
        _ => None,
    }
}

fn binary(op: BinaryOp, left: &Expr, right: &Expr, positive: bool) -> Option<String> {
    let either = |word: &str| {
        Some(format!(
            "{} {word} {}",
            say(left, positive)?,
            say(right, positive)?
        ))
    };
    match (op, positive) {
        (BinaryOp::And, true) | (BinaryOp::Or, false) => return either("and"),
        (BinaryOp::Or, true) | (BinaryOp::And, false) => return either("or"),
        _ => {}
    }
    if op == BinaryOp::Contains {
        return contains(left, right, positive);
    }
    let comparison = match (op, positive) {
        (BinaryOp::Eq, true) | (BinaryOp::NotEq, false) => "",
        (BinaryOp::Eq, false) | (BinaryOp::NotEq, true) => "not ",
        (BinaryOp::LessEq | BinaryOp::DecimalLessEq, true)
        | (BinaryOp::Greater | BinaryOp::DecimalGreater, false) => "at most ",
        (BinaryOp::GreaterEq | BinaryOp::DecimalGreaterEq, true)
        | (BinaryOp::Less | BinaryOp::DecimalLessThan, false) => "at least ",
        (BinaryOp::Less | BinaryOp::DecimalLessThan, true)
        | (BinaryOp::GreaterEq | BinaryOp::DecimalGreaterEq, false) => "less than ",
        (BinaryOp::Greater | BinaryOp::DecimalGreater, true)
        | (BinaryOp::LessEq | BinaryOp::DecimalLessEq, false) => "more than ",
        _ => return None,
    };
    Some(format!(
        "{}: {comparison}{}",
        subject(left)?,
        literal(right)?
    ))
}

/// An attribute, or a sum of attributes.
fn subject(expression: &Expr) -> Option<String> {
    match expression {
        Expr::BinaryOp {
            op: BinaryOp::Add,
            left,
            right,
        } => Some(format!("{} plus {}", subject(left)?, subject(right)?)),
        Expr::GetAttr { .. } => {
            let path = path(expression)?;
            let noun = noun(&path);
            (noun != path).then(|| noun.to_owned())
        }
        _ => None,
    }
}

/// `[a, b].contains(attribute)` or `attribute.contains(a)`.
fn contains(left: &Expr, right: &Expr, positive: bool) -> Option<String> {
    if let Expr::Set(items) = left {
        let words: Option<Vec<_>> = items.iter().map(|item| literal(item)).collect();
        let words = words?.join(if positive { " or " } else { " nor " });
        let none = if positive { "" } else { "neither " };
        return Some(format!("{}: {none}{words}", subject(right)?));
    }
    let has = if positive {
        "include"
    } else {
        "do not include"
    };
    Some(format!("{} {has} {}", subject(left)?, literal(right)?))
}

fn literal(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Literal(Literal::Bool(value)) => Some(value.to_string()),
        Expr::Literal(Literal::Long(value)) => Some(value.to_string()),
        Expr::Literal(Literal::String(value)) => Some(format!("`{value}`")),
        Expr::Literal(Literal::EntityUID(uid)) => Some(uid.eid.to_string()),
        Expr::UnaryOp {
            op: UnaryOp::Decimal | UnaryOp::Duration | UnaryOp::Datetime,
            expr,
        } => match expr.as_ref() {
            Expr::Literal(Literal::String(value)) => Some(value.to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// A value in words.
pub(crate) fn value(value: &EvalResult) -> String {
    match value {
        EvalResult::Bool(true) => "yes".into(),
        EvalResult::Bool(false) => "no".into(),
        EvalResult::Long(number) => number.to_string(),
        EvalResult::String(text) => text.clone(),
        EvalResult::EntityUid(uid) => uid.id().unescaped().to_owned(),
        EvalResult::Set(items) if items.is_empty() => "none".into(),
        EvalResult::Set(items) => {
            let words: Vec<_> = items.iter().map(self::value).collect();
            words.join(", ")
        }
        EvalResult::ExtensionValue(text) => extension(text),
        EvalResult::Record(_) => value.to_string(),
    }
}

/// `decimal("9.8")` reads `9.8`, `duration("21600s")` reads `6 h`.
fn extension(text: &str) -> String {
    let inner = text
        .split_once('"')
        .and_then(|(_, rest)| rest.rsplit_once('"'))
        .map_or(text, |(inner, _)| inner);
    inner
        .strip_suffix('s')
        .and_then(|seconds| seconds.parse::<i64>().ok())
        .map_or_else(|| inner.to_owned(), in_words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cedar_policy::Policy;
    use cedar_policy::pst::Clause;

    #[test]
    fn conditions_read_as_words() {
        for (source, words) in [
            (
                "context.chain.added <= 1",
                "packages newly installed: at most 1",
            ),
            (
                "!(context.chain.added <= 1)",
                "packages newly installed: more than 1",
            ),
            (
                "resource.environment == Environment::\"production\"",
                "environment: production",
            ),
            (
                "context.category != Category::\"kernel\"",
                "category: not kernel",
            ),
            (
                "[RollbackSource::\"cached\", RollbackSource::\"mirror\"].contains(context.rollback.source)",
                "way back: cached or mirror",
            ),
            ("context.vuln has cves", "number of CVEs fixed: known"),
            ("!context.calendar.freeze", "no change freeze is on"),
            (
                "!(context.trial || context.policyLapsed)",
                "outside a trial and the policy's review is current",
            ),
            (
                "context.evidenceAge <= duration(\"6h\")",
                "age of the evidence: at most 6h",
            ),
            (
                "context.vuln.cvss.greaterThanOrEqual(decimal(\"7.0\"))",
                "CVSS score: at least 7.0",
            ),
            (
                "context.chain.upgraded + context.chain.added > 20",
                "further packages upgraded plus packages newly installed: more than 20",
            ),
            (
                "context.missing.contains(FactName::\"kev\")",
                "missing facts include kev",
            ),
            (
                "if context.vuln has kev then context.vuln.kev else false",
                "KEV listing: known and listed as exploited (KEV)",
            ),
            (
                "resource.tier == context.blast.hosts",
                "`resource.tier == context.blast.hosts`",
            ),
        ] {
            let rule = format!("permit (principal, action, resource) when {{ {source} }};");
            let tree = Policy::parse(None, rule).unwrap().to_pst().unwrap();
            let Clause::When(expression) = &tree.body().clauses()[0] else {
                panic!("a when");
            };
            assert_eq!(phrase(expression), words, "{source}");
        }
    }
}
