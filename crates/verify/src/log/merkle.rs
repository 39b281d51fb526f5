//! Merkle tree hashes and proofs (RFC 9162, sections 2.1.1, 2.1.3.2 and 2.1.4.2, over SHA-256).
//! Only checks proofs; it never builds a tree.

use countersign_domain::Digest;
use sha2::{Digest as _, Sha256};

/// The largest tree that is looked at, in entries.
pub const TREE_SIZE_MAX: u64 = 1 << 48;
/// The most hashes in a proof: twice the depth of the largest tree is never needed.
pub const PROOF_HASHES_MAX: usize = 63;

/// Why hashes prove nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MerkleError {
    /// The entry would lie outside the tree, the old tree be larger than the new, or the tree
    /// larger than [`TREE_SIZE_MAX`].
    #[error("position `{position}` does not fit in a tree of `{size}` entries")]
    Range {
        /// Leaf index or old size.
        position: u64,
        /// The tree's size.
        size: u64,
    },
    /// The number of hashes is not the one that these sizes need.
    #[error("proof has the wrong number of hashes for its position and size")]
    Length,
    /// The hashes lead to another root.
    #[error("proof does not lead to the root; the entry or the log was altered")]
    Root,
}

/// The hash of an entry as a leaf.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(entry);
    Digest::from_bytes(hasher.finalize().into())
}

/// The root of the tree without entries.
#[must_use]
pub fn empty_root() -> Digest {
    Digest::of(b"")
}

fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update([1]);
    hasher.update(left.as_bytes());
    hasher.update(right.as_bytes());
    Digest::from_bytes(hasher.finalize().into())
}

/// Checks that `leaf` stands at `index` in the tree of `size` entries under `root`.
///
/// # Errors
/// [`MerkleError`].
pub fn verify_inclusion(
    leaf: &Digest,
    index: u64,
    size: u64,
    root: &Digest,
    proof: &[Digest],
) -> Result<(), MerkleError> {
    if index >= size || size > TREE_SIZE_MAX {
        return Err(MerkleError::Range {
            position: index,
            size,
        });
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(MerkleError::Length);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        return Err(MerkleError::Length);
    }
    if hash == *root {
        Ok(())
    } else {
        Err(MerkleError::Root)
    }
}

/// Checks that the tree of `new_size` entries under `new_root` begins with the tree of `old_size`
/// entries under `old_root`.
///
/// Every tree begins with the empty one, and every tree with itself; both want an empty proof.
///
/// # Errors
/// [`MerkleError`].
pub fn verify_consistency(
    old_size: u64,
    old_root: &Digest,
    new_size: u64,
    new_root: &Digest,
    proof: &[Digest],
) -> Result<(), MerkleError> {
    if old_size > new_size || new_size > TREE_SIZE_MAX {
        return Err(MerkleError::Range {
            position: old_size,
            size: new_size,
        });
    }
    if old_size == 0 && *old_root != empty_root() {
        return Err(MerkleError::Root);
    }
    if old_size == new_size {
        return match proof {
            [] if old_root == new_root => Ok(()),
            [] => Err(MerkleError::Root),
            _ => Err(MerkleError::Length),
        };
    }
    if old_size == 0 {
        return match proof {
            [] => Ok(()),
            _ => Err(MerkleError::Length),
        };
    }
    let (mut node, mut last) = (old_size - 1, new_size - 1);
    while node & 1 == 1 {
        (node, last) = (node >> 1, last >> 1);
    }
    // A complete old tree is itself a node of the new one, and is left out of the proof.
    let (seed, rest) = if old_size.is_power_of_two() {
        (*old_root, proof)
    } else {
        let (seed, rest) = proof.split_first().ok_or(MerkleError::Length)?;
        (*seed, rest)
    };
    let (mut old_hash, mut new_hash) = (seed, seed);
    for sibling in rest {
        if last == 0 {
            return Err(MerkleError::Length);
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        return Err(MerkleError::Length);
    }
    if old_hash == *old_root && new_hash == *new_root {
        Ok(())
    } else {
        Err(MerkleError::Root)
    }
}
