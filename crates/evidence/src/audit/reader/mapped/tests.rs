//! Exports of patch tools (of our own making, in the shape of theirs), by mappings.

use super::{from_csv_row, from_json, knows};
use crate::audit::mapping::{Mapping, MappingError};
use crate::audit::model::{Exclusion, FileNumber, Nature, Outcome, Place, Plan, Reference, Row};
use crate::audit::reader::testing::{actions, changes, decisions};
use crate::audit::reader::{Context, Record, Taken};
use serde_json::{Value, json};

const PLACE: Place = Place {
    file: FileNumber(0),
    offset: 0,
    line: Some(1),
};

const JOBS: &str = r#"
kind = "action"
time = "%d/%m/%Y %H:%M"

[fields]
id = "Job ID"
system = "Host"
started = "Start"
ended = "End"
summary = "Job"
items = "Patches"
actor = "Run by"
references = ["Ticket", "Comment"]

[marks.automation]
"Run by" = ["SYSTEM", "scheduler"]

[marks.failed]
Status = ["Failed", "Error"]

[marks.dry-run]
Mode = ["Assess"]
"#;

const JOB: [(&str, &str); 10] = [
    ("Job ID", "7"),
    ("Host", "web-1"),
    ("Start", "05/11/2026 02:00"),
    ("End", "05/11/2026 02:05"),
    ("Job", "Weekly patches"),
    ("Patches", "KB5001;KB5002"),
    ("Run by", "scheduler"),
    ("Ticket", "CHG0031337"),
    ("Status", "Completed"),
    ("Mode", "Install"),
];

const TICKETS: &str = r#"
kind = "change"
[fields]
number = "ticket.key"
targets = "ticket.hosts"
from = "/ticket/window/0"
until = "/ticket/window/1"
requester = "ticket.by"
rollback = "ticket.backout"
[marks.withdrawn]
"ticket.state" = ["cancelled"]
[marks.emergency]
"ticket.type" = ["emergency"]
"#;

const VOTES: &str = r#"
kind = "decision"
time = "epoch-ms"
[fields]
change = "on"
approver = "who.mail"
decided = "at"
[marks.approved]
vote = ["yes"]
[marks.rejected]
vote = ["no"]
[marks.automation]
"who.bot" = ["true"]
"#;

fn context(mappings: &[&str]) -> Context {
    let mappings = mappings.iter().map(|text| Mapping::read(text).unwrap());
    let context = Context::new(Some("Europe/Berlin"), "here").unwrap();
    context.with_mappings(mappings.collect())
}

