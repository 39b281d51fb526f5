//! Records of one change: the change itself, its executions, what was spent on it, its trail.

use super::Record;
use countersign_domain::asset::{Environment, Tier};
use countersign_domain::decision::Decision;
use countersign_domain::entry::{Closing, Entry, Event, ExecutionClosing};
use countersign_domain::id::GroupId;
use countersign_domain::lease::HostPlan;
use countersign_domain::proposal::PackageRequest;
use countersign_domain::receipt::Ending;
use countersign_domain::statement::{Verdict, Vote};
use countersign_domain::warrant::{Ground, Signer};
use countersign_domain::{
    AgentId, ChangeId, ChangeState, Digest, ExecutionState, HostId, Nonce, PersonId, PreparedPlan,
    RequestId, Timestamp, jws,
};
use countersign_store::{Log, Read, StoreError};
use serde::{Deserialize, Serialize};

/// A vote that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteRecord {
    /// Who.
    pub person: PersonId,
    /// Approve or refuse.
    pub vote: Vote,
    /// Groups for which it counts.
    pub counts_for: Vec<GroupId>,
    /// When it was signed.
    pub signed_at: Timestamp,
    /// The entry that holds it.
    pub index: u64,
}

/// An authorization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationRecord {
    /// The entry.
    pub index: u64,
    /// When it was written.
    pub at: Timestamp,
    /// Standing or approved.
    pub ground: Ground,
    /// The named humans.
    pub signers: Vec<Signer>,
    /// Until when it can be redeemed.
    pub until: Timestamp,
}

/// The review of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewRecord {
    /// Until when.
    pub due_at: Timestamp,
    /// What was found, by whom, when, and the entry that holds it.
    pub done: Option<(Verdict, PersonId, Timestamp, u64)>,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRecord {
    /// Its id.
    pub id: ChangeId,
    /// Where it stands.
    pub state: ChangeState,
    /// Who asked.
    pub agent: AgentId,
    /// Who answers for that agent.
    pub owner: PersonId,
    /// The agent's key for the request.
    pub request: RequestId,
    /// Digest of the signed proposal.
    pub proposal: Digest,
    /// Where it stands in the recommendations log.
    pub recommendation: u64,
    /// The entry that opened it.
    pub opened: u64,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// Hosts by wave.
    pub waves: Vec<Vec<HostId>>,
    /// What was asked for.
    pub packages: Vec<PackageRequest>,
    /// The salted digest of the rationale.
    pub rationale: Option<Digest>,
    /// Until when this state lasts, where time ends it.
    pub due_at: Option<Timestamp>,
    /// The digest that binds proposal, waves and plans, once decided.
    pub digest: Option<Digest>,
    /// The plans it was decided on.
    pub plans: Vec<HostPlan>,
    /// The last decision.
    pub decision: Option<Decision>,
    /// The entry of the last decision.
    pub decided: Option<u64>,
    /// When it was decided last.
    pub decided_at: Option<Timestamp>,
    /// Votes that count.
    pub votes: Vec<VoteRecord>,
    /// The authorization.
    pub authorization: Option<AuthorizationRecord>,
    /// The strictest environment among its targets.
    pub environment: Option<Environment>,
    /// The highest tier among its targets.
    pub tier: Option<Tier>,
    /// The review.
    pub review: Option<ReviewRecord>,
    /// How and why it ended without running.
    pub closed: Option<(Closing, String)>,
}

impl Record for ChangeRecord {
    const KIND: &'static str = "change";
    const LISTED: bool = true;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn state(&self) -> String {
        self.state.as_str().to_owned()
    }
    fn due_at(&self) -> Option<Timestamp> {
        self.due_at
    }
    fn order(&self) -> u64 {
        self.opened
    }
}

/// A warrant that is out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarrantRecord {
    /// Digest of the JWS.
    pub digest: Digest,
    /// The entry that it is.
    pub index: u64,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettlementRecord {
    /// The entry of the receipt.
    pub index: u64,
    /// How, as the host signed it.
    pub ending: Ending,
    /// When intent was journalled, by the host's clock.
    pub started_at: Option<Timestamp>,
    /// When it ended, by the host's clock.
    pub ended_at: Timestamp,
    /// What the host noted.
    pub notes: Vec<String>,
    /// True when it is no receipt: what the host showed of its packages told it, or a human.
    #[serde(default)]
    pub reconciled: bool,
    /// The statement with which a human told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated: Option<Digest>,
}

/// A plan that a host signed, in short: the log holds it whole ([`plan`]), so that it is not copied
/// each time its execution moves on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRecord {
    /// The entry that holds it.
    pub index: u64,
    /// The digest of its canonical bytes.
    pub digest: Digest,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// One host's part in a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionRecord {
    /// The change.
    pub change: ChangeId,
    /// The host.
    pub host: HostId,
    /// The wave, from 0.
    pub wave: u32,
    /// The entry that opened the change: for listings.
    pub opened: u64,
    /// Where it stands.
    pub state: ExecutionState,
    /// The host's environment when the change was decided.
    pub environment: Environment,
    /// The host's tier then.
    pub tier: Tier,
    /// The plan that the host signed.
    pub plan: Option<PlanRecord>,
    /// Why the host dropped out.
    pub unprepared: Option<String>,
    /// The warrant.
    pub warrant: Option<WarrantRecord>,
    /// When the host said that it starts.
    pub started_at: Option<Timestamp>,
    /// How it ended, by the host's word.
    pub settlement: Option<SettlementRecord>,
    /// How and why the gate ended it.
    pub closed: Option<(ExecutionClosing, String)>,
}

