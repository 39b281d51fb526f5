//! One tile in memory: up to 256 hashes and every complete node between them and the tile's root.
//! It knows its own 8 binary levels, not its place in a tree.

use crate::hash::{Hash, node_hash};

/// Binary levels of a tile.
pub(crate) const TILE_HEIGHT: u32 = 8;

/// Row `h` holds the complete nodes of height `h`, so that it has `width >> h` of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tile {
    rows: [Vec<Hash>; TILE_HEIGHT as usize],
}

impl Tile {
    /// Builds a tile from its hashes; the root is there once 256 were given.
    /// Callers give at most 256.
    pub(crate) fn from_hashes(hashes: &[Hash]) -> (Self, Option<Hash>) {
        let mut tile = Self::default();
        let mut root = None;
        for hash in hashes {
            root = tile.push(*hash);
        }
        (tile, root)
    }

    /// Adds a hash to a tile that is not full. Returns the tile's root when this made it full.
    pub(crate) fn push(&mut self, hash: Hash) -> Option<Hash> {
        let mut node = hash;
        for row in &mut self.rows {
            row.push(node);
            match row.as_slice() {
                [.., left, right] if row.len() % 2 == 0 => node = node_hash(*left, *right),
                _ => return None,
            }
        }
        Some(node)
    }

    /// The node of this height, counted from the left edge of the tile.
    pub(crate) fn node(&self, height: usize, offset: usize) -> Option<Hash> {
        self.rows.get(height)?.get(offset).copied()
    }

    /// Nodes without a right sibling, lowest first: those that the root of an unfinished tree
    /// joins.
    pub(crate) fn unpaired(&self) -> impl Iterator<Item = Hash> + '_ {
        self.rows
            .iter()
            .filter(|row| row.len() % 2 == 1)
            .filter_map(|row| row.last().copied())
    }
}

/// Where a node of the binary tree is found among tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodePlace {
    pub(crate) tile_level: u8,
    pub(crate) tile_index: u64,
    pub(crate) height: usize,
    pub(crate) offset: usize,
}

impl NodePlace {
    /// The place of a node that the Merkle library names by its index in storage order.
    pub(crate) fn of_stored_index(index: u64) -> Self {
        let (binary_level, position) = tlog_tiles::split_stored_hash_index(index);
        let height = u32::from(binary_level) % TILE_HEIGHT;
        let row_width = 1_u64 << (TILE_HEIGHT - height);
        Self {
            tile_level: binary_level / 8,
            tile_index: position / row_width,
            height: height as usize,
            // Below 256.
            offset: (position % row_width) as usize,
        }
    }
}

/// How many hashes level `level` of a tree of `size` entries has.
pub(crate) fn level_width(size: u64, level: u8) -> u64 {
    size.checked_shr(TILE_HEIGHT * u32::from(level))
        .unwrap_or(0)
}

/// How many hashes of level `level` are in tile `index` of a tree of `size` entries: 0 to 256.
pub(crate) fn tile_width(size: u64, level: u8, index: u64) -> u16 {
    let before = index.saturating_mul(256);
    let width = level_width(size, level).saturating_sub(before).min(256);
    // At most 256.
    width as u16
}
