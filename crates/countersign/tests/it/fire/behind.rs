//! What others have seen of the logs, held against a backup before it is restored: an export, the old
//! server, a host, a witness.

use super::backups::{Kept, NONE, backup, checkpoint_of, files, restore};
use super::crew::Crew;
use super::damaged::authorize;
use super::process::serve;
use crate::program::countersign;
use countersign::deployment::{Deployment, WitnessAddress};
use countersign::witness::WitnessDir;
use countersign_domain::Digest;
use countersign_ledger::{Checkpoint, LogSigner, Origin, SignedCheckpoint, Tree};
use countersign_store::Log;
use serde_json::json;
use std::path::Path;

#[test]
fn a_checkpoint_of_others_is_held_against_the_backup() {
    let kept = Kept::new();
    let file = kept.folder.path().join("data/other.checkpoint");
    let named = ["--latest-checkpoint", file.to_str().unwrap()];
    // Nobody restores without saying what others know.
    assert_eq!(restore(&kept.backup, &kept.restored(), &[]).code, 2);
    assert_eq!(
        restore(
            &kept.backup,
            &kept.restored(),
            &[&named[..], &NONE].concat()
        )
        .code,
        2
    );
    for (text, words) in [
        (
            "nothing of the kind".to_owned(),
            "expected a signed checkpoint",
        ),
        (forged("example.org/elsewhere"), "another deployment"),
        // The right name, signed by somebody else.
        (forged(&origin(&kept.dir)), "expected a signed checkpoint"),
    ] {
        std::fs::write(&file, text).unwrap();
        kept.refused(&named, words);
    }
    // What was exported later: more of the log, and then a fork of it.
    let server = serve(&kept.dir).unwrap();
    authorize(&kept.crew, &server, 0).unwrap();
    server.kill();
    // What was signed in the last moment is read back and signed again.
    drop(Deployment::open(&kept.dir).unwrap());
    let export = kept.dir.join("export");
    countersign(&kept.dir, &["log", "export", export.to_str().unwrap()]).done();
    let exported = export.join("authorizations/checkpoint");
    kept.refused(
        &["--latest-checkpoint", exported.to_str().unwrap()],
        "older copy",
    );
    restore(&kept.backup, &kept.restored(), &NONE).done();
    let server = serve(&kept.restored()).unwrap();
    for number in 1..4 {
        authorize(&kept.crew, &server, number).unwrap();
    }
    server.kill();
    let forked = kept.dir.join("forked");
    backup(&kept.restored(), &forked, &["--with-keys"]).done();
    let again = kept.folder.path().join("again");
    let ran = restore(
        &forked,
        &again,
        &["--latest-checkpoint", exported.to_str().unwrap()],
    );
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("forked"), "{}", ran.stderr);
    assert!(!again.exists());
}

#[test]
fn what_a_host_keeps_of_the_log_is_held_against_a_backup_and_a_start() {
    let kept = Kept::new();
    let server = serve(&kept.dir).unwrap();
    let before = checkpoint_of(&server.url, Log::Authorizations);
    authorize(&kept.crew, &server, 0).unwrap();
    let after = checkpoint_of(&server.url, Log::Authorizations);
    server.kill();
    // As hosts keep it: without a signature, in a file with other things.
    let file = kept.dir.join("seen.json");
    let named = ["--latest-checkpoint", file.to_str().unwrap()];
    let host_keeps = |note: &str, root: Option<Digest>| {
        let note = SignedCheckpoint::parse(note).unwrap();
        let claimed = note.claimed();
        let root = root.unwrap_or(Digest::from_bytes(*claimed.root().as_bytes()));
        let checkpoint =
            json!({"origin": claimed.origin().as_str(), "size": claimed.size(), "root": root});
        let kept = json!({"roster": [], "checkpoint": checkpoint, "halt_epoch": 0});
        std::fs::write(&file, kept.to_string()).unwrap();
    };
    host_keeps(&after, None);
    kept.refused(&named, "are missing");
    host_keeps(&before, Some(Digest::of(b"another log")));
    kept.refused(&named, "forked");
    std::fs::write(
        &file,
        r#"{"roster": [], "checkpoint": null, "halt_epoch": 0}"#,
    )
    .unwrap();
    kept.refused(&named, "expected a signed checkpoint");
    host_keeps(&before, None);
    let done = restore(&kept.backup, &kept.restored(), &named)
        .done()
        .json();
    assert_eq!(done["held_against"][0]["signed"], false);

    // A folder that was put back by other means agrees with itself; the host's file does not.
    host_keeps(&after, None);
    let arguments = ["serve", "--listen", "127.0.0.1:0", named[0], named[1]];
    let behind = countersign(&kept.restored(), &arguments);
    assert_eq!(behind.code, 1);
    assert!(behind.stderr.contains("are missing"), "{}", behind.stderr);
    let export = kept.dir.join("export");
    let export = ["log", "export", export.to_str().unwrap()];
    drop(Deployment::open(&kept.dir).unwrap());
    countersign(&kept.dir, &export).done();
    let refused = countersign(&kept.restored(), &export);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("beyond"), "{}", refused.stderr);
}

