//! What fsck finds, and what a rebuild makes good.

use std::fs;
use std::path::Path;

use countersign_ledger::leaf_hash;
use countersign_store::{
    Apply, Document, Log, OpenError, RebuildError, Store, StoreError, Write, fsck, rebuild,
};
use rusqlite::Connection;

use crate::fixture::{
    database, document, intel, open, outcome, plain, reservation, salted, signer, signers,
};

/// What an entry `n` does to the projections, live as well as in a rebuild.
fn fold(tx: &mut dyn Write, index: u64, entry: &[u8]) -> Result<(), StoreError> {
    let name = String::from_utf8_lossy(entry).into_owned();
    tx.put_document(&document(&name, "new", Some(index as i64), index))?;
    let of = index / 3;
    tx.put_trail(of, index)?;
    tx.put_document(&Document {
        kind: "counter",
        ..document("entries", "", None, index + 1)
    })?;
    tx.reserve(&reservation(
        of,
        &format!("web-{}", index % 3),
        index as i64,
    ))?;
    match index % 5 {
        2 => tx.release(of, None, crate::fixture::at(index as i64))?,
        4 => tx.unreserve(of, None)?,
        _ => tx.record_outcome(&outcome(of, "web-1", "curl|amd64|1|2", index as i64, true))?,
    }
    let cve = format!("CVE-2024-{:04}", index % 7);
    let body = index.to_string();
    tx.put_intel(
        "kev",
        index % 20 == 19,
        &mut [intel("kev", &cve, &body)].into_iter(),
    )
}

const ENTRIES: u64 = 600;

fn filled(folder: &Path) -> Store {
    let store = open(folder);
    for chunk in 0..6 {
        let answer = store.submit::<_, StoreError>(move |tx| {
            for number in chunk * 100..(chunk + 1) * 100 {
                let entry = format!("entry {number}").into_bytes();
                tx.append(Log::Recommendations, b"asked")?;
                let appended = tx.append(Log::Authorizations, &entry)?;
                fold(tx, appended.index, &entry)?;
            }
            let (digest, blob) = plain(&[chunk as u8]);
            tx.put_blob(&digest, &blob)?;
            let (digest, blob) = salted([chunk as u8; 16], b"text");
            tx.put_blob(&digest, &blob)
        });
        answer.wait().unwrap();
    }
    store
}

fn tamper(folder: &Path, sql: &str) {
    Connection::open(database(folder))
        .unwrap()
        .execute_batch(sql)
        .unwrap();
}

#[test]
fn a_sound_database_has_no_problems_also_beside_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = filled(folder.path());
    let report = fsck(&database(folder.path()), None).unwrap();
    assert!(report.is_sound(), "{:#?}", report.problems);
    assert_eq!(
        (report.logs.authorizations.size, report.blobs),
        (ENTRIES, 12)
    );
    assert_eq!(report.logs.authorizations.nodes, 2);
    drop(server);
    let keys = signers();
    let keys = countersign_store::PerLog {
        recommendations: keys.recommendations.verifier_key().clone(),
        authorizations: keys.authorizations.verifier_key().clone(),
    };
    let report = fsck(&database(folder.path()), Some(&keys)).unwrap();
    assert!(report.is_sound(), "{:#?}", report.problems);
    assert!(report.logs.authorizations.checkpoints >= 2);
    let other = signer("example.org/test/authorizations", 77);
    let keys = countersign_store::PerLog {
        authorizations: other.verifier_key().clone(),
        ..keys
    };
    assert!(
        !fsck(&database(folder.path()), Some(&keys))
            .unwrap()
            .is_sound()
    );
}

