//! Complete nodes of the 256-ary trees, level 1 and above, and a log's hashes as a proof reads them.

use rusqlite::{Connection, params};

use super::{code, entries};
use crate::contract::{Log, StoreError};
use crate::engine::{column, number};
use countersign_ledger::{CompletedNode, Hash, TileSource};

/// Keeps a node.
pub(crate) fn insert(conn: &Connection, log: Log, node: &CompletedNode) -> Result<(), StoreError> {
    conn.prepare_cached("INSERT INTO nodes (log, level, idx, hash) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            code(log),
            node.level,
            column(node.index)?,
            node.hash.as_bytes()
        ])?;
    Ok(())
}

fn range(
    conn: &Connection,
    log: Log,
    level: u8,
    start: u64,
    count: u16,
) -> Result<Vec<Hash>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT hash FROM nodes WHERE log = ?1 AND level = ?2 AND idx >= ?3 AND idx < ?3 + ?4
         ORDER BY idx",
    )?;
    let rows = statement.query_map(params![code(log), level, column(start)?, count], |row| {
        row.get(0).map(Hash::from_bytes)
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One stored node.
pub(crate) fn one(
    conn: &Connection,
    log: Log,
    level: u8,
    index: u64,
) -> Result<Option<Hash>, StoreError> {
    Ok(range(conn, log, level, index, 1)?.first().copied())
}

/// How many nodes are stored.
pub(crate) fn count(conn: &Connection, log: Log) -> Result<u64, StoreError> {
    let mut statement = conn.prepare_cached("SELECT count(*) FROM nodes WHERE log = ?1")?;
    number(statement.query_row([code(log)], |row| row.get(0))?)
}

/// The stored hashes of one log.
pub(crate) struct LogHashes<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) log: Log,
}

impl TileSource for LogHashes<'_> {
    type Error = StoreError;

    fn hashes(&self, level: u8, start: u64, count: u16) -> Result<Vec<Hash>, StoreError> {
        match level {
            0 => entries::leaves(self.conn, self.log, start, count),
            _ => range(self.conn, self.log, level, start, count),
        }
    }
}
