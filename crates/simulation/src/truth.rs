//! What is true in a simulation, kept apart from everything that is tested: who signed what, what
//! happened to which machine, and a plain reading of the log. It judges nothing; see `checks`.

use crate::actors;
use crate::machine::Effect;
use countersign_domain::entry::{Event, ExecutionClosing, LogEntry};
use countersign_domain::receipt::Ending;
use countersign_domain::roster::Operation;
use countersign_domain::statement::{HaltScope, SignedStatement, Statement, Subject, Vote};
use countersign_domain::warrant::Ground;
use countersign_domain::{
    ChangeId, Decision, Digest, Environment, HostId, PersonId, PreparedPlan, Proposal, Receipt,
    RosterChange, Timestamp, Warrant, canonical, jws,
};
use countersign_host::journal::Phase;
use std::collections::{BTreeMap, BTreeSet};

/// One host's part in a change, as the log tells it.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// Its warrant.
    pub warrant: Option<Digest>,
    /// How it ended; `None` within: closed by the gate before it could.
    pub ended: Option<Option<Ending>>,
    /// True when the gate has given up waiting for its word.
    pub silent: bool,
    /// True when it dropped out.
    pub out: bool,
    /// True when it began, by its receipt or notice.
    pub ran: bool,
}

/// A change, as the log tells it.
#[derive(Debug, Clone)]
pub struct Told {
    /// What was proposed.
    pub proposal: Proposal,
    /// The decision that stands, with the digest it is about.
    pub decided: Option<(Decision, Digest)>,
    /// Votes since then.
    pub votes: Vec<(PersonId, Vote)>,
    /// The ground on which it may run, and until when.
    pub authorized: Option<(Ground, Timestamp)>,
    /// Each host's part.
    pub parts: BTreeMap<HostId, Part>,
    /// True when a review was asked for.
    pub review: bool,
}

impl Told {
    /// True when one of its hosts is in production.
    #[must_use]
    pub fn in_production(&self) -> bool {
        self.proposal
            .hosts()
            .any(|host| actors::environment(host.as_str()) == Environment::Production)
    }
}

/// Everything that is known to be true.
#[derive(Debug, Default)]
pub struct Truth {
    /// Proposals that agents really made, by change.
    pub proposals: BTreeMap<ChangeId, Proposal>,
    /// The recommendations as they were signed, by the digest of their bytes.
    pub recommended: BTreeSet<Digest>,
    /// Changes whose claims are false.
    pub lies: BTreeSet<ChangeId>,
    /// Statements that people really signed.
    pub signed: BTreeSet<Digest>,
    /// Plans that hosts really made, with the host.
    pub plans: BTreeMap<Digest, PreparedPlan>,
    /// What happened to machines.
    pub effects: Vec<(&'static str, Effect, Timestamp)>,
    /// The changes in the log.
    pub changes: BTreeMap<ChangeId, Told>,
    /// The warrants in the log.
    pub warrants: BTreeMap<Digest, Warrant>,
    /// Statements and receipts in the log.
    pub logged: BTreeSet<Digest>,
    /// What is halted.
    pub halted: BTreeSet<HaltScope>,
    /// When each halt epoch began, from 1.
    pub epochs: Vec<Timestamp>,
    /// Fingerprints that were revoked.
    pub revoked: BTreeSet<String>,
    /// The policy in force, and when its review is due.
    pub policy: Option<(Digest, Timestamp)>,
}

/// The payload of a document, unverified.
pub fn payload<T: serde::de::DeserializeOwned + serde::Serialize>(text: &str) -> Option<T> {
    canonical::from_bytes(&jws::take_apart(text).ok()?.payload).ok()
}

/// A statement's content.
#[must_use]
pub fn said(signed: &SignedStatement) -> Option<Statement> {
    signed.unverified().ok()
}

/// The digest of a statement together with its signature.
#[must_use]
pub fn digest(signed: &SignedStatement) -> Digest {
    Digest::of(format!("{}\n{}", signed.statement, signed.signature).as_bytes())
}

impl Truth {
    /// How often a transition happened under a warrant, in a direction.
    #[must_use]
    pub fn count(&self, warrant: &Digest, phase: Phase, package: &str) -> usize {
        let same = |effect: &Effect| {
            effect.warrant.as_ref() == Some(warrant)
                && effect.phase == phase
                && effect.transition.name.as_str() == package
        };
        self.effects
            .iter()
            .filter(|(_, effect, _)| same(effect))
            .count()
    }

