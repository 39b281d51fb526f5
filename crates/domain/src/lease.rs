//! The gate's fresh answer to a host's nonce: what a host needs, at most a minute old, to start.

use crate::id::{DeploymentId, HostId, Nonce};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How old a lease may be when a host starts, in seconds (invariant 11).
pub const LEASE_SECONDS_MAX: i64 = 60;

/// The gate's signed answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// The form of this document: 1.
    pub v: u8,
    /// The deployment.
    pub deployment: DeploymentId,
    /// The host that asked.
    pub host: HostId,
    /// Its nonce.
    pub nonce: Nonce,
    /// When the gate answered.
    pub at: Timestamp,
    /// Counts every halt and resume.
    pub halt_epoch: u64,
    /// True when something that covers this host and this change is halted.
    pub halted: bool,
}

/// What a host gets when it redeems, or asks again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handover {
    /// The warrant: the same JWS on every retry.
    pub warrant: String,
    /// Its C2SP tlog-proof: inclusion, checkpoint and cosignatures.
    pub proof: String,
    /// The signed [`Lease`] as a compact JWS.
    pub lease: String,
    /// Consistency from the tree size that the host named to the proof's checkpoint: base64 hashes.
    pub consistency: Vec<String>,
    /// The roster changes that the host has not seen yet, as signed.
    pub roster: Vec<crate::roster::SignedRosterChange>,
    /// The humans' statements that the authorization rests on, for hosts that check them.
    pub statements: Vec<crate::statement::SignedStatement>,
    /// The proposal as signed, for the change digest.
    pub proposal: String,
    /// Every host's plan digest in the change, for the change digest.
    pub plans: Vec<HostPlan>,
}

/// One host's share in a change digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostPlan {
    /// The host.
    pub host: HostId,
    /// The digest of its signed plan's canonical bytes.
    pub plan: crate::Digest,
}
