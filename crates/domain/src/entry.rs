//! Entries of the authorizations log. A warrant's JWS is an entry by itself; everything else is
//! the canonical JSON of an [`Entry`]. Only the gate appends. All state of the gate is the fold of
//! these entries, so it can be rebuilt from the log.

use crate::canonical::{self, CanonicalError};
use crate::decision::Decision;
use crate::digest::Digest;
use crate::facts::BlastRadius;
use crate::id::{AgentId, ChangeId, DeploymentId, HostId, PersonId, RequestId};
use crate::lease::HostPlan;
use crate::package_report::{Explained, SeenTransition};
use crate::receipt::Ending;
use crate::roster::SignedRosterChange;
use crate::statement::{HaltScope, SignedStatement};
use crate::time::Timestamp;
use crate::warrant::{Ground, LogReference, Signer};
use serde::{Deserialize, Serialize};

/// The largest entry, in bytes (entry bundles carry a 16-bit length).
pub const ENTRY_BYTES_MAX: usize = 65_535;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The form of this document: 1.
    pub v: u8,
    /// The deployment.
    pub deployment: DeploymentId,
    /// True in a trial deployment: every entry carries that mark (invariant 5).
    pub trial: bool,
    /// When the gate wrote it.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// A file of a policy version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// Its path inside the policy folder.
    pub path: String,
    /// Its digest.
    pub sha256: Digest,
}

/// How a change ended without running, or without running further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Closing {
    /// Time ran out.
    Expired,
    /// The agent took it back.
    Withdrawn,
    /// A halt took the authority away.
    Revoked,
}

