//! Emergencies in the log: what a host did without the gate, who signed that, who reviewed it. Each bad
//! log differs from the good one in one thing.

use crate::found;
use crate::house::House;
use crate::people::{Founding, deployment, host, sign_with, state, state_with};
use countersign_domain::entry::Event;
use countersign_domain::jws::RECEIPT_TYP;
use countersign_domain::receipt::Ending;
use countersign_domain::statement::{Subject, Verdict};
use countersign_domain::{ChangeId, Digest, Receipt, SignedStatement};
use countersign_evidence::FindingKind::*;

fn house() -> House {
    House::ready(Founding::default())
}

fn order() -> Digest {
    Digest::of(b"the order")
}

fn plan() -> Digest {
    Digest::of(b"the plan")
}

fn subject() -> Subject {
    Subject::Emergency {
        host: host("web-1"),
        order: order(),
        plan: plan(),
        reason: None,
    }
}

fn signed(house: &House) -> Vec<SignedStatement> {
    vec![
        state("ana", house.now, subject()),
        state("chen", house.now, subject()),
    ]
}

/// The entry, with a receipt that `signer` signs in the name of `web-1`.
fn told(house: &mut House, statements: Vec<SignedStatement>, spent: Digest, signer: &str) -> Event {
    let emergency = ChangeId::from_proposal(&order());
    let receipt = Receipt {
        v: 1,
        deployment: deployment(),
        host: host("web-1"),
        change: emergency.clone(),
        warrant: spent,
        started_at: Some(house.now),
        ended_at: house.now,
        ending: Ending::Succeeded,
        in_place: Vec::new(),
        health: Vec::new(),
        notes: Vec::new(),
    };
    Event::Emergency {
        emergency,
        host: host("web-1"),
        order: order(),
        plan: plan(),
        bundle: house.keep("bundle"),
        statements,
        receipt: sign_with(signer, "web-1", RECEIPT_TYP, &receipt),
        due_at: house.now.plus_seconds(86_400),
    }
}

fn good(house: &mut House) -> u64 {
    let signed = signed(house);
    let event = told(house, signed, order(), "web-1");
    house.event(event)
}

fn review(house: &mut House, signer: &str, entry: Digest) {
    review_as(house, "maria", signer, entry);
}

fn review_as(house: &mut House, person: &str, signer: &str, entry: Digest) {
    let emergency = ChangeId::from_proposal(&order());
    let subject = Subject::EmergencyReview {
        emergency: emergency.clone(),
        entry,
        verdict: Verdict::Accept,
        note: None,
    };
    let statement = state_with(signer, person, house.now, subject);
    house.event(Event::EmergencyReviewed {
        emergency,
        statement,
    });
}

fn entry_digest(house: &House, index: u64) -> Digest {
    let entries = house.entries(countersign_evidence::LogName::Authorizations);
    Digest::of(&entries[usize::try_from(index).unwrap()])
}

#[test]
fn a_signed_and_reviewed_emergency_is_sound() {
    let mut house = house();
    let index = good(&mut house);
    let entry = entry_digest(&house, index);
    review(&mut house, "maria", entry);
    let report = house.verify();
    assert!(report.is_ok(), "{:?}", report.findings);
}

#[test]
fn an_emergency_that_nobody_signed_is_found() {
    let mut house = house();
    let event = told(&mut house, Vec::new(), order(), "web-1");
    house.event(event);
    found(&house.verify(), &[Quorum]);
}

#[test]
fn a_forged_or_other_statement_behind_an_emergency_is_found() {
    let mut house = house();
    let forged = state_with("mallory", "ana", house.now, subject());
    let event = told(&mut house, vec![forged], order(), "web-1");
    house.event(event);
    found(&house.verify(), &[Signature]);

    let mut house = self::house();
    let mut other = subject();
    if let Subject::Emergency { plan, .. } = &mut other {
        *plan = Digest::of(b"another plan");
    }
    let other = state("ana", house.now, other);
    let event = told(&mut house, vec![other], order(), "web-1");
    house.event(event);
    found(&house.verify(), &[Link]);
}

#[test]
fn a_receipt_of_another_or_for_something_else_is_found() {
    let mut house = house();
    let statements = signed(&house);
    let event = told(&mut house, statements, order(), "mallory");
    house.event(event);
    found(&house.verify(), &[Signature]);

    let mut house = self::house();
    let statements = signed(&house);
    let event = told(&mut house, statements, plan(), "web-1");
    house.event(event);
    found(&house.verify(), &[Link]);
}

#[test]
fn an_emergency_told_twice_or_reviewed_by_nobody_is_found() {
    let mut house = house();
    good(&mut house);
    good(&mut house);
    found(&house.verify(), &[Order]);

    let mut house = self::house();
    let index = good(&mut house);
    let entry = entry_digest(&house, index);
    review(&mut house, "mallory", entry);
    found(&house.verify(), &[Signature]);

    let mut house = self::house();
    good(&mut house);
    review(&mut house, "maria", order());
    found(&house.verify(), &[Link]);
}

#[test]
fn whoever_broke_the_glass_and_reviews_it_is_found() {
    for person in ["ana", "chen"] {
        let mut house = house();
        let index = good(&mut house);
        let entry = entry_digest(&house, index);
        review_as(&mut house, person, person, entry);
        found(&house.verify(), &[SelfApproval]);
    }
}
