//! What the gate shows: changes, a host's work, findings for agents. Reading only.

use crate::Gate;
use crate::decide::{self, DecisionPreview};
use crate::error::GateError;
use crate::gather::{self, Inputs, Plans};
use crate::prepare::load_execution;
use crate::propose::{load_change, load_proposal, proposal_jws};
use crate::redeem::roster_changes;
use crate::state::{
    self, AlarmRecord, ChangeRecord, ExecutionRecord, HostRecord, PendingRecord, WorkRecord,
};
use countersign_domain::decision::{Duties, Outcome, Reason};
use countersign_domain::facts::Fact;
use countersign_domain::finding::Finding;
use countersign_domain::observation::{CveCoverage, PENDING_MAX, PendingUpgrade};
use countersign_domain::receipt::Ending;
use countersign_domain::roster::SignedRosterChange;
use countersign_domain::statement::{HaltScope, Verdict, Vote};
use countersign_domain::warrant::{Ground, Signer};
use countersign_domain::{
    AgentId, Architecture, ChangeId, ChangeState, Digest, ExecutionState, HostId, PackageName,
    PersonId, RuleId, Timestamp, Version,
};
use countersign_facts::finding;
use countersign_facts::observed::Observed;
use countersign_facts::vulnerability::Question;
use countersign_store::{DocumentQuery, Read, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A package of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageView {
    /// The package.
    pub name: PackageName,
    /// Its architecture.
    pub architecture: Architecture,
    /// The version it has, by the plans.
    pub from: Option<Version>,
    /// The version it shall get.
    pub to: Version,
}

/// One host's part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionView {
    /// The host.
    pub host: HostId,
    /// The wave, from 0.
    pub wave: u32,
    /// Where it stands.
    pub state: ExecutionState,
    /// How it ended, by the host's word.
    pub ending: Option<Ending>,
    /// When intent was journalled, by the host's clock.
    pub started_at: Option<Timestamp>,
    /// When it ended, by the host's clock.
    pub ended_at: Option<Timestamp>,
    /// The log index of its warrant.
    pub warrant: Option<u64>,
    /// What the host, or the gate, noted.
    pub notes: Vec<String>,
}

/// Whoever voted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteView {
    /// Who.
    pub person: PersonId,
    /// What.
    pub vote: Vote,
    /// When.
    pub at: Timestamp,
}

/// A change, for people and agents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeView {
    /// Its id.
    pub id: ChangeId,
    /// Where it stands.
    pub state: ChangeState,
    /// Who asked.
    pub agent: AgentId,
    /// Who answers for that agent.
    pub owner: PersonId,
    /// When.
    pub opened_at: Timestamp,
    /// What was asked for.
    pub packages: Vec<PackageView>,
    /// The digest that binds it, once decided.
    pub digest: Option<Digest>,
    /// The outcome.
    pub outcome: Option<Outcome>,
    /// The policy version that decided.
    pub policy: Option<Digest>,
    /// The rules that determined it.
    pub rules: Vec<RuleId>,
    /// Rules that kept standing authority from applying.
    pub withheld_by: Vec<RuleId>,
    /// Why, in words.
    pub reasons: Vec<Reason>,
    /// Who has to approve, and by when.
    pub duties: Option<Duties>,
    /// Until when this state lasts.
    pub until: Option<Timestamp>,
    /// Votes so far.
    pub votes: Vec<VoteView>,
    /// On what ground it may run.
    pub ground: Option<Ground>,
    /// The named humans behind it.
    pub signers: Vec<Signer>,
    /// Until when it has to be reviewed.
    pub review_due_at: Option<Timestamp>,
    /// What a human found.
    pub reviewed: Option<(Verdict, PersonId, Timestamp)>,
    /// How it ended without running, in words.
    pub closed: Option<String>,
    /// Each host's part.
    pub executions: Vec<ExecutionView>,
    /// What listings are paged by.
    pub order: u64,
}

