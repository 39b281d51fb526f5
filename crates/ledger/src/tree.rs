//! A log's tree in memory while it grows: its right edge, and a little of what came just before.
//! Entries and older hashes are a store's part, reached through [`TileSource`].

use std::collections::VecDeque;
use std::sync::Arc;

use tlog_tiles::HashReader;

use crate::hash::{Hash, node_hash};
use crate::limits::{TILE_WIDTH, TREE_SIZE_MAX};
use crate::proof::{self, ProveError, ours};
use crate::source::{KnownNodes, TileSource, read_tile};
use crate::tile::{NodePlace, TILE_HEIGHT, Tile, level_width};
use crate::tile_cache::TileCache;

/// Full leaf tiles kept: proofs of the last 4,096 entries and more need no store.
const LEAF_TILES_KEPT: usize = 16;
/// Full tiles kept at each level above, where 4,096 entries touch at most one older tile.
const UPPER_TILES_KEPT: usize = 1;

/// 2^48 entries are 256^6: leaf hashes and six levels above.
const LEVELS_MAX: u8 = 7;

/// The append state of one log. Memory is bounded whatever the size (about 300 KiB for the leaf
/// level, 32 KiB for each above); cloning is cheap, because full tiles are shared, so that a
/// batch can be tried on a copy, and proofs made from a snapshot on another thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    levels: Vec<Level>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Level {
    /// The newest full tiles, oldest first; they end where `current` begins.
    full: VecDeque<Arc<Tile>>,
    /// The rightmost tile, never full.
    current: Tile,
}

/// What an append did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The entry's position in the log, from 0.
    pub leaf_index: u64,
    /// The nodes that became complete, lowest first: none in 255 of 256 appends.
    /// A store persists each, beside the leaf hash, for [`TileSource`] to give back.
    pub completed: Vec<CompletedNode>,
}

/// The root of 256 complete hashes of the level below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletedNode {
    /// Level of the 256-ary tree, at least 1.
    pub level: u8,
    /// Position within the level, from 0.
    pub index: u64,
    /// The node.
    pub hash: Hash,
}

/// The log has [`TREE_SIZE_MAX`] entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("log is full at 2^48 entries; hint: found a new log with a new origin")]
pub struct LogFull;

/// Why the tree in memory gave no proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreeProofError {
    /// An index or size beyond the tree.
    #[error("`{position}` is not within a tree of size `{size}`")]
    OutOfRange {
        /// The leaf index or size asked for.
        position: u64,
        /// The size of the tree it would have to be in.
        size: u64,
    },
    /// The proof needs hashes that are in the store only.
    #[error("proof reaches back beyond what is in memory; hint: make it from the store")]
    NotInMemory,
}

/// Why a stored tree was not restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError<E> {
    /// Stored hashes could not be read.
    #[error("stored tree could not be read: {0}")]
    Read(#[from] ProveError<E>),
    /// A stored node is not the root of the stored hashes below it.
    #[error("stored node `{index}` of level `{level}` does not match the level below it")]
    Node {
        /// Level of the node.
        level: u8,
        /// Position within the level.
        index: u64,
    },
    /// The stored hashes give another root than expected.
    #[error("stored hashes give root `{found}`, expected `{expected}` at size `{size}`")]
    Root {
        /// The size restored.
        size: u64,
        /// The root that the caller relies on.
        expected: Hash,
        /// The root of what is stored.
        found: Hash,
    },
    /// More than [`TREE_SIZE_MAX`] entries.
    #[error("stored size `{0}` exceeds 2^48 entries")]
    Size(u64),
}

impl Tree {
    /// The tree of a log without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of entries.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The Merkle root, in at most one hash for each bit of the size.
    #[must_use]
    pub fn root(&self) -> Hash {
        let unpaired = self
            .levels
            .iter()
            .flat_map(|level| level.current.unpaired());
        unpaired
            .reduce(|right, left| node_hash(left, right))
            .unwrap_or(Hash::EMPTY_ROOT)
    }

