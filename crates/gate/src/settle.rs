//! Takes the hosts' signed notices and receipts. Every redemption settles (invariant 10).

use crate::error::GateError;
use crate::prepare::load_execution;
use crate::propose::load_change;
use crate::state::{self, ExecutionRecord, WarrantedRecord};
use crate::world::World;
use crate::{Frame, Gate};
use countersign_domain::entry::{Event, ExecutionClosing};
use countersign_domain::receipt::Ending;
use countersign_domain::warrant::Ground;
use countersign_domain::{
    ChangeId, ChangeState, Digest, Environment, ExecutionState, HostId, Timestamp,
};
use countersign_store::Write;
use std::sync::Arc;

impl Gate {
    /// A host says that it journalled its intent and starts. Saying it again changes nothing.
    ///
    /// # Errors
    /// When it is not signed by that host or names another warrant.
    pub async fn started(
        &self,
        host: &HostId,
        change: &ChangeId,
        notice: String,
        now: Timestamp,
    ) -> Result<ChangeState, GateError> {
        retried!(self.started_once(host, change, notice.clone(), now))
    }

    async fn started_once(
        &self,
        host: &HostId,
        change: &ChangeId,
        notice: String,
        now: Timestamp,
    ) -> Result<ChangeState, GateError> {
        let world = self.world()?;
        let verified = countersign_verify::started::verify(&notice, &world.roster)?.into_inner();
        same_execution(host, change, &verified.host, &verified.change)?;
        let frame = Frame::new(&world, now);
        self.submit(&Arc::clone(&world), move |tx| {
            let execution = load_execution(tx, &verified.change, &verified.host)?;
            same_warrant(&execution, &verified.warrant)?;
            if execution.state == ExecutionState::Issued {
                frame.append(
                    tx,
                    Event::Started {
                        change: verified.change.clone(),
                        host: verified.host,
                        notice,
                    },
                )?;
            }
            Ok(load_change(tx, &verified.change)?.state)
        })
        .await
    }

    /// Takes a receipt. Handing in the same again changes nothing; a second, different one is
    /// refused and raises an alarm.
    ///
    /// # Errors
    /// When it is not signed by that host, names another warrant, or contradicts an earlier one.
    pub async fn settle(
        &self,
        host: &HostId,
        change: &ChangeId,
        receipt: String,
        now: Timestamp,
    ) -> Result<ChangeState, GateError> {
        retried!(self.settle_once(host, change, receipt.clone(), now))
    }

    async fn settle_once(
        &self,
        host: &HostId,
        change: &ChangeId,
        receipt: String,
        now: Timestamp,
    ) -> Result<ChangeState, GateError> {
        let world = self.world()?;
        let verified = countersign_verify::receipt::verify(&receipt, &world.roster)?.into_inner();
        same_execution(host, change, &verified.host, &verified.change)?;
        let frame = Frame::new(&world, now);
        let contradicted = self
            .submit(&Arc::clone(&world), move |tx| {
                let execution = load_execution(tx, &verified.change, &verified.host)?;
                same_warrant(&execution, &verified.warrant)?;
                if let Some(earlier) = &execution.settlement {
                    // What a host showed told the ending only: its receipt may say when. And to know
                    // nothing twice is to say the same.
                    let same = earlier.ending == verified.ending
                        && (earlier.reconciled
                            || earlier.ended_at == verified.ended_at
                            || verified.ending == Ending::Unknown);
                    let still_open = execution.state == ExecutionState::Unknown;
                    if same || !still_open {
                        let state = load_change(tx, &verified.change)?.state;
                        if !same {
                            let text = format!(
                                "host `{}` settled twice: first {}, now {}",
                                verified.host,
                                earlier.ending.as_str(),
                                verified.ending.as_str()
                            );
                            frame.alarm(tx, "second-receipt", Some(&verified.change), text)?;
                        }
                        return Ok((state, !same));
                    }
                }
                frame.append(
                    tx,
                    Event::Settled {
                        change: verified.change.clone(),
                        host: verified.host.clone(),
                        receipt,
                    },
                )?;
                if verified.ending == Ending::Unknown {
                    let text = format!(
                        "host `{}` does not know what happened; reconcile it",
                        verified.host
                    );
                    frame.alarm(tx, "outcome-unknown", Some(&verified.change), text)?;
                }
                if verified.ending == Ending::NeverStarted {
                    seen_all_the_same(tx, &frame, &verified.change, &verified.host)?;
                }
                if verified.ending != Ending::Succeeded {
                    let why = format!("host `{}`: {}", verified.host, verified.ending.as_str());
                    stop_waiting(tx, &world, &frame, &verified.change, &why)?;
                }
                require_review(tx, &world, &frame, &verified.change)?;
                Ok((load_change(tx, &verified.change)?.state, false))
            })
            .await?;
        match contradicted {
            (state, false) => Ok(state),
            (_, true) => Err(GateError::Conflict(
                "this execution was settled before, differently; an alarm was raised".into(),
            )),
        }
    }
}

