//! SQLite as this crate uses it: how connections are opened and how its errors read. No table is
//! known here.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::contract::StoreError;

/// How long a statement waits for another program that holds the database.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// Prepared statements kept for each connection; there are about 60 different ones.
const STATEMENTS_KEPT: usize = 96;

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::{Error as E, ErrorCode};
        let damaged = [ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase];
        if error
            .sqlite_error_code()
            .is_some_and(|code| damaged.contains(&code))
        {
            return Self::Damaged(error.to_string());
        }
        match error {
            E::FromSqlConversionFailure(..)
            | E::IntegralValueOutOfRange(..)
            | E::InvalidColumnType(..)
            | E::Utf8Error(..) => Self::Damaged(error.to_string()),
            other => Self::Engine(other.to_string()),
        }
    }
}

/// The one connection that writes. Whatever it commits is on the disk when the commit returns.
pub(crate) fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, 96 * 1024)?;
    conn.pragma_update(None, "journal_mode", "wal")?;
    conn.pragma_update(None, "synchronous", "full")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    // What a savepoint needs to undo a job stays out of temporary files.
    conn.pragma_update(None, "temp_store", "memory")?;
    conn.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    Ok(conn)
}

/// A connection that only copies the write-ahead log into the database.
pub(crate) fn open_copier(path: &Path) -> rusqlite::Result<Connection> {
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, 1024)?;
    // What is copied is on the disk before the log begins anew.
    conn.pragma_update(None, "synchronous", "full")?;
    Ok(conn)
}

/// A connection that cannot write.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY, 2 * 1024)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

/// A connection to a working copy that need not survive a crash.
pub(crate) fn open_scratch(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let conn = open(path, flags, 8 * 1024)?;
    conn.pragma_update(None, "synchronous", "off")?;
    Ok(conn)
}

fn open(path: &Path, flags: OpenFlags, cache_kib: i64) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(BUSY_WAIT)?;
    // Plans do not depend on bound values: else every new `LIMIT ?` is parsed and planned again.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    conn.pragma_update(None, "cache_size", -cache_kib)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    Ok(conn)
}

/// Gives back a transaction that is still open when it is dropped.
pub(crate) struct Transaction<'a>(pub(crate) &'a Connection);

impl<'a> Transaction<'a> {
    /// A read transaction: all reads until it ends see the same state.
    pub(crate) fn snapshot(conn: &'a Connection) -> rusqlite::Result<Self> {
        conn.prepare_cached("BEGIN DEFERRED")?.execute([])?;
        Ok(Self(conn))
    }

    /// A write transaction, which holds the write lock from the start.
    pub(crate) fn write(conn: &'a Connection) -> rusqlite::Result<Self> {
        conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(Self(conn))
    }

    /// Ends it, durably where the connection says so.
    pub(crate) fn commit(self) -> rusqlite::Result<()> {
        self.0.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit() {
            // Nothing to do where it fails: SQLite gives it back when the connection closes.
            let _ = self.0.execute_batch("ROLLBACK");
        }
    }
}

/// An unsigned number as a column holds it.
pub(crate) fn column(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number)
        .map_err(|_| StoreError::Engine(format!("`{number}` is beyond what is stored")))
}

/// A column as the unsigned number that it must be.
pub(crate) fn number(column: i64) -> Result<u64, StoreError> {
    u64::try_from(column).map_err(|_| StoreError::Damaged(format!("`{column}` is negative")))
}

/// Reads a typed value from a text column.
pub(crate) fn parsed<T: TryFrom<String>>(text: String) -> Result<T, StoreError>
where
    T::Error: std::fmt::Display,
{
    T::try_from(text).map_err(|error| StoreError::Damaged(error.to_string()))
}
