//! Files that survive a crash: written beside, fsynced, renamed, folder fsynced. Folders of this
//! crate's own state are readable by their owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Makes a folder and its parents, readable by the owner only; one that exists stays as it is.
pub(crate) fn folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Makes what was done in `folder` (a rename, a new file) durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The folder that holds `path`: the working folder for a bare name.
fn parent(path: &Path) -> io::Result<&Path> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Ok(Path::new(".")),
        Some(parent) => Ok(parent),
        None => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a file needs a folder",
        )),
    }
}

/// Replaces `path` by `bytes`, wholly or not at all; the file is readable by the owner only.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let parent = parent(path)?;
    folder(parent)?;
    let mut temporary = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(parent)?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    sync_folder(parent)
}

/// Writes a new file of mode 0600; one that exists is never overwritten.
pub(crate) fn create_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let parent = parent(path)?;
    folder(parent)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    sync_folder(parent)
}

/// Appends one line to a file of mode 0600 and makes it durable.
pub(crate) fn append_line(path: &Path, line: &str) -> io::Result<()> {
    let fresh = !path.exists();
    let parent = parent(path)?;
    folder(parent)?;
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(format!("{}\n", line.replace('\n', " ")).as_bytes())?;
    file.sync_all()?;
    if fresh { sync_folder(parent) } else { Ok(()) }
}

/// Reads a file of at most `bytes_max` bytes.
pub(crate) fn read_bounded(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    File::open(path)?
        .take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("`{}` is larger than {bytes_max} bytes", path.display()),
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn files_are_private_and_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/file");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(read_bounded(&path, 3).unwrap(), b"two");
        assert!(read_bounded(&path, 2).is_err());
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(create_new(&path, b"x").is_err());
        append_line(&path, "a\nb").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "twoa b\n");
    }
}
