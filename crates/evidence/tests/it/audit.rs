//! The audit over whole files: what apt and dpkg write, rotated, compressed, broken, and lying.

use countersign_domain::Timestamp;
use countersign_evidence::audit::{
    By, Context, Exclusion, Format, Group, People, Question, Reason, Report, Verdict, audit,
    explain, find, render,
};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

pub(crate) const HISTORY: &str = "\
Start-Date: 2026-11-02  06:10:00
Commandline: /usr/bin/unattended-upgrade
Upgrade: openssl:amd64 (3.0.1, 3.0.2), libssl3:amd64 (3.0.1, 3.0.2)
End-Date: 2026-11-02  06:10:05

Start-Date: 2026-11-02  06:20:00
Commandline: /usr/bin/unattended-upgrade -v --dry-run
Upgrade: curl:amd64 (8.0, 8.1)
End-Date: 2026-11-02  06:20:00

Start-Date: 2026-11-02  06:30:00
Commandline: /usr/bin/unattended-upgrade
Upgrade: curl:amd64 (8.0, 8.1)
End-Date: 2026-11-02  06:30:01

Start-Date: 2026-11-03  09:00:00
Commandline: apt-get -o Countersign::Authorization=csa_01JD8Z install vim # CHG0031337
Requested-By: ada (1000)
Install: vim:amd64 (9.1), vim-runtime:all (9.1, automatic)
End-Date: 2026-11-03  09:00:09

Start-Date: 2026-11-03  10:00:00
Commandline: apt-get upgrade
Upgrade: tar:amd64 (1.34, 1.35)
Error: Sub-process /usr/bin/dpkg returned an error code (1)
End-Date: 2026-11-03  10:00:04
";

const DPKG: &str = "\
2026-11-02 06:00:00 startup archives unpack
2026-11-02 06:10:02 upgrade openssl:amd64 3.0.1 3.0.2
2026-11-02 06:10:02 status half-configured openssl:amd64 3.0.1
2026-11-02 06:10:03 upgrade libssl3:amd64 3.0.1 3.0.2
2026-11-03 09:00:03 install vim:amd64 <none> 9.1
2026-11-03 09:00:04 install vim-runtime:all <none> 9.1
2026-11-03 10:00:02 upgrade tar:amd64 1.34 1.35
2026-11-04 12:00:00 install backdoor:amd64 <none> 6.6.6
2026-11-04 12:00:01 status installed backdoor:amd64 6.6.6
";

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip")
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    child.wait_with_output().unwrap().stdout
}

pub(crate) fn question() -> Question {
    Question {
        since: "2026-11-01T00:00:00Z".parse().unwrap(),
        until: "2026-12-01T00:00:00Z".parse().unwrap(),
        environment: None,
        skew_seconds: 0,
        zone: "UTC".into(),
    }
}

pub(crate) fn audited_in(zone: &str, folder: &Path) -> Report {
    audited_by(2, zone, folder)
}

pub(crate) fn audited_by(threads: usize, zone: &str, folder: &Path) -> Report {
    let context = Context::new(Some(zone), "web-1").unwrap();
    let people = People::read("name,login\nAda Stone,ada\n".as_bytes()).unwrap();
    let found = find(&[folder.to_owned()]).unwrap();
    audit(found, &[], &context, &people, &question(), threads, |_| {}).unwrap()
}

pub(crate) fn audited(files: &[(&str, &[u8])]) -> Report {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    audited_in("UTC", folder.path())
}

