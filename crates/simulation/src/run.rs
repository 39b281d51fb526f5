//! The run: one seed, one clock, one step after another. It delivers, reads the log after each step,
//! and holds every check against what is new. What the actors do is in `steps`.

use crate::actors;
use crate::checks::{CHECKS, Seen};
use crate::deployment::Deployment;
use crate::machine::{Effect, Flaw, Machine};
use crate::network::{Answer, Fate, Message};
use crate::truth::{self, Truth};
use countersign_domain::entry::LogEntry;
use countersign_domain::lease::Handover;
use countersign_domain::receipt::Ending;
use countersign_domain::{ChangeId, Digest, Nonce, Receipt, Timestamp};
use countersign_gate::GateError;
use countersign_ledger::{Tree, leaf_hash};
use countersign_store::{CommitPoint, Log, StoreError};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::VecDeque;
use std::fmt;

/// Events that a violation keeps at most.
const EVENTS_KEPT: usize = 10_000;
/// Events that a violation shows.
const SHOWN: usize = 30;
/// Messages that an attacker keeps.
const CAPTURED: usize = 64;

/// A rule that did not hold.
#[derive(Debug, Clone, thiserror::Error)]
pub struct Violation {
    /// The seed.
    pub seed: u64,
    /// The step.
    pub step: u64,
    /// The check's name.
    pub check: String,
    /// How it does not hold.
    pub words: String,
    /// The events before, oldest first.
    pub events: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.events.len().saturating_sub(SHOWN);
        for event in self.events.iter().skip(shown) {
            writeln!(f, "  {event}")?;
        }
        let Self {
            seed,
            step,
            check,
            words,
            ..
        } = self;
        write!(
            f,
            "seed {seed}, step {step}: `{check}` does not hold: {words}\n\
             hint: replay it with `cargo xtask sim --seed {seed} --steps {step}`, and add the seed to crates/simulation/seeds.txt"
        )
    }
}

/// What a run came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Steps taken.
    pub steps: u64,
    /// Entries in both logs.
    pub entries: u64,
    /// Warrants issued.
    pub warrants: usize,
    /// Transitions that happened under a warrant.
    pub effects: usize,
    /// How often the gate or its disk failed.
    pub crashes: u64,
    /// Handovers that hosts refused.
    pub refusals: u64,
    /// Times that a check looked at something.
    pub checked: u64,
    /// Over every event, in order: equal for equal seeds.
    pub digest: Option<Digest>,
}

/// A rule that the gate's side breaks on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GateFlaw {
    /// None.
    #[default]
    None,
    /// Takes halts and forgets them.
    ForgetsHalts,
    /// Comes back from an older state of its disk after a crash.
    RestoresBackup,
    /// Takes what was signed with a person's key by somebody else.
    StolenKey,
    /// Believes agents, all of which lie.
    BelievesClaims,
}

/// An answer on its way to a machine.
pub(crate) struct Handed {
    pub(crate) machine: usize,
    pub(crate) change: ChangeId,
    pub(crate) nonce: Nonce,
    pub(crate) asked_at: Timestamp,
    pub(crate) handover: Box<Handover>,
    /// True when it came at once.
    pub(crate) fresh: bool,
}

/// A permit that a machine has not used yet.
pub(crate) struct Held {
    pub(crate) machine: usize,
    pub(crate) permit: countersign_verify::handover::Permit,
    pub(crate) asked_at: Timestamp,
    pub(crate) jws: String,
}

/// A run.
pub struct Simulation {
    pub(crate) seed: u64,
    pub(crate) rng: StdRng,
    pub(crate) now: Timestamp,
    pub(crate) step: u64,
    pub(crate) deployment: Deployment,
    pub(crate) machines: Vec<Machine>,
    pub(crate) truth: Truth,
    pub(crate) in_flight: Vec<Message>,
    pub(crate) captured: VecDeque<Message>,
    pub(crate) answers: Vec<Handed>,
    pub(crate) held: Vec<Held>,
    pub(crate) gate_flaw: GateFlaw,
    pub(crate) report: Report,
    pub(crate) nonces: u64,
    trees: [Tree; 2],
    events: VecDeque<String>,
    chain: Digest,
    // Last, so that it goes when nothing uses it any more.
    _folder: tempfile::TempDir,
}

