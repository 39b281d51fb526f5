//! What a store refuses to open, and when it stops.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::mpsc::channel;

use countersign_domain::Digest;
use countersign_store::{Blob, Log, OpenError, Options, PerLog, Store, StoreError};
use rusqlite::Connection;

use crate::fixture::{database, document, open, signer, signers};

fn try_open(folder: &Path) -> Result<Store, OpenError> {
    Store::open(&database(folder), signers(), Options::default())
}

fn append(store: &Store, log: Log, entry: &[u8]) {
    let entry = entry.to_vec();
    let answer = store.submit::<_, StoreError>(move |tx| tx.append(log, &entry));
    answer.wait().unwrap();
}

/// Changes the closed database behind the store's back.
fn tamper(folder: &Path, sql: &str) {
    Connection::open(database(folder))
        .unwrap()
        .execute_batch(sql)
        .unwrap();
}

fn copy(from: &Path, to: &Path) {
    for name in ["countersign.db", "countersign.db-wal", "checkpoints.latest"] {
        match fs::copy(from.join(name), to.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
    }
}

#[test]
fn one_writer_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let refused = try_open(folder.path()).err().unwrap();
    let own = std::process::id().to_string();
    assert!(
        matches!(&refused, OpenError::InUse { process } if *process == own),
        "{refused}"
    );
    assert!(refused.to_string().contains(&own));
    drop(store);
    assert!(try_open(folder.path()).is_ok());
}

#[test]
fn files_are_private() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    append(&store, Log::Authorizations, b"entry");
    for file in fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} has mode {mode:o}", file.file_name());
    }
}

#[test]
fn another_deployment_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    for (name, seed) in [
        ("example.org/other/authorizations", 2),
        ("example.org/test/authorizations", 9),
    ] {
        let others = PerLog {
            authorizations: signer(name, seed),
            ..signers()
        };
        let refused = Store::open(&database(folder.path()), others, Options::default());
        assert!(matches!(
            refused.err().unwrap(),
            OpenError::OtherDeployment {
                log: Log::Authorizations,
                ..
            }
        ));
    }
    assert!(try_open(folder.path()).is_ok());
}

#[test]
fn newer_and_foreign_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    tamper(folder.path(), "PRAGMA user_version = 999");
    let refused = try_open(folder.path()).err().unwrap();
    assert!(matches!(refused, OpenError::Newer { found: 999, .. }));

    // A version that says that a migration is still to come which has been applied: it fails, and
    // nothing of it is kept.
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    tamper(folder.path(), "PRAGMA user_version = 0");
    let older = Store::open_read_only(&database(folder.path()));
    assert!(matches!(
        older.err().unwrap(),
        OpenError::Older { found: 0, .. }
    ));
    assert!(matches!(
        try_open(folder.path()).err().unwrap(),
        OpenError::Migration { .. }
    ));
    tamper(folder.path(), "PRAGMA user_version = 2");
    assert!(try_open(folder.path()).is_ok());

    let folder = tempfile::tempdir().unwrap();
    tamper(folder.path(), "CREATE TABLE recipes (name TEXT)");
    assert!(matches!(
        try_open(folder.path()).err().unwrap(),
        OpenError::NotOurs
    ));

    let folder = tempfile::tempdir().unwrap();
    fs::write(database(folder.path()), vec![7_u8; 9_000]).unwrap();
    assert!(matches!(
        try_open(folder.path()).err().unwrap(),
        OpenError::Damaged(_)
    ));

    let folder = tempfile::tempdir().unwrap();
    let absent = Store::open_read_only(&database(folder.path()));
    assert!(matches!(absent.err().unwrap(), OpenError::Absent { .. }));
}

#[test]
fn a_head_that_the_tree_does_not_give_is_refused() {
    for sql in [
        "UPDATE logs SET root = zeroblob(32) WHERE log = 1",
        "UPDATE logs SET size = size - 1 WHERE log = 1",
        "DROP TRIGGER authorizations_are_never_removed;
         DELETE FROM authorizations_entries WHERE idx = 299",
        "DROP TRIGGER authorizations_are_never_changed;
         UPDATE authorizations_entries SET leaf = zeroblob(32) WHERE idx = 280",
        "UPDATE nodes SET hash = zeroblob(32)",
        "DELETE FROM nodes",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let answer = store.submit::<_, StoreError>(|tx| {
            (0..300_u32)
                .try_for_each(|n| tx.append(Log::Authorizations, &n.to_be_bytes()).map(drop))
        });
        answer.wait().unwrap();
        drop(store);
        tamper(folder.path(), sql);
        let refused = try_open(folder.path()).err().unwrap();
        let shown = refused.to_string();
        assert!(
            matches!(
                refused,
                OpenError::Head {
                    log: Log::Authorizations,
                    ..
                }
            ),
            "{sql}: {shown}"
        );
    }
}

