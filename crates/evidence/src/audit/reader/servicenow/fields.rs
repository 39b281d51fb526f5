//! The fields of a `ServiceNow` record: what is stored (`value`: ids, words in lower case, times in
//! UTC) and what is shown (`display_value`: names, labels, times local to whoever asked). An export
//! has both, or either.

use crate::audit::model::{Actor, Nature};
use crate::audit::moment::Moment;
use crate::audit::reader::lenient::clip;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A field that should hold a time holds something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadTime;

/// One record.
pub(super) struct Fields<'a> {
    fields: BTreeMap<String, Field>,
    /// It holds what was shown, and not what is stored.
    only_shown: bool,
    /// Records are known by their numbers, not by `sys_id`.
    by_number: bool,
    /// The zone of times that were shown.
    zone: &'a TimeZone,
}

#[derive(Default)]
struct Field {
    value: String,
    shown: String,
}

/// Columns as they are labelled, and the fields that they are.
const LABELS: [(&str, &str); 11] = [
    ("planned_start_date", "start_date"),
    ("planned_end_date", "end_date"),
    ("configuration_item", "cmdb_ci"),
    ("approval_for", "sysapproval"),
    ("approving", "sysapproval"),
    ("updated_by", "sys_updated_by"),
    ("updated", "sys_updated_on"),
    ("created", "sys_created_on"),
    ("assignment_group", "group"),
    ("correlation_display_name", "correlation_display"),
    ("task_type", "sys_class_name"),
];

impl<'a> Fields<'a> {
    pub(super) fn of_json(map: Map<String, Value>, zone: &'a TimeZone) -> Self {
        // Stored states are numbers or words in lower case; shown ones begin with a capital.
        let mut only_shown = matches!(map.get("state"), Some(Value::String(state))
            if state.starts_with(|c: char| c.is_uppercase()));
        let mut fields = BTreeMap::new();
        for (name, value) in map {
            let field = match value {
                Value::Object(pair) => {
                    let text =
                        |key: &str| pair.get(key).and_then(Value::as_str).unwrap_or_default();
                    only_shown |= pair.contains_key("display_value") && !pair.contains_key("value");
                    let value = match text("value") {
                        // The address of a record ends with its id.
                        "" => text("link").rsplit_once('/').map_or("", |(_, id)| id),
                        value => value,
                    };
                    Field {
                        value: value.to_owned(),
                        shown: text("display_value").to_owned(),
                    }
                }
                Value::String(text) => Field {
                    value: text,
                    shown: String::new(),
                },
                Value::Number(number) => Field {
                    value: number.to_string(),
                    shown: String::new(),
                },
                Value::Null | Value::Bool(_) | Value::Array(_) => Field::default(),
            };
            fields.insert(name, field);
        }
        Self {
            fields,
            only_shown,
            by_number: false,
            zone,
        }
    }

    pub(super) fn of_csv(row: &[(&str, &str)], zone: &'a TimeZone) -> Self {
        let field = |(name, text): &(&str, &str)| {
            let name = name.trim().to_lowercase().replace(' ', "_");
            let label = LABELS.iter().find(|(label, _)| *label == name);
            let name = label.map_or(name, |(_, field)| (*field).to_owned());
            let shown = (*text).to_owned();
            (
                name,
                Field {
                    value: String::new(),
                    shown,
                },
            )
        };
        Self {
            fields: row.iter().map(field).collect(),
            only_shown: true,
            by_number: true,
            zone,
        }
    }

    /// Whether the record has the field, empty or not.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// What is stored, or else shown.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let field = self.fields.get(name)?;
        some(&field.value).or(some(&field.shown))
    }

    /// What is shown, or else stored.
    pub(super) fn shown(&self, name: &str) -> Option<&str> {
        let field = self.fields.get(name)?;
        some(&field.shown).or(some(&field.value))
    }

    /// A word of a fixed set, in lower case; empty where there is none.
    pub(super) fn word(&self, name: &str) -> String {
        self.value(name)
            .map(clip)
            .unwrap_or_default()
            .to_lowercase()
    }

    /// By what a record is known: `id`, or the number that `number` shows.
    pub(super) fn id(&self, id: &str, number: &str) -> Option<String> {
        let by_id = self.value(id).filter(|_| !self.by_number);
        by_id.or_else(|| self.shown(number)).map(str::to_owned)
    }

    /// The id that is stored, where records are known by theirs.
    pub(super) fn stored_id(&self, name: &str) -> Option<&str> {
        let field = self.fields.get(name).filter(|_| !self.by_number)?;
        some(&field.value)
    }

    /// A user or a group.
    pub(super) fn actor(&self, name: &str, nature: Nature) -> Option<Actor> {
        let mut actor = Actor::new(clip(self.shown(name)?), nature);
        // Fields of the user's own record, where somebody asked for them.
        let more = ["user_name", "email"].map(|of| self.value(&format!("{name}.{of}")));
        for other in std::iter::once(self.value(name)).chain(more).flatten() {
            actor = actor.or(clip(other));
        }
        Some(actor)
    }

    /// A time; none where the field is empty.
    pub(super) fn time(&self, name: &str) -> Result<Option<Moment>, BadTime> {
        let Some(field) = self.fields.get(name) else {
            return Ok(None);
        };
        let stored = some(&field.value);
        let moment = match stored.filter(|_| !self.only_shown) {
            Some(text) => Moment::local(text, &TimeZone::UTC),
            None => match some(&field.shown).or(stored) {
                Some(text) => Moment::local(text, self.zone),
                None => return Ok(None),
            },
        };
        moment.map(Some).ok_or(BadTime)
    }
}

fn some(text: &str) -> Option<&str> {
    let text = text.trim();
    (!text.is_empty()).then_some(text)
}