#[test]
fn every_kind_of_damage_is_named() {
    let sound = tempfile::tempdir().unwrap();
    drop(filled(sound.path()));
    const FREE: &str = "DROP TRIGGER authorizations_are_never_changed;
        DROP TRIGGER authorizations_are_never_removed; ";
    for (sql, named) in [
        (
            "UPDATE authorizations_entries SET bytes = x'00' WHERE idx = 7",
            "entry `7` does not have its leaf hash",
        ),
        (
            "UPDATE authorizations_entries SET leaf = zeroblob(32) WHERE idx = 7",
            "entry `7` does not have its leaf hash",
        ),
        (
            "DELETE FROM authorizations_entries WHERE idx = 300",
            "entry `300` of the authorizations log is missing",
        ),
        (
            "INSERT INTO authorizations_entries SELECT 600, leaf, bytes FROM authorizations_entries WHERE idx = 1",
            "the head says size `600`",
        ),
        (
            "UPDATE nodes SET hash = zeroblob(32) WHERE log = 1 AND idx = 1",
            "node `1` of level `1`",
        ),
        (
            "DELETE FROM nodes WHERE log = 1 AND idx = 0",
            "node `0` of level `1`",
        ),
        (
            "INSERT INTO nodes VALUES (1, 1, 2, zeroblob(32))",
            "`3` nodes are stored",
        ),
        (
            "UPDATE logs SET root = zeroblob(32) WHERE log = 1",
            "the head says size `600`",
        ),
        (
            "UPDATE checkpoints SET note = replace(note, '600', '599') WHERE log = 1 AND size = 600",
            "states another",
        ),
        (
            "UPDATE checkpoints SET note = (SELECT note FROM checkpoints WHERE log = 0 AND size = 600) WHERE log = 1 AND size = 600",
            "no trusted key",
        ),
        (
            "UPDATE checkpoints SET note = 'x' WHERE log = 1 AND size = 600",
            "the checkpoint of size `600`: signed checkpoint is malformed",
        ),
        (
            "UPDATE blobs SET bytes = x'ff' WHERE salt IS NULL AND rowid = 1",
            "does not have that digest",
        ),
        (
            "UPDATE blobs SET salt = zeroblob(16) WHERE rowid = 4",
            "does not have that digest",
        ),
        (
            "UPDATE in_flight SET hosts = hosts + 1 WHERE scope = 'owner'",
            "sum of reservations for owner `maria`",
        ),
        (
            "UPDATE windows SET hosts = hosts + 1 WHERE owner = ''",
            "sum of reservations for minute of",
        ),
        (
            "DELETE FROM reservations WHERE host = 'web-2' AND released_at IS NULL",
            "sum of reservations for agent `patcher`",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for name in ["countersign.db", "checkpoints.latest"] {
            fs::copy(sound.path().join(name), folder.path().join(name)).unwrap();
        }
        tamper(folder.path(), &format!("{FREE}{sql}"));
        let report = fsck(&database(folder.path()), None).unwrap();
        let found = report
            .problems
            .iter()
            .any(|problem| problem.contains(named));
        assert!(found, "{sql}\n{:#?}", report.problems);
    }
    // A byte turned over in the file itself, in a page that holds entries.
    let bytes = fs::read(sound.path().join("countersign.db")).unwrap();
    let row = [leaf_hash(b"entry 123").as_bytes().as_slice(), b"entry 123"].concat();
    let at = bytes
        .windows(row.len())
        .position(|window| window == row)
        .unwrap()
        + 40;
    let folder = tempfile::tempdir().unwrap();
    let mut damaged = bytes;
    damaged[at] ^= 1;
    fs::write(database(folder.path()), damaged).unwrap();
    assert!(!fsck(&database(folder.path()), None).unwrap().is_sound());
}

#[test]
fn a_rebuild_finds_sound_projections_equal() {
    let folder = tempfile::tempdir().unwrap();
    let server = filled(folder.path());
    let report = rebuild(&database(folder.path()), Apply::No, &mut fold).unwrap();
    assert_eq!(report.entries, ENTRIES);
    assert!(report.differences.is_empty(), "{:#?}", report.differences);
    assert!(!report.applied);
    // Beside a server it may only look.
    let refused = rebuild(&database(folder.path()), Apply::Yes, &mut fold);
    assert!(matches!(
        refused,
        Err(RebuildError::Open(OpenError::InUse { .. }))
    ));
    drop(server);
    let names = fs::read_dir(folder.path()).unwrap();
    let names: Vec<_> = names.map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "no working copy is left: {names:?}");
}

