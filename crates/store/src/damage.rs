//! What is read back before a store writes: the structure of every page, the indexes that decisions
//! rest on, and the newest entries against their leaf hashes. What this leaves unread (older entries,
//! and blobs that keep their form) is `fsck`'s.

use rusqlite::Connection;

use crate::contract::{Log, StoreError};
use crate::error::OpenError;
use crate::tables::entries;
use countersign_ledger::leaf_hash;

/// Entries of each log that are hashed again when a store is opened to write.
const NEWEST_ENTRIES: u64 = 50_000;

/// Tables whose rows are decided on and are found by an index: an index that lost a row would hide
/// a halt. The logs' own are found by their number.
const INDEXED: [&str; 4] = ["documents", "blobs", "reservations", "outcomes"];

/// Walks every page of the database: a page that was overwritten is found here, wherever it lies,
/// unless it holds nothing but the tail of a long value.
pub(crate) fn check_pages(conn: &Connection) -> Result<(), OpenError> {
    check(conn, "PRAGMA quick_check(1)")?;
    INDEXED
        .iter()
        .try_for_each(|table| check(conn, &format!("PRAGMA integrity_check({table})")))
}

fn check(conn: &Connection, pragma: &str) -> Result<(), OpenError> {
    let found: String = conn.query_row(pragma, [], |row| row.get(0))?;
    match found.as_str() {
        "ok" => Ok(()),
        // It names the page or the row, on a line of its own.
        _ => Err(OpenError::Damaged(found.replace('\n', " "))),
    }
}

/// Holds the newest entries of a log of this size against their leaf hashes.
pub(crate) fn check_newest_entries(
    conn: &Connection,
    log: Log,
    size: u64,
) -> Result<(), OpenError> {
    let start = size.saturating_sub(NEWEST_ENTRIES);
    let count = usize::try_from(size - start).unwrap_or(usize::MAX);
    entries::visit(conn, log, start, count, |index, leaf, bytes| {
        if leaf_hash(bytes).as_bytes() == leaf {
            Ok(())
        } else {
            Err(StoreError::Damaged(format!(
                "entry `{index}` of the {} log does not have its leaf hash",
                log.as_str()
            )))
        }
    })?;
    Ok(())
}
