//! Reads records of any other format, CSV or JSON, by what somebody wrote down of their columns (see
//! `mapping`). What a mapping calls an approval is judged like any other: it names no human whom the
//! registry does not name.

use super::lenient::{clip, key, parse};
use super::references;
use super::{About, Context, Record, Taken};
use crate::audit::mapping::{Field, Kind, Mapping, Mark};
use crate::audit::model::{
    Action, Actor, Change, ChangeKind, Decision, Exclusion, Format, Naming, Nature, Outcome, Place,
    Plan, Reference, Row,
};
use crate::audit::moment::Moment;
use serde_json::Value;

/// The most items and systems that a record names.
const NAMES_MAX: usize = 500;

/// Columns that are named as missing.
const LACKING_MAX: usize = 5;

/// What mapped records say of themselves.
pub(crate) const ABOUT: About = About {
    format: Format::Mapped,
    reads: "any CSV with a head, and any JSON objects, by a mapping (--mapping FILE)",
    actions: "records that a mapping calls actions; not those that it marks as failed, dry-run or \
              read-only",
    approvals: "records that a mapping calls decisions, and marks as approved or rejected, on the \
                change whose number they name",
    people: "as the mapping marks them (automation, person, group); else it cannot be told",
    proven: true,
};

/// What stands in a record's columns.
type Get<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Reads a JSON record, where a mapping is for it.
pub(crate) fn from_json(record: Record<'_>, context: &Context, rows: &mut Vec<Row>) -> Taken {
    if context.mappings.is_empty() {
        return Taken::NotMine;
    }
    let Some(value) = parse::<Value>(record.bytes) else {
        return Taken::NotMine;
    };
    let get = |path: &str| at(&value, path);
    read(&get, record.place, context, rows)
}

/// Reads a row of CSV, where a mapping is for it.
pub(crate) fn from_csv_row(
    row: &[(&str, &str)],
    place: Place,
    context: &Context,
    rows: &mut Vec<Row>,
) -> Taken {
    let get = |column: &str| {
        let mut cells = row.iter();
        let (_, cell) = cells.find(|(name, _)| name.eq_ignore_ascii_case(column.trim()))?;
        Some((*cell).to_owned())
    };
    read(&get, place, context, rows)
}

/// Whether a mapping is for a table with these columns.
pub(crate) fn knows(columns: &[String], context: &Context) -> bool {
    context.mappings.iter().any(|mapping| {
        let has = |column: &str| {
            columns
                .iter()
                .any(|one| one.eq_ignore_ascii_case(column.trim()))
        };
        mapping.required().into_iter().all(has)
    })
}

/// What a table with these columns lacks for the mapping that is most nearly for it.
pub(crate) fn lacks(columns: &[String], context: &Context) -> Option<String> {
    let has = |column: &str| {
        let mut columns = columns.iter();
        columns.any(|one| one.eq_ignore_ascii_case(column.trim()))
    };
    lacking(&has, context)
}

/// What a record lacks for the mapping that is most nearly for it.
pub(crate) fn lacks_json(record: Record<'_>, context: &Context) -> Option<String> {
    if context.mappings.is_empty() {
        return None;
    }
    let value = parse::<Value>(record.bytes)?;
    lacking(&|path| at(&value, path).is_some(), context)
}

/// None where no mapping is at all for what has these columns, or one is.
fn lacking(has: &dyn Fn(&str) -> bool, context: &Context) -> Option<String> {
    let nearly = context
        .mappings
        .iter()
        .enumerate()
        .filter_map(|(at, mapping)| {
            let required = mapping.required();
            let count = required.len();
            let lacking: Vec<_> = required.into_iter().filter(|column| !has(column)).collect();
            (lacking.len() < count).then_some((lacking.len(), at, mapping, lacking))
        });
    let (count, at, mapping, lacking) = nearly.min_by_key(|(count, at, ..)| (*count, *at))?;
    if count == 0 {
        return None;
    }
    let lacking: Vec<_> = lacking
        .iter()
        .take(LACKING_MAX)
        .map(|column| format!("`{}`", clip(column)))
        .collect();
    let kind = match mapping.kind {
        Kind::Action => "actions",
        Kind::Change => "changes",
        Kind::Decision => "decisions",
    };
    Some(format!(
        "it has no {}, which the mapping of {kind} (number {}) needs",
        lacking.join(", "),
        at + 1
    ))
}