#[test]
fn a_rebuild_names_what_differs_and_puts_it_right() {
    let folder = tempfile::tempdir().unwrap();
    drop(filled(folder.path()));
    tamper(
        folder.path(),
        "UPDATE documents SET state = 'approved' WHERE key = 'entry 5';
         DELETE FROM documents WHERE key = 'entry 6';
         INSERT INTO documents VALUES ('change', 'forged', 'approved', NULL, 1, 1, '{}');
         DELETE FROM reservations WHERE opened = 2;
         DELETE FROM trails WHERE idx = 7;
         UPDATE windows SET hosts = 0;
         UPDATE outcomes SET succeeded = 0;
         INSERT INTO intel VALUES ('CVE-2024-9999', 'kev', '');",
    );
    let path = database(folder.path());
    let report = rebuild(&path, Apply::No, &mut fold).unwrap();
    let of = |table: &str| {
        report
            .differences
            .iter()
            .find(|d| d.table == table)
            .unwrap()
    };
    assert_eq!(
        of("documents").named,
        [
            "`change` `entry 5` is not what the entries make it",
            "`change` `entry 6` is missing",
            "`change` `forged` is stored, but no entry makes it",
        ]
    );
    assert_eq!(of("documents").rows, 3);
    assert_eq!(of("reservations").rows, 3);
    assert_eq!(of("trails").named, ["`2` `7` is missing"]);
    assert_eq!(of("outcomes").named.len(), 5);
    assert!(of("outcomes").rows > 5);
    assert_eq!(of("intel").rows, 1);
    assert!(of("windows").rows > 0);
    let heads = |store: &Store| Log::ALL.map(|log| store.checkpoint(log));
    let before = heads(&Store::open_read_only(&path).unwrap());
    let report = rebuild(&path, Apply::Yes, &mut fold).unwrap();
    assert!(report.applied);
    let report = rebuild(&path, Apply::Yes, &mut fold).unwrap();
    assert!(report.differences.is_empty() && !report.applied);
    assert!(fsck(&path, None).unwrap().is_sound());
    let store = open(folder.path());
    assert_eq!(heads(&store), before);
}

#[test]
fn a_fold_appends_nothing_and_its_errors_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    drop(filled(folder.path()));
    let path = database(folder.path());
    let before = fs::read(&path).unwrap();
    let refused = rebuild::<StoreError>(&path, Apply::Yes, &mut |tx, _, entry| {
        tx.append(Log::Authorizations, entry).map(drop)
    });
    assert!(matches!(refused, Err(RebuildError::Fold { index: 0, .. })));
    let refused = rebuild::<StoreError>(&path, Apply::Yes, &mut |tx, index, _| {
        if index == 300 {
            // An error that the fold overlooks.
            let _ = tx.put_blob(&plain(b"a").0, &plain(b"b").1);
        }
        Ok(())
    });
    assert!(matches!(
        refused,
        Err(RebuildError::Fold { index: 300, .. })
    ));
    assert_eq!(fs::read(&path).unwrap(), before);
    // The fold sees entries and blobs whole.
    let report = rebuild::<StoreError>(&path, Apply::No, &mut |tx, index, entry| {
        assert_eq!(tx.entry(Log::Authorizations, index)?.unwrap(), entry);
        assert_eq!(tx.head(Log::Recommendations)?.size, ENTRIES);
        assert!(tx.blob(&plain(&[3]).0)?.is_some());
        fold(tx, index, entry)
    });
    assert!(report.unwrap().differences.is_empty());
}
