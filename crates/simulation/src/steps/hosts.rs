//! What happens to a host in one step: it observes, prepares, redeems, acts, settles, dies and starts
//! again. Judges nothing.

use super::PLAN_SECONDS;
use crate::actors;
use crate::checks::halted_long_ago;
use crate::machine::{ANSWER_SECONDS_MAX, Flaw, Fortune, Stopped};
use crate::network::{Answer, Message};
use crate::run::{Handed, Held, Simulation, Violation};
use countersign_domain::observation::{CveCoverage, Observation, PendingUpgrade};
use countersign_domain::package::{Architecture, CveId, PackageName, Version};
use countersign_domain::plan::RollbackSource;
use countersign_domain::{ChangeId, canonical, jws};
use countersign_gate::{GateError, Redemption};
use countersign_host::journal::JournalError;
use rand::Rng;
use rand::seq::SliceRandom as _;

impl Simulation {
    pub(super) fn host_works(&mut self) -> Result<(), Violation> {
        let at = self.any_machine();
        if !self.machines[at].is_up() {
            return self.boot(at);
        }
        match self.rng.gen_range(0..10) {
            0 => self.observe(at),
            1 | 2 => self.settle_waiting(at),
            _ => self.do_work(at),
        }
    }

    pub(crate) fn boot(&mut self, at: usize) -> Result<(), Violation> {
        let now = self.now;
        let name = self.machines[at].name;
        self.note(format_args!("{name} starts"));
        let booted = self.machines[at].boot(now);
        booted.map_err(|error| self.violation("a machine that died starts again", error))
    }

    pub(super) fn observe(&mut self, at: usize) -> Result<(), Violation> {
        let machine = &self.machines[at];
        let pending = actors::PACKAGES
            .iter()
            .enumerate()
            .map(|(number, package)| {
                let old = machine.installed.get(*package).copied().unwrap_or(0);
                PendingUpgrade {
                    name: PackageName::new(*package).unwrap(),
                    architecture: Architecture::new("amd64").unwrap(),
                    from: Version::new(format!("1.{old}")).unwrap(),
                    to: Version::new(format!("1.{}", old + 1)).unwrap(),
                    origin: "Debian-Security:12/stable-security".into(),
                    security: true,
                    section: Some("libs".into()),
                    essential: false,
                    pulls_in: Vec::new(),
                    cves: CveCoverage::Read {
                        ids: [CveId::new(format!("CVE-2024-000{number}")).unwrap()].into(),
                    },
                    rollback: RollbackSource::Mirror,
                }
            });
        let observation = Observation {
            v: 1,
            deployment: actors::deployment(),
            host: actors::host(machine.name),
            observed_at: machine.clock(self.now),
            lists_refreshed_at: None,
            pending: pending.collect(),
            health: Vec::new(),
            gaps: Vec::new(),
        };
        let name = machine.name;
        let signed = actors::sign(name, jws::OBSERVATION_TYP, &observation);
        self.send(Message::Observe(actors::host(name), signed))
            .map(|_| ())
    }

    /// What the gate has for this host to do.
    pub(crate) fn do_work(&mut self, at: usize) -> Result<(), Violation> {
        let name = actors::host(self.machines[at].name);
        let work = self.deployment.gate().work(&name);
        let work = work.map_err(|error| self.violation("work can be read", error))?;
        let (now, chance) = (self.now, self.rng.gen_range(0..3));
        if let (0, Some(task)) = (chance, work.prepare.choose(&mut self.rng)) {
            return self.prepare(at, &task.change);
        }
        if let (1, Some(task)) = (chance, work.unsettled.choose(&mut self.rng)) {
            if self.machines[at].knows_warrant(&task.warrant) {
                return self.settle_waiting(at);
            }
            if self.rng.gen_bool(0.7) {
                return self.redeem(at, &task.change);
            }
            let disowned = self.machines[at].disown(&task.change, task.warrant, now);
            return disowned
                .map_err(|error| self.violation("an unknown warrant can be settled", error));
        }
        match work.redeem.choose(&mut self.rng) {
            Some(task) => self.redeem(at, &task.change),
            None => match work.prepare.choose(&mut self.rng) {
                Some(task) => self.prepare(at, &task.change),
                None => Ok(()),
            },
        }
    }

