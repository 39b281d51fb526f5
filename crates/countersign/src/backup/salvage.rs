//! A new data directory where the database of the old one is lost or its pages are damaged: entries
//! from the tiles of an export and from what can still be read of the old file, blobs from both,
//! projections folded from the entries. It is put in place only when it is whole: every entry up to
//! the newest signed checkpoint, every signed root reproduced. The old directory is left as it is.

use super::documents;
use super::files::{self, KEYS, OTHER_SECRETS, SMALL_BYTES_MAX, Staging};
use super::restore::{ask_witnesses, verify};
use super::{BackupError, CONFIG, Known, LATEST, Progress};
use crate::deployment::{Config, DATABASE, Deployment};
use countersign_domain::Digest;
use countersign_domain::text::shown;
use countersign_evidence::DemandedDocuments;
use countersign_gate::fold::{self, FoldError};
use countersign_ledger::{SIGNED_CHECKPOINT_BYTES_MAX, SignedCheckpoint, VerifierKey, fsck_visit};
use countersign_store::{
    Apply, BLOB_BYTES_MAX, Blob, Log, OpenError, PerLog, Recovery, Wreck, latest_beside, rebuild,
};
use serde::Serialize;
use std::fs;
use std::io::Read as _;
use std::path::Path;

/// Ranges of missing entries that are named.
const NAMED: usize = 20;
/// Entries that are looked for one by one behind the first that is missing.
const LOOKED_FOR: u64 = 10_000_000;

/// What is rebuilt, and from what.
#[derive(Debug)]
pub struct Salvaging<'a> {
    /// The old data directory, with its keys and configuration.
    pub dir: &'a Path,
    /// The new one.
    pub into: &'a Path,
    /// An export of both logs, with its blobs.
    pub from: Option<&'a Path>,
    /// What others have seen; none where nobody was asked.
    pub known: Option<&'a Known>,
    /// True to ask the witnesses that the deployment names.
    pub ask_witnesses: bool,
}

/// What was rebuilt, all of it.
#[derive(Debug, Serialize)]
pub struct Salvaged {
    /// The authorizations log.
    pub authorizations: SalvagedLog,
    /// The recommendations log.
    pub recommendations: SalvagedLog,
    /// Blobs, each with its digest.
    pub blobs: u64,
    /// Changes whose signatures, quorums and order hold.
    pub changes: u64,
    /// Witnesses that have seen no more than there is.
    pub witnesses_asked: usize,
}

/// What was rebuilt of one log.
#[derive(Debug, Clone, Serialize)]
pub struct SalvagedLog {
    /// Entries.
    pub size: u64,
    /// Their root.
    pub root: Digest,
    /// Entries that came from the export; the others came from the old database.
    pub from_export: u64,
    /// Entries that the newest signed checkpoint covers, whose root is reproduced. What lies beyond
    /// was written in the last moment before the end.
    pub signed: u64,
}

/// Rebuilds a data directory.
///
/// # Errors
/// [`BackupError`]; then nothing is left at the new place. [`BackupError::Lost`] names what could
/// not be found.
pub fn salvage(
    salvaging: &Salvaging<'_>,
    progress: &mut Progress<'_>,
) -> Result<Salvaged, BackupError> {
    let config = Config::read(salvaging.dir)?;
    let keys = Deployment::log_keys(salvaging.dir)?;
    // A server that went on with the old one would fork the log. Where the lock cannot be written, no
    // server can run.
    let _held = match countersign_store::lock(&salvaging.dir.join(DATABASE)) {
        Ok(held) => Some(held),
        Err(in_use @ OpenError::InUse { .. }) => return Err(in_use.into()),
        Err(_) => None,
    };
    let wreck = Wreck::open(&salvaging.dir.join(DATABASE));
    let signed = signed(salvaging, &keys, wreck.as_ref())?;
    let seen = |log: Log| {
        let origin = keys.get(log).origin().as_str();
        let known = salvaging.known.map_or(0, |known| known.newest(origin));
        known.max(newest(&signed, log))
    };
    let staging = Staging::beside(salvaging.into)?;
    copy_small_files(salvaging.dir, &staging.path)?;
    let database = staging.path.join(DATABASE);
    let mut recovery = Recovery::create(&database, keys.clone())?;
    let mut from_export = PerLog {
        recommendations: 0,
        authorizations: 0,
    };
    // All that is missing is named at once.
    let mut lost = Vec::new();
    for log in Log::ALL {
        if let Some(export) = salvaging.from {
            progress("entries of the export", 0, 1);
            append_export(&mut recovery, log, export, keys.get(log))?;
        }
        *from_export.get_mut(log) = recovery.size(log);
        let missing = append_readable(&mut recovery, log, wreck.as_ref(), seen(log), progress)?;
        lost.extend(missing);
    }
    progress("blobs", 0, 1);
    lost.extend(put_blobs(&mut recovery, salvaging.from, wreck.as_ref())?);
    drop(wreck);
    if !lost.is_empty() {
        return Err(BackupError::Lost(lost.join("; and ")));
    }
    let heads = recovery.finish(&signed)?;
    let (_, gate) = Deployment::open_read_only(&staging.path)?;
    let lost = documents::missing(&gate, progress)?;
    drop(gate);
    if !lost.is_empty() {
        return Err(BackupError::Lost(lost.lines().join("; and ")));
    }
    progress("folding entries", 0, 1);
    rebuild::<FoldError>(&database, Apply::Yes, &mut fold::apply)
        .map_err(|error| BackupError::Lost(shown(&error.to_string(), 500)))?;
    let witnesses_asked = open(salvaging, &staging.path)?;
    let demanded = DemandedDocuments::WhereCarried;
    let verified = verify(&staging.path, &keys, config.genesis, demanded, progress)?;
    if !verified.problems.is_empty() {
        return Err(BackupError::unsound(
            "rebuilt database",
            &verified.problems,
            "add an export with `--from EXPORT`, or restore the newest backup with `countersign restore`",
        ));
    }
    staging.put_in_place()?;
    let of = |log: Log| SalvagedLog {
        size: heads.get(log).size,
        root: heads.get(log).root,
        from_export: *from_export.get(log),
        signed: newest(&signed, log),
    };
    Ok(Salvaged {
        authorizations: of(Log::Authorizations),
        recommendations: of(Log::Recommendations),
        blobs: verified.fsck.blobs,
        changes: verified.changes,
        witnesses_asked,
    })
}

