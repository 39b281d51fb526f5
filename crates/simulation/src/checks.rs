//! The rules that hold at every step, each under its name: the invariants of ARCHITECTURE.md and the
//! rules of the protocol, judged from [`Truth`] alone. Each check sees what is about to be added.

use crate::actors;
use crate::machine::Effect;
use crate::truth::{self, Told, Truth};
use countersign_domain::decision::Outcome;
use countersign_domain::entry::{Event, LogEntry};
use countersign_domain::lease::LEASE_SECONDS_MAX;
use countersign_domain::receipt::Ending;
use countersign_domain::statement::{HaltScope, SignedStatement, Subject, Vote};
use countersign_domain::warrant::{Ground, WARRANT_SECONDS_MAX};
use countersign_domain::{AgentId, ChangeId, Digest, PersonId, Receipt, Timestamp, Warrant};
use countersign_host::journal::Phase;
use countersign_verify::handover::Refusal;
use std::collections::BTreeSet;

/// What a check looks at.
#[derive(Debug)]
pub enum Seen<'a> {
    /// A new entry of the authorizations log.
    Entry(&'a LogEntry),
    /// A new entry of the recommendations log.
    Recommendation(&'a [u8]),
    /// Something happened to a machine.
    Effect(&'static str, &'a Effect, Timestamp),
    /// The gate said that it took a statement or receipt with this digest.
    Acknowledged(Digest),
    /// A machine refused a handover that reached it at once and unaltered.
    Refused(&'a Refusal),
    /// A step is over.
    StepOver,
}

/// A check: none when the rule holds, else how it does not.
pub type Check = fn(&Truth, &Seen<'_>) -> Option<String>;

/// All of them.
pub const CHECKS: [(&str, Check); 18] = [
    ("1 no warrant, no effect", no_warrant_no_effect),
    ("1 intent before effect", intent_before_effect),
    ("2 silence denies", silence_denies),
    ("3 facts, not claims", facts_not_claims),
    ("4 one spend", one_spend),
    ("4 one warrant for each change and host", one_warrant),
    ("5 no self-approval", no_self_approval),
    ("6 named humans are proven", named_humans),
    ("7 the policy in force decides", policy_in_force),
    ("8 what ran by itself is reviewed", reviewed),
    ("9 two logs", two_logs),
    ("10 success was inspected", success_is_true),
    ("11 a halt binds the gate", halt_binds_gate),
    ("11 a halt binds hosts in time", halt_binds_hosts),
    ("12 one verifier", one_verifier),
    ("13 the host defines", host_defines),
    ("waves follow one another", wave_order),
    ("what is acknowledged is logged", acknowledged),
];

fn event<'a>(seen: &'a Seen<'_>) -> Option<(&'a Event, Timestamp)> {
    match seen {
        Seen::Entry(LogEntry::Entry(entry)) => Some((&entry.event, entry.at)),
        _ => None,
    }
}

fn warrant(seen: &Seen<'_>) -> Option<Warrant> {
    match seen {
        Seen::Entry(LogEntry::Warrant(text)) => truth::payload(text),
        _ => None,
    }
}

fn effect<'a>(seen: &'a Seen<'_>) -> Option<(&'static str, &'a Effect, Digest)> {
    match seen {
        Seen::Effect(host, effect, _) => Some((host, effect, effect.warrant?)),
        _ => None,
    }
}

fn unless(holds: bool, words: impl FnOnce() -> String) -> Option<String> {
    (!holds).then(words)
}

fn no_warrant_no_effect(truth: &Truth, seen: &Seen<'_>) -> Option<String> {
    let (host, effect, digest) = effect(seen)?;
    let holds = truth
        .warrants
        .get(&digest)
        .is_some_and(|warrant| warrant.aud.as_str() == host);
    unless(holds, || {
        format!("{host}: {effect:?} without a logged warrant for it")
    })
}

fn intent_before_effect(_: &Truth, seen: &Seen<'_>) -> Option<String> {
    let (host, effect, _) = effect(seen)?;
    unless(effect.journalled, || {
        format!("{host}: {effect:?} was not journalled as spent")
    })
}

fn silence_denies(truth: &Truth, seen: &Seen<'_>) -> Option<String> {
    if let Some(warrant) = warrant(seen) {
        let told = truth.changes.get(&warrant.txn)?;
        let iat = Timestamp::from_unix_seconds(warrant.iat);
        let details = warrant.authorization_details.first()?;
        let authorized = told.authorized.is_some_and(|(ground, until)| {
            let lapsed = truth.policy.is_none_or(|(_, due)| iat > due);
            iat <= until
                && ground == warrant.basis.decision
                && !(lapsed && ground == Ground::Standing)
        });
        let bound = told
            .decided
            .as_ref()
            .is_some_and(|(_, digest)| *digest == details.change_digest);
        let brief = warrant.exp - warrant.iat <= WARRANT_SECONDS_MAX;
        return unless(authorized && bound && brief, || {
            format!("a warrant nothing allows: {warrant:?}; {told:?}")
        });
    }
    let (
        Event::Authorized {
            change,
            ground,
            change_digest,
            ..
        },
        _,
    ) = event(seen)?
    else {
        return None;
    };
    let told = truth.changes.get(change)?;
    let (decision, digest) = told.decided.as_ref()?;
    let holds = digest == change_digest
        && match ground {
            Ground::Standing => decision.outcome == Outcome::Allow,
            Ground::Approved => quorum(told),
        };
    unless(holds, || format!("authorized without ground: {told:?}"))
}

/// Every group that was asked has approved since the last decision, and nobody refused.
fn quorum(told: &Told) -> bool {
    let Some((decision, _)) = &told.decided else {
        return false;
    };
    let refused = told.votes.iter().any(|(_, vote)| *vote == Vote::Refuse);
    let approved: BTreeSet<&PersonId> = told.votes.iter().map(|(person, _)| person).collect();
    !refused
        && !decision.duties.approvers.is_empty()
        && decision.duties.approvers.iter().all(|asked| {
            let members = actors::GROUPS
                .iter()
                .find(|(name, _)| *name == asked.group.as_str());
            let count = approved
                .iter()
                .filter(|person| {
                    members.is_some_and(|(_, members)| members.contains(&person.as_str()))
                })
                .count();
            count >= asked.quorum as usize
        })
}

fn facts_not_claims(truth: &Truth, seen: &Seen<'_>) -> Option<String> {
    let (
        Event::Decided {
            change, decision, ..
        },
        _,
    ) = event(seen)?
    else {
        return None;
    };
    let holds = !(truth.lies.contains(change) && decision.outcome == Outcome::Allow);
    unless(holds, || format!("a lie was believed: {change}"))
}

fn one_spend(truth: &Truth, seen: &Seen<'_>) -> Option<String> {
    let (host, effect, digest) = effect(seen)?;
    let name = effect.transition.name.as_str();
    let before = truth.count(&digest, effect.phase, name);
    let orderly = effect.phase == Phase::Forward || truth.count(&digest, Phase::Forward, name) == 1;
    unless(before == 0 && orderly, || {
        format!("{host}: {effect:?} happened {before} times before")
    })
}

fn one_warrant(truth: &Truth, seen: &Seen<'_>) -> Option<String> {
    let new = warrant(seen)?;
    let twin = truth
        .warrants
        .values()
        .find(|old| old.jti == new.jti || (old.txn == new.txn && old.aud == new.aud));
    twin.map(|old| format!("{new:?} beside {old:?}"))
}

fn owner(agent: &AgentId) -> Option<&'static str> {
    let found = actors::AGENTS
        .iter()
        .find(|(name, _)| *name == agent.as_str());
    found.map(|(_, owner)| *owner)
}

