//! Raw group commits: bytes into a table with the store's own durability, and nothing else. For
//! measuring what the engine can do at most; no log, no tree, no signature.

use std::path::Path;

use rusqlite::Connection;

use crate::contract::StoreError;
use crate::engine::{Transaction, open_scratch, open_writer};

/// A file of rows.
pub struct RawCommits {
    conn: Connection,
}

impl RawCommits {
    /// Creates the file.
    ///
    /// # Errors
    /// When it exists with other content, or cannot be created.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        open_scratch(path)?.execute_batch(
            "CREATE TABLE rows (idx INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT",
        )?;
        Ok(Self {
            conn: open_writer(path)?,
        })
    }

    /// Makes a group of rows durable in one transaction.
    ///
    /// # Errors
    /// When storage fails.
    pub fn commit<'a>(&self, rows: impl IntoIterator<Item = &'a [u8]>) -> Result<(), StoreError> {
        let transaction = Transaction::write(&self.conn)?;
        let mut insert = self
            .conn
            .prepare_cached("INSERT INTO rows (bytes) VALUES (?1)")?;
        for row in rows {
            insert.execute([row])?;
        }
        Ok(transaction.commit()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("raw.db");
        let raw = RawCommits::create(&path).unwrap();
        raw.commit([b"one".as_slice(), b"two"]).unwrap();
        raw.commit([b"three".as_slice()]).unwrap();
        let rows: String = Connection::open(&path)
            .unwrap()
            .query_row("SELECT group_concat(bytes) FROM rows", [], |row| row.get(0))
            .unwrap();
        assert_eq!(rows, "one,two,three");
        assert!(RawCommits::create(&path).is_err());
    }
}
