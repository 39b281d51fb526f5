//! The client on the wire: what it sends, and how it takes problems, garbage and floods.

use crate::samples::{finding, noon};
use crate::server::{Answer, Request, Server};
use countersign_agent::client::Limits;
use countersign_agent::{AgentIdentity, Client, ClientError};
use countersign_domain::jws::{Token, take_apart};
use countersign_domain::{AgentId, ChangeId, ChangeState, DeploymentId, canonical};
use ed25519_dalek::{Signature, SigningKey, Verifier as _};
use serde_json::json;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub fn identity() -> AgentIdentity {
    AgentIdentity {
        id: AgentId::new("patcher").unwrap(),
        deployment: DeploymentId::new("localhost/trial-1").unwrap(),
        key: SigningKey::from_bytes(&[7; 32]),
    }
}

fn limited(server: &Server) -> Client {
    let limits = Limits {
        request_time: Duration::from_secs(2),
        body_bytes_max: 100_000,
        findings_max: 3,
        pages_max: 4,
    };
    Client::with_limits(&server.url(), identity(), limits).unwrap()
}

/// What the client makes of one answer to `GET /findings`.
fn findings_error(answer: impl Fn() -> Answer + Send + 'static) -> ClientError {
    let server = Server::start(move |_| answer());
    limited(&server).findings(noon()).unwrap_err()
}

/// Panics unless the request carries a token that this agent signed for this deployment.
pub fn assert_authenticated(request: &Request) {
    let bearer = &request.headers["authorization"];
    let parts = take_apart(bearer.strip_prefix("Bearer ").unwrap()).unwrap();
    let key = identity().key.verifying_key();
    let signature = Signature::from_bytes(&parts.signature);
    key.verify(parts.signing_input.as_bytes(), &signature)
        .unwrap();
    let token: Token = canonical::from_bytes(&parts.payload).unwrap();
    assert_eq!(
        (parts.header.typ.as_str(), token.iss.as_str()),
        ("token+jwt", "patcher")
    );
    assert_eq!(token.aud, identity().deployment);
    assert_eq!(token.exp - token.iat, 300);
}

#[test]
fn findings_are_asked_for_with_a_token_of_ones_own() {
    let server = Server::start(|request| {
        assert_eq!(
            (request.method.as_str(), request.path.as_str()),
            ("GET", "/api/v1/findings")
        );
        assert_authenticated(request);
        let findings = [finding("web-1", "openssl")];
        Answer::Json(
            200,
            json!({"as_of": noon(), "findings": findings, "later": 1}),
        )
    });
    let found = limited(&server).findings(noon()).unwrap();
    assert_eq!(found.findings, [finding("web-1", "openssl")]);
}

#[test]
fn a_problem_document_is_an_error_with_its_remedy() {
    let error = findings_error(|| {
        let body = json!({"type": "https://x/problems/unknown-agent", "title": "Unknown agent",
            "status": 403, "detail": "`patcher` is not in the roster", "hint": "enrol it"});
        Answer::Json(403, body)
    });
    assert_eq!(
        error.to_string(),
        "GET /findings: refused with status `403`: `patcher` is not in the roster; hint: enrol it"
    );
    assert!(error.is_identity() && !error.is_passing());
}

#[test]
fn a_refused_token_is_not_used_again() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let server = Server::start(move |request| {
        kept.lock()
            .unwrap()
            .push(request.headers["authorization"].clone());
        Answer::Json(401, json!({"title": "Token expired"}))
    });
    let client = limited(&server);
    for seconds in [0, 10] {
        let error = client.findings(noon().plus_seconds(seconds)).unwrap_err();
        assert_eq!(error.status(), Some(401));
    }
    let seen = seen.lock().unwrap();
    assert_ne!(seen[0], seen[1]);
}

