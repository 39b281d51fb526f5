//! What is true after acting: installed versions, their state, their files against the artifact.

use crate::apt::Apt;
use crate::artifact::Artifacts;
use countersign_domain::Transition;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inspection {
    /// False when it could not be found out.
    pub(super) known: bool,
    /// Transitions whose new state is in place, files included.
    pub(super) in_place: Vec<Transition>,
    /// Transitions whose old state is in place.
    pub(super) as_before: Vec<Transition>,
    /// What is wrong, in words.
    pub(super) problems: Vec<String>,
    asked: usize,
}

impl Inspection {
    /// True when every transition was found in place.
    pub(super) fn all_in_place(&self) -> bool {
        self.known && self.in_place.len() == self.asked
    }
}

/// Looks at the host. What cannot be found out is said, and counts as neither.
pub(super) fn inspect(apt: &Apt, transitions: &[Transition], artifacts: &Artifacts) -> Inspection {
    let mut inspection = Inspection {
        known: true,
        in_place: Vec::new(),
        as_before: Vec::new(),
        problems: Vec::new(),
        asked: transitions.len(),
    };
    let installed = match apt.installed() {
        Ok(installed) => installed,
        Err(error) => {
            inspection.known = false;
            inspection.problems.push(error.to_string());
            return inspection;
        }
    };
    for transition in transitions {
        let found = installed.get(&transition.name, &transition.architecture);
        let version = found.map(|package| &package.version);
        let sound = found.is_none_or(|package| package.sound);
        if !sound {
            inspection.problems.push(format!(
                "`{}` is half installed or half configured",
                transition.name
            ));
        } else if version == transition.new.as_ref() {
            match files(apt, transition, artifacts) {
                Ok(differences) if differences.is_empty() => {
                    inspection.in_place.push(transition.clone());
                }
                Ok(differences) => {
                    for difference in differences {
                        inspection
                            .problems
                            .push(format!("`{}`: {difference}", transition.name));
                    }
                }
                Err(problem) => {
                    inspection.known = false;
                    inspection.problems.push(problem);
                }
            }
        } else if version == transition.old.as_ref() {
            inspection.as_before.push(transition.clone());
        } else {
            inspection.problems.push(format!(
                "`{}` is at {}, which is neither before nor after",
                transition.name,
                version.map_or("no version", |v| v.as_str())
            ));
        }
    }
    inspection
}

fn files(apt: &Apt, transition: &Transition, artifacts: &Artifacts) -> Result<Vec<String>, String> {
    let Some(digest) = &transition.sha256 else {
        return Ok(Vec::new());
    };
    artifacts
        .verified(digest)
        .map_err(|error| error.to_string())
        .and_then(|path| apt.differences(&path).map_err(|error| error.to_string()))
}
