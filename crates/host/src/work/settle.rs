//! Settling what was redeemed: warrants that the gate has no receipt for, and notices and receipts
//! that wait in the journal. Nothing is acted on here.

use super::answer::{Refusal, refusal};
use super::redeem::Redeemed;
use super::{Host, WorkError, World};
use crate::client::{ToRedeem, Unsettled};
use crate::durable;
use crate::journal::{Execution, Record, Settlement};
use crate::words::within;
use countersign_domain::Digest;
use rand::RngCore;

/// What the gate says of a receipt that it refuses is kept up to this length, in bytes.
const WHY_BYTES_MAX: usize = 300;
/// Warrants of which this host knows nothing are settled so many a round at most: whose word they are
/// is not known, and each takes room in the journal for good.
const STRANGERS_MAX: usize = 32;
/// Emergencies that are handed in again, the newest, at most.
const RETOLD_MAX: usize = 16;
/// How often they are, in seconds, and at each start.
const RETELL_SECONDS: i64 = 86_400;

/// Whether one more warrant of which this host knows nothing is settled in this round.
const fn takes_stranger(settled: usize, has_room: bool) -> bool {
    settled < STRANGERS_MAX && has_room
}

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
        if !takes_stranger(self.strangers, self.journal.has_room()) {
            return Ok(false);
        }
        if self.journal.state().blind_before().is_some() {
            self.strangers += 1;
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
        self.strangers += 1;
        self.executor(world, &|_, _| false)
            .refuse(&task.change, task.warrant, &why)?;
        Ok(true)
    }

    /// Hands in emergencies again that the gate took or refused before, at each start and daily: whoever
    /// carries the bytes could have answered in its place. The same again changes nothing there.
    pub(super) fn retell_emergencies(&mut self, world: World<'_>) -> Result<(), WorkError> {
        let now = (world.clock)();
        let is_due = self
            .retold_at
            .is_none_or(|at| now.seconds_since(at) >= RETELL_SECONDS || now < at);
        if !is_due {
            return Ok(());
        }
        let mut known: Vec<(Execution, Digest, Settlement)> = self
            .journal
            .state()
            .executions()
            .filter_map(|execution| {
                let bundle = execution.intended.as_ref()?.emergency?;
                let settlement = execution.settlement.clone()?;
                let answered = settlement.delivered || settlement.refused.is_some();
                answered.then(|| (execution.clone(), bundle, settlement))
            })
            .collect();
        known.sort_by_key(|(_, _, settlement)| std::cmp::Reverse(settlement.at));
        for (execution, bundle, settlement) in known.into_iter().take(RETOLD_MAX) {
            let Ok(bundle) = self.kept_bundle(&bundle) else {
                continue;
            };
            let caller = self.caller(world);
            match self.client.emergency(caller, &bundle, &settlement.receipt) {
                Ok(()) if settlement.delivered => {}
                Ok(()) => self.journal.append(Record::ReceiptDelivered {
                    warrant: execution.warrant,
                })?,
                Err(error) if refusal(&error).is_some() => {
                    let text = format!("ATTENTION: this emergency is not taken again: {error}");
                    self.tell(world, &execution.change, text);
                }
                // No answer: in the next round.
                Err(_) => return Ok(()),
            }
        }
        self.retold_at = Some(now);
        Ok(())
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
                Some(digest) => match self.kept_bundle(&digest) {
                    Ok(bundle) => self.client.emergency(caller, &bundle, &settlement.receipt),
                    // The rest goes on; the receipt waits in the journal for what was signed.
                    Err(error) => {
                        let text = format!(
                            "ATTENTION: what was signed in this emergency cannot be read, so the gate is not told of it: {error}; hint: put the file back, or have a human look at this host's journal"
                        );
                        self.tell(world, &execution.change, text);
                        continue;
                    }
                },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_settled_a_few_a_round_and_none_in_a_nearly_full_journal() {
        assert!(takes_stranger(0, true));
        assert!(takes_stranger(STRANGERS_MAX - 1, true));
        assert!(!takes_stranger(STRANGERS_MAX, true));
        assert!(!takes_stranger(0, false));
    }
}
