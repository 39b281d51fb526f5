//! Turns a stream of leaf hashes into the tiles of the tree over them, in bounded memory.
//! Writing them is in `export`, comparing them in `fsck`.

use crate::hash::Hash;
use crate::limits::TILE_WIDTH;
use crate::path::{TileKind, TilePath};
use crate::tree::{CompletedNode, LogFull, Tree};

/// The tree so far, and the hashes of each level that are not yet in a finished tile.
#[derive(Default)]
pub(crate) struct TileStream {
    tree: Tree,
    unfinished: Vec<Vec<Hash>>,
}

/// A tile of hashes that is complete, or partial at the end of the stream.
pub(crate) struct FinishedTile {
    pub(crate) path: TilePath,
    pub(crate) hashes: Vec<Hash>,
}

impl FinishedTile {
    /// The content of the tile's file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.hashes
            .iter()
            .flat_map(Hash::as_bytes)
            .copied()
            .collect()
    }
}

impl TileStream {
    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Adds a leaf; gives back the tiles that it filled, lowest level first.
    pub(crate) fn push(&mut self, leaf: Hash) -> Result<Vec<FinishedTile>, LogFull> {
        let appended = self.tree.append(leaf)?;
        let bottom = CompletedNode {
            level: 0,
            index: appended.leaf_index,
            hash: leaf,
        };
        let mut finished = Vec::new();
        for node in std::iter::once(bottom).chain(appended.completed) {
            let level = usize::from(node.level);
            if self.unfinished.len() <= level {
                self.unfinished.resize_with(level + 1, Vec::new);
            }
            let Some(row) = self.unfinished.get_mut(level) else {
                continue;
            };
            row.push(node.hash);
            if row.len() == usize::from(TILE_WIDTH) {
                let hashes = std::mem::take(row);
                finished.extend(self.tile(node.level, node.index / 256, hashes));
            }
        }
        Ok(finished)
    }

    /// The partial tiles at the right edge, lowest level first, and the tree.
    pub(crate) fn finish(mut self) -> (Tree, Vec<FinishedTile>) {
        let rows = std::mem::take(&mut self.unfinished);
        let partial = (0_u8..)
            .zip(rows)
            .filter(|(_, hashes)| !hashes.is_empty())
            .filter_map(|(level, hashes)| {
                let index = crate::tile::level_width(self.tree.size(), level) / 256;
                self.tile(level, index, hashes)
            })
            .collect();
        (self.tree, partial)
    }

    fn tile(&self, level: u8, index: u64, hashes: Vec<Hash>) -> Option<FinishedTile> {
        let path = TilePath::in_tree(TileKind::Hashes { level }, index, self.tree.size())?;
        Some(FinishedTile { path, hashes })
    }
}
