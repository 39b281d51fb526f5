//! Reports of packages, transitions without a warrant, and outcomes told by what hosts show.

use crate::house::House;
use crate::people::{Founding, host, state};
use crate::tale::Tale;
use countersign_domain::entry::{Event, ExecutionClosing};
use countersign_domain::package_report::{SeenIn, SeenTransition};
use countersign_domain::receipt::Ending;
use countersign_domain::statement::{Subject, Verdict};
use countersign_domain::warrant::Ground;
use countersign_domain::{Digest, Outcome};
use countersign_evidence::{FindingKind, render};

fn reported(house: &mut House, report: &str, sequence: u64) -> Digest {
    let report = house.keep(report);
    let observed_at = house.now;
    house.event(Event::PackagesReported {
        host: host("web-1"),
        report,
        sequence,
        observed_at,
        installed: Some(Digest::of(b"list")),
        listed: true,
        explained: Vec::new(),
    });
    report
}

/// The entry of a transition without a warrant, and the digest of that entry.
fn unwarranted(house: &mut House, report: Digest) -> (u64, Digest) {
    let transition = SeenTransition {
        name: "openssl".parse().unwrap(),
        architecture: "amd64".parse().unwrap(),
        old: Some("1.0".parse().unwrap()),
        new: Some("1.1".parse().unwrap()),
        at: None,
        seen_in: SeenIn::State,
    };
    let due_at = house.now.plus_seconds(3600);
    let index = house.event(Event::Unwarranted {
        host: host("web-1"),
        report,
        transition,
        due_at,
    });
    let entry = &house.authorizations[usize::try_from(index).unwrap()];
    (index, Digest::of(entry))
}

fn looked(house: &mut House, finding: u64, entry: Digest) {
    let subject = Subject::Unwarranted {
        finding,
        entry,
        verdict: Verdict::Accept,
        note: None,
    };
    let statement = state("chen", house.now, subject);
    house.event(Event::UnwarrantedReviewed { finding, statement });
}

/// A warrant that is out, and of which nobody knows how it ended.
fn unknown(house: &mut House) -> Tale {
    let mut tale = Tale::open(house);
    tale.decide(house, Outcome::Allow);
    tale.authorize(house, Ground::Standing);
    tale.redeem(house);
    house.event(Event::ExecutionClosed {
        change: tale.change.clone(),
        host: host("web-1"),
        closing: ExecutionClosing::Unknown,
        why: "silent".into(),
    });
    tale
}

fn reconciled(house: &mut House, tale: &Tale, report: Digest) {
    house.event(Event::ExecutionReconciled {
        change: tale.change.clone(),
        host: host("web-1"),
        report,
        ending: Ending::RolledBack,
        why: "every package is as before".into(),
    });
}

#[test]
fn reports_findings_looks_and_reconciled_outcomes_hold() {
    let mut house = House::ready(Founding::default());
    reported(&mut house, "first", 1);
    let report = reported(&mut house, "second", 2);
    let (first, digest) = unwarranted(&mut house, report);
    let (second, _) = unwarranted(&mut house, report);
    let due_at = house.now.plus_seconds(3600);
    house.event(Event::UnwarrantedOverdue {
        finding: second,
        rung: 1,
        due_at,
    });
    looked(&mut house, first, digest);
    let tale = unknown(&mut house);
    let anew = reported(&mut house, "begun anew", 1);
    reconciled(&mut house, &tale, anew);
    let report = house.verify();
    let words: Vec<_> = report
        .findings
        .list
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(report.is_ok(), "{}", words.join("\n"));
    assert_eq!(report.authorizations.kinds["unwarranted"], 2);
    let why = house.why(&tale.change);
    let (ending, told) = why.executions[0].reconciled.clone().unwrap();
    assert_eq!(
        (ending, told.as_str()),
        (Ending::RolledBack, "every package is as before")
    );
}

#[test]
fn a_finding_that_rests_on_no_report_and_a_report_out_of_turn_are_found() {
    let mut house = House::ready(Founding::default());
    let unreported = house.keep("no report");
    unwarranted(&mut house, unreported);
    crate::found(&house.verify(), &[FindingKind::Link]);

    let mut house = House::ready(Founding::default());
    reported(&mut house, "first", 1);
    reported(&mut house, "third", 3);
    crate::found(&house.verify(), &[FindingKind::Order]);
}

