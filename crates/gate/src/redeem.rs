//! Redemption: decides again on fresh facts, mints the warrant as a log entry, and hands it over
//! with its proof once that entry is durable and integrated (invariant 1).

mod minting;

use crate::error::{GateError, Withheld};
use crate::gather::{self, Gathered, Inputs, Plans};
use crate::prepare::load_execution;
use crate::propose::{load_change, load_proposal};
use crate::state::{self, ChangeRecord, ExecutionRecord};
use crate::world::World;
use crate::{Frame, Gate};
use countersign_domain::entry::{Entry, Event, LogEntry};
use countersign_domain::lease::{Handover, Lease};
use countersign_domain::roster::SignedRosterChange;
use countersign_domain::statement::SignedStatement;
use countersign_domain::warrant::LogReference;
use countersign_domain::{
    ChangeId, ChangeState, Environment, ExecutionState, HostId, Nonce, Proposal, Timestamp,
    canonical, jws,
};
use countersign_store::{Head, Log, Read, StoreError};
use countersign_verify::log::authorizations_origin;
use std::sync::Arc;

/// What a host sends to redeem.
#[derive(Debug, Clone)]
pub struct Redemption {
    /// The change.
    pub change: ChangeId,
    /// The host, authenticated.
    pub host: HostId,
    /// The host's fresh nonce.
    pub nonce: Nonce,
    /// The size of the last checkpoint it saw; 0 for none.
    pub checkpoint_size: u64,
    /// The roster version it has.
    pub roster_version: u64,
    /// The unique id of a new warrant, from 16 random bytes.
    pub jti: Nonce,
}

/// What the transaction came to.
pub(crate) enum Redeemed {
    /// The warrant is in the log.
    Issued(Box<Issued>),
    /// It was decided again, or the host dropped out: entries were written, but no warrant.
    Withheld(Withheld),
}

/// A warrant that is in the log.
pub(crate) struct Issued {
    /// The index of its entry.
    index: u64,
    /// Its JWS, which is the entry.
    jws: String,
    /// Its change.
    record: ChangeRecord,
}

impl Issued {
    /// The warrant at this index.
    fn read(view: &dyn Read, index: u64, record: ChangeRecord) -> Result<Self, GateError> {
        let damaged = || StoreError::Damaged(format!("entry {index} should be a warrant"));
        let bytes = view
            .entry(Log::Authorizations, index)?
            .ok_or_else(damaged)?;
        let jws = String::from_utf8(bytes).map_err(|_| damaged())?;
        Ok(Self { index, jws, record })
    }
}

/// What one snapshot shows of what is redeemed.
struct Seen {
    world: Arc<World>,
    /// The warrant, where there is one that can still be used or settled.
    issued: Option<Issued>,
    record: ChangeRecord,
    execution: ExecutionRecord,
    executions: Vec<ExecutionRecord>,
    proposal_jws: String,
    proposal: Proposal,
    gathered: Option<Gathered>,
    /// Of the authorizations log.
    head: Head,
}

impl Seen {
    /// Where the authorization stands, under a root that was committed before.
    fn authorization(&self) -> Result<LogReference, GateError> {
        let authorization = self
            .record
            .authorization
            .as_ref()
            .ok_or(Withheld::NotAuthorized(self.record.state))?;
        Ok(LogReference {
            origin: authorizations_origin(self.world.deployment()),
            index: authorization.index,
            size: self.head.size,
            root: self.head.root,
        })
    }
}

impl Gate {
    /// Redeems an authorization for one host. A retry returns the same warrant with a fresh lease.
    ///
    /// # Errors
    /// [`GateError::Withheld`] with the reason when there is no warrant for it, now or for good.
    pub async fn redeem(
        &self,
        redemption: Redemption,
        now: Timestamp,
    ) -> Result<Handover, GateError> {
        retried!(self.redeem_once(redemption.clone(), now))
    }

    async fn redeem_once(
        &self,
        redemption: Redemption,
        now: Timestamp,
    ) -> Result<Handover, GateError> {
        let mut seen = self.view_for(&redemption, now)?;
        let proposal = std::mem::take(&mut seen.proposal_jws);
        let issued = match seen.issued.take() {
            Some(issued) => {
                self.published(issued.index).await?;
                issued
            }
            None => {
                may_issue(
                    &seen.world,
                    &seen.record,
                    &seen.execution,
                    &seen.executions,
                    now,
                )?;
                let reference = seen.authorization()?;
                let signer = self.warrant_key.clone();
                let request = redemption.clone();
                let redeemed = self
                    .submit(&Arc::clone(&seen.world), move |tx| {
                        let minting = minting::Minting {
                            world: &seen.world,
                            frame: &Frame::new(&seen.world, now),
                            request: &request,
                            proposal: &seen.proposal,
                            reference,
                        };
                        minting.redeem(tx, seen.gathered, &signer)
                    })
                    .await?;
                match redeemed {
                    Redeemed::Issued(issued) => *issued,
                    Redeemed::Withheld(why) => return Err(why.into()),
                }
            }
        };
        self.hand_over(&redemption, issued, proposal, now)
    }

    /// Waits until an entry that a view has shown is published: its first answer may still wait for a
    /// witness.
    async fn published(&self, index: u64) -> Result<(), GateError> {
        if self.store.is_published(Log::Authorizations, index) {
            return Ok(());
        }
        self.store.submit(|_| Ok::<_, GateError>(())).await
    }

