//! Restores a backup into a new data directory: every file by digest, every hash, signature and
//! quorum of both logs, every projection, and what others have seen. All of it before the directory
//! is put in place; nothing is overwritten.

use super::documents::{self, MissingDocuments};
use super::files::{self, KEYS, OTHER_SECRETS, PLAIN, SMALL_BYTES_MAX, Staging};
use super::{BackupError, FileMark, HeldAgainst, Known, LogMark, MANIFEST, Manifest, Progress};
use crate::ambient;
use crate::deployment::{DATABASE, Deployment, OPERATOR_TOKEN};
use crate::evidence::StoreSource;
use crate::witness::{Seen, ask_all};
use countersign_domain::Digest;
use countersign_domain::text::shown;
use countersign_evidence::{
    DemandedDocuments, DocumentSummary, FindingKind, TrustedRoots, verify_log,
};
use countersign_gate::fold::{self, FoldError};
use countersign_ledger::{SignedCheckpoint, VerifierKey};
use countersign_store::{Apply, FsckReport, Log, OpenError, PerLog, fsck, rebuild};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What is restored, from where, and what is known of it.
#[derive(Debug)]
pub struct Restoring<'a> {
    /// The backup.
    pub from: &'a Path,
    /// The new data directory.
    pub dir: &'a Path,
    /// Where the keys are, when the backup has none.
    pub keys: Option<&'a Path>,
    /// The genesis that whoever restores has pinned, if any.
    pub genesis: Option<Digest>,
    /// What others have seen.
    pub known: &'a Known,
    /// True to ask the witnesses that the deployment names.
    pub ask_witnesses: bool,
    /// What is demanded of the documents that entries name.
    pub documents: DemandedDocuments,
}

/// What was restored, and what was checked.
#[derive(Debug, Serialize)]
pub struct Restored {
    /// The backup's manifest.
    pub manifest: Manifest,
    /// Blobs hashed again.
    pub blobs: u64,
    /// Entries folded again, without a difference to the projections.
    pub folded: u64,
    /// Changes whose signatures, quorums and order hold.
    pub changes: u64,
    /// Documents that entries name, and texts of people, which can have been erased.
    pub documents: DocumentSummary,
    /// Those of the documents that are lost: none, unless that was allowed.
    pub missing: MissingDocuments,
    /// What others had seen, all of which the logs contain.
    pub held_against: Vec<HeldAgainst>,
    /// Witnesses that have seen no more than there is.
    pub witnesses_asked: usize,
    /// True when a new operator's token was made, because the backup had none.
    pub new_operator_token: bool,
}

/// Restores a backup.
///
/// # Errors
/// [`BackupError`]; then nothing is left at the data directory.
pub fn restore(
    restoring: &Restoring<'_>,
    progress: &mut Progress<'_>,
) -> Result<Restored, BackupError> {
    let manifest = Manifest::read(restoring.from)?;
    if restoring
        .genesis
        .is_some_and(|pinned| pinned != manifest.genesis)
    {
        let found = manifest.genesis;
        let problem = format!("is of genesis `{found}`, which is not the one that you pinned");
        return Err(BackupError::damaged(MANIFEST, problem));
    }
    let staging = Staging::beside(restoring.dir)?;
    files::create_folder(&staging.path.join("keys"))?;
    copy_all(restoring, &manifest, &staging.path, progress)?;
    let new_operator_token = !staging.path.join(OPERATOR_TOKEN).exists();
    if new_operator_token {
        let token: [u8; 32] = ambient::random();
        let text = format!("{}\n", hex::encode(token));
        files::create(&staging.path.join(OPERATOR_TOKEN), text.as_bytes())?;
    }
    let (held_against, witnesses_asked) = open(restoring, &manifest, &staging.path)?;
    let mut restored = check(&staging.path, manifest, restoring.documents, progress)?;
    restored.new_operator_token = new_operator_token;
    restored.witnesses_asked = witnesses_asked;
    restored.held_against = held_against;
    staging.put_in_place()?;
    Ok(restored)
}

