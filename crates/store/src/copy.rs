//! A whole copy of the database at one moment, taken beside a running server, and what others have
//! seen of the logs held against it. What a backup holds besides is the caller's.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rusqlite::backup::{Backup, StepResult};

use crate::contract::{Blob, Log, StoreError};
use crate::engine::{Transaction, open_scratch};
use crate::error::OpenError;
use crate::open::{connect_to_read, restored_at};
use crate::store::Store;
use crate::tables::{blobs, digest, hash};
use countersign_domain::Digest;
use countersign_ledger::SignedCheckpoint;

/// Pages that are copied at a time.
const PAGES_A_STEP: i32 = 1_024;

/// Copies the database at `from` to the new file `to`, as it is at one moment, and makes the copy
/// durable. May run beside a server. `progress` is told the pages that are done, and all of them.
///
/// # Errors
/// [`OpenError`]; what there is of `to` is then no database to rely on.
pub fn copy(from: &Path, to: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<(), OpenError> {
    let failed = OpenError::file(to);
    let original = connect_to_read(from)?;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(&failed)?;
    // One snapshot for all pages: commits meanwhile do not start it again.
    let snapshot = Transaction::snapshot(&original)?;
    let mut target = open_scratch(to)?;
    let backup = Backup::new(&original, &mut target)?;
    loop {
        let step = backup.step(PAGES_A_STEP)?;
        let at = backup.progress();
        let all = u64::try_from(at.pagecount).unwrap_or(0);
        let left = u64::try_from(at.remaining).unwrap_or(0);
        progress(all.saturating_sub(left), all);
        match step {
            StepResult::Done => break,
            StepResult::More => {}
            // A snapshot is held on one side, and nobody else has the other.
            _ => {
                return Err(StoreError::Engine(
                    "the database was locked while it was copied".into(),
                )
                .into());
            }
        }
    }
    drop(backup);
    snapshot.commit()?;
    // One file, which readers leave as it is; the server sets its own mode when it opens it.
    target.pragma_update(None, "journal_mode", "delete")?;
    target
        .close()
        .map_err(|(_, error)| StoreError::from(error))?;
    File::open(to)
        .and_then(|file| file.sync_all())
        .map_err(failed)
}

impl Store {
    /// Whether the published log contains what this checkpoint was signed over.
    ///
    /// # Errors
    /// [`OpenError::Behind`] where the log has fewer entries, [`OpenError::Forked`] where it has
    /// others, [`OpenError::Checkpoint`] where the log's key did not sign it.
    pub fn contains(&self, log: Log, signed: &SignedCheckpoint) -> Result<(), OpenError> {
        let checkpoint = signed
            .verify(std::slice::from_ref(self.verifier_key(log)))
            .map_err(|error| OpenError::Checkpoint {
                place: format!("the {} checkpoint handed in", log.as_str()),
                why: error.to_string(),
            })?;
        self.contains_root(log, checkpoint.size(), &digest(&checkpoint.root()))
    }

    /// Whether the published log had this root at this size.
    ///
    /// # Errors
    /// [`OpenError::Behind`] where it has fewer entries, [`OpenError::Forked`] where it has others.
    pub fn contains_root(&self, log: Log, signed: u64, root: &Digest) -> Result<(), OpenError> {
        let size = self.checkpoint(log).0;
        if signed > size {
            return Err(OpenError::Behind { log, size, signed });
        }
        self.shared
            .pool
            .snapshot(|conn| restored_at(conn, log, signed, hash(root)).map(drop))
    }

    /// Shows every blob with its digest.
    ///
    /// # Errors
    /// Those of `see`, or the store's.
    pub fn blobs<E: From<StoreError>>(
        &self,
        see: &mut dyn FnMut(Digest, Blob) -> Result<(), E>,
    ) -> Result<(), E> {
        self.shared.pool.snapshot(|conn| blobs::visit(conn, see))
    }
}
