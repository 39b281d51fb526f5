//! Checkpoint bodies (C2SP tlog-checkpoint): origin, size, root. A plain value, as a host keeps the
//! last one it believed; only `proof` says that one is to be believed.

use super::merkle::{TREE_SIZE_MAX, empty_root};
use super::note::check_name;
use super::{LogError, decimal, hash_from_base64};
use countersign_domain::Digest;
use serde::{Deserialize, Serialize};

/// The most extension lines, which are signed but mean nothing here, and the most bytes of them.
const EXTENSION_LINES_MAX: usize = 16;
const EXTENSION_BYTES_MAX: usize = 4096;

/// The state of a log at one size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// The Merkle root over them.
    pub root: Digest,
}

impl Checkpoint {
    /// The state of a log that nothing was written to: what somebody knows who has seen nothing.
    #[must_use]
    pub fn empty(origin: String) -> Self {
        Self {
            origin,
            size: 0,
            root: empty_root(),
        }
    }

    /// Reads the signed text of a checkpoint; only its canonical form is accepted.
    pub(super) fn parse(body: &str) -> Result<Self, LogError> {
        let malformed = || LogError::Malformed("checkpoint");
        let body = body.strip_suffix('\n').ok_or_else(malformed)?;
        let mut lines = body.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next())
        else {
            return Err(malformed());
        };
        let size = decimal(size)
            .filter(|size| *size <= TREE_SIZE_MAX)
            .ok_or_else(malformed)?;
        let root = hash_from_base64(root)?;
        if !check_name(origin) || (size == 0 && root != empty_root()) {
            return Err(malformed());
        }
        let (mut count, mut bytes) = (0, 0);
        for line in lines {
            count += 1;
            bytes += line.len() + 1;
            if line.is_empty() {
                return Err(malformed());
            }
            if count > EXTENSION_LINES_MAX || bytes > EXTENSION_BYTES_MAX {
                return Err(LogError::TooLong("checkpoint"));
            }
        }
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root,
        })
    }
}
