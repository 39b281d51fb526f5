//! The audit of dnf's history: a database that is being written, copied or cut.

use crate::audit::{audited, audited_in};
use rusqlite::Connection;

const HISTORY: &str = include_str!("../fixtures/dnf/history.sql");

#[test]
fn what_stands_only_in_the_second_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.sqlite");
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;")
        .unwrap();
    connection.execute_batch(HISTORY).unwrap();
    let before = std::fs::read(&path).unwrap();
    let report = audited_in("UTC", folder.path());
    assert_eq!(report.actions.len(), 5);
    assert_eq!((report.files.len(), report.counts.ungoverned), (3, 5));
    assert!(
        report
            .files
            .iter()
            .all(|file| !file.is_unrecognised() && file.broken.is_none())
    );
    // The file itself was only read; without the other, nothing of it is there.
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert!(audited(&[("history.sqlite", &before)]).actions.is_empty());
    drop(connection);
    // dnf left, and everything is in the one file.
    let whole = std::fs::read(&path).unwrap();
    let report = audited(&[("copy.db", &whole), ("again.db", &whole)]);
    assert_eq!(report.actions.len(), 5);
    assert_eq!(report.actions[0].action.places.len(), 2);
    let cut = audited(&[("cut.db", &whole[..whole.len() / 2])]);
    assert!(cut.files[0].broken.is_some() || cut.files[0].is_unrecognised());
}
