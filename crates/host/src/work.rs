//! The host's work loop: keep up with the roster, deliver what is signed, observe, prepare what is
//! asked, redeem what is authorized, act. The gate says what there is to do; whether it is done is
//! decided here, by what this host verified itself.

mod answer;
mod asked;
pub mod emergency;
mod packages;
mod planning;
mod redeem;
mod settle;
mod steps;

use crate::act::{ActError, Executor};
use crate::apt::{Apt, AptError};
use crate::client::{Caller, Client, ClientError};
use crate::config::Config;
use crate::enroll::{EnrollError, sync};
use crate::journal::{Journal, JournalError, Record};
use crate::key::{HostKey, KeyError};
use crate::observe;
use crate::progress::Progress;
use crate::put_off::PutOff;
use crate::seen::{Seen, SeenError};
use crate::transitions::{ReportError, Reports};
use answer::refusal;
use asked::Pause;
use countersign_domain::canonical::CanonicalError;
use countersign_domain::jws::OBSERVATION_TYP;
use countersign_domain::observation::OBSERVATION_BYTES_MAX;
use countersign_domain::{ChangeId, Digest, Timestamp};
use rand::RngCore;
use redeem::Redeemed;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use steps::Steps;

/// Rounds of `--once` at most.
const ROUNDS_MAX: usize = 1_000;
/// The largest plan that is read back, in bytes.
const PLAN_BYTES_MAX: u64 = 256 * 1024;
/// What an observation's content may take, in bytes: base64 makes it a third longer.
const OBSERVED_BYTES_MAX: usize = OBSERVATION_BYTES_MAX / 4 * 3 - 4096;

/// Why the loop stopped.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// The gate.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Roster or enrolment.
    #[error(transparent)]
    Enroll(#[from] EnrollError),
    /// What was seen.
    #[error(transparent)]
    Seen(#[from] SeenError),
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// apt.
    #[error(transparent)]
    Apt(#[from] AptError),
    /// Acting.
    #[error(transparent)]
    Act(#[from] ActError),
    /// The report of packages.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A plan.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// A file of ours.
    #[error("`{path}`: {source}", path = .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The roster does not hold this host's key.
    #[error(
        "the roster (version {version}) does not hold this host's key; a named human has to run `{command}`"
    )]
    NotAdmitted {
        /// The roster's version.
        version: u64,
        /// What to type.
        command: String,
    },
    /// `--once` did not come to an end.
    #[error("there was still work after {ROUNDS_MAX} rounds")]
    Endless,
}

impl WorkError {
    /// True when this process can do nothing more: its journal cannot be written.
    const fn is_final(&self) -> bool {
        match self {
            Self::Journal(error) | Self::Act(ActError::Journal(error)) => {
                matches!(error, JournalError::Io { .. } | JournalError::Poisoned(_))
            }
            _ => false,
        }
    }
}

/// An enrolled host, its journal held.
#[derive(Debug)]
pub struct Host {
    config: Config,
    key: HostKey,
    apt: Apt,
    journal: Journal,
    seen: Seen,
    client: Client,
    observed_at: Option<Timestamp>,
    reports: Reports,
    /// What dpkg's log looked like when it was reported last in this run.
    log_mark: Option<(u64, u64)>,
    /// Changes that were refused in this run, and why.
    refused: BTreeMap<ChangeId, String>,
    /// Proposals to which the gate takes no answer in this run.
    unanswerable: BTreeSet<ChangeId>,
    /// What was told last of each change, so that a log is not filled with one line.
    told: BTreeMap<ChangeId, String>,
    /// True when a warrant was refused in the last round: the gate wants it settled in the next.
    refused_just_now: bool,
    /// How many warrants of which this host knows nothing were settled in this round.
    strangers: usize,
    /// When emergencies were handed in again in this run.
    retold_at: Option<Timestamp>,
    /// Until when each run that the hook saw may begin steps.
    steps: Steps,
    /// Redeems nothing: authorizations are left for a later run.
    prepares_only: bool,
}

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Observations handed in.
    pub observed: usize,
    /// Plans handed in.
    pub prepared: usize,
    /// Proposals that could not be prepared.
    pub unprepared: usize,
    /// Warrants acted on, to whatever end.
    pub executed: usize,
    /// Warrants that were not acted on.
    pub refused: usize,
}

impl Summary {
    const fn acted(&self) -> usize {
        self.prepared + self.unprepared + self.executed + self.refused
    }
}

/// What the loop needs of the world.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// The clock.
    pub clock: &'a (dyn Fn() -> Timestamp + Sync),
    /// Told what happens.
    pub progress: Progress<'a>,
}

