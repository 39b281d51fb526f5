//! The decision. Infallible by type: what cannot be decided is denied, with an alarm (invariant 2).
//! Order within one scope: a limit, then standing authority, then what may be asked for; across
//! scopes the strictest.

use crate::annotations::Rule;
use crate::conditions::Conjunct;
use crate::evaluation::{Asked, Evaluation, RuleSet};
use crate::policy::Policy;
use crate::request::Situation;
use crate::vocabulary::Unfit;
use cedar_policy::PolicyId;
use countersign_domain::facts::DecisionFacts;
use countersign_domain::{
    Decision, Digest, Duties, GroupId, GroupQuorum, Outcome, PersonId, Reason, RuleId, canonical,
};
use std::collections::{BTreeMap, BTreeSet};

/// Contradictions spelled out in one decision at most.
const CONTRADICTIONS_SHOWN: usize = 5;
/// Unmet conditions named for the nearest standing rule at most.
const UNMET_SHOWN: usize = 3;

/// A decision, and what an operator has to be told at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The decision.
    pub decision: Decision,
    /// Why the policy itself could not be evaluated, when it could not.
    pub alarm: Option<String>,
}

/// What one scope comes to.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) outcome: Option<Outcome>,
    rules: BTreeSet<RuleId>,
    withheld_by: BTreeSet<RuleId>,
    approvers: BTreeMap<GroupId, u32>,
    decide_within: Option<u32>,
    review_within: Option<u32>,
    owners: BTreeSet<PersonId>,
    reasons: Vec<Reason>,
}

impl Policy {
    /// Decides.
    #[must_use]
    pub fn decide(&self, facts: &DecisionFacts) -> Decided {
        match canonical::digest(facts) {
            Ok(digest) => self.decide_named(facts, digest),
            // Other bytes still tell one document from another.
            Err(error) => self.refuse(
                Digest::of(format!("{facts:?}").as_bytes()),
                error.to_string(),
            ),
        }
    }

    /// Decides on facts whose canonical digest is known already: whoever keeps them has made it.
    #[must_use]
    pub fn decide_named(&self, facts: &DecisionFacts, digest: Digest) -> Decided {
        match self.vocabulary().situations(facts, self.attributes()) {
            Ok(situations) => self.decide_on(facts, digest, &situations),
            Err(error) => self.refuse(digest, error.to_string()),
        }
    }

    /// Decides on what these facts were put into.
    pub(crate) fn decide_on(
        &self,
        facts: &DecisionFacts,
        digest: Digest,
        situations: &[Situation],
    ) -> Decided {
        let mut strictest = Verdict::default();
        for situation in situations {
            match self.judge(situation, facts.policy_lapsed) {
                Ok(verdict) => strictest.join(verdict),
                Err(error) => return self.refuse(digest, error.to_string()),
            }
        }
        Self::escalate_contradictions(&mut strictest, facts);
        Decided {
            decision: self.decision(strictest, digest),
            alarm: None,
        }
    }

    /// Decides one scope. While the policy's review has `lapsed`, what would be allowed asks
    /// (invariant 7).
    pub(crate) fn judge(&self, situation: &Situation, lapsed: bool) -> Result<Verdict, Unfit> {
        let book = self.book();
        let mut evaluation = Evaluation::new(&book.conditions, situation);
        // All four, always: an error in any of them denies, also where another has decided.
        let limits = self.holding(&mut evaluation, Asked::Request, &book.limits)?;
        let standing = self.holding(&mut evaluation, Asked::Execute, &book.standing)?;
        let withholding = self.holding(&mut evaluation, Asked::Execute, &book.withholding)?;
        let requests = self.holding(&mut evaluation, Asked::Request, &book.requests)?;

        if !limits.is_empty() {
            let outcome = if limits.iter().all(|rule| rule.escalates) {
                Outcome::Escalate
            } else {
                Outcome::Deny
            };
            let mut verdict = Verdict::by(outcome, &limits);
            // Escalating must not be a way to need fewer people than asking.
            verdict.need(requests.iter().flat_map(|rule| &rule.approvers));
            return Ok(verdict);
        }
        if !standing.is_empty() && withholding.is_empty() {
            if !lapsed {
                return Ok(Verdict::by(Outcome::Allow, &standing));
            }
            let rules = if requests.is_empty() {
                &standing
            } else {
                &requests
            };
            let mut verdict = Verdict::by(Outcome::Ask, rules);
            verdict.need(&self.settings().defaults.approvers);
            verdict.say(
                None,
                "the policy's periodic review has lapsed, so standing authority is suspended \
                 until it is signed again"
                    .into(),
            );
            return Ok(verdict);
        }
        if requests.is_empty() {
            let mut verdict = Verdict {
                outcome: Some(Outcome::Escalate),
                ..Verdict::default()
            };
            verdict.say(None, "no rule covers this".into());
            self.say_why_not(
                &mut verdict,
                &standing,
                &withholding,
                situation,
                &mut evaluation,
            );
            return Ok(verdict);
        }
        let mut verdict = Verdict::by(Outcome::Ask, &requests);
        self.say_why_not(
            &mut verdict,
            &standing,
            &withholding,
            situation,
            &mut evaluation,
        );
        Ok(verdict)
    }

