//! What all signed documents of hosts and agents have in common: the key is looked up in the
//! roster, and the ids inside must be those of the signer and of the deployment.

use crate::jws::{self, JwsError, Verified};
use crate::key::KeyError;
use countersign_domain::jws::take_apart;
use countersign_domain::text::shown;
use countersign_domain::{AgentId, DeploymentId, HostId, Roster};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A plan, notice or receipt at most, in bytes: it has to fit in a log entry with what is around it.
pub const EMBEDDED_BYTES_MAX: usize = 60 * 1024;

/// Why a signed document is not taken.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Too long to be looked at.
    #[error("{kind} of {bytes} bytes is longer than {max}; split it")]
    TooLong {
        /// What it is.
        kind: &'static str,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// The signature, type or form.
    #[error("{kind}: {problem}")]
    Jws {
        /// What it is.
        kind: &'static str,
        /// What does not hold.
        problem: JwsError,
    },
    /// The signer is not in the roster.
    #[error("{kind} is signed by `{signer}`, which is not in the roster; enrol it first")]
    UnknownSigner {
        /// What it is.
        kind: &'static str,
        /// Whom the header names.
        signer: String,
    },
    /// The roster's key.
    #[error("key of `{signer}` in the roster: {problem}")]
    Key {
        /// Whose.
        signer: String,
        /// What is wrong.
        problem: KeyError,
    },
    /// Signed by one, in the name of another.
    #[error(
        "{kind} is signed by `{signer}`, but is in the name of `{named}`; sign in your own name"
    )]
    OthersName {
        /// What it is.
        kind: &'static str,
        /// Who signed.
        signer: String,
        /// Who is named inside.
        named: String,
    },
    /// For another deployment.
    #[error("{kind} is for deployment `{found}`, this is `{expected}`")]
    Deployment {
        /// What it is.
        kind: &'static str,
        /// This one.
        expected: DeploymentId,
        /// Which it names.
        found: DeploymentId,
    },
    /// Its content breaks a bound or contradicts itself.
    #[error("{kind}: {problem}")]
    Content {
        /// What it is.
        kind: &'static str,
        /// Which field, and what would be right.
        problem: String,
    },
}

/// A document that can say for which deployment and in whose name it speaks.
pub(crate) trait Signed: Serialize + DeserializeOwned {
    /// In words.
    const KIND: &'static str;
    /// The `typ` of its JWS.
    const TYP: &'static str;
    /// The longest JWS, in bytes.
    const BYTES_MAX: usize;
    /// For which deployment.
    fn deployment(&self) -> &DeploymentId;
    /// In whose name.
    fn signer(&self) -> &str;
}

/// Verifies a document that a host of the roster signed.
pub(crate) fn by_host<T: Signed>(jws: &str, roster: &Roster) -> Result<Verified<T>, DocumentError> {
    by(jws, roster, |kid| {
        roster
            .hosts
            .get(&HostId::new(kid).ok()?)
            .map(String::as_str)
    })
}

/// Verifies a document that an agent of the roster signed.
pub(crate) fn by_agent<T: Signed>(
    jws: &str,
    roster: &Roster,
) -> Result<Verified<T>, DocumentError> {
    by(jws, roster, |kid| {
        let agent = roster.agents.get(&AgentId::new(kid).ok()?)?;
        Some(agent.public_key.as_str())
    })
}

/// A refusal for what is inside.
pub(crate) fn content<T: Signed>(problem: impl Into<String>) -> DocumentError {
    DocumentError::Content {
        kind: T::KIND,
        problem: problem.into(),
    }
}

fn by<'r, T: Signed>(
    jws: &str,
    roster: &'r Roster,
    key_of: impl Fn(&str) -> Option<&'r str>,
) -> Result<Verified<T>, DocumentError> {
    let kind = T::KIND;
    if jws.len() > T::BYTES_MAX {
        return Err(DocumentError::TooLong {
            kind,
            bytes: jws.len(),
            max: T::BYTES_MAX,
        });
    }
    let wrong = |problem| DocumentError::Jws { kind, problem };
    let kid = take_apart(jws)
        .map_err(|problem| wrong(problem.into()))?
        .header
        .kid;
    let signer = shown(&kid, 100);
    let Some(key) = key_of(&kid) else {
        return Err(DocumentError::UnknownSigner { kind, signer });
    };
    let key = match key.parse() {
        Ok(key) => key,
        Err(problem) => return Err(DocumentError::Key { signer, problem }),
    };
    let document: Verified<T> = jws::verify(jws, T::TYP, &kid, &key).map_err(wrong)?;
    if document.signer() != kid {
        return Err(DocumentError::OthersName {
            kind,
            signer,
            named: document.signer().to_owned(),
        });
    }
    if *document.deployment() != roster.deployment {
        return Err(DocumentError::Deployment {
            kind,
            expected: roster.deployment.clone(),
            found: document.deployment().clone(),
        });
    }
    Ok(document)
}
