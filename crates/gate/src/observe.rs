//! Takes the hosts' observations of themselves.

use crate::error::GateError;
use crate::state::{self, HostRecord};
use crate::{Frame, Gate, keep};
use countersign_domain::entry::Event;
use countersign_domain::{HostId, Timestamp};

/// How far a host's clock may be ahead, in seconds.
const SKEW_SECONDS: i64 = 120;

impl Gate {
    /// Takes a signed observation.
    ///
    /// # Errors
    /// When it is not signed by that host, is out of bounds, older than the one before, or from the
    /// future.
    pub async fn observed(
        &self,
        host: &HostId,
        observation: String,
        now: Timestamp,
    ) -> Result<(), GateError> {
        let world = self.world()?;
        let verified =
            countersign_verify::observation::verify(&observation, &world.roster)?.into_inner();
        if verified.host != *host {
            return Err(GateError::Forbidden(format!(
                "the observation is of host `{}`",
                verified.host
            )));
        }
        if verified.observed_at > now.plus_seconds(SKEW_SECONDS) {
            return Err(GateError::invalid(
                "observed_at",
                format!(
                    "{} is in the future here ({now}); set the host's clock",
                    verified.observed_at
                ),
            ));
        }
        let frame = Frame::new(&world, now);
        self.submit(&world, move |tx| {
            let earlier = state::load::<HostRecord>(tx, verified.host.as_str())?;
            if earlier.is_some_and(|earlier| earlier.observed_at > verified.observed_at) {
                return Err(GateError::Conflict(
                    "a later observation of this host is there already".into(),
                ));
            }
            let digest = keep(tx, observation.into_bytes())?;
            frame.append(
                tx,
                Event::Observed {
                    host: verified.host,
                    observation: digest,
                    observed_at: verified.observed_at,
                },
            )?;
            Ok(())
        })
        .await
    }
}
