//! What a host checks by itself before it acts (invariant 1: no warrant, no effect). The gate's
//! word is not enough: everything is recomputed from what the host holds, the roster it verified,
//! and its own root-owned pins. The result is a [`Permit`], which the executor demands.
//!
//! Not here: spending `jti` and journalling intent, which need a disk; see `host`.

mod humans;
mod refusal;

pub use refusal::{Refusal, UnusableApproval};

use crate::document::DocumentError;
use crate::jws::{self, Verified};
use crate::key::Ed25519Key;
use crate::log::{
    Checkpoint, LogError, LogKeys, PROOF_HASHES_MAX, ProvenEntry, authorizations_origin,
    hash_from_base64, verify_consistency, verify_proof,
};
use crate::roster::VerifiedRoster;
use crate::ssh::VerifiedStatement;
use crate::warrant::{self, Expected, GATE_KID, VerifiedWarrant};
use crate::{SKEW_SECONDS_MAX, proposal};
use countersign_domain::canonical;
use countersign_domain::entry::change_digest;
use countersign_domain::jws::LEASE_TYP;
use countersign_domain::lease::{Handover, LEASE_SECONDS_MAX, Lease};
use countersign_domain::proposal::HOSTS_MAX;
use countersign_domain::{
    ChangeId, Digest, GroupQuorum, HostId, Nonce, Proposal, RosterChange, Tier, Timestamp,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// Statements in one handover at most.
pub const STATEMENTS_MAX: usize = 64;

/// What the host's own root-owned configuration demands. What the gate says may only tighten it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPins {
    /// The host's own tier. What it demands is in the fields below; it is not judged here.
    pub tier: Tier,
    /// True when the host is enrolled as trial: it takes a trial's warrants.
    pub trial: bool,
    /// Groups whose quorum must have signed each change with their own keys. Empty: none pinned.
    pub required_humans: Vec<GroupQuorum>,
    /// How many witnesses must have cosigned; the roster may demand more.
    pub witness_quorum: u32,
    /// How old the gate's answer may be, in seconds; at most [`LEASE_SECONDS_MAX`] count.
    pub lease_seconds_max: i64,
    /// How far the gate's clock may be ahead, in seconds; at most [`SKEW_SECONDS_MAX`] count.
    pub clock_skew_seconds_max: i64,
}

/// What the host knows when it is handed a warrant.
#[derive(Debug, Clone, Copy)]
pub struct HostView<'a> {
    /// The host.
    pub host: &'a HostId,
    /// Its roster, already extended by the changes that came with the handover.
    pub roster: &'a VerifiedRoster,
    /// Its pins.
    pub pins: &'a HostPins,
    /// The digest of the plan that it holds and would act on.
    pub own_plan_digest: &'a Digest,
    /// The nonce that it asked with.
    pub nonce: &'a Nonce,
    /// The last checkpoint of the authorizations log that it believed.
    pub last_checkpoint: Option<&'a Checkpoint>,
    /// The highest halt epoch that it has seen.
    pub last_halt_epoch: u64,
    /// The time.
    pub now: Timestamp,
    /// How long ago it asked with that nonce, by a clock that nobody sets.
    pub waited: Duration,
}

/// Leave to act, once, on what the warrant permits. Only [`verify`] makes one.
#[derive(Debug)]
pub struct Permit {
    warrant: VerifiedWarrant,
    log_index: u64,
    checkpoint: Checkpoint,
    halt_epoch: u64,
    start_before: Timestamp,
    approvals: Vec<VerifiedStatement>,
}

impl Permit {
    /// The last moment at which the gate's answer is fresh enough to start on (invariant 11): an
    /// executor checks it again when it journals its intent.
    #[must_use]
    pub const fn start_before(&self) -> Timestamp {
        self.start_before
    }

    /// The warrant.
    #[must_use]
    pub const fn warrant(&self) -> &VerifiedWarrant {
        &self.warrant
    }

    /// Where the warrant stands in the authorizations log.
    #[must_use]
    pub const fn log_index(&self) -> u64 {
        self.log_index
    }

    /// The checkpoint to keep, and to hand in as the last one the next time.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The halt epoch to keep, and to hand in as the last one the next time.
    #[must_use]
    pub const fn halt_epoch(&self) -> u64 {
        self.halt_epoch
    }

    /// The humans' approvals that this host verified itself; none where none are pinned.
    #[must_use]
    pub fn approvals(&self) -> &[VerifiedStatement] {
        &self.approvals
    }
}

