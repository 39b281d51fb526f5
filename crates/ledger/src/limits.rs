//! The bounds of every input of this crate. What exceeds one is refused, never truncated.

/// Longest entry in bytes: an entry bundle states lengths as uint16 (C2SP tlog-tiles).
pub const ENTRY_BYTES_MAX: usize = 65_535;

/// Hashes in a full tile, and entries in a full bundle.
pub const TILE_WIDTH: u16 = 256;

/// Largest tree, in entries: 2^48, nine centuries at ten thousand entries a second.
///
/// Larger sizes in checkpoints, proofs or requests are refused, which keeps all index arithmetic
/// of the Merkle library far from overflow.
pub const TREE_SIZE_MAX: u64 = 1 << 48;

/// Most hashes in a proof that is still read (C2SP tlog-witness allows 63 lines).
pub const PROOF_HASHES_MAX: usize = 63;

/// Longest signed checkpoint in bytes; sixteen post-quantum cosignatures fit.
pub const SIGNED_CHECKPOINT_BYTES_MAX: usize = 128 * 1024;

/// Most opaque extra bytes in a tlog-proof.
pub const EXTRA_BYTES_MAX: usize = 16 * 1024;

/// Longest key name in bytes (the bound of C2SP tlog-cosignature for origins and names).
pub(crate) const KEY_NAME_BYTES_MAX: usize = 255;

/// Longest verifier key in bytes: a name, an id and 33 bytes of base64, with room to spare.
pub(crate) const VKEY_BYTES_MAX: usize = 512;

/// Most extension lines of a checkpoint, and most bytes of them all.
pub(crate) const EXTENSION_LINES_MAX: usize = 16;
pub(crate) const EXTENSION_BYTES_MAX: usize = 4096;
