//! Takes proposals: verified, bounded, idempotent; logged as recommendations exactly as signed.

use crate::decide;
use crate::error::GateError;
use crate::gather::{self, Gathered, Inputs, Plans};
use crate::state::{self, ChangeRecord, RequestRecord};
use crate::world::World;
use crate::{Frame, Gate, keep_text};
use countersign_domain::entry::{Closing, Event};
use countersign_domain::text::SaltedText;
use countersign_domain::warrant::LogReference;
use countersign_domain::{
    AgentId, ChangeId, ChangeState, Digest, PreparedPlan, Proposal, RequestId, Timestamp,
};
use countersign_store::{Log, Read, StoreError, Write};
use countersign_verify::Verified;
use countersign_verify::log::recommendations_origin;
use std::sync::Arc;

/// How long hosts have to answer a proposal, in seconds.
const PREPARE_SECONDS: i64 = 15 * 60;

/// A proposal as an agent hands it in.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The agent's own key for this request.
    pub request: RequestId,
    /// The proposal as signed (compact JWS).
    pub proposal: String,
    /// The text behind the proposal's rationale digest.
    pub rationale: Option<SaltedText>,
    /// Plans that hosts have signed for it already.
    pub plans: Vec<String>,
}

/// What became of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    /// The change.
    pub change: ChangeId,
    /// Where it stands now.
    pub state: ChangeState,
    /// True when it had been handed in before: nothing new was written.
    pub repeated: bool,
}

impl Gate {
    /// Takes a proposal from an authenticated agent. With the plans of all hosts at hand it is
    /// decided in the same transaction.
    ///
    /// # Errors
    /// When it is malformed, not signed by this agent, meant for another deployment, out of date,
    /// or its request id was used for something else.
    pub async fn propose(
        &self,
        agent: &AgentId,
        submission: Submission,
        now: Timestamp,
    ) -> Result<Proposed, GateError> {
        retried!(self.propose_once(agent, submission.clone(), now))
    }

    async fn propose_once(
        &self,
        agent: &AgentId,
        submission: Submission,
        now: Timestamp,
    ) -> Result<Proposed, GateError> {
        let world = self.world()?;
        let proposal = countersign_verify::proposal::verify(&submission.proposal, &world.roster)?;
        let proposal = Arc::new(proposal);
        check(&world, agent, &proposal, &submission, now)?;
        let digest = *proposal.digest();
        let plans = submission
            .plans
            .iter()
            .map(|jws| decide::verified_plan(&world, jws, &proposal, now))
            .collect::<Result<Vec<_>, _>>()?;
        let frame = Frame::new(&world, now);
        let agent = agent.clone();
        let gathered = self.gather_ahead(&world, &agent, &proposal, &digest, &plans, now)?;
        let (roster, known) = (world.roster.head, Arc::clone(&proposal));
        let submitted = self.submit(&Arc::clone(&world), move |tx| {
            if let Some(earlier) = repeated(tx, &agent, &submission.request, &digest)? {
                return Ok(earlier);
            }
            let change = ChangeId::from_proposal(&digest);
            let appended = tx.append(Log::Recommendations, submission.proposal.as_bytes())?;
            if let (Some(text), Some(rationale)) = (&submission.rationale, &proposal.rationale) {
                keep_text(tx, text, rationale)?;
            }
            frame.append(
                tx,
                Event::Proposed {
                    change: change.clone(),
                    agent,
                    request: submission.request,
                    proposal: digest,
                    recommendation: LogReference {
                        origin: recommendations_origin(&frame.deployment),
                        index: appended.index,
                        size: appended.head.size,
                        root: appended.head.root,
                    },
                    prepare_until: now.plus_seconds(PREPARE_SECONDS),
                },
            )?;
            for (plan, jws) in plans.iter().zip(submission.plans) {
                frame.append(
                    tx,
                    Event::Prepared {
                        change: change.clone(),
                        host: plan.host.clone(),
                        plan: jws,
                    },
                )?;
            }
            let state = decide::when_prepared(tx, &world, &frame, &change, &proposal, gathered)?;
            Ok(Proposed {
                change,
                state,
                repeated: false,
            })
        });
        let proposed = submitted.await?;
        if !proposed.repeated {
            self.proposals.put(proposed.change.clone(), roster, known);
        }
        Ok(proposed)
    }

    /// The facts for a proposal that comes with the plans of all its hosts, gathered before the
    /// transaction.
    fn gather_ahead(
        &self,
        world: &World,
        agent: &AgentId,
        proposal: &Proposal,
        digest: &Digest,
        plans: &[Verified<PreparedPlan>],
        now: Timestamp,
    ) -> Result<Option<Gathered>, GateError> {
        let (true, Some(entry)) = (
            proposal.hosts().count() == plans.len(),
            world.roster.agents.get(agent),
        ) else {
            return Ok(None);
        };
        let change = ChangeId::from_proposal(digest);
        let plans = plans
            .iter()
            .map(|plan| (PreparedPlan::clone(plan), *plan.digest()));
        let inputs = Inputs {
            change: &change,
            opened: None,
            agent,
            owner: &entry.owner,
            proposal,
            proposal_digest: digest,
            plans: &Plans::new(plans),
        };
        self.store
            .read(|view| gather::gather(view, world, &inputs, now))
            .map(Some)
    }