    /// Adds an entry by its [`crate::leaf_hash`].
    ///
    /// # Errors
    /// [`LogFull`].
    pub fn append(&mut self, leaf: Hash) -> Result<Appended, LogFull> {
        if self.size >= TREE_SIZE_MAX {
            return Err(LogFull);
        }
        let leaf_index = self.size;
        let mut completed = Vec::new();
        let mut carried = leaf;
        // Each round fills a tile of one level more.
        for level in 0..LEVELS_MAX {
            if self.levels.len() == usize::from(level) {
                self.levels.push(Level::default());
            }
            let Some(root) = self.push(level, carried) else {
                break;
            };
            completed.push(CompletedNode {
                level: level + 1,
                index: level_width(leaf_index, level + 1),
                hash: root,
            });
            carried = root;
        }
        self.size += 1;
        Ok(Appended {
            leaf_index,
            completed,
        })
    }

    fn push(&mut self, level: u8, hash: Hash) -> Option<Hash> {
        let row = self.levels.get_mut(usize::from(level))?;
        let root = row.current.push(hash)?;
        row.full
            .push_back(Arc::new(std::mem::take(&mut row.current)));
        if row.full.len() > full_tiles_kept(level) {
            row.full.pop_front();
        }
        Some(root)
    }

    /// The root when the log had `size` entries.
    ///
    /// # Errors
    /// [`TreeProofError`], among them [`TreeProofError::NotInMemory`] for sizes long past.
    pub fn root_at(&self, size: u64) -> Result<Hash, TreeProofError> {
        within(size, self.size)?;
        tlog_tiles::tree_hash(size, &InMemory(self))
            .map(Into::into)
            .map_err(|_| TreeProofError::NotInMemory)
    }

    /// The proof that leaf `leaf_index` is in the tree as it was at `tree_size` entries, from
    /// memory alone. Works for both among the last 4,096 entries, and beyond by luck.
    ///
    /// # Errors
    /// [`TreeProofError`]; on [`TreeProofError::NotInMemory`], use [`Tree::inclusion_proof_from`].
    pub fn inclusion_proof(
        &self,
        tree_size: u64,
        leaf_index: u64,
    ) -> Result<Vec<Hash>, TreeProofError> {
        within(tree_size, self.size)?;
        if leaf_index >= tree_size {
            return Err(TreeProofError::OutOfRange {
                position: leaf_index,
                size: tree_size,
            });
        }
        tlog_tiles::prove_record(tree_size, leaf_index, &InMemory(self))
            .map(ours)
            .map_err(|_| TreeProofError::NotInMemory)
    }

    /// The proof that the tree at `new_size` extends the tree at `old_size`, from memory alone.
    ///
    /// # Errors
    /// [`TreeProofError`]; on [`TreeProofError::NotInMemory`], use [`Tree::consistency_proof_from`].
    pub fn consistency_proof(
        &self,
        old_size: u64,
        new_size: u64,
    ) -> Result<Vec<Hash>, TreeProofError> {
        within(new_size, self.size)?;
        within(old_size, new_size)?;
        if old_size == 0 {
            return Ok(Vec::new());
        }
        tlog_tiles::prove_tree(new_size, old_size, &InMemory(self))
            .map(ours)
            .map_err(|_| TreeProofError::NotInMemory)
    }

