//! A real history of dnf 4.14 (as SQL), one of dnf 5 in the documented shape, and hostile databases.

use super::{Told, actor, read};
use crate::audit::database::Database;
use crate::audit::model::{Action, Exclusion, FileNumber, Nature, Reference, Row};
use crate::audit::reader::Context;
use crate::audit::reader::testing::actions;
use rusqlite::Connection;
use std::path::Path;

const FOUR: &str = include_str!("../../../../tests/fixtures/dnf/history.sql");
const FIVE: &str = include_str!("../../../../tests/fixtures/dnf/history5.sql");

fn bytes(sql: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let connection = Connection::open(&path).unwrap();
    for sql in sql {
        connection.execute_batch(sql).unwrap();
    }
    drop(connection);
    std::fs::read(path).unwrap()
}

fn read_bytes(bytes: &[u8]) -> (std::io::Result<Option<Vec<Told>>>, Vec<Row>) {
    let context = Context::new(Some("UTC"), "web-1").unwrap();
    let mut rows = Vec::new();
    let told = Database::open(&mut &bytes[..], Path::new("-"))
        .and_then(|database| read(&database, FileNumber(0), &context, &mut rows));
    (told, rows)
}

fn rows_of(sql: &[&str]) -> (Vec<Told>, Vec<Row>) {
    let (told, rows) = read_bytes(&bytes(sql));
    (told.unwrap().unwrap(), rows)
}

fn actions_of(sql: &[&str]) -> Vec<Action> {
    actions(rows_of(sql).1)
}

#[test]
fn a_real_history_is_read() {
    let (told, rows) = rows_of(&[FOUR]);
    assert_eq!(told.len(), 7);
    assert!(told.iter().all(|(_, told)| told.is_ok()));
    let excluded: Vec<_> = rows
        .iter()
        .filter_map(|row| match row {
            Row::Excluded(why) => Some(*why),
            _ => None,
        })
        .collect();
    // A mere change of the reason, and a transaction that failed.
    assert_eq!(excluded, [Exclusion::Other, Exclusion::Failed]);
    let found = actions(rows);
    let summaries: Vec<_> = found.iter().map(|one| one.summary.as_str()).collect();
    assert_eq!(
        summaries,
        [
            "install 2 packages",
            "upgrade 1 package",
            "downgrade 1 package",
            "reinstall 1 package",
            "remove 1 package"
        ]
    );
    let upgrade = &found[1];
    assert_eq!(upgrade.items, ["openssl-demo.noarch (upgrade 1.1-1)"]);
    assert_eq!(upgrade.references, [Reference::Number("CHG0031337".into())]);
    assert_eq!(upgrade.system, "web-1");
    assert_eq!(upgrade.actor.nature, Nature::Automation);
    assert_eq!(upgrade.started.earliest.unix_seconds(), 1_795_317_951);
    assert_eq!(upgrade.places[0].line, Some(2));
}

#[test]
fn that_of_dnf_5_is_read() {
    let (told, rows) = rows_of(&[FIVE]);
    assert_eq!((told.len(), rows.len()), (2, 2));
    assert_eq!(rows[1], Row::Excluded(Exclusion::Failed));
    let upgrade = actions(rows).remove(0);
    assert_eq!(upgrade.summary, "upgrade 1 package");
    assert_eq!(upgrade.items, ["openssl.x86_64 (upgrade 1:3.2.1-2.fc42)"]);
    assert_eq!(upgrade.references, [Reference::Number("CHG0031337".into())]);
    assert_eq!(upgrade.actor.name, "uid 1000");
}

#[test]
fn who_it_was_is_told_by_the_login() {
    for (user, nature) in [
        (Some(-1), Nature::Automation),
        (Some(4_294_967_295), Nature::Automation),
        (Some(0), Nature::Unclear),
        (Some(980), Nature::Automation),
        (Some(1000), Nature::Person),
        (Some(65_534), Nature::Unclear),
        (None, Nature::Unclear),
    ] {
        assert_eq!(actor(user).nature, nature, "{user:?}");
    }
}

