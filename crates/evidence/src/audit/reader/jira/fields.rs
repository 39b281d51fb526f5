//! Fields of requests and issues, by what people see: each site has other numbers for the same field,
//! and labels that administrators give. Times in each of the shapes in which Jira writes them.

use super::super::Context;
use super::super::lenient::{Text, clip};
use crate::audit::model::Plan;
use crate::audit::moment::Moment;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The most systems that a record names.
const TARGETS_MAX: usize = 500;
/// What fields are labelled, by what they are to us.
const LABELS: [(&str, &[&str]); 7] = [
    (
        "targets",
        &[
            "affected systems",
            "affected system",
            "affected hosts",
            "affected host",
            "affected servers",
            "affected hardware",
            "affected services",
            "affected assets",
            "affected configuration items",
            "configuration items",
            "configuration item",
            "assets",
            "hosts",
            "host",
            "servers",
            "systems",
            "system",
            "target systems",
            "target system",
        ],
    ),
    (
        "from",
        &["planned start", "planned start date", "change start date"],
    ),
    (
        "until",
        &["planned end", "planned end date", "change completion date"],
    ),
    ("kind", &["change type", "type of change"]),
    ("test", &["test plan", "testing plan"]),
    (
        "rollback",
        &["backout plan", "rollback plan", "back-out plan"],
    ),
    (
        "countersign",
        &["countersign", "countersign id", "countersign authorization"],
    ),
];

/// There is something that is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadTime;

/// A field of a request.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Field {
    label: Text,
    value: Value,
}

/// What a record's fields hold, by what they are to us.
pub(super) struct Fields<'a>(Vec<(&'static str, &'a Value)>);

impl<'a> Fields<'a> {
    /// Of a request, which labels its fields.
    pub(super) fn labelled(fields: &'a [super::Object<Field>]) -> Self {
        let of = |field: &'a super::Object<Field>| Some((known(&field.0.label.0)?, &field.0.value));
        Self(fields.iter().filter_map(of).collect())
    }

    /// Of an issue, whose fields are numbered; what they are called stands apart.
    pub(super) fn named(fields: &'a Map<String, Value>, names: &Map<String, Value>) -> Self {
        let of =
            |(id, value): (&String, &'a Value)| Some((known(names.get(id)?.as_str()?)?, value));
        Self(fields.iter().filter_map(of).collect())
    }

    fn of(&self, what: &str) -> impl Iterator<Item = &'a Value> {
        let what = what.to_owned();
        let fields = self.0.iter();
        fields.filter_map(move |(name, value)| (*name == what).then_some(*value))
    }

    /// The first text of a field.
    pub(super) fn text(&self, what: &str) -> Option<String> {
        self.of(what).flat_map(texts).next()
    }

    /// The systems that it names.
    pub(super) fn targets(&self) -> Vec<String> {
        let mut targets: Vec<String> = Vec::new();
        let named = self.of("targets").flat_map(texts);
        for text in named {
            for name in text.split([',', ';', '\n']).map(clip) {
                if !name.is_empty() && targets.len() < TARGETS_MAX && !targets.contains(&name) {
                    targets.push(name);
                }
            }
        }
        targets
    }

    /// From when to when; where one end is not told, it is open there.
    pub(super) fn window(&self, context: &Context) -> Result<Option<(Moment, Moment)>, BadTime> {
        let of = |what, time| -> Result<Option<Moment>, BadTime> {
            match self.of(what).next() {
                Some(value) => day_or_time(value, time, context),
                None => Ok(None),
            }
        };
        Ok(
            match (of("from", "00:00:00")?, of("until", "23:59:59.999")?) {
                (None, None) => None,
                (from, until) => Some((
                    from.unwrap_or(Moment::ALWAYS),
                    until.unwrap_or(Moment::NEVER),
                )),
            },
        )
    }

    /// Whether it has a plan.
    pub(super) fn plan(&self, what: &str) -> Plan {
        match (self.of(what).next(), self.of(what).any(is_something)) {
            (_, true) => Plan::Given,
            (Some(_), false) => Plan::Missing,
            (None, false) => Plan::NotKept,
        }
    }
}

/// What a label is to us.
fn known(label: &str) -> Option<&'static str> {
    let label = label.trim().to_lowercase();
    let mut all = LABELS.iter();
    let (what, _) = all.find(|(_, labels)| labels.contains(&label.as_str()))?;
    Some(what)
}

/// The texts of a value: itself, what it is called, or those of each in a list.
fn texts(value: &Value) -> Vec<String> {
    let called = |map: &Map<String, Value>| {
        ["value", "label", "name", "displayName"]
            .iter()
            .find_map(|key| map.get(*key)?.as_str().map(str::to_owned))
    };
    let one = |value: &Value| match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Object(map) => called(map),
        _ => None,
    };
    match value {
        Value::Array(list) => list.iter().take(TARGETS_MAX).filter_map(one).collect(),
        value => one(value).into_iter().collect(),
    }
}

/// Whether a value says anything: a text, or a document with content.
fn is_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => false,
        Value::Number(_) => true,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(list) => list.iter().any(is_something),
        Value::Object(map) => match map.get("content") {
            Some(content) => is_something(content),
            None => map.contains_key("text") || !texts(value).is_empty(),
        },
    }
}

/// A time, or a day in the zone of times that name none.
fn day_or_time(value: &Value, of_day: &str, context: &Context) -> Result<Option<Moment>, BadTime> {
    if let Some(day) = value.as_str().filter(|text| text.len() == 10) {
        let local = Moment::local(&format!("{day} {of_day}"), &context.zone);
        return local.map(Some).ok_or(BadTime);
    }
    time(value)
}

/// A time, as text or in several notations; where these differ, anything between them.
pub(super) fn time(value: &Value) -> Result<Option<Moment>, BadTime> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => Moment::parse(text.trim()).map(Some).ok_or(BadTime),
        Value::Object(map) => {
            let texts = ["iso8601", "jira"].map(|key| map.get(key).and_then(Value::as_str));
            let mut all = Vec::new();
            for text in texts.into_iter().flatten() {
                all.push(Moment::parse(text).ok_or(BadTime)?);
            }
            if let Some(millis) = map.get("epochMillis") {
                let at = millis.as_i64().and_then(Moment::of_millis);
                all.push(at.ok_or(BadTime)?);
            }
            let earliest = all.iter().map(|one| one.earliest).min().ok_or(BadTime)?;
            let latest = all.iter().map(|one| one.latest).max().ok_or(BadTime)?;
            Ok(Some(Moment { earliest, latest }))
        }
        _ => Err(BadTime),
    }
}