#[test]
fn logs_that_hold_more_than_fits_are_refused_and_nothing_of_them_is_judged() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..4 {
        let stanza = |day: u32| {
            format!(
                "Start-Date: 2026-11-{day:02}  06:10:02\nCommandline: apt-get upgrade\nUpgrade: a{number}:amd64 (1, 2)\nEnd-Date: 2026-11-{day:02}  06:10:05\n\n"
            )
        };
        let log: String = (1..=25).map(stanza).collect();
        std::fs::write(folder.path().join(format!("history.{number}.log")), log).unwrap();
    }
    let within = |memory: u64, threads: usize| {
        let context = Context::new(Some("UTC"), "web-1").unwrap().within(memory);
        let found = find(&[folder.path().to_owned()]).unwrap();
        let people = People::default();
        audit(found, &[], &context, &people, &question(), threads, |_| {})
    };
    for threads in [1, 2, 3] {
        let refused = within(199 * 1024, threads).unwrap_err();
        assert!(refused.to_string().contains("--memory"), "{refused}");
        assert_eq!(within(200 * 1024, threads).unwrap().actions.len(), 100);
    }
}

fn lines(report: &Report) -> Vec<String> {
    report
        .actions
        .iter()
        .map(|found| {
            format!(
                "{} {:?} {} {:?}",
                found.action.started.earliest, found.by, found.action.summary, found.verdict
            )
        })
        .collect()
}

pub(crate) fn excluded(report: &Report, why: Exclusion) -> u64 {
    let all = report.excluded.iter().filter(|one| one.why == why);
    all.map(|one| one.records).sum()
}

#[test]
fn a_hosts_own_logs_are_judged() {
    let report = audited(&[
        ("history.log", HISTORY.as_bytes()),
        ("dpkg.log", DPKG.as_bytes()),
    ]);
    assert_eq!(
        lines(&report),
        [
            "2026-11-02T06:10:00Z Automation upgrade 2 packages Some(Ungoverned)",
            "2026-11-03T09:00:00Z NamedHuman install 2 packages None",
            "2026-11-03T10:00:00Z CannotTell upgrade 1 package, with an error None",
            "2026-11-04T12:00:00Z CannotTell 1 transition that apt does not tell of None",
        ]
    );
    // One says so, the other is disproven by dpkg's log.
    assert_eq!(excluded(&report, Exclusion::DryRun), 2);
    assert_eq!(report.estate.group, Group::NoRecords);
    assert_eq!(report.estate.missing[0].reason, Reason::NoRecord);
    let text = render(&report, 80);
    assert!(text.contains("VERDICT: NO RECORDS"), "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 110),
        "{text}"
    );
    let told = explain(&report, &report.actions[0], 80);
    assert!(told.contains("history.log, line 1, byte 0"), "{told}");
    assert!(told.contains("openssl:amd64 (3.0.1, 3.0.2)\n"), "{told}");
    assert!(told.contains("libssl3:amd64 (3.0.1, 3.0.2)\n"), "{told}");
}

#[test]
fn without_dpkgs_log_a_run_is_kept_and_the_gap_is_told() {
    let report = audited(&[("history.log", HISTORY.as_bytes())]);
    assert_eq!(excluded(&report, Exclusion::DryRun), 1);
    assert_eq!(report.counts.autonomous, 2);
    assert!(
        report.gaps.iter().any(|gap| gap.contains("not confirmed")),
        "{:?}",
        report.gaps
    );
    // A log of dpkg's that ends before cannot disprove anything.
    let before = "2026-11-01 00:00:00 startup archives unpack\n";
    let report = audited(&[("h", HISTORY.as_bytes()), ("d", before.as_bytes())]);
    assert_eq!(report.counts.autonomous, 2);
}

#[test]
fn a_missing_member_of_a_rotated_series_is_a_gap_above_the_verdict() {
    let gap = |report: &Report| {
        let gaps = report.gaps.iter();
        let of: Vec<_> = gaps
            .filter(|gap| gap.contains("rotated"))
            .cloned()
            .collect();
        of
    };
    let (first, second) = HISTORY.split_at(HISTORY.find("Start-Date: 2026-11-03").unwrap());
    let whole = [
        ("history.log", second.as_bytes()),
        ("history.log.1", b"".as_slice()),
        ("history.log.2.gz", &gzip(first.as_bytes())),
        ("dpkg.log-20261104", DPKG.as_bytes()),
        // No log: whatever is called so is no series.
        ("notes.3", b"remember the milk\n"),
    ];
    assert_eq!(gap(&audited(&whole)), Vec::<String>::new());
    let holes = [whole[0], whole[2], ("dpkg.log.1", DPKG.as_bytes())];
    let report = audited(&holes);
    let [dpkg, apt] = &gap(&report)[..] else {
        panic!("{:?}", report.gaps);
    };
    assert!(dpkg.contains(": dpkg.log, though older"), "{dpkg}");
    assert!(apt.contains(": history.log.1, though older"), "{apt}");
    let text = render(&report, 300);
    assert!(text.find(": history.log.1,").unwrap() < text.find("VERDICT").unwrap());
}

