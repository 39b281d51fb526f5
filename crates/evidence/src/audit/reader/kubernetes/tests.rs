//! What events come to, and what is told of them without a parser.

use super::{Event, IgnoredAny, Kubernetes, parse, passed_over, told};
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
fn a_broken_object_hides_no_action_and_clears_none() {
    for broken in [
        r#"{"metadata":{},"metadata":{}}"#,
        r#"{"metadata":{"annotations":{"countersign.io/authorization":"csa_88CD"}},"spec":{},"spec":{}}"#,
        r#"{"spec":{"template":{},"template":{}}}"#,
    ] {
        let mut event = event();
        testing::set(&mut event, "/requestObject", json!("@broken@"));
        let text = event.to_string().replace("\"@broken@\"", broken);
        let (taken, rows) = taken(&Kubernetes, text.as_bytes());
        assert!(matches!(taken, Taken::Read(Some(_))), "{taken:?}");
        let unread = |row: &&Row| matches!(row, Row::PartUnread { .. });
        assert_eq!(rows.iter().filter(unread).count(), 1, "{rows:?}");
        let actions = actions(rows);
        assert_eq!(actions.len(), 1, "{broken:.60}");
        assert_eq!(actions[0].system, "shop/deployments/cart");
        assert_eq!(actions[0].actor.name, "ines@example.com");
        assert!(actions[0].references.is_empty() && actions[0].items.is_empty());
        // What is no action needs no object.
        let listed = text.replace("\"patch\"", "\"list\"");
        let (_, rows) = self::taken(&Kubernetes, listed.as_bytes());
        assert_eq!(rows, [Row::Excluded(Exclusion::ReadOnly)]);
    }
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
            let event = parse::<Event<'_, IgnoredAny>>(text.as_bytes()).unwrap();
            prop_assert_eq!(told(&event), Ok((Some(exclusion), at)));
        }
    }
}
