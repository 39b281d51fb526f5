//! Whether what was measured holds: handovers are verified as a host would verify them, offline, and
//! the database is checked whole when the run is over. A run with a flaw gives no figures.

use super::clients::Round;
use super::{BenchError, failed};
use crate::ambient;
use crate::deployment::{DATABASE, Deployment};
use countersign_domain::asset::Tier;
use countersign_domain::lease::{Handover, LEASE_SECONDS_MAX};
use countersign_ledger::VerifierKey;
use countersign_store::{Log, PerLog, StoreError};
use countersign_verify::handover::{self, HostPins, HostView};
use countersign_verify::log::verify_checkpoint;
use countersign_verify::{Checkpoint, LogKeys};
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// Entries that are read back at a time.
const ENTRIES_AT_A_TIME: usize = 1_000;

/// What was verified.
#[derive(Debug, Serialize)]
pub(crate) struct Checked {
    /// Authorizations that were answered with a warrant, all of them found in the log.
    authorizations: usize,
    /// Handovers that were verified as a host does before it acts.
    handovers_verified: usize,
    /// Entries of the authorizations log, hashed again.
    entries: u64,
    /// Blobs, hashed again.
    blobs: u64,
}

/// Handovers that were verified.
#[derive(Default)]
pub(super) struct Samples {
    verified: usize,
}

/// Sizes of the published logs.
pub(super) fn sizes(deployment: &Deployment) -> PerLog<u64> {
    let store = deployment.gate().store();
    PerLog {
        recommendations: store.checkpoint(Log::Recommendations).0,
        authorizations: store.checkpoint(Log::Authorizations).0,
    }
}

/// Keys of both logs.
pub(super) fn vkeys(deployment: &Deployment) -> PerLog<VerifierKey> {
    let store = deployment.gate().store();
    PerLog {
        recommendations: store.verifier_key(Log::Recommendations).clone(),
        authorizations: store.verifier_key(Log::Authorizations).clone(),
    }
}

/// The authorizations log's checkpoint, as a host that believes it holds it.
pub(super) fn checkpoint(deployment: &Deployment) -> Result<Checkpoint, BenchError> {
    const WHAT: &str = "the log's checkpoint";
    let world = deployment.gate().world().map_err(failed(WHAT))?;
    let keys = LogKeys::authorizations(&world.roster, 0).map_err(failed(WHAT))?;
    let note = deployment.gate().store().checkpoint(Log::Authorizations).1;
    verify_checkpoint(&note.to_string(), &keys).map_err(failed(WHAT))
}

impl Samples {
    /// Verifies the handovers that a round kept, and that each authorization was answered.
    pub(super) fn check(
        &mut self,
        deployment: &Deployment,
        seen: &Checkpoint,
        round: &Round,
    ) -> Result<(), BenchError> {
        const WHAT: &str = "a handover";
        if round.latencies.len() != round.work.len() || round.kept.is_empty() {
            return Err(BenchError::Void("not every request was answered".into()));
        }
        let world = deployment.gate().world().map_err(failed(WHAT))?;
        let pins = HostPins {
            tier: Tier::new(3).map_err(failed(WHAT))?,
            trial: false,
            required_humans: Vec::new(),
            witness_quorum: 0,
            lease_seconds_max: LEASE_SECONDS_MAX,
            clock_skew_seconds_max: 0,
        };
        for (place, body) in &round.kept {
            let handover: Handover = serde_json::from_slice(body).map_err(failed(WHAT))?;
            let asked = round
                .work
                .get(*place)
                .ok_or_else(|| BenchError::Void("an answer without a request".into()))?;
            let view = HostView {
                host: &asked.host,
                roster: &world.roster,
                pins: &pins,
                own_plan_digest: &asked.plan_digest,
                nonce: &asked.nonce,
                last_checkpoint: Some(seen),
                last_halt_epoch: 0,
                now: ambient::now(),
                // Answers are kept until their round is over.
                waited: Duration::from_secs(LEASE_SECONDS_MAX.unsigned_abs()),
            };
            handover::verify(&handover, &view).map_err(failed(WHAT))?;
            self.verified += 1;
        }
        Ok(())
    }
}

/// Checks that each authorization that was answered stands in both logs: a proposal in the one and a
/// warrant in the other, which are the entries that are a JWS.
pub(super) fn logged(deployment: &Deployment, authorizations: usize) -> Result<(), BenchError> {
    let store = deployment.gate().store();
    for log in Log::ALL {
        let mut signed = 0;
        let mut next = 0;
        loop {
            let entries = store
                .read(|view| view.entries(log, next, ENTRIES_AT_A_TIME))
                .map_err(|error: StoreError| failed::<StoreError>("reading the logs")(error))?;
            if entries.is_empty() {
                break;
            }
            next += entries.len() as u64;
            signed += entries
                .iter()
                .filter(|entry| entry.first() != Some(&b'{'))
                .count();
        }
        if signed != authorizations {
            return Err(BenchError::Void(format!(
                "{authorizations} authorizations were answered, {signed} are in the {} log",
                log.as_str()
            )));
        }
    }
    Ok(())
}

/// Checks the database of a server that has stopped.
pub(super) fn database(
    dir: &Path,
    vkeys: &PerLog<VerifierKey>,
    authorizations: usize,
    samples: &Samples,
) -> Result<Checked, BenchError> {
    let report = countersign_store::fsck(&dir.join(DATABASE), Some(vkeys))
        .map_err(failed("checking the database"))?;
    if !report.is_sound() {
        return Err(BenchError::Void(format!(
            "the database is damaged: {}",
            report.problems.join("; ")
        )));
    }
    Ok(Checked {
        authorizations,
        handovers_verified: samples.verified,
        entries: report.logs.authorizations.size,
        blobs: report.blobs,
    })
}
