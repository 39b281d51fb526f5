//! Reads a policy folder into memory. The only module here that touches the file system; it follows
//! no links and leaves out names that start with a dot (`.git`).

use crate::source::{FILE_BYTES_MAX, FILES_MAX, PolicySource, SOURCE_BYTES_MAX, SourceError};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

/// Folders below the policy folder at most, in depth.
const DEPTH_MAX: usize = 6;

/// Reads the policy in `folder`.
///
/// # Errors
/// When something in it cannot be read, is a link or device, or is more than a policy may hold.
pub fn from_folder(folder: &Path) -> Result<PolicySource, SourceError> {
    let mut files = BTreeMap::new();
    let mut total = 0;
    read_into(folder, "", 0, &mut files, &mut total)?;
    PolicySource::new(files)
}

fn read_into(
    folder: &Path,
    prefix: &str,
    depth: usize,
    files: &mut BTreeMap<String, Vec<u8>>,
    total: &mut usize,
) -> Result<(), SourceError> {
    let failed = |path: &str| {
        let path = if path.is_empty() {
            folder.display().to_string()
        } else {
            path.to_owned()
        };
        move |error| SourceError::Read { path, error }
    };
    if depth > DEPTH_MAX {
        return Err(SourceError::Path(prefix.to_owned()));
    }
    for entry in fs::read_dir(folder).map_err(failed(prefix))? {
        let entry = entry.map_err(failed(prefix))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        let path = if prefix.is_empty() {
            name.into_owned()
        } else {
            format!("{prefix}/{name}")
        };
        // `file_type` of a directory entry does not follow links.
        let kind = entry.file_type().map_err(failed(&path))?;
        if kind.is_dir() {
            read_into(&entry.path(), &path, depth + 1, files, total)?;
        } else if kind.is_file() {
            if files.len() >= FILES_MAX {
                return Err(SourceError::Files(files.len() + 1));
            }
            let limit = FILE_BYTES_MAX.min(SOURCE_BYTES_MAX - *total);
            let mut bytes = Vec::new();
            fs::File::open(entry.path())
                .and_then(|file| file.take(limit as u64 + 1).read_to_end(&mut bytes))
                .map_err(failed(&path))?;
            if bytes.len() > limit {
                return Err(SourceError::Size { path, limit });
            }
            *total += bytes.len();
            files.insert(path, bytes);
        } else {
            return Err(SourceError::Kind(path));
        }
    }
    Ok(())
}
