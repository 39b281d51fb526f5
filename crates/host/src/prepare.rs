//! The host's answer to a proposal, before anything is decided: the exact transitions with digests,
//! artifacts retained where this host acts, the way back found, the checks that will run. Nothing is
//! installed here, and the proposal's words reach apt only as checked names and versions.

use crate::apt::simulate::Action;
use crate::apt::{Apt, AptError, Spec, version};
use crate::artifact::Artifacts;
use crate::check;
use crate::config::Config;
use crate::observe::is_security;
use crate::words::within;
use countersign_domain::canonical::CanonicalError;
use countersign_domain::id::CheckName;
use countersign_domain::plan::{PlanError, Reverse, RollbackSource, Step, TRANSITIONS_MAX};
use countersign_domain::proposal::{PackageRequest, RemediationPath};
use countersign_domain::{Digest, EmergencyOrder, PreparedPlan, Proposal, Timestamp, Transition};
use countersign_verify::plan::NOTE_BYTES_MAX;
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// Why this host cannot prepare a proposal: told to the gate as it is worded here.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A path that this host has nothing for.
    #[error("this host defines no recipe for path `{0}`; only `patch` can be prepared here")]
    Path(&'static str),
    /// A check that the host does not define.
    #[error("this host defines no check `{0}`; name one that its configuration has, or none")]
    Check(String),
    /// Older than, or the same as, what is installed.
    #[error(
        "`{name}` is at `{installed}` here; `{asked}` is no upgrade, and going back is for rollbacks only"
    )]
    NotNewer {
        /// The package.
        name: String,
        /// What is installed.
        installed: String,
        /// What was asked for.
        asked: String,
    },
    /// More than one plan may hold.
    #[error(
        "it would change {0} packages, more than the {TRANSITIONS_MAX} that one plan may hold; propose less at once"
    )]
    TooMany(usize),
    /// apt cannot do it.
    #[error(transparent)]
    Apt(#[from] AptError),
    /// What apt would do is not what was asked for.
    #[error("what apt would do does not fit the proposal: {0}")]
    Plan(#[from] PlanError),
    /// The definitions have no canonical bytes.
    #[error("the host's definitions cannot be hashed: {0}")]
    Canonical(#[from] CanonicalError),
}

/// Prepares `proposal`, whose signature the caller has verified.
///
/// # Errors
/// When this host cannot do what is asked, in words that help whoever proposed it.
pub fn prepare(
    config: &Config,
    apt: &Apt,
    proposal: &Proposal,
    proposal_digest: &Digest,
    now: Timestamp,
) -> Result<PreparedPlan, PrepareError> {
    if proposal.path != RemediationPath::Patch {
        return Err(PrepareError::Path(proposal.path.as_str()));
    }
    let answered = Answered {
        packages: &proposal.packages,
        checks: &proposal.checks,
        digest: *proposal_digest,
    };
    let plan = plan(config, apt, &answered, now)?;
    plan.check(proposal, proposal_digest)?;
    Ok(plan)
}

/// Prepares an emergency order of this host's own.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_emergency(
    config: &Config,
    apt: &Apt,
    order: &EmergencyOrder,
    now: Timestamp,
) -> Result<PreparedPlan, PrepareError> {
    let digest = order.digest()?;
    let answered = Answered {
        packages: &order.packages,
        checks: &[],
        digest,
    };
    let plan = plan(config, apt, &answered, now)?;
    plan.check_emergency(order, &digest)?;
    Ok(plan)
}

/// What a plan answers.
struct Answered<'a> {
    packages: &'a [PackageRequest],
    checks: &'a [CheckName],
    digest: Digest,
}

fn plan(
    config: &Config,
    apt: &Apt,
    answered: &Answered<'_>,
    now: Timestamp,
) -> Result<PreparedPlan, PrepareError> {
    let installed = apt.installed()?;
    let wanted: Vec<Spec> = answered
        .packages
        .iter()
        .map(|request| Spec {
            name: request.name.clone(),
            architecture: request.architecture.clone(),
            version: request.to.clone(),
        })
        .collect();
    for spec in &wanted {
        if let Some(package) = installed.get(&spec.name, &spec.architecture)
            && version::compare(&spec.version, &package.version) != Some(Ordering::Greater)
        {
            return Err(PrepareError::NotNewer {
                name: spec.name.to_string(),
                installed: package.version.to_string(),
                asked: spec.version.to_string(),
            });
        }
    }
    let actions = apt.simulate_install(&wanted, &installed)?;
    if actions.len() > TRANSITIONS_MAX {
        return Err(PrepareError::TooMany(actions.len()));
    }
    let steps = steps(apt, config, &actions, &wanted)?;
    Ok(PreparedPlan {
        v: 1,
        deployment: config.deployment.clone(),
        host: config.host.clone(),
        proposal: answered.digest,
        prepared_at: now,
        expires_at: now.plus_seconds(i64::from(config.plan_seconds)),
        checks: checks(config, answered.checks, &steps)?,
        definitions: config.definitions()?,
        limits: limits(config, &steps),
        steps,
    })
}

