//! What this host has seen of the deployment and must not forget: the roster's chain, the last
//! checkpoint, the halt epoch. Written durably before anything is done that rests on it, so that a
//! gate (or whoever plays it) can never lead this host back.

use crate::durable;
use countersign_domain::Digest;
use countersign_domain::roster::SignedRosterChange;
use countersign_verify::log::Checkpoint;
use countersign_verify::roster::{ChainError, VerifiedRoster, chain, extend, found};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// The largest file that is read, in bytes.
const SEEN_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Why what was seen cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SeenError {
    /// Reading or writing failed.
    #[error("`{path}`: {source}", path = .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Damaged.
    #[error("`{path}` is damaged: {problem}; hint: look why, then enrol again", path = .path.display())]
    Form {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// There is none yet.
    #[error("this host is not enrolled: there is no `{}`; hint: run `countersign-host enroll`", .0.display())]
    NotEnrolled(PathBuf),
    /// A roster change that is not taken.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    roster: Vec<SignedRosterChange>,
    checkpoint: Option<Checkpoint>,
    halt_epoch: u64,
}

/// What this host has seen.
#[derive(Debug)]
pub struct Seen {
    path: PathBuf,
    kept: Kept,
    roster: VerifiedRoster,
}

impl Seen {
    fn path(state_dir: &Path) -> PathBuf {
        state_dir.join("seen.json")
    }

    /// Begins with a genesis that matches the pinned digest.
    ///
    /// # Errors
    /// When it is not the pinned one, or it cannot be written.
    pub fn begin(
        state_dir: &Path,
        genesis: &Digest,
        first: SignedRosterChange,
    ) -> Result<Self, SeenError> {
        let roster = found(genesis, &first)?;
        let seen = Self {
            path: Self::path(state_dir),
            kept: Kept {
                roster: vec![first],
                ..Kept::default()
            },
            roster,
        };
        seen.keep()?;
        Ok(seen)
    }

    /// Reads what was seen, and verifies the whole roster chain again from the pinned genesis.
    ///
    /// # Errors
    /// When the host is not enrolled, or the file is damaged.
    pub fn load(state_dir: &Path, genesis: &Digest) -> Result<Self, SeenError> {
        let path = Self::path(state_dir);
        let bytes = match durable::read_bounded(&path, SEEN_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SeenError::NotEnrolled(path));
            }
            Err(source) => return Err(SeenError::Io { path, source }),
        };
        let kept: Kept = serde_json::from_slice(&bytes).map_err(|error| SeenError::Form {
            path: path.clone(),
            problem: error.to_string(),
        })?;
        let roster = chain(genesis, &kept.roster)?;
        Ok(Self { path, kept, roster })
    }

    /// The roster.
    #[must_use]
    pub const fn roster(&self) -> &VerifiedRoster {
        &self.roster
    }

    /// The last checkpoint of the authorizations log that was believed.
    #[must_use]
    pub const fn checkpoint(&self) -> Option<&Checkpoint> {
        self.kept.checkpoint.as_ref()
    }

    /// The highest halt epoch that was seen.
    #[must_use]
    pub const fn halt_epoch(&self) -> u64 {
        self.kept.halt_epoch
    }

    /// Extends the roster by changes, each signed under the threshold of the
    /// roster before it. Changes that are known already are passed over. All or none.
    ///
    /// # Errors
    /// When one is not signed as it must be, or the result cannot be written.
    pub fn extend(&mut self, changes: &[SignedRosterChange]) -> Result<usize, SeenError> {
        let mut roster = self.roster.clone();
        let mut fresh = Vec::new();
        for change in changes {
            if self.kept.roster.contains(change) {
                continue;
            }
            // Not whether its statements can still be handed in: a host that was away catches up on
            // changes made long ago, and each was signed under the threshold before it.
            roster = extend(&roster, change)?;
            fresh.push(change.clone());
        }
        if fresh.is_empty() {
            return Ok(0);
        }
        let count = fresh.len();
        self.kept.roster.extend(fresh);
        self.keep()?;
        self.roster = roster;
        Ok(count)
    }

    /// Keeps a checkpoint and halt epoch that a verified permit carries.
    ///
    /// # Errors
    /// When they cannot be written: then nothing may be done.
    pub fn advance(&mut self, checkpoint: &Checkpoint, halt_epoch: u64) -> Result<(), SeenError> {
        self.kept.checkpoint = Some(checkpoint.clone());
        self.kept.halt_epoch = self.kept.halt_epoch.max(halt_epoch);
        self.keep()
    }

    fn keep(&self) -> Result<(), SeenError> {
        let form = |error: serde_json::Error| SeenError::Form {
            path: self.path.clone(),
            problem: error.to_string(),
        };
        let bytes = serde_json::to_vec(&self.kept).map_err(form)?;
        durable::replace(&self.path, &bytes).map_err(|source| SeenError::Io {
            path: self.path.clone(),
            source,
        })
    }
}