fn origin(dir: &Path) -> String {
    let (_, gate) = Deployment::open_read_only(dir).unwrap();
    let key = gate.store().verifier_key(Log::Authorizations);
    key.origin().as_str().to_owned()
}

/// A checkpoint with this origin, signed by a key that nobody knows.
fn forged(origin: &str) -> String {
    let origin = Origin::new(origin).unwrap();
    let signer = LogSigner::from_seed(origin.clone(), &[7; 32]).unwrap();
    let checkpoint = Checkpoint::new(origin, 0, Tree::new().root()).unwrap();
    signer.sign(&checkpoint).unwrap().as_str().to_owned()
}

#[test]
fn a_witness_that_has_seen_more_is_heard_when_a_backup_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    let crew = Crew::found(&dir);
    let (mut config, gate) = Deployment::open_read_only(&dir).unwrap();
    let log = gate.store().verifier_key(Log::Authorizations).clone();
    drop(gate);
    let witness =
        WitnessDir::create(&folder.path().join("witness"), "witness.example/one").unwrap();
    let vkey = witness.vkey().unwrap();
    let witness = witness
        .start(vec![log], "127.0.0.1:0".parse().unwrap())
        .unwrap();
    let url = format!("http://{}", witness.addr);
    config.witnesses = vec![WitnessAddress { vkey, url }];
    config.write(&dir).unwrap();
    let older = folder.path().join("older");
    backup(&dir, &older, &["--with-keys"]).done();
    let server = serve(&dir).unwrap();
    authorize(&crew, &server, 0).unwrap();
    server.kill();
    let newer = folder.path().join("newer");
    backup(&dir, &newer, &["--with-keys"]).done();
    let restored = folder.path().join("restored");
    let refused = restore(&older, &restored, &NONE);
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("the witness at"),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("are missing"), "{}", refused.stderr);
    let done = restore(&newer, &restored, &NONE).done();
    assert_eq!(done.json()["witnesses_asked"], 1);
    witness.stop();
    let again = folder.path().join("again");
    let silent = restore(&newer, &again, &NONE);
    assert_eq!(silent.code, 1);
    assert!(
        silent.stderr.contains("--without-witnesses"),
        "{}",
        silent.stderr
    );
    restore(
        &newer,
        &again,
        &[&NONE[..], &["--without-witnesses"]].concat(),
    )
    .done();

    // Its folder says the same without it.
    let heads = files(&folder.path().join("witness"));
    let head = heads
        .iter()
        .find(|path| path.extension().is_some_and(|name| name == "head"));
    let head = head.unwrap().to_str().unwrap();
    let named = ["--without-witnesses", "--latest-checkpoint", head];
    let third = folder.path().join("third");
    let behind = restore(&older, &third, &named);
    assert_eq!(behind.code, 1);
    assert!(behind.stderr.contains("are missing"), "{}", behind.stderr);
    restore(&newer, &third, &named).done();
}

#[test]
fn a_log_that_forked_is_heard_of_from_a_witness_although_it_is_longer() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    let crew = Crew::found(&dir);
    let (mut config, gate) = Deployment::open_read_only(&dir).unwrap();
    let log = gate.store().verifier_key(Log::Authorizations).clone();
    drop(gate);
    let alone = config.clone();
    let older = folder.path().join("older");
    backup(&dir, &older, &["--with-keys"]).done();
    let witness =
        WitnessDir::create(&folder.path().join("witness"), "witness.example/one").unwrap();
    let vkey = witness.vkey().unwrap();
    let witness = witness
        .start(vec![log], "127.0.0.1:0".parse().unwrap())
        .unwrap();
    let url = format!("http://{}", witness.addr);
    config.witnesses = vec![WitnessAddress { vkey, url }];
    config.write(&dir).unwrap();
    let server = serve(&dir).unwrap();
    authorize(&crew, &server, 0).unwrap();
    server.kill();

    // The older one goes on by itself, further than the other did.
    let fork = folder.path().join("fork");
    restore(&older, &fork, &NONE).done();
    alone.write(&fork).unwrap();
    let server = serve(&fork).unwrap();
    for number in 1..4 {
        authorize(&crew, &server, number).unwrap();
    }
    server.kill();
    config.write(&fork).unwrap();
    let refused = serve(&fork).err().expect("a fork is not served");
    assert!(refused.contains("the witness at"), "{refused}");
    let copy = folder.path().join("copy");
    backup(&fork, &copy, &["--with-keys"]).done();
    let refused = restore(&copy, &folder.path().join("restored"), &NONE);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("the witness at"),
        "{}",
        refused.stderr
    );

    // The true one is served, and the witness has less of it than there is.
    alone.write(&dir).unwrap();
    let server = serve(&dir).unwrap();
    authorize(&crew, &server, 4).unwrap();
    server.kill();
    config.write(&dir).unwrap();
    serve(&dir).unwrap().kill();
    witness.stop();
}
