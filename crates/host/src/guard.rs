//! What makes apt and dpkg ask the hooks: two files in their configuration, written and taken away.
//! The package's `prerm` takes them away as well, before the program. Decides nothing; see `hook`.

use crate::config::{Config, ConfigError};
use crate::hook::{Mode, apt_configuration, dpkg_configuration};
use clap::ValueEnum as _;
use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Below a root, what makes apt ask; `packaging/debian/prerm` knows it too.
pub const APT: &str = "etc/apt/apt.conf.d/90countersign";
/// Below a root, what makes dpkg ask; `packaging/debian/prerm` knows it too.
pub const DPKG: &str = "etc/dpkg/dpkg.cfg.d/countersign";

/// Why the hooks could not be switched on or off.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The hooks would refuse everything.
    #[error("{0}; the hooks would refuse every change, so they are not switched on")]
    Config(#[from] ConfigError),
    /// A path cannot stand in the configuration of apt and dpkg.
    #[error("`{program}` with `{config}` cannot stand in the configuration of apt: both must be absolute paths of letters, digits and `/ . _ - + = @ ,`", program = .program.display(), config = .config.display())]
    Words {
        /// The program.
        program: PathBuf,
        /// The host's configuration.
        config: PathBuf,
    },
    /// A file could not be written or removed.
    #[error("`{path}`: {source}; hint: this is for root", path = .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Makes apt and dpkg below `root` ask `program`, which works by the configuration at `config`. Returns
/// the files it wrote. Running it again sets the mode anew.
///
/// # Errors
/// When the configuration cannot be used (a hook without one refuses everything), or a file cannot be
/// written.
pub fn enable(
    root: &Path,
    program: &Path,
    config: &Path,
    mode: Mode,
) -> Result<[PathBuf; 2], GuardError> {
    Config::load(config)?;
    let words = || GuardError::Words {
        program: program.to_owned(),
        config: config.to_owned(),
    };
    let mode = mode.to_possible_value().ok_or_else(words)?;
    let command = |hook: &str| -> Option<Vec<String>> {
        let (program, config) = (program.to_str()?, config.to_str()?);
        // Where it is read from another folder than here, a relative path would be another file.
        config.starts_with('/').then_some(())?;
        let words = [program, hook, "--config", config, "--mode", mode.get_name()];
        Some(words.map(str::to_owned).to_vec())
    };
    let text = |hook, configuration: fn(&[String]) -> Option<String>| {
        let text = command(hook).and_then(|command| configuration(&command));
        text.ok_or_else(words)
    };
    let apt = (APT, "// ", text("apt-hook", apt_configuration)?);
    let dpkg = (DPKG, "# ", text("dpkg-hook", dpkg_configuration)?);
    let write = |(below, comment, text): (&str, &str, String)| {
        let path = root.join(below);
        let head = "Written by `countersign-host hook enable`; `countersign-host hook disable` removes it.";
        match replace(&path, &format!("{comment}{head}\n{text}")) {
            Ok(()) => Ok(path),
            Err(source) => Err(GuardError::Io { path, source }),
        }
    };
    Ok([write(apt)?, write(dpkg)?])
}

/// Makes apt and dpkg below `root` ask no longer. Returns the files it removed; none when there was none.
///
/// # Errors
/// When a file cannot be removed.
pub fn disable(root: &Path) -> Result<Vec<PathBuf>, GuardError> {
    let mut removed = Vec::new();
    for path in [APT, DPKG].map(|below| root.join(below)) {
        match std::fs::remove_file(&path) {
            Ok(()) => removed.push(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(GuardError::Io { path, source }),
        }
    }
    Ok(removed)
}

/// Replaces a file that everybody may read, as everybody who asks apt something does. Both programs
/// pass over names that begin with a dot.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(".countersign-")
        .tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file()
        .set_permissions(Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    crate::durable::sync_folder(folder)
}
