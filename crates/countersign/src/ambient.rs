//! The clock, the system's randomness, and this process's own memory. The libraries take the first two
//! as arguments; this binary reads them here, and nowhere else.

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

/// The most memory that this process has had resident at once, in KiB (`VmHWM` of proc(5)). None where
/// the system does not tell.
#[must_use]
pub fn peak_memory_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}
