//! `deployment.toml`: which deployment a directory holds, and how it is reached. No secrets.

use super::{DeploymentError, private};
use countersign_domain::{DeploymentId, Digest};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;

/// The form of the directory that this program writes and reads.
pub const FORM: u32 = 1;
/// The file's name.
const NAME: &str = "deployment.toml";
/// The longest file that is read, in bytes.
const BYTES_MAX: u64 = 64 * 1024;

/// The configuration of a data directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The form of the directory.
    pub form: u32,
    /// The deployment.
    pub deployment: DeploymentId,
    /// The digest of its genesis, which hosts pin.
    pub genesis: Digest,
    /// Where `countersign serve` listens.
    pub listen: SocketAddr,
    /// Addresses at which people reach it, such as `http://localhost:8440`.
    #[serde(default)]
    pub origins: Vec<String>,
    /// Where the witnesses of the authorizations log are asked.
    #[serde(default, rename = "witness", skip_serializing_if = "Vec::is_empty")]
    pub witnesses: Vec<WitnessAddress>,
}

/// A witness and where it is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessAddress {
    /// Its verifier key, in signed-note form.
    pub vkey: String,
    /// The prefix of its `add-checkpoint`, such as `http://127.0.0.1:8441`.
    pub url: String,
}

#[derive(Deserialize)]
struct FormOnly {
    form: u32,
}

impl Config {
    /// Reads the configuration in `dir`.
    ///
    /// # Errors
    /// When there is none, it is of a newer form, or malformed.
    pub fn read(dir: &Path) -> Result<Self, DeploymentError> {
        let path = dir.join(NAME);
        let file = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(DeploymentError::Absent(dir.to_owned()));
            }
            opened => opened.map_err(DeploymentError::file(&path))?,
        };
        let mut text = String::new();
        file.take(BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(DeploymentError::file(&path))?;
        let wrong = |error: toml::de::Error| DeploymentError::damaged(&path, error.to_string());
        // The form first: what a newer form holds besides is not ours to judge.
        let found = toml::from_str::<FormOnly>(&text).map_err(wrong)?.form;
        if found > FORM {
            return Err(DeploymentError::Newer {
                dir: dir.to_owned(),
                found,
                known: FORM,
            });
        }
        toml::from_str(&text).map_err(wrong)
    }

    /// Writes it into `dir`, replacing the one that is there.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write(&self, dir: &Path) -> Result<(), DeploymentError> {
        let path = dir.join(NAME);
        let text = toml::to_string(self)
            .map_err(|error| DeploymentError::damaged(&path, error.to_string()))?;
        private::replace(&path, text.as_bytes())
    }
}
