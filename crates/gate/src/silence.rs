//! Hosts that are enrolled and do not report: one alarm for each silence. What a host reports, and
//! what follows from it, is elsewhere (`observe`, `reconcile`).

use crate::error::GateError;
use crate::state::{self, ContactRecord};
use crate::world::World;
use crate::{Frame, Gate};
use countersign_domain::Timestamp;
use countersign_domain::entry::Event;
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
    /// for each silence. How many it was raised for: a page of them at most, the next look finds more.
    ///
    /// Whoever could not be reached for long, as a server that was stopped, calls this only after
    /// hosts had time to report again: else all of them would count as silent.
    ///
    /// # Errors
    /// When storage fails, or the roster or policy changed meanwhile; then none was told.
    pub async fn sweep_hosts(&self, now: Timestamp) -> Result<u32, GateError> {
        let world = self.world()?;
        let by = now.plus_seconds(-world.host_silence_seconds());
        let due = self
            .store
            .read(|view| state::due::<ContactRecord>(view, by, PAGE))?;
        if due.is_empty() {
            return Ok(0);
        }
        let frame = Frame::new(&world, now);
        self.submit(&world, move |tx| {
            let mut told = 0;
            for host in due.iter().map(|record| record.host.as_str()) {
                // It may have reported, or left, meanwhile.
                let Some(record) = state::load::<ContactRecord>(tx, host)? else {
                    continue;
                };
                if record.silent.is_some() || record.since > by {
                    continue;
                }
                frame.append(
                    tx,
                    Event::HostSilent {
                        host: record.host,
                        since: record.since,
                        reported: record.reported,
                    },
                )?;
                told += 1;
            }
            Ok(told)
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
