//! What hosts did with a warrant, and what humans said of it afterwards. Notices and receipts are
//! the hosts' own, about the very warrant that was issued to them.

use super::change::known;
use super::{Change, Execution, Place, Proven, Replay, verified};
use crate::finding::{FindingKind, Note};
use countersign_domain::change::ChangeEvent;
use countersign_domain::entry::ExecutionClosing;
use countersign_domain::execution::ExecutionEvent;
use countersign_domain::receipt::Ending;
use countersign_domain::statement::Subject;
use countersign_domain::{
    ChangeId, Digest, ExecutionState, HostId, Receipt, SignedStatement, Timestamp,
};
use countersign_verify::{SKEW_SECONDS_MAX, VerifiedWarrant, receipt, started};

impl Replay {
    pub(super) fn started(
        &mut self,
        id: &ChangeId,
        host: &HostId,
        jws: &str,
        note: &mut Note<'_>,
    ) -> Proven {
        let (Some(roster), Some(change)) = (&self.roster, known(&mut self.changes, id, note))
        else {
            return Proven::Nothing;
        };
        let notice = match started::verify(jws, roster) {
            Ok(notice) => notice,
            Err(error) => {
                note.say(FindingKind::Signature, error.to_string());
                return Proven::Nothing;
            }
        };
        let Some(execution) = change.executions.get_mut(host) else {
            note.say(
                FindingKind::Link,
                format!("host `{host}` has no part in the change"),
            );
            return Proven::Nothing;
        };
        let Some(warrant) = execution
            .warrant
            .as_ref()
            .filter(|warrant| notice.host == *host && started::is_of(&notice, warrant))
        else {
            let words = format!("host `{host}` started on a warrant that was not issued to it");
            note.say(FindingKind::Execution, words);
            return Proven::Nothing;
        };
        check_start(warrant, notice.started_at, note);
        execution.advance(ExecutionEvent::Start, host, note);
        Proven::Started(Box::new(notice))
    }

    pub(super) fn settled(
        &mut self,
        id: &ChangeId,
        host: &HostId,
        jws: &str,
        note: &mut Note<'_>,
    ) -> Proven {
        let (Some(roster), Some(change)) = (&self.roster, known(&mut self.changes, id, note))
        else {
            return Proven::Nothing;
        };
        let receipt = match receipt::verify(jws, roster) {
            Ok(receipt) => receipt,
            Err(error) => {
                note.say(FindingKind::Signature, error.to_string());
                return Proven::Nothing;
            }
        };
        let Some(execution) = change.executions.get_mut(host) else {
            let words =
                format!("host `{host}` has no part in the change, or has settled it before");
            note.say(FindingKind::Link, words);
            return Proven::Nothing;
        };
        let Some(warrant) = execution
            .warrant
            .as_ref()
            .filter(|warrant| receipt.host == *host && receipt::settles(&receipt, warrant))
        else {
            let words =
                format!("the receipt of `{host}` settles a warrant that was not issued to it");
            note.say(FindingKind::Execution, words);
            return Proven::Nothing;
        };
        if let Some(started_at) = receipt.started_at {
            check_start(warrant, started_at, note);
        }
        let in_time = receipt.ended_at <= Timestamp::from_unix_seconds(warrant.exp);
        settle(execution, host, &receipt, in_time, note);
        change.settle_when_done(note);
        Proven::Settled(Box::new(receipt))
    }

    pub(super) fn execution_closed(
        &mut self,
        id: &ChangeId,
        host: &HostId,
        closing: ExecutionClosing,
        note: &mut Note<'_>,
    ) {
        let Some(change) = known(&mut self.changes, id, note) else {
            return;
        };
        let Some(execution) = change.executions.get_mut(host) else {
            note.say(
                FindingKind::Link,
                format!("host `{host}` has no part in the change"),
            );
            return;
        };
        let event = match closing {
            ExecutionClosing::Revoked => ExecutionEvent::Revoke,
            ExecutionClosing::Expired => ExecutionEvent::Expire,
            ExecutionClosing::Unknown => ExecutionEvent::LoseSight,
        };
        execution.advance(event, host, note);
        change.settle_when_done(note);
    }

    /// An outcome that nobody knew, told by what the host shows of its packages.
    pub(super) fn execution_reconciled(
        &mut self,
        id: &ChangeId,
        host: &HostId,
        report: &Digest,
        ending: Ending,
        note: &mut Note<'_>,
    ) {
        note.expect(
            self.last_report(host) == Some(report),
            FindingKind::Link,
            format!("it rests on no report that `{host}` has just handed in"),
        );
        let Some(change) = known(&mut self.changes, id, note) else {
            return;
        };
        end_unknown(change, host, ending, note);
    }

