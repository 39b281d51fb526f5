//! Cosignatures of witnesses (C2SP tlog-cosignature 1.0.1, Ed25519 `cosignature/v1`).
//! When a witness may cosign is decided in `witness`; how many are needed, in `quorum`.

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey};

use crate::checkpoint::Checkpoint;
use crate::name::KeyName;
use crate::signed::{SignatureError, signature_line};
use crate::vkey::{COSIGNATURE_V1, KeyError, NamedKey};

/// Timestamps above this are not valid (tlog-cosignature).
const TIMESTAMP_MAX: u64 = i64::MAX as u64;

/// The public key of a witness. `Display` is its verifier key, signature type 4.
#[derive(Clone, PartialEq, Eq)]
pub struct WitnessKey(pub(crate) NamedKey);

/// A witness's statement that it saw this checkpoint, already verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosignature {
    /// The witness's name.
    pub witness: KeyName,
    /// When it signed, in seconds since the Unix epoch, by the witness's own clock.
    pub time_unix_seconds: u64,
}

impl WitnessKey {
    /// Reads `<name>+<id>+<base64>` of signature type 4.
    ///
    /// # Errors
    /// [`KeyError`] when malformed, of another signature type, altered, or of small order.
    pub fn parse(vkey: &str) -> Result<Self, KeyError> {
        NamedKey::parse(vkey, COSIGNATURE_V1).map(Self)
    }

    /// The witness's name.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.0.name
    }

    /// The 32 bytes of the Ed25519 key.
    #[must_use]
    pub fn public_bytes(&self) -> [u8; 32] {
        self.0.public.to_bytes()
    }
}

/// The text under a cosignature.
fn message(time_unix_seconds: u64, body: &[u8]) -> Vec<u8> {
    let mut message = format!("cosignature/v1\ntime {time_unix_seconds}\n").into_bytes();
    message.extend_from_slice(body);
    message
}

/// Splits the timestamp off a signature of type 4. `None` where it is too short or out of range.
pub(crate) fn split_timestamp(signature: &[u8]) -> Option<(u64, &[u8])> {
    let (time, signature) = signature.split_first_chunk::<8>()?;
    let time = u64::from_be_bytes(*time);
    (time <= TIMESTAMP_MAX).then_some((time, signature))
}

impl signed_note::Verifier for WitnessKey {
    fn name(&self) -> &str {
        self.0.name.as_str()
    }

    fn key_id(&self) -> u32 {
        self.0.id
    }

    fn verify(&self, body: &[u8], signature: &[u8]) -> bool {
        split_timestamp(signature)
            .is_some_and(|(time, signature)| self.0.verifies(&message(time, body), signature))
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WitnessKey({self})")
    }
}

/// A witness's secret key. Erased from memory when dropped; never printed. It signs through
/// [`crate::Witness::update`] alone, which checks consistency and records it first.
pub struct WitnessSigner {
    key: WitnessKey,
    secret: SigningKey,
}

impl WitnessSigner {
    /// Takes the 32 secret bytes of an Ed25519 key, which must serve this witness only: the
    /// signed text does not contain the witness's name.
    ///
    /// # Errors
    /// [`KeyError::Weak`], which no seed is known to cause.
    pub fn from_seed(name: KeyName, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let secret = SigningKey::from_bytes(seed);
        let key = NamedKey::new(name, COSIGNATURE_V1, secret.verifying_key()).map(WitnessKey)?;
        Ok(Self { key, secret })
    }

    /// The key that verifies what this signs.
    #[must_use]
    pub fn witness_key(&self) -> &WitnessKey {
        &self.key
    }

    /// The verifier key in signed-note form.
    #[must_use]
    pub fn vkey(&self) -> String {
        self.key.to_string()
    }

    /// The cosignature line, newline included.
    pub(crate) fn cosign(
        &self,
        checkpoint: &Checkpoint,
        time_unix_seconds: u64,
    ) -> Result<String, SignatureError> {
        if time_unix_seconds > TIMESTAMP_MAX {
            return Err(SignatureError::MalformedLine);
        }
        let message = message(time_unix_seconds, checkpoint.body().as_bytes());
        let mut signature = time_unix_seconds.to_be_bytes().to_vec();
        signature.extend_from_slice(&self.secret.sign(&message).to_bytes());
        signature_line(&self.key.0, signature)
    }
}

impl fmt::Debug for WitnessSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WitnessSigner")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
