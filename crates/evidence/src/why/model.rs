//! The chain of accountability of one change, as values: what `--json` gives, and what the page is
//! rendered from. Everything here was proven, except where a field says that it is a claim.

use super::aftermath::{Closed, ExecutedOn, HaltLine, Noted, Review};
use crate::finding::Findings;
use countersign_domain::asset::{Environment, Tier};
use countersign_domain::facts::{BlastRadius, Contradiction};
use countersign_domain::plan::RollbackSource;
use countersign_domain::statement::Vote;
use countersign_domain::warrant::Ground;
use countersign_domain::{
    AgentId, ChangeId, Digest, GroupId, HostId, Outcome, PersonId, Reason, RuleId, Timestamp,
    Transition,
};
use serde::Serialize;

/// A named human: the handle, and the display name where it is still kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Person {
    /// The handle in the roster.
    pub handle: PersonId,
    /// The display name, harmless to show.
    pub name: Option<String>,
}

/// A human and when they signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignedBy {
    /// Who.
    pub person: Person,
    /// When, by the signer's clock.
    pub at: Timestamp,
}

/// Who asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// The agent, whose signature verified.
    pub agent: AgentId,
    /// The human who answered for it then.
    pub owner: Person,
    /// When it signed the proposal, by its clock.
    pub proposed_at: Timestamp,
    /// When the gate logged it.
    pub logged_at: Timestamp,
    /// The digest of the proposal.
    pub proposal: Digest,
    /// Its entry in the authorizations log.
    pub entry: u64,
    /// Its entry in the recommendations log.
    pub recommendation: u64,
}

/// One transition of a plan, and its way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanStep {
    /// What happens, with the digest of the artifact.
    pub transition: Transition,
    /// False when it is pulled in by another.
    pub requested: bool,
    /// True when it comes from the distribution's security archive.
    pub security: bool,
    /// Where the artifact for going back comes from.
    pub rollback: RollbackSource,
    /// The digest of that artifact, where it is known.
    pub rollback_sha256: Option<Digest>,
    /// True when that artifact lay on the host before anything was decided.
    pub rollback_stored: bool,
}

/// What a host signed that it would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// The host.
    pub host: HostId,
    /// The digest of the plan.
    pub plan: Digest,
    /// When it was prepared, by the host's clock.
    pub prepared_at: Timestamp,
    /// What would happen, in order.
    pub steps: Vec<PlanStep>,
    /// Health checks that run afterwards.
    pub checks: Vec<String>,
    /// Its entry.
    pub entry: u64,
}

/// How well a fact was known when it was decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Freshness {
    /// Known, and fresh enough.
    Fresh,
    /// Known once, too old to count.
    Stale,
    /// Not known.
    Missing,
}

/// One fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FactLine {
    /// What it is about.
    pub name: String,
    /// What is known, or why nothing is.
    pub value: String,
    /// How well.
    pub freshness: Freshness,
    /// Who says so.
    pub source: String,
    /// When they said it.
    pub at: Option<Timestamp>,
    /// The digest of the document that says it.
    pub digest: Option<Digest>,
}

/// What a decision rested on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Basis {
    /// When the facts were gathered.
    pub at: Timestamp,
    /// What intelligence said.
    pub facts: Vec<FactLine>,
    /// The most sensitive environment among the targets.
    pub environment: Environment,
    /// The highest tier among the targets.
    pub tier: Tier,
    /// How much it touches.
    pub blast: BlastRadius,
    /// Rollbacks of the same transition in similar environments within 90 days.
    pub rollbacks_in_similar: u32,
    /// Hosts in lower environments where it was healthy, and for how many hours.
    pub healthy_in_lower: (u32, u32),
    /// Packages that change without having been named: upgraded, added, removed.
    pub chain: (u32, u32, u32),
    /// Age of the oldest observation or plan, in seconds.
    pub evidence_age_seconds: u32,
    /// Within a change window, and within a freeze.
    pub window_and_freeze: (bool, bool),
    /// What the agent claimed against the facts.
    pub contradictions: Vec<Contradiction>,
}