/// Configuration and secrets, and the newest checkpoints where they can still be read.
fn copy_small_files(from: &Path, to: &Path) -> Result<(), BackupError> {
    files::create_folder(&to.join("keys"))?;
    for name in KEYS.iter().chain(&OTHER_SECRETS).chain(&[CONFIG]) {
        if from.join(name).exists() {
            let to = to.join(name);
            files::copy(&from.join(name), &to, SMALL_BYTES_MAX, &mut |_, _| {})?;
        }
    }
    if matches!(latest_beside(&from.join(DATABASE)), Ok(Some(_))) {
        let to = to.join(LATEST);
        files::copy(&from.join(LATEST), &to, SMALL_BYTES_MAX, &mut |_, _| {})?;
    }
    Ok(())
}

/// Every signed checkpoint that the new database has to reproduce.
fn signed(
    salvaging: &Salvaging<'_>,
    keys: &PerLog<VerifierKey>,
    wreck: Option<&Wreck>,
) -> Result<Vec<(Log, SignedCheckpoint)>, BackupError> {
    let mut signed = match salvaging.known {
        Some(known) => known.signed(|log| keys.get(log).origin().as_str().to_owned())?,
        None => Vec::new(),
    };
    match latest_beside(&salvaging.dir.join(DATABASE)) {
        Ok(Some(beside)) => signed.extend(Log::ALL.map(|log| (log, beside.get(log).clone()))),
        // Without it, somebody has to say how far the log had got.
        Ok(None) | Err(_) if salvaging.known.is_some() => {}
        Ok(None) => return Err(BackupError::NoLatest),
        Err(error) => return Err(error.into()),
    }
    for log in Log::ALL {
        if let Some(wreck) = wreck {
            // What the log's key did not sign is damage, like any other.
            let key = std::slice::from_ref(keys.get(log));
            let all = wreck.checkpoints(log).into_iter();
            let own = all.filter(|note| note.verify(key).is_ok());
            signed.extend(own.map(|note| (log, note)));
        }
        if let Some(export) = salvaging.from {
            signed.push((log, exported_checkpoint(&export.join(log.as_str()))?));
        }
    }
    Ok(signed)
}

fn exported_checkpoint(folder: &Path) -> Result<SignedCheckpoint, BackupError> {
    let path = folder.join("checkpoint");
    let mut text = String::new();
    files::regular(&path)?
        .take(SIGNED_CHECKPOINT_BYTES_MAX as u64 + 1)
        .read_to_string(&mut text)
        .map_err(BackupError::file(&path))?;
    SignedCheckpoint::parse(&text).map_err(|error| BackupError::Export(error.to_string()))
}

fn newest(signed: &[(Log, SignedCheckpoint)], log: Log) -> u64 {
    let of_log = signed.iter().filter(|(of, _)| *of == log);
    of_log
        .map(|(_, note)| note.claimed().size())
        .max()
        .unwrap_or(0)
}

