//! Reads Kubernetes audit events (`audit.k8s.io/v1`): completed requests that create, change or
//! delete workloads are actions. What controllers do after them is not counted a second time.

use super::lenient::{List, Marks, Object, Text, Word, bytes, clip, key, parse};
use super::references;
use super::{About, Context, JsonReader, Record, Taken};
use crate::audit::model::{Action, Actor, Exclusion, Format, Nature, Reference, Row};
use crate::audit::moment::Moment;
use crate::audit::structure::{Names, members};
use memchr::memmem::Finder;
use serde::Deserialize;
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
/// How the secrets begin in which Helm keeps its releases.
const HELM_RELEASE: &str = "sh.helm.release.";

/// What every event has.
static MARKS: Marks<1> = Marks::new(|| [Finder::new("audit.k8s.io/")]);

/// The reader.
pub(crate) struct Kubernetes;

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Event<'a> {
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
#[serde(default, rename_all = "camelCase")]
struct Body {
    request_object: Object<Workload>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Workload {
    metadata: Object<Metadata>,
    spec: Object<Spec>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    name: Text,
    annotations: Object<BTreeMap<String, Text>>,
}

/// The `spec` of a workload (with a template) or of a pod (with containers).
#[derive(Deserialize, Default)]
#[serde(default)]
struct Spec {
    template: Object<Template>,
    containers: List<Object<Container>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Template {
    metadata: Object<Metadata>,
    spec: Object<PodSpec>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PodSpec {
    containers: List<Object<Container>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Container {
    image: Text,
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
        let Some(event) = parse::<Event<'_>>(record.bytes) else {
            return Taken::Unreadable("no JSON, or nested too deeply");
        };
        if event.kind.0 != "Event" || !event.api_version.0.starts_with("audit.k8s.io/") {
            return Taken::NotMine;
        }
        let received = Moment::parse(&event.request_received_timestamp.0);
        let Some(time) = received.or_else(|| Moment::parse(&event.stage_timestamp.0)) else {
            return Taken::Unreadable(
                "neither requestReceivedTimestamp nor stageTimestamp is a time",
            );
        };
        if let Some(exclusion) = excluded(&event) {
            rows.push(Row::Excluded(exclusion));
            return Taken::Read(Some(time));
        }
        let Some(body) = parse::<Body>(record.bytes) else {
            return Taken::Unreadable("its object is nested too deeply, or names a field twice");
        };
        let workload = &body.request_object.0;
        rows.push(Row::Action(Box::new(action(
            &event, workload, time, record,
        ))));
        Taken::Read(Some(time))
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

/// Why an event is no action.
fn excluded(event: &Event<'_>) -> Option<Exclusion> {
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

fn action(event: &Event<'_>, workload: &Workload, time: Moment, record: Record<'_>) -> Action {
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
            annotation(name, &text.0, &mut references);
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
mod tests {
    use super::{Event, Kubernetes, Moment, excluded, parse, passed_over};
    use crate::audit::model::{Exclusion, Nature, Reference, Row};
    use crate::audit::reader::Taken;
    use crate::audit::reader::testing::{self, actions, taken};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn event() -> Value {
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Request",
            "auditID": "00000000-0000-4000-8000-0000000000a1", "stage": "ResponseComplete",
            "requestURI": "/apis/apps/v1/namespaces/shop/deployments/cart?fieldManager=kubectl",
            "verb": "patch",
            "user": {"username": "ines@example.com", "groups": ["system:authenticated"]},
            "objectRef": {"resource": "deployments", "namespace": "shop", "name": "cart", "apiGroup": "apps"},
            "responseStatus": {"metadata": {}, "code": 200},
            "requestObject": {
                "metadata": {"annotations": {
                    "kubernetes.io/change-cause": "OPS-77 new openssl",
                    "countersign.io/authorization": "csa_88CD"
                }},
                "spec": {"template": {"spec": {"containers": [
                    {"name": "cart", "image": "registry.example/cart:00112233445566778899aabbccddeeff00112233"}
                ]}}}
            },
            "requestReceivedTimestamp": "2026-05-02T03:04:05.123456Z",
            "stageTimestamp": "2026-05-02T03:04:05.223456Z"
        })
    }

    fn rows(changes: &[(&str, Value)]) -> Vec<Row> {
        let mut event = event();
        for (pointer, value) in changes {
            testing::set(&mut event, pointer, value.clone());
        }
        let (taken, rows) = taken(&Kubernetes, event.to_string().as_bytes());
        assert!(matches!(taken, Taken::Read(Some(_))), "{taken:?}");
        rows
    }

    #[test]
    fn a_changed_workload_is_an_action_with_what_it_refers_to() {
        let action = actions(rows(&[])).remove(0);
        assert_eq!(action.system, "shop/deployments/cart");
        assert_eq!(action.summary, "patch shop/deployments/cart");
        assert_eq!(
            (action.actor.name.as_str(), action.actor.nature),
            ("ines@example.com", Nature::Person)
        );
        assert_eq!(
            action.references,
            [
                Reference::Countersign("csa_88CD".to_owned()),
                Reference::Number("OPS-77".to_owned()),
                Reference::Commit("00112233445566778899aabbccddeeff00112233".to_owned()),
            ]
        );
        assert!(
            action
                .ended
                .is_some_and(|ended| ended.earliest > action.started.latest)
        );
    }

    #[test]
    fn users_of_the_system_are_automations_whoever_they_impersonate() {
        for (user, nature) in [
            ("system:serviceaccount:flux-system:flux", Nature::Automation),
            ("system:anonymous", Nature::Automation),
            ("eks:addon-manager", Nature::Automation),
            (
                "arn:aws:sts::000000000001:assumed-role/x/y",
                Nature::Unclear,
            ),
            ("", Nature::Unclear),
            ("kubernetes-admin", Nature::Person),
        ] {
            let other = json!({"username": "ines@example.com"});
            let rows = rows(&[
                ("/user/username", json!(user)),
                ("/impersonatedUser", other),
            ]);
            let action = &actions(rows)[0];
            assert_eq!(action.actor.nature, nature, "{user}");
            assert!(action.summary.ends_with(" as ines@example.com"));
            assert!(action.actor.also.is_empty());
        }
    }

    #[test]
    fn what_changes_no_software_is_excluded_and_says_why() {
        let controller = "system:serviceaccount:kube-system:replicaset-controller";
        for (changes, exclusion) in [
            (
                vec![("/stage", json!("RequestReceived"))],
                Exclusion::Repeated,
            ),
            (vec![("/stage", json!("Panic"))], Exclusion::Failed),
            (vec![("/verb", json!("watch"))], Exclusion::ReadOnly),
            (
                vec![("/objectRef/resource", json!("endpointslices"))],
                Exclusion::Other,
            ),
            (
                vec![("/objectRef/subresource", json!("status"))],
                Exclusion::Other,
            ),
            (
                vec![("/objectRef/resource", json!("secrets"))],
                Exclusion::Other,
            ),
            (
                vec![("/responseStatus/code", json!(403))],
                Exclusion::Denied,
            ),
            (
                vec![("/responseStatus/code", json!(409))],
                Exclusion::Failed,
            ),
            (
                vec![("/requestURI", json!("/x?a=b&dryRun=All"))],
                Exclusion::DryRun,
            ),
            (
                vec![
                    ("/objectRef/resource", json!("pods")),
                    ("/user/username", json!(controller)),
                ],
                Exclusion::Repeated,
            ),
        ] {
            assert_eq!(rows(&changes), [Row::Excluded(exclusion)], "{changes:?}");
        }
        // A controller that changes what people ask for is an action, and so is a Helm release.
        assert_eq!(
            actions(rows(&[("/user/username", json!(controller))])).len(),
            1
        );
        let release = [
            ("/objectRef/resource", json!("secrets")),
            ("/objectRef/name", json!("sh.helm.release.v1.cart.v7")),
        ];
        assert_eq!(actions(rows(&release)).len(), 1);
    }

    #[test]
    fn hostile_events_are_read_or_refused() {
        testing::check_hostile(&Kubernetes, &event());
        let mut other = event();
        testing::set(&mut other, "/verb", json!("get"));
        assert!(passed_over(other.to_string().as_bytes()).is_some());
        testing::set(&mut other, "/kind", json!("Policy"));
        assert_eq!(
            taken(&Kubernetes, other.to_string().as_bytes()).0,
            Taken::NotMine
        );
        testing::set(&mut other, "/kind", json!("Event"));
        testing::set(
            &mut other,
            "/requestReceivedTimestamp",
            json!("2026-05-02 03:04:05"),
        );
        let of = |event: &Value| taken(&Kubernetes, event.to_string().as_bytes()).0;
        assert!(matches!(of(&other), Taken::Read(Some(_))));
        testing::set(&mut other, "/stageTimestamp", json!(null));
        assert!(matches!(of(&other), Taken::Unreadable(_)));
    }

    fn odd(values: &'static [&'static str]) -> impl Strategy<Value = Value> {
        let others = [
            json!(null),
            json!(7),
            json!(true),
            json!({"verb": "get"}),
            json!(["get"]),
        ];
        let words = ["", "x", "get ", "\"", "\\u0067et", "\n", "\u{7f}", "é"];
        prop_oneof![
            20 => prop::sample::select(values).prop_map(|text| json!(text)),
            2 => prop::sample::select(words.to_vec()).prop_map(|text| json!(text)),
            1 => prop::sample::select(others.to_vec()),
        ]
    }

    proptest! {
        /// What is told of an event without a parser is what a parser tells of it.
        #[test]
        fn an_event_is_passed_over_as_a_parser_would(
            kind in odd(&["Event"]),
            version in odd(&["audit.k8s.io/v1"]),
            stage in odd(&["ResponseComplete", "Panic", "RequestReceived"]),
            verb in odd(&["get", "patch", "delete", "approve"]),
            resource in odd(&["pods", "secrets", "leases"]),
            name in odd(&["cart", "sh.helm.release.v1.cart.v7"]),
            subresource in odd(&["", "status", "ephemeralcontainers"]),
            time in odd(&["2026-05-02T03:04:05.123456Z", "2026-05-02T03:04:05+02:00"]),
        ) {
            let mut event = event();
            let object = json!({"resource": resource, "name": name, "subresource": subresource});
            let members = json!({
                "kind": kind, "apiVersion": version, "stage": stage, "verb": verb, "objectRef": object,
                "requestReceivedTimestamp": time,
            });
            event.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            let text = event.to_string();
            if let Some((exclusion, at)) = passed_over(text.as_bytes()) {
                let event = parse::<Event<'_>>(text.as_bytes()).unwrap();
                prop_assert_eq!(event.kind.0.as_ref(), "Event");
                prop_assert!(event.api_version.0.starts_with("audit.k8s.io/"));
                prop_assert_eq!(excluded(&event), Some(exclusion));
                prop_assert_eq!(Moment::parse(&event.request_received_timestamp.0), Some(at));
            }
        }
    }
}
