//! A change from proposal to review.

use crate::fixture::*;
use countersign_domain::decision::Outcome;
use countersign_domain::plan::RollbackSource;
use countersign_domain::receipt::Ending;
use countersign_domain::statement::{Subject, Verdict};
use countersign_domain::{ChangeState, ExecutionState};
use countersign_gate::{GateError, Withheld};
use countersign_store::Log;
use countersign_verify::log::LogKeys;
use pollster::block_on;

#[test]
fn a_standard_change_runs_under_standing_authority_and_is_reviewed() {
    let mut world = World::new(&["web-1"]);
    let change = world.prepared("openssl", &[&["web-1"]]);
    assert_eq!(
        (change.state, change.outcome),
        (ChangeState::Authorized, Some(Outcome::Allow))
    );
    assert_eq!(change.rules[0].as_str(), "SA-200");
    assert_eq!(
        change.signers[0].person,
        person("chen"),
        "who signed the policy stands behind it"
    );

    let handover = world.redeem(&change.id, "web-1").unwrap();
    assert_eq!(world.state(&change.id), ChangeState::Running);
    assert_eq!(
        world
            .settle(&change.id, "web-1", &handover.warrant, Ending::Succeeded)
            .unwrap(),
        ChangeState::ReviewDue
    );

    world.now = world.now.plus_seconds(60);
    let subject = Subject::Review {
        change: change.id.clone(),
        change_digest: change.digest.unwrap(),
        verdict: Verdict::Accept,
        note: None,
    };
    let signed = world.sign("chen", subject);
    assert_eq!(
        block_on(world.gate.review(&change.id, signed, None, world.now)).unwrap(),
        ChangeState::Reviewed
    );
}

#[test]
fn the_handover_proves_the_warrant_to_a_host_that_trusts_only_its_genesis() {
    let world = World::new(&["web-1"]);
    let change = world.prepared("openssl", &[&["web-1"]]);
    let handover = world.redeem(&change.id, "web-1").unwrap();
    let roster = countersign_verify::roster::chain(&world.genesis, &handover.roster).unwrap();
    let keys = LogKeys::authorizations(&roster, 0).unwrap();
    let proven =
        countersign_verify::log::verify_proof(handover.warrant.as_bytes(), &handover.proof, &keys)
            .unwrap();
    assert_eq!(
        Some(proven.index),
        world.gate.change(&change.id).unwrap().executions[0].warrant
    );
}

#[test]
fn a_retry_returns_the_same_warrant_with_a_fresh_lease() {
    let world = World::new(&["web-1"]);
    let change = world.prepared("openssl", &[&["web-1"]]);
    let first = world.redeem(&change.id, "web-1").unwrap();
    let size = world.gate.store().checkpoint(Log::Authorizations).0;
    let second = world.redeem(&change.id, "web-1").unwrap();
    assert_eq!(first.warrant, second.warrant);
    assert_ne!(first.lease, second.lease);
    assert_eq!(
        size,
        world.gate.store().checkpoint(Log::Authorizations).0,
        "nothing was written"
    );
}

#[test]
fn what_was_proposed_with_its_plans_is_decided_at_once() {
    let world = World::new(&["web-1"]);
    let proposal = world.proposal("openssl", &[&["web-1"]]);
    let plan = world.plan("web-1", &proposal, RollbackSource::Mirror);
    let proposed = world.submit_with(&proposal, None, vec![plan]).unwrap();
    assert_eq!(proposed.state, ChangeState::Authorized);
}

#[test]
fn a_repacked_rollback_artifact_asks() {
    let world = World::new(&["web-1"]);
    let proposal = world.proposal("openssl", &[&["web-1"]]);
    let plan = world.plan("web-1", &proposal, RollbackSource::Repacked);
    let proposed = world.submit_with(&proposal, None, vec![plan]).unwrap();
    assert_eq!(proposed.state, ChangeState::AwaitingApproval);
}

#[test]
fn a_host_that_cannot_drops_out_and_without_any_the_change_ends() {
    let world = World::new(&["web-1"]);
    let proposed = world
        .submit(&world.proposal("openssl", &[&["web-1"]]))
        .unwrap();
    let state = block_on(world.gate.unprepared(
        &host("web-1"),
        &proposed.change,
        "no such version",
        world.now,
    ));
    assert_eq!(state.unwrap(), ChangeState::Expired);
    assert!(
        world
            .gate
            .change(&proposed.change)
            .unwrap()
            .closed
            .unwrap()
            .contains("no such version")
    );
}

#[test]
fn time_ends_what_nobody_takes_up() {
    let mut world = World::new(&["web-1"]);
    let waiting = world
        .submit(&world.proposal("openssl", &[&["web-1"]]))
        .unwrap()
        .change;
    let asked = world.prepared("postgresql-15", &[&["web-1"]]).id;
    let authorized = world.prepared("curl", &[&["web-1"]]).id;
    assert_eq!(block_on(world.gate.sweep(world.now)).unwrap().changes, 0);
    world.now = world.now.plus_seconds(30 * 86_400);
    block_on(world.gate.sweep(world.now)).unwrap();
    for change in [&waiting, &asked, &authorized] {
        assert_eq!(world.state(change), ChangeState::Expired);
    }
    assert!(matches!(
        world.redeem(&authorized, "web-1"),
        Err(GateError::Withheld(
            Withheld::NotAuthorized(_) | Withheld::Settled(_)
        ))
    ));
}

