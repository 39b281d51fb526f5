//! Facts from what hosts signed: prepared plans and observations. Derives category, origin, chain,
//! rollback, CVE ids and the age of it all. Checks no signature; callers pass what was verified.

use countersign_domain::digest::Digest;
use countersign_domain::facts::{ChainFacts, Fact, Known, RollbackFacts};
use countersign_domain::id::HostId;
use countersign_domain::observation::{CveCoverage, Observation, PendingUpgrade};
use countersign_domain::package::{CveId, PackageName, TransitionKind};
use countersign_domain::plan::{PreparedPlan, RollbackSource, Step};
use countersign_domain::proposal::{Category, Proposal, RollbackPlan};
use countersign_domain::time::Timestamp;
use std::collections::BTreeSet;

/// How far ahead of `now` a host's clock may be, in seconds.
const CLOCK_AHEAD_SECONDS_MAX: i64 = 300;

/// Which package names make which category, as the policy says. A pattern is a name in which `*`
/// stands for any run of characters, such as `linux-image-*`. The patterns are the policy's alone;
/// none are built in here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CategoryPatterns(pub Vec<(Category, String)>);

impl CategoryPatterns {
    /// The most sensitive category that a pattern gives `name`.
    #[must_use]
    pub fn category(&self, name: &PackageName) -> Option<Category> {
        self.0
            .iter()
            .filter(|(_, pattern)| matches(pattern.as_bytes(), name.as_str().as_bytes()))
            .map(|(category, _)| *category)
            .max()
    }
}

