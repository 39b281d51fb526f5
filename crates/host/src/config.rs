//! The host's own configuration: what the gate can only tighten. Root-owned in production; a file
//! that others could write is refused. Nothing here comes from the network.

use crate::durable;
use crate::network::Relay;
use countersign_domain::id::{CheckName, RecipeName};
use countersign_domain::{DeploymentId, Digest, GroupQuorum, HostId, Tier, canonical};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

mod pattern;
pub use pattern::Pattern;

/// The largest configuration file, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 1024 * 1024;
/// Health checks defined on one host at most: as many as one plan may hold.
pub const CHECKS_MAX: usize = countersign_verify::plan::CHECKS_MAX;

/// Where the daemon of a machine's own root listens for the hook.
pub const HOOK_SOCKET: &str = "/run/countersign/hook.sock";
/// The longest path of a socket, in bytes: the kernel's structure holds little more.
const SOCKET_BYTES_MAX: usize = 100;

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration `{path}`: {source}", path = .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others could change what this host enforces.
    #[error("configuration `{path}` {problem}; hint: `chown root: {path} && chmod go-w {path}`", path = .path.display())]
    Writable {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
    /// Not TOML, an unknown or missing field, or a value of the wrong form.
    #[error("configuration `{path}`: {problem}", path = .path.display())]
    Form {
        /// Where.
        path: PathBuf,
        /// What the reader says, with line and column.
        problem: String,
    },
    /// A value out of bounds.
    #[error("configuration field `{field}`: {problem}")]
    Field {
        /// The field at fault.
        field: String,
        /// What is wrong and what would be right.
        problem: String,
    },
}

/// Everything a host knows of itself before it talks to anybody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This host, as the roster names it.
    pub host: HostId,
    /// The deployment it belongs to.
    pub deployment: DeploymentId,
    /// Digest of the roster's first change, pinned out of band (`countersign roster show` on the gate's side).
    pub genesis: Digest,
    /// The gate: `https://…`, or `http://` on loopback.
    pub server: String,
    /// Journal, artifacts, package lists: a folder of this host alone.
    pub state_dir: PathBuf,
    /// The host's key; by default `host.key` in `state_dir`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Seconds between observations.
    #[serde(default = "defaults::observe_seconds")]
    pub observe_seconds: u32,
    /// How long this host stands by a prepared plan, in seconds.
    #[serde(default = "defaults::plan_seconds")]
    pub plan_seconds: u32,
    /// What this host demands whatever the gate says.
    pub pins: Pins,
    /// How packages are handled.
    #[serde(default)]
    pub apt: AptConfig,
    /// Health checks by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<CheckName, CheckConfig>,
    /// Recipes by name; reserved.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub recipes: BTreeMap<RecipeName, toml::Table>,
    /// Runs of apt that somebody else starts, and the hook sees.
    #[serde(default)]
    pub hook: HookConfig,
    /// Talk to the gate through a network process that is not root; directly when this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Relay>,
}

/// How runs are handled that the hook sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HookConfig {
    /// Where the daemon listens for the hook; see [`Config::hook_socket`] for the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// How long the hook waits for the daemon, in seconds. Then it refuses (or, observing, reports).
    pub wait_seconds: u32,
    /// This host starts nothing by itself: what is authorized waits for a run that the hook sees,
    /// such as that of unattended-upgrades.
    pub only_when_asked: bool,
}

impl Default for HookConfig {
    fn default() -> Self {
        Self {
            socket: None,
            wait_seconds: 45,
            only_when_asked: false,
        }
    }
}

/// What a host demands of every warrant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pins {
    /// This host's tier.
    pub tier: Tier,
    /// True when this host takes part in a trial: it accepts a trial's warrants.
    #[serde(default)]
    pub trial: bool,
    /// Groups whose members must have signed the very change, and how many; empty demands none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_humans: Vec<GroupQuorum>,
    /// Who may break the glass: groups and how many of each have to sign an emergency order, for this
    /// host to act without the gate. Empty: nobody may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emergency: Vec<GroupQuorum>,
    /// Witnesses that must have cosigned the checkpoint, besides what the roster demands.
    #[serde(default)]
    pub witness_quorum: u32,
    /// Whether this host may start without the gate's fresh answer; only `false` is built.
    #[serde(default)]
    pub offline_start: bool,
    /// How old the gate's answer may be, in seconds; at most 60.
    #[serde(default = "defaults::lease_seconds_max")]
    pub lease_seconds_max: u32,
    /// How far the clocks of gate and host may differ, in seconds.
    #[serde(default = "defaults::clock_skew_seconds_max")]
    pub clock_skew_seconds_max: u32,
}

