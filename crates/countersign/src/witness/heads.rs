//! What a witness cosigned last, one file for each log, durable before anything is signed. One
//! process at a time holds the folder.

use countersign_domain::Digest;
use countersign_ledger::{Hash, HeadStore, Origin, WitnessedHead};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The heads in a folder.
#[derive(Debug)]
pub struct FileHeads {
    folder: PathBuf,
    _lock: File,
}

/// Why a head could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum HeadsError {
    /// Another witness process has the folder.
    #[error("`{}` is in use by another witness; stop it first", .0.display())]
    InUse(PathBuf),
    /// The system refused.
    #[error("`{}`: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A file that was not written here.
    #[error("`{}` cannot be read as a head; restore it: a witness that forgets lets a log fork unseen", .0.display())]
    Damaged(PathBuf),
    /// Two requests raced.
    #[error("another request advanced the head first; ask again")]
    Moved,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    origin: String,
    size: u64,
    root: String,
}

impl FileHeads {
    /// Opens the folder, which has to be there.
    ///
    /// # Errors
    /// When another process holds it, or the system refuses.
    pub fn open(folder: &Path) -> Result<Self, HeadsError> {
        let path = folder.join("lock");
        let failed = |source| HeadsError::File {
            path: path.clone(),
            source,
        };
        let lock = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(HeadsError::InUse(folder.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        Ok(Self {
            folder: folder.to_owned(),
            _lock: lock,
        })
    }

    /// An origin may hold any character: its digest names the file.
    fn path(&self, origin: &Origin) -> PathBuf {
        let digest = Digest::of(origin.as_str().as_bytes());
        self.folder
            .join(format!("{}.head", hex::encode(digest.as_bytes())))
    }
}

impl HeadStore for FileHeads {
    type Error = HeadsError;

    fn head(&self, origin: &Origin) -> Result<Option<WitnessedHead>, HeadsError> {
        let path = self.path(origin);
        let mut text = String::new();
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(HeadsError::File { path, source }),
            Ok(file) => file
                .take(4096)
                .read_to_string(&mut text)
                .map_err(|source| HeadsError::File {
                    path: path.clone(),
                    source,
                })?,
        };
        let damaged = || HeadsError::Damaged(path.clone());
        let kept: Kept = serde_json::from_str(&text).map_err(|_| damaged())?;
        if kept.origin != origin.as_str() {
            return Err(damaged());
        }
        Ok(Some(WitnessedHead {
            size: kept.size,
            root: Hash::from_base64(&kept.root).map_err(|_| damaged())?,
        }))
    }

    fn replace(
        &mut self,
        origin: &Origin,
        expected: Option<WitnessedHead>,
        next: WitnessedHead,
    ) -> Result<(), HeadsError> {
        if self.head(origin)? != expected {
            return Err(HeadsError::Moved);
        }
        let path = self.path(origin);
        let beside = path.with_extension("new");
        let kept = Kept {
            origin: origin.as_str().to_owned(),
            size: next.size,
            root: next.root.to_string(),
        };
        let write = || {
            let mut file = File::options()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&beside)?;
            file.write_all(serde_json::to_string(&kept)?.as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|source| HeadsError::File {
            path: path.clone(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_outlive_the_process_and_are_compared() {
        let folder = tempfile::tempdir().unwrap();
        let origin = Origin::new("example.org/log").unwrap();
        let head = |size: u64| WitnessedHead {
            size,
            root: countersign_ledger::leaf_hash(&size.to_be_bytes()),
        };
        let mut heads = FileHeads::open(folder.path()).unwrap();
        assert!(matches!(
            FileHeads::open(folder.path()),
            Err(HeadsError::InUse(_))
        ));
        assert_eq!(heads.head(&origin).unwrap(), None);
        heads.replace(&origin, None, head(1)).unwrap();
        assert!(matches!(
            heads.replace(&origin, None, head(2)),
            Err(HeadsError::Moved)
        ));
        drop(heads);
        let mut heads = FileHeads::open(folder.path()).unwrap();
        assert_eq!(heads.head(&origin).unwrap(), Some(head(1)));
        heads.replace(&origin, Some(head(1)), head(2)).unwrap();
        let path = heads.path(&origin);
        fs::write(&path, "{}").unwrap();
        assert!(matches!(heads.head(&origin), Err(HeadsError::Damaged(_))));
    }
}
