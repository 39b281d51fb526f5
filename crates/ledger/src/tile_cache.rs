//! Full tiles that proofs asked for last, with their inner nodes. Hosts name tree sizes of any age,
//! and their proofs end at the edges of the same few tiles: from storage, each costs as many rows as
//! it has hashes, and as many hashes again for what lies between them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::tile::Tile;

/// Tiles that are remembered: about 16 KiB each.
const TILES_MAX: usize = 128;

/// Level and index.
type Place = (u8, u64);

/// Full tiles of one log, the ones asked for last in front. Full tiles never change, so what is
/// remembered once holds for good; a log of another origin needs a cache of its own.
#[derive(Debug, Default)]
pub struct TileCache(Mutex<VecDeque<(Place, Arc<Tile>)>>);

impl TileCache {
    /// A full tile, read where it is not remembered. Read outside the lock: at worst twice.
    pub(crate) fn get_or_read<E>(
        &self,
        level: u8,
        index: u64,
        read: impl FnOnce() -> Result<Arc<Tile>, E>,
    ) -> Result<Arc<Tile>, E> {
        let place = (level, index);
        if let Some(tile) = self.get(place) {
            return Ok(tile);
        }
        let tile = read()?;
        self.put(place, Arc::clone(&tile));
        Ok(tile)
    }

    fn get(&self, place: Place) -> Option<Arc<Tile>> {
        let mut tiles = self.locked();
        let at = tiles.iter().position(|(kept, _)| *kept == place)?;
        let found = tiles.remove(at)?;
        let tile = Arc::clone(&found.1);
        tiles.push_front(found);
        Some(tile)
    }

    fn put(&self, place: Place, tile: Arc<Tile>) {
        let mut tiles = self.locked();
        tiles.retain(|(kept, _)| *kept != place);
        tiles.push_front((place, tile));
        tiles.truncate(TILES_MAX);
    }

    fn locked(&self) -> MutexGuard<'_, VecDeque<(Place, Arc<Tile>)>> {
        // Every tile in it is whole, whoever panicked meanwhile.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Hash;

    fn tile(byte: u8) -> Arc<Tile> {
        Arc::new(Tile::from_hashes(&[Hash::from_bytes([byte; 32])]).0)
    }

    #[test]
    fn the_tiles_asked_for_last_stay_and_are_read_once() {
        let tiles = TileCache::default();
        let ask = |index: usize| {
            let mut read = false;
            let found = tiles.get_or_read(0, index as u64, || {
                read = true;
                Ok::<_, ()>(tile(index as u8))
            });
            assert_eq!(found, Ok(tile(index as u8)));
            read
        };
        assert!((0..TILES_MAX).all(ask));
        assert!(!ask(0));
        assert!(ask(TILES_MAX), "it is new");
        assert!(!ask(0));
        assert!(ask(1), "it was asked for longest ago");
        assert_eq!(tiles.get((1, 0)), None, "another level");
        assert_eq!(tiles.get_or_read(9, 9, || Err(7)), Err(7));
        assert_eq!(tiles.get((9, 9)), None);
    }
}
