//! Reviews: a human accepts what ran on its own, or records a concern.

use crate::error::GateError;
use crate::propose::load_change;
use crate::vote::{keep_rationale, may, seat, unspent, verified};
use crate::{Frame, Gate};
use countersign_domain::entry::Event;
use countersign_domain::statement::{SignedStatement, Subject};
use countersign_domain::text::SaltedText;
use countersign_domain::{ChangeId, ChangeState, Timestamp};
use countersign_policy::HumanAction;
use std::sync::Arc;

impl Gate {
    /// Takes a signed review.
    ///
    /// # Errors
    /// When the signature does not hold, the change needs no review, or the person may not review it.
    pub async fn review(
        &self,
        change: &ChangeId,
        signed: SignedStatement,
        note: Option<SaltedText>,
        now: Timestamp,
    ) -> Result<ChangeState, GateError> {
        let world = self.world()?;
        let verified = verified(&world, &signed, now)?;
        let Subject::Review {
            change: stated,
            change_digest,
            note: note_digest,
            ..
        } = verified.statement().subject.clone()
        else {
            return Err(GateError::invalid("statement", "is not a review"));
        };
        if stated != *change {
            return Err(GateError::invalid("statement", "is about another change"));
        }
        let frame = Frame::new(&world, now);
        let change = change.clone();
        self.submit(&Arc::clone(&world), move |tx| {
            let record = load_change(tx, &change)?;
            unspent(tx, verified.statement())?;
            if !matches!(
                record.state,
                ChangeState::ReviewDue | ChangeState::Overdue(_)
            ) {
                return Err(GateError::State {
                    change,
                    state: record.state,
                    problem: "it does not wait for a review".into(),
                });
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
                Event::Reviewed {
                    change: change.clone(),
                    statement: signed,
                },
            )?;
            Ok(load_change(tx, &change)?.state)
        })
        .await
    }
}
