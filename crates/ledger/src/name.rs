//! Names of keys, as signed notes carry them. What they name is nothing this file knows.

use std::fmt;

use crate::limits::KEY_NAME_BYTES_MAX;

/// The name of a log's or a witness's key (C2SP signed-note): 1 to 255 bytes without Unicode
/// spaces, control characters or plus. A schema-less URL by convention.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

/// A log's identity: the first line of its checkpoints, and the name of its key.
pub type Origin = KeyName;

/// Why a text cannot name a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyNameError {
    /// The name has no characters.
    #[error("key name is empty; hint: use a schema-less URL such as `example.org/log`")]
    Empty,
    /// The name exceeds 255 bytes.
    #[error("key name has `{0}` bytes, at most 255 are allowed")]
    TooLong(usize),
    /// A space, a control character or a plus.
    #[error("key name contains {0:?}; hint: no spaces, control characters or plus")]
    Forbidden(char),
}

impl KeyName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`KeyNameError`] says which rule it breaks.
    pub fn new(name: &str) -> Result<Self, KeyNameError> {
        if name.is_empty() {
            return Err(KeyNameError::Empty);
        }
        if name.len() > KEY_NAME_BYTES_MAX {
            return Err(KeyNameError::TooLong(name.len()));
        }
        let forbidden = |c: &char| c.is_whitespace() || c.is_control() || *c == '+';
        match name.chars().find(forbidden) {
            Some(c) => Err(KeyNameError::Forbidden(c)),
            None => Ok(Self(name.to_owned())),
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