impl ExecutionRecord {
    /// The key of one.
    #[must_use]
    pub fn key_of(change: &ChangeId, host: &HostId) -> String {
        format!("{change} {host}")
    }
}

impl Record for ExecutionRecord {
    const KIND: &'static str = "execution";
    fn key(&self) -> String {
        Self::key_of(&self.change, &self.host)
    }
    fn state(&self) -> String {
        self.state.as_str().to_owned()
    }
    fn due_at(&self) -> Option<Timestamp> {
        match self.state {
            ExecutionState::Issued | ExecutionState::Started => {
                self.warrant.as_ref().map(|warrant| warrant.expires_at)
            }
            ExecutionState::Waiting
            | ExecutionState::Revoked
            | ExecutionState::Expired
            | ExecutionState::Succeeded
            | ExecutionState::Failed
            | ExecutionState::RolledBack
            | ExecutionState::Unknown => None,
        }
    }
    fn order(&self) -> u64 {
        self.opened
    }
}

/// That a host still has something to do for a change: its open executions, found by host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkRecord {
    /// The host.
    pub host: HostId,
    /// The change.
    pub change: ChangeId,
    /// The entry that opened the change.
    pub opened: u64,
}

impl WorkRecord {
    /// Keys of all work of a host start with this.
    #[must_use]
    pub fn key_prefix(host: &HostId) -> String {
        format!("{host} ")
    }

    /// The key of one.
    #[must_use]
    pub fn key_of(host: &HostId, change: &ChangeId) -> String {
        format!("{host} {change}")
    }
}

impl Record for WorkRecord {
    const KIND: &'static str = "work";
    fn key(&self) -> String {
        Self::key_of(&self.host, &self.change)
    }
    fn order(&self) -> u64 {
        self.opened
    }
}

/// What an idempotency key stood for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// Whose key.
    pub agent: AgentId,
    /// The key.
    pub request: RequestId,
    /// The change.
    pub change: ChangeId,
    /// The proposal it was used with.
    pub proposal: Digest,
}

impl RequestRecord {
    /// The key of the document. Agent ids hold no space, so two pairs never meet.
    #[must_use]
    pub fn key_of(agent: &AgentId, request: &RequestId) -> String {
        format!("{agent} {request}")
    }
}

impl Record for RequestRecord {
    const KIND: &'static str = "request";
    fn key(&self) -> String {
        Self::key_of(&self.agent, &self.request)
    }
}

/// A statement that was used: each nonce once per person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpentRecord {
    /// Who signed.
    pub person: PersonId,
    /// The nonce.
    pub nonce: Nonce,
    /// The entry that used it.
    pub index: u64,
}

impl SpentRecord {
    /// The key of the document.
    #[must_use]
    pub fn key_of(person: &PersonId, nonce: &Nonce) -> String {
        format!("{person} {nonce}")
    }
}

impl Record for SpentRecord {
    const KIND: &'static str = "spent";
    fn key(&self) -> String {
        Self::key_of(&self.person, &self.nonce)
    }
}

/// All executions of a change, by wave and host; none where there is no such change.
///
/// # Errors
/// When storage fails, or an execution that the change names is missing.
pub fn executions(store: &dyn Read, change: &ChangeId) -> Result<Vec<ExecutionRecord>, StoreError> {
    let Some(record) = super::load::<ChangeRecord>(store, change.as_str())? else {
        return Ok(Vec::new());
    };
    let mut executions = record
        .waves
        .iter()
        .flatten()
        .map(|host| {
            super::load(store, &ExecutionRecord::key_of(change, host))?.ok_or_else(|| {
                StoreError::Damaged(format!(
                    "the execution of `{change}` on `{host}` is missing"
                ))
            })
        })
        .collect::<Result<Vec<ExecutionRecord>, _>>()?;
    executions.sort_by(|a, b| (a.wave, &a.host).cmp(&(b.wave, &b.host)));
    Ok(executions)
}

/// The plan of an execution as its host signed it, where it has one.
///
/// # Errors
/// When storage fails, or the log does not hold it.
pub fn plan(
    store: &dyn Read,
    execution: &ExecutionRecord,
) -> Result<Option<PreparedPlan>, StoreError> {
    let Some(PlanRecord { index, digest, .. }) = &execution.plan else {
        return Ok(None);
    };
    let damaged =
        |problem: String| StoreError::Damaged(format!("the plan of entry {index}: {problem}"));
    let entry = store
        .entry(Log::Authorizations, *index)?
        .ok_or_else(|| damaged("is missing".into()))?;
    let entry: Entry =
        serde_json::from_slice(&entry).map_err(|error| damaged(error.to_string()))?;
    let Event::Prepared { plan, .. } = entry.event else {
        return Err(damaged("is of another kind".into()));
    };
    let parts = jws::take_apart(&plan).map_err(|error| damaged(error.to_string()))?;
    // INVARIANT (what was decided is what runs): the record binds these bytes, and no others.
    if Digest::of(&parts.payload) != *digest {
        return Err(damaged("is not the one that was bound".into()));
    }
    let plan = serde_json::from_slice(&parts.payload);
    Ok(Some(plan.map_err(|error| damaged(error.to_string()))?))
}