fn steps(
    apt: &Apt,
    config: &Config,
    actions: &[Action],
    wanted: &[Spec],
) -> Result<Vec<Step>, PrepareError> {
    let at_version = |action: &Action, version: &Option<_>| {
        version.clone().map(|version| Spec {
            name: action.name.clone(),
            architecture: action.architecture.clone(),
            version,
        })
    };
    let new: Vec<Spec> = actions
        .iter()
        .filter_map(|a| at_version(a, &a.new))
        .collect();
    let old: Vec<Spec> = actions
        .iter()
        .filter_map(|a| at_version(a, &a.old))
        .collect();
    // A record that is not understood is missed below, where it is needed.
    let mut gaps = Vec::new();
    let mut records = apt.index(&new, &mut gaps)?;
    records.extend(apt.index(&old, &mut gaps)?);
    let retained = config
        .apt
        .execute
        .then(|| Artifacts::new(&config.state_dir));
    if let Some(artifacts) = &retained {
        apt.fetch(&new, &records, artifacts)?;
    }
    let mut steps = Vec::with_capacity(actions.len());
    for action in actions {
        let to = at_version(action, &action.new);
        let record = to.as_ref().and_then(|to| records.get(to));
        let described = record.or_else(|| {
            at_version(action, &action.old)
                .as_ref()
                .and_then(|from| records.get(from))
        });
        let sha256 = record.and_then(|record| record.sha256);
        if let (Some(to), None) = (&to, sha256) {
            return Err(AptError::said(
                "apt-cache show",
                &format!(
                    "no SHA-256 for `{}` `{}` {}",
                    to.name,
                    to.version,
                    gaps.join("; ")
                ),
            )
            .into());
        }
        let (source, stored, back_sha256, note) = match at_version(action, &action.old) {
            None => (RollbackSource::NotNeeded, false, None, None),
            Some(from) => {
                let found = apt.rollback(&from, &records, retained.as_ref())?;
                (found.source, found.stored, found.sha256, found.note)
            }
        };
        let transition = Transition {
            name: action.name.clone(),
            architecture: action.architecture.clone(),
            old: action.old.clone(),
            new: action.new.clone(),
            sha256,
        };
        steps.push(Step {
            reverse: Reverse {
                transition: Transition {
                    old: transition.new.clone(),
                    new: transition.old.clone(),
                    sha256: back_sha256,
                    ..transition.clone()
                },
                source,
                stored,
                note: note.map(|note| within(&note, NOTE_BYTES_MAX)),
            },
            requested: to.is_some_and(|to| wanted.contains(&to)),
            security: is_security(&apt.config().security_origins, &action.origins),
            // A removal needs no artifact: nothing of it is wanting.
            fetched: retained.is_some() || action.new.is_none(),
            section: described.and_then(|record| record.section.clone()),
            essential: described.is_some_and(|record| record.essential),
            transition,
        });
    }
    Ok(steps)
}

/// Those that are asked for and those that this host demands for what changes.
fn checks(
    config: &Config,
    asked: &[CheckName],
    steps: &[Step],
) -> Result<Vec<CheckName>, PrepareError> {
    if let Some(missing) = asked.iter().find(|name| !config.checks.contains_key(*name)) {
        return Err(PrepareError::Check(missing.to_string()));
    }
    let names: Vec<&str> = steps
        .iter()
        .map(|step| step.transition.name.as_str())
        .collect();
    let all: BTreeSet<_> = asked
        .iter()
        .chain(check::demanded(config, &names))
        .cloned()
        .collect();
    Ok(all.into_iter().collect())
}

fn limits(config: &Config, steps: &[Step]) -> Vec<String> {
    let mut limits = Vec::new();
    if !config.apt.execute {
        limits.push(
            "this host only observes (`apt.execute = false`): digests come from the package index, nothing was fetched or stored"
                .to_owned(),
        );
    }
    if steps
        .iter()
        .any(|step| step.reverse.source == RollbackSource::Repacked && !step.reverse.stored)
    {
        limits
            .push("a repack of the installed version would need root and `dpkg-repack`".to_owned());
    }
    limits
}