/// A warrant that was never started explains nothing: whatever it explained was done by others.
fn seen_all_the_same(
    tx: &mut dyn Write,
    frame: &Frame,
    change: &ChangeId,
    host: &HostId,
) -> Result<(), GateError> {
    let key = WarrantedRecord::key_of(host, change);
    let seen = state::load::<WarrantedRecord>(tx, &key)?.map_or(0, |record| record.forward.len());
    if seen > 0 {
        let text = format!(
            "host `{host}` never started it, and {seen} of its transitions were seen there: somebody else made them"
        );
        frame.alarm(tx, crate::fold::UNWARRANTED, Some(change), text)?;
    }
    Ok(())
}

fn same_execution(
    host: &HostId,
    change: &ChangeId,
    signed_host: &HostId,
    signed_change: &ChangeId,
) -> Result<(), GateError> {
    if host == signed_host && change == signed_change {
        Ok(())
    } else {
        Err(GateError::Forbidden(
            "what was signed is about another host or change".into(),
        ))
    }
}

fn same_warrant(execution: &ExecutionRecord, digest: &Digest) -> Result<(), GateError> {
    match &execution.warrant {
        Some(warrant) if warrant.digest == *digest => Ok(()),
        Some(_) | None => Err(GateError::Unproven(
            "it names a warrant that was not issued for this host".into(),
        )),
    }
}

/// Stop on failure: whoever has no warrant yet gets none.
pub(crate) fn stop_waiting(
    tx: &mut dyn Write,
    world: &World,
    frame: &Frame,
    change: &ChangeId,
    why: &str,
) -> Result<(), GateError> {
    for execution in state::executions(tx, change)? {
        if execution.state == ExecutionState::Waiting {
            let closing = ExecutionClosing::Revoked;
            let why = format!("stopped: {why}");
            close_execution(tx, world, frame, change, &execution.host, closing, why)?;
        }
    }
    Ok(())
}

/// Ends an execution. Whatever ends the last one of a change, the review that it needs begins here.
pub(crate) fn close_execution(
    tx: &mut dyn Write,
    world: &World,
    frame: &Frame,
    change: &ChangeId,
    host: &HostId,
    closing: ExecutionClosing,
    why: String,
) -> Result<(), GateError> {
    frame.append(
        tx,
        Event::ExecutionClosed {
            change: change.clone(),
            host: host.clone(),
            closing,
            why,
        },
    )?;
    require_review(tx, world, frame, change)
}

/// Every change that ran on its own in production is reviewed (invariant 8).
fn require_review(
    tx: &mut dyn Write,
    world: &World,
    frame: &Frame,
    change: &ChangeId,
) -> Result<(), GateError> {
    let record = load_change(tx, change)?;
    if record.state != ChangeState::Settled {
        return Ok(());
    }
    let standing = record
        .authorization
        .as_ref()
        .is_some_and(|authorization| authorization.ground == Ground::Standing);
    let ran = state::executions(tx, change)?.iter().any(|execution| {
        execution.started_at.is_some() || execution.state == ExecutionState::Unknown
    });
    if record.environment != Some(Environment::Production) || !standing || !ran {
        return Ok(());
    }
    let within = record
        .decision
        .as_ref()
        .map(|decision| decision.duties.review_within_seconds)
        .filter(|seconds| *seconds > 0)
        .unwrap_or(world.policy()?.policy.settings().defaults.review_within);
    frame.append(
        tx,
        Event::ReviewRequired {
            change: change.clone(),
            due_at: frame.at.plus_seconds(i64::from(within)),
        },
    )?;
    Ok(())
}
