//! Package lists: the machine's, or private ones refreshed into our own folder, so that an
//! unprivileged observer sees the real pending upgrades and changes nothing.

use super::{Apt, AptError, succeeded};
use crate::child::Run;
use countersign_domain::{PackageName, Timestamp};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// A package index at most, in bytes, unpacked.
const INDEX_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Which lists are used, and how fresh they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lists {
    /// True when they are our own.
    pub private: bool,
    /// When they were last refreshed, as far as that is known.
    pub refreshed_at: Option<Timestamp>,
    /// What was wrong with refreshing them, in words.
    pub problems: Vec<String>,
}

impl Apt {
    /// Refreshes private lists when they are older than configured; falls back to the machine's
    /// own when that fails. The machine's own lists are never refreshed by us.
    ///
    /// # Errors
    /// When there are no lists at all: the remedy is in the message.
    pub fn refresh(&mut self, now: Timestamp) -> Result<Lists, AptError> {
        let mut problems = Vec::new();
        if self.config.private {
            self.private_lists = true;
            self.write_settings()?;
            let stamp = self.folder.join("refreshed");
            let fresh_enough = modified(&stamp).is_some_and(|at| {
                now.seconds_since(at) < i64::from(self.config.refresh_seconds)
                    && now.seconds_since(at) >= 0
            });
            if !(fresh_enough && self.has_lists()?) {
                match self.update() {
                    Ok(()) => crate::durable::replace(&stamp, b"")
                        .map_err(|source| AptError::io(&stamp, source))?,
                    Err(error) => problems.push(format!("package lists not refreshed: {error}")),
                }
            }
            if !self.has_lists()? {
                if !self.machine_has_lists()? {
                    return Err(AptError::NoLists(
                        problems
                            .pop()
                            .unwrap_or_else(|| "the mirror offers none".into()),
                    ));
                }
                problems.push("using the machine's own package lists, which may be older".into());
                self.private_lists = false;
                self.write_settings()?;
            }
        } else if !self.has_lists()? {
            return Err(AptError::NoLists("apt has no package lists".into()));
        }
        let refreshed_at = if self.private_lists {
            modified(&self.folder.join("refreshed"))
        } else {
            modified(&self.lists_folder()?)
        };
        Ok(Lists {
            private: self.private_lists,
            refreshed_at,
            problems,
        })
    }

    /// apt on an excerpt of the lists in use: only the packages named. What one upgrade pulls in is
    /// found there in a tenth of the time, because apt looks at every package it knows. Only for
    /// observing, and for plans that nobody will act on: others are made on the whole lists.
    ///
    /// # Errors
    /// When the excerpt cannot be written.
    pub fn excerpt(&self, names: &BTreeSet<PackageName>) -> Result<Self, AptError> {
        let excerpt = Self {
            excerpt: true,
            ..self.clone()
        };
        let (from, to) = (self.lists_folder()?, excerpt.own_lists());
        if to.exists() {
            std::fs::remove_dir_all(&to).map_err(|source| AptError::io(&to, source))?;
        }
        excerpt.write_settings()?;
        for entry in std::fs::read_dir(&from).map_err(|source| AptError::io(&from, source))? {
            let path = entry.map_err(|source| AptError::io(&from, source))?.path();
            let Some(name) = path.file_name().filter(|_| path.is_file()) else {
                continue;
            };
            let name = name.to_string_lossy();
            let io = |source| AptError::io(&path, source);
            if name.ends_with("_Packages") {
                let whole = BufReader::with_capacity(256 * 1024, File::open(&path).map_err(io)?);
                excerpt_index(whole, &to.join(&*name), names).map_err(io)?;
            } else if let Some((plain, _)) = name.split_once("_Packages.") {
                // Kept compressed, in whatever way: apt's own helper reads them all.
                let run = Run::new("/usr/lib/apt/apt-helper")
                    .arg("cat-file")
                    .arg(&path)
                    .bytes_max(INDEX_BYTES_MAX);
                let ended = run.end()?;
                if !ended.status.success() {
                    return Err(AptError::said("apt-helper cat-file", &ended.complaint()));
                }
                let target = to.join(format!("{plain}_Packages"));
                excerpt_index(ended.stdout.as_slice(), &target, names).map_err(io)?;
            } else if name.ends_with("Release") {
                std::fs::copy(&path, to.join(&*name)).map_err(io)?;
            }
        }
        Ok(excerpt)
    }

    fn update(&self) -> Result<(), AptError> {
        let run = self
            .with_proxy(self.apt("apt-get"))
            .args([
                "-q",
                "-o",
                "Acquire::Retries=1",
                "-o",
                "Acquire::http::Timeout=20",
                "update",
            ])
            .seconds(180);
        let ended = run.end()?;
        let complaint = String::from_utf8_lossy(&ended.stderr).into_owned();
        succeeded("apt-get update", &ended)?;
        // apt exits with 0 when a mirror could not be reached and old lists are kept.
        match complaint
            .lines()
            .find(|line| line.starts_with("W: Failed to fetch"))
        {
            Some(line) => Err(AptError::said("apt-get update", line)),
            None => Ok(()),
        }
    }

    /// True when the lists in use hold at least one package index.
    pub(super) fn has_lists(&self) -> Result<bool, AptError> {
        Ok(holds_index(&self.lists_folder()?))
    }

    /// True when the machine's own lists do, whatever is in use.
    pub(super) fn machine_has_lists(&self) -> Result<bool, AptError> {
        let mut machine = self.clone();
        machine.config.private = false;
        let run = machine.environment(Run::new("apt-config"));
        Ok(holds_index(&lists_folder(run)?))
    }

    fn lists_folder(&self) -> Result<PathBuf, AptError> {
        lists_folder(self.apt("apt-config"))
    }
}

/// Copies the stanzas of the named packages.
fn excerpt_index(
    mut reader: impl BufRead,
    to: &Path,
    names: &BTreeSet<PackageName>,
) -> io::Result<()> {
    let mut to = BufWriter::new(File::create(to)?);
    let mut wanted = false;
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        // Every stanza of an index begins with its package's name.
        if let Some(name) = line.strip_prefix(b"Package: ") {
            let name = String::from_utf8_lossy(name.trim_ascii());
            wanted = PackageName::new(name).is_ok_and(|name| names.contains(&name));
        }
        if wanted {
            to.write_all(&line)?;
        }
        line.clear();
    }
    to.flush()
}

fn lists_folder(run: Run) -> Result<PathBuf, AptError> {
    let run = run.args(["shell", "LISTS", "Dir::State::lists/d"]);
    let text = succeeded("apt-config", &run.end()?)?;
    text.trim()
        .strip_prefix("LISTS='")
        .and_then(|rest| rest.strip_suffix('\''))
        .map(PathBuf::from)
        .ok_or_else(|| AptError::form("apt-config", text.trim()))
}

fn holds_index(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.contains("_Packages") || name.ends_with("Packages")
        })
    })
}

fn modified(path: &Path) -> Option<Timestamp> {
    let since = std::fs::metadata(path)
        .ok()?
        .modified()
        .ok()?
        .duration_since(UNIX_EPOCH)
        .ok()?;
    Some(Timestamp::from_unix_millis(
        i64::try_from(since.as_millis()).ok()?,
    ))
}
