//! `countersign audit` as its user calls it: exit codes, JSON, one action, a sample, bad usage.

use crate::program::countersign;
use std::fs;
use std::path::Path;

const HISTORY: &str = "\
Start-Date: 2026-11-02  06:10:00
Commandline: /usr/bin/unattended-upgrade
Upgrade: openssl:amd64 (3.0.1, 3.0.2)
End-Date: 2026-11-02  06:10:05

Start-Date: 2026-11-03  09:00:00
Commandline: apt-get install vim
Requested-By: ada (1000)
Install: vim:amd64 (9.1)
End-Date: 2026-11-03  09:00:09
";
const PERIOD: [&str; 6] = [
    "--since",
    "2026-11-01",
    "--until",
    "2026-11-30",
    "--tz",
    "UTC",
];

struct Logs(tempfile::TempDir);

impl Logs {
    fn with(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        fs::write(folder.path().join("logs/history.log"), text).unwrap();
        fs::write(folder.path().join("people.csv"), "name,login\nAda,ada\n").unwrap();
        Self(folder)
    }

    fn audit(&self, more: &[&str]) -> crate::program::Ran {
        let logs = self.0.path().join("logs");
        let people = self.0.path().join("people.csv");
        let fixed = [
            "audit",
            logs.to_str().unwrap(),
            "--people",
            people.to_str().unwrap(),
        ];
        let nowhere = Path::new("/nonexistent");
        countersign(nowhere, &[&fixed[..], &PERIOD, more].concat())
    }
}

#[test]
fn findings_exit_with_one_and_nothing_to_judge_with_two() {
    let logs = Logs::with(HISTORY);
    let run = logs.audit(&[]);
    assert_eq!(run.code, 1);
    assert!(run.stdout.contains("VERDICT: NO RECORDS"), "{}", run.stdout);
    // A human's own action is no finding.
    let (_, own) = HISTORY.split_at(HISTORY.find("Start-Date: 2026-11-03").unwrap());
    assert_eq!(Logs::with(own).audit(&[]).code, 0);
    assert_eq!(Logs::with("a shopping list\n").audit(&[]).code, 2);
}

