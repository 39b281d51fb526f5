//! Readers that count, bound and hash what passes through. Every feed is read through these; none
//! of them interprets a byte.

use countersign_domain::digest::Digest;
use sha2::{Digest as _, Sha256};
use std::io::{self, Read};

/// More bytes than were allowed; travels inside an [`io::Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {limit} bytes{}", if *.unpacked { " after decompression" } else { "" })]
pub(crate) struct Exceeded {
    /// The bound.
    pub limit: u64,
    /// True when it is the decompressed size that is bounded.
    pub unpacked: bool,
}

impl Exceeded {
    /// The [`Exceeded`] inside `error`, if that is what it is. Looks through wrappers, since a
    /// decompressor may wrap the error of the reader below it.
    pub(crate) fn within(error: &io::Error) -> Option<Self> {
        let mut source: &(dyn std::error::Error + 'static) = error.get_ref()?;
        for _ in 0..4 {
            if let Some(found) = source.downcast_ref::<Self>() {
                return Some(*found);
            }
            source = match source.downcast_ref::<io::Error>() {
                Some(inner) => inner.get_ref()?,
                None => source.source()?,
            };
        }
        None
    }
}

/// Fails, rather than ends, when more than the bound is read: a cut document must not pass for a
/// whole one.
pub(super) struct Bounded<R> {
    inner: R,
    read: u64,
    bound: Exceeded,
}

impl<R: Read> Bounded<R> {
    pub(super) const fn new(inner: R, limit: u64, unpacked: bool) -> Self {
        Self {
            inner,
            read: 0,
            bound: Exceeded { limit, unpacked },
        }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read = self.read.saturating_add(count as u64);
        if self.read > self.bound.limit {
            return Err(io::Error::other(self.bound));
        }
        Ok(count)
    }
}

/// Hashes what is read, so that the digest is of exactly the bytes that were understood.
pub(super) struct Hashed<R> {
    inner: R,
    hasher: Sha256,
    bytes: u64,
}

impl<R: Read> Hashed<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            hasher: Sha256::new(),
            bytes: 0,
        }
    }

    /// The digest and the count of all bytes read.
    pub(super) fn finish(self) -> (Digest, u64) {
        (
            Digest::from_bytes(self.hasher.finalize().into()),
            self.bytes,
        )
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if let Some(read) = buffer.get(..count) {
            self.hasher.update(read);
        }
        self.bytes = self.bytes.saturating_add(count as u64);
        Ok(count)
    }
}

/// Up to `count` bytes from the start, fewer only when the input ends before.
pub(super) fn head(reader: &mut impl Read, count: u64) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    reader.take(count).read_to_end(&mut head)?;
    Ok(head)
}
