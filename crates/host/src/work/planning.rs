//! Answering proposals: a plan, checked here as the gate will check it, or why there is none.

use super::answer::refusal;
use super::{Host, WorkError, World};
use crate::apt::Apt;
use crate::client::ToPrepare;
use crate::words::within;
use crate::{durable, observe, prepare};
use countersign_domain::jws::PLAN_TYP;
use countersign_domain::{ChangeId, Digest, PreparedPlan, Proposal, canonical};
use countersign_verify::Verified;

/// Why a proposal cannot be prepared is told up to this length, in bytes.
const WHY_BYTES_MAX: usize = 250;

impl Host {
    /// What plans are made with. A host that acts makes them on the whole package lists; one that
    /// only observes, and has many to make, on an excerpt, which takes seconds instead of minutes.
    pub(super) fn planner(&self, plans: usize) -> Result<Apt, WorkError> {
        if self.config.apt.execute || plans < 2 {
            return Ok(self.apt.clone());
        }
        let installed = self.apt.installed()?;
        let upgrade = self.apt.simulate_upgrade(&installed)?;
        Ok(self.apt.excerpt(&observe::names(&installed, &upgrade))?)
    }

    /// Prepares one proposal, or says why not. True when the gate has a plan now.
    pub(super) fn prepare(
        &mut self,
        world: World<'_>,
        task: &ToPrepare,
        planner: &Apt,
    ) -> Result<bool, WorkError> {
        let (plan, digest, signed) = match self.prepared(world, task, planner) {
            Ok(prepared) => prepared,
            Err(why) => return self.unprepared(world, &task.change, &why),
        };
        let path = self.plan_path(&digest);
        durable::replace(&path, &canonical::to_bytes(&plan)?)
            .map_err(|source| WorkError::Io { path, source })?;
        let path = self.planned_path(&task.change);
        durable::replace(&path, digest.to_string().as_bytes())
            .map_err(|source| WorkError::Io { path, source })?;
        let answer = self
            .client
            .prepared(self.caller(world), &task.change, &signed);
        match answer {
            Err(error) if refusal(&error).is_some() => {
                let why = format!("the plan was not taken: {error}");
                return self.unprepared(world, &task.change, &why);
            }
            other => other?,
        }
        world.progress.line(format!(
            "prepared `{}`: {} transitions, rollback {}",
            task.change,
            plan.steps.len(),
            plan.rollback().as_str()
        ));
        Ok(true)
    }

    fn unprepared(
        &mut self,
        world: World<'_>,
        change: &ChangeId,
        why: &str,
    ) -> Result<bool, WorkError> {
        world
            .progress
            .line(format!("`{change}` cannot be prepared: {why}"));
        let why = within(why, WHY_BYTES_MAX);
        let answer = self.client.unprepared(self.caller(world), change, &why);
        match answer {
            // It takes neither: it is not asked again in this run, or that would never end.
            Err(error) if refusal(&error).is_some() => {
                self.unanswerable.insert(change.clone());
                self.tell(world, change, format!("no answer is taken: {error}"));
            }
            other => other?,
        }
        Ok(false)
    }

    fn prepared(
        &self,
        world: World<'_>,
        task: &ToPrepare,
        planner: &Apt,
    ) -> Result<(PreparedPlan, Digest, String), String> {
        let proposal: Verified<Proposal> =
            countersign_verify::proposal::verify(&task.proposal, self.seen.roster())
                .map_err(|error| error.to_string())?;
        if ChangeId::from_proposal(proposal.digest()) != task.change {
            return Err("the gate named another change than the proposal becomes".into());
        }
        let digest = proposal.digest();
        let now = (world.clock)();
        let plan = prepare::prepare(&self.config, planner, &proposal, digest, now)
            // What an excerpt cannot do, the whole lists may.
            .or_else(|_| prepare::prepare(&self.config, &self.apt, &proposal, digest, now))
            .map_err(|error| error.to_string())?;
        let digest = canonical::digest(&plan).map_err(|error| error.to_string())?;
        let signed = self
            .key
            .sign(PLAN_TYP, &plan)
            .map_err(|error| error.to_string())?;
        // Its size and all its bounds, before it is sent: a plan that is refused answers nothing.
        countersign_verify::plan::verify(&signed, self.seen.roster(), &proposal)
            .map_err(|error| format!("the plan breaks a bound ({error}); propose less at once"))?;
        Ok((plan, digest, signed))
    }
}
