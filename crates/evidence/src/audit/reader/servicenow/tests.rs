//! Change requests and approvals, in each of the shapes in which they are exported.

use super::{ServiceNow, from_csv_row};
use crate::audit::model::{
    ChangeKind, Exclusion, FileNumber, Nature, Outcome, Place, Plan, Reference, Row,
};
use crate::audit::moment::Moment;
use crate::audit::reader::testing::{self, changes, decisions, taken};
use crate::audit::reader::{Context, Taken};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

const ID: &str = "0123456789abcdef0123456789abcdef";

fn pair(shown: &str, value: &str) -> Value {
    json!({"display_value": shown, "value": value})
}

fn change() -> Value {
    json!({
        "sys_id": pair(ID, ID), "number": pair("CHG0070003", "CHG0070003"),
        "sys_class_name": pair("Change Request", "change_request"),
        "type": pair("Normal", "normal"), "state": pair("Implement", "-1"),
        "approval": pair("Approved", "approved"),
        "requested_by": pair("Patch Agent", "aaaa0000aaaa0000aaaa0000aaaa0000"),
        "opened_by": pair("Ines Roth", "bbbb0000bbbb0000bbbb0000bbbb0000"),
        "start_date": pair("2026-05-02 05:00:00", "2026-05-02 03:00:00"),
        "end_date": pair("2026-05-02 07:00:00", "2026-05-02 05:00:00"),
        "work_start": pair("2026-05-02 05:10:00", "2026-05-02 03:10:00"),
        "cmdb_ci": pair("cart-1", "cccc0000cccc0000cccc0000cccc0000"),
        "backout_plan": pair("", ""), "test_plan": pair("smoke test", "smoke test"),
        "correlation_id": pair("csa_99EF", "csa_99EF"),
        "sys_created_on": pair("2026-05-01 12:00:00", "2026-05-01 10:00:00")
    })
}

fn approval() -> Value {
    json!({
        "sysapproval": pair("CHG0070003", ID), "group": pair("", ""),
        "approver": pair("Ines Roth", "bbbb0000bbbb0000bbbb0000bbbb0000"),
        "state": pair("Approved", "approved"),
        "sys_created_on": pair("2026-05-01 13:00:00", "2026-05-01 11:00:00"),
        "sys_updated_on": pair("2026-05-01 14:00:00", "2026-05-01 12:00:00"),
        "sys_updated_by": pair("ines.roth", "ines.roth")
    })
}

fn rows_of(mut record: Value, changes: &[(&str, Value)]) -> Vec<Row> {
    for (pointer, value) in changes {
        testing::set(&mut record, pointer, value.clone());
    }
    let (taken, mut rows) = taken(&ServiceNow, record.to_string().as_bytes());
    assert!(matches!(taken, Taken::Read(_)), "{taken:?}");
    // Which number is which id's is told beside them.
    rows.retain(|row| !matches!(row, Row::Same { .. }));
    rows
}

fn at(text: &str) -> Moment {
    Moment::parse(text).unwrap()
}

