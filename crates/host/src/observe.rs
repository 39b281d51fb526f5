//! What this host says of itself: pending upgrades, what each pulls in, the CVE ids it fixes, whether
//! there would be a way back. Changes nothing on the machine; what it could not learn, it says.

use crate::apt::changelog::{Budget, Wanted};
use crate::apt::inspect::Installed;
use crate::apt::simulate::Action;
use crate::apt::{Apt, AptError, Spec};
use crate::check;
use crate::config::{Config, Pattern};
use crate::progress::Progress;
use crate::words::within;
use countersign_domain::canonical::{self, CanonicalError};
use countersign_domain::observation::{CveCoverage, Observation, PENDING_MAX, PendingUpgrade};
use countersign_domain::plan::TRANSITIONS_MAX;
use countersign_domain::text::shown;
use countersign_domain::{PackageName, Timestamp, Transition};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Origins are shortened to this many characters.
const ORIGIN_CHARS_MAX: usize = 200;
/// One gap at most, in bytes.
const GAP_BYTES_MAX: usize = 300;
/// Lines of gaps at most.
const GAPS_MAX: usize = 50;

/// True when one of the origins is the distribution's security archive, by configuration.
#[must_use]
pub fn is_security(patterns: &[Pattern], origins: &[String]) -> bool {
    origins
        .iter()
        .any(|origin| patterns.iter().any(|pattern| pattern.matches(origin)))
}

/// The packages that an excerpt needs: everything that any of the upgrades needs is among these,
/// because together they can be installed.
pub(crate) fn names(installed: &Installed, upgrade: &[Action]) -> BTreeSet<PackageName> {
    installed
        .iter()
        .map(|((name, _), _)| name.clone())
        .chain(upgrade.iter().map(|action| action.name.clone()))
        .collect()
}

/// Observes this host.
///
/// # Errors
/// When there is no apt, there are no package lists, or apt's answer is not understood.
pub fn observe(
    config: &Config,
    apt: &mut Apt,
    now: Timestamp,
    progress: Progress<'_>,
) -> Result<Observation, AptError> {
    let lists = apt.refresh(now)?;
    let mut gaps = lists.problems;
    for gap in &gaps {
        progress.line(gap.clone());
    }
    let installed = apt.installed()?;
    let upgrade = apt.simulate_upgrade(&installed)?;
    let names = names(&installed, &upgrade);
    let mut actions: Vec<Action> = upgrade
        .into_iter()
        .filter(|action| action.old.is_some() && action.new.is_some())
        .collect();
    progress.line(format!(
        "{} packages installed, {} upgrades pending",
        installed.count(),
        actions.len()
    ));
    let security = |action: &Action| is_security(&apt.config().security_origins, &action.origins);
    // When there are too many, the security updates are the ones to keep.
    actions.sort_by_key(|action| (!security(action), action.name.clone()));
    if actions.len() > PENDING_MAX {
        gaps.push(format!(
            "{} pending upgrades, of which the first {PENDING_MAX} are told",
            actions.len()
        ));
        actions.truncate(PENDING_MAX);
    }
    let new: Vec<Spec> = actions
        .iter()
        .filter_map(|action| spec(action, true))
        .collect();
    let old: Vec<Spec> = actions
        .iter()
        .filter_map(|action| spec(action, false))
        .collect();
    let mut records = apt.index(&new, &mut gaps)?;
    records.extend(apt.index(&old, &mut gaps)?);

    let excerpt = apt.excerpt(&names)?;
    let pulled = simulate_each(apt, &excerpt, &new, &installed, progress)?;
    let wanted: Vec<Wanted> = actions
        .iter()
        .filter_map(|action| {
            Some(Wanted {
                spec: spec(action, true)?,
                installed_source: installed
                    .get(&action.name, &action.architecture)?
                    .source_version
                    .clone(),
                security: security(action),
            })
        })
        .collect();
    let budget = Budget {
        bytes: u64::from(apt.config().changelog_mebibytes_max) * 1024 * 1024,
        time: Duration::from_secs(u64::from(apt.config().changelog_seconds_max)),
    };
    let mut cves = apt.cves(&wanted, &records, budget, progress)?;

    let mut pending = Vec::with_capacity(actions.len());
    for (action, pulled) in actions.iter().zip(pulled) {
        let (Some(to), Some(from)) = (spec(action, true), spec(action, false)) else {
            continue;
        };
        let pulls_in = match pulled {
            Ok(others) if others.len() <= TRANSITIONS_MAX => others,
            Ok(others) => {
                gaps.push(format!(
                    "`{}` pulls in {} others, more than one plan may hold; it is left out",
                    action.name,
                    others.len()
                ));
                continue;
            }
            Err(why) => {
                gaps.push(format!("`{}` could not be simulated: {why}", action.name));
                continue;
            }
        };
        let record = records.get(&to);
        pending.push(PendingUpgrade {
            name: action.name.clone(),
            architecture: action.architecture.clone(),
            rollback: apt.rollback_outlook(&from, &records),
            from: from.version,
            origin: shown(&action.origins.join(", "), ORIGIN_CHARS_MAX),
            security: security(action),
            section: record.and_then(|record| record.section.clone()),
            essential: record.is_some_and(|record| record.essential),
            pulls_in,
            cves: cves.remove(&to).unwrap_or_else(|| CveCoverage::Unknown {
                why: "the changelog was not asked for".into(),
            }),
            to: to.version,
        });
    }
    let unread = pending
        .iter()
        .filter(|upgrade| matches!(upgrade.cves, CveCoverage::Unknown { .. }))
        .count();
    if unread > 0 {
        gaps.push(format!(
            "the CVE ids of {unread} upgrades could not be learned"
        ));
    }
    gaps.truncate(GAPS_MAX);
    Ok(Observation {
        v: 1,
        deployment: config.deployment.clone(),
        host: config.host.clone(),
        observed_at: now,
        lists_refreshed_at: lists.refreshed_at,
        pending,
        health: check::run_all(config, config.checks.keys()),
        gaps: gaps.iter().map(|gap| within(gap, GAP_BYTES_MAX)).collect(),
    })
}

