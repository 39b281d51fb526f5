//! Merkle proofs of every small size, against trees built from the RFC's definitions.

use crate::support::{Log, mth, path};
use countersign_domain::Digest;
use countersign_verify::log::{
    MerkleError, TREE_SIZE_MAX, empty_root, leaf_hash, verify_consistency, verify_inclusion,
};

const SIZE_MAX: usize = 40;

fn log() -> Log {
    Log((0..SIZE_MAX)
        .map(|n| format!("entry {n}").into_bytes())
        .collect())
}

fn altered(hash: &Digest) -> Digest {
    let mut bytes = *hash.as_bytes();
    bytes[7] ^= 0x10;
    Digest::from_bytes(bytes)
}

/// Every way of changing one hash, dropping one, or adding one.
fn spoiled(proof: &[Digest]) -> Vec<Vec<Digest>> {
    let mut all = Vec::new();
    for at in 0..proof.len() {
        let mut changed = proof.to_vec();
        changed[at] = altered(&proof[at]);
        all.push(changed);
        let mut shorter = proof.to_vec();
        shorter.remove(at);
        all.push(shorter);
    }
    for at in 0..=proof.len() {
        let mut longer = proof.to_vec();
        longer.insert(at, leaf_hash(b"more"));
        all.push(longer);
    }
    all
}

#[test]
fn inclusion_holds_exactly_for_the_right_leaf_index_size_and_hashes() {
    let log = log();
    for size in 1..=SIZE_MAX {
        let root = mth(&log.0[..size]);
        for index in 0..size {
            let leaf = leaf_hash(&log.0[index]);
            let proof = path(index, &log.0[..size]);
            let check =
                |leaf: &Digest, index: usize, size: usize, root: &Digest, proof: &[Digest]| {
                    verify_inclusion(leaf, index as u64, size as u64, root, proof)
                };
            assert_eq!(
                check(&leaf, index, size, &root, &proof),
                Ok(()),
                "{index} of {size}"
            );
            assert!(check(&altered(&leaf), index, size, &root, &proof).is_err());
            assert!(check(&leaf, index, size, &altered(&root), &proof).is_err());
            for other in (0..size).filter(|other| *other != index) {
                assert!(
                    check(&leaf, other, size, &root, &proof).is_err(),
                    "{index} as {other} of {size}"
                );
            }
            for wrong in spoiled(&proof) {
                assert!(
                    check(&leaf, index, size, &root, &wrong).is_err(),
                    "{index} of {size}"
                );
            }
        }
    }
}

#[test]
fn consistency_holds_exactly_for_the_right_sizes_and_hashes() {
    let log = log();
    for new in 0..=SIZE_MAX {
        for old in 0..=new {
            let (old_root, new_root) = (log.root_at(old), log.root_at(new));
            let proof = log.consistency(old, new);
            let check = |old: usize, old_root: &Digest, new_root: &Digest, proof: &[Digest]| {
                verify_consistency(old as u64, old_root, new as u64, new_root, proof)
            };
            assert_eq!(
                check(old, &old_root, &new_root, &proof),
                Ok(()),
                "{old} in {new}"
            );
            assert!(
                check(old, &altered(&old_root), &new_root, &proof).is_err(),
                "{old} in {new}"
            );
            if old > 0 {
                // Nothing is known of the new root when the old tree was empty.
                assert!(
                    check(old, &old_root, &altered(&new_root), &proof).is_err(),
                    "{old} in {new}"
                );
            }
            for wrong in spoiled(&proof) {
                assert!(
                    check(old, &old_root, &new_root, &wrong).is_err(),
                    "{old} in {new}"
                );
            }
        }
    }
}

#[test]
fn the_empty_tree_wants_an_empty_proof() {
    let root = leaf_hash(b"a");
    assert_eq!(verify_consistency(0, &empty_root(), 1, &root, &[]), Ok(()));
    assert_eq!(
        verify_consistency(0, &empty_root(), 1, &root, &[root]),
        Err(MerkleError::Length)
    );
    assert_eq!(
        verify_consistency(0, &root, 1, &root, &[]),
        Err(MerkleError::Root)
    );
}

#[test]
fn sizes_beyond_all_reason_are_refused() {
    let hash = leaf_hash(b"a");
    for size in [0, TREE_SIZE_MAX + 1, u64::MAX] {
        assert!(matches!(
            verify_inclusion(&hash, 0, size, &hash, &[]),
            Err(MerkleError::Range { .. })
        ));
    }
    assert!(verify_consistency(2, &hash, 1, &hash, &[]).is_err());
    assert!(verify_consistency(1, &hash, u64::MAX, &hash, &[]).is_err());
    assert!(verify_inclusion(&hash, u64::MAX, u64::MAX, &hash, &[hash; 64]).is_err());
}
