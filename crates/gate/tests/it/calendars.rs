//! Change windows and freezes of the policy in force: when standing authority holds, and when it
//! ends. The clock of these tests stands at noon of 20 November 2026, UTC.

use crate::fixture::*;
use countersign_domain::decision::Outcome;
use countersign_domain::entry::{Entry, Event, PolicyFile};
use countersign_domain::statement::{Subject, Vote};
use countersign_domain::{ChangeState, Digest, Environment, Warrant, canonical};
use countersign_gate::view::ChangeView;
use countersign_gate::{GateError, Withheld, fold};
use countersign_store::{Apply, Blob, rebuild};
use pollster::block_on;

const WINDOWS: &str = "calendars/windows.production.ics";
const FREEZES: &str = "calendars/freezes.ics";

/// A calendar with one event of that day, from and to such times.
fn event(from: &str, to: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:e1\r\n\
         DTSTART:20261120T{from}Z\r\nDTEND:20261120T{to}Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

fn under(files: &[(&str, &str)]) -> World {
    let world = World::new(&["web-1"]);
    world.sign_policy_with(files).unwrap();
    world
}

fn seen(change: &ChangeView) -> (ChangeState, Option<Outcome>) {
    (change.state, change.outcome)
}

const RUNS: (ChangeState, Option<Outcome>) = (ChangeState::Authorized, Some(Outcome::Allow));
const ASKS: (ChangeState, Option<Outcome>) = (ChangeState::AwaitingApproval, Some(Outcome::Ask));

/// How long a warrant lasts.
fn lifetime(jws: &str) -> i64 {
    let parts = countersign_domain::jws::take_apart(jws).unwrap();
    let warrant: Warrant = serde_json::from_slice(&parts.payload).unwrap();
    warrant.exp - warrant.iat
}

#[test]
fn a_freeze_takes_standing_authority_away_and_the_change_asks() {
    let world = under(&[(FREEZES, &event("110000", "130000"))]);
    let change = world.prepared("openssl", &[&["web-1"]]);
    assert_eq!(seen(&change), ASKS);
    assert!(
        change
            .withheld_by
            .iter()
            .any(|rule| rule.as_str() == "HL-920"),
        "{:?}",
        change.withheld_by
    );
    let over = under(&[(FREEZES, &event("110000", "120000"))]);
    assert_eq!(seen(&over.prepared("openssl", &[&["web-1"]])), RUNS);
}

#[test]
fn outside_its_window_a_change_asks_and_inside_it_runs() {
    for (from, to, expected) in [
        ("110000", "130000", RUNS),
        ("120000", "130000", RUNS),
        ("120001", "130000", ASKS),
        ("110000", "120000", ASKS),
    ] {
        let world = under(&[(WINDOWS, &event(from, to))]);
        let change = world.prepared("openssl", &[&["web-1"]]);
        assert_eq!(seen(&change), expected, "{from} to {to}");
    }
    // A window of another environment is none of production's.
    let staging = ("calendars/windows.staging.ics", event("000000", "000001"));
    let world = under(&[(staging.0, &staging.1)]);
    assert_eq!(seen(&world.prepared("openssl", &[&["web-1"]])), RUNS);
}

#[test]
fn a_change_in_two_environments_needs_both_windows() {
    let build = |staging: &str| {
        let world = World::build(false, &["web-1", "stage-1"], &|host| match host {
            "stage-1" => asset(host, Environment::Staging, 2),
            _ => asset(host, Environment::Production, 2),
        });
        world
            .sign_policy_with(&[
                (WINDOWS, &event("110000", "130000")),
                ("calendars/windows.staging.ics", staging),
            ])
            .unwrap();
        let change = world.prepared("openssl", &[&["web-1", "stage-1"]]);
        world
            .gate
            .preview(&change.id, world.now)
            .unwrap()
            .facts
            .calendar
    };
    assert!(build(&event("110000", "130000")).in_window);
    assert!(!build(&event("130000", "140000")).in_window);
}

#[test]
fn what_was_authorized_before_a_freeze_is_decided_again_in_it() {
    let mut world = under(&[(FREEZES, &event("121000", "150000"))]);
    let change = world.prepared("openssl", &[&["web-1"]]);
    assert_eq!(seen(&change), RUNS);
    world.now = world.now.plus_seconds(600);
    let refused = world.redeem(&change.id, "web-1").unwrap_err();
    assert!(
        matches!(refused, GateError::Withheld(Withheld::DecidedAgain(_))),
        "{refused}"
    );
    assert_eq!(world.state(&change.id), ChangeState::AwaitingApproval);
}

#[test]
fn what_was_authorized_in_a_window_is_decided_again_after_it() {
    let mut world = under(&[(WINDOWS, &event("110000", "121000"))]);
    let change = world.prepared("openssl", &[&["web-1"]]);
    world.now = world.now.plus_seconds(600);
    assert!(matches!(
        world.redeem(&change.id, "web-1").unwrap_err(),
        GateError::Withheld(Withheld::DecidedAgain(_))
    ));
    assert_eq!(world.state(&change.id), ChangeState::AwaitingApproval);
}

#[test]
fn a_standing_warrant_ends_with_its_window_and_where_a_freeze_begins() {
    for (files, seconds) in [
        (vec![], 900),
        (vec![(WINDOWS, event("110000", "120500"))], 300),
        (vec![(WINDOWS, event("110000", "130000"))], 900),
        (vec![(FREEZES, event("120400", "130000"))], 240),
        (
            vec![
                (WINDOWS, event("110000", "120500")),
                (FREEZES, event("120400", "130000")),
            ],
            240,
        ),
    ] {
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| (*path, text.as_str()))
            .collect();
        let world = under(&files);
        let change = world.prepared("openssl", &[&["web-1"]]);
        let handover = world.redeem(&change.id, "web-1").unwrap();
        assert_eq!(lifetime(&handover.warrant), seconds, "{files:?}");
    }
}