    /// An outcome that nobody knew, as a human found it and signed.
    pub(super) fn ending_stated(
        &mut self,
        place: Place,
        id: &ChangeId,
        host: &HostId,
        signed: &SignedStatement,
        note: &mut Note<'_>,
    ) -> Proven {
        let (Some(roster), Some(change)) = (&self.roster, known(&mut self.changes, id, note))
        else {
            return Proven::Nothing;
        };
        let Some(statement) = verified(signed, roster, place.at, note) else {
            return Proven::Nothing;
        };
        let person = &statement.approver;
        let ending = match &statement.subject {
            Subject::Ending {
                change: stated,
                change_digest,
                host: found_on,
                ending,
                ..
            } if stated == id
                && found_on == host
                && change.digest() == Some(*change_digest)
                && *ending != Ending::Unknown =>
            {
                *ending
            }
            _ => {
                let words = format!("`{person}` signed no ending of what ran on `{host}`");
                note.say(FindingKind::Link, words);
                return Proven::Nothing;
            }
        };
        // INVARIANT (no self-approval): the agent's owner does not say how what it did ended.
        if change.is_answered_for_by(person, roster) && !roster.trial {
            let words = format!(
                "`{person}` answers for agent `{}` and says how what it asked for ended",
                change.agent
            );
            note.say(FindingKind::SelfApproval, words);
            return Proven::Nothing;
        }
        end_unknown(change, host, ending, note);
        Proven::EndingStated(Box::new(statement))
    }

    pub(super) fn reviewed(
        &mut self,
        place: Place,
        id: &ChangeId,
        signed: &SignedStatement,
        note: &mut Note<'_>,
    ) -> Proven {
        let (Some(roster), Some(change)) = (&self.roster, known(&mut self.changes, id, note))
        else {
            return Proven::Nothing;
        };
        let Some(statement) = verified(signed, roster, place.at, note) else {
            return Proven::Nothing;
        };
        let about = match &statement.subject {
            Subject::Review {
                change: stated,
                change_digest,
                ..
            } => stated == id && change.digest() == Some(*change_digest),
            Subject::Change { .. }
            | Subject::Ending { .. }
            | Subject::Unwarranted { .. }
            | Subject::EmergencyReview { .. }
            | Subject::Policy { .. }
            | Subject::Roster { .. }
            | Subject::Inventory { .. }
            | Subject::Emergency { .. }
            | Subject::Halt { .. }
            | Subject::Resume { .. } => false,
        };
        if !note.expect(
            about,
            FindingKind::Link,
            format!("`{}` signed no review of what ran", statement.approver),
        ) {
            return Proven::Nothing;
        }
        change.advance(ChangeEvent::Review, note);
        Proven::Reviewed(Box::new(statement))
    }
}

/// Ends an execution of which nobody knew how it ended.
fn end_unknown(change: &mut Change, host: &HostId, ending: Ending, note: &mut Note<'_>) {
    let Some(execution) = change.executions.get_mut(host) else {
        note.say(
            FindingKind::Link,
            format!("host `{host}` has no part in the change"),
        );
        return;
    };
    note.expect(
        execution.state == ExecutionState::Unknown,
        FindingKind::Execution,
        format!("the outcome on `{host}` was not unknown; only its receipt can tell it"),
    );
    let event = match ending {
        Ending::Succeeded => ExecutionEvent::Succeed,
        Ending::Failed => ExecutionEvent::Fail,
        Ending::RolledBack => ExecutionEvent::RollBack,
        Ending::NeverStarted => ExecutionEvent::NeverStarted,
        Ending::Unknown => ExecutionEvent::LoseSight,
    };
    execution.advance(event, host, note);
    change.settle_when_done(note);
}

/// INVARIANT (no warrant, no effect): nothing starts before its warrant was issued, nor after it
/// expired, as far as two clocks can tell.
fn check_start(warrant: &VerifiedWarrant, started_at: Timestamp, note: &mut Note<'_>) {
    let issued = Timestamp::from_unix_seconds(warrant.iat);
    let early = issued.seconds_since(started_at);
    note.expect(
        early <= SKEW_SECONDS_MAX,
        FindingKind::Execution,
        format!(
            "`{}` started {early} s BEFORE its warrant was issued",
            warrant.aud
        ),
    );
    let late = started_at.seconds_since(Timestamp::from_unix_seconds(warrant.exp));
    note.expect(
        late <= SKEW_SECONDS_MAX,
        FindingKind::Execution,
        format!(
            "`{}` started {late} s after its warrant had expired",
            warrant.aud
        ),
    );
}

fn settle(
    execution: &mut Execution,
    host: &HostId,
    receipt: &Receipt,
    in_time: bool,
    note: &mut Note<'_>,
) {
    if execution.state == ExecutionState::Issued && receipt.ending != Ending::NeverStarted {
        execution.advance(ExecutionEvent::Start, host, note);
    }
    let event = match receipt.ending {
        Ending::Succeeded => ExecutionEvent::Succeed,
        Ending::Failed => ExecutionEvent::Fail,
        Ending::RolledBack => ExecutionEvent::RollBack,
        Ending::Unknown => ExecutionEvent::LoseSight,
        Ending::NeverStarted if in_time => ExecutionEvent::NeverStarted,
        Ending::NeverStarted => ExecutionEvent::NeverStartedInTime,
    };
    execution.advance(event, host, note);
}
