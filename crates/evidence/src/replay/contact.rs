//! Silent hosts: an alarm of silence is about a host that is enrolled, tells the time of its last
//! report or of its enrolment, and comes once for each silence.
//!
//! That no alarm is missing is not checked: how long silence may be stands in the policy, beside the
//! log.

use super::Replay;
use crate::finding::{FindingKind, Note};
use countersign_domain::entry::{Entry, Event};
use countersign_domain::{HostId, Timestamp};
use std::collections::BTreeMap;

/// When each enrolled host was last heard of.
#[derive(Debug)]
pub(super) struct Contacts(BTreeMap<HostId, Contact>);

#[derive(Debug)]
struct Contact {
    since: Timestamp,
    reported: bool,
    told: bool,
}

impl Contacts {
    pub(super) const fn new() -> Self {
        Self(BTreeMap::new())
    }
}

impl Replay {
    /// The roster may have changed: who is enrolled is waited for.
    pub(super) fn hosts_moved(&mut self, at: Timestamp) {
        let Some(roster) = &self.roster else { return };
        self.contacts
            .0
            .retain(|host, _| roster.hosts.contains_key(host));
        for host in roster.hosts.keys() {
            self.contacts.0.entry(host.clone()).or_insert(Contact {
                since: at,
                reported: false,
                told: false,
            });
        }
    }

    pub(super) fn contact_seen(&mut self, entry: &Entry, note: &mut Note<'_>) {
        match &entry.event {
            Event::Observed { host, .. } | Event::PackagesReported { host, .. } => {
                if let Some(contact) = self.contacts.0.get_mut(host) {
                    *contact = Contact {
                        since: entry.at,
                        reported: true,
                        told: false,
                    };
                }
            }
            Event::HostSilent {
                host,
                since,
                reported,
            } => {
                let contact = self.contacts.0.get_mut(host);
                let silent = contact.as_ref().is_some_and(|contact| {
                    !contact.told && contact.since == *since && contact.reported == *reported
                });
                note.expect(
                    silent,
                    FindingKind::Order,
                    format!("`{host}` has not been silent since {since}, or that was told before"),
                );
                if let Some(contact) = contact {
                    contact.told = true;
                }
            }
            _ => {}
        }
    }
}
