//! Warrants: the signed, expiring, single-use permission for one plan on one host. A warrant is a
//! compact JWS (RFC 7515) of a JWT with RFC 9396 `authorization_details`; the JWS itself is the
//! entry in the authorizations log, so that a captured key cannot make two from one entry.

use crate::digest::Digest;
use crate::id::{AgentId, ChangeId, DeploymentId, HostId, Nonce, PersonId, RuleId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The only `typ` of a warrant's JOSE header.
pub const WARRANT_TYP: &str = "warrant+jwt";
/// The only `type` of its authorization details.
pub const DETAILS_TYPE: &str = "urn:countersign:change:v1";
/// The longest life of a warrant, in seconds.
pub const WARRANT_SECONDS_MAX: i64 = 15 * 60;

/// Whether standing authority or people permitted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ground {
    /// A rule of a policy version that named humans signed.
    Standing,
    /// Named humans approved this very change.
    Approved,
}

impl Ground {
    /// The word used in files and on screen.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standing => "standing",
            Self::Approved => "approved",
        }
    }
}

/// A named human behind the permission, and when they signed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signer {
    /// Who.
    pub person: PersonId,
    /// When they signed (the change, or for standing authority the policy version).
    pub at: Timestamp,
}

/// A place in a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogReference {
    /// The log's origin.
    pub origin: String,
    /// The entry's leaf index.
    pub index: u64,
    /// A tree size that contains it.
    pub size: u64,
    /// The root at that size.
    pub root: Digest,
}

/// What is permitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorizationDetails {
    /// [`DETAILS_TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// What may be done, such as `package.transition`.
    pub actions: Vec<String>,
    /// The host, once.
    pub locations: Vec<HostId>,
    /// The change as decided: proposal, waves and every plan.
    pub change_digest: Digest,
    /// The plan of this host: its exact transitions and artifacts.
    pub plan_digest: Digest,
    /// How many hosts the change touches at most.
    pub targets_max: u32,
    /// The wave, from 0.
    pub wave: u32,
    /// 1: each transition is spent at most once.
    pub uses: u32,
}

/// On what ground it is permitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Basis {
    /// The policy version.
    pub policy: Digest,
    /// The rules.
    pub rules: Vec<RuleId>,
    /// Standing or approved.
    pub decision: Ground,
    /// The named humans.
    pub approvers: Vec<Signer>,
    /// Digest of the facts.
    pub facts: Digest,
    /// The entry that authorized it.
    pub authorization: LogReference,
    /// The roster version in force.
    pub roster_version: u64,
}

/// The claims of a warrant (RFC 7519 names where it has them; times in Unix seconds).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warrant {
    /// The deployment.
    pub iss: DeploymentId,
    /// The one host that may act.
    pub aud: HostId,
    /// The agent that asked.
    pub sub: AgentId,
    /// Issued at.
    pub iat: i64,
    /// Not before.
    pub nbf: i64,
    /// Expires; at most [`WARRANT_SECONDS_MAX`] after `nbf`.
    pub exp: i64,
    /// Unique; spent durably by the host before it acts.
    pub jti: Nonce,
    /// The change.
    pub txn: ChangeId,
    /// Exactly one.
    pub authorization_details: Vec<AuthorizationDetails>,
    /// The ground.
    pub basis: Basis,
    /// The halt epoch at issue: a host that has seen a later one refuses.
    pub halt_epoch: u64,
    /// True in a trial deployment: refused by hosts that are not enrolled as trial themselves.
    pub trial: bool,
}
