//! What goes over the wire, for the server and its clients. Forms of the domain are used as they
//! are; here are only the envelopes around them.

use countersign_domain::decision::{Decision, Reason};
use countersign_domain::emergency::EmergencyBundle;
use countersign_domain::finding::Finding;
use countersign_domain::lease::HostPlan;
use countersign_domain::roster::SignedRosterChange;
use countersign_domain::text::SaltedText;
use countersign_domain::warrant::Signer;
use countersign_domain::{
    ChangeId, ChangeState, DeploymentId, Digest, Nonce, Outcome, PersonId, PreparedPlan,
    SignedStatement, Timestamp,
};
use countersign_gate::state::EmergencyRecord;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use countersign_gate::state::{AlarmRecord, ContactRecord, UnwarrantedRecord};
pub use countersign_gate::view::{ChangeView, Halts, Work};

/// The deployment, for anybody.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeploymentView {
    /// Its id.
    pub deployment: DeploymentId,
    /// True for a trial.
    pub trial: bool,
    /// The digest of its genesis.
    pub genesis: Digest,
    /// The roster's version.
    pub roster_version: u64,
    /// Counts halts and resumes.
    pub halt_epoch: u64,
    /// Verifier key of the authorizations log.
    pub authorizations_vkey: String,
    /// Verifier key of the recommendations log.
    pub recommendations_vkey: String,
    /// The server's time.
    pub now: Timestamp,
    /// The server's version.
    pub version: String,
}

/// Roster changes, as signed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RosterChanges {
    /// The version after all of them that exist.
    pub version: u64,
    /// The next ones, at most 100.
    pub changes: Vec<SignedRosterChange>,
}

/// The names of people, where they have not been erased.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct People {
    /// By handle.
    pub names: BTreeMap<PersonId, String>,
}

/// A host's observation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObservationBody {
    /// As signed (compact JWS).
    pub observation: String,
}

/// A host's report of its packages.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackagesBody {
    /// As signed (compact JWS).
    pub report: String,
}

/// A host's plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanBody {
    /// As signed (compact JWS).
    pub plan: String,
}

/// Why a host cannot prepare a plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnpreparedBody {
    /// In words.
    pub why: String,
}

/// A host asks for its warrant.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedemptionBody {
    /// Fresh.
    pub nonce: Nonce,
    /// The size of the last checkpoint that the host saw; 0 for none.
    pub checkpoint_size: u64,
    /// The roster version that the host has.
    pub roster_version: u64,
}

/// A host's start notice.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartedBody {
    /// As signed (compact JWS).
    pub notice: String,
}

/// A host's receipt.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptBody {
    /// As signed (compact JWS).
    pub receipt: String,
}

/// Where a change stands now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StateAnswer {
    /// The state.
    pub state: ChangeState,
}

/// Upgrades that hosts could make, with their facts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Findings {
    /// When they were put together.
    pub as_of: Timestamp,
    /// One for each upgrade and host.
    pub findings: Vec<Finding>,
}

/// An agent's proposal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProposalBody {
    /// As signed (compact JWS).
    pub proposal: String,
    /// The text behind the proposal's rationale digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rationale: Option<SaltedText>,
    /// Plans that all its hosts have signed for it already, where there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plans: Vec<String>,
}

/// What a proposal became.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Proposed {
    /// The change.
    pub change: ChangeId,
    /// Where it stands.
    pub state: ChangeState,
}

/// Changes, newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Changes {
    /// One page.
    pub changes: Vec<ChangeView>,
    /// Pass it as `after` for the next page; none on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// What a decision on a change rests on, so that whoever signs can put its digest together.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Basis {
    /// The digest that a vote has to name.
    pub digest: Option<Digest>,
    /// The proposal as its agent signed it (compact JWS).
    pub proposal: String,
    /// The plans of the hosts that are part of it.
    pub plans: Vec<PreparedPlan>,
    /// Their digests, as the change digest binds them.
    pub bound: Vec<HostPlan>,
    /// The decision.
    pub decision: Option<Decision>,
    /// The agent's rationale, unless it was erased.
    pub rationale: Option<String>,
}

/// What the policy would say now, in words.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Preview {
    /// The outcome.
    pub outcome: Outcome,
    /// Why.
    pub reasons: Vec<Reason>,
    /// Each rule, why it held or not.
    pub words: String,
}

/// A human's vote on a change.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoteBody {
    /// As signed.
    pub statement: SignedStatement,
    /// The text behind the statement's rationale digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rationale: Option<SaltedText>,
}

