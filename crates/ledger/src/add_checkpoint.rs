//! The body of a request to a witness (C2SP tlog-witness, `add-checkpoint`).
//! HTTP around it is the binary's; what a witness answers is decided in `witness`.

use std::fmt;

use crate::hash::Hash;
use crate::limits::{PROOF_HASHES_MAX, SIGNED_CHECKPOINT_BYTES_MAX};
use crate::signed::{SignedCheckpoint, SignedCheckpointError};

/// Longest body: old size line, hashes, empty line, checkpoint.
const BODY_BYTES_MAX: usize = 64 + 45 * PROOF_HASHES_MAX + SIGNED_CHECKPOINT_BYTES_MAX;

/// A log's request to cosign its next checkpoint. `Display` writes the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size that the witness is believed to have seen last.
    pub old_size: u64,
    /// Consistency from there to the checkpoint.
    pub proof: Vec<Hash>,
    /// The checkpoint to cosign.
    pub checkpoint: SignedCheckpoint,
}

/// Why a body is no such request; a witness answers 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddCheckpointError {
    /// Longer than any request.
    #[error("witness request has `{0}` bytes, which no request needs")]
    TooLong(usize),
    /// Not the canonical lines.
    #[error("witness request is malformed at its {0}")]
    Malformed(&'static str),
    /// The checkpoint in it is malformed.
    #[error(transparent)]
    Checkpoint(#[from] SignedCheckpointError),
}

impl AddCheckpoint {
    /// Most bytes of a body that is worth reading; a server stops there.
    pub const BODY_BYTES_MAX: usize = BODY_BYTES_MAX;

    /// Reads a body. Checks form only.
    ///
    /// # Errors
    /// [`AddCheckpointError`].
    pub fn parse(body: &str) -> Result<Self, AddCheckpointError> {
        if body.len() > BODY_BYTES_MAX {
            return Err(AddCheckpointError::TooLong(body.len()));
        }
        let malformed = AddCheckpointError::Malformed;
        let (head, checkpoint) = body.split_once("\n\n").ok_or(malformed("empty line"))?;
        let mut lines = head.split('\n');
        let old_size = lines
            .next()
            .and_then(|line| line.strip_prefix("old "))
            .and_then(|size| size.parse().ok())
            .ok_or(malformed("old size line"))?;
        let mut proof = Vec::new();
        for line in lines {
            if proof.len() == PROOF_HASHES_MAX {
                return Err(malformed("proof lines; hint: at most 63"));
            }
            proof.push(Hash::from_base64(line).map_err(|_| malformed("proof lines"))?);
        }
        let request = Self {
            old_size,
            proof,
            checkpoint: SignedCheckpoint::parse(checkpoint)?,
        };
        if request.to_string() != body {
            return Err(malformed("form; hint: it is not canonical"));
        }
        Ok(request)
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old_size)?;
        for hash in &self.proof {
            writeln!(f, "{hash}")?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}
