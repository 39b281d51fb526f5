//! One change through every surface: proposed and prepared over the API, approved by the command
//! line, redeemed by its host.

use crate::app::{TestApp, signed};
use crate::program::countersign;
use countersign::ambient;
use countersign_domain::jws::{OBSERVATION_TYP, PLAN_TYP, PROPOSAL_TYP};
use countersign_domain::text::SaltedText;
use countersign_domain::{Digest, canonical};
use serde_json::{Value, json};

/// Proposes with a rationale that tries to deceive, and prepares. The change's id.
fn prepared(app: &TestApp) -> String {
    let now = ambient::now();
    let transition = json!({"name": "zlib1g", "architecture": "amd64", "old": "1.2", "new": "1.3", "sha256": Digest::of(b"new")});
    let back = json!({"name": "zlib1g", "architecture": "amd64", "old": "1.3", "new": "1.2", "sha256": Digest::of(b"old")});
    let observation = json!({
        "v": 1, "deployment": "example.org/test", "host": "web-1", "observed_at": now,
        "pending": [{
            "name": "zlib1g", "architecture": "amd64", "from": "1.2", "to": "1.3", "origin": "Debian-Security",
            "security": true, "essential": false, "pulls_in": [], "rollback": "mirror",
            "cves": {"coverage": "read", "ids": []},
        }],
    });
    let jws = signed(OBSERVATION_TYP, "web-1", &app.host, &observation);
    let (status, answer) = app.post(
        "hosts/web-1/observations",
        Some(&app.host_token()),
        &json!({"observation": jws}),
    );
    assert_eq!(status, 201, "{answer}");
    let (status, answer) = app.post(
        "hosts/web-2/observations",
        Some(&app.host_token()),
        &json!({"observation": jws}),
    );
    assert_eq!(status, 403, "a host speaks for itself alone: {answer}");
    let (status, findings) = app.get("findings", Some(&app.agent_token()));
    assert_eq!(
        (status, findings["findings"].as_array().map(Vec::len)),
        (200, Some(1)),
        "{findings}"
    );

    let rationale = SaltedText::new(
        ambient::random(),
        "harmless\u{202e}\u{1b}[2J\nStatement: approved by everybody",
    );
    let proposal = json!({
        "v": 1, "deployment": "example.org/test", "agent": "patcher", "nonce": ambient::nonce(),
        "proposed_at": now, "path": "patch", "category": "os-security", "waves": [["web-1"]],
        "packages": [{"name": "zlib1g", "architecture": "amd64", "to": "1.3"}],
        "rollback": "reverse-transitions", "claims": {}, "rationale": rationale.digest().unwrap(),
    });
    let jws = signed(PROPOSAL_TYP, "patcher", &app.agent, &proposal);
    let body = json!({"proposal": jws, "rationale": rationale});
    let (status, proposed) = app.post("proposals", Some(&app.agent_token()), &body);
    assert_eq!(
        (status, &proposed["state"]),
        (201, &json!("preparing")),
        "{proposed}"
    );
    let change = proposed["change"].as_str().unwrap().to_owned();

    let plan = json!({
        "v": 1, "deployment": "example.org/test", "host": "web-1",
        "proposal": canonical::digest(&proposal).unwrap(), "prepared_at": now,
        "expires_at": now.plus_seconds(3600),
        "steps": [{
            "transition": transition, "requested": true, "security": true, "fetched": true, "essential": false,
            "reverse": {"transition": back, "source": "mirror", "stored": true},
        }],
        "checks": [], "definitions": Digest::of(b"definitions"),
    });
    let jws = signed(PLAN_TYP, "web-1", &app.host, &plan);
    let (status, answer) = app.post(
        &format!("changes/{change}/plans"),
        Some(&app.host_token()),
        &json!({"plan": jws}),
    );
    assert_eq!(status, 200, "{answer}");
    // The inventory knows nothing of the host, so a human has to take it up.
    assert_eq!(answer["state"], json!("escalated"), "{answer}");
    change
}

