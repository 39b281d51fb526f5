//! The sweep: what time itself ends. Runs every few seconds; each pass is one transaction per page.

use crate::decide;
use crate::error::GateError;
use crate::propose::load_change;
use crate::propose::load_proposal;
use crate::settle::{close_execution, stop_waiting};
use crate::state::{
    self, ChangeRecord, EmergencyRecord, ExecutionRecord, Record, UnwarrantedRecord,
};
use crate::world::World;
use crate::{Frame, Gate};
use countersign_domain::canonical;
use countersign_domain::entry::{Closing, Entry, Event, ExecutionClosing};
use countersign_domain::{ChangeId, ChangeState, ExecutionState, Timestamp};
use countersign_store::{DocumentQuery, Log, Read, Write};
use countersign_verify::log::authorizations_origin;
use std::sync::Arc;

/// How long after a warrant's end the gate waits for a receipt, in seconds: a host that started in
/// time may still be at work.
const SILENCE_SECONDS: i64 = 15 * 60;
/// How far apart two rungs of a late review are, in seconds. Ladders come with the policy's own.
const RUNG_SECONDS: i64 = 86_400;
/// Documents in one pass.
const PAGE: usize = 200;

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Changes that expired or were decided late.
    pub changes: u32,
    /// Executions whose host has been silent.
    pub executions: u32,
    /// Reviews that became overdue, or a rung later: of changes, emergencies, and
    /// transitions without a warrant.
    pub reviews: u32,
}

