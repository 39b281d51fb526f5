//! Where entries, proofs and blobs are read from: a store, or an exported folder. A source is not
//! trusted: whatever it gives is verified before it counts.

use countersign_domain::{DeploymentId, Digest};
use countersign_verify::log::{authorizations_origin, recommendations_origin};
use serde::Serialize;
use std::fmt;

/// One of the two logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogName {
    /// What agents proposed, as they signed it.
    Recommendations,
    /// What the gate decided and what came of it.
    Authorizations,
}

impl LogName {
    /// The word used in origins, folders and on screen.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recommendations => "recommendations",
            Self::Authorizations => "authorizations",
        }
    }

    /// The origin of this log in a deployment.
    #[must_use]
    pub fn origin(self, deployment: &DeploymentId) -> String {
        match self {
            Self::Recommendations => recommendations_origin(deployment),
            Self::Authorizations => authorizations_origin(deployment),
        }
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The source could not be read at all. What it gave wrongly is a finding instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} could not be read: {problem}; nothing was concluded from it")]
pub struct SourceError {
    /// What was asked for.
    pub what: String,
    /// What went wrong.
    pub problem: String,
}

impl SourceError {
    /// An error about `what`.
    pub fn new(what: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self {
            what: what.into(),
            problem: problem.to_string(),
        }
    }
}

/// Bytes kept beside the log, with the salt (32 hex digits) where their digest is salted.
pub type Blob = (Option<String>, Vec<u8>);

/// Read access to both logs and to what is kept beside them.
pub trait Source {
    /// The entry at `index`; none when the source has none there.
    ///
    /// # Errors
    /// When it cannot be read.
    fn entry(&self, log: LogName, index: u64) -> Result<Option<Vec<u8>>, SourceError>;

    /// How many entries the source holds: at least as many as its checkpoint states.
    ///
    /// # Errors
    /// When it cannot be read.
    fn size(&self, log: LogName) -> Result<u64, SourceError>;

    /// What is kept beside the log under this digest; none when it is not kept, or was erased.
    ///
    /// # Errors
    /// When it cannot be read.
    fn blob(&self, digest: &Digest) -> Result<Option<Blob>, SourceError>;

    /// Whether documents are kept beside the logs here at all. An export may carry none; what the
    /// log was made with has them.
    ///
    /// # Errors
    /// When that cannot be told.
    fn carries_documents(&self) -> Result<bool, SourceError> {
        Ok(true)
    }

    /// A C2SP tlog-proof of the entry at `index`.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    fn proof(&self, log: LogName, index: u64) -> Result<String, SourceError>;

    /// The signed checkpoint, with its cosignatures.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    fn checkpoint(&self, log: LogName) -> Result<String, SourceError>;

    /// The indices below `end`, ascending, of authorizations entries that govern all changes:
    /// rosters, policies, halts and resumptions. The default reads the whole log. A source with an
    /// index may answer from it: an omission leaves a gap in the roster's chain or in the numbers
    /// of policies and halts, which is found.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn governing(&self, end: u64) -> Result<Vec<u64>, SourceError> {
        let mut indices = Vec::new();
        for index in 0..end {
            let entry = self.entry(LogName::Authorizations, index)?;
            if entry.is_some_and(|bytes| may_govern(&bytes)) {
                indices.push(index);
            }
        }
        Ok(indices)
    }
}

/// True when the entry may be of a governing kind. In canonical JSON these bytes can stand only
/// where a member is: inside a text its quotes would be escaped.
fn may_govern(bytes: &[u8]) -> bool {
    const KINDS: [&[u8]; 4] = [
        br#""type":"roster""#,
        br#""type":"policy""#,
        br#""type":"halted""#,
        br#""type":"resumed""#,
    ];
    bytes.first() == Some(&b'{')
        && KINDS
            .iter()
            .any(|kind| bytes.windows(kind.len()).any(|window| window == *kind))
}

/// What is kept under a digest.
pub(crate) enum Kept {
    /// These bytes, which have the digest.
    Whole(Vec<u8>),
    /// Bytes that do not have it.
    Altered,
    /// Nothing.
    Absent,
}

/// What is kept under a digest, hashed again.
///
/// # Errors
/// As [`Source::blob`].
pub(crate) fn kept(source: &dyn Source, digest: &Digest) -> Result<Kept, SourceError> {
    let Some((salt, bytes)) = source.blob(digest)? else {
        return Ok(Kept::Absent);
    };
    let actual = match &salt {
        None => Some(Digest::of(&bytes)),
        Some(salt) => salt_bytes(salt).map(|salt| Digest::of_salted(&salt, &bytes)),
    };
    Ok(if actual == Some(*digest) {
        Kept::Whole(bytes)
    } else {
        Kept::Altered
    })
}

/// A blob whose bytes have the digest that was asked for.
///
/// # Errors
/// As [`Source::blob`]; a blob with other bytes counts as one, since nothing else was kept.
pub(crate) fn proven_blob(
    source: &dyn Source,
    digest: &Digest,
) -> Result<Option<Vec<u8>>, SourceError> {
    match kept(source, digest)? {
        Kept::Whole(bytes) => Ok(Some(bytes)),
        Kept::Absent => Ok(None),
        Kept::Altered => {
            let what = format!("the text kept under {digest}");
            Err(SourceError::new(
                what,
                "its digest is another; it was altered",
            ))
        }
    }
}

fn salt_bytes(salt: &str) -> Option<[u8; 16]> {
    if salt.len() != 32 || !salt.is_ascii() {
        return None;
    }
    let mut bytes = [0_u8; 16];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(salt.get(at * 2..at * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}
