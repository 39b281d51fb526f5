//! SHA-256 hashes of RFC 6962 trees. How they combine into trees is in `tile` and `tree`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A leaf hash, an interior node or a root: 32 bytes, printed as standard base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

/// Why a text is no hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashParseError {
    /// Not canonical standard base64 with padding.
    #[error("hash is not canonical base64; hint: standard alphabet, padded, 44 characters")]
    Base64,
    /// Not hexadecimal.
    #[error("hash is not hexadecimal; hint: 64 lower case digits")]
    Hex,
    /// Decodes to another number of bytes than 32.
    #[error("hash has another length than 32 bytes")]
    Length,
}

impl Hash {
    /// Length in bytes.
    pub const LENGTH: usize = 32;

    /// The root of a tree without entries: SHA-256 of nothing (RFC 6962, section 2.1).
    pub const EMPTY_ROOT: Hash = Hash(tlog_tiles::EMPTY_HASH.0);

    /// Takes bytes that are a hash already.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Standard base64 with padding, as in checkpoints and proofs.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// 64 lower case hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Reads canonical base64.
    ///
    /// # Errors
    /// [`HashParseError`] when the text is another encoding or another length.
    pub fn from_base64(text: &str) -> Result<Self, HashParseError> {
        // 44 characters encode 32 bytes: longer input is not even decoded.
        if text.len() != 44 {
            return Err(HashParseError::Length);
        }
        let bytes = STANDARD.decode(text).map_err(|_| HashParseError::Base64)?;
        Self::try_from(bytes.as_slice())
    }

    /// Reads 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`HashParseError`] when the text is another encoding or another length.
    pub fn from_hex(text: &str) -> Result<Self, HashParseError> {
        if text.len() != 64 {
            return Err(HashParseError::Length);
        }
        let bytes = hex::decode(text).map_err(|_| HashParseError::Hex)?;
        Self::try_from(bytes.as_slice())
    }
}

/// The hash of an entry as a leaf: SHA-256 of a zero byte and the entry (RFC 6962, section 2.1).
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    tlog_tiles::record_hash(entry).into()
}

/// The hash of an interior node (RFC 6962, section 2.1).
pub(crate) fn node_hash(left: Hash, right: Hash) -> Hash {
    tlog_tiles::node_hash(left.into(), right.into()).into()
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl TryFrom<&[u8]> for Hash {
    type Error = HashParseError;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| HashParseError::Length)
    }
}

impl From<tlog_tiles::Hash> for Hash {
    fn from(hash: tlog_tiles::Hash) -> Self {
        Self(hash.0)
    }
}

impl From<Hash> for tlog_tiles::Hash {
    fn from(hash: Hash) -> Self {
        Self(hash.0)
    }
}
