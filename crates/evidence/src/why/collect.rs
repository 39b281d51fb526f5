//! Gathers what the replay proved about one change. What was not proven does not come in here; it
//! is a finding.

use super::aftermath::{Closed, ExecutedOn, HaltLine, IssuedWarrant, Noted, Review};
use super::model::{Asked, Authorized, Decided, Planned, Proofs, Rationale, VoteCast, Why};
use crate::finding::{FindingKind, Findings, Note};
use crate::replay::{Proven, Replay};
use crate::source::Source;
use countersign_domain::entry::{Entry, Event, LogEntry};
use countersign_domain::statement::HaltScope;
use countersign_domain::{ChangeId, Digest, Environment, HostId, RuleId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

pub(super) struct Collector<'s> {
    pub(super) source: &'s dyn Source,
    pub(super) change: ChangeId,
    pub(super) rationale: Option<Digest>,
    pub(super) asked: Option<Asked>,
    pub(super) plans: BTreeMap<HostId, Planned>,
    pub(super) decisions: Vec<Decided>,
    pub(super) votes: Vec<VoteCast>,
    pub(super) authorized: Vec<Authorized>,
    pub(super) executions: BTreeMap<HostId, ExecutedOn>,
    pub(super) closed: Option<Closed>,
    pub(super) review: Option<Review>,
    pub(super) halts: Vec<HaltLine>,
    pub(super) alarms: Vec<Noted>,
    pub(super) environments: BTreeSet<Environment>,
    pub(super) rules: BTreeSet<RuleId>,
    pub(super) last: u64,
}

impl<'s> Collector<'s> {
    pub(super) fn new(source: &'s dyn Source, change: &ChangeId) -> Self {
        Self {
            source,
            change: change.clone(),
            rationale: None,
            asked: None,
            plans: BTreeMap::new(),
            decisions: Vec::new(),
            votes: Vec::new(),
            authorized: Vec::new(),
            executions: BTreeMap::new(),
            closed: None,
            review: None,
            halts: Vec::new(),
            alarms: Vec::new(),
            environments: BTreeSet::new(),
            rules: BTreeSet::new(),
            last: 0,
        }
    }

    /// The entries of policy versions that decisions rest on.
    pub(super) fn policy_entries(&self) -> impl Iterator<Item = u64> {
        self.decisions
            .iter()
            .filter_map(|decided| decided.policy.as_ref())
            .map(|policy| policy.entry)
    }

    /// The proposal's entry in the recommendations log.
    pub(super) fn recommendation(&self) -> Option<u64> {
        self.asked.as_ref().map(|asked| asked.recommendation)
    }

    /// Takes one entry and what it proved.
    pub(super) fn take(
        &mut self,
        index: u64,
        entry: &LogEntry,
        proven: Proven,
        replay: &Replay,
        in_trail: bool,
        note: &mut Note<'_>,
    ) {
        let ours = match (entry, &proven) {
            (LogEntry::Entry(entry), _) => entry.event.change() == Some(&self.change),
            (LogEntry::Warrant(_), Proven::Warrant(warrant)) => warrant.txn == self.change,
            // Said already: it does not verify.
            (LogEntry::Warrant(_), _) => return,
        };
        if in_trail {
            note.expect(
                ours,
                FindingKind::Link,
                format!(
                    "this entry was given as one of change `{}`, but is not",
                    self.change
                ),
            );
        }
        if ours {
            self.last = self.last.max(index);
        }
        let entry = match entry {
            LogEntry::Entry(entry) => entry,
            LogEntry::Warrant(_) => {
                if let (true, Proven::Warrant(warrant)) = (ours, proven) {
                    let issued = IssuedWarrant {
                        warrant: *warrant.digest(),
                        issued_at: Timestamp::from_unix_seconds(warrant.iat),
                        expires_at: Timestamp::from_unix_seconds(warrant.exp),
                        entry: index,
                    };
                    self.rules.extend(warrant.basis.rules.iter().cloned());
                    self.execution(&warrant.aud).warrant = Some(issued);
                }
                return;
            }
        };
        match &proven {
            Proven::HaltMoved(people) => self.halt(index, entry, people, replay),
            _ if ours => self.ours(index, entry, &proven, replay, note),
            _ => {}
        }
    }

