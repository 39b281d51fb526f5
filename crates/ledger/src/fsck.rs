//! Reads a static log folder back and recomputes all of it: every entry's hash, every node, the
//! root, the signature. The folder is hostile: reads are bounded, links are not followed, and
//! what is wrong is an error with its path. What the entries mean is not checked here.

use std::io;
use std::path::{Path, PathBuf};

use crate::bundle::{BundleError, bundle_bytes_max, parse_bundle};
use crate::checkpoint::Checkpoint;
use crate::durable::read_bounded;
use crate::hash::{Hash, leaf_hash};
use crate::keys::VerifierKey;
use crate::limits::{SIGNED_CHECKPOINT_BYTES_MAX, VKEY_BYTES_MAX};
use crate::name::Origin;
use crate::path::{TileKind, TilePath};
use crate::signed::{SignatureError, SignedCheckpoint, SignedCheckpointError};
use crate::tile_stream::{FinishedTile, TileStream};

/// A folder that is whole and consistent with its signed checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FsckReport {
    /// The log.
    pub origin: Origin,
    /// Its entries, each read and hashed.
    pub size: u64,
    /// The root, recomputed.
    pub root: Hash,
    /// Tiles of hashes compared with what the entries give.
    pub tiles: u64,
    /// Partial tiles and bundles of earlier checkpoints, compared too.
    pub earlier_partials: u64,
}

/// The first thing that is wrong with a folder.
#[derive(Debug, thiserror::Error)]
pub enum FsckError {
    /// A file that the checkpoint commits to is not there.
    #[error("`{}` is missing; hint: fetch it again", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file could not be read, is too long, or is no regular file.
    #[error("`{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder's `vkey` is not the key that the caller trusts.
    #[error("`{}` is not the trusted key", path.display())]
    OtherKey {
        /// The file.
        path: PathBuf,
    },
    /// The checkpoint is malformed.
    #[error("`{}`: {source}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: SignedCheckpointError,
    },
    /// The checkpoint is not signed by the trusted key.
    #[error("`{}`: {source}", path.display())]
    Signature {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: SignatureError,
    },
    /// A bundle is malformed.
    #[error("`{}`: {source}", path.display())]
    Bundle {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: BundleError,
    },
    /// A tile differs from what the entries give.
    #[error("`{}` differs at hash `{position}` from what the entries give", path.display())]
    Tile {
        /// The file.
        path: PathBuf,
        /// The first hash that differs, or where the file ends.
        position: usize,
    },
    /// Entries and tiles agree with each other, not with the signed root.
    #[error("`{}` states root `{expected}`, the entries give `{found}`", path.display())]
    Root {
        /// The checkpoint.
        path: PathBuf,
        /// The root that is signed.
        expected: Hash,
        /// The root recomputed.
        found: Hash,
    },
    /// An earlier partial tile is not the beginning of the tile it grew into.
    #[error("`{}` is not a beginning of the tile that followed it", path.display())]
    EarlierPartial {
        /// The file.
        path: PathBuf,
    },
    /// Something below `tile/` that the checkpoint does not commit to.
    #[error("`{}` is not part of the checkpoint's tree; hint: remove it", path.display())]
    Unexpected {
        /// The file or folder.
        path: PathBuf,
    },
}

/// Checks a folder against the key that the caller trusts. Files beside `checkpoint`, `vkey` and
/// `tile/` are none of the log's and are ignored; below `tile/` nothing unexpected may be.
///
/// # Errors
/// [`FsckError`]: the first mismatch, with its path.
pub fn fsck(folder: &Path, trusted: &VerifierKey) -> Result<FsckReport, FsckError> {
    fsck_visit(folder, trusted, &mut |_, _| {})
}

/// As [`fsck`], and shows each entry with its index. Entries seen are to be relied on only once
/// this has returned `Ok`: the root is compared last.
///
/// # Errors
/// [`FsckError`]: the first mismatch, with its path.
pub fn fsck_visit(
    folder: &Path,
    trusted: &VerifierKey,
    visit: &mut dyn FnMut(u64, &[u8]),
) -> Result<FsckReport, FsckError> {
    let path = folder.join("vkey");
    if required(&path, VKEY_BYTES_MAX as u64)? != format!("{trusted}\n").as_bytes() {
        return Err(FsckError::OtherKey { path });
    }
    let checkpoint = read_checkpoint(folder, trusted)?;
    let mut folder = Folder {
        root: folder,
        size: checkpoint.size(),
        tiles: 0,
        earlier_partials: 0,
    };
    let found = folder.recompute(visit)?;
    if found != checkpoint.root() {
        return Err(FsckError::Root {
            path: folder.root.join("checkpoint"),
            expected: checkpoint.root(),
            found,
        });
    }
    folder.check_nothing_else()?;
    Ok(FsckReport {
        origin: checkpoint.origin().clone(),
        size: checkpoint.size(),
        root: found,
        tiles: folder.tiles,
        earlier_partials: folder.earlier_partials,
    })
}

fn read_checkpoint(folder: &Path, trusted: &VerifierKey) -> Result<Checkpoint, FsckError> {
    let path = folder.join("checkpoint");
    let bytes = required(&path, SIGNED_CHECKPOINT_BYTES_MAX as u64)?;
    let parsed = String::from_utf8(bytes)
        .map_err(|_| SignedCheckpointError::Malformed)
        .and_then(|text| SignedCheckpoint::parse(&text));
    let signed = match parsed {
        Ok(signed) => signed,
        Err(source) => return Err(FsckError::Checkpoint { path, source }),
    };
    match signed.verify(std::slice::from_ref(trusted)) {
        Ok(checkpoint) => Ok(checkpoint.clone()),
        Err(source) => Err(FsckError::Signature { path, source }),
    }
}