    /// Takes a change back, before it runs. Only the agent that asked for it can.
    ///
    /// # Errors
    /// When there is no such change of this agent, or it has gone too far.
    pub async fn withdraw(
        &self,
        agent: &AgentId,
        change: &ChangeId,
        now: Timestamp,
    ) -> Result<ChangeState, GateError> {
        let world = self.world()?;
        let frame = Frame::new(&world, now);
        let (agent, change) = (agent.clone(), change.clone());
        self.submit(&Arc::clone(&world), move |tx| {
            let record = load_change(tx, &change)?;
            if record.agent != agent {
                return Err(GateError::Forbidden(
                    "only the agent that asked for it can withdraw it".into(),
                ));
            }
            frame.append(
                tx,
                Event::Closed {
                    change: change.clone(),
                    closing: Closing::Withdrawn,
                    why: "withdrawn by the agent".into(),
                },
            )?;
            Ok(load_change(tx, &change)?.state)
        })
        .await
    }
}

/// A change that has to be there.
pub(crate) fn load_change(store: &dyn Read, change: &ChangeId) -> Result<ChangeRecord, GateError> {
    state::load(store, change.as_str())?
        .ok_or_else(|| GateError::not_found("change", change.as_str()))
}

/// The proposal of a change, from the recommendations log.
pub(crate) fn load_proposal(
    store: &dyn Read,
    record: &ChangeRecord,
) -> Result<(String, Proposal), GateError> {
    let jws = proposal_jws(store, record)?;
    let parts =
        countersign_domain::jws::take_apart(&jws).map_err(|_| damaged(record, "is not a JWS"))?;
    let proposal = countersign_domain::canonical::from_bytes(&parts.payload)?;
    Ok((jws, proposal))
}

/// The same as its agent signed it.
pub(crate) fn proposal_jws(store: &dyn Read, record: &ChangeRecord) -> Result<String, GateError> {
    let bytes = store
        .entry(Log::Recommendations, record.recommendation)?
        .ok_or_else(|| damaged(record, "is missing"))?;
    Ok(String::from_utf8(bytes).map_err(|_| damaged(record, "is not text"))?)
}

fn damaged(record: &ChangeRecord, what: &str) -> StoreError {
    StoreError::Damaged(format!("recommendation {}: {what}", record.recommendation))
}

fn check(
    world: &World,
    agent: &AgentId,
    proposal: &Proposal,
    submission: &Submission,
    now: Timestamp,
) -> Result<(), GateError> {
    if proposal.agent != *agent {
        return Err(GateError::Forbidden(format!(
            "the proposal is signed by `{}`, the request came from `{agent}`",
            proposal.agent
        )));
    }
    // An old proposal that is handed in late would be decided on the agent's old view of the world.
    let age = now.seconds_since(proposal.proposed_at);
    if !(-300..=3600).contains(&age) {
        return Err(GateError::invalid(
            "proposed_at",
            format!(
                "{} is more than an hour old, or in the future; check the clock and propose again",
                proposal.proposed_at
            ),
        ));
    }
    for host in proposal.hosts() {
        if !world.roster.hosts.contains_key(host) {
            return Err(GateError::invalid(
                "waves",
                format!("host `{host}` is not enrolled; add it with `countersign roster add-host`"),
            ));
        }
    }
    match (&proposal.rationale, &submission.rationale) {
        (None, None) => Ok(()),
        (Some(digest), Some(text)) => match text.digest() {
            Ok(actual) if actual == *digest => Ok(()),
            Ok(_) => Err(GateError::invalid(
                "rationale",
                "does not have the digest that the proposal names",
            )),
            Err(error) => Err(GateError::invalid("rationale", error.to_string())),
        },
        (Some(_), None) => Err(GateError::invalid(
            "rationale",
            "the proposal names a digest, but the text is missing",
        )),
        (None, Some(_)) => Err(GateError::invalid(
            "rationale",
            "the proposal does not name its digest",
        )),
    }
}

/// What the same request id, or the very same proposal, became before.
fn repeated(
    tx: &mut dyn Write,
    agent: &AgentId,
    request: &RequestId,
    proposal: &Digest,
) -> Result<Option<Proposed>, GateError> {
    let key = RequestRecord::key_of(agent, request);
    let earlier = match state::load::<RequestRecord>(tx, &key)? {
        Some(record) if record.proposal == *proposal => Some(record.change),
        Some(record) => {
            return Err(GateError::Conflict(format!(
                "request id `{request}` was used for change `{}`; choose another for another proposal",
                record.change
            )));
        }
        None => Some(ChangeId::from_proposal(proposal)),
    };
    let Some(change) = earlier else {
        return Ok(None);
    };
    Ok(
        state::load::<ChangeRecord>(tx, change.as_str())?.map(|record| Proposed {
            change,
            state: record.state,
            repeated: true,
        }),
    )
}