    pub(super) fn prepare(&mut self, at: usize, change: &ChangeId) -> Result<(), Violation> {
        let name = actors::host(self.machines[at].name);
        let Some(proposal) = self.truth.proposals.get(change).cloned() else {
            return Err(self.violation(
                "9 two logs",
                format!("work for {change}, which nobody proposed"),
            ));
        };
        let upgrades = self.machines[at].would_upgrade(&proposal);
        if self.rng.gen_bool(0.05) || !upgrades {
            return self
                .send(Message::Unprepared(name, change.clone()))
                .map(|_| ());
        }
        let lifetime = if self.rng.gen_bool(0.1) {
            60
        } else {
            PLAN_SECONDS
        };
        let now = self.now;
        let (plan, signed) = match self.machines[at].plans.get(change).cloned() {
            Some(plan) => (
                plan.clone(),
                actors::sign(self.machines[at].name, jws::PLAN_TYP, &plan),
            ),
            None => self.machines[at].prepare(change, &proposal, lifetime, now),
        };
        self.truth
            .plans
            .insert(canonical::digest(&plan).unwrap(), plan);
        self.send(Message::Prepared(name, change.clone(), signed))
            .map(|_| ())
    }

    pub(super) fn redeem(&mut self, at: usize, change: &ChangeId) -> Result<(), Violation> {
        let (roster_version, checkpoint_size) = self.machines[at].knows();
        let redemption = Redemption {
            change: change.clone(),
            host: actors::host(self.machines[at].name),
            nonce: self.nonce(),
            checkpoint_size,
            roster_version,
            jti: self.nonce(),
        };
        let nonce = redemption.nonce.clone();
        let asked_at = self.now;
        if let Some(Ok(Answer::Handover(handover))) = self.send(Message::Redeem(redemption))? {
            let fresh = self.rng.gen_bool(0.85);
            let handed = Handed {
                machine: at,
                change: change.clone(),
                nonce,
                asked_at,
                handover,
                fresh,
            };
            if fresh {
                return self.handed(handed);
            }
            self.answers.push(handed);
        }
        Ok(())
    }

    /// A machine gets a handover: verifies it, and acts now or a little later.
    pub(super) fn handed(&mut self, handed: Handed) -> Result<(), Violation> {
        let Handed {
            machine: at,
            change,
            nonce,
            asked_at,
            handover,
            fresh,
        } = handed;
        let now = self.now;
        let late = now.seconds_since(asked_at) > ANSWER_SECONDS_MAX;
        if !self.machines[at].is_up() || late {
            return Ok(());
        }
        let name = self.machines[at].name;
        match self.machines[at].verify(&change, &handover, &nonce, asked_at, now) {
            Err(refusal) => {
                self.report.refusals += 1;
                self.note(format_args!("{name} refuses {change}: {refusal}"));
                if fresh {
                    self.check(&crate::checks::Seen::Refused(&refusal))?;
                }
                Ok(())
            }
            Ok(permit) => {
                let held = Held {
                    machine: at,
                    permit,
                    asked_at,
                    jws: handover.warrant,
                };
                let keeps = self.machines[at].flaw.keeps_permits();
                if self.rng.gen_bool(0.8) && !keeps {
                    return self.act(held);
                }
                self.held.push(held);
                Ok(())
            }
        }
    }

    pub(super) fn held_permit(&mut self) -> Result<(), Violation> {
        if self.held.is_empty() {
            return Ok(());
        }
        let mut at = self.rng.gen_range(0..self.held.len());
        // Whoever keeps permits comes back with them at the worst moment.
        if self.machines[0].flaw.keeps_permits() {
            let late = |held: &Held| {
                let warrant = held.permit.warrant().digest();
                halted_long_ago(&self.truth, warrant, self.now)
            };
            match self.held.iter().position(late) {
                Some(first) => at = first,
                None => return Ok(()),
            }
        }
        let held = self.held.swap_remove(at);
        let trusts = self.machines[held.machine].flaw == Flaw::TrustsItsClock;
        if trusts || self.rng.gen_bool(0.1) {
            // Its clock is set back meanwhile, so that the permit looks fresh.
            let name = self.machines[held.machine].name;
            self.note(format_args!("{name} sets its clock back"));
            let back = self.now.unix_millis() - held.asked_at.unix_millis();
            self.machines[held.machine].skew_ms = 1_000 - back;
        }
        self.act(held)
    }

