//! What hosts saw of their packages, held against their warrants.

use crate::fixture::*;
use crate::packages::{Reporter, line, open_findings, records};
use countersign_domain::ExecutionState;
use countersign_domain::package_report::{PackageReport, SeenTransition};
use countersign_domain::plan::RollbackSource;
use countersign_domain::receipt::{Ending, StartNotice};
use countersign_domain::statement::{SignedStatement, Subject, Verdict};
use countersign_domain::{ChangeId, Digest};
use countersign_gate::GateError;
use countersign_store::{Apply, Log, rebuild};
use pollster::block_on;

fn upgrade(world: &World, name: &str) -> SeenTransition {
    line(name, Some("1.0"), Some("1.1"), world.now)
}

fn review(world: &World, name: &str, finding: u64, entry: Digest) -> Result<(), GateError> {
    let signed = signed_review(world, name, finding, entry);
    block_on(
        world
            .gate
            .review_unwarranted(finding, signed, None, world.now),
    )
}

fn signed_review(world: &World, name: &str, finding: u64, entry: Digest) -> SignedStatement {
    let subject = Subject::Unwarranted {
        finding,
        entry,
        verdict: Verdict::Accept,
        note: None,
    };
    world.sign(name, subject)
}

/// Proposes, prepares, redeems and settles an upgrade of `openssl`; time passes meanwhile.
fn run(world: &mut World, ending: Ending) -> ChangeId {
    let change = world.prepared("openssl", &[&["web-1"]]).id;
    let handover = world.redeem(&change, "web-1").unwrap();
    world
        .settle(&change, "web-1", &handover.warrant, ending)
        .unwrap();
    change
}

