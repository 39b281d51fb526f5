//! Verifier keys in signed-note form, `<name>+<id>+<base64 of type and key>`, for Ed25519 only.
//! Who may use such a key for what is decided by the two types that wrap it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};

use crate::limits::VKEY_BYTES_MAX;
use crate::name::{KeyName, KeyNameError};

/// Signature type identifiers of C2SP signed-note.
pub(crate) const ED25519: u8 = 0x01;
pub(crate) const COSIGNATURE_V1: u8 = 0x04;

/// Why a text or a seed gives no usable key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not `<name>+<id>+<key>`.
    #[error("verifier key is malformed; hint: expected `<name>+<8 hex digits>+<base64>`")]
    Malformed,
    /// The name breaks the rules of key names.
    #[error("verifier key has a bad name: {0}")]
    Name(#[from] KeyNameError),
    /// The id is not the hash of name, type and key.
    #[error("verifier key of `{0}` has an id that does not match; hint: it was altered")]
    Id(KeyName),
    /// A signature type that this use does not accept.
    #[error("verifier key has signature type `{found:#04x}`, expected `{expected:#04x}`")]
    Type {
        /// The type accepted here: 1 for a log, 4 for a witness.
        expected: u8,
        /// The type in the key.
        found: u8,
    },
    /// Not a point of the curve, or one of small order, for which signatures can be forged.
    #[error("verifier key of `{0}` is no safe ed25519 key")]
    Weak(KeyName),
}

/// A named Ed25519 key with its signature type and the id that follows from both.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct NamedKey {
    pub(crate) name: KeyName,
    pub(crate) id: u32,
    pub(crate) public: VerifyingKey,
    signature_type: u8,
}

impl NamedKey {
    pub(crate) fn new(
        name: KeyName,
        signature_type: u8,
        public: VerifyingKey,
    ) -> Result<Self, KeyError> {
        if public.is_weak() {
            return Err(KeyError::Weak(name));
        }
        let id = signed_note::key_id(name.as_str(), &encoded(signature_type, &public));
        Ok(Self {
            name,
            id,
            public,
            signature_type,
        })
    }

    pub(crate) fn parse(text: &str, signature_type: u8) -> Result<Self, KeyError> {
        if text.len() > VKEY_BYTES_MAX {
            return Err(KeyError::Malformed);
        }
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Malformed);
        };
        let name = KeyName::new(name)?;
        let key = STANDARD.decode(key).map_err(|_| KeyError::Malformed)?;
        let Some((&found, public)) = key.split_first() else {
            return Err(KeyError::Malformed);
        };
        if found != signature_type {
            return Err(KeyError::Type {
                expected: signature_type,
                found,
            });
        }
        let public: &[u8; 32] = public.try_into().map_err(|_| KeyError::Malformed)?;
        let public = VerifyingKey::from_bytes(public).map_err(|_| KeyError::Weak(name.clone()))?;
        let parsed = Self::new(name, signature_type, public)?;
        if format!("{:08x}", parsed.id) != id {
            return Err(KeyError::Id(parsed.name));
        }
        Ok(parsed)
    }

    /// Strict verification: no second encoding of a signature passes.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.public.verify_strict(message, &signature).is_ok())
    }
}

fn encoded(signature_type: u8, public: &VerifyingKey) -> [u8; 33] {
    let mut bytes = [signature_type; 33];
    if let Some(key) = bytes.last_chunk_mut::<32>() {
        *key = public.to_bytes();
    }
    bytes
}

impl fmt::Display for NamedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode(encoded(self.signature_type, &self.public));
        write!(f, "{}+{:08x}+{key}", self.name, self.id)
    }
}
