//! From a proposal to what was decided on it. The proposal is the agent's own, each plan its
//! host's own, and the change digest is computed again from both.

use super::{Change, Decided, Place, Proven, Replay, Surroundings};
use crate::LogName;
use crate::finding::{FindingKind, Note};
use countersign_domain::change::ChangeEvent;
use countersign_domain::decision::{Decision, Outcome};
use countersign_domain::entry::{Closing, Event, change_digest};
use countersign_domain::execution::ExecutionEvent;
use countersign_domain::lease::HostPlan;
use countersign_domain::{ChangeId, ChangeState, HostId};
use countersign_verify::{plan, proposal};

impl Replay {
    pub(super) fn proposed(
        &mut self,
        place: Place,
        event: &Event,
        around: &mut dyn Surroundings,
        note: &mut Note<'_>,
    ) -> Proven {
        let (
            Some(roster),
            Event::Proposed {
                change,
                agent,
                proposal: stated,
                recommendation,
                ..
            },
        ) = (&self.roster, event)
        else {
            return Proven::Nothing;
        };
        self.changes_seen += 1;
        note.expect(
            recommendation.origin == LogName::Recommendations.origin(&roster.deployment),
            FindingKind::Link,
            format!("it cites the log `{}`", recommendation.origin),
        );
        note.expect(
            recommendation.index < recommendation.size,
            FindingKind::Link,
            "it cites a recommendation outside the tree that it names",
        );
        let Some(bytes) = around.recommendation(recommendation, note) else {
            return Proven::Nothing;
        };
        let jws = String::from_utf8_lossy(&bytes);
        let verified = match proposal::verify(&jws, roster) {
            Ok(verified) => verified,
            Err(error) => {
                note.say(
                    FindingKind::Signature,
                    format!("recommendation {}: {error}", recommendation.index),
                );
                return Proven::Nothing;
            }
        };
        let same = verified.agent == *agent
            && verified.digest() == stated
            && ChangeId::from_proposal(verified.digest()) == *change;
        if !note.expect(
            same,
            FindingKind::Link,
            format!(
                "recommendation {} is another proposal than the one that became this change",
                recommendation.index
            ),
        ) {
            return Proven::Nothing;
        }
        if self.changes.contains_key(change) {
            note.say(
                FindingKind::Order,
                format!("change `{change}` was proposed before"),
            );
            return Proven::Nothing;
        }
        let late = verified.proposed_at.seconds_since(place.at);
        note.expect(
            late <= countersign_verify::SKEW_SECONDS_MAX,
            FindingKind::Clock,
            format!("the agent signed its proposal {late} s after it was logged"),
        );
        // INVARIANT: a verified proposal's agent is in the roster.
        let Some(entry) = roster.agents.get(agent) else {
            return Proven::Nothing;
        };
        let opened = Change::open(Box::new(verified.clone()), entry.owner.clone());
        self.changes.insert(change.clone(), opened);
        Proven::Proposed(Box::new(verified))
    }

    pub(super) fn prepared(
        &mut self,
        id: &ChangeId,
        host: &HostId,
        jws: &str,
        note: &mut Note<'_>,
    ) -> Proven {
        let (Some(roster), Some(change)) = (&self.roster, known(&mut self.changes, id, note))
        else {
            return Proven::Nothing;
        };
        let Some(proposal) = &change.proposal else {
            note.say(
                FindingKind::Order,
                "a plan comes after the change has settled",
            );
            return Proven::Nothing;
        };
        let verified = match plan::verify(jws, roster, proposal) {
            Ok(verified) => verified,
            Err(error) => {
                note.say(FindingKind::Signature, error.to_string());
                return Proven::Nothing;
            }
        };
        let execution = change
            .executions
            .get_mut(host)
            .filter(|_| verified.host == *host);
        let Some(execution) = execution else {
            let words = format!(
                "the plan is of host `{}`, filed under `{host}`",
                verified.host
            );
            note.say(FindingKind::Link, words);
            return Proven::Nothing;
        };
        execution.plan = Some(*verified.digest());
        Proven::Prepared(Box::new(verified))
    }

    pub(super) fn unprepared(&mut self, id: &ChangeId, host: &HostId, note: &mut Note<'_>) {
        let Some(change) = known(&mut self.changes, id, note) else {
            return;
        };
        let Some(execution) = change.executions.get_mut(host) else {
            note.say(
                FindingKind::Link,
                format!("host `{host}` is no target of the change"),
            );
            return;
        };
        execution.plan = None;
        execution.advance(ExecutionEvent::Revoke, host, note);
    }

