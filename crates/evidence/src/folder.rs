//! Reads both logs from a folder as `log export` writes it: `recommendations/`, `authorizations/`
//! and, where it was exported too, `blobs/`. Gives back bytes; `ledger::fsck` and the rest of this
//! crate say whether they are to be believed.
//!
//! A blob lies in `blobs/<64 hex digits>`; one with a salted digest has its salt (32 hex digits)
//! beside it in `blobs/<64 hex digits>.salt`.

use crate::bounded::read;
use crate::source::{Blob, LogName, Source, SourceError};
use countersign_domain::Digest;
use countersign_ledger::{
    ENTRY_BYTES_MAX, Hash, SIGNED_CHECKPOINT_BYTES_MAX, SignedCheckpoint, TILE_WIDTH, TileKind,
    TilePath, TileSource, TlogProof, VerifierKey, inclusion_proof, parse_bundle,
};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// Bundles kept in memory: both logs are read in order, at two places at a time.
const BUNDLES_KEPT: usize = 4;
/// A verifier key at most, in bytes.
const VKEY_BYTES_MAX: u64 = 512;
/// A blob at most, in bytes: as large as a store keeps them.
const BLOB_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Why a folder cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file that every export has is missing.
    #[error("`{}` is missing; name the folder that `countersign log export` wrote", .0.display())]
    Missing(PathBuf),
    /// A file cannot be read.
    #[error("`{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("`{}`: {problem}; export the log again", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// Both logs of an exported folder.
#[derive(Debug)]
pub struct FolderSource {
    root: PathBuf,
    recommendations: FolderLog,
    authorizations: FolderLog,
    bundles: RefCell<VecDeque<KeptBundle>>,
}

#[derive(Debug)]
struct FolderLog {
    folder: PathBuf,
    checkpoint: SignedCheckpoint,
    vkey: VerifierKey,
}

#[derive(Debug)]
struct KeptBundle {
    log: LogName,
    index: u64,
    entries: Vec<Vec<u8>>,
}

impl FolderSource {
    /// Opens a folder: reads both checkpoints and verifier keys.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn open(root: &Path) -> Result<Self, FolderError> {
        Ok(Self {
            root: root.to_owned(),
            recommendations: FolderLog::open(&root.join("recommendations"))?,
            authorizations: FolderLog::open(&root.join("authorizations"))?,
            bundles: RefCell::default(),
        })
    }

    /// The folder of a log.
    #[must_use]
    pub fn folder(&self, log: LogName) -> &Path {
        &self.log(log).folder
    }

    /// The key that lies in the folder. Whether it is the log's is decided by the roster.
    #[must_use]
    pub fn vkey(&self, log: LogName) -> &VerifierKey {
        &self.log(log).vkey
    }

    const fn log(&self, log: LogName) -> &FolderLog {
        match log {
            LogName::Recommendations => &self.recommendations,
            LogName::Authorizations => &self.authorizations,
        }
    }

    fn read_bundle(&self, log: LogName, index: u64) -> Result<Option<Vec<Vec<u8>>>, SourceError> {
        let what = || format!("bundle {index} of {log}");
        let Some(tile) = TilePath::in_tree(TileKind::Entries, index, self.log(log).size()) else {
            return Ok(None);
        };
        let path = self.log(log).folder.join(tile.to_string());
        let bytes_max = u64::from(tile.width()) * (2 + ENTRY_BYTES_MAX as u64);
        let Some(bytes) =
            read(&path, bytes_max).map_err(|error| SourceError::new(what(), error))?
        else {
            return Ok(None);
        };
        let entries =
            parse_bundle(&bytes, tile.width()).map_err(|error| SourceError::new(what(), error))?;
        Ok(Some(entries.into_iter().map(<[u8]>::to_vec).collect()))
    }
}

