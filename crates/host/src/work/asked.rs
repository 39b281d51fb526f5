//! Answering the hook: a run of apt that somebody else started is covered by an authorized plan that
//! contains all of it, or by what the same session has begun. Redeemed and verified exactly as what
//! this host starts itself; only the package tool is another.

use super::redeem::Redeemed;
use super::{Host, WorkError, World};
use crate::asked::{self, Listener, Question};
use crate::client::ToRedeem;
use crate::hook::{self, Ground, Line, Target};
use crate::journal::{Execution, Intended};
use crate::session::Session;
use countersign_domain::id::CheckName;
use countersign_domain::text::shown;
use countersign_domain::{Digest, PreparedPlan, Transition};
use rand::RngCore;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often it is looked whether a run that was seen has ended.
const LOOK: Duration = Duration::from_millis(250);
/// Between two rounds when nobody can ask.
const NAP: Duration = Duration::from_millis(100);

/// Between two rounds that had nothing to do.
const IDLE: Duration = Duration::from_secs(5);
/// After a round that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(30);

/// How long it is before the next round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// The last one had something to do.
    None,
    /// It had not.
    Idle,
    /// It failed.
    Failed,
}

/// What the hook is told: covered, or why not.
type Said = Result<(), String>;

impl Host {
    /// Listens for the hook. When that does not work, it is told, and every hook refuses.
    pub(super) fn listen(&self, world: World<'_>) -> Option<Listener> {
        let path = self.config.hook_socket();
        match Listener::open(&path) {
            Ok(listener) => Some(listener),
            Err(error) => {
                world.progress.line(format!(
                    "error: the hook cannot ask this host, `{}`: {error}; runs of apt that others start are refused",
                    path.display()
                ));
                None
            }
        }
    }

