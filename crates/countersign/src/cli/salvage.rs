//! `countersign log fsck --rebuild --into`: a new data directory from an export and from what is left of
//! the old database; and the blobs of an export, without which there is nothing to rebuild from.

use super::backup::{Bar, known};
use super::{Context, Failure};
use crate::backup::{SalvagedLog, Salvaging, salvage};
use countersign_domain::Digest;
use countersign_store::{Blob, Store, StoreError};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `log fsck` that rebuild a whole directory.
#[derive(Debug, clap::Args)]
pub struct SalvageArguments {
    /// The database is lost or damaged: rebuild all of it in this new directory, from what can still
    /// be read of it and from an export
    #[arg(
        long,
        requires = "rebuild",
        conflicts_with = "apply",
        value_name = "NEW"
    )]
    into: Option<PathBuf>,
    /// With --into: an export, as `log export --blobs` writes it
    #[arg(long, requires = "into", value_name = "EXPORT")]
    from: Option<PathBuf>,
    /// With --into: the newest signed checkpoint known elsewhere, or `none`; needed when
    /// `checkpoints.latest` is lost
    #[arg(long, requires = "into", value_name = "FILE|none")]
    latest_checkpoint: Vec<PathBuf>,
    /// With --into: do not ask the witnesses that the deployment names what they have seen
    #[arg(long, requires = "into")]
    without_witnesses: bool,
}

impl SalvageArguments {
    /// Rebuilds a whole directory where that was asked for; none where it was not.
    pub(super) fn run(&self, context: &Context) -> Result<Option<ExitCode>, Failure> {
        let Some(into) = &self.into else {
            return Ok(None);
        };
        let known = match self.latest_checkpoint.as_slice() {
            [] => None,
            named => Some(known(named)?),
        };
        let bar = Bar::new();
        let salvaging = Salvaging {
            dir: context.dir(),
            into,
            from: self.from.as_deref(),
            known: known.as_ref(),
            ask_witnesses: !self.without_witnesses,
        };
        let salvaged = salvage(&salvaging, &mut |step, done, of| bar.at(step, done, of))?;
        bar.0.finish_and_clear();
        context.answer(&salvaged, |salvaged| {
            [
                log("authorizations", &salvaged.authorizations),
                log("recommendations", &salvaged.recommendations),
                format!(
                    "{} blobs; signatures, quorums and order of {} changes hold",
                    salvaged.blobs, salvaged.changes
                ),
                format!(
                    "rebuilt in {}; the old directory is as it was, and must never be served again",
                    into.display()
                ),
            ]
            .join("\n")
        })?;
        Ok(Some(ExitCode::SUCCESS))
    }
}

fn log(name: &str, log: &SalvagedLog) -> String {
    format!(
        "{name}: {} entries, {} of them from the export; the newest signed checkpoint covers {}, and its root is reproduced",
        log.size, log.from_export, log.signed
    )
}

/// Writes every blob as `blobs/<64 hex digits>`, with its salt beside it. One that is there already
/// stays. Gives their number.
pub(super) fn export_blobs(store: &Store, folder: &Path) -> Result<u64, Failure> {
    let failed = |error: &io::Error| Failure::file(folder, error);
    let made = DirBuilder::new().mode(0o700).recursive(true).create(folder);
    made.map_err(|error| failed(&error))?;
    let mut count = 0;
    store
        .blobs::<BlobError>(&mut |digest, blob| {
            count += 1;
            write(folder, &digest, &blob).map_err(BlobError::File)
        })
        .map_err(|error| match error {
            BlobError::Store(error) => Failure::refused(error.to_string()),
            BlobError::File(error) => failed(&error),
        })?;
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| failed(&error))?;
    Ok(count)
}

enum BlobError {
    Store(StoreError),
    File(io::Error),
}

impl From<StoreError> for BlobError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn write(folder: &Path, digest: &Digest, blob: &Blob) -> io::Result<()> {
    let hex = digest.to_string().replace("sha256:", "");
    if let Some(salt) = &blob.salt {
        put(folder, &format!("{hex}.salt"), salt.as_bytes())?;
    }
    put(folder, &hex, &blob.bytes)
}

/// Whole or not at all: what an earlier export left half written is replaced.
fn put(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let path = folder.join(name);
    if fs::metadata(&path).is_ok_and(|about| about.len() == bytes.len() as u64) {
        return Ok(());
    }
    let beside = folder.join(format!("{name}.new"));
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, &path)
}
