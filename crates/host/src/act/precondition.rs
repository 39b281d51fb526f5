//! What is checked once more at the last moment, after the gate's word and before intent: the plan,
//! the time, the artifacts' bytes, what is installed, what apt would do.

use super::leave::Leave;
use super::{ActError, Executor};
use countersign_domain::{ChangeId, PreparedPlan, Transition, canonical};

impl Executor<'_> {
    /// Everything that can be known before anything happens. Empty means go.
    pub(super) fn reasons_not_to_start(
        &self,
        leave: &Leave<'_>,
        plan: &PreparedPlan,
        transitions: &[Transition],
        reverse: &[Transition],
    ) -> Result<Vec<String>, ActError> {
        let now = (self.clock)();
        let plan_digest = canonical::digest(plan)?;
        let checks: [(bool, &str); 8] = [
            (plan_digest == leave.plan, "the warrant is for another plan"),
            (
                ChangeId::from_proposal(&plan.proposal) == *leave.change,
                "this host's plan is for another proposal than the warrant's change",
            ),
            (
                plan.host == self.config.host && *leave.host == self.config.host,
                "the warrant is for another host",
            ),
            (
                leave.permits_packages,
                "the warrant does not permit package transitions",
            ),
            (now < leave.expires_at, leave.expired()),
            (now < plan.expires_at, "the plan has expired; prepare again"),
            (
                self.config.apt.execute,
                "this host only observes (`apt.execute = false`)",
            ),
            (
                plan.definitions == self.config.definitions()?,
                "this host's checks were redefined since the plan was prepared; prepare again",
            ),
        ];
        let mut reasons: Vec<String> = checks
            .into_iter()
            .filter(|(holds, _)| !holds)
            .map(|(_, why)| why.to_owned())
            .collect();
        if !reasons.is_empty() {
            return Ok(reasons);
        }
        let artifacts = self.artifacts();
        for transition in transitions.iter().chain(reverse) {
            if let Some(digest) = &transition.sha256
                && let Err(error) = artifacts.verified(digest)
            {
                reasons.push(format!("`{}`: {error}", transition.name));
            }
        }
        if !reasons.is_empty() {
            return Ok(reasons);
        }
        match self.apt.installed() {
            Ok(installed) => {
                for transition in transitions {
                    let found = installed
                        .get(&transition.name, &transition.architecture)
                        .map(|package| &package.version);
                    if found != transition.old.as_ref() {
                        reasons.push(format!(
                            "`{}` is at {} now, the plan was made for {}",
                            transition.name,
                            found.map_or("no version", |v| v.as_str()),
                            transition.old.as_ref().map_or("none", |v| v.as_str()),
                        ));
                    }
                }
            }
            Err(error) => reasons.push(error.to_string()),
        }
        if reasons.is_empty() {
            match self.apt.rehearse(transitions, &artifacts) {
                Ok(differences) => reasons.extend(differences),
                Err(error) => reasons.push(error.to_string()),
            }
        }
        Ok(reasons)
    }
}
