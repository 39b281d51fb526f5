//! Applies entries about one change: from proposal to review.

mod unknown;

use super::deployment::spend;
use super::{FoldError, required};
use crate::state::{
    self, AgentRecord, AuthorizationRecord, ChangeRecord, ExecutionRecord, PlanRecord, Record,
    RequestRecord, ReviewRecord, SettlementRecord, VoteRecord, WarrantRecord, WorkRecord,
};
use crate::world;
use countersign_domain::change::ChangeEvent;
use countersign_domain::decision::Outcome;
use countersign_domain::entry::{Closing, Entry, Event, ExecutionClosing};
use countersign_domain::execution::ExecutionEvent;
use countersign_domain::receipt::{Ending, Receipt, StartNotice};
use countersign_domain::statement::{Subject, Verdict};
use countersign_domain::warrant::{Ground, Warrant};
use countersign_domain::{
    ChangeId, ChangeState, Digest, ExecutionState, HostId, PreparedPlan, Proposal, Timestamp, jws,
};
use countersign_store::{Log, Reservation, TransitionOutcome, Write};
use serde::de::DeserializeOwned;

pub(super) fn apply(tx: &mut dyn Write, index: u64, entry: &Entry) -> Result<(), FoldError> {
    match &entry.event {
        Event::Proposed { .. } => proposed(tx, index, entry),
        Event::Prepared { change, host, plan } => {
            let (plan, digest): (PreparedPlan, _) = digested(index, plan)?;
            let mut execution = execution(tx, index, change, host)?;
            execution.plan = Some(PlanRecord {
                index,
                digest,
                expires_at: plan.expires_at,
            });
            execution.unprepared = None;
            save_execution(tx, &execution)
        }
        Event::Unprepared { change, host, why } => {
            let mut execution = execution(tx, index, change, host)?;
            execution.state = execution.state.next(ExecutionEvent::Revoke)?;
            execution.plan = None;
            execution.unprepared = Some(why.clone());
            save_execution(tx, &execution)
        }
        Event::Decided { .. } => decided(tx, index, entry),
        Event::Voted {
            change,
            statement,
            counts_for,
        } => {
            spend(tx, index, std::slice::from_ref(statement))?;
            let mut record: ChangeRecord = required(tx, index, change.as_str())?;
            let stated = statement.unverified()?;
            let Subject::Change { vote, .. } = stated.subject else {
                return Err(unreadable(index, "a vote must be about a change"));
            };
            use countersign_domain::statement::Vote;
            match (record.state, vote) {
                (_, Vote::Refuse) => advance(&mut record, ChangeEvent::Refuse)?,
                // A human takes the escalation up; the same signature is the first that counts.
                (ChangeState::Escalated, Vote::Approve) => advance(&mut record, ChangeEvent::Ask)?,
                (_, Vote::Approve) => {}
            }
            record.votes.push(VoteRecord {
                person: stated.approver,
                vote,
                counts_for: counts_for.clone(),
                signed_at: stated.signed_at,
                index,
            });
            finish(tx, &mut record)
        }
        Event::Authorized {
            change,
            ground,
            signers,
            until,
            ..
        } => {
            let mut record: ChangeRecord = required(tx, index, change.as_str())?;
            advance(&mut record, ChangeEvent::Authorize)?;
            record.due_at = Some(*until);
            record.authorization = Some(AuthorizationRecord {
                index,
                at: entry.at,
                ground: *ground,
                signers: signers.clone(),
                until: *until,
            });
            reserve(tx, &record, *ground, entry.at)?;
            finish(tx, &mut record)
        }
        Event::Started {
            change,
            host,
            notice,
        } => {
            let notice: StartNotice = payload(index, notice)?;
            let mut execution = execution(tx, index, change, host)?;
            execution.state = execution.state.next(ExecutionEvent::Start)?;
            execution.started_at = Some(notice.started_at);
            save_execution(tx, &execution)
        }
        Event::Settled { .. } => settled(tx, index, entry),
        Event::ExecutionClosed {
            change,
            host,
            closing,
            why,
        } => {
            let mut execution = execution(tx, index, change, host)?;
            let event = match closing {
                ExecutionClosing::Revoked => ExecutionEvent::Revoke,
                ExecutionClosing::Expired => ExecutionEvent::Expire,
                ExecutionClosing::Unknown => ExecutionEvent::LoseSight,
            };
            execution.state = execution.state.next(event)?;
            execution.closed = Some((*closing, why.clone()));
            save_execution(tx, &execution)?;
            if *closing != ExecutionClosing::Unknown {
                tx.unreserve(execution.opened, Some(host))?;
            }
            settle_change(tx, index, change)
        }
        Event::ExecutionReconciled { .. } => unknown::reconciled(tx, index, entry),
        Event::EndingStated { statement, .. } => {
            spend(tx, index, std::slice::from_ref(statement))?;
            unknown::stated(tx, index, entry)
        }
        Event::Closed {
            change,
            closing,
            why,
        } => {
            let mut record: ChangeRecord = required(tx, index, change.as_str())?;
            let event = match closing {
                Closing::Expired => ChangeEvent::Expire,
                Closing::Withdrawn => ChangeEvent::Withdraw,
                Closing::Revoked => ChangeEvent::Revoke,
            };
            advance(&mut record, event)?;
            record.closed = Some((*closing, why.clone()));
            finish(tx, &mut record)
        }
        Event::ReviewRequired { change, due_at } => {
            let mut record: ChangeRecord = required(tx, index, change.as_str())?;
            advance(&mut record, ChangeEvent::RequireReview)?;
            record.due_at = Some(*due_at);
            record.review = Some(ReviewRecord {
                due_at: *due_at,
                done: None,
            });
            finish(tx, &mut record)
        }
        Event::ReviewOverdue { change, due_at, .. } => {
            let mut record: ChangeRecord = required(tx, index, change.as_str())?;
            advance(&mut record, ChangeEvent::ReviewOverdue)?;
            record.due_at = Some(*due_at);
            finish(tx, &mut record)
        }
        Event::Reviewed { change, statement } => {
            spend(tx, index, std::slice::from_ref(statement))?;
            let mut record: ChangeRecord = required(tx, index, change.as_str())?;
            let stated = statement.unverified()?;
            let Subject::Review { verdict, .. } = stated.subject else {
                return Err(unreadable(index, "a review must be about a change"));
            };
            advance(&mut record, ChangeEvent::Review)?;
            reviewed(
                &mut record,
                verdict,
                stated.approver,
                stated.signed_at,
                index,
            );
            finish(tx, &mut record)
        }
        Event::Roster { .. }
        | Event::Policy { .. }
        | Event::Inventory { .. }
        | Event::Feed { .. }
        | Event::Observed { .. }
        | Event::PackagesReported { .. }
        | Event::Unwarranted { .. }
        | Event::UnwarrantedReviewed { .. }
        | Event::UnwarrantedOverdue { .. }
        | Event::Emergency { .. }
        | Event::EmergencyReviewed { .. }
        | Event::EmergencyOverdue { .. }
        | Event::Halted { .. }
        | Event::Resumed { .. }
        | Event::Alarm { .. }
        | Event::HostSilent { .. }
        | Event::CrossCommitted { .. } => Ok(()),
    }
}