/// Whether `name` fits `pattern`, by going back to the last `*` only: linear in the product of both.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while let Some(byte) = name.get(n) {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, n));
                p += 1;
            }
            Some(want) if want == byte => {
                p += 1;
                n += 1;
            }
            Some(_) | None => match retry {
                Some((after, from)) => {
                    p = after;
                    n = from + 1;
                    retry = Some((after, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern
        .get(p..)
        .is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

/// What kind of software a package is: the most sensitive that its name, section, origin or
/// priority say.
fn category_of(
    patterns: &CategoryPatterns,
    name: &PackageName,
    section: Option<&str>,
    essential: bool,
    security: bool,
) -> Category {
    // `non-free/libs` is the section `libs` of the area `non-free`.
    let section = section.and_then(|section| section.rsplit('/').next());
    let by_section = match section {
        Some("kernel") => Category::Kernel,
        Some("database") => Category::DatabaseEngine,
        Some(
            "libs" | "libdevel" | "oldlibs" | "python" | "perl" | "ruby" | "javascript" | "java"
            | "rust" | "golang" | "haskell" | "php" | "ocaml" | "lisp" | "gnu-r",
        ) => Category::Dependency,
        Some(_) | None => Category::Application,
    };
    [
        Some(by_section),
        patterns.category(name),
        essential.then_some(Category::CoreSystem),
        security.then_some(Category::OsSecurity),
    ]
    .into_iter()
    .flatten()
    .max()
    .unwrap_or(Category::Kernel)
}

/// The category of one step of a plan.
#[must_use]
pub fn step_category(step: &Step, patterns: &CategoryPatterns) -> Category {
    category_of(
        patterns,
        &step.transition.name,
        step.section.as_deref(),
        step.essential,
        step.security,
    )
}

/// The category of a pending upgrade, what it pulls in included (by name alone: an observation says
/// no more of those, so a plan may turn out more sensitive).
#[must_use]
pub fn pending_category(pending: &PendingUpgrade, patterns: &CategoryPatterns) -> Category {
    let own = category_of(
        patterns,
        &pending.name,
        pending.section.as_deref(),
        pending.essential,
        pending.security,
    );
    pending
        .pulls_in
        .iter()
        .filter_map(|transition| patterns.category(&transition.name))
        .fold(own, Category::max)
}

/// What follows from the plans of all hosts of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanFacts {
    /// The most sensitive category of all steps.
    pub category: Category,
    /// The most sensitive category of the packages that were asked for.
    pub requested_category: Category,
    /// True when every requested package comes from the distribution's security archive.
    pub security_origin: bool,
    /// The largest dependency chain.
    pub chain: ChainFacts,
    /// The worst rollback source.
    pub rollback: RollbackSource,
}

impl PlanFacts {
    /// Derives them; none when there is no plan or one without steps, since then nothing is known.
    #[must_use]
    pub fn of(plans: &[&PreparedPlan], patterns: &CategoryPatterns) -> Option<Self> {
        if plans.iter().any(|plan| plan.steps.is_empty()) {
            return None;
        }
        let steps = || plans.iter().flat_map(|plan| &plan.steps);
        let mut requested = steps().filter(|step| step.requested).peekable();
        let any_requested = requested.peek().is_some();
        let category = steps().map(|step| step_category(step, patterns)).max()?;
        Some(Self {
            category,
            requested_category: steps()
                .filter(|step| step.requested)
                .map(|step| step_category(step, patterns))
                .max()
                .unwrap_or(category),
            security_origin: any_requested && requested.all(|step| step.security),
            chain: plans.iter().fold(ChainFacts::default(), |largest, plan| {
                let one = chain(plan);
                ChainFacts {
                    upgraded: largest.upgraded.max(one.upgraded),
                    added: largest.added.max(one.added),
                    removed: largest.removed.max(one.removed),
                }
            }),
            rollback: plans.iter().map(|plan| plan.rollback()).max()?,
        })
    }

    /// The way back: what the plans offer, unless the proposal wants none. `prior_in_similar` are
    /// the rollbacks of the same transition that the store counted.
    #[must_use]
    pub const fn rollback_facts(&self, plan: RollbackPlan, prior_in_similar: u32) -> RollbackFacts {
        RollbackFacts {
            source: match plan {
                RollbackPlan::ReverseTransitions => self.rollback,
                RollbackPlan::None => RollbackSource::Unavailable,
            },
            prior_in_similar,
        }
    }
}

fn chain(plan: &PreparedPlan) -> ChainFacts {
    let count = |kind, also_requested: bool| {
        let steps = plan.steps.iter().filter(|step| {
            step.transition.kind() == Some(kind) && (also_requested || !step.requested)
        });
        u32::try_from(steps.count()).unwrap_or(u32::MAX)
    };
    ChainFacts {
        upgraded: count(TransitionKind::Upgrade, false),
        added: count(TransitionKind::Install, true),
        removed: count(TransitionKind::Remove, true),
    }
}

/// A host's latest observation, whose signature was verified, with the digest of its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// The observation.
    pub observation: &'a Observation,
    /// Digest of what the host signed.
    pub digest: Digest,
}

/// The CVE ids that the requested packages fix, over all hosts of the proposal, by their latest
/// observations. Missing when a host has none, does not list one of the packages at the version
/// asked for, or could not read its changelog; stale when an observation is older than
/// `age_seconds_max`.
#[must_use]
pub fn cves(
    proposal: &Proposal,
    observed: &[Observed<'_>],
    age_seconds_max: u32,
    now: Timestamp,
) -> Fact<BTreeSet<CveId>> {
    let mut all = BTreeSet::new();
    let mut oldest: Option<Observed<'_>> = None;
    let mut stale = false;
    for host in proposal.hosts() {
        let latest = observed
            .iter()
            .filter(|one| one.observation.host == *host)
            .max_by_key(|one| one.observation.observed_at);
        let source = format!("host {host}");
        let Some(latest) = latest else {
            let why = "it was never observed; run `countersign-host observe` there";
            return Fact::missing(source, why);
        };
        match host_cves(proposal, latest.observation) {
            Ok(cves) => all.extend(cves),
            Err(why) => return Fact::missing(source, why),
        }
        stale |= age(latest.observation.observed_at, now) > age_seconds_max;
        if oldest.is_none_or(|o| latest.observation.observed_at < o.observation.observed_at) {
            oldest = Some(*latest);
        }
    }
    let Some(oldest) = oldest else {
        return Fact::missing("hosts", "the proposal names no host");
    };
    let hosts: BTreeSet<&HostId> = proposal.hosts().collect();
    let others = match hosts.len() - 1 {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    Fact {
        value: if stale {
            Known::Stale(all)
        } else {
            Known::Fresh(all)
        },
        source: format!("host {}{others}", oldest.observation.host),
        at: Some(oldest.observation.observed_at),
        digest: Some(oldest.digest),
    }
}

fn host_cves(proposal: &Proposal, observation: &Observation) -> Result<BTreeSet<CveId>, String> {
    let mut all = BTreeSet::new();
    for package in &proposal.packages {
        let pending = observation.pending.iter().find(|pending| {
            pending.name == package.name
                && pending.architecture == package.architecture
                && pending.to == package.to
        });
        let Some(pending) = pending else {
            return Err(format!(
                "its latest observation does not list `{}` at `{}`",
                package.name, package.to
            ));
        };
        match &pending.cves {
            CveCoverage::Read { ids } => all.extend(ids.iter().cloned()),
            CveCoverage::Unknown { why } => {
                let why = countersign_domain::text::shown(why, 200);
                return Err(format!("`{}`: {why}", package.name));
            }
        }
    }
    Ok(all)
}

/// The age of the oldest of `times` at `now`, in seconds. The greatest age when there is none, or
/// one is dated further ahead than clocks differ: such evidence is no evidence.
#[must_use]
pub fn evidence_age_seconds(times: impl IntoIterator<Item = Timestamp>, now: Timestamp) -> u32 {
    times
        .into_iter()
        .map(|time| age(time, now))
        .max()
        .unwrap_or(u32::MAX)
}

fn age(time: Timestamp, now: Timestamp) -> u32 {
    let seconds = now.seconds_since(time);
    if seconds < -CLOCK_AHEAD_SECONDS_MAX {
        u32::MAX
    } else {
        u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests;
