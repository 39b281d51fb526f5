//! The journal under crashes, tampering and second attempts.

use super::*;
use countersign_domain::receipt::Ending;
use countersign_domain::{ChangeId, Nonce, Transition};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::EPOCH;

fn transition(name: &str) -> Transition {
    Transition {
        name: name.parse().unwrap(),
        architecture: "all".parse().unwrap(),
        old: Some("1.0".parse().unwrap()),
        new: Some("1.1".parse().unwrap()),
        sha256: Some(Digest::of(name.as_bytes())),
    }
}

fn back(name: &str) -> Transition {
    let there = transition(name);
    Transition {
        old: there.new.clone(),
        new: there.old.clone(),
        sha256: Some(Digest::of(b"old")),
        ..there
    }
}

fn warrant(n: u8) -> Digest {
    Digest::of(&[n])
}

fn intent(n: u8) -> Record {
    Record::Intent {
        at: NOW,
        warrant: warrant(n),
        jti: Nonce::from_random([n; 16]),
        change: ChangeId::new("chg-1").unwrap(),
        plan: Digest::of(b"plan"),
        jws: "a.b.c".into(),
        forward: vec![transition("cs-web")],
        reverse: vec![back("cs-web")],
        session: crate::session::Session::current().unwrap(),
        runner: Runner::Host,
        until: None,
        emergency: None,
        notice: "n".into(),
    }
}

fn spent(n: u8, phase: Phase) -> Record {
    Record::Spent {
        at: NOW,
        warrant: warrant(n),
        phase,
        transitions: vec![match phase {
            Phase::Forward => transition("cs-web"),
            Phase::Reverse => back("cs-web"),
        }],
        session: None,
    }
}

fn settled(n: u8, ending: Ending) -> Record {
    Record::Settled {
        at: NOW,
        warrant: warrant(n),
        change: ChangeId::new("chg-1").unwrap(),
        ending,
        receipt: "r".into(),
    }
}

#[test]
fn a_warrant_is_spent_once_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path(), NOW).unwrap();
    assert!(
        journal.append(spent(1, Phase::Forward)).is_err(),
        "no intent"
    );
    journal.append(intent(1)).unwrap();
    assert!(
        journal.append(spent(1, Phase::Reverse)).is_err(),
        "reverse first"
    );
    assert!(journal.append(intent(2)).is_err(), "two at a time");
    let foreign = Record::Spent {
        at: NOW,
        warrant: warrant(1),
        phase: Phase::Forward,
        transitions: vec![transition("cs-db")],
        session: None,
    };
    assert!(matches!(
        journal.append(foreign),
        Err(JournalError::State(StateError::Foreign { .. }))
    ));
    journal.append(spent(1, Phase::Forward)).unwrap();
    assert!(journal.append(spent(1, Phase::Forward)).is_err(), "twice");
    journal.append(spent(1, Phase::Reverse)).unwrap();
    assert!(journal.append(spent(1, Phase::Reverse)).is_err(), "twice");
    assert!(journal.append(settled(1, Ending::NeverStarted)).is_err());
    journal.append(settled(1, Ending::RolledBack)).unwrap();
    assert!(journal.append(settled(1, Ending::Succeeded)).is_err());
    for again in [intent(1), spent(1, Phase::Forward)] {
        assert!(journal.append(again).is_err());
    }
    // Other bytes with the same unique id are the same warrant to us.
    let mut twin = intent(1);
    if let Record::Intent { warrant, .. } = &mut twin {
        *warrant = Digest::of(b"other bytes");
    }
    assert!(matches!(
        journal.append(twin),
        Err(JournalError::State(StateError::Used(_)))
    ));
    // A warrant that was refused can never be started.
    journal.append(settled(3, Ending::NeverStarted)).unwrap();
    assert!(journal.append(intent(3)).is_err());
    assert_eq!(journal.state().undelivered().count(), 2);
    drop(journal);
    let again = Journal::open(dir.path(), NOW).unwrap();
    assert_eq!(again.state(), &read(dir.path()).unwrap());
    assert_eq!(again.state().executions().count(), 2);
    assert_eq!(again.state().open().count(), 0);
}