fn votes<'a>(seen: &'a Seen<'_>) -> Option<(&'a ChangeId, &'a SignedStatement)> {
    match event(seen)?.0 {
        Event::Voted {
            change, statement, ..
        }
        | Event::Reviewed { change, statement } => Some((change, statement)),
        _ => None,
    }
}

fn no_self_approval(truth: &Truth, seen: &Seen<'_>) -> Option<String> {
    if let (Event::Policy { statements, .. }, _) = event(seen)? {
        let authors = statements
            .iter()
            .filter_map(truth::said)
            .any(|said| said.approver.as_str() == actors::AUTHOR);
        return unless(!authors, || "an author signed the policy".to_owned());
    }
    let (change, statement) = votes(seen)?;
    let told = truth.changes.get(change)?;
    let said = truth::said(statement)?;
    let voted = matches!(said.subject, Subject::Change { .. });
    let own = owner(&told.proposal.agent) == Some(said.approver.as_str())
        || (voted && said.approver.as_str() == actors::AUTHOR);
    unless(!own, || format!("`{}` decided on {change}", said.approver))
}

fn named_humans(truth: &Truth, seen: &Seen<'_>) -> Option<String> {
    let (event, at) = event(seen)?;
    let statements: Vec<&SignedStatement> = match event {
        Event::Voted { statement, .. }
        | Event::Reviewed { statement, .. }
        | Event::Halted { statement, .. } => vec![statement],
        Event::Resumed { statements, .. } => {
            let people: BTreeSet<_> = statements
                .iter()
                .filter_map(truth::said)
                .map(|said| said.approver)
                .collect();
            if people.len() < 2 {
                return Some("resumed by one person".to_owned());
            }
            statements.iter().collect()
        }
        _ => return None,
    };
    for statement in statements {
        let once = truth.signed.contains(&truth::digest(statement))
            && !truth.logged.contains(&truth::digest(statement));
        let in_time = truth::said(statement)
            .is_some_and(|said| at <= said.not_after && !truth.revoked.contains(&said.credential));
        if !once || !in_time {
            return Some(format!(
                "nobody signed this, or not for now: {}",
                statement.statement
            ));
        }
    }
    let (change, statement) = votes(seen)?;
    let told = truth.changes.get(change)?;
    let (decision, digest) = told.decided.as_ref()?;
    let same = match truth::said(statement)?.subject {
        Subject::Change {
            change_digest,
            rules,
            outcome,
            duties,
            ..
        } => {
            change_digest == *digest
                && rules == decision.rules
                && outcome == decision.outcome
                && duties == decision.duties
        }
        Subject::Review { change_digest, .. } => change_digest == *digest,
        _ => false,
    };
    unless(same, || {
        format!("signed for something else: {}", statement.statement)
    })
}

