//! The host's signed answer to a proposal, before anything is decided: exactly what would happen,
//! from which bytes, and how it would be undone.

use crate::digest::Digest;
use crate::emergency::EmergencyOrder;
use crate::id::{CheckName, DeploymentId, HostId};
use crate::package::{Transition, TransitionKind, Version};
use crate::proposal::{PackageRequest, Proposal};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Transitions in one plan at most, so that a signed plan fits in one log entry.
pub const TRANSITIONS_MAX: usize = 100;

/// Where the artifact for going back comes from, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RollbackSource {
    /// Nothing needs an artifact: only new packages, which rollback removes.
    NotNeeded,
    /// The very file that was installed, still in the package cache and matched by digest.
    Cached,
    /// The archive still serves the old version, with its digest.
    Mirror,
    /// Rebuilt from the installed files: works, but is not byte-identical.
    Repacked,
    /// None can be had.
    Unavailable,
}

impl RollbackSource {
    /// The word used in rules, files and on screen.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotNeeded => "not-needed",
            Self::Cached => "cached",
            Self::Mirror => "mirror",
            Self::Repacked => "repacked",
            Self::Unavailable => "unavailable",
        }
    }
}

/// How one transition is undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reverse {
    /// The transition back: old and new exchanged, with the digest of the stored artifact.
    pub transition: Transition,
    /// Where that artifact comes from.
    pub source: RollbackSource,
    /// True when the artifact lies on the host now; false when only its digest is known.
    pub stored: bool,
    /// Why there is none, or what is wanting about it, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A transition together with its way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What happens.
    pub transition: Transition,
    /// How it is undone.
    pub reverse: Reverse,
    /// True when the proposal named it; false when it is pulled in.
    pub requested: bool,
    /// True when it comes from the distribution's security archive.
    pub security: bool,
    /// True when the artifact lies on the host now; false when only its digest is known.
    pub fetched: bool,
    /// The archive's section or a like word (`kernel`, `database`, `libs`), from the package index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// True when the package is marked essential or of priority `required`.
    #[serde(default)]
    pub essential: bool,
}

/// What a host would do for a proposal. The host signs its canonical bytes; the change digest binds
/// the digest of those bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreparedPlan {
    /// The form of this document: 1.
    pub v: u8,
    /// The deployment.
    pub deployment: DeploymentId,
    /// The host that would act.
    pub host: HostId,
    /// Digest of the signed proposal that this answers.
    pub proposal: Digest,
    /// When it was prepared, by the host's clock.
    pub prepared_at: Timestamp,
    /// When the host will refuse to act on it.
    pub expires_at: Timestamp,
    /// What would happen, in order.
    pub steps: Vec<Step>,
    /// Health checks that will run afterwards, by name.
    pub checks: Vec<CheckName>,
    /// Digest of the host's own definitions of these checks and recipes.
    pub definitions: Digest,
    /// Why the host cannot act on it as it stands (only observing, unprivileged …), in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<String>,
}

/// What is wrong with a plan, naming the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("plan `{field}`: {problem}")]
pub struct PlanError {
    /// The field at fault.
    pub field: &'static str,
    /// What is wrong.
    pub problem: String,
}

impl PreparedPlan {
    /// The worst rollback source of all steps; `Unavailable` for a plan without steps.
    #[must_use]
    pub fn rollback(&self) -> RollbackSource {
        self.steps
            .iter()
            .map(|step| step.reverse.source)
            .max()
            .unwrap_or(RollbackSource::Unavailable)
    }

    /// How many steps are of this kind.
    #[must_use]
    pub fn count(&self, kind: TransitionKind) -> usize {
        self.steps
            .iter()
            .filter(|step| step.transition.kind() == Some(kind))
            .count()
    }

    /// Checks bounds, that each way back really goes back, and that what was asked for is what is
    /// planned.
    ///
    /// # Errors
    /// Names the first field at fault.
    pub fn check(&self, proposal: &Proposal, proposal_digest: &Digest) -> Result<(), PlanError> {
        if self.deployment != proposal.deployment || self.proposal != *proposal_digest {
            return wrong("proposal", "answers another proposal".into());
        }
        if proposal.wave_of(&self.host).is_none() {
            return wrong(
                "host",
                format!("`{}` is not a target of the proposal", self.host),
            );
        }
        self.check_form()?;
        self.check_answers(&proposal.packages)
    }

