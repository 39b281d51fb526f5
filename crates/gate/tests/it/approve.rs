//! Votes of named humans: quorum, separation of duties, what exactly was signed.

use crate::fixture::*;
use countersign_domain::statement::{Statement, Subject, Vote};
use countersign_domain::{ChangeState, Environment, canonical};
use countersign_gate::GateError;
use countersign_gate::view::ChangeView;
use pollster::block_on;

fn asked(world: &World) -> ChangeView {
    let change = world.prepared("postgresql-15", &[&["web-1"]]);
    assert_eq!(
        change.state,
        ChangeState::AwaitingApproval,
        "{:?}",
        change.reasons
    );
    change
}

#[test]
fn every_group_needs_its_quorum_of_distinct_people() {
    let world = World::new(&["web-1"]);
    let change = asked(&world);
    let groups = approvers(&change);
    assert!(groups.contains_key("database-owners"), "{groups:?}");
    // chen is the only database owner; whoever else is needed signs first.
    let mut state = change.state;
    if groups.contains_key("change-approvers") {
        state = world.vote("maria", &change, Vote::Approve).unwrap();
        assert_eq!(state, ChangeState::AwaitingApproval);
    }
    let _ = state;
    assert_eq!(
        world.vote("chen", &change, Vote::Approve).unwrap(),
        ChangeState::Authorized
    );
    assert!(world.redeem(&change.id, "web-1").is_ok());
}

#[test]
fn nobody_votes_twice() {
    let world = World::build(false, &["web-1"], &|host| {
        asset(host, Environment::Production, 0)
    });
    let change = world.prepared("openssl", &[&["web-1"]]);
    assert_eq!(approvers(&change).get("change-approvers"), Some(&2));
    world.vote("maria", &change, Vote::Approve).unwrap();
    assert!(matches!(
        world.vote("maria", &change, Vote::Approve),
        Err(GateError::Conflict(_))
    ));
    assert_eq!(world.state(&change.id), ChangeState::AwaitingApproval);
    assert_eq!(
        world.vote("chen", &change, Vote::Approve).unwrap(),
        ChangeState::Authorized
    );
}

#[test]
fn one_refusal_ends_it() {
    let world = World::new(&["web-1"]);
    let change = asked(&world);
    assert_eq!(
        world.vote("chen", &change, Vote::Refuse).unwrap(),
        ChangeState::Refused
    );
    assert!(world.vote("chen", &change, Vote::Approve).is_err());
    assert!(world.redeem(&change.id, "web-1").is_err());
}

#[test]
fn the_agents_owner_may_not_approve() {
    let world = World::build(false, &["web-1"], &|host| {
        asset(host, Environment::Production, 0)
    });
    let change = world.prepared("openssl", &[&["web-1"]]);
    let error = world.vote("ana", &change, Vote::Approve).unwrap_err();
    assert!(matches!(error, GateError::Forbidden(_)), "{error}");
}

#[test]
fn who_is_in_no_group_that_is_asked_may_not_approve() {
    let world = World::new(&["web-1"]);
    let change = asked(&world);
    assert!(matches!(
        world.vote("omar", &change, Vote::Approve),
        Err(GateError::Forbidden(_))
    ));
}

#[test]
fn what_was_signed_must_be_what_is_asked() {
    let world = World::new(&["web-1"]);
    let change = asked(&world);
    let edits: [fn(&mut ChangeView); 4] = [
        |change| change.digest = Some(countersign_domain::Digest::of(b"other")),
        |change| change.rules.clear(),
        |change| change.outcome = Some(countersign_domain::Outcome::Allow),
        |change| change.duties.as_mut().unwrap().approvers.clear(),
    ];
    for edit in edits {
        let mut shown = change.clone();
        edit(&mut shown);
        assert!(matches!(
            world.vote("chen", &shown, Vote::Approve),
            Err(GateError::Conflict(_))
        ));
    }
}

#[test]
fn a_statement_is_used_once_and_only_by_whoever_signed_it() {
    let world = World::new(&["web-1"]);
    let change = asked(&world);
    let signed = world.sign("chen", vote_subject(&change, Vote::Approve));
    // The same words, said to be maria's.
    let mut forged: Statement = canonical::from_bytes(signed.statement.as_bytes()).unwrap();
    forged.approver = person("maria");
    let mut stolen = signed.clone();
    stolen.statement = canonical::to_text(&forged).unwrap();
    let vote = |signed| block_on(world.gate.vote(&change.id, signed, None, world.now));
    assert!(matches!(vote(stolen), Err(GateError::Unproven(_))));
    vote(signed.clone()).unwrap();
    let other = asked(&world);
    assert!(block_on(world.gate.vote(&other.id, signed, None, world.now)).is_err());
}

#[test]
fn a_vote_after_the_deadline_counts_not() {
    let mut world = World::new(&["web-1"]);
    let change = asked(&world);
    world.now = change.until.unwrap().plus_seconds(1);
    assert!(matches!(
        world.vote("chen", &change, Vote::Approve),
        Err(GateError::State { .. })
    ));
}

#[test]
fn an_escalation_is_taken_up_by_a_named_human() {
    let world = World::new(&["web-1"]);
    let mut proposal = world.proposal("openssl", &[&["web-1"]]);
    proposal.claims.hosts = Some(40);
    let plan = world.plan(
        "web-1",
        &proposal,
        countersign_domain::plan::RollbackSource::Mirror,
    );
    let proposed = world.submit_with(&proposal, None, vec![plan]).unwrap();
    assert_eq!(proposed.state, ChangeState::Escalated);
    let change = world.gate.change(&proposed.change).unwrap();
    assert!(
        world.vote("ana", &change, Vote::Approve).is_err(),
        "the agent's owner"
    );
    assert_eq!(
        world.vote("maria", &change, Vote::Approve).unwrap(),
        ChangeState::Authorized
    );
    world.redeem(&change.id, "web-1").unwrap();
}

#[test]
fn a_review_is_no_vote() {
    let world = World::new(&["web-1"]);
    let change = asked(&world);
    let subject = Subject::Review {
        change: change.id.clone(),
        change_digest: change.digest.unwrap(),
        verdict: countersign_domain::statement::Verdict::Accept,
        note: None,
    };
    let signed = world.sign("chen", subject);
    assert!(block_on(world.gate.vote(&change.id, signed, None, world.now)).is_err());
}

#[test]
fn a_vote_whose_key_was_revoked_or_whose_time_is_over_completes_no_quorum() {
    let mut world = World::build(false, &["web-1"], &|host| {
        asset(host, Environment::Production, 0)
    });
    let change = world.prepared("openssl", &[&["web-1"]]);
    world.vote("chen", &change, Vote::Approve).unwrap();
    let revoke = countersign_domain::roster::Operation::RevokeKey {
        fingerprint: fingerprint("chen"),
    };
    crate::deployment::change_roster(&world, "maria", vec![revoke]).unwrap();
    let state = world.vote("maria", &change, Vote::Approve).unwrap();
    assert_eq!(state, ChangeState::AwaitingApproval);
    // Statements are signed for an hour here; then they are to be given again.
    world.now = world.now.plus_seconds(7200);
    let state = world.vote("maria", &change, Vote::Approve).unwrap();
    assert_eq!(state, ChangeState::AwaitingApproval);
}