fn redeem(app: &TestApp, change: &str) -> (u16, Value) {
    let body = json!({"nonce": ambient::nonce(), "checkpoint_size": 0, "roster_version": 1});
    app.post(
        &format!("changes/{change}/redemptions"),
        Some(&app.host_token()),
        &body,
    )
}

#[test]
fn a_change_is_approved_by_the_command_line_and_redeemed() {
    let app = TestApp::start();
    let dir = app.dir();
    let change = prepared(&app);
    let (status, answer) = redeem(&app, &change);
    assert_eq!(status, 409, "{answer}");
    assert!(
        answer["type"].as_str().unwrap().ends_with("not-authorized"),
        "{answer}"
    );

    let listed = countersign(&dir, &["change", "list", "--state", "escalated", "--json"])
        .done()
        .json();
    assert_eq!(listed["changes"][0]["id"], json!(change));
    countersign(&dir, &["policy", "explain", &change]).done();

    let unasked = countersign(&dir, &["approve", &change]);
    assert_eq!(unasked.code, 2);
    let approved = countersign(
        &dir,
        &[
            "approve",
            &change[..8],
            "--because",
            "looked at it",
            "--yes",
            "--json",
        ],
    )
    .done();
    assert_eq!(approved.json()["state"], json!("authorized"));
    // What was shown: the exact effect first, the agent's claim last and made harmless.
    let shown = &approved.stderr;
    assert!(
        !shown.contains('\u{202e}') && !shown.contains('\u{1b}'),
        "{shown}"
    );
    let effect = shown.find(&Digest::of(b"new").to_string()).unwrap();
    let claim = shown.find("a CLAIM").unwrap();
    assert!(
        effect < claim && shown[claim..].contains("harmless"),
        "{shown}"
    );
    let again = countersign(&dir, &["approve", &change, "--yes"]);
    assert_eq!(again.code, 1, "{}", again.stdout);

    let (status, handover) = redeem(&app, &change);
    assert_eq!(status, 200, "{handover}");
    assert_eq!(handover["warrant"].as_str().unwrap().split('.').count(), 3);
    let (_, same) = redeem(&app, &change);
    assert_eq!(
        same["warrant"], handover["warrant"],
        "a retry gets the same warrant"
    );
    let (_, view) = app.get(&format!("changes/{change}"), Some(&app.agent_token()));
    assert_eq!(view["state"], json!("running"));
    assert_eq!(view["votes"][0]["person"], json!("ada"));
}

#[test]
fn a_change_is_refused_or_withdrawn() {
    let app = TestApp::start();
    let dir = app.dir();
    let change = prepared(&app);
    let refused = countersign(&dir, &["change", "refuse", &change, "--yes", "--json"])
        .done()
        .json();
    assert_eq!(refused["state"], json!("refused"));
    assert_eq!(redeem(&app, &change).0, 409);

    let change = prepared(&app);
    let (status, answer) = app.post(
        &format!("changes/{change}/withdrawals"),
        Some(&app.host_token()),
        &json!({}),
    );
    assert_eq!(status, 403, "{answer}");
    let key = app.folder.path().join("agent.key");
    std::fs::write(
        &key,
        app.agent
            .to_bytes()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect::<String>(),
    )
    .unwrap();
    let withdraw = [
        "change",
        "withdraw",
        &change,
        "--agent",
        "patcher",
        "--agent-key",
        key.to_str().unwrap(),
    ];
    assert_eq!(
        countersign(&dir, &withdraw).code,
        1,
        "a key that others can read"
    );
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&key, mode).unwrap();
    countersign(&dir, &withdraw).done();
    let (_, view) = app.get(&format!("changes/{change}"), Some(&app.agent_token()));
    assert_eq!(view["state"], json!("withdrawn"));
}
