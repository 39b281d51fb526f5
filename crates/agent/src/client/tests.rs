//! Addresses, escaping and the life of a token; the wire itself is tested in `tests/it`.

use super::*;
use countersign_domain::{AgentId, DeploymentId};
use ed25519_dalek::SigningKey;

fn identity() -> AgentIdentity {
    AgentIdentity {
        id: AgentId::new("patcher").unwrap(),
        deployment: DeploymentId::new("localhost/trial-1").unwrap(),
        key: SigningKey::from_bytes(&[7; 32]),
    }
}

#[test]
fn only_safe_addresses_are_taken() {
    for (good, base) in [
        ("https://cs.example.org", "https://cs.example.org/api/v1"),
        (
            "https://cs.example.org/x/",
            "https://cs.example.org/x/api/v1",
        ),
        ("http://localhost:8440", "http://localhost:8440/api/v1"),
        ("http://127.0.0.1:1/", "http://127.0.0.1:1/api/v1"),
        ("http://[::1]:1", "http://[::1]:1/api/v1"),
    ] {
        assert_eq!(server(good).unwrap().0, base);
    }
    for wrong in [
        "",
        "cs.example.org",
        "/x",
        "http://cs.example.org",
        "http://localhost.evil.org",
        "ftp://localhost",
        "https://a?b=c",
        "https://a#b",
        "https://user:secret@a",
    ] {
        let error = Client::new(wrong, identity()).unwrap_err();
        assert!(matches!(error, ClientError::Address { .. }), "{wrong}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[test]
fn what_would_change_a_path_is_escaped() {
    assert_eq!(escaped("chg-1/../a?b&é"), "chg-1%2F..%2Fa%3Fb%26%C3%A9");
}

#[test]
fn a_token_is_made_anew_in_time() {
    let client = Client::new("http://localhost:1", identity()).unwrap();
    let at = |seconds| client.token(Timestamp::from_unix_seconds(seconds)).unwrap();
    let first = at(1_000);
    assert_eq!(at(1_239), first);
    let second = at(1_240);
    assert_ne!(second, first);
    // A clock that was set back must not keep a token from the future.
    assert_ne!(at(1_100), second);
}
