//! What one job sees of the write transaction. Its savepoint is the writer's (or the rebuild's).

use std::any::Any;
use std::sync::Arc;

use rusqlite::Connection;

use crate::buffered::Buffered;
use crate::cache::DocumentCache;
use crate::contract::{
    Appended, Blob, Document, DocumentQuery, Head, Healthy, IntelRow, Log, Read, Reservation,
    ReservationQuery, StoreError, TransitionOutcome, Write,
};
use crate::per_log::PerLog;
use crate::tables::{blobs, digest, entries, intel, nodes, outcomes, reservations, trails};
use crate::view::View;
use countersign_domain::facts::Reservations;
use countersign_domain::{CveId, Digest, Environment, HostId, Timestamp};
use countersign_ledger::{ENTRY_BYTES_MAX, Tree, leaf_hash};

/// The trees as they were before a job, where it appended.
pub(crate) type Undo = PerLog<Option<Tree>>;

/// The transaction as one job sees it.
pub(crate) struct Job<'a> {
    view: View<'a>,
    /// None while projections are rebuilt: then nothing is appended.
    trees: Option<&'a mut PerLog<Tree>>,
    undo: Undo,
    documents: Buffered,
    /// None while projections are rebuilt.
    cache: Option<&'a DocumentCache>,
    failed: Option<StoreError>,
}

/// How a job ended.
pub(crate) struct Finished {
    /// How to undo its appends.
    pub(crate) undo: Undo,
    /// What it read and wrote.
    pub(crate) documents: Buffered,
    /// For which it must be undone whatever it says.
    pub(crate) failed: Option<StoreError>,
}

impl<'a> Job<'a> {
    /// A job that may append.
    pub(crate) fn new(
        conn: &'a Connection,
        trees: &'a mut PerLog<Tree>,
        cache: &'a DocumentCache,
    ) -> Self {
        Self {
            view: View { conn },
            trees: Some(trees),
            undo: Undo::default(),
            documents: Buffered::default(),
            cache: Some(cache),
            failed: None,
        }
    }

    /// A job that folds entries which are in the log already.
    pub(crate) fn folding(conn: &'a Connection) -> Self {
        Self {
            view: View { conn },
            trees: None,
            undo: Undo::default(),
            documents: Buffered::default(),
            cache: None,
            failed: None,
        }
    }

    /// Ends it: its documents are written where it shall be kept.
    pub(crate) fn finish(mut self, keep: bool) -> Finished {
        let documents = std::mem::take(&mut self.documents);
        if keep {
            // A failure is remembered, an earlier one stands.
            let _ = self.keep(|conn| documents.write(conn));
        }
        Finished {
            undo: self.undo,
            documents,
            failed: self.failed,
        }
    }

    fn unless_failed(&self) -> Result<(), StoreError> {
        match &self.failed {
            None => Ok(()),
            Some(failed) => Err(StoreError::Engine(format!(
                "an earlier write failed: {failed}"
            ))),
        }
    }

