//! What apt writes to a hook of protocol version 3: strictly read, or not at all.

use countersign_domain::text::shown;
use countersign_domain::{Architecture, PackageName, Version};
use std::path::PathBuf;

/// Lines that are taken at most.
const LINES_MAX: usize = 20_000;

/// Text that is not of this protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// Another version, or none: the hook's configuration is missing.
    #[error(
        "apt did not write `VERSION 3`; hint: set `DPkg::Tools::Options::…::Version \"3\"` and `InfoFD \"20\"` for the hook"
    )]
    Version,
    /// The settings do not end.
    #[error("apt's settings do not end with an empty line")]
    Settings,
    /// No package at all, or too many.
    #[error("apt named {0} packages")]
    Count(usize),
    /// A line that is not understood.
    #[error("apt wrote a line that is not understood: `{0}`")]
    Line(String),
}

/// What happens to the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// This file is installed.
    File(PathBuf),
    /// It is removed or purged.
    Remove,
    /// It was unpacked before and is configured.
    Configure,
}

/// How the versions stand to each other, as apt says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// A newer or a first version.
    Up,
    /// The same version again.
    Same,
    /// An older version, or none.
    Down,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The package.
    pub name: PackageName,
    /// The version installed.
    pub old: Option<Version>,
    /// Its architecture.
    pub old_architecture: Option<Architecture>,
    /// Up, same or down.
    pub direction: Direction,
    /// The version afterwards.
    pub new: Option<Version>,
    /// Its architecture.
    pub new_architecture: Option<Architecture>,
    /// What happens.
    pub target: Target,
}

/// Reads everything that apt writes.
///
/// # Errors
/// When anything in it is not understood: then nothing of it is.
pub fn parse(text: &str) -> Result<Vec<Line>, HookError> {
    let rest = text.strip_prefix("VERSION 3\n").ok_or(HookError::Version)?;
    let rest = match rest.strip_prefix('\n') {
        Some(rest) => rest,
        None => rest.split_once("\n\n").ok_or(HookError::Settings)?.1,
    };
    let mut lines = Vec::new();
    for line in rest.lines() {
        lines.push(parse_line(line).ok_or_else(|| HookError::Line(shown(line, 200)))?);
        if lines.len() > LINES_MAX {
            return Err(HookError::Count(lines.len()));
        }
    }
    if lines.is_empty() || !rest.ends_with('\n') {
        return Err(HookError::Count(lines.len()));
    }
    Ok(lines)
}

/// The same without apt's settings, which may hold passwords of proxies. None when it is not of
/// this protocol.
#[must_use]
pub fn without_settings(text: &str) -> Option<String> {
    let rest = text.strip_prefix("VERSION 3\n")?;
    let lines = match rest.strip_prefix('\n') {
        Some(lines) => lines,
        None => rest.split_once("\n\n")?.1,
    };
    Some(format!("VERSION 3\n\n{lines}"))
}

fn parse_line(line: &str) -> Option<Line> {
    // A file's name comes last and may hold spaces.
    let fields: Vec<_> = line.splitn(9, ' ').collect();
    let [name, old, old_arch, _, direction, new, new_arch, _, target] = fields.as_slice() else {
        return None;
    };
    let version = |text: &str| match text {
        "-" => Some(None),
        text => Version::new(text).ok().map(Some),
    };
    let architecture = |text: &str| match text {
        "-" => Some(None),
        text => Architecture::new(text).ok().map(Some),
    };
    let parsed = Line {
        name: PackageName::new(*name).ok()?,
        old: version(old)?,
        old_architecture: architecture(old_arch)?,
        direction: match *direction {
            "<" => Direction::Up,
            "=" => Direction::Same,
            ">" => Direction::Down,
            _ => return None,
        },
        new: version(new)?,
        new_architecture: architecture(new_arch)?,
        target: match *target {
            "**REMOVE**" => Target::Remove,
            "**CONFIGURE**" => Target::Configure,
            path if path.starts_with('/') => Target::File(PathBuf::from(path)),
            _ => return None,
        },
    };
    let coherent = match parsed.target {
        Target::Remove => parsed.old.is_some() && parsed.new.is_none(),
        Target::File(_) | Target::Configure => {
            parsed.new.is_some() && parsed.new_architecture.is_some()
        }
    };
    coherent.then_some(parsed)
}
