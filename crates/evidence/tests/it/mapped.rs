//! The audit of a patch tool's export and of tickets of our own form, by mappings.

use countersign_evidence::audit::{
    Context, Mapping, People, Question, Reason, Report, Verdict, audit, find,
};

const JOBS: &str = "Job ID,Host,Start,Job,Run by,Ticket,Status\n\
    1,web-1,2026-11-05 02:00,Weekly patches,scheduler,CHG-7,Completed\n\
    2,web-2,2026-11-05 02:00,Weekly patches,scheduler,CHG-7,Completed\n\
    3,web-1,2026-11-05 02:10,Weekly patches,scheduler,CHG-7,Failed\n\
    4,web-1,2026-11-06 09:00,By hand,ada,,Completed\n";
const TICKETS: &str = r#"{"key":"CHG-7","hosts":["web-1"],"by":"patch-bot","votes":1}
{"on":"CHG-7","who":"ada","vote":"yes","at":"2026-11-04T10:00:00Z"}
"#;
const MAPPINGS: [&str; 3] = [
    "kind = \"action\"\ntime = \"%Y-%m-%d %H:%M\"\n[fields]\nsystem = \"Host\"\nstarted = \"Start\"\n\
     summary = \"Job\"\nactor = \"Run by\"\nreferences = \"Ticket\"\n[marks.failed]\nStatus = [\"Failed\"]\n\
     [marks.automation]\n\"Run by\" = [\"scheduler\"]\n",
    "kind = \"change\"\n[fields]\nnumber = \"key\"\ntargets = \"hosts\"\nrequester = \"by\"\n",
    "kind = \"decision\"\n[fields]\nchange = \"on\"\napprover = \"who\"\ndecided = \"at\"\n\
     [marks.approved]\nvote = [\"yes\"]\n",
];

fn audited(mappings: &[&str]) -> Report {
    of(&[("jobs", JOBS), ("tickets", TICKETS)], mappings)
}

fn of(files: &[(&str, &str)], mappings: &[&str]) -> Report {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let mappings = mappings.iter().map(|text| Mapping::read(text).unwrap());
    let context = Context::new(Some("UTC"), "here")
        .unwrap()
        .with_mappings(mappings.collect());
    let people = People::read("name,login\nAda Stone,ada\n".as_bytes()).unwrap();
    let question = Question {
        since: "2026-11-01T00:00:00Z".parse().unwrap(),
        until: "2026-12-01T00:00:00Z".parse().unwrap(),
        environment: None,
        skew_seconds: 0,
        zone: "UTC".into(),
    };
    let found = find(&[folder.path().to_owned()]).unwrap();
    audit(found, &[], &context, &people, &question, 2, |_| {}).unwrap()
}

#[test]
fn what_mappings_name_is_judged_as_everything_else() {
    let report = audited(&MAPPINGS);
    let mut found: Vec<_> = report
        .actions
        .iter()
        .map(|one| {
            let reasons: Vec<_> = one.reasons.iter().copied().collect();
            (one.action.system.as_str(), one.verdict, reasons)
        })
        .collect();
    found.sort_by_key(|one| (one.1.is_none(), one.0));
    assert_eq!(
        found,
        [
            ("web-1", Some(Verdict::Clean), vec![]),
            // Its ticket was typed for a host that it does not name.
            (
                "web-2",
                Some(Verdict::Partial),
                vec![Reason::TargetNotNamed]
            ),
            ("web-1", None, vec![]),
        ]
    );
    assert_eq!((report.counts.human, report.counts.autonomous), (1, 2));
    assert!(report.files.iter().all(|file| !file.is_unrecognised()));
}

#[test]
fn without_a_mapping_nothing_of_it_is_known() {
    let report = audited(&[]);
    assert!(report.actions.is_empty());
    assert!(report.files.iter().all(|file| file.is_unrecognised()));
    // Nor of a record that only some mapping's columns are in.
    let report = audited(&MAPPINGS[1..2]);
    assert_eq!(
        report
            .files
            .iter()
            .filter(|file| file.is_unrecognised())
            .count(),
        1
    );
    assert_eq!(
        report
            .files
            .iter()
            .map(|file| file.unrecognised)
            .sum::<u64>(),
        6
    );
}

#[test]
fn fields_that_are_missing_are_named_with_file_and_line() {
    let jobs = JOBS
        .replace("2,web-2,2026-11-05", "2,,2026-11-05")
        .replace("3,web-1,2026-11-05 02:10", "3,web-1,05.11.2026");
    let tickets = TICKETS.replace("\"who\":\"ada\"", "\"who\":\"\"");
    let more = "{\"key\":\"CHG-8\"}\n{\"on\":\"CHG-8\",\"by\":\"x\"}\n";
    let tickets = format!("{tickets}{more}");
    let report = of(&[("jobs", &jobs), ("tickets", &tickets)], &MAPPINGS);
    let gap = |words: &str| {
        let mut gaps = report.gaps.iter();
        gaps.find(|gap| gap.starts_with(words))
            .unwrap_or_else(|| panic!("{:?}", report.gaps))
    };
    let unread = gap("records that could not be read: 3");
    for told in [
        "jobs line 3: `system`, which an action needs, is empty",
        "jobs line 4: `started` holds no time",
        "tickets line 2: `approver`, which a decision needs, is empty",
    ] {
        assert!(unread.contains(told), "{told}: {unread}");
    }
    // A record that has some of what a mapping needs, and a table that has some of the columns.
    let unmapped = gap("records that no mapping is for");
    assert!(
        unmapped.contains(
            "tickets line 4: it has no `who`, which the mapping of decisions (number 3) needs"
        ),
        "{unmapped}"
    );
    let renamed = JOBS.replacen("Host", "Hostname", 1);
    let report = of(&[("jobs", &renamed)], &MAPPINGS[..1]);
    assert!(
        report
            .gaps
            .iter()
            .any(|gap| gap.contains("jobs line 1: it has no `Host`")),
        "{:?}",
        report.gaps
    );
}