fn required(path: &Path, bytes_max: u64) -> Result<Vec<u8>, FsckError> {
    match read_bounded(path, bytes_max) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(FsckError::Missing {
            path: path.to_owned(),
        }),
        Err(source) => Err(FsckError::File {
            path: path.to_owned(),
            source,
        }),
    }
}

/// A folder under check, with the size that its checkpoint states.
struct Folder<'a> {
    root: &'a Path,
    size: u64,
    tiles: u64,
    earlier_partials: u64,
}

/// Most names in one folder of a log: 1,000 groups, as many tiles, as many folders of partials.
const FOLDER_NAMES_MAX: usize = 3_000;
/// Deepest folder below `tile/`: a level, five groups of digits, and partials.
const FOLDER_DEPTH_MAX: usize = 7;

impl Folder<'_> {
    /// Reads every bundle, compares every tile, and gives the root.
    fn recompute(&mut self, visit: &mut dyn FnMut(u64, &[u8])) -> Result<Hash, FsckError> {
        let mut stream = TileStream::default();
        for index in 0..self.size.div_ceil(256) {
            let Some(tile) = TilePath::in_tree(TileKind::Entries, index, self.size) else {
                break;
            };
            let path = self.root.join(tile.to_string());
            let bytes = required(&path, bundle_bytes_max(tile.width()))?;
            let entries = match parse_bundle(&bytes, tile.width()) {
                Ok(entries) => entries,
                Err(source) => return Err(FsckError::Bundle { path, source }),
            };
            for entry in entries {
                visit(stream.tree().size(), entry);
                // A checkpoint's size is within the tree's limit, so that it is never full.
                for tile in stream.push(leaf_hash(entry)).unwrap_or_default() {
                    self.compare(&tile)?;
                }
            }
        }
        let (tree, partial) = stream.finish();
        for tile in partial {
            self.compare(&tile)?;
        }
        Ok(tree.root())
    }

    fn compare(&mut self, tile: &FinishedTile) -> Result<(), FsckError> {
        let path = self.root.join(tile.path.to_string());
        let expected = tile.bytes();
        let found = required(&path, expected.len() as u64)?;
        if found != expected {
            let same = expected.iter().zip(&found).take_while(|(a, b)| a == b);
            let position = same.count() / Hash::LENGTH;
            return Err(FsckError::Tile { path, position });
        }
        self.tiles += 1;
        Ok(())
    }

    /// Walks `tile/` for anything that is not a tile of this tree or of its past.
    fn check_nothing_else(&mut self) -> Result<(), FsckError> {
        let path = self.root.join("tile");
        match std::fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => self.walk("tile", 0),
            Ok(_) => Err(FsckError::Unexpected { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(FsckError::File { path, source }),
        }
    }

    fn walk(&mut self, relative: &str, depth: usize) -> Result<(), FsckError> {
        let folder = self.root.join(relative);
        let failed = |source| FsckError::File {
            path: folder.clone(),
            source,
        };
        if depth > FOLDER_DEPTH_MAX {
            return Err(FsckError::Unexpected { path: folder });
        }
        let mut names = Vec::new();
        for item in std::fs::read_dir(&folder).map_err(failed)? {
            let item = item.map_err(failed)?;
            let unexpected = || FsckError::Unexpected { path: item.path() };
            let kind = item.file_type().map_err(failed)?;
            let name = item.file_name().into_string().map_err(|_| unexpected())?;
            if names.len() >= FOLDER_NAMES_MAX || !(kind.is_dir() || kind.is_file()) {
                return Err(unexpected());
            }
            names.push((name, kind.is_dir()));
        }
        names.sort();
        for (name, is_folder) in names {
            let relative = format!("{relative}/{name}");
            if is_folder {
                self.walk(&relative, depth + 1)?;
            } else {
                self.check_known(&relative)?;
            }
        }
        Ok(())
    }

    fn check_known(&mut self, relative: &str) -> Result<(), FsckError> {
        let path = self.root.join(relative);
        let Ok(tile) = TilePath::parse(relative) else {
            return Err(FsckError::Unexpected { path });
        };
        match TilePath::in_tree(tile.kind(), tile.index(), self.size) {
            // Compared already.
            Some(required) if required == tile => Ok(()),
            Some(required) if required.width() > tile.width() => {
                self.check_earlier_partial(tile, required, path)
            }
            _ => Err(FsckError::Unexpected { path }),
        }
    }

    fn check_earlier_partial(
        &mut self,
        tile: TilePath,
        successor: TilePath,
        path: PathBuf,
    ) -> Result<(), FsckError> {
        let bytes_max = |tile: TilePath| match tile.kind() {
            TileKind::Entries => bundle_bytes_max(tile.width()),
            TileKind::Hashes { .. } => u64::from(tile.width()) * Hash::LENGTH as u64,
        };
        let found = required(&path, bytes_max(tile))?;
        let whole = required(&self.root.join(successor.to_string()), bytes_max(successor))?;
        let right_width = match tile.kind() {
            TileKind::Entries => parse_bundle(&found, tile.width()).is_ok(),
            TileKind::Hashes { .. } => found.len() as u64 == bytes_max(tile),
        };
        if !right_width || !whole.starts_with(&found) {
            return Err(FsckError::EarlierPartial { path });
        }
        self.earlier_partials += 1;
        Ok(())
    }
}
