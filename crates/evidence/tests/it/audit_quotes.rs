//! What `--explain` quotes: for every format, the very lines of the logs that an action, its record and
//! its approval stand in; where they are no longer what was read, that it says so.

use crate::audit::{CLOUDTRAIL, HISTORY, servicenow};
use crate::folder::export;
use crate::house::House;
use crate::people::Founding;
use crate::tale::Tale;
use countersign_evidence::LogName;
use countersign_evidence::audit::{
    Context, Explained, Format, Mapping, People, Question, Report, Role, audit, explained, find,
    quoted,
};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What was read, and how.
struct Read {
    folder: tempfile::TempDir,
    context: Context,
    report: Report,
}

fn read(files: &[(&str, Vec<u8>)], mappings: &[&str]) -> Read {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let mappings = mappings.iter().map(|text| Mapping::read(text).unwrap());
    let context = Context::new(Some("UTC"), "web-1")
        .unwrap()
        .with_mappings(mappings.collect());
    let report = report(folder.path(), &context);
    Read {
        folder,
        context,
        report,
    }
}

fn report(folder: &Path, context: &Context) -> Report {
    let question = Question {
        since: "2026-01-01T00:00:00Z".parse().unwrap(),
        until: "2030-01-01T00:00:00Z".parse().unwrap(),
        environment: None,
        skew_seconds: 0,
        zone: "UTC".into(),
    };
    let people = People::read("name,login\nAda Stone,ada\n".as_bytes()).unwrap();
    let found = find(&[folder.to_owned()]).unwrap();
    audit(found, &[], context, &people, &question, 2, |_| {}).unwrap()
}

impl Read {
    /// Of the first action of this format that rests on a record, or else of the first.
    fn explained(&self, format: Format) -> Explained<'_> {
        let of = self.report.actions.iter();
        let of: Vec<_> = of.filter(|one| one.action.format == format).collect();
        let found = of.iter().find(|one| one.approver.is_some()).or(of.first());
        explained(&self.report, found.unwrap(), &self.context, &[])
    }

    /// The quotes are these texts, each as it stands in its file.
    #[track_caller]
    fn quotes(&self, format: Format, expected: &[(Role, &str)]) {
        let explained = self.explained(format);
        let quotes: Vec<(Role, String)> = explained
            .quotes
            .iter()
            .map(|quote| {
                assert_eq!((&quote.note, quote.cut), (&None, false), "{quote:?}");
                (quote.of[0], quote.lines.join("\n"))
            })
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(role, text)| (*role, (*text).to_owned()))
            .collect();
        assert_eq!(quotes, expected);
        // And a terminal shows them, each line on one of its own.
        let page = quoted(&explained, 80);
        for line in expected.iter().flat_map(|(_, text)| text.lines()) {
            assert!(page.contains(&format!("  | {line}\n")), "{line}\n{page}");
        }
    }
}

fn through(program: &str, text: &str) -> Vec<u8> {
    use std::io::Write as _;
    let mut child = Command::new(program)
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap().stdout
}

fn zstd(text: &str) -> Vec<u8> {
    let level = ruzstd::encoding::CompressionLevel::Uncompressed;
    ruzstd::encoding::compress_to_vec(text.as_bytes(), level)
}

fn stanza(text: &str) -> &str {
    text.split("\n\n").next().unwrap()
}

