//! Reading stored hashes. Stores implement [`TileSource`]; proofs and restoring read through it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use tlog_tiles::HashReader;

use crate::hash::Hash;
use crate::limits::TILE_WIDTH;
use crate::proof::ProveError;
use crate::tile::{NodePlace, Tile, tile_width};
use crate::tile_cache::TileCache;
use crate::tree::Tree;

/// Where the hashes of a log are kept: leaf hashes (level 0), and at each level above one hash
/// for every 256 complete ones below.
pub trait TileSource {
    /// What can go wrong in reading.
    type Error;

    /// The `count` hashes of `level` from position `start` on, in order. Only hashes that exist
    /// are asked for: positions below `tree size / 256^level`; never more than 256 at once,
    /// never across a tile's edge.
    ///
    /// # Errors
    /// The store's own. A wrong number of hashes is noticed by the caller.
    fn hashes(&self, level: u8, start: u64, count: u16) -> Result<Vec<Hash>, Self::Error>;
}

impl<S: TileSource + ?Sized> TileSource for &S {
    type Error = S::Error;

    fn hashes(&self, level: u8, start: u64, count: u16) -> Result<Vec<Hash>, Self::Error> {
        (**self).hashes(level, start, count)
    }
}

/// What is known of a log without reading it: its tree in memory, and tiles that were read before.
#[derive(Clone, Copy)]
pub(crate) struct KnownNodes<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) tiles: &'a TileCache,
}

/// Answers the Merkle library from what is known, and else from a source, reading each tile once.
pub(crate) struct SourceReader<'a, S: TileSource> {
    source: &'a S,
    known: Option<KnownNodes<'a>>,
    size: u64,
    tiles: RefCell<HashMap<(u8, u64), Arc<Tile>>>,
    failure: RefCell<Option<ProveError<S::Error>>>,
}

impl<'a, S: TileSource> SourceReader<'a, S> {
    pub(crate) fn new(source: &'a S, size: u64, known: Option<KnownNodes<'a>>) -> Self {
        Self {
            source,
            known,
            size,
            tiles: RefCell::default(),
            failure: RefCell::new(None),
        }
    }

    /// What the source failed with, else the library's refusal.
    pub(crate) fn error(self) -> ProveError<S::Error> {
        self.failure.into_inner().unwrap_or(ProveError::Mathematics)
    }

    fn node(&self, place: NodePlace) -> Result<Hash, ProveError<S::Error>> {
        // INVARIANT (append-only): a complete node is the same in every later tree.
        if let Some(hash) = self.known.and_then(|known| known.tree.node(place)) {
            return Ok(hash);
        }
        let mut tiles = self.tiles.borrow_mut();
        let tile = match tiles.entry((place.tile_level, place.tile_index)) {
            std::collections::hash_map::Entry::Occupied(tile) => tile.into_mut(),
            std::collections::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(self.tile(place.tile_level, place.tile_index)?)
            }
        };
        tile.node(place.height, place.offset)
            .ok_or(ProveError::Mathematics)
    }

    fn tile(&self, level: u8, index: u64) -> Result<Arc<Tile>, ProveError<S::Error>> {
        // A tile may have filled since the tree had this size.
        let size = self.known.map_or(self.size, |known| known.tree.size());
        let read = || {
            let hashes = read_tile(self.source, size, level, index)?;
            Ok(Arc::new(Tile::from_hashes(&hashes).0))
        };
        match self.known {
            // Only a full tile never changes.
            Some(known) if tile_width(size, level, index) == TILE_WIDTH => {
                known.tiles.get_or_read(level, index, read)
            }
            Some(_) | None => read(),
        }
    }
}

impl<S: TileSource> HashReader for SourceReader<'_, S> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        let read = |index: &u64| self.node(NodePlace::of_stored_index(*index));
        let hashes: Result<Vec<Hash>, _> = indexes.iter().map(read).collect();
        match hashes {
            Ok(hashes) => Ok(hashes.into_iter().map(Into::into).collect()),
            Err(error) => {
                *self.failure.borrow_mut() = Some(error);
                Err(tlog_tiles::Error::IndexesNotInTree)
            }
        }
    }
}

/// The hashes of one tile of a tree of `size` entries, exactly as many as it has.
pub(crate) fn read_tile<S: TileSource>(
    source: &S,
    size: u64,
    level: u8,
    index: u64,
) -> Result<Vec<Hash>, ProveError<S::Error>> {
    let count = tile_width(size, level, index);
    if count == 0 {
        return Ok(Vec::new());
    }
    let start = index.saturating_mul(256);
    let hashes = source
        .hashes(level, start, count)
        .map_err(ProveError::Source)?;
    if hashes.len() != usize::from(count) {
        return Err(ProveError::Count {
            level,
            start,
            expected: count,
            found: hashes.len(),
        });
    }
    Ok(hashes)
}
