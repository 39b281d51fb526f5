//! Artifacts by digest: our own copies of package files. What is hashed here is what is installed
//! from here; the file that it was copied from is never looked at again.

use crate::durable;
use countersign_domain::Digest;
use sha2::{Digest as _, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The largest artifact that is taken, in bytes.
pub const ARTIFACT_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// Why an artifact cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// Reading or writing failed.
    #[error("artifact `{path}`: {source}", path = .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The bytes are not those that were named.
    #[error("artifact was swapped or damaged: `{path}` has digest `{found}`, not `{expected}`; prepare the change again", path = .path.display())]
    Digest {
        /// Where.
        path: PathBuf,
        /// What was named.
        expected: Digest,
        /// What is there.
        found: Digest,
    },
    /// Not among the retained ones.
    #[error("artifact `{0}` is not retained on this host; prepare the change again")]
    Absent(Digest),
}

/// The folder of retained artifacts.
#[derive(Debug, Clone)]
pub struct Artifacts {
    folder: PathBuf,
}

impl Artifacts {
    /// The artifacts under `state_dir`.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self {
            folder: state_dir.join("artifacts"),
        }
    }

    /// Where the artifact with this digest lies, whether it is there or not.
    #[must_use]
    pub fn path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string().replace("sha256:", "");
        self.folder.join(format!("{name}.deb"))
    }

    /// Copies `source` here while hashing the copy, makes it durable, and names it by its digest.
    ///
    /// # Errors
    /// When it cannot be copied, is too large, or its digest is not the `expected` one.
    pub fn take(&self, source: &Path, expected: Option<&Digest>) -> Result<Digest, ArtifactError> {
        let io = |source_error| ArtifactError::Io {
            path: source.to_owned(),
            source: source_error,
        };
        durable::folder(&self.folder).map_err(io)?;
        let mut from = open(source).map_err(io)?;
        let mut to = tempfile::Builder::new()
            .prefix(".incoming-")
            .tempfile_in(&self.folder)
            .map_err(io)?;
        let found = copy_hashed(&mut from, to.as_file_mut()).map_err(io)?;
        if let Some(expected) = expected.filter(|expected| **expected != found) {
            return Err(ArtifactError::Digest {
                path: source.to_owned(),
                expected: *expected,
                found,
            });
        }
        to.as_file().sync_all().map_err(io)?;
        to.persist(self.path(&found))
            .map_err(|error| io(error.error))?;
        durable::sync_folder(&self.folder).map_err(io)?;
        Ok(found)
    }

    /// The path of the artifact with this digest, its bytes hashed again right now.
    ///
    /// # Errors
    /// When it is not there, or is not what its name says.
    pub fn verified(&self, digest: &Digest) -> Result<PathBuf, ArtifactError> {
        let path = self.path(digest);
        let found = match file_digest(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ArtifactError::Absent(*digest));
            }
            Err(source) => return Err(ArtifactError::Io { path, source }),
        };
        if found == *digest {
            Ok(path)
        } else {
            Err(ArtifactError::Digest {
                path,
                expected: *digest,
                found,
            })
        }
    }
}

/// The SHA-256 of a regular file's bytes; symbolic links are not followed.
///
/// # Errors
/// When it cannot be read, is no regular file, or is larger than [`ARTIFACT_BYTES_MAX`].
pub fn file_digest(path: &Path) -> io::Result<Digest> {
    copy_hashed(&mut open(path)?, &mut io::sink())
}

fn open(path: &Path) -> io::Result<File> {
    // INVARIANT (never hash-then-use): what is opened here is what is read, link or not.
    let no_follow = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(no_follow.bits().cast_signed())
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ))
    }
}

fn copy_hashed(from: &mut File, to: &mut impl io::Write) -> io::Result<Digest> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0_u8; 128 * 1024];
    let mut total = 0_u64;
    loop {
        let count = from.read(&mut buffer)?;
        let piece = buffer.get(..count).unwrap_or_default();
        if piece.is_empty() {
            to.flush()?;
            return Ok(Digest::from_bytes(hasher.finalize().into()));
        }
        total += piece.len() as u64;
        if total > ARTIFACT_BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("larger than {ARTIFACT_BYTES_MAX} bytes"),
            ));
        }
        hasher.update(piece);
        to.write_all(piece)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_is_kept_by_digest_and_hashed_at_the_last_moment() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("a.deb");
        std::fs::write(&source, b"abc").unwrap();
        let artifacts = Artifacts::new(dir.path());
        let digest = Digest::of(b"abc");
        assert_eq!(artifacts.take(&source, Some(&digest)).unwrap(), digest);
        // What happens to the source afterwards does not matter.
        std::fs::write(&source, b"xyz").unwrap();
        let kept = artifacts.verified(&digest).unwrap();
        assert_eq!(std::fs::read(&kept).unwrap(), b"abc");
        assert!(matches!(
            artifacts.take(&source, Some(&digest)),
            Err(ArtifactError::Digest { .. })
        ));
        // A swap in our own folder is noticed.
        std::fs::write(&kept, b"evil").unwrap();
        assert!(matches!(
            artifacts.verified(&digest),
            Err(ArtifactError::Digest { .. })
        ));
        assert!(matches!(
            artifacts.verified(&Digest::of(b"none")),
            Err(ArtifactError::Absent(_))
        ));
    }

    #[test]
    fn links_and_devices_are_not_artifacts() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link.deb");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        let artifacts = Artifacts::new(dir.path());
        assert!(artifacts.take(&link, None).is_err());
        assert!(artifacts.take(Path::new("/dev/zero"), None).is_err());
    }
}
