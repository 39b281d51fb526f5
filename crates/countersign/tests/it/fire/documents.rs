//! Somebody who holds the database takes the facts of a decision out of it: every entry, hash and
//! signature is as before, and still it is noticed, wherever the log is looked at.

use super::backups::{NONE, backup, restore};
use super::crew::Crew;
use super::damaged::{PAGE, authorize, settled};
use super::process::serve;
use crate::program::countersign;
use countersign::deployment::{DATABASE, Deployment};
use countersign_domain::document::named_in;
use countersign_domain::{Digest, DocumentKind};
use countersign_gate::Gate;
use countersign_gate::fold::{self, FoldError};
use countersign_ledger::VerifierKey;
use countersign_store::{Apply, Log, PerLog, Recovery, StoreError, copy, rebuild};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A deployment that authorized one change, and ended.
fn ended() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    let crew = Crew::found(&dir);
    let server = serve(&dir).unwrap();
    authorize(&crew, &server, 0).unwrap();
    server.kill();
    settled(&dir);
    (folder, dir)
}

fn entries(gate: &Gate, log: Log) -> Vec<Vec<u8>> {
    let size = usize::try_from(gate.store().checkpoint(log).0).unwrap();
    gate.store()
        .read::<_, StoreError>(|view| view.entries(log, 0, size))
        .unwrap()
}

/// The first entry of either log that names something of this kind.
fn first(dir: &Path, kind: DocumentKind) -> (u64, Digest) {
    let (_, gate) = Deployment::open_read_only(dir).unwrap();
    let log = match kind {
        DocumentKind::AgentRationale => Log::Recommendations,
        _ => Log::Authorizations,
    };
    let entries = entries(&gate, log);
    let mut named = (0..).zip(&entries).flat_map(|(index, entry)| {
        let named = named_in(entry).into_iter();
        named.map(move |document| (index, document))
    });
    let (index, document) = named.find(|(_, named)| named.kind == kind).unwrap();
    (index, document.digest)
}

/// Makes the database anew without what is kept under this digest; all else is as it was.
fn forget(dir: &Path, digest: &Digest) {
    forget_before_the_fold(dir, digest, true);
}

