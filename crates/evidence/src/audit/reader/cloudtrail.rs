//! Reads AWS `CloudTrail` events: calls that change software are actions. No call is an approval:
//! `AutoApprove`, and signals to an automation that has begun already, permit nothing beforehand.

mod calls;

use super::lenient::{Flag, Marks, Object, Text, Word, clip, key, parse};
use super::references;
use super::{About, Context, JsonReader, Record, Taken};
use crate::audit::members::{Names, members};
use crate::audit::model::{Action, Actor, Exclusion, Format, Nature, Reference, Row};
use crate::audit::moment::Moment;
use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

/// The most instances of one call that become actions of their own.
const INSTANCES_MAX: usize = 100;
/// The most documents, images and versions that an action lists.
const ITEMS_MAX: usize = 20;

/// What every event has.
static MARKS: Marks<1> = Marks::new(|| [Finder::new("\"eventSource\"")]);

/// The reader.
pub(crate) struct CloudTrail;

/// What is read of every event.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Head<'a> {
    #[serde(borrow)]
    event_time: Word<'a>,
    #[serde(borrow)]
    event_source: Word<'a>,
    #[serde(borrow)]
    event_name: Word<'a>,
    read_only: Flag,
    #[serde(borrow)]
    error_code: Word<'a>,
}

impl<'a> Head<'a> {
    /// Without reading the rest of the event, which most often need not be read. None where only a
    /// parser can tell.
    fn of(event: &'a [u8]) -> Option<Self> {
        static NAMES: Names<5> = Names::of([
            "eventTime",
            "eventSource",
            "eventName",
            "readOnly",
            "errorCode",
        ]);
        let [time, source, name, read_only, error] = members(event, &NAMES)?;
        Some(Self {
            event_time: Word::of(time)?,
            event_source: Word::of(source)?,
            event_name: Word::of(name)?,
            read_only: Flag(Word::of(read_only)?.0.parse().ok()),
            error_code: Word::of(error)?,
        })
    }
}

/// What is read of an event that changes software.
#[derive(Deserialize, Default)]
#[serde(
    default,
    rename_all = "camelCase",
    bound = "P: Deserialize<'de> + Default"
)]
struct Event<P = Object<Map<String, Value>>> {
    #[serde(rename = "eventID")]
    event_id: Text,
    aws_region: Text,
    recipient_account_id: Text,
    user_agent: Text,
    user_identity: Object<Identity>,
    request_parameters: P,
    response_elements: P,
}

