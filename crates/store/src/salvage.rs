//! A new database from what is left of the logs: entries, blobs and signed checkpoints, wherever they
//! were found. It proves nothing by itself that the checkpoints do not prove; projections are empty
//! until `rebuild` folds them.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use crate::contract::{Blob, Head, Log, StoreError};
use crate::engine::{open_reader, open_writer};
use crate::error::OpenError;
use crate::open::{create_private, restored_at};
use crate::per_log::PerLog;
use crate::schema;
use crate::tables::checkpoints::{self, Note};
use crate::tables::{blobs, digest, entries, logs, nodes};
use countersign_domain::Digest;
use countersign_ledger::{ENTRY_BYTES_MAX, SignedCheckpoint, Tree, VerifierKey, leaf_hash};

/// No row takes fewer bytes of a file.
const ROW_BYTES_MIN: u64 = 32;
/// Rows written in one transaction.
const CHUNK: u32 = 1_024;

/// A database that is being made again. Of use once [`Recovery::finish`] has returned.
pub struct Recovery {
    conn: Connection,
    keys: PerLog<VerifierKey>,
    trees: PerLog<Tree>,
    pending: u32,
}

impl Recovery {
    /// Starts with a new, empty database at `path`, for the logs of these keys.
    ///
    /// # Errors
    /// [`OpenError`]; so for all that follows.
    pub fn create(path: &Path, keys: PerLog<VerifierKey>) -> Result<Self, OpenError> {
        create_private(path)?;
        let conn = open_writer(path)?;
        schema::migrate(&conn)?;
        let empty = Tree::new();
        for log in Log::ALL {
            let key = keys.get(log);
            let head = Head {
                size: 0,
                root: digest(&empty.root()),
            };
            logs::found(&conn, log, key.origin().as_str(), &key.to_string(), &head)?;
        }
        Ok(Self {
            conn,
            keys,
            trees: PerLog {
                recommendations: Tree::new(),
                authorizations: Tree::new(),
            },
            pending: 0,
        })
    }

    /// Entries of `log` so far.
    #[must_use]
    pub fn size(&self, log: Log) -> u64 {
        self.trees.get(log).size()
    }

    /// Adds the next entry of `log`.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn append(&mut self, log: Log, entry: &[u8]) -> Result<(), OpenError> {
        if entry.len() > ENTRY_BYTES_MAX {
            return Err(StoreError::TooLarge {
                what: "log entry",
                bytes: entry.len(),
                max: ENTRY_BYTES_MAX,
            }
            .into());
        }
        self.begin()?;
        let leaf = leaf_hash(entry);
        let appended = self
            .trees
            .get_mut(log)
            .append(leaf)
            .map_err(|error| StoreError::Engine(error.to_string()))?;
        entries::insert(&self.conn, log, appended.leaf_index, &leaf, entry)?;
        for node in &appended.completed {
            nodes::insert(&self.conn, log, node)?;
        }
        self.end_chunk()
    }

    /// Keeps a blob; one that does not have its digest is refused.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn put_blob(&mut self, digest: &Digest, blob: &Blob) -> Result<(), OpenError> {
        self.begin()?;
        blobs::put(&self.conn, digest, blob)?;
        self.end_chunk()
    }

    /// Holds the entries against every one of `signed`, stores those, and makes all durable.
    ///
    /// # Errors
    /// [`OpenError::Behind`] where a checkpoint was signed for more entries than were found,
    /// [`OpenError::Forked`] where it was signed over others.
    pub fn finish(self, signed: &[(Log, SignedCheckpoint)]) -> Result<PerLog<Head>, OpenError> {
        self.begin()?;
        let heads = PerLog::try_from_fn(|log| {
            let tree = self.trees.get(log);
            let head = Head {
                size: tree.size(),
                root: digest(&tree.root()),
            };
            logs::move_head(&self.conn, log, 0, &head).map(|()| head)
        })?;
        for (log, signed) in signed {
            let checkpoint = signed
                .verify(std::slice::from_ref(self.keys.get(*log)))
                .map_err(|error| OpenError::Checkpoint {
                    place: format!("what was found of the {} log", log.as_str()),
                    why: error.to_string(),
                })?;
            let size = self.size(*log);
            if checkpoint.size() > size {
                return Err(OpenError::Behind {
                    log: *log,
                    size,
                    signed: checkpoint.size(),
                });
            }
            restored_at(&self.conn, *log, checkpoint.size(), checkpoint.root())?;
            let note = Note {
                signed: signed.clone(),
                cosigned: false,
            };
            checkpoints::put(&self.conn, *log, &note)?;
        }
        self.conn.execute_batch("COMMIT")?;
        self.conn
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(heads)
    }

    fn begin(&self) -> Result<(), StoreError> {
        if self.conn.is_autocommit() {
            self.conn.execute_batch("BEGIN IMMEDIATE")?;
        }
        Ok(())
    }

    fn end_chunk(&mut self) -> Result<(), OpenError> {
        self.pending += 1;
        if self.pending >= CHUNK {
            self.pending = 0;
            self.conn.execute_batch("COMMIT")?;
        }
        Ok(())
    }
}

