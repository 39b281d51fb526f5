//! Events of real runs (cut down), and command lines.

use super::{AnsibleRunner, is_check};
use crate::audit::model::{Action, Exclusion, Nature, Reference, Row};
use crate::audit::reader::Taken;
use crate::audit::reader::testing::{self, actions, taken};
use serde_json::{Value, json};

const RUN: &str = include_str!("../../../../tests/fixtures/ansible/run.jsonl");

fn event(task: &str, name: &str) -> Value {
    let is = |event: &Value| event["event"] == name && event["event_data"]["task"] == task;
    let mut events = RUN.lines().map(|line| serde_json::from_str(line).unwrap());
    events.find(is).unwrap()
}

fn rows_of(mut record: Value, edits: &[(&str, Value)]) -> Vec<Row> {
    for (pointer, value) in edits {
        testing::set(&mut record, pointer, value.clone());
    }
    let (taken, mut rows) = taken(&AnsibleRunner, record.to_string().as_bytes());
    // Which run it is of is told beside what it did.
    rows.retain(|row| !matches!(row, Row::Run(_)));
    assert!(
        matches!(taken, Taken::Read(Some(_))),
        "{taken:?} of {record}"
    );
    rows
}

fn action(edits: &[(&str, Value)]) -> Action {
    actions(rows_of(event("Upgrade openssl", "runner_on_ok"), edits)).remove(0)
}

#[test]
fn a_task_that_changed_a_host_is_an_action() {
    let action = action(&[]);
    assert_eq!(
        (action.system.as_str(), action.summary.as_str()),
        ("web01", "command: Upgrade openssl")
    );
    assert_eq!(action.references, [Reference::Number("CHG0031337".into())]);
    assert_eq!(action.actor.nature, Nature::Automation);
    assert!(action.ended.unwrap().earliest > action.started.earliest);
}

#[test]
fn a_whole_run_comes_to_its_changes_and_nothing_else() {
    let mut found = Vec::new();
    let mut excluded = Vec::new();
    for line in RUN.lines() {
        let (taken, rows) = taken(&AnsibleRunner, line.as_bytes());
        assert!(matches!(taken, Taken::Read(Some(_))), "{taken:?} of {line}");
        for row in rows {
            match row {
                Row::Action(action) => found.push(format!("{} {}", action.system, action.summary)),
                Row::Excluded(why) => excluded.push(why),
                _ => {}
            }
        }
    }
    assert_eq!(
        found,
        [
            "web01 command: Upgrade openssl",
            "web01 command: Loop",
            // Where it was delegated to.
            "web02 command: Delegated",
            "web01 command: Always in check",
            "web01 command: Secret",
            "web01 shell: Run once",
            "web01 command: Async",
        ]
    );
    let count = |why| excluded.iter().filter(|one| **one == why).count();
    assert_eq!(
        [
            Exclusion::ReadOnly,
            Exclusion::Failed,
            Exclusion::Repeated,
            Exclusion::Other
        ]
        .map(count),
        [1, 2, 3, 1]
    );
}

#[test]
fn modules_of_settings_count_apart_and_unknown_ones_count() {
    for (module, counts) in [
        ("ansible.builtin.apt", true),
        ("acme.patching.upgrade", true),
        ("ansible.builtin.template", false),
        ("ansible.builtin.service", false),
    ] {
        let rows = rows_of(
            event("Upgrade openssl", "runner_on_ok"),
            &[("/event_data/resolved_action", json!(module))],
        );
        let action = rows.iter().any(|row| matches!(row, Row::Action(_)));
        assert_eq!(action, counts, "{module}");
    }
    let apt = action(&[
        ("/event_data/resolved_action", json!("ansible.builtin.apt")),
        (
            "/event_data/res/invocation/module_args",
            json!({"name": ["openssl", "curl"], "password": "x"}),
        ),
    ]);
    assert_eq!(apt.items, ["openssl", "curl"]);
    // What is not told has the older name.
    let old = action(&[("/event_data/resolved_action", Value::Null)]);
    assert_eq!(old.summary, "command: Upgrade openssl");
}

