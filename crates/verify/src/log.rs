//! What a log proves to somebody who holds its public key: that an entry is in it, that it only
//! grew, and that enough witnesses saw the same. Verification only; `ledger` builds logs.
//!
//! Formats: signed-note, tlog-checkpoint, tlog-cosignature (Ed25519) and tlog-proof at c2sp.org;
//! hashes are those of RFC 6962. Deliberately independent of the libraries that `ledger` uses.

mod checkpoint;
mod keys;
mod merkle;
mod note;
mod proof;
mod vkey;

pub use checkpoint::Checkpoint;
pub use keys::{LogKeys, LogKeysError};
pub use merkle::{
    MerkleError, PROOF_HASHES_MAX, TREE_SIZE_MAX, empty_root, leaf_hash, verify_consistency,
    verify_inclusion,
};
pub use note::NOTE_BYTES_MAX;
pub use proof::{PROOF_BYTES_MAX, ProvenEntry, verify_checkpoint, verify_proof};
pub use vkey::{LogKey, VkeyError, WitnessKey};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_domain::{DeploymentId, Digest};

/// The origin of a deployment's authorizations log, which only the gate writes.
#[must_use]
pub fn authorizations_origin(deployment: &DeploymentId) -> String {
    format!("{deployment}/authorizations")
}

/// The origin of a deployment's recommendations log, which holds what agents proposed.
#[must_use]
pub fn recommendations_origin(deployment: &DeploymentId) -> String {
    format!("{deployment}/recommendations")
}

/// Why a log's word must not be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Not the canonical text of the format.
    #[error("log proof is malformed at its {0}; fetch it again")]
    Malformed(&'static str),
    /// More bytes, lines or hashes than the format allows here.
    #[error("log proof is too long in its {0}; fetch it again")]
    TooLong(&'static str),
    /// A checkpoint of some other log.
    #[error("checkpoint is of log `{found}`, expected `{expected}`; fetch the proof of this log")]
    Origin {
        /// The log whose key is known.
        expected: String,
        /// The log that the checkpoint names.
        found: String,
    },
    /// The log's own key did not sign, whoever else did.
    #[error("checkpoint of log `{0}` is not signed by that log's key in the roster")]
    Unsigned(String),
    /// A line in the name of a key that is known does not verify.
    #[error("signature of `{0}` under the checkpoint does not verify; the checkpoint was altered")]
    Signature(String),
    /// Too few distinct witnesses.
    #[error(
        "checkpoint is cosigned by {found} known witnesses, `{needed}` are needed; ask again when the witnesses are up"
    )]
    Quorum {
        /// Distinct witnesses that are needed.
        needed: u32,
        /// Distinct witnesses that cosigned.
        found: u32,
    },
    /// The hashes do not lead to the root.
    #[error(transparent)]
    Merkle(#[from] MerkleError),
}

/// A hash from its base64, in the one form that has no spare bits set.
///
/// # Errors
/// [`LogError::Malformed`].
pub fn hash_from_base64(text: &str) -> Result<Digest, LogError> {
    let malformed = LogError::Malformed("hash");
    if text.len() != 44 {
        return Err(malformed);
    }
    let bytes = STANDARD.decode(text).map_err(|_| malformed.clone())?;
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| malformed)?;
    Ok(Digest::from_bytes(bytes))
}

/// A decimal number in its one form: no sign, no leading zeros.
fn decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if canonical && digits {
        text.parse().ok()
    } else {
        None
    }
}