#[test]
fn what_could_not_begin_before_the_window_ends_waits_and_then_asks() {
    let mut world = under(&[(WINDOWS, &event("110000", "121000"))]);
    let change = world.prepared("openssl", &[&["web-1"]]);
    world.now = world.now.plus_seconds(571);
    let refused = world.redeem(&change.id, "web-1").unwrap_err();
    assert!(
        matches!(refused, GateError::Withheld(Withheld::ClosingSoon(_))),
        "{refused}"
    );
    assert_eq!(
        world.state(&change.id),
        ChangeState::Authorized,
        "nothing was decided"
    );
    world.now = world.now.plus_seconds(29);
    world.redeem(&change.id, "web-1").unwrap_err();
    assert_eq!(world.state(&change.id), ChangeState::AwaitingApproval);
}

#[test]
fn what_a_human_approved_is_not_bound_by_windows() {
    let mut world = under(&[(FREEZES, &event("110000", "121000"))]);
    let change = world.prepared("openssl", &[&["web-1"]]);
    for person in ["maria", "chen"] {
        if world.state(&change.id) == ChangeState::AwaitingApproval {
            let _ = world.vote(person, &change, Vote::Approve);
        }
    }
    assert_eq!(world.state(&change.id), ChangeState::Authorized);
    world.now = world.now.plus_seconds(300);
    let handover = world.redeem(&change.id, "web-1").unwrap();
    assert_eq!(lifetime(&handover.warrant), 900);
}