/// How the gate itself ends an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExecutionClosing {
    /// No warrant was out: stopped (a failure in an earlier wave, a halt, a stale plan).
    Revoked,
    /// No warrant was out: time ran out.
    Expired,
    /// A warrant was out and the host has been silent past its expiry.
    Unknown,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// The roster changed; the first entry of the log is the genesis.
    Roster {
        /// As signed.
        signed: SignedRosterChange,
    },
    /// A policy version came into force.
    Policy {
        /// Digest of its files' canonical list.
        policy: Digest,
        /// Its number, from 1.
        version: u64,
        /// Its files; their bytes are kept beside the log.
        files: Vec<PolicyFile>,
        /// Until when its periodic review is current.
        review_due_at: Timestamp,
        /// Who wrote the rules: they may not approve them, outside a trial.
        authors: Vec<PersonId>,
        /// The signatures of the quorum.
        statements: Vec<SignedStatement>,
    },
    /// The inventory was replaced.
    Inventory {
        /// Digest of the file; its bytes are kept beside the log.
        inventory: Digest,
        /// What in it raises the AI's authority, in words.
        raises: Vec<String>,
        /// The signatures that such edits need.
        statements: Vec<SignedStatement>,
    },
    /// Intelligence was imported.
    Feed {
        /// Which: `cisa-kev`, `epss`, `cve`, `ssvc-…`.
        feed: String,
        /// Digest of the document; its bytes are kept beside the log.
        document: Digest,
        /// Where it came from.
        source: String,
        /// The time the document itself bears.
        published_at: Option<Timestamp>,
        /// How many records were taken.
        records: u64,
        /// How many were left out as unreadable.
        skipped: u64,
        /// True when it was fetched from its publisher then, false when it came from a file.
        live: bool,
    },
    /// A host observed itself.
    Observed {
        /// The host.
        host: HostId,
        /// Digest of the signed observation, which is kept beside the log.
        observation: Digest,
        /// When, by the host's clock.
        observed_at: Timestamp,
    },
    /// A proposal became a change.
    Proposed {
        /// The change.
        change: ChangeId,
        /// Who asked.
        agent: AgentId,
        /// The agent's own key for this request.
        request: RequestId,
        /// Digest of the signed proposal.
        proposal: Digest,
        /// Where it stands in the recommendations log, under a checkpoint committed before.
        recommendation: LogReference,
        /// When it expires if hosts do not answer.
        prepare_until: Timestamp,
    },
    /// A host answered with its plan.
    Prepared {
        /// The change.
        change: ChangeId,
        /// The host.
        host: HostId,
        /// The plan as the host signed it (compact JWS).
        plan: String,
    },
    /// A host cannot do it, and drops out of the change.
    Unprepared {
        /// The change.
        change: ChangeId,
        /// The host.
        host: HostId,
        /// Why, in words.
        why: String,
    },
    /// The policy decided (again).
    Decided {
        /// The change.
        change: ChangeId,
        /// Proposal, waves and every plan.
        change_digest: Digest,
        /// The plans it rests on.
        plans: Vec<HostPlan>,
        /// What was decided.
        decision: Decision,
        /// What it reserves.
        blast: BlastRadius,
        /// Until when it has to be decided by people (`ask`, `escalate`) or redeemed (`allow`).
        until: Timestamp,
    },
    /// A human voted on a change.
    Voted {
        /// The change.
        change: ChangeId,
        /// The vote as signed.
        statement: SignedStatement,
        /// Groups for which it counts.
        counts_for: Vec<crate::id::GroupId>,
    },
    /// The change may run: under standing authority, or because the quorum is complete.
    Authorized {
        /// The change.
        change: ChangeId,
        /// Proposal, waves and every plan.
        change_digest: Digest,
        /// Standing or approved.
        ground: Ground,
        /// The named humans behind it.
        signers: Vec<Signer>,
        /// Until when it can be redeemed.
        until: Timestamp,
    },
    /// A host signed that it starts.
    Started {
        /// The change.
        change: ChangeId,
        /// The host.
        host: HostId,
        /// The notice as signed (compact JWS).
        notice: String,
    },
    /// A host settled its execution.
    Settled {
        /// The change.
        change: ChangeId,
        /// The host.
        host: HostId,
        /// The receipt as signed (compact JWS).
        receipt: String,
    },
    /// The gate ended an execution.
    ExecutionClosed {
        /// The change.
        change: ChangeId,
        /// The host.
        host: HostId,
        /// How.
        closing: ExecutionClosing,
        /// Why, in words.
        why: String,
    },
    /// What a host shows of its packages tells how an execution ended of which nobody knew.
    ExecutionReconciled {
        /// The change.
        change: ChangeId,
        /// The host.
        host: HostId,
        /// Digest of the signed report that shows it.
        report: Digest,
        /// How it ended.
        ending: Ending,
        /// Why that is so, in words.
        why: String,
    },
    /// A human found how an execution ended of which nobody knew.
    EndingStated {
        /// The change.
        change: ChangeId,
        /// The host.
        host: HostId,
        /// What was found, as signed.
        statement: SignedStatement,
    },
    /// A change ended without running.
    Closed {
        /// The change.
        change: ChangeId,
        /// How.
        closing: Closing,
        /// Why, in words.
        why: String,
    },
    /// A human has to review a change.
    ReviewRequired {
        /// The change.
        change: ChangeId,
        /// Until when.
        due_at: Timestamp,
    },
    /// The review is late.
    ReviewOverdue {
        /// The change.
        change: ChangeId,
        /// The rung, from 1.
        rung: u8,
        /// When the next rung is reached.
        due_at: Timestamp,
    },
    /// A human reviewed a change.
    Reviewed {
        /// The change.
        change: ChangeId,
        /// The review as signed.
        statement: SignedStatement,
    },
    /// A human stopped something.
    Halted {
        /// What.
        halt: HaltScope,
        /// The halt epoch from now on.
        epoch: u64,
        /// As signed.
        statement: SignedStatement,
    },
    /// Humans let it go on.
    Resumed {
        /// What.
        halt: HaltScope,
        /// The halt epoch from now on.
        epoch: u64,
        /// As signed, one or more.
        statements: Vec<SignedStatement>,
    },
    /// Something that a human should look into.
    Alarm {
        /// A short word for the kind, such as `policy-error` or `outcome-unknown`.
        kind: String,
        /// The change concerned, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        change: Option<ChangeId>,
        /// In words.
        text: String,
    },
    /// A host reported its packages; what it saw was held against the warrants it was given.
    PackagesReported {
        /// The host.
        host: HostId,
        /// Digest of the signed report, which is kept beside the log.
        report: Digest,
        /// The report's number.
        sequence: u64,
        /// When, by the host's clock.
        observed_at: Timestamp,
        /// Digest of the list of what is installed, where the report tells it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        installed: Option<Digest>,
        /// True when the report holds that list.
        listed: bool,
        /// The steps of plans that it spent, at most
        /// [`EXPLAINED_MAX`](crate::package_report::EXPLAINED_MAX).
        explained: Vec<Explained>,
    },
    /// A package changed and no warrant covers it. An alarm by itself; a human has to look at it.
    Unwarranted {
        /// The host.
        host: HostId,
        /// Digest of the signed report that shows it.
        report: Digest,
        /// What was seen.
        transition: SeenTransition,
        /// Until when a human has to have looked at it.
        due_at: Timestamp,
    },
    /// A human looked at a transition that had no warrant.
    UnwarrantedReviewed {
        /// The index of the entry that found it.
        finding: u64,
        /// The review as signed.
        statement: SignedStatement,
    },
    /// Nobody has looked at a transition that had no warrant in time.
    UnwarrantedOverdue {
        /// The index of the entry that found it.
        finding: u64,
        /// The rung, from 1.
        rung: u8,
        /// When the next rung is reached.
        due_at: Timestamp,
    },
    /// A host acted without the gate, because the quorum that it pins broke the glass. An alarm by
    /// itself; a human has to review it.
    Emergency {
        /// The change that the order became.
        emergency: ChangeId,
        /// The host.
        host: HostId,
        /// Digest of the order: what the host spent.
        order: Digest,
        /// Digest of the plan that it acted on.
        plan: Digest,
        /// Digest of all that was signed (order, plan, statements), which is kept beside the log.
        bundle: Digest,
        /// The statements that verify, each over host, order and plan.
        statements: Vec<SignedStatement>,
        /// The receipt as the host signed it (compact JWS), for the order.
        receipt: String,
        /// Until when a human has to have reviewed it.
        due_at: Timestamp,
    },
    /// A human reviewed an emergency.
    EmergencyReviewed {
        /// The change.
        emergency: ChangeId,
        /// The review as signed.
        statement: SignedStatement,
    },
    /// The review of an emergency is late.
    EmergencyOverdue {
        /// The change.
        emergency: ChangeId,
        /// The rung, from 1.
        rung: u8,
        /// When the next rung is reached.
        due_at: Timestamp,
    },
    /// A host that is enrolled has not reported for too long. An alarm by itself, once for each
    /// silence.
    HostSilent {
        /// The host.
        host: HostId,
        /// Since when: its last report, by the gate's clock, or its enrolment.
        since: Timestamp,
        /// False when it never reported since it was enrolled.
        reported: bool,
    },
    /// The other log's checkpoint, so that neither can be rewritten alone.
    CrossCommitted {
        /// The other log's origin.
        origin: String,
        /// Its size.
        size: u64,
        /// Its root.
        root: Digest,
    },
}

