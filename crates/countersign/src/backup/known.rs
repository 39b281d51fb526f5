//! What others have seen of the logs: signed checkpoints from files, against which a restored log is
//! held before it may go on.

use super::BackupError;
use countersign_ledger::{SIGNED_CHECKPOINT_BYTES_MAX, SignedCheckpoint};
use countersign_store::{Log, OpenError, Store};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The newest signed checkpoints that anybody handed in.
#[derive(Debug, Default)]
pub struct Known(Vec<(PathBuf, SignedCheckpoint)>);

impl Known {
    /// Reads signed checkpoints (C2SP notes, as `/api/v1/log/…/checkpoint` serves them) from files.
    ///
    /// # Errors
    /// When one cannot be read, or is no checkpoint.
    pub fn read(paths: &[PathBuf]) -> Result<Self, BackupError> {
        let read = |path: &PathBuf| {
            let mut text = String::new();
            File::open(path)
                .and_then(|file| {
                    file.take(SIGNED_CHECKPOINT_BYTES_MAX as u64)
                        .read_to_string(&mut text)
                })
                .map_err(BackupError::file(path))?;
            let note = SignedCheckpoint::parse(&text).map_err(|error| unusable(path, &error))?;
            Ok((path.clone(), note))
        };
        paths.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Each checkpoint with the log that it is of, by the logs' origins.
    ///
    /// # Errors
    /// When one is of neither log.
    pub(crate) fn of(&self, store: &Store) -> Result<Vec<(Log, SignedCheckpoint)>, BackupError> {
        self.by_origin(|log| store.verifier_key(log).origin().as_str().to_owned())
    }

    /// As [`Known::of`], with the origins named.
    pub(crate) fn by_origin(
        &self,
        origin: impl Fn(Log) -> String,
    ) -> Result<Vec<(Log, SignedCheckpoint)>, BackupError> {
        let of = |(path, note): &(PathBuf, SignedCheckpoint)| {
            let found = note.claimed().origin().as_str();
            let log = Log::ALL.into_iter().find(|log| origin(*log) == found);
            let log = log.ok_or_else(|| unusable(path, &"it is of another deployment's log"))?;
            Ok((log, note.clone()))
        };
        self.0.iter().map(of).collect()
    }

    /// Holds a log against all of them.
    ///
    /// # Errors
    /// [`BackupError::Behind`] where somebody has seen more of it, or other entries.
    pub(crate) fn check(&self, store: &Store) -> Result<(), BackupError> {
        for ((path, _), (log, note)) in self.0.iter().zip(self.of(store)?) {
            store.contains(log, &note).map_err(|source| match source {
                OpenError::Behind { .. } | OpenError::Forked { .. } => BackupError::Behind {
                    who: format!("the checkpoint in `{}`", path.display()),
                    source,
                },
                OpenError::Checkpoint { why, .. } => unusable(path, &why),
                other => other.into(),
            })?;
        }
        Ok(())
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// True when nobody has seen anything.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn unusable(path: &Path, problem: &dyn std::fmt::Display) -> BackupError {
    BackupError::Checkpoint {
        path: path.to_owned(),
        problem: format!(
            "{problem}; expected a signed checkpoint of this deployment, as `/api/v1/log/authorizations/checkpoint` serves it"
        ),
    }
}