impl std::fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("World")
    }
}

impl Host {
    /// Opens everything. What a crash left open is settled by the first round.
    ///
    /// # Errors
    /// When the host is not enrolled, another one runs, or the journal is damaged.
    pub fn open(config: Config, world: World<'_>) -> Result<Self, WorkError> {
        let seen = Seen::load(&config.state_dir, &config.genesis)?;
        let key = HostKey::load(&config.key_path(), config.host.clone())?;
        let apt = Apt::open(&config.apt, &config.state_dir)?;
        let journal = Journal::open(&config.state_dir, (world.clock)())?;
        let reports = Reports::load(&config.state_dir)?;
        let client = Client::of(&config)?;
        let mut host = Self {
            config,
            key,
            apt,
            journal,
            seen,
            client,
            observed_at: None,
            reports,
            log_mark: None,
            refused: BTreeMap::new(),
            unanswerable: BTreeSet::new(),
            told: BTreeMap::new(),
            refused_just_now: false,
            strangers: 0,
            retold_at: None,
            steps: Steps::default(),
            prepares_only: false,
        };
        if host.journal.state().is_blank() {
            // A host that has acted before has lost the journal that knew on what.
            let log_size = host.seen.checkpoint().map_or(0, |last| last.size);
            let at = (world.clock)();
            host.journal.append(Record::Begun { at, log_size })?;
        }
        Ok(host)
    }

    /// From now on observes and prepares only; what is authorized is left for a later run.
    #[must_use]
    pub fn preparing_only(mut self) -> Self {
        self.prepares_only = true;
        self
    }

    /// Works until nothing remains to be done.
    ///
    /// # Errors
    /// At the first thing that does not work.
    pub fn run_once(
        &mut self,
        world: World<'_>,
        rng: &mut dyn RngCore,
    ) -> Result<Summary, WorkError> {
        let mut total = Summary::default();
        for _ in 0..ROUNDS_MAX {
            let round = self.round(world, rng)?;
            total.observed += round.observed;
            total.prepared += round.prepared;
            total.unprepared += round.unprepared;
            total.executed += round.executed;
            total.refused += round.refused;
            if round.acted() == 0 && !self.refused_just_now {
                return Ok(total);
            }
        }
        Err(WorkError::Endless)
    }

    /// Works for ever; a failure is told and tried again later. Returns only when the journal cannot
    /// be written: then this process is of no more use, and whatever supervises it starts another.
    pub fn run(&mut self, world: World<'_>, rng: &mut dyn RngCore) -> WorkError {
        let listener = self.listen(world);
        loop {
            let pause = match self.round(world, rng) {
                Ok(summary) if summary.acted() > 0 => Pause::None,
                Ok(_) => Pause::Idle,
                Err(error) if error.is_final() => return error,
                Err(error) => {
                    world.progress.line(format!("error: {error}"));
                    Pause::Failed
                }
            };
            if let Err(error) = self.attend(world, rng, listener.as_ref(), pause) {
                return error;
            }
        }
    }

