//! One genuine handover, every part of which a test can change before it is signed.

use crate::support::{Log, NoteSigner, deployment, host, key, nonce, now, roster_of, sign};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_domain::entry::change_digest;
use countersign_domain::jws::{LEASE_TYP, PROPOSAL_TYP};
use countersign_domain::lease::{Handover, HostPlan, Lease};
use countersign_domain::proposal::Proposal;
use countersign_domain::roster::SignedRosterChange;
use countersign_domain::statement::SignedStatement;
use countersign_domain::warrant::{LogReference, Warrant};
use countersign_domain::{ChangeId, Digest, Tier, canonical};
use countersign_verify::warrant::GATE_KID;
use countersign_verify::{
    Checkpoint, HostPins, HostView, Permit, Refusal, VerifiedRoster, handover,
};

pub const ORIGIN: &str = "example.org/test/authorizations";
/// Leaf index of the warrant in the log of a [`Case`], which has some entries behind it.
pub const WARRANT_AT: usize = 5;
const ENTRIES_BEHIND: usize = 3;

/// Everything that goes into a handover and into a host's view of it, before it is signed.
#[derive(Clone)]
pub struct Case {
    pub roster: VerifiedRoster,
    pub pins: HostPins,
    pub proposal: Proposal,
    pub plans: Vec<HostPlan>,
    pub warrant: Warrant,
    pub lease: Lease,
    pub statements: Vec<SignedStatement>,
    pub roster_changes: Vec<SignedRosterChange>,
    pub before: Log,
    pub seen: Option<Checkpoint>,
    pub seen_size: usize,
    pub seen_halt_epoch: u64,
    pub witnesses: Vec<&'static str>,
    pub waited: std::time::Duration,
}

pub fn plan_of(name: &str) -> HostPlan {
    HostPlan {
        host: host(name),
        plan: Digest::of(format!("plan of {name}").as_bytes()),
    }
}

impl Case {
    pub fn new() -> Self {
        Self::of_trial(false)
    }

    pub fn of_trial(trial: bool) -> Self {
        let before = Log((0..WARRANT_AT)
            .map(|n| format!("entry {n}").into_bytes())
            .collect());
        let mut warrant = crate::support::warrant();
        warrant.trial = trial;
        warrant.halt_epoch = 4;
        warrant.basis.authorization = LogReference {
            origin: ORIGIN.into(),
            index: 3,
            size: 4,
            root: before.root_at(4),
        };
        let mut case = Self {
            roster: roster_of(trial),
            pins: HostPins {
                tier: Tier::new(2).unwrap(),
                trial,
                required_humans: Vec::new(),
                witness_quorum: 1,
                lease_seconds_max: 60,
                clock_skew_seconds_max: 30,
            },
            proposal: crate::support::proposal(),
            plans: vec![plan_of("web-1"), plan_of("web-2")],
            warrant,
            lease: Lease {
                v: 1,
                deployment: deployment(),
                host: host("web-1"),
                nonce: nonce("fresh"),
                at: now().plus_seconds(-2),
                halt_epoch: 4,
                halted: false,
            },
            statements: Vec::new(),
            roster_changes: Vec::new(),
            seen: Some(before.checkpoint(ORIGIN, 4)),
            seen_size: 4,
            before,
            seen_halt_epoch: 3,
            witnesses: vec!["witness.example/one"],
            waited: std::time::Duration::ZERO,
        };
        case.bind();
        case
    }

    /// Sets what the warrant says of the change to what the proposal and the plans give.
    pub fn bind(&mut self) {
        let proposal = canonical::digest(&self.proposal).unwrap();
        self.warrant.txn = ChangeId::from_proposal(&proposal);
        let details = &mut self.warrant.authorization_details[0];
        details.change_digest =
            change_digest(&proposal, &self.proposal.waves, &self.plans).unwrap();
        details.plan_digest = plan_of("web-1").plan;
        details.wave = 1;
    }

    pub fn change_digest(&self) -> Digest {
        self.warrant.authorization_details[0].change_digest
    }

    /// The log as it is when the warrant and some entries behind it are in.
    pub fn log(&self) -> Log {
        let mut log = self.before.clone();
        log.0
            .push(crate::warrant::sign_warrant(&self.warrant).into_bytes());
        log.0
            .extend((0..ENTRIES_BEHIND).map(|n| format!("behind {n}").into_bytes()));
        log
    }

    pub fn handover(&self) -> Handover {
        let log = self.log();
        let size = log.0.len();
        let own = NoteSigner::log(ORIGIN);
        let witnesses: Vec<_> = self
            .witnesses
            .iter()
            .map(|name| NoteSigner::witness(name))
            .collect();
        let mut signers = vec![&own];
        signers.extend(&witnesses);
        Handover {
            warrant: crate::warrant::sign_warrant(&self.warrant),
            proof: log.proof(ORIGIN, WARRANT_AT, size, &signers),
            lease: sign(&key("gate"), LEASE_TYP, GATE_KID, &self.lease),
            consistency: log
                .consistency(self.seen_size, size)
                .iter()
                .map(|hash| STANDARD.encode(hash.as_bytes()))
                .collect(),
            roster: self.roster_changes.clone(),
            statements: self.statements.clone(),
            proposal: sign(&key("patcher"), PROPOSAL_TYP, "patcher", &self.proposal),
            plans: self.plans.clone(),
        }
    }

    pub fn check_handover(&self, handover: &Handover) -> Result<Permit, Refusal> {
        let view = HostView {
            host: &host("web-1"),
            roster: &self.roster,
            pins: &self.pins,
            own_plan_digest: &plan_of("web-1").plan,
            nonce: &nonce("fresh"),
            last_checkpoint: self.seen.as_ref(),
            last_halt_epoch: self.seen_halt_epoch,
            now: now(),
            waited: self.waited,
        };
        handover::verify(handover, &view)
    }

    pub fn check(&self) -> Result<Permit, Refusal> {
        self.check_handover(&self.handover())
    }
}
