//! `countersign why CHANGE`: the whole chain of accountability on one screen, from the log alone.

use super::render::width;
use super::{Context, Exit, Failure};
use crate::ambient;
use crate::deployment::Deployment;
use crate::evidence::StoreSource;
use countersign_domain::text::shown;
use std::process::ExitCode;

/// Arguments of `why`.
#[derive(Debug, clap::Args)]
pub struct WhyArguments {
    /// The change, or the beginning of its id
    change: String,
}

/// Exits with 1 when a signature or a link does not hold.
pub(super) fn run(context: &Context, arguments: &WhyArguments) -> Result<ExitCode, Failure> {
    let (_, gate) = Deployment::open_read_only(context.dir())?;
    let undecided = |error: String| Failure::new(Exit::Undecided, error);
    let found = gate
        .changes_like(&arguments.change)
        .map_err(|error| undecided(error.to_string()))?;
    let exact = found.iter().find(|id| id.as_str() == arguments.change);
    let change = match (exact, found.as_slice()) {
        (Some(id), _) | (None, [id]) => id.clone(),
        (None, []) => {
            let name = shown(&arguments.change, 60);
            return Err(Failure::refused(format!("there is no change `{name}`"))
                .hint("`countersign change list` shows them"));
        }
        (None, several) => {
            let several: Vec<_> = several.iter().map(ToString::to_string).collect();
            return Err(Failure::refused("more than one change begins like that")
                .hint(format!("one of {}", several.join(", "))));
        }
    };
    let trail = gate
        .trail(&change)
        .map_err(|error| undecided(error.to_string()))?;
    let why = countersign_evidence::why(&StoreSource(&gate), &change, &trail, ambient::now())
        .map_err(|error| undecided(error.to_string()))?;
    context.answer(&why, |why| countersign_evidence::render(why, width()))?;
    Ok(if why.findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        Exit::Refused.into()
    })
}
