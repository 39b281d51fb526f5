//! A simulated machine: real journal, real memory of what it has seen, real verification of what it is
//! handed; only the package manager is a map. It dies wherever it is told to. It keeps no ground truth:
//! what it does is reported to the caller as [`Effect`]s.

mod acting;

use crate::actors;
use countersign_domain::lease::Handover;
use countersign_domain::package::{Architecture, PackageName, Version};
use countersign_domain::plan::{Reverse, RollbackSource, Step};
use countersign_domain::receipt::Ending;
use countersign_domain::roster::SignedRosterChange;
use countersign_domain::{
    ChangeId, Digest, Nonce, PreparedPlan, Proposal, Receipt, Tier, Timestamp, Transition,
    canonical, jws,
};
use countersign_host::journal::{self, Execution, Journal, JournalError, Phase, Record};
use countersign_host::seen::Seen;
use countersign_verify::handover::{self, HostPins, HostView, Permit, Refusal};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

/// How long a host waits for an answer by its own monotonic clock, in seconds.
pub const ANSWER_SECONDS_MAX: i64 = 30;
/// How far a host lets the gate's clock be off, in seconds.
pub const SKEW_SECONDS: i64 = 30;

/// Something that really happened to a machine.
#[derive(Debug, Clone)]
pub struct Effect {
    /// Under which warrant; none by hand.
    pub warrant: Option<Digest>,
    /// In which direction.
    pub phase: Phase,
    /// What.
    pub transition: Transition,
    /// True when the machine's own journal, read from its disk, had it as spent at that moment.
    pub journalled: bool,
}

/// Where a machine dies, and how a run of its package manager goes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fortune {
    /// Dies before this step of acting (0: never dies).
    pub dies_at: u8,
    /// The packages that the package manager gets done.
    pub gets_done: usize,
    /// The checks afterwards pass.
    pub healthy: bool,
    /// The way back works.
    pub way_back_works: bool,
    /// What is installed can be found out.
    pub inspectable: bool,
}

/// A rule that a machine breaks on purpose, so that a test can show that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flaw {
    /// None.
    #[default]
    None,
    /// Installs without journalling what it spends.
    SkipsJournal,
    /// Says that it succeeded, whatever happened.
    Lies,
    /// Acts on a permit however old it is.
    KeepsPermits,
    /// Believes its clock, although somebody sets it back.
    TrustsItsClock,
    /// Installs under a warrant that nobody issued.
    ActsUnwarranted,
    /// Installs what it spent a second time.
    ActsTwice,
    /// Installs something else than its plan says.
    ActsOtherwise,
}

impl Flaw {
    /// True when a permit is used at the worst moment.
    #[must_use]
    pub const fn keeps_permits(self) -> bool {
        matches!(self, Self::KeepsPermits | Self::TrustsItsClock)
    }
}

/// The machine has died, or its journal refuses.
#[derive(Debug)]
pub enum Stopped {
    /// It died here, as it was told to.
    Died,
    /// Its journal says no.
    Journal(JournalError),
}

impl From<JournalError> for Stopped {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

/// A machine.
pub struct Machine {
    /// Its name.
    pub name: &'static str,
    folder: PathBuf,
    genesis: Digest,
    /// None while it is down.
    journal: Option<Journal>,
    seen: Option<Seen>,
    /// Version numbers of what is installed.
    pub installed: BTreeMap<String, u32>,
    /// The plans that it holds, on disk.
    pub plans: BTreeMap<ChangeId, PreparedPlan>,
    /// How far its clock is off, in milliseconds.
    pub skew_ms: i64,
    /// What it breaks.
    pub flaw: Flaw,
}

fn version(number: u32) -> Version {
    Version::new(format!("1.{number}")).unwrap()
}

/// The number in a version.
fn number(version: &Version) -> u32 {
    let digits = version.as_str().trim_start_matches("1.");
    digits.parse().unwrap_or(0)
}

fn artifact(package: &str, number: u32) -> Digest {
    Digest::of(format!("{package} {number}").as_bytes())
}

impl Machine {
    /// Enrols a machine under the genesis that it pins.
    #[must_use]
    pub fn enrol(
        name: &'static str,
        folder: PathBuf,
        genesis: Digest,
        first: SignedRosterChange,
        now: Timestamp,
    ) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        drop(Seen::begin(&folder, &genesis, first).unwrap());
        let mut machine = Self {
            name,
            folder,
            genesis,
            journal: None,
            seen: None,
            installed: actors::PACKAGES
                .iter()
                .map(|name| ((*name).to_owned(), 0))
                .collect(),
            plans: BTreeMap::new(),
            skew_ms: 0,
            flaw: Flaw::None,
        };
        machine.boot(now).unwrap();
        machine
    }

