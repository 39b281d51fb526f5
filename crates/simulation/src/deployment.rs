//! The gate of a simulation over its real store: founded, crashed, and opened again from what the disk
//! holds. Which commit fails is an argument; what is asked of the gate is not here.

use crate::actors::{self, Asked};
use countersign_domain::asset::{Criticality, Exposure, Tier};
use countersign_domain::roster::SignedRosterChange;
use countersign_domain::statement::Subject;
use countersign_domain::{Asset, Digest, Environment, Nonce, RosterChange, Timestamp, canonical};
use countersign_facts::Inventory;
use countersign_gate::{Gate, InventoryChange, PolicyChange};
use countersign_ledger::{LogSigner, Origin};
use countersign_store::{CommitPoint, Faults, Log, Options, Signers, Store};
use pollster::block_on;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A disk on which the next commit fails, once it is told to.
#[derive(Debug, Default)]
pub struct Disk(Mutex<Armed>);

#[derive(Debug, Default)]
struct Armed {
    next: Option<CommitPoint>,
    struck: bool,
}

impl Disk {
    /// The next commit fails at this point; none takes that back.
    pub fn arm(&self, point: Option<CommitPoint>) {
        let mut armed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *armed = Armed {
            next: point,
            struck: false,
        };
    }

    /// True when it failed since it was armed. The store says so too, but a moment later.
    #[must_use]
    pub fn struck(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).struck
    }
}

impl Faults for Disk {
    fn strike(&self, point: CommitPoint) -> Option<String> {
        let mut armed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        armed.next.take_if(|next| *next == point)?;
        armed.struck = true;
        Some(match point {
            CommitPoint::Before => "simulated: the disk is full".to_owned(),
            CommitPoint::After => "simulated: fsync failed".to_owned(),
        })
    }
}

/// A gate, its disk, and what every enrolment pins.
pub struct Deployment {
    gate: Option<Gate>,
    folder: PathBuf,
    generation: u32,
    base: PathBuf,
    /// Where faults are armed.
    pub disk: Arc<Disk>,
    /// The digest of the genesis.
    pub genesis: Digest,
}

fn signer(log: &str, seed: u8) -> LogSigner {
    let origin = format!("{}/{log}", actors::deployment());
    LogSigner::from_seed(Origin::new(&origin).unwrap(), &[seed; 32]).unwrap()
}

fn open(folder: &Path, disk: &Arc<Disk>) -> Result<Gate, String> {
    let signers = Signers {
        recommendations: signer("recommendations", 1),
        authorizations: signer("authorizations", 2),
    };
    let options = Options {
        faults: Some(Arc::clone(disk) as _),
        ..Options::default()
    };
    let path = folder.join("countersign.db");
    let store = Store::open(&path, signers, options).map_err(|error| error.to_string())?;
    Ok(Gate::new(store, actors::key("warrant")))
}

impl Deployment {
    /// Founds one in a folder: roster, inventory, the starter policy.
    #[must_use]
    pub fn found(base: &Path, now: Timestamp) -> Self {
        let folder = base.join("gate-0");
        std::fs::create_dir_all(&folder).unwrap();
        let disk = Arc::new(Disk::default());
        let gate = open(&folder, &disk).unwrap();
        let vkey = |log| gate.store().verifier_key(log).to_string();
        let change = RosterChange {
            v: 1,
            deployment: actors::deployment(),
            trial: false,
            version: 1,
            previous: None,
            at: now,
            operations: actors::genesis(vkey(Log::Authorizations), vkey(Log::Recommendations)),
        };
        let asked = |number: u64, subject| Asked {
            subject,
            roster_version: 1,
            nonce: Nonce::new(format!("f{number:031}")).unwrap(),
            at: now,
            seconds: 3600,
        };
        let subject = Subject::Roster {
            change: canonical::digest(&change).unwrap(),
            version: 1,
        };
        let signed = SignedRosterChange {
            change: canonical::to_text(&change).unwrap(),
            statements: vec![actors::statement("maria", "maria", asked(1, subject))],
        };
        let genesis = block_on(gate.found(signed, Vec::new(), now)).unwrap();
        let bytes = Inventory::from_assets(actors::HOSTS.map(asset))
            .to_toml()
            .unwrap()
            .into_bytes();
        let subject = Subject::Inventory {
            inventory: Digest::of(&bytes),
        };
        let statements = vec![actors::statement("maria", "maria", asked(2, subject))];
        block_on(gate.change_inventory(InventoryChange { bytes, statements }, now)).unwrap();
        let (change, subject) = policy(1);
        let statements = vec![actors::statement("chen", "chen", asked(3, subject))];
        let change = PolicyChange {
            statements,
            ..change
        };
        block_on(gate.change_policy(change, now)).unwrap();
        Self {
            gate: Some(gate),
            folder,
            generation: 0,
            base: base.to_owned(),
            disk,
            genesis,
        }
    }

    /// The gate.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        self.gate.as_ref().unwrap()
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.folder.join("countersign.db")
    }

    /// Ends the gate and opens it again. After a kill it is opened from an image of the files as they
    /// were before anything was closed; after a failed commit from the files themselves. A `backup` is an
    /// image that lacks what was committed last.
    ///
    /// # Errors
    /// What the store says when it does not open.
    pub fn restart(&mut self, killed: bool, backup: bool) -> Result<(), String> {
        self.disk.arm(None);
        let left = self.folder.clone();
        if killed {
            self.generation += 1;
            self.folder = self.base.join(format!("gate-{}", self.generation));
            std::fs::create_dir_all(&self.folder).map_err(|error| error.to_string())?;
            // The database before its log: what is written meanwhile is in the log alone.
            let names = ["countersign.db", "countersign.db-wal", "checkpoints.latest"];
            for name in &names[..if backup { 1 } else { names.len() }] {
                match std::fs::copy(left.join(name), self.folder.join(name)) {
                    Ok(_) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error.to_string()),
                }
            }
        }
        self.gate = None;
        if killed {
            std::fs::remove_dir_all(left).map_err(|error| error.to_string())?;
        }
        self.gate = Some(open(&self.folder, &self.disk)?);
        Ok(())
    }
}

/// The starter policy as the next version, and what is signed for it; statements are the caller's.
#[must_use]
pub fn policy(version: u64) -> (PolicyChange, Subject) {
    let authors = vec![actors::person(actors::AUTHOR)];
    let source = countersign_policy::starter_for(&actors::person(actors::AUTHOR));
    let subject = Subject::Policy {
        policy: source.digest(),
        version,
        authors: authors.clone(),
    };
    let change = PolicyChange {
        source,
        authors,
        statements: Vec::new(),
    };
    (change, subject)
}

fn asset(name: &str) -> Asset {
    let environment = actors::environment(name);
    let tier = if environment == Environment::Production {
        2
    } else {
        3
    };
    Asset {
        host: actors::host(name),
        environment,
        tier: Tier::new(tier).unwrap(),
        criticality: Criticality::Medium,
        exposure: Exposure::Controlled,
        scopes: Default::default(),
        owner: None,
        service: Some(name.to_owned()),
        cluster: None,
        account: None,
        neighbours: Default::default(),
        known: true,
    }
}
