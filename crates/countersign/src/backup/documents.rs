//! Whether the documents that entries name still lie beside the log, as a backup and what is restored
//! or rebuilt must have them.

use super::{BackupError, Progress};
use crate::deployment::DATABASE;
use crate::evidence::StoreSource;
use countersign_evidence::check_documents;
use countersign_gate::Gate;
use serde::Serialize;

/// Missing documents that are named.
const NAMED: usize = 100;

/// Documents that entries name, and that are missing or altered.
#[derive(Debug, Default, Serialize)]
pub struct MissingDocuments {
    /// The first of them, in words, each with its entry.
    pub named: Vec<String>,
    /// How many more there are.
    pub more: u64,
}

impl MissingDocuments {
    /// True where there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// A line for each that is named, and one for the others.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.named.clone();
        if self.more > 0 {
            lines.push(format!("{} more", self.more));
        }
        lines
    }
}

/// Looks for the documents that entries name.
pub(super) fn missing(
    gate: &Gate,
    progress: &mut Progress<'_>,
) -> Result<MissingDocuments, BackupError> {
    let mut missing = MissingDocuments::default();
    check_documents(
        &StoreSource(gate),
        &mut |at| progress("looking for documents", at.done, at.of),
        &mut |log, index, document| {
            if missing.named.len() < NAMED {
                let words = format!("{log} entry {index}: {document}");
                missing.named.push(words);
            } else {
                missing.more += 1;
            }
        },
    )
    .map_err(|error| BackupError::damaged(DATABASE, error.to_string()))?;
    Ok(missing)
}
