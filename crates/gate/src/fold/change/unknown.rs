//! Applies what tells how an execution ended of which nobody knew: what its host showed of its packages,
//! or a human who looked. A receipt is applied elsewhere.

use super::{execution, record_outcomes, save_execution, settle_change, unreadable};
use crate::fold::FoldError;
use crate::state::SettlementRecord;
use countersign_domain::entry::{Entry, Event};
use countersign_domain::execution::ExecutionEvent;
use countersign_domain::receipt::Ending;
use countersign_domain::statement::Subject;
use countersign_domain::{ChangeId, Digest, ExecutionState, HostId, Timestamp};
use countersign_store::Write;

/// What a host shows tells how it ended. A success that nobody inspected counts as no experience; a
/// failure does.
pub(super) fn reconciled(tx: &mut dyn Write, index: u64, entry: &Entry) -> Result<(), FoldError> {
    let Event::ExecutionReconciled {
        change,
        host,
        ending,
        why,
        ..
    } = &entry.event
    else {
        return Ok(());
    };
    let told = Told {
        change,
        host,
        ending: *ending,
        why: why.clone(),
        stated: None,
    };
    close_unknown(tx, index, entry.at, told)
}

/// A human found how an execution ended of which nobody knew.
pub(super) fn stated(tx: &mut dyn Write, index: u64, entry: &Entry) -> Result<(), FoldError> {
    let Event::EndingStated {
        change,
        host,
        statement,
    } = &entry.event
    else {
        return Ok(());
    };
    let read = statement.unverified()?;
    let Subject::Ending { ending, .. } = read.subject else {
        return Err(unreadable(index, "it states no ending"));
    };
    if ending == Ending::Unknown {
        return Err(unreadable(index, "that nobody knows closes nothing"));
    }
    let told = Told {
        change,
        host,
        ending,
        why: format!("`{}` looked and signed how it ended", read.approver),
        stated: Some(statement.digest()),
    };
    close_unknown(tx, index, entry.at, told)
}

/// How an execution ended, told by something else than its receipt.
struct Told<'a> {
    change: &'a ChangeId,
    host: &'a HostId,
    ending: Ending,
    why: String,
    /// The statement that tells it, where a human does.
    stated: Option<Digest>,
}

fn close_unknown(
    tx: &mut dyn Write,
    index: u64,
    at: Timestamp,
    told: Told<'_>,
) -> Result<(), FoldError> {
    let Told {
        change,
        host,
        ending,
        why,
        stated,
    } = told;
    let mut execution = execution(tx, index, change, host)?;
    let event = match ending {
        Ending::Succeeded => ExecutionEvent::Succeed,
        Ending::Failed => ExecutionEvent::Fail,
        Ending::RolledBack => ExecutionEvent::RollBack,
        Ending::NeverStarted => ExecutionEvent::NeverStarted,
        Ending::Unknown => ExecutionEvent::LoseSight,
    };
    // INVARIANT (every redemption settles): only what nobody knows is closed without a receipt.
    if execution.state != ExecutionState::Unknown {
        return Err(unreadable(index, "only an unknown outcome is reconciled"));
    }
    execution.state = execution.state.next(event)?;
    execution.settlement = Some(SettlementRecord {
        index,
        ending,
        started_at: execution.started_at,
        ended_at: at,
        notes: vec![why],
        reconciled: true,
        stated,
    });
    save_execution(tx, &execution)?;
    match ending {
        Ending::Failed | Ending::RolledBack => {
            tx.release(execution.opened, Some(host), at)?;
            record_outcomes(tx, &execution, false, at)?;
        }
        Ending::Succeeded => tx.release(execution.opened, Some(host), at)?,
        Ending::NeverStarted | Ending::Unknown => tx.unreserve(execution.opened, Some(host))?,
    }
    settle_change(tx, index, change)
}
