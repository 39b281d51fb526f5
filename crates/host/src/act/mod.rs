//! Acting on a warrant: check again, journal intent, install, check health, roll back on a trigger,
//! inspect, settle. Demands a [`Permit`] by type (invariant 1); nothing else in this crate reaches
//! the installer. What it says in the end rests on inspection, never on an exit code (invariant 10).

mod document;
mod emergency;
mod inspection;
mod leave;
mod precondition;
mod recover;
mod seen;

use crate::apt::Apt;
use crate::artifact::Artifacts;
use crate::check;
use crate::config::Config;
use crate::journal::{Execution, Journal, JournalError, Phase, Record, Runner};
use crate::key::{HostKey, KeyError};
use crate::progress::Progress;
use crate::session::Session;
use countersign_domain::canonical::CanonicalError;
use countersign_domain::id::CheckName;
use countersign_domain::jws::{RECEIPT_TYP, STARTED_TYP};
use countersign_domain::lease::LEASE_SECONDS_MAX;
use countersign_domain::observation::Health;
use countersign_domain::receipt::{Ending, StartNotice};
use countersign_domain::{ChangeId, Digest, HostId, PreparedPlan, Receipt, Timestamp, Transition};
use countersign_verify::handover::Permit;
use inspection::Inspection;
use leave::Leave;
use std::time::Instant;

/// The action that a warrant must permit.
pub const ACTION: &str = "package.transition";

/// Why nothing could be done, and nothing be said about it either. What ends in words for the gate
/// is a [`Receipt`], not an error.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The journal: without it nothing is done.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A notice or receipt could not be signed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A plan has no canonical bytes.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// `/proc` cannot be read: then the hook could not tell us from others.
    #[error("this process cannot identify itself: {0}; is `/proc` mounted?")]
    Session(std::io::Error),
}

/// Everything that acting needs.
pub struct Executor<'a> {
    /// The host's own configuration.
    pub config: &'a Config,
    /// apt.
    pub apt: &'a Apt,
    /// Signs notices and receipts.
    pub key: &'a HostKey,
    /// Held for writing.
    pub journal: &'a mut Journal,
    /// The clock.
    pub clock: &'a dyn Fn() -> Timestamp,
    /// Hands a signed start notice to the gate, best effort; true when the gate has it.
    pub notify: &'a dyn Fn(&ChangeId, &str) -> bool,
    /// Told what happens.
    pub progress: Progress<'a>,
}

impl std::fmt::Debug for Executor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Executor({})", self.config.host)
    }
}

/// What a receipt is about.
struct Settling<'a> {
    change: &'a ChangeId,
    warrant: Digest,
    started_at: Option<Timestamp>,
}

/// How an execution went.
struct Outcome {
    ending: Ending,
    in_place: Vec<Transition>,
    health: Vec<Health>,
    notes: Vec<String>,
}

/// What became of a leave at the last moment.
enum Begun {
    /// Intent is durable, since this time.
    Since(Timestamp),
    /// Nothing is recorded, for these reasons.
    Not(Vec<String>),
}

/// Both directions of a plan, the way back as far as there is one.
fn directions(plan: &PreparedPlan) -> (Vec<Transition>, Vec<Transition>) {
    let forward = plan
        .steps
        .iter()
        .map(|step| step.transition.clone())
        .collect();
    let reverse = plan
        .steps
        .iter()
        .filter(|step| step.reverse.stored || step.reverse.transition.new.is_none())
        .map(|step| step.reverse.transition.clone())
        .collect();
    (forward, reverse)
}