    fn ours(
        &mut self,
        index: u64,
        entry: &Entry,
        proven: &Proven,
        replay: &Replay,
        note: &mut Note<'_>,
    ) {
        match (&entry.event, proven) {
            (_, Proven::Proposed(proposal)) => self.proposed(index, entry, proposal, replay),
            (_, Proven::Prepared(plan)) => {
                self.plans
                    .insert(plan.host.clone(), super::story::planned(index, plan));
            }
            (_, Proven::Voted(statement, groups)) => {
                let cast = self.vote(index, statement, groups.clone(), replay, note);
                self.votes.extend(cast);
            }
            (_, Proven::Started(notice)) => {
                let started = self.start(notice.started_at, index);
                self.execution(&notice.host).started = Some(started);
            }
            (_, Proven::Settled(receipt)) => self.settled(index, receipt),
            (Event::EndingStated { host, .. }, Proven::EndingStated(statement)) => {
                self.ending_stated(index, host, statement, replay, note);
            }
            (_, Proven::Reviewed(statement)) => self.reviewed(index, statement, replay, note),
            (Event::Decided { .. }, _) => self.decided(index, entry, replay, note),
            (Event::Authorized { .. }, _) => self.authorize(index, entry, replay),
            (Event::Unprepared { host, why, .. }, _) => {
                self.execution(host).unprepared = Some(why.clone());
            }
            (
                Event::ExecutionClosed {
                    host, closing, why, ..
                },
                _,
            ) => self.execution(host).closed = Some((*closing, why.clone())),
            (
                Event::ExecutionReconciled {
                    host, ending, why, ..
                },
                _,
            ) => self.execution(host).reconciled = Some((*ending, why.clone())),
            (Event::Closed { closing, why, .. }, _) => {
                self.closed = Some(Closed {
                    closing: *closing,
                    why: why.clone(),
                    at: entry.at,
                    entry: index,
                });
            }
            (Event::ReviewRequired { due_at, .. }, _) => {
                self.review = Some(Review {
                    due_at: *due_at,
                    overdue_rung: 0,
                    done: None,
                });
            }
            (Event::ReviewOverdue { rung, .. }, _) => {
                if let Some(review) = &mut self.review {
                    review.overdue_rung = *rung;
                }
            }
            (Event::Alarm { kind, text, .. }, _) => self.alarms.push(Noted {
                at: entry.at,
                kind: kind.clone(),
                text: text.clone(),
                entry: index,
            }),
            // Whatever else: it did not verify, and is a finding.
            _ => {}
        }
    }

    pub(super) fn execution(&mut self, host: &HostId) -> &mut ExecutedOn {
        self.executions
            .entry(host.clone())
            .or_insert_with(|| ExecutedOn {
                host: host.clone(),
                wave: 0,
                state: String::new(),
                warrant: None,
                started: None,
                ended: None,
                closed: None,
                reconciled: None,
                stated: None,
                unprepared: None,
            })
    }

    /// True when a halt concerns this change.
    fn covers(&self, halt: &HaltScope) -> bool {
        match halt {
            HaltScope::Everything => true,
            HaltScope::Agent(agent) => self
                .asked
                .as_ref()
                .is_some_and(|asked| asked.agent == *agent),
            HaltScope::Rule(rule) => self.rules.contains(rule),
            HaltScope::Environment(environment) => self.environments.contains(environment),
        }
    }

    /// All of it.
    pub(super) fn finish(
        mut self,
        replay: &Replay,
        proofs: Proofs,
        mut findings: Findings,
        now: Timestamp,
    ) -> Why {
        let change = replay.change(&self.change);
        let first = self.asked.as_ref().map_or(0, |asked| asked.entry);
        let last = if change.is_some_and(|change| change.state.is_final()) {
            self.last
        } else {
            u64::MAX
        };
        let halts = std::mem::take(&mut self.halts)
            .into_iter()
            .filter(|line| (first..=last).contains(&line.entry) && self.covers(&line.halt))
            .collect();
        for (host, execution) in change.iter().flat_map(|change| &change.executions) {
            self.execution(host).state = execution.state.to_string();
        }
        let rationale = match self.rationale {
            None => Rationale::None,
            Some(digest) => {
                let index = self.asked.as_ref().map(|asked| asked.entry);
                let mut note = findings.at(crate::LogName::Authorizations, index);
                self.text(&digest, &mut note)
                    .map_or(Rationale::Erased, Rationale::Claimed)
            }
        };
        let mut executions: Vec<_> = self.executions.into_values().collect();
        executions.sort_by(|a, b| (a.wave, &a.host).cmp(&(b.wave, &b.host)));
        Why {
            change: self.change,
            state: change.map_or_else(|| "not proven".into(), |change| change.state.to_string()),
            trial: replay.roster().is_some_and(|roster| roster.trial),
            as_of: now,
            findings,
            asked: self.asked,
            plans: self.plans.into_values().collect(),
            decisions: self.decisions,
            votes: self.votes,
            authorized: self.authorized,
            executions,
            closed: self.closed,
            review: self.review,
            halts,
            alarms: self.alarms,
            proofs,
            rationale,
        }
    }
}