    /// INVARIANT (all or nothing): once a write failed, the job cannot succeed any more, even
    /// when its author overlooked the error.
    fn keep(
        &mut self,
        write: impl FnOnce(&Connection) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.unless_failed()?;
        match write(self.view.conn) {
            // Refused before anything was written.
            Ok(()) => Ok(()),
            Err(too_large @ StoreError::TooLarge { .. }) => Err(too_large),
            Err(error) => {
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }
}

fn head(tree: &Tree) -> Head {
    Head {
        size: tree.size(),
        root: digest(&tree.root()),
    }
}

impl Write for Job<'_> {
    fn append(&mut self, log: Log, entry: &[u8]) -> Result<Appended, StoreError> {
        if entry.len() > ENTRY_BYTES_MAX {
            return Err(StoreError::TooLarge {
                what: "log entry",
                bytes: entry.len(),
                max: ENTRY_BYTES_MAX,
            });
        }
        let Some(trees) = &mut self.trees else {
            return Err(StoreError::Engine(
                "nothing is appended while projections are rebuilt".to_owned(),
            ));
        };
        let tree = trees.get_mut(log);
        self.undo.get_mut(log).get_or_insert_with(|| tree.clone());
        let leaf = leaf_hash(entry);
        let appended = tree
            .append(leaf)
            .map_err(|error| StoreError::Engine(error.to_string()))?;
        let head = head(tree);
        self.keep(|conn| {
            entries::insert(conn, log, appended.leaf_index, &leaf, entry)?;
            appended
                .completed
                .iter()
                .try_for_each(|node| nodes::insert(conn, log, node))
        })?;
        Ok(Appended {
            index: appended.leaf_index,
            head,
        })
    }

    fn put_blob(&mut self, digest: &Digest, blob: &Blob) -> Result<(), StoreError> {
        self.keep(|conn| blobs::put(conn, digest, blob))
    }

    fn put_document(&mut self, document: &Document) -> Result<(), StoreError> {
        let Document { kind, key, .. } = document;
        self.unless_failed()?;
        self.documents.put(kind, key, Some(document.clone()));
        Ok(())
    }

    fn remove_document(&mut self, kind: &'static str, key: &str) -> Result<(), StoreError> {
        self.unless_failed()?;
        self.documents.put(kind, key, None);
        Ok(())
    }

    fn put_trail(&mut self, opened: u64, index: u64) -> Result<(), StoreError> {
        self.keep(|conn| trails::put(conn, opened, index))
    }

    fn reserve(&mut self, reservation: &Reservation) -> Result<(), StoreError> {
        self.keep(|conn| reservations::reserve(conn, reservation))
    }

    fn release(
        &mut self,
        opened: u64,
        host: Option<&HostId>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.keep(|conn| reservations::release(conn, opened, host, at))
    }

    fn unreserve(&mut self, opened: u64, host: Option<&HostId>) -> Result<(), StoreError> {
        self.keep(|conn| reservations::unreserve(conn, opened, host))
    }

    fn record_outcome(&mut self, outcome: &TransitionOutcome) -> Result<(), StoreError> {
        self.keep(|conn| outcomes::put(conn, outcome))
    }

    fn put_intel(
        &mut self,
        feed: &str,
        whole: bool,
        rows: &mut dyn Iterator<Item = IntelRow>,
    ) -> Result<(), StoreError> {
        self.keep(|conn| intel::put(conn, feed, whole, rows))
    }
}

impl Read for Job<'_> {
    fn head(&self, log: Log) -> Result<Head, StoreError> {
        match &self.trees {
            Some(trees) => Ok(head(trees.get(log))),
            None => self.view.head(log),
        }
    }

    fn entry(&self, log: Log, index: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.view.entry(log, index)
    }

    fn entries(&self, log: Log, start: u64, count: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        self.view.entries(log, start, count)
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Blob>, StoreError> {
        self.view.blob(digest)
    }

    fn document(&self, kind: &'static str, key: &str) -> Result<Option<Document>, StoreError> {
        self.documents.get(self.view.conn, self.cache, kind, key)
    }

    fn recall(&self, kind: &'static str, key: &str) -> Option<Arc<dyn Any + Send + Sync>> {
        self.documents.recall(self.cache, kind, key)
    }

    fn remember(&self, kind: &'static str, key: &str, value: Arc<dyn Any + Send + Sync>) {
        self.documents.remember(kind, key, value);
    }

    fn documents(
        &self,
        kind: &'static str,
        query: &DocumentQuery<'_>,
    ) -> Result<Vec<Document>, StoreError> {
        self.documents.query(self.view.conn, kind, query)
    }

    fn trail(&self, opened: u64) -> Result<Vec<u64>, StoreError> {
        self.view.trail(opened)
    }

    fn reservations(&self, query: &ReservationQuery<'_>) -> Result<Reservations, StoreError> {
        self.view.reservations(query)
    }

    fn failures(
        &self,
        transitions: &[String],
        since: Timestamp,
    ) -> Result<Vec<TransitionOutcome>, StoreError> {
        self.view.failures(transitions, since)
    }

    fn healthy(
        &self,
        transitions: &[String],
        environments: &[Environment],
        since: Timestamp,
    ) -> Result<Healthy, StoreError> {
        self.view.healthy(transitions, environments, since)
    }

    fn intel(&self, cves: &[CveId]) -> Result<Vec<IntelRow>, StoreError> {
        self.view.intel(cves)
    }
}