    fn caller(&self, world: World<'_>) -> Caller<'_> {
        Caller {
            key: &self.key,
            deployment: &self.config.deployment,
            now: (world.clock)(),
        }
    }

    fn executor<'a>(
        &'a mut self,
        world: World<'a>,
        notify: &'a dyn Fn(&ChangeId, &str) -> bool,
    ) -> Executor<'a> {
        Executor {
            config: &self.config,
            apt: &self.apt,
            key: &self.key,
            journal: &mut self.journal,
            clock: world.clock,
            notify,
            progress: world.progress,
        }
    }

    fn round(&mut self, world: World<'_>, rng: &mut dyn RngCore) -> Result<Summary, WorkError> {
        let mut summary = Summary::default();
        self.refused_just_now = false;
        self.strangers = 0;
        // Either may roll back.
        let put_off = PutOff::begin();
        self.executor(world, &|_, _| false).recover()?;
        summary.executed += self.conclude_seen(world)?;
        drop(put_off);
        sync(&self.client, &mut self.seen)?;
        let admitted = self.seen.roster().hosts.get(&self.config.host);
        if admitted != Some(&self.key.public_key()) {
            return Err(WorkError::NotAdmitted {
                version: self.seen.roster().version,
                command: format!(
                    "countersign roster add-host {} --public-key {}",
                    self.config.host,
                    self.key.public_key()
                ),
            });
        }
        self.retell_emergencies(world)?;
        self.deliver(world)?;
        if self.observation_due(world) {
            summary.observed = usize::from(self.observe(world)?);
            self.report_packages(world)?;
        } else if self.packages_due() {
            self.report_packages(world)?;
        }
        let work = self.client.work(self.caller(world))?;
        let planner = self.planner(work.prepare.len())?;
        for task in &work.prepare {
            if self.unanswerable.contains(&task.change) {
                continue;
            }
            if self.prepare(world, task, &planner)? {
                summary.prepared += 1;
            } else {
                summary.unprepared += 1;
            }
        }
        for task in &work.redeem {
            let waits = self.prepares_only || self.config.hook.only_when_asked;
            if waits || self.refused.contains_key(&task.change) {
                continue;
            }
            if !self.may_start() {
                let why = if self.journal.has_room() {
                    "not started: another change was interrupted, and its package tool still runs"
                } else {
                    "not started: the journal is nearly full; hint: when nothing is open, stop this host, archive the journal elsewhere and start again"
                };
                self.tell(world, &task.change, why.into());
                continue;
            }
            let redeemed = self.redeem(world, rng, task)?;
            self.count(&mut summary, redeemed);
        }
        let unsettled = if self.prepares_only {
            &[][..]
        } else {
            &work.unsettled
        };
        for task in unsettled {
            let (redeemed, refused) = self.unsettled(world, rng, &work.redeem, task)?;
            self.count(&mut summary, redeemed);
            summary.refused += usize::from(refused);
        }
        self.deliver(world)?;
        Ok(summary)
    }

    fn count(&mut self, summary: &mut Summary, redeemed: Redeemed) {
        match redeemed {
            Redeemed::Executed => {
                summary.executed += 1;
                // What was observed before is no longer so.
                self.observed_at = None;
            }
            Redeemed::Refused => self.refused_just_now = true,
            Redeemed::NotNow | Redeemed::Withheld => {}
        }
    }

    /// INVARIANT: nothing is started beside an open intent, nor when the journal takes no more.
    fn may_start(&self) -> bool {
        self.journal.state().open().next().is_none() && self.journal.has_room()
    }

    /// Tells something of a change, unless it was the last thing told of it.
    fn tell(&mut self, world: World<'_>, change: &ChangeId, text: String) {
        if self.told.get(change) != Some(&text) {
            world.progress.line(format!("`{change}`: {text}"));
            self.told.insert(change.clone(), text);
        }
    }

    /// Observes and reports packages, and does nothing else; whether the gate took the observation.
    ///
    /// # Errors
    /// When something cannot be read, or the gate does not answer.
    pub fn observe_once(&mut self, world: World<'_>) -> Result<bool, WorkError> {
        let observed = self.observe(world)?;
        self.report_packages(world)?;
        Ok(observed)
    }

    fn observation_due(&self, world: World<'_>) -> bool {
        let now = (world.clock)();
        self.observed_at.is_none_or(|at| {
            now.seconds_since(at) >= i64::from(self.config.observe_seconds) || now < at
        })
    }

    /// Observes; true when the gate took it.
    fn observe(&mut self, world: World<'_>) -> Result<bool, WorkError> {
        let now = (world.clock)();
        let mut observation = observe::observe(&self.config, &mut self.apt, now, world.progress)?;
        observe::cut(&mut observation, OBSERVED_BYTES_MAX)?;
        let signed = self.key.sign(OBSERVATION_TYP, &observation)?;
        let answer = self.client.observed(self.caller(world), &signed);
        match answer {
            Err(error) if refusal(&error).is_some() => {
                // The same would be refused again: the next one is due when it is due.
                self.observed_at = Some(now);
                let text = format!("the gate did not take the observation: {error}");
                world.progress.line(text);
                Ok(false)
            }
            other => {
                other?;
                self.observed_at = Some(now);
                Ok(true)
            }
        }
    }

    /// Holds the digest of the plan that was last made for a change. (An id may hold `/`.)
    fn planned_path(&self, change: &ChangeId) -> PathBuf {
        let name = Digest::of(change.as_str().as_bytes()).to_string();
        let name = name.replace("sha256:", "");
        self.config.state_dir.join("planned").join(name)
    }

    fn plan_path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string().replace("sha256:", "");
        self.config
            .state_dir
            .join("plans")
            .join(format!("{name}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_journal_that_cannot_be_written_ends_the_process() {
        let io = || JournalError::Io {
            path: "j".into(),
            source: std::io::Error::other("disk full"),
        };
        assert!(WorkError::from(io()).is_final());
        assert!(WorkError::from(ActError::from(io())).is_final());
        assert!(WorkError::from(JournalError::Poisoned("j".into())).is_final());
        assert!(!WorkError::from(JournalError::Full("j".into())).is_final());
        assert!(!WorkError::Endless.is_final());
    }
}
