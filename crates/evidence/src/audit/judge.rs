//! Links actions with change records, and judges each. A reference alone is a text that anybody can
//! type: it counts fully only where the change record itself names the system, covers the time, and
//! has not been used up. Whether more records are there never makes a verdict worse: each action gets
//! the best of what its candidates come to, and each candidate is judged by itself.

use super::model::{
    Action, Actor, Change, ChangeKind, Decision, Format, Nature, Outcome, Plan, Reference,
};
use super::moment::Order;
use super::people::{Known, People};
use super::reason::{Reason, Verdict};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// An approval without a window covers one run: what begins within so many seconds of the first
/// action that uses it, on the same system.
pub const RUN_SECONDS: i64 = 4 * 3600;

/// Whose doing an action is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// An automation's: these are judged.
    Automation,
    /// A named human's own.
    NamedHuman,
    /// The log cannot tell. Never guessed.
    CannotTell,
}

/// How an action and a change record are connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// By what the action names.
    Reference(Reference),
    /// By system and time alone.
    SystemAndTime,
}

/// What was found of one action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Whose doing it is.
    pub by: By,
    /// The verdict; of automations' actions only it counts.
    pub verdict: Verdict,
    /// Everything that keeps it from being clean.
    pub reasons: BTreeSet<Reason>,
    /// The record that it rests on, by its place in the list.
    pub change: Option<usize>,
    /// The decision that it rests on, by its place in the list.
    pub decision: Option<usize>,
    /// How they are connected.
    pub link: Option<Link>,
}

/// What actions are judged on.
#[derive(Debug, Clone, Copy)]
pub struct Records<'a> {
    /// Change records.
    pub changes: &'a [Change],
    /// Decisions on them.
    pub decisions: &'a [Decision],
    /// Who is who.
    pub people: &'a People,
    /// By how many seconds clocks may differ.
    pub skew_seconds: i64,
}

/// Judges every action, in their order.
#[must_use]
pub fn judge(actions: &[Action], records: Records<'_>) -> Vec<Judged> {
    let index = Index::of(actions, records);
    actions.iter().map(|action| index.judge(action)).collect()
}

/// Whose doing it is. Only the registry makes a human a named one.
#[must_use]
pub fn by(action: &Action, people: &People) -> By {
    match (action.actor.nature, people.look_up(&action.actor)) {
        (Nature::Automation, _) | (_, Known::Automation) => By::Automation,
        (Nature::Person, Known::Person(_)) => By::NamedHuman,
        _ => By::CannotTell,
    }
}

struct Index<'a> {
    records: Records<'a>,
    by_reference: HashMap<&'a Reference, Vec<usize>>,
    /// Changes with a window, by system.
    by_target: HashMap<String, Vec<usize>>,
    decisions: HashMap<&'a str, Vec<usize>>,
    /// For each change without a window and each system: when its one run began, in milliseconds.
    runs: BTreeMap<(usize, String), i64>,
}

/// What a change record comes to for an action.
struct Candidate {
    verdict: Verdict,
    reasons: BTreeSet<Reason>,
    change: usize,
    decision: Option<usize>,
    link: Link,
}

impl Candidate {
    /// The best first; then something that does not depend on the order of files.
    fn rank<'a>(&'a self, records: Records<'a>) -> impl Ord + 'a {
        let change = records.changes.get(self.change);
        let decision = self.decision.and_then(|at| records.decisions.get(at));
        (
            self.verdict,
            self.reasons.len(),
            &self.reasons,
            self.link == Link::SystemAndTime,
            change.map_or("", |change| change.key.as_str()),
            decision.map(|decision| (&decision.approver, decision.decided)),
        )
    }
}

impl<'a> Index<'a> {
    fn of(actions: &'a [Action], records: Records<'a>) -> Self {
        let mut by_reference: HashMap<&Reference, Vec<usize>> = HashMap::new();
        let mut by_target: HashMap<String, Vec<usize>> = HashMap::new();
        for (number, change) in records.changes.iter().enumerate() {
            for reference in change.references.iter().chain(&change.unclear) {
                by_reference.entry(reference).or_default().push(number);
            }
            if change.window.is_some() {
                for target in &change.targets {
                    by_target.entry(label(target)).or_default().push(number);
                }
            }
        }
        let mut decisions: HashMap<&str, Vec<usize>> = HashMap::new();
        for (number, decision) in records.decisions.iter().enumerate() {
            decisions.entry(&decision.change).or_default().push(number);
        }
        let mut index = Self {
            records,
            by_reference,
            by_target,
            decisions,
            runs: BTreeMap::new(),
        };
        for action in actions {
            for (number, _) in index.named(action) {
                let Some(change) = records.changes.get(number) else {
                    continue;
                };
                if change.window.is_none() && names(change, &action.system) {
                    let at = action.started.earliest.unix_millis();
                    index
                        .runs
                        .entry((number, label(&action.system)))
                        .and_modify(|first| *first = (*first).min(at))
                        .or_insert(at);
                }
            }
        }
        index
    }

