//! Follows the authorizations log entry by entry: verifies every signature with the roster as it is
//! at that point, and moves every change along the transition tables of `domain`. What does not
//! hold is put down as a finding, and what was proven is given back.
//!
//! It decides nothing and trusts nothing that the gate concluded: quorums are counted again from
//! the votes, digests are computed again from what was signed. Merkle roots come from the
//! [`Surroundings`], because they need the tree.

mod change;
mod contact;
mod emergency;
mod execution;
mod govern;
mod permission;
mod state;
mod unwarranted;
mod warrant;

pub(crate) use state::{Authorization, Change, Decided, Execution, PolicyInForce};

use crate::finding::{FindingKind, Note};
use countersign_domain::entry::{Entry, Event, LogEntry};
use countersign_domain::receipt::StartNotice;
use countersign_domain::statement::HaltScope;
use countersign_domain::warrant::LogReference;
use countersign_domain::{
    ChangeId, Digest, GroupId, PersonId, PreparedPlan, Proposal, Receipt, SignedStatement,
    Timestamp,
};
use countersign_verify::ssh::verify_statement;
use countersign_verify::{
    SKEW_SECONDS_MAX, Verified, VerifiedRoster, VerifiedStatement, VerifiedWarrant,
};
use std::collections::{BTreeMap, BTreeSet};

