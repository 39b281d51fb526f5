//! Votes of named humans on a change: signature, separation of duties, quorum, deadline.

use crate::error::GateError;
use crate::propose::load_change;
use crate::state::{self, ChangeRecord, SpentRecord, VoteRecord};
use crate::world::World;
use crate::{Frame, Gate, keep_text};
use countersign_domain::decision::{Decision, Outcome};
use countersign_domain::entry::Event;
use countersign_domain::id::GroupId;
use countersign_domain::statement::{SignedStatement, Statement, Subject, Vote};
use countersign_domain::text::SaltedText;
use countersign_domain::warrant::{Ground, Signer};
use countersign_domain::{ChangeId, ChangeState, Digest, PersonId, Timestamp};
use countersign_policy::{HumanAction, Policy, Seat};
use countersign_store::{Read, StoreError, Write};
use countersign_verify::ssh::VerifiedStatement;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Gate {
    /// Takes a signed vote. An approval that completes the quorum authorizes the change.
    ///
    /// # Errors
    /// When the signature does not hold, the statement is about something else than what is asked
    /// now, the person may not vote, or the deadline has passed.
    pub async fn vote(
        &self,
        change: &ChangeId,
        signed: SignedStatement,
        rationale: Option<SaltedText>,
        now: Timestamp,
    ) -> Result<ChangeState, GateError> {
        retried!(self.vote_once(change, signed.clone(), rationale.clone(), now))
    }

    async fn vote_once(
        &self,
        change: &ChangeId,
        signed: SignedStatement,
        rationale: Option<SaltedText>,
        now: Timestamp,
    ) -> Result<ChangeState, GateError> {
        let world = self.world()?;
        let verified = verified(&world, &signed, now)?;
        let frame = Frame::new(&world, now);
        let change = change.clone();
        self.submit(&Arc::clone(&world), move |tx| {
            let record = load_change(tx, &change)?;
            unspent(tx, verified.statement())?;
            let decision = check(tx, &world, &record, verified.statement(), now)?.clone();
            let counts_for = may_vote(&world, &record, &decision, &verified)?;
            let (vote, digest) = vote_of(verified.statement())?;
            keep_rationale(tx, rationale.as_ref(), digest)?;
            frame.append(
                tx,
                Event::Voted {
                    change: change.clone(),
                    statement: signed,
                    counts_for,
                },
            )?;
            if vote == Vote::Approve {
                authorize_with_quorum(tx, &world, &frame, &change, &decision)?;
            }
            Ok(load_change(tx, &change)?.state)
        })
        .await
    }
}

/// The statement, with its signature checked against the roster as it is now.
pub(crate) fn verified(
    world: &World,
    signed: &SignedStatement,
    now: Timestamp,
) -> Result<VerifiedStatement, GateError> {
    countersign_verify::ssh::verify_statement(signed, &world.roster, Some(now))
        .map_err(|error| GateError::Unproven(error.to_string()))
}

/// Refuses a statement that was used before.
pub(crate) fn unspent(tx: &dyn Read, statement: &Statement) -> Result<(), GateError> {
    let key = SpentRecord::key_of(&statement.approver, &statement.nonce);
    match state::load::<SpentRecord>(tx, &key)? {
        None => Ok(()),
        Some(spent) => Err(GateError::Conflict(format!(
            "this statement was used before (entry {}); sign a new one",
            spent.index
        ))),
    }
}

/// Keeps the text behind a statement's digest; the digest has to be right.
pub(crate) fn keep_rationale(
    tx: &mut dyn Write,
    text: Option<&SaltedText>,
    digest: Option<Digest>,
) -> Result<(), GateError> {
    match (text, digest) {
        (None, None) => Ok(()),
        (Some(text), Some(digest)) if text.digest() == Ok(digest) => keep_text(tx, text, &digest),
        (Some(_), Some(_)) => Err(GateError::invalid(
            "rationale",
            "does not have the digest that was signed",
        )),
        (Some(_), None) => Err(GateError::invalid(
            "rationale",
            "is not bound by what was signed",
        )),
        (None, Some(_)) => Err(GateError::invalid(
            "rationale",
            "a digest was signed, but the text is missing",
        )),
    }
}

