//! The witness as a process of its own, and a server whose checkpoints need it.

use crate::app::TestApp;
use crate::program::{command, countersign};
use countersign::deployment::{Config, WitnessAddress};
use countersign::witness::WitnessDir;
use countersign_domain::statement::{HaltScope, Subject};
use countersign_ledger::{QuorumPolicy, VerifierKey, WitnessKey};
use countersign_store::Log;
use serde_json::json;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn halt(app: &TestApp) {
    let statement = app.state(Subject::Halt {
        halt: HaltScope::Everything,
    });
    let (status, answer) = app.post("halts", None, &json!({"statement": statement}));
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn checkpoints_are_cosigned_by_a_witness_of_its_own() {
    let mut app = TestApp::founded();
    let dir = app.dir();
    let folder = app.folder.path().join("witness");
    let place = folder.to_str().unwrap();
    let keygen = [
        "witness",
        "keygen",
        "--witness-dir",
        place,
        "--name",
        "witness.example/one",
        "--json",
    ];
    let vkey = countersign(&dir, &keygen).done().json()["vkey"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        countersign(&dir, &keygen).code,
        1,
        "a witness's key is never overwritten"
    );
    let set = ["roster", "set-witnesses", &vkey, "--quorum", "1", "--yes"];
    countersign(&dir, &set).done();
    app.serve();
    let log = app
        .gate()
        .world()
        .unwrap()
        .roster
        .gate
        .authorizations
        .clone();
    app.stop();

    let mut child = command(
        &dir,
        &[
            "witness",
            "run",
            "--witness-dir",
            place,
            "--log",
            &log,
            "--listen",
            "127.0.0.1:0",
        ],
    )
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let mut witness = Process(child);
    let url = line.trim().rsplit(' ').next().unwrap().to_owned();

    let mut config = Config::read(&dir).unwrap();
    config.witnesses = vec![WitnessAddress {
        vkey: vkey.clone(),
        url,
    }];
    config.write(&dir).unwrap();
    app.serve();
    halt(&app);
    let policy = QuorumPolicy::new(
        vec![VerifierKey::parse(&log).unwrap()],
        vec![WitnessKey::parse(&vkey).unwrap()],
        1,
    )
    .unwrap();
    let (size, note) = app.gate().store().checkpoint(Log::Authorizations);
    assert_eq!(size, 3);
    assert_eq!(policy.check(&note).unwrap().cosignatures.len(), 1);

    // Without the witness the log goes on, and says of itself that nobody saw it.
    witness.0.kill().unwrap();
    witness.0.wait().unwrap();
    halt(&app);
    let (size, note) = app.gate().store().checkpoint(Log::Authorizations);
    assert_eq!(size, 4);
    assert!(policy.check(&note).is_err());
    app.stop();
}

#[test]
fn a_witness_refuses_what_does_not_extend_what_it_saw() {
    let folder = tempfile::tempdir().unwrap();
    let made = WitnessDir::create(folder.path(), "witness.example/two").unwrap();
    let signer = countersign_ledger::LogSigner::from_seed(
        countersign_ledger::Origin::new("example.org/log").unwrap(),
        &[7; 32],
    )
    .unwrap();
    let running = made
        .start(
            vec![signer.verifier_key().clone()],
            "127.0.0.1:0".parse().unwrap(),
        )
        .unwrap();
    let post = |entries: &[&[u8]], old_size: u64| {
        let mut tree = countersign_ledger::Tree::new();
        for entry in entries {
            tree.append(countersign_ledger::leaf_hash(entry)).unwrap();
        }
        let checkpoint =
            countersign_ledger::Checkpoint::new(signer.origin().clone(), tree.size(), tree.root())
                .unwrap();
        let request = countersign_ledger::AddCheckpoint {
            old_size,
            proof: tree.consistency_proof(old_size, tree.size()).unwrap(),
            checkpoint: signer.sign(&checkpoint).unwrap(),
        };
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .new_agent();
        let mut answer = agent
            .post(format!("http://{}/add-checkpoint", running.addr))
            .send(request.to_string())
            .unwrap();
        let mut text = String::new();
        answer
            .body_mut()
            .as_reader()
            .read_to_string(&mut text)
            .unwrap();
        (answer.status().as_u16(), text)
    };
    assert_eq!(post(&[b"a", b"b"], 0).0, 200);
    // Another history of the same length, and a longer one that does not extend the first.
    assert_eq!(post(&[b"a", b"x"], 2).0, 409);
    assert_eq!(post(&[b"a", b"x", b"c"], 2).0, 422);
    assert_eq!(post(&[b"a", b"b", b"c"], 0), (409, "2\n".to_owned()));
    assert_eq!(post(&[b"a", b"b", b"c"], 2).0, 200);
    // What it saw outlives it.
    running.stop();
    let running = WitnessDir::open(folder.path())
        .unwrap()
        .start(
            vec![signer.verifier_key().clone()],
            "127.0.0.1:0".parse().unwrap(),
        )
        .unwrap();
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .new_agent();
    let garbage = agent
        .post(format!("http://{}/add-checkpoint", running.addr))
        .send("garbage")
        .unwrap();
    assert_eq!(garbage.status().as_u16(), 400);
}

#[test]
fn a_backup_that_leaves_a_witness_of_the_roster_out_is_not_restored_unasked() {
    let app = TestApp::founded();
    let dir = app.dir();
    let folder = app.folder.path();
    let witness = WitnessDir::create(&folder.join("witness"), "witness.example/one").unwrap();
    let vkey = witness.vkey().unwrap();
    let set = ["roster", "set-witnesses", &vkey, "--quorum", "1", "--yes"];
    countersign(&dir, &set).done();
    let backup = folder.join("backup");
    let backup = backup.to_str().unwrap();
    countersign(&dir, &["backup", backup, "--with-keys"]).done();
    let restored = folder.join("restored");
    let restore = |more: &[&str]| {
        let all = [&["restore", backup, "--latest-checkpoint", "none"], more].concat();
        countersign(&restored, &all)
    };
    let refused = restore(&[]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("which the roster names"),
        "{}",
        refused.stderr
    );
    assert!(!restored.exists());
    restore(&["--without-witnesses"]).done();
}
