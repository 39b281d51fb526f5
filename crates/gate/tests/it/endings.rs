//! An outcome that nobody knows, and that what the host shows does not settle, is closed by a named
//! human's signature, and by nothing else.

use crate::deployment::change_roster;
use crate::fixture::*;
use countersign_domain::receipt::Ending;
use countersign_domain::roster::Operation;
use countersign_domain::statement::{SignedStatement, Subject, Verdict};
use countersign_domain::text::SaltedText;
use countersign_domain::{ChangeId, ChangeState, Digest, ExecutionState};
use countersign_gate::{GateError, fold};
use countersign_store::{Apply, Log, rebuild};
use pollster::block_on;

/// A change that is out, and of which nobody knows how it ended; and its warrant.
fn unknown() -> (World, ChangeId, String) {
    let mut world = World::new(&["web-1"]);
    let change = world.prepared("openssl", &[&["web-1"]]).id;
    let handover = world.redeem(&change, "web-1").unwrap();
    world.now = world.now.plus_seconds(3600);
    block_on(world.gate.sweep(world.now)).unwrap();
    assert_eq!(execution(&world, &change), ExecutionState::Unknown);
    (world, change, handover.warrant)
}

fn execution(world: &World, change: &ChangeId) -> ExecutionState {
    world.gate.change(change).unwrap().executions[0].state
}

fn size(world: &World) -> u64 {
    world.gate.store().checkpoint(Log::Authorizations).0
}

fn ending(world: &World, change: &ChangeId, ending: Ending) -> Subject {
    Subject::Ending {
        change: change.clone(),
        change_digest: world.gate.change(change).unwrap().digest.unwrap(),
        host: host("web-1"),
        ending,
        note: None,
    }
}

fn state(
    world: &World,
    change: &ChangeId,
    signed: SignedStatement,
) -> Result<ChangeState, GateError> {
    block_on(world.gate.state_ending(change, signed, None, world.now))
}

#[test]
fn a_named_human_closes_an_outcome_that_nobody_knows() {
    for (found, becomes, other) in [
        (Ending::Succeeded, ExecutionState::Succeeded, Ending::Failed),
        (Ending::Failed, ExecutionState::Failed, Ending::Succeeded),
        (
            Ending::RolledBack,
            ExecutionState::RolledBack,
            Ending::Succeeded,
        ),
        (
            Ending::NeverStarted,
            ExecutionState::Revoked,
            Ending::Succeeded,
        ),
    ] {
        let (world, change, warrant) = unknown();
        let note = SaltedText::new([3; 16], "looked at it on the console");
        let mut subject = ending(&world, &change, found);
        if let Subject::Ending { note: digest, .. } = &mut subject {
            *digest = Some(note.digest().unwrap());
        }
        let signed = world.sign("chen", subject);
        let close = || {
            let (signed, note) = (signed.clone(), Some(note.clone()));
            block_on(world.gate.state_ending(&change, signed, note, world.now))
        };
        assert_eq!(close().unwrap(), ChangeState::ReviewDue);
        assert_eq!(execution(&world, &change), becomes);
        let view = world.gate.change(&change).unwrap();
        let notes = &view.executions[0].notes;
        assert!(
            notes.iter().any(|note| note.contains("`chen` looked")),
            "{notes:?}"
        );
        // The same again changes nothing; another word of another human comes too late.
        let before = size(&world);
        assert_eq!(close().unwrap(), ChangeState::ReviewDue);
        let second = world.sign("maria", ending(&world, &change, other));
        assert!(matches!(
            state(&world, &change, second),
            Err(GateError::Conflict(_))
        ));
        assert_eq!(size(&world), before);
        // The receipt that comes after all agrees, or contradicts with an alarm.
        world.settle(&change, "web-1", &warrant, found).unwrap();
        assert!(matches!(
            world.settle(&change, "web-1", &warrant, other),
            Err(GateError::Conflict(_))
        ));
        assert_eq!(world.gate.alarms(1).unwrap()[0].kind, "second-receipt");
        assert_eq!(execution(&world, &change), becomes);
        let rebuilt = rebuild(&database(&world), Apply::No, &mut |tx, index, bytes| {
            fold::apply(tx, index, bytes)
        });
        assert_eq!(rebuilt.unwrap().differences, []);
    }
}

