//! Package lists: the machine's, or private ones refreshed into our own folder, so that an
//! unprivileged observer sees the real pending upgrades and changes nothing.

use super::{Apt, AptError, succeeded};
use countersign_domain::Timestamp;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

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
        let run = machine.environment(crate::child::Run::new("apt-config"));
        Ok(holds_index(&lists_folder(run)?))
    }

    fn lists_folder(&self) -> Result<PathBuf, AptError> {
        lists_folder(self.apt("apt-config"))
    }
}

fn lists_folder(run: crate::child::Run) -> Result<PathBuf, AptError> {
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
