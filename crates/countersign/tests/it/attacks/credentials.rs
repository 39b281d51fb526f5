//! Stolen, forged and misused credentials: agents' tokens, agents' keys, tokens of other algorithms.

use crate::app::{base64url, request, signed, signed_bytes, token};
use crate::house::{House, deployment, vote_subject};
use countersign::ambient;
use countersign::api::{Access, routes};
use countersign_domain::jws::{self, PROPOSAL_TYP, TOKEN_TYP, Token};
use countersign_domain::roster::{Operation, RosterChange};
use countersign_domain::statement::{HaltScope, Subject, Vote};
use countersign_domain::{AgentId, ChangeState, Environment, SignedStatement, canonical};
use countersign_gate::found::hex_key;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};

/// The body of a human endpoint around one signed statement.
fn body(path: &str, statement: &SignedStatement) -> Value {
    match path {
        "/api/v1/resumptions" => json!({"statements": [statement]}),
        "/api/v1/policy" => {
            json!({"files": {"policy.toml": "form = 1"}, "statements": [statement]})
        }
        "/api/v1/roster" => json!({"signed": {"change": "{}", "statements": [statement]}}),
        "/api/v1/inventory" => json!({"inventory": "form = 1\n", "statements": [statement]}),
        "/api/v1/feeds" => json!({}),
        _ => json!({"statement": statement}),
    }
}

#[test]
fn an_agents_credentials_open_no_human_endpoint() {
    let house = House::start(&["web-1"], Environment::Production, 2);
    let change = house.prepared(&house.proposal("postgresql-15", &[vec!["web-1"]]));
    assert_eq!(change.state, ChangeState::AwaitingApproval);
    let before = house.sizes();
    let genuine = house.state("chen", vote_subject(&change, Vote::Approve));
    // The agent's key under a statement that names a person, in the two forms that signatures have.
    let by_jws = SignedStatement {
        signature: signed_bytes(
            TOKEN_TYP,
            "patcher",
            &house.agent,
            genuine.statement.as_bytes(),
        ),
        ..genuine.clone()
    };
    let pair = ssh_key::private::Ed25519Keypair::from_seed(&house.agent.to_bytes());
    let by_ssh = ssh_key::PrivateKey::from(pair)
        .sign(
            countersign_domain::statement::SSH_NAMESPACE,
            ssh_key::HashAlg::Sha512,
            genuine.statement.as_bytes(),
        )
        .unwrap();
    let by_ssh = SignedStatement {
        signature: by_ssh.to_pem(ssh_key::LineEnding::LF).unwrap(),
        ..genuine.clone()
    };
    let mut walked = 0;
    for route in routes() {
        if !matches!(route.access, Access::Signature | Access::Operator) {
            continue;
        }
        walked += 1;
        let path = route
            .path
            .replace("{change}", change.id.as_str())
            .replace("{finding}", "0")
            .replace("{host}", "web-1");
        let url = format!("{}{path}", house.running.url());
        let sent = |token: Option<&str>, statement: &SignedStatement| {
            let body =
                (route.method == "POST").then(|| body(route.path, statement).to_string().into());
            request(route.method.as_str(), &url, token, body)
        };
        // Even what a human has signed is not taken from an agent or a host.
        for token in [
            house.agent_token(),
            house.hosts[0]
                .key
                .token(&deployment(), ambient::now())
                .unwrap(),
        ] {
            let (status, answer) = sent(Some(&token), &genuine);
            assert_eq!(status, 403, "{} {path}: {answer}", route.method);
        }
        for forged in [&by_jws, &by_ssh] {
            let (status, answer) = sent(None, forged);
            assert!(
                (400..500).contains(&status),
                "{} {path}: {status} {answer}",
                route.method
            );
        }
    }
    assert!(walked >= 13, "only {walked} human endpoints were tried");
    assert_eq!(house.sizes(), before, "nothing was written");
    // The statement was never spent: its signer can still hand it in.
    let path = format!("changes/{}/votes", change.id);
    house.post_ok(&path, None, &json!({"statement": genuine}));
}

#[test]
fn the_agents_owner_does_not_approve_for_it_over_the_api() {
    let house = House::start(&["web-1"], Environment::Production, 0);
    let change = house.prepared(&house.proposal("openssl", &[vec!["web-1"]]));
    assert_eq!(change.state, ChangeState::AwaitingApproval);
    let (status, answer) = house.vote("ana", &change, Vote::Approve);
    assert_eq!(status, 403, "{answer}");
    assert_eq!(
        house.change(&change.id).state,
        ChangeState::AwaitingApproval
    );
    assert!(house.change(&change.id).votes.is_empty());
}

#[test]
fn a_lying_agent_is_escalated_over_the_api() {
    let house = House::start(&["web-1"], Environment::Production, 2);
    for lie in [json!({"tier": 4}), json!({"environment": "development"})] {
        let mut proposal = house.proposal("openssl", &[vec!["web-1"]]);
        proposal["claims"] = lie;
        let change = house.prepared(&proposal);
        assert_eq!(change.state, ChangeState::Escalated, "{:?}", change.reasons);
    }
}

/// Hands in one operation on the roster, signed as the threshold demands.
fn change_roster(house: &House, operation: Operation) -> (u16, Value) {
    let world = house.gate().world().unwrap();
    let change = RosterChange {
        v: 1,
        deployment: deployment(),
        trial: false,
        version: world.roster.version + 1,
        previous: Some(world.roster.head),
        at: ambient::now(),
        operations: vec![operation],
    };
    let subject = Subject::Roster {
        change: canonical::digest(&change).unwrap(),
        version: change.version,
    };
    let statements = [house.state("chen", subject)];
    let text = canonical::to_text(&change).unwrap();
    let body = json!({"signed": {"change": text, "statements": statements}});
    house.post("roster", None, &body)
}

