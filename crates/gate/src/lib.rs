//! The authorization lifecycle: propose, prepare, decide, approve, redeem, settle, review, halt, sweep.
//!
//! The gate is the only writer of the authorizations log. Whatever changes state runs as one job of
//! the store: it checks what it was prepared on, appends entries, and the `fold` turns the entries
//! into projections, all in one transaction. Time and chance are arguments; nothing here knows
//! HTTP, terminals or processes.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::panic,
        clippy::indexing_slicing,
        missing_docs
    )
)]

/// Tries again on the new state when roster, policy or halts changed meanwhile. A macro, because
/// the futures of async closures are not known to be `Send`.
macro_rules! retried {
    ($attempt:expr) => {{
        let mut left = crate::RETRIES;
        loop {
            match $attempt.await {
                Err(crate::GateError::Changed) if left > 0 => left -= 1,
                done => break done,
            }
        }
    }};
}

mod decide;
mod emergency;
mod error;
pub mod fold;
pub mod found;
mod gather;
mod govern;
mod halt;
mod observe;
mod prepare;
mod proposals;
mod propose;
mod reconcile;
mod redeem;
mod review;
mod settle;
mod silence;
pub mod state;
mod stated;
mod sweep;
mod unread;
pub mod view;
mod vote;
mod world;

pub use decide::DecisionPreview;
pub use error::{GateError, Withheld};
pub use govern::{FeedImport, InventoryChange, PolicyChange, calendars};
pub use propose::{Proposed, Submission};
pub use redeem::Redemption;
pub use sweep::Swept;
pub use world::World;

use countersign_domain::entry::{Entry, Event};
use countersign_domain::{DeploymentId, Timestamp};
use countersign_store::{Pending, Read, Store, Write};
use ed25519_dalek::SigningKey;
use std::sync::Arc;

/// The gate of one deployment.
pub struct Gate {
    store: Store,
    warrant_key: SigningKey,
    worlds: Arc<world::WorldCache>,
    proposals: proposals::Proposals,
}

impl Gate {
    /// A gate over an open store, with the key that signs warrants and leases.
    #[must_use]
    pub fn new(store: Store, warrant_key: SigningKey) -> Self {
        Self {
            store,
            warrant_key,
            worlds: Arc::default(),
            proposals: proposals::Proposals::default(),
        }
    }

    /// The store, for reading logs and proofs.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Roster, policy, halts and feeds as they are now.
    ///
    /// # Errors
    /// When storage fails, or the deployment has not been founded.
    pub fn world(&self) -> Result<Arc<World>, GateError> {
        self.worlds.now(&self.store)
    }

    /// Reads from one consistent view, together with the world of that view.
    fn view<T>(
        &self,
        read: impl FnOnce(&dyn Read, &World) -> Result<T, GateError>,
    ) -> Result<T, GateError> {
        self.store.read(|view| {
            let world = self.worlds.at(view)?;
            read(view, &world)
        })
    }

    /// Runs a job that was prepared on `world`. What was verified and gathered on it holds only
    /// while its epoch is current: a decision cites the policy in force at its own entry.
    fn submit<T: Send + 'static>(
        &self,
        world: &World,
        job: impl FnOnce(&mut dyn Write) -> Result<T, GateError> + Send + 'static,
    ) -> Pending<T, GateError> {
        let epoch = world.epoch;
        let worlds = Arc::clone(&self.worlds);
        self.store.submit(move |tx| {
            let found = state::load::<world::EpochRecord>(tx, "current")?;
            if found != Some(epoch) {
                if let Some(met) = found {
                    worlds.meet(met);
                }
                return Err(GateError::Changed);
            }
            let done = job(tx)?;
            if let Some(left) = state::load(tx, "current")? {
                worlds.meet(left);
            }
            Ok(done)
        })
    }

    /// A compact JWS by the gate's own key.
    fn sign(&self, typ: &str, payload: &[u8]) -> String {
        use countersign_domain::jws;
        use ed25519_dalek::Signer;
        let input = jws::signing_input(typ, GATE_KID, payload);
        jws::assemble(&input, &self.warrant_key.sign(input.as_bytes()).to_bytes())
    }
}

/// How often an operation is tried again before its caller hears of it.
const RETRIES: usize = 3;

/// The `kid` of what the gate signs.
pub const GATE_KID: &str = "gate";

/// Who writes an entry, and when: the frame of every entry of one job.
#[derive(Clone)]
struct Frame {
    deployment: DeploymentId,
    trial: bool,
    at: Timestamp,
}

impl Frame {
    fn new(world: &World, at: Timestamp) -> Self {
        Self {
            deployment: world.roster.deployment.clone(),
            trial: world.roster.trial,
            at,
        }
    }

    /// Appends an event and folds it; the index of its entry.
    fn append(&self, tx: &mut dyn Write, event: Event) -> Result<u64, GateError> {
        let entry = Entry {
            v: 1,
            deployment: self.deployment.clone(),
            trial: self.trial,
            at: self.at,
            event,
        };
        Ok(fold::append(tx, &entry)?.index)
    }

    /// Raises an alarm.
    fn alarm(
        &self,
        tx: &mut dyn Write,
        kind: &str,
        change: Option<&countersign_domain::ChangeId>,
        text: impl Into<String>,
    ) -> Result<u64, GateError> {
        self.append(
            tx,
            Event::Alarm {
                kind: kind.to_owned(),
                change: change.cloned(),
                text: countersign_domain::text::shown(&text.into(), 500),
            },
        )
    }
}

/// Keeps a text beside the log under its salted digest.
fn keep_text(
    tx: &mut dyn Write,
    text: &countersign_domain::text::SaltedText,
    digest: &countersign_domain::Digest,
) -> Result<(), GateError> {
    let blob = countersign_store::Blob {
        salt: Some(text.salt.clone()),
        bytes: text.text.clone().into_bytes(),
    };
    Ok(tx.put_blob(digest, &blob)?)
}

/// Keeps bytes beside the log under their digest.
fn keep(tx: &mut dyn Write, bytes: Vec<u8>) -> Result<countersign_domain::Digest, GateError> {
    let digest = countersign_domain::Digest::of(&bytes);
    tx.put_blob(&digest, &countersign_store::Blob { salt: None, bytes })?;
    Ok(digest)
}