/// All entries of an export, whose every tile and root is checked on the way.
fn append_export(
    recovery: &mut Recovery,
    log: Log,
    export: &Path,
    key: &VerifierKey,
) -> Result<(), BackupError> {
    let mut failed: Option<OpenError> = None;
    fsck_visit(&export.join(log.as_str()), key, &mut |_, entry| {
        if failed.is_none() {
            failed = recovery.append(log, entry).err();
        }
    })
    .map_err(|error| BackupError::Export(error.to_string()))?;
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// Whatever the old database still has behind that. It must reach as far as was signed, and as far as
/// the old database itself says that it did; otherwise it gives what is missing, in words.
fn append_readable(
    recovery: &mut Recovery,
    log: Log,
    wreck: Option<&Wreck>,
    seen: u64,
    progress: &mut Progress<'_>,
) -> Result<Option<String>, BackupError> {
    let entry = |index| wreck.and_then(|wreck| wreck.entry(log, index));
    let expected = wreck.map_or(0, |wreck| wreck.size(log)).max(seen);
    while let Some(bytes) = entry(recovery.size(log)) {
        recovery.append(log, &bytes)?;
        let size = recovery.size(log);
        progress("entries of the old database", size, expected.max(size));
    }
    let size = recovery.size(log);
    if size >= expected {
        return Ok(None);
    }
    let missing = (size..expected.min(size.saturating_add(LOOKED_FOR)))
        .filter(|index| *index == size || entry(*index).is_none());
    let (ranges, count) = ranges(missing);
    Ok(Some(format!(
        "of the {expected} entries that the {} log had, {count} can be read nowhere: entry {ranges}",
        log.as_str()
    )))
}

/// The first of the ranges that these indexes form, in words, and how many indexes there are.
fn ranges(indexes: impl Iterator<Item = u64>) -> (String, u64) {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    let mut count = 0;
    for index in indexes {
        count += 1;
        // One range more is only there to say that there are more.
        let room = ranges.len() <= NAMED;
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == index => *last = index,
            _ if room => ranges.push((index, index)),
            _ => {}
        }
    }
    let mut words: Vec<_> = ranges
        .iter()
        .take(NAMED)
        .map(|(first, last)| match first == last {
            true => format!("`{first}`"),
            false => format!("`{first}` to `{last}`"),
        })
        .collect();
    if ranges.len() > NAMED {
        words.push("…".to_owned());
    }
    (words.join(", "), count)
}

/// Blobs of the export and of the old database. Gives in words what the old one names and neither
/// has.
fn put_blobs(
    recovery: &mut Recovery,
    export: Option<&Path>,
    wreck: Option<&Wreck>,
) -> Result<Option<String>, BackupError> {
    let folder = export.map(|export| export.join("blobs"));
    let folder = folder.filter(|folder| folder.is_dir());
    if folder.is_none() && wreck.is_none() {
        return Ok(Some(
            "the documents and texts beside the logs are in neither: an export has `blobs` when it is written with `--blobs`"
                .to_owned(),
        ));
    }
    if let Some(folder) = &folder {
        for entry in fs::read_dir(folder).map_err(BackupError::file(folder))? {
            let name = entry.map_err(BackupError::file(folder))?.file_name();
            let name = name.to_string_lossy();
            // Salts lie beside, under names that are no digests.
            if let Ok(digest) = format!("sha256:{name}").parse::<Digest>() {
                let blob = exported_blob(folder, &name)?;
                recovery
                    .put_blob(&digest, &blob)
                    .map_err(|error| BackupError::Export(error.to_string()))?;
            }
        }
    }
    let Some(wreck) = wreck else {
        return Ok(None);
    };
    let unreadable = wreck
        .blobs(&mut |digest, blob| recovery.put_blob(&digest, &blob).map_err(BackupError::from))?;
    let lost: Vec<_> = unreadable
        .iter()
        .filter(|digest| {
            let name = digest.to_string().replace("sha256:", "");
            !folder
                .as_ref()
                .is_some_and(|folder| folder.join(name).exists())
        })
        .collect();
    if lost.is_empty() {
        return Ok(None);
    }
    let named: Vec<_> = lost
        .iter()
        .take(NAMED)
        .map(|digest| format!("`{digest}`"))
        .collect();
    Ok(Some(format!(
        "{} documents or texts beside the log can be read nowhere: {}",
        lost.len(),
        named.join(", ")
    )))
}

fn exported_blob(folder: &Path, name: &str) -> Result<Blob, BackupError> {
    let read = |name: &str, bytes_max: u64| {
        let path = folder.join(name);
        let mut bytes = Vec::new();
        files::regular(&path)?
            .take(bytes_max)
            .read_to_end(&mut bytes)
            .map_err(BackupError::file(&path))?;
        Ok::<_, BackupError>(bytes)
    };
    let beside = format!("{name}.salt");
    let salt = match folder.join(&beside).exists() {
        true => Some(String::from_utf8_lossy(read(&beside, 64)?.trim_ascii_end()).into_owned()),
        false => None,
    };
    Ok(Blob {
        salt,
        bytes: read(name, BLOB_BYTES_MAX as u64 + 1)?,
    })
}

/// Opens it as a server does, with the policy and the roster that the log has in force.
fn open(salvaging: &Salvaging<'_>, dir: &Path) -> Result<usize, BackupError> {
    let deployment = Deployment::open_alone(dir)?;
    let store = deployment.gate().store();
    if let Some(known) = salvaging.known {
        known.check(store)?;
    }
    match salvaging.ask_witnesses {
        true => ask_witnesses(&deployment),
        false => Ok(0),
    }
}
