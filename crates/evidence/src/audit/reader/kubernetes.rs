//! Reads Kubernetes audit events (`audit.k8s.io/v1`): completed requests that create, change or
//! delete workloads are actions. What controllers do after them is not counted a second time.

use super::lenient::{List, Marks, Object, Word, bytes, clip, key, parse};
use super::references;
use super::{About, Context, JsonReader, Record, Taken};
use crate::audit::members::{Names, members};
use crate::audit::model::{Action, Actor, Exclusion, Format, Nature, Reference, Row};
use crate::audit::moment::Moment;
use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

/// Resources whose changes change software.
const WORKLOADS: [&str; 9] = [
    "deployments",
    "statefulsets",
    "daemonsets",
    "replicasets",
    "pods",
    "jobs",
    "cronjobs",
    "nodes",
    "customresourcedefinitions",
];
/// What controllers make of other workloads.
const FOLLOWING: [&str; 3] = ["pods", "replicasets", "jobs"];
/// The controllers that do, of `kube-system`.
const CONTROLLERS: [&str; 9] = [
    "cronjob-controller",
    "daemon-set-controller",
    "deployment-controller",
    "generic-garbage-collector",
    "job-controller",
    "node-controller",
    "replicaset-controller",
    "statefulset-controller",
    "ttl-after-finished-controller",
];
/// Why what an event asks for is not known.
const OBJECT_UNREAD: &str = "its object is nested too deeply, or names a field twice";
/// How the secrets begin in which Helm keeps its releases.
const HELM_RELEASE: &str = "sh.helm.release.";

/// What every event has.
static MARKS: Marks<1> = Marks::new(|| [Finder::new("audit.k8s.io/")]);

/// The reader.
pub(crate) struct Kubernetes;

/// An event, with what is read of the object that was asked for.
#[derive(Deserialize, Default)]
#[serde(
    default,
    rename_all = "camelCase",
    bound = "O: Deserialize<'de> + Default"
)]
struct Event<'a, O> {
    #[serde(borrow)]
    kind: Word<'a>,
    #[serde(borrow)]
    api_version: Word<'a>,
    #[serde(borrow, rename = "auditID")]
    audit_id: Word<'a>,
    #[serde(borrow)]
    stage: Word<'a>,
    #[serde(borrow)]
    verb: Word<'a>,
    #[serde(borrow, rename = "requestURI")]
    request_uri: Word<'a>,
    #[serde(borrow)]
    user: Object<User<'a>>,
    #[serde(borrow)]
    impersonated_user: Object<User<'a>>,
    #[serde(borrow)]
    object_ref: Object<ObjectRef<'a>>,
    #[serde(borrow)]
    response_status: Object<Status<'a>>,
    #[serde(borrow)]
    request_received_timestamp: Word<'a>,
    #[serde(borrow)]
    stage_timestamp: Word<'a>,
    request_object: O,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct User<'a> {
    #[serde(borrow)]
    username: Word<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ObjectRef<'a> {
    #[serde(borrow)]
    resource: Word<'a>,
    #[serde(borrow)]
    namespace: Word<'a>,
    #[serde(borrow)]
    name: Word<'a>,
    #[serde(borrow)]
    subresource: Word<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status<'a> {
    #[serde(borrow)]
    code: Word<'a>,
}

/// What is read of an action alone.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Workload<'a> {
    #[serde(borrow)]
    metadata: Object<Metadata<'a>>,
    #[serde(borrow)]
    spec: Object<Spec<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata<'a> {
    #[serde(borrow)]
    name: Word<'a>,
    #[serde(borrow)]
    annotations: Object<BTreeMap<Word<'a>, Word<'a>>>,
}

/// The `spec` of a workload (with a template) or of a pod (with containers).
#[derive(Deserialize, Default)]
#[serde(default)]
struct Spec<'a> {
    #[serde(borrow)]
    template: Object<Template<'a>>,
    #[serde(borrow)]
    containers: List<Object<Container<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Template<'a> {
    #[serde(borrow)]
    metadata: Object<Metadata<'a>>,
    #[serde(borrow)]
    spec: Object<PodSpec<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PodSpec<'a> {
    #[serde(borrow)]
    containers: List<Object<Container<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Container<'a> {
    #[serde(borrow)]
    image: Word<'a>,
}

impl JsonReader for Kubernetes {
    fn format(&self) -> Format {
        Format::Kubernetes
    }

