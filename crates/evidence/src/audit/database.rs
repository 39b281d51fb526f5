//! Foreign SQLite databases: a copy of one is opened, in a folder of our own, because a database that
//! is being written keeps its newest rows in a second file (`…-wal`) that only SQLite can bring in. What
//! it contains is believed nothing: only plain tables are read, nothing of its schema is run that could
//! do harm, values are bounded, and a query that does not end is ended.

use super::input;
use countersign_domain::text::shown;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The largest database that is copied, and the largest second file.
const BYTES_MAX: u64 = 1 << 30;
/// The longest value that is read.
const VALUE_BYTES_MAX: i32 = 1 << 20;
/// How long all queries of one database may take.
const TIME_MAX: Duration = Duration::from_secs(60);
/// How many steps SQLite takes before it is asked whether the time is up.
const STEPS: i32 = 10_000;

/// Whether a file that begins like this is a database.
pub(crate) fn is_database(beginning: &[u8]) -> bool {
    beginning.starts_with(b"SQLite format 3\0")
}

/// Whether a file that begins like this stands beside a database, and is read with it.
pub(crate) fn is_beside(beginning: &[u8]) -> bool {
    matches!(
        beginning,
        [0x37, 0x7f, 0x06, 0x82 | 0x83, ..] | [0x18, 0xe2, 0x2d, 0x00, 0, 0, 0, 0, ..]
    )
}

/// A copy of a database, which is gone when this is dropped.
pub(crate) struct Database {
    pub(crate) connection: Connection,
    /// The SHA-256 of the second file that was copied with it, if there was one with anything in it.
    pub(crate) beside_sha256: Option<String>,
    _folder: tempfile::TempDir,
}

impl Database {
    /// Copies and opens `content`, with the second file beside `path`, if there is one.
    ///
    /// # Errors
    /// Where it cannot be copied, or is no database.
    pub(crate) fn open(content: &mut dyn Read, path: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("countersign-").tempdir()?;
        let copy = folder.path().join("copy.sqlite");
        bounded_copy(content, &copy)?;
        let mut beside_sha256 = None;
        if let Some(wal) = beside(path).filter(|wal| wal.is_file())
            && let Ok(mut wal) = File::open(wal)
        {
            let copy = folder.path().join("copy.sqlite-wal");
            bounded_copy(&mut wal, &copy)?;
            // Of the copy, before SQLite sees it.
            let whole = input::open(&copy)?.source.whole()?;
            beside_sha256 = Some(whole.sha256).filter(|_| whole.bytes > 0);
        }
        let connection = open(&copy).map_err(|error| io::Error::other(words(&error)))?;
        Ok(Self {
            connection,
            beside_sha256,
            _folder: folder,
        })
    }
}

/// What an error of SQLite's says; it may quote the database.
pub(crate) fn words(error: &rusqlite::Error) -> String {
    format!("as a database: {}", shown(&error.to_string(), 200))
}

/// Where the second file is, if there is one: `history.sqlite-wal` beside `history.sqlite`.
pub(crate) fn beside(path: &Path) -> Option<PathBuf> {
    let mut name = path.file_name()?.to_owned();
    name.push("-wal");
    Some(path.with_file_name(name))
}

fn bounded_copy(content: &mut dyn Read, to: &Path) -> io::Result<()> {
    let copied = io::copy(&mut content.take(BYTES_MAX + 1), &mut File::create_new(to)?)?;
    if copied > BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a database of more than a gigabyte",
        ));
    }
    Ok(())
}

fn open(copy: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
    let mut connection = Connection::open_with_flags(copy, flags)?;
    let ends = Instant::now() + TIME_MAX;
    connection.progress_handler(STEPS, Some(move || Instant::now() > ends))?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.set_limit(Limit::SQLITE_LIMIT_WORKER_THREADS, 0)?;
    for (config, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
    ] {
        connection.set_db_config(config, on)?;
    }
    connection.execute_batch(
        "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY; \
         PRAGMA query_only = ON;",
    )?;
    Ok(connection)
}