#[test]
fn rotated_compressed_and_repeated_files_count_once() {
    let (first, second) = HISTORY.split_at(HISTORY.find("Start-Date: 2026-11-03").unwrap());
    let whole = audited(&[("h", HISTORY.as_bytes()), ("d", DPKG.as_bytes())]);
    let cut = audited(&[
        ("history.log", second.as_bytes()),
        ("history.log.1.gz", &gzip(first.as_bytes())),
        ("history.log.1", first.as_bytes()),
        ("dpkg.log.2.gz", &gzip(DPKG.as_bytes())),
        ("a-copy", DPKG.as_bytes()),
        // Formats may be mixed in one file.
        ("z-all", format!("{HISTORY}\n{DPKG}").as_bytes()),
    ]);
    assert_eq!(lines(&whole), lines(&cut));
    assert_eq!(whole.counts, cut.counts);
    assert_eq!(cut.actions[0].action.places.len(), 3);
}

#[test]
fn on_however_many_threads_it_is_read_the_report_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let events: String = (0..9_000_u32)
        .map(|at| {
            let (day, hour, tail) = (1 + at % 28, at % 24, "x".repeat((at % 700) as usize));
            let name = ["SendCommand", "DescribeInstances"][usize::from(at % 5 > 0)];
            // Each tenth is broken, each seventh is told twice, and differently.
            let id = at - u32::from(at % 7 == 0 && at > 0);
            let end = if at % 10 == 9 { "]" } else { "}" };
            format!(
                r#"{{"eventID":"{id}","eventTime":"2026-11-{day:02}T{hour:02}:00:00Z","eventSource":"ssm.amazonaws.com","eventName":"{name}","userAgent":"{tail}","requestParameters":{{"documentName":"AWS-RunPatchBaseline{at}","instanceIds":["i-0123456789abcdef0"]{end}}}"#
            ) + "\n"
        })
        .collect();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("all.jsonl", events.as_bytes());
    write(
        "again.jsonl.gz",
        &gzip(&events.as_bytes()[..events.len() / 3]),
    );
    write("cut.gz", &gzip(events.as_bytes())[..9_000]);
    write("history.log", HISTORY.as_bytes());
    write("dpkg.log", DPKG.as_bytes());
    write("none", b"");
    let one = audited_by(1, "UTC", folder.path());
    assert!(one.counts.cannot_tell > 1_000, "{:?}", one.counts);
    assert_eq!(one.unreadable.len(), 100);
    let broken = one.files.iter().filter(|file| file.broken.is_some());
    assert_eq!(broken.count(), 1);
    for threads in [2, 3, 16] {
        assert_eq!(one, audited_by(threads, "UTC", folder.path()), "{threads}");
    }
}

#[test]
fn who_asked_is_an_executor_and_never_an_approver() {
    let forged = HISTORY.replace("Requested-By: ada (1000)", "Requested-By: ada (998)");
    let report = audited(&[("h", forged.as_bytes())]);
    let vim = &report.actions[2];
    assert_eq!(
        (vim.by, vim.verdict),
        (By::Automation, Some(Verdict::Ungoverned))
    );
    // An automation does not become a person by saying who asked for it.
    let forged = HISTORY.replacen(
        "Commandline: /usr/bin/unattended-upgrade\n",
        "Commandline: /usr/bin/unattended-upgrade\nRequested-By: ada (1000)\n",
        1,
    );
    let report = audited(&[("h", forged.as_bytes())]);
    assert_eq!(report.actions[0].by, By::Automation);
}

