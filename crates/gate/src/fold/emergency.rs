//! Applies entries about emergencies: what a host did because the quorum that it pins broke the glass.

use super::deployment::spend;
use super::packages::alarm;
use super::{FoldError, required};
use crate::state::{self, EmergencyRecord};
use countersign_domain::entry::{Entry, Event};
use countersign_domain::statement::Subject;
use countersign_domain::{Digest, PersonId, Receipt, canonical, jws};
use countersign_store::Write;
use std::collections::BTreeSet;

/// The kind of the alarm that an emergency is.
const EMERGENCY: &str = "emergency";

pub(super) fn apply(tx: &mut dyn Write, index: u64, entry: &Entry) -> Result<(), FoldError> {
    match &entry.event {
        Event::Emergency { .. } => told(tx, index, entry),
        Event::EmergencyReviewed {
            emergency,
            statement,
        } => {
            spend(tx, index, std::slice::from_ref(statement))?;
            let mut record: EmergencyRecord = required(tx, index, emergency.as_str())?;
            let stated = statement.unverified()?;
            let Subject::EmergencyReview { verdict, .. } = stated.subject else {
                return Err(FoldError::Unreadable {
                    index,
                    problem: "a review of an emergency must be about an emergency".into(),
                });
            };
            record.reviewed = Some((verdict, stated.approver, stated.signed_at, index));
            Ok(state::save(tx, &record)?)
        }
        Event::EmergencyOverdue {
            emergency,
            rung,
            due_at,
        } => {
            let mut record: EmergencyRecord = required(tx, index, emergency.as_str())?;
            record.rung = *rung;
            record.due_at = *due_at;
            state::save(tx, &record)?;
            let text = format!(
                "nobody has reviewed emergency `{emergency}` of host `{}`; rung {rung}",
                record.host
            );
            alarm(tx, index, entry.at, "review-overdue", &text)
        }
        _ => Ok(()),
    }
}

fn told(tx: &mut dyn Write, index: u64, entry: &Entry) -> Result<(), FoldError> {
    let Event::Emergency {
        emergency,
        host,
        order,
        plan,
        bundle,
        statements,
        receipt: signed,
        due_at,
    } = &entry.event
    else {
        return Ok(());
    };
    spend(tx, index, statements)?;
    let unreadable = |problem: String| FoldError::Unreadable { index, problem };
    let parts = jws::take_apart(signed).map_err(|error| unreadable(error.to_string()))?;
    let receipt: Receipt =
        canonical::from_bytes(&parts.payload).map_err(|error| unreadable(error.to_string()))?;
    let people: BTreeSet<PersonId> = statements
        .iter()
        .map(|statement| Ok(statement.unverified()?.approver))
        .collect::<Result<_, FoldError>>()?;
    let names: Vec<&str> = people.iter().map(PersonId::as_str).collect();
    let text = format!(
        "host `{host}` acted without the gate, and {}: the glass was broken by {}",
        receipt.ending.as_str(),
        if names.is_empty() {
            "nobody whose signature counts here".to_owned()
        } else {
            names.join(", ")
        }
    );
    let record = EmergencyRecord {
        change: emergency.clone(),
        index,
        entry: Digest::of(&canonical::to_bytes(entry)?),
        told_at: entry.at,
        host: host.clone(),
        order: *order,
        plan: *plan,
        bundle: *bundle,
        people,
        receipt: Digest::of(signed.as_bytes()),
        ending: receipt.ending,
        started_at: receipt.started_at,
        ended_at: receipt.ended_at,
        in_place: receipt.in_place,
        notes: receipt.notes,
        due_at: *due_at,
        rung: 0,
        reviewed: None,
    };
    state::save(tx, &record)?;
    alarm(tx, index, entry.at, EMERGENCY, &text)
}
