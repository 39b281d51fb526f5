//! The HTTP API: who may call what, what malformed input gets, what repeated requests do.

use crate::app::{TestApp, request, signed, signed_bytes};
use countersign::api::{Access, routes};
use countersign_domain::canonical;
use countersign_domain::jws::PROPOSAL_TYP;
use serde_json::{Value, json};

fn filled(path: &str) -> String {
    path.replace("{change}", "chg-0000000000000000")
        .replace("{host}", "web-1")
        .replace("{finding}", "0")
        .replace("{log}", "authorizations")
        .replace("{*tile}", "0/000.p/1")
}

/// Who may call what, written a second time: a change of either has to be meant.
const MATRIX: &[(&str, Access)] = &[
    ("GET /", Access::Public),
    ("GET /static/style.css", Access::Public),
    ("GET /api/v1/deployment", Access::Public),
    ("GET /api/v1/roster", Access::Public),
    ("GET /api/v1/log/{log}/checkpoint", Access::Public),
    ("GET /api/v1/log/{log}/tile/{*tile}", Access::Reader),
    ("GET /api/v1/people", Access::Operator),
    ("GET /api/v1/policy", Access::Reader),
    ("GET /api/v1/inventory", Access::Operator),
    ("GET /api/v1/halts", Access::Reader),
    ("GET /api/v1/alarms", Access::Operator),
    ("GET /api/v1/contacts", Access::Operator),
    ("GET /api/v1/feeds", Access::Operator),
    ("GET /api/v1/unwarranted", Access::Operator),
    ("GET /api/v1/unwarranted/{finding}", Access::Operator),
    (
        "POST /api/v1/unwarranted/{finding}/reviews",
        Access::Signature,
    ),
    ("GET /api/v1/changes", Access::Reader),
    ("GET /api/v1/changes/{change}", Access::Reader),
    ("GET /api/v1/changes/{change}/basis", Access::Operator),
    ("GET /api/v1/changes/{change}/preview", Access::Reader),
    ("GET /api/v1/findings", Access::Agent),
    ("POST /api/v1/proposals", Access::Agent),
    ("POST /api/v1/changes/{change}/withdrawals", Access::Agent),
    ("POST /api/v1/hosts/{host}/observations", Access::Host),
    ("POST /api/v1/hosts/{host}/packages", Access::Host),
    ("POST /api/v1/hosts/{host}/emergencies", Access::Host),
    ("GET /api/v1/emergencies", Access::Operator),
    ("GET /api/v1/emergencies/{change}", Access::Operator),
    (
        "POST /api/v1/emergencies/{change}/reviews",
        Access::Signature,
    ),
    ("GET /api/v1/hosts/{host}/work", Access::Host),
    ("GET /api/v1/work", Access::Host),
    ("POST /api/v1/changes/{change}/plans", Access::Host),
    ("POST /api/v1/changes/{change}/unprepared", Access::Host),
    ("POST /api/v1/changes/{change}/redemptions", Access::Host),
    ("POST /api/v1/changes/{change}/started", Access::Host),
    ("POST /api/v1/changes/{change}/receipts", Access::Host),
    ("POST /api/v1/changes/{change}/votes", Access::Signature),
    ("POST /api/v1/changes/{change}/reviews", Access::Signature),
    ("POST /api/v1/changes/{change}/endings", Access::Signature),
    ("POST /api/v1/halts", Access::Signature),
    ("POST /api/v1/resumptions", Access::Signature),
    ("POST /api/v1/policy", Access::Signature),
    ("POST /api/v1/roster", Access::Signature),
    ("POST /api/v1/inventory", Access::Signature),
    ("POST /api/v1/feeds", Access::Operator),
];

#[test]
fn the_table_of_endpoints_is_as_reviewed() {
    let found: Vec<_> = routes()
        .iter()
        .map(|route| (format!("{} {}", route.method, route.path), route.access))
        .collect();
    let reviewed: Vec<_> = MATRIX
        .iter()
        .map(|(place, access)| ((*place).to_owned(), *access))
        .collect();
    assert_eq!(found, reviewed);
}