#[test]
fn local_times_are_read_in_the_zone_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let twice = HISTORY.replace("2026-11-02  06:10", "2026-11-01  01:10");
    std::fs::write(folder.path().join("h"), twice).unwrap();
    // That night New York put its clocks back at two.
    let report = audited_in("America/New_York", folder.path());
    let started = report.actions[0].action.started;
    assert_eq!(started.latest.seconds_since(started.earliest), 3600);
    assert_eq!(report.zone, question().zone);
    assert!(Context::new(Some("Mars/Olympus"), "x").is_err());
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_goes_on() {
    let long = "x".repeat(2 * 1024 * 1024);
    let hostile = [
        b"Upgrade: x (1, 2)\n".as_slice(),
        b"Start-Date: tomorrow\n",
        b"\xff\xfe not text\n",
        long.as_bytes(),
        b"\n2026-11-02 06:10:02 upgrade openssl:amd64\n2026-13-40 99:99:99 status x\n\n",
        HISTORY.as_bytes(),
    ]
    .concat();
    let report = audited(&[
        ("hostile", &hostile),
        ("picture", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
        ("empty", b""),
        ("cut.gz", &gzip(HISTORY.as_bytes())[..40]),
        ("broken.json", b"{\"a\": [1, 2"),
    ]);
    assert_eq!(report.counts.autonomous, 2);
    let file = |name: &str| {
        let named = |file: &&countersign_evidence::audit::FileRead| file.path.ends_with(name);
        report.files.iter().find(named).unwrap()
    };
    assert_eq!(file("hostile").unreadable, 6);
    assert!(file("picture").is_unrecognised());
    assert!(file("cut.gz").broken.is_some());
    assert_eq!(file("broken.json").unreadable, 1);
    assert_eq!(report.unreadable.len(), 8);
    let text = render(&report, 100);
    assert!(text.find("files of no format").unwrap() < text.find("VERDICT").unwrap());
}

#[test]
fn what_came_from_logs_is_shown_harmless() {
    let hostile = HISTORY.replace(
        "/usr/bin/unattended-upgrade\n",
        "/usr/bin/unattended-upgrade\u{1b}[2J\u{202e}\n",
    );
    let report = audited(&[("\u{1b}[31mh", hostile.as_bytes())]);
    for text in [
        render(&report, 80),
        explain(&report, &report.actions[0], 80),
    ] {
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
    }
}

#[test]
fn a_sample_is_drawn_again_with_its_seed() {
    let many: String = (10..60)
        .map(|n| HISTORY.replace("06:10:0", &format!("05:{n}:0")))
        .collect::<Vec<_>>()
        .join("\n");
    let ids = |report: &Report, seed| -> Vec<String> {
        report
            .sample(7, seed)
            .iter()
            .map(|found| found.id.clone())
            .collect()
    };
    let one = audited(&[("h", many.as_bytes())]);
    let (front, back) = many.split_at(many.match_indices("\n\nStart").nth(40).unwrap().0 + 2);
    let other = audited(&[("a", back.as_bytes()), ("b", front.as_bytes())]);
    assert_eq!(ids(&one, 1).len(), 7);
    assert_eq!(ids(&one, 1), ids(&other, 1));
    assert_ne!(ids(&one, 1), ids(&one, 2));
}

/// An independent count by Python's standard library.
#[test]
fn totals_agree_with_another_reading_of_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.log");
    std::fs::write(&file, HISTORY.repeat(3)).unwrap();
    let script = "\
import re, sys
stanzas = set()
for block in re.split(r'\\n\\s*\\n|(?=Start-Date)', open(sys.argv[1]).read()):
    fields = dict(line.split(': ', 1) for line in block.splitlines() if ': ' in line)
    if 'Start-Date' in fields and '--dry-run' not in fields['Commandline']:
        stanzas.add(block.strip())
print(len(stanzas))";
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(&file)
        .output()
        .unwrap();
    let theirs: usize = String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let report = audited_in("UTC", folder.path());
    assert_eq!(report.actions.len(), theirs);
    let rows = report.files[0].rows[&Format::AptHistory];
    let lines = HISTORY
        .repeat(3)
        .lines()
        .filter(|line| !line.is_empty())
        .count();
    assert_eq!(rows, lines as u64);
    let _: Timestamp = report.since;
}

