//! Whose signatures make a checkpoint believable: the log's own, and enough witnesses'.
//! How fresh a cosignature must be is the caller's to judge: the times are handed over.

use std::collections::BTreeSet;

use crate::checkpoint::Checkpoint;
use crate::cosignature::{Cosignature, WitnessKey, split_timestamp};
use crate::keys::VerifierKey;
use crate::name::{KeyName, Origin};
use crate::signed::{SignatureError, SignedCheckpoint};

/// The pinned keys of one log, the witnesses, and how many of them must have cosigned.
#[derive(Clone, Debug)]
pub struct QuorumPolicy {
    origin: Origin,
    log_keys: Vec<VerifierKey>,
    witnesses: Vec<WitnessKey>,
    threshold: usize,
}

/// Why a policy would not mean what it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Without a log key nothing can be verified.
    #[error("quorum policy names no log key; hint: pin the log's verifier key")]
    NoLogKey,
    /// A policy is about one log.
    #[error("quorum policy mixes keys of the logs `{0}` and `{1}`; hint: one policy a log")]
    MixedOrigins(Origin, Origin),
    /// More cosignatures demanded than there are witnesses.
    #[error("quorum policy demands `{threshold}` of `{witnesses}` witnesses, which none can meet")]
    Unreachable {
        /// Demanded.
        threshold: usize,
        /// Available.
        witnesses: usize,
    },
    /// One party would count twice.
    #[error("witness `{0}` shares its name or key with another or with the log")]
    Duplicate(KeyName),
}

/// Why a checkpoint does not meet a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuorumError {
    /// The log's own signature is missing or bad, or a witness's line does not verify.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Another log's checkpoint.
    #[error("checkpoint is of log `{found}`, the policy is about `{expected}`")]
    OtherLog {
        /// The policy's log.
        expected: Origin,
        /// The checkpoint's log.
        found: Origin,
    },
    /// Too few of the policy's witnesses cosigned.
    #[error("checkpoint has `{found}` of `{needed}` cosignatures; hint: ask the witnesses again")]
    TooFew {
        /// How many distinct witnesses of the policy cosigned.
        found: usize,
        /// How many the policy demands.
        needed: usize,
    },
}

/// A checkpoint that met a policy, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum<'a> {
    /// The checkpoint, now to be believed as far as the policy goes.
    pub checkpoint: &'a Checkpoint,
    /// The distinct witnesses of the policy that cosigned.
    pub cosignatures: Vec<Cosignature>,
}

impl QuorumPolicy {
    /// A policy that demands the log's signature and `threshold` distinct witnesses.
    ///
    /// # Errors
    /// [`PolicyError`] when it names no log key, mixes logs, cannot be met, or lets one party
    /// count twice.
    pub fn new(
        log_keys: Vec<VerifierKey>,
        witnesses: Vec<WitnessKey>,
        threshold: usize,
    ) -> Result<Self, PolicyError> {
        let origin = log_keys
            .first()
            .ok_or(PolicyError::NoLogKey)?
            .origin()
            .clone();
        if let Some(other) = log_keys.iter().find(|key| key.origin() != &origin) {
            return Err(PolicyError::MixedOrigins(origin, other.origin().clone()));
        }
        let mut names = BTreeSet::new();
        let mut keys: BTreeSet<_> = log_keys.iter().map(VerifierKey::public_bytes).collect();
        for witness in &witnesses {
            // Cosignatures do not contain the witness's name, so a shared key is one witness.
            if !names.insert(witness.name()) || !keys.insert(witness.public_bytes()) {
                return Err(PolicyError::Duplicate(witness.name().clone()));
            }
        }
        if threshold > witnesses.len() {
            return Err(PolicyError::Unreachable {
                threshold,
                witnesses: witnesses.len(),
            });
        }
        Ok(Self {
            origin,
            log_keys,
            witnesses,
            threshold,
        })
    }

    /// A policy without witnesses: whoever relies on it trusts the log not to show two histories.
    ///
    /// # Errors
    /// As [`QuorumPolicy::new`].
    pub fn log_only(log_keys: Vec<VerifierKey>) -> Result<Self, PolicyError> {
        Self::new(log_keys, Vec::new(), 0)
    }

    /// The log that this policy is about.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// How many distinct witnesses must have cosigned.
    #[must_use]
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    /// The witnesses that count.
    #[must_use]
    pub fn witnesses(&self) -> &[WitnessKey] {
        &self.witnesses
    }

    /// Checks the log's own signature and counts distinct witnesses. Lines of keys that the
    /// policy does not name are ignored; a line in the name of one it does name must verify.
    ///
    /// # Errors
    /// [`QuorumError`].
    pub fn check<'a>(&self, signed: &'a SignedCheckpoint) -> Result<Quorum<'a>, QuorumError> {
        if signed.claimed().origin() != &self.origin {
            return Err(QuorumError::OtherLog {
                expected: self.origin.clone(),
                found: signed.claimed().origin().clone(),
            });
        }
        let checkpoint = signed.verify(&self.log_keys)?;
        let verified = signed.signatures_by(&self.witnesses.iter().collect::<Vec<_>>())?;
        let mut cosignatures: Vec<Cosignature> = Vec::new();
        for witness in &self.witnesses {
            let line = verified
                .iter()
                .find(|line| line.name() == witness.name().as_str() && line.id() == witness.0.id);
            if let Some((time, _)) = line.and_then(|line| split_timestamp(line.signature())) {
                cosignatures.push(Cosignature {
                    witness: witness.name().clone(),
                    time_unix_seconds: time,
                });
            }
        }
        if cosignatures.len() < self.threshold {
            return Err(QuorumError::TooFew {
                found: cosignatures.len(),
                needed: self.threshold,
            });
        }
        Ok(Quorum {
            checkpoint,
            cosignatures,
        })
    }
}
