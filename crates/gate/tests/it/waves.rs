//! Several hosts in one change: waves, stop on failure, blast radius.

use crate::fixture::*;
use countersign_domain::receipt::Ending;
use countersign_domain::{ChangeState, Environment, ExecutionState};
use countersign_gate::{GateError, Withheld};

fn states(world: &World, change: &countersign_domain::ChangeId) -> Vec<ExecutionState> {
    let view = world.gate.change(change).unwrap();
    view.executions
        .iter()
        .map(|execution| execution.state)
        .collect()
}

fn staging(hosts: &[&str]) -> World {
    World::build(false, hosts, &|host| asset(host, Environment::Staging, 3))
}

#[test]
fn the_next_wave_waits_for_the_receipts_of_this_one() {
    let world = staging(&["web-1", "web-2", "web-3"]);
    let change = world.prepared("openssl", &[&["web-1", "web-2"], &["web-3"]]);
    assert_eq!(change.state, ChangeState::Authorized);
    let first = world.redeem(&change.id, "web-1").unwrap();
    assert!(matches!(
        world.redeem(&change.id, "web-3"),
        Err(GateError::Withheld(Withheld::NotYourTurn))
    ));
    let second = world.redeem(&change.id, "web-2").unwrap();
    assert_ne!(first.warrant, second.warrant);
    world
        .settle(&change.id, "web-1", &first.warrant, Ending::Succeeded)
        .unwrap();
    assert!(world.redeem(&change.id, "web-3").is_err());
    world
        .settle(&change.id, "web-2", &second.warrant, Ending::Succeeded)
        .unwrap();
    let third = world.redeem(&change.id, "web-3").unwrap();
    let state = world
        .settle(&change.id, "web-3", &third.warrant, Ending::Succeeded)
        .unwrap();
    assert_eq!(state, ChangeState::Settled, "no review outside production");
}

#[test]
fn a_failure_stops_whoever_has_not_started() {
    for ending in [
        Ending::Failed,
        Ending::RolledBack,
        Ending::Unknown,
        Ending::NeverStarted,
    ] {
        let world = staging(&["web-1", "web-2", "web-3"]);
        let change = world.prepared("openssl", &[&["web-1"], &["web-2"], &["web-3"]]);
        let handover = world.redeem(&change.id, "web-1").unwrap();
        let state = world
            .settle(&change.id, "web-1", &handover.warrant, ending)
            .unwrap();
        assert_eq!(state, ChangeState::Settled);
        assert_eq!(
            states(&world, &change.id)[1..],
            [ExecutionState::Revoked; 2]
        );
        assert!(matches!(
            world.redeem(&change.id, "web-2"),
            Err(GateError::Withheld(Withheld::Settled(_)))
        ));
    }
}

#[test]
fn another_hosts_warrant_settles_nothing() {
    let world = staging(&["web-1", "web-2"]);
    let change = world.prepared("openssl", &[&["web-1", "web-2"]]);
    let first = world.redeem(&change.id, "web-1").unwrap();
    world.redeem(&change.id, "web-2").unwrap();
    assert!(matches!(
        world.settle(&change.id, "web-2", &first.warrant, Ending::Succeeded),
        Err(GateError::Unproven(_))
    ));
}

#[test]
fn a_rollback_elsewhere_takes_standing_authority_away() {
    let world = staging(&["web-1", "web-2"]);
    let first = world.prepared("openssl", &[&["web-1"]]);
    let second = world.prepared("openssl", &[&["web-2"]]);
    assert_eq!(second.state, ChangeState::Authorized);
    let handover = world.redeem(&first.id, "web-1").unwrap();
    world
        .settle(&first.id, "web-1", &handover.warrant, Ending::RolledBack)
        .unwrap();
    // Decided again at redemption, on the fresh fact.
    assert!(matches!(
        world.redeem(&second.id, "web-2"),
        Err(GateError::Withheld(Withheld::DecidedAgain(_)))
    ));
    assert_eq!(world.state(&second.id), ChangeState::AwaitingApproval);
}
