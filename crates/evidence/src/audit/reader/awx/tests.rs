//! Jobs, events and approvals, in the documented shape.

use super::Awx;
use crate::audit::model::{Exclusion, Nature, Outcome, Reference, Row};
use crate::audit::reader::Taken;
use crate::audit::reader::testing::{self, changes, decisions, taken};
use crate::audit::runs::{Run, RunKey};
use serde_json::{Value, json};

fn job() -> Value {
    json!({
        "id": 42, "type": "job", "url": "/api/v2/jobs/42/", "name": "Patch web", "description": "",
        "status": "successful", "job_type": "run", "playbook": "patch.yml", "limit": "web01,web02",
        "created": "2026-05-02T02:59:00.000000Z", "started": "2026-05-02T03:00:00.000000Z",
        "finished": "2026-05-02T03:05:00.000000Z", "launch_type": "workflow",
        "launched_by": {"id": 12, "name": "Patch weekly", "type": "workflow_job"},
        "extra_vars": "{\"change\": \"CHG0031337\"}", "job_args": "[\"ansible-playbook\", \"-u\", \"root\", \"patch.yml\"]",
        "host_status_counts": {"changed": 2, "ok": 0},
        "summary_fields": {
            "inventory": {"id": 2, "name": "production"}, "created_by": {"id": 1, "username": "ben"},
            "source_workflow_job": {"id": 12, "name": "Patch weekly", "status": "running"}
        }
    })
}

fn approval() -> Value {
    json!({
        "id": 43, "type": "workflow_approval", "url": "/api/v2/workflow_approvals/43/",
        "name": "May we?", "status": "successful", "launch_type": "workflow", "timed_out": false,
        "created": "2026-05-02T01:00:00.000000Z", "started": "2026-05-02T01:00:00.000000Z",
        "finished": "2026-05-02T02:00:00.000000Z",
        "summary_fields": {
            "source_workflow_job": {"id": 12, "name": "Patch weekly"},
            "workflow_job": {"id": 12, "name": "Patch weekly"},
            "created_by": {"id": 1, "username": "ben"},
            "approved_or_denied_by": {"id": 3, "username": "ada"}
        }
    })
}

fn rows_of(mut record: Value, edits: &[(&str, Value)]) -> Vec<Row> {
    for (pointer, value) in edits {
        testing::set(&mut record, pointer, value.clone());
    }
    let (taken, rows) = taken(&Awx, record.to_string().as_bytes());
    assert!(matches!(taken, Taken::Read(_)), "{taken:?} of {record}");
    rows
}

fn run_of(edits: &[(&str, Value)]) -> Run {
    let run = |row| match row {
        Row::Run(run) => Some(*run),
        _ => None,
    };
    rows_of(job(), edits).into_iter().find_map(run).unwrap()
}

#[test]
fn a_job_tells_of_its_run() {
    let run = run_of(&[]);
    assert_eq!(run.by, RunKey::Native("awx job 42 Patch web\u{1f}0".into()));
    assert!(run.told.known && !run.told.dry_run && !run.told.events);
    let systems: Vec<_> = run.told.actions.iter().map(|one| &one.system).collect();
    assert_eq!(systems, ["web01", "web02"]);
    assert_eq!(
        run.told.references,
        [
            Reference::Native("awx job 42 Patch web\u{1f}0".into()),
            Reference::Native("awx workflow job 12 Patch weekly\u{1f}0".into()),
            Reference::Number("CHG0031337".into())
        ]
    );
    for limit in ["", "all", "web*", "web:!web01", "~web", "web[1:2]"] {
        let run = run_of(&[("/limit", json!(limit))]);
        let expected = format!("inventory production {limit}");
        assert_eq!(run.told.actions.len(), 1);
        assert_eq!(run.told.actions[0].system, expected.trim(), "{limit}");
    }
}

#[test]
fn who_started_it_is_a_person_only_by_hand() {
    let user = json!({"id": 1, "name": "ben", "type": "user"});
    for (launch, by, nature) in [
        ("manual", user.clone(), Nature::Person),
        ("relaunch", user.clone(), Nature::Person),
        ("manual", Value::Null, Nature::Person),
        (
            "manual",
            json!({"name": "x", "type": "webhook"}),
            Nature::Unclear,
        ),
        ("scheduled", user.clone(), Nature::Automation),
        ("workflow", user.clone(), Nature::Automation),
        ("webhook", Value::Null, Nature::Automation),
        ("unheard of", user, Nature::Automation),
    ] {
        let run = run_of(&[("/launch_type", json!(launch)), ("/launched_by", by)]);
        let actor = run.told.actor.unwrap();
        assert_eq!(actor.nature, nature, "{launch}");
        assert_eq!(actor.name == "ben", nature == Nature::Person);
    }
}