    pub(super) fn act(&mut self, held: Held) -> Result<(), Violation> {
        let (at, now) = (held.machine, self.now);
        if !self.machines[at].is_up() {
            return Ok(());
        }
        let fortune = Fortune {
            dies_at: if self.rng.gen_bool(0.15) {
                self.rng.gen_range(1..8)
            } else {
                0
            },
            gets_done: usize::from(self.rng.gen_bool(0.92)),
            healthy: self.rng.gen_bool(0.92),
            way_back_works: self.rng.gen_bool(0.9),
            inspectable: self.rng.gen_bool(0.97),
        };
        let mut happened = Vec::new();
        let name = self.machines[at].name;
        let acted = self.machines[at].act(
            &held.permit,
            &held.jws,
            fortune,
            held.asked_at,
            now,
            &mut happened,
        );
        self.happened(name, happened)?;
        match acted {
            Ok(ending) => {
                self.note(format_args!(
                    "{name} {}: {}",
                    held.permit.warrant().txn,
                    ending.as_str()
                ));
                if self.rng.gen_bool(0.7) {
                    self.settle_waiting(at)
                } else {
                    Ok(())
                }
            }
            Err(Stopped::Died) => {
                let torn = self.rng.gen_bool(0.5);
                self.machine_dies(at, torn);
                Ok(())
            }
            // One spend: the first receipt stands.
            Err(Stopped::Journal(JournalError::State(error))) => {
                self.note(format_args!("{name} does not act: {error}"));
                Ok(())
            }
            Err(Stopped::Journal(error)) => {
                Err(self.violation("the journal can be written", error))
            }
        }
    }

    /// Delivers notices and receipts that wait.
    pub(crate) fn settle_waiting(&mut self, at: usize) -> Result<(), Violation> {
        let name = actors::host(self.machines[at].name);
        for execution in self.machines[at].undelivered() {
            if let Some(intended) = &execution.intended {
                self.send(Message::Started(
                    name.clone(),
                    execution.change.clone(),
                    intended.notice.clone(),
                ))?;
            }
            let Some(settlement) = &execution.settlement else {
                continue;
            };
            let message = Message::Settle(
                name.clone(),
                execution.change.clone(),
                settlement.receipt.clone(),
            );
            let refused = match self.send(message)? {
                None | Some(Err(GateError::Store(_) | GateError::Changed)) => continue,
                Some(Ok(_)) => None,
                Some(Err(error)) => Some(error.to_string()),
            };
            let noted = self.machines[at].delivered(execution.warrant, refused);
            noted.map_err(|error| self.violation("the journal can be written", error))?;
        }
        Ok(())
    }

    pub(super) fn machine_dies(&mut self, at: usize, torn: bool) {
        let name = self.machines[at].name;
        self.note(format_args!("{name} dies"));
        self.held.retain(|held| held.machine != at);
        self.answers.retain(|answer| answer.machine != at);
        self.machines[at].die(torn);
        if self.rng.gen_bool(0.3) {
            self.machines[at].skew_ms = self.rng.gen_range(-40_000..40_000);
        }
        if self.rng.gen_bool(0.1) {
            self.note("and loses its journal");
            self.machines[at].lose_journal();
        }
    }

    pub(super) fn host_dies(&mut self) -> Result<(), Violation> {
        let at = self.any_machine();
        if self.machines[at].is_up() && self.rng.gen_bool(0.4) {
            let torn = self.rng.gen_bool(0.5);
            self.machine_dies(at, torn);
        } else if self.rng.gen_bool(0.5) {
            // A clock is set while its machine runs.
            let name = self.machines[at].name;
            let right = self.rng.gen_bool(0.6);
            let skew_ms = self.rng.gen_range(-40_000..40_000);
            let skew_ms = if right { 0 } else { skew_ms };
            self.note(format_args!("{name} sets its clock {skew_ms} ms off"));
            self.machines[at].skew_ms = skew_ms;
        }
        Ok(())
    }
}