/// A warrant was issued: the execution is out, and the change runs.
pub(super) fn warrant(tx: &mut dyn Write, index: u64, jws: &str) -> Result<(), FoldError> {
    let warrant: Warrant = payload(index, jws)?;
    let mut execution = execution(tx, index, &warrant.txn, &warrant.aud)?;
    tx.put_trail(execution.opened, index)?;
    execution.state = execution.state.next(ExecutionEvent::Issue)?;
    execution.warrant = Some(WarrantRecord {
        digest: Digest::of(jws.as_bytes()),
        index,
        issued_at: Timestamp::from_unix_seconds(warrant.iat),
        expires_at: Timestamp::from_unix_seconds(warrant.exp),
    });
    save_execution(tx, &execution)?;
    super::packages::warranted(tx, &warrant.txn, &warrant.aud)?;
    let mut record: ChangeRecord = required(tx, index, warrant.txn.as_str())?;
    if record.state == ChangeState::Authorized {
        advance(&mut record, ChangeEvent::Redeem)?;
        // What is not redeemed by then is closed by the sweep, host by host.
        record.due_at = record
            .authorization
            .as_ref()
            .map(|authorization| authorization.until);
        state::save(tx, &record)?;
    } else if record.state != ChangeState::Running {
        // INVARIANT (no warrant, no effect): a warrant fits only an authorized or running change.
        record.state.next(ChangeEvent::Redeem)?;
    }
    Ok(())
}

