//! Merkle proofs (RFC 6962, sections 2.1.1 and 2.1.2): making them from stored hashes, and
//! checking them. Proofs of recent entries come cheaper from [`crate::Tree`].

use crate::hash::Hash;
use crate::limits::{PROOF_HASHES_MAX, TREE_SIZE_MAX};
use crate::source::{KnownNodes, SourceReader, TileSource};

/// Why a proof could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProveError<E> {
    /// The store failed.
    #[error("hashes of the log could not be read: {0}")]
    Source(E),
    /// The store answered with another number of hashes than asked for.
    #[error(
        "store gave `{found}` of `{expected}` hashes at level `{level}` from `{start}`; \
         hint: check the log with fsck"
    )]
    Count {
        /// Level of the 256-ary tree.
        level: u8,
        /// First position asked for.
        start: u64,
        /// How many were asked for.
        expected: u16,
        /// How many came.
        found: usize,
    },
    /// An index or size beyond the tree.
    #[error("`{position}` is not within a tree of size `{size}`")]
    OutOfRange {
        /// The leaf index or old size asked for.
        position: u64,
        /// The tree's size.
        size: u64,
    },
    /// The Merkle library refused, which its contract excludes.
    #[error("proof could not be computed")]
    Mathematics,
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The hashes do not lead to the root.
    #[error("proof does not lead to the stated root")]
    Invalid,
    /// More hashes than any proof has.
    #[error("proof has `{0}` hashes, at most 63 are read")]
    TooLong(usize),
    /// An index or size beyond the tree, or a tree beyond [`TREE_SIZE_MAX`].
    #[error("`{position}` is not within a tree of size `{size}`")]
    OutOfRange {
        /// The leaf index or old size.
        position: u64,
        /// The tree's size.
        size: u64,
    },
}

/// The proof that leaf `leaf_index` is in the tree of `tree_size` entries, leaf's sibling first.
/// Reads one tile a level, along the leaf's path and the tree's right edge.
///
/// # Errors
/// [`ProveError`].
pub fn inclusion_proof<S: TileSource>(
    source: &S,
    tree_size: u64,
    leaf_index: u64,
) -> Result<Vec<Hash>, ProveError<S::Error>> {
    inclusion(source, None, tree_size, leaf_index)
}

pub(crate) fn inclusion<S: TileSource>(
    source: &S,
    known: Option<KnownNodes<'_>>,
    tree_size: u64,
    leaf_index: u64,
) -> Result<Vec<Hash>, ProveError<S::Error>> {
    if leaf_index >= tree_size || tree_size > TREE_SIZE_MAX {
        return Err(ProveError::OutOfRange {
            position: leaf_index,
            size: tree_size,
        });
    }
    let reader = SourceReader::new(source, tree_size, known);
    match tlog_tiles::prove_record(tree_size, leaf_index, &reader) {
        Ok(proof) => Ok(ours(proof)),
        Err(_) => Err(reader.error()),
    }
}

/// The proof that the tree of `new_size` entries extends the one of `old_size`. Empty where
/// `old_size` is 0 or equals `new_size`.
///
/// # Errors
/// [`ProveError`].
pub fn consistency_proof<S: TileSource>(
    source: &S,
    old_size: u64,
    new_size: u64,
) -> Result<Vec<Hash>, ProveError<S::Error>> {
    consistency(source, None, old_size, new_size)
}

pub(crate) fn consistency<S: TileSource>(
    source: &S,
    known: Option<KnownNodes<'_>>,
    old_size: u64,
    new_size: u64,
) -> Result<Vec<Hash>, ProveError<S::Error>> {
    if old_size > new_size || new_size > TREE_SIZE_MAX {
        return Err(ProveError::OutOfRange {
            position: old_size,
            size: new_size,
        });
    }
    if old_size == 0 {
        return Ok(Vec::new());
    }
    let reader = SourceReader::new(source, new_size, known);
    match tlog_tiles::prove_tree(new_size, old_size, &reader) {
        Ok(proof) => Ok(ours(proof)),
        Err(_) => Err(reader.error()),
    }
}

/// Checks that the tree of `tree_size` entries with `root` has `leaf` at `leaf_index`.
///
/// # Errors
/// [`ProofError`].
pub fn verify_inclusion(
    leaf: Hash,
    leaf_index: u64,
    tree_size: u64,
    root: Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if leaf_index >= tree_size || tree_size > TREE_SIZE_MAX {
        return Err(ProofError::OutOfRange {
            position: leaf_index,
            size: tree_size,
        });
    }
    let proof = theirs(proof)?;
    tlog_tiles::check_record(&proof, tree_size, root.into(), leaf_index, leaf.into())
        .map_err(|_| ProofError::Invalid)
}

/// Checks that the tree of `new_size` entries with `new_root` has the tree of `old_size` entries
/// with `old_root` as its beginning. The empty tree is the beginning of every tree.
///
/// # Errors
/// [`ProofError`].
pub fn verify_consistency(
    old_size: u64,
    old_root: Hash,
    new_size: u64,
    new_root: Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old_size > new_size || new_size > TREE_SIZE_MAX {
        return Err(ProofError::OutOfRange {
            position: old_size,
            size: new_size,
        });
    }
    let proof = theirs(proof)?;
    if old_size == 0 {
        // The library refuses size 0, for which RFC 6962 defines no proof.
        let new_empty = new_size == 0;
        let roots_fit = old_root == Hash::EMPTY_ROOT && (!new_empty || new_root == old_root);
        return if roots_fit && proof.is_empty() {
            Ok(())
        } else {
            Err(ProofError::Invalid)
        };
    }
    tlog_tiles::check_tree(&proof, new_size, new_root.into(), old_size, old_root.into())
        .map_err(|_| ProofError::Invalid)
}

pub(crate) fn ours(proof: Vec<tlog_tiles::Hash>) -> Vec<Hash> {
    proof.into_iter().map(Into::into).collect()
}

fn theirs(proof: &[Hash]) -> Result<Vec<tlog_tiles::Hash>, ProofError> {
    if proof.len() > PROOF_HASHES_MAX {
        return Err(ProofError::TooLong(proof.len()));
    }
    Ok(proof.iter().map(|hash| (*hash).into()).collect())
}
