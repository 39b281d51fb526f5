//! What each kind of entry adds to the story of a change. Only what the replay proved comes here.

use super::aftermath::{Ended, HaltLine, Reviewed, Started, Stated};
use super::basis::basis;
use super::collect::Collector;
use super::model::{Asked, Authorized, Decided, PlanStep, Planned, PolicyVersion, VoteCast};
use crate::finding::{FindingKind, Note};
use crate::replay::Replay;
use countersign_domain::canonical;
use countersign_domain::entry::{Entry, Event};
use countersign_domain::facts::DecisionFacts;
use countersign_domain::statement::{Subject, Vote};
use countersign_domain::warrant::{Ground, Signer};
use countersign_domain::{GroupId, HostId, PersonId, PreparedPlan, Proposal, Receipt, Timestamp};
use countersign_verify::{Verified, VerifiedStatement};

impl Collector<'_> {
    pub(super) fn proposed(
        &mut self,
        index: u64,
        entry: &Entry,
        proposal: &Verified<Proposal>,
        replay: &Replay,
    ) {
        let Event::Proposed { recommendation, .. } = &entry.event else {
            return;
        };
        let Some(change) = replay.change(&self.change) else {
            return;
        };
        self.rationale = proposal.rationale;
        for (host, execution) in &change.executions {
            self.execution(host).wave = execution.wave;
        }
        self.asked = Some(Asked {
            agent: proposal.agent.clone(),
            owner: self.person(&change.owner, replay),
            proposed_at: proposal.proposed_at,
            logged_at: entry.at,
            proposal: *proposal.digest(),
            entry: index,
            recommendation: recommendation.index,
        });
    }

    pub(super) fn decided(
        &mut self,
        index: u64,
        entry: &Entry,
        replay: &Replay,
        note: &mut Note<'_>,
    ) {
        let Event::Decided {
            change_digest,
            decision,
            until,
            ..
        } = &entry.event
        else {
            return;
        };
        // Whoever voted before was asked something else.
        for vote in &mut self.votes {
            vote.void = true;
        }
        let facts: Option<DecisionFacts> = self.kept(&decision.facts, note).and_then(|bytes| {
            match canonical::from_bytes(&bytes) {
                Ok(facts) => Some(facts),
                Err(error) => {
                    note.say(
                        FindingKind::Form,
                        format!("the facts that are kept: {error}"),
                    );
                    None
                }
            }
        });
        if let Some(facts) = &facts {
            note.expect(
                facts.change == self.change,
                FindingKind::Link,
                "it rests on facts that were gathered for another change",
            );
            let assets = facts.scopes.iter().flat_map(|scope| &scope.assets);
            self.environments
                .extend(assets.map(|asset| asset.environment));
        }
        self.rules.extend(decision.rules.iter().cloned());
        let policy = replay
            .policy()
            .filter(|policy| policy.sound && policy.digest == decision.policy)
            .map(|policy| PolicyVersion {
                policy: policy.digest,
                version: policy.version,
                at: policy.at,
                signed_by: self.signed_by(&policy.signers, replay),
                entry: policy.index,
            });
        let asked = decision.duties.approvers.iter();
        self.decisions.push(Decided {
            outcome: decision.outcome,
            at: entry.at,
            rules: decision.rules.clone(),
            withheld_by: decision.withheld_by.clone(),
            reasons: decision.reasons.clone(),
            asked: asked
                .map(|asked| (asked.group.clone(), asked.quorum))
                .collect(),
            policy,
            facts: decision.facts,
            basis: facts.as_ref().map(basis),
            change_digest: *change_digest,
            until: *until,
            entry: index,
        });
    }

    /// Of the people that it names, those whose signatures stand behind it.
    pub(super) fn authorize(&mut self, index: u64, entry: &Entry, replay: &Replay) {
        let Event::Authorized {
            ground,
            signers,
            until,
            ..
        } = &entry.event
        else {
            return;
        };
        let signed = |signer: &&Signer| match ground {
            Ground::Standing => replay
                .policy()
                .is_some_and(|policy| policy.sound && policy.signers.contains(signer)),
            Ground::Approved => replay.change(&self.change).is_some_and(|change| {
                change.votes.iter().any(|counted| {
                    counted.vote == Vote::Approve
                        && counted.person == signer.person
                        && counted.signed_at == signer.at
                })
            }),
        };
        let signers: Vec<Signer> = signers.iter().filter(signed).cloned().collect();
        self.authorized.push(Authorized {
            ground: *ground,
            signed_by: self.signed_by(&signers, replay),
            at: entry.at,
            until: *until,
            entry: index,
        });
    }

    pub(super) fn vote(
        &self,
        index: u64,
        statement: &VerifiedStatement,
        counts_for: Vec<GroupId>,
        replay: &Replay,
        note: &mut Note<'_>,
    ) -> Option<VoteCast> {
        let Subject::Change {
            vote, rationale, ..
        } = &statement.subject
        else {
            return None;
        };
        Some(VoteCast {
            by: self.signed(&statement.approver, statement.signed_at, replay),
            vote: *vote,
            counts_for,
            credential: statement.credential.clone(),
            rationale: rationale.and_then(|digest| self.text(&digest, note)),
            void: false,
            entry: index,
        })
    }

    pub(super) fn settled(&mut self, index: u64, receipt: &Verified<Receipt>) {
        let started = receipt.started_at.map(|at| self.start(at, index));
        let execution = self.execution(&receipt.host);
        if execution.started.is_none() {
            execution.started = started;
        }
        execution.ended = Some(Ended {
            at: receipt.ended_at,
            ending: receipt.ending,
            in_place: receipt.in_place.clone(),
            health: receipt
                .health
                .iter()
                .map(|health| (health.check.to_string(), health.passed))
                .collect(),
            notes: receipt.notes.clone(),
            entry: index,
        });
    }

    pub(super) fn reviewed(
        &mut self,
        index: u64,
        statement: &VerifiedStatement,
        replay: &Replay,
        note: &mut Note<'_>,
    ) {
        let Subject::Review {
            verdict,
            note: digest,
            ..
        } = &statement.subject
        else {
            return;
        };
        let done = Reviewed {
            verdict: *verdict,
            by: self.signed(&statement.approver, statement.signed_at, replay),
            note: digest.and_then(|digest| self.text(&digest, note)),
            entry: index,
        };
        if let Some(review) = &mut self.review {
            review.done = Some(done);
        }
    }

    pub(super) fn ending_stated(
        &mut self,
        index: u64,
        host: &HostId,
        statement: &VerifiedStatement,
        replay: &Replay,
        note: &mut Note<'_>,
    ) {
        let Subject::Ending {
            ending,
            note: digest,
            ..
        } = &statement.subject
        else {
            return;
        };
        let stated = Stated {
            ending: *ending,
            by: self.signed(&statement.approver, statement.signed_at, replay),
            note: digest.and_then(|digest| self.text(&digest, note)),
            entry: index,
        };
        self.execution(host).stated = Some(stated);
    }

    pub(super) fn halt(&mut self, index: u64, entry: &Entry, people: &[PersonId], replay: &Replay) {
        let (halt, resumed) = match &entry.event {
            Event::Halted { halt, .. } => (halt.clone(), false),
            Event::Resumed { halt, .. } => (halt.clone(), true),
            _ => return,
        };
        let by = people
            .iter()
            .map(|person| self.person(person, replay))
            .collect();
        self.halts.push(HaltLine {
            halt,
            resumed,
            at: entry.at,
            by,
            entry: index,
        });
    }

    /// Started at, relative to the authorization that stood then.
    pub(super) fn start(&self, at: Timestamp, entry: u64) -> Started {
        Started {
            at,
            after_authorization_ms: self
                .authorized
                .last()
                .map(|authorized| at.unix_millis() - authorized.at.unix_millis()),
            entry,
        }
    }
}

/// A plan in the form in which it is shown.
pub(super) fn planned(index: u64, plan: &Verified<PreparedPlan>) -> Planned {
    Planned {
        host: plan.host.clone(),
        plan: *plan.digest(),
        prepared_at: plan.prepared_at,
        steps: plan
            .steps
            .iter()
            .map(|step| PlanStep {
                transition: step.transition.clone(),
                requested: step.requested,
                security: step.security,
                rollback: step.reverse.source,
                rollback_sha256: step.reverse.transition.sha256,
                rollback_stored: step.reverse.stored,
            })
            .collect(),
        checks: plan.checks.iter().map(ToString::to_string).collect(),
        entry: index,
    }
}
