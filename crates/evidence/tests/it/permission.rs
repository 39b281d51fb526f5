//! Attacks on how permission comes about. Each log differs from a good one in one thing, is signed
//! by the log's own key, and must be found out all the same.

use crate::found;
use crate::house::House;
use crate::people::{Founding, host, sign_with, state, state_with};
use crate::tale::Tale;
use countersign_domain::entry::Event;
use countersign_domain::jws::PLAN_TYP;
use countersign_domain::lease::HostPlan;
use countersign_domain::receipt::Ending;
use countersign_domain::statement::{HaltScope, Subject, Vote};
use countersign_domain::warrant::{Ground, WARRANT_TYP};
use countersign_domain::{Digest, Outcome, canonical};
use countersign_evidence::FindingKind::*;

fn house() -> House {
    House::ready(Founding::default())
}

#[test]
fn forged_vote() {
    let mut house = house();
    let mut tale = Tale::asked(&mut house, &["chen"]);
    let forged = state_with("mallory", "ana", house.now, tale.ballot(Vote::Approve));
    tale.vote_as(&mut house, "ana", forged);
    tale.authorize(&mut house, Ground::Approved);
    found(&house.verify(), &[Signature, Quorum]);
    let why = house.why(&tale.change);
    assert_eq!(why.votes.len(), 1, "a forged vote is not shown as one");
    assert_eq!(why.authorized[0].signed_by.len(), 1);
    assert!(why.findings.has(Signature));
}

#[test]
fn vote_for_something_else() {
    let mut house = house();
    let mut tale = Tale::asked(&mut house, &["chen"]);
    let mut subject = tale.ballot(Vote::Approve);
    if let Subject::Change { change_digest, .. } = &mut subject {
        *change_digest = Digest::of(b"what chen was shown");
    }
    let statement = state("ana", house.now, subject);
    tale.vote_as(&mut house, "ana", statement);
    tale.authorize(&mut house, Ground::Approved);
    found(&house.verify(), &[Link, Quorum]);
}

#[test]
fn vote_counted_twice() {
    let mut house = house();
    let mut tale = Tale::asked(&mut house, &["chen", "chen"]);
    tale.votes.pop();
    tale.authorize(&mut house, Ground::Approved);
    found(&house.verify(), &[Order, Quorum]);
}

#[test]
fn vote_after_its_time() {
    let mut house = house();
    let mut tale = Tale::asked(&mut house, &["chen"]);
    let statement = state("ana", house.now, tale.ballot(Vote::Approve));
    house.now = house.now.plus_seconds(7200);
    tale.vote_as(&mut house, "ana", statement);
    tale.authorize(&mut house, Ground::Approved);
    found(&house.verify(), &[Signature, Quorum, Clock]);
}

#[test]
fn vote_that_had_lapsed_when_it_was_used() {
    let mut house = house();
    let mut tale = Tale::asked(&mut house, &["ana"]);
    let brief = state(
        "chen",
        house.now.plus_seconds(-3_000),
        tale.ballot(Vote::Approve),
    );
    tale.vote_as(&mut house, "chen", brief);
    house.now = house.now.plus_seconds(1_200);
    tale.authorize(&mut house, Ground::Approved);
    found(&house.verify(), &[Quorum]);
}

#[test]
fn quorum_not_reached() {
    let mut house = house();
    let mut tale = Tale::asked(&mut house, &["chen"]);
    tale.authorize(&mut house, Ground::Approved);
    found(&house.verify(), &[Quorum]);
}

#[test]
fn approver_is_agents_owner() {
    let mut house = house();
    let mut tale = Tale::asked(&mut house, &["chen", "maria"]);
    tale.authorize(&mut house, Ground::Approved);
    found(&house.verify(), &[SelfApproval, Quorum]);
}

#[test]
fn swapped_plan() {
    let mut house = house();
    let mut tale = Tale::open(&mut house);
    let decision = tale.decision(&mut house, Outcome::Allow);
    let plans = vec![HostPlan {
        host: host("web-1"),
        plan: Digest::of(b"another plan"),
    }];
    tale.decide_as(&mut house, decision, plans);
    found(&house.verify(), &[Link]);
}