    fn view_for(&self, redemption: &Redemption, now: Timestamp) -> Result<Seen, GateError> {
        self.store.read(|view| {
            let world = self.worlds.at(view)?;
            let record = load_change(view, &redemption.change)?;
            let execution = load_execution(view, &redemption.change, &redemption.host)?;
            let (proposal_jws, proposal) = load_proposal(view, &record)?;
            let executions = state::executions(view, &record.id)?;
            let issued = issued(&execution)
                .map(|index| Issued::read(view, index, record.clone()))
                .transpose()?;
            let gathered = if issued.is_none() && record.authorization.is_some() {
                let plans = Plans::read(view, decided_on(&record, &executions))?;
                let inputs = Inputs::of(&record, &proposal, &plans);
                Some(gather::gather(view, &world, &inputs, now)?)
            } else {
                None
            };
            Ok(Seen {
                head: view.head(Log::Authorizations)?,
                world,
                issued,
                record,
                execution,
                executions,
                proposal_jws,
                proposal,
                gathered,
            })
        })
    }

    /// The warrant with everything that the host needs to verify it by itself.
    fn hand_over(
        &self,
        redemption: &Redemption,
        issued: Issued,
        proposal: String,
        now: Timestamp,
    ) -> Result<Handover, GateError> {
        let proof = self.store.proof(Log::Authorizations, issued.index)?;
        let size = proof.checkpoint().claimed().size();
        // A host that has seen more than this gate can show refuses: a log was rolled back.
        let known = redemption.checkpoint_size.min(size);
        let consistency = self.store.consistency(Log::Authorizations, known, size)?;
        let record = issued.record;
        self.view(|view, world| {
            let rules = record
                .decision
                .as_ref()
                .map_or(&[][..], |decision| &decision.rules);
            let halted = !world.halts.active.is_empty()
                && world.halted(&record.agent, rules, &environments(view, &record.id)?);
            let lease = Lease {
                v: 1,
                deployment: world.deployment().clone(),
                host: redemption.host.clone(),
                nonce: redemption.nonce.clone(),
                at: now,
                halt_epoch: world.halts.epoch,
                halted,
            };
            Ok(Handover {
                warrant: issued.jws,
                proof: proof.to_string(),
                lease: self.sign(jws::LEASE_TYP, &canonical::to_bytes(&lease)?),
                consistency: consistency
                    .iter()
                    .map(countersign_ledger::Hash::to_base64)
                    .collect(),
                roster: roster_changes(view, world, redemption.roster_version)?,
                statements: statements(view, &record)?,
                proposal,
                plans: record.plans,
            })
        })
    }
}

/// The roster changes after `version`, as signed.
pub(crate) fn roster_changes(
    view: &dyn Read,
    world: &World,
    version: u64,
) -> Result<Vec<SignedRosterChange>, GateError> {
    let known = usize::try_from(version).unwrap_or(usize::MAX);
    world
        .roster_entries
        .iter()
        .skip(known)
        .take(100)
        .map(|index| match read_entry(view, *index)?.event {
            Event::Roster { signed } => Ok(signed),
            _ => Err(StoreError::Damaged(format!("entry {index} is not a roster change")).into()),
        })
        .collect()
}

pub(crate) fn read_entry(view: &dyn Read, index: u64) -> Result<Entry, GateError> {
    let damaged = |what: &str| StoreError::Damaged(format!("entry {index} {what}"));
    let bytes = view
        .entry(Log::Authorizations, index)?
        .ok_or_else(|| damaged("is missing"))?;
    match LogEntry::read(&bytes)? {
        LogEntry::Entry(entry) => Ok(*entry),
        LogEntry::Warrant(_) => Err(damaged("is a warrant").into()),
    }
}

/// The humans' statements that an approval rests on.
fn statements(view: &dyn Read, record: &ChangeRecord) -> Result<Vec<SignedStatement>, GateError> {
    record
        .votes
        .iter()
        .map(|vote| match read_entry(view, vote.index)?.event {
            Event::Voted { statement, .. } => Ok(statement),
            _ => Err(StoreError::Damaged(format!("entry {} is not a vote", vote.index)).into()),
        })
        .collect()
}

pub(crate) fn environments(
    view: &dyn Read,
    change: &ChangeId,
) -> Result<Vec<Environment>, StoreError> {
    let executions = state::executions(view, change)?;
    Ok(executions
        .iter()
        .map(|execution| execution.environment)
        .collect())
}

/// The entry of the warrant that is out, when there is one that can still be used or settled.
fn issued(execution: &ExecutionRecord) -> Option<u64> {
    match execution.state {
        ExecutionState::Issued | ExecutionState::Started => {
            execution.warrant.as_ref().map(|w| w.index)
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

/// What can be told without deciding again.
fn may_issue(
    world: &World,
    record: &ChangeRecord,
    execution: &ExecutionRecord,
    executions: &[ExecutionRecord],
    now: Timestamp,
) -> Result<(), Withheld> {
    if execution.state != ExecutionState::Waiting {
        return Err(Withheld::Settled(execution.state.as_str()));
    }
    let authorized = matches!(record.state, ChangeState::Authorized | ChangeState::Running);
    match &record.authorization {
        Some(authorization) if authorized && now <= authorization.until => {}
        Some(_) | None => return Err(Withheld::NotAuthorized(record.state)),
    }
    let rules = record
        .decision
        .as_ref()
        .map_or(&[][..], |decision| &decision.rules);
    let environments: Vec<_> = executions.iter().map(|one| one.environment).collect();
    if world.halted(&record.agent, rules, &environments) {
        return Err(Withheld::Halted);
    }
    Ok(())
}

/// The executions that a change was decided on. Hosts that ran already stay in the facts: the digest
/// binds them, and the blast radius is the change's, not the remainder's.
fn decided_on<'a>(
    record: &'a ChangeRecord,
    executions: &'a [ExecutionRecord],
) -> impl Iterator<Item = &'a ExecutionRecord> {
    record.plans.iter().filter_map(|bound| {
        executions
            .iter()
            .find(|execution| execution.host == bound.host)
    })
}