#[test]
fn lines_of_apt_and_dpkg_are_quoted_from_files_of_any_compression() {
    let last = HISTORY.split("\n\n").last().unwrap().trim_end();
    // Two copies of one stanza, the second without anything between it and the next.
    let dense = HISTORY.replace("\n\n", "\n");
    let read = read(
        &[
            ("a.gz", through("gzip", HISTORY)),
            ("b.zst", zstd(&dense)),
            ("c.xz", through("xz", &HISTORY.replace('\n', "\r\n"))),
        ],
        &[],
    );
    let first = stanza(HISTORY);
    read.quotes(Format::AptHistory, &[(Role::Action, first); 3]);
    let of_last = explained(
        &read.report,
        read.report.actions.last().unwrap(),
        &read.context,
        &[],
    );
    assert_eq!(of_last.quotes.len(), 3);
    assert!(
        of_last
            .quotes
            .iter()
            .all(|one| one.lines.join("\n") == last)
    );
    drop(read);

    let dpkg = "2026-11-04 12:00:00 startup archives unpack\n\
        2026-11-04 12:00:00 install backdoor:amd64 <none> 6.6.6\n\
        2026-11-04 12:00:01 status installed backdoor:amd64 6.6.6\n\
        2026-11-04 12:00:02 upgrade ssh:amd64 1 2\n";
    let read = super::audit_quotes::read(&[("dpkg.log", dpkg.into())], &[]);
    let lines: Vec<_> = dpkg.lines().collect();
    let both = format!("{}\n{}", lines[1], lines[3]);
    read.quotes(Format::Dpkg, &[(Role::Action, &both)]);
}

