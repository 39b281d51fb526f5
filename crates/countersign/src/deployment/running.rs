//! `server.json`: where the running server listens. Written by the server, read by the CLI; it only
//! counts while the process that it names holds the store.

use super::{DeploymentError, private};
use serde::{Deserialize, Serialize};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFile {
    /// Where it listens.
    pub address: SocketAddr,
    /// The server's process id.
    pub process: u32,
}

fn path(dir: &Path) -> PathBuf {
    dir.join("server.json")
}

impl ServerFile {
    /// Writes it into `dir`.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write(&self, dir: &Path) -> Result<(), DeploymentError> {
        let text = serde_json::to_vec(self)
            .map_err(|error| DeploymentError::damaged(dir, error.to_string()))?;
        private::replace(&path(dir), &text)
    }

    /// Reads it; none where there is none that can be read.
    #[must_use]
    pub fn read(dir: &Path) -> Option<Self> {
        let text = private::read(&path(dir), 1000).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Removes it.
    pub fn remove(dir: &Path) {
        // A file that stays behind does no harm: it names a process that no longer holds the store.
        let _ = fs::remove_file(path(dir));
    }
}
