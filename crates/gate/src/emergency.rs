//! Takes what a host did because the quorum that it pins broke the glass: what was signed, and the
//! host's receipt. It has happened, so it is recorded whatever it was; whose signatures count here is
//! recorded with it. An alarm, and a human reviews it (invariants 1 and 8).

use crate::error::GateError;
use crate::state::{self, EmergencyRecord, Record};
use crate::vote::{govern, keep_rationale, unspent, verified};
use crate::world::World;
use crate::{Frame, Gate, keep};
use countersign_domain::emergency::{
    EMERGENCY_BYTES_MAX, EMERGENCY_STATEMENTS_MAX, EmergencyBundle,
};
use countersign_domain::entry::Event;
use countersign_domain::statement::{SignedStatement, Subject};
use countersign_domain::text::SaltedText;
use countersign_domain::{ChangeId, HostId, Timestamp, canonical};
use countersign_policy::HumanAction;
use countersign_store::DocumentQuery;
use countersign_verify::emergency::{check_form, statements};
use std::sync::Arc;

/// An emergency is reviewed within a day at most, in seconds, whatever the policy leaves for others.
const REVIEW_SECONDS_MAX: u32 = 86_400;
/// Emergencies in one answer at most.
const LISTED_MAX: usize = 1_000;

impl Gate {
    /// Takes an emergency and its receipt. The same again changes nothing; another receipt for the
    /// same order is refused and raises an alarm.
    ///
    /// # Errors
    /// When order and plan do not fit each other, or the receipt is not that host's for that order.
    pub async fn emergency(
        &self,
        host: &HostId,
        bundle: EmergencyBundle,
        receipt: String,
        now: Timestamp,
    ) -> Result<(), GateError> {
        retried!(self.emergency_once(host, bundle.clone(), receipt.clone(), now))
    }

    async fn emergency_once(
        &self,
        host: &HostId,
        bundle: EmergencyBundle,
        receipt: String,
        now: Timestamp,
    ) -> Result<(), GateError> {
        let world = self.world()?;
        let settled = countersign_verify::receipt::verify(&receipt, &world.roster)?.into_inner();
        let form = |problem: String| GateError::invalid("bundle", problem);
        if bundle.statements.len() > EMERGENCY_STATEMENTS_MAX {
            return Err(form("holds more statements than are read".into()));
        }
        let (order, plan) = check_form(&bundle).map_err(|error| form(error.to_string()))?;
        let change = ChangeId::from_proposal(&order);
        if settled.host != *host
            || bundle.order.host != *host
            || bundle.order.deployment != world.roster.deployment
            || settled.warrant != order
            || settled.change != change
        {
            return Err(GateError::Forbidden(
                "order and receipt are not of this host, or not of each other".into(),
            ));
        }
        let bytes = canonical::to_bytes(&bundle)?;
        if bytes.len() > EMERGENCY_BYTES_MAX {
            return Err(form(format!("is longer than {EMERGENCY_BYTES_MAX} bytes")));
        }
        let counted = counted(&bundle, &world);
        let within = world.policy().map_or(REVIEW_SECONDS_MAX, |policy| {
            policy.policy.settings().defaults.review_within
        });
        let due_at = now.plus_seconds(i64::from(within.min(REVIEW_SECONDS_MAX)));
        let frame = Frame::new(&world, now);
        let host = host.clone();
        let contradicted = self
            .submit(&Arc::clone(&world), move |tx| {
                if let Some(before) = state::load::<EmergencyRecord>(tx, change.as_str())? {
                    let same = before.receipt == countersign_domain::Digest::of(receipt.as_bytes());
                    if !same {
                        let text = format!("host `{host}` settled emergency `{change}` twice");
                        frame.alarm(tx, "second-receipt", None, text)?;
                    }
                    return Ok(!same);
                }
                // A statement that was used for something else cannot be used for this.
                let mut fresh = Vec::new();
                for (signed, statement) in counted {
                    if unspent(tx, &statement).is_ok() {
                        fresh.push(signed);
                    }
                }
                let bundle = keep(tx, bytes)?;
                frame.append(
                    tx,
                    Event::Emergency {
                        emergency: change,
                        host,
                        order,
                        plan,
                        bundle,
                        statements: fresh,
                        receipt,
                        due_at,
                    },
                )?;
                Ok(false)
            })
            .await?;
        if contradicted {
            return Err(GateError::Conflict(
                "this emergency was settled before, differently; an alarm was raised".into(),
            ));
        }
        Ok(())
    }