    fn take(&self, record: Record<'_>, _: &Context, rows: &mut Vec<Row>) -> Taken {
        if MARKS.of(record.bytes) == [false] {
            return Taken::NotMine;
        }
        if let Some((exclusion, time)) = passed_over(record.bytes) {
            rows.push(Row::Excluded(exclusion));
            return Taken::Read(Some(time));
        }
        if let Some(event) = parse::<Event<'_, Object<Workload<'_>>>>(record.bytes) {
            return taken(&event, Some(&event.request_object.0), record, rows);
        }
        // Whoever acts chooses what the object is: broken, it hides no action.
        match parse::<Event<'_, IgnoredAny>>(record.bytes) {
            Some(event) => taken(&event, None, record, rows),
            None => Taken::Unreadable("no JSON, or nested too deeply"),
        }
    }

    fn about(&self) -> About {
        About {
            format: Format::Kubernetes,
            reads: "Kubernetes audit events (audit.k8s.io/v1), one a line or as an EventList",
            actions: "completed create, update, patch and delete of deployments, stateful sets, \
                      daemon sets, replica sets, pods, jobs, cron jobs, nodes, resource \
                      definitions and Helm releases; not what controllers do after them",
            approvals: "none",
            people: "an automation: service accounts and any other user named system: or eks:; \
                     cannot tell: roles of AWS; a person: any other user; who is impersonated is \
                     shown and does not count",
            proven: true,
        }
    }
}

/// Why most events are no action, without reading the rest of them. None for all others, and where only
/// a parser can tell.
fn passed_over(event: &[u8]) -> Option<(Exclusion, Moment)> {
    static NAMES: Names<6> = Names::of([
        "kind",
        "apiVersion",
        "stage",
        "verb",
        "objectRef",
        "requestReceivedTimestamp",
    ]);
    static OF_OBJECT: Names<3> = Names::of(["resource", "name", "subresource"]);
    let [kind, version, stage, verb, object, received] = members(event, &NAMES)?;
    let ours = kind == b"\"Event\"" && bytes(version)?.starts_with(b"audit.k8s.io/");
    let time = Moment::parse_utc(bytes(received)?)?;
    let exclusion = match by_request(bytes(stage)?, bytes(verb)?) {
        Some(exclusion) => exclusion,
        None => {
            let [resource, name, subresource] = match object {
                [] => [object; 3],
                _ => members(object, &OF_OBJECT)?,
            };
            by_object(&ObjectRef {
                resource: Word::of(resource)?,
                name: Word::of(name)?,
                subresource: Word::of(subresource)?,
                namespace: Word::default(),
            })?
        }
    };
    ours.then_some((exclusion, time))
}

/// Why an event is no action, as far as stage and verb tell.
fn by_request(stage: &[u8], verb: &[u8]) -> Option<Exclusion> {
    match stage {
        b"ResponseComplete" => {}
        b"Panic" => return Some(Exclusion::Failed),
        _ => return Some(Exclusion::Repeated),
    }
    match verb {
        b"get" | b"list" | b"watch" | b"head" => Some(Exclusion::ReadOnly),
        b"create" | b"update" | b"patch" | b"delete" | b"deletecollection" => None,
        _ => Some(Exclusion::Other),
    }
}

/// Why an event is no action, as far as its object tells.
fn by_object(object: &ObjectRef<'_>) -> Option<Exclusion> {
    let resource = object.resource.0.as_ref();
    let release = resource == "secrets" && object.name.0.starts_with(HELM_RELEASE);
    // Ephemeral containers bring an image of their own into a pod that runs.
    let whole = matches!(object.subresource.0.as_ref(), "" | "ephemeralcontainers");
    (!(release || WORKLOADS.contains(&resource) && whole)).then_some(Exclusion::Other)
}

/// Puts what an event comes to into `rows`; the workload is none where it could not be read.
fn taken<O>(
    event: &Event<'_, O>,
    workload: Option<&Workload<'_>>,
    record: Record<'_>,
    rows: &mut Vec<Row>,
) -> Taken {
    let (exclusion, time) = match told(event) {
        Ok(told) => told,
        Err(taken) => return taken,
    };
    if let Some(exclusion) = exclusion {
        rows.push(Row::Excluded(exclusion));
        return Taken::Read(Some(time));
    }
    let none = Workload::default();
    let action = action_of(event, workload.unwrap_or(&none), time, record);
    rows.push(Row::Action(Box::new(action)));
    if workload.is_none() {
        let (place, why) = (record.place, OBJECT_UNREAD);
        rows.push(Row::PartUnread { place, why });
    }
    Taken::Read(Some(time))
}