pub(crate) const CLOUDTRAIL: &str = r#"{"Records":[
{"eventVersion":"1.08","eventID":"e-1","eventTime":"2026-11-05T02:00:00Z","eventSource":"ssm.amazonaws.com","eventName":"SendCommand","awsRegion":"eu-central-1","recipientAccountId":"123456789012","readOnly":false,"userIdentity":{"type":"AWSService","invokedBy":"events.amazonaws.com"},"requestParameters":{"documentName":"AWS-RunPatchBaseline","instanceIds":["i-0a1b2c3d4e5f60718"],"comment":"CHG0031337"},"responseElements":{"command":{"commandId":"c-1"}}},
{"eventVersion":"1.08","eventID":"e-2","eventTime":"2026-11-05T02:05:00Z","eventSource":"ssm.amazonaws.com","eventName":"SendCommand","awsRegion":"eu-central-1","recipientAccountId":"123456789012","readOnly":false,"userIdentity":{"type":"AWSService","invokedBy":"events.amazonaws.com"},"requestParameters":{"documentName":"AWS-RunPatchBaseline","instanceIds":["i-0ffffffffffffffff"],"comment":"CHG0031337"},"responseElements":{"command":{"commandId":"c-2"}}},
{"eventVersion":"1.08","eventID":"e-3","eventTime":"2026-11-05T02:06:00Z","eventSource":"ssm.amazonaws.com","eventName":"ListCommands","awsRegion":"eu-central-1","recipientAccountId":"123456789012","readOnly":true,"userIdentity":{"type":"IAMUser","userName":"ada"}}
]}"#;