#[test]
fn dry_runs_failures_and_updates_are_no_actions() {
    let counts = json!({"ok": 2});
    let partly = json!({"changed": 1, "failures": 1});
    for (edits, why) in [
        (vec![("/job_type", json!("check"))], Some(Exclusion::DryRun)),
        (
            vec![(
                "/job_args",
                json!("[\"ansible-playbook\", \"--check\", \"p.yml\"]"),
            )],
            Some(Exclusion::DryRun),
        ),
        (
            vec![
                ("/status", json!("failed")),
                ("/host_status_counts", Value::Null),
            ],
            Some(Exclusion::Failed),
        ),
        (
            vec![
                ("/status", json!("canceled")),
                ("/host_status_counts", counts.clone()),
            ],
            Some(Exclusion::Failed),
        ),
        (
            vec![("/host_status_counts", counts)],
            Some(Exclusion::ReadOnly),
        ),
        (
            vec![("/started", Value::Null), ("/status", json!("pending"))],
            Some(Exclusion::Other),
        ),
        // Some of it happened.
        (
            vec![
                ("/status", json!("failed")),
                ("/host_status_counts", partly),
            ],
            None,
        ),
        (vec![("/host_status_counts", Value::Null)], None),
    ] {
        let rows = rows_of(job(), &edits);
        let excluded: Vec<_> = rows
            .iter()
            .filter_map(|row| match row {
                Row::Excluded(why) => Some(*why),
                _ => None,
            })
            .collect();
        assert_eq!(excluded, Vec::from_iter(why), "{edits:?}");
        let run = run_of(&edits);
        assert_eq!(run.told.actions.is_empty(), why.is_some());
        assert_eq!(run.told.dry_run, why == Some(Exclusion::DryRun));
    }
    for kind in ["project_update", "inventory_update", "workflow_job"] {
        let rows = rows_of(job(), &[("/type", json!(kind))]);
        assert_eq!(rows, [Row::Excluded(Exclusion::Other)]);
    }
}

#[test]
fn an_approval_is_of_the_run_of_its_workflow() {
    let rows = rows_of(approval(), &[]);
    let (change, decision) = (&changes(&rows)[0], &decisions(&rows)[0]);
    assert_eq!(change.key, decision.change);
    let workflow = Reference::Native("awx workflow job 12 Patch weekly\u{1f}0".into());
    assert_eq!(change.references, [workflow]);
    assert_eq!(change.requesters[0].name, "ben");
    assert_eq!(
        (decision.approver.name.as_str(), decision.outcome),
        ("ada", Outcome::Approved)
    );
    assert!(decision.decided.is_some());
    let denied = rows_of(approval(), &[("/status", json!("failed"))]);
    assert_eq!(decisions(&denied)[0].outcome, Outcome::Rejected);
    let late = rows_of(approval(), &[("/timed_out", json!(true))]);
    assert_eq!(decisions(&late)[0].approver.nature, Nature::Automation);
    let by = "/summary_fields/approved_or_denied_by";
    let unnamed = rows_of(approval(), &[(by, Value::Null)]);
    assert_eq!(decisions(&unnamed)[0].approver.nature, Nature::Unclear);
    let pending = rows_of(approval(), &[("/status", json!("pending"))]);
    assert!(decisions(&pending).is_empty());
    let canceled = rows_of(approval(), &[("/status", json!("canceled"))]);
    assert!(changes(&canceled)[0].withdrawn);
    let mut lost = approval();
    testing::set(&mut lost, "/summary_fields", json!({}));
    let (taken, rows) = taken(&Awx, lost.to_string().as_bytes());
    assert!(matches!(taken, Taken::Unreadable(_)) && rows.is_empty());
}

#[test]
fn hostile_records_are_read_or_refused() {
    testing::check_hostile(&Awx, &job());
    testing::check_hostile(&Awx, &approval());
    let event = json!({
        "id": 7, "type": "job_event", "event": "runner_on_ok", "created": "2026-05-02T03:01:00Z",
        "event_data": {"task": "upgrade", "task_action": "apt", "host": "web01", "res": {"changed": true}},
        "job": 42, "summary_fields": {"job": {"id": 42, "name": "Patch web"}}, "changed": true
    });
    testing::check_hostile(&Awx, &event);
    let limit: String = (0..10_000).map(|n| format!("web{n},")).collect();
    assert_eq!(run_of(&[("/limit", json!(limit))]).told.actions.len(), 1);
}
