//! Cosignatures of witnesses: what a cosigner has to do. When it is asked, and what waits for it,
//! is in `proof_stage`; how it reaches its witnesses is its own affair.

use std::time::Duration;

use crate::contract::{Log, StoreError};
use crate::history;
use crate::shared::{Published, Shared};
use countersign_ledger::{Hash, SignedCheckpoint, WitnessKey};

/// Gets cosignatures for checkpoints of the authorizations log.
pub trait Cosigner: Send + Sync {
    /// The witnesses whose lines are taken; those of others are dropped.
    fn witnesses(&self) -> &[WitnessKey];

    /// How long answers may wait for a cosignature. After that they are given without one, and
    /// hosts that demand it refuse.
    fn deadline(&self) -> Duration;

    /// Asks the witnesses. Blocks for as long as that takes; one call at a time.
    ///
    /// # Errors
    /// In words, when no witness cosigned. It is asked again with the next checkpoint.
    fn cosign(&self, request: &CosignRequest<'_>) -> Result<String, CosignError>;
}

/// No witness cosigned.
#[derive(Debug, thiserror::Error)]
#[error("no cosignature: {0}")]
pub struct CosignError(pub String);

/// A checkpoint to cosign, and what witnesses want to see beside it.
pub struct CosignRequest<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) published: &'a Published,
    pub(crate) old_size: u64,
}

impl CosignRequest<'_> {
    /// The checkpoint, signed by the log alone.
    #[must_use]
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.published.note
    }

    /// The size that was cosigned last, as far as is known here: a witness may have seen a later
    /// one, and says so.
    #[must_use]
    pub const fn old_size(&self) -> u64 {
        self.old_size
    }

    /// The proof that the checkpoint extends the log of `old_size` entries.
    ///
    /// # Errors
    /// When `old_size` is beyond the checkpoint, or storage fails.
    pub fn consistency(&self, old_size: u64) -> Result<Vec<Hash>, StoreError> {
        let tree = &self.published.tree;
        history::consistency(
            self.shared,
            Log::Authorizations,
            tree,
            old_size,
            tree.size(),
        )
    }
}
