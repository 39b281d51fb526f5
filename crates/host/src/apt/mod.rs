//! Debian packages through apt and dpkg, with argv and environment of our own.
//!
//! Only [`install`] changes what is installed, and only `act` may call it. Everything else reads,
//! or writes below `state_dir`. No shell, no text from a proposal that is not a checked name or
//! version, a deadline on every child.

pub mod changelog;
pub mod deb;
mod error;
pub mod fetch;
pub mod index;
pub mod inspect;
pub mod install;
pub mod lists;
pub mod rollback;
pub mod simulate;
pub mod version;

pub use error::AptError;

use crate::child::{Ended, Run};
use crate::config::AptConfig;
use crate::durable;
use countersign_domain::{Architecture, PackageName, Version};
use std::path::{Path, PathBuf};

/// A package in one version, as apt is asked for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spec {
    /// The package.
    pub name: PackageName,
    /// Its architecture.
    pub architecture: Architecture,
    /// The version.
    pub version: Version,
}

/// apt on this machine, or in a root of its own.
#[derive(Debug, Clone)]
pub struct Apt {
    config: AptConfig,
    folder: PathBuf,
    native: Architecture,
    /// True when lists of our own are in use; false when the machine's are.
    private_lists: bool,
    /// True when this looks at an excerpt of the lists; see `lists`.
    excerpt: bool,
}

impl Apt {
    /// Finds apt and writes the few settings of ours below `state_dir`. Changes nothing else.
    ///
    /// # Errors
    /// When apt or dpkg is missing, or `state_dir` cannot be written.
    pub fn open(config: &AptConfig, state_dir: &Path) -> Result<Self, AptError> {
        let ended = Run::new("dpkg").arg("--print-architecture").end()?;
        let native = Architecture::new(ended.text().trim())
            .map_err(|error| AptError::said("dpkg --print-architecture", &error.to_string()))?;
        // A missing apt-get is found here, not in the middle of something.
        Run::new("apt-get").arg("--version").end()?;
        let mut apt = Self {
            config: config.clone(),
            folder: state_dir.join("apt"),
            native,
            private_lists: config.private,
            excerpt: false,
        };
        apt.write_settings()?;
        if apt.private_lists && !apt.has_lists()? && apt.machine_has_lists()? {
            // Until they are refreshed, the machine's own lists are better than none.
            apt.private_lists = false;
            apt.write_settings()?;
        }
        Ok(apt)
    }

    /// The configuration that this was opened with.
    #[must_use]
    pub const fn config(&self) -> &AptConfig {
        &self.config
    }

    /// The machine's own architecture.
    #[must_use]
    pub const fn native(&self) -> &Architecture {
        &self.native
    }

    fn settings_path(&self) -> PathBuf {
        self.folder.join(if self.excerpt {
            "excerpt.conf"
        } else {
            "own.conf"
        })
    }

    fn own_lists(&self) -> PathBuf {
        self.folder.join(if self.excerpt {
            "excerpt-lists"
        } else {
            "lists"
        })
    }

