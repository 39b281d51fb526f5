//! How a command fails: an exit code, a message, and what to do about it.

use crate::backup::BackupError;
use crate::client::ClientError;
use crate::deployment::DeploymentError;
use crate::serve::ServeError;
use crate::signing::SigningError;
use crate::witness::WitnessError;
use countersign_domain::canonical::CanonicalError;
use countersign_domain::text::shown;
use countersign_gate::GateError;
use countersign_store::OpenError;
use std::process::ExitCode;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Refused or failed.
    Refused = 1,
    /// Wrong usage.
    Usage = 2,
    /// It could not be decided, or the server cannot be reached.
    Undecided = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Further findings, one a line.
    pub findings: Vec<String>,
}

impl Failure {
    /// A failure.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
            findings: Vec::new(),
        }
    }

    /// Something was refused or failed.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Exit::Refused, message)
    }

    /// The command was used wrongly.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// With a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A file that could not be read or written.
    pub fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::refused(format!("`{}`: {error}", path.display()))
    }

    /// Says it on stderr. Parts may come from a server: nothing in them reaches the terminal raw.
    pub fn print(&self) {
        eprintln!("error: {}", lines(&self.message));
        for finding in &self.findings {
            eprintln!("  - {}", shown(finding, 1000));
        }
        if let Some(hint) = &self.hint {
            eprintln!("hint: {}", lines(hint));
        }
    }
}

/// Keeps our own line breaks, and shows everything else that is deceptive.
fn lines(text: &str) -> String {
    let shown: Vec<_> = text.lines().map(|line| shown(line, 2000)).collect();
    shown.join("\n")
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(problem) => {
                let exit = if problem.status >= 500 {
                    Exit::Undecided
                } else {
                    Exit::Refused
                };
                Self {
                    exit,
                    message: problem.detail,
                    hint: problem.hint,
                    findings: problem.findings,
                }
            }
            ClientError::Deployment(error) => error.into(),
            ClientError::Serve(error) => error.into(),
            ClientError::Unreachable { .. }
            | ClientError::Unexpected { .. }
            | ClientError::Roster(_) => Self::new(Exit::Undecided, error.to_string()),
        }
    }
}

impl From<DeploymentError> for Failure {
    fn from(error: DeploymentError) -> Self {
        let exit = match &error {
            DeploymentError::Open(OpenError::InUse { .. } | OpenError::Store(_))
            | DeploymentError::Gate(GateError::Store(_) | GateError::Fold(_)) => Exit::Undecided,
            _ => Exit::Refused,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Deployment(error) => error.into(),
            BackupError::Evidence(_) | BackupError::Rebuild(_) => {
                Self::new(Exit::Undecided, error.to_string())
            }
            other => Self::refused(other.to_string()),
        }
    }
}

macro_rules! refused {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::refused(error.to_string())
            }
        }
    )*};
}

refused!(ServeError, SigningError, WitnessError, CanonicalError);