    /// The rules that hold, by id; any error is an error.
    pub(crate) fn holding(
        &self,
        evaluation: &mut Evaluation<'_>,
        asked: Asked,
        rules: &RuleSet,
    ) -> Result<Vec<&Rule>, Unfit> {
        let of = |id| self.book().rules.get(id).ok_or(id);
        evaluation
            .holding(asked, rules)?
            .into_iter()
            .map(|id| of(id).map_err(|id| Unfit(format!("no account of rule `{id}`"))))
            .collect()
    }

    /// Says why no standing authority applied: what withheld it, or what the nearest rule misses.
    fn say_why_not(
        &self,
        verdict: &mut Verdict,
        standing: &[&Rule],
        withholding: &[&Rule],
        situation: &Situation,
        evaluation: &mut Evaluation<'_>,
    ) {
        if !standing.is_empty() {
            for rule in withholding {
                verdict.withheld_by.insert(rule.id.clone());
                verdict.say(Some(rule), rule.why.clone());
            }
            return;
        }
        let (request, entities) = (&situation.execute, &situation.entities);
        if let Some((id, unmet)) = self.nearest(evaluation)
            && let Some(rule) = self.book().rules.get(id)
        {
            let count = unmet.len();
            let mut words: Vec<_> = unmet
                .iter()
                .take(UNMET_SHOWN)
                .map(|one| one.unmet(request, entities))
                .collect();
            if count > UNMET_SHOWN {
                words.push(format!("and {} more", count - UNMET_SHOWN));
            }
            verdict.say(
                None,
                format!(
                    "no standing authority; the nearest, {} ({}), wants {}",
                    rule.id,
                    rule.title,
                    words.join("; ")
                ),
            );
        }
    }

    /// The standing rule that misses least, first of what the target is, then of all; and what it
    /// misses.
    fn nearest(&self, evaluation: &mut Evaluation<'_>) -> Option<(&PolicyId, Vec<&Conjunct>)> {
        let mut nearest: Option<((usize, usize), &PolicyId, Vec<&Conjunct>)> = None;
        for (id, conditions) in self.standing_conditions() {
            let unmet: Vec<_> = conditions
                .iter()
                .filter(|(number, _)| evaluation.holds(Asked::Execute, *number) == Ok(false))
                .map(|(_, one)| one)
                .collect();
            let elsewhere = unmet.iter().filter(|one| one.about_target).count();
            let misses = (elsewhere, unmet.len());
            if nearest.as_ref().is_none_or(|(best, _, _)| misses < *best) {
                nearest = Some((misses, id, unmet));
            }
        }
        nearest.map(|(_, id, unmet)| (id, unmet))
    }

    /// What holds whatever the rules say: contradictions escalate (invariant 3).
    fn escalate_contradictions(verdict: &mut Verdict, facts: &DecisionFacts) {
        if !facts.contradictions.is_empty() && verdict.outcome < Some(Outcome::Escalate) {
            *verdict = Verdict {
                outcome: Some(Outcome::Escalate),
                approvers: std::mem::take(&mut verdict.approvers),
                decide_within: verdict.decide_within,
                ..Verdict::default()
            };
        }
        for one in facts.contradictions.iter().take(CONTRADICTIONS_SHOWN) {
            let shown = |text| countersign_domain::text::shown(text, 80);
            verdict.say(
                None,
                format!(
                    "the agent claims `{}` is `{}`, but it is `{}` ({})",
                    shown(&one.field),
                    shown(&one.claimed),
                    shown(&one.fact),
                    shown(&one.source)
                ),
            );
        }
    }

