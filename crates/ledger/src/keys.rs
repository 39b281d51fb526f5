//! The keys with which a log signs its checkpoints. Keeping a seed secret at rest, and choosing
//! it at random, is the caller's part; witness keys are in `cosignature`.

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey};

use crate::checkpoint::Checkpoint;
use crate::name::Origin;
use crate::signed::{SignError, SignedCheckpoint};
use crate::vkey::{ED25519, KeyError, NamedKey};

/// The public key of a log, named by its origin. `Display` is the signed-note verifier key.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey(pub(crate) NamedKey);

impl VerifierKey {
    /// Reads `<origin>+<id>+<base64>`.
    ///
    /// # Errors
    /// [`KeyError`] when malformed, of another signature type, altered, or of small order.
    pub fn parse(vkey: &str) -> Result<Self, KeyError> {
        NamedKey::parse(vkey, ED25519).map(Self)
    }

    /// The origin of the log whose checkpoints this key verifies.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.0.name
    }

    /// The 32 bytes of the Ed25519 key.
    #[must_use]
    pub fn public_bytes(&self) -> [u8; 32] {
        self.0.public.to_bytes()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

impl signed_note::Verifier for VerifierKey {
    fn name(&self) -> &str {
        self.0.name.as_str()
    }

    fn key_id(&self) -> u32 {
        self.0.id
    }

    fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        self.0.verifies(text, signature)
    }
}

/// Signs the checkpoints of one log. Erased from memory when dropped; never printed.
pub struct LogSigner {
    key: VerifierKey,
    secret: SigningKey,
}

impl LogSigner {
    /// Takes the 32 secret bytes of an Ed25519 key.
    ///
    /// # Errors
    /// [`KeyError::Weak`], which no seed is known to cause.
    pub fn from_seed(origin: Origin, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let secret = SigningKey::from_bytes(seed);
        let key = NamedKey::new(origin, ED25519, secret.verifying_key()).map(VerifierKey)?;
        Ok(Self { key, secret })
    }

    /// The log's origin, which is the name of its key.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        self.key.origin()
    }

    /// The key that verifies what this signs.
    #[must_use]
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.key
    }

    /// The verifier key in signed-note form.
    #[must_use]
    pub fn vkey(&self) -> String {
        self.key.to_string()
    }

    /// Signs a checkpoint of this log.
    ///
    /// Only a state that is durable may be signed: a log that signs two checkpoints of which one
    /// does not extend the other has forked. Signing the same checkpoint again gives the same bytes.
    ///
    /// # Errors
    /// [`SignError::Origin`] when the checkpoint is another log's.
    pub fn sign(&self, checkpoint: &Checkpoint) -> Result<SignedCheckpoint, SignError> {
        if checkpoint.origin() != self.origin() {
            return Err(SignError::Origin {
                signer: self.origin().clone(),
                checkpoint: checkpoint.origin().clone(),
            });
        }
        let signature = self.secret.sign(checkpoint.body().as_bytes()).to_bytes();
        SignedCheckpoint::with_signature(checkpoint.clone(), &self.key.0, signature.to_vec())
    }
}

impl fmt::Debug for LogSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogSigner")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