impl Gate {
    /// Ends what has run out of time, each matter in a transaction of its own: one that cannot be
    /// ended does not keep the others.
    ///
    /// # Errors
    /// When storage fails, or the first of those that could not be ended; what was ended stands.
    pub async fn sweep(&self, now: Timestamp) -> Result<Swept, GateError> {
        let (executions, changes) = self.store.read(|view| due(view, now))?;
        let unwarranted = self
            .store
            .read(|view| state::due::<UnwarrantedRecord>(view, now, PAGE))?;
        let emergencies = self
            .store
            .read(|view| state::due::<EmergencyRecord>(view, now, PAGE))?;
        let mut swept = Swept::default();
        let mut failed = self.sweep_calendars(now).await.err();
        for key in executions {
            match self.sweep_execution(key, now).await {
                Ok(ended) => swept.executions += u32::from(ended),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        for change in changes {
            match self.sweep_change(change, now).await {
                Ok(one) => {
                    swept.changes += one.changes;
                    swept.reviews += one.reviews;
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        for record in unwarranted {
            match self
                .unwarranted_overdue(record.index, RUNG_SECONDS, now)
                .await
            {
                Ok(later) => swept.reviews += u32::from(later),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        for record in emergencies {
            match self
                .emergency_overdue(record.change, RUNG_SECONDS, now)
                .await
            {
                Ok(later) => swept.reviews += u32::from(later),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(swept), Err)
    }

    async fn sweep_execution(&self, key: String, now: Timestamp) -> Result<bool, GateError> {
        let world = self.world()?;
        let frame = Frame::new(&world, now);
        self.submit(&Arc::clone(&world), move |tx| {
            match state::load::<ExecutionRecord>(tx, &key)? {
                Some(execution) => silent_execution(tx, &world, &frame, &execution),
                None => Ok(false),
            }
        })
        .await
    }

    async fn sweep_change(&self, change: ChangeId, now: Timestamp) -> Result<Swept, GateError> {
        let world = self.world()?;
        let frame = Frame::new(&world, now);
        self.submit(&Arc::clone(&world), move |tx| {
            let mut swept = Swept::default();
            let record = load_change(tx, &change)?;
            if record.due_at.is_some_and(|due_at| due_at <= now) {
                change_due(tx, &world, &frame, &record, &mut swept)?;
            }
            Ok(swept)
        })
        .await
    }

    /// Commits the authorizations log's head into the recommendations log, so that neither can be
    /// rewritten alone. (The other way round, every `proposed` entry does it.)
    ///
    /// # Errors
    /// When storage fails.
    pub async fn cross_commit(&self, now: Timestamp) -> Result<(), GateError> {
        let world = self.world()?;
        let frame = Frame::new(&world, now);
        self.submit(&Arc::clone(&world), move |tx| {
            let head = tx.head(Log::Authorizations)?;
            let entry = Entry {
                v: 1,
                deployment: frame.deployment.clone(),
                trial: frame.trial,
                at: frame.at,
                event: Event::CrossCommitted {
                    origin: authorizations_origin(&frame.deployment),
                    size: head.size,
                    root: head.root,
                },
            };
            tx.append(Log::Recommendations, &canonical::to_bytes(&entry)?)?;
            Ok(())
        })
        .await
    }
}

/// The executions whose host has been silent, and the changes whose time has come.
fn due(view: &dyn Read, now: Timestamp) -> Result<(Vec<String>, Vec<ChangeId>), GateError> {
    let silent = DocumentQuery {
        due_by: Some(now.plus_seconds(-SILENCE_SECONDS)),
        limit: PAGE,
        ..Default::default()
    };
    let executions = state::documents::<ExecutionRecord>(view, &silent)?;
    let changes = state::due::<ChangeRecord>(view, now, PAGE)?;
    Ok((
        executions
            .into_iter()
            .map(|document| document.key)
            .collect(),
        changes.into_iter().map(|record| record.id).collect(),
    ))
}

/// True when it was ended.
fn silent_execution(
    tx: &mut dyn Write,
    world: &World,
    frame: &Frame,
    execution: &ExecutionRecord,
) -> Result<bool, GateError> {
    let silent = execution
        .due_at()
        .is_some_and(|due_at| due_at <= frame.at.plus_seconds(-SILENCE_SECONDS));
    if !silent {
        return Ok(false);
    }
    let (change, host) = (&execution.change, &execution.host);
    let why = format!("host `{host}` has been silent past its warrant's end");
    frame.alarm(tx, "outcome-unknown", Some(change), why.clone())?;
    let closing = ExecutionClosing::Unknown;
    close_execution(tx, world, frame, change, host, closing, why.clone())?;
    stop_waiting(tx, world, frame, change, &why)?;
    Ok(true)
}

fn change_due(
    tx: &mut dyn Write,
    world: &Arc<World>,
    frame: &Frame,
    record: &ChangeRecord,
    swept: &mut Swept,
) -> Result<(), GateError> {
    let expired = |why: &str| Event::Closed {
        change: record.id.clone(),
        closing: Closing::Expired,
        why: why.to_owned(),
    };
    match record.state {
        ChangeState::Proposed | ChangeState::Preparing => {
            swept.changes += 1;
            decide_late(tx, world, frame, record)
        }
        ChangeState::Escalated | ChangeState::AwaitingApproval => {
            swept.changes += 1;
            frame.append(tx, expired("nobody decided it in time"))?;
            Ok(())
        }
        ChangeState::Authorized => {
            swept.changes += 1;
            frame.append(tx, expired("no host redeemed it in time"))?;
            Ok(())
        }
        ChangeState::Running => {
            swept.changes += 1;
            expire_waiting(tx, world, frame, record)
        }
        ChangeState::ReviewDue | ChangeState::Overdue(_) => {
            swept.reviews += 1;
            let rung = match record.state {
                ChangeState::Overdue(rung) => rung.saturating_add(1),
                _ => 1,
            };
            frame.append(
                tx,
                Event::ReviewOverdue {
                    change: record.id.clone(),
                    rung,
                    due_at: frame.at.plus_seconds(RUNG_SECONDS),
                },
            )?;
            frame.alarm(
                tx,
                "review-overdue",
                Some(&record.id),
                format!("no human has reviewed it; rung {rung}"),
            )?;
            Ok(())
        }
        ChangeState::Denied
        | ChangeState::Refused
        | ChangeState::Expired
        | ChangeState::Withdrawn
        | ChangeState::Revoked
        | ChangeState::Settled
        | ChangeState::Reviewed => Ok(()),
    }
}

/// Hosts that have not answered in time drop out; the change is decided on those that have.
fn decide_late(
    tx: &mut dyn Write,
    world: &World,
    frame: &Frame,
    record: &ChangeRecord,
) -> Result<(), GateError> {
    for execution in state::executions(tx, &record.id)? {
        if execution.state == ExecutionState::Waiting && execution.plan.is_none() {
            frame.append(
                tx,
                Event::Unprepared {
                    change: record.id.clone(),
                    host: execution.host,
                    why: "did not answer in time".into(),
                },
            )?;
        }
    }
    let executions = state::executions(tx, &record.id)?;
    let (_, proposal) = load_proposal(tx, record)?;
    decide::decide_prepared(tx, world, frame, record, &executions, &proposal, None).map(|_| ())
}

/// Hosts of a running change that did not redeem in time get no warrant any more.
fn expire_waiting(
    tx: &mut dyn Write,
    world: &World,
    frame: &Frame,
    record: &ChangeRecord,
) -> Result<(), GateError> {
    for execution in state::executions(tx, &record.id)? {
        if execution.state == ExecutionState::Waiting {
            let closing = ExecutionClosing::Expired;
            let why = "did not redeem in time".to_owned();
            close_execution(tx, world, frame, &record.id, &execution.host, closing, why)?;
        }
    }
    Ok(())
}
