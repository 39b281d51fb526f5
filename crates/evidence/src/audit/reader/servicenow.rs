//! Reads `ServiceNow` change requests and approvals, from its table interface (pairs of
//! `display_value` and `value`, or either alone) and from rows of a CSV export. What a change request
//! says of its own approval is no approval: only a record that names an approver is.

mod fields;

use super::lenient::{Marks, clip, parse};
use super::references;
use super::{About, Context, JsonReader, Record, Taken};
use crate::audit::model::{
    Actor, Change, ChangeKind, Decision, Exclusion, Format, Naming, Nature, Outcome, Place, Plan,
    Reference, Row,
};
use crate::audit::moment::Moment;
use fields::{BadTime, Fields};
use memchr::memmem::Finder;

/// What every approval has, and two of what every change request has.
static MARKS: Marks<3> = Marks::new(|| {
    let words = ["\"sysapproval\"", "\"number\"", "\"sys_"];
    words.map(Finder::new)
});

/// The reader.
pub(crate) struct ServiceNow;

impl JsonReader for ServiceNow {
    fn format(&self) -> Format {
        Format::ServiceNow
    }

    fn take(&self, record: Record<'_>, context: &Context, rows: &mut Vec<Row>) -> Taken {
        if matches!(
            MARKS.of(record.bytes),
            [false, false, _] | [false, _, false]
        ) {
            return Taken::NotMine;
        }
        match parse(record.bytes) {
            Some(serde_json::Value::Object(map)) => {
                let fields = Fields::of_json(map, &context.zone);
                read(&fields, record.place, rows)
            }
            Some(_) => Taken::NotMine,
            None => Taken::Unreadable("no JSON, or nested too deeply"),
        }
    }

    fn about(&self) -> About {
        About {
            format: Format::ServiceNow,
            reads: "ServiceNow change requests and approvals (change_request, \
                    sysapproval_approver), as the table interface gives them, best with \
                    sysparm_display_value=all",
            actions: "none: what a ticket says of its own work is in other logs",
            approvals: "a record of sysapproval_approver that is approved or rejected, and names \
                        an approver; not the approval field of the change request, and not the \
                        template of a standard change",
            people: "the approver, as a user; a group's approval is nobody's; who entered it is \
                     told where that is somebody else",
            proven: false,
        }
    }
}

/// Reads a row of a CSV export: names of columns, and what stands in them. Such exports hold what
/// the interface showed, so times are local to whoever made them, and records are known by number.
pub(crate) fn from_csv_row(
    row: &[(&str, &str)],
    place: Place,
    context: &Context,
    rows: &mut Vec<Row>,
) -> Taken {
    read(&Fields::of_csv(row, &context.zone), place, rows)
}

fn read(fields: &Fields, place: Place, rows: &mut Vec<Row>) -> Taken {
    let of_changes = matches!(
        fields.word("sys_class_name").as_str(),
        "change_request" | "change request"
    );
    let taken = if fields.has("approver") && fields.has("sysapproval") {
        approval(fields, place, rows)
    } else if of_changes || fields.word("number").starts_with("chg") {
        change(fields, place, rows)
    } else {
        return Taken::NotMine;
    };
    taken.unwrap_or(Taken::Unreadable("a time that is none"))
}

fn change(fields: &Fields, place: Place, rows: &mut Vec<Row>) -> Result<Taken, BadTime> {
    let (Some(number), Some(id)) = (fields.shown("number"), fields.id("sys_id", "number")) else {
        return Ok(Taken::Unreadable("it has no number"));
    };
    if is_other_number(fields, "sys_id", "number") {
        return Ok(Taken::Unreadable("its sys_id is another change's number"));
    }
    let mut references = vec![Reference::Number(clip(number).to_ascii_uppercase())];
    if let Some(id) = fields.value("correlation_id") {
        if fields.word("correlation_display").contains("countersign") && references::is_id(id) {
            references::add(&mut references, Reference::Countersign(clip(id)));
        } else {
            let mut found = Vec::new();
            references::find(id, &mut found);
            found.retain(|reference| matches!(reference, Reference::Countersign(_)));
            references.extend(found);
        }
    }
    let window = match (fields.time("start_date")?, fields.time("end_date")?) {
        (None, None) => None,
        (from, until) => Some((
            from.unwrap_or(Moment::ALWAYS),
            until.unwrap_or(Moment::NEVER),
        )),
    };
    let mut requesters: Vec<Actor> = Vec::new();
    for field in ["requested_by", "opened_by"] {
        let actor = fields.actor(field, Nature::Unclear);
        requesters.extend(actor.filter(|actor| !requesters.contains(actor)));
    }
    same(fields, "sys_id", "number", true, rows);
    let ended = matches!(
        fields.word("state").as_str(),
        "4" | "canceled" | "cancelled"
    );
    rows.push(Row::Change(Box::new(Change {
        key: key(&id),
        also: Vec::new(),
        format: Format::ServiceNow,
        places: vec![place],
        number: clip(number),
        references,
        kind: match fields.word("type").as_str() {
            "standard" => ChangeKind::Standard,
            "emergency" => ChangeKind::Emergency,
            _ => ChangeKind::Normal,
        },
        targets: fields.shown("cmdb_ci").map(clip).into_iter().collect(),
        window,
        requesters,
        withdrawn: ended || fields.word("approval") == "rejected",
        pending: fields.word("approval") == "requested",
        unclear: Vec::new(),
        head: None,
        test: plan(fields, "test_plan"),
        rollback: plan(fields, "backout_plan"),
        named: Naming {
            policy_version: fields.shown("std_change_producer_version").map(clip),
            test: fields.shown("test_plan").map(clip),
            rollback: fields.shown("backout_plan").map(clip),
        },
    })));
    Ok(Taken::Read(fields.time("sys_created_on")?))
}

