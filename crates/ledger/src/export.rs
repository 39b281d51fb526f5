//! Writes a log as the static folder of C2SP tlog-tiles: `tile/…`, `vkey`, and `checkpoint` last,
//! so that whoever finds a checkpoint finds all that it commits to. It is also the publisher: run
//! again on the same folder with a later checkpoint, it extends it, and refuses to fork it.

use std::io;
use std::path::{Path, PathBuf};

use crate::bundle::{BundleError, encode_bundle};
use crate::checkpoint::Checkpoint;
use crate::durable::{read_bounded, write};
use crate::hash::leaf_hash;
use crate::keys::VerifierKey;
use crate::limits::{ENTRY_BYTES_MAX, SIGNED_CHECKPOINT_BYTES_MAX, TILE_WIDTH};
use crate::name::Origin;
use crate::path::{TileKind, TilePath};
use crate::signed::{SignatureError, SignedCheckpoint, SignedCheckpointError};
use crate::tile_stream::TileStream;

/// What an export wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The log.
    pub origin: Origin,
    /// Its entries.
    pub size: u64,
    /// Files written anew; the others were there already, byte for byte.
    pub files_written: u64,
}

/// Why nothing, or not all, was exported. The folder's checkpoint is then the one it had before.
#[derive(Debug, thiserror::Error)]
pub enum ExportError<E> {
    /// The entries could not be read.
    #[error("entries of the log could not be read: {0}")]
    Entries(E),
    /// The checkpoint is not signed by the log's key.
    #[error("checkpoint to export: {0}")]
    Signature(#[from] SignatureError),
    /// Fewer or more entries than the checkpoint states.
    #[error("checkpoint states `{expected}` entries, `{found}` were given")]
    Count {
        /// The checkpoint's size.
        expected: u64,
        /// How many came, counting at most one too many.
        found: u64,
    },
    /// An entry that no bundle can hold.
    #[error("entry `{index}` has `{bytes}` bytes, at most 65535 are allowed")]
    EntryTooLong {
        /// The entry's position in the log.
        index: u64,
        /// Its length.
        bytes: usize,
    },
    /// The entries do not give the checkpoint's root.
    #[error("entries do not give the root that the checkpoint states; hint: run fsck")]
    Root,
    /// A bundle could not be written.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A file that may never change is there with another content.
    #[error("`{}` exists with other content; hint: export to another folder", path.display())]
    Differs {
        /// The file.
        path: PathBuf,
    },
    /// The folder's checkpoint is unreadable.
    #[error("checkpoint in the folder: {0}")]
    Present(#[from] SignedCheckpointError),
    /// The folder holds a later state of the log.
    #[error("folder holds the log at size `{present}` already, beyond `{size}`")]
    Newer {
        /// The folder's.
        present: u64,
        /// The one to export.
        size: u64,
    },
    /// The folder's checkpoint is no beginning of this log: somebody was shown another history.
    #[error("folder's checkpoint of size `{0}` is not a beginning of this log: the log has forked")]
    Forked(u64),
    /// A file could not be read or written.
    #[error("`{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Writes the log to `folder`, which is created where missing. `entries` gives all entries of the
/// log up to the checkpoint, in order; 256 of them are held in memory at a time.
///
/// The entries are checked against the checkpoint, and an older checkpoint in the folder against
/// the entries, before the new checkpoint is put in place.
///
/// # Errors
/// [`ExportError`].
pub fn export<E>(
    folder: &Path,
    signed: &SignedCheckpoint,
    key: &VerifierKey,
    entries: impl IntoIterator<Item = Result<Vec<u8>, E>>,
) -> Result<Exported, ExportError<E>> {
    let checkpoint = signed.verify(std::slice::from_ref(key))?;
    let mut writer = FolderWriter {
        folder,
        files_written: 0,
    };
    writer.immutable("vkey", format!("{key}\n").as_bytes())?;
    let present = present_checkpoint(folder, key)?;
    if let Some(present) = &present
        && present.size() > checkpoint.size()
    {
        return Err(ExportError::Newer {
            present: present.size(),
            size: checkpoint.size(),
        });
    }
    write_tiles(&mut writer, checkpoint, present.as_ref(), entries)?;
    let path = folder.join("checkpoint");
    write(&path, signed.as_str().as_bytes())
        .map_err(|source| ExportError::File { path, source })?;
    Ok(Exported {
        origin: checkpoint.origin().clone(),
        size: checkpoint.size(),
        files_written: writer.files_written + 1,
    })
}

fn present_checkpoint<E>(
    folder: &Path,
    key: &VerifierKey,
) -> Result<Option<Checkpoint>, ExportError<E>> {
    let path = folder.join("checkpoint");
    let bytes = read_bounded(&path, SIGNED_CHECKPOINT_BYTES_MAX as u64)
        .map_err(|source| ExportError::File { path, source })?;
    let Some(bytes) = bytes else {
        return Ok(None);
    };
    let text = String::from_utf8(bytes).map_err(|_| SignedCheckpointError::Malformed)?;
    let present = SignedCheckpoint::parse(&text)?;
    Ok(Some(present.verify(std::slice::from_ref(key))?.clone()))
}

fn write_tiles<E>(
    writer: &mut FolderWriter<'_>,
    checkpoint: &Checkpoint,
    present: Option<&Checkpoint>,
    entries: impl IntoIterator<Item = Result<Vec<u8>, E>>,
) -> Result<(), ExportError<E>> {
    let size = checkpoint.size();
    let mut stream = TileStream::default();
    let mut bundle: Vec<Vec<u8>> = Vec::new();
    let mut entries = entries.into_iter();
    loop {
        let index = stream.tree().size();
        if let Some(present) = present
            && present.size() == index
            && present.root() != stream.tree().root()
        {
            return Err(ExportError::Forked(index));
        }
        let Some(entry) = entries.next() else {
            break;
        };
        let entry = entry.map_err(ExportError::Entries)?;
        let count = ExportError::Count {
            expected: size,
            found: index + 1,
        };
        if index >= size {
            return Err(count);
        }
        if entry.len() > ENTRY_BYTES_MAX {
            return Err(ExportError::EntryTooLong {
                index,
                bytes: entry.len(),
            });
        }
        for tile in stream.push(leaf_hash(&entry)).map_err(|_| count)? {
            writer.immutable(&tile.path.to_string(), &tile.bytes())?;
        }
        bundle.push(entry);
        if bundle.len() == usize::from(TILE_WIDTH) || index + 1 == size {
            let path = TilePath::in_tree(TileKind::Entries, index / 256, index + 1);
            if let Some(path) = path {
                writer.immutable(&path.to_string(), &encode_bundle(&bundle)?)?;
            }
            bundle.clear();
        }
    }
    let (tree, partial) = stream.finish();
    if tree.size() != size {
        return Err(ExportError::Count {
            expected: size,
            found: tree.size(),
        });
    }
    for tile in partial {
        writer.immutable(&tile.path.to_string(), &tile.bytes())?;
    }
    if tree.root() != checkpoint.root() {
        return Err(ExportError::Root);
    }
    Ok(())
}

struct FolderWriter<'a> {
    folder: &'a Path,
    files_written: u64,
}

impl FolderWriter<'_> {
    /// Writes a file that never changes again: the same content is left alone, another refused.
    fn immutable<E>(&mut self, relative: &str, bytes: &[u8]) -> Result<(), ExportError<E>> {
        let path = self.folder.join(relative);
        match read_bounded(&path, bytes.len() as u64) {
            Ok(Some(present)) if present == bytes => Ok(()),
            Ok(None) => match write(&path, bytes) {
                Ok(()) => {
                    self.files_written += 1;
                    Ok(())
                }
                Err(source) => Err(ExportError::File { path, source }),
            },
            Ok(Some(_)) => Err(ExportError::Differs { path }),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(ExportError::Differs { path })
            }
            Err(source) => Err(ExportError::File { path, source }),
        }
    }
}