fn row(edits: &[(&str, &'static str)]) -> (Taken, Vec<Row>) {
    let mut cells = JOB;
    for (name, value) in edits {
        cells.iter_mut().find(|(one, _)| one == name).unwrap().1 = value;
    }
    let mut rows = Vec::new();
    let taken = from_csv_row(&cells, PLACE, &context(&[JOBS]), &mut rows);
    (taken, rows)
}

fn record(value: &Value) -> (Taken, Vec<Row>) {
    let mut rows = Vec::new();
    let text = value.to_string();
    let record = Record {
        bytes: text.as_bytes(),
        place: PLACE,
    };
    let taken = from_json(record, &context(&[TICKETS, VOTES]), &mut rows);
    (taken, rows)
}

fn ticket() -> Value {
    json!({"ticket": {
        "key": "chg-7", "hosts": ["web-1", "web-2"], "by": "patch-bot", "backout": "",
        "window": ["2026-11-05T01:00:00Z", "2026-11-05T04:00:00Z"], "state": "open", "type": "normal"
    }})
}

fn vote() -> Value {
    json!({"on": "CHG-7", "who": {"mail": "ada@example.org", "bot": false}, "vote": "yes", "at": 1_793_800_000_000_i64})
}

#[test]
fn a_row_is_what_its_mapping_says() {
    let (taken, rows) = row(&[]);
    assert!(matches!(taken, Taken::Read(Some(_))), "{taken:?}");
    let action = actions(rows).remove(0);
    assert_eq!(
        (action.system.as_str(), action.summary.as_str()),
        ("web-1", "Weekly patches")
    );
    // A local time, in the zone of the audit.
    assert_eq!(action.started.earliest.to_string(), "2026-11-05T01:00:00Z");
    assert_eq!(action.items, ["KB5001", "KB5002"]);
    assert_eq!(action.actor.nature, Nature::Automation);
    assert_eq!(action.references, [Reference::Number("CHG0031337".into())]);
    let by_hand = actions(row(&[("Run by", "ada")]).1).remove(0);
    assert_eq!(by_hand.actor.nature, Nature::Person);
    for (column, value, why) in [
        ("Status", "failed", Exclusion::Failed),
        ("Mode", " assess ", Exclusion::DryRun),
    ] {
        assert_eq!(row(&[(column, value)]).1, [Row::Excluded(why)]);
    }
    for (column, value) in [
        ("Start", "soon"),
        ("Start", ""),
        ("Host", ""),
        ("End", "2026"),
    ] {
        let (taken, rows) = row(&[(column, value)]);
        assert!(matches!(taken, Taken::Unreadable(_)), "{column} {taken:?}");
        assert!(rows.is_empty(), "{column}");
    }
}

#[test]
fn objects_are_read_by_their_paths() {
    let change = changes(&record(&ticket()).1).remove(0);
    let decision = decisions(&record(&vote()).1).remove(0);
    assert_eq!(change.key, decision.change);
    assert_eq!(change.targets, ["web-1", "web-2"]);
    assert_eq!(change.references, [Reference::Number("CHG-7".into())]);
    assert_eq!(
        (change.rollback, change.test),
        (Plan::Missing, Plan::NotKept)
    );
    assert!(change.window.is_some() && !change.withdrawn);
    assert_eq!(decision.outcome, Outcome::Approved);
    assert_eq!(decision.approver.nature, Nature::Person);
    let with = |edit: fn(&mut Value)| {
        let mut vote = vote();
        edit(&mut vote);
        record(&vote).1
    };
    let no = with(|vote| vote["vote"] = json!("no"));
    assert_eq!(decisions(&no)[0].outcome, Outcome::Rejected);
    let bot = with(|vote| vote["who"]["bot"] = json!(true));
    assert_eq!(decisions(&bot)[0].approver.nature, Nature::Automation);
    let open = with(|vote| vote["vote"] = json!("maybe"));
    assert_eq!(open, [Row::Excluded(Exclusion::Other)]);
    let untimed = with(|vote| vote["at"] = Value::Null);
    assert_eq!(decisions(&untimed)[0].decided, None);
    let mut cancelled = ticket();
    cancelled["ticket"]["state"] = json!("Cancelled");
    assert!(changes(&record(&cancelled).1)[0].withdrawn);
    assert_eq!(record(&json!({"on": "x"})).0, Taken::NotMine);
}

#[test]
fn hostile_values_are_bounded_and_harmless() {
    let long = "\u{1b}[31m\u{202e}<script>\n".repeat(50_000);
    for path in ["on", "vote", "at"] {
        for value in [
            json!(long),
            json!([[long]]),
            json!({"a": long}),
            json!(1e300),
        ] {
            let mut vote = vote();
            vote[path] = value;
            let (_, rows) = record(&vote);
            let text = format!("{rows:?}");
            assert!(text.len() < 10_000, "{path}");
            assert!(!text.contains(['\u{1b}', '\u{202e}']));
        }
    }
}

#[test]
fn a_table_is_known_by_the_columns_that_must_be_there() {
    let columns = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    let context = context(&[JOBS]);
    assert!(knows(&columns(&["host", "START", "x"]), &context));
    assert!(!knows(&columns(&["host"]), &context));
    let required = JOBS.replace(
        "kind = \"action\"",
        "kind = \"action\"\nrequires = [\"Job ID\"]",
    );
    let context = self::context(&[&required]);
    assert!(!knows(&columns(&["host", "start"]), &context));
}

#[test]
fn a_mapping_that_cannot_be_used_says_what_to_do() {
    let error = |text: &str| Mapping::read(text).unwrap_err();
    let missing = error("kind = \"action\"\n[fields]\nsystem = \"Host\"\n");
    assert!(missing.to_string().contains("needs `started`"), "{missing}");
    let typo = error("kind = \"action\"\n[fields]\nsytem = \"Host\"\n");
    assert!(
        typo.to_string().contains("line 3") || typo.to_string().contains("sytem"),
        "{typo}"
    );
    assert!(matches!(
        error("kind = \"act\"\n[fields]\n"),
        MappingError::Toml(_)
    ));
    let time = error(&JOBS.replace("%d/%m/%Y %H:%M", "DD.MM.YYYY"));
    assert_eq!(time, MappingError::Time("DD.MM.YYYY".into()));
    assert_eq!(
        error("kind = \"decision\"\n[fields]\nchange = \"a\"\napprover = \"b\"\n"),
        MappingError::Outcome
    );
    let constant = "kind = \"action\"\n[fields]\nstarted = \"at\"\n[constants]\nsystem = \"web\"\n";
    assert!(Mapping::read(constant).is_ok());
}
