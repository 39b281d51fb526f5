//! What named humans sign: one form of statement for every human decision (invariant 6), signed as
//! canonical bytes with an SSH key (SSHSIG) and verifiable offline against the roster.

use crate::asset::Environment;
use crate::decision::{Duties, Outcome};
use crate::digest::Digest;
use crate::id::{AgentId, ChangeId, DeploymentId, HostId, Nonce, PersonId, RuleId};
use crate::receipt::Ending;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The SSHSIG namespace of every statement.
pub const SSH_NAMESPACE: &str = "countersign-decision-v1@countersign.dev";
/// The longest time between signing and the last moment a statement may be used, in seconds.
pub const STATEMENT_SECONDS_MAX: i64 = 30 * 86_400;
/// A signed statement at most, in bytes.
pub const STATEMENT_BYTES_MAX: usize = 16 * 1024;

/// A human's statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The form of this document: 1.
    pub v: u8,
    /// The deployment it is about.
    pub deployment: DeploymentId,
    /// Who states it.
    pub approver: PersonId,
    /// The key's fingerprint, such as `SHA256:…`.
    pub credential: String,
    /// The roster version at which the signer looked.
    pub roster_version: u64,
    /// Used once.
    pub nonce: Nonce,
    /// When it was signed, by the signer's clock.
    pub signed_at: Timestamp,
    /// When it can no longer be handed in.
    pub not_after: Timestamp,
    /// What is stated.
    pub subject: Subject,
}

/// Approve or refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vote {
    /// It may run.
    Approve,
    /// It may not.
    Refuse,
}

/// What a review found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Accepted.
    Accept,
    /// Something is wrong; it stays on record.
    Concern,
}

/// How much is stopped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "scope", content = "name", rename_all = "kebab-case")]
pub enum HaltScope {
    /// Everything.
    Everything,
    /// One agent.
    Agent(AgentId),
    /// Everything that one rule allows.
    Rule(RuleId),
    /// One environment.
    Environment(Environment),
}

/// What is stated. Closed: a statement about one thing can never be read as one about another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Subject {
    /// A vote on a change, exactly as it was shown.
    Change {
        /// The change.
        change: ChangeId,
        /// Proposal, waves and every plan.
        change_digest: Digest,
        /// Approve or refuse.
        vote: Vote,
        /// The policy version that asked.
        policy: Digest,
        /// The outcome as shown.
        outcome: Outcome,
        /// The rules as shown.
        rules: Vec<RuleId>,
        /// The duties as shown.
        duties: Duties,
        /// Salted digest of the human's reasons.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rationale: Option<Digest>,
    },
    /// A review of a change that ran.
    Review {
        /// The change.
        change: ChangeId,
        /// Proposal, waves and every plan.
        change_digest: Digest,
        /// What was found.
        verdict: Verdict,
        /// Salted digest of the reviewer's note.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Digest>,
    },
    /// How an execution ended of which nobody knew, as a human found.
    Ending {
        /// The change.
        change: ChangeId,
        /// Proposal, waves and every plan.
        change_digest: Digest,
        /// The host.
        host: HostId,
        /// How it ended; never `unknown`.
        ending: Ending,
        /// Salted digest of what the human found, in words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Digest>,
    },
    /// A review of a transition that had no warrant.
    Unwarranted {
        /// The index of the entry that found it.
        finding: u64,
        /// Digest of that entry's bytes: what was looked at.
        entry: Digest,
        /// What was found: accepted, or something is wrong.
        verdict: Verdict,
        /// Salted digest of the reviewer's note.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Digest>,
    },
    /// A policy version.
    Policy {
        /// Its digest.
        policy: Digest,
        /// Its number, from 1.
        version: u64,
        /// Who wrote it: they may not approve it, nor changes under it, outside a trial.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        authors: Vec<PersonId>,
    },
    /// A change of the roster.
    Roster {
        /// Digest of the roster change's canonical bytes.
        change: Digest,
        /// The version it makes.
        version: u64,
    },
    /// An inventory that raises the AI's authority (a lower tier, a dropped scope).
    Inventory {
        /// Digest of the inventory.
        inventory: Digest,
    },
    /// Break-glass: one host may act on one plan without the gate.
    Emergency {
        /// The host.
        host: HostId,
        /// Digest of the [`crate::EmergencyOrder`].
        order: Digest,
        /// Digest of the host's prepared plan, as it was shown.
        plan: Digest,
        /// Salted digest of the reasons.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Digest>,
    },
    /// A review of what a host did because the glass was broken.
    EmergencyReview {
        /// The change that the order became.
        emergency: ChangeId,
        /// Digest of the entry that tells of it: what was looked at.
        entry: Digest,
        /// What was found.
        verdict: Verdict,
        /// Salted digest of the reviewer's note.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Digest>,
    },
    /// Stop.
    Halt {
        /// How much.
        halt: HaltScope,
    },
    /// Go on.
    Resume {
        /// What was stopped.
        halt: HaltScope,
        /// The halt epoch that the signer saw.
        halt_epoch: u64,
    },
}

/// A statement as it was signed: the exact canonical bytes, and the SSHSIG over them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedStatement {
    /// The canonical bytes of a [`Statement`].
    pub statement: String,
    /// The armored SSH signature (`-----BEGIN SSH SIGNATURE-----` …).
    pub signature: String,
}

impl SignedStatement {
    /// The statement, read but NOT verified: for display and routing only.
    ///
    /// # Errors
    /// When it is too long, or not the canonical bytes of a statement.
    pub fn unverified(&self) -> Result<Statement, crate::canonical::CanonicalError> {
        if self.statement.len() > STATEMENT_BYTES_MAX {
            return Err(crate::canonical::CanonicalError::NotCanonical);
        }
        crate::canonical::from_bytes(self.statement.as_bytes())
    }

    /// The digest of the statement: what a vote is counted by. Never the signature's, which can be
    /// malleable.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.statement.as_bytes())
    }
}
