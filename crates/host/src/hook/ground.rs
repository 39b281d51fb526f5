//! Whether somebody else could exchange a package's file after it was judged and before dpkg reads it.
//! Not what is in the file; see `permitted`.

use crate::config::Config;
use rustix::process::{getegid, geteuid};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The folders that this host's own configuration names. What lies in them is looked at from there on,
/// everything else from the root of the file system on.
#[derive(Debug, Clone)]
pub struct Ground(Vec<PathBuf>);

impl Ground {
    /// Where the packages of this host lie.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self(vec![config.state_dir.clone(), config.apt.root.clone()])
    }

    #[cfg(test)]
    pub(super) fn below(folder: &Path) -> Self {
        Self(vec![folder.to_owned()])
    }

    /// Checks that the file and the folders that lead to it belong to root, or to whom this process
    /// runs as, and that nobody else may write them. A sticky folder is not enough: somebody else's
    /// file in it is still theirs.
    ///
    /// # Errors
    /// Says what somebody else could change, with a hint.
    pub fn check(&self, file: &Path) -> Result<(), String> {
        let real = fs::canonicalize(file).map_err(|error| error.to_string())?;
        let named = self.0.iter().find_map(|folder| {
            let from = fs::canonicalize(folder).ok()?;
            let below = file.strip_prefix(folder).ok()?;
            (real.strip_prefix(&from) == Ok(below)).then_some(from)
        });
        let from = match named {
            Some(from) => from,
            None if file == real => PathBuf::from("/"),
            None => return Err("it is reached by way of a symbolic link or `..`".into()),
        };
        for part in real.ancestors() {
            let found = fs::symlink_metadata(part).map_err(|error| error.to_string())?;
            if !is_ours_alone(&found) {
                return Err(format!(
                    "others than root can change `{}`; hint: `chown root: {0}` and `chmod go-w {0}`, or install from another folder",
                    part.display()
                ));
            }
            if part == from {
                break;
            }
        }
        Ok(())
    }
}

fn is_ours_alone(found: &Metadata) -> bool {
    let us = geteuid();
    // Whoever is not root may share a group of their own with nobody.
    let group = !us.is_root() && found.gid() == getegid().as_raw();
    let forbidden = if group { 0o002 } else { 0o022 };
    (found.uid() == 0 || found.uid() == us.as_raw()) && found.mode() & forbidden == 0
}
