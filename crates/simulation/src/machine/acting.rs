//! Acting on a permit in the order of the real executor (`countersign_host::act`), with the real journal
//! and a package manager that is a map.

use super::{Effect, Flaw, Fortune, Machine, Stopped, number};
use crate::actors;
use countersign_domain::lease::LEASE_SECONDS_MAX;
use countersign_domain::receipt::{Ending, StartNotice};
use countersign_domain::{Digest, Timestamp, Transition, jws};
use countersign_host::journal::{self, JournalError, Phase, Record, Runner};
use countersign_host::session::Session;
use countersign_verify::handover::Permit;

impl Machine {
    /// Acts on a permit in the order of the real executor: intent, spend, install, check, back, settle.
    ///
    /// # Errors
    /// When it dies on the way, or its journal refuses.
    pub fn act(
        &mut self,
        permit: &Permit,
        jws: &str,
        fortune: Fortune,
        asked_at: Timestamp,
        now: Timestamp,
        happened: &mut Vec<Effect>,
    ) -> Result<Ending, Stopped> {
        let warrant = permit.warrant();
        let (digest, change) = (*warrant.digest(), warrant.txn.clone());
        let state = self.journal().state();
        if let Some(size) = state.blind_before()
            && permit.log_index() < size
            && state.get(&digest).is_none()
        {
            self.settle(&change, digest, None, Ending::Unknown, now)?;
            return Ok(Ending::Unknown);
        }
        if state.get(&digest).is_some() || state.knows_jti(&warrant.jti) {
            return Err(JournalError::from(journal::StateError::Used(digest)).into());
        }
        let clock = self.clock(now);
        let plan = self.plans.get(&change).cloned();
        let forward: Vec<Transition> = plan
            .iter()
            .flat_map(|plan| &plan.steps)
            .map(|step| step.transition.clone())
            .collect();
        let reverse: Vec<Transition> = plan
            .iter()
            .flat_map(|plan| &plan.steps)
            .map(|step| step.reverse.transition.clone())
            .collect();
        // By a clock that nobody sets, too: what passes between two moments is the same for all.
        let stale = now.seconds_since(asked_at) > LEASE_SECONDS_MAX && !self.trusts_its_clock();
        let fresh = (clock <= permit.start_before() && !stale) || self.flaw == Flaw::KeepsPermits;
        let go = plan.is_some_and(|plan| clock < plan.expires_at)
            && clock.unix_seconds() < warrant.exp
            && fresh
            && self.are_old(&forward);
        if !go {
            self.settle(&change, digest, None, Ending::NeverStarted, now)?;
            return Ok(Ending::NeverStarted);
        }
        let mut step = 0;
        let mut alive = |_: &str| {
            step += 1;
            if fortune.dies_at == step {
                Err(Stopped::Died)
            } else {
                Ok(())
            }
        };
        alive("intent")?;
        let notice = StartNotice {
            v: 1,
            deployment: actors::deployment(),
            host: actors::host(self.name),
            change: change.clone(),
            warrant: digest,
            started_at: clock,
        };
        let notice = actors::sign(self.name, jws::STARTED_TYP, &notice);
        self.journal().append(Record::Intent {
            at: clock,
            warrant: digest,
            jti: warrant.jti.clone(),
            change: change.clone(),
            plan: warrant.details().plan_digest,
            jws: jws.to_owned(),
            forward: forward.clone(),
            reverse: reverse.clone(),
            session: Session {
                pid: 1,
                start_ticks: 1,
                boot: "simulated".to_owned(),
            },
            runner: Runner::Host,
            until: None,
            emergency: None,
            notice,
        })?;
        alive("spend")?;
        self.spend(digest, Phase::Forward, &forward, now)?;
        alive("install")?;
        let mut done = 0;
        for transition in forward.iter().take(fortune.gets_done) {
            self.install(digest, Phase::Forward, transition, happened);
            done += 1;
            alive("next package")?;
        }
        let well = done == forward.len() && fortune.healthy && fortune.inspectable;
        let ending = if well || self.flaw == Flaw::Lies {
            Ending::Succeeded
        } else {
            let back: Vec<Transition> = reverse.iter().take(done).cloned().collect();
            if !back.is_empty() {
                alive("spend the way back")?;
                self.spend(digest, Phase::Reverse, &back, now)?;
                alive("way back")?;
                if fortune.way_back_works {
                    for transition in &back {
                        self.install(digest, Phase::Reverse, transition, happened);
                    }
                }
            }
            if !fortune.inspectable {
                Ending::Unknown
            } else if self.are_old(&forward) {
                Ending::RolledBack
            } else {
                Ending::Failed
            }
        };
        alive("settle")?;
        self.settle(&change, digest, Some(clock), ending, now)?;
        Ok(ending)
    }

    fn spend(
        &mut self,
        warrant: Digest,
        phase: Phase,
        transitions: &[Transition],
        now: Timestamp,
    ) -> Result<(), JournalError> {
        if self.flaw == Flaw::SkipsJournal {
            return Ok(());
        }
        let at = self.clock(now);
        self.journal().append(Record::Spent {
            at,
            warrant,
            phase,
            transitions: transitions.to_vec(),
            session: None,
        })
    }

    fn trusts_its_clock(&self) -> bool {
        self.flaw == Flaw::TrustsItsClock
    }

    fn install(
        &mut self,
        warrant: Digest,
        phase: Phase,
        transition: &Transition,
        happened: &mut Vec<Effect>,
    ) {
        let journalled = self.journalled().is_ok_and(|state| {
            state
                .get(&warrant)
                .and_then(|execution| execution.intended.as_ref())
                .and_then(|intended| intended.spent.as_ref())
                .is_some_and(|(spent, which)| *spent == phase && which.contains(transition))
        });
        let new = transition.new.as_ref().map_or(0, number);
        self.installed.insert(transition.name.to_string(), new);
        let warrant = match self.flaw {
            Flaw::ActsUnwarranted => Digest::of(b"a warrant of its own"),
            _ => warrant,
        };
        let mut transition = transition.clone();
        if self.flaw == Flaw::ActsOtherwise {
            transition.sha256 = Some(Digest::of(b"another artifact"));
        }
        let effect = Effect {
            warrant: Some(warrant),
            phase,
            transition,
            journalled,
        };
        if self.flaw == Flaw::ActsTwice {
            happened.push(effect.clone());
        }
        happened.push(effect);
    }
}