#[test]
fn only_one_process_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Journal::open(dir.path(), NOW).unwrap();
    assert!(matches!(
        Journal::open(dir.path(), NOW),
        Err(JournalError::Held(_))
    ));
}

/// A journal of four whole lines, and where each ends.
fn four_lines(dir: &Path) -> (Vec<u8>, Vec<usize>) {
    let mut journal = Journal::open(dir, NOW).unwrap();
    for record in [
        intent(1),
        spent(1, Phase::Forward),
        settled(1, Ending::Succeeded),
        Record::ReceiptDelivered {
            warrant: warrant(1),
        },
    ] {
        journal.append(record).unwrap();
    }
    let bytes = std::fs::read(path(dir)).unwrap();
    let ends = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(at, _)| at + 1)
        .collect();
    (bytes, ends)
}

#[test]
fn a_crash_at_any_byte_loses_only_the_line_that_was_not_durable() {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, ends) = four_lines(dir.path());
    for cut in 0..=bytes.len() {
        std::fs::write(path(dir.path()), &bytes[..cut]).unwrap();
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let torn = cut != 0 && !ends.contains(&cut);
        // A reader that holds no lock sees the whole lines too.
        let seen = read(dir.path()).unwrap();
        let journal = Journal::open(dir.path(), NOW).unwrap();
        assert_eq!(journal.state(), &seen, "cut at {cut}");
        let expected = match whole {
            0 => (0, 0),
            1 | 2 => (1, 1),
            _ => (1, 0),
        };
        let found = (seen.executions().count(), seen.open().count());
        assert_eq!(found, expected, "cut at {cut}");
        drop(journal);
        let after = std::fs::read_to_string(path(dir.path())).unwrap();
        assert_eq!(after.lines().count(), whole + usize::from(torn));
        assert_eq!(after.contains("torn-tail-removed"), torn);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn an_altered_byte_is_noticed(at in 0_usize..10_000, flip in 1_u8..=255) {
        let dir = tempfile::tempdir().unwrap();
        let (mut bytes, _) = four_lines(dir.path());
        let before = read(dir.path()).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        std::fs::write(path(dir.path()), &bytes).unwrap();
        // Either it is refused, or (the very last line's end alone) read as cut off.
        match read(dir.path()) {
            Err(JournalError::Damaged { .. }) => {}
            Ok(state) => {
                prop_assert!(at == bytes.len() - 1, "at {}", at);
                prop_assert_ne!(state, before);
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}

#[test]
fn a_line_taken_out_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, ends) = four_lines(dir.path());
    let without: Vec<u8> = [&bytes[..ends[1]], &bytes[ends[2]..]].concat();
    std::fs::write(path(dir.path()), without).unwrap();
    assert!(matches!(
        Journal::open(dir.path(), NOW),
        Err(JournalError::Damaged { .. })
    ));
}

#[test]
fn a_nearly_full_journal_takes_ends_and_no_beginnings() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path(), NOW).unwrap();
    journal.append(intent(1)).unwrap();
    journal.length = JOURNAL_BYTES_MAX - RESERVE_BYTES + 1;
    assert!(!journal.has_room());
    journal.append(settled(1, Ending::Unknown)).unwrap();
    let error = journal.append(intent(2)).unwrap_err();
    assert!(matches!(error, JournalError::Full(_)));
    assert!(error.to_string().contains("archive"), "{error}");
}

#[test]
fn a_journal_begins_once_and_remembers_what_it_cannot_know() {
    let dir = tempfile::tempdir().unwrap();
    let begun = |log_size| Record::Begun { at: NOW, log_size };
    let mut journal = Journal::open(dir.path(), NOW).unwrap();
    assert!(journal.state().is_blank());
    journal.append(begun(7)).unwrap();
    assert!(journal.append(begun(0)).is_err());
    drop(journal);
    let state = read(dir.path()).unwrap();
    assert_eq!((state.is_blank(), state.blind_before()), (false, Some(7)));
    let fresh = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(fresh.path(), NOW).unwrap();
    journal.append(begun(0)).unwrap();
    assert_eq!(journal.state().blind_before(), None);
}

