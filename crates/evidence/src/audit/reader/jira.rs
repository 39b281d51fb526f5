//! Reads Jira Service Management: approvals, as `/rest/servicedeskapi/request/{key}/approval` lists
//! them, the requests that they are on, and issues as the platform's own interface gives them. An
//! approval does not name its request except by its own address, so it is nobody's without one. What
//! people may change of themselves (their display name) names them to readers, not to the registry.

mod fields;

use super::lenient::{Flag, List, Marks, Object, Text, clip, parse};
use super::references;
use super::{About, Context, JsonReader, Record, Taken};
use crate::audit::model::{
    Actor, Change, ChangeKind, Decision, Exclusion, Format, Naming, Nature, Outcome, Place,
    Reference, Row,
};
use crate::audit::moment::Moment;
use fields::{BadTime, Fields, time};
use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::{Map, Value};

/// What approvals have, what requests have, and two of what issues have.
static MARKS: Marks<4> = Marks::new(|| {
    let words = [
        "\"finalDecision\"",
        "\"issueKey\"",
        "/rest/api/",
        "\"fields\"",
    ];
    words.map(Finder::new)
});
/// What a request or an issue is called once nobody wants it any more.
const GIVEN_UP: [&str; 8] = [
    "canceled",
    "cancelled",
    "declined",
    "rejected",
    "withdrawn",
    "won't do",
    "won’t do",
    "wont do",
];
const NO_JSON: Taken = Taken::Unreadable("no JSON, nested too deeply, or a field twice");
const NO_TIME: Taken = Taken::Unreadable("a time that is none");

