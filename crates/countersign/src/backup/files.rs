//! Which files a backup may hold, and how they are copied: hashed while they are written, fsynced,
//! readable by their owner alone. A new directory is made beside its place and renamed.

use super::{BackupError, FileMark};
use crate::ambient;
use crate::deployment::{DATABASE, OPERATOR_TOKEN, TRIAL_KEY};
use countersign_domain::Digest;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Take, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Bytes that are copied at a time.
const CHUNK_BYTES: usize = 1024 * 1024;

/// The configuration.
pub(super) const CONFIG: &str = "deployment.toml";
/// The newest signed checkpoints, beside the database.
pub(super) const LATEST: &str = "checkpoints.latest";
/// Nothing of a backup but its database is longer, in bytes.
pub(super) const SMALL_BYTES_MAX: u64 = 1024 * 1024;
/// Files that every backup holds.
pub(super) const PLAIN: [&str; 3] = [DATABASE, CONFIG, LATEST];
/// The keys of the gate, which a deployment cannot run without.
pub(super) const KEYS: [&str; 3] = [
    "keys/warrant.seed",
    "keys/authorizations.seed",
    "keys/recommendations.seed",
];
/// Secrets that a deployment may have besides.
pub(super) const OTHER_SECRETS: [&str; 2] = [OPERATOR_TOKEN, TRIAL_KEY];

/// A directory that is being filled. Removed when it is dropped before it is put in place.
pub(super) struct Staging {
    pub(super) path: PathBuf,
    place: PathBuf,
    kept: bool,
}

impl Staging {
    /// Beside `place`, which must be absent or empty.
    pub(super) fn beside(place: &Path) -> Result<Self, BackupError> {
        match fs::read_dir(place) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(BackupError::Occupied(place.to_owned()));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(BackupError::file(place)(error)),
        }
        let failed = |source| BackupError::File {
            path: place.to_owned(),
            source,
        };
        let name = place
            .file_name()
            .ok_or_else(|| failed(io::Error::other("expected a path that ends in a name")))?;
        let parent = parent(place);
        fs::create_dir_all(parent).map_err(BackupError::file(parent))?;
        let mut beside = std::ffi::OsString::from(".");
        beside.push(name);
        beside.push(format!(".making-{}", hex::encode(ambient::random::<8>())));
        let path = parent.join(beside);
        create_folder(&path)?;
        Ok(Self {
            path,
            place: place.to_owned(),
            kept: false,
        })
    }

    /// Makes it durable and puts it in place, whole or not at all.
    pub(super) fn put_in_place(mut self) -> Result<(), BackupError> {
        let keys = self.path.join("keys");
        if keys.is_dir() {
            sync(&keys)?;
        }
        sync(&self.path)?;
        fs::rename(&self.path, &self.place).map_err(BackupError::file(&self.place))?;
        self.kept = true;
        sync(parent(&self.place))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.kept {
            // The error that led here matters more; what stays behind has a name that says so.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes the entries of a folder durable.
pub(super) fn sync(folder: &Path) -> Result<(), BackupError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(BackupError::file(folder))
}

/// Creates a folder with mode 0700.
pub(super) fn create_folder(path: &Path) -> Result<(), BackupError> {
    DirBuilder::new()
        .mode(0o700)
        .create(path)
        .map_err(BackupError::file(path))
}

/// Writes a new file with mode 0600.
pub(super) fn create(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let mut file = new(path)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(BackupError::file(path))
}

fn new(path: &Path) -> Result<File, BackupError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(BackupError::file(path))
}

/// Opens a regular file to read. Links are not followed, and nothing is waited for.
pub(super) fn regular(path: &Path) -> Result<File, BackupError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty());
    let failed = BackupError::file(path);
    let file = match opened {
        Ok(file) => File::from(file),
        Err(Errno::LOOP) => return Err(failed(io::Error::other("is a link, not a file"))),
        Err(error) => return Err(failed(error.into())),
    };
    match file.metadata() {
        Ok(about) if about.is_file() => Ok(file),
        Ok(_) => Err(failed(io::Error::other("is not a regular file"))),
        Err(error) => Err(failed(error)),
    }
}

/// Copies a file, or `bytes_max` of it, to a new one of mode 0600. What was written is what was
/// hashed.
pub(super) fn copy(
    from: &Path,
    to: &Path,
    bytes_max: u64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<FileMark, BackupError> {
    let source = regular(from)?;
    let mut target = new(to)?;
    let mark = hash(source.take(bytes_max), from, progress, |chunk| {
        target.write_all(chunk).map_err(BackupError::file(to))
    })?;
    target.sync_all().map_err(BackupError::file(to))?;
    Ok(mark)
}

/// Length and digest of a file.
pub(super) fn mark(
    path: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<FileMark, BackupError> {
    hash(regular(path)?.take(u64::MAX), path, progress, |_| Ok(()))
}

fn hash(
    mut source: Take<File>,
    path: &Path,
    progress: &mut dyn FnMut(u64, u64),
    mut see: impl FnMut(&[u8]) -> Result<(), BackupError>,
) -> Result<FileMark, BackupError> {
    let about = source.get_ref().metadata();
    let all = about.map_err(BackupError::file(path))?.len();
    let mut hasher = Sha256::new();
    let mut bytes = 0;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = source.read(&mut buffer).map_err(BackupError::file(path))?;
        let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else {
            break;
        };
        see(chunk)?;
        hasher.update(chunk);
        bytes += chunk.len() as u64;
        progress(bytes, all.max(bytes));
    }
    Ok(FileMark {
        bytes,
        sha256: Digest::from_bytes(hasher.finalize().into()),
    })
}
