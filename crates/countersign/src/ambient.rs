//! The clock and the system's randomness. The libraries take both as arguments; this binary reads
//! them here, and nowhere else.

use countersign_domain::{Nonce, Timestamp};
use rand::RngCore as _;
use rand::rngs::OsRng;
use std::time::{SystemTime, UNIX_EPOCH};

/// The present, by this machine's clock.
#[must_use]
pub fn now() -> Timestamp {
    // A clock before 1970 reads as 1970: everything is then from the future, which denies.
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_unix_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Random bytes from the operating system.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    OsRng.fill_bytes(&mut bytes);
    bytes
}

/// A fresh nonce.
#[must_use]
pub fn nonce() -> Nonce {
    Nonce::from_random(random())
}