/// What a host has to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Proposals that wait for its plan.
    pub prepare: Vec<PrepareWork>,
    /// Authorizations that it can redeem.
    pub redeem: Vec<RedeemWork>,
    /// Warrants of it that have not been settled.
    pub unsettled: Vec<UnsettledWork>,
}

/// A proposal that waits for a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrepareWork {
    /// The change.
    pub change: ChangeId,
    /// The proposal as signed.
    pub proposal: String,
    /// Until when.
    pub prepare_until: Option<Timestamp>,
}

/// An authorization that can be redeemed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedeemWork {
    /// The change.
    pub change: ChangeId,
    /// The digest of the host's own plan.
    pub plan: Option<Digest>,
    /// Until when.
    pub until: Option<Timestamp>,
}

/// A warrant that has not been settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnsettledWork {
    /// The change.
    pub change: ChangeId,
    /// The digest of the warrant.
    pub warrant: Digest,
}

/// What is halted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halts {
    /// Counts every halt and resume.
    pub epoch: u64,
    /// What is halted, with the entry that says so.
    pub active: Vec<(HaltScope, u64)>,
}

impl Gate {
    /// One change.
    ///
    /// # Errors
    /// When there is none, or storage fails.
    pub fn change(&self, change: &ChangeId) -> Result<ChangeView, GateError> {
        self.store
            .read(|view| change_view(view, load_change(view, change)?))
    }

    /// The changes whose id starts with `prefix`, for people who type only the beginning.
    ///
    /// # Errors
    /// When storage fails.
    pub fn changes_like(&self, prefix: &str) -> Result<Vec<ChangeId>, GateError> {
        let query = DocumentQuery {
            key_prefix: Some(prefix),
            limit: 10,
            ..Default::default()
        };
        self.store.read(|view| {
            let documents = state::documents::<ChangeRecord>(view, &query)?;
            documents
                .iter()
                .map(|document| Ok(state::parse::<ChangeRecord>(document)?.id))
                .collect()
        })
    }

