//! Proves that each entry shown is in its log, under a checkpoint that the log's key of the roster
//! and its witnesses signed.

use super::collect::Collector;
use super::model::Proofs;
use crate::finding::{FindingKind, Findings};
use crate::replay::Replay;
use crate::source::{LogName, Source, SourceError};
use countersign_verify::LogKeys;
use countersign_verify::log::{ProvenEntry, verify_proof};
use std::collections::BTreeSet;

/// Verifies the inclusion of the change's entries, of the genesis, of the policies that were cited,
/// and of the recommendation.
pub(super) fn prove(
    source: &dyn Source,
    trail: &BTreeSet<u64>,
    collector: &Collector<'_>,
    replay: &Replay,
    findings: &mut Findings,
) -> Result<Proofs, SourceError> {
    let mut proofs = Proofs {
        origin: String::new(),
        size: 0,
        root: None,
        witnesses: Vec::new(),
        entries: Vec::new(),
        genesis: None,
        command: "countersign log verify".into(),
    };
    let Some(roster) = replay.roster() else {
        return Ok(proofs);
    };
    proofs.origin = LogName::Authorizations.origin(&roster.deployment);
    proofs.genesis = Some(roster.genesis);
    proofs.command = format!("countersign log verify --genesis {}", roster.genesis);
    let keys = [
        (LogName::Authorizations, LogKeys::authorizations(roster, 0)),
        (
            LogName::Recommendations,
            LogKeys::recommendations(roster, 0),
        ),
    ];
    for (log, keys) in keys {
        let keys = match keys {
            Ok(keys) => keys,
            Err(error) => {
                findings
                    .at(log, None)
                    .say(FindingKind::Checkpoint, error.to_string());
                continue;
            }
        };
        let mut indices: BTreeSet<u64> = BTreeSet::new();
        match log {
            LogName::Authorizations => {
                indices.insert(0);
                indices.extend(trail);
                indices.extend(collector.policy_entries());
            }
            LogName::Recommendations => indices.extend(collector.recommendation()),
        }
        for index in indices {
            let mut note = findings.at(log, Some(index));
            let Some(entry) = source.entry(log, index)? else {
                // Said where it was looked for first.
                continue;
            };
            let proven = source
                .proof(log, index)
                .map_err(|error| error.to_string())
                .and_then(|proof| {
                    verify_proof(&entry, &proof, &keys).map_err(|error| error.to_string())
                });
            match proven {
                Ok(proven) if proven.index == index => proofs.took(log, proven),
                Ok(proven) => {
                    let words = format!("its proof is for entry {}", proven.index);
                    note.say(FindingKind::Checkpoint, words);
                }
                Err(problem) => note.say(
                    FindingKind::Checkpoint,
                    format!("it is not proven to be in the log: {problem}"),
                ),
            }
        }
    }
    Ok(proofs)
}

impl Proofs {
    fn took(&mut self, log: LogName, proven: ProvenEntry) {
        match log {
            LogName::Recommendations => {}
            LogName::Authorizations => {
                self.entries.push(proven.index);
                if proven.checkpoint.size >= self.size {
                    self.size = proven.checkpoint.size;
                    self.root = Some(proven.checkpoint.root);
                    self.witnesses = proven.witnesses;
                }
            }
        }
    }
}