#[test]
fn a_silent_host_leaves_the_outcome_unknown_and_raises_an_alarm() {
    let mut world = World::new(&["web-1"]);
    let change = world.prepared("openssl", &[&["web-1"]]);
    let handover = world.redeem(&change.id, "web-1").unwrap();
    world.now = world.now.plus_seconds(3600);
    assert_eq!(block_on(world.gate.sweep(world.now)).unwrap().executions, 1);
    let view = world.gate.change(&change.id).unwrap();
    assert_eq!(view.executions[0].state, ExecutionState::Unknown);
    assert_eq!(view.state, ChangeState::ReviewDue);
    assert_eq!(world.gate.alarms(10).unwrap()[0].kind, "outcome-unknown");
    // The late receipt still counts.
    world
        .settle(&change.id, "web-1", &handover.warrant, Ending::Succeeded)
        .unwrap();
    assert_eq!(
        world.gate.change(&change.id).unwrap().executions[0].state,
        ExecutionState::Succeeded
    );
}

#[test]
fn a_host_that_was_silent_may_still_say_that_it_does_not_know() {
    let mut world = World::new(&["web-1"]);
    let change = world.prepared("openssl", &[&["web-1"]]);
    let handover = world.redeem(&change.id, "web-1").unwrap();
    world.now = world.now.plus_seconds(3600);
    block_on(world.gate.sweep(world.now)).unwrap();
    let settle =
        |world: &World, ending| world.settle(&change.id, "web-1", &handover.warrant, ending);
    settle(&world, Ending::Unknown).unwrap();
    let execution = |world: &World| world.gate.change(&change.id).unwrap().executions[0].clone();
    assert_eq!(execution(&world).state, ExecutionState::Unknown);
    // Saying it again later adds nothing.
    let size = world.gate.store().checkpoint(Log::Authorizations).0;
    world.now = world.now.plus_seconds(60);
    settle(&world, Ending::Unknown).unwrap();
    assert_eq!(size, world.gate.store().checkpoint(Log::Authorizations).0);
    settle(&world, Ending::Failed).unwrap();
    assert_eq!(execution(&world).state, ExecutionState::Failed);
}

#[test]
fn a_late_review_is_overdue_and_climbs() {
    let mut world = World::new(&["web-1"]);
    let change = world.prepared("openssl", &[&["web-1"]]);
    let handover = world.redeem(&change.id, "web-1").unwrap();
    world
        .settle(&change.id, "web-1", &handover.warrant, Ending::Succeeded)
        .unwrap();
    for rung in 1..=2 {
        world.now = world.now.plus_seconds(2 * 86_400);
        block_on(world.gate.sweep(world.now)).unwrap();
        assert_eq!(world.state(&change.id), ChangeState::Overdue(rung));
    }
}

#[test]
fn a_receipt_is_taken_once_and_a_different_one_raises_an_alarm() {
    let world = World::new(&["web-1"]);
    let change = world.prepared("openssl", &[&["web-1"]]);
    let handover = world.redeem(&change.id, "web-1").unwrap();
    let settle = |ending| world.settle(&change.id, "web-1", &handover.warrant, ending);
    settle(Ending::Succeeded).unwrap();
    let size = world.gate.store().checkpoint(Log::Authorizations).0;
    settle(Ending::Succeeded).unwrap();
    assert_eq!(size, world.gate.store().checkpoint(Log::Authorizations).0);
    assert!(matches!(
        settle(Ending::Failed),
        Err(GateError::Conflict(_))
    ));
    assert_eq!(world.gate.alarms(1).unwrap()[0].kind, "second-receipt");
    assert!(matches!(
        world.settle(&change.id, "web-1", "another warrant", Ending::Succeeded),
        Err(GateError::Unproven(_))
    ));
}

#[test]
fn a_host_is_told_what_it_has_to_do_and_nothing_that_is_over() {
    let mut world = World::new(&["web-1", "web-2"]);
    let work = |world: &World| {
        let work = world.gate.work(&host("web-1")).unwrap();
        (work.prepare.len(), work.redeem.len(), work.unsettled.len())
    };
    let prepared = world
        .submit(&world.proposal("curl", &[&["web-1"]]))
        .unwrap()
        .change;
    let authorized = world.prepared("openssl", &[&["web-1"]]);
    world.prepared("postgresql-15", &[&["web-1"]]);
    world.prepared("openssl", &[&["web-2"]]);
    assert_eq!(work(&world), (1, 1, 0));
    block_on(
        world
            .gate
            .unprepared(&host("web-1"), &prepared, "no", world.now),
    )
    .unwrap();
    world.redeem(&authorized.id, "web-1").unwrap();
    assert_eq!(work(&world), (0, 0, 1));
    // Past its end nobody knows, so its host is asked again; what expired is over.
    world.now = world.now.plus_seconds(30 * 86_400);
    block_on(world.gate.sweep(world.now)).unwrap();
    assert_eq!(work(&world), (0, 0, 1));
}
