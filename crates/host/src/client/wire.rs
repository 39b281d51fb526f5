//! What the gate's API sends and takes, as a host reads it. Plain values: nothing here is believed.

use countersign_domain::roster::SignedRosterChange;
use countersign_domain::{ChangeId, DeploymentId, Digest, Nonce};
use serde::{Deserialize, Serialize};

/// `GET /deployment`: what anybody may know.
#[derive(Debug, Clone, Deserialize)]
pub struct Deployment {
    /// Its name.
    pub deployment: DeploymentId,
    /// True in a trial.
    pub trial: bool,
    /// Digest of the roster's first change; compared with the pinned one, never trusted.
    pub genesis: Digest,
    /// The roster's version.
    pub roster_version: u64,
}

/// `GET /roster`: a piece of the chain.
#[derive(Debug, Clone, Deserialize)]
pub struct RosterPage {
    /// The version at the gate.
    pub version: u64,
    /// Changes after the one that was named.
    pub changes: Vec<SignedRosterChange>,
}

/// A proposal to prepare.
#[derive(Debug, Clone, Deserialize)]
pub struct ToPrepare {
    /// The change.
    pub change: ChangeId,
    /// The proposal as the agent signed it.
    pub proposal: String,
}

/// A change to redeem.
#[derive(Debug, Clone, Deserialize)]
pub struct ToRedeem {
    /// The change.
    pub change: ChangeId,
    /// The digest of this host's plan.
    pub plan: Digest,
}

/// A warrant that the gate has no receipt for.
#[derive(Debug, Clone, Deserialize)]
pub struct Unsettled {
    /// The change.
    pub change: ChangeId,
    /// The warrant.
    pub warrant: Digest,
}

/// `GET /hosts/{host}/work`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Work {
    /// Proposals to prepare.
    pub prepare: Vec<ToPrepare>,
    /// Changes to redeem.
    pub redeem: Vec<ToRedeem>,
    /// Warrants to settle.
    pub unsettled: Vec<Unsettled>,
}

/// A redemption.
#[derive(Debug, Clone, Serialize)]
pub struct Redemption {
    /// Fresh, for the lease.
    pub nonce: Nonce,
    /// The size of the last checkpoint that this host believed; 0 for none.
    pub checkpoint_size: u64,
    /// The roster version that this host knows.
    pub roster_version: u64,
}
