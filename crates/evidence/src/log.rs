//! Verifies both logs whole, offline. Reads every entry once, holds two right edges of trees and
//! the changes that are still open, and checks each root that anybody cited when the tree passes it.
//!
//! The memory it takes grows with the changes that are open, and by a few hundred bytes for each
//! that settled and was not reviewed; not with the log.

mod commitments;
mod recommendations;
mod report;

pub use report::{DemandedDocuments, LogReport, LogSummary, Progress, TrustedRoots};

use crate::documents::Documents;
use crate::finding::{FindingKind, Findings, Note};
use crate::folder::{FolderError, FolderSource};
use crate::replay::{Proven, Replay, Surroundings};
use crate::source::{LogName, Source, SourceError};
use commitments::Commitments;
use countersign_domain::Digest;
use countersign_domain::document::{named_by, named_by_proposal};
use countersign_domain::entry::LogEntry;
use countersign_domain::warrant::LogReference;
use countersign_ledger::{SignedCheckpoint, Tree, VerifierKey, fsck, leaf_hash};
use countersign_verify::LogKeys;
use countersign_verify::log::verify_checkpoint;
use recommendations::Recommendations;
use report::Summing;
use std::path::Path;

/// Entries between two calls of the progress callback.
const PROGRESS_EVERY: u64 = 256;

/// Verifies both logs from their entries.
///
/// # Errors
/// [`SourceError`] when the source cannot be read. What it gives wrongly is a finding.
pub fn verify_log(
    source: &dyn Source,
    trusted: &TrustedRoots,
    progress: &mut dyn FnMut(Progress),
) -> Result<LogReport, SourceError> {
    follow_log(source, trusted, progress, &mut |_, _, _, _| {})
}

/// Called with each entry of the authorizations log, what it proved, and the state behind it.
pub(crate) type Observer<'o> = dyn FnMut(u64, &LogEntry, &Proven, &Replay) + 'o;

/// Verifies both logs as [`verify_log`], and lets somebody look on.
pub(crate) fn follow_log(
    source: &dyn Source,
    trusted: &TrustedRoots,
    progress: &mut dyn FnMut(Progress),
    observer: &mut Observer<'_>,
) -> Result<LogReport, SourceError> {
    verify_with(source, trusted, Findings::default(), progress, observer)
}

/// Verifies an exported folder: its files first (every hash, every tile), then what they say.
///
/// # Errors
/// [`FolderError`] when there is no such export, or it cannot be read.
pub fn verify_folder(
    folder: &Path,
    trusted: &TrustedRoots,
    progress: &mut dyn FnMut(Progress),
) -> Result<LogReport, FolderError> {
    follow_folder(folder, trusted, progress, &mut |_, _, _, _| {})
}

/// Verifies an exported folder as [`verify_folder`], and lets somebody look on.
pub(crate) fn follow_folder(
    folder: &Path,
    trusted: &TrustedRoots,
    progress: &mut dyn FnMut(Progress),
    observer: &mut Observer<'_>,
) -> Result<LogReport, FolderError> {
    let source = FolderSource::open(folder)?;
    let mut findings = Findings::default();
    for log in [LogName::Recommendations, LogName::Authorizations] {
        let mut note = findings.at(log, None);
        // The roster says later whether the folder's own key is the log's.
        let key = match trusted.vkey(log).map(VerifierKey::parse) {
            None => source.vkey(log).clone(),
            Some(Ok(key)) => key,
            Some(Err(error)) => {
                note.say(FindingKind::Checkpoint, format!("the trusted key: {error}"));
                continue;
            }
        };
        if let Err(error) = fsck(source.folder(log), &key) {
            note.say(FindingKind::Folder, error.to_string());
        }
    }
    verify_with(&source, trusted, findings, progress, observer).map_err(|error| {
        FolderError::Malformed {
            path: folder.to_owned(),
            problem: error.to_string(),
        }
    })
}

