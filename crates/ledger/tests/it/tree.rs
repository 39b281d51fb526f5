//! The tree in memory: equal to the recursive definition at every size, restorable, bounded.

use countersign_ledger::{
    Hash, ProveError, RestoreError, TileCache, Tree, TreeProofError, leaf_hash,
};
use proptest::prelude::*;

use crate::fixture::{MemoryStore, leaf, leaves};
use crate::oracle;

/// The classic leaves of certificate transparency's reference code, and the root after each.
const KNOWN: [(&str, &str); 8] = [
    (
        "",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    ),
    (
        "00",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    ),
    (
        "10",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    ),
    (
        "2021",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (
        "3031",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    ),
    (
        "40414243",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    ),
    (
        "5051525354555657",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    ),
    (
        "606162636465666768696a6b6c6d6e6f",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ),
];

#[test]
fn known_answers_of_rfc_6962() {
    let mut tree = Tree::new();
    assert_eq!(
        tree.root().to_hex(),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    for (entry, root) in KNOWN {
        let entry_bytes = hex::decode(entry).unwrap();
        assert_eq!(leaf_hash(&entry_bytes), oracle::leaf(&entry_bytes));
        tree.append(leaf_hash(&entry_bytes)).unwrap();
        assert_eq!(tree.root().to_hex(), root, "after `{entry}`");
    }
}

#[test]
fn root_equals_the_recursive_definition_at_every_size() {
    let leaves = leaves(600);
    let mut tree = Tree::new();
    for (index, leaf) in leaves.iter().enumerate() {
        assert_eq!(tree.root(), oracle::root(&leaves[..index]));
        assert_eq!(tree.append(*leaf).unwrap().leaf_index, index as u64);
    }
    for size in 0..=600 {
        assert_eq!(
            tree.root_at(size).unwrap(),
            oracle::root(&leaves[..usize::try_from(size).unwrap()])
        );
    }
}

#[test]
fn restored_equals_original_at_every_size() {
    let mut store = MemoryStore::default();
    let mut tree = Tree::new();
    for index in 0..600 {
        let restored = Tree::restore(&store, tree.size(), tree.root()).unwrap();
        assert_eq!(restored, tree);
        store.append(&mut tree, leaf(index));
    }
}

#[test]
fn beyond_two_levels_of_tiles() {
    // 70,000 entries: 273 full leaf tiles, 17 nodes beyond the first full tile of level 1.
    let leaves: Vec<Hash> = (0..70_000_u32)
        .map(|i| leaf_hash(&i.to_be_bytes()))
        .collect();
    let (store, mut tree) = MemoryStore::with_leaves(&leaves);
    let widths: Vec<usize> = store.levels.iter().map(Vec::len).collect();
    assert_eq!(widths, [70_000, 273, 1]);
    assert_eq!(tree.root(), oracle::root(&leaves));
    assert_eq!(store.levels[2][0], oracle::root(&leaves[..65_536]));

    store.reads.set(0);
    let mut restored = Tree::restore(&store, 70_000, tree.root()).unwrap();
    assert_eq!(restored, tree);
    assert!(
        store.reads.get() <= 20,
        "restoring reads a bounded number of tiles"
    );
    for index in 70_000..70_600 {
        assert_eq!(restored.append(leaf(index)), tree.append(leaf(index)));
    }
    assert_eq!(restored, tree);
}

#[test]
fn proofs_of_any_age_are_those_of_the_store_and_are_read_once() {
    let leaves: Vec<Hash> = (0..66_000_u32)
        .map(|i| leaf_hash(&i.to_be_bytes()))
        .collect();
    let (store, tree) = MemoryStore::with_leaves(&leaves);
    let tiles = TileCache::default();
    let sizes = [1, 255, 256, 257, 5_000, 40_000, 61_000, 65_536, 65_900];
    for round in 0..2 {
        for old in sizes {
            for new in sizes.into_iter().chain([66_000]).filter(|new| *new > old) {
                let proof = tree
                    .consistency_proof_from(&store, &tiles, old, new)
                    .unwrap();
                let stored = countersign_ledger::consistency_proof(&store, old, new).unwrap();
                assert_eq!(proof, stored, "{old} {new}");
                let proof = tree.inclusion_proof_from(&store, &tiles, new, old).unwrap();
                let stored = countersign_ledger::inclusion_proof(&store, new, old).unwrap();
                assert_eq!(proof, stored, "{old} {new}");
            }
        }
        // To the newest size, with what the first round read.
        store.reads.set(0);
        for old in sizes {
            tree.consistency_proof_from(&store, &tiles, old, 66_000)
                .unwrap();
        }
        assert_eq!(store.reads.get(), 0, "round {round}");
    }
    assert_eq!(
        tree.consistency_proof_from(&store, &tiles, 5, 66_001),
        Err(ProveError::OutOfRange {
            position: 66_001,
            size: 66_000
        })
    );
    let beyond = tree.inclusion_proof_from(&store, &tiles, 66_000, 66_000);
    assert!(matches!(beyond, Err(ProveError::OutOfRange { .. })));
}

#[test]
fn recent_entries_are_proven_without_reading() {
    let leaves: Vec<Hash> = (0..66_000_u32)
        .map(|i| leaf_hash(&i.to_be_bytes()))
        .collect();
    let (store, tree) = MemoryStore::with_leaves(&leaves);
    for back in [1, 2, 255, 256, 257, 1024, 4095, 4096] {
        let index = 66_000 - back;
        for size in [index + 1, 65_537, 65_999, 66_000] {
            if index >= size {
                continue;
            }
            let proof = tree.inclusion_proof(size, index).unwrap();
            let stored = countersign_ledger::inclusion_proof(&store, size, index).unwrap();
            assert_eq!(proof, stored);
            let consistency = tree.consistency_proof(index, size).unwrap();
            let stored = countersign_ledger::consistency_proof(&store, index, size).unwrap();
            assert_eq!(consistency, stored);
        }
    }
    assert_eq!(
        tree.inclusion_proof(66_000, 5),
        Err(TreeProofError::NotInMemory)
    );
    assert_eq!(
        tree.consistency_proof(5, 66_000),
        Err(TreeProofError::NotInMemory)
    );
    assert_eq!(tree.root_at(5), Err(TreeProofError::NotInMemory));
}

#[test]
fn out_of_range_is_refused() {
    let (_, tree) = MemoryStore::with_leaves(&leaves(10));
    let refused = |position, size| TreeProofError::OutOfRange { position, size };
    assert_eq!(tree.inclusion_proof(11, 0), Err(refused(11, 10)));
    assert_eq!(tree.inclusion_proof(10, 10), Err(refused(10, 10)));
    assert_eq!(tree.inclusion_proof(0, 0), Err(refused(0, 0)));
    assert_eq!(tree.consistency_proof(7, 6), Err(refused(7, 6)));
    assert_eq!(tree.consistency_proof(3, 11), Err(refused(11, 10)));
    assert_eq!(tree.root_at(11), Err(refused(11, 10)));
    assert_eq!(tree.consistency_proof(0, 10), Ok(vec![]));
}

#[test]
fn a_copy_is_a_snapshot() {
    let (_, tree) = MemoryStore::with_leaves(&leaves(300));
    let mut copy = tree.clone();
    copy.append(leaf(300)).unwrap();
    assert_eq!(tree.size(), 300);
    assert_ne!(copy.root(), tree.root());
    assert_eq!(copy.root_at(300).unwrap(), tree.root());
}

#[test]
fn restoring_notices_a_store_that_lies() {
    let size = 700;
    let (store, tree) = MemoryStore::with_leaves(&leaves(size));
    let root = tree.root();
    for level in 0..store.levels.len() {
        for position in 0..store.levels[level].len() {
            let (mut lying, _) = MemoryStore::with_leaves(&leaves(size));
            lying.levels[level][position] = Hash::from_bytes([9; 32]);
            let refused = Tree::restore(&lying, size, root).unwrap_err();
            assert!(
                matches!(
                    refused,
                    RestoreError::Node { .. } | RestoreError::Root { .. }
                ),
                "level {level}, position {position}: {refused}"
            );
        }
    }
    assert!(matches!(
        Tree::restore(&store, size, Hash::EMPTY_ROOT),
        Err(RestoreError::Root { .. })
    ));
    assert!(matches!(
        Tree::restore(&store, size + 1, root),
        Err(RestoreError::Read(ProveError::Source(_)))
    ));
    assert!(matches!(
        Tree::restore(&store, u64::MAX, root),
        Err(RestoreError::Size(u64::MAX))
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn restored_trees_go_on_alike(size in 0_u64..3_000, more in 1_u64..600) {
        let (mut store, mut tree) = MemoryStore::with_leaves(&leaves(size));
        let mut restored = Tree::restore(&store, size, tree.root()).unwrap();
        for index in size..size + more {
            store.append(&mut tree, leaf(index));
            restored.append(leaf(index)).unwrap();
        }
        prop_assert_eq!(&restored, &tree);
        prop_assert_eq!(tree.root(), oracle::root(&leaves(size + more)));
    }
}