fn policy_in_force(truth: &Truth, seen: &Seen<'_>) -> Option<String> {
    let (Event::Decided { decision, .. }, _) = event(seen)? else {
        return None;
    };
    let holds = truth
        .policy
        .is_some_and(|(policy, _)| policy == decision.policy);
    unless(holds, || {
        format!("decided under another policy: {decision:?}")
    })
}

fn reviewed(truth: &Truth, seen: &Seen<'_>) -> Option<String> {
    let Seen::StepOver = seen else { return None };
    let forgotten = truth.changes.iter().find(|(_, told)| {
        let parts = || told.parts.values().filter(|part| !part.out);
        told.authorized
            .is_some_and(|(ground, _)| ground == Ground::Standing)
            && told.in_production()
            && !told.review
            && parts().all(|part| part.ended.is_some())
            && parts().any(|part| part.ran)
    });
    forgotten.map(|(change, told)| format!("{change} ran by itself, and nobody looks: {told:?}"))
}

fn two_logs(truth: &Truth, seen: &Seen<'_>) -> Option<String> {
    match seen {
        Seen::Recommendation(bytes) => {
            let commitment = matches!(LogEntry::read(bytes), Ok(LogEntry::Entry(entry)) if matches!(entry.event, Event::CrossCommitted { .. }));
            unless(
                commitment || truth.recommended.contains(&Digest::of(bytes)),
                || "no agent signed this recommendation".to_owned(),
            )
        }
        Seen::Entry(LogEntry::Entry(entry)) => match &entry.event {
            Event::Proposed { change, .. } => unless(truth.proposals.contains_key(change), || {
                format!("nobody proposed {change}")
            }),
            Event::Prepared { plan, .. } => {
                let known =
                    truth::payload(plan).is_some_and(|plan: countersign_domain::PreparedPlan| {
                        truth.plans.values().any(|made| *made == plan)
                    });
                unless(known, || "no host made this plan".to_owned())
            }
            _ => None,
        },
        _ => None,
    }
}

fn success_is_true(truth: &Truth, seen: &Seen<'_>) -> Option<String> {
    let (Event::Settled { host, receipt, .. }, _) = event(seen)? else {
        return None;
    };
    let receipt: Receipt = truth::payload(receipt)?;
    let forward = truth
        .effects
        .iter()
        .any(|(_, effect, _)| effect.warrant == Some(receipt.warrant));
    let holds = match receipt.ending {
        Ending::Succeeded => truth.in_place(&receipt.warrant),
        Ending::NeverStarted => !forward,
        Ending::Failed | Ending::RolledBack | Ending::Unknown => true,
    };
    unless(holds, || {
        format!("`{host}` says {}, which is not so", receipt.ending.as_str())
    })
}