/// How packages are handled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AptConfig {
    /// Exported as `APT_CONFIG`: another apt root than the machine's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<PathBuf>,
    /// The root that packages are installed under.
    pub root: PathBuf,
    /// Use package lists and cache of our own in `state_dir`: the machine is only read.
    pub private: bool,
    /// Whether this host acts; when false it observes and prepares only.
    pub execute: bool,
    /// Whether a missing old artifact may be rebuilt with `dpkg-repack`.
    pub repack: bool,
    /// Origins (as `apt-get -s` shows them) that are the distribution's security archive; `*` matches anything.
    pub security_origins: Vec<Pattern>,
    /// Package lists older than this are refreshed before observing, in seconds.
    pub refresh_seconds: u32,
    /// Downloaded at most to read changelogs, per observation, in MiB.
    pub changelog_mebibytes_max: u32,
    /// Spent at most on reading changelogs, per observation, in seconds.
    pub changelog_seconds_max: u32,
    /// An installation may take this long, in seconds.
    pub install_seconds_max: u32,
}

impl Default for AptConfig {
    fn default() -> Self {
        Self {
            config: None,
            root: PathBuf::from("/"),
            private: false,
            execute: true,
            repack: true,
            security_origins: ["Debian-Security:*", "Ubuntu*:*-security"]
                .into_iter()
                .map(|text| Pattern(text.to_owned()))
                .collect(),
            refresh_seconds: 3600,
            changelog_mebibytes_max: 300,
            changelog_seconds_max: 180,
            install_seconds_max: 1800,
        }
    }
}

/// One health check: exactly one of `command`, `http` and `tcp`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckConfig {
    /// A program and its arguments; it passes when it exits with 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// A URL; it passes when it answers with a status from 200 to 299.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// `host:port`; it passes when it takes a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<String>,
    /// How long it may take, in seconds.
    #[serde(default = "defaults::timeout_seconds")]
    pub timeout_seconds: u32,
    /// Changes that touch a matching package must pass it, whether the proposal names it or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Pattern>,
}

mod defaults {
    pub(super) const fn observe_seconds() -> u32 {
        3600
    }
    pub(super) const fn plan_seconds() -> u32 {
        86_400
    }
    pub(super) const fn lease_seconds_max() -> u32 {
        60
    }
    pub(super) const fn clock_skew_seconds_max() -> u32 {
        30
    }
    pub(super) const fn timeout_seconds() -> u32 {
        30
    }
}

impl Config {
    /// Reads and checks the configuration. Run as root, the file must be root's alone to write.
    ///
    /// # Errors
    /// Names the file or field at fault, and the remedy.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read_guarded(path)?.text;
        let config: Self = toml::from_str(&text).map_err(|error| ConfigError::Form {
            path: path.to_owned(),
            problem: error.to_string(),
        })?;
        config.check()?;
        Ok(config)
    }

    /// Checks what types alone do not give.
    ///
    /// # Errors
    /// Names the first field at fault and what would be right.
    pub fn check(&self) -> Result<(), ConfigError> {
        let wrong = |field: &str, problem: &str| {
            Err(ConfigError::Field {
                field: field.to_owned(),
                problem: problem.to_owned(),
            })
        };
        if !self.state_dir.is_absolute() {
            return wrong("state_dir", "must be an absolute path");
        }
        if !self.apt.root.is_absolute() {
            return wrong("apt.root", "must be an absolute path; the machine's is `/`");
        }
        if crate::client::check_server(&self.server).is_err() {
            return wrong(
                "server",
                "must start with `https://`; `http://` is taken on loopback only",
            );
        }
        if self.pins.offline_start {
            return wrong(
                "pins.offline_start",
                "starting without the gate's fresh answer is not built; leave it `false`",
            );
        }
        if !(1..=60).contains(&self.pins.lease_seconds_max) {
            return wrong("pins.lease_seconds_max", "must be 1 to 60");
        }
        if self.pins.clock_skew_seconds_max > 300 {
            return wrong("pins.clock_skew_seconds_max", "must be at most 300");
        }
        if self
            .pins
            .required_humans
            .iter()
            .any(|need| need.quorum == 0)
        {
            return wrong(
                "pins.required_humans",
                "a quorum of 0 demands nothing; leave the group out",
            );
        }
        if self.pins.emergency.iter().any(|need| need.quorum == 0) {
            return wrong(
                "pins.emergency",
                "a quorum of 0 demands nothing; leave the group out",
            );
        }
        if self.apt.private && self.apt.execute {
            return wrong(
                "apt.execute",
                "a host with private lists only observes; set `execute = false`, or `private = false`",
            );
        }
        if !(60..=30 * 86_400).contains(&self.plan_seconds) {
            return wrong("plan_seconds", "must be 60 to 2592000 (30 days)");
        }
        if !(10..=7 * 86_400).contains(&self.observe_seconds) {
            return wrong("observe_seconds", "must be 10 to 604800 (7 days)");
        }
        if !(30..=6 * 3600).contains(&self.apt.install_seconds_max) {
            return wrong("apt.install_seconds_max", "must be 30 to 21600 (6 hours)");
        }
        if !self.recipes.is_empty() {
            return wrong("recipes", "is reserved for a later version; leave it out");
        }
        // Less than the minute that this host's own apt waits for the lock: a hook that asks while
        // this host wants to act gives way first.
        if !(5..=50).contains(&self.hook.wait_seconds) {
            return wrong("hook.wait_seconds", "must be 5 to 50");
        }
        let socket = self.hook_socket();
        if !socket.is_absolute() || socket.as_os_str().len() > SOCKET_BYTES_MAX {
            return wrong(
                "hook.socket",
                "must be an absolute path of at most 100 bytes; set a shorter one",
            );
        }
        if let Some((field, problem)) = self.network.as_ref().and_then(|to| to.check().err()) {
            return wrong(field, problem);
        }
        if self.checks.len() > CHECKS_MAX {
            return wrong(
                "checks",
                "more than 64, as many as one plan may hold; merge some",
            );
        }
        for (name, check) in &self.checks {
            if let Err(problem) = check.check() {
                return wrong(&format!("checks.{name}"), problem);
            }
        }
        Ok(())
    }

    /// The configuration as TOML.
    ///
    /// # Errors
    /// When a value cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string_pretty(self)
    }

    /// Where the host's key lies.
    #[must_use]
    pub fn key_path(&self) -> PathBuf {
        self.key_file
            .clone()
            .unwrap_or_else(|| self.state_dir.join("host.key"))
    }

    /// Where the daemon listens for the hook: below `/run` for the machine's own root, in `state_dir`
    /// for any other root, so that a hook never asks the daemon of another one.
    #[must_use]
    pub fn hook_socket(&self) -> PathBuf {
        match &self.hook.socket {
            Some(path) => path.clone(),
            None if self.apt.root == Path::new("/") && !self.apt.private => {
                PathBuf::from(HOOK_SOCKET)
            }
            None => self.state_dir.join("hook.sock"),
        }
    }

    /// The digest of this host's own definitions of checks and recipes: a plan binds it, so that
    /// what was shown to approvers is what runs.
    ///
    /// # Errors
    /// When a recipe holds a number that JSON cannot carry exactly.
    pub fn definitions(&self) -> Result<Digest, canonical::CanonicalError> {
        #[derive(Serialize)]
        struct Definitions<'a> {
            checks: &'a BTreeMap<CheckName, CheckConfig>,
            recipes: &'a BTreeMap<RecipeName, toml::Table>,
        }
        canonical::digest(&Definitions {
            checks: &self.checks,
            recipes: &self.recipes,
        })
    }
}