impl Executor<'_> {
    /// Acts once on what the permit allows; `asked` is when the gate was asked for it. The receipt is journalled when this returns; whoever
    /// calls delivers it (`State::undelivered`).
    ///
    /// # Errors
    /// When the journal does not take intent (a warrant that was used before among the reasons), or
    /// a document cannot be signed. Once intent is journalled, everything ends in a receipt, unless
    /// the journal itself fails; then the next start settles what it finds.
    pub fn execute(
        &mut self,
        permit: &Permit,
        warrant_jws: &str,
        plan: &PreparedPlan,
        asked: Instant,
    ) -> Result<Receipt, ActError> {
        let session = Session::current().map_err(ActError::Session)?;
        let leave = Leave::by_warrant(permit, warrant_jws, asked);
        match self.begin(&leave, plan, session, Runner::Host)? {
            Begun::Since(started_at) => self.act_and_settle(&leave, plan, started_at),
            Begun::Not(reasons) => self.never_started(&leave, reasons),
        }
    }

    fn act_and_settle(
        &mut self,
        leave: &Leave<'_>,
        plan: &PreparedPlan,
        started_at: Timestamp,
    ) -> Result<Receipt, ActError> {
        let settling = Settling {
            change: leave.change,
            warrant: leave.spends,
            started_at: Some(started_at),
        };
        let (transitions, reverse) = directions(plan);
        let outcome = self.act(&settling, plan, &transitions, &reverse)?;
        self.settle(&settling, outcome)
    }

    fn never_started(
        &mut self,
        leave: &Leave<'_>,
        reasons: Vec<String>,
    ) -> Result<Receipt, ActError> {
        let settling = Settling {
            change: leave.change,
            warrant: leave.spends,
            started_at: None,
        };
        let outcome = Outcome {
            ending: Ending::NeverStarted,
            in_place: Vec::new(),
            health: Vec::new(),
            notes: reasons,
        };
        self.settle(&settling, outcome)
    }

    /// Everything before the effect: checks once more, then journals intent for `session` and tells
    /// the gate.
    fn begin(
        &mut self,
        leave: &Leave<'_>,
        plan: &PreparedPlan,
        session: Session,
        runner: Runner,
    ) -> Result<Begun, ActError> {
        let (transitions, reverse) = directions(plan);
        if self.journal.state().get(&leave.spends).is_some()
            || self.journal.state().knows_jti(leave.jti)
        {
            let used = crate::journal::StateError::Used(leave.spends);
            return Err(JournalError::from(used).into());
        }
        let mut reasons = self.reasons_not_to_start(leave, plan, &transitions, &reverse)?;
        // INVARIANT (a human can stop it at any moment): hashing and rehearsing took time, in which
        // somebody may have.
        if reasons.is_empty() {
            let now = (self.clock)();
            let stale = leave.is_stale(Instant::now(), self.answer_seconds_max());
            if now > leave.start_before || stale {
                reasons.push("the gate's answer is too old to start on; propose it again".into());
            } else if now >= leave.expires_at {
                reasons.push(format!("{} meanwhile; propose it again", leave.expired()));
            }
        }
        if !reasons.is_empty() {
            for reason in &reasons {
                self.progress.line(format!("not started: {reason}"));
            }
            return Ok(Begun::Not(reasons));
        }
        let started_at = (self.clock)();
        let notice = self.key.sign(
            STARTED_TYP,
            &StartNotice {
                v: 1,
                deployment: self.config.deployment.clone(),
                host: self.config.host.clone(),
                change: leave.change.clone(),
                warrant: leave.spends,
                started_at,
            },
        )?;
        // INVARIANT (intent before effect, one spend): both are durable before anything happens.
        self.journal.append(Record::Intent {
            at: started_at,
            warrant: leave.spends,
            jti: leave.jti.clone(),
            change: leave.change.clone(),
            plan: leave.plan,
            jws: leave.jws.to_owned(),
            forward: transitions,
            reverse,
            session,
            until: (runner == Runner::Seen).then_some(leave.expires_at),
            emergency: leave.emergency,
            runner,
            notice: notice.clone(),
        })?;
        if leave.emergency.is_none() && (self.notify)(leave.change, &notice) {
            self.journal.append(Record::NoticeDelivered {
                warrant: leave.spends,
            })?;
        }
        Ok(Begun::Since(started_at))
    }

    /// Settles a warrant under which this host never started and, by this, never will.
    ///
    /// # Errors
    /// When the journal knows it already, or the receipt cannot be signed or journalled.
    pub fn refuse(
        &mut self,
        change: &ChangeId,
        warrant: Digest,
        why: &str,
    ) -> Result<Receipt, ActError> {
        self.close(change, warrant, Ending::NeverStarted, why)
    }

    /// Settles a warrant of which this host cannot know whether it acted on it: its journal does
    /// not reach back that far. It will not act on it.
    ///
    /// # Errors
    /// As [`Executor::refuse`].
    pub fn disown(
        &mut self,
        change: &ChangeId,
        warrant: Digest,
        why: &str,
    ) -> Result<Receipt, ActError> {
        self.close(change, warrant, Ending::Unknown, why)
    }

    fn close(
        &mut self,
        change: &ChangeId,
        warrant: Digest,
        ending: Ending,
        why: &str,
    ) -> Result<Receipt, ActError> {
        let settling = Settling {
            change,
            warrant,
            started_at: None,
        };
        let outcome = Outcome {
            ending,
            in_place: Vec::new(),
            health: Vec::new(),
            notes: vec![why.to_owned()],
        };
        self.settle(&settling, outcome)
    }

    /// How old the gate's answer may be, in seconds.
    fn answer_seconds_max(&self) -> u64 {
        let pinned = u64::from(self.config.pins.lease_seconds_max);
        pinned.min(LEASE_SECONDS_MAX.unsigned_abs())
    }

    fn artifacts(&self) -> Artifacts {
        Artifacts::new(&self.config.state_dir)
    }

    fn spend(
        &mut self,
        warrant: Digest,
        phase: Phase,
        transitions: &[Transition],
    ) -> Result<(), ActError> {
        Ok(self.journal.append(Record::Spent {
            at: (self.clock)(),
            warrant,
            phase,
            transitions: transitions.to_vec(),
            // Whoever went forward, the way back is gone by this process.
            session: match phase {
                Phase::Forward => None,
                Phase::Reverse => Some(Session::current().map_err(ActError::Session)?),
            },
        })?)
    }

    fn act(
        &mut self,
        settling: &Settling<'_>,
        plan: &PreparedPlan,
        transitions: &[Transition],
        reverse: &[Transition],
    ) -> Result<Outcome, ActError> {
        let mut notes = Vec::new();
        self.spend(settling.warrant, Phase::Forward, transitions)?;
        for transition in transitions {
            self.progress.line(format!("{}", Shown(transition)));
        }
        match self
            .apt
            .install(transitions, &self.artifacts(), settling.change)
        {
            Ok(done) if done.exit_success => {}
            Ok(failed) => notes.push(format!("apt-get failed: {}", failed.said)),
            Err(error) => notes.push(format!("apt-get: {error}")),
        }
        self.conclude(settling, &plan.checks, transitions, reverse, notes)
    }

    /// What follows the effect, whoever brought it about: inspection, health, and the way back when
    /// either fails or something is noted already.
    fn conclude(
        &mut self,
        settling: &Settling<'_>,
        checks: &[CheckName],
        transitions: &[Transition],
        reverse: &[Transition],
        mut notes: Vec<String>,
    ) -> Result<Outcome, ActError> {
        let found = inspection::inspect(self.apt, transitions, &self.artifacts());
        let mut health = Vec::new();
        if notes.is_empty() && found.all_in_place() {
            health = check::settle_all(self.config, checks);
            if health.iter().all(|one| one.passed) {
                return Ok(Outcome {
                    ending: Ending::Succeeded,
                    in_place: found.in_place,
                    health,
                    notes,
                });
            }
        }
        for failed in health.iter().filter(|one| !one.passed) {
            let detail = failed.detail.as_deref().unwrap_or("no word");
            notes.push(format!("check `{}` failed: {detail}", failed.check));
        }
        notes.extend(found.problems.clone());
        for note in &notes {
            self.progress.line(note.clone());
        }
        self.roll_back(settling, transitions, reverse, found, health, notes)
    }

    fn roll_back(
        &mut self,
        settling: &Settling<'_>,
        transitions: &[Transition],
        reverse: &[Transition],
        found: Inspection,
        health: Vec<Health>,
        mut notes: Vec<String>,
    ) -> Result<Outcome, ActError> {
        let changed: Vec<&Transition> = transitions
            .iter()
            .filter(|transition| !found.as_before.contains(transition))
            .collect();
        let back: Vec<Transition> = changed
            .iter()
            .filter_map(|transition| {
                reverse
                    .iter()
                    .find(|back| {
                        back.name == transition.name && back.architecture == transition.architecture
                    })
                    .cloned()
            })
            .collect();
        // Before anything is spent: with a part of the way back alone, apt might do something else.
        let differences = if back.is_empty() {
            Vec::new()
        } else {
            match self.apt.rehearse(&back, &self.artifacts()) {
                Ok(differences) => differences,
                Err(error) => vec![error.to_string()],
            }
        };
        if back.is_empty() && !changed.is_empty() {
            notes.push("there is no rollback artifact: nothing was reversed".into());
        } else if !differences.is_empty() {
            for difference in differences {
                notes.push(format!("nothing was reversed: {difference}"));
            }
        } else if !changed.is_empty() {
            self.progress.line("rolling back");
            self.spend(settling.warrant, Phase::Reverse, &back)?;
            match self.apt.install(&back, &self.artifacts(), settling.change) {
                Ok(done) if done.exit_success => {}
                Ok(failed) => notes.push(format!("rollback: apt-get failed: {}", failed.said)),
                Err(error) => notes.push(format!("rollback: apt-get: {error}")),
            }
        } else {
            notes.push("nothing had been changed".into());
        }
        let there = inspection::inspect(self.apt, transitions, &self.artifacts());
        let back_again = inspection::inspect(self.apt, &back, &self.artifacts());
        for problem in there.problems.iter().chain(&back_again.problems) {
            if !notes.contains(problem) {
                notes.push(problem.clone());
            }
        }
        // INVARIANT (10): rolled back means that every transition was found reversed.
        let ending = if !there.known || !back_again.known {
            Ending::Unknown
        } else if there.as_before.len() == transitions.len() && back_again.all_in_place() {
            Ending::RolledBack
        } else {
            Ending::Failed
        };
        Ok(Outcome {
            ending,
            in_place: there.in_place,
            health,
            notes,
        })
    }

    fn settle(&mut self, settling: &Settling<'_>, outcome: Outcome) -> Result<Receipt, ActError> {
        // The clock may have been set back meanwhile: an end is never before its start.
        let now = (self.clock)();
        let ended_at = settling.started_at.map_or(now, |started| started.max(now));
        let receipt = Receipt {
            v: 1,
            deployment: self.config.deployment.clone(),
            host: self.host().clone(),
            change: settling.change.clone(),
            warrant: settling.warrant,
            started_at: settling.started_at,
            ended_at,
            ending: outcome.ending,
            in_place: outcome.in_place,
            health: outcome.health,
            notes: document::bounded(outcome.notes),
        };
        let known = self.journal.state().get(&settling.warrant);
        let bytes_max = document::bytes_max(known.is_some_and(Execution::is_emergency));
        let (receipt, signed) = document::fitting(receipt, bytes_max, |receipt| {
            self.key.sign(RECEIPT_TYP, receipt)
        })?;
        self.journal.append(Record::Settled {
            at: ended_at,
            warrant: settling.warrant,
            change: settling.change.clone(),
            ending: receipt.ending,
            receipt: signed,
        })?;
        Ok(receipt)
    }

    fn host(&self) -> &HostId {
        &self.config.host
    }
}

/// A transition in words.
struct Shown<'a>(&'a Transition);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Transition { name, old, new, .. } = self.0;
        match (old, new) {
            (Some(old), Some(new)) => write!(f, "{name}: {old} → {new}"),
            (None, Some(new)) => write!(f, "{name}: install {new}"),
            (Some(old), None) => write!(f, "{name}: remove {old}"),
            (None, None) => write!(f, "{name}"),
        }
    }
}
