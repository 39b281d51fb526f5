//! Takes the hosts' answers to a proposal. When the last has answered, it is decided.

use crate::decide;
use crate::error::GateError;
use crate::gather::{self, Gathered, Inputs, Plans};
use crate::propose::{load_change, proposal_jws};
use crate::state::{self, ExecutionRecord};
use crate::{Frame, Gate, World};
use countersign_domain::entry::Event;
use countersign_domain::{
    ChangeId, ChangeState, ExecutionState, HostId, PreparedPlan, Proposal, Timestamp,
};
use countersign_verify::Verified;
use std::sync::Arc;

impl Gate {
    /// Takes a plan that a host has signed for a change.
    ///
    /// # Errors
    /// When it is malformed, not signed by that host, or answers another proposal; or when the
    /// change no longer waits for it.
    pub async fn prepared(
        &self,
        host: &HostId,
        change: &ChangeId,
        plan: String,
        now: Timestamp,
    ) -> Result<ChangeState, GateError> {
        retried!(self.prepared_once(host, change, plan.clone(), now))
    }

    async fn prepared_once(
        &self,
        host: &HostId,
        change: &ChangeId,
        plan: String,
        now: Timestamp,
    ) -> Result<ChangeState, GateError> {
        let (world, proposal) = self.change_with_proposal(change)?;
        let verified = decide::verified_plan(&world, &plan, &proposal, now)?;
        if verified.host != *host {
            return Err(GateError::Forbidden(format!(
                "the plan is of host `{}`",
                verified.host
            )));
        }
        let frame = Frame::new(&world, now);
        let change = change.clone();
        let gathered = self.gather_for_last(&world, &change, &proposal, &verified, now)?;
        self.submit(&Arc::clone(&world), move |tx| {
            let record = load_change(tx, &change)?;
            let execution = load_execution(tx, &change, &verified.host)?;
            if execution
                .plan
                .is_some_and(|plan| plan.digest == *verified.digest())
            {
                return Ok(record.state);
            }
            if record.state != ChangeState::Preparing || execution.state != ExecutionState::Waiting
            {
                return Err(GateError::State {
                    change,
                    state: record.state,
                    problem: "it no longer waits for this host's plan".into(),
                });
            }
            frame.append(
                tx,
                Event::Prepared {
                    change: change.clone(),
                    host: verified.host.clone(),
                    plan,
                },
            )?;
            decide::when_prepared(tx, &world, &frame, &change, &proposal, gathered)
        })
        .await
    }

    /// The facts for a change whose last plan this is, gathered before the transaction.
    fn gather_for_last(
        &self,
        world: &World,
        change: &ChangeId,
        proposal: &Verified<Proposal>,
        plan: &Verified<PreparedPlan>,
        now: Timestamp,
    ) -> Result<Option<Gathered>, GateError> {
        self.store.read(|view| {
            let record = load_change(view, change)?;
            let executions = state::executions(view, change)?;
            let mut plans = Vec::new();
            for execution in decide::taking_part(&executions) {
                let digest = execution.plan.as_ref().map(|plan| plan.digest);
                let known = match state::plan(view, execution)?.zip(digest) {
                    _ if execution.host == plan.host => (PreparedPlan::clone(plan), *plan.digest()),
                    Some(known) => known,
                    None => return Ok(None),
                };
                plans.push(known);
            }
            if record.state != ChangeState::Preparing || plans.is_empty() {
                return Ok(None);
            }
            let plans = Plans::new(plans);
            gather::gather(view, world, &Inputs::of(&record, proposal, &plans), now).map(Some)
        })
    }

    /// A host says that it cannot do it, and drops out of the change.
    ///
    /// # Errors
    /// When the change no longer waits for this host.
    pub async fn unprepared(
        &self,
        host: &HostId,
        change: &ChangeId,
        why: &str,
        now: Timestamp,
    ) -> Result<ChangeState, GateError> {
        retried!(self.unprepared_once(host, change, why, now))
    }

    async fn unprepared_once(
        &self,
        host: &HostId,
        change: &ChangeId,
        why: &str,
        now: Timestamp,
    ) -> Result<ChangeState, GateError> {
        let (world, proposal) = self.change_with_proposal(change)?;
        let frame = Frame::new(&world, now);
        let (host, change) = (host.clone(), change.clone());
        let why = countersign_domain::text::shown(why, 300);
        self.submit(&Arc::clone(&world), move |tx| {
            let record = load_change(tx, &change)?;
            let execution = load_execution(tx, &change, &host)?;
            if record.state != ChangeState::Preparing || execution.state != ExecutionState::Waiting
            {
                return Ok(record.state);
            }
            frame.append(
                tx,
                Event::Unprepared {
                    change: change.clone(),
                    host,
                    why,
                },
            )?;
            decide::when_prepared(tx, &world, &frame, &change, &proposal, None)
        })
        .await
    }

    /// The world, and the proposal of a change, verified against it.
    fn change_with_proposal(
        &self,
        change: &ChangeId,
    ) -> Result<(Arc<World>, Arc<Verified<Proposal>>), GateError> {
        let world = self.world()?;
        if let Some(proposal) = self.proposals.get(change, &world.roster.head) {
            return Ok((world, proposal));
        }
        let jws = self
            .store
            .read(|view| proposal_jws(view, &load_change(view, change)?))?;
        let proposal = countersign_verify::proposal::verify(&jws, &world.roster)?;
        let proposal = Arc::new(proposal);
        let known = Arc::clone(&proposal);
        self.proposals.put(change.clone(), world.roster.head, known);
        Ok((world, proposal))
    }
}

/// An execution that has to be there.
pub(crate) fn load_execution(
    store: &dyn countersign_store::Read,
    change: &ChangeId,
    host: &HostId,
) -> Result<ExecutionRecord, GateError> {
    state::load(store, &ExecutionRecord::key_of(change, host))?
        .ok_or_else(|| GateError::not_found("target of this change", host.as_str()))
}
