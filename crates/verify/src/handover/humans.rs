//! The humans' own signatures, where a host pins them (DESIGN: host pins). With them a captured
//! gate cannot make this host act; without a pin nothing is asked here.

use super::{HostView, Refusal, UnusableApproval};
use crate::jws::Verified;
use crate::ssh::{VerifiedStatement, verify_statement};
use crate::warrant::VerifiedWarrant;
use countersign_domain::lease::Handover;
use countersign_domain::statement::{Subject, Vote};
use countersign_domain::warrant::Ground;
use countersign_domain::{Outcome, PersonId, Proposal, SignedStatement};
use std::collections::BTreeSet;

/// The approvals that reach every pinned quorum; none when nothing is pinned.
///
/// A statement that does not verify is passed over, so that one bad line cannot block good ones;
/// a refusal that does verify stops everything.
///
/// # Errors
/// [`Refusal`].
pub(super) fn check(
    handover: &Handover,
    view: &HostView<'_>,
    warrant: &VerifiedWarrant,
    proposal: &Verified<Proposal>,
) -> Result<Vec<VerifiedStatement>, Refusal> {
    let pinned = &view.pins.required_humans;
    if pinned.is_empty() {
        return Ok(Vec::new());
    }
    match warrant.basis.decision {
        Ground::Approved => {}
        Ground::Standing => return Err(Refusal::StandingRefused),
    }
    let mut approvals = Vec::new();
    let mut unusable = None;
    for statement in &handover.statements {
        match judge(statement, view, warrant, proposal) {
            Ok(Ballot::Approval(approval)) => approvals.push(*approval),
            Ok(Ballot::Refusal(person)) => return Err(Refusal::RefusedBy(person)),
            Err(why) => {
                unusable.get_or_insert(Box::new(why));
            }
        }
    }
    let approvers: BTreeSet<_> = approvals
        .iter()
        .map(|approval| &approval.approver)
        .collect();
    for pin in pinned {
        if pin.quorum == 0 {
            return Err(Refusal::PinQuorumZero(pin.group.clone()));
        }
        let members = view.roster.members(&pin.group);
        let found = members.filter(|person| approvers.contains(person)).count();
        let found = u32::try_from(found).unwrap_or(u32::MAX);
        if found < pin.quorum {
            return Err(Refusal::HumanQuorum {
                group: pin.group.clone(),
                needed: pin.quorum,
                found,
                unusable,
            });
        }
    }
    Ok(approvals)
}

enum Ballot {
    Approval(Box<VerifiedStatement>),
    Refusal(PersonId),
}

/// What one statement says of this very change under the policy that the warrant cites.
fn judge(
    signed: &SignedStatement,
    view: &HostView<'_>,
    warrant: &VerifiedWarrant,
    proposal: &Verified<Proposal>,
) -> Result<Ballot, UnusableApproval> {
    let statement = verify_statement(signed, view.roster, Some(view.now))?;
    let other = || UnusableApproval::OtherSubject(statement.approver.clone());
    let Subject::Change {
        change,
        change_digest,
        vote,
        policy,
        outcome,
        ..
    } = &statement.subject
    else {
        return Err(other());
    };
    if *change != warrant.txn || *change_digest != warrant.details().change_digest {
        return Err(other());
    }
    match vote {
        Vote::Refuse => return Ok(Ballot::Refusal(statement.approver.clone())),
        Vote::Approve => {}
    }
    match outcome {
        Outcome::Ask | Outcome::Escalate => {}
        Outcome::Allow | Outcome::Deny => return Err(other()),
    }
    if *policy != warrant.basis.policy {
        return Err(other());
    }
    // INVARIANT (no self-approval): not even one of several may be the agent's owner, unless the
    // deployment and this host are both a trial.
    let owner = view
        .roster
        .agents
        .get(&proposal.agent)
        .map(|agent| &agent.owner);
    let may_approve_own = view.roster.trial && view.pins.trial;
    if owner == Some(&statement.approver) && !may_approve_own {
        return Err(UnusableApproval::Owner(statement.approver.clone()));
    }
    Ok(Ballot::Approval(Box::new(statement)))
}