    /// Emergencies, the newest first: those that nobody has reviewed, or all.
    ///
    /// # Errors
    /// When storage fails.
    pub fn emergencies(&self, reviewed: bool) -> Result<Vec<EmergencyRecord>, GateError> {
        let open = [EmergencyRecord::OPEN];
        self.view(|view, _| {
            let query = DocumentQuery {
                states: if reviewed { &[] } else { &open },
                limit: LISTED_MAX,
                ..Default::default()
            };
            let documents = state::documents::<EmergencyRecord>(view, &query)?;
            Ok(documents
                .iter()
                .map(state::parse)
                .collect::<Result<_, _>>()?)
        })
    }

    /// Takes a human's signed review of an emergency.
    ///
    /// # Errors
    /// When the signature does not hold, nothing waits for it, the person may not review, or is one
    /// of those who broke the glass.
    pub async fn review_emergency(
        &self,
        emergency: &ChangeId,
        signed: SignedStatement,
        note: Option<SaltedText>,
        now: Timestamp,
    ) -> Result<(), GateError> {
        let world = self.world()?;
        let verified = verified(&world, &signed, now)?;
        let Subject::EmergencyReview {
            emergency: stated,
            entry,
            note: note_digest,
            ..
        } = verified.statement().subject.clone()
        else {
            return Err(GateError::invalid(
                "statement",
                "is not a review of an emergency",
            ));
        };
        if stated != *emergency {
            return Err(GateError::invalid(
                "statement",
                "is about another emergency",
            ));
        }
        let frame = Frame::new(&world, now);
        let change = emergency.clone();
        self.submit(&Arc::clone(&world), move |tx| {
            unspent(tx, verified.statement())?;
            let record = state::load::<EmergencyRecord>(tx, change.as_str())?
                .ok_or_else(|| GateError::not_found("emergency", change.as_str()))?;
            if record.reviewed.is_some() {
                return Err(GateError::Conflict(
                    "somebody has reviewed it already".into(),
                ));
            }
            if record.entry != entry {
                return Err(GateError::Conflict(
                    "what was signed is not what happened; look at it again".into(),
                ));
            }
            let person = &verified.statement().approver;
            // INVARIANT (no self-approval): but for a trial, where one person does everything.
            if record.people.contains(person) && !frame.trial {
                return Err(GateError::Forbidden(format!(
                    "`{person}` broke the glass; somebody else has to review it"
                )));
            }
            govern(&world, person, HumanAction::Review)?;
            keep_rationale(tx, note.as_ref(), note_digest)?;
            frame.append(
                tx,
                Event::EmergencyReviewed {
                    emergency: change,
                    statement: signed,
                },
            )?;
            Ok(())
        })
        .await
    }

    /// Nobody has reviewed it in time: an alarm, and the next rung. True when it was still due.
    pub(crate) async fn emergency_overdue(
        &self,
        emergency: ChangeId,
        rung_seconds: i64,
        now: Timestamp,
    ) -> Result<bool, GateError> {
        let world = self.world()?;
        let frame = Frame::new(&world, now);
        self.submit(&Arc::clone(&world), move |tx| {
            let due = state::load::<EmergencyRecord>(tx, emergency.as_str())?
                .filter(|record| record.due_at().is_some_and(|due_at| due_at <= now));
            let Some(record) = due else {
                return Ok(false);
            };
            frame.append(
                tx,
                Event::EmergencyOverdue {
                    emergency,
                    rung: record.rung.saturating_add(1),
                    due_at: now.plus_seconds(rung_seconds),
                },
            )?;
            Ok(true)
        })
        .await
    }
}

/// The statements that verify, with what they state.
fn counted(
    bundle: &EmergencyBundle,
    world: &World,
) -> Vec<(SignedStatement, countersign_domain::Statement)> {
    let mut counted = Vec::new();
    for signed in &bundle.statements {
        let one = EmergencyBundle {
            statements: vec![signed.clone()],
            ..bundle.clone()
        };
        // Of the past: a key that was revoked since was good then, or it was not.
        if let Ok((good, _)) = statements(&one, &world.roster, None)
            && let Some(good) = good.first()
            && !counted
                .iter()
                .any(|(_, before): &(_, countersign_domain::Statement)| before == good.statement())
        {
            counted.push((signed.clone(), good.statement().clone()));
        }
    }
    counted
}
