//! Warrants: each must follow from the authorization that it cites, and say no more than that.

use super::permission::sorted;
use super::{Change, PolicyInForce, Proven, Replay, Surroundings};
use crate::LogName;
use crate::finding::{FindingKind, Note};
use countersign_domain::change::ChangeEvent;
use countersign_domain::execution::ExecutionEvent;
use countersign_domain::statement::HaltScope;
use countersign_domain::warrant::Ground;
use countersign_domain::{ChangeState, ExecutionState, Roster, Timestamp};
use countersign_verify::warrant::verify_past;
use countersign_verify::{Ed25519Key, SKEW_SECONDS_MAX, VerifiedWarrant};

impl Replay {
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
            format!(
                "the warrant is for plan {}, which the host did not sign",
                details.plan_digest
            ),
        );
        note.expect(
            execution.wave == details.wave,
            FindingKind::Warrant,
            format!(
                "the warrant is for wave {}, the host is in {}",
                details.wave, execution.wave
            ),
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
    note.expect(
        !stopped,
        FindingKind::Halt,
        "the warrant was issued while a human had it halted",
    );
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
    let issued = Timestamp::from_unix_seconds(warrant.iat);
    let same_policy = match authorization.ground {
        Ground::Approved => {
            basis.policy == decided.decision.policy && basis.rules == decided.decision.rules
        }
        // Decided again at redemption, by the policy in force then, while its review was current.
        Ground::Standing => policy.is_some_and(|policy| {
            policy.digest == basis.policy && policy.sound && issued <= policy.review_due_at
        }),
    };
    for (holds, words) in [
        (
            basis.authorization.index == authorization.index,
            "it cites another authorization",
        ),
        (
            basis.decision == authorization.ground,
            "it claims another ground",
        ),
        (
            sorted(&basis.approvers) == sorted(&authorization.signers),
            "it names other people",
        ),
        (
            same_policy,
            "it claims other rules, or a policy that is not in force",
        ),
        (warrant.sub == change.agent, "it is for another agent"),
        (
            details.change_digest == decided.change_digest,
            "it is for another change digest",
        ),
        (
            details.targets_max as usize <= decided.plans.len(),
            "it allows more targets than were decided on",
        ),
        (
            issued <= authorization.until,
            "it was issued after the authorization had run out",
        ),
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
        let words = format!(
            "the warrant is for wave {}, but `{host}` before it is `{}`",
            own.wave, other.state
        );
        note.say(FindingKind::Order, words);
    }
}
