//! Checkpoint bodies (C2SP tlog-checkpoint): origin, tree size, root. Signatures are in `signed`.

use crate::hash::Hash;
use crate::limits::{EXTENSION_BYTES_MAX, EXTENSION_LINES_MAX, TREE_SIZE_MAX};
use crate::name::{KeyNameError, Origin};

/// The state of a log at one size, as its checkpoint states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    origin: Origin,
    size: u64,
    root: Hash,
    extension_lines: Vec<String>,
}

/// Why a text or a set of values is no checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not the lines that tlog-checkpoint demands, or not in their canonical form.
    #[error("checkpoint is malformed; hint: origin, decimal size and base64 root, a line each")]
    Malformed,
    /// The origin breaks the rules of key names.
    #[error("checkpoint has a bad origin: {0}")]
    Origin(#[from] KeyNameError),
    /// More entries than [`TREE_SIZE_MAX`].
    #[error("checkpoint states `{0}` entries, at most 2^48 are supported")]
    Size(u64),
    /// A tree without entries has one root only, and it was not this one.
    #[error("checkpoint of size 0 does not state the root of the empty tree")]
    EmptyRoot,
    /// An extension line that is empty, or too many bytes or lines of them.
    #[error("checkpoint extension lines must be non-empty, printable, at most 16 and 4096 bytes")]
    Extension,
}

impl Checkpoint {
    /// A checkpoint without extension lines.
    ///
    /// # Errors
    /// [`CheckpointError::Size`] and [`CheckpointError::EmptyRoot`].
    pub fn new(origin: Origin, size: u64, root: Hash) -> Result<Self, CheckpointError> {
        if size > TREE_SIZE_MAX {
            return Err(CheckpointError::Size(size));
        }
        if size == 0 && root != Hash::EMPTY_ROOT {
            return Err(CheckpointError::EmptyRoot);
        }
        Ok(Self {
            origin,
            size,
            root,
            extension_lines: Vec::new(),
        })
    }

    /// The same checkpoint with extension lines, each without its newline.
    ///
    /// # Errors
    /// [`CheckpointError::Extension`].
    pub fn with_extension_lines(mut self, lines: Vec<String>) -> Result<Self, CheckpointError> {
        let bytes: usize = lines.iter().map(|line| line.len() + 1).sum();
        let bad = |line: &String| line.is_empty() || line.chars().any(char::is_control);
        if lines.len() > EXTENSION_LINES_MAX || bytes > EXTENSION_BYTES_MAX || lines.iter().any(bad)
        {
            return Err(CheckpointError::Extension);
        }
        self.extension_lines = lines;
        Ok(self)
    }

    /// Reads a body: the text that is signed, final newline included.
    ///
    /// # Errors
    /// [`CheckpointError`]; a body that [`Checkpoint::body`] would write otherwise is malformed.
    pub fn parse(body: &str) -> Result<Self, CheckpointError> {
        let parsed = tlog_tiles::Checkpoint::from_bytes(body.as_bytes())
            .map_err(|_| CheckpointError::Malformed)?;
        let extension = parsed.extension().split_terminator('\n');
        let checkpoint = Self::new(
            Origin::new(parsed.origin())?,
            parsed.size(),
            (*parsed.hash()).into(),
        )?
        .with_extension_lines(
            extension
                .take(EXTENSION_LINES_MAX + 1)
                .map(str::to_owned)
                .collect(),
        )?;
        // INVARIANT: one text for one checkpoint, so that what was signed is what was understood.
        if checkpoint.body() != body {
            return Err(CheckpointError::Malformed);
        }
        Ok(checkpoint)
    }

    /// The text that log and witnesses sign.
    #[must_use]
    pub fn body(&self) -> String {
        let mut body = format!("{}\n{}\n{}\n", self.origin, self.size, self.root);
        for line in &self.extension_lines {
            body.push_str(line);
            body.push('\n');
        }
        body
    }

    /// Which log this is a checkpoint of.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The number of entries.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The Merkle root over these entries.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root
    }

    /// Opaque lines after the root, without their newlines.
    #[must_use]
    pub fn extension_lines(&self) -> &[String] {
        &self.extension_lines
    }
}
