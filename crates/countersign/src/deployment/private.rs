//! Files that nobody but their owner reads. Written whole and fsynced, or not at all.

use super::DeploymentError;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Creates a folder with mode 0700.
pub(super) fn create_folder(path: &Path) -> Result<(), DeploymentError> {
    fs::DirBuilder::new()
        .mode(0o700)
        .create(path)
        .map_err(DeploymentError::file(path))
}

/// Refuses a folder that others may enter.
pub(super) fn check_folder(path: &Path) -> Result<(), DeploymentError> {
    let about = fs::metadata(path).map_err(DeploymentError::file(path))?;
    check_mode(path, about.permissions().mode(), 0o700)
}

fn check_mode(path: &Path, mode: u32, wanted: u32) -> Result<(), DeploymentError> {
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(DeploymentError::Exposed {
            path: path.to_owned(),
            mode: mode & 0o7777,
            wanted,
        })
    }
}

/// Creates a file with mode 0600 that must not be there yet.
pub(super) fn create(path: &Path, bytes: &[u8]) -> Result<(), DeploymentError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(DeploymentError::file(path))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(DeploymentError::file(path))
}

/// Replaces a file, atomically.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), DeploymentError> {
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(DeploymentError::file(&beside)(error));
        }
        _ => {}
    }
    create(&beside, bytes)?;
    fs::rename(&beside, path).map_err(DeploymentError::file(path))
}

/// Reads a small private file; refuses one that others can read.
pub(super) fn read(path: &Path, bytes_max: u64) -> Result<String, DeploymentError> {
    let file = File::open(path).map_err(DeploymentError::file(path))?;
    let about = file.metadata().map_err(DeploymentError::file(path))?;
    check_mode(path, about.permissions().mode(), 0o600)?;
    let mut text = String::new();
    file.take(bytes_max + 1)
        .read_to_string(&mut text)
        .map_err(DeploymentError::file(path))?;
    if text.len() as u64 > bytes_max {
        return Err(DeploymentError::damaged(
            path,
            "it is larger than such a file can be",
        ));
    }
    Ok(text)
}

/// Makes the entries of a folder durable.
pub(super) fn sync_folder(path: &Path) -> Result<(), DeploymentError> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(DeploymentError::file(path))
}
