//! How a named human signs: a statement's canonical bytes, with that person's SSH key (invariant 6).
//! Says nothing about what the signature is worth; `verify` does.

mod find;
mod key;
mod keygen;

pub use find::{KeyQuery, candidates, in_roster};
pub use key::SshKey;

use crate::ambient;
use countersign_domain::canonical::{self, CanonicalError};
use countersign_domain::statement::Subject;
use countersign_domain::{DeploymentId, PersonId, SignedStatement, Statement, Timestamp};
use std::io;
use std::path::PathBuf;

/// How long a statement can be handed in after it was signed, in seconds.
const USABLE_SECONDS: i64 = 3600;
/// The same for statements that wait for other signers, in seconds.
const COLLECTED_SECONDS: i64 = 7 * 86_400;

/// Why something was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// There is no key.
    #[error(
        "no SSH key was found; name one with `--key FILE`, or make one with `ssh-keygen -t ed25519`"
    )]
    NoKey,
    /// None of the keys is in the roster.
    #[error(
        "none of your {0} SSH keys is in the roster; name one that is with `--key FILE`, or have one added with `countersign roster add-key`"
    )]
    NotInRoster(usize),
    /// The key file cannot be used.
    #[error("key `{}`: {problem}", path.display())]
    Key {
        /// Which.
        path: PathBuf,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// `ssh-keygen` could not be run.
    #[error("cannot run `{program}`: {source}; install OpenSSH's client tools")]
    Program {
        /// Which.
        program: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// `ssh-keygen` did not sign.
    #[error(
        "`ssh-keygen -Y sign` did not sign ({0}); is the key in your agent, or the passphrase right?"
    )]
    Keygen(String),
    /// The library did not sign.
    #[error("the key cannot sign: {0}")]
    Library(#[from] ssh_key::Error),
    /// The statement has no canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

/// A person with a key, looking at one roster version.
pub struct Signer<'a> {
    /// The key.
    pub key: &'a SshKey,
    /// Whose it is.
    pub person: PersonId,
    /// The deployment.
    pub deployment: DeploymentId,
    /// The roster version looked at.
    pub roster_version: u64,
}

impl Signer<'_> {
    /// Signs a statement that is handed in within the hour.
    ///
    /// # Errors
    /// When the key does not sign.
    pub fn state(&self, subject: Subject, now: Timestamp) -> Result<SignedStatement, SigningError> {
        self.sign(&self.statement(subject, now, USABLE_SECONDS))
    }

    /// Signs a statement that waits a week for those of others.
    ///
    /// # Errors
    /// When the key does not sign.
    pub fn state_for_collection(
        &self,
        subject: Subject,
        now: Timestamp,
    ) -> Result<SignedStatement, SigningError> {
        self.sign(&self.statement(subject, now, COLLECTED_SECONDS))
    }

    /// The statement before it is signed, so that it can be shown.
    #[must_use]
    pub fn statement(&self, subject: Subject, now: Timestamp, usable_seconds: i64) -> Statement {
        Statement {
            v: 1,
            deployment: self.deployment.clone(),
            approver: self.person.clone(),
            credential: self.key.fingerprint().to_owned(),
            roster_version: self.roster_version,
            nonce: ambient::nonce(),
            signed_at: now,
            not_after: now.plus_seconds(usable_seconds),
            subject,
        }
    }

    /// Signs the canonical bytes of a statement.
    ///
    /// # Errors
    /// When the key does not sign.
    pub fn sign(&self, statement: &Statement) -> Result<SignedStatement, SigningError> {
        let statement = canonical::to_text(statement)?;
        let signature = self.key.sign(statement.as_bytes())?;
        Ok(SignedStatement {
            statement,
            signature,
        })
    }
}
