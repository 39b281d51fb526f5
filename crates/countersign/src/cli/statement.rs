//! `countersign statement`: adds one's signature to what others have prepared, and hands it in.

use super::collect::Collected;
use super::{Context, Failure};
use std::path::PathBuf;

/// What can be done with statements.
#[derive(Debug, clap::Subcommand)]
pub enum StatementCommand {
    /// Show what a file would bring about, and add your signature to it
    Sign {
        /// The file
        file: PathBuf,
    },
    /// Hand in what enough people have signed
    Submit {
        /// The file, or copies of it that were signed apart
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

pub(super) fn run(context: &Context, command: StatementCommand) -> Result<(), Failure> {
    match command {
        StatementCommand::Sign { file } => {
            let mut collected = Collected::read(&file)?;
            let roster = context.client()?.roster()?;
            let person = collected.sign(context, &roster, true)?;
            collected.write(&file)?;
            context.answer(&collected, |collected| {
                format!(
                    "signed by `{person}`; {} signatures in {}",
                    collected.statements.len(),
                    file.display()
                )
            })
        }
        StatementCommand::Submit { files } => submit(context, &files),
    }
}

/// Merges the files and hands them in.
///
/// # Errors
/// When they are about different things, or the gate refuses.
pub fn submit(context: &Context, files: &[PathBuf]) -> Result<(), Failure> {
    let mut all = files.iter().map(|path| Collected::read(path));
    let mut collected = all.next().ok_or_else(|| Failure::usage("name a file"))??;
    for other in all {
        collected.merge(other?)?;
    }
    let (json, words) = collected.submit(&context.client()?)?;
    context.answer(&json, |_| words)
}
