//! Whole rounds against a server: proposing once, following up, failing cleanly, stopping.

use crate::client::identity;
use crate::fake::Fake;
use crate::samples::{finding, fresh, noon};
use countersign_agent::run::{Proposed, RunError, Skip};
use countersign_agent::{Client, Event, Grouping, Mode, Options, Report, run};
use countersign_domain::finding::Finding;
use countersign_domain::{ChangeState, ExecutionState, Version};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A run with these settings, and what it told of.
#[derive(Clone)]
struct Given {
    mode: Mode,
    max_proposals: usize,
    again: bool,
    follow_for: Duration,
}

const ONCE: Given = Given {
    mode: Mode::Once,
    max_proposals: 100,
    again: false,
    follow_for: Duration::from_secs(20),
};

fn go(fake: &Fake, given: &Given, on_event: &mut dyn FnMut(Event<'_>, &AtomicBool)) -> Report {
    go_at(&fake.server.url(), given, on_event)
}

fn go_at(url: &str, given: &Given, on_event: &mut dyn FnMut(Event<'_>, &AtomicBool)) -> Report {
    static SEED: AtomicU64 = AtomicU64::new(0);
    let client = Client::new(url, identity()).unwrap();
    let stop = AtomicBool::new(false);
    let mut rng = StdRng::seed_from_u64(SEED.fetch_add(1, Ordering::SeqCst));
    let mut options = Options {
        mode: given.mode,
        max_proposals: given.max_proposals,
        grouping: Grouping::HostByHost,
        again: given.again,
        withdraw_superseded: true,
        poll_every: Duration::from_millis(10),
        follow_for: given.follow_for,
        filter: &|finding: &Finding| finding.package.as_str() != "left-out",
        on_event: &mut |event| on_event(event, &stop),
        now: &noon,
        rng: &mut rng,
        stop: &stop,
    };
    run(&client, &mut options)
}

fn quietly(fake: &Fake, given: &Given) -> Report {
    go(fake, given, &mut |_, _| {})
}

fn packages(proposed: &[Proposed]) -> Vec<&str> {
    proposed
        .iter()
        .map(|one| one.subject.package.as_str())
        .collect()
}

fn two_findings() -> Vec<Finding> {
    let mut exploited = finding("web-1", "openssl");
    exploited.vulnerability.kev = fresh(true, "cisa-kev");
    vec![
        finding("web-1", "curl"),
        exploited,
        finding("web-1", "left-out"),
    ]
}

#[test]
fn the_most_urgent_is_proposed_first_and_each_is_followed_until_decided() {
    let fake = Fake::start(two_findings());
    let mut told = Vec::new();
    let report = go(&fake, &ONCE, &mut |event, _| {
        told.push(match event {
            Event::Ranked(all) => format!("ranked {}", all.len()),
            Event::Proposed(one) => format!("proposed {}", one.subject.package),
            Event::Moved { from, view } => format!("{from:?} {:?}", view.state),
            Event::Skipped(_) | Event::Withdrawn(_) | Event::Failed(_) => format!("{event:?}"),
        });
    });
    let moved = "Some(Preparing) AwaitingApproval";
    assert_eq!(
        told,
        [
            "ranked 3",
            "proposed openssl",
            "proposed curl",
            moved,
            moved
        ]
    );
    assert_eq!(packages(&report.proposed), ["openssl", "curl"]);
    assert!(report.failures.is_empty() && !report.stopped && report.rounds == 1);
    for one in &report.proposed {
        assert_eq!(one.state, ChangeState::AwaitingApproval);
        assert_eq!(one.view.as_ref().unwrap().id, one.change);
    }
    assert!(report.proposed[0].explanation[1].starts_with("+4000 "));
}

#[test]
fn a_rerun_proposes_nothing_twice() {
    let fake = Fake::start(two_findings());
    let first = quietly(&fake, &ONCE);
    let again = quietly(&fake, &ONCE);
    assert!(again.proposed.is_empty());
    let open = |skip: &Skip| matches!(skip, Skip::Open(id) if first.proposed.iter().any(|one| one.change == *id));
    assert!(again.skipped.len() == 2 && again.skipped.iter().all(|one| open(&one.why)));

    // Even when it ended meanwhile: once a day, by the idempotency key.
    for one in fake.state().changes.values_mut() {
        one.state = ChangeState::Expired;
    }
    let third = quietly(&fake, &ONCE);
    assert!(third.proposed.is_empty() && third.failures.is_empty());
    let today = |skip: &Skip| matches!(skip, Skip::ProposedToday(said) if said.contains("another proposal"));
    assert!(third.skipped.len() == 2 && third.skipped.iter().all(|one| today(&one.why)));
    assert_eq!(fake.state().changes.len(), 2);
}

#[test]
fn what_a_human_refused_or_what_failed_is_left_to_humans() {
    let fake = Fake::start(two_findings());
    quietly(&fake, &ONCE);
    for (one, state) in fake
        .state()
        .changes
        .values_mut()
        .zip([ChangeState::Refused, ChangeState::ReviewDue])
    {
        one.state = state;
        one.execution = ExecutionState::RolledBack;
    }
    let report = quietly(&fake, &ONCE);
    let why: Vec<String> = report
        .skipped
        .iter()
        .map(|one| one.why.to_string())
        .collect();
    assert_eq!(why.len(), 2);
    assert!(
        why.iter()
            .any(|why| why.starts_with("a human refused it as change `chg-")),
        "{why:?}"
    );
    assert!(
        why.iter()
            .any(|why| why.starts_with("it failed on this host")),
        "{why:?}"
    );
    let again = Given {
        again: true,
        ..ONCE
    };
    let report = quietly(&fake, &again);
    assert!(
        report
            .skipped
            .iter()
            .all(|one| matches!(one.why, Skip::ProposedToday(_)))
    );
}

#[test]
fn the_limit_of_a_round_is_kept() {
    let fake = Fake::start(two_findings());
    let given = Given {
        max_proposals: 1,
        ..ONCE
    };
    let report = quietly(&fake, &given);
    assert_eq!(
        (packages(&report.proposed), report.left_for_later),
        (vec!["openssl"], 1)
    );
}

#[test]
fn a_lost_answer_does_not_make_a_second_change() {
    let fake = Fake::start(vec![finding("web-1", "openssl")]);
    fake.state().lost_answers = 1;
    let report = quietly(&fake, &ONCE);
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    let state = fake.state();
    assert_eq!((state.posts.len(), state.changes.len()), (2, 1));
    assert_eq!(state.posts[0], state.posts[1]);
    assert_eq!(report.proposed[0].change, state.posts[0].1);
}

#[test]
fn refusals_are_told_and_not_hammered() {
    let halted =
        json!({"type": "x/halted", "detail": "halted by a human", "hint": "ask for a resume"});
    for (status, problem, posts) in [
        (409, halted, 1),
        (403, json!({"detail": "not an agent"}), 1),
        (
            422,
            json!({"detail": "`waves`: not enrolled", "field": "waves"}),
            2,
        ),
    ] {
        let fake = Fake::start(two_findings());
        fake.state().refusal = Some((status, problem));
        let mut failed = 0;
        let report = go(&fake, &ONCE, &mut |event, _| {
            failed += u32::from(matches!(event, Event::Failed(RunError::Client(_))));
        });
        assert_eq!(
            (fake.state().posts.len(), failed),
            (posts, posts as u32),
            "{status}"
        );
        assert_eq!(report.failures.len(), posts);
        assert!(report.proposed.is_empty() && report.skipped.is_empty());
    }
}

#[test]
fn hosts_that_never_answer_do_not_hold_it_up() {
    let fake = Fake::start(vec![finding("web-1", "openssl")]);
    fake.state().decided_after = None;
    let given = Given {
        follow_for: Duration::from_millis(50),
        ..ONCE
    };
    let began = Instant::now();
    let report = quietly(&fake, &given);
    assert_eq!(report.proposed[0].state, ChangeState::Preparing);
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn an_unreachable_server_is_a_failure_in_the_report() {
    let fake = Fake::start(Vec::new());
    let url = fake.server.url();
    drop(fake);
    let report = go_at(&url, &ONCE, &mut |_, _| {});
    assert_eq!(report.failures.len(), 1);
    let failure = &report.failures[0];
    assert!(
        failure.starts_with("GET /findings: no answer: ")
            && failure.ends_with("check that the server runs and can be reached"),
        "{failure}"
    );
}

#[test]
fn a_newer_version_takes_the_place_of_a_waiting_one() {
    let fake = Fake::start(vec![finding("web-1", "openssl")]);
    let first = quietly(&fake, &ONCE);
    fake.state().findings[0].to = Version::new("1.0-3").unwrap();
    let report = quietly(&fake, &ONCE);
    assert_eq!(report.withdrawn, [first.proposed[0].change.clone()]);
    assert_eq!(report.proposed.len(), 1);
    assert_eq!(report.proposed[0].subject.to.as_str(), "1.0-3");
    let state = fake.state();
    assert_eq!(
        state.changes[&first.proposed[0].change].state,
        ChangeState::Withdrawn
    );
}

#[test]
fn continuously_it_follows_its_own_changes_proposes_what_is_new_and_stops() {
    let fake = Fake::start(vec![finding("web-1", "openssl")]);
    let given = Given {
        mode: Mode::Continuous {
            interval: Duration::from_millis(10),
        },
        ..ONCE
    };
    let began = Instant::now();
    let report = go(&fake, &given, &mut |event, stop| {
        let Event::Moved { view, .. } = event else {
            return;
        };
        let mut state = fake.state();
        match (view.state, state.changes.len()) {
            (ChangeState::AwaitingApproval, 1) => {
                // A human approves it, and another upgrade is found.
                state.changes.get_mut(&view.id).unwrap().state = ChangeState::Authorized;
                state.findings.push(finding("web-2", "curl"));
            }
            (ChangeState::AwaitingApproval, 2) => stop.store(true, Ordering::SeqCst),
            (ChangeState::Authorized, _) => {}
            other => panic!("{other:?}"),
        }
    });
    assert!(report.stopped && report.rounds >= 2 && began.elapsed() < Duration::from_secs(20));
    assert_eq!(packages(&report.proposed), ["openssl", "curl"]);
    assert_eq!(report.proposed[0].state, ChangeState::Authorized);
    assert_eq!(report.proposed[1].state, ChangeState::AwaitingApproval);
}
