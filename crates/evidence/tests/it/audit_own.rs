//! Countersign's own log as a source of the audit: what it proves counts, and what it does not prove
//! does not.

use crate::folder::export;
use crate::house::House;
use crate::people::Founding;
use crate::tale::Tale;
use countersign_domain::receipt::Ending;
use countersign_domain::warrant::Ground;
use countersign_domain::{Digest, Outcome};
use countersign_evidence::audit::{
    By, Context, Exclusion, Format, People, Question, Reason, Report, Verdict, audit, find,
};
use std::path::Path;

const PEOPLE: &str = "name,handle\nMaria Sol,maria\nChen Wu,chen\nAna Ruiz,ana\n";

fn audited(folder: &Path, house: &House, pinned: Option<Digest>, people: &str) -> Report {
    let question = Question {
        since: "2026-11-21T00:00:00Z".parse().unwrap(),
        until: house.now.plus_seconds(86_400),
        environment: None,
        skew_seconds: 0,
        zone: "UTC".into(),
    };
    let mut context = Context::new(Some("UTC"), "web-1").unwrap();
    if let Some(genesis) = pinned {
        context = context.pinned(genesis);
    }
    let people = People::read(people.as_bytes()).unwrap();
    let found = find(&[folder.to_owned()]).unwrap();
    audit(found, &[], &context, &people, &question, 2, |_| {}).unwrap()
}

fn exported(house: &House) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bundle");
    std::fs::create_dir(&bundle).unwrap();
    export(house, &bundle);
    folder
}

fn verdicts(report: &Report) -> Vec<(By, Option<Verdict>, Vec<Reason>)> {
    let of = report.actions.iter();
    of.map(|one| (one.by, one.verdict, one.reasons.iter().copied().collect()))
        .collect()
}

/// Above the verdict the report says this.
#[track_caller]
fn tells(report: &Report, words: &str) {
    let says = |gap: &String| gap.contains(words);
    assert!(report.gaps.iter().any(says), "{:?}", report.gaps);
}

const CLEAN: (By, Option<Verdict>, Vec<Reason>) =
    (By::Automation, Some(Verdict::Clean), Vec::new());

#[test]
fn what_ran_under_warrants_is_clean_by_the_people_who_signed() {
    let mut house = House::ready(Founding::default());
    Tale::standing(&mut house);
    Tale::approved(&mut house);
    house.cross_commit();
    let folder = exported(&house);
    let report = audited(folder.path(), &house, Some(house.genesis), PEOPLE);
    assert_eq!(verdicts(&report), [CLEAN, CLEAN], "{:?}", report.gaps);
    assert_eq!(report.gaps, Vec::<String>::new());
    let by: Vec<_> = report
        .actions
        .iter()
        .map(|one| one.approver.clone())
        .collect();
    assert!(by.iter().flatten().all(|name| name.contains(' ')), "{by:?}");
    for found in &report.actions {
        let change = found.change.as_ref().unwrap();
        assert_eq!(change.policy_version, Some(house.policy.0.to_string()));
        assert_eq!(change.rollback_ref.as_deref(), Some("cached"));
        assert!(change.test_ref.is_some(), "{change:?}");
    }
    let items: Vec<_> = report.actions.iter().map(|one| &one.action.items).collect();
    assert!(
        items.iter().all(|items| items[0].contains("3.0.11-2")),
        "{items:?}"
    );
}

#[test]
fn a_pinned_genesis_says_who_is_a_named_human_and_an_unpinned_one_is_told() {
    let mut house = House::ready(Founding::default());
    Tale::standing(&mut house);
    house.cross_commit();
    let folder = exported(&house);
    let nobody = "name\n";
    let pinned = audited(folder.path(), &house, Some(house.genesis), nobody);
    assert_eq!(verdicts(&pinned), [CLEAN]);
    // A handle is whose the log itself says, unless somebody pinned it: it is no name in the registry.
    let unpinned = audited(folder.path(), &house, None, PEOPLE);
    let unknown = vec![Reason::ApproverUnknown];
    assert_eq!(
        verdicts(&unpinned),
        [(By::Automation, Some(Verdict::Partial), unknown)]
    );
    tells(&unpinned, "--genesis");
}

#[test]
fn of_a_log_that_does_not_hold_no_approval_counts() {
    let mut house = House::ready(Founding::default());
    Tale::standing(&mut house);
    house.cross_commit();
    let folder = exported(&house);
    let against = |genesis| audited(folder.path(), &house, Some(genesis), PEOPLE);
    let wrong = against(Digest::of(b"another deployment"));
    assert_eq!(wrong.counts.clean, 0);
    tells(&wrong, "does not hold");
    // A byte of it changed: nothing of it is believed any more, and what ran still counts.
    let entries = folder.path().join("bundle/authorizations/tile/entries");
    let bundle = std::fs::read_dir(entries).unwrap().next().unwrap().unwrap();
    let file = match bundle.path() {
        path if path.is_dir() => std::fs::read_dir(path)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path(),
        path => path,
    };
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.len() - 20;
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let changed = against(house.genesis);
    assert_eq!(changed.counts.clean, 0);
    tells(&changed, "does not hold");
}

