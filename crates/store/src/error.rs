//! Why a store is not opened. Errors of a running store are in `contract`.

use std::io;
use std::path::{Path, PathBuf};

use crate::contract::{Log, StoreError};

/// Why the store stays closed. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process writes to it.
    #[error("the store is in use by process `{process}`; stop it first, or read without writing")]
    InUse {
        /// Its id, as it wrote it to the lock file.
        process: String,
    },
    /// Some other program's file.
    #[error(
        "the file is no Countersign database; choose another path, or restore the newest backup if it was one"
    )]
    NotOurs,
    /// Pages of the database, or what they hold, are not what was written.
    #[error(
        "the database is damaged: {0}; keep it as it is, and restore the newest backup with \
         `countersign restore`, or rebuild what can still be read with `countersign log fsck --rebuild --into NEW`"
    )]
    Damaged(String),
    /// The disk takes no writes.
    #[error(
        "{what} cannot be written ({why}), and nothing is decided that cannot be recorded; \
         make it writable for this user and start again. A file system that has become read-only by \
         itself has usually met a broken disk: look at the system's log first. Nothing that was \
         acknowledged is lost"
    )]
    Unwritable {
        /// Which file, in words.
        what: String,
        /// What the system said.
        why: String,
    },
    /// There is no database yet.
    #[error("there is no database at `{}`; run `countersign init` or name another", path.display())]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Written by a later version of this program.
    #[error(
        "the database has version `{found}`, this program knows `{known}`; \
         use the newer program that wrote it, or restore a backup from before"
    )]
    Newer {
        /// Its version.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// Written by an earlier version, and opened without writing.
    #[error(
        "the database has version `{found}`, not yet `{known}`; start the server to migrate it"
    )]
    Older {
        /// Its version.
        found: i64,
        /// The version known here.
        known: i64,
    },
    /// A migration failed; the database is as it was before.
    #[error("migration `{name}` failed, and nothing of it was kept: {source}")]
    Migration {
        /// Which.
        name: String,
        /// Why.
        source: StoreError,
    },
    /// The database belongs to other logs than the signing keys.
    #[error(
        "the database holds the {} log `{found}`, the signing key is for `{expected}`; \
         open it with the data directory that it belongs to", log.as_str()
    )]
    OtherDeployment {
        /// Which log.
        log: Log,
        /// Verifier key in the database.
        found: String,
        /// Verifier key of the signer.
        expected: String,
    },
    /// The stored tree does not give the stored head.
    #[error(
        "the {} log is damaged: {why}; restore the newest backup with `countersign restore`, or rebuild what \
         can still be read with `countersign log fsck --rebuild --into NEW`", log.as_str()
    )]
    Head {
        /// Which log.
        log: Log,
        /// What does not fit.
        why: String,
    },
    /// A checkpoint was signed for more entries than there are: this is an older copy.
    #[error(
        "the {} log has `{size}` entries, but `{signed}` were signed for: `{}` are missing, so this is an \
         older copy. Restore the newest one; starting from here would fork the log. If entries are lost for good, \
         found a new deployment with a new origin and keep this one as evidence",
        log.as_str(), signed.saturating_sub(*size)
    )]
    Behind {
        /// Which log.
        log: Log,
        /// Entries in the database.
        size: u64,
        /// Entries that a signed checkpoint states.
        signed: u64,
    },
    /// A checkpoint was signed over other entries.
    #[error(
        "the {} log does not contain what was signed at size `{size}`: it has forked. Keep both \
         copies as evidence and restore the one that the checkpoint belongs to", log.as_str()
    )]
    Forked {
        /// Which log.
        log: Log,
        /// The size at which it differs.
        size: u64,
    },
    /// A stored checkpoint cannot be read, or our key did not sign it.
    #[error("signed checkpoint in `{place}`: {why}; restore it together with the database")]
    Checkpoint {
        /// Where it was found.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// A file beside the database could not be used.
    #[error("`{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database could not be read or written.
    #[error(transparent)]
    Store(StoreError),
}

impl OpenError {
    /// For `map_err`: a file that could not be written.
    pub(crate) fn file(path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Self::Unwritable {
                    what: format!("`{}`", path.display()),
                    why: source.to_string(),
                }
            }
            _ => Self::File {
                path: path.clone(),
                source,
            },
        }
    }
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged(why) => Self::Damaged(why),
            other => Self::Store(other),
        }
    }
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::ReadOnly) => Self::Unwritable {
                what: "the database".to_owned(),
                why: error.to_string(),
            },
            _ => StoreError::from(error).into(),
        }
    }
}
