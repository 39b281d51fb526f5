//! Full tiles that proofs asked for last. Hosts name tree sizes of any age, and their proofs end at
//! the edges of the same few tiles: read from storage, each costs as many pages as it has entries.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::contract::{Log, StoreError};
use crate::locked::locked;
use crate::tables::nodes::LogHashes;
use countersign_ledger::{Hash, TILE_WIDTH, TileSource};

/// Tiles that are remembered: 8 KiB each.
const TILES_MAX: usize = 128;

type Place = (Log, u8, u64);

/// The tiles of both logs, the ones asked for last in front.
#[derive(Default)]
pub(crate) struct FullTiles(Mutex<VecDeque<(Place, Arc<[Hash]>)>>);

impl FullTiles {
    fn get(&self, place: Place) -> Option<Arc<[Hash]>> {
        let mut tiles = locked(&self.0);
        let at = tiles.iter().position(|(kept, _)| *kept == place)?;
        let found = tiles.remove(at)?;
        let hashes = Arc::clone(&found.1);
        tiles.push_front(found);
        Some(hashes)
    }

    fn put(&self, place: Place, hashes: Arc<[Hash]>) {
        let mut tiles = locked(&self.0);
        tiles.retain(|(kept, _)| *kept != place);
        tiles.push_front((place, hashes));
        tiles.truncate(TILES_MAX);
    }
}

/// The stored hashes of one log, full tiles from memory where they are there.
pub(crate) struct Remembered<'a> {
    pub(crate) stored: LogHashes<'a>,
    pub(crate) tiles: &'a FullTiles,
}

impl TileSource for Remembered<'_> {
    type Error = StoreError;

    fn hashes(&self, level: u8, start: u64, count: u16) -> Result<Vec<Hash>, StoreError> {
        // INVARIANT (append-only): a full tile never changes, so it may be remembered for good.
        if u64::from(count) != u64::from(TILE_WIDTH) {
            return self.stored.hashes(level, start, count);
        }
        let place = (self.stored.log, level, start);
        if let Some(hashes) = self.tiles.get(place) {
            return Ok(hashes.to_vec());
        }
        let hashes = self.stored.hashes(level, start, count)?;
        if hashes.len() == usize::from(count) {
            self.tiles.put(place, hashes.as_slice().into());
        }
        Ok(hashes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(byte: u8) -> Arc<[Hash]> {
        vec![Hash::from_bytes([byte; 32]); 256].into()
    }

    #[test]
    fn the_tiles_asked_for_last_stay() {
        let tiles = FullTiles::default();
        let place = |index: usize| (Log::Authorizations, 0, index as u64 * 256);
        for index in 0..TILES_MAX {
            tiles.put(place(index), tile(index as u8));
        }
        assert_eq!(tiles.get(place(0)), Some(tile(0)));
        tiles.put(place(TILES_MAX), tile(0xff));
        assert_eq!(tiles.get(place(1)), None, "it was asked for longest ago");
        assert_eq!(tiles.get(place(0)), Some(tile(0)));
        assert_eq!(tiles.get(place(TILES_MAX)), Some(tile(0xff)));
        assert_eq!(tiles.get((Log::Recommendations, 0, 0)), None);
    }
}
