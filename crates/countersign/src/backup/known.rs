//! What others have seen of the logs, against which a restored log is held before it may go on:
//! signed checkpoints (of an export, or of the old server), and what a host or a witness keeps of the
//! last one that it believed. The latter are not signed. They need not be: whatever is handed in here
//! can only have a backup refused.

use super::BackupError;
use countersign_domain::Digest;
use countersign_ledger::{Hash, SignedCheckpoint};
use countersign_store::{Log, OpenError, Store};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The longest file that is read, in bytes: a host keeps the roster's chain along.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What anybody handed in.
#[derive(Debug, Default)]
pub struct Known(Vec<Seen>);

#[derive(Debug)]
struct Seen {
    path: PathBuf,
    origin: String,
    size: u64,
    root: Digest,
    signed: Option<SignedCheckpoint>,
}

/// What a log was held against, and contains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeldAgainst {
    /// Where it was read.
    pub file: PathBuf,
    /// Of which log.
    pub log: &'static str,
    /// Entries.
    pub size: u64,
    /// The root that they give.
    pub root: Digest,
    /// True for a checkpoint with the log's signature; false for what a host or a witness keeps.
    pub signed: bool,
}

/// `seen.json` of a host.
#[derive(Deserialize)]
struct HostFile {
    checkpoint: Stated,
}

/// A host's checkpoint, or a witness's head.
#[derive(Deserialize)]
struct Stated {
    origin: String,
    size: u64,
    root: String,
}

impl Known {
    /// Reads what others have seen from files.
    ///
    /// # Errors
    /// When one cannot be read, or is none of the forms.
    pub fn read(paths: &[PathBuf]) -> Result<Self, BackupError> {
        paths
            .iter()
            .map(|path| Seen::read(path))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Each with the log that it is of, by the logs' origins.
    ///
    /// # Errors
    /// When one is of neither log.
    fn of<'a>(
        &'a self,
        origin: impl Fn(Log) -> String,
    ) -> Result<Vec<(Log, &'a Seen)>, BackupError> {
        let of = |seen: &'a Seen| {
            let log = Log::ALL.into_iter().find(|log| origin(*log) == seen.origin);
            let other = || unusable(&seen.path, "it is of another deployment's log");
            Ok((log.ok_or_else(other)?, seen))
        };
        self.0.iter().map(of).collect()
    }

    /// The signed ones, each with its log.
    ///
    /// # Errors
    /// When one is of neither log.
    pub(super) fn signed(
        &self,
        origin: impl Fn(Log) -> String,
    ) -> Result<Vec<(Log, SignedCheckpoint)>, BackupError> {
        let signed = |(log, seen): (Log, &Seen)| Some((log, seen.signed.clone()?));
        Ok(self.of(origin)?.into_iter().filter_map(signed).collect())
    }

    /// The most entries of a log that anybody has seen.
    pub(super) fn newest(&self, origin: &str) -> u64 {
        let of_log = self.0.iter().filter(|seen| seen.origin == origin);
        of_log.map(|seen| seen.size).max().unwrap_or(0)
    }

    /// Holds the logs against all of them.
    ///
    /// # Errors
    /// [`BackupError::Behind`] where somebody has seen more, or other entries.
    pub fn check(&self, store: &Store) -> Result<Vec<HeldAgainst>, BackupError> {
        let origin = |log| store.verifier_key(log).origin().as_str().to_owned();
        let held = |(log, seen): (Log, &Seen)| {
            let checked = match &seen.signed {
                Some(signed) => store.contains(log, signed),
                None => store.contains_root(log, seen.size, &seen.root),
            };
            checked.map_err(|source| match source {
                OpenError::Behind { .. } | OpenError::Forked { .. } => BackupError::Behind {
                    who: format!("`{}`", seen.path.display()),
                    source,
                },
                OpenError::Checkpoint { why, .. } => unusable(&seen.path, &why),
                other => other.into(),
            })?;
            Ok(HeldAgainst {
                file: seen.path.clone(),
                log: log.as_str(),
                size: seen.size,
                root: seen.root,
                signed: seen.signed.is_some(),
            })
        };
        self.of(origin)?.into_iter().map(held).collect()
    }

    /// True when nobody has seen anything.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Seen {
    fn read(path: &Path) -> Result<Self, BackupError> {
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text))
            .map_err(BackupError::file(path))?;
        if let Ok(signed) = SignedCheckpoint::parse(&text) {
            let claimed = signed.claimed();
            return Ok(Self {
                path: path.to_owned(),
                origin: claimed.origin().as_str().to_owned(),
                size: claimed.size(),
                root: Digest::from_bytes(*claimed.root().as_bytes()),
                signed: Some(signed),
            });
        }
        let stated = serde_json::from_str::<HostFile>(&text)
            .map(|host| host.checkpoint)
            .or_else(|_| serde_json::from_str::<Stated>(&text))
            .map_err(|_| unusable(path, "it is none"))?;
        // Hosts write roots as digests, witnesses as in a checkpoint.
        let root = stated.root.parse::<Digest>().ok().or_else(|| {
            let root = Hash::from_base64(&stated.root).ok()?;
            Some(Digest::from_bytes(*root.as_bytes()))
        });
        Ok(Self {
            path: path.to_owned(),
            origin: stated.origin,
            size: stated.size,
            root: root.ok_or_else(|| unusable(path, "its root cannot be read"))?,
            signed: None,
        })
    }
}

fn unusable(path: &Path, problem: &str) -> BackupError {
    BackupError::Checkpoint {
        path: path.to_owned(),
        problem: format!(
            "{problem}; expected a signed checkpoint of this deployment (`authorizations/checkpoint` of an export, `/api/v1/log/authorizations/checkpoint` of the old server), a host's `seen.json` or a witness's `.head`"
        ),
    }
}
