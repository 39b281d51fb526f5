//! Keys, entries and a store in memory that the other modules share.

use std::cell::Cell;

use countersign_ledger::{
    Checkpoint, Hash, LogSigner, Origin, SignedCheckpoint, TileSource, Tree, leaf_hash,
};

pub fn origin(name: &str) -> Origin {
    Origin::new(name).unwrap()
}

pub fn log() -> LogSigner {
    LogSigner::from_seed(origin("example.org/authorizations"), &[1; 32]).unwrap()
}

pub fn entry(index: u64) -> Vec<u8> {
    // Lengths vary, the empty entry among them.
    let length = usize::try_from(index % 7).unwrap();
    let mut entry = format!("{index}:").into_bytes();
    entry.resize(if index == 3 { 0 } else { entry.len() + length }, b'x');
    entry
}

pub fn leaf(index: u64) -> Hash {
    leaf_hash(&entry(index))
}

pub fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(leaf).collect()
}

pub fn tree(count: u64) -> Tree {
    let mut tree = Tree::new();
    for index in 0..count {
        tree.append(leaf(index)).unwrap();
    }
    tree
}

pub fn checkpoint(tree: &Tree) -> Checkpoint {
    Checkpoint::new(log().origin().clone(), tree.size(), tree.root()).unwrap()
}

pub fn signed(tree: &Tree) -> SignedCheckpoint {
    log().sign(&checkpoint(tree)).unwrap()
}

/// Keeps what a store would: leaf hashes, and each node that an append completed.
#[derive(Default)]
pub struct MemoryStore {
    pub levels: Vec<Vec<Hash>>,
    pub reads: Cell<usize>,
}

impl MemoryStore {
    /// Appends to the tree and to the store together.
    pub fn append(&mut self, tree: &mut Tree, leaf: Hash) {
        let appended = tree.append(leaf).unwrap();
        self.put(0, appended.leaf_index, leaf);
        for node in appended.completed {
            self.put(node.level, node.index, node.hash);
        }
    }

    fn put(&mut self, level: u8, index: u64, hash: Hash) {
        let level = usize::from(level);
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, Vec::new);
        }
        let row = &mut self.levels[level];
        assert_eq!(
            row.len(),
            usize::try_from(index).unwrap(),
            "reported in order, once each"
        );
        row.push(hash);
    }

    pub fn with_leaves(leaves: &[Hash]) -> (Self, Tree) {
        let mut store = Self::default();
        let mut tree = Tree::new();
        for leaf in leaves {
            store.append(&mut tree, *leaf);
        }
        (store, tree)
    }
}

impl TileSource for MemoryStore {
    type Error = String;

    fn hashes(&self, level: u8, start: u64, count: u16) -> Result<Vec<Hash>, String> {
        self.reads.set(self.reads.get() + 1);
        assert!(
            count <= 256 && start % 256 + u64::from(count) <= 256,
            "within one tile"
        );
        let start = usize::try_from(start).unwrap();
        let row = self.levels.get(usize::from(level)).ok_or("no such level")?;
        let hashes = row.get(start..start + usize::from(count));
        Ok(hashes.ok_or("asked for hashes that do not exist")?.to_vec())
    }
}