fn halt_binds_gate(truth: &Truth, seen: &Seen<'_>) -> Option<String> {
    let warrant = warrant(seen)?;
    let told = truth.changes.get(&warrant.txn)?;
    let covers = |scope: &&HaltScope| match scope {
        HaltScope::Everything => true,
        HaltScope::Agent(agent) => *agent == told.proposal.agent,
        HaltScope::Rule(rule) => warrant.basis.rules.contains(rule),
        HaltScope::Environment(environment) => told
            .proposal
            .hosts()
            .any(|host| actors::environment(host.as_str()) == *environment),
    };
    let halt = truth.halted.iter().find(covers);
    halt.map(|halt| format!("a warrant while {halt:?} is halted"))
}

/// True when somebody halted after this warrant was issued, and every host must have noticed.
pub(crate) fn halted_long_ago(truth: &Truth, warrant: &Digest, now: Timestamp) -> bool {
    // Whatever clocks say: a host asks, the gate answers, and the host starts within the lease. What
    // is halted after the answer is noticed at the next one.
    let bound = LEASE_SECONDS_MAX;
    let warrant = truth.warrants.get(warrant);
    warrant
        .and_then(|warrant| usize::try_from(warrant.halt_epoch).ok())
        .and_then(|next| truth.epochs.get(next))
        .is_some_and(|at| now > at.plus_seconds(bound))
}

fn halt_binds_hosts(truth: &Truth, seen: &Seen<'_>) -> Option<String> {
    let (Seen::Effect(_, _, now), (host, effect, digest)) = (seen, effect(seen)?) else {
        return None;
    };
    if effect.phase == Phase::Reverse {
        return None;
    }
    unless(!halted_long_ago(truth, &digest, *now), || {
        format!("{host}: started {effect:?} long after a halt")
    })
}

fn one_verifier(_: &Truth, seen: &Seen<'_>) -> Option<String> {
    let Seen::Refused(refusal) = seen else {
        return None;
    };
    // What time and a human may do to a warrant; anything else means that two verifiers disagree.
    let expected = matches!(
        refusal,
        Refusal::LeaseAge { .. }
            | Refusal::LeaseHeldBack { .. }
            | Refusal::ClocksDisagree { .. }
            | Refusal::Halted
            | Refusal::HaltEpochOld { .. }
            | Refusal::Warrant(_)
    );
    unless(expected, || {
        format!("a host refused what the gate had just issued: {refusal}")
    })
}

fn host_defines(truth: &Truth, seen: &Seen<'_>) -> Option<String> {
    let (host, effect, digest) = effect(seen)?;
    let details = truth
        .warrants
        .get(&digest)?
        .authorization_details
        .first()?
        .clone();
    let holds = truth.plans.get(&details.plan_digest).is_some_and(|plan| {
        plan.host.as_str() == host
            && plan.steps.iter().any(|step| match effect.phase {
                Phase::Forward => step.transition == effect.transition,
                Phase::Reverse => step.reverse.transition == effect.transition,
            })
    });
    unless(holds, || {
        format!("{host}: {effect:?} is not in its own plan")
    })
}

fn wave_order(truth: &Truth, seen: &Seen<'_>) -> Option<String> {
    let warrant = warrant(seen)?;
    let told = truth.changes.get(&warrant.txn)?;
    let own = told.proposal.wave_of(&warrant.aud)?;
    let early = told.proposal.waves.iter().take(own).flatten().find(|host| {
        let part = told.parts.get(*host);
        part.is_some_and(|part| !part.out && part.ended != Some(Some(Ending::Succeeded)))
    });
    early.map(|host| format!("`{}` before `{host}` succeeded", warrant.aud))
}

fn acknowledged(truth: &Truth, seen: &Seen<'_>) -> Option<String> {
    let Seen::Acknowledged(digest) = seen else {
        return None;
    };
    unless(truth.logged.contains(digest), || {
        format!("{digest} was acknowledged and is not in the log")
    })
}