    /// Answers what is asked for this long, or until there is something else to do: a run that was
    /// seen has ended, and its package tools too. After a round that failed the whole pause is kept,
    /// for the next one would fail likewise.
    ///
    /// # Errors
    /// Only what ends this process: a journal that cannot be written.
    pub(super) fn attend(
        &mut self,
        world: World<'_>,
        rng: &mut dyn RngCore,
        listener: Option<&Listener>,
        pause: Pause,
    ) -> Result<(), WorkError> {
        let (pause, has_failed) = match pause {
            Pause::None => (Duration::ZERO, false),
            Pause::Idle => (IDLE, false),
            Pause::Failed => (AFTER_FAILURE, true),
        };
        let until = Instant::now() + pause;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let seen = self.seen_sessions();
            let patience = if seen.is_empty() {
                left
            } else {
                left.min(LOOK)
            };
            let question = match listener.map(|listener| listener.wait(patience)) {
                Some(Ok(question)) => question,
                Some(Err(_)) | None => {
                    std::thread::sleep(patience.min(NAP));
                    None
                }
            };
            if let Some(question) = question {
                self.answer(world, rng, question)?;
                continue;
            }
            let over = || {
                seen.iter().any(|session| !session.is_alive()) && self.apt.package_lock_is_free()
            };
            if left.is_zero() || (!has_failed && over()) {
                return Ok(());
            }
        }
    }

    fn seen_sessions(&self) -> Vec<Session> {
        self.journal
            .state()
            .open()
            .filter_map(|execution| execution.intended.as_ref())
            .filter(|intended| intended.is_seen_forward())
            .map(|intended| intended.session.clone())
            .collect()
    }

    fn answer(
        &mut self,
        world: World<'_>,
        rng: &mut dyn RngCore,
        question: Question,
    ) -> Result<(), WorkError> {
        let said = match self.consider(world, rng, &question) {
            Ok(said) => said,
            Err(error) if error.is_final() => {
                question.answer(Err(error.to_string()));
                return Err(error);
            }
            Err(error) => Err(error.to_string()),
        };
        world.progress.line(match &said {
            Ok(()) => format!(
                "the hook asked about {} lines: covered",
                question.lines.len()
            ),
            Err(why) => format!("the hook asked: not covered: {}", shown(why, 500)),
        });
        question.answer(said);
        Ok(())
    }

    fn consider(
        &mut self,
        world: World<'_>,
        rng: &mut dyn RngCore,
        question: &Question,
    ) -> Result<Said, WorkError> {
        let session = match asked::session(&self.config.apt.root, question.pid) {
            Ok(session) => session,
            Err(error) => return Ok(Err(error.to_string())),
        };
        // INVARIANT (one spend): what one session has begun, no other goes on with.
        let ours = |intended: &Intended| intended.is_seen_forward() && intended.session == session;
        let foreign = self
            .journal
            .state()
            .open()
            .find(|open| !open.intended.as_ref().is_some_and(ours));
        if let Some(open) = foreign {
            return Ok(Err(format!(
                "change `{}` is being acted on by another run; try again when it has ended",
                open.change
            )));
        }
        let missing = beyond(&self.begun(), &question.lines, &self.ground());
        if !missing.is_empty()
            && let Err(why) = self.redeem_for(world, rng, session, question.pid, &missing)?
        {
            return Ok(Err(why));
        }
        self.spend_asked(world, &question.lines)
    }

    /// Redeems the authorized plans that contain these lines, and journals intent for the session.
    fn redeem_for(
        &mut self,
        world: World<'_>,
        rng: &mut dyn RngCore,
        session: Session,
        asker: u32,
        missing: &[&Line],
    ) -> Result<Said, WorkError> {
        if !self.journal.has_room() {
            return Ok(Err("the journal of this host is nearly full".into()));
        }
        if !self.config.apt.execute || self.prepares_only {
            return Ok(Err("this host only observes and prepares".into()));
        }
        let work = self.client.work(self.caller(world))?;
        let tasks = match self.containing(&work.redeem, missing) {
            Ok(tasks) => tasks,
            Err(why) => return Ok(Err(why)),
        };
        let mut granted = Vec::new();
        let mut problem = None;
        for task in &tasks {
            match self.permit(world, rng, task)? {
                Ok(one) => granted.push((&task.change, one)),
                Err(redeemed) => {
                    problem = Some(self.why_not(task, redeemed));
                    break;
                }
            }
        }
        // It took a while: a hook that gave up meanwhile lets nothing happen.
        if problem.is_none() && !session.is_ancestor_of(asker) {
            problem = Some("the hook that asked has gone".into());
        }
        if let Some(why) = problem {
            // All of a run or nothing: what was redeemed for it is settled as never started.
            for (change, _) in granted {
                self.give_up(world, change, why.clone());
            }
            return Ok(Err(why));
        }
        let notify = self.notifier(world)?;
        for (change, one) in granted {
            let never = self.executor(world, &notify).begin_seen(
                &one.permit,
                &one.handover.warrant,
                &one.plan,
                session.clone(),
                one.asked,
            )?;
            let warrant = *one.permit.warrant().digest();
            self.allow_steps(world, warrant, one.asked);
            if let Some(receipt) = never {
                self.deliver(world)?;
                return Ok(Err(format!(
                    "change `{change}` was not started: {}",
                    receipt.notes.join("; ")
                )));
            }
        }
        Ok(Ok(()))
    }

    fn ground(&self) -> Ground {
        Ground::of(&self.config)
    }

    /// What is begun and open, all of one session.
    fn begun(&self) -> Vec<Begun> {
        self.journal
            .state()
            .open()
            .filter_map(|open| {
                let intended = open.intended.as_ref()?;
                Some(Begun {
                    warrant: open.warrant,
                    forward: intended.forward.clone(),
                    spent: intended.spent_forward().to_vec(),
                })
            })
            .collect()
    }

    fn why_not(&self, task: &ToRedeem, redeemed: Redeemed) -> String {
        let words = match redeemed {
            Redeemed::NotNow => "the gate hands over no warrant now",
            Redeemed::Withheld => "the gate hands over no warrant",
            Redeemed::Refused | Redeemed::Executed => "its warrant was refused",
        };
        let why = self
            .refused
            .get(&task.change)
            .or(self.told.get(&task.change));
        format!(
            "change `{}` is authorized, but {words}: {}",
            task.change,
            why.map_or("no reason is known", String::as_str)
        )
    }

    /// Authorized plans that together contain every line, file digests included: one when one does.
    fn containing(&self, tasks: &[ToRedeem], lines: &[&Line]) -> Result<Vec<ToRedeem>, String> {
        let ground = self.ground();
        let mut plans = Vec::new();
        let mut closest = None;
        for task in tasks {
            if let Some(why) = self.refused.get(&task.change) {
                closest = closest.or_else(|| Some(why.clone()));
                continue;
            }
            match self.held_plan(&task.plan) {
                Ok(plan) => {
                    let forward = transitions(&plan);
                    let contained = lines.iter().map(|line| contained(line, &forward, &ground));
                    let contained: Vec<Result<(), String>> = contained.collect();
                    if let Some(why) = contained.iter().find_map(|one| one.as_ref().err()) {
                        closest = closest.or_else(|| Some(why.clone()));
                    }
                    plans.push((task, contained));
                }
                Err(why) => closest = closest.or(Some(why)),
            }
        }
        if let Some((task, _)) = plans
            .iter()
            .find(|(_, contained)| contained.iter().all(Result::is_ok))
        {
            return Ok(vec![(*task).clone()]);
        }
        let mut chosen = Vec::new();
        let mut found = vec![false; lines.len()];
        for (task, contained) in &plans {
            let adds = found
                .iter()
                .zip(contained)
                .any(|(found, one)| !found && one.is_ok());
            if adds {
                chosen.push((*task).clone());
                for (found, one) in found.iter_mut().zip(contained) {
                    *found |= one.is_ok();
                }
            }
        }
        if found.iter().all(|found| *found) {
            return Ok(chosen);
        }
        Err(match closest {
            Some(why) => format!(
                "the {} plans that are authorized do not contain all of it: {why}",
                tasks.len()
            ),
            None => "nothing is authorized for this host now".into(),
        })
    }

    /// Remembers until when steps may be begun under a warrant.
    fn allow_steps(&mut self, world: World<'_>, warrant: Digest, asked: Instant) {
        let state = self.journal.state();
        self.steps
            .keep(|known| state.open().any(|open| open.warrant == *known));
        let until = state
            .get(&warrant)
            .and_then(|execution| execution.intended.as_ref()?.until);
        if let Some(until) = until {
            let left = until.seconds_since((world.clock)()).max(0).unsigned_abs();
            let left = Duration::from_secs(left);
            self.steps.allow(warrant, left, asked, Instant::now());
        }
    }

    /// Spends what of these lines is not spent yet by this session.
    fn spend_asked(&mut self, world: World<'_>, lines: &[Line]) -> Result<Said, WorkError> {
        let fresh = match wanted(lines, &self.begun(), &self.ground()) {
            Ok(fresh) => fresh,
            Err(why) => return Ok(Err(format!("the plans of this run's warrants: {why}"))),
        };
        // INVARIANT (no warrant, no effect): all of the step, or nothing.
        let now = Instant::now();
        if let Some(why) = fresh
            .keys()
            .find_map(|warrant| self.steps.over(warrant, now))
        {
            return Ok(Err(why.into()));
        }
        for (warrant, transitions) in fresh {
            self.executor(world, &|_, _| false)
                .spend_seen(warrant, &transitions)?;
        }
        Ok(Ok(()))
    }

    /// Concludes the runs whose session has ended; how many.
    pub(super) fn conclude_seen(&mut self, world: World<'_>) -> Result<usize, WorkError> {
        let state = self.journal.state();
        let checks: Vec<(Digest, Vec<CheckName>)> = state
            .open()
            .filter_map(|execution| {
                let plan = self.held_plan(&execution.intended.as_ref()?.plan).ok()?;
                Some((execution.warrant, plan.checks))
            })
            .collect();
        let of_plan = |execution: &Execution| {
            let found = checks
                .iter()
                .find(|(warrant, _)| *warrant == execution.warrant);
            found.map(|(_, names)| names.clone()).unwrap_or_default()
        };
        let concluded = self
            .executor(world, &|_, _| false)
            .conclude_seen(&of_plan)?;
        if !concluded.is_empty() {
            // What was observed before is no longer so.
            self.observed_at = None;
        }
        Ok(concluded.len())
    }
}

