//! Files that survive a crash whole or not at all: temporary, fsync, rename, fsync of the folder.
//! What to write, and in which order, is decided in `export`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Reads a regular file of at most `bytes_max` bytes. `None` where there is none.
/// A symbolic link, a folder, a pipe or a longer file is an error of kind `InvalidData`.
pub(crate) fn read_bounded(path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    if !metadata.is_file() {
        return Err(invalid("not a regular file"));
    }
    let mut bytes = Vec::new();
    // One byte more shows that the file is too long, whatever its metadata said.
    File::open(path)?
        .take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(invalid("longer than it can be"));
    }
    Ok(Some(bytes))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Creates a folder and its parents, each durable in its own parent.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = parent(path);
    create_folder(parent)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_folder(parent),
    }
}

/// Writes a file, replacing what was there, and its folders.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = parent(path);
    create_folder(folder)?;
    let temporary = temporary_of(path);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // `create_new` follows no link that somebody left at that name.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_folder(folder)
}

fn temporary_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/c");
        assert_eq!(read_bounded(&path, 9).unwrap(), None);
        write(&path, b"123456789").unwrap();
        assert_eq!(read_bounded(&path, 9).unwrap().unwrap(), b"123456789");
        let long = read_bounded(&path, 8).unwrap_err();
        assert_eq!(long.kind(), io::ErrorKind::InvalidData);
        let not_a_file = read_bounded(folder.path(), 9).unwrap_err();
        assert_eq!(not_a_file.kind(), io::ErrorKind::InvalidData);
        // A leftover of a crash is in nobody's way, and none is left.
        fs::write(temporary_of(&path), b"leftover").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(read_bounded(&path, 9).unwrap().unwrap(), b"new");
        assert!(!temporary_of(&path).exists());
    }
}
