//! Inclusion and consistency: equal to the recursive definitions, true ones verify, others fail.

use countersign_ledger::{
    Hash, ProofError, ProveError, TREE_SIZE_MAX, TileSource, consistency_proof, inclusion_proof,
    verify_consistency, verify_inclusion,
};
use proptest::prelude::*;

use crate::fixture::{MemoryStore, leaves};
use crate::oracle;

fn flipped(hash: Hash, bit: usize) -> Hash {
    let mut bytes = *hash.as_bytes();
    bytes[bit / 8] ^= 1 << (bit % 8);
    Hash::from_bytes(bytes)
}

/// Every way in which an inclusion proof can be a little wrong is refused.
fn check_inclusion(leaves: &[Hash], proof: &[Hash], index: usize, bit: usize) {
    let size = leaves.len() as u64;
    let (leaf, at, root) = (leaves[index], index as u64, oracle::root(leaves));
    verify_inclusion(leaf, at, size, root, proof).unwrap();
    let refused = |leaf, at, size, root, proof: &[Hash], what: &str| {
        let result = verify_inclusion(leaf, at, size, root, proof);
        assert!(
            result.is_err(),
            "{what} of leaf {index} of {} passed",
            leaves.len()
        );
    };
    refused(flipped(leaf, bit), at, size, root, proof, "flipped leaf");
    refused(leaf, at, size, flipped(root, bit), proof, "flipped root");
    refused(leaf, at + 1, size, root, proof, "next index");
    refused(
        leaf,
        at.wrapping_sub(1),
        size,
        root,
        proof,
        "previous index",
    );
    refused(leaf, at, at, root, proof, "too small a tree");
    for hash in 0..proof.len() {
        let mut altered = proof.to_vec();
        altered[hash] = flipped(altered[hash], bit);
        refused(leaf, at, size, root, &altered, "flipped proof");
    }
    let mut longer = proof.to_vec();
    longer.push(root);
    refused(leaf, at, size, root, &longer, "longer proof");
    longer.rotate_right(1);
    refused(leaf, at, size, root, &longer, "proof with a hash before it");
    if let Some((_, shorter)) = proof.split_last() {
        refused(leaf, at, size, root, shorter, "shorter proof");
    }
}

fn check_consistency(leaves: &[Hash], proof: &[Hash], old: usize, bit: usize) {
    let (size, old_size) = (leaves.len() as u64, old as u64);
    let (old_root, root) = (oracle::root(&leaves[..old]), oracle::root(leaves));
    verify_consistency(old_size, old_root, size, root, proof).unwrap();
    let refused = |old_size, old_root, size, root, proof: &[Hash], what: &str| {
        let result = verify_consistency(old_size, old_root, size, root, proof);
        assert!(
            result.is_err(),
            "{what} from {old} to {} passed",
            leaves.len()
        );
    };
    refused(
        old_size,
        flipped(old_root, bit),
        size,
        root,
        proof,
        "flipped old root",
    );
    if old > 0 {
        refused(
            old_size,
            old_root,
            size,
            flipped(root, bit),
            proof,
            "flipped new root",
        );
    }
    refused(old_size + 1, old_root, size, root, proof, "next old size");
    refused(
        old_size.wrapping_sub(1),
        old_root,
        size,
        root,
        proof,
        "previous old size",
    );
    for hash in 0..proof.len() {
        let mut altered = proof.to_vec();
        altered[hash] = flipped(altered[hash], bit);
        refused(old_size, old_root, size, root, &altered, "flipped proof");
    }
    let mut longer = proof.to_vec();
    longer.push(root);
    refused(old_size, old_root, size, root, &longer, "longer proof");
    if let Some((_, shorter)) = proof.split_last() {
        refused(old_size, old_root, size, root, shorter, "shorter proof");
    }
}

#[test]
fn every_proof_of_every_small_tree() {
    let all = leaves(70);
    let (store, _) = MemoryStore::with_leaves(&all);
    for size in 1..=all.len() {
        let leaves = &all[..size];
        for index in 0..size {
            let proof = inclusion_proof(&store, size as u64, index as u64).unwrap();
            assert_eq!(proof, oracle::inclusion(index, leaves));
            check_inclusion(leaves, &proof, index, (size * 31 + index) % 256);
        }
        for old in 1..=size {
            let proof = consistency_proof(&store, old as u64, size as u64).unwrap();
            assert_eq!(proof, oracle::consistency(old, leaves));
            check_consistency(leaves, &proof, old, (size * 31 + old) % 256);
        }
    }
}

#[test]
fn chosen_proofs_of_every_tree_to_six_hundred() {
    let all = leaves(600);
    let (store, tree) = MemoryStore::with_leaves(&all);
    for size in 71..=all.len() {
        let leaves = &all[..size];
        let root = oracle::root(leaves);
        // Both ends, the middle, both sides of a tile's edge, and one that moves with the size.
        let chosen = [
            0,
            1,
            size / 2,
            255,
            256,
            257,
            511,
            512,
            size * 37 % size.max(1),
            size - 1,
        ];
        for index in chosen.into_iter().filter(|index| *index < size) {
            let proof = inclusion_proof(&store, size as u64, index as u64).unwrap();
            assert_eq!(
                proof,
                tree.inclusion_proof(size as u64, index as u64).unwrap()
            );
            verify_inclusion(all[index], index as u64, size as u64, root, &proof).unwrap();
            let other = all[(index + 1) % size];
            assert!(verify_inclusion(other, index as u64, size as u64, root, &proof).is_err());

            let old = index + 1;
            let proof = consistency_proof(&store, old as u64, size as u64).unwrap();
            assert_eq!(
                proof,
                tree.consistency_proof(old as u64, size as u64).unwrap()
            );
            let old_root = oracle::root(&leaves[..old]);
            verify_consistency(old as u64, old_root, size as u64, root, &proof).unwrap();
            assert!(
                verify_consistency(old as u64, root, size as u64, old_root, &proof).is_err()
                    || old == size
            );
        }
    }
}

