//! The recommendations log, read as far as the authorizations log cites it: its tree, the form of
//! its entries, and that each proposal in it became a change. Whose proposals they are is verified
//! where they are cited, with the roster of that moment.

use super::report::{LogSummary, Summing};
use crate::finding::{FindingKind, Note};
use crate::source::{LogName, Source, SourceError};
use countersign_domain::Digest;
use countersign_domain::canonical;
use countersign_domain::entry::{Entry, Event};
use countersign_domain::jws::{PROPOSAL_TYP, take_apart};
use countersign_ledger::{Hash, Tree, leaf_hash};
use std::collections::BTreeMap;

/// Proposals that wait to be cited at most. One transaction writes a proposal and its change, so
/// that more than a few mean that something is wrong already.
const UNCLAIMED_MAX: usize = 10_000;

pub(super) struct Recommendations<'s> {
    source: &'s dyn Source,
    tree: Tree,
    /// How many entries the source holds; more than the checkpoint states while it is live.
    held: u64,
    checkpoint_size: u64,
    /// The root of the tree when it passed the checkpoint's size.
    root_there: Option<Hash>,
    /// Proposals that no change has cited yet, with their leaf hashes.
    unclaimed: BTreeMap<u64, Hash>,
    /// The proposals below were in the tree when a later one was cited.
    cited_end: u64,
    summing: Summing,
}

/// What one entry is.
enum Recommended {
    Proposal,
    Commitment,
}

impl<'s> Recommendations<'s> {
    pub(super) fn new(source: &'s dyn Source, checkpoint_size: u64) -> Result<Self, SourceError> {
        Ok(Self {
            source,
            tree: Tree::new(),
            held: source.size(LogName::Recommendations)?,
            checkpoint_size,
            root_there: None,
            unclaimed: BTreeMap::new(),
            cited_end: 0,
            summing: Summing::default(),
        })
    }

    /// How many entries have been read.
    pub(super) fn size(&self) -> u64 {
        self.tree.size()
    }

    /// Reads on until the tree has `size` entries, or there are no more.
    pub(super) fn advance(&mut self, size: u64, note: &mut Note<'_>) -> Result<(), SourceError> {
        while self.tree.size() < size {
            let index = self.tree.size();
            self.pass_checkpoint();
            let Some(bytes) = self.source.entry(LogName::Recommendations, index)? else {
                return Ok(());
            };
            let leaf = leaf_hash(&bytes);
            match read(&bytes) {
                Ok(Recommended::Proposal) => {
                    self.count("proposal");
                    self.unclaimed.insert(index, leaf);
                }
                Ok(Recommended::Commitment) => self.count("cross-committed"),
                Err(problem) => {
                    self.count("unreadable");
                    note.elsewhere(LogName::Recommendations, Some(index))
                        .say(FindingKind::Form, problem);
                }
            }
            if self.unclaimed.len() > UNCLAIMED_MAX
                && let Some((oldest, _)) = self.unclaimed.pop_first()
            {
                unclaimed(oldest, note);
            }
            if self.tree.append(leaf).is_err() {
                return Ok(());
            }
        }
        self.pass_checkpoint();
        Ok(())
    }

    fn count(&mut self, kind: &str) {
        // Entries beyond the checkpoint are looked at, but not reported.
        if self.tree.size() < self.checkpoint_size {
            self.summing.count(kind);
        }
    }

    fn pass_checkpoint(&mut self) {
        if self.tree.size() == self.checkpoint_size {
            self.root_there = Some(self.tree.root());
        }
    }

    /// Checks a root that the authorizations log cites.
    pub(super) fn check_root(
        &mut self,
        size: u64,
        root: &Digest,
        note: &mut Note<'_>,
    ) -> Result<(), SourceError> {
        // No further than the source goes, whatever is cited.
        self.advance(size.min(self.held), note)?;
        match self.tree.root_at(size) {
            Ok(found) => {
                note.expect(
                    found.as_bytes() == root.as_bytes(),
                    FindingKind::CrossCommitment,
                    format!("it commits to another recommendations log of {size} entries: that log was rewritten"),
                );
            }
            Err(error) => note.say(
                FindingKind::CrossCommitment,
                format!("it commits to {size} recommendations: {error}"),
            ),
        }
        Ok(())
    }

    /// The proposal at `index`, which a change cites now: once, and the very bytes in the tree.
    pub(super) fn claim(
        &mut self,
        index: u64,
        note: &mut Note<'_>,
    ) -> Result<Option<Vec<u8>>, SourceError> {
        let Some(leaf) = self.unclaimed.remove(&index) else {
            let words = format!(
                "it cites recommendation {index}, which is no proposal, is missing, or became a change before"
            );
            note.say(FindingKind::Link, words);
            return Ok(None);
        };
        self.cited_end = self.cited_end.max(index);
        let bytes = self.source.entry(LogName::Recommendations, index)?;
        let bytes = bytes.filter(|bytes| leaf_hash(bytes) == leaf);
        if bytes.is_none() {
            let words = format!("recommendation {index} changed while it was read");
            note.say(FindingKind::Link, words);
        }
        Ok(bytes)
    }

    /// After the last entry: the signed root, and proposals that nothing came of.
    pub(super) fn check_end(&self, stated: Option<Digest>, note: &mut Note<'_>) {
        for index in self
            .unclaimed
            .range(..self.cited_end)
            .map(|(index, _)| *index)
        {
            unclaimed(index, note);
        }
        let Some(found) = self.root_there else {
            let words = format!(
                "the checkpoint states {} entries, {} could be read",
                self.checkpoint_size,
                self.tree.size()
            );
            note.say(FindingKind::Checkpoint, words);
            return;
        };
        note.expect(
            stated.is_none_or(|stated| stated.as_bytes() == found.as_bytes()),
            FindingKind::Checkpoint,
            "the entries do not give the root that the checkpoint states: one was changed, moved or removed",
        );
    }

    pub(super) fn summary(self) -> LogSummary {
        let root = self.root_there.unwrap_or_else(|| self.tree.root());
        self.summing.summary(self.checkpoint_size, root)
    }
}

fn unclaimed(index: u64, note: &mut Note<'_>) {
    note.elsewhere(LogName::Recommendations, Some(index)).say(
        FindingKind::Missing,
        "no change cites this proposal: what became of it was left out of the other log",
    );
}

fn read(bytes: &[u8]) -> Result<Recommended, String> {
    if bytes.first() == Some(&b'{') {
        let entry: Entry = canonical::from_bytes(bytes).map_err(|error| error.to_string())?;
        return match entry.event {
            Event::CrossCommitted { .. } => Ok(Recommended::Commitment),
            _ => Err("only proposals and commitments belong in this log".into()),
        };
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?;
    match take_apart(text) {
        Ok(parts) if parts.header.typ == PROPOSAL_TYP => Ok(Recommended::Proposal),
        Ok(_) => Err("it is signed, but no proposal".into()),
        Err(error) => Err(error.to_string()),
    }
}
