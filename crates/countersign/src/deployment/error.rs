//! Why a data directory is not opened or founded. Each variant says what to do.

use countersign_gate::GateError;
use countersign_store::OpenError;
use std::io;
use std::path::{Path, PathBuf};

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    /// Nothing has been founded there.
    #[error("there is no deployment in `{}`; found one with `countersign init`, or name another with `--dir`", .0.display())]
    Absent(PathBuf),
    /// Founding would overwrite something.
    #[error("`{}` is not empty; name another directory with `--dir`", .0.display())]
    Occupied(PathBuf),
    /// Written by a later version of this program.
    #[error(
        "the directory `{}` has form {found}, this program knows {known}; use the newer program that wrote it",
        dir.display()
    )]
    Newer {
        /// Which.
        dir: PathBuf,
        /// Its form.
        found: u32,
        /// The form known here.
        known: u32,
    },
    /// Parts of two deployments in one directory.
    #[error(
        "`{}` mixes two deployments: {what} does not belong to the log that lies there; restore the parts from one backup",
        dir.display()
    )]
    Other {
        /// Which.
        dir: PathBuf,
        /// What does not fit.
        what: &'static str,
    },
    /// A file of it is missing or unusable.
    #[error("`{}`: {problem}", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A secret that others can read.
    #[error("`{}` can be read by others (mode {mode:o}); run `chmod {wanted:o} {}`", path.display(), path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode that it should have.
        wanted: u32,
    },
    /// The system refused.
    #[error("`{}`: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The founder's signature could not be made.
    #[error(transparent)]
    Signing(#[from] crate::signing::SigningError),
    /// The database.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A witness has seen more of the log than there is, or something else.
    #[error(
        "the witness at {url} knows better: {source}. If it is the witness that is wrong, take it out of deployment.toml"
    )]
    Witnessed {
        /// Where the witness is asked.
        url: String,
        /// What the log lacks.
        source: OpenError,
    },
    /// The gate.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// What was handed in to found it.
    #[error("`{field}`: {problem}")]
    Invalid {
        /// Which part.
        field: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

impl DeploymentError {
    /// A [`DeploymentError::Damaged`].
    pub(crate) fn damaged(path: &Path, problem: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            problem: problem.into(),
        }
    }

    /// For `map_err`: a [`DeploymentError::File`].
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}
