//! What governs all changes: the roster's chain, policy versions, inventories, halts. Each counts
//! only with the signatures it needs.

use super::{Place, PolicyInForce, Proven, Replay, short_of_threshold, verified};
use crate::finding::{FindingKind, Note};
use countersign_domain::canonical;
use countersign_domain::entry::{Entry, Event};
use countersign_domain::roster::SignedRosterChange;
use countersign_domain::statement::{HaltScope, Subject};
use countersign_domain::warrant::Signer;
use countersign_domain::{Digest, PersonId, SignedStatement};
use countersign_verify::roster;
use countersign_verify::roster::SIGNERS_MAX;
use std::collections::BTreeSet;

/// People who have to let something go on that was stopped; a trial has one person only.
const RESUME_QUORUM: usize = 2;

impl Replay {
    /// The first entry founds the deployment, or nothing after it can be believed.
    pub(super) fn founded(&mut self, index: u64, entry: &Entry, note: &mut Note<'_>) {
        if index != 0 {
            // Said once, at the entry that should have been the genesis.
            return;
        }
        let Event::Roster { signed } = &entry.event else {
            note.say(
                FindingKind::Genesis,
                "the first entry is no genesis; nothing in this log can be verified",
            );
            return;
        };
        let digest = Digest::of(signed.change.as_bytes());
        if let Some(pin) = self.pin {
            note.expect(
                digest == pin,
                FindingKind::Genesis,
                format!("the genesis is {digest}, but {pin} was pinned: another deployment's log, or a forged one"),
            );
        }
        match roster::found(&digest, signed) {
            Ok(roster) => {
                self.roster = Some(roster);
                self.check_frame(entry, note);
            }
            Err(error) => note.say(
                FindingKind::Genesis,
                format!("{error}; nothing in this log can be verified"),
            ),
        }
    }

    pub(super) fn roster_changed(&mut self, signed: &SignedRosterChange, note: &mut Note<'_>) {
        let Some(before) = &self.roster else { return };
        match roster::extend(before, signed) {
            Ok(roster) => self.roster = Some(roster),
            Err(error) => note.say(FindingKind::Roster, error.to_string()),
        }
    }

    /// INVARIANT (policy is a change too): in force only with the signatures of its quorum, none
    /// of them by somebody who wrote it.
    pub(super) fn policy_signed(&mut self, place: Place, event: &Event, note: &mut Note<'_>) {
        let (
            Some(roster),
            Event::Policy {
                policy,
                version,
                files,
                review_due_at,
                authors,
                statements,
            },
        ) = (&self.roster, event)
        else {
            return;
        };
        let listed = canonical::digest(files).ok();
        let listed = note.expect(
            listed == Some(*policy),
            FindingKind::Policy,
            "its digest is not that of the files it lists",
        );
        let next = self.policy.as_ref().map_or(1, |before| before.version + 1);
        note.expect(
            *version == next,
            FindingKind::Policy,
            format!("it is version {version}, version {next} was to come"),
        );
        let wanted = Subject::Policy {
            policy: *policy,
            version: *version,
            authors: authors.clone(),
        };
        let mut signers = Vec::new();
        let mut people = BTreeSet::new();
        for signed in statements.iter().take(SIGNERS_MAX) {
            let Some(statement) = verified(signed, roster, place.at, note) else {
                continue;
            };
            let person = &statement.approver;
            if statement.subject != wanted {
                let words = format!("`{person}` signed something else than this policy version");
                note.say(FindingKind::Signature, words);
                continue;
            }
            signers.push(Signer {
                person: person.clone(),
                at: statement.signed_at,
            });
            if authors.contains(person) && !roster.trial {
                let words =
                    format!("`{person}` wrote this policy and signed it; that does not count");
                note.say(FindingKind::SelfApproval, words);
            } else {
                people.insert(person.clone());
            }
        }
        let short = short_of_threshold(roster, &people);
        if let Some(short) = &short {
            note.say(
                FindingKind::Policy,
                format!("policy version {version} is not in force: {short}"),
            );
        }
        signers.sort();
        if let Some(before) = &self.policy {
            self.past_policies.insert(before.digest, before.version);
        }
        self.policy = Some(PolicyInForce {
            digest: *policy,
            version: *version,
            index: place.index,
            at: place.at,
            review_due_at: *review_due_at,
            signers,
            sound: short.is_none() && listed,
        });
    }

