//! `cases/*.toml`: what a policy must decide, checked whenever it loads. A case names base facts,
//! overrides some, and says what has to come of it; a seat does the same for people.

use crate::finding::Finding;
use crate::policy::Policy;
use crate::seat::{HumanAction, Seat};
use countersign_domain::facts::DecisionFacts;
use countersign_domain::{GroupQuorum, Outcome, RuleId};
use serde::Serialize;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// What came of one case.
#[derive(Debug, Clone, Serialize)]
pub struct CaseResult {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The case.
    pub name: String,
    /// What is not as it should be, each naming its field; empty when the case is fulfilled.
    pub failures: Vec<String>,
}

/// Runs all cases.
#[must_use]
pub fn run_cases(policy: &Policy) -> Vec<CaseResult> {
    policy
        .cases()
        .iter()
        .map(|case| {
            let place = case.finding("");
            CaseResult {
                file: case.file.clone(),
                line: place.line,
                name: case.name.clone(),
                failures: case.failures(policy),
            }
        })
        .collect()
}

/// One case, read.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) file: String,
    pub(crate) text: Arc<str>,
    pub(crate) span: Range<usize>,
    pub(crate) name: String,
    pub(crate) wanted: Wanted,
}

/// What has to come of a case.
#[derive(Debug)]
pub(crate) enum Wanted {
    Decision {
        facts: Box<DecisionFacts>,
        outcome: Outcome,
        rules: Option<BTreeSet<RuleId>>,
        withheld_by: Option<BTreeSet<RuleId>>,
        approvers: Option<Vec<GroupQuorum>>,
    },
    Seating {
        seat: Box<Seat>,
        may: HumanAction,
        allowed: bool,
        rules: Option<BTreeSet<RuleId>>,
    },
}

impl Case {
    pub(crate) fn finding(&self, message: &str) -> Finding {
        let text = format!("case `{}`: {message}", self.name);
        Finding::at(&self.file, &self.text, self.span.clone(), text)
    }

    pub(crate) fn findings(&self, policy: &Policy) -> Vec<Finding> {
        let hint = "correct the rules or the case; a policy whose cases fail is never in force";
        self.failures(policy)
            .iter()
            .map(|failure| self.finding(failure).hint(hint))
            .collect()
    }

    pub(crate) fn rules_named(&self) -> impl Iterator<Item = &RuleId> {
        let (rules, more) = match &self.wanted {
            Wanted::Decision {
                rules, withheld_by, ..
            } => (rules, withheld_by.as_ref()),
            Wanted::Seating { rules, .. } => (rules, None),
        };
        rules.iter().chain(more).flatten()
    }

    fn failures(&self, policy: &Policy) -> Vec<String> {
        let mut failures = Vec::new();
        match &self.wanted {
            Wanted::Decision {
                facts,
                outcome,
                rules,
                withheld_by,
                approvers,
            } => {
                let decided = policy.decide(facts);
                let decision = decided.decision;
                if decision.outcome != *outcome {
                    let why: Vec<_> = decision.reasons.iter().map(|r| r.text.as_str()).collect();
                    failures.push(format!(
                        "`expect`: `{}`, but it is `{}` ({})",
                        outcome.as_str(),
                        decision.outcome.as_str(),
                        why.join("; ")
                    ));
                }
                compare("rules", rules.as_ref(), &decision.rules, &mut failures);
                compare(
                    "withheld_by",
                    withheld_by.as_ref(),
                    &decision.withheld_by,
                    &mut failures,
                );
                if let Some(wanted) = approvers
                    && *wanted != decision.duties.approvers
                {
                    failures.push(format!(
                        "`approvers`: `{}`, but they are `{}`",
                        quorums(wanted),
                        quorums(&decision.duties.approvers)
                    ));
                }
                failures.extend(decided.alarm);
            }
            Wanted::Seating {
                seat,
                may,
                allowed,
                rules,
            } => {
                let seating = policy.may(seat, *may);
                if seating.allowed != *allowed {
                    let why: Vec<_> = seating.reasons.iter().map(|r| r.text.as_str()).collect();
                    failures.push(format!(
                        "`expect`: {allowed}, but it is {} ({})",
                        seating.allowed,
                        why.join("; ")
                    ));
                }
                compare("rules", rules.as_ref(), &seating.rules, &mut failures);
                failures.extend(seating.alarm);
            }
        }
        failures
    }
}

fn compare(
    field: &str,
    wanted: Option<&BTreeSet<RuleId>>,
    found: &[RuleId],
    failures: &mut Vec<String>,
) {
    if let Some(wanted) = wanted
        && !wanted.iter().eq(found)
    {
        let list = |ids: Vec<&str>| {
            if ids.is_empty() {
                "none".to_owned()
            } else {
                ids.join(", ")
            }
        };
        failures.push(format!(
            "`{field}`: {}, but it is {}",
            list(wanted.iter().map(RuleId::as_str).collect()),
            list(found.iter().map(RuleId::as_str).collect())
        ));
    }
}

fn quorums(approvers: &[GroupQuorum]) -> String {
    let words: Vec<_> = approvers
        .iter()
        .map(|one| format!("{}={}", one.group, one.quorum))
        .collect();
    words.join(", ")
}

#[cfg(test)]
mod tests;