#[test]
fn a_calendar_that_is_not_understood_leaves_the_policy_in_force() {
    let world = under(&[(FREEZES, &event("110000", "130000"))]);
    let before = world
        .gate
        .world()
        .unwrap()
        .policy
        .as_ref()
        .unwrap()
        .record
        .version;
    for (path, text, problem) in [
        (
            FREEZES,
            event("110000", "130000").replace("DTEND", "DTENDS"),
            "`DTENDS` is not understood",
        ),
        (FREEZES, "nonsense".into(), "line 1"),
        (
            "calendars/holidays.ics",
            event("110000", "130000"),
            "freezes.ics",
        ),
    ] {
        match world.sign_policy_with(&[(path, &text)]).unwrap_err() {
            GateError::Policy(findings) => {
                assert!(
                    findings[0].contains(path) && findings[0].contains(problem),
                    "{findings:?}"
                );
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(
        world
            .gate
            .world()
            .unwrap()
            .policy
            .as_ref()
            .unwrap()
            .record
            .version,
        before
    );
    assert_eq!(
        seen(&world.prepared("openssl", &[&["web-1"]])),
        ASKS,
        "still frozen"
    );
}

#[test]
fn the_same_inputs_give_the_same_facts() {
    let world = under(&[
        (WINDOWS, &event("110000", "130000")),
        (FREEZES, &event("123000", "130000")),
    ]);
    let change = world.prepared("openssl", &[&["web-1"]]);
    let digest = |now| {
        let mut facts = world.gate.preview(&change.id, now).unwrap().facts;
        facts.at = world.now;
        facts.evidence_age_seconds = 0;
        (
            facts.calendar.in_window,
            facts.calendar.freeze,
            Digest::of(&canonical::to_bytes(&facts).unwrap()),
        )
    };
    let (now, frozen) = (digest(world.now), digest(world.now.plus_seconds(1_800)));
    assert_eq!(now, digest(world.now));
    // Remembered or not, and whatever was asked between.
    assert_eq!(now, digest(world.now.plus_seconds(1_799)));
    assert_eq!((now.0, now.1), (true, false));
    assert_eq!((frozen.0, frozen.1), (true, true));
    assert_ne!(now.2, frozen.2);
}

/// Puts a policy in force whose calendars are not understood, as one that an earlier program took.
fn with_unreadable(world: &mut World) {
    let mut files = countersign_policy::starter_for(&person("omar"))
        .files()
        .clone();
    files.insert(FREEZES.to_owned(), b"BEGIN:VCALENDAR\r\n".to_vec());
    let source = countersign_policy::PolicySource::new(files).unwrap();
    let version = world
        .gate
        .world()
        .unwrap()
        .policy
        .as_ref()
        .unwrap()
        .record
        .version
        + 1;
    let signed = world.sign(
        "chen",
        Subject::Policy {
            policy: source.digest(),
            version,
            authors: vec![person("omar")],
        },
    );
    let listed = source.files().iter().map(|(path, bytes)| PolicyFile {
        path: path.clone(),
        sha256: Digest::of(bytes),
    });
    let entry = Entry {
        v: 1,
        deployment: world.deployment(),
        trial: false,
        at: world.now,
        event: Event::Policy {
            policy: source.digest(),
            version,
            files: listed.collect(),
            review_due_at: world.now.plus_seconds(90 * 86_400),
            authors: vec![person("omar")],
            statements: vec![signed],
        },
    };
    let pending = world.gate.store().submit(move |tx| {
        for bytes in source.files().values() {
            let blob = Blob {
                salt: None,
                bytes: bytes.clone(),
            };
            tx.put_blob(&Digest::of(bytes), &blob)?;
        }
        fold::append(tx, &entry).map_err(GateError::from)
    });
    block_on(pending).unwrap();
    // The gate knows of nothing that it did not write itself.
    world.reopen(None);
}

#[test]
fn calendars_in_force_that_cannot_be_read_any_more_are_one_alarm() {
    let mut world = World::new(&["web-1"]);
    let alarms = |world: &World| {
        let alarms = world.gate.alarms(100).unwrap().into_iter();
        let about = alarms.filter(|alarm| alarm.kind == "calendars-unreadable");
        about.map(|alarm| alarm.text).collect::<Vec<_>>()
    };
    block_on(world.gate.sweep(world.now)).unwrap();
    assert_eq!(alarms(&world), [""; 0]);
    with_unreadable(&mut world);
    assert_eq!(seen(&world.prepared("openssl", &[&["web-1"]])), ASKS);
    for _ in 0..3 {
        world.now = world.now.plus_seconds(60);
        block_on(world.gate.sweep(world.now)).unwrap();
    }
    let told = alarms(&world);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("policy version 2 cannot be read"),
        "{told:?}"
    );
    assert!(told[0].contains("freezes.ics"), "{told:?}");
    let folded = rebuild(&database(&world), Apply::No, &mut |tx, index, bytes| {
        fold::apply(tx, index, bytes)
    })
    .unwrap();
    assert!(folded.differences.is_empty(), "{:?}", folded.differences);
    // Another version with such calendars is another alarm; one that is understood is none.
    with_unreadable(&mut world);
    block_on(world.gate.sweep(world.now)).unwrap();
    assert_eq!(alarms(&world).len(), 2);
    world.sign_policy().unwrap();
    block_on(world.gate.sweep(world.now)).unwrap();
    assert_eq!(alarms(&world).len(), 2);
}
