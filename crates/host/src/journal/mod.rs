//! The host's journal: intent before effect, each transition spent once, every end recorded. One
//! append-only file of framed, chained, fsynced JSON lines; nothing in it is ever rewritten.
//!
//! A line is `LENGTH DIGEST JSON`, the digest over the digest of the line before and the JSON. A last
//! line that is cut off was never acted on, because acting waits for the fsync: it is removed and
//! that is recorded. Any other damage stops this host until somebody has looked (invariant 2).

mod frame;
mod record;
mod state;

pub use record::{Phase, Record, Runner};
pub use state::{Execution, Intended, Settlement, State, StateError};

use crate::durable;
use countersign_domain::{Digest, Timestamp};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The largest journal that is read, in bytes.
pub const JOURNAL_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Kept free for the ends of what is open: no intent is taken beyond it, in bytes.
const RESERVE_BYTES: u64 = 16 * 1024 * 1024;

/// Why the journal cannot be used. Nothing is done without one.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Reading, writing or locking failed.
    #[error("journal `{path}`: {source}; nothing is done without a journal", path = .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another executor holds it.
    #[error("journal `{}` is held by another countersign-host; let that one finish", .0.display())]
    Held(PathBuf),
    /// Altered, or damaged in the middle.
    #[error("journal `{path}` is damaged at byte {at}: {problem}; this host does nothing until somebody has looked: keep the file; once it is moved away a new one begins, and this host settles whatever it no longer knows as `unknown`, for a human to reconcile", path = .path.display())]
    Damaged {
        /// Where.
        path: PathBuf,
        /// The offset of the line.
        at: u64,
        /// What is wrong.
        problem: String,
    },
    /// It takes no more intents.
    #[error("journal `{}` is nearly full, so nothing is started any more; hint: when `countersign-host status` shows nothing open, stop this host, archive the file elsewhere and start again", .0.display())]
    Full(PathBuf),
    /// The record may not follow what stands there.
    #[error(transparent)]
    State(#[from] StateError),
    /// An earlier write failed.
    #[error("journal `{}` could not be written before; start again", .0.display())]
    Poisoned(PathBuf),
}

/// The journal, held for writing by this process alone.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    // Held for its lock; another file than the journal, so that readers need none.
    _lock: File,
    length: u64,
    chain: Digest,
    state: State,
    poisoned: bool,
}

/// Where the journal of `state_dir` lies.
#[must_use]
pub fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("journal").join("journal.log")
}

/// Reads the journal as it stands, without holding it: for the hook and for `status`.
///
/// # Errors
/// When it is damaged elsewhere than at its very end, or cannot be read.
pub fn read(state_dir: &Path) -> Result<State, JournalError> {
    Ok(replay(&path(state_dir))?.state)
}

struct Replayed {
    state: State,
    /// Bytes of whole lines.
    length: u64,
    /// Bytes of a cut-off last line.
    torn: u64,
    chain: Digest,
}

fn replay(path: &Path) -> Result<Replayed, JournalError> {
    let bytes = match durable::read_bounded(path, JOURNAL_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(source) => {
            return Err(JournalError::Io {
                path: path.to_owned(),
                source,
            });
        }
    };
    let mut replayed = Replayed {
        state: State::default(),
        length: 0,
        torn: 0,
        chain: frame::START,
    };
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let damaged = |problem: String| JournalError::Damaged {
            path: path.to_owned(),
            at: replayed.length,
            problem,
        };
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            replayed.torn = rest.len() as u64;
            break;
        };
        let (line, after) = rest.split_at(end + 1);
        let (json, chain) = frame::read(line, &replayed.chain).map_err(|p| damaged(p.into()))?;
        let record: Record =
            serde_json::from_slice(json).map_err(|error| damaged(error.to_string()))?;
        replayed
            .state
            .take(record)
            .map_err(|error| damaged(error.to_string()))?;
        replayed.length += line.len() as u64;
        replayed.chain = chain;
        rest = after;
    }
    Ok(replayed)
}

impl Journal {
    /// Opens the journal of `state_dir` for writing, replays it, and removes a cut-off last line.
    ///
    /// # Errors
    /// When another process holds it, or it is damaged.
    pub fn open(state_dir: &Path, now: Timestamp) -> Result<Self, JournalError> {
        let path = path(state_dir);
        let io = |source| JournalError::Io {
            path: path.clone(),
            source,
        };
        let folder = path.parent().unwrap_or(state_dir);
        durable::folder(folder).map_err(io)?;
        let lock = private(&folder.join("lock")).map_err(io)?;
        match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(JournalError::Held(path)),
            Err(error) => return Err(io(error.into())),
        }
        let replayed = replay(&path)?;
        let file = private(&path).map_err(io)?;
        if replayed.torn > 0 {
            file.set_len(replayed.length).map_err(io)?;
            file.sync_all().map_err(io)?;
        }
        durable::sync_folder(folder).map_err(io)?;
        let mut journal = Self {
            path,
            file,
            _lock: lock,
            length: replayed.length,
            chain: replayed.chain,
            state: replayed.state,
            poisoned: false,
        };
        if replayed.torn > 0 {
            let bytes = replayed.torn;
            journal.append(Record::TornTailRemoved { at: now, bytes })?;
        }
        Ok(journal)
    }

    /// What stands in it.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// True when it still takes an intent.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.length <= JOURNAL_BYTES_MAX - RESERVE_BYTES
    }

    /// Appends a record and waits until it is durable.
    ///
    /// # Errors
    /// When it may not follow what stands there (nothing is written then), or cannot be made
    /// durable (nothing may be done then; the journal takes no more).
    pub fn append(&mut self, record: Record) -> Result<(), JournalError> {
        if self.poisoned {
            return Err(JournalError::Poisoned(self.path.clone()));
        }
        self.state.admits(&record)?;
        if matches!(record, Record::Intent { .. }) && !self.has_room() {
            return Err(JournalError::Full(self.path.clone()));
        }
        let io = |source| JournalError::Io {
            path: self.path.clone(),
            source,
        };
        let json = serde_json::to_vec(&record).map_err(|error| io(error.into()))?;
        let (line, chain) = frame::write(&json, &self.chain).map_err(io)?;
        let written = self
            .file
            .write_all(&line)
            .and_then(|()| self.file.sync_all());
        if let Err(source) = written {
            self.poisoned = true;
            // Best effort: what is left of it is a cut-off last line.
            let _ = self.file.set_len(self.length);
            return Err(io(source));
        }
        self.length += line.len() as u64;
        self.chain = chain;
        self.state.take(record)?;
        Ok(())
    }
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .read(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests;