fn forget_before_the_fold(dir: &Path, digest: &Digest, can_be_folded: bool) {
    let (_, gate) = Deployment::open_read_only(dir).unwrap();
    let named = gate.world().unwrap().roster.gate.clone();
    let key = |text: &str| VerifierKey::parse(text).unwrap();
    let keys = PerLog {
        recommendations: key(&named.recommendations),
        authorizations: key(&named.authorizations),
    };
    let anew = dir.join("anew.db");
    let mut recovery = Recovery::create(&anew, keys).unwrap();
    let mut signed = Vec::new();
    for log in Log::ALL {
        for entry in entries(&gate, log) {
            recovery.append(log, &entry).unwrap();
        }
        signed.push((log, gate.store().checkpoint(log).1.clone()));
    }
    let mut left_out = 0;
    gate.store()
        .blobs::<StoreError>(&mut |found, blob| {
            if found == *digest {
                left_out += 1;
            } else {
                recovery.put_blob(&found, &blob).unwrap();
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(left_out, 1);
    drop(gate);
    recovery.finish(&signed).unwrap();
    if can_be_folded {
        rebuild::<FoldError>(&anew, Apply::Yes, &mut fold::apply).unwrap();
    }
    for beside in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(dir.join(format!("{DATABASE}{beside}")));
    }
    // Into one file, so that it can be carried.
    copy(&anew, &dir.join(DATABASE), &mut |_, _| {}).unwrap();
}

/// Overwrites the page on which what is kept under this digest ends.
fn break_page_of(dir: &Path, digest: &Digest) {
    let (_, gate) = Deployment::open_read_only(dir).unwrap();
    let blob = gate
        .store()
        .read::<_, StoreError>(|view| view.blob(digest))
        .unwrap()
        .unwrap();
    drop(gate);
    let mut bytes = settled(dir);
    let end = &blob.bytes[blob.bytes.len().saturating_sub(200)..];
    let mut found = bytes.windows(end.len());
    let page = found.position(|window| window == end).unwrap() / PAGE;
    bytes[page * PAGE..(page + 1) * PAGE].fill(0xa5);
    std::fs::write(dir.join(DATABASE), bytes).unwrap();
}

fn fsck(dir: &Path) -> (i32, Value) {
    let ran = countersign(dir, &["log", "fsck", "--json"]);
    (ran.code, ran.json())
}

#[test]
fn the_facts_of_a_decision_that_somebody_deletes_are_missed_everywhere() {
    let (folder, dir) = ended();
    let (code, whole) = fsck(&dir);
    assert_eq!((code, &whole["sound"]), (0, &json!(true)), "{whole}");
    assert_eq!(whole["documents"]["missing"], 0);
    assert!(whole["documents"]["named"].as_u64().unwrap() > 5, "{whole}");
    let before = folder.path().join("before");
    backup(&dir, &before, &["--with-keys"]).done();
    let back = folder.path().join("back");
    let restored = restore(&before, &back, &NONE).done().json();
    assert_eq!(restored["documents"], {
        let mut summary = whole["documents"].clone();
        // Only a check of the pages tells these.
        for told in ["listed", "unread_entries"] {
            summary.as_object_mut().unwrap().remove(told).unwrap();
        }
        summary
    });

    let (index, facts) = first(&dir, DocumentKind::Facts);
    forget(&dir, &facts);
    // Nothing but that is wrong with it, and a server would take it up.
    serve(&dir).unwrap().kill();
    let (code, checked) = fsck(&dir);
    assert_eq!((code, &checked["sound"]), (1, &json!(false)));
    assert_eq!(checked["problems"], json!([]));
    let words = checked["documents"]["listed"][0].as_str().unwrap();
    for part in [
        &format!("authorizations entry {index}:"),
        "facts of the decision",
        &facts.to_string(),
    ] {
        assert!(words.contains(part), "{words}");
    }
    let shown = countersign(&dir, &["log", "fsck"]);
    assert_eq!(shown.code, 1);
    assert!(
        shown.stdout.contains("MISSING: authorizations entry"),
        "{}",
        shown.stdout
    );

    let verified = countersign(&dir, &["log", "verify", "--json"]);
    assert_eq!(verified.code, 1, "{}", verified.stderr);
    let findings = verified.json()["findings"]["list"].clone();
    assert_eq!(findings[0]["kind"], "missing", "{findings}");
    assert_eq!(findings[0]["index"], index, "{findings}");

    // A backup of it is refused, since it could not be restored.
    let after = folder.path().join("after");
    let refused = backup(&dir, &after, &["--with-keys"]);
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    assert!(
        refused.stderr.contains("facts of the decision"),
        "{}",
        refused.stderr
    );
    assert!(!after.exists());
}

#[test]
fn a_backup_that_somebody_made_anew_without_a_document_is_not_restored() {
    let (folder, dir) = ended();
    let kept = folder.path().join("backup");
    backup(&dir, &kept, &["--with-keys"]).done();
    let (_, facts) = first(&dir, DocumentKind::Facts);
    forget(&dir, &facts);
    // The liar writes the manifest to fit.
    std::fs::copy(dir.join(DATABASE), kept.join(DATABASE)).unwrap();
    let path = kept.join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let bytes = std::fs::read(kept.join(DATABASE)).unwrap();
    manifest["files"][DATABASE] = json!({"bytes": bytes.len(), "sha256": Digest::of(&bytes)});
    manifest["blobs"] = json!(manifest["blobs"].as_u64().unwrap() - 1);
    std::fs::write(path, manifest.to_string()).unwrap();
    let refused = restore(&kept, &folder.path().join("restored"), &NONE);
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    assert!(
        refused.stderr.contains("facts of the decision"),
        "{}",
        refused.stderr
    );
    assert!(!folder.path().join("restored").exists());
}

#[test]
fn a_document_that_nobody_has_any_more_does_not_end_backups() {
    let (folder, dir) = ended();
    let (index, facts) = first(&dir, DocumentKind::Facts);
    forget(&dir, &facts);
    let kept = folder.path().join("backup");
    let refused = backup(&dir, &kept, &["--with-keys"]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("--allow-missing"),
        "{}",
        refused.stderr
    );
    let taken = backup(&dir, &kept, &["--with-keys", "--allow-missing"]).done();
    let entry = format!("authorizations entry {index}:");
    let named = |missing: &Value| {
        let named = missing["named"].as_array().unwrap();
        assert_eq!((named.len(), &missing["more"]), (1, &json!(0)), "{missing}");
        assert!(named[0].as_str().unwrap().starts_with(&entry), "{missing}");
    };
    named(&taken.json()["missing"]);

    // Whoever restores says so, too; what the backup says of itself does not count.
    let restored = folder.path().join("restored");
    let refused = restore(&kept, &restored, &NONE);
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    assert!(
        refused.stderr.contains("--allow-missing"),
        "{}",
        refused.stderr
    );
    let allowed = [NONE.as_slice(), &["--allow-missing"]].concat();
    let ran = restore(&kept, &restored, &allowed).done();
    assert_eq!(ran.json()["documents"]["missing"], 1, "{}", ran.stdout);
    named(&ran.json()["missing"]);
    serve(&restored).unwrap().kill();

    let kept = kept.to_str().unwrap();
    let again = folder.path().join("again");
    let arguments = [["restore", kept].as_slice(), &NONE, &["--allow-missing"]].concat();
    let said = countersign(&again, &arguments).done().stdout;
    assert!(!said.contains("nothing is missing"), "{said}");
    assert!(said.contains(&format!("MISSING: {entry}")), "{said}");
}

#[test]
fn what_the_state_rests_on_cannot_be_done_without() {
    for (kind, code, words) in [
        (DocumentKind::Observation, 3, "the log cannot be folded"),
        (DocumentKind::PolicyFile, 1, "policy file"),
    ] {
        let (folder, dir) = ended();
        let (_, digest) = first(&dir, kind);
        forget_before_the_fold(&dir, &digest, kind == DocumentKind::PolicyFile);
        let kept = folder.path().join("backup");
        let refused = backup(&dir, &kept, &["--allow-missing"]);
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
        assert_eq!(refused.code, code);
        assert!(!kept.exists());
    }
}

#[test]
fn a_document_that_was_altered_is_never_allowed_to_be_missing() {
    let (folder, dir) = ended();
    let (_, facts) = first(&dir, DocumentKind::Facts);
    let kept = folder.path().join("backup");
    break_page_of(&dir, &facts);
    let refused = backup(&dir, &kept, &["--allow-missing"]);
    assert_ne!(refused.code, 0, "{}", refused.stdout);
    assert!(!kept.exists());
}

#[test]
fn a_broken_page_of_documents_hides_no_other_problem() {
    let (_folder, dir) = ended();
    let (index, facts) = first(&dir, DocumentKind::Facts);
    break_page_of(&dir, &facts);
    let (code, checked) = fsck(&dir);
    assert_eq!((code, &checked["sound"]), (1, &json!(false)), "{checked}");
    let problems = checked["problems"].to_string();
    assert!(problems.contains("database file"), "{checked}");
    let documents = &checked["documents"];
    assert!(documents["missing"].as_u64().unwrap() > 0, "{checked}");
    let told = documents["listed"].as_array().unwrap().iter();
    let entry = format!("authorizations entry {index}:");
    let told = told.filter(|words| {
        let words = words.as_str().unwrap();
        words.starts_with(&entry) && words.contains(&facts.to_string())
    });
    assert_eq!(told.count(), 1, "{checked}");

    // The projections are compared all the same.
    let rebuilt = countersign(&dir, &["log", "fsck", "--rebuild"]);
    assert_eq!(rebuilt.code, 1, "{}", rebuilt.stderr);
    for words in [
        "PROBLEM: database file",
        "MISSING: authorizations entry",
        "entries folded again, 0 differences",
    ] {
        assert!(
            rebuilt.stdout.contains(words),
            "{words}: {}",
            rebuilt.stdout
        );
    }
}

#[test]
fn an_erased_text_of_a_person_is_no_finding() {
    let (folder, dir) = ended();
    let absent = |checked: &Value| checked["documents"]["texts_absent"].as_u64().unwrap();
    let before = absent(&fsck(&dir).1);
    let (_, rationale) = first(&dir, DocumentKind::AgentRationale);
    forget(&dir, &rationale);
    let (code, checked) = fsck(&dir);
    assert_eq!((code, &checked["sound"]), (0, &json!(true)), "{checked}");
    assert_eq!(absent(&checked), before + 1, "{checked}");
    countersign(&dir, &["log", "verify", "--json"]).done();
    let kept = folder.path().join("backup");
    backup(&dir, &kept, &["--with-keys"]).done();
    restore(&kept, &folder.path().join("restored"), &NONE).done();
}

#[test]
fn an_export_without_documents_verifies_and_says_so() {
    let (folder, dir) = ended();
    let bare = folder.path().join("bare");
    countersign(&dir, &["log", "export", bare.to_str().unwrap()]).done();
    let verify = |folder: &Path| countersign(&dir, &["log", "verify", folder.to_str().unwrap()]);
    let said = verify(&bare).done().stdout;
    assert!(said.contains("carries no documents"), "{said}");
    let demanded = |folder: &Path| {
        let folder = folder.to_str().unwrap();
        countersign(&dir, &["log", "verify", folder, "--documents", "--json"])
    };
    let refused = demanded(&bare);
    assert_eq!(refused.code, 1);
    assert!(
        refused.stdout.contains("it carries no documents"),
        "{}",
        refused.stdout
    );

    let whole = folder.path().join("whole");
    countersign(&dir, &["log", "export", whole.to_str().unwrap(), "--blobs"]).done();
    let said = verify(&whole).done().stdout;
    assert!(said.contains("0 of them missing or altered"), "{said}");
    demanded(&whole).done();
    let (_, facts) = first(&dir, DocumentKind::Facts);
    let file = facts.to_string().replace("sha256:", "");
    let file = whole.join("blobs").join(file);
    std::fs::write(&file, b"{}").unwrap();
    let refused = verify(&whole);
    assert_eq!(refused.code, 1);
    assert!(refused.stdout.contains("was altered"), "{}", refused.stdout);
    std::fs::remove_file(&file).unwrap();
    let refused = verify(&whole);
    assert_eq!(refused.code, 1);
    assert!(
        refused.stdout.contains("not kept beside the log"),
        "{}",
        refused.stdout
    );
}