#[test]
fn what_changed_outside_is_an_alarm_and_waits_for_a_human() {
    let mut world = World::new(&["web-1"]);
    let mut web = Reporter::begun(&world, "web-1");
    assert!(
        open_findings(&world).is_empty(),
        "the first is the baseline"
    );
    world.now = world.now.plus_seconds(600);
    web.installed.insert("curl", "1.1");
    let signed = web.report(&world, vec![upgrade(&world, "curl")]).unwrap();
    assert_eq!(open_findings(&world), ["web-1 curl 1.0>1.1 package log"]);
    let alarm = world.gate.alarms(1).unwrap().remove(0);
    assert_eq!(alarm.kind, "unwarranted-transition");
    assert!(
        alarm
            .text
            .contains("`curl` went from 1.0 to 1.1 without a warrant"),
        "{}",
        alarm.text
    );

    // The same report again, and later ones with nothing new, tell nothing new.
    let size = world.gate.store().checkpoint(Log::Authorizations).0;
    block_on(
        world
            .gate
            .packages_reported(&host("web-1"), signed, world.now),
    )
    .unwrap();
    assert_eq!(world.gate.store().checkpoint(Log::Authorizations).0, size);
    web.report(&world, Vec::new()).unwrap();
    assert_eq!(open_findings(&world).len(), 1);

    let record = records(&world).remove(0);
    assert!(record.due_at > world.now);
    assert!(matches!(
        review(&world, "chen", record.index, Digest::of(b"something else")),
        Err(GateError::Conflict(_))
    ));
    assert!(matches!(
        review(&world, "omar", record.index, record.entry),
        Err(GateError::Forbidden(_))
    ));
    assert_eq!(open_findings(&world).len(), 1);
    review(&world, "chen", record.index, record.entry).unwrap();
    assert!(open_findings(&world).is_empty());
    assert!(matches!(
        review(&world, "chen", record.index, record.entry),
        Err(GateError::Conflict(_))
    ));
    let all = world.gate.unwarranted(Some(&host("web-1")), true).unwrap();
    let (verdict, who, ..) = all[0].reviewed.clone().unwrap();
    assert_eq!((verdict, who), (Verdict::Accept, person("chen")));
    assert!(
        world
            .gate
            .unwarranted(Some(&host("web-2")), true)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_look_that_nobody_takes_is_overdue_and_climbs() {
    let mut world = World::new(&["web-1"]);
    let mut web = Reporter::begun(&world, "web-1");
    web.installed.insert("curl", "1.1");
    web.report(&world, vec![upgrade(&world, "curl")]).unwrap();
    assert_eq!(block_on(world.gate.sweep(world.now)).unwrap().reviews, 0);
    for rung in 1..=2 {
        world.now = records(&world)[0].due_at;
        assert_eq!(block_on(world.gate.sweep(world.now)).unwrap().reviews, 1);
        assert_eq!(records(&world)[0].rung, rung);
        assert_eq!(world.gate.alarms(1).unwrap()[0].kind, "review-overdue");
    }
    let record = records(&world).remove(0);
    review(&world, "maria", record.index, record.entry).unwrap();
    world.now = world.now.plus_seconds(30 * 86_400);
    assert_eq!(block_on(world.gate.sweep(world.now)).unwrap().reviews, 0);
}

#[test]
fn what_a_warrant_covers_is_no_finding_and_is_spent_once() {
    let mut world = World::new(&["web-1"]);
    let mut web = Reporter::begun(&world, "web-1");
    run(&mut world, Ending::RolledBack);
    let (there, back) = (
        upgrade(&world, "openssl"),
        line("openssl", Some("1.1"), Some("1.0"), world.now),
    );
    world.now = world.now.plus_seconds(60);
    web.report(&world, vec![there.clone(), back.clone()])
        .unwrap();
    assert!(
        open_findings(&world).is_empty(),
        "{:?}",
        open_findings(&world)
    );
    // By hand, the same again.
    web.report(&world, vec![there, back]).unwrap();
    assert_eq!(
        open_findings(&world),
        [
            "web-1 openssl 1.0>1.1 package log",
            "web-1 openssl 1.1>1.0 package log"
        ]
    );
}

#[test]
fn a_warrant_covers_neither_another_time_nor_another_version_nor_another_host() {
    let mut world = World::new(&["web-1", "web-2"]);
    let (mut web, mut other) = (
        Reporter::begun(&world, "web-1"),
        Reporter::begun(&world, "web-2"),
    );
    let early = line(
        "openssl",
        Some("1.0"),
        Some("1.1"),
        world.now.plus_seconds(30),
    );
    let backwards = line(
        "openssl",
        Some("1.1"),
        Some("1.0"),
        world.now.plus_seconds(35),
    );
    world.now = world.now.plus_seconds(60);
    run(&mut world, Ending::Succeeded);
    let at = world.now;
    world.now = at.plus_seconds(60);
    web.installed.insert("openssl", "1.2");
    web.report(
        &world,
        vec![
            early,
            backwards,
            line("openssl", Some("1.0"), Some("1.1"), at),
            line("openssl", Some("1.1"), Some("1.2"), at),
        ],
    )
    .unwrap();
    other.installed.insert("openssl", "1.1");
    other
        .report(&world, vec![line("openssl", Some("1.0"), Some("1.1"), at)])
        .unwrap();
    assert_eq!(
        open_findings(&world),
        [
            "web-1 openssl 1.0>1.1 package log",
            "web-1 openssl 1.1>1.0 package log",
            "web-1 openssl 1.1>1.2 package log",
            "web-2 openssl 1.0>1.1 package log",
        ]
    );
}

#[test]
fn what_was_installed_before_the_warrant_or_long_after_it_is_a_finding() {
    let mut world = World::new(&["web-1"]);
    let mut web = Reporter::begun(&world, "web-1");
    run(&mut world, Ending::Succeeded);
    world.now = world.now.plus_seconds(3600);
    web.installed.insert("openssl", "1.1");
    web.report(&world, vec![upgrade(&world, "openssl")])
        .unwrap();
    assert_eq!(open_findings(&world), ["web-1 openssl 1.0>1.1 package log"]);
}

#[test]
fn a_difference_that_the_log_does_not_tell_is_found_in_what_is_installed() {
    let mut world = World::new(&["web-1"]);
    let mut web = Reporter::begun(&world, "web-1");
    world.now = world.now.plus_seconds(60);
    web.installed.insert("curl", "1.1");
    web.installed.insert("rootkit", "6.6");
    web.installed.remove("postgresql-15");
    web.report(&world, Vec::new()).unwrap();
    assert_eq!(
        open_findings(&world),
        [
            "web-1 curl 1.0>1.1 not in the package log",
            "web-1 postgresql-15 1.0>- not in the package log",
            "web-1 rootkit ->6.6 not in the package log",
        ]
    );
    // Where a warrant covers it, a log that lost the line is no matter.
    run(&mut world, Ending::Succeeded);
    world.now = world.now.plus_seconds(60);
    web.installed.insert("openssl", "1.1");
    web.report(&world, Vec::new()).unwrap();
    assert_eq!(open_findings(&world).len(), 3);
}

#[test]
fn a_line_that_was_taken_out_between_two_is_missed() {
    let mut world = World::new(&["web-1"]);
    let mut web = Reporter::begun(&world, "web-1");
    world.now = world.now.plus_seconds(60);
    web.installed.insert("curl", "1.2");
    let last = line("curl", Some("1.1"), Some("1.2"), world.now);
    web.report(&world, vec![last]).unwrap();
    assert_eq!(
        open_findings(&world),
        [
            "web-1 curl 1.0>1.1 not in the package log",
            "web-1 curl 1.1>1.2 package log"
        ]
    );
}

#[test]
fn an_attempt_that_was_given_up_is_one_finding() {
    let mut world = World::new(&["web-1"]);
    let mut web = Reporter::begun(&world, "web-1");
    world.now = world.now.plus_seconds(60);
    // dpkg logs before it unpacks; here it then failed, twice, and left 1.0.
    web.report(&world, vec![upgrade(&world, "curl")]).unwrap();
    assert_eq!(open_findings(&world), ["web-1 curl 1.0>1.1 package log"]);
    web.report(
        &world,
        vec![upgrade(&world, "curl"), upgrade(&world, "curl")],
    )
    .unwrap();
    assert_eq!(open_findings(&world), ["web-1 curl 1.0>1.1 package log"; 3]);
}

#[test]
fn lines_are_told_in_several_reports_and_held_against_the_state_at_the_end() {
    let mut world = World::new(&["web-1"]);
    let mut web = Reporter::begun(&world, "web-1");
    world.now = world.now.plus_seconds(60);
    let part = PackageReport {
        installed: None,
        ..web.next(&world, vec![upgrade(&world, "curl")])
    };
    web.hand_in(&world, &part).unwrap();
    web.installed.insert("curl", "1.2");
    web.report(
        &world,
        vec![line("curl", Some("1.1"), Some("1.2"), world.now)],
    )
    .unwrap();
    assert_eq!(
        open_findings(&world),
        [
            "web-1 curl 1.0>1.1 package log",
            "web-1 curl 1.1>1.2 package log"
        ]
    );
}

#[test]
fn reports_form_a_chain_and_a_host_that_lost_its_place_says_so() {
    let mut world = World::new(&["web-1", "web-2"]);
    let mut web = Reporter::begun(&world, "web-1");
    let (first, first_at) = (web.previous, world.now);
    world.now = world.now.plus_seconds(60);
    web.report(&world, Vec::new()).unwrap();

    let next = web.next(&world, Vec::new());
    let refused = |world: &World, web: &mut Reporter, report: PackageReport| {
        web.hand_in(world, &report).unwrap_err()
    };
    let skipped = PackageReport {
        sequence: 4,
        ..next.clone()
    };
    assert!(matches!(
        refused(&world, &mut web, skipped),
        GateError::Conflict(_)
    ));
    let forked = PackageReport {
        gaps: vec!["another second report".into()],
        sequence: 2,
        previous: first,
        ..next.clone()
    };
    assert!(matches!(
        refused(&world, &mut web, forked),
        GateError::Conflict(_)
    ));
    let older = PackageReport {
        observed_at: first_at,
        ..next.clone()
    };
    assert!(matches!(
        refused(&world, &mut web, older),
        GateError::Conflict(_)
    ));
    let future = PackageReport {
        observed_at: world.now.plus_seconds(200),
        ..next.clone()
    };
    assert!(matches!(
        refused(&world, &mut web, future),
        GateError::Invalid { .. }
    ));
    let signed = sign_jws("web-2", countersign_domain::jws::PACKAGE_REPORT_TYP, &next);
    assert!(
        block_on(
            world
                .gate
                .packages_reported(&host("web-2"), signed, world.now)
        )
        .is_err()
    );
    assert!(world.gate.alarms(10).unwrap().is_empty());

    // It begins anew: what it had told before stays what it is held against.
    web.installed.insert("curl", "1.1");
    let anew = PackageReport {
        sequence: 1,
        previous: None,
        ..web.next(&world, Vec::new())
    };
    web.hand_in(&world, &anew).unwrap();
    assert_eq!(
        open_findings(&world),
        ["web-1 curl 1.0>1.1 not in the package log"]
    );
    let kinds: Vec<_> = world
        .gate
        .alarms(10)
        .unwrap()
        .into_iter()
        .map(|alarm| alarm.kind)
        .collect();
    assert_eq!(
        kinds,
        ["package-reports-begun-anew", "unwarranted-transition"]
    );
}

#[test]
fn what_could_not_be_read_is_an_alarm() {
    let mut world = World::new(&["web-1"]);
    let mut web = Reporter::begun(&world, "web-1");
    world.now = world.now.plus_seconds(60);
    let report = PackageReport {
        gaps: vec!["3 lines of the package log were not understood".into()],
        ..web.next(&world, Vec::new())
    };
    web.hand_in(&world, &report).unwrap();
    let alarm = world.gate.alarms(1).unwrap().remove(0);
    assert_eq!(alarm.kind, "package-log-gap");
    assert!(alarm.text.contains("3 lines"), "{}", alarm.text);
}

#[test]
fn a_change_that_was_running_at_the_first_report_explains_what_follows() {
    let mut world = World::new(&["web-1"]);
    let change = world.prepared("openssl", &[&["web-1"]]).id;
    let handover = world.redeem(&change, "web-1").unwrap();
    let mut web = Reporter::begun(&world, "web-1");
    world.now = world.now.plus_seconds(30);
    web.installed.insert("openssl", "1.1");
    // The report may come before the receipt.
    web.report(&world, vec![upgrade(&world, "openssl")])
        .unwrap();
    world
        .settle(&change, "web-1", &handover.warrant, Ending::Succeeded)
        .unwrap();
    world.now = world.now.plus_seconds(30);
    web.report(&world, Vec::new()).unwrap();
    assert!(
        open_findings(&world).is_empty(),
        "{:?}",
        open_findings(&world)
    );
    let execution = &world.gate.change(&change).unwrap().executions[0];
    assert_eq!(execution.state, ExecutionState::Succeeded);
}

/// A warrant is out, its host is silent until nobody knows any more, and then shows its packages.
fn silent(world: &mut World, web: &mut Reporter, started: bool) -> (ChangeId, String) {
    let mut proposal = world.proposal("openssl", &[&["web-1"]]);
    let second = countersign_domain::proposal::PackageRequest {
        name: "curl".parse().unwrap(),
        ..proposal.packages[0].clone()
    };
    proposal.packages.push(second);
    let plan = world.plan("web-1", &proposal, RollbackSource::Mirror);
    let change = world
        .submit_with(&proposal, None, vec![plan])
        .unwrap()
        .change;
    let handover = world.redeem(&change, "web-1").unwrap();
    if started {
        let notice = StartNotice {
            v: 1,
            deployment: world.deployment(),
            host: host("web-1"),
            change: change.clone(),
            warrant: Digest::of(handover.warrant.as_bytes()),
            started_at: world.now,
        };
        let notice = sign_jws("web-1", countersign_domain::jws::STARTED_TYP, &notice);
        block_on(
            world
                .gate
                .started(&host("web-1"), &change, notice, world.now),
        )
        .unwrap();
    }
    world.now = world.now.plus_seconds(20 * 60);
    web.report(world, Vec::new()).unwrap();
    assert_eq!(block_on(world.gate.sweep(world.now)).unwrap().executions, 0);
    world.now = world.now.plus_seconds(20 * 60);
    assert_eq!(block_on(world.gate.sweep(world.now)).unwrap().executions, 1);
    assert_eq!(execution(world, &change), ExecutionState::Unknown);
    (change, handover.warrant)
}

fn execution(world: &World, change: &ChangeId) -> ExecutionState {
    world.gate.change(change).unwrap().executions[0].state
}

#[test]
fn an_unknown_outcome_is_closed_by_what_the_host_shows_where_that_is_conclusive() {
    for (started, installed, ended) in [
        (true, ["1.1", "1.1"], ExecutionState::Succeeded),
        (true, ["1.1", "1.0"], ExecutionState::Failed),
        (true, ["1.0", "1.0"], ExecutionState::RolledBack),
        (false, ["1.0", "1.0"], ExecutionState::Revoked),
    ] {
        let mut world = World::new(&["web-1"]);
        let mut web = Reporter::begun(&world, "web-1");
        let (change, warrant) = silent(&mut world, &mut web, started);
        web.installed
            .extend([("openssl", installed[0]), ("curl", installed[1])]);
        // While a package tool is at work nothing is concluded.
        let part = PackageReport {
            installed: None,
            gaps: vec!["a part".into()],
            ..web.next(&world, Vec::new())
        };
        web.hand_in(&world, &part).unwrap();
        assert_eq!(execution(&world, &change), ExecutionState::Unknown);
        web.report(&world, Vec::new()).unwrap();
        assert_eq!(execution(&world, &change), ended, "{installed:?}");
        assert!(
            open_findings(&world).is_empty(),
            "{:?}",
            open_findings(&world)
        );
        // The receipt that comes after all agrees, or contradicts with an alarm.
        let ending = |ending| world.settle(&change, "web-1", &warrant, ending);
        let (same, other) = match ended {
            ExecutionState::Succeeded => (Ending::Succeeded, Ending::Failed),
            ExecutionState::Failed => (Ending::Failed, Ending::Succeeded),
            ExecutionState::RolledBack => (Ending::RolledBack, Ending::Succeeded),
            _ => (Ending::NeverStarted, Ending::Succeeded),
        };
        ending(same).unwrap();
        assert!(matches!(ending(other), Err(GateError::Conflict(_))));
        assert_eq!(world.gate.alarms(1).unwrap()[0].kind, "second-receipt");
        assert_eq!(execution(&world, &change), ended);
        let rebuilt = rebuild(&database(&world), Apply::No, &mut |tx, index, bytes| {
            countersign_gate::fold::apply(tx, index, bytes)
        });
        assert_eq!(rebuilt.unwrap().differences, []);
    }
}

#[test]
fn what_is_in_place_without_word_of_its_checks_stays_unknown() {
    let mut world = World::new(&["web-1"]);
    let mut web = Reporter::begun(&world, "web-1");
    let mut proposal = world.proposal("openssl", &[&["web-1"]]);
    proposal.checks = vec!["web-healthy".parse().unwrap()];
    let mut plan = world.plan_of("web-1", &proposal, RollbackSource::Mirror);
    plan.checks.clone_from(&proposal.checks);
    let plan = sign_jws("web-1", countersign_domain::jws::PLAN_TYP, &plan);
    let change = world
        .submit_with(&proposal, None, vec![plan])
        .unwrap()
        .change;
    world.redeem(&change, "web-1").unwrap();
    world.now = world.now.plus_seconds(3600);
    block_on(world.gate.sweep(world.now)).unwrap();
    web.installed.insert("openssl", "1.1");
    web.report(&world, Vec::new()).unwrap();
    assert_eq!(execution(&world, &change), ExecutionState::Unknown);
}

#[test]
fn steps_that_were_seen_of_a_warrant_that_was_never_started_are_an_alarm() {
    let mut world = World::new(&["web-1"]);
    let mut web = Reporter::begun(&world, "web-1");
    let change = world.prepared("openssl", &[&["web-1"]]).id;
    let handover = world.redeem(&change, "web-1").unwrap();
    world.now = world.now.plus_seconds(30);
    web.installed.insert("openssl", "1.1");
    web.report(&world, vec![upgrade(&world, "openssl")])
        .unwrap();
    assert!(
        open_findings(&world).is_empty(),
        "the host may still say that it started"
    );
    world
        .settle(&change, "web-1", &handover.warrant, Ending::NeverStarted)
        .unwrap();
    let alarm = world.gate.alarms(1).unwrap().remove(0);
    assert_eq!(alarm.kind, "unwarranted-transition");
    assert!(alarm.text.contains("never started it"), "{}", alarm.text);
}