/// Checks everything that a host demands before it acts.
///
/// # Errors
/// [`Refusal`] names the first thing that does not hold. A refusal changes nothing, and the state
/// to keep (checkpoint, halt epoch) comes from a permit only.
pub fn verify(handover: &Handover, view: &HostView<'_>) -> Result<Permit, Refusal> {
    check_bounds(handover)?;
    check_roster_applied(handover, view)?;
    let gate_key: Ed25519Key = view.roster.gate.warrant.parse()?;
    let warrant = check_warrant(handover, view, &gate_key)?;
    let proven = check_logged(handover, view, &warrant)?;
    check_consistent(handover, view, &warrant, &proven.checkpoint)?;
    let lease = check_lease(handover, view, &gate_key)?;
    check_not_halted(&lease, view, &warrant)?;
    let proposal = check_proposal(handover, view, &warrant)?;
    check_change(handover, view, &warrant, &proposal)?;
    let approvals = humans::check(handover, view, &warrant, &proposal)?;
    Ok(Permit {
        warrant,
        log_index: proven.index,
        checkpoint: proven.checkpoint,
        halt_epoch: lease.halt_epoch,
        start_before: lease.at.plus_seconds(lease_seconds_max(view.pins)),
        approvals,
    })
}

fn check_bounds(handover: &Handover) -> Result<(), Refusal> {
    for (what, count, max) in [
        (
            "consistency hashes",
            handover.consistency.len(),
            PROOF_HASHES_MAX,
        ),
        (
            "roster changes",
            handover.roster.len(),
            crate::roster::CHAIN_MAX,
        ),
        ("statements", handover.statements.len(), STATEMENTS_MAX),
        ("plans", handover.plans.len(), HOSTS_MAX),
    ] {
        if count > max {
            return Err(Refusal::TooMuch(what));
        }
    }
    Ok(())
}

/// The host must know every roster change that the gate relies on, or it would judge by old keys.
fn check_roster_applied(handover: &Handover, view: &HostView<'_>) -> Result<(), Refusal> {
    let Some(last) = handover.roster.last() else {
        return Ok(());
    };
    // What cannot be read was not applied either.
    let handed = canonical::from_bytes::<RosterChange>(last.change.as_bytes())
        .map_or(u64::MAX, |change| change.version);
    check_roster_version(handed, view)
}

fn check_roster_version(handed: u64, view: &HostView<'_>) -> Result<(), Refusal> {
    let known = view.roster.version;
    if handed > known {
        return Err(Refusal::RosterBehind { handed, known });
    }
    Ok(())
}

fn check_warrant(
    handover: &Handover,
    view: &HostView<'_>,
    gate_key: &Ed25519Key,
) -> Result<VerifiedWarrant, Refusal> {
    let expected = Expected {
        gate_key,
        deployment: &view.roster.deployment,
        host: view.host,
        now: view.now,
        skew_seconds: view.pins.clock_skew_seconds_max,
        trial_host: view.pins.trial,
    };
    let warrant = warrant::verify(&handover.warrant, &expected)?;
    if warrant.trial != view.roster.trial {
        return Err(Refusal::TrialMark);
    }
    check_roster_version(warrant.basis.roster_version, view)?;
    Ok(warrant)
}

/// The warrant's very bytes are an entry of the log, behind the authorization that it cites.
fn check_logged(
    handover: &Handover,
    view: &HostView<'_>,
    warrant: &VerifiedWarrant,
) -> Result<ProvenEntry, Refusal> {
    let keys = LogKeys::authorizations(view.roster, view.pins.witness_quorum)?;
    let proven = verify_proof(handover.warrant.as_bytes(), &handover.proof, &keys)?;
    let cited = &warrant.basis.authorization;
    if cited.index >= proven.index || cited.size > proven.index {
        return Err(Refusal::AuthorizationNotBefore {
            authorization: cited.index,
            size: cited.size,
            warrant: proven.index,
        });
    }
    Ok(proven)
}

/// The log only grew since this host last looked, so that all hosts see one log.
fn check_consistent(
    handover: &Handover,
    view: &HostView<'_>,
    warrant: &VerifiedWarrant,
    checkpoint: &Checkpoint,
) -> Result<(), Refusal> {
    let nothing = Checkpoint::empty(authorizations_origin(&view.roster.deployment));
    let last = view.last_checkpoint.unwrap_or(&nothing);
    if checkpoint.size < last.size {
        return Err(Refusal::LogRolledBack {
            seen: last.size,
            now: checkpoint.size,
        });
    }
    let split = |problem| Refusal::SplitView {
        seen: last.size,
        now: checkpoint.size,
        problem,
    };
    if last.origin != checkpoint.origin {
        return Err(split(LogError::Origin {
            expected: last.origin.clone(),
            found: checkpoint.origin.clone(),
        }));
    }
    let cited = &warrant.basis.authorization;
    if cited.size == last.size && cited.root != last.root {
        return Err(split(LogError::Merkle(crate::log::MerkleError::Root)));
    }
    let hashes: Result<Vec<_>, _> = handover
        .consistency
        .iter()
        .map(|hash| hash_from_base64(hash))
        .collect();
    verify_consistency(
        last.size,
        &last.root,
        checkpoint.size,
        &checkpoint.root,
        &hashes.map_err(split)?,
    )
    .map_err(|problem| split(problem.into()))
}

/// How old the gate's answer may be, in seconds, whatever the pins say.
fn lease_seconds_max(pins: &HostPins) -> i64 {
    pins.lease_seconds_max.clamp(0, LEASE_SECONDS_MAX)
}

