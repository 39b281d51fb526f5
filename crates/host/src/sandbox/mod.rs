//! A private apt root with demonstration packages: real apt and dpkg, no root rights, no chroot, no
//! network. It lives only in a folder that this module made itself, and never touches the machine.

mod build;
mod packages;

use crate::child::{ChildError, Run};
use crate::config::{AptConfig, CheckConfig, Pattern};
use build::Built;
use countersign_domain::Digest;
use countersign_domain::id::CheckName;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Marks a folder as ours.
const MARK: &str = ".countersign-sandbox";

/// Why the sandbox cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The folder is somebody else's.
    #[error("`{}` exists and is no sandbox of ours; name a folder that does not exist yet", .0.display())]
    Foreign(PathBuf),
    /// apt cannot take such a path.
    #[error("`{}` cannot hold a private apt root: its path must be absolute, of letters, digits and `/ . _ -`, and at most 150 long; choose another with `--dir`", .0.display())]
    Path(PathBuf),
    /// A file could not be written.
    #[error("sandbox `{path}`: {source}", path = .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A tool is missing or failed.
    #[error(
        "sandbox: {0}; hint: it needs `apt-get`, `dpkg` and `dpkg-deb`, as every Debian and Ubuntu has"
    )]
    Tool(#[from] ChildError),
    /// A tool said no.
    #[error("sandbox: `{what}`: {said}")]
    Said {
        /// What was run.
        what: &'static str,
        /// What it said.
        said: String,
    },
    /// No such demonstration package.
    #[error("the sandbox has no package `{0}` in version `{1}`")]
    Unknown(String, String),
}

impl SandboxError {
    fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    fn succeeded(what: &'static str, run: Run) -> Result<String, Self> {
        let ended = run.end()?;
        if ended.status.success() {
            Ok(ended.text())
        } else {
            Err(Self::Said {
                what,
                said: ended.complaint(),
            })
        }
    }
}

/// How a plain `apt-get` ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainRun {
    /// Its exit code; none when a signal ended it.
    pub exit_code: Option<i32>,
    /// The end of what it said.
    pub said: String,
}

/// A private apt root.
#[derive(Debug, Clone)]
pub struct Sandbox {
    folder: PathBuf,
    built: Vec<Built>,
}