/// The change is asked for by a bot, and names one of the two instances.
pub(crate) fn servicenow(approver: &str, approved: &str) -> String {
    let pair = |value: &str| format!(r#"{{"display_value":"{value}","value":"{value}"}}"#);
    let change: Vec<String> = [
        ("sys_id", "a1"),
        ("number", "CHG0031337"),
        ("type", "normal"),
        ("state", "3"),
        ("approval", "approved"),
        ("requested_by", "Patch Bot"),
        ("start_date", "2026-11-05 01:00:00"),
        ("end_date", "2026-11-05 04:00:00"),
        ("cmdb_ci", "i-0a1b2c3d4e5f60718"),
        ("test_plan", "canary"),
        ("backout_plan", "snapshot"),
        ("sys_class_name", "change_request"),
    ]
    .iter()
    .map(|(name, value)| format!(r#""{name}":{}"#, pair(value)))
    .collect();
    let approval: Vec<String> = [
        ("sys_id", "e5"),
        ("sysapproval", "a1"),
        ("source_table", "change_request"),
        ("approver", approver),
        ("state", "approved"),
        ("sys_updated_on", approved),
        ("sys_updated_by", approver),
    ]
    .iter()
    .map(|(name, value)| format!(r#""{name}":{}"#, pair(value)))
    .collect();
    format!(
        r#"{{"result":[{{{}}},{{{}}}]}}"#,
        change.join(","),
        approval.join(",")
    )
}

/// The verdicts of both commands, by instance.
pub(super) fn commands(files: &[(&str, &[u8])]) -> Vec<(String, Option<Verdict>, Vec<Reason>)> {
    audited(files)
        .actions
        .iter()
        .map(|found| {
            let reasons = found.reasons.iter().copied().collect();
            (found.action.system.clone(), found.verdict, reasons)
        })
        .collect()
}

#[test]
fn an_estate_of_several_tools_is_linked_by_what_its_records_name() {
    let named = "i-0a1b2c3d4e5f60718".to_owned();
    let other = "i-0ffffffffffffffff".to_owned();
    let before = servicenow("ada", "2026-11-04 15:00:00");
    assert_eq!(
        commands(&[("t", CLOUDTRAIL.as_bytes()), ("s", before.as_bytes())]),
        [
            (named.clone(), Some(Verdict::Clean), vec![]),
            // The same number was typed for an instance that the change does not name.
            (
                other.clone(),
                Some(Verdict::Partial),
                vec![Reason::TargetNotNamed]
            ),
        ]
    );
    let after = servicenow("ada", "2026-11-05 03:00:00");
    let late = commands(&[("t", CLOUDTRAIL.as_bytes()), ("s", after.as_bytes())]);
    assert_eq!(
        late[0],
        (
            named.clone(),
            Some(Verdict::Ungoverned),
            vec![Reason::ApprovedLate]
        )
    );
    let stranger = servicenow("mallory", "2026-11-04 15:00:00");
    let unknown = commands(&[("t", CLOUDTRAIL.as_bytes()), ("s", stranger.as_bytes())]);
    assert_eq!(
        unknown[0],
        (
            named.clone(),
            Some(Verdict::Partial),
            vec![Reason::ApproverUnknown]
        )
    );
    let alone = commands(&[("t", CLOUDTRAIL.as_bytes())]);
    assert_eq!(
        alone[0],
        (named, Some(Verdict::Ungoverned), vec![Reason::NoRecord])
    );
    assert_eq!(alone[1].0, other);
}

#[test]
fn an_export_as_csv_says_the_same() {
    let csv = "Number,Type,State,Approval,Requested by,Planned start date,Planned end date,Configuration item,Test plan,Backout plan,Task type\n\
        CHG0031337,Normal,Closed,Approved,Patch Bot,2026-11-05 01:00:00,2026-11-05 04:00:00,i-0a1b2c3d4e5f60718,canary,snapshot,Change Request\n";
    let approvals = "Approval for,Approver,State,Updated,Updated by\nCHG0031337,ada,Approved,2026-11-04 15:00:00,ada\n";
    let found = commands(&[
        ("t.json", CLOUDTRAIL.as_bytes()),
        ("changes", csv.as_bytes()),
        ("approvals", approvals.as_bytes()),
    ]);
    assert_eq!((found[0].1, &found[0].2), (Some(Verdict::Clean), &vec![]));
    assert_eq!(found[1].2, [Reason::TargetNotNamed]);
}

#[test]
fn a_pull_request_that_was_closed_and_taken_up_again_is_not_withdrawn() {
    let pull = |state: &str, merged: &str| {
        format!(
            r#"{{"url":"https://api.github.com/repos/acme/web/pulls/7","number":7,"state":"{state}",
            "title":"Bump openssl","user":{{"login":"renovate[bot]","type":"Bot"}},
            "created_at":"2026-11-03T00:00:00Z","head":{{"ref":"renovate","sha":"{head}"}},
            "base":{{"repo":{{"full_name":"acme/web"}}}}{merged}}}"#,
            head = "a".repeat(40),
        )
    };
    let merged = pull(
        "closed",
        &format!(
            r#","merged_at":"2026-11-05T00:00:00Z","merge_commit_sha":"{}","merged_by":{{"login":"renovate[bot]","type":"Bot"}}"#,
            "b".repeat(40)
        ),
    );
    let review = format!(
        r#"{{"id":1,"user":{{"login":"ada","type":"User"}},"state":"APPROVED","submitted_at":"2026-11-04T00:00:00Z",
        "commit_id":"{}","pull_request_url":"https://api.github.com/repos/acme/web/pulls/7"}}"#,
        "a".repeat(40)
    );
    let closed = pull("closed", "");
    for files in [["m", "c"], ["c", "m"]] {
        let texts = files.map(|name| if name == "m" { &merged } else { &closed });
        let found = commands(&[
            ("1", texts[0].as_bytes()),
            ("2", texts[1].as_bytes()),
            ("3", review.as_bytes()),
        ]);
        assert_eq!((found[0].1, &found[0].2), (Some(Verdict::Clean), &vec![]));
    }
}
