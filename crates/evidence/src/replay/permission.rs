//! How permission comes about: votes and authorizations. Quorums are counted again from the
//! statements themselves.

use super::change::known;
use super::state::Counted;
use super::{Authorization, Decided, Place, PolicyInForce, Proven, Replay, verified};
use crate::finding::{FindingKind, Note};
use countersign_domain::change::ChangeEvent;
use countersign_domain::decision::Outcome;
use countersign_domain::entry::Event;
use countersign_domain::statement::{Subject, Vote};
use countersign_domain::warrant::{Ground, Signer};
use countersign_domain::{
    ChangeId, ChangeState, GroupId, PersonId, Roster, SignedStatement, Statement, Timestamp,
};
use std::collections::BTreeSet;

impl Replay {
    pub(super) fn voted(
        &mut self,
        place: Place,
        id: &ChangeId,
        signed: &SignedStatement,
        stated_groups: &[GroupId],
        note: &mut Note<'_>,
    ) -> Proven {
        let (Some(roster), Some(change)) = (&self.roster, known(&mut self.changes, id, note))
        else {
            return Proven::Nothing;
        };
        let Some(statement) = verified(signed, roster, place.at, note) else {
            return Proven::Nothing;
        };
        let person = statement.approver.clone();
        let Some(decided) = &change.decided else {
            note.say(
                FindingKind::Order,
                format!("`{person}` voted before anything was decided"),
            );
            return Proven::Nothing;
        };
        let Some(vote) = vote_on(&statement, id, decided) else {
            let words = format!("`{person}` signed something else than what was asked of people");
            note.say(FindingKind::Link, words);
            return Proven::Nothing;
        };
        let late = place.at > decided.until;
        note.expect(
            !late,
            FindingKind::Clock,
            format!("`{person}` voted after the deadline"),
        );
        // Whose vote no longer holds may vote again; nobody's counts twice.
        let earlier = change.votes.iter().filter(|one| one.person == person);
        let again = earlier.into_iter().any(|one| one.holds(roster, place.at));
        if !change.nonces.insert(statement.nonce.clone()) || again {
            note.say(
                FindingKind::Order,
                format!("`{person}` voted twice, or a vote was replayed"),
            );
            return Proven::Nothing;
        }
        // INVARIANT (no self-approval): the agent's owner never decides on what it asks.
        if change.is_answered_for_by(&person, roster) && !roster.trial {
            let words = format!(
                "`{person}` answers for agent `{}` and voted on what it asked for; that does not count",
                change.agent
            );
            note.say(FindingKind::SelfApproval, words);
            return Proven::Nothing;
        }
        let counts_for = groups_asked(roster, &person, decided);
        note.expect(
            stated_groups == counts_for,
            FindingKind::Quorum,
            format!(
                "the vote of `{person}` was counted for {}, but counts for {}",
                joined(stated_groups),
                joined(&counts_for)
            ),
        );
        match (change.state, vote) {
            (_, Vote::Refuse) => change.advance(ChangeEvent::Refuse, note),
            // A human takes the escalation up; the same signature is the first that counts.
            (ChangeState::Escalated, Vote::Approve) => change.advance(ChangeEvent::Ask, note),
            (ChangeState::AwaitingApproval, Vote::Approve) => {}
            (state, Vote::Approve) => {
                let words = format!("`{person}` approved a change that is `{state}`");
                note.say(FindingKind::Order, words);
            }
        }
        change.votes.push(Counted {
            person,
            vote,
            counts_for: counts_for.clone(),
            signed_at: statement.signed_at,
            signed: signed.clone(),
        });
        Proven::Voted(Box::new(statement), counts_for)
    }

    pub(super) fn authorized(&mut self, place: Place, event: &Event, note: &mut Note<'_>) {
        let Event::Authorized {
            change: id,
            change_digest,
            ground,
            signers,
            until,
        } = event
        else {
            return;
        };
        let (Some(roster), Some(change)) = (&self.roster, known(&mut self.changes, id, note))
        else {
            return;
        };
        note.expect(
            change.digest() == Some(*change_digest),
            FindingKind::Link,
            "it authorizes something else than what was decided",
        );
        match (&change.decided, ground) {
            (None, _) => note.say(
                FindingKind::Order,
                "it was authorized before it was decided",
            ),
            (Some(decided), Ground::Standing) => {
                check_standing(decided, self.policy.as_ref(), place.at, signers, note);
            }
            (Some(decided), Ground::Approved) => {
                note.expect(
                    place.at <= decided.until,
                    FindingKind::Clock,
                    "it was authorized after the time to decide it had passed",
                );
                let votes = change.votes.iter();
                let votes: Vec<&Counted> =
                    votes.filter(|vote| vote.holds(roster, place.at)).collect();
                check_approved(decided, &votes, roster, signers, note);
            }
        }
        change.advance(ChangeEvent::Authorize, note);
        change.authorization = Some(Authorization {
            index: place.index,
            at: place.at,
            until: *until,
            ground: *ground,
            signers: signers.clone(),
        });
    }
}

