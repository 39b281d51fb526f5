//! Proofs from the tree in memory where they are recent, and from stored hashes where they are not.

use std::fmt::Display;

use crate::contract::{Log, StoreError};
use crate::remembered::Remembered;
use crate::shared::Shared;
use crate::tables::nodes::LogHashes;
use countersign_ledger::{Hash, ProveError, Tree, TreeProofError};

fn made<E: Display>(proof: Result<Vec<Hash>, E>) -> Result<Vec<Hash>, StoreError> {
    proof.map_err(|error| StoreError::Damaged(error.to_string()))
}

fn out_of_range(error: TreeProofError) -> StoreError {
    StoreError::Engine(error.to_string())
}

/// The proof that the leaf is in the tree.
pub(crate) fn inclusion(
    shared: &Shared,
    log: Log,
    tree: &Tree,
    index: u64,
) -> Result<Vec<Hash>, StoreError> {
    match tree.inclusion_proof(tree.size(), index) {
        Ok(proof) => Ok(proof),
        Err(TreeProofError::NotInMemory) => shared.pool.snapshot(|conn| {
            let source = Remembered {
                stored: LogHashes { conn, log },
                tiles: &shared.tiles,
            };
            made::<ProveError<_>>(countersign_ledger::inclusion_proof(
                &source,
                tree.size(),
                index,
            ))
        }),
        Err(error) => Err(out_of_range(error)),
    }
}

/// The proof that the log of `new_size` entries extends that of `old_size`, both within the tree.
pub(crate) fn consistency(
    shared: &Shared,
    log: Log,
    tree: &Tree,
    old_size: u64,
    new_size: u64,
) -> Result<Vec<Hash>, StoreError> {
    match tree.consistency_proof(old_size, new_size) {
        Ok(proof) => Ok(proof),
        Err(TreeProofError::NotInMemory) => shared.pool.snapshot(|conn| {
            let source = Remembered {
                stored: LogHashes { conn, log },
                tiles: &shared.tiles,
            };
            made::<ProveError<_>>(countersign_ledger::consistency_proof(
                &source, old_size, new_size,
            ))
        }),
        Err(error) => Err(out_of_range(error)),
    }
}
