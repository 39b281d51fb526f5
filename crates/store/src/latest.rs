//! `checkpoints.latest`: the newest signed checkpoint of each log in a small file beside the
//! database, so that an older copy of the database is noticed when it is opened.
//!
//! Written behind the answers, about ten times a second at most: what was signed in the last moment
//! before a crash may be missing from it, and is in the database's own log then.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::contract::Log;
use crate::error::OpenError;
use crate::locked::locked;
use crate::per_log::PerLog;
use crate::shared::Shared;
use countersign_ledger::{SIGNED_CHECKPOINT_BYTES_MAX, SignedCheckpoint};

const NAME: &str = "checkpoints.latest";
/// Least time between two writes.
const WRITE_INTERVAL: Duration = Duration::from_millis(100);
/// JSON may double the two notes by escaping.
const FILE_BYTES_MAX: u64 = 4 * SIGNED_CHECKPOINT_BYTES_MAX as u64;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Notes {
    recommendations: String,
    authorizations: String,
}

/// Where it is.
pub(crate) fn path_beside(database: &Path) -> PathBuf {
    database.with_file_name(NAME)
}

/// Reads it; none where it is missing.
pub(crate) fn read(database: &Path) -> Result<Option<PerLog<SignedCheckpoint>>, OpenError> {
    let path = path_beside(database);
    let failed = |source| OpenError::File {
        path: path.clone(),
        source,
    };
    let mut text = String::new();
    match File::open(&path) {
        Ok(file) => file.take(FILE_BYTES_MAX).read_to_string(&mut text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => Err(error),
    }
    .map_err(failed)?;
    let damaged = |why: String| OpenError::Checkpoint {
        place: path.display().to_string(),
        why,
    };
    let notes: Notes = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    PerLog::try_from_fn(|log| {
        let text = match log {
            Log::Recommendations => &notes.recommendations,
            Log::Authorizations => &notes.authorizations,
        };
        SignedCheckpoint::parse(text).map_err(|error| damaged(error.to_string()))
    })
    .map(Some)
}

/// Writes it, whole or not at all.
pub(crate) fn write(database: &Path, notes: &PerLog<SignedCheckpoint>) -> io::Result<()> {
    let path = path_beside(database);
    let text = serde_json::to_string(&Notes {
        recommendations: notes.recommendations.to_string(),
        authorizations: notes.authorizations.to_string(),
    })?;
    let temporary = path.with_extension("latest.tmp");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, &path)?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

struct Newest {
    notes: PerLog<SignedCheckpoint>,
    written: bool,
    closing: bool,
}

struct Board {
    newest: Mutex<Newest>,
    changed: Condvar,
}

/// The thread that writes the file. Dropped, it writes the last state first.
pub(crate) struct LatestFile {
    board: Arc<Board>,
    thread: Option<JoinHandle<()>>,
}

impl LatestFile {
    /// Starts with what is in the file already. Where writing fails, the store stops: it could no
    /// longer tell an older copy of itself.
    pub(crate) fn start(shared: Arc<Shared>, notes: PerLog<SignedCheckpoint>) -> io::Result<Self> {
        let board = Arc::new(Board {
            newest: Mutex::new(Newest {
                notes,
                written: true,
                closing: false,
            }),
            changed: Condvar::new(),
        });
        let of_thread = Arc::clone(&board);
        let thread = thread::Builder::new()
            .name("checkpoint-file".to_owned())
            .spawn(move || {
                if let Err(error) = of_thread.run(shared.path()) {
                    let path = path_beside(shared.path());
                    shared.stop(format!("`{}` was not written: {error}", path.display()));
                }
            })?;
        Ok(Self {
            board,
            thread: Some(thread),
        })
    }

    /// A checkpoint was signed.
    pub(crate) fn offer(&self, log: Log, signed: &SignedCheckpoint) {
        let mut newest = locked(&self.board.newest);
        *newest.notes.get_mut(log) = signed.clone();
        newest.written = false;
        drop(newest);
        self.board.changed.notify_one();
    }
}

impl Board {
    fn run(&self, database: &Path) -> io::Result<()> {
        loop {
            let newest = locked(&self.newest);
            let mut newest = self
                .changed
                .wait_while(newest, |newest| newest.written && !newest.closing)
                .unwrap_or_else(PoisonError::into_inner);
            if newest.written {
                return Ok(());
            }
            newest.written = true;
            let notes = newest.notes.clone();
            drop(newest);
            write(database, &notes)?;
            let newest = locked(&self.newest);
            let pause = self
                .changed
                .wait_timeout_while(newest, WRITE_INTERVAL, |newest| !newest.closing);
            drop(pause.unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl Drop for LatestFile {
    fn drop(&mut self) {
        locked(&self.board.newest).closing = true;
        self.board.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // It does not panic; if it did, there is nothing left to save here.
            let _ = thread.join();
        }
    }
}
