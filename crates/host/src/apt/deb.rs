//! Reading one .deb: its control fields, its changelog, its files. Only `dpkg-deb` and `tar` look
//! inside; nothing of the package is run.

use super::{AptError, Spec, succeeded};
use crate::child::Run;
use countersign_domain::{Architecture, PackageName, Version};
use flate2::read::GzDecoder;
use std::io::Read as _;
use std::path::Path;

/// A changelog at most, in bytes, unpacked.
const CHANGELOG_BYTES_MAX: usize = 24 * 1024 * 1024;

/// Package, architecture and version, as the file itself says.
///
/// # Errors
/// When it is no .deb, or its fields are malformed.
pub fn identity(path: &Path) -> Result<Spec, AptError> {
    let run = Run::new("dpkg-deb")
        .args([
            "--showformat=${Package}\n${Architecture}\n${Version}\n",
            "--show",
        ])
        .arg(path);
    let text = succeeded("dpkg-deb --show", &run.end()?)?;
    let mut lines = text.lines();
    let mut next = || lines.next().unwrap_or_default();
    let (name, architecture, version) = (next(), next(), next());
    let form = |_| AptError::form("dpkg-deb --show", text.trim());
    Ok(Spec {
        name: PackageName::new(name).map_err(form)?,
        architecture: Architecture::new(architecture).map_err(form)?,
        version: Version::new(version).map_err(form)?,
    })
}

/// The changelog inside; `None` when the package carries none (some link to a sibling's).
///
/// # Errors
/// When the file cannot be read, or the changelog is larger than 24 MiB.
pub fn changelog(path: &Path) -> Result<Option<String>, AptError> {
    let archive = Run::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(path)
        .seconds(120);
    let reader = Run::new("tar")
        .args([
            "-x",
            "-O",
            "-f",
            "-",
            "--wildcards",
            "--no-wildcards-match-slash",
        ])
        .args([
            "./usr/share/doc/*/changelog.Debian.gz",
            "./usr/share/doc/*/changelog.gz",
            "./usr/share/doc/*/changelog.Debian",
        ])
        .seconds(120)
        .bytes_max(CHANGELOG_BYTES_MAX);
    // tar exits with 2 when one of the patterns matched nothing: the output tells.
    let (_, ended) = archive.pipe_into(reader)?;
    if ended.stdout.is_empty() {
        return Ok(None);
    }
    let mut text = Vec::new();
    if ended.stdout.starts_with(&[0x1f, 0x8b]) {
        // The first gzip member only: the Debian changelog comes before an upstream one, and what
        // does not read as a changelog is ignored by the caller.
        GzDecoder::new(ended.stdout.as_slice())
            .take(CHANGELOG_BYTES_MAX as u64)
            .read_to_end(&mut text)
            .map_err(|source| AptError::io(path, source))?;
    } else {
        text = ended.stdout;
    }
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

/// Unpacks the package's files (not its scripts) into `folder`, to compare them.
///
/// # Errors
/// When it cannot be unpacked.
pub fn unpack(path: &Path, folder: &Path) -> Result<(), AptError> {
    let run = Run::new("dpkg-deb")
        .arg("-x")
        .arg(path)
        .arg(folder)
        .seconds(300);
    succeeded("dpkg-deb -x", &run.end()?).map(drop)
}

/// The configuration files that the package declares: an administrator may change those.
///
/// # Errors
/// When the package cannot be read.
pub fn conffiles(path: &Path) -> Result<Vec<String>, AptError> {
    let run = Run::new("dpkg-deb").arg("-I").arg(path).arg("conffiles");
    let ended = run.end()?;
    // It exits with 2 when there is no such file, and says so; an unreadable archive was noticed before.
    if !ended.status.success() {
        return Ok(Vec::new());
    }
    Ok(ended
        .text()
        .lines()
        .filter(|line| line.starts_with('/'))
        .map(str::to_owned)
        .collect())
}
