//! What is published of the logs: checkpoints, proofs under them, tiles, bundles, whole folders.
//! Entries that are committed and not yet under a published checkpoint are not seen here.

use std::path::Path;

use crate::contract::{Log, StoreError};
use crate::history;
use crate::store::Store;
use crate::tables::entries;
use crate::tables::nodes::LogHashes;
use countersign_ledger::{
    ExportError, Exported, Hash, SignedCheckpoint, TILE_WIDTH, TileKind, TilePath, TileSource as _,
    TlogProof, VerifierKey, encode_bundle,
};

/// Entries read at a time by an export.
const CHUNK: usize = 256;

impl Store {
    /// The key that verifies a log's checkpoints.
    #[must_use]
    pub fn verifier_key(&self, log: Log) -> &VerifierKey {
        self.shared.keys.get(log)
    }

    /// The published checkpoint and its size, cosigned where a cosigner is set and answered.
    #[must_use]
    pub fn checkpoint(&self, log: Log) -> (u64, SignedCheckpoint) {
        let published = self.shared.published(log);
        (published.tree.size(), published.note.clone())
    }

    /// True where the entry is under the published checkpoint, so that it can be proven. One that is
    /// committed gets there before any job is answered that was submitted later.
    #[must_use]
    pub fn is_published(&self, log: Log, index: u64) -> bool {
        index < self.shared.published(log).tree.size()
    }

    /// The proof that an entry is in the log, under the published checkpoint. Recent ones are made
    /// from memory alone. An entry is published before the job that appended it is answered.
    ///
    /// # Errors
    /// When the entry is not published, or storage fails.
    pub fn proof(&self, log: Log, index: u64) -> Result<TlogProof, StoreError> {
        let published = self.shared.published_for(log, index);
        let hashes = history::inclusion(&self.shared, log, &published.tree, index)?;
        TlogProof::new(index, hashes, published.note.clone())
            .map_err(|error| StoreError::Engine(error.to_string()))
    }

    /// The proof that the log of `new_size` entries extends that of `old_size`.
    ///
    /// # Errors
    /// When a size is not published, they are in the wrong order, or storage fails.
    pub fn consistency(
        &self,
        log: Log,
        old_size: u64,
        new_size: u64,
    ) -> Result<Vec<Hash>, StoreError> {
        let published = self.shared.published(log);
        history::consistency(&self.shared, log, &published.tree, old_size, new_size)
    }

    /// The first `width` hashes of a tile, as its file holds them. None where the published log
    /// does not have them.
    ///
    /// # Errors
    /// When storage fails.
    pub fn tile(
        &self,
        log: Log,
        level: u8,
        index: u64,
        width: u16,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        if !self.has(log, TileKind::Hashes { level }, index, width) {
            return Ok(None);
        }
        let start = index * u64::from(TILE_WIDTH);
        let hashes = self
            .shared
            .pool
            .snapshot(|conn| LogHashes { conn, log }.hashes(level, start, width))?;
        if hashes.len() != usize::from(width) {
            return Err(missing(log, "hashes", start));
        }
        let bytes = hashes.iter().flat_map(Hash::as_bytes).copied();
        Ok(Some(bytes.collect()))
    }

    /// The first `width` entries of a bundle, as its file holds them. None where the published log
    /// does not have them.
    ///
    /// # Errors
    /// When storage fails.
    pub fn bundle(&self, log: Log, index: u64, width: u16) -> Result<Option<Vec<u8>>, StoreError> {
        if !self.has(log, TileKind::Entries, index, width) {
            return Ok(None);
        }
        let start = index * u64::from(TILE_WIDTH);
        let found: Vec<Vec<u8>> = self
            .shared
            .pool
            .snapshot(|conn| entries::range(conn, log, start, usize::from(width)))?;
        if found.len() != usize::from(width) {
            return Err(missing(log, "entries", start));
        }
        encode_bundle(&found)
            .map(Some)
            .map_err(|error| StoreError::Damaged(error.to_string()))
    }

    /// Writes the published log as a static C2SP folder, or extends the one that is there.
    ///
    /// # Errors
    /// [`ExportError`]; the folder's checkpoint is then the one it had before.
    pub fn export(&self, log: Log, folder: &Path) -> Result<Exported, ExportError<StoreError>> {
        let published = self.shared.published(log);
        let entries = Entries {
            store: self,
            log,
            next: 0,
            end: published.tree.size(),
            chunk: Vec::new().into_iter(),
        };
        countersign_ledger::export(folder, &published.note, self.verifier_key(log), entries)
    }

    fn has(&self, log: Log, kind: TileKind, index: u64, width: u16) -> bool {
        let size = self.shared.published(log).tree.size();
        TilePath::in_tree(kind, index, size).is_some_and(|tile| (1..=tile.width()).contains(&width))
    }
}

fn missing(log: Log, what: &str, start: u64) -> StoreError {
    StoreError::Damaged(format!(
        "{what} of the {} log are missing from `{start}` on",
        log.as_str()
    ))
}

/// All published entries, a chunk of them in memory.
struct Entries<'a> {
    store: &'a Store,
    log: Log,
    next: u64,
    end: u64,
    chunk: std::vec::IntoIter<Vec<u8>>,
}

impl Iterator for Entries<'_> {
    type Item = Result<Vec<u8>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.end {
            return None;
        }
        if self.chunk.as_slice().is_empty() {
            let read = self
                .store
                .read(|view| view.entries(self.log, self.next, CHUNK));
            match read {
                Ok(chunk) => self.chunk = chunk.into_iter(),
                Err(error) => return self.fail(error),
            }
        }
        match self.chunk.next() {
            Some(entry) => {
                self.next += 1;
                Some(Ok(entry))
            }
            None => self.fail(missing(self.log, "entries", self.next)),
        }
    }
}

impl Entries<'_> {
    fn fail(&mut self, error: StoreError) -> Option<Result<Vec<u8>, StoreError>> {
        self.end = self.next;
        Some(Err(error))
    }
}
