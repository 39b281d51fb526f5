//! Twenty hosts, each in a thread of its own, over the real API: waves, stop on failure, a halt in the
//! middle. Each verifies its warrant with the real verifier; what it would install, it only counts.

use crate::house::{House, Stopped, TestHost};
use countersign_domain::receipt::Ending;
use countersign_domain::statement::HaltScope;
use countersign_domain::{ChangeId, ChangeState, Environment, ExecutionState};
use countersign_verify::Refusal;
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

/// How many hosts there are in each wave.
const WAVES: [usize; 3] = [4, 7, 9];
const HOSTS: usize = 20;
/// How long a host waits for its turn before the test fails.
const PATIENCE: Duration = Duration::from_secs(90);

/// What happened at hosts, in order: each is noted before the gate can act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Started,
    Settling,
}

struct Fleet {
    house: House,
    change: ChangeId,
}

fn authorized() -> Fleet {
    let names: Vec<String> = (0..HOSTS).map(|number| format!("web-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let house = House::start(&names, Environment::Staging, 3);
    let mut rest = names.as_slice();
    let waves: Vec<Vec<&str>> = WAVES
        .iter()
        .map(|count| {
            let (wave, after) = rest.split_at(*count);
            rest = after;
            wave.to_vec()
        })
        .collect();
    assert!(rest.is_empty());
    let change = house.prepared(&house.proposal("openssl", &waves));
    assert_eq!(
        change.state,
        ChangeState::Authorized,
        "{:?}",
        change.reasons
    );
    Fleet {
        house,
        change: change.id,
    }
}

fn wave_of(number: usize) -> usize {
    let ends = WAVES.iter().scan(0, |end, count| {
        *end += count;
        Some(*end)
    });
    ends.take_while(|end| *end <= number).count()
}

/// Asks until it is its turn, or until there is no more to come.
fn turn(host: &mut TestHost, change: &ChangeId) -> Result<crate::house::Held, Stopped> {
    let since = Instant::now();
    loop {
        match host.redeem(change) {
            Err(Stopped::Gate(word)) if word == "not-your-turn" => {
                assert!(since.elapsed() < PATIENCE, "its turn never came");
                std::thread::sleep(Duration::from_millis(25));
            }
            other => return other,
        }
    }
}

fn states(fleet: &Fleet) -> Vec<ExecutionState> {
    let view = fleet.house.change(&fleet.change);
    let mut executions: Vec<_> = view.executions.into_iter().collect();
    executions.sort_by_key(|execution| execution.wave);
    executions
        .into_iter()
        .map(|execution| execution.state)
        .collect()
}

/// Every warrant in the log has its settlement there, and both logs hold for an auditor.
fn all_is_settled(fleet: &Fleet, warrants: usize) {
    for host in &fleet.house.hosts {
        let work = fleet.house.gate().work(host.key.host()).unwrap();
        assert!(work.unsettled.is_empty(), "{}: {work:?}", host.name());
        assert!(work.redeem.is_empty(), "{}: {work:?}", host.name());
        assert!(host.acted.len() <= 1, "{} acted twice", host.name());
    }
    let view = fleet.house.change(&fleet.change);
    let issued = view
        .executions
        .iter()
        .filter(|execution| execution.warrant.is_some());
    assert_eq!(issued.count(), warrants);
    assert_eq!(fleet.house.findings(), Vec::<String>::new());
}

#[test]
fn twenty_hosts_go_wave_by_wave_and_each_acts_once() {
    let mut fleet = authorized();
    let seen = Mutex::new(Vec::new());
    let (change, together) = (fleet.change.clone(), Barrier::new(HOSTS));
    std::thread::scope(|scope| {
        for (number, host) in fleet.house.hosts.iter_mut().enumerate() {
            let (seen, change, together) = (&seen, &change, &together);
            scope.spawn(move || {
                together.wait();
                let held = turn(host, change).unwrap();
                seen.lock().unwrap().push((wave_of(number), Seen::Started));
                std::thread::sleep(Duration::from_millis(5 * (number as u64 % 4)));
                seen.lock().unwrap().push((wave_of(number), Seen::Settling));
                host.settle(&held, Ending::Succeeded).unwrap();
            });
        }
    });
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen.len(), 2 * HOSTS);
    for later in 1..WAVES.len() {
        let started = seen
            .iter()
            .position(|one| *one == (later, Seen::Started))
            .unwrap();
        let settling = seen
            .iter()
            .rposition(|one| *one == (later - 1, Seen::Settling))
            .unwrap();
        assert!(
            settling < started,
            "wave {later} before wave {} settled: {seen:?}",
            later - 1
        );
    }
    assert_eq!(states(&fleet), [ExecutionState::Succeeded; HOSTS]);
    assert_eq!(
        fleet.house.change(&fleet.change).state,
        ChangeState::Settled
    );
    assert!(fleet.house.hosts.iter().all(|host| host.acted.len() == 1));
    all_is_settled(&fleet, HOSTS);
}

#[test]
fn a_failure_among_twenty_hosts_stops_every_later_wave() {
    let mut fleet = authorized();
    let change = fleet.change.clone();
    // One host of the second wave breaks; all of that wave hold their warrants by then.
    let second = Barrier::new(WAVES[1]);
    std::thread::scope(|scope| {
        for (number, host) in fleet.house.hosts.iter_mut().enumerate() {
            let (change, second) = (&change, &second);
            scope.spawn(move || match (turn(host, change), wave_of(number)) {
                (Ok(held), 0) => host.settle(&held, Ending::Succeeded).unwrap(),
                (Ok(held), 1) => {
                    second.wait();
                    let broken = number == WAVES[0];
                    let ending = if broken {
                        Ending::RolledBack
                    } else {
                        Ending::Succeeded
                    };
                    host.settle(&held, ending).unwrap();
                }
                (Err(Stopped::Gate(word)), 2) => assert_eq!(word, "settled"),
                (Err(stopped), wave) => panic!("wave {wave}: {stopped:?}"),
                (Ok(_), wave) => panic!("wave {wave} was started"),
            });
        }
    });
    let states = states(&fleet);
    let running = WAVES[0] + WAVES[1];
    let ended = |state| states.iter().filter(|one| **one == state).count();
    assert_eq!(ended(ExecutionState::RolledBack), 1, "{states:?}");
    assert_eq!(ended(ExecutionState::Succeeded), running - 1, "{states:?}");
    assert_eq!(states[running..], [ExecutionState::Revoked; WAVES[2]]);
    assert_eq!(
        fleet.house.change(&fleet.change).state,
        ChangeState::Settled
    );
    all_is_settled(&fleet, running);
}

#[test]
fn a_halt_among_twenty_hosts_voids_what_is_out_and_hands_out_no_more() {
    let mut fleet = authorized();
    let change = fleet.change.clone();
    // The first wave runs through; three of the second have started when a person stops everything,
    // and four have warrants that they have not looked at yet.
    let (first, rest) = (WAVES[0], WAVES[1] - 3);
    for host in &mut fleet.house.hosts[..first] {
        let held = turn(host, &change).unwrap();
        host.settle(&held, Ending::Succeeded).unwrap();
    }
    let started: Vec<_> = fleet.house.hosts[first..first + 3]
        .iter_mut()
        .map(|host| turn(host, &change).unwrap())
        .collect();
    let unread: Vec<_> = fleet.house.hosts[first + 3..first + 3 + rest]
        .iter()
        .map(|host| host.ask(&change).unwrap())
        .collect();
    let before = fleet.house.sizes();
    fleet.house.halt("omar", HaltScope::Everything);
    let after = fleet.house.sizes();
    assert!(after.1 > before.1);

    // Everybody asks again at once: no new warrant, and those that are out are void.
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for (number, host) in fleet.house.hosts.iter_mut().enumerate() {
            let (outcomes, change) = (&outcomes, &change);
            scope.spawn(move || {
                let stopped = turn(host, change).err();
                outcomes.lock().unwrap().push((number, stopped));
            });
        }
    });
    for (number, stopped) in outcomes.into_inner().unwrap() {
        match stopped {
            None => panic!("host {number} was let go on"),
            Some(Stopped::Host(refusal)) => {
                assert!(matches!(refusal, Refusal::Halted), "{number}: {refusal}");
                assert!((first..first + WAVES[1]).contains(&number), "{number}");
            }
            Some(Stopped::Gate(word)) => {
                assert!(
                    matches!(word.as_str(), "settled" | "halted"),
                    "{number}: {word}"
                );
                assert!(!(first..first + WAVES[1]).contains(&number), "{number}");
            }
        }
    }
    let kinds = fleet.house.findings();
    assert_eq!(kinds, Vec::<String>::new());
    // Those that had started settle what they did; the others say that they never started.
    for (held, host) in started.iter().zip(&fleet.house.hosts[first..]) {
        host.settle(held, Ending::Succeeded).unwrap();
    }
    for ((handover, _), host) in unread.iter().zip(&fleet.house.hosts[first + 3..]) {
        host.settle_unstarted(&change, &handover.warrant).unwrap();
    }
    let states = states(&fleet);
    assert_eq!(states[..first], [ExecutionState::Succeeded; WAVES[0]]);
    let ended = |state| states.iter().filter(|one| **one == state).count();
    assert_eq!(
        ended(ExecutionState::Succeeded),
        first + started.len(),
        "{states:?}"
    );
    assert_eq!(
        states[first + WAVES[1]..],
        [ExecutionState::Revoked; WAVES[2]],
        "{states:?}"
    );
    let view = fleet.house.change(&fleet.change);
    assert_eq!(view.state, ChangeState::Settled, "{view:?}");
    all_is_settled(&fleet, first + WAVES[1]);
}
