//! What a host signs when it has started, finished, or will never start an execution.

use crate::digest::Digest;
use crate::id::{ChangeId, DeploymentId, HostId};
use crate::observation::Health;
use crate::package::Transition;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How an execution ended, as the host found by inspecting itself (invariant 10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Every transition is in place and every check passed.
    Succeeded,
    /// Something failed, and the host was not (or not wholly) brought back.
    Failed,
    /// Something failed, and every transition was reversed.
    RolledBack,
    /// The host cannot know what happened.
    Unknown,
    /// It was never started, and never will be under this warrant.
    NeverStarted,
}

impl Ending {
    /// The word used in files and on screen.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::RolledBack => "rolled-back",
            Self::Unknown => "unknown",
            Self::NeverStarted => "never-started",
        }
    }
}

/// A host's signed notice that it journalled its intent and starts to act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartNotice {
    /// The form of this document: 1.
    pub v: u8,
    /// The deployment.
    pub deployment: DeploymentId,
    /// The host.
    pub host: HostId,
    /// The change.
    pub change: ChangeId,
    /// Digest of the warrant it acts on.
    pub warrant: Digest,
    /// When, by the host's clock.
    pub started_at: Timestamp,
}

/// A host's signed settlement of one execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The form of this document: 1.
    pub v: u8,
    /// The deployment.
    pub deployment: DeploymentId,
    /// The host.
    pub host: HostId,
    /// The change.
    pub change: ChangeId,
    /// Digest of the warrant it settles.
    pub warrant: Digest,
    /// When intent was journalled; none when it was never started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended, by the host's clock.
    pub ended_at: Timestamp,
    /// How it ended.
    pub ending: Ending,
    /// Transitions that inspection found in place (installed version and, where it could be read,
    /// artifact digest).
    pub in_place: Vec<Transition>,
    /// Health checks, as they came out after acting (before any rollback).
    pub health: Vec<Health>,
    /// What happened, in words, at most 20 lines of at most 300 bytes.
    pub notes: Vec<String>,
}