fn verify_with(
    source: &dyn Source,
    trusted: &TrustedRoots,
    findings: Findings,
    progress: &mut dyn FnMut(Progress),
    observer: &mut Observer<'_>,
) -> Result<LogReport, SourceError> {
    // In this order, so that the recommendations read are never behind what is cited of them.
    let recommended = source.checkpoint(LogName::Recommendations)?;
    let authorized = source.checkpoint(LogName::Authorizations)?;
    let mut findings = findings;
    let (size, stated) = claimed(&authorized, LogName::Authorizations, source, &mut findings)?;
    let (recommended_size, recommended_root) = claimed(
        &recommended,
        LogName::Recommendations,
        source,
        &mut findings,
    )?;
    let mut examination = Examination {
        source,
        replay: Replay::new(trusted.genesis, false),
        tree: Tree::new(),
        recommendations: Recommendations::new(source, recommended_size)?,
        commitments: Commitments::new(source, recommended_size),
        documents: Documents::of(source)?,
        demanded: trusted.documents,
        summing: Summing::default(),
        findings,
    };
    examination.authorizations(size, progress, observer)?;
    examination.rest_of_recommendations(recommended_size, recommended_root, progress)?;
    examination.check_end(size, stated)?;
    let mut findings = examination.findings;
    let documents = examination.documents.summary();
    if trusted.documents == DemandedDocuments::All && !documents.carried {
        findings
            .at(LogName::Authorizations, None)
            .say(FindingKind::Missing, documents.to_string());
    }
    let roster = examination.replay.roster();
    for (log, checkpoint) in [
        (LogName::Recommendations, &recommended),
        (LogName::Authorizations, &authorized),
    ] {
        let mut at = findings.at(log, None);
        match roster {
            Some(roster) => believe(roster, log, checkpoint, trusted, &mut at),
            None => at.say(
                FindingKind::Checkpoint,
                "without a roster its signer is unknown",
            ),
        }
    }
    Ok(LogReport {
        deployment: roster.map(|roster| roster.deployment.clone()),
        genesis: roster.map(|roster| roster.genesis),
        genesis_pinned: trusted.genesis.is_some(),
        trial: roster.is_some_and(|roster| roster.trial),
        roster_version: roster.map_or(0, |roster| roster.version),
        changes: examination.replay.changes_seen(),
        documents,
        authorizations: examination.summing.summary(size, examination.tree.root()),
        recommendations: examination.recommendations.summary(),
        findings,
    })
}

/// What a checkpoint states, before anybody believes it.
fn claimed(
    note: &str,
    log: LogName,
    source: &dyn Source,
    findings: &mut Findings,
) -> Result<(u64, Option<Digest>), SourceError> {
    let held = source.size(log)?;
    match SignedCheckpoint::parse(note) {
        Ok(signed) => {
            let claimed = signed.claimed();
            Ok((
                claimed.size(),
                Some(Digest::from_bytes(*claimed.root().as_bytes())),
            ))
        }
        Err(error) => {
            findings
                .at(log, None)
                .say(FindingKind::Checkpoint, error.to_string());
            Ok((held, None))
        }
    }
}

/// The checkpoint is signed by the log's key of the roster, and by its witnesses.
fn believe(
    roster: &countersign_domain::Roster,
    log: LogName,
    checkpoint: &str,
    trusted: &TrustedRoots,
    note: &mut Note<'_>,
) {
    let (vkey, keys) = match log {
        LogName::Recommendations => (
            &roster.gate.recommendations,
            LogKeys::recommendations(roster, trusted.witness_quorum),
        ),
        LogName::Authorizations => (
            &roster.gate.authorizations,
            LogKeys::authorizations(roster, trusted.witness_quorum),
        ),
    };
    if let Some(trusted) = trusted.vkey(log) {
        note.expect(
            trusted == vkey,
            FindingKind::Checkpoint,
            "the roster names another log key than the one that is trusted",
        );
    }
    let believed = keys
        .map_err(|error| error.to_string())
        .and_then(|keys| verify_checkpoint(checkpoint, &keys).map_err(|error| error.to_string()));
    if let Err(problem) = believed {
        note.say(FindingKind::Checkpoint, problem);
    }
}

struct Examination<'s> {
    source: &'s dyn Source,
    replay: Replay,
    tree: Tree,
    recommendations: Recommendations<'s>,
    commitments: Commitments<'s>,
    documents: Documents<'s>,
    demanded: DemandedDocuments,
    summing: Summing,
    findings: Findings,
}