    pub(super) fn inventory_replaced(
        &self,
        place: Place,
        inventory: &Digest,
        raises: &[String],
        statements: &[SignedStatement],
        note: &mut Note<'_>,
    ) {
        let Some(roster) = &self.roster else { return };
        let wanted = Subject::Inventory {
            inventory: *inventory,
        };
        let people: BTreeSet<PersonId> = statements
            .iter()
            .take(SIGNERS_MAX)
            .filter_map(|signed| verified(signed, roster, place.at, note))
            .filter(|statement| statement.subject == wanted)
            .map(|statement| statement.approver.clone())
            .collect();
        if let (false, Some(short)) = (raises.is_empty(), short_of_threshold(roster, &people)) {
            note.say(
                FindingKind::Quorum,
                format!("the inventory raises what the AI may do, but {short}"),
            );
        }
    }

    pub(super) fn halted(
        &mut self,
        place: Place,
        halt: &HaltScope,
        epoch: u64,
        signed: &SignedStatement,
        note: &mut Note<'_>,
    ) -> Proven {
        self.halt_epoch_moves(epoch, note);
        // A halt that is not proven stops all the same: silence denies.
        self.halts.insert(halt.clone());
        let Some(roster) = &self.roster else {
            return Proven::Nothing;
        };
        let Some(statement) = verified(signed, roster, place.at, note) else {
            return Proven::HaltMoved(Vec::new());
        };
        let wanted = Subject::Halt { halt: halt.clone() };
        if note.expect(
            statement.subject == wanted,
            FindingKind::Signature,
            format!(
                "`{}` signed something else than this halt",
                statement.approver
            ),
        ) {
            Proven::HaltMoved(vec![statement.approver.clone()])
        } else {
            Proven::HaltMoved(Vec::new())
        }
    }

    pub(super) fn resumed(
        &mut self,
        place: Place,
        halt: &HaltScope,
        epoch: u64,
        statements: &[SignedStatement],
        note: &mut Note<'_>,
    ) -> Proven {
        let Some(roster) = &self.roster else {
            return Proven::Nothing;
        };
        let wanted = Subject::Resume {
            halt: halt.clone(),
            halt_epoch: self.halt_epoch,
        };
        let mut people = BTreeSet::new();
        for signed in statements.iter().take(SIGNERS_MAX) {
            let Some(statement) = verified(signed, roster, place.at, note) else {
                continue;
            };
            if note.expect(
                statement.subject == wanted,
                FindingKind::Signature,
                format!(
                    "`{}` signed something else than this resumption",
                    statement.approver
                ),
            ) {
                people.insert(statement.approver.clone());
            }
        }
        let needed = if roster.trial { 1 } else { RESUME_QUORUM };
        let enough = note.expect(
            people.len() >= needed,
            FindingKind::Quorum,
            format!(
                "{} of {needed} needed people signed this resumption",
                people.len()
            ),
        );
        let known = note.expect(
            self.halts.contains(halt),
            FindingKind::Order,
            "nothing like that was halted",
        );
        if enough && known {
            self.halts.remove(halt);
        }
        self.halt_epoch_moves(epoch, note);
        Proven::HaltMoved(people.into_iter().collect())
    }

    fn halt_epoch_moves(&mut self, epoch: u64, note: &mut Note<'_>) {
        let next = self.halt_epoch.saturating_add(1);
        note.expect(
            epoch == next,
            FindingKind::Halt,
            format!("the halt epoch is {epoch}, {next} was to come: a halt is missing"),
        );
        self.halt_epoch = self.halt_epoch.max(epoch);
    }
}
