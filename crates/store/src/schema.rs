//! Numbered migrations, and the marks by which a database is known as ours. What the tables mean
//! is in `tables`.

use rusqlite::Connection;

use crate::engine::Transaction;
use crate::error::OpenError;

/// `CSGN` in ASCII: written to the database's header.
const APPLICATION_ID: i64 = 0x4353_474e;

/// In order; the number of the last one applied is the database's `user_version`.
const MIGRATIONS: &[(&str, &str)] = &[
    ("0001_found", include_str!("../migrations/0001_found.sql")),
    (
        "0002_by_opening",
        include_str!("../migrations/0002_by_opening.sql"),
    ),
];

/// The version that this build writes.
#[must_use]
pub(crate) fn version_known() -> i64 {
    MIGRATIONS.len() as i64
}

fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Refuses what is not ours or from the future. Returns the version found: 0 for an empty file.
pub(crate) fn check(conn: &Connection) -> Result<i64, OpenError> {
    let application: i64 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let found = version(conn)?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let empty = application == 0 && found == 0 && tables == 0;
    if !empty && application != APPLICATION_ID {
        return Err(OpenError::NotOurs);
    }
    if found > version_known() {
        return Err(OpenError::Newer {
            found,
            known: version_known(),
        });
    }
    Ok(found)
}

/// Brings the schema to this build's version, one transaction a migration.
pub(crate) fn migrate(conn: &Connection) -> Result<(), OpenError> {
    let found = check(conn)?;
    for (number, (name, sql)) in (1_i64..).zip(MIGRATIONS) {
        if number <= found {
            continue;
        }
        let failed = |source: rusqlite::Error| OpenError::Migration {
            name: (*name).to_owned(),
            source: source.into(),
        };
        let transaction = Transaction::write(conn)?;
        conn.execute_batch(sql).map_err(failed)?;
        conn.pragma_update(None, "application_id", APPLICATION_ID)?;
        conn.pragma_update(None, "user_version", number)?;
        transaction.commit().map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_first_schema_held_is_kept_by_the_entry_that_opened_the_change() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(MIGRATIONS[0].1).unwrap();
        conn.pragma_update(None, "application_id", APPLICATION_ID)
            .unwrap();
        conn.pragma_update(None, "user_version", 1).unwrap();
        conn.execute_batch(
            r#"INSERT INTO documents VALUES
                 ('change', 'chg-a', 'running', NULL, 7, 1, '{"id":"chg-a","opened":7}'),
                 ('execution', 'chg-b', '', NULL, 9, 0, '{"opened":9}');
               INSERT INTO trails VALUES ('chg-a', 7), ('chg-a', 12), ('chg-b', 13);
               INSERT INTO reservations VALUES
                 ('chg-a', 'web-1', 'patcher', 'maria', 'shop', 'production', 1, 5000, NULL),
                 ('chg-a', 'web-2', 'patcher', 'maria', NULL, 'staging', 0, 6000, 7000);
               INSERT INTO outcomes VALUES
                 ('curl|amd64|1|2', 'chg-a', 'web-1', 'production', 3, 0, 8000);"#,
        )
        .unwrap();
        migrate(&conn).unwrap();
        assert_eq!(version(&conn).unwrap(), version_known());
        let rows = |sql: &str| -> Vec<String> {
            let mut statement = conn.prepare(sql).unwrap();
            let rows = statement.query_map([], |row| row.get(0)).unwrap();
            rows.map(Result::unwrap).collect()
        };
        assert_eq!(
            rows("SELECT opened || ' ' || idx FROM trails"),
            ["7 7", "7 12"]
        );
        assert_eq!(
            rows(
                "SELECT concat_ws(' ', opened, host, agent, owner, service, environment, standing,
                 at, released_at) FROM reservations ORDER BY host"
            ),
            [
                "7 web-1 patcher maria shop production 1 5000",
                "7 web-2 patcher maria staging 0 6000 7000"
            ]
        );
        assert_eq!(
            rows(
                "SELECT concat_ws(' ', transition, opened, host, tier, succeeded, at) FROM outcomes"
            ),
            ["curl|amd64|1|2 7 web-1 3 0 8000"]
        );
        let indexes = "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL
            AND tbl_name IN ('outcomes', 'reservations') ORDER BY name";
        assert_eq!(
            rows(indexes),
            [
                "outcomes_by_environment",
                "outcomes_failed",
                "reservations_in_flight_by_host"
            ]
        );
    }
}
