//! The command line: halts and resumes with and without a server, replays, logs, exit codes.

use crate::app::TestApp;
use crate::program::{command, countersign, ran};
use countersign_domain::statement::{HaltScope, Subject};
use serde_json::json;

#[test]
fn halt_and_resume_with_and_without_a_server() {
    let mut app = TestApp::founded();
    let dir = app.dir();
    // No server: the command brings its own.
    let halted = countersign(&dir, &["halt", "--yes", "--json"]);
    assert_eq!(halted.code, 0, "{}", halted.stderr);
    assert_eq!(halted.json()["halt_epoch"], json!(1));
    assert!(
        halted.stderr.contains("HALT everything"),
        "{}",
        halted.stderr
    );
    app.serve();
    app.sign_starter();
    let listed = countersign(&dir, &["halt", "list", "--json"]).done().json();
    assert_eq!(listed["active"][0][0]["scope"], json!("everything"));
    // With a server in another process (this one), through it.
    let other = countersign(&dir, &["resume", "--agent", "patcher", "--yes"]);
    assert_eq!(other.code, 1, "that was never halted");
    let resumed = countersign(&dir, &["resume", "--yes", "--json"]).done();
    assert_eq!(resumed.json()["halt_epoch"], json!(2));
    assert!(app.gate().halts().unwrap().active.is_empty());
    countersign(&dir, &["halt", "--environment", "production", "--yes"]).done();
    assert_eq!(app.gate().halts().unwrap().active.len(), 1);
    assert_eq!(
        countersign(&dir, &["halt", "--rule", "x", "--agent", "y"]).code,
        2
    );
}

#[test]
fn a_statement_counts_once() {
    let app = TestApp::start();
    let statement = app.state(Subject::Halt {
        halt: HaltScope::Everything,
    });
    let body = json!({"statement": statement});
    assert_eq!(app.post("halts", None, &body).0, 200);
    let sizes = app.sizes();
    let (status, answer) = app.post("halts", None, &body);
    assert_eq!(status, 409, "{answer}");
    // Altered by one character, it is nobody's.
    let mut altered = body;
    let text = altered["statement"]["statement"]
        .as_str()
        .unwrap()
        .replace("everything", "everythinG");
    altered["statement"]["statement"] = json!(text);
    let (status, answer) = app.post("halts", None, &altered);
    assert!((400..=403).contains(&status), "{answer}");
    assert_eq!(app.sizes(), sizes);
}

#[test]
fn logs_are_checked_rebuilt_and_exported() {
    let mut app = TestApp::start();
    app.stop();
    let dir = app.dir();
    let checked = countersign(&dir, &["log", "fsck", "--rebuild", "--json"])
        .done()
        .json();
    assert_eq!(
        (&checked["sound"], &checked["rebuild"]["entries"]),
        (&json!(true), &json!(2))
    );
    let out = app.folder.path().join("out");
    countersign(&dir, &["log", "export", out.to_str().unwrap()]).done();
    for log in ["authorizations", "recommendations"] {
        assert!(out.join(log).join("checkpoint").is_file());
        assert!(out.join(log).join("vkey").is_file());
    }
    let shown = countersign(&dir, &["log", "show", "--json"]).done().json();
    assert_eq!(shown[0]["entry"]["event"]["type"], json!("roster"));
    assert_eq!(shown[1]["entry"]["event"]["type"], json!("policy"));
}

#[test]
fn a_log_is_served_as_tiles() {
    let app = TestApp::start();
    let token = app.operator_token();
    let (status, note) = app.get("log/authorizations/checkpoint", None);
    assert_eq!(status, 200);
    assert!(
        note.as_str()
            .unwrap()
            .starts_with("example.org/test/authorizations\n2\n"),
        "{note}"
    );
    assert_eq!(
        app.get("log/authorizations/tile/0/000.p/2", Some(&token)).0,
        200
    );
    assert_eq!(
        app.get("log/authorizations/tile/entries/000.p/2", Some(&token))
            .0,
        200
    );
    assert_eq!(
        app.get("log/authorizations/tile/0/000", Some(&token)).0,
        404
    );
    assert_eq!(
        app.get("log/authorizations/tile/0/../0/000", Some(&token))
            .0,
        400
    );
    assert_eq!(app.get("log/nonesuch/checkpoint", None).0, 400);
}

#[test]
fn exit_codes_tell_what_happened() {
    let app = TestApp::founded();
    let dir = app.dir();
    assert_eq!(countersign(&dir, &["nonsense"]).code, 2);
    assert_eq!(countersign(&dir, &["change", "show", "chg-0"]).code, 1);
    assert_eq!(
        countersign(&dir, &["halt", "list", "--server", "http://127.0.0.1:1"]).code,
        3
    );
    let absent = countersign(&dir.join("absent"), &["change", "list"]);
    assert_eq!(absent.code, 1);
    assert!(
        absent.stderr.contains("countersign init"),
        "{}",
        absent.stderr
    );
    let help = ran(command(&dir, &["--help"]).output().unwrap()).done();
    assert!(help.stdout.contains("Exit codes"));
    assert!(
        countersign(&dir, &["completions", "bash"])
            .done()
            .stdout
            .contains("_countersign")
    );
}

#[test]
fn feeds_are_imported_from_files() {
    let app = TestApp::founded();
    let file = app.folder.path().join("kev.json");
    let kev = json!({
        "title": "CISA Catalog of Known Exploited Vulnerabilities",
        "catalogVersion": "2026.01.01",
        "dateReleased": "2026-01-01T00:00:00.0000Z",
        "count": 1,
        "vulnerabilities": [{
            "cveID": "CVE-2099-0001", "vendorProject": "Example", "product": "Example",
            "vulnerabilityName": "Example", "dateAdded": "2026-01-01", "shortDescription": "x",
            "requiredAction": "x", "dueDate": "2026-01-22",
            "knownRansomwareCampaignUse": "Unknown", "notes": "", "cwes": []
        }]
    });
    std::fs::write(&file, kev.to_string()).unwrap();
    let dir = app.dir();
    let taken = countersign(&dir, &["feed", "import", file.to_str().unwrap(), "--json"])
        .done()
        .json();
    assert_eq!(taken["feed"], json!("cisa-kev"));
    let listed = countersign(&dir, &["feed", "list", "--json"]).done().json();
    assert_eq!(listed["feeds"][0]["records"], json!(1));
    std::fs::write(&file, "{}").unwrap();
    assert_eq!(
        countersign(&dir, &["feed", "import", file.to_str().unwrap()]).code,
        1
    );
    assert_eq!(
        countersign(&dir, &["feed", "import", "http://example.org/kev.json"]).code,
        2
    );
}