impl Examination<'_> {
    fn authorizations(
        &mut self,
        size: u64,
        progress: &mut dyn FnMut(Progress),
        observer: &mut Observer<'_>,
    ) -> Result<(), SourceError> {
        for index in 0..size {
            if index % PROGRESS_EVERY == 0 {
                progress(Progress::of(LogName::Authorizations, index, size));
            }
            let Some(bytes) = self.source.entry(LogName::Authorizations, index)? else {
                let mut note = self.findings.at(LogName::Authorizations, Some(index));
                let words =
                    format!("entry {index} is missing: the checkpoint states {size} entries");
                note.say(FindingKind::Missing, words);
                break;
            };
            self.entry(index, &bytes, observer)?;
            if self.tree.append(leaf_hash(&bytes)).is_err() {
                break;
            }
            let roster = self.replay.roster().map(|roster| &**roster);
            self.commitments
                .passed(&self.tree, roster, &mut self.findings)?;
        }
        progress(Progress::of(LogName::Authorizations, size, size));
        Ok(())
    }

    fn entry(
        &mut self,
        index: u64,
        bytes: &[u8],
        observer: &mut Observer<'_>,
    ) -> Result<(), SourceError> {
        let mut note = self.findings.at(LogName::Authorizations, Some(index));
        let entry = match LogEntry::read(bytes) {
            Ok(entry) => entry,
            Err(error) => {
                self.summing.count("unreadable");
                note.say(FindingKind::Form, error.to_string());
                if index == 0 {
                    note.say(
                        FindingKind::Genesis,
                        "the first entry is no genesis; nothing in this log can be verified",
                    );
                }
                return Ok(());
            }
        };
        self.summing.count(report::kind(&entry));
        let mut around = Around {
            tree: &self.tree,
            recommendations: &mut self.recommendations,
            failed: None,
        };
        let proven = self.replay.apply(index, &entry, &mut around, &mut note);
        let failed = around.failed;
        let mut named = named_by(&entry);
        if let Proven::Proposed(proposal) = &proven {
            named.extend(named_by_proposal(proposal));
        }
        let lost_are_known = self.demanded == DemandedDocuments::None;
        self.documents.see(&named, &mut |missing| {
            if missing.altered || !lost_are_known {
                note.say(FindingKind::Missing, missing.to_string());
            }
        })?;
        observer(index, &entry, &proven, &self.replay);
        failed.map_or(Ok(()), Err)
    }

    fn rest_of_recommendations(
        &mut self,
        size: u64,
        stated: Option<Digest>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), SourceError> {
        progress(Progress::of(
            LogName::Recommendations,
            self.recommendations.size().min(size),
            size,
        ));
        let mut note = self.findings.at(LogName::Recommendations, None);
        self.recommendations.advance(size, &mut note)?;
        self.recommendations.check_end(stated, &mut note);
        progress(Progress::of(LogName::Recommendations, size, size));
        Ok(())
    }

    fn check_end(&mut self, size: u64, stated: Option<Digest>) -> Result<(), SourceError> {
        let mut note = self.findings.at(LogName::Authorizations, None);
        let held = self.source.size(LogName::Authorizations)?;
        note.expect(
            self.tree.size() == size && held >= size,
            FindingKind::Checkpoint,
            format!(
                "the checkpoint states {size} entries, {} could be read",
                self.tree.size()
            ),
        );
        let root = Digest::from_bytes(*self.tree.root().as_bytes());
        note.expect(
            stated.is_none_or(|stated| stated == root),
            FindingKind::Checkpoint,
            "the entries do not give the root that the checkpoint states: one was changed, moved or removed",
        );
        let roster = self.replay.roster().map(|roster| &**roster);
        self.commitments.check_end(held, roster, &mut self.findings)
    }
}

/// The trees as they stand at the entry that is being followed.
struct Around<'e, 's> {
    tree: &'e Tree,
    recommendations: &'e mut Recommendations<'s>,
    failed: Option<SourceError>,
}

impl Surroundings for Around<'_, '_> {
    fn recommendation(&mut self, reference: &LogReference, note: &mut Note<'_>) -> Option<Vec<u8>> {
        self.recommendations_root(reference.size, &reference.root, note);
        match self.recommendations.claim(reference.index, note) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.failed = Some(error);
                None
            }
        }
    }

    fn authorizations_root(&mut self, size: u64, root: &Digest, note: &mut Note<'_>) {
        match self.tree.root_at(size) {
            Ok(found) => {
                note.expect(
                    found.as_bytes() == root.as_bytes(),
                    FindingKind::Link,
                    format!("it cites a root that this log did not have at {size} entries"),
                );
            }
            Err(error) => note.say(FindingKind::Link, format!("the root it cites: {error}")),
        }
    }

    fn recommendations_root(&mut self, size: u64, root: &Digest, note: &mut Note<'_>) {
        if let Err(error) = self.recommendations.check_root(size, root, note) {
            self.failed = Some(error);
        }
    }
}
