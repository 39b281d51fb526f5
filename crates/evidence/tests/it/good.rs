//! Logs in which everything holds: nothing may be found in them.

use crate::house::House;
use crate::people::{Founding, group, person, state};
use crate::tale::Tale;
use countersign_domain::Outcome;
use countersign_domain::entry::{Closing, Event};
use countersign_domain::receipt::Ending;
use countersign_domain::statement::{HaltScope, Subject, Vote};
use countersign_domain::warrant::Ground;
use countersign_evidence::{LogReport, TrustedRoots, verify_log};

#[track_caller]
fn holds(report: &LogReport) {
    let words: Vec<_> = report
        .findings
        .list
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(report.is_ok(), "{}", words.join("\n"));
}

#[test]
fn standing_and_approved_changes_hold() {
    let mut house = House::ready(Founding::default());
    house.cross_commit();
    let standing = Tale::standing(&mut house);
    standing.review(&mut house, "chen");
    Tale::approved(&mut house);
    house.cross_commit();
    let report = house.verify();
    holds(&report);
    assert!(report.genesis_pinned && !report.trial);
    assert_eq!(report.changes, 2);
    assert_eq!(report.authorizations.kinds["warrant"], 2);
    assert_eq!(report.authorizations.kinds["voted"], 2);
    assert_eq!(report.recommendations.kinds["proposal"], 2);
    assert_eq!(report.recommendations.kinds["cross-committed"], 2);
    assert_eq!(
        report.authorizations.size,
        house.authorizations.len() as u64
    );
}

#[test]
fn without_a_pin_the_report_says_so() {
    let house = House::ready(Founding::default());
    let report = verify_log(&house, &TrustedRoots::default(), &mut |_| {}).unwrap();
    holds(&report);
    assert!(!report.genesis_pinned);
    assert_eq!(report.genesis, Some(house.genesis));
}

#[test]
fn in_a_trial_the_owner_may_approve() {
    let mut house = House::ready(Founding {
        trial: true,
        ..Founding::default()
    });
    let mut tale = Tale::asked(&mut house, &["maria", "chen"]);
    tale.authorize(&mut house, Ground::Approved);
    tale.redeem(&mut house);
    tale.settle(&mut house, Ending::Succeeded);
    let report = house.verify();
    holds(&report);
    assert!(report.trial);
}

#[test]
fn signatures_that_were_voided_can_be_given_again() {
    let mut house = House::ready(Founding::default());
    let mut tale = Tale::asked(&mut house, &["chen"]);
    tale.decide(&mut house, Outcome::Escalate);
    tale.vote(&mut house, "chen");
    tale.vote(&mut house, "ana");
    tale.authorize(&mut house, Ground::Approved);
    tale.redeem(&mut house);
    tale.settle(&mut house, Ending::Failed);
    holds(&house.verify());
}

#[test]
fn who_signed_for_too_short_a_time_can_sign_again_and_counts_once() {
    let mut house = House::ready(Founding::default());
    let mut tale = Tale::asked(&mut house, &[]);
    let brief = state(
        "chen",
        house.now.plus_seconds(-3_000),
        tale.ballot(Vote::Approve),
    );
    tale.vote_as(&mut house, "chen", brief);
    tale.votes.clear();
    house.now = house.now.plus_seconds(1_200);
    tale.vote(&mut house, "chen");
    tale.vote(&mut house, "ana");
    tale.authorize(&mut house, Ground::Approved);
    holds(&house.verify());
}

#[test]
fn refusals_halts_and_late_receipts_hold() {
    let mut house = House::ready(Founding::default());
    let mut refused = Tale::asked(&mut house, &[]);
    let statement = state("ana", house.now, refused.ballot(Vote::Refuse));
    refused.vote_as(&mut house, "ana", statement);

    let mut stopped = Tale::open(&mut house);
    stopped.decide(&mut house, Outcome::Allow);
    stopped.authorize(&mut house, Ground::Standing);
    house.halt_epoch += 1;
    let halt = HaltScope::Agent(crate::people::agent());
    let statement = state("ana", house.now, Subject::Halt { halt: halt.clone() });
    house.event(Event::Halted {
        halt: halt.clone(),
        epoch: 1,
        statement,
    });
    house.event(Event::Closed {
        change: stopped.change.clone(),
        closing: Closing::Revoked,
        why: "halted by a human".into(),
    });
    let resume = Subject::Resume {
        halt: halt.clone(),
        halt_epoch: 1,
    };
    house.halt_epoch += 1;
    let statements = ["chen", "ana"].map(|name| state(name, house.now, resume.clone()));
    house.event(Event::Resumed {
        halt,
        epoch: 2,
        statements: statements.into(),
    });

    let mut late = Tale::open(&mut house);
    late.decide(&mut house, Outcome::Allow);
    late.authorize(&mut house, Ground::Standing);
    late.redeem(&mut house);
    let started_at = house.now;
    house.event(Event::ExecutionClosed {
        change: late.change.clone(),
        host: crate::people::host("web-1"),
        closing: countersign_domain::entry::ExecutionClosing::Unknown,
        why: "silent".into(),
    });
    // Silence is reviewed as well, and does not keep the host from finding out: first that it does
    // not know, then that all is well.
    late.require_review(&mut house);
    late.review(&mut house, "chen");
    for ending in [Ending::Unknown, Ending::Succeeded] {
        let receipt = late.receipt(&house, ending, started_at);
        late.settle_as(&mut house, &receipt);
    }
    holds(&house.verify());
    let why = house.why(&stopped.change);
    assert!(why.findings.is_empty());
    assert_eq!(why.halts.len(), 1, "the one that stopped it");
    assert_eq!(why.halts[0].by[0].handle, person("ana"));
    assert_eq!(house.why(&refused.change).state, "refused");
    assert_eq!(
        house.why(&refused.change).votes[0].counts_for,
        [group("operators")]
    );
}

#[test]
fn a_quorum_of_witnesses_is_counted() {
    let founding = Founding {
        witnesses: 1,
        ..Founding::default()
    };
    let mut house = House::ready(founding);
    let tale = Tale::standing(&mut house);
    holds(&house.verify());
    assert_eq!(
        house.why(&tale.change).proofs.witnesses,
        ["witness.example/one"]
    );
    house.witnessed = false;
    crate::found(
        &house.verify(),
        &[countersign_evidence::FindingKind::Checkpoint],
    );
}

#[test]
fn a_longer_log_is_read_in_bounded_memory_and_with_progress() {
    let mut house = House::ready(Founding::default());
    for _ in 0..40 {
        Tale::standing(&mut house);
        house.cross_commit();
    }
    let mut seen = Vec::new();
    let report = verify_log(&house, &TrustedRoots::default(), &mut |progress| {
        seen.push((progress.done, progress.of));
    })
    .unwrap();
    holds(&report);
    assert_eq!(report.changes, 40);
    assert!(seen.len() >= 3 && seen.last().is_some_and(|(done, of)| done == of));
}