/// Why an event is no action, if it is none, and its time; or what else the record is.
fn told<O>(event: &Event<'_, O>) -> Result<(Option<Exclusion>, Moment), Taken> {
    if event.kind.0 != "Event" || !event.api_version.0.starts_with("audit.k8s.io/") {
        return Err(Taken::NotMine);
    }
    let received = Moment::parse(&event.request_received_timestamp.0);
    let time = received.or_else(|| Moment::parse(&event.stage_timestamp.0));
    time.map(|time| (excluded(event), time))
        .ok_or(Taken::Unreadable(
            "neither requestReceivedTimestamp nor stageTimestamp is a time",
        ))
}

/// Why an event is no action.
fn excluded<O>(event: &Event<'_, O>) -> Option<Exclusion> {
    let object = &event.object_ref.0;
    let exclusion =
        by_request(event.stage.0.as_bytes(), event.verb.0.as_bytes()).or_else(|| by_object(object));
    if exclusion.is_some() {
        return exclusion;
    }
    match event.response_status.0.code.0.parse::<u16>() {
        Ok(401 | 403) => return Some(Exclusion::Denied),
        Ok(400..) => return Some(Exclusion::Failed),
        _ => {}
    }
    let query = event
        .request_uri
        .0
        .split_once('?')
        .map_or("", |(_, query)| query);
    // A delete's body takes the place of its query, so what the query says may not have held.
    let deletes = event.verb.0.starts_with("delete");
    if !deletes && query.split('&').any(|part| part == "dryRun=All") {
        return Some(Exclusion::DryRun);
    }
    let follows =
        FOLLOWING.contains(&object.resource.0.as_ref()) && is_controller(&event.user.0.username.0);
    follows.then_some(Exclusion::Repeated)
}

/// True for those that only carry out what a workload asks for.
fn is_controller(user: &str) -> bool {
    let account = user.strip_prefix("system:serviceaccount:kube-system:");
    account.is_some_and(|account| CONTROLLERS.contains(&account))
        || user.starts_with("system:node:")
        || matches!(
            user,
            "system:kube-controller-manager" | "system:kube-scheduler"
        )
}

fn action_of<O>(
    event: &Event<'_, O>,
    workload: &Workload<'_>,
    time: Moment,
    record: Record<'_>,
) -> Action {
    let object = &event.object_ref.0;
    let name = object.name.some().or(workload.metadata.0.name.some());
    let parts = [object.namespace.some(), object.resource.some(), name];
    let system = clip(&parts.into_iter().flatten().collect::<Vec<_>>().join("/"));
    let user = &event.user.0.username;
    let mut summary = format!("{} {system}", event.verb.0);
    if let Some(subresource) = object.subresource.some() {
        summary += &format!(" ({subresource})");
    }
    if let Some(other) = event.impersonated_user.0.username.some() {
        summary += &format!(" as {other}");
    }
    let template = &workload.spec.0.template.0;
    let mut references = Vec::new();
    for metadata in [&workload.metadata.0, &template.metadata.0] {
        for (name, text) in &metadata.annotations.0 {
            annotation(&name.0, &text.0, &mut references);
        }
    }
    let containers = &template.spec.0.containers.0;
    let images = containers.iter().chain(&workload.spec.0.containers.0);
    let images: Vec<_> = images
        .filter_map(|one| one.0.image.some())
        .take(20)
        .collect();
    for image in &images {
        let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
        if let Some(commit) = (!image.contains('@'))
            .then(|| references::commit(tag))
            .flatten()
        {
            references::add(&mut references, Reference::Commit(commit));
        }
    }
    let of = [
        event.audit_id.0.as_ref(),
        &event.request_received_timestamp.0,
        &event.verb.0,
        &user.0,
        &system,
    ];
    Action {
        key: key(Format::Kubernetes, &of),
        format: Format::Kubernetes,
        places: vec![record.place],
        started: time,
        ended: Moment::parse(&event.stage_timestamp.0),
        summary: clip(&summary),
        items: images.into_iter().map(clip).collect(),
        actor: Actor::new(clip(user.some().unwrap_or("not named")), nature(&user.0)),
        references,
        system,
        environment: None,
    }
}

/// Adds what an annotation refers to.
fn annotation(name: &str, text: &str, references: &mut Vec<Reference>) {
    if name.starts_with("countersign.io/") && references::is_id(text) {
        references::add(references, Reference::Countersign(text.to_owned()));
    } else if name == "kubernetes.io/change-cause" || name.starts_with("countersign.io/") {
        references::find(text, references);
    }
}

fn nature(user: &str) -> Nature {
    if user.starts_with("system:") || user.starts_with("eks:") {
        Nature::Automation
    } else if user.trim().is_empty() || user.starts_with("arn:") {
        Nature::Unclear
    } else {
        Nature::Person
    }
}

#[cfg(test)]
mod tests;
