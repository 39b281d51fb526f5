//! What the tests of all readers share.

use super::{Context, JsonReader, Record, Taken};
use crate::audit::model::{Action, Change, Decision, FileNumber, Place, Row};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

pub(super) fn taken(reader: &dyn JsonReader, bytes: &[u8]) -> (Taken, Vec<Row>) {
    let place = Place {
        file: FileNumber(0),
        offset: 0,
        line: Some(1),
    };
    let context = Context {
        one_host: false,
        zone: TimeZone::UTC,
        host: "test".to_owned(),
        mappings: Vec::new(),
        genesis: None,
        memory: crate::audit::MEMORY_DEFAULT,
    };
    let mut rows = Vec::new();
    let taken = reader.take(Record { bytes, place }, &context, &mut rows);
    (taken, rows)
}

pub(super) fn actions(rows: Vec<Row>) -> Vec<Action> {
    let of = |row| match row {
        Row::Action(action) => Some(*action),
        _ => None,
    };
    rows.into_iter().filter_map(of).collect()
}

pub(super) fn changes(rows: &[Row]) -> Vec<Change> {
    let of = |row: &Row| match row {
        Row::Change(change) => Some((**change).clone()),
        _ => None,
    };
    rows.iter().filter_map(of).collect()
}

pub(super) fn decisions(rows: &[Row]) -> Vec<Decision> {
    let of = |row: &Row| match row {
        Row::Decision(decision) => Some((**decision).clone()),
        _ => None,
    };
    rows.iter().filter_map(of).collect()
}

/// Sets what a pointer names; the last part of it may be new.
pub(super) fn set(value: &mut Value, pointer: &str, new: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let name = name.replace("~1", "/").replace("~0", "~");
    match value.pointer_mut(parent).unwrap() {
        Value::Array(list) => list[name.parse::<usize>().unwrap()] = new,
        object => object[name] = new,
    }
}

/// Each field in turn becomes something of another type, deep or long; the record is cut at every
/// byte. Nothing may panic, and what is read stays small.
pub(super) fn check_hostile(reader: &dyn JsonReader, good: &Value) {
    let deep = "[".repeat(4000) + &"]".repeat(4000);
    let mut fields = Vec::new();
    paths(good, "", &mut fields);
    assert!(fields.len() > 3);
    for field in fields {
        for wrong in [
            json!(null),
            json!(-1),
            json!(2.5),
            json!(true),
            json!(""),
            json!([[]]),
            json!({"a": [{}]}),
            json!("x".repeat(100_000)),
        ] {
            let mut record = good.clone();
            set(&mut record, &field, wrong);
            let (_, rows) = taken(reader, record.to_string().as_bytes());
            assert!(format!("{rows:?}").len() < 100_000, "{field}");
        }
        let mut record = good.clone();
        set(&mut record, &field, json!("@deep@"));
        let text = record.to_string().replace("\"@deep@\"", &deep);
        taken(reader, text.as_bytes());
    }
    let text = good.to_string();
    for end in 0..text.len() {
        let (taken, rows) = taken(reader, &text.as_bytes()[..end]);
        assert!(!matches!(taken, Taken::Read(_)) && rows.is_empty(), "{end}");
    }
    for other in ["{}", "[]", "null", "{\"a\":1}", "{\"number\":7}"] {
        assert_eq!(taken(reader, other.as_bytes()).0, Taken::NotMine, "{other}");
    }
}

fn paths(value: &Value, at: &str, fields: &mut Vec<String>) {
    let mut below = |key: &str, value: &Value| {
        let path = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
        paths(value, &path, fields);
        fields.push(path);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| below(key, value)),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .for_each(|(at, value)| below(&at.to_string(), value)),
        _ => {}
    }
}
