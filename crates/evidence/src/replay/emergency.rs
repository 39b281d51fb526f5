//! Emergencies: what a host did without the gate rests on a receipt that it signed for the very order,
//! and on signatures of people of the roster over that host, order and plan; each review is a human's
//! signature over that very entry.
//!
//! Which quorum the host pins stands in its own configuration: the log shows who signed, not who had to.

use super::{Place, Replay, verified};
use crate::finding::{FindingKind, Note};
use countersign_domain::entry::{Entry, Event};
use countersign_domain::statement::Subject;
use countersign_domain::{ChangeId, Digest, PersonId, SignedStatement, canonical};
use countersign_verify::receipt;
use countersign_verify::ssh::verify_statement;
use std::collections::{BTreeMap, BTreeSet};

/// What is remembered of emergencies.
#[derive(Debug)]
pub(super) struct Emergencies {
    /// Every order that was told of: each once.
    orders: BTreeSet<Digest>,
    /// Those that no human has reviewed.
    open: BTreeMap<ChangeId, Open>,
}

/// An emergency that waits for a review.
#[derive(Debug)]
struct Open {
    /// The digest of its entry.
    entry: Digest,
    /// Who broke the glass.
    people: BTreeSet<PersonId>,
}

impl Emergencies {
    pub(super) const fn new() -> Self {
        Self {
            orders: BTreeSet::new(),
            open: BTreeMap::new(),
        }
    }
}

impl Replay {
    pub(super) fn emergency_seen(&mut self, entry: &Entry, note: &mut Note<'_>) {
        match &entry.event {
            Event::Emergency { .. } => self.emergency(entry, note),
            Event::EmergencyOverdue { emergency, .. } => {
                note.expect(
                    self.emergencies.open.contains_key(emergency),
                    FindingKind::Order,
                    format!("`{emergency}` is no emergency that waits for a review"),
                );
            }
            _ => {}
        }
    }

    fn emergency(&mut self, entry: &Entry, note: &mut Note<'_>) {
        let (
            Some(roster),
            Event::Emergency {
                emergency,
                host,
                order,
                plan,
                statements,
                receipt: signed,
                ..
            },
        ) = (&self.roster, &entry.event)
        else {
            return;
        };
        note.expect(
            *emergency == ChangeId::from_proposal(order),
            FindingKind::Link,
            format!("`{emergency}` is not what the order becomes"),
        );
        match receipt::verify(signed, roster) {
            Ok(receipt) => {
                note.expect(
                    receipt.host == *host
                        && receipt.warrant == *order
                        && receipt.change == *emergency,
                    FindingKind::Link,
                    format!("the receipt is not that of `{host}` for this order"),
                );
            }
            Err(error) => note.say(FindingKind::Signature, error.to_string()),
        }
        let mut people = BTreeSet::new();
        // INVARIANT (named humans are proven): whoever is said to have broken the glass signed that.
        for one in statements {
            match verify_statement(one, roster, None) {
                Ok(statement) => {
                    let about = matches!(
                        &statement.subject,
                        Subject::Emergency { host: on, order: of, plan: by, .. }
                            if on == host && of == order && by == plan
                    );
                    note.expect(
                        about,
                        FindingKind::Link,
                        format!("`{}` signed no such emergency", statement.approver),
                    );
                    people.insert(statement.approver.clone());
                }
                Err(error) => note.say(FindingKind::Signature, error.to_string()),
            }
        }
        note.expect(
            !statements.is_empty(),
            FindingKind::Quorum,
            format!("host `{host}` acted without the gate, and nobody signed that"),
        );
        note.expect(
            self.emergencies.orders.insert(*order),
            FindingKind::Order,
            format!("the order of `{emergency}` was told of before"),
        );
        if let Ok(bytes) = canonical::to_bytes(entry) {
            let entry = Digest::of(&bytes);
            let open = Open { entry, people };
            self.emergencies.open.insert(emergency.clone(), open);
        }
    }

    pub(super) fn emergency_reviewed(
        &mut self,
        place: Place,
        emergency: &ChangeId,
        signed: &SignedStatement,
        note: &mut Note<'_>,
    ) {
        let Some(roster) = &self.roster else { return };
        let Some(statement) = verified(signed, roster, place.at, note) else {
            return;
        };
        let Some(open) = self.emergencies.open.get(emergency) else {
            note.say(
                FindingKind::Order,
                format!("`{emergency}` is no emergency that waits for a review"),
            );
            return;
        };
        let about = matches!(
            &statement.subject,
            Subject::EmergencyReview { emergency: stated, entry, .. }
                if stated == emergency && *entry == open.entry
        );
        // INVARIANT (no self-approval): but for a trial, where one person does everything.
        note.expect(
            roster.trial || !open.people.contains(&statement.approver),
            FindingKind::SelfApproval,
            format!("`{}` broke the glass and reviewed it", statement.approver),
        );
        if note.expect(
            about,
            FindingKind::Link,
            format!("`{}` signed no review of `{emergency}`", statement.approver),
        ) {
            self.emergencies.open.remove(emergency);
        }
    }
}
