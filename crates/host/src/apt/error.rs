//! Why a package operation could not be done, each with its remedy.

use crate::artifact::ArtifactError;
use crate::child::ChildError;
use std::path::{Path, PathBuf};

/// A package operation that could not be done.
#[derive(Debug, thiserror::Error)]
pub enum AptError {
    /// A program is missing.
    #[error(
        "no apt on this machine: `{0}` is missing; hint: Countersign handles Debian and Ubuntu so far; on others, try a container of one"
    )]
    NoApt(String),
    /// There are no package lists, and none could be fetched.
    #[error(
        "no package lists: {0}; hint: run `apt-get update`, or see whether the mirror can be reached; `countersign quickstart --sandbox` needs no network at all"
    )]
    NoLists(String),
    /// A child could not be run to its end.
    #[error(transparent)]
    Child(ChildError),
    /// It said no.
    #[error("`{what}`: {said}")]
    Said {
        /// What was run.
        what: String,
        /// What it said.
        said: String,
    },
    /// A line that this version of Countersign does not understand.
    #[error("`{what}` wrote a line that is not understood: `{line}`; nothing is done on a guess")]
    Form {
        /// What was run.
        what: &'static str,
        /// The line.
        line: String,
    },
    /// A file could not be read or written.
    #[error("`{path}`: {source}", path = .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An artifact is missing, or not what was named.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
}

impl From<ChildError> for AptError {
    fn from(error: ChildError) -> Self {
        match error {
            ChildError::Missing(program)
                if program.starts_with("apt") || program.starts_with("dpkg") =>
            {
                Self::NoApt(program)
            }
            ChildError::Missing(_)
            | ChildError::Io { .. }
            | ChildError::TimedOut { .. }
            | ChildError::TooMuchOutput { .. } => Self::Child(error),
        }
    }
}

impl AptError {
    pub(crate) fn said(what: &str, said: &str) -> Self {
        Self::Said {
            what: what.to_owned(),
            said: countersign_domain::text::shown(said, 600),
        }
    }

    pub(crate) fn form(what: &'static str, line: &str) -> Self {
        Self::Form {
            what,
            line: countersign_domain::text::shown(line, 200),
        }
    }

    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}
