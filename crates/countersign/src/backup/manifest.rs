//! What a backup holds: each file by digest, and how far the logs reach, by root and by signature.
//! It is not signed by itself. Digests find damage; the logs' checkpoints of exactly what is in the
//! database prove the content.

use super::{BackupError, files};
use countersign_domain::{DeploymentId, Digest, Timestamp};
use countersign_store::Log;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

/// The form that this program writes and reads.
const FORM: u32 = 1;
/// The file's name.
pub const MANIFEST: &str = "manifest.json";
/// The longest manifest that is read, in bytes.
const BYTES_MAX: u64 = 1024 * 1024;

/// The manifest of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The form of the backup.
    pub form: u32,
    /// The deployment.
    pub deployment: DeploymentId,
    /// The digest of its genesis.
    pub genesis: Digest,
    /// When it was made.
    pub made_at: Timestamp,
    /// The version of the program that made it.
    pub version: String,
    /// True when the keys and the operator's token are in it.
    pub keys: bool,
    /// Each file by its path.
    pub files: BTreeMap<String, FileMark>,
    /// Blobs beside the logs.
    pub blobs: u64,
    /// How far the authorizations log reaches.
    pub authorizations: LogMark,
    /// How far the recommendations log reaches.
    pub recommendations: LogMark,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileMark {
    /// Its length, in bytes.
    pub bytes: u64,
    /// Its digest.
    pub sha256: Digest,
}

/// How far a log reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogMark {
    /// Entries.
    pub size: u64,
    /// The root that they give.
    pub root: Digest,
    /// The checkpoint of exactly that, signed by the log's key when the backup was taken: so nothing
    /// can be added behind what was signed.
    pub checkpoint: String,
}

#[derive(Deserialize)]
struct FormOnly {
    form: u32,
}

impl Manifest {
    /// The form that is written.
    pub(super) const FORM: u32 = FORM;

    /// How far each log reaches.
    pub(super) const fn marks(&self) -> [(Log, &LogMark); 2] {
        [
            (Log::Authorizations, &self.authorizations),
            (Log::Recommendations, &self.recommendations),
        ]
    }

    /// Reads the manifest of the backup in `folder`.
    ///
    /// # Errors
    /// When there is none, it is of a newer form, or malformed.
    pub fn read(folder: &Path) -> Result<Self, BackupError> {
        let path = folder.join(MANIFEST);
        let file = match files::regular(&path) {
            Err(BackupError::File { source, .. }) if source.kind() == ErrorKind::NotFound => {
                return Err(BackupError::NoManifest(folder.to_owned()));
            }
            opened => opened?,
        };
        let mut text = String::new();
        file.take(BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(BackupError::file(&path))?;
        let wrong = |error: serde_json::Error| BackupError::damaged(MANIFEST, error.to_string());
        let found = serde_json::from_str::<FormOnly>(&text).map_err(wrong)?.form;
        if found > FORM {
            return Err(BackupError::Newer { found, known: FORM });
        }
        serde_json::from_str(&text).map_err(wrong)
    }
}
