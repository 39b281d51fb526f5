//! Which logs this database holds, and how far they reach.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::code;
use crate::contract::{Head, Log, StoreError};
use crate::engine::{column, number};
use countersign_domain::Digest;

/// The verifier key that a log was founded with.
pub(crate) fn vkey(conn: &Connection, log: Log) -> Result<Option<String>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT vkey FROM logs WHERE log = ?1")?;
    Ok(statement
        .query_row([code(log)], |row| row.get(0))
        .optional()?)
}

/// Founds an empty log.
pub(crate) fn found(
    conn: &Connection,
    log: Log,
    origin: &str,
    vkey: &str,
    head: &Head,
) -> Result<(), StoreError> {
    conn.execute(
        "INSERT INTO logs (log, origin, vkey, size, root) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            code(log),
            origin,
            vkey,
            column(head.size)?,
            head.root.as_bytes()
        ],
    )?;
    Ok(())
}

/// How far a log reaches.
pub(crate) fn head(conn: &Connection, log: Log) -> Result<Head, StoreError> {
    let mut statement = conn.prepare_cached("SELECT size, root FROM logs WHERE log = ?1")?;
    let (size, root): (i64, [u8; 32]) =
        statement.query_row([code(log)], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Head {
        size: number(size)?,
        root: Digest::from_bytes(root),
    })
}

/// Moves the head on from the size that the caller extended.
///
/// # Errors
/// When the head is not there, which means that somebody else wrote.
pub(crate) fn move_head(
    conn: &Connection,
    log: Log,
    old_size: u64,
    head: &Head,
) -> Result<(), StoreError> {
    let mut statement =
        conn.prepare_cached("UPDATE logs SET size = ?3, root = ?4 WHERE log = ?1 AND size = ?2")?;
    let moved = statement.execute(params![
        code(log),
        column(old_size)?,
        column(head.size)?,
        head.root.as_bytes()
    ])?;
    if moved == 1 {
        Ok(())
    } else {
        Err(StoreError::Damaged(format!(
            "the head of the {} log is no longer at `{old_size}`",
            log.as_str()
        )))
    }
}
