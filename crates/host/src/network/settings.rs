//! The network process's own configuration: which server, which socket. Root writes it, so that the
//! process itself cannot. Holds no secret.

use crate::client::check_server;
use crate::config::{ConfigError, read_guarded};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// What the network process knows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The gate: `https://…`, or `http://` on loopback. There is no other place it talks to.
    pub server: String,
    /// Where it listens.
    #[serde(default = "super::socket_path")]
    pub socket: PathBuf,
    /// Run even where the kernel enforces no sandbox. Taken only from a file that belongs to root,
    /// and said at every start.
    #[serde(default)]
    pub unsandboxed: bool,
}

impl Settings {
    /// Reads and checks the configuration. Others than root and this process's user must not be able
    /// to write it; run as root, root alone.
    ///
    /// # Errors
    /// Names the file or field at fault, and the remedy.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let read = read_guarded(path)?;
        let settings: Self = toml::from_str(&read.text).map_err(|error| ConfigError::Form {
            path: path.to_owned(),
            problem: error.to_string(),
        })?;
        let wrong = |field: &str, problem: &str| {
            Err(ConfigError::Field {
                field: field.to_owned(),
                problem: problem.to_owned(),
            })
        };
        if check_server(&settings.server).is_err() {
            return wrong(
                "server",
                "must start with `https://`; `http://` is taken on loopback only",
            );
        }
        if settings.port().is_none() {
            return wrong("server", "names a port that does not exist");
        }
        if !settings.socket.is_absolute() {
            return wrong("socket", "must be an absolute path");
        }
        if settings.unsandboxed && read.owner != 0 {
            return wrong(
                "unsandboxed",
                "is taken only from a file that belongs to root",
            );
        }
        Ok(settings)
    }

    /// The server's port; none where it is not a number of one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        let uri: ureq::http::Uri = self.server.parse().ok()?;
        let authority = uri.authority()?;
        match (authority.port_u16(), uri.scheme_str()) {
            (Some(port), _) => Some(port),
            // What stands behind the host is no number.
            (None, _) if authority.as_str() != authority.host() => None,
            (None, Some("https")) => Some(443),
            (None, _) => Some(80),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn load(text: &str) -> Result<Settings, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("network.toml");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        Settings::load(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn the_port_is_the_servers() {
        for (server, port) in [
            ("https://gate.example", 443),
            ("https://gate.example:8443/below", 8443),
            ("http://127.0.0.1:8440", 8440),
            ("http://[::1]", 80),
            ("http://[::1]:81", 81),
        ] {
            let settings = load(&format!("server = \"{server}\"")).unwrap();
            assert_eq!(settings.port(), Some(port), "{server}");
        }
        for wrong in [
            "https://gate.example:99999",
            "http://gate.example",
            "https://gate:",
        ] {
            let error = load(&format!("server = \"{wrong}\"")).unwrap_err();
            assert!(error.contains("`server`"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_wrong_field_is_named() {
        let server = "server = \"https://gate.example\"\n";
        for (line, said) in [
            ("socket = \"here.sock\"", "`socket`"),
            ("key = \"x\"", "key"),
            ("unsandboxed = \"yes\"", "unsandboxed"),
        ] {
            let error = load(&format!("{server}{line}")).unwrap_err();
            assert!(error.contains(said), "{line}: {error}");
        }
        assert!(!load(server).unwrap().unsandboxed);
    }
}