/// What stands at a path: a name, names with dots between them, or a JSON pointer.
fn at(value: &Value, path: &str) -> Option<String> {
    let found = if path.starts_with('/') {
        value.pointer(path)?
    } else if let Some(found) = value.get(path) {
        found
    } else {
        path.split('.').try_fold(value, |value, name| match value {
            Value::Array(list) => list.get(name.parse::<usize>().ok()?),
            value => value.get(name),
        })?
    };
    match found {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        Value::Array(list) => {
            let texts: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            Some(texts.join(","))
        }
        Value::Object(_) => Some(String::new()),
        other => Some(other.to_string()),
    }
}

fn read(get: &Get<'_>, place: Place, context: &Context, rows: &mut Vec<Row>) -> Taken {
    let fits = |mapping: &&Mapping| {
        let mut required = mapping.required().into_iter();
        required.all(|column| get(column).is_some())
    };
    let Some(mapping) = context.mappings.iter().find(fits) else {
        return Taken::NotMine;
    };
    let mapped = Mapped {
        mapping,
        get,
        place,
        context,
    };
    let read = match mapping.kind {
        Kind::Action => mapped.action(rows),
        Kind::Change => mapped.change(rows),
        Kind::Decision => mapped.decision(rows),
    };
    match read {
        Ok(at) => Taken::Read(at),
        Err(why) => Taken::Unreadable(why),
    }
}

/// A record, and the mapping that is for it.
struct Mapped<'a> {
    mapping: &'a Mapping,
    get: &'a Get<'a>,
    place: Place,
    context: &'a Context,
}

/// What stands there is no time as the mapping writes them.
const fn no_time(field: Field) -> &'static str {
    match field {
        Field::Started => "`started` holds no time as the mapping writes times",
        Field::Ended => "`ended` holds no time as the mapping writes times",
        Field::From => "`from` holds no time as the mapping writes times",
        Field::Until => "`until` holds no time as the mapping writes times",
        _ => "`decided` holds no time as the mapping writes times",
    }
}