fn copy_all(
    restoring: &Restoring<'_>,
    manifest: &Manifest,
    to: &Path,
    progress: &mut Progress<'_>,
) -> Result<(), BackupError> {
    // INVARIANT (secrets come from whoever restores): a backup that is said to have none brings none.
    let secrets = manifest.keys && restoring.keys.is_none();
    let secrets = KEYS.iter().chain(&OTHER_SECRETS).filter(|_| secrets);
    let allowed: BTreeSet<&str> = PLAIN.iter().chain(secrets).copied().collect();
    let strange = manifest
        .files
        .keys()
        .find(|name| !allowed.contains(name.as_str()));
    if let Some(name) = strange {
        let name = shown(name, 100);
        let problem = match manifest.keys {
            true => "is no file of a backup, or a secret although you named keys of your own",
            false => "is no file of a backup without keys",
        };
        return Err(BackupError::damaged(&name, problem));
    }
    let listed = |name: &&str| manifest.files.contains_key(*name);
    if let Some(name) = PLAIN.iter().find(|name| !listed(name)) {
        let problem = format!("does not list `{name}`");
        return Err(BackupError::damaged(MANIFEST, problem));
    }
    for (name, expected) in &manifest.files {
        let from = restoring.from.join(name);
        refuse_links(restoring.from, name)?;
        // One byte more than there should be shows that it is longer.
        let bytes_max = expected.bytes.saturating_add(1);
        let copied = files::copy(&from, &to.join(name), bytes_max, &mut |done, of| {
            progress(name, done, of);
        });
        let found = copied.map_err(|error| match error {
            BackupError::File { path, source } if path == from => {
                BackupError::damaged(name, source.to_string())
            }
            other => other,
        })?;
        compare(name, expected, &found)?;
    }
    let missing: Vec<_> = KEYS.iter().filter(|name| !listed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let keys = restoring.keys.ok_or(BackupError::NoKeys)?;
    for name in missing {
        // The folder that has `keys/`, or `keys/` itself.
        let short = Path::new(name).file_name().unwrap_or_default();
        let from = [keys.join(name), keys.join(short)];
        let from = from.iter().find(|path| path.is_file());
        let from = from.ok_or(BackupError::NoKeys)?;
        // Links are followed here: this directory was named by whoever restores.
        let from = from.canonicalize().map_err(BackupError::file(from))?;
        files::copy(&from, &to.join(name), SMALL_BYTES_MAX, &mut |_, _| {})?;
    }
    Ok(())
}

/// The folders of a backup are folders: a link would have the digests of another place.
fn refuse_links(backup: &Path, name: &str) -> Result<(), BackupError> {
    let Some(folder) = Path::new(name)
        .parent()
        .filter(|f| !f.as_os_str().is_empty())
    else {
        return Ok(());
    };
    match fs::symlink_metadata(backup.join(folder)) {
        Ok(about) if about.is_dir() => Ok(()),
        _ => Err(BackupError::damaged(
            name,
            "does not lie in a folder of the backup",
        )),
    }
}

fn compare(name: &str, expected: &FileMark, found: &FileMark) -> Result<(), BackupError> {
    if expected == found {
        return Ok(());
    }
    Err(BackupError::damaged(
        name,
        format!(
            "has `{}` bytes and digest `{}`, the manifest says `{}` and `{}`",
            found.bytes, found.sha256, expected.bytes, expected.sha256
        ),
    ))
}

/// Opens it as a server does, which holds the logs against their own signed checkpoints and signs
/// the heads, and holds them against what others have seen.
fn open(
    restoring: &Restoring<'_>,
    manifest: &Manifest,
    dir: &Path,
) -> Result<(Vec<HeldAgainst>, usize), BackupError> {
    let deployment = Deployment::open_alone(dir)?;
    let config = deployment.config();
    if config.genesis != manifest.genesis || config.deployment != manifest.deployment {
        return Err(BackupError::damaged(
            MANIFEST,
            "names another deployment than the files",
        ));
    }
    let store = deployment.gate().store();
    for (log, mark) in manifest.marks() {
        let wrong = |problem: String| BackupError::damaged(MANIFEST, problem);
        let note =
            SignedCheckpoint::parse(&mark.checkpoint).map_err(|error| wrong(error.to_string()))?;
        store
            .contains(log, &note)
            .map_err(|error| wrong(format!("has a checkpoint that the log denies: {error}")))?;
        // INVARIANT (nothing is added): entries behind what the log's key signed are nobody's.
        let (size, signed) = (store.checkpoint(log).0, note.claimed().size());
        if size != signed {
            return Err(wrong(format!(
                "has a checkpoint of `{signed}` entries of the {} log, and the database has `{size}`",
                log.as_str()
            )));
        }
    }
    let held = restoring.known.check(store)?;
    let witnesses = match restoring.ask_witnesses {
        true => ask_witnesses(&deployment)?,
        false => 0,
    };
    Ok((held, witnesses))
}

/// Asks the witnesses of a deployment whether they have seen more of the log than there is. Gives
/// their number. Whom to ask comes with the backup: none that the roster names may be left out.
pub(super) fn ask_witnesses(deployment: &Deployment) -> Result<usize, BackupError> {
    let log = Log::Authorizations;
    let (config, store) = (deployment.config(), deployment.gate().store());
    let size = store.checkpoint(log).0;
    let world = deployment.gate().world();
    let world = world.map_err(|error| BackupError::damaged(DATABASE, error.to_string()))?;
    let has_address = |vkey: &String| config.witnesses.iter().any(|one| one.vkey == *vkey);
    if let Some(vkey) = world
        .roster
        .witnesses
        .iter()
        .find(|vkey| !has_address(vkey))
    {
        return Err(BackupError::NoAddress(shown(vkey, 200)));
    }
    let witnesses = &config.witnesses;
    for (witness, seen) in witnesses.iter().zip(ask_all(witnesses, store)) {
        let url = witness.url.clone();
        let source = match seen {
            Ok(Seen::NoMore) => continue,
            Ok(Seen::More(signed)) => OpenError::Behind { log, size, signed },
            Ok(Seen::Others) => OpenError::Forked { log, size },
            Err(why) => return Err(BackupError::Witness { url, why }),
        };
        let who = format!("the witness at {url}");
        return Err(BackupError::Behind { who, source });
    }
    Ok(witnesses.len())
}

/// What reading a data directory whole came to.
pub(super) struct Verified {
    pub(super) fsck: FsckReport,
    pub(super) folded: u64,
    pub(super) changes: u64,
    pub(super) documents: DocumentSummary,
    /// What does not hold; the parts that come later are not looked at then.
    pub(super) problems: Vec<String>,
}

/// Reads a data directory back, whole, as an auditor would: every hash and checkpoint, every
/// projection, every signature and quorum from the genesis on, every document that entries name.
pub(super) fn verify(
    dir: &Path,
    keys: &PerLog<VerifierKey>,
    genesis: Digest,
    documents: DemandedDocuments,
    progress: &mut Progress<'_>,
) -> Result<Verified, BackupError> {
    let database = dir.join(DATABASE);
    progress("hashing entries and blobs", 0, 1);
    let fsck = fsck(&database, Some(keys))?;
    let mut verified = Verified {
        problems: fsck.problems.clone(),
        fsck,
        folded: 0,
        changes: 0,
        documents: DocumentSummary::default(),
    };
    if !verified.problems.is_empty() {
        return Ok(verified);
    }
    progress("folding entries", 0, 1);
    let folded = rebuild::<FoldError>(&database, Apply::No, &mut fold::apply)?;
    verified.folded = folded.entries;
    let wrong = folded.differences.iter().map(|difference| {
        let (rows, table) = (difference.rows, difference.table);
        format!("`{rows}` rows of `{table}` are not what the log gives")
    });
    verified.problems.extend(wrong);
    let (_, gate) = Deployment::open_read_only(dir)?;
    // A server reads more than the fold: the policy in force, say.
    if let Err(error) = gate.world() {
        verified.problems.push(error.to_string());
    }
    let trusted = TrustedRoots {
        genesis: Some(genesis),
        documents,
        ..TrustedRoots::default()
    };
    let evidence = verify_log(&StoreSource(&gate), &trusted, &mut |at| {
        progress("verifying", at.done, at.of);
    })?;
    verified.changes = evidence.changes;
    verified.documents = evidence.documents;
    // Checkpoints were held against the log and its keys above. That nobody has cosigned the head yet
    // is how every log is that just grew: the server asks the witnesses when it runs.
    let (heads, findings): (Vec<_>, Vec<_>) = evidence
        .findings
        .list
        .iter()
        .partition(|finding| finding.kind == FindingKind::Checkpoint);
    let findings = findings.into_iter().map(ToString::to_string);
    verified.problems.extend(findings);
    if !evidence.is_ok() && heads.is_empty() && verified.problems.is_empty() {
        verified.problems.push("the logs do not hold".to_owned());
    }
    Ok(verified)
}

/// Holds what was read against the manifest.
fn check(
    dir: &Path,
    manifest: Manifest,
    demanded: DemandedDocuments,
    progress: &mut Progress<'_>,
) -> Result<Restored, BackupError> {
    let keys = Deployment::log_keys(dir)?;
    let mut verified = verify(dir, &keys, manifest.genesis, demanded, progress)?;
    let (problems, found) = (&mut verified.problems, &verified.fsck);
    if found.blobs != manifest.blobs {
        problems.push(format!(
            "there are `{}` blobs, the manifest says `{}`",
            found.blobs, manifest.blobs
        ));
    }
    for (log, stated) in manifest.marks() {
        let found = found.logs.get(log);
        let LogMark { size, root, .. } = stated;
        if (found.size, found.root) != (*size, *root) {
            problems.push(format!(
                "the {} log has `{}` entries with root `{}`, the manifest says `{size}` and `{root}`",
                log.as_str(), found.size, found.root
            ));
        }
    }
    if !problems.is_empty() {
        let lost = demanded == DemandedDocuments::All && verified.documents.missing > 0;
        let remedy = match lost {
            true => {
                "use another one; where nobody has the documents any more, and the state does not rest on them, `--allow-missing` restores without them"
            }
            false => "use another one",
        };
        return Err(BackupError::unsound("backup", problems, remedy));
    }
    let missing = match verified.documents.missing {
        0 => MissingDocuments::default(),
        _ => documents::missing(&Deployment::open_read_only(dir)?.1, progress)?,
    };
    Ok(Restored {
        missing,
        blobs: verified.fsck.blobs,
        folded: verified.folded,
        changes: verified.changes,
        documents: verified.documents,
        manifest,
        held_against: Vec::new(),
        witnesses_asked: 0,
        new_operator_token: false,
    })
}
