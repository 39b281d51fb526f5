//! What `cargo xtask bench` runs, at its smallest: each measurement works and checks itself.

use crate::program::countersign;
use serde_json::Value;

fn measured(arguments: &[&str]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let scratch = dir.path().to_str().unwrap();
    let mut words = vec!["bench"];
    words.extend(arguments);
    if arguments[0] != "p2" {
        words.extend(["--scratch", scratch]);
    }
    words.push("--json");
    countersign(dir.path(), &words).done().json()
}

#[test]
fn authorizations_are_measured_beside_their_ceiling() {
    let figures = measured(&[
        "p1",
        "--clients",
        "2",
        "--rounds",
        "1",
        "--seconds",
        "1",
        "--agents",
        "40",
        "--hosts",
        "5",
    ]);
    assert!(figures["clients"]["2"]["http_to_ceiling"].as_f64().unwrap() > 0.0);
}

#[test]
fn decisions_are_measured_beside_plain_cedar() {
    let figures = measured(&["p2", "--rules", "10", "--rounds", "1", "--decisions", "3"]);
    assert_eq!(figures["measured"][0]["rules"], 10);
}

#[test]
fn whole_lives_leave_a_record_that_holds() {
    let figures = measured(&[
        "p3",
        "--remediations",
        "12",
        "--clients",
        "3",
        "--hosts",
        "4",
    ]);
    assert_eq!(figures["verified"], 12);
}

#[test]
fn a_grown_log_is_measured_beside_an_empty_one() {
    let figures = measured(&[
        "p5",
        "--entries",
        "60",
        "--clients",
        "2",
        "--rounds",
        "1",
        "--seconds",
        "1",
        "--hosts",
        "4",
    ]);
    assert!(figures["entries"].as_u64().unwrap() >= 60);
}

#[test]
fn verification_is_measured_beside_its_bare_signatures() {
    let figures = measured(&[
        "p6",
        "--authorizations",
        "5",
        "--rounds",
        "1",
        "--verifications",
        "3",
    ]);
    assert!(figures["verify_to_bare"].as_f64().unwrap() > 0.0);
    assert!(figures["proof_hashes"].as_u64().unwrap() > 3);
}

#[test]
fn memory_is_measured_of_a_server_of_its_own() {
    let figures = measured(&["p7", "--changes", "10", "--clients", "2"]);
    assert!(figures["idle_mib"].as_f64().unwrap() > 1.0);
    assert_eq!(figures["grown_mib"].as_array().unwrap().len(), 10);
}
