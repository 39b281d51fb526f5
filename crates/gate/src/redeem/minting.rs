//! What happens inside the transaction of a redemption: whose turn it is, the decision on fresh
//! facts, and the warrant as a log entry. Nothing leaves the process from here.

use super::{Issued, Redeemed, Redemption, decided_on, issued, may_issue};
use crate::decide;
use crate::error::{GateError, Withheld};
use crate::gather::{self, Gathered, Inputs, Plans};
use crate::prepare::load_execution;
use crate::propose::load_change;
use crate::settle::close_execution;
use crate::state::{self, ChangeRecord, ExecutionRecord};
use crate::world::World;
use crate::{Frame, fold};
use countersign_domain::decision::{Decision, Outcome};
use countersign_domain::entry::{Closing, Event, ExecutionClosing};
use countersign_domain::facts::DecisionFacts;
use countersign_domain::warrant::{
    AuthorizationDetails, Basis, DETAILS_TYPE, Ground, LogReference, WARRANT_SECONDS_MAX,
    WARRANT_TYP,
};
use countersign_domain::{
    ChangeId, ChangeState, ExecutionState, HostId, Proposal, Warrant, canonical, jws,
};
use countersign_store::Write;

/// Seconds that a host needs to begin: with less, standing authority is not handed out any more.
const STANDING_SECONDS_MIN: i64 = 30;

pub(super) struct Minting<'a> {
    pub(super) world: &'a World,
    pub(super) frame: &'a Frame,
    pub(super) request: &'a Redemption,
    pub(super) proposal: &'a Proposal,
    pub(super) reference: LogReference,
}

impl Minting<'_> {
    pub(super) fn redeem(
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
            let issued = Issued::read(tx, index, record)?;
            return Ok(Redeemed::Issued(Box::new(issued)));
        }
        let executions = state::executions(tx, &record.id)?;
        may_issue(self.world, &record, &execution, &executions, now)?;
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
        let plans = gather::bound(decided_on(&record, &executions));
        let gathered = match gathered {
            Some(gathered) if gathered.still_holds(tx, &plans)? => gathered,
            Some(_) | None => {
                let plans = Plans::read(tx, decided_on(&record, &executions))?;
                let inputs = Inputs::of(&record, self.proposal, &plans);
                gather::gather(tx, self.world, &inputs, now)?
            }
        };
        let (decision, facts) = decide::evaluate(tx, self.world, self.frame, &gathered)?;
        if let Some(why) = self.stricter(tx, &record, &executions, &gathered, &decision, &facts)? {
            return Ok(Redeemed::Withheld(why));
        }
        let expires = self.expiry(&record, &facts)?;
        let warrant = self.warrant(&record, &execution, &decision, expires)?;
        let input = jws::signing_input(
            WARRANT_TYP,
            crate::GATE_KID,
            &canonical::to_bytes(&warrant)?,
        );
        let signature = ed25519_dalek::Signer::sign(signer, input.as_bytes());
        let jws = jws::assemble(&input, &signature.to_bytes());
        let index = fold::append_warrant(tx, &jws)?.index;
        let issued = Issued { index, jws, record };
        Ok(Redeemed::Issued(Box::new(issued)))
    }

    /// This host, or another, gets no warrant any more.
    fn close(
        &self,
        tx: &mut dyn Write,
        change: &ChangeId,
        host: &HostId,
        why: &str,
    ) -> Result<(), GateError> {
        let closing = ExecutionClosing::Revoked;
        close_execution(
            tx,
            self.world,
            self.frame,
            change,
            host,
            closing,
            why.to_owned(),
        )
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
            self.close(
                tx,
                &own.change,
                &own.host,
                "an earlier wave did not succeed",
            )?;
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
        self.close(
            tx,
            &record.id,
            &self.request.host,
            "the host's plan has expired",
        )?;
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
                let why = format!("decided again before this wave: {why}");
                self.close(tx, &record.id, &other.host, &why)?;
            }
        }
        Ok(Some(Withheld::DecidedAgain(why)))
    }

    /// When the warrant ends: standing authority ends with its change window, and where a freeze
    /// begins. What a human approved is bound by neither.
    fn expiry(&self, record: &ChangeRecord, facts: &DecisionFacts) -> Result<i64, GateError> {
        let now = self.frame.at;
        let limits = &self.world.policy()?.policy.settings().limits;
        let lifetime = i64::from(limits.warrant_lifetime_seconds).min(WARRANT_SECONDS_MAX);
        let expires = now.unix_seconds() + lifetime;
        let ground = record.authorization.as_ref().map(|one| one.ground);
        if ground == Some(Ground::Approved) {
            return Ok(expires);
        }
        match gather::calendar_answer(self.world, facts, now)?.holds_until() {
            Some(end) if end.seconds_since(now) < STANDING_SECONDS_MIN => {
                Err(Withheld::ClosingSoon(end).into())
            }
            Some(end) => Ok(expires.min(end.unix_seconds())),
            None => Ok(expires),
        }
    }

    fn warrant(
        &self,
        record: &ChangeRecord,
        execution: &ExecutionRecord,
        decision: &Decision,
        expires: i64,
    ) -> Result<Warrant, GateError> {
        let missing = || GateError::from(Withheld::NotAuthorized(record.state));
        let authorization = record.authorization.as_ref().ok_or_else(missing)?;
        let signed = record.decision.as_ref().ok_or_else(missing)?;
        let iat = self.frame.at.unix_seconds();
        Ok(Warrant {
            iss: self.world.deployment().clone(),
            aud: execution.host.clone(),
            sub: record.agent.clone(),
            iat,
            nbf: iat,
            exp: expires,
            jti: self.request.jti.clone(),
            txn: record.id.clone(),
            authorization_details: vec![AuthorizationDetails {
                kind: DETAILS_TYPE.to_owned(),
                actions: vec!["package.transition".into()],
                locations: vec![execution.host.clone()],
                change_digest: record.digest.ok_or_else(missing)?,
                plan_digest: execution.plan.as_ref().ok_or_else(missing)?.digest,
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
