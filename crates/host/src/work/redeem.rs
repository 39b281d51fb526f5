//! Redeeming, and settling what was redeemed: from the gate's answer to a permit, from the permit to
//! a receipt, from the journal to the gate.

use super::{Host, PLAN_BYTES_MAX, WorkError, World};
use crate::act::ActError;
use crate::client::{Caller, Client, ClientError, Redemption, ToRedeem, Unsettled};
use crate::durable;
use crate::journal::{JournalError, Record};
use crate::key::HostKey;
use countersign_domain::{ChangeId, Nonce, PreparedPlan, canonical};
use countersign_verify::handover::{self, HostPins, HostView};
use rand::RngCore;

/// What became of one redemption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Redeemed {
    /// The warrant was acted on, to whatever end.
    Executed,
    /// A warrant was handed over that is not acted on: it has to be settled.
    Refused,
    /// There was none to act on.
    NotNow,
}

impl Host {
    /// Redeems one authorization, and acts on the warrant when everything holds.
    pub(super) fn redeem(
        &mut self,
        world: World<'_>,
        rng: &mut dyn RngCore,
        task: &ToRedeem,
    ) -> Result<Redeemed, WorkError> {
        if !self.config.apt.execute {
            // It would only be refused; the gate lets it expire.
            self.refuse_for_now(world, &task.change, "this host only observes".into());
            return Ok(Redeemed::NotNow);
        }
        let plan = match durable::read_bounded(&self.plan_path(&task.plan), PLAN_BYTES_MAX)
            .map_err(|error| error.to_string())
            .and_then(|bytes| {
                canonical::from_bytes::<PreparedPlan>(&bytes).map_err(|error| error.to_string())
            }) {
            Ok(plan) => plan,
            Err(problem) => {
                let why = format!("this host does not hold plan `{}`: {problem}", task.plan);
                self.refuse_for_now(world, &task.change, why);
                return Ok(Redeemed::NotNow);
            }
        };
        let mut bytes = [0_u8; 16];
        rng.fill_bytes(&mut bytes);
        let redemption = Redemption {
            nonce: Nonce::from_random(bytes),
            checkpoint_size: self
                .seen
                .checkpoint()
                .map_or(0, |checkpoint| checkpoint.size),
            roster_version: self.seen.roster().version,
        };
        let redeemed = self
            .client
            .redeem(self.caller(world), &task.change, &redemption);
        let handover = match redeemed {
            Ok(handover) => handover,
            Err(
                error @ ClientError::Refused {
                    status: 400..=499, ..
                },
            ) => {
                self.refuse_for_now(world, &task.change, error.to_string());
                return Ok(Redeemed::NotNow);
            }
            Err(error) => return Err(error.into()),
        };
        self.seen.extend(&handover.roster)?;
        let pins = self.pins();
        let view = HostView {
            host: &self.config.host,
            roster: self.seen.roster(),
            pins: &pins,
            own_plan_digest: &task.plan,
            nonce: &redemption.nonce,
            last_checkpoint: self.seen.checkpoint(),
            last_halt_epoch: self.seen.halt_epoch(),
            now: (world.clock)(),
        };
        let permit = match handover::verify(&handover, &view) {
            Ok(permit) => permit,
            Err(refusal) => {
                self.refuse_for_now(world, &task.change, format!("refused: {refusal}"));
                return Ok(Redeemed::Refused);
            }
        };
        // INVARIANT (11): what was believed is durable before anything rests on it.
        self.seen
            .advance(permit.checkpoint(), permit.halt_epoch())?;
        world.progress.line(format!(
            "warrant for `{}` verified: log entry {}, {} on {}",
            task.change,
            permit.log_index(),
            permit.warrant().basis.decision.as_str(),
            permit
                .warrant()
                .basis
                .rules
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", "),
        ));
        let client = Client::new(&self.config.server)?;
        let caller_key = HostKey::load(&self.config.key_path(), self.config.host.clone())?;
        let deployment = self.config.deployment.clone();
        let notify = |change: &ChangeId, notice: &str| {
            let caller = Caller {
                key: &caller_key,
                deployment: &deployment,
                now: (world.clock)(),
            };
            client.started(caller, change, notice).is_ok()
        };
        let receipt = self
            .executor(world, &notify)
            .execute(&permit, &handover.warrant, &plan);
        match receipt {
            Ok(receipt) => {
                world
                    .progress
                    .line(format!("`{}`: {}", task.change, receipt.ending.as_str()));
                self.deliver(world)?;
                Ok(Redeemed::Executed)
            }
            // One spend: nothing happened, and the receipt of the first time stands.
            Err(ActError::Journal(JournalError::State(error))) => {
                self.refuse_for_now(world, &task.change, error.to_string());
                Ok(Redeemed::Refused)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn refuse_for_now(&mut self, world: World<'_>, change: &ChangeId, why: String) {
        world
            .progress
            .line(format!("`{change}` not acted on: {why}"));
        self.refused.insert(change.clone(), why);
    }

    fn pins(&self) -> HostPins {
        let pins = &self.config.pins;
        HostPins {
            tier: pins.tier,
            trial: pins.trial,
            required_humans: pins.required_humans.clone(),
            witness_quorum: pins.witness_quorum,
            lease_seconds_max: i64::from(pins.lease_seconds_max),
            clock_skew_seconds_max: i64::from(pins.clock_skew_seconds_max),
        }
    }

    /// The redemption to repeat for a warrant that is out and that this host never saw.
    pub(super) fn lost_handover(&self, task: &Unsettled) -> Option<ToRedeem> {
        let seen = self.journal.state().get(&task.warrant).is_some();
        if seen || self.refused.contains_key(&task.change) {
            return None;
        }
        let text = durable::read_bounded(&self.planned_path(&task.change), 200).ok()?;
        Some(ToRedeem {
            change: task.change.clone(),
            plan: std::str::from_utf8(&text).ok()?.parse().ok()?,
        })
    }

    /// A warrant that the gate wants settled: one that this host has an end for is delivered again,
    /// one that it never acted on and will not is settled as never started.
    pub(super) fn settle_unsettled(
        &mut self,
        world: World<'_>,
        redeemable: &[ToRedeem],
        task: &Unsettled,
    ) -> Result<bool, WorkError> {
        if let Some(known) = self.journal.state().get(&task.warrant) {
            if let Some(settlement) = known.settlement.clone() {
                let caller = self.caller(world);
                self.client
                    .settled(caller, &task.change, &settlement.receipt)?;
            }
            return Ok(false);
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
            if let Some(intended) = &execution.intended
                && !intended.notice_delivered
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
                    Err(ClientError::Refused {
                        status: 400..=499, ..
                    }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let Some(settlement) = &execution.settlement else {
                continue;
            };
            let caller = self.caller(world);
            self.client
                .settled(caller, &execution.change, &settlement.receipt)?;
            self.journal.append(Record::ReceiptDelivered {
                warrant: execution.warrant,
            })?;
        }
        Ok(())
    }
}
