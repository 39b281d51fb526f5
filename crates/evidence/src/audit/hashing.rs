//! The SHA-256 of a stream while it is read: by whoever reads it, or, once others help with the file, by
//! whoever is free. Then pieces of it wait, in their order and bounded, and the reader only waits for
//! them itself where all room is taken. Whoever hashes them, the digest is that of the whole stream.

use sha2::{Digest as _, Sha256};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// Bytes that wait at most.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// As many bytes had better wait, for whoever has nothing else to do.
const SPARE_BYTES: usize = 1 << 20;

/// The hash of one stream.
#[derive(Default)]
pub(crate) struct Hashing {
    /// Whether others help, so that pieces may wait.
    helped: AtomicBool,
    waiting: Mutex<Waiting>,
    /// Held by whoever hashes; never taken by one that holds `waiting`.
    hash: Mutex<Hash>,
}

/// What was read and not hashed yet.
#[derive(Default)]
struct Waiting {
    /// In the order of the stream.
    pieces: VecDeque<Vec<u8>>,
    /// Of all pieces.
    bytes: usize,
    /// Buffers of pieces that were hashed.
    spare: Vec<Vec<u8>>,
}

/// What was hashed.
#[derive(Default)]
struct Hash {
    hash: Sha256,
    /// How long that took.
    took: Duration,
}

impl Hash {
    fn update(&mut self, bytes: &[u8]) {
        let began = Instant::now();
        self.hash.update(bytes);
        self.took += began.elapsed();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hashing {
    /// The next bytes of the stream. Called by one at a time.
    pub(super) fn take(&self, bytes: &[u8]) {
        if !self.helped() {
            return locked(&self.hash).update(bytes);
        }
        let mut waiting = locked(&self.waiting);
        if waiting.bytes + bytes.len() > WAITING_BYTES_MAX {
            drop(waiting);
            let mut hash = locked(&self.hash);
            while self.next(&mut hash) {}
            return hash.update(bytes);
        }
        let mut piece = waiting.spare.pop().unwrap_or_default();
        piece.extend_from_slice(bytes);
        waiting.bytes += piece.len();
        waiting.pieces.push_back(piece);
    }

    /// From now on somebody calls `help` now and then.
    pub(super) fn is_helped(&self) {
        self.helped.store(true, Ordering::Relaxed);
    }

    /// Whether somebody does.
    pub(super) fn helped(&self) -> bool {
        self.helped.load(Ordering::Relaxed)
    }

    /// Hashes a piece that waits. False where none does, and where somebody else is at it.
    pub(super) fn help(&self) -> bool {
        let mut hash = match self.hash.try_lock() {
            Ok(hash) => hash,
            Err(TryLockError::Poisoned(hash)) => hash.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        self.next(&mut hash)
    }

    /// Hashes what waits beyond what had better wait, unless somebody else does.
    pub(super) fn relieve(&self) {
        while locked(&self.waiting).bytes > SPARE_BYTES && self.help() {}
    }

    /// Hashes the piece that has waited longest. False where none waits.
    fn next(&self, hash: &mut Hash) -> bool {
        let Some(mut piece) = locked(&self.waiting).pieces.pop_front() else {
            return false;
        };
        hash.update(&piece);
        let mut waiting = locked(&self.waiting);
        waiting.bytes -= piece.len();
        piece.clear();
        waiting.spare.push(piece);
        true
    }

    /// The SHA-256 of all that was taken, in hexadecimal digits, and how long it took to make.
    pub(super) fn end(&self) -> (String, Duration) {
        let mut hash = locked(&self.hash);
        while self.next(&mut hash) {}
        (hex::encode(hash.hash.clone().finalize()), hash.took)
    }
}

#[cfg(test)]
mod tests {
    use super::{Hashing, WAITING_BYTES_MAX, locked};
    use countersign_domain::Digest;
    use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Of any pieces, helped from any of them on, whoever hashes which.
        #[test]
        fn the_digest_is_that_of_the_whole_whoever_makes_it(
            lengths in prop::collection::vec(0..WAITING_BYTES_MAX + 2, 0..5),
            small in prop::collection::vec(0..2_000_usize, 0..60),
            helped_from in 0..8_usize,
            helpers in 0..3,
            by_turns in any::<bool>(),
        ) {
            let hashing = Hashing::default();
            let mut whole = Vec::new();
            std::thread::scope(|scope| {
                for _ in 0..helpers {
                    scope.spawn(|| {
                        for _ in 0..200 {
                            hashing.help();
                            std::thread::yield_now();
                        }
                    });
                }
                for (at, length) in small.iter().chain(&lengths).enumerate() {
                    if at == helped_from {
                        hashing.is_helped();
                    }
                    let piece = vec![at as u8; *length];
                    hashing.take(&piece);
                    whole.extend_from_slice(&piece);
                    if by_turns {
                        hashing.relieve();
                    }
                    assert!(locked(&hashing.waiting).bytes <= WAITING_BYTES_MAX);
                }
            });
            let (digest, _) = hashing.end();
            prop_assert_eq!(format!("sha256:{digest}"), Digest::of(&whole).to_string());
            prop_assert!(!hashing.help());
        }
    }
}