/// The vote, when the statement is about this decision, word for word.
fn vote_on(statement: &Statement, id: &ChangeId, decided: &Decided) -> Option<Vote> {
    let Subject::Change {
        change,
        change_digest,
        vote,
        policy,
        outcome,
        rules,
        duties,
        ..
    } = &statement.subject
    else {
        return None;
    };
    let decision = &decided.decision;
    let same = change == id
        && *change_digest == decided.change_digest
        && *policy == decision.policy
        && *outcome == decision.outcome
        && *rules == decision.rules
        && *duties == decision.duties;
    same.then_some(*vote)
}

/// The groups asked that this person is in, in the order they were asked.
fn groups_asked(roster: &Roster, person: &PersonId, decided: &Decided) -> Vec<GroupId> {
    let duties = &decided.decision.duties;
    duties
        .approvers
        .iter()
        .map(|asked| &asked.group)
        .filter(|group| roster.members(group).any(|member| member == person))
        .cloned()
        .collect()
}

fn check_standing(
    decided: &Decided,
    policy: Option<&PolicyInForce>,
    at: Timestamp,
    signers: &[Signer],
    note: &mut Note<'_>,
) {
    note.expect(
        decided.decision.outcome == Outcome::Allow,
        FindingKind::Order,
        format!(
            "standing authority is claimed, but the policy said {}",
            decided.decision.outcome.as_str()
        ),
    );
    note.expect(
        !decided.decision.rules.is_empty(),
        FindingKind::Policy,
        "standing authority is claimed without a rule",
    );
    // That it is the one decided by, and signed, was checked with the decision.
    let Some(policy) = policy else { return };
    note.expect(
        at <= policy.review_due_at,
        FindingKind::Policy,
        format!(
            "policy version {} was due for review at {} and gives no standing authority after it",
            policy.version, policy.review_due_at
        ),
    );
    note.expect(
        sorted(signers) == policy.signers,
        FindingKind::Link,
        format!(
            "the humans it names are not those who signed policy version {}",
            policy.version
        ),
    );
}

fn check_approved(
    decided: &Decided,
    votes: &[&Counted],
    roster: &Roster,
    signers: &[Signer],
    note: &mut Note<'_>,
) {
    let duties = &decided.decision.duties;
    match decided.decision.outcome {
        Outcome::Ask | Outcome::Escalate => {}
        Outcome::Allow | Outcome::Deny => note.say(
            FindingKind::Order,
            format!(
                "people are said to have approved what the policy answered with {}",
                decided.decision.outcome.as_str()
            ),
        ),
    }
    let approvals = || votes.iter().filter(|counted| counted.vote == Vote::Approve);
    note.expect(
        !duties.approvers.is_empty(),
        FindingKind::Quorum,
        "nobody was asked, so nobody can have approved it",
    );
    for asked in &duties.approvers {
        let found = approvals()
            .filter(|counted| counted.counts_for.contains(&asked.group))
            .filter(|counted| {
                roster
                    .members(&asked.group)
                    .any(|member| *member == counted.person)
            })
            .map(|counted| &counted.person)
            .collect::<BTreeSet<_>>()
            .len();
        let needed = asked.quorum.max(1) as usize;
        note.expect(
            found >= needed,
            FindingKind::Quorum,
            format!(
                "{found} of {needed} needed members of `{}` approved it",
                asked.group
            ),
        );
    }
    let voters: Vec<Signer> = approvals()
        .map(|counted| Signer {
            person: counted.person.clone(),
            at: counted.signed_at,
        })
        .collect();
    note.expect(
        sorted(signers) == sorted(&voters),
        FindingKind::Quorum,
        "the humans it names are not those whose approvals count",
    );
}

/// People in one order, to compare them.
pub(super) fn sorted(signers: &[Signer]) -> Vec<Signer> {
    let mut sorted = signers.to_vec();
    sorted.sort();
    sorted
}

fn joined(groups: &[GroupId]) -> String {
    let names: Vec<_> = groups.iter().map(|group| format!("`{group}`")).collect();
    if names.is_empty() {
        "no group".into()
    } else {
        names.join(", ")
    }
}