/// The record with the one half of each pair.
fn half(record: &Value, of: &str) -> Value {
    let fields = record.as_object().unwrap().iter();
    fields
        .map(|(name, pair)| (name.clone(), pair[of].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn a_change_request_is_read_with_times_in_utc() {
    let rows = rows_of(change(), &[]);
    assert_eq!(rows.len(), 1);
    let change = &changes(&rows)[0];
    assert_eq!(change.key, format!("servicenow:{ID}"));
    assert_eq!(
        (change.number.as_str(), change.kind),
        ("CHG0070003", ChangeKind::Normal)
    );
    assert_eq!(
        change.window,
        Some((at("2026-05-02T03:00:00Z"), at("2026-05-02T05:00:00Z")))
    );
    assert_eq!(change.targets, ["cart-1"]);
    assert_eq!(
        (change.test, change.rollback, change.withdrawn),
        (Plan::Given, Plan::Missing, false)
    );
    let names: Vec<_> = change
        .requesters
        .iter()
        .map(|one| (one.name.as_str(), one.also.len()))
        .collect();
    assert_eq!(names, [("Patch Agent", 1), ("Ines Roth", 1)]);
    assert_eq!(
        change.references,
        [
            Reference::Number("CHG0070003".to_owned()),
            Reference::Countersign("csa_99EF".to_owned())
        ]
    );
}

#[test]
fn values_alone_are_utc_and_what_is_shown_alone_is_local() {
    let context = Context {
        one_host: false,
        zone: TimeZone::get("Europe/Berlin").unwrap(),
        host: String::new(),
        mappings: Vec::new(),
        genesis: None,
        memory: crate::audit::MEMORY_DEFAULT,
    };
    for (of, plan) in [("value", Plan::Missing), ("display_value", Plan::Missing)] {
        let record = half(&change(), of).to_string();
        let mut rows = Vec::new();
        let record = crate::audit::reader::Record {
            bytes: record.as_bytes(),
            place: place(),
        };
        let taken =
            crate::audit::reader::JsonReader::take(&ServiceNow, record, &context, &mut rows);
        assert_eq!(taken, Taken::Read(Some(at("2026-05-01T10:00:00Z"))));
        let change = changes(&rows).remove(0);
        assert_eq!(change.window.unwrap().0, at("2026-05-02T03:00:00Z"), "{of}");
        assert_eq!(
            (change.key, change.rollback),
            (format!("servicenow:{ID}"), plan)
        );
    }
}

fn place() -> Place {
    Place {
        file: FileNumber(0),
        offset: 0,
        line: None,
    }
}

#[test]
fn what_was_rejected_or_cancelled_is_withdrawn() {
    for (pointer, value) in [
        ("/approval", pair("Rejected", "rejected")),
        ("/state", pair("Canceled", "4")),
        ("/state", json!("Cancelled")),
    ] {
        assert!(changes(&rows_of(change(), &[(pointer, value)]))[0].withdrawn);
    }
}

#[test]
fn a_standard_change_approves_nothing_by_itself() {
    let template = pair("Restart web tier - 2", "dddd0000dddd0000dddd0000dddd0000");
    let rows = rows_of(
        change(),
        &[
            ("/type", pair("Standard", "standard")),
            ("/std_change_producer_version", template),
        ],
    );
    assert!(matches!(&rows[..], [Row::Change(change)] if change.kind == ChangeKind::Standard));
}

#[test]
fn a_window_with_one_end_is_open_at_the_other() {
    let empty = pair("", "");
    let of = |pointer| {
        changes(&rows_of(change(), &[(pointer, empty.clone())]))[0]
            .window
            .unwrap()
    };
    assert_eq!(of("/start_date").1, at("2026-05-02T05:00:00Z"));
    assert!(of("/end_date").1 > at("9000-01-01T00:00:00Z"));
    let none = [("/start_date", empty.clone()), ("/end_date", empty.clone())];
    assert_eq!(changes(&rows_of(change(), &none))[0].window, None);
}

#[test]
fn an_approval_is_a_decision_of_its_approver() {
    let decision = decisions(&rows_of(approval(), &[])).remove(0);
    assert_eq!(decision.change, changes(&rows_of(change(), &[]))[0].key);
    assert_eq!(
        (decision.approver.name.as_str(), decision.approver.nature),
        ("Ines Roth", Nature::Person)
    );
    assert_eq!(decision.decided, Some(at("2026-05-01T12:00:00Z")));
    assert_eq!(
        (decision.outcome, decision.entered_by),
        (Outcome::Approved, None)
    );
    for waiting in ["requested", "not_required", "cancelled", ""] {
        let rows = rows_of(approval(), &[("/state", pair("", waiting))]);
        assert_eq!(rows, [Row::Excluded(Exclusion::Other)], "{waiting}");
    }
    let no = rows_of(approval(), &[("/state", pair("Rejected", "rejected"))]);
    assert_eq!(decisions(&no)[0].outcome, Outcome::Rejected);
}

#[test]
fn who_entered_it_is_told_unless_it_seems_the_approver() {
    for (by, told) in [
        ("ines.roth", false),
        ("Ines.Roth@example.com", false),
        ("iroth", true),
        ("roth.ines", true),
        ("admin", true),
        ("ines.roth2", true),
        ("", false),
    ] {
        let decision =
            decisions(&rows_of(approval(), &[("/sys_updated_by", pair(by, by))])).remove(0);
        assert_eq!(
            decision.entered_by.map(|by| by.name),
            told.then(|| by.to_owned())
        );
    }
}

#[test]
fn a_groups_approval_is_nobodys() {
    let rows = rows_of(
        approval(),
        &[
            ("/approver", pair("", "")),
            ("/group", pair("CAB", "eeee0000eeee0000eeee0000eeee0000")),
        ],
    );
    let approver = &decisions(&rows)[0].approver;
    assert_eq!(
        (approver.name.as_str(), approver.nature),
        ("CAB", Nature::Group)
    );
}

#[test]
fn rows_of_a_csv_export_are_linked_by_number() {
    let context = Context {
        one_host: false,
        zone: TimeZone::get("Europe/Berlin").unwrap(),
        host: String::new(),
        mappings: Vec::new(),
        genesis: None,
        memory: crate::audit::MEMORY_DEFAULT,
    };
    let mut rows = Vec::new();
    for row in [
        &[
            ("Number", "CHG0070003"),
            ("sys_id", ID),
            ("Type", "Emergency"),
            ("State", "Implement"),
            ("Configuration item", "cart-1"),
            ("Planned start date", "2026-05-02 05:00:00"),
            ("Planned end date", "2026-05-02 07:00:00"),
            ("Backout plan", "reinstall"),
        ][..],
        &[
            ("sysapproval", "CHG0070003"),
            ("approver", "Ines Roth"),
            ("state", "Approved"),
            ("sys_updated_on", "2026-05-01 14:00:00"),
            ("sys_updated_by", "banker"),
        ],
    ] {
        assert!(matches!(
            from_csv_row(row, place(), &context, &mut rows),
            Taken::Read(_)
        ));
    }
    let (change, decision) = (&changes(&rows)[0], &decisions(&rows)[0]);
    assert_eq!(change.key, decision.change);
    assert_eq!(
        (change.kind, change.rollback, change.test),
        (ChangeKind::Emergency, Plan::Given, Plan::NotKept)
    );
    assert_eq!(change.window.unwrap().0, at("2026-05-02T03:00:00Z"));
    assert_eq!(decision.decided, Some(at("2026-05-01T12:00:00Z")));
    assert_eq!(
        decision.entered_by.as_ref().map(|by| by.name.as_str()),
        Some("banker")
    );
    let other = from_csv_row(
        &[("name", "x"), ("email", "y")],
        place(),
        &context,
        &mut rows,
    );
    assert_eq!(other, Taken::NotMine);
}

#[test]
fn hostile_records_are_read_or_refused() {
    testing::check_hostile(&ServiceNow, &change());
    testing::check_hostile(&ServiceNow, &approval());
    for (record, pointer) in [(change(), "/start_date"), (approval(), "/sys_updated_on")] {
        let mut record = record;
        testing::set(&mut record, pointer, pair("soon", "soon"));
        let (taken, rows) = taken(&ServiceNow, record.to_string().as_bytes());
        assert!(
            matches!(taken, Taken::Unreadable(_)) && rows.is_empty(),
            "{pointer}"
        );
    }
    let mut incident = change();
    testing::set(&mut incident, "/number", pair("INC0000001", "INC0000001"));
    testing::set(
        &mut incident,
        "/sys_class_name",
        pair("Incident", "incident"),
    );
    assert_eq!(
        taken(&ServiceNow, incident.to_string().as_bytes()).0,
        Taken::NotMine
    );
}