    /// The changes that an action names, each with the first reference that does.
    fn named(&self, action: &Action) -> BTreeMap<usize, Reference> {
        let mut found = BTreeMap::new();
        for reference in &action.references {
            for number in self.by_reference.get(reference).into_iter().flatten() {
                let unclear = |reference: &Reference| {
                    let change = self.records.changes.get(*number);
                    change.is_some_and(|change| change.unclear.contains(reference))
                };
                // One that is clear says more than one that is not.
                found
                    .entry(*number)
                    .and_modify(|known| {
                        if unclear(known) && !unclear(reference) {
                            known.clone_from(reference);
                        }
                    })
                    .or_insert_with(|| reference.clone());
            }
        }
        found
    }

    fn judge(&self, action: &Action) -> Judged {
        let by = by(action, self.records.people);
        let mut links: BTreeMap<usize, Link> = self
            .named(action)
            .into_iter()
            .map(|(number, reference)| (number, Link::Reference(reference)))
            .collect();
        for number in self
            .by_target
            .get(&label(&action.system))
            .into_iter()
            .flatten()
        {
            let change = self.records.changes.get(*number);
            if change
                .is_some_and(|change| names(change, &action.system) && !outside(change, action))
            {
                links.entry(*number).or_insert(Link::SystemAndTime);
            }
        }
        let best = links
            .into_iter()
            .filter_map(|(number, link)| self.candidate(action, number, link))
            .min_by(|one, other| one.rank(self.records).cmp(&other.rank(self.records)));
        match best {
            Some(best) => Judged {
                by,
                verdict: best.verdict,
                reasons: best.reasons,
                change: Some(best.change),
                decision: best.decision,
                link: Some(best.link),
            },
            None => Judged {
                by,
                verdict: Verdict::Ungoverned,
                reasons: BTreeSet::from([Reason::NoRecord]),
                change: None,
                decision: None,
                link: None,
            },
        }
    }

    /// The best that a change record comes to for an action.
    fn candidate(&self, action: &Action, number: usize, link: Link) -> Option<Candidate> {
        let change = self.records.changes.get(number)?;
        let base = self.of_the_record(action, number, change, &link);
        let keys = std::iter::once(&change.key).chain(&change.also);
        let decisions: Vec<(usize, &Decision)> = keys
            .filter_map(|key| self.decisions.get(key.as_str()))
            .flatten()
            .filter_map(|at| Some((*at, self.records.decisions.get(*at)?)))
            .collect();
        let with = |verdict, reason, decision| {
            let mut reasons = base.clone();
            reasons.insert(reason);
            Candidate {
                verdict,
                reasons,
                change: number,
                decision,
                link: link.clone(),
            }
        };
        if change.withdrawn {
            return Some(with(Verdict::Ungoverned, Reason::Withdrawn, None));
        }
        let approved = |(_, decision): &&(usize, &Decision)| decision.outcome == Outcome::Approved;
        let contested = decisions
            .iter()
            .any(|(_, no)| self.stands_against(no, &decisions));
        let best = decisions
            .iter()
            .filter(approved)
            .map(|(at, decision)| {
                let mut reasons = base.clone();
                if contested {
                    reasons.insert(Reason::Contested);
                }
                reasons.extend(self.of_the_decision(action, change, decision));
                let verdict = if reasons.contains(&Reason::ApprovedLate) {
                    Verdict::Ungoverned
                } else if reasons.is_empty() {
                    Verdict::Clean
                } else {
                    Verdict::Partial
                };
                Candidate {
                    verdict,
                    reasons,
                    change: number,
                    decision: Some(*at),
                    link: link.clone(),
                }
            })
            .min_by(|one, other| one.rank(self.records).cmp(&other.rank(self.records)));
        Some(best.unwrap_or_else(|| match change.kind {
            ChangeKind::Standard => with(Verdict::Partial, Reason::NoTemplateApprover, None),
            ChangeKind::Normal | ChangeKind::Emergency => {
                with(Verdict::Ungoverned, Reason::NotApproved, None)
            }
        }))
    }

