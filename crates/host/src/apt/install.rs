//! The one place that changes what is installed: apt-get, on exact local files, with argv of our
//! own and no network. Reached only through `act`, which holds a permit and has journalled intent.

use super::simulate::{Action, file_argument};
use super::{Apt, AptError};
use crate::artifact::Artifacts;
use countersign_domain::{ChangeId, Transition};

/// How an installation went, by its own account; `inspect` tells what is true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// Whether apt-get exited with 0.
    pub exit_success: bool,
    /// The end of what it said, made harmless.
    pub said: String,
}

impl Apt {
    /// The words for apt-get: every artifact hashed again right now, removals with a `-` behind.
    fn transition_arguments(
        &self,
        transitions: &[Transition],
        artifacts: &Artifacts,
    ) -> Result<Vec<String>, AptError> {
        transitions
            .iter()
            .map(|transition| match (&transition.new, &transition.sha256) {
                (Some(_), Some(digest)) => Ok(file_argument(&artifacts.verified(digest)?)),
                (None, None) => Ok(format!(
                    "{}-",
                    self.qualified(&transition.name, &transition.architecture)
                )),
                (Some(_), None) | (None, Some(_)) => Err(AptError::said(
                    "apt-get install",
                    &format!("the transition of `{}` has no artifact", transition.name),
                )),
            })
            .collect()
    }

    /// Rehearses the transitions on the retained artifacts and says how apt's answer differs from
    /// them; empty when apt would do exactly them.
    ///
    /// # Errors
    /// When an artifact is missing or swapped, or apt cannot do it.
    pub fn rehearse(
        &self,
        transitions: &[Transition],
        artifacts: &Artifacts,
    ) -> Result<Vec<String>, AptError> {
        let arguments = self.transition_arguments(transitions, artifacts)?;
        let installed = self.installed()?;
        let actions = self.simulate_files(&arguments, &installed)?;
        let same = |action: &Action, transition: &Transition| {
            action.name == transition.name
                && action.architecture == transition.architecture
                && action.old == transition.old
                && action.new == transition.new
        };
        let mut differences = Vec::new();
        for action in &actions {
            if !transitions
                .iter()
                .any(|transition| same(action, transition))
            {
                let version = |v: &Option<countersign_domain::Version>| {
                    v.as_ref().map_or("none", |v| v.as_str()).to_owned()
                };
                differences.push(format!(
                    "apt would also take `{}` from {} to {}",
                    action.name,
                    version(&action.old),
                    version(&action.new)
                ));
            }
        }
        for transition in transitions {
            if !actions.iter().any(|action| same(action, transition)) {
                differences.push(format!(
                    "apt would not take `{}` to the planned version",
                    transition.name
                ));
            }
        }
        Ok(differences)
    }

    /// Performs the transitions. The caller holds a permit, journalled intent and spent them.
    ///
    /// # Errors
    /// When an artifact is missing or swapped, or apt-get could not be run to its end. A failure
    /// that apt-get itself reports is no error but an [`Installation`] without success.
    pub(crate) fn install(
        &self,
        transitions: &[Transition],
        artifacts: &Artifacts,
        change: &ChangeId,
    ) -> Result<Installation, AptError> {
        let arguments = self.transition_arguments(transitions, artifacts)?;
        let removes_nothing = transitions.iter().all(|one| one.new.is_some());
        let run = self
            .apt_without_sources()
            .args(["-y", "-q", "--allow-downgrades"])
            .args(["-o", "Dpkg::Options::=--force-confold"])
            .args(["-o", "Dpkg::Options::=--force-confdef"])
            .args(["-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=60"])
            // apt writes it into its history, by which an audit finds the change.
            .args([
                "-o".to_owned(),
                format!("Countersign::Authorization={change}"),
            ])
            // What was rehearsed removes nothing: whatever changed since, neither does this.
            .args(removes_nothing.then_some("--no-remove"))
            .args(["install", "--"])
            .args(arguments)
            .seconds(u64::from(self.config.install_seconds_max));
        let ended = run.end()?;
        Ok(Installation {
            exit_success: ended.status.success(),
            said: ended.complaint(),
        })
    }
}
