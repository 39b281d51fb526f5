//! Policies by the API and the CLI: a bad one leaves the old in force.

use crate::app::TestApp;
use crate::program::countersign;
use countersign_domain::statement::Subject;
use countersign_policy::PolicySource;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;

#[test]
fn a_bad_policy_leaves_the_old_in_force() {
    let app = TestApp::start();
    let before = app.gate().world().unwrap().policy().unwrap().record.policy;
    let sizes = app.sizes();
    let files: BTreeMap<String, String> = countersign_policy::starter()
        .files()
        .iter()
        .map(|(path, bytes)| {
            let text = String::from_utf8(bytes.clone()).unwrap();
            let text = if path == "rules/limits.cedar" {
                format!("{text}\npermit (")
            } else {
                text
            };
            (path.clone(), text)
        })
        .collect();
    let bytes = files
        .iter()
        .map(|(path, text)| (path.clone(), text.clone().into_bytes()))
        .collect();
    let statement = app.state(Subject::Policy {
        policy: PolicySource::new(bytes).unwrap().digest(),
        version: 2,
        authors: Vec::new(),
    });
    let (status, answer) = app.post(
        "policy",
        None,
        &json!({"files": files, "statements": [statement]}),
    );
    assert_eq!(
        (status, &answer["field"]),
        (422, &json!("files")),
        "{answer}"
    );
    assert!(
        answer["findings"][0]
            .as_str()
            .unwrap()
            .contains("rules/limits.cedar"),
        "{answer}"
    );
    assert_eq!(
        app.gate().world().unwrap().policy().unwrap().record.policy,
        before
    );
    assert_eq!(app.sizes(), sizes);
}

#[test]
fn a_policy_that_nobody_signed_is_not_in_force() {
    let app = TestApp::start();
    let files = json!({"policy.toml": "form = 1"});
    let (status, _) = app.post("policy", None, &json!({"files": files, "statements": []}));
    assert!((400..500).contains(&status));
    // The starter again, as version 2, signed as version 1: that signature was spent on another.
    let source = countersign_policy::starter_for(&crate::app::person("ada"));
    let files: BTreeMap<_, _> = source
        .files()
        .iter()
        .map(|(path, bytes)| (path.clone(), String::from_utf8(bytes.clone()).unwrap()))
        .collect();
    let statement = app.state(Subject::Policy {
        policy: source.digest(),
        version: 1,
        authors: Vec::new(),
    });
    let (status, answer) = app.post(
        "policy",
        None,
        &json!({"files": files, "statements": [statement]}),
    );
    assert_eq!(status, 422, "{answer}");
    let (status, answer) = app.post("policy", None, &json!({"files": files, "statements": []}));
    assert_eq!(status, 403, "{answer}");
}

#[test]
fn the_command_line_checks_tests_and_signs() {
    let mut app = TestApp::founded();
    let dir = app.dir();
    let folder = app.folder.path().join("policy");
    let path = folder.to_str().unwrap();
    countersign(&dir, &["policy", "init", path]).done();
    countersign(&dir, &["policy", "check", path]).done();
    let cases = countersign(&dir, &["policy", "test", path, "--json"])
        .done()
        .json();
    assert!(cases.as_array().unwrap().len() > 10);
    let unasked = countersign(&dir, &["policy", "sign", path]);
    assert_eq!(unasked.code, 2, "nobody was there to be asked");
    let signed = countersign(&dir, &["policy", "sign", path, "--yes", "--json"])
        .done()
        .json();
    let shown = countersign(&dir, &["policy", "show", "--json"])
        .done()
        .json();
    assert_eq!(signed["policy"], shown["policy"]);
    assert_eq!(shown["signers"][0]["person"], json!("ada"));
    // A broken rule is shown with its place, and changes nothing.
    let rules = folder.join("rules/people.cedar");
    let broken = fs::read_to_string(&rules).unwrap().replacen(
        "principal is Person",
        "principal is Nobody",
        1,
    );
    fs::write(&rules, broken).unwrap();
    let checked = countersign(&dir, &["policy", "check", path]);
    assert_eq!(checked.code, 1);
    assert!(
        checked.stderr.contains("people.cedar"),
        "{}",
        checked.stderr
    );
    assert_eq!(
        countersign(&dir, &["policy", "sign", path, "--yes"]).code,
        1
    );
    app.serve();
    assert_eq!(
        app.gate()
            .world()
            .unwrap()
            .policy()
            .unwrap()
            .record
            .policy
            .to_string(),
        signed["policy"].as_str().unwrap()
    );
}
