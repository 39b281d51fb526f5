//! Prepared plans as a host signed them: its answer to one proposal.

use crate::document::{DocumentError, EMBEDDED_BYTES_MAX, Signed, by_host, content};
use crate::jws::Verified;
use countersign_domain::jws::PLAN_TYP;
use countersign_domain::{DeploymentId, PreparedPlan, Proposal, Roster};

/// Checks in one plan at most: those proposed, and those that the host demands anyway.
pub const CHECKS_MAX: usize = 64;
/// Limits in one plan at most.
pub const LIMITS_MAX: usize = 20;
/// A limit or a note at most, in bytes.
pub const NOTE_BYTES_MAX: usize = 300;

impl Signed for PreparedPlan {
    const KIND: &'static str = "plan";
    const TYP: &'static str = PLAN_TYP;
    const BYTES_MAX: usize = EMBEDDED_BYTES_MAX;

    fn deployment(&self) -> &DeploymentId {
        &self.deployment
    }

    fn signer(&self) -> &str {
        self.host.as_str()
    }
}

/// Verifies a plan that a host of the roster signed in its own name as an answer to `proposal`,
/// and its bounds. Its [`Verified::digest`] is what a change binds.
///
/// # Errors
/// [`DocumentError`].
pub fn verify(
    jws: &str,
    roster: &Roster,
    proposal: &Verified<Proposal>,
) -> Result<Verified<PreparedPlan>, DocumentError> {
    let plan: Verified<PreparedPlan> = by_host(jws, roster)?;
    let wrong = |problem: String| Err(content::<PreparedPlan>(problem));
    if plan.checks.len() > CHECKS_MAX {
        return wrong(format!("`checks`: more than {CHECKS_MAX}"));
    }
    let notes = plan
        .steps
        .iter()
        .filter_map(|step| step.reverse.note.as_ref());
    if plan.limits.len() > LIMITS_MAX
        || plan
            .limits
            .iter()
            .chain(notes)
            .any(|text| text.len() > NOTE_BYTES_MAX)
    {
        return wrong(format!(
            "`limits`: at most {LIMITS_MAX}; these and notes at most {NOTE_BYTES_MAX} bytes each"
        ));
    }
    plan.check(proposal, proposal.digest())
        .map_err(|problem| content::<PreparedPlan>(problem.to_string()))?;
    Ok(plan)
}