/// The reader.
pub(crate) struct Jira;

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Approval {
    final_decision: Text,
    system_decided: Flag,
    approvers: List<Object<Approver>>,
    created_date: Value,
    completed_date: Value,
    #[serde(rename = "_links")]
    links: Object<Links>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Approver {
    approver: Object<User>,
    approver_decision: Text,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct User {
    account_id: Text,
    account_type: Text,
    display_name: Text,
    email_address: Text,
    /// Server and Data Center; also of groups.
    name: Text,
    key: Text,
    group_id: Text,
    #[serde(rename = "self")]
    address: Text,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Links {
    #[serde(rename = "self")]
    address: Text,
    jira_rest: Text,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Request {
    issue_id: Text,
    issue_key: Text,
    created_date: Value,
    reporter: Object<User>,
    current_status: Object<Named>,
    request_field_values: List<Object<fields::Field>>,
    #[serde(rename = "_links")]
    links: Object<Links>,
}

/// A status, in either interface, and whatever else is known by its name.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Named {
    name: Text,
    status: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Issue {
    id: Text,
    key: Text,
    #[serde(rename = "self")]
    address: Text,
    fields: Object<Map<String, Value>>,
    /// What fields are called, with `expand=names`.
    names: Object<Map<String, Value>>,
}

impl JsonReader for Jira {
    fn format(&self) -> Format {
        Format::Jira
    }

    fn take(&self, record: Record<'_>, context: &Context, rows: &mut Vec<Row>) -> Taken {
        let [approval, request, issue, fields] = MARKS.of(record.bytes);
        let taken = if request {
            of_request(record, context, rows)
        } else if issue && fields {
            of_issue(record, context, rows)
        } else {
            Ok(Taken::NotMine)
        };
        match taken {
            Ok(Taken::NotMine) if approval => of_approval(record, rows),
            taken => taken,
        }
        .unwrap_or(NO_TIME)
    }

    fn about(&self) -> About {
        About {
            format: Format::Jira,
            reads: "Jira Service Management requests and their approvals \
                    (/rest/servicedeskapi/request, …/request/KEY/approval), and issues \
                    (/rest/api/…/issue, search), best with expand=names; an approval is of the \
                    request that its _links.self names. Systems, window, kind and plans come from \
                    fields that are labelled so (Affected systems, Planned start, Change type, \
                    Backout plan …)",
            actions: "none: what a ticket says of its own work is in other logs",
            approvals: "each approver who approved or declined, at completedDate (approvers have no \
                        time of their own), once finalDecision is approved or declined; where it \
                        was declined, only who declined counts; one that is pending is no decision",
            people: "by account id, user name and address, never by display name, which people set \
                     themselves; apps (accountType app) and decisions of the system are \
                     automations; a group is nobody's",
            proven: false,
        }
    }
}

fn of_request(
    record: Record<'_>,
    context: &Context,
    rows: &mut Vec<Row>,
) -> Result<Taken, BadTime> {
    let Some(request) = parse::<Request>(record.bytes) else {
        return Ok(NO_JSON);
    };
    let Some(key) = request.issue_key.some() else {
        return Ok(Taken::NotMine);
    };
    let links = &request.links.0;
    let site = [&links.address, &links.jira_rest]
        .into_iter()
        .find_map(|address| site_of(&address.0));
    let change = Subject {
        site: site.unwrap_or_default(),
        key,
        id: request.issue_id.some(),
        status: [request.current_status.0.status.some(), None],
        requesters: vec![&request.reporter.0],
    };
    let fields = Fields::labelled(&request.request_field_values.0);
    rows.push(change.record(&fields, record.place, context)?);
    Ok(Taken::Read(time(&request.created_date)?))
}

fn of_issue(record: Record<'_>, context: &Context, rows: &mut Vec<Row>) -> Result<Taken, BadTime> {
    let Some(issue) = parse::<Issue>(record.bytes) else {
        return Ok(NO_JSON);
    };
    let (Some(site), Some(key)) = (site_of(&issue.address.0), issue.key.some()) else {
        return Ok(Taken::NotMine);
    };
    if references::number(key).as_deref() != Some(&key.to_ascii_uppercase()) {
        return Ok(Taken::NotMine);
    }
    let fields = &issue.fields.0;
    let of = |name: &str| fields.get(name).unwrap_or(&Value::Null);
    let user = |name: &str| User::deserialize(of(name)).unwrap_or_default();
    let named = |name: &str| Named::deserialize(of(name)).unwrap_or_default().name;
    let (reporter, creator) = (user("reporter"), user("creator"));
    let (status, resolution) = (named("status"), named("resolution"));
    let change = Subject {
        site,
        key,
        id: issue.id.some(),
        status: [status.some(), resolution.some()],
        requesters: vec![&reporter, &creator],
    };
    let labelled = Fields::named(fields, &issue.names.0);
    let mut found = vec![change.record(&labelled, record.place, context)?];
    let keys = change.key();
    for approval in fields.values().filter_map(Value::as_array).flatten() {
        if approval.get("finalDecision").is_some() {
            let Ok(approval) = Approval::deserialize(approval) else {
                return Ok(Taken::Unreadable("an approval that is none"));
            };
            decisions(&approval, &keys, record.place, &mut found)?;
        }
    }
    rows.extend(found);
    Ok(Taken::Read(time(of("created"))?))
}

fn of_approval(record: Record<'_>, rows: &mut Vec<Row>) -> Result<Taken, BadTime> {
    let Some(approval) = parse::<Approval>(record.bytes) else {
        return Ok(NO_JSON);
    };
    let address = &approval.links.0.address.0;
    let created = time(&approval.created_date)?;
    let of = site_of(address).zip(request_of(address));
    match (approval.final_decision.some(), of) {
        (None, None) => Ok(Taken::NotMine),
        (None, Some(_)) => Ok(Taken::Unreadable("an approval without finalDecision")),
        // Only a service desk's approval has these three.
        (Some(_), None) if created.is_some() && !approval.approvers.0.is_empty() => {
            Ok(Taken::Unreadable(
                "an approval that does not name its request: _links.self is missing or another",
            ))
        }
        (Some(_), None) => Ok(Taken::NotMine),
        (Some(_), Some((site, request))) => {
            let mut found = Vec::new();
            let change = change_key(&site, request);
            let decided = decisions(&approval, &change, record.place, &mut found)?;
            rows.extend(found);
            Ok(Taken::Read(decided.or(created)))
        }
    }
}

/// Adds who decided what. All of it was when the approval was completed: there is no other time.
fn decisions(
    approval: &Approval,
    change: &str,
    place: Place,
    rows: &mut Vec<Row>,
) -> Result<Option<Moment>, BadTime> {
    let decided = time(&approval.completed_date)?;
    let end = match approval.final_decision.0.to_ascii_lowercase().as_str() {
        "approved" => Outcome::Approved,
        "declined" => Outcome::Rejected,
        _ => {
            rows.push(Row::Excluded(Exclusion::Other));
            return Ok(decided);
        }
    };
    let mut push = |approver, outcome| {
        rows.push(Row::Decision(Box::new(Decision {
            change: change.to_owned(),
            format: Format::Jira,
            places: vec![place],
            approver,
            entered_by: None,
            outcome,
            decided,
            commit: None,
        })));
    };
    let mut somebody = false;
    for one in &approval.approvers.0 {
        let outcome = match one.0.approver_decision.0.to_ascii_lowercase().as_str() {
            // Who approved what was declined in the end approved nothing.
            "approved" if end == Outcome::Approved => Outcome::Approved,
            "declined" => Outcome::Rejected,
            _ => continue,
        };
        somebody |= outcome == end;
        let nobody = || Actor::new("not named", Nature::Unclear);
        let mut approver = actor(&one.0.approver.0).unwrap_or_else(nobody);
        if approval.system_decided.0 == Some(true) {
            approver.nature = Nature::Automation;
        }
        push(approver, outcome);
    }
    // Decided, and by none of them: by a rule, or by somebody who is not told.
    if !somebody {
        let nature = match approval.system_decided.0 {
            Some(true) => Nature::Automation,
            _ => Nature::Unclear,
        };
        push(Actor::new("not one of the approvers", nature), end);
    }
    Ok(decided)
}

/// What requests and issues tell alike.
struct Subject<'a> {
    site: String,
    key: &'a str,
    id: Option<&'a str>,
    status: [Option<&'a str>; 2],
    requesters: Vec<&'a User>,
}

impl Subject<'_> {
    /// The key of the change record.
    fn key(&self) -> String {
        change_key(&self.site, self.key)
    }

    fn record(&self, fields: &Fields<'_>, place: Place, context: &Context) -> Result<Row, BadTime> {
        let number = clip(self.key).to_ascii_uppercase();
        let mut references = vec![Reference::Number(number.clone())];
        if let Some(id) = fields
            .text("countersign")
            .filter(|id| references::is_id(id))
        {
            references::add(&mut references, Reference::Countersign(clip(&id)));
        }
        let mut requesters: Vec<Actor> = Vec::new();
        for user in &self.requesters {
            requesters.extend(actor(user).filter(|actor| !requesters.contains(actor)));
        }
        let given_up = |status: &str| GIVEN_UP.contains(&status.trim().to_lowercase().as_str());
        Ok(Row::Change(Box::new(Change {
            key: self.key(),
            also: self
                .id
                .map(|id| change_key(&self.site, id))
                .into_iter()
                .collect(),
            format: Format::Jira,
            places: vec![place],
            number,
            references,
            kind: match fields
                .text("kind")
                .unwrap_or_default()
                .to_lowercase()
                .as_str()
            {
                "standard" | "standard change" => ChangeKind::Standard,
                "emergency" | "emergency change" => ChangeKind::Emergency,
                _ => ChangeKind::Normal,
            },
            targets: fields.targets(),
            window: fields.window(context)?,
            requesters,
            withdrawn: self.status.iter().flatten().any(|status| given_up(status)),
            pending: false,
            unclear: Vec::new(),
            head: None,
            test: fields.plan("test"),
            rollback: fields.plan("rollback"),
            named: Naming {
                policy_version: None,
                test: fields.text("test").map(|text| clip(&text)),
                rollback: fields.text("rollback").map(|text| clip(&text)),
            },
        })))
    }
}

/// The key of a change record: keys and ids are a site's own.
fn change_key(site: &str, request: &str) -> String {
    clip(&format!("jira:{site}:{request}")).to_ascii_lowercase()
}

/// The site of an address of its interface: host, and what stands before `/rest/`.
fn site_of(address: &str) -> Option<String> {
    let (before, _) = address.split_once("/rest/")?;
    let site = before.split_once("://")?.1;
    (!site.is_empty()).then(|| clip(site))
}

/// The request that an approval's address names, by key or by id.
fn request_of(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("/rest/servicedeskapi/request/")?;
    let mut parts = rest.split('/');
    let request = parts.next().filter(|request| !request.is_empty())?;
    (parts.next() == Some("approval")).then_some(request)
}

fn actor(user: &User) -> Option<Actor> {
    let shown = user.display_name.some();
    let is_group = user.group_id.some().is_some() || user.address.0.contains("/group?");
    if is_group {
        let name = user.name.some().or(shown).or(user.group_id.some())?;
        return Some(Actor::new(clip(name), Nature::Group));
    }
    let mut ids = [&user.email_address, &user.account_id, &user.name, &user.key]
        .into_iter()
        .filter_map(|id| id.some().map(clip));
    let nature = match user.account_type.0.as_str() {
        "app" => Nature::Automation,
        "" | "atlassian" | "customer" => Nature::Person,
        _ => Nature::Unclear,
    };
    let Some(first) = ids.next() else {
        // Whoever likes may be called so.
        return shown.map(|shown| Actor::new(clip(&format!("called {shown}")), Nature::Unclear));
    };
    let name = match shown {
        Some(shown) => clip(&format!("{} <{first}>", clip(shown))),
        None => first.clone(),
    };
    Some(ids.fold(Actor::new(name, nature).or(first), Actor::or))
}

#[cfg(test)]
mod tests;