#[test]
fn swapped_plan_in_the_warrant() {
    let mut house = house();
    let mut tale = Tale::open(&mut house);
    tale.decide(&mut house, Outcome::Allow);
    tale.authorize(&mut house, Ground::Standing);
    let mut warrant = tale.drafted(&house);
    warrant.authorization_details[0].plan_digest = Digest::of(b"another plan");
    tale.redeem_as(&mut house, warrant);
    found(&house.verify(), &[Warrant]);
}

#[test]
fn plan_signed_by_another() {
    let mut house = house();
    let mut tale = Tale::new(&house);
    tale.propose(&mut house);
    house.event(Event::Prepared {
        change: tale.change.clone(),
        host: host("web-1"),
        plan: sign_with("web-2", "web-1", PLAN_TYP, &tale.plan),
    });
    tale.decide(&mut house, Outcome::Allow);
    found(&house.verify(), &[Signature, Link]);
}

#[test]
fn warrant_without_authorization() {
    let mut house = house();
    let mut tale = Tale::open(&mut house);
    let decided = tale.decide(&mut house, Outcome::Allow);
    tale.authorization = Some((decided, Ground::Standing, house.policy.1.clone()));
    tale.redeem(&mut house);
    found(&house.verify(), &[Warrant]);
}

#[test]
fn warrant_by_another_key() {
    let mut house = house();
    let mut tale = Tale::open(&mut house);
    tale.decide(&mut house, Outcome::Allow);
    tale.authorize(&mut house, Ground::Standing);
    let jws = sign_with("mallory", "gate", WARRANT_TYP, &tale.drafted(&house));
    house.append(jws.into_bytes());
    found(&house.verify(), &[Signature]);
}

#[test]
fn warrant_twice() {
    let mut house = house();
    let mut tale = Tale::open(&mut house);
    tale.decide(&mut house, Outcome::Allow);
    tale.authorize(&mut house, Ground::Standing);
    tale.redeem(&mut house);
    tale.redeem(&mut house);
    found(&house.verify(), &[Order]);
}

#[test]
fn warrant_with_a_root_that_never_was() {
    let mut house = house();
    let mut tale = Tale::open(&mut house);
    tale.decide(&mut house, Outcome::Allow);
    tale.authorize(&mut house, Ground::Standing);
    let mut warrant = tale.drafted(&house);
    warrant.basis.authorization.root = Digest::of(b"another log");
    tale.redeem_as(&mut house, warrant);
    found(&house.verify(), &[Link]);
}

#[test]
fn warrant_for_more_than_was_authorized() {
    let mut house = house();
    let mut tale = Tale::open(&mut house);
    tale.decide(&mut house, Outcome::Allow);
    tale.authorize(&mut house, Ground::Standing);
    let mut warrant = tale.drafted(&house);
    warrant.authorization_details[0].targets_max = 2;
    warrant.basis.approvers.pop();
    tale.redeem_as(&mut house, warrant);
    found(&house.verify(), &[Warrant]);
}

#[test]
fn warrant_during_a_halt() {
    let mut house = house();
    let mut tale = Tale::open(&mut house);
    tale.decide(&mut house, Outcome::Allow);
    tale.authorize(&mut house, Ground::Standing);
    let halt = HaltScope::Everything;
    let statement = state("ana", house.now, Subject::Halt { halt: halt.clone() });
    house.event(Event::Halted {
        halt,
        epoch: 1,
        statement,
    });
    house.halt_epoch = 1;
    tale.redeem(&mut house);
    found(&house.verify(), &[Halt]);
}

#[test]
fn resumed_by_one_person() {
    let mut house = house();
    let halt = HaltScope::Everything;
    let statement = state("ana", house.now, Subject::Halt { halt: halt.clone() });
    house.event(Event::Halted {
        halt: halt.clone(),
        epoch: 1,
        statement,
    });
    let resume = Subject::Resume {
        halt: halt.clone(),
        halt_epoch: 1,
    };
    let statements = vec![state("ana", house.now, resume)];
    house.event(Event::Resumed {
        halt,
        epoch: 2,
        statements,
    });
    found(&house.verify(), &[Quorum]);
}

