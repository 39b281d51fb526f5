//! Break-glass from the console of a host to the log: with the programs as people run them, on the
//! quickstart's sandbox, with no server while the host acts.

use crate::fire::process::serve;
use crate::program::countersign;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

/// The host's configuration, with the server that runs now.
fn point(dir: &Path, url: &str) {
    let path = dir.join("host.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let lines = text.lines().map(|line| {
        if line.starts_with("server = ") {
            format!("server = \"{url}\"\n")
        } else {
            format!("{line}\n")
        }
    });
    std::fs::write(&path, lines.collect::<String>()).unwrap();
}

/// A deployment whose host has upgraded what it may, with the glass in its configuration.
fn deployment(dir: &Path) {
    let arguments = [
        "quickstart",
        "--name",
        "Maria Ortiz",
        "--yes",
        "--no-serve",
        "--sandbox",
    ];
    countersign(dir, &arguments).done();
    let mut config = OpenOptions::new()
        .append(true)
        .open(dir.join("host.toml"))
        .unwrap();
    config
        .write_all(b"\n[[pins.emergency]]\ngroup = \"change-approvers\"\nquorum = 1\n")
        .unwrap();
}

#[test]
fn an_order_is_prepared_signed_and_run_without_a_server_and_reviewed_with_one() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("deployment");
    deployment(&dir);
    let config = dir.join("host.toml");
    let config = config.to_str().unwrap();
    let order = temp.path().join("order.json");
    let order = order.to_str().unwrap();
    let host = |words: &[&str]| {
        let mut all = vec!["host", "emergency"];
        all.extend(words);
        countersign(&dir, &all)
    };
    let prepared = host(&[
        "prepare",
        "--config",
        config,
        "--out",
        order,
        "cs-tools=1.1",
    ])
    .done();
    assert!(
        prepared.stdout.contains("cs-tools 1.0 → 1.1"),
        "{}",
        prepared.stdout
    );
    // Not signed, it does nothing; a file that is there is not overwritten.
    let early = host(&["run", "--config", config, order]);
    assert_eq!(early.code, 1);
    assert!(
        early.stderr.contains("has to sign 1 times"),
        "{}",
        early.stderr
    );
    assert_eq!(
        host(&[
            "prepare",
            "--config",
            config,
            "--out",
            order,
            "cs-tools=1.1"
        ])
        .code,
        1
    );

    // Whoever signs needs the file and a key, nothing else.
    let signed = countersign(
        &dir,
        &[
            "emergency",
            "sign",
            order,
            "--as",
            "maria.ortiz",
            "--yes",
            "--json",
        ],
    )
    .done();
    assert_eq!(signed.json()["signatures"], 1);
    for words in [
        "EMERGENCY on `",
        "without the gate",
        "cs-tools all: 1.0 → 1.1",
    ] {
        assert!(
            signed.stderr.contains(words),
            "{words} in {}",
            signed.stderr
        );
    }
    let ran = host(&["run", "--config", config, order]).done();
    assert!(ran.stdout.contains("succeeded"), "{}", ran.stdout);
    let again = host(&["run", "--config", config, order]);
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("spent once"), "{}", again.stderr);

    // The gate hears of it at the next contact.
    let before = countersign(&dir, &["emergency", "list", "--json"]).done();
    assert_eq!(before.json()["emergencies"].as_array().unwrap().len(), 0);
    let server = serve(&dir).unwrap();
    point(&dir, &server.url);
    for _ in 0..2 {
        countersign(&dir, &["host", "run", "--once", "--config", config]).done();
    }
    let listed = countersign(&dir, &["emergency", "list", "--json"]);
    assert_eq!(listed.code, 1, "one waits for a human");
    let listed = listed.json();
    let listed = listed["emergencies"].as_array().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["people"][0], "maria.ortiz");
    assert_eq!(listed[0]["ending"], "succeeded");
    let alarms = countersign(&dir, &["alarm", "list", "--json"]).done();
    assert!(alarms.stdout.contains("acted without the gate"));
    // It waits for a human. (In a trial, the same one may.)
    let id = listed[0]["change"].as_str().unwrap();
    let reviewed = countersign(&dir, &["emergency", "accept", id, "--yes"]).done();
    for words in [
        "REVIEW of emergency",
        "acted without the gate and ended at",
        "succeeded",
        "signed by maria.ortiz",
        "in place: cs-tools 1.1",
    ] {
        assert!(
            reviewed.stderr.contains(words),
            "{words}: {}",
            reviewed.stderr
        );
    }
    let left = countersign(&dir, &["emergency", "list", "--json"]).done();
    assert_eq!(left.json()["emergencies"].as_array().unwrap().len(), 0);
    assert_eq!(
        countersign(&dir, &["emergency", "accept", id, "--yes"]).code,
        1
    );
    server.kill();
    countersign(&dir, &["log", "verify"]).done();
    countersign(&dir, &["log", "fsck", "--rebuild"]).done();
}

#[test]
fn what_does_not_fit_together_is_not_signed() {
    let temp = tempfile::tempdir().unwrap();
    let order = temp.path().join("order.json");
    let sign = |text: &str| {
        std::fs::write(&order, text).unwrap();
        let path = order.to_str().unwrap();
        countersign(
            temp.path(),
            &["emergency", "sign", path, "--as", "ana", "--yes"],
        )
    };
    for text in ["", "{}", "null", &"x".repeat(600 * 1024)] {
        let refused = sign(text);
        assert_eq!(refused.code, 2, "{}", refused.stderr);
    }
}