    /// Changes, newest first: in these states (all, when empty), before this order.
    ///
    /// # Errors
    /// When storage fails.
    pub fn changes(
        &self,
        states: &[&str],
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<ChangeView>, GateError> {
        let query = DocumentQuery {
            states,
            before,
            limit: limit.clamp(1, 1000),
            ..Default::default()
        };
        self.store.read(|view| {
            state::documents::<ChangeRecord>(view, &query)?
                .iter()
                .map(|document| change_view(view, state::parse(document)?))
                .collect()
        })
    }

    /// What a host has to do.
    ///
    /// # Errors
    /// When storage fails.
    pub fn work(&self, host: &HostId) -> Result<Work, GateError> {
        let query = DocumentQuery {
            key_prefix: Some(&WorkRecord::key_prefix(host)),
            ..Default::default()
        };
        self.store.read(|view| {
            let mut work = Work {
                prepare: Vec::new(),
                redeem: Vec::new(),
                unsettled: Vec::new(),
            };
            for document in state::documents::<WorkRecord>(view, &query)? {
                let open: WorkRecord = state::parse(&document)?;
                let record = load_change(view, &open.change)?;
                let execution = load_execution(view, &open.change, host)?;
                add_work(view, &mut work, &record, &execution)?;
            }
            Ok(work)
        })
    }

    /// Roster changes after `version`, as signed; at most 100.
    ///
    /// # Errors
    /// When storage fails.
    pub fn roster_after(&self, version: u64) -> Result<Vec<SignedRosterChange>, GateError> {
        self.view(|view, world| roster_changes(view, world, version))
    }

    /// What is halted.
    ///
    /// # Errors
    /// When storage fails.
    pub fn halts(&self) -> Result<Halts, GateError> {
        let world = self.world()?;
        Ok(Halts {
            epoch: world.halts.epoch,
            active: world.halts.active.values().cloned().collect(),
        })
    }

    /// Alarms, newest first.
    ///
    /// # Errors
    /// When storage fails.
    pub fn alarms(&self, limit: usize) -> Result<Vec<AlarmRecord>, GateError> {
        let query = DocumentQuery {
            limit: limit.clamp(1, 1000),
            ..Default::default()
        };
        self.store.read(|view| {
            let documents = state::documents::<AlarmRecord>(view, &query)?;
            Ok(documents
                .iter()
                .map(state::parse)
                .collect::<Result<_, StoreError>>()?)
        })
    }

    /// Every pending upgrade of every host, with its facts: what agents rank.
    ///
    /// # Errors
    /// When storage fails or no policy is in force.
    pub fn findings(&self, now: Timestamp) -> Result<Vec<Finding>, GateError> {
        let inventory = self.inventory()?;
        self.view(|view, world| {
            let policy = world.policy()?;
            let age_max = policy.policy.settings().limits.observation_max_age_seconds;
            let mut findings = Vec::new();
            for document in state::documents::<HostRecord>(view, &DocumentQuery::default())? {
                let host: HostRecord = state::parse(&document)?;
                let observation = gather::observation_of(world, &host, pending(view, &host.host)?);
                let named = observation
                    .pending
                    .iter()
                    .filter_map(|upgrade| match &upgrade.cves {
                        CveCoverage::Read { ids } => Some(ids),
                        CveCoverage::Unknown { .. } => None,
                    });
                let rows = gather::intel(view, named.flatten().collect::<BTreeSet<_>>())?;
                // The CVE set and the assets are put in place for each finding.
                let question = Question {
                    cves: &Fact::missing("host", "not asked yet"),
                    rows: &gather::rows_of(&rows, &world.feeds),
                    feeds: &world.feeds,
                    limits: policy.limits,
                    assets: &[],
                    tables: &world.tables,
                    now,
                };
                let observed = Observed {
                    observation: &observation,
                    digest: host.observation,
                };
                let patterns = &policy.patterns;
                findings.extend(finding::findings(
                    &observed, age_max, &inventory, patterns, &question,
                ));
            }
            Ok(findings)
        })
    }

    /// The indexes of the entries that concern a change, in the order of the log, 10,000 at most.
    ///
    /// # Errors
    /// When there is no such change, or storage fails.
    pub fn trail(&self, change: &ChangeId) -> Result<Vec<u64>, GateError> {
        self.view(|view, _| Ok(view.trail(load_change(view, change)?.opened)?))
    }

    /// What would be decided now on a change, without writing anything: for `policy explain`.
    ///
    /// # Errors
    /// When there is no such change, or its hosts have not answered.
    pub fn preview(&self, change: &ChangeId, now: Timestamp) -> Result<DecisionPreview, GateError> {
        self.view(|view, world| {
            let record = load_change(view, change)?;
            let (_, proposal) = load_proposal(view, &record)?;
            let executions = state::executions(view, change)?;
            if executions.iter().all(|execution| execution.plan.is_none()) {
                return Err(GateError::Conflict("no host has prepared it yet".into()));
            }
            let plans = Plans::read(view, &executions)?;
            let inputs = Inputs::of(&record, &proposal, &plans);
            decide::preview(view, world, &inputs, now)
        })
    }
}

fn pending(view: &dyn Read, host: &HostId) -> Result<Vec<PendingUpgrade>, StoreError> {
    let query = DocumentQuery {
        key_prefix: Some(&PendingRecord::key_prefix(host)),
        limit: PENDING_MAX,
        ..Default::default()
    };
    let documents = state::documents::<PendingRecord>(view, &query)?;
    documents
        .iter()
        .map(|document| state::parse::<PendingRecord>(document).map(|record| record.upgrade))
        .collect()
}

fn add_work(
    view: &dyn Read,
    work: &mut Work,
    record: &ChangeRecord,
    execution: &ExecutionRecord,
) -> Result<(), GateError> {
    match (record.state, execution.state) {
        (ChangeState::Preparing, ExecutionState::Waiting) if execution.plan.is_none() => {
            work.prepare.push(PrepareWork {
                change: record.id.clone(),
                proposal: proposal_jws(view, record)?,
                prepare_until: record.due_at,
            });
        }
        (ChangeState::Authorized | ChangeState::Running, ExecutionState::Waiting) => {
            work.redeem.push(RedeemWork {
                change: record.id.clone(),
                plan: execution.plan.as_ref().map(|plan| plan.digest),
                until: record
                    .authorization
                    .as_ref()
                    .map(|authorization| authorization.until),
            });
        }
        // Of what nobody knows the outcome, the host's journal may.
        (_, ExecutionState::Issued | ExecutionState::Started | ExecutionState::Unknown) => {
            if let Some(warrant) = &execution.warrant {
                work.unsettled.push(UnsettledWork {
                    change: record.id.clone(),
                    warrant: warrant.digest,
                });
            }
        }
        _ => {}
    }
    Ok(())
}

fn change_view(view: &dyn Read, record: ChangeRecord) -> Result<ChangeView, GateError> {
    let executions = state::executions(view, &record.id)?;
    let mut plans = Vec::new();
    for execution in &executions {
        plans.extend(state::plan(view, execution)?);
    }
    let planned = |name: &PackageName| {
        plans
            .iter()
            .flat_map(|plan| &plan.steps)
            .find(|step| step.transition.name == *name)
            .and_then(|step| step.transition.old.clone())
    };
    let packages = record
        .packages
        .iter()
        .map(|package| PackageView {
            name: package.name.clone(),
            architecture: package.architecture.clone(),
            from: planned(&package.name).or_else(|| package.from.clone()),
            to: package.to.clone(),
        })
        .collect();
    let votes = record.votes.iter().map(|vote| VoteView {
        person: vote.person.clone(),
        vote: vote.vote,
        at: vote.signed_at,
    });
    let decision = record.decision;
    Ok(ChangeView {
        id: record.id,
        state: record.state,
        agent: record.agent,
        owner: record.owner,
        opened_at: record.opened_at,
        packages,
        digest: record.digest,
        outcome: decision.as_ref().map(|decision| decision.outcome),
        policy: decision.as_ref().map(|decision| decision.policy),
        rules: decision
            .as_ref()
            .map(|decision| decision.rules.clone())
            .unwrap_or_default(),
        withheld_by: decision
            .as_ref()
            .map(|decision| decision.withheld_by.clone())
            .unwrap_or_default(),
        reasons: decision
            .as_ref()
            .map(|decision| decision.reasons.clone())
            .unwrap_or_default(),
        duties: decision.map(|decision| decision.duties),
        until: record.due_at,
        votes: votes.collect(),
        ground: record
            .authorization
            .as_ref()
            .map(|authorization| authorization.ground),
        signers: record
            .authorization
            .map(|authorization| authorization.signers)
            .unwrap_or_default(),
        review_due_at: record.review.as_ref().map(|review| review.due_at),
        reviewed: record
            .review
            .and_then(|review| review.done)
            .map(|(verdict, person, at, _)| (verdict, person, at)),
        closed: record.closed.map(|(_, why)| why),
        executions: executions.into_iter().map(execution_view).collect(),
        order: record.opened,
    })
}

fn execution_view(execution: ExecutionRecord) -> ExecutionView {
    let mut notes: Vec<String> = execution.unprepared.into_iter().collect();
    notes.extend(execution.closed.map(|(_, why)| why));
    if let Some(settlement) = &execution.settlement {
        notes.extend(settlement.notes.iter().cloned());
    }
    ExecutionView {
        host: execution.host,
        wave: execution.wave,
        state: execution.state,
        ending: execution
            .settlement
            .as_ref()
            .map(|settlement| settlement.ending),
        started_at: execution.started_at,
        ended_at: execution
            .settlement
            .as_ref()
            .map(|settlement| settlement.ended_at),
        warrant: execution.warrant.map(|warrant| warrant.index),
        notes,
    }
}
