//! Verifier keys in signed-note form, `<name>+<key id>+<base64 of type and key>`: of logs (type 1)
//! and of witnesses (type 4). Two types, so that neither can be taken for the other.

use super::note::check_name;
use crate::key::Ed25519Key;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_domain::text::shown;
use sha2::{Digest as _, Sha256};

/// Signature type of a log's key (C2SP signed-note).
const ED25519: u8 = 0x01;
/// Signature type of a witness's key (C2SP tlog-cosignature).
const COSIGNATURE_V1: u8 = 0x04;
/// The longest verifier key, in bytes.
const VKEY_BYTES_MAX: usize = 512;
/// Timestamps above this are not valid (tlog-cosignature).
const TIME_MAX: u64 = i64::MAX as u64;

/// Why a text is no verifier key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VkeyError {
    /// Not `<name>+<id>+<key>`.
    #[error("`{0}` is not a verifier key; expected `<name>+<8 hex digits>+<base64>`")]
    Form(String),
    /// The id is not the hash of name, type and key.
    #[error("verifier key of `{0}` has a key id that does not match; copy it again whole")]
    Id(String),
    /// A key for another use.
    #[error(
        "verifier key of `{name}` has type `{found:#04x}`, expected `{expected:#04x}` (1 is a log's, 4 a witness's)"
    )]
    Type {
        /// Whose.
        name: String,
        /// What this use needs.
        expected: u8,
        /// What it has.
        found: u8,
    },
    /// Not a safe point.
    #[error("verifier key of `{0}` is not a safe Ed25519 key; generate another")]
    Weak(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct NamedKey {
    name: String,
    id: [u8; 4],
    key: Ed25519Key,
}

impl NamedKey {
    fn parse(text: &str, expected: u8) -> Result<Self, VkeyError> {
        let form = || VkeyError::Form(shown(text, 80));
        if text.len() > VKEY_BYTES_MAX {
            return Err(form());
        }
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(form());
        };
        if !check_name(name) {
            return Err(form());
        }
        let encoded = STANDARD.decode(key).map_err(|_| form())?;
        let (&found, key) = encoded.split_first().ok_or_else(form)?;
        if found != expected {
            return Err(VkeyError::Type {
                name: name.to_owned(),
                expected,
                found,
            });
        }
        let key: &[u8; 32] = key.try_into().map_err(|_| form())?;
        let key = Ed25519Key::from_bytes(key).map_err(|_| VkeyError::Weak(name.to_owned()))?;
        let computed = key_id(name, &encoded);
        if hex::encode(computed) != id {
            return Err(VkeyError::Id(name.to_owned()));
        }
        Ok(Self {
            name: name.to_owned(),
            id: computed,
            key,
        })
    }
}

fn key_id(name: &str, encoded: &[u8]) -> [u8; 4] {
    let mut hasher = Sha256::new();
    hasher.update(name);
    hasher.update(b"\n");
    hasher.update(encoded);
    let [a, b, c, d, ..]: [u8; 32] = hasher.finalize().into();
    [a, b, c, d]
}

macro_rules! accessors {
    ($name:ident) => {
        impl $name {
            /// The name.
            #[must_use]
            pub fn name(&self) -> &str {
                &self.0.name
            }

            /// The key itself.
            #[must_use]
            pub const fn key(&self) -> &Ed25519Key {
                &self.0.key
            }

            /// True when a signature line with this name and key id claims to be by this key.
            pub(super) fn is_named(&self, name: &str, id: [u8; 4]) -> bool {
                self.0.name == name && self.0.id == id
            }
        }
    };
}

/// The public key of a log; its name is the log's origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKey(NamedKey);
accessors!(LogKey);

impl LogKey {
    /// Reads a verifier key of type 1.
    ///
    /// # Errors
    /// [`VkeyError`].
    pub fn parse(vkey: &str) -> Result<Self, VkeyError> {
        NamedKey::parse(vkey, ED25519).map(Self)
    }

    /// True when this log signed `text`.
    pub(super) fn signed(&self, text: &str, signature: &[u8]) -> bool {
        <&[u8; 64]>::try_from(signature)
            .is_ok_and(|signature| self.0.key.verifies(text.as_bytes(), signature))
    }
}

/// The public key of a witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKey(NamedKey);
accessors!(WitnessKey);

impl WitnessKey {
    /// Reads a verifier key of type 4.
    ///
    /// # Errors
    /// [`VkeyError`].
    pub fn parse(vkey: &str) -> Result<Self, VkeyError> {
        NamedKey::parse(vkey, COSIGNATURE_V1).map(Self)
    }

    /// True when this witness cosigned `text`, at the time that stands in the signature.
    pub(super) fn cosigned(&self, text: &str, signature: &[u8]) -> bool {
        let Some((time, signature)) = signature.split_first_chunk::<8>() else {
            return false;
        };
        let time = u64::from_be_bytes(*time);
        let message = format!("cosignature/v1\ntime {time}\n{text}");
        time <= TIME_MAX
            && <&[u8; 64]>::try_from(signature)
                .is_ok_and(|signature| self.0.key.verifies(message.as_bytes(), signature))
    }
}
