//! A witness (C2SP tlog-witness): cosigns a checkpoint only if it extends the last one it cosigned
//! of that log, and only after that is recorded. No network, no clock: the binary brings both.

use std::collections::BTreeMap;

use crate::add_checkpoint::AddCheckpoint;
use crate::cosignature::{WitnessKey, WitnessSigner};
use crate::hash::Hash;
use crate::keys::VerifierKey;
use crate::name::Origin;
use crate::proof::{ProofError, verify_consistency};
use crate::signed::SignatureError;

/// The last checkpoint of a log that a witness cosigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WitnessedHead {
    /// Its tree size.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

/// Where a witness keeps what it cosigned last. Losing it lets a log fork unseen.
pub trait HeadStore {
    /// What can go wrong.
    type Error;

    /// The last cosigned head of a log, or none.
    ///
    /// # Errors
    /// The store's own.
    fn head(&self, origin: &Origin) -> Result<Option<WitnessedHead>, Self::Error>;

    /// Replaces the head, durably by the time it returns. MUST fail, changing nothing, when the
    /// head held is not `expected`: two requests may race.
    ///
    /// # Errors
    /// The store's own. After one, nothing is cosigned.
    fn replace(
        &mut self,
        origin: &Origin,
        expected: Option<WitnessedHead>,
        next: WitnessedHead,
    ) -> Result<(), Self::Error>;
}

/// Heads in memory, forgotten on exit: for tests and simulations, never for a real witness.
#[derive(Clone, Debug, Default)]
pub struct VolatileHeads(BTreeMap<Origin, WitnessedHead>);

/// The head held was not the one expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("another request advanced the head first; hint: ask again")]
pub struct HeadMoved;

impl HeadStore for VolatileHeads {
    type Error = HeadMoved;

    fn head(&self, origin: &Origin) -> Result<Option<WitnessedHead>, HeadMoved> {
        Ok(self.0.get(origin).copied())
    }

    fn replace(
        &mut self,
        origin: &Origin,
        expected: Option<WitnessedHead>,
        next: WitnessedHead,
    ) -> Result<(), HeadMoved> {
        if self.0.get(origin).copied() != expected {
            return Err(HeadMoved);
        }
        self.0.insert(origin.clone(), next);
        Ok(())
    }
}

/// Why a witness did not cosign. [`UpdateError::http_status`] gives the answer's status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError<E> {
    /// Not a log that this witness watches.
    #[error("log `{0}` is not witnessed here; hint: add its verifier key")]
    UnknownLog(Origin),
    /// The log's own key did not sign, or a line of it does not verify.
    #[error(transparent)]
    Signature(SignatureError),
    /// The old size exceeds the checkpoint's.
    #[error("old size `{old_size}` exceeds the checkpoint's size `{size}`")]
    Backwards {
        /// As requested.
        old_size: u64,
        /// The checkpoint's.
        size: u64,
    },
    /// The witness saw another size last. The answer's body is that size and a newline.
    #[error("last cosigned size is `{size}`; hint: prove consistency from there")]
    Conflict {
        /// The size cosigned last.
        size: u64,
    },
    /// Same size, another root: the log has forked, and this is the evidence.
    #[error("log `{origin}` shows two roots at size `{size}`: `{seen}` before, `{shown}` now")]
    SplitView {
        /// The log.
        origin: Origin,
        /// The size of both.
        size: u64,
        /// The root cosigned before.
        seen: Hash,
        /// The root shown now.
        shown: Hash,
    },
    /// The checkpoint is not proven to extend the last one.
    #[error("checkpoint does not extend the last one: {0}")]
    BadProof(ProofError),
    /// The time cannot be stated in a cosignature.
    #[error("time `{0}` is out of range; hint: check the clock")]
    Time(u64),
    /// What was seen could not be read or recorded, so nothing was signed.
    #[error("witness state could not be read or recorded: {0}")]
    Store(E),
}

impl<E> UpdateError<E> {
    /// The HTTP status that tlog-witness demands.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        match self {
            Self::UnknownLog(_) => 404,
            Self::Signature(_) => 403,
            Self::Backwards { .. } => 400,
            Self::Conflict { .. } | Self::SplitView { .. } => 409,
            Self::BadProof(_) => 422,
            Self::Time(_) | Self::Store(_) => 500,
        }
    }
}

/// A witness: its key, and the logs it watches.
#[derive(Debug)]
pub struct Witness {
    signer: WitnessSigner,
    logs: BTreeMap<Origin, Vec<VerifierKey>>,
}

impl Witness {
    /// A witness of the logs whose keys are given; a log may have several.
    #[must_use]
    pub fn new(signer: WitnessSigner, log_keys: Vec<VerifierKey>) -> Self {
        let mut logs: BTreeMap<Origin, Vec<VerifierKey>> = BTreeMap::new();
        for key in log_keys {
            logs.entry(key.origin().clone()).or_default().push(key);
        }
        Self { signer, logs }
    }

    /// The key that verifies its cosignatures.
    #[must_use]
    pub fn key(&self) -> &WitnessKey {
        self.signer.witness_key()
    }

    /// Decides on a request. When the checkpoint extends the last one cosigned, records it, and
    /// only then returns the cosignature line, newline included.
    ///
    /// # Errors
    /// [`UpdateError`], checked in the order that tlog-witness gives.
    pub fn update<S: HeadStore>(
        &self,
        heads: &mut S,
        request: &AddCheckpoint,
        now_unix_seconds: u64,
    ) -> Result<String, UpdateError<S::Error>> {
        let origin = request.checkpoint.claimed().origin();
        let keys = self
            .logs
            .get(origin)
            .ok_or_else(|| UpdateError::UnknownLog(origin.clone()))?;
        let checkpoint = request
            .checkpoint
            .verify(keys)
            .map_err(UpdateError::Signature)?;
        let next = WitnessedHead {
            size: checkpoint.size(),
            root: checkpoint.root(),
        };
        if request.old_size > next.size {
            return Err(UpdateError::Backwards {
                old_size: request.old_size,
                size: next.size,
            });
        }
        let recorded = heads.head(origin).map_err(UpdateError::Store)?;
        let last = recorded.unwrap_or(WitnessedHead {
            size: 0,
            root: Hash::EMPTY_ROOT,
        });
        if request.old_size != last.size {
            return Err(UpdateError::Conflict { size: last.size });
        }
        if next.size == last.size && next.root != last.root {
            return Err(UpdateError::SplitView {
                origin: origin.clone(),
                size: last.size,
                seen: last.root,
                shown: next.root,
            });
        }
        verify_consistency(last.size, last.root, next.size, next.root, &request.proof)
            .map_err(UpdateError::BadProof)?;
        let line = self
            .signer
            .cosign(checkpoint, now_unix_seconds)
            .map_err(|_| UpdateError::Time(now_unix_seconds))?;
        // INVARIANT (record before release): the line leaves only after the head is durable.
        if recorded != Some(next) {
            heads
                .replace(origin, recorded, next)
                .map_err(UpdateError::Store)?;
        }
        Ok(line)
    }
}
