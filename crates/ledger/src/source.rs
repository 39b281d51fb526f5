//! Reading stored hashes. Stores implement [`TileSource`]; proofs and restoring read through it.

use std::cell::RefCell;
use std::collections::HashMap;

use tlog_tiles::HashReader;

use crate::hash::Hash;
use crate::proof::ProveError;
use crate::tile::{NodePlace, Tile, tile_width};

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

/// Answers the Merkle library from a source, reading each tile once.
pub(crate) struct SourceReader<'a, S: TileSource> {
    source: &'a S,
    size: u64,
    tiles: RefCell<HashMap<(u8, u64), Tile>>,
    failure: RefCell<Option<ProveError<S::Error>>>,
}

impl<'a, S: TileSource> SourceReader<'a, S> {
    pub(crate) fn new(source: &'a S, size: u64) -> Self {
        Self {
            source,
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
        let mut tiles = self.tiles.borrow_mut();
        let tile = match tiles.entry((place.tile_level, place.tile_index)) {
            std::collections::hash_map::Entry::Occupied(tile) => tile.into_mut(),
            std::collections::hash_map::Entry::Vacant(vacant) => {
                let hashes = read_tile(self.source, self.size, place.tile_level, place.tile_index)?;
                vacant.insert(Tile::from_hashes(&hashes).0)
            }
        };
        tile.node(place.height, place.offset)
            .ok_or(ProveError::Mathematics)
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
