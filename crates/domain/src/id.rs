//! Typed identifiers. Each is a short, bounded, printable word, so that it can stand in a log
//! entry, a file name, a URL and a Cedar entity without escaping.

use serde::{Deserialize, Serialize};

/// The longest identifier, in bytes.
pub const ID_BYTES_MAX: usize = 100;

/// The text cannot be an identifier of this kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{shown}` is not a {kind}; expected 1 to {ID_BYTES_MAX} of `a-z A-Z 0-9 . _ @ / -`, starting with a letter or digit"
)]
pub struct IdError {
    kind: &'static str,
    shown: String,
}

fn check(kind: &'static str, text: &str) -> Result<(), IdError> {
    let starts = text
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"._@/-".contains(&b));
    // `..` would climb out of a folder when an id becomes part of a path.
    if starts && rest && text.len() <= ID_BYTES_MAX && !text.contains("..") {
        Ok(())
    } else {
        Err(IdError {
            kind,
            shown: crate::text::shown(text, 40),
        })
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks and takes `text`.
            ///
            /// # Errors
            /// When it is empty, too long, or has characters that an identifier may not have.
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                check($kind, &text)?;
                Ok(Self(text))
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    )*};
}

ids! {
    /// One installation of Countersign: the common part of its logs' origins,
    /// such as `countersign.example.org/prod` or `localhost/trial-5f3a`.
    DeploymentId = "deployment id";
    /// A governed change; derived from the digest of its proposal.
    ChangeId = "change id";
    /// An AI agent, or any automation that proposes.
    AgentId = "agent id";
    /// A named human in the roster (a handle; the display name is kept beside the log).
    PersonId = "person id";
    /// A group of named humans.
    GroupId = "group id";
    /// An enforcement point on a machine.
    HostId = "host id";
    /// A rule of the policy, from its `@id`.
    RuleId = "rule id";
    /// An idempotency key that a client chose.
    RequestId = "request id";
    /// A health check that the host's own configuration defines.
    CheckName = "check name";
    /// A remediation recipe that the host's own configuration defines.
    RecipeName = "recipe name";
    /// Random, used once: 32 hex digits by convention.
    Nonce = "nonce";
    /// A cluster, for blast radius and scopes.
    ClusterId = "cluster id";
    /// A cloud or billing account, for blast radius and scopes.
    AccountId = "account id";
}

impl ChangeId {
    /// The id of the change that the proposal with this digest becomes. The same signed bytes
    /// always become the same change, so a replayed proposal finds the old one.
    #[must_use]
    pub fn from_proposal(digest: &crate::Digest) -> Self {
        Self(format!("chg-{}", hex::encode(&digest.as_bytes()[..8])))
    }
}

impl Nonce {
    /// A nonce from 16 random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(hex::encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_bounded_words() {
        for good in ["web-1", "maria.ortiz", "localhost/trial-5f3a", "a@b"] {
            assert_eq!(HostId::new(good).unwrap().as_str(), good);
        }
        let long = "x".repeat(ID_BYTES_MAX + 1);
        for wrong in [
            "",
            "-a",
            "../x",
            "a/../b",
            "a b",
            "a\nb",
            "é",
            "a\u{202e}",
            long.as_str(),
        ] {
            assert!(HostId::new(wrong).is_err(), "{wrong:?}");
        }
    }
}