fn vote_of(statement: &Statement) -> Result<(Vote, Option<Digest>), GateError> {
    match &statement.subject {
        Subject::Change {
            vote, rationale, ..
        } => Ok((*vote, *rationale)),
        Subject::Review { .. }
        | Subject::Ending { .. }
        | Subject::Unwarranted { .. }
        | Subject::EmergencyReview { .. }
        | Subject::Policy { .. }
        | Subject::Roster { .. }
        | Subject::Inventory { .. }
        | Subject::Emergency { .. }
        | Subject::Halt { .. }
        | Subject::Resume { .. } => {
            Err(GateError::invalid("statement", "is not a vote on a change"))
        }
    }
}

/// What was signed must be what is asked now, word for word.
fn check<'a>(
    store: &dyn Read,
    world: &World,
    record: &'a ChangeRecord,
    statement: &Statement,
    now: Timestamp,
) -> Result<&'a Decision, GateError> {
    let state_error = |problem: &str| GateError::State {
        change: record.id.clone(),
        state: record.state,
        problem: problem.to_owned(),
    };
    if !matches!(
        record.state,
        ChangeState::AwaitingApproval | ChangeState::Escalated
    ) {
        return Err(state_error("it does not wait for a vote"));
    }
    if record.due_at.is_some_and(|until| now > until) {
        return Err(state_error("the time to decide it has passed"));
    }
    let decision = record
        .decision
        .as_ref()
        .ok_or_else(|| state_error("it has not been decided"))?;
    let Subject::Change {
        change,
        change_digest,
        policy,
        outcome,
        rules,
        duties,
        ..
    } = &statement.subject
    else {
        return Err(GateError::invalid("statement", "is not a vote on a change"));
    };
    let same = *change == record.id
        && Some(*change_digest) == record.digest
        && *policy == decision.policy
        && *outcome == decision.outcome
        && *rules == decision.rules
        && *duties == decision.duties;
    if !same {
        return Err(GateError::Conflict(
            "what was signed is not what is asked now; look at the change again and sign that"
                .into(),
        ));
    }
    let voted = |vote: &&VoteRecord| vote.person == statement.approver;
    for vote in record.votes.iter().filter(voted) {
        if still_counts(store, world, vote, now)? {
            return Err(GateError::Conflict(format!(
                "`{}` has voted already",
                statement.approver
            )));
        }
    }
    Ok(decision)
}

/// The groups for which this person's vote counts; none of them means that it does not.
fn may_vote(
    world: &World,
    record: &ChangeRecord,
    decision: &Decision,
    verified: &VerifiedStatement,
) -> Result<Vec<GroupId>, GateError> {
    let person = &verified.statement().approver;
    let action = if decision.outcome == Outcome::Escalate {
        HumanAction::TakeUp
    } else {
        HumanAction::Approve
    };
    may(world, &seat(world, record, person), action)?;
    let groups: BTreeSet<&GroupId> = world.roster.groups_of(person).collect();
    let counts_for: Vec<GroupId> = decision
        .duties
        .approvers
        .iter()
        .filter(|approvers| groups.contains(&approvers.group))
        .map(|approvers| approvers.group.clone())
        .collect();
    if counts_for.is_empty() {
        let wanted: Vec<_> = decision
            .duties
            .approvers
            .iter()
            .map(|a| a.group.as_str())
            .collect();
        return Err(GateError::Forbidden(format!(
            "`{person}` is in none of the groups that decide this change ({})",
            wanted.join(", ")
        )));
    }
    Ok(counts_for)
}

/// Where a person stands towards a change, for the policy's separation of duties.
pub(crate) fn seat(world: &World, record: &ChangeRecord, person: &PersonId) -> Seat {
    Seat {
        asked: record
            .decision
            .iter()
            .flat_map(|decision| &decision.duties.approvers)
            .map(|approvers| approvers.group.clone())
            .collect(),
        environment: record.environment,
        tier: record.tier,
        is_agent_owner: record.owner == *person
            || world
                .roster
                .agents
                .get(&record.agent)
                .is_some_and(|agent| agent.owner == *person),
        // Who wrote the rules in force does not approve changes under them.
        is_rule_author: world
            .policy
            .as_ref()
            .is_some_and(|policy| policy.record.authors.contains(person)),
        ..plain_seat(
            world,
            person,
            world.policy.as_ref().map(|policy| policy.policy.as_ref()),
        )
    }
}

