//! Proposals that were verified lately, so that the signature under one is not verified again with
//! each plan that answers it.

use countersign_domain::{ChangeId, Digest, Proposal};
use countersign_verify::Verified;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of proposals in one of the two generations (what they were read as is about as large).
const GENERATION_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Verified proposals by their change, each with the head of the roster that it was verified on: on
/// another roster it is verified again.
#[derive(Default)]
pub(crate) struct Proposals(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: Generation,
    old: Generation,
}

#[derive(Default)]
struct Generation {
    known: HashMap<ChangeId, (Digest, Arc<Verified<Proposal>>)>,
    bytes: usize,
}

impl Proposals {
    /// The proposal of a change, as it was verified on the roster with this head.
    pub(crate) fn get(
        &self,
        change: &ChangeId,
        roster: &Digest,
    ) -> Option<Arc<Verified<Proposal>>> {
        let all = self.locked();
        let known = all.young.known.get(change);
        known
            .or_else(|| all.old.known.get(change))
            .filter(|(head, _)| head == roster)
            .map(|(_, proposal)| Arc::clone(proposal))
    }

    /// Remembers a proposal that was verified on the roster with this head.
    pub(crate) fn put(&self, change: ChangeId, roster: Digest, proposal: Arc<Verified<Proposal>>) {
        let mut all = self.locked();
        all.young.bytes += proposal.jws().len();
        if let Some((_, replaced)) = all.young.known.insert(change, (roster, proposal)) {
            all.young.bytes -= replaced.jws().len();
        }
        if all.young.bytes > GENERATION_BYTES_MAX {
            all.old = std::mem::take(&mut all.young);
        }
    }

    fn locked(&self) -> MutexGuard<'_, Generations> {
        // Every value in it is whole, whoever panicked meanwhile.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