    pub(super) fn decided(&mut self, event: &Event, note: &mut Note<'_>) {
        let Event::Decided {
            change: id,
            change_digest: digest,
            plans,
            decision,
            until,
            ..
        } = event
        else {
            return;
        };
        self.check_policy(decision, note);
        let Some(change) = known(&mut self.changes, id, note) else {
            return;
        };
        check_plans(change, plans, digest, note);
        let event = match (change.state, decision.outcome) {
            (_, Outcome::Deny) => Some(ChangeEvent::Deny),
            (ChangeState::Preparing, Outcome::Escalate) => Some(ChangeEvent::Escalate),
            (ChangeState::AwaitingApproval, Outcome::Escalate | Outcome::Ask | Outcome::Allow) => {
                Some(ChangeEvent::VoidSignatures)
            }
            (_, Outcome::Escalate | Outcome::Ask) => Some(ChangeEvent::Ask),
            // An authorization follows; without one nothing comes of it.
            (_, Outcome::Allow) => None,
        };
        if let Some(event) = event {
            change.advance(event, note);
        }
        // Whatever was signed before was for something else.
        change.votes.clear();
        change.authorization = None;
        change.decided = Some(Decided {
            until: *until,
            change_digest: *digest,
            plans: plans.clone(),
            decision: decision.clone(),
        });
    }

    /// A decision rests on the policy version in force, which its quorum signed before.
    fn check_policy(&self, decision: &Decision, note: &mut Note<'_>) {
        let wrong = match &self.policy {
            None => Some("it was decided before any policy was signed".to_owned()),
            Some(policy) if policy.digest != decision.policy => {
                Some(match self.past_policies.get(&decision.policy) {
                    Some(version) => format!(
                        "it was decided by policy version {version}, but version {} is in force",
                        policy.version
                    ),
                    None => format!("no policy {} was signed before", decision.policy),
                })
            }
            Some(policy) if !policy.sound => Some(format!(
                "it was decided by policy version {} (entry {}), which its quorum did not sign",
                policy.version, policy.index
            )),
            Some(_) => None,
        };
        if let Some(words) = wrong {
            note.say(FindingKind::Policy, words);
        }
    }

    pub(super) fn closed(&mut self, id: &ChangeId, closing: Closing, note: &mut Note<'_>) {
        let event = match closing {
            Closing::Expired => ChangeEvent::Expire,
            Closing::Withdrawn => ChangeEvent::Withdraw,
            Closing::Revoked => ChangeEvent::Revoke,
        };
        self.move_change(id, event, note);
    }

    pub(super) fn move_change(&mut self, id: &ChangeId, event: ChangeEvent, note: &mut Note<'_>) {
        if let Some(change) = known(&mut self.changes, id, note) {
            change.advance(event, note);
        }
    }
}

/// A change that was opened and has not ended.
pub(super) fn known<'c>(
    changes: &'c mut std::collections::BTreeMap<ChangeId, Change>,
    id: &ChangeId,
    note: &mut Note<'_>,
) -> Option<&'c mut Change> {
    let change = changes.get_mut(id);
    if change.is_none() {
        note.say(
            FindingKind::Order,
            format!(
                "change `{id}` is not open: no proposal that holds came before, or it has ended"
            ),
        );
    }
    change
}

/// The plans are those that the hosts signed, and give the change digest with the proposal.
fn check_plans(
    change: &Change,
    plans: &[HostPlan],
    digest: &countersign_domain::Digest,
    note: &mut Note<'_>,
) {
    for bound in plans {
        let signed = change
            .executions
            .get(&bound.host)
            .and_then(|execution| execution.plan);
        note.expect(
            signed == Some(bound.plan),
            FindingKind::Link,
            format!(
                "it was decided on plan {} of host `{}`, which that host did not sign",
                bound.plan, bound.host
            ),
        );
    }
    let Some(proposal) = &change.proposal else {
        return;
    };
    let computed = change_digest(proposal.digest(), &proposal.waves, plans).ok();
    note.expect(
        computed.as_ref() == Some(digest),
        FindingKind::Link,
        "its change digest is not that of the proposal, its waves and these plans",
    );
}