impl<P> Event<P> {
    fn without_parameters(self) -> Event {
        Event {
            event_id: self.event_id,
            aws_region: self.aws_region,
            recipient_account_id: self.recipient_account_id,
            user_agent: self.user_agent,
            user_identity: self.user_identity,
            request_parameters: Object::default(),
            response_elements: Object::default(),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Identity {
    #[serde(rename = "type")]
    kind: Text,
    arn: Text,
    account_id: Text,
    principal_id: Text,
    user_name: Text,
    invoked_by: Text,
    session_context: Object<Session>,
    on_behalf_of: Object<OnBehalfOf>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Session {
    source_identity: Text,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct OnBehalfOf {
    user_id: Text,
}

impl JsonReader for CloudTrail {
    fn format(&self) -> Format {
        Format::CloudTrail
    }

    fn take(&self, record: Record<'_>, _: &Context, rows: &mut Vec<Row>) -> Taken {
        if MARKS.of(record.bytes) == [false] {
            return Taken::NotMine;
        }
        let Some(head) = Head::of(record.bytes).or_else(|| parse(record.bytes)) else {
            return Taken::Unreadable("no JSON, or nested too deeply");
        };
        let (Some(source), Some(name)) = (head.event_source.some(), head.event_name.some()) else {
            return Taken::NotMine;
        };
        let Some(time) = Moment::parse(&head.event_time.0) else {
            return Taken::Unreadable("eventTime is no time");
        };
        if head.read_only.0 == Some(true) {
            rows.push(Row::Excluded(Exclusion::ReadOnly));
            return Taken::Read(Some(time));
        }
        let Some(call) = calls::find(source, name) else {
            rows.push(Row::Excluded(Exclusion::Other));
            return Taken::Read(Some(time));
        };
        if let Some(exclusion) = head.error_code.some().map(failed) {
            rows.push(Row::Excluded(exclusion));
            return Taken::Read(Some(time));
        }
        let Some(event) = parse::<Event>(record.bytes) else {
            // Whoever calls chooses parameters: broken, they hide no action.
            let Some(event) = parse::<Event<IgnoredAny>>(record.bytes) else {
                return Taken::Unreadable("no JSON, nested too deeply, or a field twice");
            };
            actions(call, &head, &event.without_parameters(), time, record, rows);
            rows.push(Row::PartUnread {
                place: record.place,
                why: "its parameters are nested too deeply, or named twice",
            });
            return Taken::Read(Some(time));
        };
        if let Some(exclusion) = call.excluded(&event.request_parameters.0) {
            rows.push(Row::Excluded(exclusion));
            return Taken::Read(Some(time));
        }
        actions(call, &head, &event, time, record, rows);
        Taken::Read(Some(time))
    }

    fn about(&self) -> About {
        About {
            format: Format::CloudTrail,
            reads: "AWS CloudTrail events: files with Records, or one event a line",
            actions: "calls that change software: commands and automations of Systems Manager, and \
                      new code, images or engine versions in Lambda, ECS, EKS, RDS, ElastiCache, \
                      OpenSearch, CodeDeploy, Elastic Beanstalk, Auto Scaling; one action for each \
                      instance that is named",
            approvals: "none: AutoApprove and SendAutomationSignal are no approvals from before",
            people: "a person: IAM and Identity Center users, root, and roles with a source \
                     identity; an automation: AWS services, calls that a service made, sessions \
                     that are named as an instance; cannot tell: any other role or federated user",
            proven: true,
        }
    }
}

/// What a call that failed is excluded as.
fn failed(code: &str) -> Exclusion {
    let code = code.strip_prefix("Client.").unwrap_or(code);
    match code {
        "DryRunOperation" => Exclusion::DryRun,
        "AccessDenied"
        | "AccessDeniedException"
        | "UnauthorizedOperation"
        | "UnauthorizedAccess"
        | "AuthFailure"
        | "NotAuthorized"
        | "InvalidClientTokenId" => Exclusion::Denied,
        _ => Exclusion::Failed,
    }
}

fn actions(
    call: &calls::Call,
    head: &Head<'_>,
    event: &Event,
    time: Moment,
    record: Record<'_>,
    rows: &mut Vec<Row>,
) {
    let request = &event.request_parameters.0;
    let response = &event.response_elements.0;
    let actor = actor(event);
    let mut references = Vec::new();
    for text in calls::remarks(request) {
        references::find(text, &mut references);
    }
    for id in calls::ids(response) {
        references::add(&mut references, Reference::Native(clip(id)));
    }
    let mut systems = calls::instances(request);
    systems.extend(calls::instances(
        response
            .get("command")
            .and_then(Value::as_object)
            .unwrap_or(&Map::new()),
    ));
    let mut seen = std::collections::HashSet::new();
    systems.retain(|system| seen.insert(system.clone()));
    let beside = |what: &str| {
        let (account, region) = (&event.recipient_account_id, &event.aws_region);
        clip(&format!("{}:{}:{what}", account.0, region.0))
    };
    if systems.is_empty() {
        systems.push(beside(&call.resource(request)));
    } else if systems.len() > INSTANCES_MAX {
        let more = systems.len() - INSTANCES_MAX;
        systems.truncate(INSTANCES_MAX);
        systems.push(beside(&format!("{more} more instances")));
    }
    let items: Vec<_> = call.items(request).map(clip).take(ITEMS_MAX).collect();
    let summary = match items.first() {
        Some(item) => clip(&format!("{} {item}", head.event_name.0)),
        None => clip(&head.event_name.0),
    };
    for system in systems {
        let parts = [
            event.event_id.0.as_str(),
            &head.event_time.0,
            &head.event_source.0,
            &head.event_name.0,
            &event.recipient_account_id.0,
            &actor.name,
            &system,
        ];
        rows.push(Row::Action(Box::new(Action {
            key: key(Format::CloudTrail, &parts),
            format: Format::CloudTrail,
            places: vec![record.place],
            started: time,
            ended: None,
            system,
            environment: None,
            summary: summary.clone(),
            items: items.clone(),
            actor: actor.clone(),
            references: references.clone(),
        })));
    }
}

/// Who made the call.
fn actor(event: &Event) -> Actor {
    let identity = &event.user_identity.0;
    let (arn, session) = (identity.arn.clip(), session_name(&identity.arn.0));
    let source_identity = identity.session_context.0.source_identity.some();
    let service = identity
        .invoked_by
        .some()
        .filter(|by| by.ends_with("amazonaws.com"));
    let agent = event.user_agent.0.contains("amazon-ssm-agent");
    let named = |name: &str, nature| Actor::new(clip(name), nature);
    let kind = identity.kind.0.as_str();
    let first = |names: [&Text; 3]| {
        let name = names.into_iter().find_map(Text::some);
        clip(name.unwrap_or("not named"))
    };
    match (kind, service, source_identity) {
        (_, Some(service), _) => named(service, Nature::Automation).or(arn),
        ("AWSService", None, _) => {
            let name = first([&identity.invoked_by, &identity.principal_id, &identity.arn]);
            Actor::new(name, Nature::Automation)
        }
        _ if agent => named(session, Nature::Automation).or(arn),
        ("IAMUser" | "IdentityCenterUser", None, _) => {
            let by_id = &identity.on_behalf_of.0.user_id;
            let name = first([&identity.user_name, by_id, &identity.principal_id]);
            Actor::new(name, Nature::Person).or(arn).or(by_id.clip())
        }
        ("Root", None, _) => {
            let name = format!("root of {}", identity.account_id.clip());
            Actor::new(name, Nature::Person).or(arn)
        }
        ("AssumedRole", None, Some(person)) => {
            let session = clip(session);
            named(person, Nature::Person).or(arn).or(session)
        }
        ("AssumedRole", None, None) if is_instance(session) => {
            named(session, Nature::Automation).or(arn)
        }
        _ => {
            let name = first([&identity.arn, &identity.user_name, &identity.principal_id]);
            Actor::new(name, Nature::Unclear)
                .or(clip(session))
                .or(identity.user_name.clip())
        }
    }
}

/// What a role's session is named: behind the last `/` of its ARN.
fn session_name(arn: &str) -> &str {
    arn.rsplit_once('/').map_or("", |(_, name)| name)
}

/// True for the id of an instance.
fn is_instance(name: &str) -> bool {
    let digits = name.strip_prefix("i-").or(name.strip_prefix("mi-"));
    digits.is_some_and(|digits| {
        (8..=17).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests;