#[test]
fn records_within_arrays_are_quoted_with_the_record_and_its_approval() {
    let ticket = servicenow("ada", "2026-11-04 15:00:00");
    let read = read(
        &[
            ("t.json.gz", through("gzip", CLOUDTRAIL)),
            ("s.json", ticket.clone().into()),
        ],
        &[],
    );
    let command = CLOUDTRAIL.lines().nth(1).unwrap().trim_end_matches(',');
    let (change, approval) = ticket
        .trim_start_matches(r#"{"result":["#)
        .trim_end_matches("]}")
        .split_once("},{")
        .unwrap();
    read.quotes(
        Format::CloudTrail,
        &[
            (Role::Action, command),
            (Role::Record, &format!("{change}}}")),
            (Role::Approval, &format!("{{{approval}")),
        ],
    );
}

#[test]
fn rows_of_tables_are_quoted_with_their_columns() {
    let head = "Number,Type,State,Approval,Requested by,Planned start date,Planned end date,Configuration item,Test plan,Backout plan,Task type";
    let row = "CHG0031337,Normal,Closed,Approved,Patch Bot,2026-11-05 01:00:00,2026-11-05 04:00:00,i-0a1b2c3d4e5f60718,\"canary,\nthen all\",snapshot,Change Request";
    let other = "CHG0000001,Normal,Closed,Approved,x,,,,,,Change Request";
    let csv = format!("\u{feff}{head}\r\n{other}\r\n{row}\r\n{other}\r\n");
    let approvals = "Approval for,Approver,State,Updated,Updated by\nCHG0031337,ada,Approved,2026-11-04 15:00:00,ada\n";
    let read = read(
        &[
            ("t.json", CLOUDTRAIL.into()),
            ("changes.csv.xz", through("xz", &csv)),
            ("approvals.csv", approvals.into()),
        ],
        &[],
    );
    read.quotes(
        Format::CloudTrail,
        &[
            (
                Role::Action,
                CLOUDTRAIL.lines().nth(1).unwrap().trim_end_matches(','),
            ),
            (Role::Record, row),
            (Role::Approval, approvals.lines().nth(1).unwrap()),
        ],
    );
    let explained = read.explained(Format::CloudTrail);
    let heads: Vec<_> = explained
        .quotes
        .iter()
        .filter_map(|one| one.head.as_deref())
        .collect();
    assert_eq!(heads, [head, approvals.lines().next().unwrap()]);
}

#[test]
fn lines_and_lists_of_every_other_format_are_quoted() {
    let head = "a".repeat(40);
    let pull = format!(
        r#"{{"url":"https://api.github.com/repos/acme/web/pulls/7","number":7,"state":"closed","title":"Bump openssl","user":{{"login":"renovate[bot]","type":"Bot"}},"created_at":"2026-11-03T00:00:00Z","head":{{"ref":"renovate","sha":"{head}"}},"base":{{"repo":{{"full_name":"acme/web"}}}},"merged_at":"2026-11-05T00:00:00Z","merge_commit_sha":"{}","merged_by":{{"login":"renovate[bot]","type":"Bot"}}}}"#,
        "b".repeat(40)
    );
    let review = format!(
        r#"{{"id":1,"user":{{"login":"ada","type":"User"}},"state":"APPROVED","submitted_at":"2026-11-04T00:00:00Z","commit_id":"{head}","pull_request_url":"https://api.github.com/repos/acme/web/pulls/7"}}"#
    );
    let pod = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"k-1","stage":"ResponseComplete","verb":"patch","user":{"username":"system:serviceaccount:ci:deployer","groups":[]},"objectRef":{"resource":"deployments","namespace":"shop","name":"cart","apiGroup":"apps"},"responseStatus":{"code":200},"requestObject":{"metadata":{"annotations":{"note":"OPS-12"}},"spec":{"template":{"spec":{"containers":[{"name":"cart","image":"cart:2"}]}}}},"requestReceivedTimestamp":"2026-11-05T03:04:05Z","stageTimestamp":"2026-11-05T03:04:05Z"}"#;
    let event = r#"{"uuid":"u-1","counter":9,"stdout":"","runner_ident":"n","event":"runner_on_ok","created":"2026-11-22T02:55:09Z","event_data":{"play":"Patch","task":"Upgrade","task_action":"apt","host":"web01","res":{"changed":true}}}"#;
    let awx = r#"{"id":7,"type":"job_event","event":"runner_on_ok","uuid":"u-2","created":"2026-11-05T02:01:00Z","event_data":{"play":"Patch","task":"upgrade","task_action":"apt","host":"web02","res":{"changed":true}},"job":42,"host_name":"web02","changed":true,"summary_fields":{"job":{"id":42,"name":"Patch web"}}}"#;
    let job = r#"{"id":42,"type":"job","name":"Patch web","status":"successful","job_type":"run","launch_type":"workflow","created":"2026-11-05T01:59:00Z","started":"2026-11-05T02:00:00Z","finished":"2026-11-05T02:02:00Z","playbook":"p.yml","limit":"web02","summary_fields":{"source_workflow_job":{"id":12,"name":"Weekly"}}}"#;
    let yes = r#"{"id":43,"type":"workflow_approval","name":"May we?","status":"successful","launch_type":"workflow","timed_out":false,"created":"2026-11-05T01:00:00Z","finished":"2026-11-05T01:30:00Z","summary_fields":{"workflow_job":{"id":12,"name":"Weekly"},"source_workflow_job":{"id":12,"name":"Weekly"},"created_by":{"username":"ben"},"approved_or_denied_by":{"username":"ada"}}}"#;
    let read = read(
        &[
            ("pulls.json", format!("[\n{pull},\n{review}\n]").into()),
            ("audit.jsonl.zst", zstd(&format!("{pod}\n{pod}\n"))),
            ("events.jsonl", format!("not an event\n{event}\n").into()),
            (
                "awx.json",
                format!(r#"{{"count":3,"results":[{awx}, {job},{yes}]}}"#).into(),
            ),
        ],
        &[],
    );
    read.quotes(
        Format::GitHub,
        &[(Role::Action, &pull), (Role::Approval, &review)],
    );
    read.quotes(Format::Kubernetes, &[(Role::Action, pod); 2]);
    read.quotes(Format::AnsibleRunner, &[(Role::Action, event)]);
    // One record is both.
    read.quotes(Format::Awx, &[(Role::Action, awx), (Role::Record, yes)]);
    let both = &read.explained(Format::Awx).quotes[1].of;
    assert_eq!(*both, [Role::Record, Role::Approval]);
}

#[test]
fn pages_of_jira_and_mapped_exports_are_quoted() {
    let request = r#"{"issueId":"10700","issueKey":"CHG-7","createdDate":{"iso8601":"2026-11-03T10:00:00+0000"},"reporter":{"accountId":"b-1"},"requestFieldValues":[{"fieldId":"c1","label":"Affected systems","value":["web-1"]}],"_links":{"self":"https://desk.example.org/rest/servicedeskapi/request/10700"}}"#;
    let approval = r#"{"id":"1","name":"CAB","finalDecision":"approved","approvers":[{"approver":{"accountId":"5b10","name":"ada"},"approverDecision":"approved"}],"createdDate":{"iso8601":"2026-11-03T11:00:00+0000"},"completedDate":{"iso8601":"2026-11-04T10:00:00+0100"},"_links":{"self":"https://desk.example.org/rest/servicedeskapi/request/CHG-7/approval/1"}}"#;
    let page = |value: &str| format!(r#"{{"size":1,"start":0,"values":[{value}]}}"#);
    let jobs = "Host;Start,x,Ticket\n";
    let jobs = format!(
        "{}web-1,2026-11-05 02:00,CHG-7\n",
        jobs.replace("Host;Start,x", "Host,Start")
    );
    let mapping = "kind = \"action\"\ntime = \"%Y-%m-%d %H:%M\"\n[fields]\nsystem = \"Host\"\nstarted = \"Start\"\nreferences = \"Ticket\"\n";
    let json = "kind = \"action\"\n[fields]\nsystem = \"machine\"\nstarted = \"at\"\nreferences = \"why\"\n";
    let object = r#"{"machine":"web-1","at":"2026-11-05T04:00:00Z","why":"CHG-7"}"#;
    let read = read(
        &[
            ("requests.json", page(request).into()),
            ("approvals.json", page(approval).into()),
            ("jobs.csv", jobs.clone().into()),
            ("jobs.jsonl", format!("{object}\n").into()),
        ],
        &[mapping, json],
    );
    for (at, action) in [jobs.lines().nth(1).unwrap(), object].iter().enumerate() {
        let found = &read.report.actions[at];
        let quotes = explained(&read.report, found, &read.context, &[]).quotes;
        let texts: Vec<_> = quotes.iter().map(|one| one.lines.join("\n")).collect();
        assert_eq!(texts, [*action, request, approval]);
    }
}

#[test]
fn rows_of_dnfs_database_are_quoted_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.sqlite");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch(include_str!("../fixtures/dnf/history.sql"))
        .unwrap();
    drop(connection);
    let read = read(&[("history.sqlite", std::fs::read(&path).unwrap())], &[]);
    let explained = read.explained(Format::Dnf);
    let quote = &explained.quotes[0];
    let (id, action) = (quote.place.line.unwrap(), &explained.found.action);
    assert!(
        quote.lines[0].starts_with(&format!("trans: id={id} ")),
        "{quote:?}"
    );
    let began = action.started.earliest.unix_millis() / 1000;
    assert!(
        quote.lines[0].contains(&format!("dt_begin={began}")),
        "{quote:?}"
    );
    let name = action.items[0].split('.').next().unwrap();
    let has = |table: &str, words: &str| {
        let mut of = quote.lines.iter().filter(|line| line.starts_with(table));
        of.any(|line| line.contains(words))
    };
    assert!(has("trans_item:", &format!("trans_id={id}")), "{quote:?}");
    assert!(has("rpm:", &format!("name='{name}'")), "{quote:?}");
}

#[test]
fn rows_that_changed_in_the_second_file_of_a_database_are_not_quoted_as_what_was_judged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.sqlite");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;")
        .unwrap();
    connection
        .execute_batch(include_str!("../fixtures/dnf/history.sql"))
        .unwrap();
    let context = Context::new(Some("UTC"), "web-1").unwrap();
    let main = std::fs::read(&path).unwrap();
    let judged = report(folder.path(), &context);
    let alone = report(&path, &context);
    let quote = |report: &Report| {
        let found = report.actions.first().unwrap();
        explained(report, found, &context, &[]).quotes.remove(0)
    };
    let note = |report: &Report| quote(report).note.unwrap_or_default();
    assert_eq!(note(&judged), "");
    // Of a second file that was not judged by itself, nothing tells what it was.
    assert!(note(&alone).contains("cannot be told"), "{}", note(&alone));
    // The file itself stays what it was.
    connection
        .execute_batch("UPDATE trans SET cmdline = 'another';")
        .unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), main);
    let changed = quote(&judged);
    assert!(changed.lines[0].contains("'another'"), "{changed:?}");
    assert!(changed.note.unwrap().contains("has changed since"));
    // And without the second file nothing of it is there.
    std::fs::remove_file(folder.path().join("history.sqlite-wal")).unwrap();
    let gone = quote(&judged);
    assert!(gone.lines.is_empty());
    let note = gone.note.unwrap();
    assert!(
        note.contains("has changed since") && note.contains("no such row"),
        "{note}"
    );
}