    /// True when everything that the warrant permits is in place, by what happened.
    #[must_use]
    pub fn in_place(&self, warrant: &Digest) -> bool {
        let plan = self
            .warrants
            .get(warrant)
            .and_then(|warrant| warrant.authorization_details.first())
            .and_then(|details| self.plans.get(&details.plan_digest));
        plan.is_some_and(|plan| {
            plan.steps.iter().all(|step| {
                let name = step.transition.name.as_str();
                self.count(warrant, Phase::Forward, name) == 1
                    && self.count(warrant, Phase::Reverse, name) == 0
            })
        })
    }

    /// Reads one entry of the authorizations log.
    pub fn read(&mut self, entry: &LogEntry) {
        let entry = match entry {
            LogEntry::Warrant(text) => return self.warrant(text),
            LogEntry::Entry(entry) => entry,
        };
        match &entry.event {
            Event::Roster { signed } => {
                if let Ok(change) = canonical::from_bytes::<RosterChange>(signed.change.as_bytes())
                {
                    for operation in change.operations {
                        if let Operation::RevokeKey { fingerprint } = operation {
                            self.revoked.insert(fingerprint);
                        }
                    }
                }
            }
            Event::Policy {
                policy,
                review_due_at,
                ..
            } => {
                self.policy = Some((*policy, *review_due_at));
            }
            Event::Proposed { change, .. } => {
                if let Some(proposal) = self.proposals.get(change) {
                    let parts = proposal.hosts().map(|host| (host.clone(), Part::default()));
                    let told = Told {
                        parts: parts.collect(),
                        proposal: proposal.clone(),
                        decided: None,
                        votes: Vec::new(),
                        authorized: None,
                        review: false,
                    };
                    self.changes.insert(change.clone(), told);
                }
            }
            Event::Unprepared { change, host, .. } => {
                self.part(change, host, |part| part.out = true)
            }
            Event::Decided {
                change,
                decision,
                change_digest,
                ..
            } => {
                self.change(change, |told| {
                    told.decided = Some((decision.clone(), *change_digest));
                    told.votes.clear();
                    told.authorized = None;
                });
            }
            Event::Voted {
                change, statement, ..
            } => {
                self.logged.insert(digest(statement));
                if let Some(Statement {
                    approver,
                    subject: Subject::Change { vote, .. },
                    ..
                }) = said(statement)
                {
                    self.change(change, |told| told.votes.push((approver, vote)));
                }
            }
            Event::Authorized {
                change,
                ground,
                until,
                ..
            } => {
                self.change(change, |told| told.authorized = Some((*ground, *until)));
            }
            Event::Started { change, host, .. } => self.part(change, host, |part| part.ran = true),
            Event::Settled {
                change,
                host,
                receipt,
            } => {
                self.logged.insert(Digest::of(receipt.as_bytes()));
                if let Some(receipt) = payload::<Receipt>(receipt) {
                    self.part(change, host, |part| {
                        part.ran |= receipt.started_at.is_some();
                        part.ended = Some(Some(receipt.ending));
                    });
                }
            }
            Event::ExecutionClosed {
                change,
                host,
                closing,
                ..
            } => {
                let silent = *closing == ExecutionClosing::Unknown;
                self.part(change, host, |part| {
                    part.silent |= silent;
                    part.ended = Some(None);
                });
            }
            Event::ReviewRequired { change, .. } => self.change(change, |told| told.review = true),
            Event::Reviewed { statement, .. } => {
                self.logged.insert(digest(statement));
            }
            Event::Halted {
                halt, statement, ..
            } => {
                self.logged.insert(digest(statement));
                self.halted.insert(halt.clone());
                self.epochs.push(entry.at);
            }
            Event::Resumed {
                halt, statements, ..
            } => {
                self.logged.extend(statements.iter().map(digest));
                self.halted.remove(halt);
                self.epochs.push(entry.at);
            }
            // The rest moves nothing that is checked here.
            _ => {}
        }
    }

    fn change(&mut self, change: &ChangeId, tell: impl FnOnce(&mut Told)) {
        if let Some(told) = self.changes.get_mut(change) {
            tell(told);
        }
    }

    fn part(&mut self, change: &ChangeId, host: &HostId, tell: impl FnOnce(&mut Part)) {
        self.change(change, |told| {
            if let Some(part) = told.parts.get_mut(host) {
                tell(part);
            }
        });
    }

    fn warrant(&mut self, text: &str) {
        if let Some(warrant) = payload::<Warrant>(text) {
            let digest = Digest::of(text.as_bytes());
            self.part(&warrant.txn, &warrant.aud, |part| {
                part.warrant = Some(digest)
            });
            self.warrants.insert(digest, warrant);
        }
    }
}
