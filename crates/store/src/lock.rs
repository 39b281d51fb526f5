//! One writer at a time, across processes: an advisory lock on a file beside the database, which
//! the system gives back when the process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::error::OpenError;

/// Held for as long as this lives.
pub struct Lock {
    _file: File,
}

/// The name of the lock file, in the database's folder.
const NAME: &str = "lock";

/// Takes the lock, and leaves this process's id in the file for others to name.
///
/// # Errors
/// [`OpenError::InUse`] where another process has it; others where the file cannot be written.
pub fn take(database: &Path) -> Result<Lock, OpenError> {
    let path = database.with_file_name(NAME);
    let failed = OpenError::file(&path);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(&failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(in_use(file)),
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(&failed)?;
    Ok(Lock { _file: file })
}

fn in_use(file: File) -> OpenError {
    let mut text = String::new();
    let known = file.take(20).read_to_string(&mut text).is_ok();
    let digits = text.trim();
    let process = match known && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        true => digits.to_owned(),
        false => "unknown".to_owned(),
    };
    OpenError::InUse { process }
}
