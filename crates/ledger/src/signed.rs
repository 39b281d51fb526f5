//! Checkpoints as signed notes: one text, the log's signature, cosignatures of witnesses.
//! Whether enough witnesses signed is decided in `quorum`.

use std::fmt;

use signed_note::{Note, Signature, VerificationError, Verifier, Verifiers};

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::cosignature::WitnessKey;
use crate::keys::VerifierKey;
use crate::limits::SIGNED_CHECKPOINT_BYTES_MAX;
use crate::name::Origin;
use crate::vkey::NamedKey;

/// A checkpoint with signature lines, well formed but not yet trusted. `Display` is the note.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    text: String,
    checkpoint: Checkpoint,
}

/// Why a text is no signed checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignedCheckpointError {
    /// Not a signed note in canonical form.
    #[error("signed checkpoint is malformed; hint: body, empty line, then `— <name> <base64>`")]
    Malformed,
    /// More than [`SIGNED_CHECKPOINT_BYTES_MAX`] bytes.
    #[error("signed checkpoint has `{0}` bytes, at most 131072 are read")]
    TooLong(usize),
    /// The body is no checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// Why a checkpoint was not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The key belongs to another log.
    #[error("key of log `{signer}` cannot sign a checkpoint of `{checkpoint}`")]
    Origin {
        /// The signer's origin.
        signer: Origin,
        /// The checkpoint's origin.
        checkpoint: Origin,
    },
    /// The note library refused the text.
    #[error("checkpoint cannot be written as a signed note")]
    Note,
}

/// Why a checkpoint must not be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// None of the keys given belongs to the checkpoint's origin.
    #[error("no trusted key for log `{0}`; hint: pin its verifier key")]
    UnknownLog(Origin),
    /// The log's own key did not sign, whoever else did.
    #[error("checkpoint of log `{0}` is not signed by a trusted key of that log")]
    Unsigned(Origin),
    /// A line in the name of a trusted key does not verify.
    #[error("signature of `{0}` does not verify; hint: the checkpoint was altered")]
    Invalid(String),
    /// The text is no signature line, or there are too many of them.
    #[error("signature line is malformed; hint: expected `— <name> <base64>`")]
    MalformedLine,
}

impl SignedCheckpoint {
    /// Reads a signed note whose body is a checkpoint. Checks form only, no signature.
    ///
    /// # Errors
    /// [`SignedCheckpointError`].
    pub fn parse(text: &str) -> Result<Self, SignedCheckpointError> {
        if text.len() > SIGNED_CHECKPOINT_BYTES_MAX {
            return Err(SignedCheckpointError::TooLong(text.len()));
        }
        let note =
            Note::from_bytes(text.as_bytes()).map_err(|_| SignedCheckpointError::Malformed)?;
        let body =
            std::str::from_utf8(note.text()).map_err(|_| SignedCheckpointError::Malformed)?;
        let checkpoint = Checkpoint::parse(body)?;
        if note.to_bytes() != text.as_bytes() {
            return Err(SignedCheckpointError::Malformed);
        }
        Ok(Self {
            text: text.to_owned(),
            checkpoint,
        })
    }

    pub(crate) fn with_signature(
        checkpoint: Checkpoint,
        key: &NamedKey,
        signature: Vec<u8>,
    ) -> Result<Self, SignError> {
        let mut text = checkpoint.body();
        text.push('\n');
        text.push_str(&signature_line(key, signature).map_err(|_| SignError::Note)?);
        Ok(Self { text, checkpoint })
    }

    /// The whole signed note.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What the note claims. Not to be relied on before [`SignedCheckpoint::verify`].
    #[must_use]
    pub fn claimed(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Checks that a key of the checkpoint's own log signed it, and that no trusted key's line
    /// fails. Keys of other logs and of witnesses count for nothing here.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(&self, log_keys: &[VerifierKey]) -> Result<&Checkpoint, SignatureError> {
        let origin = self.checkpoint.origin();
        // INVARIANT (the log's own signature): a note verifies under ANY one known key, hence
        // only keys of this very origin are known to it.
        let own: Vec<&VerifierKey> = log_keys.iter().filter(|k| k.origin() == origin).collect();
        if own.is_empty() {
            return Err(SignatureError::UnknownLog(origin.clone()));
        }
        if self.signatures_by(&own)?.is_empty() {
            return Err(SignatureError::Unsigned(origin.clone()));
        }
        Ok(&self.checkpoint)
    }

    /// Adds the lines of a witness's response that come from `known` witnesses, replacing older
    /// lines of the same key. Lines of unknown keys are dropped. Returns how many were added.
    ///
    /// # Errors
    /// [`SignatureError`] when a line is malformed or fails under a known key; nothing is changed.
    pub fn add_cosignatures(
        &mut self,
        lines: &str,
        known: &[WitnessKey],
    ) -> Result<usize, SignatureError> {
        let response = format!("{}\n{lines}", self.checkpoint.body());
        let response = Self::parse(&response).map_err(|_| SignatureError::MalformedLine)?;
        let added = response.signatures_by(&known.iter().collect::<Vec<_>>())?;
        let (head, existing) = self.text.split_at(self.checkpoint.body().len() + 1);
        let mut text = head.to_owned();
        for line in existing.split_inclusive('\n') {
            let old = Signature::from_bytes(line.trim_end_matches('\n').as_bytes())
                .map_err(|_| SignatureError::MalformedLine)?;
            if !added
                .iter()
                .any(|new| new.name() == old.name() && new.id() == old.id())
            {
                text.push_str(line);
            }
        }
        for signature in &added {
            text.push_str(&line_of(signature)?);
        }
        *self = Self::parse(&text).map_err(|_| SignatureError::MalformedLine)?;
        Ok(added.len())
    }

    /// The verified signatures of these keys, one for each key at most. A line in the name of one
    /// of them that does not verify is an error.
    pub(crate) fn signatures_by<V: Verifier>(
        &self,
        keys: &[&V],
    ) -> Result<Vec<Signature>, SignatureError> {
        let note =
            Note::from_bytes(self.text.as_bytes()).map_err(|_| SignatureError::MalformedLine)?;
        match note.verify(&Known(keys)) {
            Ok((verified, _)) => Ok(verified),
            Err(signed_note::NoteError::UnverifiedNote) => Ok(Vec::new()),
            Err(signed_note::NoteError::InvalidSignature { name, .. }) => {
                Err(SignatureError::Invalid(name))
            }
            Err(_) => Err(SignatureError::MalformedLine),
        }
    }
}

/// One signature line of a note, newline included.
pub(crate) fn signature_line(key: &NamedKey, signature: Vec<u8>) -> Result<String, SignatureError> {
    Signature::new(key.name.as_str().to_owned(), key.id, signature)
        .map_err(|_| SignatureError::MalformedLine)
        .and_then(|signature| line_of(&signature))
}

fn line_of(signature: &Signature) -> Result<String, SignatureError> {
    String::from_utf8(signature.to_bytes()).map_err(|_| SignatureError::MalformedLine)
}

/// Looks keys up by name and id, as the note library asks.
struct Known<'a, V>(&'a [&'a V]);

impl<V: Verifier> Verifiers for Known<'_, V> {
    fn verifier(&self, name: &str, id: u32) -> Result<&dyn Verifier, VerificationError> {
        let found = self
            .0
            .iter()
            .find(|key| key.name() == name && key.key_id() == id);
        match found {
            Some(key) => Ok(*key),
            None => Err(VerificationError::UnknownKey {
                name: name.to_owned(),
                id,
            }),
        }
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedCheckpoint({:?})", self.text)
    }
}
