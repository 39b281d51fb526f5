//! Applies entries about what hosts say of their packages.

use super::deployment::spend;
use super::{FoldError, required};
use crate::state::{
    self, AlarmRecord, ExecutionRecord, PackagesRecord, Record, UnwarrantedRecord, WarrantedRecord,
    WorkRecord,
};
use countersign_domain::entry::{Entry, Event};
use countersign_domain::statement::Subject;
use countersign_domain::text::shown;
use countersign_domain::{ChangeId, Digest, ExecutionState, HostId, Timestamp, canonical};
use countersign_store::{DocumentQuery, Read, Write};

/// The kind of the alarm that a transition without a warrant is.
pub const UNWARRANTED: &str = "unwarranted-transition";

pub(super) fn apply(tx: &mut dyn Write, index: u64, entry: &Entry) -> Result<(), FoldError> {
    match &entry.event {
        Event::PackagesReported { .. } => reported(tx, index, entry),
        Event::Unwarranted {
            host,
            report,
            transition,
            due_at,
        } => {
            let record = UnwarrantedRecord {
                index,
                entry: Digest::of(&canonical::to_bytes(entry)?),
                found_at: entry.at,
                host: host.clone(),
                report: *report,
                transition: transition.clone(),
                due_at: *due_at,
                rung: 0,
                reviewed: None,
            };
            state::save(tx, &record)?;
            let version = |version: &Option<_>| {
                version
                    .as_ref()
                    .map_or("nothing".to_owned(), ToString::to_string)
            };
            let text = format!(
                "host `{host}`: `{}` went from {} to {} without a warrant ({})",
                transition.name,
                version(&transition.old),
                version(&transition.new),
                transition.seen_in.as_str()
            );
            alarm(tx, index, entry.at, UNWARRANTED, &text)
        }
        Event::UnwarrantedReviewed { finding, statement } => {
            spend(tx, index, std::slice::from_ref(statement))?;
            let key = UnwarrantedRecord::key_of(*finding);
            let mut record: UnwarrantedRecord = required(tx, index, &key)?;
            let stated = statement.unverified()?;
            let Subject::Unwarranted { verdict, .. } = stated.subject else {
                return Err(FoldError::Unreadable {
                    index,
                    problem: "a review of a transition must be about a transition".into(),
                });
            };
            record.reviewed = Some((verdict, stated.approver, stated.signed_at, index));
            Ok(state::save(tx, &record)?)
        }
        Event::UnwarrantedOverdue {
            finding,
            rung,
            due_at,
        } => {
            let key = UnwarrantedRecord::key_of(*finding);
            let mut record: UnwarrantedRecord = required(tx, index, &key)?;
            record.rung = *rung;
            record.due_at = *due_at;
            state::save(tx, &record)?;
            let text = format!(
                "nobody has looked at the unwarranted transition {finding} of host `{}`; rung {rung}",
                record.host
            );
            alarm(tx, index, entry.at, "review-overdue", &text)
        }
        Event::Roster { .. }
        | Event::Policy { .. }
        | Event::Inventory { .. }
        | Event::Feed { .. }
        | Event::Observed { .. }
        | Event::Proposed { .. }
        | Event::Prepared { .. }
        | Event::Unprepared { .. }
        | Event::Decided { .. }
        | Event::Voted { .. }
        | Event::Authorized { .. }
        | Event::Started { .. }
        | Event::Settled { .. }
        | Event::ExecutionClosed { .. }
        | Event::ExecutionReconciled { .. }
        | Event::EndingStated { .. }
        | Event::Closed { .. }
        | Event::ReviewRequired { .. }
        | Event::ReviewOverdue { .. }
        | Event::Reviewed { .. }
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

/// The entry is an alarm by itself: no second entry repeats it.
pub(super) fn alarm(
    tx: &mut dyn Write,
    index: u64,
    at: Timestamp,
    kind: &str,
    text: &str,
) -> Result<(), FoldError> {
    let record = AlarmRecord {
        index,
        at,
        kind: kind.to_owned(),
        change: None,
        text: shown(text, 500),
    };
    Ok(state::save(tx, &record)?)
}

/// A warrant was issued: where its host reports its packages, it may explain transitions.
pub(super) fn warranted(
    tx: &mut dyn Write,
    change: &ChangeId,
    host: &HostId,
) -> Result<(), FoldError> {
    if tx.document(PackagesRecord::KIND, host.as_str())?.is_some() {
        remember(tx, change, host)?;
    }
    Ok(())
}

fn remember(tx: &mut dyn Write, change: &ChangeId, host: &HostId) -> Result<(), FoldError> {
    let record = WarrantedRecord {
        host: host.clone(),
        change: change.clone(),
        forward: std::collections::BTreeSet::new(),
        reverse: std::collections::BTreeSet::new(),
    };
    Ok(state::save(tx, &record)?)
}

fn reported(tx: &mut dyn Write, index: u64, entry: &Entry) -> Result<(), FoldError> {
    let Event::PackagesReported {
        host,
        report,
        sequence,
        observed_at,
        installed,
        listed,
        explained,
    } = &entry.event
    else {
        return Ok(());
    };
    super::contact::heard(tx, entry.at, host)?;
    let before = state::load::<PackagesRecord>(tx, host.as_str())?;
    if before.is_none() {
        for change in out(tx, host)? {
            remember(tx, &change, host)?;
        }
    }
    for spent in explained {
        let key = WarrantedRecord::key_of(host, &spent.change);
        let mut record: WarrantedRecord = required(tx, index, &key)?;
        if spent.reverse {
            record.reverse.insert(spent.step);
        } else {
            record.forward.insert(spent.step);
        }
        state::save(tx, &record)?;
    }
    let lost = || FoldError::Unknown {
        index,
        what: format!("the list of what is installed on host `{host}`"),
    };
    let record = match (installed, before) {
        (Some(installed), before) => {
            let listed = if *listed {
                *report
            } else {
                before.ok_or_else(lost)?.listed
            };
            PackagesRecord {
                host: host.clone(),
                report: *report,
                sequence: *sequence,
                observed_at: *observed_at,
                listed,
                installed: *installed,
                whole_at: *observed_at,
                since: Vec::new(),
                index,
            }
        }
        (None, Some(mut record)) => {
            record.report = *report;
            record.sequence = *sequence;
            record.observed_at = *observed_at;
            record.since.push(*report);
            record.index = index;
            record
        }
        (None, None) => return Err(lost()),
    };
    let whole = installed.is_some();
    state::save(tx, &record)?;
    if whole {
        forget(tx, index, host, *observed_at)?;
    }
    Ok(())
}

/// Changes of this host whose warrant is out.
fn out(tx: &dyn Read, host: &HostId) -> Result<Vec<ChangeId>, FoldError> {
    let query = DocumentQuery {
        key_prefix: Some(&WorkRecord::key_prefix(host)),
        ..Default::default()
    };
    let mut changes = Vec::new();
    for document in state::documents::<WorkRecord>(tx, &query)? {
        let work: WorkRecord = state::parse(&document)?;
        let key = ExecutionRecord::key_of(&work.change, host);
        if state::load::<ExecutionRecord>(tx, &key)?
            .is_some_and(|execution| execution.warrant.is_some())
        {
            changes.push(work.change);
        }
    }
    Ok(changes)
}

/// Whatever a warrant did that has ended before a report that is whole, that report has told.
fn forget(
    tx: &mut dyn Write,
    index: u64,
    host: &HostId,
    observed_at: Timestamp,
) -> Result<(), FoldError> {
    for record in state::warranted(tx, host)? {
        let key = ExecutionRecord::key_of(&record.change, host);
        let execution: ExecutionRecord = required(tx, index, &key)?;
        let ended = match execution.state {
            ExecutionState::Succeeded | ExecutionState::Failed | ExecutionState::RolledBack => {
                execution
                    .settlement
                    .is_some_and(|settlement| settlement.ended_at < observed_at)
            }
            ExecutionState::Revoked | ExecutionState::Expired => true,
            ExecutionState::Waiting
            | ExecutionState::Issued
            | ExecutionState::Started
            | ExecutionState::Unknown => false,
        };
        if ended {
            tx.remove_document(WarrantedRecord::KIND, &record.key())?;
        }
    }
    Ok(())
}
