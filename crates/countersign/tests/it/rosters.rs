//! Roster changes by the command line, with one signer and with two.

use crate::app::TestApp;
use crate::program::countersign;
use countersign::signing::SshKey;
use serde_json::json;

#[test]
fn two_people_sign_when_the_threshold_says_two() {
    let mut app = TestApp::founded();
    let dir = app.dir();
    let folder = app.folder.path().to_owned();
    let bob = SshKey::generate().unwrap();
    let bob_path = folder.join("bob");
    bob.write(&bob_path).unwrap();
    let bob_key = bob_path.to_str().unwrap();
    // One signs alone as long as one is enough.
    let edits = folder.join("edits.toml");
    std::fs::write(
        &edits,
        format!(
            "[[operation]]\nop = 'add-person'\nperson = 'bob'\nname = 'Bob Example'\nkey_file = '{bob_key}.pub'\n\
             [[operation]]\nop = 'set-group'\ngroup = 'policy-owners'\nmembers = ['ada', 'bob']\n\
             [[operation]]\nop = 'set-threshold'\ngroup = 'policy-owners'\nquorum = 2\n"
        ),
    )
    .unwrap();
    let changed = countersign(
        &dir,
        &[
            "roster",
            "change",
            edits.to_str().unwrap(),
            "--yes",
            "--json",
        ],
    )
    .done();
    assert_eq!(changed.json()["roster_version"], json!(2));
    assert!(
        changed.stderr.contains("Bob Example"),
        "the signer sees the name: {}",
        changed.stderr
    );
    // Now one is not enough.
    let key = "0".repeat(63) + "9";
    let add = ["roster", "add-host", "web-2", "--public-key", &key, "--yes"];
    let alone = countersign(&dir, &add);
    assert_eq!(alone.code, 1, "{}", alone.stderr);
    assert!(alone.stderr.contains("--out"), "{}", alone.stderr);
    // Ada prepares, Bob signs, either hands in.
    let file = folder.join("change.json");
    let path = file.to_str().unwrap();
    let prepared: Vec<&str> = add.iter().copied().chain(["--out", path]).collect();
    countersign(&dir, &prepared).done();
    assert_eq!(countersign(&dir, &["roster", "submit", path]).code, 1);
    let again = countersign(&dir, &["statement", "sign", path, "--yes"]);
    assert_eq!(again.code, 1, "nobody signs twice");
    let second = countersign(
        &dir,
        &["statement", "sign", path, "--yes", "--key", bob_key],
    )
    .done();
    assert!(second.stderr.contains("web-2"), "{}", second.stderr);
    let submitted = countersign(&dir, &["roster", "submit", path, "--json"]).done();
    assert_eq!(submitted.json()["roster_version"], json!(3));
    // The same file again follows a version that has passed.
    assert_eq!(countersign(&dir, &["roster", "submit", path]).code, 1);
    app.serve();
    assert_eq!(app.gate().world().unwrap().roster.hosts.len(), 2);
    let names = app.get("people", Some(&app.operator_token())).1;
    assert_eq!(names["names"]["bob"], json!("Bob Example"));
}

#[test]
fn what_would_not_work_is_said_before_anybody_signs() {
    let app = TestApp::founded();
    let dir = app.dir();
    let ran = countersign(&dir, &["roster", "remove-person", "nobody", "--yes"]);
    assert_eq!(ran.code, 1);
    assert!(!ran.stderr.contains("about to sign"), "{}", ran.stderr);
    let last = countersign(&dir, &["roster", "remove-person", "ada", "--yes"]);
    assert_eq!(
        last.code, 1,
        "the roster would be unusable: {}",
        last.stdout
    );
}

#[test]
fn an_agents_key_is_made_and_admitted() {
    let app = TestApp::founded();
    let dir = app.dir();
    let path = app.folder.path().join("agent.key");
    let made = countersign(&dir, &["agent", "keygen", path.to_str().unwrap(), "--json"])
        .done()
        .json();
    let public = made["public_key"].as_str().unwrap().to_owned();
    let add = [
        "agent",
        "add",
        "second",
        "--owner",
        "ada",
        "--public-key",
        &public,
        "--yes",
    ];
    countersign(&dir, &add).done();
    let shown = countersign(&dir, &["roster", "show", "--json"])
        .done()
        .json();
    assert_eq!(shown["agents"]["second"]["public_key"], json!(public));
    let again = countersign(&dir, &["agent", "keygen", path.to_str().unwrap()]);
    assert_eq!(again.code, 1, "a key is never overwritten");
}