#[test]
fn floods_are_cut_off() {
    let chatter =
        findings_error(|| Answer::Endless("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"));
    assert!(matches!(chatter, ClientError::TooLong { .. }), "{chatter}");
    let announced = findings_error(|| {
        Answer::Endless("HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n")
    });
    assert!(
        matches!(announced, ClientError::TooLong { .. }),
        "{announced}"
    );
    let problem = findings_error(|| Answer::Endless("HTTP/1.1 500 X\r\nConnection: close\r\n\r\n"));
    assert!(
        matches!(problem, ClientError::Status { status: 500, .. }),
        "{problem}"
    );
    let head = findings_error(|| Answer::Endless("HTTP/1.1 200 OK\r\nX-Long: "));
    assert!(matches!(head, ClientError::Unreachable { .. }), "{head}");
    let many = findings_error(|| {
        let findings = vec![finding("web-1", "openssl"); 4];
        Answer::Json(200, json!({"as_of": noon(), "findings": findings}))
    });
    assert!(matches!(many, ClientError::Malformed { .. }), "{many}");
}

#[test]
fn silence_ends_in_time() {
    let began = Instant::now();
    let error = findings_error(|| Answer::Silence);
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert!(error.is_passing() && began.elapsed() < Duration::from_secs(8));
}

#[test]
fn garbage_is_an_error_and_never_a_panic() {
    let whole = |body: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    };
    let nested = "[".repeat(50_000);
    let control = whole("{\"as_of\":\"\\u001b[31m\",\"findings\":[]}");
    for bytes in [
        whole(""),
        whole("<html>"),
        whole("null"),
        whole(&nested),
        control,
        {
            let body = json!({"as_of": noon(), "findings": [{"host": "../x"}]});
            whole(&body.to_string())
        },
    ] {
        let error = findings_error(move || Answer::Bytes(bytes.clone()));
        assert!(matches!(error, ClientError::Malformed { .. }), "{error}");
        assert!(!error.to_string().contains('\u{1b}'), "{error:?}");
    }
    for bytes in [
        &b""[..],
        b"\x00\xff\xfe garbage \r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"as_of\"",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let error = findings_error(move || Answer::Bytes(bytes.to_vec()));
        assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    }
    let page = findings_error(|| {
        Answer::Bytes(b"HTTP/1.1 502 X\r\nContent-Length: 6\r\n\r\n<html>".to_vec())
    });
    assert!(matches!(page, ClientError::Status { status: 502, .. }) && page.is_passing());
}

#[test]
fn a_redirect_is_not_followed_with_the_token() {
    let reached = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&reached);
    let elsewhere = Server::start(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        Answer::Json(200, json!({"as_of": noon(), "findings": []}))
    });
    let target = elsewhere.url();
    let error = findings_error(move || {
        let head = format!("HTTP/1.1 307 X\r\nLocation: {target}/\r\nContent-Length: 0\r\n\r\n");
        Answer::Bytes(head.into_bytes())
    });
    assert_eq!(error.status(), Some(307));
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

#[test]
fn a_change_has_to_be_the_one_asked_for() {
    let server = Server::start(|request| {
        assert_eq!(request.path, "/api/v1/changes/chg-1%2Fx");
        Answer::Json(
            200,
            json!({"id": "chg-2", "state": "settled", "agent": "patcher"}),
        )
    });
    let asked = ChangeId::new("chg-1/x").unwrap();
    let error = limited(&server).change(&asked, noon()).unwrap_err();
    assert!(matches!(error, ClientError::Malformed { .. }), "{error}");
}

#[test]
fn pages_are_joined_bounded_and_never_in_a_circle() {
    let page = |n: u32, next: serde_json::Value| {
        let change = json!({"id": format!("chg-{n}"), "state": {"overdue": 2}, "agent": "patcher"});
        Answer::Json(200, json!({"changes": [change], "next": next}))
    };
    let server = Server::start(move |request| match request.path.as_str() {
        "/api/v1/changes?limit=100" => page(1, json!("a&b")),
        "/api/v1/changes?limit=100&after=a%26b" => page(2, json!(null)),
        other => panic!("{other}"),
    });
    let listing = limited(&server).changes(noon()).unwrap();
    assert!(listing.complete && listing.changes.len() == 2);
    assert_eq!(listing.changes[1].state, ChangeState::Overdue(2));

    let mut n = 0;
    let endless = Server::start(move |_| {
        n += 1;
        page(n, json!(n.to_string()))
    });
    let listing = limited(&endless).changes(noon()).unwrap();
    assert!(!listing.complete && listing.changes.len() == 4);

    let circle = Server::start(move |_| page(1, json!("same")));
    let error = limited(&circle).changes(noon()).unwrap_err();
    assert!(matches!(error, ClientError::Malformed { .. }), "{error}");
}
