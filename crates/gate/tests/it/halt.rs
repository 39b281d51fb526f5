//! Halt and resume.

use crate::fixture::*;
use countersign_domain::statement::{HaltScope, Subject, Vote};
use countersign_domain::{ChangeState, Environment};
use countersign_gate::{GateError, Withheld};
use pollster::block_on;

fn halt(world: &World, name: &str, halt: HaltScope) -> Result<u64, GateError> {
    let signed = world.sign(name, Subject::Halt { halt });
    block_on(world.gate.halt(signed, world.now))
}

fn resume(world: &World, names: &[&str], halt: &HaltScope) -> Result<u64, GateError> {
    let halt_epoch = world.gate.halts().unwrap().epoch;
    let subject = Subject::Resume {
        halt: halt.clone(),
        halt_epoch,
    };
    let signed = names
        .iter()
        .map(|name| world.sign(name, subject.clone()))
        .collect();
    block_on(world.gate.resume(signed, world.now))
}

#[test]
fn one_signature_stops_everything_and_two_resume() {
    let world = World::new(&["web-1", "web-2"]);
    let authorized = world.prepared("openssl", &[&["web-1"]]);
    assert_eq!(halt(&world, "omar", HaltScope::Everything).unwrap(), 1);
    assert_eq!(world.state(&authorized.id), ChangeState::Revoked);

    // What is authorized meanwhile waits.
    let later = world.prepared("curl", &[&["web-1"]]);
    assert!(matches!(
        world.redeem(&later.id, "web-1"),
        Err(GateError::Withheld(Withheld::Halted))
    ));
    assert!(matches!(
        resume(&world, &["maria"], &HaltScope::Everything),
        Err(GateError::Forbidden(_))
    ));
    assert!(matches!(
        resume(&world, &["maria", "maria"], &HaltScope::Everything),
        Err(GateError::Forbidden(_))
    ));
    assert!(matches!(
        resume(&world, &["maria", "omar"], &HaltScope::Everything),
        Err(GateError::Forbidden(_))
    ));
    assert_eq!(
        resume(&world, &["maria", "chen"], &HaltScope::Everything).unwrap(),
        2
    );
    world.redeem(&later.id, "web-1").unwrap();
}

#[test]
fn a_halt_binds_what_is_issued_through_the_epoch() {
    let world = World::new(&["web-1"]);
    let change = world.prepared("openssl", &[&["web-1"]]);
    let before = world.redeem(&change.id, "web-1").unwrap();
    halt(&world, "omar", HaltScope::Agent(agent())).unwrap();
    // The retry gets the same warrant, but a lease that says halted.
    let after = world.redeem(&change.id, "web-1").unwrap();
    assert_eq!(before.warrant, after.warrant);
    let lease = |handover: &countersign_domain::lease::Handover| {
        let parts = countersign_domain::jws::take_apart(&handover.lease).unwrap();
        serde_json::from_slice::<countersign_domain::lease::Lease>(&parts.payload).unwrap()
    };
    assert!(!lease(&before).halted);
    assert!(lease(&after).halted);
    assert_eq!(lease(&after).halt_epoch, 1);
}

#[test]
fn a_halt_of_one_scope_leaves_the_others() {
    let world = World::new(&["web-1"]);
    for scope in [
        HaltScope::Environment(Environment::Staging),
        HaltScope::Rule(countersign_domain::RuleId::new("SA-100").unwrap()),
        HaltScope::Agent(countersign_domain::AgentId::new("other-bot").unwrap()),
    ] {
        halt(&world, "omar", scope).unwrap();
    }
    let change = world.prepared("openssl", &[&["web-1"]]);
    world.redeem(&change.id, "web-1").unwrap();
    let scope = HaltScope::Rule(countersign_domain::RuleId::new("SA-200").unwrap());
    halt(&world, "omar", scope).unwrap();
    let change = world.prepared("curl", &[&["web-1"]]);
    assert!(matches!(
        world.redeem(&change.id, "web-1"),
        Err(GateError::Withheld(Withheld::Halted))
    ));
}

#[test]
fn a_vote_does_not_stop_anything_and_a_resume_needs_a_halt() {
    let world = World::new(&["web-1"]);
    let change = world.prepared("postgresql-15", &[&["web-1"]]);
    let signed = world.sign("omar", vote_subject(&change, Vote::Refuse));
    assert!(block_on(world.gate.halt(signed, world.now)).is_err());
    assert!(resume(&world, &["maria", "chen"], &HaltScope::Everything).is_err());
}

#[test]
fn a_change_that_a_halt_ends_is_reviewed_all_the_same() {
    let world = World::new(&["web-1", "web-2"]);
    let change = world.prepared("openssl", &[&["web-1"], &["web-2"]]);
    let handover = world.redeem(&change.id, "web-1").unwrap();
    let ending = countersign_domain::receipt::Ending::Succeeded;
    world
        .settle(&change.id, "web-1", &handover.warrant, ending)
        .unwrap();
    halt(&world, "omar", HaltScope::Everything).unwrap();
    assert_eq!(world.state(&change.id), ChangeState::ReviewDue);
}
