//! Why nothing was backed up or restored. Each says what to do.

use crate::deployment::DeploymentError;
use countersign_domain::text::shown;
use countersign_gate::fold::FoldError;
use countersign_store::{OpenError, RebuildError};
use std::io;
use std::path::{Path, PathBuf};

/// Why not. The target is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Something is there already.
    #[error("`{}` is not empty; name a new directory: nothing is ever overwritten", .0.display())]
    Occupied(PathBuf),
    /// No backup.
    #[error("`{}` is no backup: it has no `{}`; name the directory that `countersign backup` wrote", .0.display(), super::MANIFEST)]
    NoManifest(PathBuf),
    /// A witness that cannot be asked.
    #[error(
        "`deployment.toml` says nowhere how witness `{0}` is reached, which the roster names; ask it yourself what it has seen, hand that in with `--latest-checkpoint`, and say `--without-witnesses`"
    )]
    NoAddress(String),
    /// Written by a later version of this program.
    #[error(
        "the backup has form {found}, this program knows {known}; use the newer program that wrote it"
    )]
    Newer {
        /// Its form.
        found: u32,
        /// The form known here.
        known: u32,
    },
    /// A file of the backup is missing, altered or not expected.
    #[error("the backup is damaged: `{file}` {problem}; use another backup")]
    Damaged {
        /// Which file of it.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// The database to back up, or the restored one, does not hold together.
    #[error("the {what} is damaged: {problems}; {remedy}")]
    Unsound {
        /// Which database.
        what: &'static str,
        /// What is wrong, the first of it.
        problems: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The backup holds no keys, and none were named.
    #[error(
        "the backup holds no keys. Put `{}` into one directory and name it with `--keys DIR`: the old data directory has them, and so has a backup that was made with `--with-keys`", super::files::KEYS.join("`, `")
    )]
    NoKeys,
    /// A checkpoint that was handed in cannot be used.
    #[error("`{}`: {problem}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// Somebody has seen more of the log than there is, or other entries.
    #[error(
        "{who} knows better: {source}. Hosts, auditors and witnesses who saw more refuse a forked log for good"
    )]
    Behind {
        /// Who has seen more.
        who: String,
        /// What the log lacks.
        source: OpenError,
    },
    /// An export to rebuild from cannot be used.
    #[error(
        "the export: {0}; name the folder that `countersign log export --blobs` wrote for this deployment, or do without it"
    )]
    Export(String),
    /// Not everything that was signed for could be found.
    #[error(
        "it cannot be rebuilt whole: {0}. Name an export that has it with `--from EXPORT` (`countersign log export --blobs` wrote it), or restore the newest backup with `countersign restore`"
    )]
    Lost(String),
    /// Nobody said how far the logs had got.
    #[error(
        "`checkpoints.latest` is missing, so nothing says how far the logs had got; name the newest signed checkpoint that anybody has with `--latest-checkpoint FILE`, or say `none`"
    )]
    NoLatest,
    /// A witness that the deployment names does not answer.
    #[error(
        "the witness at {url} cannot be asked what it has seen ({why}); start it, or go on without it with `--without-witnesses` if it is lost"
    )]
    Witness {
        /// Where.
        url: String,
        /// Why.
        why: String,
    },
    /// The system refused.
    #[error("`{}`: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The projections cannot be made from the log.
    #[error("the log cannot be folded: {0}")]
    Rebuild(#[from] RebuildError<FoldError>),
    /// The logs cannot be read as evidence.
    #[error(transparent)]
    Evidence(#[from] countersign_evidence::SourceError),
    /// The data directory.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
}

impl From<OpenError> for BackupError {
    fn from(error: OpenError) -> Self {
        Self::Deployment(error.into())
    }
}

impl BackupError {
    /// A [`BackupError::Unsound`] with the first of the problems.
    pub(super) fn unsound(what: &'static str, problems: &[String], remedy: &'static str) -> Self {
        let shown = problems.iter().take(3).map(|problem| shown(problem, 300));
        Self::Unsound {
            what,
            problems: shown.collect::<Vec<_>>().join("; "),
            remedy,
        }
    }

    /// For `map_err`: a [`BackupError::File`].
    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    pub(super) fn damaged(file: &str, problem: impl Into<String>) -> Self {
        Self::Damaged {
            file: file.to_owned(),
            problem: problem.into(),
        }
    }
}