impl Mapped<'_> {
    /// The first of a field's columns that says anything, or its constant.
    fn text(&self, field: Field) -> Option<String> {
        let columns = self.mapping.columns(field).iter();
        let found = columns
            .filter_map(|column| (self.get)(column))
            .find(|text| !text.trim().is_empty());
        found.or_else(|| self.mapping.constants.get(&field).cloned())
    }

    fn time(&self, field: Field) -> Result<Option<Moment>, &'static str> {
        match self.text(field) {
            None => Ok(None),
            Some(text) => match self.mapping.time(&text, &self.context.zone) {
                None => Err(no_time(field)),
                time => Ok(time),
            },
        }
    }

    fn names(&self, field: Field) -> Vec<String> {
        let text = self.text(field).unwrap_or_default();
        let names = text.split([',', ';', '\n']).map(clip);
        names
            .filter(|name| !name.is_empty())
            .take(NAMES_MAX)
            .collect()
    }

    fn references(&self) -> Vec<Reference> {
        let mut found = Vec::new();
        for column in self.mapping.columns(Field::References) {
            references::find(&(self.get)(column).unwrap_or_default(), &mut found);
        }
        found
    }

    fn marked(&self, mark: Mark) -> bool {
        self.mapping.marked(mark, self.get)
    }

    fn actor(&self, field: Field) -> Option<Actor> {
        let nature = if self.marked(Mark::Automation) {
            Nature::Automation
        } else if self.marked(Mark::Group) {
            Nature::Group
        } else if self.marked(Mark::Person)
            || (self.mapping.tells(Mark::Automation) && !self.mapping.tells(Mark::Person))
        {
            Nature::Person
        } else {
            Nature::Unclear
        };
        let name = self.text(field)?;
        Some(Actor::new(clip(&name), nature))
    }

    fn action(&self, rows: &mut Vec<Row>) -> Result<Option<Moment>, &'static str> {
        let started = self
            .time(Field::Started)?
            .ok_or("`started`, which an action needs, is empty")?;
        let excluded = [
            (Mark::DryRun, Exclusion::DryRun),
            (Mark::Failed, Exclusion::Failed),
            (Mark::ReadOnly, Exclusion::ReadOnly),
        ];
        if let Some((_, why)) = excluded.into_iter().find(|(mark, _)| self.marked(*mark)) {
            rows.push(Row::Excluded(why));
            return Ok(Some(started));
        }
        let system = self
            .text(Field::System)
            .ok_or("`system`, which an action needs, is empty")?;
        let (summary, items) = (self.text(Field::Summary), self.names(Field::Items));
        let summary = clip(&summary.unwrap_or_else(|| "a mapped action".to_owned()));
        let nobody = || {
            let nature = match self.marked(Mark::Automation) {
                true => Nature::Automation,
                false => Nature::Unclear,
            };
            Actor::new("not named", nature)
        };
        let actor = self.actor(Field::Actor).unwrap_or_else(nobody);
        let id = self.text(Field::Id).unwrap_or_default();
        let at = started.earliest.to_string();
        // Without an id, equal rows of one file are two actions, and a file that is read twice is one.
        let line = match (id.as_str(), self.place.line) {
            ("", Some(line)) => line.to_string(),
            _ => String::new(),
        };
        let parts = [
            id.as_str(),
            &line,
            &at,
            &system,
            &summary,
            &actor.name,
            &items.join("\n"),
        ];
        rows.push(Row::Action(Box::new(Action {
            key: key(Format::Mapped, &parts),
            format: Format::Mapped,
            places: vec![self.place],
            started,
            ended: self.time(Field::Ended)?,
            system: clip(&system),
            environment: self.text(Field::Environment).map(|text| clip(&text)),
            summary,
            items,
            actor,
            references: self.references(),
        })));
        Ok(Some(started))
    }

    fn change(&self, rows: &mut Vec<Row>) -> Result<Option<Moment>, &'static str> {
        let number = self
            .text(Field::Number)
            .ok_or("`number`, which a change needs, is empty")?;
        let number = clip(&number);
        let window = match (self.time(Field::From)?, self.time(Field::Until)?) {
            (None, None) => None,
            (from, until) => Some((
                from.unwrap_or(Moment::ALWAYS),
                until.unwrap_or(Moment::NEVER),
            )),
        };
        let plan = |field| match (self.mapping.columns(field).is_empty(), self.text(field)) {
            (_, Some(_)) => Plan::Given,
            (true, None) => Plan::NotKept,
            (false, None) => Plan::Missing,
        };
        rows.push(Row::Change(Box::new(Change {
            key: change_key(&number),
            also: Vec::new(),
            format: Format::Mapped,
            places: vec![self.place],
            references: vec![Reference::Number(number.to_uppercase())],
            number,
            kind: if self.marked(Mark::Emergency) {
                ChangeKind::Emergency
            } else if self.marked(Mark::Standard) {
                ChangeKind::Standard
            } else {
                ChangeKind::Normal
            },
            targets: self.names(Field::Targets),
            window,
            requesters: self.actor(Field::Requester).into_iter().collect(),
            withdrawn: self.marked(Mark::Withdrawn),
            pending: false,
            unclear: Vec::new(),
            head: None,
            test: plan(Field::Test),
            rollback: plan(Field::Rollback),
            named: Naming {
                policy_version: None,
                test: self.text(Field::Test).map(|text| clip(&text)),
                rollback: self.text(Field::Rollback).map(|text| clip(&text)),
            },
        })));
        Ok(None)
    }

    fn decision(&self, rows: &mut Vec<Row>) -> Result<Option<Moment>, &'static str> {
        let decided = self.time(Field::Decided)?;
        // What is marked as both was not approved.
        let outcome = match (self.marked(Mark::Rejected), self.marked(Mark::Approved)) {
            (true, _) => Outcome::Rejected,
            (false, true) => Outcome::Approved,
            (false, false) => {
                rows.push(Row::Excluded(Exclusion::Other));
                return Ok(decided);
            }
        };
        let change = self
            .text(Field::Change)
            .ok_or("`change`, which a decision needs, is empty")?;
        let approver = self
            .actor(Field::Approver)
            .ok_or("`approver`, which a decision needs, is empty")?;
        rows.push(Row::Decision(Box::new(Decision {
            change: change_key(&clip(&change)),
            format: Format::Mapped,
            places: vec![self.place],
            approver,
            entered_by: None,
            outcome,
            decided,
            commit: None,
        })));
        Ok(decided)
    }
}

/// The key of a change record.
fn change_key(number: &str) -> String {
    format!("mapped:{}", number.to_lowercase())
}

#[cfg(test)]
mod tests;
