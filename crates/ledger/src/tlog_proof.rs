//! Offline proofs that an entry is in a log (c2sp.org/tlog-proof). Which keys to believe is
//! decided by the [`QuorumPolicy`] of whoever verifies, never by the proof.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::Checkpoint;
use crate::cosignature::Cosignature;
use crate::hash::{Hash, leaf_hash};
use crate::limits::{
    ENTRY_BYTES_MAX, EXTRA_BYTES_MAX, PROOF_HASHES_MAX, SIGNED_CHECKPOINT_BYTES_MAX,
};
use crate::proof::{ProofError, verify_inclusion};
use crate::quorum::{QuorumError, QuorumPolicy};
use crate::signed::{SignedCheckpoint, SignedCheckpointError};

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Longest proof text: header, extra as base64, index, hashes, checkpoint.
const TEXT_BYTES_MAX: usize =
    64 + EXTRA_BYTES_MAX.div_ceil(3) * 4 + 45 * PROOF_HASHES_MAX + SIGNED_CHECKPOINT_BYTES_MAX;

/// A proof as it travels beside its entry. Well formed, not yet believed. `Display` writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    extra: Option<Vec<u8>>,
    leaf_index: u64,
    hashes: Vec<Hash>,
    checkpoint: SignedCheckpoint,
}

/// Why a text is no tlog-proof, or values make none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofError {
    /// Not the canonical lines.
    #[error("log proof is malformed at its {0}")]
    Malformed(&'static str),
    /// More bytes or hashes than a proof can have.
    #[error("log proof is too long in its {0}")]
    TooLong(&'static str),
    /// The checkpoint in it is malformed.
    #[error(transparent)]
    Checkpoint(#[from] SignedCheckpointError),
}

/// Why a proof does not show that an entry is in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InclusionError {
    /// Longer than any entry.
    #[error("entry has `{0}` bytes, at most 65535 are allowed")]
    EntryTooLong(usize),
    /// The checkpoint does not meet the policy.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
    /// The hashes do not lead from the entry to the checkpoint's root.
    #[error("entry is not proven to be in the log: {0}")]
    Proof(#[from] ProofError),
}

/// An entry that is in a log, and the checkpoint that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inclusion<'a> {
    /// The entry's position in the log.
    pub leaf_index: u64,
    /// The verified checkpoint.
    pub checkpoint: &'a Checkpoint,
    /// The distinct witnesses of the policy that cosigned it.
    pub cosignatures: Vec<Cosignature>,
}

impl TlogProof {
    /// A proof without extra data, from an inclusion proof in the checkpoint's tree.
    ///
    /// # Errors
    /// [`TlogProofError::TooLong`].
    pub fn new(
        leaf_index: u64,
        hashes: Vec<Hash>,
        checkpoint: SignedCheckpoint,
    ) -> Result<Self, TlogProofError> {
        if hashes.len() > PROOF_HASHES_MAX {
            return Err(TlogProofError::TooLong("hashes"));
        }
        Ok(Self {
            extra: None,
            leaf_index,
            hashes,
            checkpoint,
        })
    }

    /// The same proof with opaque extra data, which nothing authenticates.
    ///
    /// # Errors
    /// [`TlogProofError::TooLong`] beyond 16 KiB; [`TlogProofError::Malformed`] when empty.
    pub fn with_extra(mut self, extra: Vec<u8>) -> Result<Self, TlogProofError> {
        if extra.is_empty() {
            return Err(TlogProofError::Malformed("extra line"));
        }
        if extra.len() > EXTRA_BYTES_MAX {
            return Err(TlogProofError::TooLong("extra line"));
        }
        self.extra = Some(extra);
        Ok(self)
    }

    /// Reads a proof. Only the canonical text is accepted.
    ///
    /// # Errors
    /// [`TlogProofError`] says at which line.
    pub fn parse(text: &str) -> Result<Self, TlogProofError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(TlogProofError::TooLong("text"));
        }
        let malformed = TlogProofError::Malformed;
        let rest = text
            .strip_prefix(HEADER)
            .and_then(|rest| rest.strip_prefix('\n'))
            .ok_or(malformed("header"))?;
        let (head, checkpoint) = rest.split_once("\n\n").ok_or(malformed("empty line"))?;
        let mut lines = head.split('\n').peekable();
        let extra = match lines.peek().and_then(|line| line.strip_prefix("extra ")) {
            Some(extra) => {
                lines.next();
                Some(
                    STANDARD
                        .decode(extra)
                        .map_err(|_| malformed("extra line"))?,
                )
            }
            None => None,
        };
        let leaf_index = lines
            .next()
            .and_then(|line| line.strip_prefix("index "))
            .and_then(|index| index.parse().ok())
            .ok_or(malformed("index line"))?;
        let mut hashes = Vec::new();
        for line in lines {
            if hashes.len() == PROOF_HASHES_MAX {
                return Err(TlogProofError::TooLong("hashes"));
            }
            hashes.push(Hash::from_base64(line).map_err(|_| malformed("hash lines"))?);
        }
        let mut proof = Self::new(leaf_index, hashes, SignedCheckpoint::parse(checkpoint)?)?;
        if let Some(extra) = extra {
            proof = proof.with_extra(extra)?;
        }
        // INVARIANT: one text for one proof.
        if proof.to_string() != text {
            return Err(malformed("form; hint: it is not canonical"));
        }
        Ok(proof)
    }

    /// Checks that `entry` is in the log that `policy` is about.
    ///
    /// # Errors
    /// [`InclusionError`].
    pub fn verify(
        &self,
        entry: &[u8],
        policy: &QuorumPolicy,
    ) -> Result<Inclusion<'_>, InclusionError> {
        if entry.len() > ENTRY_BYTES_MAX {
            return Err(InclusionError::EntryTooLong(entry.len()));
        }
        let quorum = policy.check(&self.checkpoint)?;
        let checkpoint = quorum.checkpoint;
        verify_inclusion(
            leaf_hash(entry),
            self.leaf_index,
            checkpoint.size(),
            checkpoint.root(),
            &self.hashes,
        )?;
        Ok(Inclusion {
            leaf_index: self.leaf_index,
            checkpoint,
            cosignatures: quorum.cosignatures,
        })
    }

    /// The position that the proof claims.
    #[must_use]
    pub fn leaf_index(&self) -> u64 {
        self.leaf_index
    }

    /// The inclusion proof, leaf's sibling first.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The signed checkpoint that the proof leads to.
    #[must_use]
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// Opaque data that came along, authenticated by nothing.
    #[must_use]
    pub fn extra(&self) -> Option<&[u8]> {
        self.extra.as_deref()
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.leaf_index)?;
        for hash in &self.hashes {
            writeln!(f, "{hash}")?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}