    /// As [`Self::check`], for a plan that a host prepared for an emergency order.
    ///
    /// # Errors
    /// Names the first field at fault.
    pub fn check_emergency(
        &self,
        order: &EmergencyOrder,
        order_digest: &Digest,
    ) -> Result<(), PlanError> {
        if self.deployment != order.deployment || self.proposal != *order_digest {
            return wrong("proposal", "answers another order".into());
        }
        if self.host != order.host {
            return wrong("host", format!("the order is for `{}`", order.host));
        }
        self.check_form()?;
        self.check_answers(&order.packages)
    }

    fn check_form(&self) -> Result<(), PlanError> {
        if self.v != 1 {
            return wrong("v", format!("version {} is not known", self.v));
        }
        if self.expires_at <= self.prepared_at {
            return wrong("expires_at", "is not after `prepared_at`".into());
        }
        if self.steps.is_empty() || self.steps.len() > TRANSITIONS_MAX {
            return wrong(
                "steps",
                format!(
                    "{} steps; 1 to {TRANSITIONS_MAX} are allowed",
                    self.steps.len()
                ),
            );
        }
        for step in &self.steps {
            check_step(step)?;
        }
        let mut names: Vec<_> = self
            .steps
            .iter()
            .map(|step| (&step.transition.name, &step.transition.architecture))
            .collect();
        names.sort_unstable();
        names.dedup();
        if names.len() != self.steps.len() {
            return wrong("steps", "a package changes twice".into());
        }
        Ok(())
    }

    fn check_answers(&self, packages: &[PackageRequest]) -> Result<(), PlanError> {
        for request in packages {
            let planned: Option<&Version> = self
                .steps
                .iter()
                .filter(|step| step.requested)
                .find(|step| {
                    step.transition.name == request.name
                        && step.transition.architecture == request.architecture
                })
                .and_then(|step| step.transition.new.as_ref());
            if planned != Some(&request.to) {
                return wrong(
                    "steps",
                    format!(
                        "`{}` does not get the version `{}` that was asked for",
                        request.name, request.to
                    ),
                );
            }
        }
        let requested = self.steps.iter().filter(|step| step.requested).count();
        if requested != packages.len() {
            return wrong(
                "steps",
                "marks packages as requested that were not asked for".into(),
            );
        }
        Ok(())
    }
}

fn wrong(field: &'static str, problem: String) -> Result<(), PlanError> {
    Err(PlanError { field, problem })
}

fn check_step(step: &Step) -> Result<(), PlanError> {
    let wrong = |problem: String| wrong("steps", problem);
    let there = &step.transition;
    let back = &step.reverse.transition;
    match there.kind() {
        None => {
            return wrong(format!(
                "`{}` has neither an old nor a new version",
                there.name
            ));
        }
        Some(TransitionKind::Upgrade | TransitionKind::Install) if there.sha256.is_none() => {
            return wrong(format!("`{}` has no artifact digest", there.name));
        }
        Some(TransitionKind::Remove) if there.sha256.is_some() => {
            return wrong(format!("`{}` is removed, yet has an artifact", there.name));
        }
        Some(TransitionKind::Upgrade | TransitionKind::Install | TransitionKind::Remove) => {}
    }
    let reversed = back.name == there.name
        && back.architecture == there.architecture
        && back.old == there.new
        && back.new == there.old;
    if !reversed {
        return wrong(format!(
            "the way back of `{}` does not lead back",
            there.name
        ));
    }
    let has_artifact = back.sha256.is_some();
    let coherent = match step.reverse.source {
        RollbackSource::NotNeeded => back.new.is_none() && !has_artifact,
        RollbackSource::Cached | RollbackSource::Mirror => back.new.is_some() && has_artifact,
        // An unprivileged host cannot repack yet: it says so, without a digest.
        RollbackSource::Repacked => back.new.is_some() && (has_artifact || !step.reverse.stored),
        RollbackSource::Unavailable => !has_artifact && !step.reverse.stored,
    };
    if coherent {
        Ok(())
    } else {
        wrong(format!(
            "the way back of `{}` contradicts its source `{}`",
            there.name,
            step.reverse.source.as_str()
        ))
    }
}