impl Simulation {
    /// A deployment, four machines, and nothing done yet. `flaw` and `gate_flaw` are for tests.
    ///
    /// # Errors
    /// When what was founded does not hold.
    pub fn new(seed: u64, flaw: Flaw, gate_flaw: GateFlaw) -> Result<Self, Violation> {
        let folder = tempfile::tempdir().unwrap();
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let deployment = Deployment::found(folder.path(), now);
        let first = deployment.gate().roster_after(0).unwrap().remove(0);
        let machines = actors::HOSTS.map(|name| {
            let folder = folder.path().join(name);
            let mut machine = Machine::enrol(name, folder, deployment.genesis, first.clone(), now);
            machine.flaw = flaw;
            machine
        });
        let mut simulation = Self {
            seed,
            rng: StdRng::seed_from_u64(seed),
            now,
            step: 0,
            deployment,
            machines: machines.into(),
            truth: Truth::default(),
            in_flight: Vec::new(),
            captured: VecDeque::new(),
            answers: Vec::new(),
            held: Vec::new(),
            gate_flaw,
            report: Report::default(),
            nonces: 0,
            trees: [Tree::new(), Tree::new()],
            events: VecDeque::new(),
            chain: Digest::of(b"countersign simulation"),
            _folder: folder,
        };
        simulation.read_logs()?;
        Ok(simulation)
    }