fn proposed(tx: &mut dyn Write, index: u64, entry: &Entry) -> Result<(), FoldError> {
    let Event::Proposed {
        change,
        agent,
        request,
        proposal: proposal_digest,
        recommendation,
        prepare_until,
    } = &entry.event
    else {
        return Ok(());
    };
    let bytes = tx
        .entry(Log::Recommendations, recommendation.index)?
        .ok_or_else(|| FoldError::Unknown {
            index,
            what: format!("recommendation {}", recommendation.index),
        })?;
    let jws = std::str::from_utf8(&bytes).map_err(|error| unreadable(index, &error.to_string()))?;
    let proposal: Proposal = payload(index, jws)?;
    let owner = required::<AgentRecord>(tx, index, agent.as_str())?.owner;
    let mut record = ChangeRecord {
        id: change.clone(),
        state: ChangeState::Proposed.next(ChangeEvent::Prepare)?,
        agent: agent.clone(),
        owner,
        request: request.clone(),
        proposal: *proposal_digest,
        recommendation: recommendation.index,
        opened: index,
        opened_at: entry.at,
        waves: proposal.waves.clone(),
        packages: proposal.packages.clone(),
        rationale: proposal.rationale,
        due_at: Some(*prepare_until),
        digest: None,
        plans: Vec::new(),
        decision: None,
        decided: None,
        decided_at: None,
        votes: Vec::new(),
        authorization: None,
        environment: None,
        tier: None,
        review: None,
        closed: None,
    };
    for (wave, host) in (0_u32..)
        .zip(&proposal.waves)
        .flat_map(|(wave, hosts)| hosts.iter().map(move |host| (wave, host)))
    {
        let asset = world::asset(tx, host)?;
        record.environment = record.environment.max(Some(asset.environment));
        record.tier = Some(record.tier.map_or(asset.tier, |tier| tier.min(asset.tier)));
        let execution = ExecutionRecord {
            change: change.clone(),
            host: host.clone(),
            wave,
            opened: index,
            state: ExecutionState::Waiting,
            environment: asset.environment,
            tier: asset.tier,
            plan: None,
            unprepared: None,
            warrant: None,
            started_at: None,
            settlement: None,
            closed: None,
        };
        save_execution(tx, &execution)?;
    }
    let request = RequestRecord {
        agent: agent.clone(),
        request: request.clone(),
        change: change.clone(),
        proposal: *proposal_digest,
    };
    state::save(tx, &request)?;
    Ok(state::save(tx, &record)?)
}

