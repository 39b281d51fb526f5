//! Whether the documents that entries name still lie beside the log, as a backup and what is restored
//! or rebuilt must have them.

use super::{BackupError, Progress};
use crate::deployment::DATABASE;
use crate::evidence::StoreSource;
use countersign_evidence::check_documents;
use countersign_gate::Gate;

/// Missing documents that are named.
const NAMED: usize = 20;

/// What is missing or altered, in words: the first [`NAMED`], and how many more there are.
pub(super) fn missing(
    gate: &Gate,
    progress: &mut Progress<'_>,
) -> Result<Vec<String>, BackupError> {
    let mut missing = Vec::new();
    let mut more = 0_u64;
    check_documents(
        &StoreSource(gate),
        &mut |at| progress("looking for documents", at.done, at.of),
        &mut |log, index, document| {
            if missing.len() < NAMED {
                missing.push(format!("{log} entry {index}: {document}"));
            } else {
                more += 1;
            }
        },
    )
    .map_err(|error| BackupError::damaged(DATABASE, error.to_string()))?;
    if more > 0 {
        missing.push(format!("and {more} more"));
    }
    Ok(missing)
}
