//! How permission comes about: votes, authorizations, warrants. Quorums are counted again from the
//! statements themselves, and a warrant must follow from the authorization that it cites.

use super::change::known;
use super::state::Counted;
use super::{Authorization, Change, Decided, Place, PolicyInForce, Proven, Replay, Surroundings, verified};
use crate::LogName;
use crate::finding::{FindingKind, Note};
use countersign_domain::change::ChangeEvent;
use countersign_domain::decision::Outcome;
use countersign_domain::entry::Event;
use countersign_domain::execution::ExecutionEvent;
use countersign_domain::statement::{HaltScope, Subject, Vote};
use countersign_domain::warrant::{Ground, Signer};
use countersign_domain::{
    ChangeId, ChangeState, ExecutionState, GroupId, PersonId, Roster, SignedStatement, Statement,
    Timestamp,
};
use countersign_verify::warrant::verify_past;
use countersign_verify::{Ed25519Key, SKEW_SECONDS_MAX, VerifiedWarrant};
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
            note.say(FindingKind::Order, format!("`{person}` voted before anything was decided"));
            return Proven::Nothing;
        };
        let Some(vote) = vote_on(&statement, id, decided) else {
            let words = format!("`{person}` signed something else than what was asked of people");
            note.say(FindingKind::Link, words);
            return Proven::Nothing;
        };
        let late = place.at > decided.until;
        note.expect(!late, FindingKind::Clock, format!("`{person}` voted after the deadline"));
        if !change.nonces.insert(statement.nonce.clone())
            || change.votes.iter().any(|earlier| earlier.person == person)
        {
            note.say(FindingKind::Order, format!("`{person}` voted twice, or a vote was replayed"));
            return Proven::Nothing;
        }
        // INVARIANT (no self-approval): the agent's owner never decides on what it asks.
        let owns = change.owner == person
            || roster
                .agents
                .get(&change.agent)
                .is_some_and(|agent| agent.owner == person);
        if owns && !roster.trial {
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
            (None, _) => note.say(FindingKind::Order, "it was authorized before it was decided"),
            (Some(decided), Ground::Standing) => {
                check_standing(decided, self.policy.as_ref(), place.at, signers, note);
            }
            (Some(decided), Ground::Approved) => {
                note.expect(
                    place.at <= decided.until,
                    FindingKind::Clock,
                    "it was authorized after the time to decide it had passed",
                );
                check_approved(decided, &change.votes, roster, signers, note);
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

    pub(super) fn warrant(
        &mut self,
        index: u64,
        jws: &str,
        around: &mut dyn Surroundings,
        note: &mut Note<'_>,
    ) -> Proven {
        let Some(roster) = &self.roster else {
            return Proven::Nothing;
        };
        let verified = roster
            .gate
            .warrant
            .parse::<Ed25519Key>()
            .map_err(|error| error.to_string())
            .and_then(|key| {
                verify_past(jws, &key, &roster.deployment).map_err(|error| error.to_string())
            });
        let warrant = match verified {
            Ok(warrant) => warrant,
            Err(error) => {
                note.say(FindingKind::Signature, error);
                return Proven::Nothing;
            }
        };
        check_world(&warrant, self, roster, note);
        let cited = &warrant.basis.authorization;
        note.expect(
            cited.origin == LogName::Authorizations.origin(&roster.deployment),
            FindingKind::Link,
            format!("the warrant cites the log `{}`", cited.origin),
        );
        if note.expect(
            cited.index < cited.size && cited.size <= index,
            FindingKind::Warrant,
            format!(
                "the warrant cites authorization {} in a tree of {}, but stands at {index} itself",
                cited.index, cited.size
            ),
        ) {
            around.authorizations_root(cited.size, &cited.root, note);
        }
        let Some(change) = self.changes.get_mut(&warrant.txn) else {
            let words = format!("a warrant for change `{}`, which is not open", warrant.txn);
            note.say(FindingKind::Warrant, words);
            return Proven::Nothing;
        };
        check_authority(&warrant, change, self.policy.as_ref(), note);
        check_waves(&warrant, change, note);
        let Some(execution) = change.executions.get_mut(&warrant.aud) else {
            let words = format!("a warrant for host `{}`, which is no target", warrant.aud);
            note.say(FindingKind::Warrant, words);
            return Proven::Nothing;
        };
        let details = warrant.details();
        note.expect(
            execution.plan == Some(details.plan_digest),
            FindingKind::Warrant,
            format!("the warrant is for plan {}, which the host did not sign", details.plan_digest),
        );
        note.expect(
            execution.wave == details.wave,
            FindingKind::Warrant,
            format!("the warrant is for wave {}, the host is in {}", details.wave, execution.wave),
        );
        execution.advance(ExecutionEvent::Issue, &warrant.aud, note);
        execution.warrant = Some(Box::new(warrant.clone()));
        match change.state {
            ChangeState::Authorized => change.advance(ChangeEvent::Redeem, note),
            ChangeState::Running => {}
            state => note.say(
                FindingKind::Warrant,
                format!("a warrant for a change that is `{state}`"),
            ),
        }
        Proven::Warrant(Box::new(warrant))
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
        format!("the humans it names are not those who signed policy version {}", policy.version),
    );
}

fn check_approved(
    decided: &Decided,
    votes: &[Counted],
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
            .filter(|counted| roster.members(&asked.group).any(|member| *member == counted.person))
            .map(|counted| &counted.person)
            .collect::<BTreeSet<_>>()
            .len();
        let needed = asked.quorum.max(1) as usize;
        note.expect(
            found >= needed,
            FindingKind::Quorum,
            format!("{found} of {needed} needed members of `{}` approved it", asked.group),
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

/// Trial mark, roster version and halts, as they stand where the warrant stands.
fn check_world(warrant: &VerifiedWarrant, replay: &Replay, roster: &Roster, note: &mut Note<'_>) {
    note.expect(
        warrant.trial == roster.trial,
        FindingKind::Trial,
        "the warrant's trial mark contradicts the genesis",
    );
    note.expect(
        warrant.basis.roster_version == roster.version,
        FindingKind::Warrant,
        format!(
            "the warrant was issued under roster version {}, version {} is in force",
            warrant.basis.roster_version, roster.version
        ),
    );
    note.expect(
        warrant.halt_epoch == replay.halt_epoch,
        FindingKind::Halt,
        format!(
            "the warrant was issued in halt epoch {}, it is {}",
            warrant.halt_epoch, replay.halt_epoch
        ),
    );
    // Which environment a host is in stands in the facts, not in the log.
    let stopped = replay.halts.iter().any(|halt| match halt {
        HaltScope::Everything => true,
        HaltScope::Agent(agent) => *agent == warrant.sub,
        HaltScope::Rule(rule) => warrant.basis.rules.contains(rule),
        HaltScope::Environment(_) => false,
    });
    note.expect(!stopped, FindingKind::Halt, "the warrant was issued while a human had it halted");
}

/// The warrant says no more than the authorization that it cites.
fn check_authority(
    warrant: &VerifiedWarrant,
    change: &Change,
    policy: Option<&PolicyInForce>,
    note: &mut Note<'_>,
) {
    let (Some(authorization), Some(decided)) = (&change.authorization, &change.decided) else {
        note.say(FindingKind::Warrant, "a warrant without an authorization");
        return;
    };
    let (basis, details) = (&warrant.basis, warrant.details());
    let same_policy = match authorization.ground {
        Ground::Approved => {
            basis.policy == decided.decision.policy && basis.rules == decided.decision.rules
        }
        // Decided again at redemption, by the policy in force then.
        Ground::Standing => {
            policy.is_some_and(|policy| policy.digest == basis.policy && policy.sound)
        }
    };
    let issued = Timestamp::from_unix_seconds(warrant.iat);
    for (holds, words) in [
        (basis.authorization.index == authorization.index, "it cites another authorization"),
        (basis.decision == authorization.ground, "it claims another ground"),
        (sorted(&basis.approvers) == sorted(&authorization.signers), "it names other people"),
        (same_policy, "it claims another policy or other rules"),
        (warrant.sub == change.agent, "it is for another agent"),
        (details.change_digest == decided.change_digest, "it is for another change digest"),
        (
            details.targets_max as usize <= decided.plans.len(),
            "it allows more targets than were decided on",
        ),
        (issued <= authorization.until, "it was issued after the authorization had run out"),
        (
            issued.plus_seconds(SKEW_SECONDS_MAX) >= authorization.at,
            "it is dated before the authorization",
        ),
    ] {
        note.expect(
            holds,
            FindingKind::Warrant,
            format!("the warrant does not follow from its authorization: {words}"),
        );
    }
}

/// A wave runs when every host of those before it has succeeded.
fn check_waves(warrant: &VerifiedWarrant, change: &Change, note: &mut Note<'_>) {
    let Some(own) = change.executions.get(&warrant.aud) else {
        return;
    };
    let unfinished = change.executions.iter().find(|(_, other)| {
        other.wave < own.wave && other.plan.is_some() && other.state != ExecutionState::Succeeded
    });
    if let Some((host, other)) = unfinished {
        let words = format!("the warrant is for wave {}, but `{host}` before it is `{}`", own.wave, other.state);
        note.say(FindingKind::Order, words);
    }
}

fn sorted(signers: &[Signer]) -> Vec<Signer> {
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