/// A human's review of a change.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewBody {
    /// As signed.
    pub statement: SignedStatement,
    /// The text behind the statement's note digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<SaltedText>,
}

/// What a host did without the gate.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmergencyBody {
    /// Order, plan and statements.
    pub bundle: EmergencyBundle,
    /// The signed receipt (compact JWS).
    pub receipt: String,
}

/// Which emergencies are listed.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmergenciesQuery {
    /// Those that were reviewed, too.
    pub reviewed: bool,
}

/// Emergencies, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Emergencies {
    /// Them.
    pub emergencies: Vec<EmergencyRecord>,
}

/// A human stops something.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HaltBody {
    /// As signed.
    pub statement: SignedStatement,
}

/// Humans let something go on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResumptionBody {
    /// As signed, one for each person.
    pub statements: Vec<SignedStatement>,
}

/// The halt epoch after a halt or resume.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HaltAnswer {
    /// The epoch.
    pub halt_epoch: u64,
}

/// A policy version, with the signatures of its quorum.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyBody {
    /// Its files, by path inside the folder.
    pub files: BTreeMap<String, String>,
    /// Who wrote it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<PersonId>,
    /// Statements of kind `policy`.
    pub statements: Vec<SignedStatement>,
}

/// The policy in force.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PolicyView {
    /// Its digest.
    pub policy: Digest,
    /// Its number, from 1.
    pub version: u64,
    /// Since when.
    pub at: Timestamp,
    /// Until when its review is current.
    pub review_due_at: Timestamp,
    /// True when it is not: standing authority is suspended.
    pub lapsed: bool,
    /// Who wrote it.
    pub authors: Vec<PersonId>,
    /// Who signed it, and when.
    pub signers: Vec<Signer>,
    /// What it lets agents do without asking, in words.
    pub authority: Vec<String>,
    /// Its files.
    pub files: BTreeMap<String, String>,
}

/// The digest of what came into force.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PolicyAnswer {
    /// The policy's digest.
    pub policy: Digest,
}

/// A roster change.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RosterBody {
    /// As signed.
    pub signed: SignedRosterChange,
    /// The texts behind the digests of names in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<SaltedText>,
}

/// The roster's version after a change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RosterAnswer {
    /// The version.
    pub roster_version: u64,
}

/// An inventory.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InventoryBody {
    /// The TOML file.
    pub inventory: String,
    /// Statements of kind `inventory`, where it raises the AI's authority.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<SignedStatement>,
}

/// What in an inventory raises the AI's authority, in words.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InventoryAnswer {
    /// Empty when it takes authority away or leaves it.
    pub raises: Vec<String>,
}

/// The inventory in force.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InventoryView {
    /// As a TOML file.
    pub inventory: String,
}

/// Where a feed's document comes from: the query of `POST /feeds`, whose body is the document.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedQuery {
    /// The file or URL.
    pub source: String,
    /// True when it was fetched from its publisher just now.
    #[serde(default)]
    pub live: bool,
}

/// What an import took.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FeedAnswer {
    /// The feed.
    pub feed: String,
    /// How many records.
    pub records: u64,
}

/// A feed as it was imported last.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FeedView {
    /// The feed.
    pub feed: String,
    /// Where it came from.
    pub source: String,
    /// When its publisher says it is from.
    pub published_at: Option<Timestamp>,
    /// When it was imported.
    pub imported_at: Timestamp,
    /// How many records.
    pub records: u64,
}

/// Alarms, newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Alarms {
    /// One page.
    pub alarms: Vec<AlarmRecord>,
}

/// Every enrolled host, and when it was last heard of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Contacts {
    /// By name.
    pub contacts: Vec<ContactRecord>,
}

/// Transitions that no warrant covers, newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Unwarranted {
    /// The newest, at most a thousand.
    pub unwarranted: Vec<UnwarrantedRecord>,
}

/// One of them, with the entry that found it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UnwarrantedView {
    /// Where it stands.
    pub record: UnwarrantedRecord,
    /// The entry's canonical bytes: what a review signs the digest of.
    pub entry: String,
}

/// An emergency, with the entry that tells of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EmergencyView {
    /// Where it stands.
    pub record: EmergencyRecord,
    /// The entry's canonical bytes: what a review signs the digest of.
    pub entry: String,
}

/// Feeds that were imported.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Feeds {
    /// By name.
    pub feeds: Vec<FeedView>,
}
