//! Decides a change: the facts are gathered before, on a snapshot; the policy is evaluated inside
//! the transaction that holds the log heads, with the reservations as they stand there. So two
//! decisions can never both take the last room (ADR 0003).

use crate::Frame;
use crate::error::GateError;
use crate::gather::{self, Gathered, Inputs, Plans, bound};
use crate::propose::load_change;
use crate::state::{self, ChangeRecord, ExecutionRecord};
use crate::world::World;
use countersign_domain::decision::{Decision, Outcome};
use countersign_domain::entry::{Closing, Event};
use countersign_domain::facts::DecisionFacts;
use countersign_domain::warrant::Ground;
use countersign_domain::{
    ChangeId, ChangeState, Digest, ExecutionState, PreparedPlan, Proposal, Timestamp, canonical,
};
use countersign_store::{Blob, Read, Write};
use countersign_verify::Verified;

/// A decision with the facts it rests on, for `policy explain`: nothing is written.
#[derive(Debug, Clone)]
pub struct DecisionPreview {
    /// The facts.
    pub facts: DecisionFacts,
    /// What would be decided now.
    pub decision: Decision,
}

/// Checks a plan that a host has signed.
pub(crate) fn verified_plan(
    world: &World,
    jws: &str,
    proposal: &Verified<Proposal>,
    now: Timestamp,
) -> Result<Verified<PreparedPlan>, GateError> {
    let plan = countersign_verify::plan::verify(jws, &world.roster, proposal)?;
    if plan.expires_at <= now {
        return Err(GateError::invalid(
            "expires_at",
            "the plan has expired; prepare again",
        ));
    }
    Ok(plan)
}

/// Decides a change when the last host has answered. The state it is in afterwards.
pub(crate) fn when_prepared(
    tx: &mut dyn Write,
    world: &World,
    frame: &Frame,
    change: &ChangeId,
    proposal: &Proposal,
    gathered: Option<Gathered>,
) -> Result<ChangeState, GateError> {
    let record = load_change(tx, change)?;
    let executions = state::executions(tx, change)?;
    let waits = |execution: &ExecutionRecord| {
        execution.state == ExecutionState::Waiting && execution.plan.is_none()
    };
    if record.state != ChangeState::Preparing || executions.iter().any(waits) {
        return Ok(record.state);
    }
    decide_prepared(tx, world, frame, &record, &executions, proposal, gathered)
}

/// Decides a change on the plans that are there; without any, it ends.
pub(crate) fn decide_prepared(
    tx: &mut dyn Write,
    world: &World,
    frame: &Frame,
    record: &ChangeRecord,
    executions: &[ExecutionRecord],
    proposal: &Proposal,
    gathered: Option<Gathered>,
) -> Result<ChangeState, GateError> {
    let plans = bound(taking_part(executions));
    if plans.is_empty() {
        let why = executions
            .iter()
            .find_map(|execution| execution.unprepared.clone())
            .unwrap_or_else(|| "no host answered in time".into());
        let closed = Event::Closed {
            change: record.id.clone(),
            closing: Closing::Expired,
            why: format!("no host could prepare it: {why}"),
        };
        frame.append(tx, closed)?;
        return Ok(load_change(tx, &record.id)?.state);
    }
    let gathered = match gathered {
        Some(gathered) if gathered.still_holds(tx, &plans)? => gathered,
        Some(_) | None => {
            let plans = Plans::read(tx, taking_part(executions))?;
            let inputs = Inputs::of(record, proposal, &plans);
            gather::gather(tx, world, &inputs, frame.at)?
        }
    };
    let (decision, facts) = evaluate(tx, world, frame, &gathered)?;
    record_decision(tx, world, frame, record, &gathered, decision, &facts)?;
    Ok(load_change(tx, &record.id)?.state)
}

/// The hosts that take part.
pub(crate) fn taking_part(
    executions: &[ExecutionRecord],
) -> impl Iterator<Item = &ExecutionRecord> {
    executions
        .iter()
        .filter(|execution| !execution.state.is_final())
}

/// Evaluates the policy on the facts as this very transaction has them, and keeps these facts. An
/// error of the policy denies, and raises an alarm.
pub(crate) fn evaluate(
    tx: &mut dyn Write,
    world: &World,
    frame: &Frame,
    gathered: &Gathered,
) -> Result<(Decision, DecisionFacts), GateError> {
    let facts = gathered.facts_now(tx, world, frame.at)?;
    // Canonical bytes are made once: decided on by their digest, and kept.
    let bytes = canonical::to_bytes(&facts)?;
    let digest = Digest::of(&bytes);
    let decided = world.policy()?.policy.decide_named(&facts, digest);
    tx.put_blob(&digest, &Blob { salt: None, bytes })?;
    if let Some(text) = decided.alarm {
        frame.alarm(tx, "policy-error", Some(&facts.change), text)?;
    }
    Ok((decided.decision, facts))
}

/// What would be decided now, without writing anything.
pub(crate) fn preview(
    view: &dyn Read,
    world: &World,
    inputs: &Inputs<'_>,
    now: Timestamp,
) -> Result<DecisionPreview, GateError> {
    let facts = gather::gather(view, world, inputs, now)?.facts_now(view, world, now)?;
    let decision = world.policy()?.policy.decide(&facts).decision;
    Ok(DecisionPreview { facts, decision })
}

/// Writes a decision; one that allows is authorized in the same transaction.
pub(crate) fn record_decision(
    tx: &mut dyn Write,
    world: &World,
    frame: &Frame,
    record: &ChangeRecord,
    gathered: &Gathered,
    decision: Decision,
    facts: &DecisionFacts,
) -> Result<(), GateError> {
    let policy = world.policy()?;
    let lifetime = policy
        .policy
        .settings()
        .limits
        .authorization_lifetime_seconds;
    let authorized_until = frame.at.plus_seconds(i64::from(lifetime));
    let allowed = decision.outcome == Outcome::Allow;
    let until = if allowed {
        authorized_until
    } else {
        frame
            .at
            .plus_seconds(i64::from(decision.duties.decide_within_seconds))
    };
    frame.append(
        tx,
        Event::Decided {
            change: record.id.clone(),
            change_digest: gathered.change_digest,
            plans: gathered.plans.clone(),
            decision,
            blast: facts.blast,
            until,
        },
    )?;
    if allowed {
        frame.append(
            tx,
            Event::Authorized {
                change: record.id.clone(),
                change_digest: gathered.change_digest,
                ground: Ground::Standing,
                signers: policy.record.signers.clone(),
                until: authorized_until,
            },
        )?;
    }
    Ok(())
}