    /// Settings read by apt after all others. They move the cache (and, private, the lists) to our
    /// own folder; they never touch the hooks that guard an installation.
    fn write_settings(&self) -> Result<(), AptError> {
        let cache = self.folder.join(if self.excerpt {
            "excerpt-cache"
        } else {
            "cache"
        });
        for folder in [
            cache.join("archives/partial"),
            self.own_lists().join("partial"),
        ] {
            durable::folder(&folder).map_err(|source| AptError::io(&folder, source))?;
        }
        let mut text = format!(
            "Dir::Cache \"{}/\";\nDir::Cache::pkgcache \"pkgcache.bin\";\nDir::Cache::srcpkgcache \"srcpkgcache.bin\";\n",
            cache.display()
        );
        if self.config.private || self.excerpt {
            // Even a simulation leaves a log of its planner, when root runs it.
            text.push_str("Dir::Log::Planner \"/dev/null\";\nDir::Log::Solver \"/dev/null\";\n");
        }
        if self.private_lists || self.excerpt {
            // The machine's own hooks around `update` would act on the machine (clean its cache,
            // tell a desktop): not wanted here.
            for hook in ["Pre-Invoke", "Post-Invoke", "Post-Invoke-Success"] {
                text.push_str(&format!("#clear APT::Update::{hook};\n"));
            }
            for size in [
                "",
                "-icons",
                "-icons-small",
                "-icons-hidpi",
                "-icons-large",
                "-icons-large-hidpi",
            ] {
                text.push_str(&format!(
                    "#clear Acquire::IndexTargets::deb::DEP-11{size};\n"
                ));
            }
            text.push_str(&format!(
                "Dir::State::lists \"{}/\";\nAcquire::GzipIndexes \"false\";\nAcquire::Languages \"none\";\n",
                self.own_lists().display()
            ));
        }
        if rustix::process::geteuid().is_root() {
            // apt's download user could not enter a folder that only root may read.
            text.push_str("APT::Sandbox::User \"root\";\n");
        }
        let path = self.settings_path();
        durable::replace(&path, text.as_bytes()).map_err(|source| AptError::io(&path, source))
    }

    fn environment(&self, mut run: Run) -> Run {
        run = run
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("DEBIAN_PRIORITY", "critical")
            .env("APT_LISTCHANGES_FRONTEND", "none")
            .env("APT_LISTBUGS_FRONTEND", "none");
        if let Some(path) = &self.config.config {
            run = run.env("APT_CONFIG", path);
        }
        run
    }

    /// An unprivileged person's proxy, for downloads only; a root-owned host has its own in
    /// `apt.conf`, and nothing from the environment is trusted there.
    fn with_proxy(&self, mut run: Run) -> Run {
        if self.config.private {
            for name in ["http_proxy", "https_proxy", "no_proxy"] {
                if let Some(value) = std::env::var_os(name) {
                    run = run.env(name, value);
                }
            }
        }
        run
    }

    fn apt(&self, program: &str) -> Run {
        self.environment(Run::new(program))
            .arg("-c")
            .arg(self.settings_path())
            .bytes_max(32 * 1024 * 1024)
    }

    /// apt-get that knows no archive at all: nothing can be pulled in but the files that it is given,
    /// and nothing can be fetched. (`--no-download` would refuse local files too.)
    fn apt_without_sources(&self) -> Run {
        self.apt("apt-get").args([
            "-o",
            "Dir::Etc::sourcelist=/dev/null",
            "-o",
            "Dir::Etc::sourceparts=/dev/null",
            "-o",
            "Dir::Cache::pkgcache=",
            "-o",
            "Dir::Cache::srcpkgcache=",
        ])
    }

    fn admin_folder(&self) -> PathBuf {
        self.config.root.join("var/lib/dpkg")
    }

    /// How apt is asked for this version. `name:arch=version`; the architecture is left out where
    /// it is the native one or `all`, which apt does not take everywhere.
    fn argument(&self, spec: &Spec) -> Result<String, AptError> {
        // apt reads a trailing `+` or `-` as "install" or "remove".
        if spec.version.as_str().ends_with(['+', '-']) {
            return Err(AptError::said(
                "apt-get",
                &format!(
                    "version `{}` ends in a sign that apt would misread",
                    spec.version
                ),
            ));
        }
        let name = self.qualified(&spec.name, &spec.architecture);
        Ok(format!("{name}={}", spec.version))
    }

    fn qualified(&self, name: &PackageName, architecture: &Architecture) -> String {
        if *architecture == self.native || architecture.as_str() == "all" {
            name.to_string()
        } else {
            format!("{name}:{architecture}")
        }
    }
}

/// The text of a child that must have ended well.
fn succeeded(what: &'static str, ended: &Ended) -> Result<String, AptError> {
    if ended.status.success() {
        Ok(ended.text())
    } else {
        Err(AptError::said(what, &ended.complaint()))
    }
}