fn approval(fields: &Fields, place: Place, rows: &mut Vec<Row>) -> Result<Taken, BadTime> {
    let decided = fields.time("sys_updated_on")?;
    let time = decided.or(fields.time("sys_created_on")?);
    let outcome = match fields.word("state").as_str() {
        "approved" => Outcome::Approved,
        "rejected" => Outcome::Rejected,
        _ => {
            rows.push(Row::Excluded(Exclusion::Other));
            return Ok(Taken::Read(time));
        }
    };
    let Some(of) = fields.id("sysapproval", "sysapproval") else {
        return Ok(Taken::Unreadable("it names no change request"));
    };
    if is_other_number(fields, "sysapproval", "sysapproval") {
        return Ok(Taken::Unreadable("it names two change requests"));
    }
    let approver = fields.actor("approver", Nature::Person);
    let approver = approver.or_else(|| fields.actor("group", Nature::Group));
    let Some(approver) = approver else {
        return Ok(Taken::Unreadable("it names no approver"));
    };
    same(fields, "sysapproval", "sysapproval", false, rows);
    let entered_by = fields.actor("sys_updated_by", Nature::Unclear);
    rows.push(Row::Decision(Box::new(Decision {
        change: key(&of),
        format: Format::ServiceNow,
        places: vec![place],
        entered_by: entered_by.filter(|by| !seems_same(by, &approver)),
        approver,
        outcome,
        decided,
        commit: None,
    })));
    Ok(Taken::Read(time))
}

/// Whether what should be an id is the number of another change than the record names.
fn is_other_number(fields: &Fields, id: &str, number: &str) -> bool {
    let number = fields.shown(number).unwrap_or_default();
    let id = fields.stored_id(id).unwrap_or_default();
    is_number(id) && !id.eq_ignore_ascii_case(number)
}

/// Whether this is how a change is numbered, and no id.
fn is_number(text: &str) -> bool {
    text.get(..3)
        .is_some_and(|head| head.eq_ignore_ascii_case("chg"))
}

/// Tells that the change record with this id has this number, where the record says both.
fn same(fields: &Fields, id: &str, number: &str, own: bool, rows: &mut Vec<Row>) {
    if let (Some(id), Some(number)) = (fields.stored_id(id), fields.shown(number))
        && !is_number(id)
        && is_number(number)
    {
        let (number, id) = (key(number), key(id));
        rows.push(Row::Same { number, id, own });
    }
}

/// The key of a change record.
fn key(id: &str) -> String {
    format!("servicenow:{}", clip(id).to_ascii_lowercase())
}

fn plan(fields: &Fields, name: &str) -> Plan {
    match (fields.has(name), fields.shown(name)) {
        (_, Some(_)) => Plan::Given,
        (true, None) => Plan::Missing,
        (false, None) => Plan::NotKept,
    }
}

/// Whether a user name can be that of a person: `ada.lovelace` and `Ada Lovelace`. When in doubt
/// not, so that it is told who entered what.
fn seems_same(one: &Actor, other: &Actor) -> bool {
    fn words(name: &str) -> Vec<String> {
        let name = name.split_once('@').map_or(name, |(name, _)| name);
        let parts = name.split(|c: char| !c.is_alphanumeric());
        let parts = parts.filter(|part| !part.is_empty());
        parts.map(str::to_lowercase).collect()
    }
    one.names().any(|name| {
        let name = words(name);
        !name.is_empty() && other.names().any(|other| words(other) == name)
    })
}

#[cfg(test)]
mod tests;
