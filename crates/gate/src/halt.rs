//! Halt and resume (invariant 11): one signature stops, more let it go on.

use crate::error::GateError;
use crate::fold::halt_key;
use crate::redeem::environments;
use crate::settle::stop_waiting;
use crate::state::{self, ChangeRecord, HaltRecord};
use crate::vote::{govern, unspent, verified};
use crate::world::{World, covers};
use crate::{Frame, Gate};
use countersign_domain::entry::{Closing, Event};
use countersign_domain::statement::{HaltScope, SignedStatement, Subject};
use countersign_domain::{ChangeState, Timestamp};
use countersign_policy::HumanAction;
use countersign_store::{DocumentQuery, Write};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Distinct people who sign a resume; a trial has one person only.
const RESUME_QUORUM: usize = 2;

impl Gate {
    /// Stops what the statement names: no new warrants, what is authorized is revoked, and hosts
    /// that have not started refuse within a minute. The halt epoch afterwards.
    ///
    /// # Errors
    /// When the signature does not hold.
    pub async fn halt(&self, signed: SignedStatement, now: Timestamp) -> Result<u64, GateError> {
        retried!(self.halt_once(signed.clone(), now))
    }

    async fn halt_once(&self, signed: SignedStatement, now: Timestamp) -> Result<u64, GateError> {
        let world = self.world()?;
        let verified = verified(&world, &signed, now)?;
        let Subject::Halt { halt } = verified.statement().subject.clone() else {
            return Err(GateError::invalid("statement", "is not a halt"));
        };
        let frame = Frame::new(&world, now);
        self.submit(&Arc::clone(&world), move |tx| {
            unspent(tx, verified.statement())?;
            let epoch = state::load::<HaltRecord>(tx, "current")?
                .unwrap_or_default()
                .epoch
                + 1;
            frame.append(
                tx,
                Event::Halted {
                    halt: halt.clone(),
                    epoch,
                    statement: signed,
                },
            )?;
            revoke_covered(tx, &world, &frame, &halt)?;
            Ok(epoch)
        })
        .await
    }

    /// Lets what was stopped go on, with the signatures of two people (one in a trial), each over
    /// the epoch that is current. What was revoked stays revoked. The halt epoch afterwards.
    ///
    /// # Errors
    /// When there are too few signatures, one does not hold, or nothing like that is halted.
    pub async fn resume(
        &self,
        signed: Vec<SignedStatement>,
        now: Timestamp,
    ) -> Result<u64, GateError> {
        let world = self.world()?;
        let mut people = BTreeSet::new();
        let mut halts = Vec::new();
        let mut statements = Vec::new();
        for one in &signed {
            let verified = verified(&world, one, now)?;
            let Subject::Resume { halt, halt_epoch } = verified.statement().subject.clone() else {
                return Err(GateError::invalid("statements", "one is not a resume"));
            };
            if halt_epoch != world.halts.epoch {
                return Err(GateError::Conflict(format!(
                    "signed at halt epoch {halt_epoch}, now {}; look again and sign that",
                    world.halts.epoch
                )));
            }
            govern(&world, &verified.statement().approver, HumanAction::Resume)?;
            people.insert(verified.statement().approver.clone());
            halts.push(halt);
            statements.push(verified.statement().clone());
        }
        let wanted = if world.roster.trial { 1 } else { RESUME_QUORUM };
        if people.len() < wanted {
            return Err(GateError::Forbidden(format!(
                "{} of {wanted} people have signed this resume",
                people.len()
            )));
        }
        let Some(halt) = halts
            .pop()
            .filter(|last| halts.iter().all(|other| other == last))
        else {
            return Err(GateError::invalid(
                "statements",
                "they are about different halts",
            ));
        };
        let frame = Frame::new(&world, now);
        self.submit(&Arc::clone(&world), move |tx| {
            for statement in &statements {
                unspent(tx, statement)?;
            }
            let record = state::load::<HaltRecord>(tx, "current")?.unwrap_or_default();
            if record.epoch != world.halts.epoch || !record.active.contains_key(&halt_key(&halt)?) {
                return Err(GateError::Conflict(
                    "nothing like that is halted; see `countersign halt list`".into(),
                ));
            }
            let epoch = record.epoch + 1;
            frame.append(
                tx,
                Event::Resumed {
                    halt,
                    epoch,
                    statements: signed,
                },
            )?;
            Ok(epoch)
        })
        .await
    }
}

/// Takes the authority from everything the halt covers that is authorized or has not started.
fn revoke_covered(
    tx: &mut dyn Write,
    world: &World,
    frame: &Frame,
    halt: &HaltScope,
) -> Result<(), GateError> {
    let states = [
        ChangeState::Authorized.as_str(),
        ChangeState::Running.as_str(),
    ];
    let mut before = None;
    loop {
        let query = DocumentQuery {
            states: &states,
            before,
            ..Default::default()
        };
        let page = state::documents::<ChangeRecord>(tx, &query)?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        before = Some(last.order);
        for document in &page {
            let record: ChangeRecord = state::parse(document)?;
            let rules = record
                .decision
                .as_ref()
                .map_or(&[][..], |decision| &decision.rules);
            if !covers(halt, &record.agent, rules, &environments(tx, &record.id)?) {
                continue;
            }
            if record.state == ChangeState::Authorized {
                frame.append(
                    tx,
                    Event::Closed {
                        change: record.id,
                        closing: Closing::Revoked,
                        why: "halted by a human".into(),
                    },
                )?;
            } else {
                stop_waiting(tx, world, frame, &record.id, "halted by a human")?;
            }
        }
    }
}
