//! Who really asks: the process that holds dpkg's frontend lock, and that the asking hook descends
//! from. The kernel says both; nothing that the asker says of itself counts.

use crate::session::Session;
use rustix::process::{Flock, FlockOffsetType, FlockType, fcntl_getlk};
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

/// Why nobody is known to ask.
#[derive(Debug, thiserror::Error)]
pub enum HolderError {
    /// The lock or `/proc` cannot be looked at.
    #[error("who holds `{path}` cannot be told: {source}", path = .path.display())]
    Io {
        /// The lock.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No package tool is at work.
    #[error("nobody holds the package lock `{}`: this is no run of apt", .0.display())]
    Free(PathBuf),
    /// Another one is.
    #[error(
        "process {holder} holds the package lock, and the hook that asks was not started by it"
    )]
    Other {
        /// The process that holds it.
        holder: u32,
    },
}

/// The session that holds the package lock of the root `root`, when process `asker` descends from it.
///
/// # Errors
/// [`HolderError`]: then nothing is answered but no.
pub fn session(root: &Path, asker: u32) -> Result<Session, HolderError> {
    let path = root.join("var/lib/dpkg/lock-frontend");
    let io = |source| HolderError::Io {
        path: path.clone(),
        source,
    };
    let holder = holder(&path)
        .map_err(io)?
        .ok_or_else(|| HolderError::Free(path.clone()))?;
    let session = Session::of(holder).map_err(io)?;
    if !session.is_ancestor_of(asker) {
        return Err(HolderError::Other { holder });
    }
    Ok(session)
}

fn holder(path: &Path) -> io::Result<Option<u32>> {
    // Closing it releases no lock: this process never holds this one while it answers.
    let file = OpenOptions::new().write(true).open(path)?;
    let wanted = Flock {
        start: 0,
        length: 0,
        pid: None,
        typ: FlockType::WriteLock,
        offset_type: FlockOffsetType::Set,
    };
    let found = fcntl_getlk(&file, &wanted)?;
    Ok(found
        .and_then(|lock| lock.pid)
        .and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok()))
}
