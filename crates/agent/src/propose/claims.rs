//! What a proposal claims: fresh facts that hold for every target, and nothing else.

use crate::rank::Ranked;
use countersign_domain::CveId;
use countersign_domain::facts::{Exploitation, VulnerabilityFacts};
use countersign_domain::observation::CveCoverage;
use countersign_domain::proposal::{CVES_MAX, Claims};
use std::collections::BTreeSet;

pub(super) fn claims(findings: &[&Ranked<'_>]) -> Claims {
    let facts = || findings.iter().map(|one| &one.finding.vulnerability);
    let assets = || findings.iter().map(|one| &one.finding.asset);
    // Of a host that the inventory does not know there is only an assumption.
    let known = assets().all(|asset| asset.known);
    Claims {
        cvss_tenths: same(facts().map(|facts| facts.cvss_tenths.fresh().copied()))
            .filter(|tenths| *tenths <= 100),
        exploited: same(facts().map(exploited)),
        tier: assets().map(|asset| asset.tier).min().filter(|_| known),
        environment: same(assets().map(|asset| Some(asset.environment))).filter(|_| known),
        hosts: u32::try_from(findings.len()).ok(),
        cves: cves(findings).into_iter().take(CVES_MAX).collect(),
    }
}

/// The CVE ids that all of `findings` fix; empty when for one of them that is not known, or stale.
pub(super) fn cves(findings: &[&Ranked<'_>]) -> BTreeSet<CveId> {
    let mut all = BTreeSet::new();
    for one in findings {
        let fresh = one.finding.vulnerability.cves.fresh().is_some();
        match &one.finding.cves {
            CveCoverage::Read { ids } if fresh => all.extend(ids.iter().cloned()),
            CveCoverage::Read { .. } | CveCoverage::Unknown { .. } => return BTreeSet::new(),
        }
    }
    all
}

/// Exploited when one source says so; not exploited only when both were asked.
fn exploited(facts: &VulnerabilityFacts) -> Option<bool> {
    let listed = facts.kev.fresh().copied();
    let active = facts
        .exploitation
        .fresh()
        .map(|exploitation| *exploitation == Exploitation::Active);
    match (listed, active) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        (None, _) | (_, None) => None,
    }
}

/// The value that all agree on; none when one is not known or differs.
fn same<T: PartialEq>(mut values: impl Iterator<Item = Option<T>>) -> Option<T> {
    let first = values.next()??;
    values
        .all(|value| value.as_ref() == Some(&first))
        .then_some(first)
}