#[test]
fn log_entries_cannot_be_changed_even_by_sql() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    append(&store, Log::Authorizations, b"entry");
    drop(store);
    let conn = Connection::open(database(folder.path())).unwrap();
    for sql in [
        "UPDATE authorizations_entries SET bytes = x'00'",
        "DELETE FROM authorizations_entries",
        "UPDATE recommendations_entries SET leaf = leaf",
    ] {
        let changed = conn.execute(sql, []);
        // The empty log has no row to refuse.
        assert!(changed.is_err() || changed == Ok(0), "{sql}");
    }
    let count: i64 = conn
        .query_row("SELECT count(*) FROM authorizations_entries", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(count, 1);
}

#[test]
fn an_older_copy_is_noticed() {
    let (folder, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(folder.path());
    append(&store, Log::Authorizations, b"one");
    drop(store);
    copy(folder.path(), backup.path());
    let store = open(folder.path());
    append(&store, Log::Authorizations, b"two");
    drop(store);
    // Only the database comes back; what was signed since is still beside it.
    fs::copy(database(backup.path()), database(folder.path())).unwrap();
    let refused = try_open(folder.path()).err().unwrap();
    assert!(matches!(
        refused,
        OpenError::Behind {
            log: Log::Authorizations,
            size: 1,
            signed: 2
        }
    ));
    let refused = Store::open_read_only(&database(folder.path()))
        .err()
        .unwrap();
    assert!(matches!(refused, OpenError::Behind { .. }));
}

#[test]
fn a_forked_copy_is_noticed() {
    let (folder, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(folder.path());
    append(&store, Log::Recommendations, b"one");
    drop(store);
    copy(folder.path(), backup.path());
    let store = open(folder.path());
    append(&store, Log::Recommendations, b"two");
    drop(store);
    let store = open(backup.path());
    append(&store, Log::Recommendations, b"another two");
    append(&store, Log::Recommendations, b"three");
    drop(store);
    fs::copy(database(backup.path()), database(folder.path())).unwrap();
    let refused = try_open(folder.path()).err().unwrap();
    assert!(matches!(
        refused,
        OpenError::Forked {
            log: Log::Recommendations,
            size: 2
        }
    ));
}

#[test]
fn a_damaged_or_foreign_checkpoint_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    append(&store, Log::Authorizations, b"one");
    drop(store);
    let file = folder.path().join("checkpoints.latest");
    let sound = fs::read_to_string(&file).unwrap();
    for damaged in [
        String::new(),
        "{}".to_owned(),
        sound.replacen("authorizations\\n1", "authorizations\\n7", 1),
        sound.replace("example.org/test", "example.org/else"),
    ] {
        assert_ne!(damaged, sound);
        fs::write(&file, &damaged).unwrap();
        let refused = try_open(folder.path()).err().unwrap();
        assert!(matches!(refused, OpenError::Checkpoint { .. }), "{refused}");
    }
    fs::write(&file, sound).unwrap();
    assert!(try_open(folder.path()).is_ok());
}

#[test]
fn a_failed_commit_stops_the_store_for_good() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    // A constraint that is checked at the commit only: the nearest thing to a disk that fails.
    tamper(
        folder.path(),
        "CREATE TABLE parents (id INTEGER PRIMARY KEY);
         CREATE TABLE orphans (parent INTEGER REFERENCES parents DEFERRABLE INITIALLY DEFERRED);
         CREATE TRIGGER sabotage AFTER INSERT ON documents WHEN new.state = 'fatal'
         BEGIN INSERT INTO orphans VALUES (1); END;",
    );
    let store = open(folder.path());
    append(&store, Log::Authorizations, b"kept");
    let (go, wait) = channel::<()>();
    let (started, holding) = channel();
    let held = store.submit::<_, StoreError>(move |_| {
        started.send(()).unwrap();
        Ok(wait.recv().is_ok())
    });
    // A job that runs has all of its group: what comes now makes up the next one.
    holding.recv().unwrap();
    let good = store.submit::<_, StoreError>(|tx| tx.append(Log::Authorizations, b"lost"));
    let bad = store.submit::<_, StoreError>(|tx| tx.put_document(&document("a", "fatal", None, 1)));
    go.send(()).unwrap();
    assert!(held.wait().unwrap());
    assert!(matches!(good.wait(), Err(StoreError::Stopped(_))));
    assert!(matches!(bad.wait(), Err(StoreError::Stopped(_))));
    let later = store.submit::<_, StoreError>(|tx| tx.append(Log::Authorizations, b"later"));
    assert!(matches!(later.wait(), Err(StoreError::Stopped(_))));
    assert!(store.stopped().is_some());
    // What was durable before is still there to read and to prove.
    assert_eq!(store.checkpoint(Log::Authorizations).0, 1);
    let head = store.read::<_, StoreError>(|view| view.head(Log::Authorizations));
    assert_eq!(head.unwrap().size, 1);
    drop(store);
    let store = open(folder.path());
    append(&store, Log::Authorizations, b"after a restart");
    assert_eq!(store.checkpoint(Log::Authorizations).0, 2);
}

