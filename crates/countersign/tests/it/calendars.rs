//! Calendars by the command line: shown for a folder and for the policy in force, and refused.

use crate::app::TestApp;
use crate::program::countersign;
use serde_json::json;
use std::fs;
use std::path::Path;

/// The examples of the documentation: what a reader pastes.
fn examples() -> Vec<(String, String)> {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/calendars.md"))
            .unwrap();
    text.split("```text\n")
        .skip(1)
        .zip(text.split("```text\n"))
        .map(|(example, before)| {
            let name = before.rsplit('`').nth(1).unwrap().to_owned();
            (name, example.split("```").next().unwrap().to_owned())
        })
        .collect()
}

#[test]
fn the_documented_calendars_are_checked_signed_and_shown() {
    let app = TestApp::founded();
    let dir = app.dir();
    let folder = app.folder.path().join("policy");
    let path = folder.to_str().unwrap();
    countersign(&dir, &["policy", "init", path]).done();
    fs::create_dir(folder.join("calendars")).unwrap();
    let examples = examples();
    assert_eq!(examples.len(), 2);
    for (name, text) in &examples {
        fs::write(folder.join(name), text).unwrap();
    }
    countersign(&dir, &["policy", "check", path]).done();
    countersign(&dir, &["policy", "sign", path, "--yes"]).done();

    // A Saturday night; by the folder, and by the policy in force.
    let at = ["--at", "2026-11-21T23:00:00Z", "--json"];
    let of_folder = countersign(&dir, &[&["policy", "calendar", path][..], &at].concat())
        .done()
        .json();
    let in_force = countersign(&dir, &[&["policy", "calendar"][..], &at].concat())
        .done()
        .json();
    assert_eq!(of_folder, in_force);
    let environments: Vec<_> = in_force.as_array().unwrap().iter().collect();
    assert_eq!(environments.len(), 3);
    let production = environments[2];
    assert_eq!(production["environment"], json!("production"));
    assert_eq!(
        (&production["in_window"], &production["frozen"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(production["window_ends"], json!("2026-11-22T05:00:00Z"));
    assert_eq!(
        production["because"][0]["event"],
        json!("weekend-nights@example.com")
    );
    assert_eq!(environments[0]["has_windows"], json!(false));

    let frozen = countersign(
        &dir,
        &[
            "policy",
            "calendar",
            "--at",
            "2026-12-25T22:00:00Z",
            "--env",
            "production",
        ],
    )
    .done();
    for word in [
        "production: in a change window, FROZEN",
        "Year end",
        "the freeze ends",
    ] {
        assert!(frozen.stdout.contains(word), "{}", frozen.stdout);
    }
    assert!(!frozen.stdout.contains("staging"), "{}", frozen.stdout);
}

#[test]
fn a_calendar_that_is_not_understood_is_refused_with_its_place() {
    let app = TestApp::founded();
    let dir = app.dir();
    let folder = app.folder.path().join("policy");
    let path = folder.to_str().unwrap();
    countersign(&dir, &["policy", "init", path]).done();
    countersign(&dir, &["policy", "sign", path, "--yes"]).done();
    let before = countersign(&dir, &["policy", "show", "--json"])
        .done()
        .json();

    fs::create_dir(folder.join("calendars")).unwrap();
    let (_, freeze) = examples().pop().unwrap();
    for (name, text, problem) in [
        (
            "freezes.ics",
            freeze.replace("FREQ=YEARLY", "FREQ=YEARLY;BYEASTER=1"),
            "freezes.ics:11",
        ),
        (
            "freezes.ics",
            freeze.replace("X-WR-TIMEZONE:Europe/Berlin\n", ""),
            "X-WR-TIMEZONE",
        ),
        ("holidays.ics", freeze.clone(), "windows.production.ics"),
    ] {
        let file = folder.join("calendars").join(name);
        fs::write(&file, text).unwrap();
        let checked = countersign(&dir, &["policy", "check", path, "--json"]);
        assert_eq!(checked.code, 1, "{}", checked.stderr);
        assert!(checked.stderr.contains(problem), "{}", checked.stderr);
        assert_eq!(
            checked.json()["findings"][0]["file"],
            json!(format!("calendars/{name}"))
        );
        assert_eq!(
            countersign(&dir, &["policy", "sign", path, "--yes"]).code,
            1
        );
        assert_eq!(countersign(&dir, &["policy", "calendar", path]).code, 1);
        fs::remove_file(&file).unwrap();
    }
    let after = countersign(&dir, &["policy", "show", "--json"])
        .done()
        .json();
    assert_eq!(after, before);
}

#[test]
fn the_help_names_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let help = countersign(dir.path(), &["policy", "calendar", "--help"]).done();
    for name in [
        "calendars/windows.ics",
        "calendars/freezes.ics",
        "windows.production.ics",
    ] {
        assert!(help.stdout.contains(name), "{}", help.stdout);
    }
}