#[test]
fn what_could_not_be_read_is_never_an_exit_code_of_zero() {
    let (_, own) = HISTORY.split_at(HISTORY.find("Start-Date: 2026-11-03").unwrap());
    let event = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","stage":"ResponseComplete"}"#;
    let broken: [&[u8]; 2] = [event.as_bytes(), b"\x1f\x8b\x08\x00\x00"];
    for bytes in broken {
        let logs = Logs::with(own);
        assert_eq!(logs.audit(&[]).code, 0);
        fs::write(logs.0.path().join("logs/other"), bytes).unwrap();
        let run = logs.audit(&[]);
        assert_eq!(run.code, 2, "{}", run.stdout);
        assert!(run.stderr.contains("may hide"), "{}", run.stderr);
        // What was found stays found.
        let logs = Logs::with(HISTORY);
        fs::write(logs.0.path().join("logs/other"), bytes).unwrap();
        assert_eq!(logs.audit(&[]).code, 1);
    }
    // What is no log at all hides no action.
    let logs = Logs::with(own);
    fs::write(
        logs.0.path().join("logs/picture"),
        b"\x89PNG\r\n\x1a\n{\xff",
    )
    .unwrap();
    let run = logs.audit(&[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout.contains("picture"), "{}", run.stdout);
}

#[test]
fn json_holds_the_whole_report_and_explain_tells_of_one_action() {
    let logs = Logs::with(HISTORY);
    let report = logs.audit(&["--json"]).json();
    assert_eq!(report["counts"]["ungoverned"], 1);
    assert_eq!(report["counts"]["human"], 1);
    assert_eq!(report["actions"][0]["verdict"], "ungoverned");
    assert_eq!(report["actions"][0]["reasons"][0], "no-record");
    let id = report["actions"][0]["id"].as_str().unwrap();
    let told = logs.audit(&["--explain", id]).stdout;
    assert!(told.contains("no approval record was found"), "{told}");
    assert!(told.contains("history.log, line 1"), "{told}");
    let quoted = "  | Commandline: /usr/bin/unattended-upgrade\n  | Upgrade: openssl:amd64";
    assert!(told.contains(quoted), "{told}");
    let explained = logs.audit(&["--explain", id, "--json"]).json();
    assert_eq!(explained["id"], id);
    assert_eq!(
        explained["quotes"][0]["lines"][3],
        "End-Date: 2026-11-02  06:10:05"
    );
    let sample = logs
        .audit(&["--sample", "25", "--seed", "3", "--json"])
        .json();
    assert_eq!(sample.as_array().unwrap().len(), 1);
}

#[test]
fn wrong_usage_says_what_to_do() {
    let logs = Logs::with(HISTORY);
    for (arguments, hint) in [
        (["--explain", "zzz"], "the ids stand in the report"),
        (["--since", "yesterday"], "30d"),
        (["--tz", "Mars/Olympus"], "Europe/Berlin"),
        (["--people", "/nonexistent"], "No such file"),
    ] {
        let path = logs.0.path().join("logs");
        let run = countersign(
            Path::new("/nonexistent"),
            &[&["audit", path.to_str().unwrap()][..], &arguments].concat(),
        );
        assert_eq!(run.code, 2, "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(hint), "{arguments:?}: {}", run.stderr);
    }
    let run = countersign(Path::new("/nonexistent"), &["audit", "/nonexistent/logs"]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    let formats = countersign(Path::new("/nonexistent"), &["audit", "formats"]).done();
    assert!(formats.stdout.contains("apt-history"), "{}", formats.stdout);
    let schema = countersign(Path::new("/nonexistent"), &["audit", "schema"]).done();
    assert_eq!(
        schema.stdout,
        include_str!("../../../../docs/schemas/audit-report.schema.json")
    );
}

#[test]
fn reports_are_written_beside_the_summary_whole_or_not_at_all() {
    let logs = Logs::with(HISTORY);
    let out = logs.0.path().join("out");
    fs::create_dir(&out).unwrap();
    let (csv, json) = (out.join("report.csv"), out.join("Report.JSON"));
    let html = out.join("report.html");
    fs::write(&csv, "from before").unwrap();
    let reports = [
        "--report",
        csv.to_str().unwrap(),
        "--report",
        json.to_str().unwrap(),
        "--report",
        html.to_str().unwrap(),
    ];
    let run = logs.audit(&reports);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stdout.contains("VERDICT: NO RECORDS"), "{}", run.stdout);
    assert!(run.stderr.contains("written: "), "{}", run.stderr);
    assert!(fs::read_to_string(&csv).unwrap().starts_with("change_id,"));
    let report: serde_json::Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    assert_eq!(report["counts"]["ungoverned"], 1);
    // Nothing else is left in the folder.
    assert_eq!(fs::read_dir(&out).unwrap().count(), 3);
    // The page tells how it was made.
    let page = fs::read_to_string(&html).unwrap();
    assert!(page.contains("--since 2026-11-01"), "{page}");
    // stdout is the data alone.
    let run = logs.audit(&["--format", "csv"]);
    assert_eq!(run.code, 1);
    assert_eq!(run.stdout, fs::read_to_string(&csv).unwrap());
}

/// Whoever reads a report while it is written, or after that was interrupted, has the one from before.
#[test]
fn a_report_that_was_interrupted_leaves_what_was_there() {
    use rustix::process::{Pid, Signal, kill_process};
    use std::os::unix::process::ExitStatusExt as _;
    let stanza = |n: usize| {
        let (day, second) = (1 + n % 28, n / 28 % 60);
        let minute = n / 28 / 60;
        format!(
            "Start-Date: 2026-11-{day:02}  06:{minute:02}:{second:02}\n\
             Commandline: /usr/bin/unattended-upgrade\nUpgrade: p{n}:amd64 (1, 2)\n\n"
        )
    };
    let logs = Logs::with(&(0..6_000).map(stanza).collect::<String>());
    let out = logs.0.path().join("out");
    fs::create_dir(&out).unwrap();
    let report = out.join("report.json");
    fs::write(&report, "from before").unwrap();
    let beside = || -> Vec<std::path::PathBuf> {
        let entries = fs::read_dir(&out)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        entries.filter(|path| *path != report).collect()
    };
    let folder = logs.0.path().join("logs");
    let nowhere = Path::new("/nonexistent");
    let words = [
        "audit",
        folder.to_str().unwrap(),
        "--report",
        report.to_str().unwrap(),
    ];
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let mut command = crate::program::command(nowhere, &[&words[..], &PERIOD].concat());
        command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let mut child = command.spawn().unwrap();
        // It is being written.
        while !beside()
            .iter()
            .any(|path| fs::metadata(path).is_ok_and(|file| file.len() > 0))
        {
            assert!(
                child.try_wait().unwrap().is_none(),
                "it was never seen being written"
            );
            std::thread::yield_now();
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(signal.as_raw()), "{status}");
        assert_eq!(fs::read_to_string(&report).unwrap(), "from before");
        for left in beside() {
            fs::remove_file(left).unwrap();
        }
    }
    let run = countersign(nowhere, &[&words[..], &PERIOD].concat());
    assert_eq!(run.code, 1, "{}", run.stderr);
    let whole: serde_json::Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    assert_eq!(whole["actions"].as_array().unwrap().len(), 6_000);
    assert_eq!(beside(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_report_that_cannot_be_written_is_refused_before_anything_is_read() {
    // A folder that is not there: had it been looked for, the message would be of it.
    let nowhere = ["audit", "/nonexistent/logs"];
    let taken = tempfile::tempdir().unwrap();
    let folder = taken.path().join("report.csv");
    fs::create_dir(&folder).unwrap();
    for (arguments, says) in [
        (&["--report", "report.pdf"][..], ".csv"),
        (&["--report", ".csv"], ".json"),
        (
            &["--report", "/nonexistent/report.csv"],
            "cannot be written",
        ),
        (&["--report", folder.to_str().unwrap()], "directory"),
        (&["--report", "a.csv", "--report", "a.csv"], "given twice"),
        (&["--format", "pdf"], "csv"),
        (&["--format", "csv", "--json"], "two forms"),
    ] {
        let run = countersign(Path::new("/nonexistent"), &[&nowhere, arguments].concat());
        assert_eq!(run.code, 2, "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(says), "{arguments:?}: {}", run.stderr);
        assert_eq!(run.stdout, "");
    }
}

#[test]
fn a_mapping_is_proposed_from_a_sample_and_can_be_used_as_it_is() {
    const JOBS: &str = "Job ID,Host,Start,Job,Run by,Ticket,Status\n\
        1,web-1,2026-11-05 02:00,Weekly patches,scheduler,CHG-7,Completed\n\
        2,web-2,2026-11-05 02:00,Weekly patches,scheduler,CHG-7,Failed\n";
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (sample, mapping) = (path("jobs.csv"), path("mapping.toml"));
    fs::write(&sample, JOBS).unwrap();
    let run = |arguments: &[&str]| countersign(Path::new("/nonexistent"), arguments);
    let proposed = run(&["audit", "init-mapping", &sample]);
    assert_eq!(proposed.code, 0, "{}", proposed.stderr);
    run(&["audit", "init-mapping", &sample, "--out", &mapping]).done();
    assert_eq!(fs::read_to_string(&mapping).unwrap(), proposed.stdout);
    // What is there is not overwritten.
    let again = run(&["audit", "init-mapping", &sample, "--out", &mapping]);
    assert_eq!(again.code, 2, "{}", again.stderr);
    let audit = ["audit", &sample, "--mapping", &mapping, "--json"];
    let report = run(&[&audit[..], &PERIOD].concat()).json();
    assert_eq!(report["counts"]["cannot_tell"], 1);
    assert_eq!(report["excluded"][0]["why"], "failed");
    assert_eq!(report["actions"][0]["system"], "web-1");
    // Nothing in it that could be a system or a time.
    fs::write(&sample, "colour,shape\nred,round\n").unwrap();
    let nothing = run(&["audit", "init-mapping", &sample]);
    assert_eq!(nothing.code, 1);
    assert!(
        nothing.stderr.contains("to be filled in: `system`"),
        "{}",
        nothing.stderr
    );
}
