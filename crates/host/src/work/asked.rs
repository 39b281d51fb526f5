//! Answering the hook: a run of apt that somebody else started is covered by an authorized plan that
//! contains all of it, or by what the same session has begun. Redeemed and verified exactly as what
//! this host starts itself; only the package tool is another.

use super::redeem::Redeemed;
use super::{Host, WorkError, World};
use crate::asked::{self, Listener, Question};
use crate::client::ToRedeem;
use crate::hook::{self, Line, Target};
use crate::journal::Execution;
use countersign_domain::id::CheckName;
use countersign_domain::text::shown;
use countersign_domain::{Digest, PreparedPlan, Transition};
use rand::RngCore;
use std::time::{Duration, Instant};

/// How often it is looked whether a run that was seen has ended.
const LOOK: Duration = Duration::from_millis(250);
/// Between two rounds when nobody can ask.
const NAP: Duration = Duration::from_millis(100);

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
    /// seen has ended.
    ///
    /// # Errors
    /// Only what ends this process: a journal that cannot be written.
    pub(super) fn attend(
        &mut self,
        world: World<'_>,
        rng: &mut dyn RngCore,
        listener: Option<&Listener>,
        pause: Duration,
    ) -> Result<(), WorkError> {
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
            if left.is_zero() || seen.iter().any(|session| !session.is_alive()) {
                return Ok(());
            }
        }
    }

    fn seen_sessions(&self) -> Vec<crate::session::Session> {
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
        let open = self.journal.state().open().next().cloned();
        if let Some(open) = open {
            let Some(intended) = open
                .intended
                .as_ref()
                // INVARIANT (one spend): what one session has begun, no other goes on with.
                .filter(|intended| intended.is_seen_forward() && intended.session == session)
            else {
                return Ok(Err(format!(
                    "change `{}` is being acted on by another run; try again when it has ended",
                    open.change
                )));
            };
            let (warrant, plan) = (open.warrant, intended.forward.clone());
            return self.spend_asked(world, warrant, &plan, &question.lines);
        }
        if !self.journal.has_room() {
            return Ok(Err("the journal of this host is nearly full".into()));
        }
        if !self.config.apt.execute || self.prepares_only {
            return Ok(Err("this host only observes and prepares".into()));
        }
        let work = self.client.work(self.caller(world))?;
        let (task, plan) = match self.containing(&work.redeem, &question.lines) {
            Ok(found) => found,
            Err(why) => return Ok(Err(why)),
        };
        let granted = match self.permit(world, rng, &task)? {
            Ok(granted) => granted,
            Err(redeemed) => return Ok(Err(self.why_not(&task, redeemed))),
        };
        // It took a while: a hook that gave up meanwhile lets nothing happen.
        if !session.is_ancestor_of(question.pid) {
            let why = "the hook that asked has gone";
            self.give_up(world, &task.change, why.into());
            return Ok(Err(why.into()));
        }
        let notify = self.notifier(world)?;
        let never = self.executor(world, &notify).begin_seen(
            &granted.permit,
            &granted.handover.warrant,
            &granted.plan,
            session,
        )?;
        if let Some(receipt) = never {
            self.deliver(world)?;
            return Ok(Err(format!(
                "change `{}` was not started: {}",
                task.change,
                receipt.notes.join("; ")
            )));
        }
        let warrant = *granted.permit.warrant().digest();
        self.spend_asked(world, warrant, &plan, &question.lines)
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

    /// The first authorized plan that contains every line, file digests included.
    fn containing(
        &self,
        tasks: &[ToRedeem],
        lines: &[Line],
    ) -> Result<(ToRedeem, Vec<Transition>), String> {
        let mut closest = None;
        for task in tasks {
            if let Some(why) = self.refused.get(&task.change) {
                closest = closest.or_else(|| Some(why.clone()));
                continue;
            }
            let contained = self.held_plan(&task.plan).and_then(|plan| {
                let transitions = transitions(&plan);
                wanted(lines, &transitions, &[])?;
                Ok(transitions)
            });
            match contained {
                Ok(transitions) => return Ok((task.clone(), transitions)),
                Err(why) => closest = closest.or(Some(why)),
            }
        }
        Err(match closest {
            Some(why) => format!(
                "none of the {} authorized plans contains all of it: {why}",
                tasks.len()
            ),
            None => "nothing is authorized for this host now".into(),
        })
    }

    /// Spends what of these lines is not spent yet by this session.
    fn spend_asked(
        &mut self,
        world: World<'_>,
        warrant: Digest,
        plan: &[Transition],
        lines: &[Line],
    ) -> Result<Said, WorkError> {
        let spent = self
            .journal
            .state()
            .get(&warrant)
            .and_then(|execution| execution.intended.as_ref())
            .map(|intended| intended.spent_forward().to_vec())
            .unwrap_or_default();
        let fresh = match wanted(lines, plan, &spent) {
            Ok(fresh) => fresh,
            Err(why) => return Ok(Err(format!("the plan of this run's warrant: {why}"))),
        };
        if !fresh.is_empty() {
            self.executor(world, &|_, _| false)
                .spend_seen(warrant, &fresh)?;
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

/// The transitions of these lines that are not spent yet, each once. An error says what the plan
/// does not contain.
fn wanted(
    lines: &[Line],
    plan: &[Transition],
    spent: &[Transition],
) -> Result<Vec<Transition>, String> {
    let mut fresh: Vec<Transition> = Vec::new();
    let mut configured = Vec::new();
    for line in lines {
        let transition = hook::permitted(line, plan)
            .map_err(|why| format!("`{}`: {why}", shown(line.name.as_str(), 100)))?;
        match line.target {
            Target::Configure => configured.push(transition),
            Target::File(_) | Target::Remove => {
                if !spent.contains(transition) && !fresh.contains(transition) {
                    fresh.push(transition.clone());
                }
            }
        }
    }
    // Only what this session unpacks is configured by it: the file was judged then.
    match configured
        .into_iter()
        .find(|one| !spent.contains(one) && !fresh.contains(one))
    {
        Some(foreign) => Err(format!(
            "`{}` is to be configured, and this run did not unpack it",
            foreign.name
        )),
        None => Ok(fresh),
    }
}