#[test]
fn entries_of_our_own_log_are_quoted() {
    let mut house = House::ready(Founding::default());
    Tale::approved(&mut house);
    house.cross_commit();
    let folder = tempfile::tempdir().unwrap();
    export(&house, folder.path());
    let context = Context::new(Some("UTC"), "web-1")
        .unwrap()
        .pinned(house.genesis);
    let report = report(folder.path(), &context);
    let found = &report.actions[0];
    let explained = explained(&report, found, &context, &[]);
    let told: Vec<_> = explained.quotes.iter().map(|quote| quote.of[0]).collect();
    assert_eq!(told, [Role::Action, Role::Action, Role::Record]);
    for quote in &explained.quotes {
        assert_eq!(quote.note, None);
        let entry = &house.entries(LogName::Authorizations)
            [usize::try_from(quote.place.line.unwrap()).unwrap()];
        assert_eq!(quote.lines.join("\n").as_bytes(), entry.as_slice());
    }
}

#[test]
fn what_changed_since_or_cannot_be_read_again_is_told() {
    let read = read(&[("h", HISTORY.into()), ("i", HISTORY.into())], &[]);
    let file = |name: &str| -> PathBuf { read.folder.path().join(name) };
    // The file grew, as logs do: what stands there now is quoted, and called so.
    std::fs::write(file("h"), format!("{HISTORY}\nmore\n")).unwrap();
    std::fs::remove_file(file("i")).unwrap();
    let explained = read.explained(Format::AptHistory);
    let [grown, gone] = &explained.quotes[..] else {
        panic!("{explained:?}");
    };
    assert_eq!(grown.lines.join("\n"), stanza(HISTORY));
    assert!(grown.note.as_ref().unwrap().contains("has changed"));
    assert!(gone.lines.is_empty());
    assert!(gone.note.as_ref().unwrap().contains("cannot be read again"));
    let page = quoted(&explained, 80);
    assert!(page.contains("! the file has changed"), "{page}");
    // Something else in its place is not waited for.
    let made = Command::new("mkfifo").arg(file("i")).status().unwrap();
    assert!(made.success());
    let again = read.explained(Format::AptHistory);
    assert!(
        again.quotes[1]
            .note
            .as_ref()
            .unwrap()
            .contains("no plain file")
    );
}

