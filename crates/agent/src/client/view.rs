//! What the API answers, as far as an agent reads it. Unknown fields are passed over, so that a
//! newer server can say more; bounds are in `client`.

use countersign_domain::decision::Reason;
use countersign_domain::finding::Finding;
use countersign_domain::receipt::Ending;
use countersign_domain::{
    AgentId, Architecture, ChangeId, ChangeState, ExecutionState, HostId, Outcome, PackageName,
    RuleId, Timestamp, Version,
};
use serde::{Deserialize, Serialize};

/// The answer to `GET /findings`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// When the server gathered them.
    pub as_of: Timestamp,
    /// Pending upgrades with their facts.
    pub findings: Vec<Finding>,
}

/// The answer to a proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The change that the proposal became.
    pub change: ChangeId,
    /// Where it stands.
    pub state: ChangeState,
}

/// The answer to a withdrawal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// Where the change stands now.
    pub state: ChangeState,
}

/// A package of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangePackage {
    /// Its name.
    pub name: PackageName,
    /// The version before.
    #[serde(default)]
    pub from: Option<Version>,
    /// The version afterwards.
    #[serde(default)]
    pub to: Option<Version>,
    /// Its architecture.
    pub architecture: Architecture,
}

/// A host of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeHost {
    /// The host.
    pub host: HostId,
    /// Its wave, from 0.
    #[serde(default)]
    pub wave: u32,
    /// Where its execution stands, once there is one.
    #[serde(default)]
    pub execution: Option<ExecutionState>,
}

/// The execution of a change on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeExecution {
    /// The host.
    pub host: HostId,
    /// Where it stands.
    pub state: ExecutionState,
    /// How it ended.
    #[serde(default)]
    pub ending: Option<Ending>,
}

/// A change as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeView {
    /// Its id.
    pub id: ChangeId,
    /// Where it stands.
    pub state: ChangeState,
    /// Who asked for it.
    pub agent: AgentId,
    /// What it changes.
    #[serde(default)]
    pub packages: Vec<ChangePackage>,
    /// Where.
    #[serde(default)]
    pub hosts: Vec<ChangeHost>,
    /// What was decided.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// The rules that determined it.
    #[serde(default)]
    pub rules: Vec<RuleId>,
    /// Why, in words.
    #[serde(default)]
    pub reasons: Vec<Reason>,
    /// Rules that kept a standing authority from applying.
    #[serde(default)]
    pub withheld_by: Vec<RuleId>,
    /// Until when it stays as it is.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// When its review is due.
    #[serde(default)]
    pub review_due_at: Option<Timestamp>,
    /// How it went, host by host.
    #[serde(default)]
    pub executions: Vec<ChangeExecution>,
}

impl ChangeView {
    /// Where the execution on `host` stands, once there is one.
    #[must_use]
    pub fn execution_on(&self, host: &HostId) -> Option<ExecutionState> {
        let listed = self.executions.iter().find(|one| one.host == *host);
        listed.map(|one| one.state).or_else(|| {
            let named = self.hosts.iter().find(|one| one.host == *host);
            named.and_then(|one| one.execution)
        })
    }
}

/// One page of `GET /changes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangesPage {
    /// The changes.
    pub changes: Vec<ChangeView>,
    /// What to pass as `after` for the next page; none on the last.
    #[serde(default)]
    pub next: Option<String>,
}

/// Several pages of `GET /changes`, joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The changes.
    pub changes: Vec<ChangeView>,
    /// False when the server had more than is read.
    pub complete: bool,
}
