//! Tamper-evident logs over opaque bytes, in the C2SP formats.
//!
//! An entry becomes a [`leaf_hash`], a [`Tree`] appends it, a [`LogSigner`] signs the tree's
//! [`Checkpoint`], a [`Witness`] cosigns it, and a [`TlogProof`] lets anybody check offline that
//! the entry is in the log, under a [`QuorumPolicy`]. [`export`] writes a log as the static folder
//! that C2SP tlog-tiles defines; [`fsck`] reads one back and recomputes all of it.
//!
//! ```
//! use countersign_ledger::{Checkpoint, LogSigner, Origin, QuorumPolicy, TlogProof, Tree, leaf_hash};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let signer = LogSigner::from_seed(Origin::new("example.org/authorizations")?, &[7; 32])?;
//! let mut tree = Tree::new();
//! for entry in [b"first".as_slice(), b"second", b"third"] {
//!     tree.append(leaf_hash(entry))?;
//! }
//! let checkpoint = Checkpoint::new(signer.origin().clone(), tree.size(), tree.root())?;
//! let signed = signer.sign(&checkpoint)?;
//! let proof = TlogProof::new(1, tree.inclusion_proof(tree.size(), 1)?, signed)?;
//!
//! let policy = QuorumPolicy::log_only(vec![signer.verifier_key().clone()])?;
//! let received = TlogProof::parse(&proof.to_string())?;
//! assert_eq!(received.verify(b"second", &policy)?.leaf_index, 1);
//! assert!(received.verify(b"forged", &policy).is_err());
//! # Ok(())
//! # }
//! ```
//!
//! Formats: signed-note 1.0.0, tlog-checkpoint 1.0.0, tlog-cosignature 1.0.1 (Ed25519),
//! tlog-witness 1.0.0, tlog-tiles 0.1.0 and tlog-proof at c2sp.org; hashes are those of RFC 6962.
//!
//! What is not here: what entries mean, storage of a live log (see the `store` crate, which
//! implements [`TileSource`]), any network, any clock. Only [`export`] and [`fsck`] touch files.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)
)]

mod add_checkpoint;
mod bundle;
mod checkpoint;
mod cosignature;
mod durable;
mod export;
mod fsck;
mod hash;
mod keys;
mod limits;
mod name;
mod path;
mod proof;
mod quorum;
mod signed;
mod source;
mod tile;
mod tile_cache;
mod tile_stream;
mod tlog_proof;
mod tree;
mod vkey;
mod witness;

pub use add_checkpoint::{AddCheckpoint, AddCheckpointError};
pub use bundle::{BundleError, encode_bundle, parse_bundle};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use cosignature::{Cosignature, WitnessKey, WitnessSigner};
pub use export::{ExportError, Exported, export};
pub use fsck::{FsckError, FsckReport, fsck, fsck_visit};
pub use hash::{Hash, HashParseError, leaf_hash};
pub use keys::{LogSigner, VerifierKey};
pub use limits::{
    ENTRY_BYTES_MAX, EXTRA_BYTES_MAX, PROOF_HASHES_MAX, SIGNED_CHECKPOINT_BYTES_MAX, TILE_WIDTH,
    TREE_SIZE_MAX,
};
pub use name::{KeyName, KeyNameError, Origin};
pub use path::{TileKind, TilePath, TilePathError};
pub use proof::{
    ProofError, ProveError, consistency_proof, inclusion_proof, verify_consistency,
    verify_inclusion,
};
pub use quorum::{PolicyError, Quorum, QuorumError, QuorumPolicy};
pub use signed::{SignError, SignatureError, SignedCheckpoint, SignedCheckpointError};
pub use source::TileSource;
pub use tile_cache::TileCache;
pub use tlog_proof::{Inclusion, InclusionError, TlogProof, TlogProofError};
pub use tree::{Appended, CompletedNode, LogFull, RestoreError, Tree, TreeProofError};
pub use vkey::KeyError;
pub use witness::{HeadMoved, HeadStore, UpdateError, VolatileHeads, Witness, WitnessedHead};
