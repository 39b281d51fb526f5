//! The data directory of one deployment: keys, database, configuration and the operator's token.
//! Opens and founds; decides nothing.
//!
//! ```text
//! deployment.toml    form version, deployment id, genesis digest, address, witnesses
//! countersign.db     both logs, blobs and projections
//! keys/              seeds of the gate's three keys, readable by the owner alone
//! operator.token     the operator's bearer token
//! server.json        where the running server listens, while one runs
//! ```

mod config;
mod error;
mod found;
mod keys;
mod private;
mod running;

pub use config::{Config, FORM, WitnessAddress};
pub use error::DeploymentError;
pub use found::{Founding, LISTEN, NewPerson};
pub use running::ServerFile;

use crate::ambient;
use crate::witness::{Cosigners, Seen, ask_all};
use countersign_gate::Gate;
use countersign_gate::found::hex_key;
use countersign_ledger::VerifierKey;
use countersign_store::{Log, OpenError, Options, PerLog, Signers, Store};
use ed25519_dalek::SigningKey;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An open deployment.
pub struct Deployment {
    dir: PathBuf,
    config: Config,
    gate: Arc<Gate>,
    operator: OperatorToken,
}

/// The operator's bearer token. Never printed.
#[derive(Clone)]
pub struct OperatorToken(String);

impl OperatorToken {
    /// The token, to compare or to send.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A token read from a file.
    ///
    /// # Errors
    /// When it cannot be read, others may read it, or it is no token.
    pub fn read(path: &Path) -> Result<Self, DeploymentError> {
        let text = private::read(path, 200)?;
        let token = text.trim();
        if token.len() == 64 && token.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(Self(token.to_owned()))
        } else {
            Err(DeploymentError::damaged(
                path,
                "expected a token of 64 hex digits",
            ))
        }
    }
}

impl std::fmt::Debug for OperatorToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OperatorToken(…)")
    }
}

/// The directory when none is named: `$COUNTERSIGN_DIR`, else below `$XDG_DATA_HOME`, else
/// `~/.local/share/countersign`. None where there is no home either.
#[must_use]
pub fn default_dir() -> Option<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("COUNTERSIGN_DIR")
        .or_else(|| set("XDG_DATA_HOME").map(|home| home.join("countersign")))
        .or_else(|| set("HOME").map(|home| home.join(".local/share/countersign")))
}

impl Deployment {
    /// Opens the deployment in `dir` to write. Only one process at a time can.
    ///
    /// # Errors
    /// [`DeploymentError`] says what to do.
    pub fn open(dir: &Path) -> Result<Self, DeploymentError> {
        let deployment = Self::open_with(dir, true)?;
        deployment.check_witnessed()?;
        Ok(deployment)
    }

    /// As [`Deployment::open`], without asking witnesses for anything: for looking at a copy.
    ///
    /// # Errors
    /// [`DeploymentError`] says what to do.
    pub(crate) fn open_alone(dir: &Path) -> Result<Self, DeploymentError> {
        Self::open_with(dir, false)
    }

    /// The keys that verify both logs' checkpoints, from the seeds in `dir`.
    ///
    /// # Errors
    /// [`DeploymentError`] says what to do.
    pub(crate) fn log_keys(dir: &Path) -> Result<PerLog<VerifierKey>, DeploymentError> {
        let signers = Self::log_signers(dir)?;
        Ok(PerLog {
            recommendations: signers.recommendations.verifier_key().clone(),
            authorizations: signers.authorizations.verifier_key().clone(),
        })
    }

    /// The keys that sign both logs' checkpoints.
    ///
    /// # Errors
    /// [`DeploymentError`] says what to do.
    pub(crate) fn log_signers(dir: &Path) -> Result<Signers, DeploymentError> {
        let config = Config::read(dir)?;
        Ok(keys::Keys::read(dir, &config.deployment)?.log_signers)
    }

    fn open_with(dir: &Path, witnessed: bool) -> Result<Self, DeploymentError> {
        let config = Config::read(dir)?;
        private::check_folder(dir)?;
        let keys = keys::Keys::read(dir, &config.deployment)?;
        let operator = OperatorToken::read(&dir.join(OPERATOR_TOKEN))?;
        let database = dir.join(DATABASE);
        // The store would found an empty one: a deployment without its log is damaged, not new.
        if !database.is_file() {
            return Err(DeploymentError::damaged(
                &database,
                "it is missing; restore the newest backup with `countersign restore`, or rebuild it from an export with `countersign log fsck --rebuild --into NEW --from EXPORT`",
            ));
        }
        let cosigner = match witnessed {
            true => Cosigners::new(&config.witnesses)?,
            false => None,
        };
        let options = Options {
            cosigner: cosigner.map(|cosigner| Arc::new(cosigner) as _),
            ..Options::default()
        };
        let store = Store::open(&database, keys.log_signers, options)?;
        let gate = Gate::new(store, keys.warrant.clone());
        let deployment = Self {
            dir: dir.to_owned(),
            config,
            gate: Arc::new(gate),
            operator,
        };
        deployment.check_identity(&keys.warrant)?;
        Ok(deployment)
    }

    /// A whole folder that was put back from an older copy agrees with itself; its witnesses know
    /// better. One that does not answer says nothing: hosts that demand a witness refuse then.
    fn check_witnessed(&self) -> Result<(), DeploymentError> {
        let witnesses = &self.config.witnesses;
        let log = Log::Authorizations;
        let store = self.gate.store();
        let size = store.checkpoint(log).0;
        for (witness, seen) in witnesses.iter().zip(ask_all(witnesses, store)) {
            let source = match seen {
                Ok(Seen::More(signed)) => OpenError::Behind { log, size, signed },
                Ok(Seen::Others) => OpenError::Forked { log, size },
                Ok(Seen::NoMore) | Err(_) => continue,
            };
            let url = witness.url.clone();
            return Err(DeploymentError::Witnessed { url, source });
        }
        Ok(())
    }

    /// Opens the logs and projections in `dir` to read, beside a running server or without one.
    ///
    /// # Errors
    /// [`DeploymentError`] says what to do.
    pub fn open_read_only(dir: &Path) -> Result<(Config, Gate), DeploymentError> {
        let config = Config::read(dir)?;
        let store = Store::open_read_only(&dir.join(DATABASE))?;
        // A store that was opened to read refuses every write, so this key never signs anything.
        let gate = Gate::new(store, SigningKey::from_bytes(&ambient::random()));
        Ok((config, gate))
    }

    /// The configuration, the keys and the log must speak of one deployment.
    fn check_identity(&self, warrant: &SigningKey) -> Result<(), DeploymentError> {
        let world = self.gate.world()?;
        let other = |what: &'static str| DeploymentError::Other {
            dir: self.dir.clone(),
            what,
        };
        if world.roster.deployment != self.config.deployment {
            return Err(other("`deployment` in deployment.toml"));
        }
        if world.roster.genesis != self.config.genesis {
            return Err(other("`genesis` in deployment.toml"));
        }
        if world.roster.gate.warrant != hex_key(warrant) {
            return Err(other("the warrant key in keys/"));
        }
        Ok(())
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its configuration.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Its gate.
    #[must_use]
    pub const fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// The operator's token.
    #[must_use]
    pub const fn operator(&self) -> &OperatorToken {
        &self.operator
    }
}

/// The database's file name.
pub const DATABASE: &str = "countersign.db";
/// The operator token's file name.
pub const OPERATOR_TOKEN: &str = "operator.token";
/// The file with a key that was made for the human of a trial.
pub const TRIAL_KEY: &str = "keys/human";
