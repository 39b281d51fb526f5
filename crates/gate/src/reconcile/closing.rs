//! Closes executions of which nobody knows how they ended, by what their host shows of its packages,
//! where that is conclusive (invariant 10). Never by a guess: what it leaves open stays an alarm.

use super::matching::Ledger;
use super::{GateError, read_signed};
use crate::Frame;
use crate::state::{self, HostRecord};
use countersign_domain::entry::Event;
use countersign_domain::observation::Observation;
use countersign_domain::receipt::Ending;
use countersign_domain::{ChangeId, Digest, HostId, PreparedPlan, Timestamp};
use countersign_store::{Read, Write};

/// How long after a warrant's end a host may still be at work, in seconds: as long as the gate waits
/// for a receipt.
const AT_WORK_SECONDS: i64 = 15 * 60;

/// An execution of which nobody knows how it ended, and what its host shows.
pub(super) struct Unknown<'a> {
    pub change: &'a ChangeId,
    pub plan: &'a PreparedPlan,
    pub expires_at: Timestamp,
    /// True when the host said that it starts.
    pub started: bool,
    /// True when a step of it was seen.
    pub seen: bool,
    /// Steps that are in place, and steps that are as before.
    pub in_place: usize,
    pub as_before: usize,
}

/// Appends how those ended that are known now, by a report that tells what is installed.
pub(super) fn close(
    tx: &mut dyn Write,
    frame: &Frame,
    host: &HostId,
    report: Digest,
    shown_at: Timestamp,
    ledger: &Ledger,
) -> Result<(), GateError> {
    for unknown in ledger.unknown() {
        if shown_at <= unknown.expires_at.plus_seconds(AT_WORK_SECONDS) {
            continue;
        }
        let healthy = health(tx, host, unknown.plan, unknown.expires_at)?;
        let Some((ending, why)) = conclude(&unknown, healthy) else {
            continue;
        };
        frame.append(
            tx,
            Event::ExecutionReconciled {
                change: unknown.change.clone(),
                host: host.clone(),
                report,
                ending,
                why: why.into(),
            },
        )?;
    }
    Ok(())
}

/// How it ended, where what is shown allows one answer only.
fn conclude(unknown: &Unknown<'_>, healthy: Option<bool>) -> Option<(Ending, &'static str)> {
    let steps = unknown.plan.steps.len();
    if unknown.in_place == steps {
        return match healthy {
            Some(true) => Some((
                Ending::Succeeded,
                "every package is at its planned version, and every check has passed since",
            )),
            Some(false) => Some((
                Ending::Failed,
                "every package is at its planned version, and a check fails",
            )),
            None => None,
        };
    }
    if unknown.as_before != steps {
        return Some((Ending::Failed, "some packages changed and some did not"));
    }
    Some(if unknown.started || unknown.seen {
        (Ending::RolledBack, "every package is as before")
    } else {
        (
            Ending::NeverStarted,
            "every package is as before, and no step was seen",
        )
    })
}

/// Whether the plan's checks passed in an observation after the warrant's end; none when that is not
/// known.
fn health(
    store: &dyn Read,
    host: &HostId,
    plan: &PreparedPlan,
    after: Timestamp,
) -> Result<Option<bool>, GateError> {
    if plan.checks.is_empty() {
        return Ok(Some(true));
    }
    let Some(record) = state::load::<HostRecord>(store, host.as_str())? else {
        return Ok(None);
    };
    if record.observed_at <= after {
        return Ok(None);
    }
    let observation: Observation = read_signed(store, &record.observation)?;
    let passed = plan.checks.iter().map(|check| {
        let health = observation.health.iter();
        health
            .filter(|one| one.check == *check)
            .map(|one| one.passed)
            .next()
    });
    Ok(passed
        .collect::<Option<Vec<bool>>>()
        .map(|all| all.into_iter().all(|one| one)))
}