#[test]
fn an_export_without_documents_is_told_above_the_verdict() {
    let mut house = House::ready(Founding::default());
    Tale::standing(&mut house);
    house.cross_commit();
    let folder = exported(&house);
    let whole = audited(folder.path(), &house, Some(house.genesis), PEOPLE);
    assert_eq!(whole.gaps, Vec::<String>::new());
    std::fs::remove_dir_all(folder.path().join("bundle/blobs")).unwrap();
    let without = audited(folder.path(), &house, Some(house.genesis), PEOPLE);
    tells(&without, "carries no documents");
}

#[test]
fn standing_authority_whose_review_was_overdue_is_none() {
    let mut house = House::found(Founding::default());
    house.sign_policy(&["maria", "chen"], 3);
    Tale::standing(&mut house);
    house.cross_commit();
    let folder = exported(&house);
    let report = audited(folder.path(), &house, Some(house.genesis), PEOPLE);
    assert_ne!(verdicts(&report), [CLEAN]);
    tells(&report, "due for review");
}

#[test]
fn a_trial_is_told() {
    let mut house = House::ready(Founding {
        trial: true,
        ..Founding::default()
    });
    Tale::standing(&mut house);
    house.cross_commit();
    let folder = exported(&house);
    let report = audited(folder.path(), &house, Some(house.genesis), PEOPLE);
    tells(&report, "trial");
}

/// A change that ran under standing authority, and when it started.
fn ran() -> (House, Tale, countersign_domain::Timestamp) {
    let mut house = House::ready(Founding::default());
    let mut tale = Tale::open(&mut house);
    tale.decide(&mut house, Outcome::Allow);
    tale.authorize(&mut house, Ground::Standing);
    tale.redeem(&mut house);
    tale.start(&mut house);
    let ran = house.now;
    tale.settle(&mut house, Ending::Succeeded);
    house.cross_commit();
    (house, tale, ran)
}

#[test]
fn what_apt_tells_of_the_same_run_counts_once_and_of_another_run_by_itself() {
    let (house, tale, ran) = ran();
    let folder = exported(&house);
    let stanza = |at: countersign_domain::Timestamp| {
        let at = at.to_string();
        let at = format!("{}  {}", &at[..10], &at[11..19]);
        format!(
            "Start-Date: {at}\nCommandline: /usr/bin/unattended-upgrade -o Countersign::Authorization={}\n\
             Upgrade: openssl:amd64 (3.0.11-1, 3.0.11-2)\nEnd-Date: {at}\n\n",
            tale.change
        )
    };
    // The second one only types the id, a day later.
    let history = [stanza(ran), stanza(ran.plus_seconds(86_000))].concat();
    std::fs::write(folder.path().join("history.log"), history).unwrap();
    let report = audited(folder.path(), &house, Some(house.genesis), PEOPLE);
    let repeated = report
        .excluded
        .iter()
        .find(|one| one.why == Exclusion::Repeated);
    assert_eq!(
        repeated.map(|one| one.records),
        Some(1),
        "{:?}",
        report.excluded
    );
    let verdicts: Vec<_> = report
        .actions
        .iter()
        .map(|one| {
            (
                one.action.format,
                one.reasons.contains(&Reason::OutsideWindow),
            )
        })
        .collect();
    assert_eq!(
        verdicts,
        [(Format::Countersign, false), (Format::AptHistory, true)]
    );
}

#[test]
fn whoever_types_the_id_of_a_change_is_neither_clean_nor_forgotten() {
    let (house, tale, ran) = ran();
    let ran = ran.to_string();
    let folder = exported(&house);
    // While it runs, on the same host, with its id: another package, and another version.
    let at = format!("{}  {}", &ran[..10], &ran[11..19]);
    let history: String = ["backdoor:amd64 (6.6.6)", "openssl:amd64 (3.0.11-1, 3.0.11-9)"]
        .map(|item| {
            format!(
                "Start-Date: {at}\nCommandline: /usr/bin/unattended-upgrade -o Countersign::Authorization={}\n\
                 Install: {item}\nEnd-Date: {at}\n\n",
                tale.change
            )
        })
        .concat();
    std::fs::write(folder.path().join("history.log"), history).unwrap();
    for pinned in [Some(house.genesis), None, Some(Digest::of(b"another"))] {
        let report = audited(folder.path(), &house, pinned, PEOPLE);
        let typed: Vec<_> = report
            .actions
            .iter()
            .filter(|one| one.action.format == Format::AptHistory)
            .map(|one| one.verdict)
            .collect();
        assert_eq!(typed.len(), 2, "{pinned:?}");
        assert!(!typed.contains(&Some(Verdict::Clean)), "{typed:?}");
        if pinned.is_none() {
            assert_eq!(report.counts.clean, 0);
        }
    }
    // Of a log that does not hold, nothing makes another action better than it would be without it.
    let report = audited(folder.path(), &house, Some(Digest::of(b"another")), PEOPLE);
    assert_eq!((report.counts.clean, report.counts.partial), (0, 0));
}