#[test]
fn a_receipt_that_is_refused_for_good_waits_no_longer() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path(), NOW).unwrap();
    let refused = |n| Record::ReceiptRefused {
        warrant: warrant(n),
        why: "no".into(),
    };
    assert!(journal.append(refused(1)).is_err(), "there is none");
    journal.append(settled(1, Ending::Unknown)).unwrap();
    assert_eq!(journal.state().undelivered().count(), 1);
    journal.append(refused(1)).unwrap();
    assert_eq!(journal.state().undelivered().count(), 0);
}

/// Somebody else's apt goes in steps, each transition once, and this host itself goes back.
#[test]
fn one_run_may_be_under_several_warrants_and_begins_no_step_after_their_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path(), NOW).unwrap();
    let seen = |n: u8, pid: u32, who: Runner| {
        let mut record = intent(n);
        if let Record::Intent {
            session,
            runner,
            until,
            ..
        } = &mut record
        {
            (session.pid, *runner) = (pid, who);
            *until = Some(NOW.plus_seconds(900));
        }
        record
    };
    let late = |phase, seconds| {
        let mut record = spent(1, phase);
        if let Record::Spent { at, .. } = &mut record {
            *at = NOW.plus_seconds(seconds);
        }
        record
    };
    journal.append(seen(1, 7, Runner::Seen)).unwrap();
    journal.append(seen(2, 7, Runner::Seen)).unwrap();
    assert!(journal.append(seen(3, 8, Runner::Seen)).is_err(), "another");
    assert!(journal.append(seen(3, 7, Runner::Host)).is_err(), "our own");
    let error = journal.append(late(Phase::Forward, 901)).unwrap_err();
    assert!(error.to_string().contains("expired"), "{error}");
    journal.append(late(Phase::Forward, 900)).unwrap();
    // The way back stays open.
    journal.append(late(Phase::Reverse, 9000)).unwrap();
    assert!(
        journal.append(seen(3, 7, Runner::Seen)).is_err(),
        "going back"
    );
}

#[test]
fn a_run_that_was_seen_is_spent_in_steps_and_each_transition_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path(), NOW).unwrap();
    let seen = crate::session::Session {
        pid: 7,
        start_ticks: 7,
        boot: "another".into(),
    };
    let mut begun = intent(1);
    if let Record::Intent {
        forward,
        session,
        runner,
        ..
    } = &mut begun
    {
        forward.push(transition("cs-db"));
        *session = seen.clone();
        *runner = Runner::Seen;
    }
    journal.append(begun).unwrap();
    journal.append(spent(1, Phase::Forward)).unwrap();
    assert!(journal.append(spent(1, Phase::Forward)).is_err(), "twice");
    let mut second = spent(1, Phase::Forward);
    if let Record::Spent { transitions, .. } = &mut second {
        *transitions = vec![transition("cs-db")];
    }
    journal.append(second).unwrap();
    let here = crate::session::Session::current().unwrap();
    let mut back = spent(1, Phase::Reverse);
    if let Record::Spent { session, .. } = &mut back {
        *session = Some(here.clone());
    }
    let intended = journal.state().get(&warrant(1)).unwrap().intended.clone();
    let intended = intended.unwrap();
    assert_eq!(
        (intended.spent_forward().len(), intended.session),
        (2, seen)
    );
    journal.append(back).unwrap();
    let intended = journal.state().get(&warrant(1)).unwrap().intended.clone();
    let intended = intended.unwrap();
    assert_eq!(
        (intended.session.clone(), intended.is_seen_forward()),
        (here, false)
    );
    assert!(
        journal.append(spent(1, Phase::Forward)).is_err(),
        "forward again"
    );
    drop(journal);
    let state = read(dir.path()).unwrap();
    let replayed = state.get(&warrant(1)).unwrap().intended.clone().unwrap();
    assert_eq!(replayed, intended);
}