/// What the replay needs from outside the authorizations log.
pub(crate) trait Surroundings {
    /// The bytes of a recommendation, once the cited root and place were checked as far as can be.
    fn recommendation(&mut self, reference: &LogReference, note: &mut Note<'_>) -> Option<Vec<u8>>;

    /// Checks a root that is cited for the authorizations log as it was at a size.
    fn authorizations_root(&mut self, size: u64, root: &Digest, note: &mut Note<'_>);

    /// Checks a root that is cited for the recommendations log as it was at a size.
    fn recommendations_root(&mut self, size: u64, root: &Digest, note: &mut Note<'_>);
}

/// What an entry proved.
#[derive(Debug)]
pub(crate) enum Proven {
    /// Nothing that needs a signature, or nothing at all.
    Nothing,
    /// An agent's own proposal.
    Proposed(Box<Verified<Proposal>>),
    /// A host's own plan.
    Prepared(Box<Verified<PreparedPlan>>),
    /// A vote, and the groups for which it really counts.
    Voted(Box<VerifiedStatement>, Vec<GroupId>),
    /// A warrant of the gate.
    Warrant(Box<VerifiedWarrant>),
    /// A host's notice about a warrant that it was given.
    Started(Box<Verified<StartNotice>>),
    /// A host's receipt for a warrant that it was given.
    Settled(Box<Verified<Receipt>>),
    /// A human's review.
    Reviewed(Box<VerifiedStatement>),
    /// A human's word of how an execution ended.
    EndingStated(Box<VerifiedStatement>),
    /// People who stopped something, or let it go on.
    HaltMoved(Vec<PersonId>),
}

/// The state of everything after the entries so far.
#[derive(Debug)]
pub(crate) struct Replay {
    pin: Option<Digest>,
    /// True where the roles of ended changes are still wanted.
    keep_ended: bool,
    roster: Option<VerifiedRoster>,
    policy: Option<PolicyInForce>,
    past_policies: BTreeMap<Digest, u64>,
    halt_epoch: u64,
    halts: BTreeSet<HaltScope>,
    changes: BTreeMap<ChangeId, Change>,
    changes_seen: u64,
    packages: unwarranted::Packages,
    contacts: contact::Contacts,
    emergencies: emergency::Emergencies,
    latest: Timestamp,
}

/// Where an entry stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Its leaf index.
    pub index: u64,
    /// When the gate says it wrote it.
    pub at: Timestamp,
}

impl Replay {
    /// Before the first entry. With a pin, the genesis must have that digest.
    pub(crate) const fn new(pin: Option<Digest>, keep_ended: bool) -> Self {
        Self {
            pin,
            keep_ended,
            roster: None,
            policy: None,
            past_policies: BTreeMap::new(),
            halt_epoch: 0,
            halts: BTreeSet::new(),
            changes: BTreeMap::new(),
            changes_seen: 0,
            packages: unwarranted::Packages::new(),
            contacts: contact::Contacts::new(),
            emergencies: emergency::Emergencies::new(),
            latest: Timestamp::EPOCH,
        }
    }

    /// The roster as it is now; none when no genesis was taken.
    pub(crate) const fn roster(&self) -> Option<&VerifiedRoster> {
        self.roster.as_ref()
    }

    /// The policy in force now.
    pub(crate) const fn policy(&self) -> Option<&PolicyInForce> {
        self.policy.as_ref()
    }

    /// A change that has not ended (or any, where ended ones are kept).
    pub(crate) fn change(&self, id: &ChangeId) -> Option<&Change> {
        self.changes.get(id)
    }

    /// How many changes were proposed.
    pub(crate) const fn changes_seen(&self) -> u64 {
        self.changes_seen
    }

    /// Follows one entry.
    pub(crate) fn apply(
        &mut self,
        index: u64,
        entry: &LogEntry,
        around: &mut dyn Surroundings,
        note: &mut Note<'_>,
    ) -> Proven {
        let entry = match entry {
            LogEntry::Warrant(jws) => return self.warrant(index, jws, around, note),
            LogEntry::Entry(entry) => entry,
        };
        if self.roster.is_none() {
            self.founded(index, entry, note);
            self.hosts_moved(entry.at);
            return Proven::Nothing;
        }
        self.check_frame(entry, note);
        let place = Place {
            index,
            at: entry.at,
        };
        self.packages_seen(index, entry, note);
        self.emergency_seen(entry, note);
        self.contact_seen(entry, note);
        let proven = self.event(place, &entry.event, around, note);
        if let Some(change) = entry.event.change() {
            self.forget_ended(change);
        }
        proven
    }

    fn event(
        &mut self,
        place: Place,
        event: &Event,
        around: &mut dyn Surroundings,
        note: &mut Note<'_>,
    ) -> Proven {
        match event {
            Event::Roster { signed } => {
                self.roster_changed(signed, note);
                self.hosts_moved(place.at);
            }
            Event::Policy { .. } => self.policy_signed(place, event, note),
            Event::Inventory {
                inventory,
                raises,
                statements,
            } => self.inventory_replaced(place, inventory, raises, statements, note),
            Event::Halted {
                halt,
                epoch,
                statement,
            } => return self.halted(place, halt, *epoch, statement, note),
            Event::Resumed {
                halt,
                epoch,
                statements,
            } => return self.resumed(place, halt, *epoch, statements, note),
            Event::CrossCommitted { origin, size, root } => {
                let expected = self
                    .roster()
                    .map(|roster| crate::LogName::Recommendations.origin(&roster.deployment));
                if note.expect(
                    expected.as_deref() == Some(origin),
                    FindingKind::CrossCommitment,
                    format!("it commits to the log `{origin}`, which is not the other log here"),
                ) {
                    around.recommendations_root(*size, root, note);
                }
            }
            Event::Proposed { .. } => return self.proposed(place, event, around, note),
            Event::Prepared { change, host, plan } => {
                return self.prepared(change, host, plan, note);
            }
            Event::Unprepared { change, host, .. } => self.unprepared(change, host, note),
            Event::Decided { .. } => self.decided(event, note),
            Event::Voted {
                change,
                statement,
                counts_for,
            } => return self.voted(place, change, statement, counts_for, note),
            Event::Authorized { .. } => self.authorized(place, event, note),
            Event::Started {
                change,
                host,
                notice,
            } => return self.started(change, host, notice, note),
            Event::Settled {
                change,
                host,
                receipt,
            } => return self.settled(change, host, receipt, note),
            Event::ExecutionClosed {
                change,
                host,
                closing,
                ..
            } => self.execution_closed(change, host, *closing, note),
            Event::ExecutionReconciled {
                change,
                host,
                report,
                ending,
                ..
            } => self.execution_reconciled(change, host, report, *ending, note),
            Event::EndingStated {
                change,
                host,
                statement,
            } => return self.ending_stated(place, change, host, statement, note),
            Event::Closed {
                change, closing, ..
            } => self.closed(change, *closing, note),
            Event::ReviewRequired { change, .. } => {
                self.move_change(change, countersign_domain::ChangeEvent::RequireReview, note);
            }
            Event::ReviewOverdue { change, .. } => {
                self.move_change(change, countersign_domain::ChangeEvent::ReviewOverdue, note);
            }
            Event::Reviewed { change, statement } => {
                return self.reviewed(place, change, statement, note);
            }
            Event::UnwarrantedReviewed { finding, statement } => {
                self.unwarranted_reviewed(place, *finding, statement, note);
            }
            Event::EmergencyReviewed {
                emergency,
                statement,
            } => self.emergency_reviewed(place, emergency, statement, note),
            // Followed in `packages_seen`, `emergency_seen` and `contact_seen`, where the entry is
            // whole.
            Event::HostSilent { .. }
            | Event::PackagesReported { .. }
            | Event::Unwarranted { .. }
            | Event::UnwarrantedOverdue { .. }
            | Event::Emergency { .. }
            | Event::EmergencyOverdue { .. } => {}
            // What they say is looked up by digest when it is decided on.
            Event::Feed { .. } | Event::Observed { .. } | Event::Alarm { .. } => {}
        }
        Proven::Nothing
    }

    /// Deployment, trial mark, form and time of an entry.
    pub(crate) fn check_frame(&mut self, entry: &Entry, note: &mut Note<'_>) {
        let Some(roster) = &self.roster else { return };
        note.expect(
            entry.v == 1,
            FindingKind::Form,
            format!("its form is {}, expected 1", entry.v),
        );
        note.expect(
            entry.deployment == roster.deployment,
            FindingKind::Deployment,
            format!("it is of deployment `{}`", entry.deployment),
        );
        // INVARIANT (no self-approval): in a trial every entry carries the mark, elsewhere none.
        let mark = match (roster.trial, entry.trial) {
            (true, false) => Some("the trial mark was dropped: this deployment is a trial"),
            (false, true) => Some("it carries a trial mark, but this deployment is no trial"),
            (true, true) | (false, false) => None,
        };
        if let Some(words) = mark {
            note.say(FindingKind::Trial, words);
        }
        let back = self.latest.seconds_since(entry.at);
        note.expect(
            back <= SKEW_SECONDS_MAX,
            FindingKind::Clock,
            format!("it is dated {back} s before an earlier entry"),
        );
        self.latest = self.latest.max(entry.at);
    }

    fn forget_ended(&mut self, id: &ChangeId) {
        if self.keep_ended {
            return;
        }
        let ended = self.changes.get_mut(id).is_some_and(|change| {
            change.slim();
            // A host may still find out what nobody knows, even after the review.
            change.state.is_final() && !change.has_unknown()
        });
        if ended {
            self.changes.remove(id);
        }
    }
}

/// A statement that verifies with this roster and could be used when the entry was written.
fn verified(
    signed: &SignedStatement,
    roster: &VerifiedRoster,
    at: Timestamp,
    note: &mut Note<'_>,
) -> Option<VerifiedStatement> {
    match verify_statement(signed, roster, Some(at)) {
        Ok(statement) => Some(statement),
        Err(error) => {
            let who = signed.unverified().map_or_else(
                |_| "nobody readable".to_owned(),
                |statement| format!("`{}`", statement.approver),
            );
            note.say(
                FindingKind::Signature,
                format!("a statement in the name of {who} does not count: {error}"),
            );
            None
        }
    }
}

/// Why the roster's own threshold is not reached by these people; none when it is.
fn short_of_threshold(roster: &VerifiedRoster, people: &BTreeSet<PersonId>) -> Option<String> {
    let threshold = &roster.threshold;
    let counted = roster
        .members(&threshold.group)
        .filter(|member| people.contains(*member))
        .count();
    let needed = threshold.quorum.max(1) as usize;
    (counted < needed).then(|| {
        format!(
            "{counted} of {needed} needed members of `{}` signed it",
            threshold.group
        )
    })
}
