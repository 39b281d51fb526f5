//! Why a request to the server failed. What the server said is hostile text: it is bounded and made
//! harmless here, before anybody prints it.

use countersign_domain::canonical::CanonicalError;
use countersign_domain::text::shown;
use serde::{Deserialize, Serialize};

/// Characters of one field of a problem document that are kept.
const PROBLEM_CHARS_MAX: usize = 500;

/// What the server said was wrong (RFC 9457), shortened and made harmless.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// What kind of problem: a URI whose last segment is the name.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// This occurrence in words.
    pub detail: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The field at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Problem {
    /// Reads a problem document; none when it is not one.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let raw: Self = serde_json::from_slice(body).ok()?;
        let harmless = |text: &str| shown(text, PROBLEM_CHARS_MAX);
        Some(Self {
            kind: harmless(&raw.kind),
            title: harmless(&raw.title),
            detail: harmless(&raw.detail),
            hint: raw.hint.as_deref().map(harmless),
            field: raw.field.as_deref().map(harmless),
        })
    }

    /// True when the kind's last segment is `name`.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.kind.rsplit(['/', '#', ':']).next() == Some(name)
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let said = match (self.title.as_str(), self.detail.as_str()) {
            ("", "") => "the server gave no reason",
            (title, "") => title,
            (_, detail) => detail,
        };
        f.write_str(said)?;
        if let Some(field) = &self.field {
            write!(f, " (field `{field}`)")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "; hint: {hint}")?;
        }
        Ok(())
    }
}

/// Why a request gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server's address may not be used.
    #[error("server address `{url}` {problem}")]
    Address {
        /// The address, made harmless.
        url: String,
        /// What is wrong and what would be right.
        problem: &'static str,
    },
    /// No answer came, or it broke off.
    #[error("{request}: no answer: {problem}; check that the server runs and can be reached")]
    Unreachable {
        /// Method and path.
        request: String,
        /// What happened.
        problem: String,
    },
    /// The server refused, and said why.
    #[error("{request}: refused with status `{status}`: {problem}")]
    Refused {
        /// Method and path.
        request: String,
        /// The HTTP status.
        status: u16,
        /// What the server said.
        problem: Box<Problem>,
    },
    /// The server refused without a problem document.
    #[error(
        "{request}: status `{status}` without a problem document; check that the address is that of a Countersign server"
    )]
    Status {
        /// Method and path.
        request: String,
        /// The HTTP status.
        status: u16,
    },
    /// The answer is longer than is looked at.
    #[error("{request}: the answer is longer than `{bytes_max}` bytes; it was not read")]
    TooLong {
        /// Method and path.
        request: String,
        /// The bound.
        bytes_max: u64,
    },
    /// The answer is not what the API promises.
    #[error(
        "{request}: the answer cannot be used: {problem}; check that server and agent are of the same version"
    )]
    Malformed {
        /// Method and path.
        request: String,
        /// What is wrong with it.
        problem: String,
    },
    /// What was to be sent has no canonical form.
    #[error("the request cannot be signed: {0}")]
    Unsignable(#[from] CanonicalError),
}

impl ClientError {
    /// The HTTP status, where there was one.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } | Self::Status { status, .. } => Some(*status),
            Self::Address { .. }
            | Self::Unreachable { .. }
            | Self::TooLong { .. }
            | Self::Malformed { .. }
            | Self::Unsignable(_) => None,
        }
    }

    /// True when the same request may well succeed a moment later.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } | Self::Status { status, .. } => {
                matches!(*status, 429 | 502 | 503 | 504)
            }
            Self::Address { .. }
            | Self::TooLong { .. }
            | Self::Malformed { .. }
            | Self::Unsignable(_) => false,
        }
    }

    /// True when the server does not take this agent at its word at all.
    #[must_use]
    pub const fn is_identity(&self) -> bool {
        matches!(self.status(), Some(401 | 403))
    }

    /// True when a human has halted this agent, or everything.
    #[must_use]
    pub fn is_halt(&self) -> bool {
        matches!(self, Self::Refused { problem, .. } if problem.is("halted"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_shows_the_remedy_and_no_control_characters() {
        let body = br#"{"type":"https://countersign.dev/problems/halted","title":"Halted","status":409,
            "detail":"halted\u001b[31m by maria","hint":"ask for a resume","field":"agent","extra":1}"#;
        let problem = Problem::read(body).unwrap();
        assert!(problem.is("halted") && !problem.is("alted"));
        assert_eq!(
            problem.to_string(),
            "halted\\u{1b}[31m by maria (field `agent`); hint: ask for a resume"
        );
        for wrong in [&b""[..], b"[]x", b"{\"title\":7}", b"\xff"] {
            assert!(Problem::read(wrong).is_none());
        }
    }
}
