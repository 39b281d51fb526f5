//! How an execution ended of which nobody knew, where what its host shows does not settle it: a human
//! looks, and signs what they found. Nothing else is closed like this (invariant 10).

use crate::error::GateError;
use crate::prepare::load_execution;
use crate::propose::load_change;
use crate::vote::{keep_rationale, may, seat, unspent, verified};
use crate::{Frame, Gate};
use countersign_domain::entry::Event;
use countersign_domain::receipt::Ending;
use countersign_domain::statement::{SignedStatement, Subject};
use countersign_domain::text::SaltedText;
use countersign_domain::{ChangeId, ChangeState, ExecutionState, Timestamp};
use countersign_policy::HumanAction;
use std::sync::Arc;

impl Gate {
    /// Takes a human's signed statement of how an execution ended. The same again changes nothing.
    ///
    /// # Errors
    /// When the signature does not hold, the outcome is not unknown, what was signed is not what was
    /// authorized, or the person may not review the change.
    pub async fn state_ending(
        &self,
        change: &ChangeId,
        signed: SignedStatement,
        note: Option<SaltedText>,
        now: Timestamp,
    ) -> Result<ChangeState, GateError> {
        let world = self.world()?;
        let verified = verified(&world, &signed, now)?;
        let Subject::Ending {
            change: stated,
            change_digest,
            host,
            ending,
            note: note_digest,
        } = verified.statement().subject.clone()
        else {
            return Err(GateError::invalid("statement", "states no ending"));
        };
        if stated != *change {
            return Err(GateError::invalid("statement", "is about another change"));
        }
        if ending == Ending::Unknown {
            return Err(GateError::invalid(
                "statement",
                "that nobody knows closes nothing; look at the host first",
            ));
        }
        let frame = Frame::new(&world, now);
        let change = change.clone();
        self.submit(&Arc::clone(&world), move |tx| {
            let record = load_change(tx, &change)?;
            let execution = load_execution(tx, &change, &host)?;
            let again = execution
                .settlement
                .is_some_and(|settlement| settlement.stated == Some(signed.digest()));
            if again {
                return Ok(record.state);
            }
            unspent(tx, verified.statement())?;
            // INVARIANT (every redemption settles): only what nobody knows is closed without a receipt.
            if execution.state != ExecutionState::Unknown {
                return Err(GateError::Conflict(format!(
                    "the outcome on host `{host}` is not unknown; `countersign why {change}` shows it"
                )));
            }
            if record.digest != Some(change_digest) {
                return Err(GateError::Conflict(
                    "what was signed is not what ran; look at the change again".into(),
                ));
            }
            let person = &verified.statement().approver;
            may(&world, &seat(&world, &record, person), HumanAction::Review)?;
            keep_rationale(tx, note.as_ref(), note_digest)?;
            frame.append(
                tx,
                Event::EndingStated {
                    change: change.clone(),
                    host,
                    statement: signed,
                },
            )?;
            Ok(load_change(tx, &change)?.state)
        })
        .await
    }
}