impl Sandbox {
    /// Builds the root, its archives and packages in `folder`, which must not exist yet or be a
    /// sandbox of ours (which is then built anew). Old versions are installed; nothing guards it yet.
    ///
    /// # Errors
    /// When the folder is not ours, or a tool is missing or fails.
    pub fn build(folder: &Path) -> Result<Self, SandboxError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-".contains(&b);
        let path_fits = folder.is_absolute()
            && folder.as_os_str().len() <= 150
            && folder
                .as_os_str()
                .as_encoded_bytes()
                .iter()
                .all(|b| plain(*b));
        if !path_fits {
            return Err(SandboxError::Path(folder.to_owned()));
        }
        if folder.exists() {
            let empty = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
            if !empty && !folder.join(MARK).is_file() {
                return Err(SandboxError::Foreign(folder.to_owned()));
            }
            let _ = fs::remove_file(folder.join("dpkg-hook"));
            for part in ["root", "repository", "aside"] {
                let part = folder.join(part);
                if part.exists() {
                    fs::remove_dir_all(&part).map_err(|source| SandboxError::io(&part, source))?;
                }
            }
        }
        build::place(&folder.join(MARK), b"made by countersign\n", 0o644)?;
        let built = build::archives(&folder.join("repository"), &folder.join("aside"))?;
        let sandbox = Self {
            folder: folder.to_owned(),
            built,
        };
        sandbox.lay_out()?;
        sandbox.install_old()?;
        SandboxError::succeeded("apt-get update", sandbox.apt_get().args(["-q", "update"]))?;
        Ok(sandbox)
    }

    /// The root that packages are installed under.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// What `APT_CONFIG` names.
    #[must_use]
    pub fn apt_config_path(&self) -> PathBuf {
        self.folder.join("apt.conf")
    }

    /// The host configuration's `[apt]` for this root.
    #[must_use]
    pub fn apt_config(&self) -> AptConfig {
        AptConfig {
            config: Some(self.apt_config_path()),
            root: self.root(),
            private: false,
            execute: true,
            repack: false,
            security_origins: vec![Pattern("Demo-Security:*".into())],
            install_seconds_max: 120,
            ..AptConfig::default()
        }
    }

    /// One health check per service: it runs the test that the service brings.
    #[must_use]
    pub fn checks(&self) -> BTreeMap<CheckName, CheckConfig> {
        packages::SERVICES
            .into_iter()
            .filter_map(|name| {
                let test = self.root().join("usr/lib").join(name).join("selftest");
                let check = CheckConfig {
                    command: Some(vec!["/bin/sh".into(), test.display().to_string()]),
                    http: None,
                    tcp: None,
                    timeout_seconds: 10,
                    packages: vec![Pattern(name.into())],
                };
                CheckName::new(format!("{name}-healthy"))
                    .ok()
                    .map(|name| (name, check))
            })
            .collect()
    }

    /// Puts the apt hook in place: from now on every `apt-get` in this root asks it. The first word
    /// of `command` is an absolute path without white space.
    ///
    /// # Errors
    /// When a word cannot stand in apt's configuration, or it cannot be written.
    pub fn guard(&self, command: &[String]) -> Result<(), SandboxError> {
        let path = self.root().join("etc/apt/apt.conf.d/90countersign");
        let text = crate::hook::apt_configuration(command).ok_or_else(|| {
            SandboxError::Path(command.first().map(PathBuf::from).unwrap_or_default())
        })?;
        build::place(&path, text.as_bytes(), 0o644)
    }

    /// Puts the dpkg hook in place: from now on every dpkg that apt calls in this root asks it, and
    /// every one that [`Sandbox::plain_dpkg`] does. (dpkg's own folder of settings is the machine's.)
    ///
    /// # Errors
    /// As [`Sandbox::guard`].
    pub fn guard_dpkg(&self, command: &[String]) -> Result<(), SandboxError> {
        let line = crate::hook::dpkg_configuration(command).ok_or_else(|| {
            SandboxError::Path(command.first().map(PathBuf::from).unwrap_or_default())
        })?;
        let option = format!("--{}", line.trim_end());
        build::place(&self.dpkg_hook_path(), option.as_bytes(), 0o644)?;
        let text = format!("DPkg::Options:: \"{option}\";\n");
        let path = self.root().join("etc/apt/apt.conf.d/91countersign-dpkg");
        build::place(&path, text.as_bytes(), 0o644)
    }

    fn dpkg_hook_path(&self) -> PathBuf {
        self.folder.join("dpkg-hook")
    }

    /// Runs a plain dpkg in this root, as somebody without a warrant would.
    ///
    /// # Errors
    /// When dpkg cannot be run.
    pub fn plain_dpkg(&self, arguments: &[&str]) -> Result<PlainRun, SandboxError> {
        let hook = fs::read_to_string(self.dpkg_hook_path()).ok();
        let ended = Run::new("dpkg")
            .args(self.dpkg_options())
            .args(hook)
            .args(arguments)
            .end()?;
        Ok(PlainRun {
            exit_code: ended.status.code(),
            said: ended.complaint(),
        })
    }

    /// The file of a demonstration package.
    #[must_use]
    pub fn file(&self, name: &str, version: &str) -> Option<&Path> {
        self.find(name, version).map(|built| built.path.as_path())
    }

    /// The digest of a demonstration package's file.
    #[must_use]
    pub fn digest(&self, name: &str, version: &str) -> Option<Digest> {
        self.find(name, version).map(|built| built.sha256)
    }

    /// Swaps the artifact that a host retained for this version by another one of the same name
    /// and version, as an attacker on the host would.
    ///
    /// # Errors
    /// When there is no such package, or no such artifact is retained below `state_dir`.
    pub fn swap_retained(
        &self,
        state_dir: &Path,
        name: &str,
        version: &str,
    ) -> Result<(), SandboxError> {
        let built = self
            .find(name, version)
            .ok_or_else(|| SandboxError::Unknown(name.into(), version.into()))?;
        let target = crate::artifact::Artifacts::new(state_dir).path(&built.sha256);
        if !target.is_file() {
            return Err(SandboxError::Unknown(name.into(), version.into()));
        }
        let scratch = tempfile::tempdir_in(&self.folder)
            .map_err(|source| SandboxError::io(&self.folder, source))?;
        let other = build::package(&built.demo, scratch.path(), "swapped\n")?;
        fs::copy(&other, &target)
            .map(drop)
            .map_err(|source| SandboxError::io(&target, source))
    }

    /// Runs a plain `apt-get install` of a package in this root, as somebody without a warrant would.
    ///
    /// # Errors
    /// When apt-get cannot be run.
    pub fn plain_install(&self, argument: &str) -> Result<PlainRun, SandboxError> {
        self.plain_install_all(&[argument])
    }

    /// The same, of several packages at once.
    ///
    /// # Errors
    /// When apt-get cannot be run.
    pub fn plain_install_all(&self, arguments: &[&str]) -> Result<PlainRun, SandboxError> {
        let ended = self
            .apt_get()
            .args(["-y", "-q", "install", "--"])
            .args(arguments)
            .end()?;
        Ok(PlainRun {
            exit_code: ended.status.code(),
            said: ended.complaint(),
        })
    }

    /// Puts an older version back, as somebody without a warrant would.
    ///
    /// # Errors
    /// When apt-get cannot be run.
    pub fn plain_downgrade(&self, argument: &str) -> Result<PlainRun, SandboxError> {
        let ended = self
            .apt_get()
            .args(["-y", "-q", "--allow-downgrades", "install", "--", argument])
            .end()?;
        Ok(PlainRun {
            exit_code: ended.status.code(),
            said: ended.complaint(),
        })
    }

    fn find(&self, name: &str, version: &str) -> Option<&Built> {
        self.built
            .iter()
            .find(|built| built.demo.name == name && built.demo.version == version)
    }

    fn apt_get(&self) -> Run {
        Run::new("apt-get")
            .env("APT_CONFIG", self.apt_config_path())
            .env("DEBIAN_FRONTEND", "noninteractive")
            // apt takes a cache for current that is as old, to the second, as what dpkg says is
            // installed: in a sandbox, versions change several times in one.
            .args([
                "-o",
                "Dir::Cache::pkgcache=",
                "-o",
                "Dir::Cache::srcpkgcache=",
            ])
    }

    /// Options that let dpkg work below the root without rights of root.
    fn dpkg_options(&self) -> [String; 5] {
        let root = self.root();
        [
            format!("--root={}", root.display()),
            format!("--log={}", root.join("var/log/dpkg.log").display()),
            "--force-not-root".into(),
            "--force-script-chrootless".into(),
            "--force-bad-path".into(),
        ]
    }

    fn lay_out(&self) -> Result<(), SandboxError> {
        let root = self.root();
        for part in [
            "etc/apt/apt.conf.d",
            "etc/apt/preferences.d",
            "etc/apt/sources.list.d",
            "etc/apt/trusted.gpg.d",
            "var/lib/apt/lists/partial",
            "var/cache/apt/archives/partial",
            "var/log/apt",
            "var/lib/dpkg/info",
            "var/lib/dpkg/updates",
            "var/lib/dpkg/triggers",
        ] {
            build::folder(&root.join(part))?;
        }
        build::place(&root.join("var/lib/dpkg/status"), b"", 0o644)?;
        let repository = self.folder.join("repository");
        let sources: String = ["demo", "demo-security"]
            .into_iter()
            .map(|suite| {
                format!(
                    "deb [trusted=yes] copy:{}/{suite} ./\n",
                    repository.display()
                )
            })
            .collect();
        build::place(
            &root.join("etc/apt/sources.list"),
            sources.as_bytes(),
            0o644,
        )?;
        let shown = root.display();
        let mut text = format!(
            "Dir \"{shown}/\";\nDir::State::status \"{shown}/var/lib/dpkg/status\";\nDir::Etc::trustedparts \"{shown}/etc/apt/trusted.gpg.d/\";\nDir::Bin::methods \"/usr/lib/apt/methods\";\nDir::Bin::dpkg \"/usr/bin/dpkg\";\nDir::Bin::solvers:: \"/usr/lib/apt/solvers\";\nDir::Bin::planners:: \"/usr/lib/apt/planners\";\nAPT::Sandbox::User \"\";\nAPT::Get::Show-Versions \"false\";\nAcquire::Languages \"none\";\nDPkg::Chroot-Directory \"/\";\nDPkg::Options {{\n"
        );
        for option in self.dpkg_options() {
            text.push_str(&format!("  \"{option}\";\n"));
        }
        text.push_str("};\n");
        build::place(&self.apt_config_path(), text.as_bytes(), 0o644)
    }

    fn install_old(&self) -> Result<(), SandboxError> {
        let old = self.built.iter().filter(|built| built.demo.installed);
        let run = Run::new("dpkg")
            .args(self.dpkg_options())
            .arg("-i")
            .args(old.map(|built| &built.path));
        SandboxError::succeeded("dpkg -i", run)?;
        // The versions that no archive offers are gone for good: there is no way back to them.
        let aside = self.folder.join("aside");
        fs::remove_dir_all(&aside).map_err(|source| SandboxError::io(&aside, source))
    }
}