    /// Takes steps, lets everything come to its end, and verifies the whole.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn run(mut self, steps: u64) -> Result<Report, Violation> {
        for _ in 0..steps {
            self.step += 1;
            self.take_step()?;
            self.check(&Seen::StepOver)?;
        }
        self.finish()?;
        self.report.steps = self.step;
        self.report.entries = self.trees.iter().map(Tree::size).sum();
        self.report.warrants = self.truth.warrants.len();
        self.report.effects = self
            .truth
            .effects
            .iter()
            .filter(|(_, effect, _)| effect.warrant.is_some())
            .count();
        self.report.digest = Some(self.chain);
        Ok(self.report)
    }

    /// Notes an event.
    pub(crate) fn note(&mut self, event: impl fmt::Display) {
        let line = format!("{:>5} {} {event}", self.step, self.now);
        self.chain = Digest::of(format!("{}{line}", self.chain).as_bytes());
        self.events.push_back(line);
        if self.events.len() > EVENTS_KEPT {
            self.events.pop_front();
        }
    }

    pub(crate) fn violation(&self, check: &str, words: impl fmt::Display) -> Violation {
        Violation {
            seed: self.seed,
            step: self.step,
            check: check.to_owned(),
            words: words.to_string(),
            events: self.events.iter().cloned().collect(),
        }
    }

    /// Holds every check against something new.
    pub(crate) fn check(&mut self, seen: &Seen<'_>) -> Result<(), Violation> {
        for (name, check) in CHECKS {
            self.report.checked += 1;
            if let Some(words) = check(&self.truth, seen) {
                return Err(self.violation(name, words));
            }
        }
        Ok(())
    }

    /// Records what happened to a machine.
    pub(crate) fn happened(
        &mut self,
        machine: &'static str,
        effects: Vec<Effect>,
    ) -> Result<(), Violation> {
        for effect in effects {
            self.note(format_args!(
                "{machine} {:?} {}",
                effect.phase, effect.transition.name
            ));
            self.check(&Seen::Effect(machine, &effect, self.now))?;
            self.truth.effects.push((machine, effect, self.now));
        }
        Ok(())
    }

    /// Sends a message into the network. The answer, when there is one and it arrives.
    pub(crate) fn send(
        &mut self,
        message: Message,
    ) -> Result<Option<Result<Answer, GateError>>, Violation> {
        if self.captured.len() == CAPTURED {
            self.captured.pop_front();
        }
        self.captured.push_back(message.clone());
        match Fate::draw(&mut self.rng) {
            Fate::Delivered => self.deliver(message).map(Some),
            Fate::Lost => {
                self.note(format_args!("lost: {}", message.word()));
                Ok(None)
            }
            Fate::AnswerLost => {
                self.deliver(message)?.ok();
                Ok(None)
            }
            Fate::Doubled => {
                self.deliver(message.clone())?.ok();
                self.deliver(message).map(Some)
            }
            Fate::Delayed => {
                self.note(format_args!("delayed: {}", message.word()));
                self.in_flight.push(message);
                Ok(None)
            }
        }
    }

    /// Hands a message to the gate, perhaps on a failing disk, and reads what the logs got from it.
    pub(crate) fn deliver(
        &mut self,
        message: Message,
    ) -> Result<Result<Answer, GateError>, Violation> {
        let point = match self.rng.gen_range(0..100) {
            0 => Some(CommitPoint::Before),
            1 => Some(CommitPoint::After),
            _ => None,
        };
        self.deployment.disk.arm(point);
        let word = message.word();
        let taken = match &message {
            Message::Vote(_, signed) | Message::Review(_, signed) | Message::Halt(signed) => {
                vec![truth::digest(signed)]
            }
            Message::Propose(_, submission) => {
                vec![Digest::of(submission.proposal.as_bytes())]
            }
            // To know nothing twice is taken, and logged once.
            Message::Settle(_, _, receipt)
                if truth::payload(receipt)
                    .is_some_and(|receipt: Receipt| receipt.ending != Ending::Unknown) =>
            {
                vec![Digest::of(receipt.as_bytes())]
            }
            Message::Resume(signed) => signed.iter().map(truth::digest).collect(),
            _ => Vec::new(),
        };
        let answer =
            if self.gate_flaw == GateFlaw::ForgetsHalts && matches!(message, Message::Halt(_)) {
                Ok(Answer::Done)
            } else {
                message.deliver(self.deployment.gate(), self.now)
            };
        let struck = self.deployment.disk.struck();
        self.deployment.disk.arm(None);
        match &answer {
            Ok(_) => self.note(format_args!("{word}: taken")),
            Err(error) => self.note(format_args!("{word}: {error}")),
        }
        if matches!(
            answer,
            Err(GateError::Store(StoreError::Damaged(_))) | Err(GateError::Fold(_))
        ) {
            return Err(self.violation("the gate stays able to decide", format!("{answer:?}")));
        }
        if struck {
            self.restart(false)?;
        }
        self.read_logs()?;
        if answer.is_ok() {
            for digest in taken {
                self.check(&Seen::Acknowledged(digest))?;
            }
        }
        Ok(answer)
    }

    /// Ends the gate and opens it again.
    pub(crate) fn restart(&mut self, killed: bool) -> Result<(), Violation> {
        self.report.crashes += 1;
        self.note(if killed {
            "the gate is killed"
        } else {
            "the disk failed"
        });
        let reopened = {
            let backup = self.gate_flaw == GateFlaw::RestoresBackup;
            self.deployment.restart(killed, backup)
        };
        reopened.map_err(|error| self.violation("a crashed gate opens again", error))?;
        self.read_logs()
    }

    /// Reads what is new in both logs; what was read before must still stand, by the signed root.
    fn read_logs(&mut self) -> Result<(), Violation> {
        for (position, log) in [Log::Recommendations, Log::Authorizations]
            .into_iter()
            .enumerate()
        {
            let (size, checkpoint) = self.deployment.gate().store().checkpoint(log);
            let known = self.trees[position].size();
            let mut fresh = Vec::new();
            for index in known..size {
                let read = self
                    .deployment
                    .gate()
                    .store()
                    .read(|view| view.entry(log, index));
                let entry = read.map_err(|error: StoreError| {
                    self.violation("what is signed can be read", error)
                })?;
                fresh.push(
                    entry.ok_or_else(|| self.violation("what is signed can be read", index))?,
                );
            }
            for bytes in &fresh {
                self.trees[position].append(leaf_hash(bytes)).unwrap();
                self.chain = Digest::of(format!("{}{}", self.chain, Digest::of(bytes)).as_bytes());
            }
            // INVARIANT: nothing that was ever published is lost or altered, whatever crashed.
            if size < known || self.trees[position].root() != checkpoint.claimed().root() {
                let words = format!("{} entries were published, now {size}", known);
                return Err(self.violation("published entries stay", words));
            }
            for bytes in fresh {
                if log == Log::Recommendations {
                    self.check(&Seen::Recommendation(&bytes))?;
                    self.truth.logged.insert(Digest::of(&bytes));
                    continue;
                }
                let entry = LogEntry::read(&bytes)
                    .map_err(|error| self.violation("entries can be read", error))?;
                self.check(&Seen::Entry(&entry))?;
                self.truth.read(&entry);
            }
        }
        Ok(())
    }
}