/// A person's seat in a matter of the deployment itself, which is up to the roster's threshold
/// group and to the policy's quorum.
pub(crate) fn plain_seat(world: &World, person: &PersonId, policy: Option<&Policy>) -> Seat {
    let mut asked = BTreeSet::from([world.roster.threshold.group.clone()]);
    asked.extend(policy.map(|policy| policy.settings().quorum.group.clone()));
    Seat {
        person: person.clone(),
        groups: world.roster.groups_of(person).cloned().collect(),
        asked,
        is_requester: false,
        is_agent_owner: false,
        is_implementer: false,
        is_rule_author: false,
        trial: world.roster.trial,
        environment: None,
        tier: None,
    }
}

/// Asks the policy in force whether a person may do this in a matter of the deployment itself.
pub(crate) fn govern(
    world: &World,
    person: &PersonId,
    action: HumanAction,
) -> Result<(), GateError> {
    let policy = &world.policy()?.policy;
    seated(policy, &plain_seat(world, person, Some(policy)), action)
}

/// Asks the policy in force whether a person in this seat may do this.
pub(crate) fn may(world: &World, seat: &Seat, action: HumanAction) -> Result<(), GateError> {
    seated(&world.policy()?.policy, seat, action)
}

/// Asks a policy whether a person in this seat may do this.
pub(crate) fn seated(policy: &Policy, seat: &Seat, action: HumanAction) -> Result<(), GateError> {
    let seating = policy.may(seat, action);
    if seating.allowed {
        return Ok(());
    }
    let why: Vec<_> = seating
        .reasons
        .iter()
        .map(|reason| reason.text.as_str())
        .collect();
    Err(GateError::Forbidden(format!(
        "`{}` may not {}: {}",
        seat.person,
        action.as_str(),
        why.join("; ")
    )))
}

/// Whether a vote counts when it is used: its key unrevoked, its signer still there, its time not
/// over (DESIGN §5). Read again from the log, where its signature is.
fn still_counts(
    store: &dyn Read,
    world: &World,
    vote: &VoteRecord,
    now: Timestamp,
) -> Result<bool, GateError> {
    match crate::redeem::read_entry(store, vote.index)?.event {
        Event::Voted { statement, .. } => Ok(verified(world, &statement, now).is_ok()),
        _ => Err(StoreError::Damaged(format!("entry {} is not a vote", vote.index)).into()),
    }
}

/// Authorizes when every group has its quorum of distinct people.
fn authorize_with_quorum(
    tx: &mut dyn Write,
    world: &World,
    frame: &Frame,
    change: &ChangeId,
    decision: &Decision,
) -> Result<(), GateError> {
    let record = load_change(tx, change)?;
    let mut approvals = Vec::new();
    for vote in record
        .votes
        .iter()
        .filter(|vote| vote.vote == Vote::Approve)
    {
        if still_counts(tx, world, vote, frame.at)? {
            approvals.push(vote);
        }
    }
    let complete = decision.duties.approvers.iter().all(|approvers| {
        let distinct: BTreeSet<&PersonId> = approvals
            .iter()
            .filter(|vote| vote.counts_for.contains(&approvers.group))
            // Whoever left the group since no longer counts for it.
            .filter(|vote| {
                world
                    .roster
                    .members(&approvers.group)
                    .any(|member| *member == vote.person)
            })
            .map(|vote| &vote.person)
            .collect();
        distinct.len() >= approvers.quorum as usize
    });
    // Without a group to ask there is nobody who could complete a quorum (invariant 2).
    let (true, Some(change_digest)) = (
        complete && !decision.duties.approvers.is_empty(),
        record.digest,
    ) else {
        return Ok(());
    };
    let mut signers: Vec<Signer> = approvals
        .iter()
        .map(|vote| Signer {
            person: vote.person.clone(),
            at: vote.signed_at,
        })
        .collect();
    signers.sort();
    let lifetime = i64::from(
        world
            .policy()?
            .policy
            .settings()
            .limits
            .authorization_lifetime_seconds,
    );
    frame.append(
        tx,
        Event::Authorized {
            change: change.clone(),
            change_digest,
            ground: Ground::Approved,
            signers,
            until: frame.at.plus_seconds(lifetime),
        },
    )?;
    Ok(())
}