#[test]
fn what_a_task_hides_counts_unless_it_says_that_nothing_changed() {
    let secret = event("Secret", "runner_on_ok");
    assert!(matches!(rows_of(secret.clone(), &[])[..], [Row::Action(_)]));
    let unprinted = rows_of(secret.clone(), &[("/stdout", json!(""))]);
    assert!(matches!(unprinted[..], [Row::Action(_)]));
    let same = rows_of(secret, &[("/stdout", json!("\u{1b}[0;32mok: [web01]"))]);
    assert_eq!(same, [Row::Excluded(Exclusion::ReadOnly)]);
}

#[test]
fn commands_name_changes_but_are_not_kept() {
    let cmd = json!([
        "apt-get",
        "-o",
        "Countersign::Authorization=csa_01JD8Z",
        "--password=secret"
    ]);
    let found = action(&[("/event_data/res/cmd", cmd)]);
    let ours = Reference::Countersign("csa_01JD8Z".into());
    assert!(found.references.contains(&ours));
    assert!(!format!("{found:?}").contains("secret"));
}

#[test]
fn a_command_line_says_whether_it_is_a_dry_run() {
    for (words, dry) in [
        ("-i hosts patch.yml", false),
        ("--check patch.yml", true),
        ("--chec patch.yml", true),
        ("-C patch.yml", true),
        ("-vvC patch.yml", true),
        ("-vDC patch.yml", true),
        ("-eC=1 patch.yml", false),
        ("-e -C patch.yml", false),
        ("-l --check patch.yml", false),
        ("--limit --check patch.yml", false),
        ("--limit=web --check patch.yml", true),
        ("--connection local patch.yml", false),
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        assert_eq!(is_check(&words), dry, "{words:?}");
    }
    let command = json!({
        "command": ["podman", "run", "image", "/usr/bin/ansible-playbook", "-e", "change=CHG0031337", "--check", "p.yml"],
        "cwd": "/srv/play", "env": {"AWS_SECRET_ACCESS_KEY": "secret"}
    });
    let (read, rows) = taken(&AnsibleRunner, command.to_string().as_bytes());
    assert_eq!(read, Taken::Read(None));
    let [Row::Run(run)] = &rows[..] else {
        panic!("{rows:?}")
    };
    assert!(run.told.known && run.told.dry_run);
    assert_eq!(
        run.told.references,
        [Reference::Number("CHG0031337".into())]
    );
    assert!(!format!("{rows:?}").contains("secret"));
    let other = json!({"command": ["rm", "-rf", "ansibles"], "cwd": "/", "env": {}});
    assert_eq!(
        taken(&AnsibleRunner, other.to_string().as_bytes()).0,
        Taken::NotMine
    );
}

#[test]
fn times_of_older_runners_are_utc() {
    let started = action(&[
        ("/event_data/start", Value::Null),
        ("/created", json!("2026-05-02T03:00:00.123456")),
    ])
    .started;
    assert_eq!(started.earliest.to_string(), "2026-05-02T03:00:00.123Z");
    for (pointer, value) in [
        ("/event_data/start", json!("soon")),
        ("/event_data", json!({})),
    ] {
        let mut record = event("Upgrade openssl", "runner_on_ok");
        testing::set(&mut record, pointer, value);
        testing::set(&mut record, "/created", json!("now"));
        let (taken, rows) = taken(&AnsibleRunner, record.to_string().as_bytes());
        assert!(matches!(taken, Taken::Unreadable(_)) && rows.is_empty());
    }
}

#[test]
fn hostile_records_are_read_or_refused() {
    testing::check_hostile(&AnsibleRunner, &event("Delegated", "runner_on_ok"));
    testing::check_hostile(
        &AnsibleRunner,
        &event("Upgrade openssl", "runner_on_unreachable"),
    );
    let hostile = json!("\u{1b}[31m<script>\u{202e}\u{0}\n".repeat(100));
    let found = action(&[
        ("/event_data/host", hostile.clone()),
        ("/event_data/task", hostile),
    ]);
    for text in [found.system, found.summary] {
        assert!(
            !text.contains(['\u{1b}', '\u{202e}', '\u{0}', '\n']),
            "{text}"
        );
    }
}