fn decided(tx: &mut dyn Write, index: u64, entry: &Entry) -> Result<(), FoldError> {
    let Event::Decided {
        change,
        change_digest,
        plans,
        decision,
        until,
        ..
    } = &entry.event
    else {
        return Ok(());
    };
    let mut record: ChangeRecord = required(tx, index, change.as_str())?;
    let event = match (record.state, decision.outcome) {
        (_, Outcome::Deny) => Some(ChangeEvent::Deny),
        (ChangeState::Preparing, Outcome::Escalate) => Some(ChangeEvent::Escalate),
        (ChangeState::AwaitingApproval, Outcome::Escalate | Outcome::Ask | Outcome::Allow) => {
            Some(ChangeEvent::VoidSignatures)
        }
        (_, Outcome::Escalate | Outcome::Ask) => Some(ChangeEvent::Ask),
        // An `Authorized` entry follows in the same transaction.
        (_, Outcome::Allow) => None,
    };
    if let Some(event) = event {
        advance(&mut record, event)?;
        // Whatever was signed or reserved before was for something else.
        record.votes.clear();
        record.authorization = None;
        tx.unreserve(record.opened, None)?;
    }
    record.due_at = Some(*until);
    record.digest = Some(*change_digest);
    record.plans.clone_from(plans);
    record.decision = Some(decision.clone());
    record.decided = Some(index);
    record.decided_at = Some(entry.at);
    finish(tx, &mut record)
}

fn settled(tx: &mut dyn Write, index: u64, entry: &Entry) -> Result<(), FoldError> {
    let Event::Settled {
        change,
        host,
        receipt,
    } = &entry.event
    else {
        return Ok(());
    };
    let receipt: Receipt = payload(index, receipt)?;
    let mut execution = execution(tx, index, change, host)?;
    let in_time = execution
        .warrant
        .as_ref()
        .is_some_and(|warrant| receipt.ended_at <= warrant.expires_at);
    if execution.state == ExecutionState::Issued && receipt.ending != Ending::NeverStarted {
        execution.state = execution.state.next(ExecutionEvent::Start)?;
    }
    execution.started_at = receipt.started_at;
    let event = match receipt.ending {
        Ending::Succeeded => ExecutionEvent::Succeed,
        Ending::Failed => ExecutionEvent::Fail,
        Ending::RolledBack => ExecutionEvent::RollBack,
        Ending::Unknown => ExecutionEvent::LoseSight,
        Ending::NeverStarted if in_time => ExecutionEvent::NeverStarted,
        Ending::NeverStarted => ExecutionEvent::NeverStartedInTime,
    };
    execution.state = execution.state.next(event)?;
    execution.settlement = Some(SettlementRecord {
        index,
        ending: receipt.ending,
        started_at: receipt.started_at,
        ended_at: receipt.ended_at,
        notes: receipt.notes.clone(),
        reconciled: false,
        stated: None,
    });
    save_execution(tx, &execution)?;
    match receipt.ending {
        Ending::Succeeded | Ending::Failed | Ending::RolledBack => {
            tx.release(execution.opened, Some(host), entry.at)?;
            record_outcomes(
                tx,
                &execution,
                receipt.ending == Ending::Succeeded,
                entry.at,
            )?;
        }
        Ending::NeverStarted => tx.unreserve(execution.opened, Some(host))?,
        // Still in flight for all anybody knows.
        Ending::Unknown => {}
    }
    settle_change(tx, index, change)
}

fn record_outcomes(
    tx: &mut dyn Write,
    execution: &ExecutionRecord,
    succeeded: bool,
    at: Timestamp,
) -> Result<(), FoldError> {
    let plan = state::plan(tx, execution)?;
    for step in plan.iter().flat_map(|plan| &plan.steps) {
        tx.record_outcome(&TransitionOutcome {
            opened: execution.opened,
            host: execution.host.clone(),
            transition: world::transition_key(&step.transition),
            environment: execution.environment,
            tier: execution.tier.number(),
            succeeded,
            at,
        })?;
    }
    Ok(())
}

