//! The gate's three keys: one for warrants and leases, one for each log's checkpoints. Seeds lie in
//! files of mode 0600, never in arguments or logs.

use super::{DeploymentError, private};
use crate::ambient;
use countersign_domain::DeploymentId;
use countersign_domain::roster::GateKeys;
use countersign_gate::found::hex_key;
use countersign_ledger::{LogSigner, Origin};
use countersign_store::{Log, Signers};
use countersign_verify::log::{authorizations_origin, recommendations_origin};
use ed25519_dalek::SigningKey;
use std::path::Path;

const FOLDER: &str = "keys";
const WARRANT: &str = "warrant.seed";

pub(super) struct Keys {
    pub(super) warrant: SigningKey,
    pub(super) log_signers: Signers,
}

impl Keys {
    /// Makes new keys and writes them below `dir`.
    pub(super) fn create(dir: &Path, deployment: &DeploymentId) -> Result<Self, DeploymentError> {
        let folder = dir.join(FOLDER);
        private::create_folder(&folder)?;
        for name in [
            WARRANT.to_owned(),
            seed_of(Log::Authorizations),
            seed_of(Log::Recommendations),
        ] {
            let seed: [u8; 32] = ambient::random();
            private::create(
                &folder.join(name),
                format!("{}\n", hex::encode(seed)).as_bytes(),
            )?;
        }
        private::sync_folder(&folder)?;
        Self::read(dir, deployment)
    }

    /// Reads the keys below `dir`.
    pub(super) fn read(dir: &Path, deployment: &DeploymentId) -> Result<Self, DeploymentError> {
        let folder = dir.join(FOLDER);
        private::check_folder(&folder)?;
        let signer = |log: Log, origin: String| {
            let path = folder.join(seed_of(log));
            let wrong =
                |error: &dyn std::fmt::Display| DeploymentError::damaged(&path, error.to_string());
            let origin = Origin::new(&origin).map_err(|error| wrong(&error))?;
            LogSigner::from_seed(origin, &seed(&path)?).map_err(|error| wrong(&error))
        };
        Ok(Self {
            warrant: SigningKey::from_bytes(&seed(&folder.join(WARRANT))?),
            log_signers: Signers {
                authorizations: signer(Log::Authorizations, authorizations_origin(deployment))?,
                recommendations: signer(Log::Recommendations, recommendations_origin(deployment))?,
            },
        })
    }

    /// The public halves, as the roster has them.
    pub(super) fn public(&self) -> GateKeys {
        GateKeys {
            warrant: hex_key(&self.warrant),
            authorizations: self.log_signers.authorizations.vkey(),
            recommendations: self.log_signers.recommendations.vkey(),
        }
    }
}

fn seed_of(log: Log) -> String {
    format!("{}.seed", log.as_str())
}

fn seed(path: &Path) -> Result<[u8; 32], DeploymentError> {
    let text = private::read(path, 100)?;
    let mut seed = [0; 32];
    hex::decode_to_slice(text.trim(), &mut seed).map_err(|_| {
        DeploymentError::damaged(
            path,
            "expected a seed of 64 hex digits; restore it from a backup",
        )
    })?;
    Ok(seed)
}