    fn decision(&self, mut verdict: Verdict, facts: Digest) -> Decision {
        let settings = self.settings();
        // INVARIANT (silence denies): nothing decided means deny.
        let outcome = verdict.outcome.unwrap_or(Outcome::Deny);
        match outcome {
            Outcome::Ask => {}
            Outcome::Escalate => verdict.need([&GroupQuorum {
                group: settings.escalation.group.clone(),
                quorum: settings.escalation.people,
            }]),
            Outcome::Allow | Outcome::Deny => verdict.approvers.clear(),
        }
        Decision {
            outcome,
            rules: verdict.rules.into_iter().collect(),
            withheld_by: verdict.withheld_by.into_iter().collect(),
            duties: Duties {
                approvers: verdict
                    .approvers
                    .into_iter()
                    .map(|(group, quorum)| GroupQuorum { group, quorum })
                    .collect(),
                decide_within_seconds: verdict
                    .decide_within
                    .unwrap_or(settings.defaults.decide_within),
                review_within_seconds: verdict
                    .review_within
                    .unwrap_or(settings.defaults.review_within),
                rule_owners: verdict.owners.into_iter().collect(),
            },
            reasons: verdict.reasons,
            policy: self.digest(),
            facts,
        }
    }

    fn refuse(&self, facts: Digest, alarm: String) -> Decided {
        let mut verdict = Verdict {
            outcome: Some(Outcome::Deny),
            ..Verdict::default()
        };
        verdict.say(
            None,
            "the policy could not be evaluated on these facts, so nothing may run; the operator \
             has been alarmed"
                .into(),
        );
        Decided {
            decision: self.decision(verdict, facts),
            alarm: Some(alarm),
        }
    }
}

impl Verdict {
    /// `outcome` because of `rules`, with their duties.
    fn by(outcome: Outcome, rules: &[&Rule]) -> Self {
        let mut verdict = Self {
            outcome: Some(outcome),
            ..Self::default()
        };
        for rule in rules {
            verdict.rules.insert(rule.id.clone());
            verdict.owners.extend(rule.owners.iter().cloned());
            verdict.decide_within = shorter(verdict.decide_within, rule.decide_within_seconds);
            verdict.review_within = shorter(verdict.review_within, rule.review_within_seconds);
            verdict.need(&rule.approvers);
            verdict.say(Some(rule), rule.why.clone());
        }
        verdict
    }

    /// Adds groups that have to agree, each with its highest quorum.
    fn need<'a>(&mut self, groups: impl IntoIterator<Item = &'a GroupQuorum>) {
        for one in groups {
            let quorum = self.approvers.entry(one.group.clone()).or_insert(0);
            *quorum = (*quorum).max(one.quorum);
        }
    }

    fn say(&mut self, rule: Option<&Rule>, text: String) {
        let reason = Reason {
            rule: rule.map(|rule| rule.id.clone()),
            text,
        };
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    /// Joins another scope's verdict: the stricter stands, equals unite. Whoever has to agree for
    /// one scope has to agree for all: there is one approval for the whole change.
    fn join(&mut self, mut other: Self) {
        if self.outcome < other.outcome {
            std::mem::swap(self, &mut other);
        }
        for (group, quorum) in std::mem::take(&mut other.approvers) {
            self.need([&GroupQuorum { group, quorum }]);
        }
        self.decide_within = shorter(self.decide_within, other.decide_within);
        if self.outcome == other.outcome {
            self.rules.extend(other.rules);
            self.withheld_by.extend(other.withheld_by);
            self.owners.extend(other.owners);
            self.review_within = shorter(self.review_within, other.review_within);
            for reason in other.reasons {
                if !self.reasons.contains(&reason) {
                    self.reasons.push(reason);
                }
            }
        }
    }
}

/// The shorter of two times, where there are any.
fn shorter(a: Option<u32>, b: Option<u32>) -> Option<u32> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests;