/// A configuration file that was fit to be read.
pub(crate) struct Guarded {
    pub(crate) text: String,
    /// The user id it belongs to.
    pub(crate) owner: u32,
}

/// Reads a configuration file that only its owner can write: root, or whoever reads it, but root where
/// root reads.
pub(crate) fn read_guarded(path: &Path) -> Result<Guarded, ConfigError> {
    let io = |source| ConfigError::Io {
        path: path.to_owned(),
        source,
    };
    let metadata = std::fs::metadata(path).map_err(io)?;
    let writable = |problem| ConfigError::Writable {
        path: path.to_owned(),
        problem,
    };
    if metadata.mode() & 0o022 != 0 {
        return Err(writable("can be written by its group or by everybody"));
    }
    let me = rustix::process::geteuid();
    if me.is_root() && metadata.uid() != 0 {
        return Err(writable("does not belong to root, who would act on it"));
    }
    if ![0, me.as_raw()].contains(&metadata.uid()) {
        return Err(writable("belongs to somebody else, who could change it"));
    }
    let bytes = durable::read_bounded(path, CONFIG_BYTES_MAX).map_err(io)?;
    let text = String::from_utf8(bytes).map_err(|_| ConfigError::Form {
        path: path.to_owned(),
        problem: "is not UTF-8".into(),
    })?;
    Ok(Guarded {
        text,
        owner: metadata.uid(),
    })
}

impl CheckConfig {
    fn check(&self) -> Result<(), &'static str> {
        let kinds = [
            self.command.is_some(),
            self.http.is_some(),
            self.tcp.is_some(),
        ];
        if kinds.into_iter().filter(|set| *set).count() != 1 {
            return Err("set exactly one of `command`, `http` and `tcp`");
        }
        if !(1..=600).contains(&self.timeout_seconds) {
            return Err("`timeout_seconds` must be 1 to 600");
        }
        let absolute = |words: &Vec<String>| words.first().is_some_and(|p| p.starts_with('/'));
        if self.command.as_ref().is_some_and(|words| !absolute(words)) {
            return Err("`command` must start with the absolute path of a program");
        }
        let url = |text: &String| text.starts_with("http://") || text.starts_with("https://");
        if self.http.as_ref().is_some_and(|text| !url(text)) {
            return Err("`http` must be a URL");
        }
        let port = |text: &String| {
            text.rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        if self.tcp.as_ref().is_some_and(|text| !port(text)) {
            return Err("`tcp` must be `host:port`");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
