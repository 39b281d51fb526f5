//! Numbered migrations, and the marks by which a database is known as ours. What the tables mean
//! is in `tables`.

use rusqlite::Connection;

use crate::engine::Transaction;
use crate::error::OpenError;

/// `CSGN` in ASCII: written to the database's header.
const APPLICATION_ID: i64 = 0x4353_474e;

/// In order; the number of the last one applied is the database's `user_version`.
const MIGRATIONS: &[(&str, &str)] = &[("0001_found", include_str!("../migrations/0001_found.sql"))];

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