/// The gate answered this host's own nonce just now (invariant 11).
fn check_lease(
    handover: &Handover,
    view: &HostView<'_>,
    gate_key: &Ed25519Key,
) -> Result<Verified<Lease>, Refusal> {
    let lease: Verified<Lease> = jws::verify(&handover.lease, LEASE_TYP, GATE_KID, gate_key)?;
    for (what, holds) in [
        ("v", lease.v == 1),
        ("deployment", lease.deployment == view.roster.deployment),
        ("host", lease.host == *view.host),
        ("nonce", lease.nonce == *view.nonce),
    ] {
        if !holds {
            return Err(Refusal::LeaseMismatch(what));
        }
    }
    let max_ms = lease_seconds_max(view.pins) * 1000;
    // INVARIANT (11): it answers a nonce of this host's own, so it is no older than the asking,
    // whatever any clock says; and it may be as old, so an answer that was held back is refused.
    let waited_ms = i64::try_from(view.waited.as_millis()).unwrap_or(i64::MAX);
    if waited_ms > max_ms {
        return Err(Refusal::LeaseHeldBack { waited_ms, max_ms });
    }
    // It was made between asking and now: any other time shows that the two clocks disagree.
    let age_ms = view.now.unix_millis() - lease.at.unix_millis();
    let skew_ms = view.pins.clock_skew_seconds_max.clamp(0, SKEW_SECONDS_MAX) * 1000;
    let host_ahead_ms = age_ms.saturating_sub(waited_ms);
    if host_ahead_ms > skew_ms || age_ms < -skew_ms {
        return Err(Refusal::ClocksDisagree {
            direction: if age_ms < 0 { "behind" } else { "ahead of" },
            by_ms: if age_ms < 0 {
                age_ms.saturating_neg()
            } else {
                host_ahead_ms
            },
            max_ms: skew_ms,
        });
    }
    if age_ms > max_ms {
        return Err(Refusal::LeaseAge { age_ms, max_ms });
    }
    Ok(lease)
}

/// Nothing that covers this change is halted, and nothing was since the warrant was issued.
fn check_not_halted(
    lease: &Lease,
    view: &HostView<'_>,
    warrant: &VerifiedWarrant,
) -> Result<(), Refusal> {
    let (now, seen) = (lease.halt_epoch, view.last_halt_epoch);
    if lease.halted {
        return Err(Refusal::Halted);
    }
    if now < seen {
        return Err(Refusal::HaltEpochBack { seen, now });
    }
    let warrant = warrant.halt_epoch;
    if warrant < now {
        return Err(Refusal::HaltEpochOld { warrant, now });
    }
    if warrant > now {
        return Err(Refusal::HaltEpochAhead { warrant, now });
    }
    Ok(())
}

/// The proposal is the agent's own, and the one that the warrant is about.
fn check_proposal(
    handover: &Handover,
    view: &HostView<'_>,
    warrant: &VerifiedWarrant,
) -> Result<Verified<Proposal>, Refusal> {
    let proposal: Result<_, DocumentError> = proposal::verify(&handover.proposal, view.roster);
    let proposal = proposal?;
    if proposal.agent != warrant.sub {
        return Err(Refusal::OtherAgent {
            warrant: warrant.sub.to_string(),
            proposal: proposal.agent.to_string(),
        });
    }
    let change = ChangeId::from_proposal(proposal.digest());
    if change != warrant.txn {
        return Err(Refusal::OtherChange {
            warrant: warrant.txn.clone(),
            proposal: change,
        });
    }
    Ok(proposal)
}

/// Proposal, waves and plans are those decided on, and this host's own plan is among them.
fn check_change(
    handover: &Handover,
    view: &HostView<'_>,
    warrant: &VerifiedWarrant,
    proposal: &Verified<Proposal>,
) -> Result<(), Refusal> {
    let details = warrant.details();
    let mut listed = BTreeSet::new();
    for plan in &handover.plans {
        if proposal.wave_of(&plan.host).is_none() || !listed.insert(&plan.host) {
            return Err(Refusal::PlanList(plan.host.clone()));
        }
    }
    if handover.plans.len() > details.targets_max as usize {
        return Err(Refusal::TooManyTargets {
            plans: handover.plans.len(),
            max: details.targets_max,
        });
    }
    let own = handover
        .plans
        .iter()
        .find(|plan| plan.host == *view.host)
        .ok_or(Refusal::NotInChange)?;
    for decided in [own.plan, details.plan_digest] {
        if decided != *view.own_plan_digest {
            return Err(Refusal::OtherPlan {
                decided,
                own: *view.own_plan_digest,
            });
        }
    }
    // Text and small integers always have canonical bytes; were it otherwise, nothing matches.
    let computed = change_digest(proposal.digest(), &proposal.waves, &handover.plans)
        .unwrap_or_else(|_| Digest::of(b""));
    if computed != details.change_digest {
        return Err(Refusal::ChangeDigest {
            computed,
            warrant: details.change_digest,
        });
    }
    match proposal.wave_of(view.host) {
        Some(own) if own == details.wave as usize => Ok(()),
        Some(own) => Err(Refusal::Wave {
            warrant: details.wave,
            own,
        }),
        None => Err(Refusal::NotInChange),
    }
}
