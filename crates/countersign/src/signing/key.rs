//! One SSH key of a person: held here when it is a plain file, else used through `ssh-keygen`
//! (passphrases, agents, security keys). Secrets never become arguments.

use super::{SigningError, keygen};
use countersign_domain::statement::SSH_NAMESPACE;
use countersign_verify::ssh;
use rand::rngs::OsRng;
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The longest key file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// A key that can sign.
pub struct SshKey {
    public_key: String,
    fingerprint: String,
    secret: Secret,
}

enum Secret {
    /// Here, in memory.
    Held(Box<PrivateKey>),
    /// In a file that only `ssh-keygen` can use.
    File(PathBuf),
    /// In the agent.
    Agent,
}

impl SshKey {
    /// A new key, for the human of a trial who has none.
    ///
    /// # Errors
    /// When the library fails.
    pub fn generate() -> Result<Self, SigningError> {
        Self::held(PrivateKey::random(&mut OsRng, Algorithm::Ed25519)?)
    }

    /// Opens a private key file, or a public one whose private half is beside it or in the agent.
    ///
    /// # Errors
    /// When it is no key that is accepted.
    pub fn open(path: &Path) -> Result<Self, SigningError> {
        let wrong = |problem: String| SigningError::Key {
            path: path.to_owned(),
            problem,
        };
        let text = read(path).map_err(|error| wrong(error.to_string()))?;
        if let Ok(public) = PublicKey::from_openssh(&text) {
            let private = path.with_extension("");
            return match path.extension().is_some_and(|ext| ext == "pub") && private.is_file() {
                true => Self::open(&private),
                false => Self::public(&public, Secret::Agent).map_err(wrong),
            };
        }
        match PrivateKey::from_openssh(&text) {
            // Security keys hold no secret that could sign here.
            Ok(key) if !key.is_encrypted() && can_hold(&key.algorithm()) => Self::held(key),
            Ok(key) => Self::public(key.public_key(), Secret::File(path.to_owned())).map_err(wrong),
            Err(_) => {
                // A form that the library does not read (PEM): the public half stands beside it.
                let beside = PathBuf::from(format!("{}.pub", path.display()));
                let public = read(&beside)
                    .ok()
                    .and_then(|text| PublicKey::from_openssh(&text).ok())
                    .ok_or_else(|| wrong("is no SSH key; expected a private key in OpenSSH form, or a `.pub` file".into()))?;
                Self::public(&public, Secret::File(path.to_owned())).map_err(wrong)
            }
        }
    }

    /// A key that the agent holds, from its line of `ssh-add -L`.
    ///
    /// # Errors
    /// When the line is no key that is accepted.
    pub fn in_agent(line: &str) -> Result<Self, SigningError> {
        let public = PublicKey::from_openssh(line)?;
        Self::public(&public, Secret::Agent).map_err(|problem| SigningError::Key {
            path: PathBuf::from("ssh-agent"),
            problem,
        })
    }

    fn held(key: PrivateKey) -> Result<Self, SigningError> {
        let wrong = |problem: String| SigningError::Key {
            path: PathBuf::new(),
            problem,
        };
        let public = key.public_key().clone();
        Self::public(&public, Secret::Held(Box::new(key))).map_err(wrong)
    }

    fn public(public: &PublicKey, secret: Secret) -> Result<Self, String> {
        let mut public = public.clone();
        public.set_comment("");
        let public_key = public.to_openssh().map_err(|error| error.to_string())?;
        Ok(Self {
            fingerprint: ssh::fingerprint(&public_key).map_err(|error| error.to_string())?,
            public_key,
            secret,
        })
    }

    /// The fingerprint, such as `SHA256:…`.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The public key in OpenSSH form, without a comment.
    #[must_use]
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// Signs `bytes` in our namespace: an armored SSHSIG.
    ///
    /// # Errors
    /// When the key does not sign.
    pub fn sign(&self, bytes: &[u8]) -> Result<String, SigningError> {
        match &self.secret {
            Secret::Held(key) => Ok(key
                .sign(SSH_NAMESPACE, HashAlg::Sha512, bytes)?
                .to_pem(LineEnding::LF)?),
            Secret::File(path) => keygen::sign(path, false, bytes),
            Secret::Agent => {
                // `ssh-keygen` wants the public half as a file to name the key in the agent.
                let mut file = tempfile::NamedTempFile::new().map_err(keygen::unavailable)?;
                writeln!(file, "{}", self.public_key).map_err(keygen::unavailable)?;
                keygen::sign(file.path(), true, bytes)
            }
        }
    }

    /// Writes the private key to `path`, mode 0600, and the public one beside it.
    ///
    /// # Errors
    /// When the key is not held here, or the file is there already.
    pub fn write(&self, path: &Path) -> Result<(), SigningError> {
        let wrong = |problem: String| SigningError::Key {
            path: path.to_owned(),
            problem,
        };
        let Secret::Held(key) = &self.secret else {
            return Err(wrong("the private half is not here to be written".into()));
        };
        let text = key.to_openssh(LineEnding::LF)?;
        let write = |path: &Path, mode: u32, bytes: &[u8]| {
            let mut file = File::options()
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(path)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write(path, 0o600, text.as_bytes()).map_err(|error| wrong(error.to_string()))?;
        let public = format!("{}\n", self.public_key);
        write(&path.with_extension("pub"), 0o644, public.as_bytes())
            .map_err(|error| wrong(error.to_string()))
    }
}

/// RSA goes through `ssh-keygen` as well: the library's RSA is not constant-time.
const fn can_hold(algorithm: &Algorithm) -> bool {
    matches!(algorithm, Algorithm::Ed25519 | Algorithm::Ecdsa { .. })
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(FILE_BYTES_MAX)
        .read_to_string(&mut text)?;
    Ok(text)
}
