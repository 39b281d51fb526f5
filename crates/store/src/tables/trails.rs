//! Which entries of the authorizations log concern a change. A table of its own: it gets a row with
//! almost every entry, and is read only when somebody asks for the whole story.

use rusqlite::{Connection, params};

use crate::contract::StoreError;
use crate::engine::{column, number};

/// Entries of one change that are given at most.
const TRAIL_MAX: i64 = 10_000;

/// Remembers that an entry concerns a change; once more changes nothing.
pub(crate) fn put(conn: &Connection, opened: u64, index: u64) -> Result<(), StoreError> {
    conn.prepare_cached("INSERT INTO trails (opened, idx) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute(params![column(opened)?, column(index)?])?;
    Ok(())
}

/// The entries that concern a change, in the order of the log, the first [`TRAIL_MAX`] of them.
pub(crate) fn get(conn: &Connection, opened: u64) -> Result<Vec<u64>, StoreError> {
    let mut statement =
        conn.prepare_cached("SELECT idx FROM trails WHERE opened = ?1 ORDER BY idx LIMIT ?2")?;
    let mut rows = statement.query(params![column(opened)?, TRAIL_MAX])?;
    let mut trail = Vec::new();
    while let Some(row) = rows.next()? {
        trail.push(number(row.get(0)?)?);
    }
    Ok(trail)
}
