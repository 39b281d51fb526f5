//! The one way a compact JWS is verified: exact algorithm, type and key, strict Ed25519, canonical
//! payload. What the payload means is checked by the modules that call this.

use crate::key::Ed25519Key;
use countersign_domain::Digest;
use countersign_domain::canonical::{self, CanonicalError};
use countersign_domain::jws::{ALG, take_apart};
use countersign_domain::text::shown;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ops::Deref;
use std::sync::OnceLock;

/// A value whose signature was verified. Only [`verify`] makes one.
#[derive(Debug, Clone)]
pub struct Verified<T> {
    value: T,
    jws: String,
    payload: Vec<u8>,
    // Made where somebody asks: most readers need one of them, or none.
    digest: OnceLock<Digest>,
    jws_digest: OnceLock<Digest>,
}

impl<T> PartialEq for Verified<T> {
    fn eq(&self, other: &Self) -> bool {
        self.jws == other.jws
    }
}

impl<T> Eq for Verified<T> {}

/// Why a JWS must not be believed.
#[derive(Debug, thiserror::Error)]
pub enum JwsError {
    /// Not of our profile: parts, padding, header members, length.
    #[error(transparent)]
    Form(#[from] countersign_domain::jws::JwsError),
    /// Another algorithm than [`ALG`]; `none` and HMAC among them.
    #[error("JWS algorithm is `{0}`; only `{ALG}` is accepted")]
    Algorithm(String),
    /// Signed to be something else.
    #[error("JWS is a `{found}`, expected a `{expected}`; hand it in where it belongs")]
    Type {
        /// What was expected here.
        expected: String,
        /// What the header says.
        found: String,
    },
    /// Signed in another's name.
    #[error("JWS names key `{found}`, expected `{expected}`; it belongs to another signer")]
    KeyId {
        /// Whose key was expected here.
        expected: String,
        /// Whose the header names.
        found: String,
    },
    /// Altered, or signed with another key.
    #[error(
        "JWS signature of `{0}` does not verify; it was altered, or signed with a key that the roster does not have"
    )]
    Signature(String),
    /// Signed, but not the canonical bytes of what was expected.
    #[error("JWS payload: {0}")]
    Payload(#[from] CanonicalError),
}

/// Verifies `jws`: its header is exactly `alg` `EdDSA`, this `typ` and this `kid`, `key` signed it,
/// and its payload is the canonical bytes of a `T`.
///
/// The header's members may stand in any order (JOSE libraries differ), none may be missing,
/// added or repeated.
///
/// # Errors
/// [`JwsError`] names the first thing that does not hold. The payload is not looked at before the
/// signature has been verified.
pub fn verify<T: Serialize + DeserializeOwned>(
    jws: &str,
    typ: &str,
    kid: &str,
    key: &Ed25519Key,
) -> Result<Verified<T>, JwsError> {
    let parts = take_apart(jws)?;
    if parts.header.alg != ALG {
        return Err(JwsError::Algorithm(shown(&parts.header.alg, 40)));
    }
    if parts.header.typ != typ {
        return Err(JwsError::Type {
            expected: typ.to_owned(),
            found: shown(&parts.header.typ, 40),
        });
    }
    if parts.header.kid != kid {
        return Err(JwsError::KeyId {
            expected: shown(kid, 100),
            found: shown(&parts.header.kid, 100),
        });
    }
    if !key.verifies(parts.signing_input.as_bytes(), &parts.signature) {
        return Err(JwsError::Signature(shown(kid, 100)));
    }
    Ok(Verified {
        value: canonical::from_bytes(&parts.payload)?,
        jws: jws.to_owned(),
        payload: parts.payload,
        digest: OnceLock::new(),
        jws_digest: OnceLock::new(),
    })
}

impl<T> Verified<T> {
    /// The digest of the payload's canonical bytes: by it plans and proposals are named.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        self.digest.get_or_init(|| Digest::of(&self.payload))
    }

    /// The text that was verified.
    #[must_use]
    pub fn jws(&self) -> &str {
        &self.jws
    }

    /// The digest of the whole JWS text: by it warrants and kept documents are named.
    #[must_use]
    pub fn jws_digest(&self) -> &Digest {
        self.jws_digest
            .get_or_init(|| Digest::of(self.jws.as_bytes()))
    }

    /// The value alone; that it was verified is forgotten.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
