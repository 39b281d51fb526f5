//! The host of the quickstart: `countersign` run as a hidden subcommand of itself, in a process of
//! its own, with a configuration of its own. It gets no door that another host would not have.

use super::QuickstartError;
use super::machine::Machine;
use super::stage::Step;
use crate::deployment::Deployment;
use countersign_domain::HostId;
use countersign_host::Config;
use countersign_host::config::{AptConfig, Pins};
use countersign_host::sandbox::Sandbox;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Lines of what a failed host said that are shown.
const SAID_LINES: usize = 6;
/// The longest line that is read from it, in bytes.
const LINE_BYTES_MAX: usize = 4096;

/// A host and its configuration.
pub(super) struct HostProcess {
    pub(super) host: HostId,
    pub(super) state_dir: PathBuf,
    config_path: PathBuf,
    config: Config,
    sandbox: bool,
}

/// Whether there is an apt-get to ask.
pub(super) fn apt_is_here() -> bool {
    Path::new("/usr/bin/apt-get").is_file()
}

/// Where the host's key lies.
pub(super) fn key_path(dir: &Path) -> PathBuf {
    dir.join("host/host.key")
}

impl HostProcess {
    /// Writes the configuration. Of the real machine everything is only read: private package
    /// lists, nothing executed.
    pub(super) fn configure(
        dir: &Path,
        deployment: &Deployment,
        machine: &Machine,
        sandbox: Option<&Sandbox>,
    ) -> Result<Self, QuickstartError> {
        let state_dir = dir.join("host");
        let apt = sandbox.map_or_else(
            || AptConfig {
                private: true,
                execute: false,
                ..AptConfig::default()
            },
            Sandbox::apt_config,
        );
        let config = Config {
            host: machine.host.clone(),
            deployment: deployment.config().deployment.clone(),
            genesis: deployment.config().genesis,
            server: String::new(),
            state_dir: state_dir.clone(),
            key_file: Some(key_path(dir)),
            observe_seconds: 3600,
            plan_seconds: 86_400,
            pins: Pins {
                tier: machine.tier,
                trial: true,
                required_humans: Vec::new(),
                emergency: Vec::new(),
                witness_quorum: 0,
                offline_start: false,
                lease_seconds_max: 60,
                clock_skew_seconds_max: 30,
            },
            apt,
            checks: sandbox.map(Sandbox::checks).unwrap_or_default(),
            recipes: Default::default(),
            hook: Default::default(),
            network: None,
        };
        let mut host = Self {
            host: machine.host.clone(),
            config_path: dir.join("host.toml"),
            state_dir,
            config,
            sandbox: sandbox.is_some(),
        };
        // The hook reads it before any server runs.
        host.write("http://127.0.0.1:1")?;
        Ok(host)
    }

    fn write(&mut self, server: &str) -> Result<(), QuickstartError> {
        self.config.server = server.to_owned();
        let invalid = |problem: String| QuickstartError::Invalid {
            field: "host configuration",
            problem,
        };
        let text = self
            .config
            .to_toml()
            .map_err(|error| invalid(error.to_string()))?;
        std::fs::write(&self.config_path, text).map_err(|source| QuickstartError::File {
            path: self.config_path.display().to_string(),
            source,
        })
    }

    /// The command that apt's hook runs in the sandbox.
    pub(super) fn hook_command(&self) -> Result<Vec<String>, QuickstartError> {
        let mut command = vec![std::env::current_exe()?.display().to_string()];
        command.extend(["host", "apt-hook", "--mode", "enforce", "--config"].map(str::to_owned));
        command.push(self.config_path.display().to_string());
        Ok(command)
    }

    /// Enrols it with the pinned genesis; the key is in the roster already.
    pub(super) fn enroll(
        &mut self,
        server: SocketAddr,
        step: &Step<'_>,
    ) -> Result<(), QuickstartError> {
        self.write(&format!("http://{server}"))?;
        self.run(&["enroll", "--keep-key"], step)
    }

    /// Observes and prepares what is asked.
    pub(super) fn prepare(&self, step: &Step<'_>) -> Result<(), QuickstartError> {
        self.run(&["run", "--once", "--prepare-only"], step)
    }

    /// Redeems, acts and settles.
    pub(super) fn act(&self, step: &Step<'_>) -> Result<(), QuickstartError> {
        self.run(&["run", "--once"], step)
    }

    fn run(&self, arguments: &[&str], step: &Step<'_>) -> Result<(), QuickstartError> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("host")
            .args(arguments)
            .arg("--config")
            .arg(&self.config_path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut said = Vec::new();
        if let Some(stderr) = child.stderr.take() {
            for line in BufReader::new(stderr).split(b'\n') {
                let mut line = line?;
                line.truncate(LINE_BYTES_MAX);
                let line = String::from_utf8_lossy(&line).into_owned();
                step.at(&line);
                said.push(line);
                if said.len() > SAID_LINES {
                    said.remove(0);
                }
            }
        }
        if child.wait()?.success() {
            return Ok(());
        }
        let hint = if self.sandbox {
            ""
        } else {
            "\nhint: `countersign quickstart --sandbox` needs no package mirror and no network at all"
        };
        Err(QuickstartError::Host {
            said: said.join("\n"),
            hint,
        })
    }
}