#[test]
fn a_captured_agent_key_is_stopped_by_a_halt_and_ends_with_the_roster() {
    let mut house = House::start(&["web-1", "web-2"], Environment::Staging, 3);
    let stolen = SigningKey::from_bytes(&house.agent.to_bytes());
    let first = house.prepared(&house.proposal("openssl", &[vec!["web-1"]]));
    assert_eq!(first.state, ChangeState::Authorized);
    // One person's signature takes what it has gained, and gives it nothing new.
    house.halt("omar", HaltScope::Agent(AgentId::new("patcher").unwrap()));
    assert_eq!(house.change(&first.id).state, ChangeState::Revoked);
    let second = house.prepared(&house.proposal("curl", &[vec!["web-2"]]));
    assert!(house.hosts[1].redeem(&second.id).is_err());
    // A token that was taken before works no longer than the roster says.
    let taken = token("patcher", &stolen);
    let agent = AgentId::new("patcher").unwrap();
    let (status, answer) = change_roster(&house, Operation::RemoveAgent { agent });
    assert_eq!(status, 200, "{answer}");
    let jws = signed(
        PROPOSAL_TYP,
        "patcher",
        &stolen,
        &house.proposal("curl", &[vec!["web-1"]]),
    );
    let before = house.sizes();
    let (status, answer) = house.post("proposals", Some(&taken), &json!({"proposal": jws}));
    assert_eq!(status, 401, "{answer}");
    assert_eq!(house.sizes(), before);
    assert!(house.hosts.iter().all(|host| host.acted.is_empty()));
    assert_eq!(house.findings(), Vec::<String>::new());
}

#[test]
fn tokens_of_another_type_key_time_or_algorithm_open_nothing() {
    let house = House::start(&["web-1"], Environment::Staging, 3);
    let now = ambient::now().unix_seconds();
    let claims = |iat: i64, exp: i64| Token {
        iss: "patcher".into(),
        aud: deployment(),
        iat,
        exp,
    };
    let good = claims(now, now + 300);
    let jws_of = |claims: &Token| signed(TOKEN_TYP, "patcher", &house.agent, claims);
    let with_header = |header: &str| {
        let payload = jws_of(&good).split('.').nth(1).unwrap().to_owned();
        let input = format!("{}.{payload}", base64url(header.as_bytes()));
        jws::assemble(&input, &house.agent.sign(input.as_bytes()).to_bytes())
    };
    let unsigned = |alg: &str| {
        let jws = with_header(&format!(
            r#"{{"alg":"{alg}","kid":"patcher","typ":"token+jwt"}}"#
        ));
        format!("{}.", jws.rsplit_once('.').unwrap().0)
    };
    // An HMAC whose secret is the public key, which everybody knows.
    let hmac = {
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
        header.typ = Some(TOKEN_TYP.into());
        header.kid = Some("patcher".into());
        let secret = house.agent.verifying_key().to_bytes();
        let secret = jsonwebtoken::EncodingKey::from_secret(&secret);
        jsonwebtoken::encode(&header, &good, &secret).unwrap()
    };
    let mut elsewhere = good.clone();
    elsewhere.aud = countersign_domain::DeploymentId::new("example.org/other").unwrap();
    let stranger = SigningKey::from_bytes(&ambient::random());
    let forged = [
        ("none", unsigned("none")),
        ("EdDSA without a signature", unsigned("EdDSA")),
        ("HS256 with the public key", hmac),
        (
            "ES256",
            with_header(r#"{"alg":"ES256","kid":"patcher","typ":"token+jwt"}"#),
        ),
        (
            "another type",
            signed(PROPOSAL_TYP, "patcher", &house.agent, &good),
        ),
        (
            "another's key",
            signed(TOKEN_TYP, "patcher", &stranger, &good),
        ),
        ("another deployment", jws_of(&elsewhere)),
        ("expired", jws_of(&claims(now - 1000, now - 700))),
        ("early", jws_of(&claims(now + 600, now + 800))),
        ("too long a life", jws_of(&claims(now, now + 86_400))),
    ];
    let url = |path: &str| format!("{}/api/v1/{path}", house.running.url());
    let call = |token: &str| request("GET", &url("findings"), Some(token), None);
    assert_eq!(call(&jws_of(&good)).0, 200);
    for (what, token) in forged {
        let (status, answer) = call(&token);
        assert_eq!(status, 401, "{what}: {answer}");
    }
}

/// A key of another curve never gets as far as the roster.
#[test]
fn a_key_of_another_curve_is_not_enrolled() {
    let house = House::start(&["web-1"], Environment::Staging, 3);
    // The base point of P-256: compressed, uncompressed, and as SSH writes such keys.
    let x = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
    let y = "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    let ssh = format!("ecdsa-sha2-nistp256 {}", base64url(x.as_bytes()));
    let keys = [
        format!("03{x}"),
        format!("04{x}{y}"),
        ssh,
        // Of the right length, and of an order so small that anybody could sign for it.
        "0".repeat(64),
    ];
    let enrol = |public_key: &str| {
        let operation = Operation::SetAgent {
            agent: AgentId::new("other").unwrap(),
            owner: crate::app::person("ana"),
            public_key: public_key.into(),
        };
        change_roster(&house, operation)
    };
    for public_key in &keys {
        let (status, answer) = enrol(public_key);
        assert!(
            (400..500).contains(&status),
            "{public_key}: {status} {answer}"
        );
    }
    // It is the key that is refused: a good one is enrolled in the same way.
    let good = SigningKey::from_bytes(&ambient::random());
    let (status, answer) = enrol(&hex_key(&good));
    assert_eq!(status, 200, "{answer}");
}