    /// True while it runs.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.journal.is_some()
    }

    /// Its own clock, which is not the gate's.
    #[must_use]
    pub const fn clock(&self, now: Timestamp) -> Timestamp {
        Timestamp::from_unix_millis(now.unix_millis() + self.skew_ms)
    }

    /// What its journal on disk amounts to, whether it runs or not.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn journalled(&self) -> Result<journal::State, JournalError> {
        journal::read(&self.folder)
    }

    /// Dies, with the beginning of a line that it was writing when `torn`.
    pub fn die(&mut self, torn: bool) {
        self.journal = None;
        self.seen = None;
        if torn {
            let path = journal::path(&self.folder);
            let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
            file.write_all(b"211 sha256:4f1c").unwrap();
        }
    }

    /// Loses its journal while it is down.
    pub fn lose_journal(&mut self) {
        // It may be lost already.
        let _ = std::fs::remove_file(journal::path(&self.folder));
    }

    /// Starts: reads its disk, and settles by inspection what it finds open. It acts on nothing.
    ///
    /// # Errors
    /// When the journal is damaged.
    pub fn boot(&mut self, now: Timestamp) -> Result<(), JournalError> {
        let clock = self.clock(now);
        let mut journal = Journal::open(&self.folder, clock)?;
        let seen = Seen::load(&self.folder, &self.genesis).unwrap();
        if journal.state().is_blank() {
            let log_size = seen.checkpoint().map_or(0, |last| last.size);
            journal.append(Record::Begun {
                at: clock,
                log_size,
            })?;
        }
        self.seen = Some(seen);
        let open: Vec<Execution> = journal.state().open().cloned().collect();
        self.journal = Some(journal);
        for execution in open {
            let Some(intended) = &execution.intended else {
                continue;
            };
            let ending = if self.are_new(&intended.forward) {
                Ending::Succeeded
            } else if self.are_old(&intended.forward) {
                Ending::RolledBack
            } else {
                Ending::Failed
            };
            let started = Some(intended.at);
            self.settle(&execution.change, execution.warrant, started, ending, now)?;
        }
        Ok(())
    }

    fn journal(&mut self) -> &mut Journal {
        self.journal.as_mut().unwrap()
    }

    fn are_new(&self, transitions: &[Transition]) -> bool {
        transitions
            .iter()
            .all(|one| self.version_of(one) == one.new)
    }

    fn are_old(&self, transitions: &[Transition]) -> bool {
        transitions
            .iter()
            .all(|one| self.version_of(one) == one.old)
    }

    /// True when every package asked for is newer than what is installed: the package manager has
    /// nothing to do otherwise, and the host cannot prepare it.
    #[must_use]
    pub fn would_upgrade(&self, proposal: &Proposal) -> bool {
        proposal.packages.iter().all(|package| {
            let old = self.installed.get(package.name.as_str());
            number(&package.to) > old.copied().unwrap_or(0)
        })
    }

    fn version_of(&self, transition: &Transition) -> Option<Version> {
        self.installed
            .get(transition.name.as_str())
            .map(|number| version(*number))
    }

    /// The roster version and the size of the log that it knows: what it sends with a redemption.
    #[must_use]
    pub fn knows(&self) -> (u64, u64) {
        self.seen.as_ref().map_or((0, 0), |seen| {
            let size = seen.checkpoint().map_or(0, |last| last.size);
            (seen.roster().version, size)
        })
    }

    /// The plan for a proposal; `lifetime` in seconds. Kept, and signed.
    pub fn prepare(
        &mut self,
        change: &ChangeId,
        proposal: &Proposal,
        lifetime: i64,
        now: Timestamp,
    ) -> (PreparedPlan, String) {
        let at = self.clock(now);
        let steps = proposal.packages.iter().map(|package| {
            let name = package.name.as_str();
            let old = self.installed.get(name).copied().unwrap_or(0);
            let new = number(&package.to);
            let step = |old: u32, new: u32| Transition {
                name: package.name.clone(),
                architecture: package.architecture.clone(),
                old: Some(version(old)),
                new: Some(version(new)),
                sha256: Some(artifact(name, new)),
            };
            Step {
                transition: step(old, new),
                reverse: Reverse {
                    transition: step(new, old),
                    source: RollbackSource::Mirror,
                    stored: true,
                    note: None,
                },
                requested: true,
                security: true,
                fetched: true,
                section: Some("libs".into()),
                essential: false,
            }
        });
        let plan = PreparedPlan {
            v: 1,
            deployment: actors::deployment(),
            host: actors::host(self.name),
            proposal: canonical::digest(proposal).unwrap(),
            prepared_at: at,
            expires_at: at.plus_seconds(lifetime),
            steps: steps.collect(),
            checks: Vec::new(),
            definitions: Digest::of(b"definitions"),
            limits: Vec::new(),
        };
        self.plans.insert(change.clone(), plan.clone());
        let signed = actors::sign(self.name, jws::PLAN_TYP, &plan);
        (plan, signed)
    }

    /// Verifies what it was handed, as the real host does, and remembers what it believes.
    ///
    /// # Errors
    /// The refusal; nothing is believed then.
    pub fn verify(
        &mut self,
        change: &ChangeId,
        handover: &Handover,
        nonce: &Nonce,
        asked_at: Timestamp,
        now: Timestamp,
    ) -> Result<Permit, Box<Refusal>> {
        // No clock of a machine has a part in this one.
        let waited = (now.unix_millis() - asked_at.unix_millis()).max(0);
        let now = self.clock(now);
        let pins = HostPins {
            tier: Tier::new(2).unwrap(),
            trial: false,
            required_humans: Vec::new(),
            witness_quorum: 0,
            lease_seconds_max: 60,
            clock_skew_seconds_max: SKEW_SECONDS,
        };
        let own_plan_digest = match self.plans.get(change) {
            Some(plan) => canonical::digest(plan).unwrap(),
            None => Digest::of(b"no plan"),
        };
        let name = actors::host(self.name);
        let seen = self.seen.as_mut().unwrap();
        // What is not signed as it must be stays away; then the roster is behind, and it refuses.
        let _ = seen.extend(&handover.roster);
        let view = HostView {
            host: &name,
            roster: seen.roster(),
            pins: &pins,
            own_plan_digest: &own_plan_digest,
            nonce,
            last_checkpoint: seen.checkpoint(),
            last_halt_epoch: seen.halt_epoch(),
            now,
            waited: std::time::Duration::from_millis(waited.unsigned_abs()),
        };
        let permit = handover::verify(handover, &view).map_err(Box::new)?;
        seen.advance(permit.checkpoint(), permit.halt_epoch())
            .unwrap();
        Ok(permit)
    }

    /// Somebody with root upgrades a package by hand.
    pub fn tamper(&mut self, package: &str) -> Effect {
        let number = self.installed.entry(package.to_owned()).or_default();
        let old = *number;
        *number += 1;
        Effect {
            warrant: None,
            phase: Phase::Forward,
            transition: Transition {
                name: PackageName::new(package).unwrap(),
                architecture: Architecture::new("amd64").unwrap(),
                old: Some(version(old)),
                new: Some(version(old + 1)),
                sha256: Some(artifact(package, old + 1)),
            },
            journalled: false,
        }
    }

    /// Settles a warrant that it never acted on and will not.
    ///
    /// # Errors
    /// When the journal knows it already.
    pub fn disown(
        &mut self,
        change: &ChangeId,
        warrant: Digest,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let state = self.journal().state();
        let ending = match state.blind_before() {
            Some(_) => Ending::Unknown,
            None => Ending::NeverStarted,
        };
        self.settle(change, warrant, None, ending, now)
    }

    fn settle(
        &mut self,
        change: &ChangeId,
        warrant: Digest,
        started_at: Option<Timestamp>,
        ending: Ending,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let clock = self.clock(now);
        let ended_at = started_at.map_or(clock, |started| started.max(clock));
        let receipt = Receipt {
            v: 1,
            deployment: actors::deployment(),
            host: actors::host(self.name),
            change: change.clone(),
            warrant,
            started_at,
            ended_at,
            ending,
            in_place: Vec::new(),
            health: Vec::new(),
            notes: Vec::new(),
        };
        let receipt = actors::sign(self.name, jws::RECEIPT_TYP, &receipt);
        self.journal().append(Record::Settled {
            at: ended_at,
            warrant,
            change: change.clone(),
            ending,
            receipt,
        })
    }

    /// What the gate does not have yet.
    #[must_use]
    pub fn undelivered(&self) -> Vec<Execution> {
        let state = self.journal.as_ref().map(Journal::state);
        state.map_or_else(Vec::new, |state| state.undelivered().cloned().collect())
    }

    /// True when its journal knows this warrant.
    #[must_use]
    pub fn knows_warrant(&self, warrant: &Digest) -> bool {
        let state = self.journal.as_ref().map(Journal::state);
        state.is_some_and(|state| state.get(warrant).is_some())
    }

    /// Records what became of a receipt: delivered, or refused for good.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn delivered(
        &mut self,
        warrant: Digest,
        refused: Option<String>,
    ) -> Result<(), JournalError> {
        self.journal().append(match refused {
            None => Record::ReceiptDelivered { warrant },
            Some(why) => Record::ReceiptRefused { warrant, why },
        })
    }
}