#[test]
fn authorization_after_start() {
    let mut house = house();
    let mut tale = Tale::open(&mut house);
    tale.decide(&mut house, Outcome::Allow);
    tale.authorize(&mut house, Ground::Standing);
    tale.redeem(&mut house);
    let receipt = tale.receipt(&house, Ending::Succeeded, house.now.plus_seconds(-3600));
    tale.settle_as(&mut house, &receipt);
    found(&house.verify(), &[Execution]);
    let why = house.why(&tale.change);
    assert!(why.findings.has(Execution));
    assert!(
        why.executions[0]
            .started
            .unwrap()
            .after_authorization_ms
            .unwrap()
            < -3_500_000
    );
    let page = countersign_evidence::render(&why, 100);
    assert!(page.contains("ALARM: it started"), "{page}");
}

#[test]
fn receipt_for_a_warrant_that_was_not_issued() {
    let mut house = house();
    let mut tale = Tale::open(&mut house);
    tale.decide(&mut house, Outcome::Allow);
    tale.authorize(&mut house, Ground::Standing);
    tale.redeem(&mut house);
    tale.warrant.as_mut().unwrap().0 = Digest::of(b"some other warrant");
    tale.settle(&mut house, Ending::Succeeded);
    found(&house.verify(), &[Execution]);
}

#[test]
fn policy_unsigned() {
    let mut house = House::found(Founding::default());
    house.sign_policy(&["chen"], 86_400);
    let tale = Tale::standing(&mut house);
    found(&house.verify(), &[Policy, Warrant]);
    let page = countersign_evidence::render(&house.why(&tale.change), 100);
    assert!(page.contains("NO signed policy version"), "{page}");
}

#[test]
fn policy_signed_by_its_author() {
    let mut house = house();
    let authors = vec![crate::people::person("chen")];
    let subject = |policy| Subject::Policy {
        policy,
        version: 2,
        authors: authors.clone(),
    };
    let files = Vec::new();
    let policy = canonical::digest(&files).unwrap();
    let statements = ["maria", "chen"].map(|name| state(name, house.now, subject(policy)));
    house.event(Event::Policy {
        policy,
        version: 2,
        files,
        review_due_at: house.now.plus_seconds(86_400),
        authors,
        statements: statements.into(),
    });
    found(&house.verify(), &[SelfApproval, Policy]);
}

#[test]
fn policy_lapsed_or_superseded() {
    let mut house = House::found(Founding::default());
    house.sign_policy(&["maria", "chen"], 1);
    Tale::standing(&mut house);
    found(&house.verify(), &[Policy, Warrant]);

    let mut house = self::house();
    let mut tale = Tale::open(&mut house);
    let decision = tale.decision(&mut house, Outcome::Allow);
    house.sign_policy(&["maria", "chen"], 86_400);
    tale.decide_as(&mut house, decision, tale.plans());
    found(&house.verify(), &[Policy]);
}

#[test]
fn authorized_although_denied() {
    let mut house = house();
    let mut tale = Tale::open(&mut house);
    tale.decide(&mut house, Outcome::Deny);
    tale.authorize(&mut house, Ground::Standing);
    tale.redeem(&mut house);
    let report = house.verify();
    assert!(!report.is_ok());
    assert!(report.findings.has(Order));
}

#[test]
fn second_wave_before_the_first_succeeded() {
    let mut house = house();
    let mut tale = Tale::in_waves(&mut house);
    tale.redeem(&mut house);
    let early = tale.drafted_second(&house);
    tale.redeem_as(&mut house, early);
    found(&house.verify(), &[Order]);

    let mut house = self::house();
    let mut tale = Tale::in_waves(&mut house);
    tale.redeem(&mut house);
    tale.settle(&mut house, Ending::Succeeded);
    let in_time = tale.drafted_second(&house);
    tale.redeem_as(&mut house, in_time);
    assert!(house.verify().is_ok());
    let page = countersign_evidence::render(&house.why(&tale.change), 100);
    assert!(page.contains("web-2 (wave 2)"), "{page}");
}

#[test]
fn standing_warrant_after_the_policy_lapsed() {
    let mut house = House::found(Founding::default());
    house.sign_policy(&["maria", "chen"], 600);
    let mut tale = Tale::open(&mut house);
    tale.decide(&mut house, Outcome::Allow);
    tale.authorize(&mut house, Ground::Standing);
    house.now = house.now.plus_seconds(900);
    tale.redeem(&mut house);
    found(&house.verify(), &[Warrant]);
}
