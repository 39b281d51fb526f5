//! Proofs from the tree in memory where they are recent, and from stored hashes where they are not.

use crate::contract::{Log, StoreError};
use crate::shared::Shared;
use crate::tables::nodes::LogHashes;
use countersign_ledger::{Hash, ProveError, TileSource, Tree};

/// The stored hashes of one log, each tile read on a snapshot of its own: stored hashes never change.
struct Stored<'a> {
    shared: &'a Shared,
    log: Log,
}

impl TileSource for Stored<'_> {
    type Error = StoreError;

    fn hashes(&self, level: u8, start: u64, count: u16) -> Result<Vec<Hash>, StoreError> {
        let log = self.log;
        self.shared
            .pool
            .snapshot(|conn| LogHashes { conn, log }.hashes(level, start, count))
    }
}

fn made(proof: Result<Vec<Hash>, ProveError<StoreError>>) -> Result<Vec<Hash>, StoreError> {
    proof.map_err(|error| match error {
        ProveError::Source(error) => error,
        ProveError::OutOfRange { .. } => StoreError::Engine(error.to_string()),
        ProveError::Count { .. } | ProveError::Mathematics => {
            StoreError::Damaged(error.to_string())
        }
    })
}

/// The proof that the leaf is in the tree.
pub(crate) fn inclusion(
    shared: &Shared,
    log: Log,
    tree: &Tree,
    index: u64,
) -> Result<Vec<Hash>, StoreError> {
    let tiles = shared.tiles.get(log);
    made(tree.inclusion_proof_from(&Stored { shared, log }, tiles, tree.size(), index))
}

/// The proof that the log of `new_size` entries extends that of `old_size`, both within the tree.
pub(crate) fn consistency(
    shared: &Shared,
    log: Log,
    tree: &Tree,
    old_size: u64,
    new_size: u64,
) -> Result<Vec<Hash>, StoreError> {
    let tiles = shared.tiles.get(log);
    made(tree.consistency_proof_from(&Stored { shared, log }, tiles, old_size, new_size))
}