#[test]
fn a_look_at_something_else_or_in_the_name_of_another_is_found() {
    let mut house = House::ready(Founding::default());
    let report = reported(&mut house, "first", 1);
    let (finding, _) = unwarranted(&mut house, report);
    looked(&mut house, finding, Digest::of(b"another entry"));
    crate::found(&house.verify(), &[FindingKind::Link]);

    let mut house = House::ready(Founding::default());
    reported(&mut house, "first", 1);
    looked(&mut house, 1, Digest::of(b"no finding"));
    crate::found(&house.verify(), &[FindingKind::Order]);
}

#[test]
fn an_outcome_that_was_known_or_rests_on_no_report_is_not_reconciled() {
    let mut house = House::ready(Founding::default());
    let tale = unknown(&mut house);
    let unreported = house.keep("no report");
    reconciled(&mut house, &tale, unreported);
    crate::found(&house.verify(), &[FindingKind::Link]);

    let mut house = House::ready(Founding::default());
    let report = reported(&mut house, "first", 1);
    let mut tale = Tale::open(&mut house);
    tale.decide(&mut house, Outcome::Allow);
    tale.authorize(&mut house, Ground::Standing);
    tale.redeem(&mut house);
    reconciled(&mut house, &tale, report);
    crate::found(
        &house.verify(),
        &[FindingKind::Execution, FindingKind::Order],
    );
}

#[test]
fn a_silence_that_never_was_or_is_told_twice_is_found() {
    let silent = |house: &mut House, name: &str, since, reported| {
        let host = host(name);
        house.event(Event::HostSilent {
            host,
            since,
            reported,
        });
    };
    let mut house = House::ready(Founding::default());
    let enrolled = crate::people::start();
    house.now = enrolled.plus_seconds(86_400);
    silent(&mut house, "web-1", enrolled, false);
    let reported_at = house.now;
    reported(&mut house, "first", 1);
    house.now = reported_at.plus_seconds(86_400);
    silent(&mut house, "web-1", reported_at, true);
    let sound = house.verify();
    assert!(sound.is_ok(), "{:?}", sound.findings);
    assert_eq!(sound.authorizations.kinds["host-silent"], 2);

    let lies: [(&str, _, _); 4] = [
        ("web-1", reported_at, true),
        ("web-1", reported_at.plus_seconds(1), true),
        ("web-1", reported_at, false),
        ("web-99", reported_at, true),
    ];
    for (name, since, told) in lies {
        let mut house = house.clone();
        silent(&mut house, name, since, told);
        crate::found(&house.verify(), &[FindingKind::Order]);
    }
}

fn stated(house: &mut House, tale: &Tale, signer: &str, change_digest: Digest, ending: Ending) {
    let subject = Subject::Ending {
        change: tale.change.clone(),
        change_digest,
        host: host("web-1"),
        ending,
        note: None,
    };
    let statement = state(signer, house.now, subject);
    house.event(Event::EndingStated {
        change: tale.change.clone(),
        host: host("web-1"),
        statement,
    });
}

#[test]
fn an_ending_that_a_human_states_holds_only_where_nobody_knew_and_as_they_signed_it() {
    let begun = || {
        let mut house = House::ready(Founding::default());
        let tale = unknown(&mut house);
        let digest = tale.change_digest;
        (house, tale, digest)
    };
    let (mut house, tale, digest) = begun();
    stated(&mut house, &tale, "chen", digest, Ending::RolledBack);
    let report = house.verify();
    assert!(report.is_ok(), "{:?}", report.findings);
    let why = house.why(&tale.change);
    let told = why.executions[0].stated.clone().unwrap();
    assert_eq!(told.ending, Ending::RolledBack);
    assert_eq!(told.by.person.handle, crate::people::person("chen"));
    let page = render(&why, 100);
    assert!(page.contains("by the word of"), "{page}");
    // It is known now, and none of its outcomes is waited for: nobody states it again.
    stated(&mut house, &tale, "ana", digest, Ending::Succeeded);
    crate::found(&house.verify(), &[FindingKind::Link]);

    let lies = [
        (
            "chen",
            Digest::of(b"another"),
            Ending::Succeeded,
            FindingKind::Link,
        ),
        ("chen", digest, Ending::Unknown, FindingKind::Link),
        (
            "maria",
            digest,
            Ending::Succeeded,
            FindingKind::SelfApproval,
        ),
    ];
    for (signer, digest, ending, finding) in lies {
        let (mut house, tale, _) = begun();
        stated(&mut house, &tale, signer, digest, ending);
        crate::found(&house.verify(), &[finding]);
    }
}