#[test]
fn whoever_may_not_review_a_change_does_not_say_how_it_ended() {
    let (world, change, _) = unknown();
    let subject = || ending(&world, &change, Ending::Succeeded);
    // Omar is no reviewer. Ana becomes one, and answers for the agent.
    let reviewers = Operation::SetGroup {
        group: group("reviewers"),
        members: ["chen", "maria", "ana"].into_iter().map(person).collect(),
    };
    change_roster(&world, "maria", vec![reviewers]).unwrap();
    let before = size(&world);
    for name in ["omar", "ana"] {
        let refused = state(&world, &change, world.sign(name, subject()));
        assert!(matches!(refused, Err(GateError::Forbidden(_))), "{name}");
    }
    // A signature of hers under his words, and one by a key of the agent.
    let mut forged = world.sign("chen", subject());
    forged.signature = world.sign("ana", subject()).signature;
    assert!(matches!(
        state(&world, &change, forged),
        Err(GateError::Unproven(_))
    ));
    let mut by_agent = world.sign("chen", subject());
    by_agent.signature = sign_jws(AGENT, "statement+jws", &1);
    assert!(matches!(
        state(&world, &change, by_agent),
        Err(GateError::Unproven(_))
    ));
    assert_eq!(size(&world), before);
    assert_eq!(execution(&world, &change), ExecutionState::Unknown);
    state(&world, &change, world.sign("chen", subject())).unwrap();
}

#[test]
fn only_what_nobody_knows_is_closed_and_only_as_it_was_signed() {
    let (world, change, warrant) = unknown();
    let before = size(&world);
    let refused = |subject: Subject| state(&world, &change, world.sign("chen", subject));
    let with = |altered: &dyn Fn(&mut Subject)| {
        let mut subject = ending(&world, &change, Ending::Succeeded);
        altered(&mut subject);
        subject
    };
    let nobody_knows = ending(&world, &change, Ending::Unknown);
    let other_change = with(&|subject| {
        if let Subject::Ending { change, .. } = subject {
            *change = ChangeId::from_proposal(&Digest::of(b"another"));
        }
    });
    let other_digest = with(&|subject| {
        if let Subject::Ending { change_digest, .. } = subject {
            *change_digest = Digest::of(b"another");
        }
    });
    let other_host = with(&|subject| {
        if let Subject::Ending { host: named, .. } = subject {
            *named = host("web-9");
        }
    });
    let a_review = Subject::Review {
        change: change.clone(),
        change_digest: world.gate.change(&change).unwrap().digest.unwrap(),
        verdict: Verdict::Accept,
        note: None,
    };
    for subject in [
        nobody_knows,
        other_change,
        other_digest,
        other_host,
        a_review,
    ] {
        let words = format!("{subject:?}");
        assert!(refused(subject).is_err(), "{words}");
    }
    // What a note's digest binds has to come with it.
    let note = SaltedText::new([3; 16], "found").digest().unwrap();
    let without = with(&|subject| {
        if let Subject::Ending { note: digest, .. } = subject {
            *digest = Some(note);
        }
    });
    assert!(refused(without).is_err());
    assert_eq!(size(&world), before);
    // The host settles it itself: then there is nothing to state.
    world
        .settle(&change, "web-1", &warrant, Ending::Failed)
        .unwrap();
    assert!(matches!(
        refused(ending(&world, &change, Ending::Succeeded)),
        Err(GateError::Conflict(_))
    ));
    assert_eq!(execution(&world, &change), ExecutionState::Failed);
}