fn transitions(plan: &PreparedPlan) -> Vec<Transition> {
    plan.steps
        .iter()
        .map(|step| step.transition.clone())
        .collect()
}

/// An execution that a run has begun.
struct Begun {
    warrant: Digest,
    forward: Vec<Transition>,
    spent: Vec<Transition>,
}

fn contained(line: &Line, forward: &[Transition], ground: &Ground) -> Result<(), String> {
    match hook::permitted(line, forward, ground) {
        Ok(_) => Ok(()),
        Err(why) => Err(format!("`{}`: {why}", shown(line.name.as_str(), 100))),
    }
}

/// The lines that no plan of this run contains.
fn beyond<'a>(begun: &[Begun], lines: &'a [Line], ground: &Ground) -> Vec<&'a Line> {
    lines
        .iter()
        .filter(|line| {
            !begun
                .iter()
                .any(|one| contained(line, &one.forward, ground).is_ok())
        })
        .collect()
}

/// By warrant, the transitions of these lines that are not spent yet, each once. An error says what
/// no plan of this run contains.
fn wanted(
    lines: &[Line],
    begun: &[Begun],
    ground: &Ground,
) -> Result<BTreeMap<Digest, Vec<Transition>>, String> {
    let mut fresh: BTreeMap<Digest, Vec<Transition>> = BTreeMap::new();
    let mut configured = Vec::new();
    for line in lines {
        let mut found = None;
        let mut closest = String::from("this run has begun nothing");
        for one in begun {
            match hook::permitted(line, &one.forward, ground) {
                Ok(transition) if one.spent.contains(transition) => {
                    found = None;
                    closest.clear();
                    break;
                }
                Ok(transition) => found = found.or(Some((one.warrant, transition))),
                Err(why) => {
                    closest = format!("`{}`: {why}", shown(line.name.as_str(), 100));
                }
            }
        }
        match found {
            Some((_, transition)) if line.target == Target::Configure => {
                configured.push(transition);
            }
            Some((warrant, transition)) => {
                let of = fresh.entry(warrant).or_default();
                if !of.contains(transition) {
                    of.push(transition.clone());
                }
            }
            None if closest.is_empty() => {}
            None => return Err(closest),
        }
    }
    // Only what this session unpacks is configured by it: the file was judged then.
    let unpacked = |one: &Transition| fresh.values().any(|of| of.contains(one));
    match configured.into_iter().find(|one| !unpacked(one)) {
        Some(foreign) => Err(format!(
            "`{}` is to be configured, and this run did not unpack it",
            foreign.name
        )),
        None => Ok(fresh),
    }
}