#[test]
fn a_record_that_is_broken_since_is_quoted_without_its_neighbours() {
    let event = |id: &str, host: &str| {
        format!(
            r#"{{"uuid":"{id}","counter":9,"stdout":"","runner_ident":"n","event":"runner_on_ok","created":"2026-11-22T02:55:09Z","event_data":{{"play":"Patch","task":"Upgrade","task_action":"apt","host":"{host}","res":{{"changed":true}}}}}}"#
        )
    };
    let (ours, other) = (event("u-1", "web01"), event("u-2", "elsewhere"));
    let text = format!("{ours}\n{other}\n");
    let read = read(&[("events.jsonl", text.clone().into())], &[]);
    let mut found = read.report.actions.iter();
    let found = found.find(|one| one.action.system == "web01");
    for (from, to) in [
        (r#""counter":9"#, r#""counter":x"#),
        (r#""stdout":"""#, r#""stdout":""#),
        ("}}}\n", "\n"),
    ] {
        let broken = text.replacen(from, to, 1);
        assert_ne!(broken, text);
        std::fs::write(read.folder.path().join("events.jsonl"), &broken).unwrap();
        let explained = explained(&read.report, found.unwrap(), &read.context, &[]);
        let quote = &explained.quotes[0];
        assert_eq!(quote.lines, [broken.lines().next().unwrap()]);
        let note = quote.note.as_ref().unwrap();
        assert!(note.contains("has changed"), "{note}");
        assert_eq!(quote.cut, note.contains("ends cannot be told"), "{note}");
    }
}

#[test]
fn what_is_quoted_is_bounded_and_harmless() {
    let long = HISTORY.replacen(
        "/usr/bin/unattended-upgrade\n",
        &format!(
            "/usr/bin/unattended-upgrade \u{1b}[2J\u{202e}{}\n",
            "x".repeat(100_000)
        ),
        1,
    );
    let read = read(&[("h", long.into())], &[]);
    let explained = read.explained(Format::AptHistory);
    let quote = &explained.quotes[0];
    assert!(quote.cut);
    assert!(quote.lines.iter().map(String::len).sum::<usize>() <= 16 * 1024);
    let page = quoted(&explained, 80);
    assert!(!page.contains(['\u{1b}', '\u{202e}']));
    assert!(page.contains("(it goes on)"), "{page}");
    // Copies without number are quoted in bounds.
    let copies: Vec<_> = (0..60).map(|n| (format!("h{n}"), HISTORY.into())).collect();
    let copies: Vec<(&str, Vec<u8>)> = copies
        .iter()
        .map(|(name, text): &(String, Vec<u8>)| (name.as_str(), text.clone()))
        .collect();
    let read = super::audit_quotes::read(&copies, &[]);
    let explained = read.explained(Format::AptHistory);
    assert_eq!((explained.quotes.len(), explained.more_places), (40, 20));
}

#[test]
fn no_quote_is_longer_than_it_may_be_whatever_is_hostile() {
    let bytes = |explained: &Explained<'_>| -> usize {
        let quote = &explained.quotes[0];
        assert!(quote.cut && !quote.lines.is_empty(), "{:?}", quote.of);
        quote.lines.join("\n").len() + quote.head.as_ref().map_or(0, String::len)
    };
    // A line of columns, and bytes that are no text, which are shown as more.
    let mapping =
        "kind = \"action\"\n[fields]\nsystem = \"Host\"\nstarted = \"Start\"\n".to_owned();
    let table = format!(
        "Host,Start,{}\nweb-1,2026-11-05T02:00:00Z,",
        "é".repeat(20_000)
    );
    let wide = read(&[("jobs.csv", table.into())], &[&mapping]);
    assert!(bytes(&wide.explained(Format::Mapped)) <= 16 * 1024);
    let (before, after) = HISTORY.split_once("End-Date").unwrap();
    let odd = [
        before.as_bytes(),
        &vec![0xff; 15_000],
        b"\nEnd-Date",
        after.as_bytes(),
    ]
    .concat();
    let odd = read(&[("h", odd)], &[]);
    assert!(bytes(&odd.explained(Format::AptHistory)) <= 16 * 1024);
    // Lines that end like one of dpkg's.
    let junk = "x".repeat(100_000);
    let dpkg = format!(
        "2026-11-04 12:00:00 install a:amd64 <none> 6\n{junk} install a:amd64 <none> 6\n\
         2026-11-04 12:00:00 install b:amd64 <none> 6\n2026-11-04 12:00:09 startup archives unpack\n"
    );
    let dpkg = read(&[("dpkg.log", dpkg.into())], &[]);
    assert!(bytes(&dpkg.explained(Format::Dpkg)) <= 16 * 1024);
    // Columns without number.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.sqlite");
    let connection = rusqlite::Connection::open(&path).unwrap();
    let mut sql = include_str!("../fixtures/dnf/history.sql").to_owned();
    for column in 0..40 {
        let text = "é".repeat(3_000);
        sql += &format!("ALTER TABLE trans ADD COLUMN c{column} TEXT DEFAULT '{text}';\n");
    }
    connection.execute_batch(&sql).unwrap();
    drop(connection);
    let dnf = read(&[("history.sqlite", std::fs::read(&path).unwrap())], &[]);
    assert!(bytes(&dnf.explained(Format::Dnf)) <= 16 * 1024);
}
