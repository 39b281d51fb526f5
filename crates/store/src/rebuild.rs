//! Rebuilds every projection from the log and finds it equal, or says which rows differ. It works
//! on a copy; what an entry does to the projections is the caller's, the same code that the server
//! runs.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::Backup;

pub use crate::compare::Difference;
use crate::compare::PROJECTIONS;
use crate::contract::{Log, StoreError, Write};
use crate::engine::{Transaction, open_scratch, open_writer};
use crate::error::OpenError;
use crate::open::connect_to_read;
use crate::tables::{entries, logs};
use crate::{damage, lock, write};

/// Entries folded in one transaction.
const CHUNK: usize = 256;

/// Whether rebuilt projections replace the stored ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apply {
    /// Only compare; may run beside a server.
    No,
    /// Replace those that differ, in one transaction; locks out the server.
    Yes,
}

/// Does to the projections what one entry of the authorizations log, with its index, does to them.
pub type Fold<'a, E> = dyn FnMut(&mut dyn Write, u64, &[u8]) -> Result<(), E> + 'a;

/// What a rebuild found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebuildReport {
    /// Entries of the authorizations log that were folded.
    pub entries: u64,
    /// What differed; empty when stored and rebuilt projections are equal.
    pub differences: Vec<Difference>,
    /// True when the stored projections were replaced.
    pub applied: bool,
}

/// Why nothing was rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError<E> {
    /// The database could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// An entry could not be folded.
    #[error("entry `{index}` of the authorizations log: {source}")]
    Fold {
        /// Its index.
        index: u64,
        /// Why.
        source: E,
    },
}

impl<E> From<StoreError> for RebuildError<E> {
    fn from(error: StoreError) -> Self {
        Self::Open(error.into())
    }
}

impl<E> From<rusqlite::Error> for RebuildError<E> {
    fn from(error: rusqlite::Error) -> Self {
        Self::Open(error.into())
    }
}

/// Folds all entries of the authorizations log, in order, into empty projections, and compares
/// them with those stored. `fold` gets each entry's index and bytes; it sees both logs and the
/// blobs whole, and appends nothing.
///
/// # Errors
/// [`RebuildError`]; nothing has changed then.
pub fn rebuild<E: From<StoreError>>(
    path: &Path,
    apply: Apply,
    fold: &mut Fold<'_, E>,
) -> Result<RebuildReport, RebuildError<E>> {
    let _lock = match apply {
        Apply::No => None,
        Apply::Yes => Some(lock::take(path)?),
    };
    let original = connect_to_read(path)?;
    if apply == Apply::Yes {
        // Nothing is written among broken pages: the whole is rebuilt elsewhere then.
        damage::check_pages(&original)?;
    }
    // One snapshot for the copy and for the comparison, whatever a server does meanwhile.
    let snapshot = Transaction::snapshot(&original)?;
    let size = logs::head(&original, Log::Authorizations)?.size;
    let scratch = Scratch::create(path, apply)?;
    let mut copy = open_scratch(&scratch.path)?;
    Backup::new(&original, &mut copy)?.run_to_completion(1_024, Duration::ZERO, None)?;
    copy.pragma_update(None, "journal_mode", "memory")?;
    for projection in PROJECTIONS {
        projection.clear(&copy)?;
    }
    fold_all(&copy, size, fold)?;
    let mut differences = Vec::new();
    for projection in PROJECTIONS {
        differences.extend(projection.compare(&original, &copy)?);
    }
    snapshot.commit()?;
    drop(copy);
    let applied = apply == Apply::Yes && !differences.is_empty();
    if applied {
        take_over(path, &scratch.path)?;
    }
    Ok(RebuildReport {
        entries: size,
        differences,
        applied,
    })
}

fn fold_all<E: From<StoreError>>(
    copy: &Connection,
    size: u64,
    fold: &mut Fold<'_, E>,
) -> Result<(), RebuildError<E>> {
    let mut index = 0;
    while index < size {
        let transaction = Transaction::write(copy)?;
        let chunk = entries::range(copy, Log::Authorizations, index, CHUNK)?;
        if chunk.is_empty() {
            let missing = format!("entry `{index}` of the authorizations log is missing");
            return Err(StoreError::Damaged(missing).into());
        }
        for entry in chunk {
            let mut job = write::Job::folding(copy);
            let folded = fold(&mut job, index, &entry);
            let failed = job.finish(folded.is_ok()).failed.map(E::from);
            match (folded, failed) {
                (Err(source), _) | (Ok(()), Some(source)) => {
                    return Err(RebuildError::Fold { index, source });
                }
                (Ok(()), None) => index += 1,
            }
        }
        transaction.commit()?;
    }
    Ok(())
}

fn take_over(path: &Path, rebuilt: &Path) -> Result<(), StoreError> {
    let conn = open_writer(path)?;
    let rebuilt = rebuilt.to_str().ok_or_else(|| {
        StoreError::Engine("the database's path is not in UTF-8; move it first".to_owned())
    })?;
    conn.execute("ATTACH ?1 AS rebuilt", [rebuilt])?;
    let transaction = Transaction::write(&conn)?;
    for projection in PROJECTIONS {
        projection.take_over(&conn)?;
    }
    Ok(transaction.commit()?)
}

/// The working copy, which goes when this does.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Whoever applies holds the lock, so that name is free; a mere comparison gets its own.
    fn create(database: &Path, apply: Apply) -> Result<Self, OpenError> {
        let suffix = match apply {
            Apply::Yes => ".rebuild".to_owned(),
            Apply::No => format!(".compare-{}", std::process::id()),
        };
        let scratch = Self {
            path: with_suffix(database, &suffix),
        };
        scratch.remove();
        let created = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&scratch.path);
        match created {
            Ok(_) => Ok(scratch),
            // Not ours to remove.
            Err(source) => {
                let path = scratch.path.clone();
                std::mem::forget(scratch);
                Err(OpenError::File { path, source })
            }
        }
    }

    fn remove(&self) {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let path = with_suffix(&self.path, suffix);
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // The next rebuild tries again, and says what is in its way.
                Err(_) => {}
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.remove();
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
