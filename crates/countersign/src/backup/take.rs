//! Takes a backup, beside a running server or without one. The copy is read back and recomputed
//! before it is called a backup, so that damage is found now and not when it is needed.

use super::documents::{self, MissingDocuments};
use super::files::{self, KEYS, OTHER_SECRETS, PLAIN, SMALL_BYTES_MAX, Staging};
use super::restore::verify;
use super::{BackupError, LogMark, MANIFEST, Manifest, Progress};
use crate::ambient;
use crate::deployment::{Config, DATABASE, Deployment};
use countersign_evidence::DemandedDocuments;
use countersign_ledger::{Checkpoint, Hash};
use countersign_store::{Log, PerLog, fsck};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A backup that was taken.
#[derive(Debug, Serialize)]
pub struct Taken {
    /// What it holds.
    #[serde(flatten)]
    pub manifest: Manifest,
    /// What lies in the data directory and is no part of the deployment: other programs' files.
    pub left_out: Vec<String>,
    /// Documents that entries name and that are lost: none, unless that was allowed.
    pub missing: MissingDocuments,
}

/// What a backup shall hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct Taking {
    /// True to take keys and the operator's token along: such a backup can do whatever the gate can.
    pub with_keys: bool,
    /// True to go on where documents that entries name are lost.
    pub allow_missing: bool,
}

/// Copies the deployment in `dir` to the new directory `to`.
///
/// # Errors
/// [`BackupError`]; then nothing is left at `to`.
pub fn take(
    dir: &Path,
    to: &Path,
    taking: Taking,
    progress: &mut Progress<'_>,
) -> Result<Taken, BackupError> {
    let config = Config::read(dir)?;
    let signers = Deployment::log_signers(dir)?;
    let keys = PerLog {
        recommendations: signers.recommendations.verifier_key().clone(),
        authorizations: signers.authorizations.verifier_key().clone(),
    };
    let staging = Staging::beside(to)?;
    let database = staging.path.join(DATABASE);
    // Before the database, so that what is signed is never ahead of what is copied.
    for name in PLAIN.iter().filter(|name| **name != DATABASE) {
        let to = staging.path.join(name);
        files::copy(&dir.join(name), &to, SMALL_BYTES_MAX, &mut |_, _| {})?;
    }
    countersign_store::copy(&dir.join(DATABASE), &database, &mut |done, of| {
        progress("copying pages", done, of);
    })?;
    if taking.with_keys {
        files::create_folder(&staging.path.join("keys"))?;
        for name in KEYS.iter().chain(&OTHER_SECRETS) {
            if KEYS.contains(name) || dir.join(name).exists() {
                let to = staging.path.join(name);
                files::copy(&dir.join(name), &to, SMALL_BYTES_MAX, &mut |_, _| {})?;
            }
        }
    }
    progress("reading the copy back", 0, 1);
    let report = fsck(&database, Some(&keys))?;
    if !report.is_sound() {
        return Err(BackupError::unsound(
            "database",
            &report.problems,
            "keep the backups that you have, stop the server and run `countersign log fsck`",
        ));
    }
    let (_, gate) = Deployment::open_read_only(&staging.path)?;
    let missing = documents::missing(&gate, progress)?;
    drop(gate);
    if !missing.is_empty() && !taking.allow_missing {
        return Err(BackupError::unsound(
            "database",
            &missing.lines(),
            "keep the backups and exports that you have: `countersign log fsck --rebuild --into NEW --from EXPORT` takes documents from an export. Where nobody has them any more, and the state does not rest on them, `--allow-missing` makes a backup without them",
        ));
    }
    if !missing.is_empty() {
        // Whether it can be restored without them is found now, and not when it is needed.
        let (genesis, demanded) = (config.genesis, DemandedDocuments::None);
        let verified = verify(&staging.path, &keys, genesis, demanded, progress)?;
        if !verified.problems.is_empty() {
            return Err(BackupError::unsound(
                "database",
                &verified.problems,
                "it cannot be restored like this; keep the backups and exports that you have",
            ));
        }
    }
    // What was committed is durable, so it may be signed, as the server signs it.
    let mark = |log: Log| {
        let signer = signers.get(log);
        let (size, root) = {
            let found = report.logs.get(log);
            (found.size, found.root)
        };
        let wrong = |problem: String| BackupError::damaged(DATABASE, problem);
        let origin = signer.origin().clone();
        let checkpoint = Checkpoint::new(origin, size, Hash::from_bytes(*root.as_bytes()))
            .map_err(|error| wrong(error.to_string()))?;
        let signed = signer
            .sign(&checkpoint)
            .map_err(|error| wrong(error.to_string()))?;
        Ok::<_, BackupError>(LogMark {
            size,
            root,
            checkpoint: signed.as_str().to_owned(),
        })
    };
    let mut marks = BTreeMap::new();
    for name in PLAIN.iter().chain(&KEYS).chain(&OTHER_SECRETS) {
        let path = staging.path.join(name);
        if path.exists() {
            let mark = files::mark(&path, &mut |done, of| progress(name, done, of))?;
            marks.insert((*name).to_owned(), mark);
        }
    }
    let manifest = Manifest {
        form: Manifest::FORM,
        deployment: config.deployment,
        genesis: config.genesis,
        made_at: ambient::now(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        keys: taking.with_keys,
        files: marks,
        blobs: report.blobs,
        authorizations: mark(Log::Authorizations)?,
        recommendations: mark(Log::Recommendations)?,
    };
    let text = serde_json::to_vec_pretty(&manifest)
        .map_err(|error| BackupError::damaged(MANIFEST, error.to_string()))?;
    files::create(&staging.path.join(MANIFEST), &text)?;
    staging.put_in_place()?;
    let left_out = left_out(dir)?;
    Ok(Taken {
        manifest,
        left_out,
        missing,
    })
}

/// Files that a server makes for itself beside those that are kept.
const OWN: [&str; 3] = ["keys", "lock", "server.json"];

fn left_out(dir: &Path) -> Result<Vec<String>, BackupError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(BackupError::file(dir))? {
        let name = entry.map_err(BackupError::file(dir))?.file_name();
        let name = name.to_string_lossy().into_owned();
        let mut known = PLAIN.iter().chain(&OTHER_SECRETS).chain(&OWN);
        // With what SQLite keeps beside the database.
        if !known.any(|known| name == *known) && !name.starts_with(DATABASE) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
