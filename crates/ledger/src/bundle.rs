//! Entry bundles (C2SP tlog-tiles): entries one after the other, each with its length as
//! big-endian uint16 before it. What an entry says is nobody's concern here.

use crate::limits::{ENTRY_BYTES_MAX, TILE_WIDTH};

/// Why entries make no bundle, or bytes hold none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// More entries than a tile is wide.
    #[error("bundle of `{0}` entries, at most 256 are allowed")]
    TooMany(usize),
    /// An entry longer than its length can state.
    #[error("entry `{position}` of the bundle has `{bytes}` bytes, at most 65535 are allowed")]
    EntryTooLong {
        /// Position in the bundle.
        position: usize,
        /// Its length.
        bytes: usize,
    },
    /// The bytes end within an entry.
    #[error("bundle ends within entry `{position}`")]
    Truncated {
        /// Position in the bundle.
        position: usize,
    },
    /// Bytes after the last entry.
    #[error("bundle has `{0}` bytes after its last entry")]
    Trailing(usize),
}

/// Writes a bundle of up to 256 entries.
///
/// # Errors
/// [`BundleError::TooMany`] and [`BundleError::EntryTooLong`].
pub fn encode_bundle<E: AsRef<[u8]>>(entries: &[E]) -> Result<Vec<u8>, BundleError> {
    if entries.len() > usize::from(TILE_WIDTH) {
        return Err(BundleError::TooMany(entries.len()));
    }
    let bytes: usize = entries.iter().map(|entry| 2 + entry.as_ref().len()).sum();
    let mut bundle = Vec::with_capacity(bytes);
    for (position, entry) in entries.iter().enumerate() {
        let entry = entry.as_ref();
        let length = u16::try_from(entry.len()).map_err(|_| BundleError::EntryTooLong {
            position,
            bytes: entry.len(),
        })?;
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    Ok(bundle)
}

/// Reads a bundle of exactly `count` entries, without copying them.
///
/// # Errors
/// [`BundleError`].
pub fn parse_bundle(bundle: &[u8], count: u16) -> Result<Vec<&[u8]>, BundleError> {
    if count > TILE_WIDTH {
        return Err(BundleError::TooMany(usize::from(count)));
    }
    let mut entries = Vec::with_capacity(usize::from(count));
    let mut rest = bundle;
    for position in 0..usize::from(count) {
        let truncated = BundleError::Truncated { position };
        let (length, after) = rest.split_first_chunk::<2>().ok_or(truncated.clone())?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after.split_at_checked(length).ok_or(truncated)?;
        entries.push(entry);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(BundleError::Trailing(rest.len()));
    }
    Ok(entries)
}

/// Longest bundle of `width` entries, in bytes.
pub(crate) fn bundle_bytes_max(width: u16) -> u64 {
    // 2 + 65,535 fits any width of address.
    u64::from(width) * (2 + ENTRY_BYTES_MAX as u64)
}