    /// What is missing whoever approved.
    fn of_the_record(
        &self,
        action: &Action,
        number: usize,
        change: &Change,
        link: &Link,
    ) -> BTreeSet<Reason> {
        let mut reasons = BTreeSet::new();
        if *link == Link::SystemAndTime {
            reasons.insert(Reason::WeakLink);
        }
        if let Link::Reference(reference) = link
            && change.unclear.contains(reference)
        {
            reasons.insert(Reason::ControllerUnclear);
        }
        // The id of a run is used once, by that run.
        let of_this_run = names_run(change, action);
        if !of_this_run && !names(change, &action.system) {
            reasons.insert(Reason::TargetNotNamed);
        } else if !of_this_run && change.window.is_none() {
            let first = self.runs.get(&(number, label(&action.system)));
            let at = action.started.latest.unix_millis();
            if first.is_some_and(|first| at.saturating_sub(*first) > RUN_SECONDS * 1000) {
                reasons.insert(Reason::UsedUp);
            }
        }
        if outside(change, action) {
            reasons.insert(Reason::OutsideWindow);
        }
        if change.pending {
            reasons.insert(Reason::Pending);
        }
        // Only what its own log tells of ran under the warrant; anybody can type its id.
        if change.format == Format::Countersign && action.format != Format::Countersign {
            reasons.insert(Reason::UsedUp);
        }
        if change.test == Plan::Missing {
            reasons.insert(Reason::NoTest);
        }
        if change.rollback == Plan::Missing {
            reasons.insert(Reason::NoRollback);
        }
        reasons
    }

    /// What is missing in this approval.
    fn of_the_decision(
        &self,
        action: &Action,
        change: &Change,
        decision: &Decision,
    ) -> BTreeSet<Reason> {
        let people = self.records.people;
        let mut reasons = BTreeSet::new();
        if change
            .unclear
            .contains(&Reference::Native(decision.change.clone()))
        {
            reasons.insert(Reason::ControllerUnclear);
        }
        match (decision.approver.nature, people.look_up(&decision.approver)) {
            (Nature::Automation, _) | (_, Known::Automation) => {
                reasons.insert(Reason::ApproverAutomation);
            }
            (Nature::Group, _) | (_, Known::Group) => {
                reasons.insert(Reason::ApproverGroup);
            }
            (_, Known::Person(_)) => {}
            (_, Known::Unknown) => {
                reasons.insert(Reason::ApproverUnknown);
            }
        }
        let same = |other: &Actor| people.same(&decision.approver, other);
        if same(&action.actor) || change.requesters.iter().any(same) {
            reasons.insert(Reason::SelfApproval);
        }
        if decision
            .entered_by
            .as_ref()
            .is_some_and(|other| !people.same(other, &decision.approver))
        {
            reasons.insert(Reason::EnteredByAnother);
        }
        if let (Some(seen), Some(used)) = (&decision.commit, &change.head)
            && !seen.eq_ignore_ascii_case(used)
        {
            reasons.insert(Reason::StaleCommit);
        }
        match &decision.decided {
            None => {
                reasons.insert(Reason::NoDecisionTime);
            }
            Some(decided) => match decided.order(&action.started, self.records.skew_seconds) {
                Order::NotAfter => {}
                Order::Unclear => {
                    reasons.insert(Reason::ClockUnclear);
                }
                Order::After if change.kind == ChangeKind::Emergency => {
                    reasons.insert(Reason::EmergencyApprovedAfter);
                }
                Order::After => {
                    reasons.insert(Reason::ApprovedLate);
                }
            },
        }
        reasons
    }

    /// A rejection that whoever gave it did not take back.
    fn stands_against(&self, no: &Decision, all: &[(usize, &Decision)]) -> bool {
        no.outcome == Outcome::Rejected
            && !all.iter().any(|(_, yes)| {
                yes.outcome == Outcome::Approved
                    && self.records.people.same(&yes.approver, &no.approver)
                    && match (&no.decided, &yes.decided) {
                        (Some(no), Some(yes)) => no.order(yes, 0) == Order::NotAfter,
                        _ => false,
                    }
            })
    }
}

/// A system's name, as it is compared: without its domain, in lower case.
pub(crate) fn label(system: &str) -> String {
    let first = match system.split_once('.') {
        // An address is no name with a domain.
        Some((first, _)) if !first.bytes().all(|b| b.is_ascii_digit()) => first,
        _ => system,
    };
    first.to_lowercase()
}

/// Whether a change record names a system: exactly, or one of both without its domain.
fn names(change: &Change, system: &str) -> bool {
    change.targets.iter().any(|target| {
        target.eq_ignore_ascii_case(system)
            || (label(target) == label(system) && (!target.contains('.') || !system.contains('.')))
    })
}

/// Whether a change record is of the very run that the action belongs to: both carry the id that the
/// acting system gave it. No text gives such a reference, so nobody can type it.
fn names_run(change: &Change, action: &Action) -> bool {
    let native = |reference: &&Reference| matches!(reference, Reference::Native(_));
    change.format == action.format
        && action.references.iter().filter(native).any(|reference| {
            change.references.contains(reference) || change.unclear.contains(reference)
        })
}

/// Whether an action ran outside its change's window, or may have.
fn outside(change: &Change, action: &Action) -> bool {
    change.window.as_ref().is_some_and(|(from, until)| {
        let ended = action.ended.unwrap_or(action.started);
        from.order(&action.started, 0) != Order::NotAfter
            || ended.order(until, 0) != Order::NotAfter
    })
}

#[cfg(test)]
mod tests;
