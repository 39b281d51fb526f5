//! Settling what was redeemed: warrants that the gate has no receipt for, and notices and receipts
//! that wait in the journal. Nothing is acted on here.

use super::answer::{Refusal, refusal};
use super::redeem::Redeemed;
use super::{Host, WorkError, World};
use crate::client::{ToRedeem, Unsettled};
use crate::durable;
use crate::journal::Record;
use crate::words::within;
use rand::RngCore;

/// What the gate says of a receipt that it refuses is kept up to this length, in bytes.
const WHY_BYTES_MAX: usize = 300;

impl Host {
    /// A warrant that the gate wants settled: acted on when its handover was lost on its way, else
    /// settled by what the journal knows. What became of a redemption, and whether it was refused.
    pub(super) fn unsettled(
        &mut self,
        world: World<'_>,
        rng: &mut dyn RngCore,
        redeemable: &[ToRedeem],
        task: &Unsettled,
    ) -> Result<(Redeemed, bool), WorkError> {
        let state = self.journal.state();
        if state.get(&task.warrant).is_none() && state.open().next().is_some() {
            // Beside an open intent nothing is started; whether this one can be is seen later.
            return Ok((Redeemed::NotNow, false));
        }
        let mut redeemed = Redeemed::Withheld;
        // The handover may have been lost on its way: the gate hands over the same one again.
        if let Some(again) = self.lost_handover(task) {
            redeemed = self.redeem(world, rng, &again)?;
            if matches!(redeemed, Redeemed::Executed | Redeemed::NotNow) {
                return Ok((redeemed, false));
            }
        }
        let refused = self.settle_unsettled(world, redeemable, task)?;
        Ok((redeemed, refused))
    }

    /// The redemption to repeat for a warrant that is out and that this host never saw.
    pub(super) fn lost_handover(&self, task: &Unsettled) -> Option<ToRedeem> {
        let state = self.journal.state();
        // INVARIANT (4): a journal that was begun anew cannot say that this one was never used.
        if state.get(&task.warrant).is_some() || state.blind_before().is_some() {
            return None;
        }
        // A host that acts only when the hook asks repeats nothing by itself.
        if self.config.hook.only_when_asked {
            return None;
        }
        if !self.may_start() || self.refused.contains_key(&task.change) {
            return None;
        }
        let text = durable::read_bounded(&self.planned_path(&task.change), 200).ok()?;
        Some(ToRedeem {
            change: task.change.clone(),
            plan: std::str::from_utf8(&text).ok()?.parse().ok()?,
        })
    }

    /// A warrant that the gate wants settled: one that this host has an end for is delivered again,
    /// one that it never acted on and will not is settled as never started; one that a lost journal
    /// may have held, as unknown.
    pub(super) fn settle_unsettled(
        &mut self,
        world: World<'_>,
        redeemable: &[ToRedeem],
        task: &Unsettled,
    ) -> Result<bool, WorkError> {
        if let Some(known) = self.journal.state().get(&task.warrant) {
            if let Some(settlement) = known.settlement.clone() {
                let caller = self.caller(world);
                let again = self
                    .client
                    .settled(caller, &task.change, &settlement.receipt);
                match again {
                    Err(error) if refusal(&error).is_some() => {
                        self.tell(world, &task.change, format!("receipt not taken: {error}"));
                    }
                    other => other?,
                }
            }
            return Ok(false);
        }
        if self.journal.state().blind_before().is_some() {
            let why = "this host's journal was begun anew: whether it acted on this warrant is not known; look at the host, and reconcile";
            self.executor(world, &|_, _| false)
                .disown(&task.change, task.warrant, why)?;
            return Ok(true);
        }
        let why = match self.refused.get(&task.change) {
            Some(why) => why.clone(),
            None if redeemable.iter().any(|one| one.change == task.change) => return Ok(false),
            None => "this host has no record of that warrant, and will not act on it".into(),
        };
        self.executor(world, &|_, _| false)
            .refuse(&task.change, task.warrant, &why)?;
        Ok(true)
    }

    /// Hands over notices and receipts that the gate does not have yet, in that order.
    pub(super) fn deliver(&mut self, world: World<'_>) -> Result<(), WorkError> {
        let waiting: Vec<_> = self.journal.state().undelivered().cloned().collect();
        for execution in waiting {
            let caller = self.caller(world);
            let bundle = execution
                .intended
                .as_ref()
                .and_then(|intended| intended.emergency);
            if let Some(intended) = &execution.intended
                && !intended.notice_delivered
                && bundle.is_none()
            {
                match self
                    .client
                    .started(caller, &execution.change, &intended.notice)
                {
                    Ok(()) => {
                        let warrant = execution.warrant;
                        self.journal.append(Record::NoticeDelivered { warrant })?;
                    }
                    // It may be too late for a notice; the receipt tells the same.
                    Err(error) if refusal(&error).is_some() => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let Some(settlement) = &execution.settlement else {
                continue;
            };
            let caller = self.caller(world);
            let warrant = execution.warrant;
            let answer = match bundle {
                None => self
                    .client
                    .settled(caller, &execution.change, &settlement.receipt),
                Some(digest) => {
                    let bundle = self.kept_bundle(&digest)?;
                    self.client.emergency(caller, &bundle, &settlement.receipt)
                }
            };
            let Err(error) = answer else {
                self.journal.append(Record::ReceiptDelivered { warrant })?;
                continue;
            };
            match refusal(&error) {
                None => return Err(error.into()),
                Some(Refusal::ForNow) => {
                    let text = format!("receipt not taken yet: {error}");
                    self.tell(world, &execution.change, text);
                }
                Some(Refusal::ForGood) => {
                    world.progress.line(format!(
                        "ATTENTION: the gate refused the receipt of `{}` ({}) for good: {error}; it stands in this host's journal, warrant `{warrant}`: have a human reconcile the change",
                        execution.change,
                        settlement.ending.as_str(),
                    ));
                    let why = within(&error.to_string(), WHY_BYTES_MAX);
                    self.journal
                        .append(Record::ReceiptRefused { warrant, why })?;
                }
            }
        }
        Ok(())
    }
}