/// The change's outcome is derived from its executions: it settles with the last of them.
fn settle_change(tx: &mut dyn Write, index: u64, change: &ChangeId) -> Result<(), FoldError> {
    let mut record: ChangeRecord = required(tx, index, change.as_str())?;
    let open = state::executions(tx, change)?
        .iter()
        .any(|execution| match execution.state {
            ExecutionState::Waiting | ExecutionState::Issued | ExecutionState::Started => true,
            ExecutionState::Revoked
            | ExecutionState::Expired
            | ExecutionState::Succeeded
            | ExecutionState::Failed
            | ExecutionState::RolledBack
            | ExecutionState::Unknown => false,
        });
    if record.state == ChangeState::Running && !open {
        advance(&mut record, ChangeEvent::Settle)?;
        record.due_at = None;
        state::save(tx, &record)?;
    }
    Ok(())
}

fn reserve(
    tx: &mut dyn Write,
    record: &ChangeRecord,
    ground: Ground,
    at: Timestamp,
) -> Result<(), FoldError> {
    for plan in &record.plans {
        let asset = world::asset(tx, &plan.host)?;
        tx.reserve(&Reservation {
            opened: record.opened,
            host: plan.host.clone(),
            agent: record.agent.clone(),
            owner: record.owner.clone(),
            service: asset.service.clone(),
            environment: asset.environment,
            standing: ground == Ground::Standing,
            at,
        })?;
    }
    Ok(())
}

fn reviewed(
    record: &mut ChangeRecord,
    verdict: Verdict,
    person: countersign_domain::PersonId,
    at: Timestamp,
    index: u64,
) {
    if let Some(review) = &mut record.review {
        review.done = Some((verdict, person, at, index));
    }
}

fn advance(record: &mut ChangeRecord, event: ChangeEvent) -> Result<(), FoldError> {
    record.state = record.state.next(event)?;
    Ok(())
}

/// Saves a change; one that has ended is due no more, and reserves nothing that never ran.
fn finish(tx: &mut dyn Write, record: &mut ChangeRecord) -> Result<(), FoldError> {
    if record.state.is_final() {
        record.due_at = None;
        if record.state != ChangeState::Reviewed {
            tx.unreserve(record.opened, None)?;
            for host in record.waves.iter().flatten() {
                tx.remove_document(WorkRecord::KIND, &WorkRecord::key_of(host, &record.id))?;
            }
        }
    }
    Ok(state::save(tx, record)?)
}

/// Saves an execution; while it is open, its host has it among its work.
fn save_execution(tx: &mut dyn Write, execution: &ExecutionRecord) -> Result<(), FoldError> {
    let work = WorkRecord {
        host: execution.host.clone(),
        change: execution.change.clone(),
        opened: execution.opened,
    };
    if execution.state.is_final() {
        tx.remove_document(
            WorkRecord::KIND,
            &WorkRecord::key_of(&work.host, &work.change),
        )?;
    } else {
        state::save(tx, &work)?;
    }
    Ok(state::save(tx, execution)?)
}

fn execution(
    tx: &mut dyn Write,
    index: u64,
    change: &ChangeId,
    host: &HostId,
) -> Result<ExecutionRecord, FoldError> {
    required(tx, index, &ExecutionRecord::key_of(change, host))
}

/// The payload of a JWS. Its signature and its canonical form were verified before it was appended.
fn payload<T: DeserializeOwned>(index: u64, compact: &str) -> Result<T, FoldError> {
    Ok(digested(index, compact)?.0)
}

/// A payload with the digest of its bytes.
fn digested<T: DeserializeOwned>(index: u64, compact: &str) -> Result<(T, Digest), FoldError> {
    let parts = jws::take_apart(compact).map_err(|error| unreadable(index, &error.to_string()))?;
    let value = serde_json::from_slice(&parts.payload)
        .map_err(|error| unreadable(index, &error.to_string()))?;
    Ok((value, Digest::of(&parts.payload)))
}

fn unreadable(index: u64, problem: &str) -> FoldError {
    FoldError::Unreadable {
        index,
        problem: problem.to_owned(),
    }
}
