//! Redeeming: from the gate's answer to a permit, from the permit to a receipt. Delivering that is
//! not here; see `settle`.

use super::answer::{Refusal, refusal};
use super::{Host, PLAN_BYTES_MAX, WorkError, World};
use crate::act::ActError;
use crate::client::{Caller, Client, Redemption, ToRedeem};
use crate::durable;
use crate::journal::JournalError;
use crate::key::HostKey;
use crate::put_off::PutOff;
use crate::seen::SeenError;
use countersign_domain::lease::Handover;
use countersign_domain::{ChangeId, Digest, Nonce, PreparedPlan, canonical};
use countersign_verify::handover::{self, HostPins, HostView, Permit};
use rand::RngCore;
use std::time::Instant;

/// What became of one redemption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Redeemed {
    /// The warrant was acted on, to whatever end.
    Executed,
    /// A warrant was handed over that is not acted on: it has to be settled.
    Refused,
    /// There was none to act on yet: to be asked for again.
    NotNow,
    /// There was none to act on, and asking again will not help.
    Withheld,
}

/// A warrant that this host verified, and the plan that it is for.
pub(super) struct Granted {
    pub(super) permit: Permit,
    pub(super) handover: Handover,
    pub(super) plan: PreparedPlan,
    /// When the gate was asked.
    pub(super) asked: Instant,
}

impl Host {
    /// Redeems one authorization, and acts on the warrant when everything holds.
    pub(super) fn redeem(
        &mut self,
        world: World<'_>,
        rng: &mut dyn RngCore,
        task: &ToRedeem,
    ) -> Result<Redeemed, WorkError> {
        let granted = match self.permit(world, rng, task)? {
            Ok(granted) => granted,
            Err(redeemed) => return Ok(redeemed),
        };
        let notify = self.notifier(world)?;
        let put_off = PutOff::begin();
        let receipt = self.executor(world, &notify).execute(
            &granted.permit,
            &granted.handover.warrant,
            &granted.plan,
            granted.asked,
        );
        drop(put_off);
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
                self.give_up(world, &task.change, error.to_string());
                Ok(Redeemed::Refused)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Tells the gate of a start, best effort.
    pub(super) fn notifier<'w>(
        &self,
        world: World<'w>,
    ) -> Result<impl Fn(&ChangeId, &str) -> bool + use<'w>, WorkError> {
        let client = Client::of(&self.config)?;
        let key = HostKey::load(&self.config.key_path(), self.config.host.clone())?;
        let deployment = self.config.deployment.clone();
        Ok(move |change: &ChangeId, notice: &str| {
            let caller = Caller {
                key: &key,
                deployment: &deployment,
                now: (world.clock)(),
            };
            client.started(caller, change, notice).is_ok()
        })
    }

    /// The plan with this digest, which this host made and keeps.
    pub(super) fn held_plan(&self, digest: &Digest) -> Result<PreparedPlan, String> {
        durable::read_bounded(&self.plan_path(digest), PLAN_BYTES_MAX)
            .map_err(|error| error.to_string())
            .and_then(|bytes| canonical::from_bytes(&bytes).map_err(|error| error.to_string()))
    }

    /// From an authorization to a warrant that this host verified itself, or what became of it.
    pub(super) fn permit(
        &mut self,
        world: World<'_>,
        rng: &mut dyn RngCore,
        task: &ToRedeem,
    ) -> Result<Result<Granted, Redeemed>, WorkError> {
        if !self.config.apt.execute {
            // It would only be refused; the gate lets it expire.
            self.give_up(world, &task.change, "this host only observes".into());
            return Ok(Err(Redeemed::Withheld));
        }
        let plan = match self.held_plan(&task.plan) {
            Ok(plan) => plan,
            Err(problem) => {
                let why = format!("this host does not hold plan `{}`: {problem}", task.plan);
                self.give_up(world, &task.change, why);
                return Ok(Err(Redeemed::Withheld));
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
        let asked = Instant::now();
        let redeemed = self
            .client
            .redeem(self.caller(world), &task.change, &redemption);
        let handover = match redeemed {
            Ok(handover) => handover,
            // Nothing is recorded: a wave comes, a halt ends, and it is asked for again.
            Err(error) => {
                let refused = refusal(&error);
                let Some(refused) = refused else {
                    return Err(error.into());
                };
                self.tell(world, &task.change, format!("not handed over: {error}"));
                return Ok(Err(match refused {
                    Refusal::ForNow => Redeemed::NotNow,
                    Refusal::ForGood => Redeemed::Withheld,
                }));
            }
        };
        match self.seen.extend(&handover.roster) {
            Ok(_) => {}
            Err(SeenError::Chain(error)) => {
                self.give_up(world, &task.change, format!("refused: {error}"));
                return Ok(Err(Redeemed::Refused));
            }
            Err(error) => return Err(error.into()),
        }
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
            waited: asked.elapsed(),
        };
        let permit = match handover::verify(&handover, &view) {
            Ok(permit) => permit,
            Err(refusal) => {
                self.give_up(world, &task.change, format!("refused: {refusal}"));
                return Ok(Err(Redeemed::Refused));
            }
        };
        // INVARIANT (11): what was believed is durable before anything rests on it.
        self.seen
            .advance(permit.checkpoint(), permit.halt_epoch())?;
        let warrant = *permit.warrant().digest();
        // INVARIANT (4): one spend, although the journal that knew of it may be lost.
        if let Some(log_size) = self.journal.state().blind_before()
            && permit.log_index() < log_size
            && self.journal.state().get(&warrant).is_none()
        {
            let why = "this warrant is older than this host's journal, which was begun anew: whether it was acted on is not known; look at the host, and reconcile";
            self.executor(world, &|_, _| false)
                .disown(&task.change, warrant, why)?;
            self.give_up(world, &task.change, why.into());
            return Ok(Err(Redeemed::Refused));
        }
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
        Ok(Ok(Granted {
            permit,
            handover,
            plan,
            asked,
        }))
    }

    /// Not asked for again in this run; when a warrant for it is out, it is settled.
    pub(super) fn give_up(&mut self, world: World<'_>, change: &ChangeId, why: String) {
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
}
