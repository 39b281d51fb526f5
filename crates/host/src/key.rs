//! The host's own Ed25519 key: made at enrolment, kept as a 32-byte seed in hex in a file of mode
//! 0600, used to sign observations, plans, notices, receipts and API tokens. The seed is never
//! printed, logged or passed on a command line.

use crate::durable;
use countersign_domain::{DeploymentId, HostId, Timestamp, canonical, jws};
use ed25519_dalek::{Signer as _, SigningKey};
use serde::Serialize;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Why the key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("key file `{path}`: {source}; hint: `countersign-host enroll` makes one", path = .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is one already, and it is not replaced.
    #[error("key file `{}` exists already; enrol again with `--keep-key`, or move it away", .0.display())]
    Exists(PathBuf),
    /// Others can read it.
    #[error("key file `{path}` has mode {mode:03o}; hint: `chmod 600` it, and replace the key if others may have read it", path = .path.display())]
    Readable {
        /// Where.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Not a seed.
    #[error("key file `{}` must hold 64 hex digits (a 32-byte seed)", .0.display())]
    Form(PathBuf),
    /// The value has no canonical bytes.
    #[error("cannot sign: {0}")]
    Canonical(#[from] canonical::CanonicalError),
}

/// The host's identity: who it is, and the key that says so.
pub struct HostKey {
    host: HostId,
    signing: SigningKey,
}

impl std::fmt::Debug for HostKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HostKey({}, {})", self.host, self.public_key())
    }
}

impl HostKey {
    /// Makes a key from `seed` (32 random bytes) and writes it to a new file of mode 0600.
    ///
    /// # Errors
    /// When there is a file already, or it cannot be written.
    pub fn create(path: &Path, host: HostId, seed: [u8; 32]) -> Result<Self, KeyError> {
        durable::create_new(path, format!("{}\n", hex::encode(seed)).as_bytes()).map_err(
            |source| {
                if source.kind() == std::io::ErrorKind::AlreadyExists {
                    KeyError::Exists(path.to_owned())
                } else {
                    KeyError::Io {
                        path: path.to_owned(),
                        source,
                    }
                }
            },
        )?;
        Ok(Self {
            host,
            signing: SigningKey::from_bytes(&seed),
        })
    }

    /// Reads the key of `host`.
    ///
    /// # Errors
    /// When it cannot be read, is readable by others, or is not a seed.
    pub fn load(path: &Path, host: HostId) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io {
            path: path.to_owned(),
            source,
        };
        let mode = std::fs::metadata(path).map_err(io)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Readable {
                path: path.to_owned(),
                mode,
            });
        }
        let text = durable::read_bounded(path, 200).map_err(io)?;
        let mut seed = [0_u8; 32];
        hex::decode_to_slice(text.trim_ascii(), &mut seed)
            .map_err(|_| KeyError::Form(path.to_owned()))?;
        Ok(Self {
            host,
            signing: SigningKey::from_bytes(&seed),
        })
    }

    /// Whose key it is.
    #[must_use]
    pub const fn host(&self) -> &HostId {
        &self.host
    }

    /// The public key, 64 hex digits: what the roster holds.
    #[must_use]
    pub fn public_key(&self) -> String {
        hex::encode(self.signing.verifying_key().to_bytes())
    }

    /// The compact JWS of `value`'s canonical bytes.
    ///
    /// # Errors
    /// When the value has no canonical bytes.
    pub fn sign<T: Serialize>(&self, typ: &str, value: &T) -> Result<String, KeyError> {
        let payload = canonical::to_bytes(value)?;
        let input = jws::signing_input(typ, self.host.as_str(), &payload);
        let signature = self.signing.sign(input.as_bytes()).to_bytes();
        Ok(jws::assemble(&input, &signature))
    }

    /// A fresh token for the API.
    ///
    /// # Errors
    /// Never in practice: a token has canonical bytes.
    pub fn token(&self, deployment: &DeploymentId, now: Timestamp) -> Result<String, KeyError> {
        let iat = now.unix_seconds();
        let token = jws::Token {
            iss: self.host.to_string(),
            aud: deployment.clone(),
            iat,
            exp: iat + jws::TOKEN_SECONDS_MAX,
        };
        self.sign(jws::TOKEN_TYP, &token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_private_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("host.key");
        let host = HostId::new("web-1").unwrap();
        let made = HostKey::create(&path, host.clone(), [7; 32]).unwrap();
        let read = HostKey::load(&path, host.clone()).unwrap();
        assert_eq!(made.public_key(), read.public_key());
        assert!(matches!(
            HostKey::create(&path, host.clone(), [8; 32]),
            Err(KeyError::Exists(_))
        ));
        assert!(!format!("{made:?}").contains(&hex::encode([7_u8; 32])));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            HostKey::load(&path, host),
            Err(KeyError::Readable { mode: 0o640, .. })
        ));
    }

    #[test]
    fn what_it_signs_is_a_jws_under_its_own_name() {
        let dir = tempfile::tempdir().unwrap();
        let host = HostId::new("web-1").unwrap();
        let key = HostKey::create(&dir.path().join("k"), host, [7; 32]).unwrap();
        let jws = key
            .token(&DeploymentId::new("localhost/t").unwrap(), Timestamp::EPOCH)
            .unwrap();
        let parts = jws::take_apart(&jws).unwrap();
        assert_eq!(parts.header.kid, "web-1");
        let signature = ed25519_dalek::Signature::from_bytes(&parts.signature);
        key.signing
            .verifying_key()
            .verify_strict(parts.signing_input.as_bytes(), &signature)
            .unwrap();
    }
}