    /// As [`Tree::inclusion_proof`], of any age: what is not in memory comes from `tiles`, and what
    /// is not there either is read from `source`.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn inclusion_proof_from<S: TileSource>(
        &self,
        source: &S,
        tiles: &TileCache,
        tree_size: u64,
        leaf_index: u64,
    ) -> Result<Vec<Hash>, ProveError<S::Error>> {
        self.has(tree_size)?;
        proof::inclusion(source, Some(self.known(tiles)), tree_size, leaf_index)
    }

    /// As [`Tree::consistency_proof`], of any age.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn consistency_proof_from<S: TileSource>(
        &self,
        source: &S,
        tiles: &TileCache,
        old_size: u64,
        new_size: u64,
    ) -> Result<Vec<Hash>, ProveError<S::Error>> {
        self.has(new_size)?;
        proof::consistency(source, Some(self.known(tiles)), old_size, new_size)
    }

    fn has<E>(&self, size: u64) -> Result<(), ProveError<E>> {
        if size > self.size {
            return Err(ProveError::OutOfRange {
                position: size,
                size: self.size,
            });
        }
        Ok(())
    }

    const fn known<'a>(&'a self, tiles: &'a TileCache) -> KnownNodes<'a> {
        KnownNodes { tree: self, tiles }
    }

    /// A complete node, where it is in memory.
    pub(crate) fn node(&self, place: NodePlace) -> Option<Hash> {
        self.tile(place.tile_level, place.tile_index)?
            .node(place.height, place.offset)
    }

    /// Restores the tree of `size` entries, and checks that what it read gives `root` and that
    /// the tiles it keeps match the nodes above them. Reads about 20 tiles.
    ///
    /// # Errors
    /// [`RestoreError`]: a log whose store fails this must not be appended to.
    pub fn restore<S: TileSource>(
        source: &S,
        size: u64,
        root: Hash,
    ) -> Result<Self, RestoreError<S::Error>> {
        if size > TREE_SIZE_MAX {
            return Err(RestoreError::Size(size));
        }
        let mut tree = Self {
            size,
            levels: Vec::new(),
        };
        let mut roots = Vec::new();
        let levels = (0..LEVELS_MAX).take_while(|level| level_width(size, *level) > 0);
        for level in levels {
            let current = level_width(size, level) / u64::from(TILE_WIDTH);
            let kept = full_tiles_kept(level) as u64;
            let mut row = Level::default();
            for index in current.saturating_sub(kept)..current {
                let (tile, root) = Tile::from_hashes(&read_tile(source, size, level, index)?);
                row.full.push_back(Arc::new(tile));
                roots.push((level + 1, index, root));
            }
            row.current = Tile::from_hashes(&read_tile(source, size, level, current)?).0;
            tree.levels.push(row);
        }
        for (level, index, root) in roots {
            if root.is_none() || tree.stored(level, index) != root {
                return Err(RestoreError::Node { level, index });
            }
        }
        let found = tree.root();
        if found != root {
            return Err(RestoreError::Root {
                size,
                expected: root,
                found,
            });
        }
        Ok(tree)
    }

    /// The hash at a position of a level of the 256-ary tree.
    fn stored(&self, level: u8, index: u64) -> Option<Hash> {
        let width = u64::from(TILE_WIDTH);
        self.tile(level, index / width)?
            .node(0, (index % width) as usize)
    }

    fn tile(&self, level: u8, index: u64) -> Option<&Tile> {
        let row = self.levels.get(usize::from(level))?;
        let current = level_width(self.size, level) >> TILE_HEIGHT;
        let back = usize::try_from(current.checked_sub(index)?).ok()?;
        match back {
            0 => Some(&row.current),
            _ => row
                .full
                .get(row.full.len().checked_sub(back)?)
                .map(AsRef::as_ref),
        }
    }
}

fn full_tiles_kept(level: u8) -> usize {
    match level {
        0 => LEAF_TILES_KEPT,
        _ => UPPER_TILES_KEPT,
    }
}

fn within(position: u64, size: u64) -> Result<(), TreeProofError> {
    if position > size {
        return Err(TreeProofError::OutOfRange { position, size });
    }
    Ok(())
}

/// Answers the Merkle library from memory, without a single hash of its own.
struct InMemory<'a>(&'a Tree);

impl HashReader for InMemory<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        let read = |index: &u64| {
            let node = self.0.node(NodePlace::of_stored_index(*index))?;
            Some(node.into())
        };
        let hashes: Option<Vec<_>> = indexes.iter().map(read).collect();
        hashes.ok_or(tlog_tiles::Error::IndexesNotInTree)
    }
}
