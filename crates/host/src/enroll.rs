//! Enrolment: the roster's chain is fetched and verified from the genesis that the host's own
//! configuration pins, and the host's key is made. Nothing that the server says is trusted: what is
//! pinned decides. A named human then admits the public key.

use crate::client::{Client, ClientError};
use crate::config::Config;
use crate::key::{HostKey, KeyError};
use crate::seen::{Seen, SeenError};
use countersign_domain::{DeploymentId, Digest};

/// Pages of the roster fetched at most.
const PAGES_MAX: usize = 200;

/// Why this host is not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// The gate.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The roster.
    #[error(transparent)]
    Seen(#[from] SeenError),
    /// Another deployment answers.
    #[error(
        "the gate is of deployment `{found}`, this host's configuration says `{expected}`; correct `server` or `deployment`"
    )]
    Deployment {
        /// What the configuration says.
        expected: DeploymentId,
        /// What answered.
        found: DeploymentId,
    },
    /// Another genesis.
    #[error(
        "the gate's genesis is `{found}`, this host pins `{expected}`; ask a named human which one is right, out of band"
    )]
    Genesis {
        /// What is pinned.
        expected: Digest,
        /// What answered.
        found: Digest,
    },
    /// A trial, and the host is not enrolled as one, or the other way round.
    #[error(
        "the deployment says trial = {found}, this host's `pins.trial` says {expected}; a trial's warrants are taken by trial hosts only"
    )]
    Trial {
        /// What the configuration says.
        expected: bool,
        /// What the roster says.
        found: bool,
    },
    /// No roster.
    #[error("the gate handed out no roster")]
    NoRoster,
}

/// An enrolled host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled {
    /// The public key, 64 hex digits.
    pub public_key: String,
    /// The version of the roster that was verified.
    pub roster_version: u64,
    /// True when the roster holds this key already.
    pub admitted: bool,
    /// What a named human types to admit the key.
    pub command: String,
}

/// Enrols this host. `seed` (32 random bytes) becomes its key; with `keep_key`, a key that is there
/// already stays.
///
/// # Errors
/// When the gate is not the pinned one, or key or roster cannot be written.
pub fn enroll(config: &Config, seed: [u8; 32], keep_key: bool) -> Result<Enrolled, EnrollError> {
    let client = Client::of(config)?;
    let told = client.deployment()?;
    if told.deployment != config.deployment {
        return Err(EnrollError::Deployment {
            expected: config.deployment.clone(),
            found: told.deployment,
        });
    }
    if told.genesis != config.genesis {
        return Err(EnrollError::Genesis {
            expected: config.genesis,
            found: told.genesis,
        });
    }
    let mut seen = match Seen::load(&config.state_dir, &config.genesis) {
        Ok(seen) => seen,
        Err(SeenError::NotEnrolled(_)) => {
            let first = client.roster(0)?.changes.into_iter().next();
            let first = first.ok_or(EnrollError::NoRoster)?;
            Seen::begin(&config.state_dir, &config.genesis, first)?
        }
        Err(error) => return Err(error.into()),
    };
    sync(&client, &mut seen)?;
    if seen.roster().trial != config.pins.trial {
        return Err(EnrollError::Trial {
            expected: config.pins.trial,
            found: seen.roster().trial,
        });
    }
    let path = config.key_path();
    let key = if keep_key && path.exists() {
        HostKey::load(&path, config.host.clone())?
    } else {
        HostKey::create(&path, config.host.clone(), seed)?
    };
    let public_key = key.public_key();
    Ok(Enrolled {
        roster_version: seen.roster().version,
        admitted: seen.roster().hosts.get(&config.host) == Some(&public_key),
        command: format!(
            "countersign roster add-host {} --public-key {public_key}",
            config.host
        ),
        public_key,
    })
}

/// Fetches roster changes that this host has not seen, and verifies each; how many there were.
///
/// # Errors
/// When the gate does not answer, or hands out a change that is not signed as it must be.
pub fn sync(client: &Client, seen: &mut Seen) -> Result<usize, EnrollError> {
    let mut fresh = 0;
    for _ in 0..PAGES_MAX {
        let page = client.roster(seen.roster().version)?;
        let count = seen.extend(&page.changes)?;
        fresh += count;
        if count == 0 || seen.roster().version >= page.version {
            break;
        }
    }
    Ok(fresh)
}
