//! The entries of both logs, each with its leaf hash. Append-only: triggers refuse the rest.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::contract::{Log, StoreError};
use crate::engine::{column, number};
use countersign_ledger::Hash;

/// One statement for each log's own table.
macro_rules! of_log {
    ($log:expr, $before:literal, $after:literal) => {
        match $log {
            Log::Recommendations => concat!($before, "recommendations_entries", $after),
            Log::Authorizations => concat!($before, "authorizations_entries", $after),
        }
    };
}

/// Adds an entry at the end.
pub(crate) fn insert(
    conn: &Connection,
    log: Log,
    index: u64,
    leaf: &Hash,
    bytes: &[u8],
) -> Result<(), StoreError> {
    let sql = of_log!(
        log,
        "INSERT INTO ",
        " (idx, leaf, bytes) VALUES (?1, ?2, ?3)"
    );
    conn.prepare_cached(sql)?
        .execute(params![column(index)?, leaf.as_bytes(), bytes])?;
    Ok(())
}

/// The bytes of one entry.
pub(crate) fn one(conn: &Connection, log: Log, index: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let Ok(index) = i64::try_from(index) else {
        return Ok(None);
    };
    let sql = of_log!(log, "SELECT bytes FROM ", " WHERE idx = ?1");
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement.query_row([index], |row| row.get(0)).optional()?)
}

/// Up to `count` entries from `start` on.
pub(crate) fn range(
    conn: &Connection,
    log: Log,
    start: u64,
    count: usize,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut entries = Vec::new();
    visit(conn, log, start, count, |_, _, bytes| {
        entries.push(bytes.to_vec());
        Ok(())
    })?;
    Ok(entries)
}

/// Shows up to `count` entries from `start` on: index, stored leaf hash, bytes.
///
/// # Errors
/// Those of the engine and of `see`; a gap in the indexes is damage.
pub(crate) fn visit(
    conn: &Connection,
    log: Log,
    start: u64,
    count: usize,
    mut see: impl FnMut(u64, &[u8], &[u8]) -> Result<(), StoreError>,
) -> Result<u64, StoreError> {
    let (Ok(first), Ok(count)) = (i64::try_from(start), i64::try_from(count)) else {
        return Ok(0);
    };
    let sql = of_log!(
        log,
        "SELECT idx, leaf, bytes FROM ",
        " WHERE idx >= ?1 ORDER BY idx LIMIT ?2"
    );
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([first, count])?;
    let mut next = start;
    while let Some(row) = rows.next()? {
        let index = number(row.get(0)?)?;
        if index != next {
            return Err(StoreError::Damaged(format!(
                "entry `{next}` of the {} log is missing",
                log.as_str()
            )));
        }
        let (leaf, bytes) = (row.get_ref(1)?, row.get_ref(2)?);
        match (leaf.as_blob(), bytes.as_blob()) {
            (Ok(leaf), Ok(bytes)) => see(index, leaf, bytes)?,
            _ => {
                return Err(StoreError::Damaged(format!(
                    "entry `{index}` of the {} log is no blob",
                    log.as_str()
                )));
            }
        }
        next += 1;
    }
    Ok(next - start)
}

/// The number of rows, whatever the head says.
pub(crate) fn count(conn: &Connection, log: Log) -> Result<u64, StoreError> {
    let sql = of_log!(log, "SELECT count(*) FROM ", "");
    number(conn.query_row(sql, [], |row| row.get(0))?)
}

/// The index behind the last one; 0 where there is none.
pub(crate) fn end(conn: &Connection, log: Log) -> Result<u64, StoreError> {
    let sql = of_log!(log, "SELECT coalesce(max(idx) + 1, 0) FROM ", "");
    number(conn.query_row(sql, [], |row| row.get(0))?)
}

/// `count` leaf hashes from `start` on, or fewer where there are fewer.
pub(crate) fn leaves(
    conn: &Connection,
    log: Log,
    start: u64,
    count: u16,
) -> Result<Vec<Hash>, StoreError> {
    let sql = of_log!(
        log,
        "SELECT leaf FROM ",
        " WHERE idx >= ?1 AND idx < ?1 + ?2 ORDER BY idx"
    );
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params![column(start)?, count], |row| {
        row.get(0).map(Hash::from_bytes)
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