impl Event {
    /// The change that it concerns, where it concerns one.
    #[must_use]
    pub const fn change(&self) -> Option<&ChangeId> {
        match self {
            Self::Proposed { change, .. }
            | Self::Prepared { change, .. }
            | Self::Unprepared { change, .. }
            | Self::Decided { change, .. }
            | Self::Voted { change, .. }
            | Self::Authorized { change, .. }
            | Self::Started { change, .. }
            | Self::Settled { change, .. }
            | Self::ExecutionClosed { change, .. }
            | Self::ExecutionReconciled { change, .. }
            | Self::EndingStated { change, .. }
            | Self::Closed { change, .. }
            | Self::ReviewRequired { change, .. }
            | Self::ReviewOverdue { change, .. }
            | Self::Reviewed { change, .. } => Some(change),
            Self::Alarm { change, .. } => change.as_ref(),
            Self::Roster { .. }
            | Self::Policy { .. }
            | Self::Inventory { .. }
            | Self::Feed { .. }
            | Self::Observed { .. }
            | Self::PackagesReported { .. }
            | Self::Unwarranted { .. }
            | Self::UnwarrantedReviewed { .. }
            | Self::UnwarrantedOverdue { .. }
            | Self::Emergency { .. }
            | Self::EmergencyReviewed { .. }
            | Self::EmergencyOverdue { .. }
            | Self::HostSilent { .. }
            | Self::Halted { .. }
            | Self::Resumed { .. }
            | Self::CrossCommitted { .. } => None,
        }
    }
}

/// What stands in the authorizations log at one index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEntry {
    /// A typed entry.
    Entry(Box<Entry>),
    /// A warrant: the compact JWS itself.
    Warrant(String),
}

impl LogEntry {
    /// Reads the bytes of an entry. A warrant is recognised by form only; `verify` checks it.
    ///
    /// # Errors
    /// When they are neither a compact JWS nor the canonical bytes of an [`Entry`].
    pub fn read(bytes: &[u8]) -> Result<Self, CanonicalError> {
        if bytes.first() == Some(&b'{') {
            return Ok(Self::Entry(Box::new(canonical::from_bytes(bytes)?)));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| CanonicalError::NotCanonical)?;
        match crate::jws::take_apart(text) {
            Ok(parts) if parts.header.typ == crate::warrant::WARRANT_TYP => {
                Ok(Self::Warrant(text.to_owned()))
            }
            Ok(_) | Err(_) => Err(CanonicalError::NotCanonical),
        }
    }
}

/// The digest that binds a change: its proposal, its waves and every host's plan.
///
/// # Errors
/// Never in practice: the parts are text and small integers.
pub fn change_digest(
    proposal: &Digest,
    waves: &[Vec<HostId>],
    plans: &[HostPlan],
) -> Result<Digest, CanonicalError> {
    #[derive(Serialize)]
    struct Bound<'a> {
        v: u8,
        proposal: &'a Digest,
        waves: &'a [Vec<HostId>],
        plans: Vec<&'a HostPlan>,
    }
    let mut sorted: Vec<_> = plans.iter().collect();
    sorted.sort_unstable();
    canonical::digest(&Bound {
        v: 1,
        proposal,
        waves,
        plans: sorted,
    })
}
