//! Observations as a host signed them. How old one may be is judged by `facts`.

use crate::document::{DocumentError, Signed, by_host, content};
use crate::jws::Verified;
use countersign_domain::jws::OBSERVATION_TYP;
use countersign_domain::observation::{OBSERVATION_BYTES_MAX, Observation, PENDING_MAX};
use countersign_domain::plan::TRANSITIONS_MAX;
use countersign_domain::{DeploymentId, Roster};

/// Health checks or gaps in one observation at most.
pub const LIST_MAX: usize = 200;

impl Signed for Observation {
    const KIND: &'static str = "observation";
    const TYP: &'static str = OBSERVATION_TYP;
    const BYTES_MAX: usize = OBSERVATION_BYTES_MAX;

    fn deployment(&self) -> &DeploymentId {
        &self.deployment
    }

    fn signer(&self) -> &str {
        self.host.as_str()
    }
}

/// Verifies an observation that a host of the roster signed in its own name, and its bounds.
///
/// # Errors
/// [`DocumentError`].
pub fn verify(jws: &str, roster: &Roster) -> Result<Verified<Observation>, DocumentError> {
    let observation: Verified<Observation> = by_host(jws, roster)?;
    let wrong = |problem: String| Err(content::<Observation>(problem));
    if observation.v != 1 {
        return wrong(format!(
            "`v`: version {} is not known; expected 1",
            observation.v
        ));
    }
    if observation.pending.len() > PENDING_MAX {
        return wrong(format!("`pending`: more than {PENDING_MAX} upgrades"));
    }
    if let Some(upgrade) = observation
        .pending
        .iter()
        .find(|upgrade| upgrade.pulls_in.len() > TRANSITIONS_MAX)
    {
        return wrong(format!(
            "`pending`: `{}` pulls in more than {TRANSITIONS_MAX} packages",
            upgrade.name
        ));
    }
    if observation.health.len() > LIST_MAX || observation.gaps.len() > LIST_MAX {
        return wrong(format!("`health`, `gaps`: more than {LIST_MAX} each"));
    }
    Ok(observation)
}
