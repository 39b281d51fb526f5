//! Redemption: decides again on fresh facts, mints the warrant as a log entry, and hands it over
//! with its proof once that entry is durable and integrated (invariant 1).

use crate::decide;
use crate::error::{GateError, Withheld};
use crate::gather::{self, Gathered, Inputs};
use crate::prepare::load_execution;
use crate::propose::{load_change, load_proposal};
use crate::state::{self, ChangeRecord, ExecutionRecord};
use crate::world::World;
use crate::{Frame, Gate, fold};
use countersign_domain::decision::{Decision, Outcome};
use countersign_domain::entry::{Closing, Entry, Event, ExecutionClosing, LogEntry};
use countersign_domain::facts::DecisionFacts;
use countersign_domain::lease::{Handover, Lease};
use countersign_domain::roster::SignedRosterChange;
use countersign_domain::statement::SignedStatement;
use countersign_domain::warrant::{
    AuthorizationDetails, Basis, DETAILS_TYPE, Ground, LogReference, WARRANT_SECONDS_MAX,
    WARRANT_TYP,
};
use countersign_domain::{
    ChangeId, ChangeState, Environment, ExecutionState, HostId, Nonce, Proposal, Timestamp,
    Warrant, canonical, jws,
};
use countersign_store::{Log, Read, StoreError, Write};
use countersign_verify::log::authorizations_origin;

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
enum Redeemed {
    /// The warrant stands at this index.
    Issued(u64),
    /// It was decided again, or the host dropped out: entries were written, but no warrant.
    Withheld(Withheld),
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
        let (world, record, execution, proposal, gathered) = self.view_for(&redemption, now)?;
        let index = match issued(&execution) {
            Some(index) => index,
            None => {
                may_issue(&world, &record, &execution, now)?;
                let frame = Frame::new(&world, now);
                let reference = self.authorization_reference(&world, &record)?;
                let signer = self.warrant_key.clone();
                let request = redemption.clone();
                let redeemed = self
                    .submit(move |tx| {
                        let minting = Minting {
                            world: &world,
                            frame: &frame,
                            request: &request,
                            proposal: &proposal,
                            reference,
                        };
                        minting.redeem(tx, gathered, &signer)
                    })
                    .await?;
                match redeemed {
                    Redeemed::Issued(index) => index,
                    Redeemed::Withheld(why) => return Err(why.into()),
                }
            }
        };
        self.hand_over(&redemption, index, now)
    }

    #[allow(clippy::type_complexity, reason = "a snapshot, taken apart once")]
    fn view_for(
        &self,
        redemption: &Redemption,
        now: Timestamp,
    ) -> Result<
        (
            std::sync::Arc<World>,
            ChangeRecord,
            ExecutionRecord,
            Proposal,
            Option<Gathered>,
        ),
        GateError,
    > {
        self.store.read(|view| {
            let world = self.worlds.at(view)?;
            let record = load_change(view, &redemption.change)?;
            let execution = load_execution(view, &redemption.change, &redemption.host)?;
            let (_, proposal) = load_proposal(view, &record)?;
            let gathered = if issued(&execution).is_none() && record.authorization.is_some() {
                let executions = state::executions(view, &record.id)?;
                Some(gather::gather(
                    view,
                    &world,
                    &inputs(&record, &executions, &proposal),
                    now,
                )?)
            } else {
                None
            };
            Ok((world, record, execution, proposal, gathered))
        })
    }

    /// Where the authorization stands, under a root that was committed before.
    fn authorization_reference(
        &self,
        world: &World,
        record: &ChangeRecord,
    ) -> Result<LogReference, GateError> {
        let head = self
            .store
            .read(|view| view.head(Log::Authorizations).map_err(GateError::from))?;
        let authorization = record
            .authorization
            .as_ref()
            .ok_or(Withheld::NotAuthorized(record.state))?;
        Ok(LogReference {
            origin: authorizations_origin(world.deployment()),
            index: authorization.index,
            size: head.size,
            root: head.root,
        })
    }

    /// The warrant with everything that the host needs to verify it by itself.
    fn hand_over(
        &self,
        redemption: &Redemption,
        index: u64,
        now: Timestamp,
    ) -> Result<Handover, GateError> {
        let proof = self.store.proof(Log::Authorizations, index)?;
        let size = proof.checkpoint().claimed().size();
        // A host that has seen more than this gate can show refuses: a log was rolled back.
        let known = redemption.checkpoint_size.min(size);
        let consistency = self.store.consistency(Log::Authorizations, known, size)?;
        self.view(|view, world| {
            let record = load_change(view, &redemption.change)?;
            let warrant = warrant_at(view, index)?;
            let environments = environments(view, &record.id)?;
            let rules = record
                .decision
                .as_ref()
                .map_or(&[][..], |decision| &decision.rules);
            let lease = Lease {
                v: 1,
                deployment: world.deployment().clone(),
                host: redemption.host.clone(),
                nonce: redemption.nonce.clone(),
                at: now,
                halt_epoch: world.halts.epoch,
                halted: world.halted(&record.agent, rules, &environments),
            };
            Ok(Handover {
                warrant,
                proof: proof.to_string(),
                lease: self.sign(jws::LEASE_TYP, &canonical::to_bytes(&lease)?),
                consistency: consistency
                    .iter()
                    .map(countersign_ledger::Hash::to_base64)
                    .collect(),
                roster: roster_changes(view, world, redemption.roster_version)?,
                statements: statements(view, &record)?,
                proposal: load_proposal(view, &record)?.0,
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

fn warrant_at(view: &dyn Read, index: u64) -> Result<String, GateError> {
    let damaged = || StoreError::Damaged(format!("entry {index} should be a warrant"));
    let bytes = view
        .entry(Log::Authorizations, index)?
        .ok_or_else(damaged)?;
    Ok(String::from_utf8(bytes).map_err(|_| damaged())?)
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
    if world.halted(&record.agent, rules, &[execution.environment]) {
        return Err(Withheld::Halted);
    }
    Ok(())
}

fn inputs<'a>(
    record: &'a ChangeRecord,
    executions: &'a [ExecutionRecord],
    proposal: &'a Proposal,
) -> Inputs<'a> {
    // Hosts that ran already stay in the facts: the digest binds them, and the blast radius is the
    // change's, not the remainder's.
    let plans = record
        .plans
        .iter()
        .filter_map(|bound| {
            executions
                .iter()
                .find(|execution| execution.host == bound.host)
        })
        .filter_map(|execution| execution.plan.as_ref())
        .collect();
    Inputs {
        change: &record.id,
        agent: &record.agent,
        owner: &record.owner,
        proposal,
        proposal_digest: &record.proposal,
        plans,
    }
}

struct Minting<'a> {
    world: &'a World,
    frame: &'a Frame,
    request: &'a Redemption,
    proposal: &'a Proposal,
    reference: LogReference,
}

impl Minting<'_> {
    fn redeem(
        self,
        tx: &mut dyn Write,
        gathered: Option<Gathered>,
        signer: &ed25519_dalek::SigningKey,
    ) -> Result<Redeemed, GateError> {
        let now = self.frame.at;
        let record = load_change(tx, &self.request.change)?;
        let execution = load_execution(tx, &self.request.change, &self.request.host)?;
        // INVARIANT (one spend): a retry that raced finds the warrant of the first.
        if let Some(index) = issued(&execution) {
            return Ok(Redeemed::Issued(index));
        }
        let epoch = state::load::<crate::world::EpochRecord>(tx, "current")?;
        if epoch != Some(self.world.epoch) {
            return Err(GateError::Conflict(
                "roster, policy or halts changed meanwhile; ask again".into(),
            ));
        }
        may_issue(self.world, &record, &execution, now)?;
        let executions = state::executions(tx, &record.id)?;
        if let Some(why) = self.wave(tx, &executions, &execution)? {
            return Ok(Redeemed::Withheld(why));
        }
        if execution
            .plan
            .as_ref()
            .is_none_or(|plan| plan.expires_at <= now)
        {
            return self.drop_out(tx, &record, &executions);
        }
        let inputs = inputs(&record, &executions, self.proposal);
        let gathered = match gathered {
            Some(gathered) if gathered.still_holds(tx, &inputs)? => gathered,
            Some(_) | None => gather::gather(tx, self.world, &inputs, now)?,
        };
        let (decision, facts) =
            decide::evaluate(tx, self.world, self.frame, gathered.facts.clone())?;
        if let Some(why) = self.stricter(tx, &record, &executions, &gathered, &decision, &facts)? {
            return Ok(Redeemed::Withheld(why));
        }
        crate::keep_value(tx, &facts)?;
        let warrant = self.warrant(&record, &execution, &decision)?;
        let input = jws::signing_input(
            WARRANT_TYP,
            crate::GATE_KID,
            &canonical::to_bytes(&warrant)?,
        );
        let signature = ed25519_dalek::Signer::sign(signer, input.as_bytes());
        let jws = jws::assemble(&input, &signature.to_bytes());
        Ok(Redeemed::Issued(fold::append_warrant(tx, &jws)?.index))
    }

    /// The next wave waits for the receipts of the one before; unknown counts as failure.
    fn wave(
        &self,
        tx: &mut dyn Write,
        executions: &[ExecutionRecord],
        own: &ExecutionRecord,
    ) -> Result<Option<Withheld>, GateError> {
        let earlier = || {
            executions
                .iter()
                .filter(|other| other.wave < own.wave && other.plan.is_some())
        };
        if earlier().any(|other| other.state.is_final() && other.state != ExecutionState::Succeeded)
        {
            let closed = Event::ExecutionClosed {
                change: own.change.clone(),
                host: own.host.clone(),
                closing: ExecutionClosing::Revoked,
                why: "an earlier wave did not succeed".into(),
            };
            self.frame.append(tx, closed)?;
            return Ok(Some(Withheld::Settled("revoked")));
        }
        let finished = earlier().all(|other| other.state == ExecutionState::Succeeded);
        Ok((!finished).then_some(Withheld::NotYourTurn))
    }

    /// A host whose plan went stale drops out; when it was the last, the change ends with it.
    fn drop_out(
        &self,
        tx: &mut dyn Write,
        record: &ChangeRecord,
        executions: &[ExecutionRecord],
    ) -> Result<Redeemed, GateError> {
        let closed = Event::ExecutionClosed {
            change: record.id.clone(),
            host: self.request.host.clone(),
            closing: ExecutionClosing::Revoked,
            why: "the host's plan has expired".into(),
        };
        self.frame.append(tx, closed)?;
        let last = executions
            .iter()
            .filter(|other| other.host != self.request.host)
            .all(|other| other.state.is_final());
        if last && record.state == ChangeState::Authorized {
            let closed = Event::Closed {
                change: record.id.clone(),
                closing: Closing::Expired,
                why: "the hosts' plans have expired; propose again".into(),
            };
            self.frame.append(tx, closed)?;
        }
        Ok(Redeemed::Withheld(Withheld::PlanStale))
    }

    /// Decided again and stricter: a change that has not started goes back to people or is denied;
    /// of one that runs, this host does not.
    fn stricter(
        &self,
        tx: &mut dyn Write,
        record: &ChangeRecord,
        executions: &[ExecutionRecord],
        gathered: &Gathered,
        decision: &Decision,
        facts: &DecisionFacts,
    ) -> Result<Option<Withheld>, GateError> {
        let ground = record
            .authorization
            .as_ref()
            .map(|authorization| authorization.ground);
        let covered = match (decision.outcome, ground) {
            (Outcome::Allow, Some(_)) => true,
            // The very thing that people approved.
            (Outcome::Ask | Outcome::Escalate, Some(Ground::Approved)) => record
                .decision
                .as_ref()
                .is_some_and(|signed| !decision.differs_for_people(signed)),
            (Outcome::Ask | Outcome::Escalate, Some(Ground::Standing) | None)
            | (Outcome::Deny, _)
            | (Outcome::Allow, None) => false,
        };
        if covered && record.digest == Some(gathered.change_digest) {
            return Ok(None);
        }
        let why = decision.reasons.first().map_or_else(
            || format!("the outcome is now {}", decision.outcome.as_str()),
            |reason| reason.text.clone(),
        );
        if record.state == ChangeState::Authorized {
            decide::record_decision(
                tx,
                self.world,
                self.frame,
                record,
                gathered,
                decision.clone(),
                facts,
            )?;
        } else {
            for other in executions
                .iter()
                .filter(|other| other.state == ExecutionState::Waiting)
            {
                let closed = Event::ExecutionClosed {
                    change: record.id.clone(),
                    host: other.host.clone(),
                    closing: ExecutionClosing::Revoked,
                    why: format!("decided again before this wave: {why}"),
                };
                self.frame.append(tx, closed)?;
            }
        }
        Ok(Some(Withheld::DecidedAgain(why)))
    }

    fn warrant(
        &self,
        record: &ChangeRecord,
        execution: &ExecutionRecord,
        decision: &Decision,
    ) -> Result<Warrant, GateError> {
        let missing = || GateError::from(Withheld::NotAuthorized(record.state));
        let authorization = record.authorization.as_ref().ok_or_else(missing)?;
        let signed = record.decision.as_ref().ok_or_else(missing)?;
        let limits = &self.world.policy()?.policy.settings().limits;
        let lifetime = i64::from(limits.warrant_lifetime_seconds).min(WARRANT_SECONDS_MAX);
        let iat = self.frame.at.unix_seconds();
        Ok(Warrant {
            iss: self.world.deployment().clone(),
            aud: execution.host.clone(),
            sub: record.agent.clone(),
            iat,
            nbf: iat,
            exp: iat + lifetime,
            jti: self.request.jti.clone(),
            txn: record.id.clone(),
            authorization_details: vec![AuthorizationDetails {
                kind: DETAILS_TYPE.to_owned(),
                actions: vec!["package.transition".into()],
                locations: vec![execution.host.clone()],
                change_digest: record.digest.ok_or_else(missing)?,
                plan_digest: execution.plan_digest.ok_or_else(missing)?,
                targets_max: u32::try_from(record.plans.len()).unwrap_or(u32::MAX),
                wave: execution.wave,
                uses: 1,
            }],
            basis: Basis {
                // What people approved is bound to the policy they saw; standing authority to the
                // one in force.
                policy: match authorization.ground {
                    Ground::Approved => signed.policy,
                    Ground::Standing => decision.policy,
                },
                rules: match authorization.ground {
                    Ground::Approved => signed.rules.clone(),
                    Ground::Standing => decision.rules.clone(),
                },
                decision: authorization.ground,
                approvers: authorization.signers.clone(),
                facts: decision.facts,
                authorization: self.reference.clone(),
                roster_version: self.world.roster.version,
            },
            halt_epoch: self.world.halts.epoch,
            trial: self.world.roster.trial,
        })
    }
}
