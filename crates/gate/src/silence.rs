//! Hosts that are enrolled and do not report: one alarm for each silence. What a host reports, and
//! what follows from it, is elsewhere (`observe`, `reconcile`).

use crate::error::GateError;
use crate::state::{self, ContactRecord};
use crate::world::World;
use crate::{Frame, Gate};
use countersign_domain::entry::Event;
use countersign_domain::{HostId, Timestamp};
use countersign_policy::HOST_SILENCE_SECONDS;
use countersign_store::{DocumentQuery, StoreError};

/// Hosts in one pass.
const PAGE: usize = 200;
/// Hosts that are listed.
const LISTED_MAX: usize = 100_000;

impl World {
    /// How long a host may be silent, in seconds.
    fn host_silence_seconds(&self) -> i64 {
        let said = self.policy.as_ref().map(|policy| {
            let limits = &policy.policy.settings().limits;
            limits.host_silence_seconds
        });
        i64::from(said.unwrap_or(HOST_SILENCE_SECONDS))
    }
}

impl Gate {
    /// Raises the alarm for each host that has been silent for longer than the policy allows, once
    /// for each silence. How many it was raised for.
    ///
    /// Whoever could not be reached for long, as a server that was stopped, calls this only after
    /// hosts had time to report again: else all of them would count as silent.
    ///
    /// # Errors
    /// When storage fails, or the first of those that could not be told; the others stand.
    pub async fn sweep_hosts(&self, now: Timestamp) -> Result<u32, GateError> {
        let by = now.plus_seconds(-self.world()?.host_silence_seconds());
        let due = self
            .store
            .read(|view| state::due::<ContactRecord>(view, by, PAGE))?;
        let mut told = 0;
        let mut failed = None;
        for record in due {
            match self.host_silent(record.host, now).await {
                Ok(silent) => told += u32::from(silent),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(told), Err)
    }

    async fn host_silent(&self, host: HostId, now: Timestamp) -> Result<bool, GateError> {
        let world = self.world()?;
        let frame = Frame::new(&world, now);
        let by = now.plus_seconds(-world.host_silence_seconds());
        self.submit(&world, move |tx| {
            // It may have reported, or left, meanwhile.
            let Some(record) = state::load::<ContactRecord>(tx, host.as_str())? else {
                return Ok(false);
            };
            if record.silent.is_some() || record.since > by {
                return Ok(false);
            }
            frame.append(
                tx,
                Event::HostSilent {
                    host: record.host,
                    since: record.since,
                    reported: record.reported,
                },
            )?;
            Ok(true)
        })
        .await
    }

    /// Every enrolled host, and when it was last heard of.
    ///
    /// # Errors
    /// When storage fails.
    pub fn contacts(&self) -> Result<Vec<ContactRecord>, GateError> {
        let query = DocumentQuery {
            limit: LISTED_MAX,
            ..Default::default()
        };
        let mut contacts: Vec<ContactRecord> = self.store.read(|view| {
            let documents = state::documents::<ContactRecord>(view, &query)?;
            documents
                .iter()
                .map(state::parse)
                .collect::<Result<_, StoreError>>()
        })?;
        contacts.sort_by(|a, b| a.host.cmp(&b.host));
        Ok(contacts)
    }
}
