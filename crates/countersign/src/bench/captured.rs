//! Authorizations as the server logged them, whole: what the ceiling commits again, byte for byte,
//! and the facts that it decides on again.

use super::{BenchError, failed};
use crate::deployment::Deployment;
use countersign_domain::entry::{Event, LogEntry};
use countersign_domain::facts::DecisionFacts;
use countersign_domain::{ChangeId, canonical, jws};
use countersign_gate::World;
use countersign_policy::Policy;
use countersign_store::{Log, PerLog, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Authorizations that are captured at most.
const CAPTURED_MAX: usize = 2_000;

/// One authorization.
#[derive(Default)]
pub(super) struct Captured {
    /// The recommendation: the proposal's JWS.
    pub(super) proposal: String,
    /// The host's plan (JWS), which one of the entries holds.
    pub(super) plan: String,
    /// The entries up to the authorization, in order.
    pub(super) authorized: Vec<Vec<u8>>,
    /// The warrant's JWS, which is an entry.
    pub(super) warrant: String,
    /// What was decided on.
    pub(super) facts: Option<DecisionFacts>,
}

impl Captured {
    /// The bytes of all its entries, of both logs.
    pub(super) fn entries(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.proposal.as_bytes())
            .chain(self.authorized.iter().map(Vec::as_slice))
            .chain(std::iter::once(self.warrant.as_bytes()))
    }

    fn is_whole(&self) -> bool {
        let texts = [&self.proposal, &self.plan, &self.warrant];
        texts.iter().all(|text| !text.is_empty()) && self.facts.is_some()
    }
}

/// The roster and the policy that the server decides by.
#[derive(Clone)]
pub(super) struct InForce {
    pub(super) world: Arc<World>,
    pub(super) policy: Arc<Policy>,
}

impl InForce {
    pub(super) fn of(deployment: &Deployment) -> Result<Self, BenchError> {
        let world = deployment.gate().world().map_err(failed("the policy"))?;
        let policy = world.policy().map_err(failed("the policy"))?;
        Ok(Self {
            policy: Arc::clone(&policy.policy),
            world,
        })
    }
}

/// Reads the authorizations that were logged since the logs had these sizes.
pub(super) fn capture(
    deployment: &Deployment,
    since: PerLog<u64>,
) -> Result<Vec<Captured>, BenchError> {
    const WHAT: &str = "reading the log back";
    let store = deployment.gate().store();
    let entries = store
        .read(|view| {
            let size = view.head(Log::Authorizations)?.size;
            let count = usize::try_from(size - since.authorizations).unwrap_or(usize::MAX);
            view.entries(Log::Authorizations, since.authorizations, count)
        })
        .map_err(|error: StoreError| failed::<StoreError>(WHAT)(error))?;
    let mut changes: BTreeMap<ChangeId, Captured> = BTreeMap::new();
    for bytes in entries {
        match LogEntry::read(&bytes).map_err(failed(WHAT))? {
            LogEntry::Warrant(jws) => {
                let parts = jws::take_apart(&jws).map_err(failed(WHAT))?;
                let warrant: countersign_domain::Warrant =
                    canonical::from_bytes(&parts.payload).map_err(failed(WHAT))?;
                changes.entry(warrant.txn).or_default().warrant = jws;
            }
            LogEntry::Entry(entry) => {
                if let Some(change) = entry.event.change() {
                    let captured = changes.entry(change.clone()).or_default();
                    add(store, captured, &entry.event)?;
                    captured.authorized.push(bytes);
                }
            }
        }
    }
    let mut captured: Vec<Captured> = changes.into_values().collect();
    captured.truncate(CAPTURED_MAX);
    if captured.is_empty() || !captured.iter().all(Captured::is_whole) {
        return Err(BenchError::Void(
            "the log does not hold every authorization whole".into(),
        ));
    }
    Ok(captured)
}

fn add(
    store: &countersign_store::Store,
    captured: &mut Captured,
    event: &Event,
) -> Result<(), BenchError> {
    const WHAT: &str = "reading the log back";
    let missing = |what: &str| StoreError::Damaged(format!("{what} is missing"));
    match event {
        Event::Proposed { recommendation, .. } => {
            let bytes = store
                .read(|view| {
                    view.entry(Log::Recommendations, recommendation.index)?
                        .ok_or_else(|| missing("a recommendation"))
                })
                .map_err(failed(WHAT))?;
            captured.proposal = String::from_utf8(bytes).map_err(failed(WHAT))?;
        }
        Event::Prepared { plan, .. } => captured.plan.clone_from(plan),
        Event::Decided { decision, .. } => {
            let blob = store
                .read(|view| {
                    view.blob(&decision.facts)?
                        .ok_or_else(|| missing("a decision's facts"))
                })
                .map_err(failed(WHAT))?;
            captured.facts = Some(canonical::from_bytes(&blob.bytes).map_err(failed(WHAT))?);
        }
        _ => {}
    }
    Ok(())
}