#[test]
fn an_older_one_without_comments_is_read_and_what_partly_failed_counts() {
    let older = FOUR.replace(", comment TEXT DEFAULT ''", "");
    let older = older
        .replace(",'CHG0031337 patch');", ");")
        .replace(",'');", ");");
    assert_eq!(actions_of(&[&older]).len(), 5);
    let partly = [FOUR, "UPDATE trans_item SET state = 2 WHERE id = 1"];
    let found = actions_of(&partly);
    assert_eq!(found[0].summary, "install 1 package, with an error");
    let cut = [FOUR, "UPDATE trans SET dt_end = NULL, state = 0"];
    assert_eq!(actions_of(&cut)[0].ended, None);
}

#[test]
fn rows_of_wrong_types_are_unreadable_and_the_rest_goes_on() {
    for (sql, unreadable, count) in [
        ("UPDATE trans SET dt_begin = 'soon' WHERE id = 2", 1, 4),
        ("UPDATE trans SET dt_begin = -5 WHERE id = 2", 1, 4),
        (
            "UPDATE trans SET dt_begin = 9223372036854775807 WHERE id = 2",
            1,
            4,
        ),
        (
            "UPDATE trans SET user_id = x'00', cmdline = 7, comment = x'ff'",
            0,
            5,
        ),
        ("UPDATE trans_item SET action = 99", 0, 6),
        ("UPDATE trans_item SET action = 'x'", 0, 6),
        (
            "UPDATE rpm SET name = CAST(item_id AS BLOB), epoch = 'x'",
            0,
            5,
        ),
        ("DELETE FROM rpm", 0, 5),
    ] {
        let (told, rows) = rows_of(&[FOUR, sql]);
        let bad = told.iter().filter(|(_, told)| told.is_err()).count();
        assert_eq!((bad, actions(rows).len()), (unreadable, count), "{sql}");
    }
    let hostile = "UPDATE trans SET cmdline = char(27) || '[31m' || printf('%.*c', 500000, 'x'), \
                   comment = 'CHG0000001 ' || char(8238); \
                   UPDATE rpm SET name = char(27) || '<script>' || char(10) || item_id";
    for action in actions_of(&[FOUR, hostile]) {
        assert!(format!("{action:?}").len() < 10_000);
        for text in action.items.iter().chain([&action.summary]) {
            assert!(!text.contains(['\u{1b}', '\u{202e}', '\n']), "{text}");
        }
    }
}

#[test]
fn what_is_no_history_is_left_alone_or_refused() {
    let (other, _) = read_bytes(&bytes(&["CREATE TABLE trans(id)"]));
    assert_eq!(other.unwrap(), None);
    // A view that never ends, under the name of the table, is not asked.
    let endless = "CREATE TABLE rpm(item_id); CREATE TABLE trans_item(trans_id); CREATE VIEW trans \
        (id, dt_begin, dt_end, user_id, cmdline, state) AS WITH RECURSIVE n(x) AS \
        (VALUES(1) UNION ALL SELECT x + 1 FROM n) SELECT x, x, x, x, x, x FROM n";
    let (view, _) = read_bytes(&bytes(&[endless]));
    assert_eq!(view.unwrap(), None);
    let huge = [FOUR, "UPDATE trans SET cmdline = zeroblob(2000000)"];
    assert!(read_bytes(&bytes(&huge)).0.is_err());
}

#[test]
fn a_database_that_is_cut_or_damaged_anywhere_harms_nothing() {
    let good = bytes(&[FOUR]);
    for end in (0..good.len()).step_by(997) {
        let _ = read_bytes(&good[..end]);
    }
    for at in (0..good.len()).step_by(211) {
        let mut bad = good.clone();
        for byte in bad.iter_mut().skip(at).take(7) {
            *byte ^= 0xa5;
        }
        let _ = read_bytes(&bad);
    }
    assert!(read_bytes(b"SQLite format 3\0").0.is_err());
}