/// A database that may be damaged, read row by row. Nothing that it gives is to be believed before
/// it reproduces a signed root.
pub struct Wreck {
    conn: Connection,
    rows_max: u64,
}

impl Wreck {
    /// Opens what is there; none where it cannot even be opened as a database.
    #[must_use]
    pub fn open(path: &Path) -> Option<Self> {
        let bytes = std::fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let conn = open_reader(path).ok()?;
        // The list of tables lies on the first page: without it nothing is found.
        logs::vkey(&conn, Log::Authorizations).ok()?;
        Some(Self {
            conn,
            rows_max: bytes.len() / ROW_BYTES_MIN,
        })
    }

    /// The bytes of an entry, where they can be read and have the leaf hash that is stored with them.
    #[must_use]
    pub fn entry(&self, log: Log, index: u64) -> Option<Vec<u8>> {
        let mut found = None;
        let seen = entries::visit(&self.conn, log, index, 1, |_, leaf, bytes| {
            found = (leaf_hash(bytes).as_bytes() == leaf).then(|| bytes.to_vec());
            Ok(())
        });
        seen.ok().and(found)
    }

    /// How many entries of `log` there were, by what can still be read of it: its head, or its last
    /// entry.
    #[must_use]
    pub fn size(&self, log: Log) -> u64 {
        let head = logs::head(&self.conn, log).map_or(0, |head| head.size);
        let end = entries::end(&self.conn, log).unwrap_or(0);
        // A number that no file of this length can be about is damage.
        [head, end]
            .into_iter()
            .filter(|size| *size <= self.rows_max)
            .max()
            .unwrap_or(0)
    }

    /// Shows each blob that can be read and has its digest. Gives the digests of those that were
    /// there and cannot be read, as far as the index tells.
    ///
    /// # Errors
    /// Those of `see`.
    pub fn blobs<E>(
        &self,
        see: &mut dyn FnMut(Digest, Blob) -> Result<(), E>,
    ) -> Result<Vec<Digest>, E> {
        blobs::visit_readable(&self.conn, self.rows_max, see)
    }

    /// The signed checkpoints of a log that can be read.
    #[must_use]
    pub fn checkpoints(&self, log: Log) -> Vec<SignedCheckpoint> {
        checkpoints::all(&self.conn, log)
            .unwrap_or_default()
            .iter()
            .filter_map(|(_, text)| SignedCheckpoint::parse(text).ok())
            .collect()
    }
}

/// The newest signed checkpoint of each log, from the small file beside the database at `path`; none
/// where there is no such file.
///
/// # Errors
/// When it cannot be read.
pub fn latest_beside(path: &Path) -> Result<Option<PerLog<SignedCheckpoint>>, OpenError> {
    crate::latest::read(path)
}
