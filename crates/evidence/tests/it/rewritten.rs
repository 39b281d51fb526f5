//! Attacks on the logs themselves: entries changed, moved, removed or held back, by an outsider
//! (who cannot sign the checkpoint) and by whoever holds the log's key.

use crate::found;
use crate::house::House;
use crate::people::Founding;
use crate::tale::Tale;
use countersign_evidence::FindingKind::*;
use countersign_evidence::{LogName, TrustedRoots, verify_log};

fn house() -> House {
    let mut house = House::ready(Founding::default());
    house.cross_commit();
    Tale::standing(&mut house);
    Tale::approved(&mut house);
    house.cross_commit();
    assert!(house.verify().is_ok());
    house
}

#[test]
fn other_genesis() {
    let mut house = House::ready(Founding {
        other: true,
        ..Founding::default()
    });
    house.genesis = House::found(Founding::default()).genesis;
    found(&house.verify(), &[Genesis]);
}

#[test]
fn no_genesis() {
    let mut house = house();
    house.authorizations.remove(0);
    found(&house.verify(), &[Genesis, Checkpoint, CrossCommitment]);
}

#[test]
fn reordered_entry() {
    let mut house = house();
    house.seal();
    house.authorizations.swap(5, 6);
    found(
        &house.verify(),
        &[Checkpoint, Order, Warrant, CrossCommitment, Link],
    );
    // The holder of the log's key signs it anew: the order itself gives it away.
    house.sealed = None;
    let report = house.verify();
    assert!(report.findings.has(Order) && report.findings.has(CrossCommitment));
}

#[test]
fn removed_entry() {
    let mut house = house();
    house.seal();
    house.authorizations.pop();
    let report = house.verify();
    assert!(report.findings.has(Missing) && report.findings.has(Checkpoint));
}

#[test]
fn log_cut_off_and_signed_again() {
    let mut house = house();
    house.authorizations.pop();
    found(&house.verify(), &[CrossCommitment]);
}

#[test]
fn recommendation_rewritten() {
    let mut house = house();
    // Another proposal in place of the first, signed by the agent itself.
    let other = Tale::new(&house);
    let jws = crate::people::sign(
        "patcher",
        countersign_domain::jws::PROPOSAL_TYP,
        &other.proposal,
    );
    house.recommendations[1] = jws.into_bytes();
    let report = house.verify();
    assert!(report.findings.has(CrossCommitment) && report.findings.has(Link));
}

#[test]
fn recommendation_suppressed() {
    let mut house = House::ready(Founding::default());
    let held_back = Tale::new(&house);
    house.recommend(&crate::people::sign(
        "patcher",
        countersign_domain::jws::PROPOSAL_TYP,
        &held_back.proposal,
    ));
    house.now = house.now.plus_seconds(5);
    house.event(countersign_domain::entry::Event::Alarm {
        kind: "test".into(),
        change: None,
        text: String::new(),
    });
    Tale::standing(&mut house);
    found(&house.verify(), &[Missing]);
}

#[test]
fn trial_mark_dropped() {
    let mut house = House::ready(Founding {
        trial: true,
        ..Founding::default()
    });
    house.trial = false;
    let mut tale = Tale::open(&mut house);
    tale.decide(&mut house, countersign_domain::Outcome::Deny);
    found(&house.verify(), &[Trial]);
}

#[test]
fn checkpoint_of_another_key() {
    let house = house();
    let trusted = TrustedRoots {
        authorizations: Some(crate::people::log_signer(LogName::Recommendations).vkey()),
        ..TrustedRoots::default()
    };
    let report = verify_log(&house, &trusted, &mut |_| {}).unwrap();
    found(&report, &[Checkpoint]);
}

#[test]
fn every_entry_changed_is_noticed() {
    let mut house = house();
    house.seal();
    for log in [LogName::Recommendations, LogName::Authorizations] {
        for at in 0..house.entries(log).len() {
            let mut changed = house.clone();
            let entries = match log {
                LogName::Recommendations => &mut changed.recommendations,
                LogName::Authorizations => &mut changed.authorizations,
            };
            let middle = entries[at].len() / 2;
            entries[at][middle] ^= 1;
            let report = changed.verify();
            assert!(report.findings.has(Checkpoint), "{log} {at}");
        }
    }
}

#[test]
fn every_entry_removed_is_noticed_even_when_signed_again() {
    let house = house();
    for at in 0..house.authorizations.len() {
        let mut changed = house.clone();
        changed.authorizations.remove(at);
        assert!(!changed.verify().is_ok(), "{at}");
    }
}
