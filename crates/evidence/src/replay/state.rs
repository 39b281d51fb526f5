//! What the replay remembers of policies and changes. Plain values; they move in the other modules.

use crate::finding::{FindingKind, Note};
use countersign_domain::change::ChangeEvent;
use countersign_domain::decision::Decision;
use countersign_domain::execution::ExecutionEvent;
use countersign_domain::lease::HostPlan;
use countersign_domain::statement::{SignedStatement, Vote};
use countersign_domain::warrant::{Ground, Signer};
use countersign_domain::{
    AgentId, ChangeState, Digest, ExecutionState, GroupId, HostId, Nonce, PersonId, Proposal,
    Roster, Timestamp,
};
use countersign_verify::ssh::verify_statement;
use countersign_verify::{Verified, VerifiedWarrant};
use std::collections::{BTreeMap, BTreeSet};

/// The policy version that was signed last.
#[derive(Debug, Clone)]
pub(crate) struct PolicyInForce {
    pub digest: Digest,
    pub version: u64,
    pub index: u64,
    pub at: Timestamp,
    pub review_due_at: Timestamp,
    /// People whose signatures verified, and when they signed. Sorted.
    pub signers: Vec<Signer>,
    /// False when its quorum did not sign it: then nothing may rest on it.
    pub sound: bool,
}

/// The last decision on a change.
#[derive(Debug, Clone)]
pub(crate) struct Decided {
    pub until: Timestamp,
    pub change_digest: Digest,
    pub plans: Vec<HostPlan>,
    pub decision: Decision,
}

/// A vote that verified and counts for at least one group, or refuses.
#[derive(Debug, Clone)]
pub(crate) struct Counted {
    pub person: PersonId,
    pub vote: Vote,
    pub counts_for: Vec<GroupId>,
    pub signed_at: Timestamp,
    /// What was signed, to be verified again when it is used.
    pub signed: SignedStatement,
}

impl Counted {
    /// True when it could be used at that time: its key unrevoked, its time not over.
    pub(crate) fn holds(&self, roster: &Roster, at: Timestamp) -> bool {
        verify_statement(&self.signed, roster, Some(at)).is_ok()
    }
}

/// The authorization of a change.
#[derive(Debug, Clone)]
pub(crate) struct Authorization {
    pub index: u64,
    pub at: Timestamp,
    pub until: Timestamp,
    pub ground: Ground,
    pub signers: Vec<Signer>,
}

/// One host's part in a change.
#[derive(Debug)]
pub(crate) struct Execution {
    pub wave: u32,
    pub state: ExecutionState,
    pub plan: Option<Digest>,
    pub warrant: Option<Box<VerifiedWarrant>>,
}

impl Execution {
    pub(crate) fn advance(&mut self, event: ExecutionEvent, host: &HostId, note: &mut Note<'_>) {
        match self.state.next(event) {
            Ok(next) => self.state = next,
            Err(error) => note.say(FindingKind::Order, format!("host `{host}`: {error}")),
        }
    }
}

/// A change that was proposed.
#[derive(Debug)]
pub(crate) struct Change {
    pub agent: AgentId,
    /// Who answered for the agent when it asked.
    pub owner: PersonId,
    pub state: ChangeState,
    /// Not kept once it has settled.
    pub proposal: Option<Box<Verified<Proposal>>>,
    pub executions: BTreeMap<HostId, Execution>,
    pub decided: Option<Decided>,
    pub votes: Vec<Counted>,
    /// Of every vote, those that no longer count included: none may be used twice.
    pub nonces: BTreeSet<Nonce>,
    pub authorization: Option<Authorization>,
}

impl Change {
    pub(crate) fn open(proposal: Box<Verified<Proposal>>, owner: PersonId) -> Self {
        let mut executions = BTreeMap::new();
        for (wave, hosts) in (0_u32..).zip(&proposal.waves) {
            for host in hosts {
                let execution = Execution {
                    wave,
                    state: ExecutionState::Waiting,
                    plan: None,
                    warrant: None,
                };
                executions.insert(host.clone(), execution);
            }
        }
        Self {
            agent: proposal.agent.clone(),
            owner,
            state: ChangeState::Preparing,
            proposal: Some(proposal),
            executions,
            decided: None,
            votes: Vec::new(),
            nonces: BTreeSet::new(),
            authorization: None,
        }
    }

    pub(crate) fn advance(&mut self, event: ChangeEvent, note: &mut Note<'_>) {
        match self.state.next(event) {
            Ok(next) => self.state = next,
            Err(error) => note.say(FindingKind::Order, error.to_string()),
        }
    }

    /// Settles when the last execution has ended, as the gate does.
    pub(crate) fn settle_when_done(&mut self, note: &mut Note<'_>) {
        let open = self
            .executions
            .values()
            .any(|execution| match execution.state {
                ExecutionState::Waiting | ExecutionState::Issued | ExecutionState::Started => true,
                ExecutionState::Revoked
                | ExecutionState::Expired
                | ExecutionState::Succeeded
                | ExecutionState::Failed
                | ExecutionState::RolledBack
                | ExecutionState::Unknown => false,
            });
        if self.state == ChangeState::Running && !open {
            self.advance(ChangeEvent::Settle, note);
        }
    }

    /// True while nobody knows how one of its executions went.
    pub(crate) fn has_unknown(&self) -> bool {
        let mut executions = self.executions.values();
        executions.any(|execution| execution.state == ExecutionState::Unknown)
    }

    /// True for who answered for the agent when it asked, and for who does now.
    pub(crate) fn is_answered_for_by(&self, person: &PersonId, roster: &Roster) -> bool {
        let agent = roster.agents.get(&self.agent);
        self.owner == *person || agent.is_some_and(|agent| agent.owner == *person)
    }

    /// The change digest that was decided on.
    pub(crate) fn digest(&self) -> Option<Digest> {
        self.decided.as_ref().map(|decided| decided.change_digest)
    }

    /// Lets go of what nothing can ask for any more: a settled change can only be reviewed, and
    /// an unknown execution can still be settled. Keeps the memory of a long log small.
    pub(crate) fn slim(&mut self) {
        match self.state {
            ChangeState::Settled
            | ChangeState::ReviewDue
            | ChangeState::Overdue(_)
            | ChangeState::Reviewed => {}
            ChangeState::Proposed
            | ChangeState::Preparing
            | ChangeState::Denied
            | ChangeState::Escalated
            | ChangeState::AwaitingApproval
            | ChangeState::Authorized
            | ChangeState::Refused
            | ChangeState::Expired
            | ChangeState::Withdrawn
            | ChangeState::Revoked
            | ChangeState::Running => return,
        }
        self.proposal = None;
        self.votes = Vec::new();
        self.nonces = BTreeSet::new();
        self.executions
            .retain(|_, execution| execution.state == ExecutionState::Unknown);
        if let Some(decided) = &mut self.decided {
            decided.plans = Vec::new();
            decided.decision.reasons = Vec::new();
        }
    }
}