impl FolderLog {
    fn open(folder: &Path) -> Result<Self, FolderError> {
        let text = |name: &str, bytes_max: u64| {
            let path = folder.join(name);
            match read(&path, bytes_max) {
                Ok(Some(bytes)) => match String::from_utf8(bytes) {
                    Ok(text) => Ok((path, text)),
                    Err(error) => Err(FolderError::Malformed {
                        path,
                        problem: error.to_string(),
                    }),
                },
                Ok(None) => Err(FolderError::Missing(path)),
                Err(source) => Err(FolderError::File { path, source }),
            }
        };
        let (path, note) = text("checkpoint", SIGNED_CHECKPOINT_BYTES_MAX as u64)?;
        let malformed = |path, problem: String| FolderError::Malformed { path, problem };
        let checkpoint =
            SignedCheckpoint::parse(&note).map_err(|error| malformed(path, error.to_string()))?;
        let (path, vkey) = text("vkey", VKEY_BYTES_MAX)?;
        let vkey = VerifierKey::parse(vkey.trim_ascii_end())
            .map_err(|error| malformed(path, error.to_string()))?;
        Ok(Self {
            folder: folder.to_owned(),
            checkpoint,
            vkey,
        })
    }

    fn size(&self) -> u64 {
        self.checkpoint.claimed().size()
    }
}

impl TileSource for FolderLog {
    type Error = SourceError;

    fn hashes(&self, level: u8, start: u64, count: u16) -> Result<Vec<Hash>, SourceError> {
        let what = || format!("tile {} of level {level}", start / u64::from(TILE_WIDTH));
        let missing = || SourceError::new(what(), "it is missing or too short");
        let width = u64::from(TILE_WIDTH);
        let tile = TilePath::in_tree(TileKind::Hashes { level }, start / width, self.size())
            .ok_or_else(missing)?;
        let path = self.folder.join(tile.to_string());
        let bytes = read(&path, width * Hash::LENGTH as u64)
            .map_err(|error| SourceError::new(what(), error))?
            .ok_or_else(missing)?;
        let skipped = usize::try_from(start % width).map_err(|_| missing())?;
        let hashes: Vec<Hash> = bytes
            .chunks_exact(Hash::LENGTH)
            .skip(skipped)
            .take(usize::from(count))
            .filter_map(|chunk| Hash::try_from(chunk).ok())
            .collect();
        if hashes.len() == usize::from(count) {
            Ok(hashes)
        } else {
            Err(missing())
        }
    }
}

impl Source for FolderSource {
    fn entry(&self, log: LogName, index: u64) -> Result<Option<Vec<u8>>, SourceError> {
        let width = u64::from(TILE_WIDTH);
        let (bundle, offset) = (index / width, usize::try_from(index % width).unwrap_or(0));
        let mut kept = self.bundles.borrow_mut();
        let found = kept
            .iter()
            .find(|kept| kept.log == log && kept.index == bundle);
        if let Some(found) = found {
            return Ok(found.entries.get(offset).cloned());
        }
        let Some(entries) = self.read_bundle(log, bundle)? else {
            return Ok(None);
        };
        let entry = entries.get(offset).cloned();
        if kept.len() == BUNDLES_KEPT {
            kept.pop_front();
        }
        kept.push_back(KeptBundle {
            log,
            index: bundle,
            entries,
        });
        Ok(entry)
    }

    fn size(&self, log: LogName) -> Result<u64, SourceError> {
        Ok(self.log(log).size())
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Blob>, SourceError> {
        let what = || format!("the text kept under {digest}");
        let hex = digest.to_string().replace("sha256:", "");
        let folder = self.root.join("blobs");
        let read = |name: &str, bytes_max| {
            read(&folder.join(name), bytes_max).map_err(|error| SourceError::new(what(), error))
        };
        let Some(bytes) = read(&hex, BLOB_BYTES_MAX)? else {
            return Ok(None);
        };
        let salt = read(&format!("{hex}.salt"), 64)?
            .map(|salt| String::from_utf8_lossy(salt.trim_ascii_end()).into_owned());
        Ok(Some((salt, bytes)))
    }

    fn carries_documents(&self) -> Result<bool, SourceError> {
        let folder = self.root.join("blobs");
        folder
            .try_exists()
            .map_err(|error| SourceError::new("the folder of documents", error))
    }

    fn proof(&self, log: LogName, index: u64) -> Result<String, SourceError> {
        let wrong = |problem: String| SourceError::new(format!("proof of {log} {index}"), problem);
        let folder = self.log(log);
        let hashes = inclusion_proof(folder, folder.size(), index)
            .map_err(|error| wrong(error.to_string()))?;
        TlogProof::new(index, hashes, folder.checkpoint.clone())
            .map(|proof| proof.to_string())
            .map_err(|error| wrong(error.to_string()))
    }

    fn checkpoint(&self, log: LogName) -> Result<String, SourceError> {
        Ok(self.log(log).checkpoint.as_str().to_owned())
    }
}
