//! Checkpoints that are to be believed, and offline proofs that an entry is in a log
//! (c2sp.org/tlog-proof@v1).

use super::checkpoint::Checkpoint;
use super::keys::LogKeys;
use super::merkle::{PROOF_HASHES_MAX, leaf_hash, verify_inclusion};
use super::note::{self, NOTE_BYTES_MAX};
use super::{LogError, decimal, hash_from_base64};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_domain::entry::ENTRY_BYTES_MAX;
use countersign_domain::text::shown;
use std::collections::BTreeSet;

const HEADER: &str = "c2sp.org/tlog-proof@v1\n";
/// The longest line of opaque extra data, in bytes of base64.
const EXTRA_BYTES_MAX: usize = 22 * 1024;
/// The longest proof, in bytes.
pub const PROOF_BYTES_MAX: usize = 64 + EXTRA_BYTES_MAX + 45 * PROOF_HASHES_MAX + NOTE_BYTES_MAX;

/// An entry that is in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenEntry {
    /// Its leaf index.
    pub index: u64,
    /// The checkpoint under which it was proven.
    pub checkpoint: Checkpoint,
    /// The distinct known witnesses that cosigned it, by name, sorted.
    pub witnesses: Vec<String>,
}

/// Verifies a signed checkpoint: the log's own signature, and the quorum of witnesses.
///
/// Lines by unknown keys are ignored; a line in the name of a known key that does not verify
/// spoils the whole note. A witness counts once, however often it signed.
///
/// # Errors
/// [`LogError`].
pub fn verify_checkpoint(note: &str, keys: &LogKeys) -> Result<Checkpoint, LogError> {
    check_signatures(note, keys).map(|(checkpoint, _)| checkpoint)
}

/// Verifies that `entry` is in the log, under a checkpoint that [`verify_checkpoint`] believes.
///
/// # Errors
/// [`LogError`].
pub fn verify_proof(entry: &[u8], proof: &str, keys: &LogKeys) -> Result<ProvenEntry, LogError> {
    if entry.len() > ENTRY_BYTES_MAX {
        return Err(LogError::TooLong("entry"));
    }
    let parts = ProofParts::parse(proof)?;
    let (checkpoint, witnesses) = check_signatures(parts.note, keys)?;
    verify_inclusion(
        &leaf_hash(entry),
        parts.index,
        checkpoint.size,
        &checkpoint.root,
        &parts.hashes,
    )?;
    Ok(ProvenEntry {
        index: parts.index,
        checkpoint,
        witnesses,
    })
}

fn check_signatures(note: &str, keys: &LogKeys) -> Result<(Checkpoint, Vec<String>), LogError> {
    let note = note::parse(note)?;
    let checkpoint = Checkpoint::parse(note.text)?;
    // INVARIANT (the log's own signature): a note that verifies under some known key proves
    // nothing; the log's own key must have signed, under the origin that this key is for.
    if checkpoint.origin != keys.log().name() {
        return Err(LogError::Origin {
            expected: keys.log().name().to_owned(),
            found: shown(&checkpoint.origin, 100),
        });
    }
    let mut log_signed = false;
    let mut witnesses = BTreeSet::new();
    for line in &note.signatures {
        let invalid = || LogError::Signature(shown(line.name, 100));
        if keys.log().is_named(line.name, line.id) {
            if !keys.log().signed(note.text, &line.signature) {
                return Err(invalid());
            }
            log_signed = true;
        }
        for witness in keys.witnesses() {
            if witness.is_named(line.name, line.id) {
                if !witness.cosigned(note.text, &line.signature) {
                    return Err(invalid());
                }
                witnesses.insert(witness.name().to_owned());
            }
        }
    }
    if !log_signed {
        return Err(LogError::Unsigned(checkpoint.origin));
    }
    let found = u32::try_from(witnesses.len()).unwrap_or(u32::MAX);
    if found < keys.quorum() {
        return Err(LogError::Quorum {
            needed: keys.quorum(),
            found,
        });
    }
    Ok((checkpoint, witnesses.into_iter().collect()))
}

struct ProofParts<'a> {
    index: u64,
    hashes: Vec<countersign_domain::Digest>,
    note: &'a str,
}

impl<'a> ProofParts<'a> {
    fn parse(proof: &'a str) -> Result<Self, LogError> {
        if proof.len() > PROOF_BYTES_MAX {
            return Err(LogError::TooLong("text"));
        }
        let rest = proof
            .strip_prefix(HEADER)
            .ok_or(LogError::Malformed("header"))?;
        let (head, note) = rest
            .split_once("\n\n")
            .ok_or(LogError::Malformed("empty line"))?;
        let mut lines = head.split('\n').peekable();
        // Extra data is authenticated by nothing, so it is held to its form and dropped.
        if let Some(extra) = lines.peek().and_then(|line| line.strip_prefix("extra ")) {
            if extra.len() > EXTRA_BYTES_MAX {
                return Err(LogError::TooLong("extra line"));
            }
            if extra.is_empty() || STANDARD.decode(extra).is_err() {
                return Err(LogError::Malformed("extra line"));
            }
            lines.next();
        }
        let index = lines
            .next()
            .and_then(|line| line.strip_prefix("index "))
            .and_then(decimal)
            .ok_or(LogError::Malformed("index line"))?;
        let mut hashes = Vec::new();
        for line in lines {
            if hashes.len() == PROOF_HASHES_MAX {
                return Err(LogError::TooLong("hashes"));
            }
            hashes.push(hash_from_base64(line)?);
        }
        Ok(Self {
            index,
            hashes,
            note,
        })
    }
}