/// A policy version, and who signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyVersion {
    /// Its digest.
    pub policy: Digest,
    /// Its number.
    pub version: u64,
    /// When it came into force.
    pub at: Timestamp,
    /// The humans whose signatures verified.
    pub signed_by: Vec<SignedBy>,
    /// Its entry.
    pub entry: u64,
}

/// One decision of the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decided {
    /// What was decided.
    pub outcome: Outcome,
    /// When.
    pub at: Timestamp,
    /// The rules that determined it.
    pub rules: Vec<RuleId>,
    /// The rules that kept a standing authority from applying.
    pub withheld_by: Vec<RuleId>,
    /// Why, in words.
    pub reasons: Vec<Reason>,
    /// Groups asked, and how many of each.
    pub asked: Vec<(GroupId, u32)>,
    /// The policy version that decided; none when no sound one was in force.
    pub policy: Option<PolicyVersion>,
    /// The digest of the facts.
    pub facts: Digest,
    /// The facts themselves; none when they are no longer kept.
    pub basis: Option<Basis>,
    /// Proposal, waves and plans.
    pub change_digest: Digest,
    /// Until when it had to be decided by people, or redeemed.
    pub until: Timestamp,
    /// Its entry.
    pub entry: u64,
}

/// A vote that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VoteCast {
    /// Who, and when.
    pub by: SignedBy,
    /// Approve or refuse.
    pub vote: Vote,
    /// The groups for which it counts.
    pub counts_for: Vec<GroupId>,
    /// The key's fingerprint.
    pub credential: String,
    /// What they wrote, where it is still kept.
    pub rationale: Option<String>,
    /// True when a later decision asked something else, so that it no longer counts.
    pub void: bool,
    /// Its entry.
    pub entry: u64,
}

/// That it may run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Authorized {
    /// On what ground.
    pub ground: Ground,
    /// The named humans behind it.
    pub signed_by: Vec<SignedBy>,
    /// When.
    pub at: Timestamp,
    /// Until when it could be redeemed.
    pub until: Timestamp,
    /// Its entry.
    pub entry: u64,
}

/// What proves the entries shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proofs {
    /// The log's origin.
    pub origin: String,
    /// The size of the tree that the proofs lead to.
    pub size: u64,
    /// Its root.
    pub root: Option<Digest>,
    /// Witnesses that cosigned it.
    pub witnesses: Vec<String>,
    /// Entries whose inclusion was verified.
    pub entries: Vec<u64>,
    /// The digest of the genesis: what to compare with the pin.
    pub genesis: Option<Digest>,
    /// The command that verifies all of it.
    pub command: String,
}

/// The agent's own reasons: a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "text", rename_all = "kebab-case")]
pub enum Rationale {
    /// It gave none.
    None,
    /// It gave some, which are no longer kept (or were not exported).
    Erased,
    /// As it wrote them; they match the digest that it signed.
    Claimed(String),
}

/// Who decided what, on what basis, when relative to execution, and against which rollback plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Why {
    /// The change.
    pub change: ChangeId,
    /// Where it stands, by the entries shown.
    pub state: String,
    /// True in a trial deployment, where one person may have done it all.
    pub trial: bool,
    /// When this was put together.
    pub as_of: Timestamp,
    /// What does not hold. Loud, and first.
    pub findings: Findings,
    /// Who asked; none when the proposal does not hold.
    pub asked: Option<Asked>,
    /// What exactly, host by host.
    pub plans: Vec<Planned>,
    /// The decisions, in order.
    pub decisions: Vec<Decided>,
    /// Who voted.
    pub votes: Vec<VoteCast>,
    /// The authorizations, in order; the last one counts.
    pub authorized: Vec<Authorized>,
    /// What ran, host by host.
    pub executions: Vec<ExecutedOn>,
    /// How it ended without running.
    pub closed: Option<Closed>,
    /// The review, where one is due.
    pub review: Option<Review>,
    /// Halts and resumptions in between.
    pub halts: Vec<HaltLine>,
    /// Alarms about it.
    pub alarms: Vec<Noted>,
    /// What proves it.
    pub proofs: Proofs,
    /// The agent's own reasons.
    pub rationale: Rationale,
}