#[test]
fn across_the_edges_of_two_levels() {
    let count = 66_000_u32;
    let all: Vec<Hash> = (0..count)
        .map(|i| countersign_ledger::leaf_hash(&i.to_be_bytes()))
        .collect();
    let (store, _) = MemoryStore::with_leaves(&all);
    for size in [65_535, 65_536, 65_537, 65_793, 66_000] {
        let leaves = &all[..size];
        for index in [0, 255, 256, 32_768, 65_534, size - 1] {
            store.reads.set(0);
            let proof = inclusion_proof(&store, size as u64, index as u64).unwrap();
            assert!(store.reads.get() <= 6, "one tile a level and edge");
            check_inclusion(leaves, &proof, index, index % 256);
        }
        for old in [1, 256, 65_535, size] {
            let proof = consistency_proof(&store, old as u64, size as u64).unwrap();
            check_consistency(leaves, &proof, old, old % 256);
        }
    }
}

#[test]
fn the_empty_tree_begins_every_tree() {
    let root = oracle::root(&leaves(5));
    let empty = Hash::EMPTY_ROOT;
    verify_consistency(0, empty, 5, root, &[]).unwrap();
    verify_consistency(0, empty, 0, empty, &[]).unwrap();
    for (old_root, size, root, proof) in [
        (root, 5, root, vec![]),
        (empty, 0, root, vec![]),
        (empty, 5, root, vec![root]),
    ] {
        let result = verify_consistency(0, old_root, size, root, &proof);
        assert_eq!(result, Err(ProofError::Invalid));
    }
    let (store, _) = MemoryStore::with_leaves(&leaves(5));
    assert_eq!(consistency_proof(&store, 0, 5).unwrap(), vec![]);
}

#[test]
fn hostile_numbers_are_refused() {
    let hash = Hash::EMPTY_ROOT;
    let many = vec![hash; 64];
    assert_eq!(
        verify_inclusion(hash, 0, 2, hash, &many),
        Err(ProofError::TooLong(64))
    );
    assert_eq!(
        verify_consistency(1, hash, 2, hash, &many),
        Err(ProofError::TooLong(64))
    );
    for size in [0, TREE_SIZE_MAX + 1, u64::MAX] {
        assert!(matches!(
            verify_inclusion(hash, size.saturating_sub(1), size, hash, &[]),
            Err(ProofError::OutOfRange { .. })
        ));
    }
    for (old, new) in [(2, 1), (1, TREE_SIZE_MAX + 1), (u64::MAX, u64::MAX)] {
        assert!(matches!(
            verify_consistency(old, hash, new, hash, &[]),
            Err(ProofError::OutOfRange { .. })
        ));
    }
    // At the limit itself the mathematics holds, and the proof is merely wrong.
    assert_eq!(
        verify_inclusion(hash, TREE_SIZE_MAX - 1, TREE_SIZE_MAX, hash, &many[..48]),
        Err(ProofError::Invalid)
    );
}

struct Short;

impl TileSource for Short {
    type Error = std::convert::Infallible;

    fn hashes(&self, _: u8, _: u64, count: u16) -> Result<Vec<Hash>, Self::Error> {
        Ok(vec![Hash::EMPTY_ROOT; usize::from(count) - 1])
    }
}

#[test]
fn a_source_that_fails_or_answers_short_gives_no_proof() {
    let count = |expected, found| ProveError::Count {
        level: 0,
        start: 0,
        expected,
        found,
    };
    assert_eq!(inclusion_proof(&Short, 8, 3), Err(count(8, 7)));
    assert_eq!(consistency_proof(&Short, 3, 8), Err(count(8, 7)));
    let empty = MemoryStore::default();
    assert_eq!(
        inclusion_proof(&empty, 8, 3),
        Err(ProveError::Source("no such level".to_owned()))
    );
    assert!(matches!(
        inclusion_proof(&empty, 8, 8),
        Err(ProveError::OutOfRange { .. })
    ));
    assert!(matches!(
        consistency_proof(&empty, 9, 8),
        Err(ProveError::OutOfRange { .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn random_inclusion(size in 1_usize..2_000, pick in 0_usize..2_000, bit in 0_usize..256) {
        let leaves = leaves(size as u64);
        let (store, tree) = MemoryStore::with_leaves(&leaves);
        let index = pick % size;
        let proof = inclusion_proof(&store, size as u64, index as u64).unwrap();
        prop_assert_eq!(&proof, &oracle::inclusion(index, &leaves));
        prop_assert_eq!(&proof, &tree.inclusion_proof(size as u64, index as u64).unwrap());
        check_inclusion(&leaves, &proof, index, bit);
    }

    #[test]
    fn random_consistency(size in 1_usize..2_000, pick in 0_usize..2_000, bit in 0_usize..256) {
        let leaves = leaves(size as u64);
        let (store, tree) = MemoryStore::with_leaves(&leaves);
        let old = 1 + pick % size;
        let proof = consistency_proof(&store, old as u64, size as u64).unwrap();
        prop_assert_eq!(&proof, &oracle::consistency(old, &leaves));
        prop_assert_eq!(&proof, &tree.consistency_proof(old as u64, size as u64).unwrap());
        check_consistency(&leaves, &proof, old, bit);
    }
}