/// Leaves out what does not fit into `bytes_max` of canonical JSON, from the end (security updates
/// come first), and says so.
///
/// # Errors
/// When it has no canonical bytes.
pub(crate) fn cut(observation: &mut Observation, bytes_max: usize) -> Result<(), CanonicalError> {
    let whole = canonical::to_bytes(observation)?.len();
    // The line that tells of it takes room too.
    let mut over = (whole + 2 * GAP_BYTES_MAX).saturating_sub(bytes_max);
    if over == 0 {
        return Ok(());
    }
    let told = observation.pending.len();
    while over > 0
        && let Some(upgrade) = observation.pending.pop()
    {
        over = over.saturating_sub(canonical::to_bytes(&upgrade)?.len());
    }
    let left = observation.pending.len();
    observation.gaps.push(format!(
        "{told} pending upgrades are more than one observation may hold; the first {left} are told"
    ));
    Ok(())
}

fn spec(action: &Action, new: bool) -> Option<Spec> {
    Some(Spec {
        name: action.name.clone(),
        architecture: action.architecture.clone(),
        version: if new {
            action.new.clone()
        } else {
            action.old.clone()
        }?,
    })
}

/// What each upgrade on its own would pull in, itself left out; a few at a time.
fn simulate_each(
    apt: &Apt,
    excerpt: &Apt,
    wanted: &[Spec],
    installed: &Installed,
    progress: Progress<'_>,
) -> Result<Vec<Result<Vec<Transition>, String>>, AptError> {
    let next = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    let results = Mutex::new(vec![None; wanted.len()]);
    let workers = std::thread::available_parallelism().map_or(1, |count| count.get().min(4));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((at, spec)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    wanted.get(at).map(|spec| (at, spec))
                } {
                    let wanted_one = std::slice::from_ref(spec);
                    let result = excerpt
                        .simulate_install(wanted_one, installed)
                        // What the excerpt cannot do, the whole lists may.
                        .or_else(|_| apt.simulate_install(wanted_one, installed))
                        .map(|actions| others(actions, spec))
                        .map_err(|error| error.to_string());
                    if let Ok(mut results) = results.lock()
                        && let Some(slot) = results.get_mut(at)
                    {
                        *slot = Some(result);
                    }
                    let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                    progress.counted("simulated upgrades", done, wanted.len());
                }
            });
        }
    });
    let results = results
        .into_inner()
        .map_err(|_| AptError::said("apt-get -s", "a simulation ended in a panic"))?;
    Ok(results
        .into_iter()
        .map(|result| result.unwrap_or_else(|| Err("it was not simulated".into())))
        .collect())
}

fn others(actions: Vec<Action>, spec: &Spec) -> Vec<Transition> {
    actions
        .into_iter()
        .filter(|action| action.name != spec.name || action.architecture != spec.architecture)
        .map(|action| Transition {
            name: action.name,
            architecture: action.architecture,
            old: action.old,
            new: action.new,
            sha256: None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_that_is_too_large_is_cut_and_says_so() {
        let upgrade = |n: usize| PendingUpgrade {
            name: format!("package-{n}").parse().unwrap(),
            architecture: "all".parse().unwrap(),
            from: "1.0".parse().unwrap(),
            to: "1.1".parse().unwrap(),
            origin: "Demo".into(),
            security: false,
            section: None,
            essential: false,
            pulls_in: Vec::new(),
            cves: CveCoverage::Unknown {
                why: "x".repeat(300),
            },
            rollback: countersign_domain::plan::RollbackSource::Unavailable,
        };
        let whole = Observation {
            v: 1,
            deployment: "localhost/trial".parse().unwrap(),
            host: "a".parse().unwrap(),
            observed_at: Timestamp::EPOCH,
            lists_refreshed_at: None,
            pending: (0..100).map(upgrade).collect(),
            health: Vec::new(),
            gaps: Vec::new(),
        };
        let size = |observation: &Observation| canonical::to_bytes(observation).unwrap().len();
        let mut small = whole.clone();
        cut(&mut small, size(&whole) + 1000).unwrap();
        assert_eq!(small, whole);
        let mut large = whole.clone();
        cut(&mut large, 20_000).unwrap();
        assert!(size(&large) <= 20_000 && large.pending.len() > 20);
        assert_eq!(large.pending[..], whole.pending[..large.pending.len()]);
        assert!(
            large.gaps[0].contains("100 pending upgrades"),
            "{:?}",
            large.gaps
        );
    }
}