#[test]
fn overload_is_refused_and_what_was_queued_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        queue_max: 4,
        ..Options::default()
    };
    let store = Store::open(&database(folder.path()), signers(), options).unwrap();
    let (go, wait) = channel::<()>();
    let (started, holding) = channel();
    let held = store.submit::<_, StoreError>(move |_| {
        started.send(()).unwrap();
        Ok(wait.recv().is_ok())
    });
    holding.recv().unwrap();
    let queued: Vec<_> = (0..4_u8)
        .map(|n| store.submit::<_, StoreError>(move |tx| tx.append(Log::Authorizations, &[n])))
        .collect();
    let refused = store.submit::<_, StoreError>(|tx| tx.append(Log::Authorizations, b"no"));
    assert!(matches!(refused.wait(), Err(StoreError::Overloaded(4))));
    let closing = std::thread::spawn(move || drop(store));
    go.send(()).unwrap();
    closing.join().unwrap();
    assert!(held.wait().unwrap());
    for answer in queued {
        answer.wait().unwrap();
    }
    assert_eq!(open(folder.path()).checkpoint(Log::Authorizations).0, 4);
}

#[test]
fn a_job_may_hold_the_last_reference() {
    let folder = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(open(folder.path()));
    let (go, wait) = channel::<()>();
    let inner = std::sync::Arc::clone(&store);
    let pending = store.submit::<_, StoreError>(move |tx| {
        let _ = wait.recv();
        drop(inner);
        tx.append(Log::Authorizations, b"last")
    });
    drop(store);
    go.send(()).unwrap();
    assert_eq!(pending.wait().unwrap().index, 0);
}

#[test]
fn the_write_ahead_log_is_copied_meanwhile_and_begins_anew() {
    const MIB: u64 = 1024 * 1024;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let length = |name: &str| fs::metadata(folder.path().join(name)).map_or(0, |of| of.len());
    let mut longest = 0;
    for number in 0..200_u8 {
        // Less than the writer itself waits for: what is there by now, the other thread copied.
        if number == 48 {
            let copied = std::iter::repeat_with(|| {
                std::thread::sleep(std::time::Duration::from_millis(50));
                length("countersign.db")
            });
            assert!(copied.take(200).any(|length| length > 8 * MIB));
        }
        let bytes = vec![number; MIB as usize];
        let blob = Blob { salt: None, bytes };
        let digest = Digest::of(&blob.bytes);
        let written = store.submit::<_, StoreError>(move |tx| tx.put_blob(&digest, &blob));
        written.wait().unwrap();
        longest = longest.max(length("countersign.db-wal"));
    }
    assert!(longest < 100 * MIB, "{longest}");
    assert!(length("countersign.db") > 50 * MIB);
    drop(store);
    assert_eq!(length("countersign.db-wal"), 0);
    assert!(length("countersign.db") > 200 * MIB);
}
