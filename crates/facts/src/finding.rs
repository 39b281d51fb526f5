//! Findings for agents to rank: each pending upgrade of a host with the facts about its CVEs and
//! its asset. Ranks nothing itself.

use crate::inventory::Inventory;
use crate::observed::{CategoryPatterns, Observed, pending_category};
use crate::vulnerability::{Question, vulnerability};
use countersign_domain::asset::Asset;
use countersign_domain::facts::{Fact, Known};
use countersign_domain::finding::{Finding, REACHED_NAMED_MAX, Reach};
use countersign_domain::id::HostId;
use countersign_domain::observation::{CveCoverage, PendingUpgrade};
use countersign_domain::package::CveId;
use countersign_domain::text::shown;
use std::collections::BTreeSet;

/// Hosts that one walk over neighbours visits at most.
const REACH_MAX: usize = 10_000;

/// One finding for each pending upgrade of the observed host. Of `question`, the CVE set and the
/// assets are put in place for each; rows have to cover all CVEs that the observation names.
#[must_use]
pub fn findings(
    observed: &Observed<'_>,
    age_seconds_max: u32,
    inventory: &Inventory,
    patterns: &CategoryPatterns,
    question: &Question<'_>,
) -> Vec<Finding> {
    let observation = observed.observation;
    let asset = inventory.asset(&observation.host);
    let reach = reach(inventory, &observation.host);
    let assets = [asset.clone()];
    let found = observation.pending.iter().map(|pending| {
        let cves = coverage(observed, pending, age_seconds_max, question);
        let vulnerability = vulnerability(&Question {
            cves: &cves,
            assets: &assets,
            ..*question
        });
        Finding {
            host: observation.host.clone(),
            package: pending.name.clone(),
            architecture: pending.architecture.clone(),
            from: pending.from.clone(),
            to: pending.to.clone(),
            security: pending.security,
            category: pending_category(pending, patterns),
            pulls_in: pending.pulls_in.clone(),
            cves: pending.cves.clone(),
            rollback: pending.rollback,
            observed_at: observation.observed_at,
            vulnerability,
            asset: asset.clone(),
            reach: reach.clone(),
        }
    });
    found.collect()
}

fn coverage(
    observed: &Observed<'_>,
    pending: &PendingUpgrade,
    age_seconds_max: u32,
    question: &Question<'_>,
) -> Fact<BTreeSet<CveId>> {
    let observation = observed.observation;
    let source = format!("host {}", observation.host);
    let age = crate::observed::evidence_age_seconds([observation.observed_at], question.now);
    match &pending.cves {
        CveCoverage::Unknown { why } => Fact::missing(source, shown(why, 200)),
        CveCoverage::Read { ids } => Fact {
            value: if age > age_seconds_max {
                Known::Stale(ids.clone())
            } else {
                Known::Fresh(ids.clone())
            },
            source,
            at: Some(observation.observed_at),
            digest: Some(observed.digest),
        },
    }
}

/// What could be reached from `host`, summed up. Hosts that the inventory does not name count with
/// the strictest reading.
#[must_use]
pub fn reach(inventory: &Inventory, host: &HostId) -> Reach {
    let reached = inventory.reach(host, REACH_MAX);
    let assets: Vec<Asset> = reached
        .hosts
        .iter()
        .map(|host| inventory.asset(host))
        .collect();
    Reach {
        hosts: u32::try_from(reached.hosts.len()).unwrap_or(u32::MAX),
        complete: reached.complete,
        highest_tier: assets.iter().map(|asset| asset.tier).min(),
        highest_criticality: assets.iter().map(|asset| asset.criticality).max(),
        highest_environment: assets.iter().map(|asset| asset.environment).max(),
        named: reached.hosts.into_iter().take(REACHED_NAMED_MAX).collect(),
    }
}

#[cfg(test)]
mod tests;
