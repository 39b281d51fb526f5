//! Whether the documents that entries commit to still lie beside the log. Their bytes are held against
//! their digests elsewhere; here it is only seen that none is missing.

use super::BackupError;
use crate::deployment::DATABASE;
use countersign_domain::entry::LogEntry;
use countersign_domain::{Digest, Warrant, jws};
use countersign_gate::Gate;
use countersign_store::{Log, StoreError};

/// Entries that are read at a time.
const AT_A_TIME: usize = 1_000;
/// Missing documents that are named.
const NAMED: usize = 20;

/// What is missing, in words; the first [`NAMED`] of it.
pub(super) fn missing(gate: &Gate) -> Result<Vec<String>, BackupError> {
    let mut missing = Vec::new();
    let mut next = 0;
    loop {
        let read = gate.store().read(|view| {
            let entries = view.entries(Log::Authorizations, next, AT_A_TIME)?;
            for (index, bytes) in (next..).zip(&entries) {
                for digest in named(bytes).unwrap_or_default() {
                    if view.blob(&digest)?.is_none() {
                        missing.push(format!(
                            "entry `{index}` commits to `{digest}`, which is not beside the log"
                        ));
                    }
                }
            }
            Ok::<_, StoreError>(entries.len() as u64)
        });
        next += match read {
            Ok(0) => return Ok(missing),
            Ok(_) if missing.len() >= NAMED => {
                missing.truncate(NAMED);
                return Ok(missing);
            }
            Ok(read) => read,
            Err(error) => return Err(BackupError::damaged(DATABASE, error.to_string())),
        };
    }
}

/// The documents that an entry names; none where it cannot be read, which others find.
fn named(bytes: &[u8]) -> Option<Vec<Digest>> {
    match LogEntry::read(bytes).ok()? {
        LogEntry::Entry(entry) => Some(entry.event.documents()),
        LogEntry::Warrant(warrant) => {
            let parts = jws::take_apart(&warrant).ok()?;
            let warrant: Warrant = serde_json::from_slice(&parts.payload).ok()?;
            Some(vec![warrant.basis.facts])
        }
    }
}