/// Every endpoint, called by nobody and by everybody whom it does not serve.
#[test]
fn every_endpoint_turns_away_whom_it_does_not_serve() {
    let app = TestApp::start();
    let base = app.running.as_ref().unwrap().url();
    let callers = [
        (None, None),
        (Some(app.agent_token()), Some(Access::Agent)),
        (Some(app.host_token()), Some(Access::Host)),
        (Some(app.operator_token()), Some(Access::Operator)),
        (Some("nonsense".to_owned()), None),
    ];
    for route in routes() {
        for (token, kind) in &callers {
            let body = (route.method == "POST").then(|| b"{}".to_vec());
            let url = format!("{base}{}", filled(route.path));
            let (status, answer) = request(route.method.as_str(), &url, token.as_deref(), body);
            let place = format!(
                "{} {} as {kind:?}: {status} {answer}",
                route.method, route.path
            );
            let known = kind.is_some();
            let admitted = match route.access {
                Access::Public => true,
                Access::Reader => known,
                // The statement in the body is the credential; `{}` has none.
                Access::Signature => token.is_none() || *kind == Some(Access::Operator),
                wanted => *kind == Some(wanted),
            };
            if admitted {
                assert!(!matches!(status, 401), "{place}");
                if route.access == Access::Signature {
                    assert_eq!(status, 400, "{place}");
                }
            } else if known {
                assert_eq!(status, 403, "{place}");
            } else {
                assert_eq!(status, 401, "{place}");
            }
            if status >= 400 {
                assert_eq!(answer["status"], json!(status), "{place}");
                assert!(
                    answer["type"].as_str().unwrap().starts_with("https://"),
                    "{place}"
                );
            }
        }
    }
}

fn proposal() -> Value {
    json!({
        "v": 1,
        "deployment": "example.org/test",
        "agent": "patcher",
        "nonce": "00112233445566778899aabbccddeeff",
        "proposed_at": countersign::ambient::now(),
        "path": "patch",
        "category": "os-security",
        "waves": [["web-1"]],
        "packages": [{"name": "zlib1g", "architecture": "amd64", "to": "1.3"}],
        "rollback": "reverse-transitions",
        "claims": {},
    })
}

#[test]
fn a_malformed_proposal_names_the_field_and_writes_nothing() {
    let app = TestApp::start();
    let before = app.sizes();
    let token = app.agent_token();
    let without = |field: &str| {
        let mut value = proposal();
        value.as_object_mut().unwrap().remove(field);
        value
    };
    let with = |field: &str, new: Value| {
        let mut value = proposal();
        value[field] = new;
        value
    };
    let hosts: Vec<_> = (0..501).map(|n| format!("h{n}")).collect();
    let cases = [
        (without("nonce"), "nonce"),
        (with("command", json!("rm")), "command"),
        (with("v", json!(1.5)), "v"),
        (with("waves", json!([])), "waves"),
        (with("waves", json!([hosts])), "waves"),
        (with("waves", json!([["nobody"]])), "waves"),
        (
            with(
                "packages",
                json!([{"name": "../x", "architecture": "amd64", "to": "1"}]),
            ),
            "packages[0].name",
        ),
        (with("claims", json!({"tier": 9})), "claims.tier"),
        (
            with("proposed_at", json!("2001-01-01T00:00:00Z")),
            "proposed_at",
        ),
    ];
    for (value, field) in cases {
        let bytes = canonical::to_bytes(&value).unwrap_or_else(|_| value.to_string().into_bytes());
        let jws = signed_bytes(PROPOSAL_TYP, "patcher", &app.agent, &bytes);
        let (status, answer) = app.post("proposals", Some(&token), &json!({"proposal": jws}));
        assert!((400..500).contains(&status), "{field}: {status} {answer}");
        assert_eq!(answer["field"], json!(field), "{answer}");
    }
    let large = "x".repeat(20 * 1024);
    let path = "changes/chg-0000000000000000/unprepared";
    let (status, answer) = app.post(path, Some(&app.host_token()), &json!({"why": large}));
    assert_eq!(
        (status, &answer["field"]),
        (413, &json!("body")),
        "{answer}"
    );
    let large = "x".repeat(128 * 1024);
    let (status, answer) = app.post("proposals", Some(&token), &json!({"proposal": large}));
    assert_eq!(
        (status, &answer["field"]),
        (413, &json!("proposal")),
        "{answer}"
    );
    assert_eq!(app.sizes(), before);
}

#[test]
fn a_repeated_proposal_is_the_same_change() {
    let app = TestApp::start();
    let token = app.agent_token();
    let jws = signed(PROPOSAL_TYP, "patcher", &app.agent, &proposal());
    let (status, first) = app.post("proposals", Some(&token), &json!({"proposal": jws}));
    assert_eq!(status, 201, "{first}");
    let after = app.sizes();
    let (status, second) = app.post("proposals", Some(&token), &json!({"proposal": jws}));
    assert_eq!((status, &second), (201, &first));
    assert_eq!(app.sizes(), after);
    // Another agent's signature over it does not pass, whatever the token says.
    let forged = signed(PROPOSAL_TYP, "patcher", &app.host, &proposal());
    let (status, answer) = app.post("proposals", Some(&token), &json!({"proposal": forged}));
    assert_eq!(status, 403, "{answer}");
    assert_eq!(app.sizes(), after);
}
