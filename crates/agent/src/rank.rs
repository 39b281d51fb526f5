//! Ranks findings: which upgrade first, and why. Deterministic integer arithmetic over the facts
//! that the API gave; each factor's points are listed with value and source, so that a person can
//! add them up. A rank decides nothing: the gate looks everything up again.

mod factor;
mod words;

pub use factor::{Contribution, Factor};
pub use words::sentences;

use countersign_domain::canonical;
use countersign_domain::finding::Finding;
use std::cmp::{Ordering, Reverse};

/// A finding with its score and how that came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranked<'a> {
    /// The finding.
    pub finding: &'a Finding,
    /// The sum of all points: higher is more urgent.
    pub score: u32,
    /// Every factor in a fixed order, those that are not known included.
    pub explanation: Vec<Contribution>,
}

/// The findings, most urgent first. Equal scores are ordered by host, package, architecture and
/// versions, so that the order of the input never matters.
#[must_use]
pub fn rank(findings: &[Finding]) -> Vec<Ranked<'_>> {
    let mut ranked: Vec<Ranked<'_>> = findings
        .iter()
        .map(|finding| {
            let explanation = factor::contributions(finding);
            // INVARIANT: each factor's points are bounded (see `factor`), so the sum cannot overflow.
            let score = explanation.iter().map(|one| one.points).sum();
            Ranked {
                finding,
                score,
                explanation,
            }
        })
        .collect();
    ranked.sort_by(order);
    ranked
}

fn order(one: &Ranked<'_>, other: &Ranked<'_>) -> Ordering {
    let key = |ranked: &Ranked<'_>| Reverse(ranked.score);
    let named = |finding: &'_ Finding| {
        (
            finding.host.clone(),
            finding.package.clone(),
            finding.architecture.clone(),
            finding.to.clone(),
            finding.from.clone(),
        )
    };
    key(one)
        .cmp(&key(other))
        .then_with(|| named(one.finding).cmp(&named(other.finding)))
        // The same upgrade twice, with other facts: a confused server, but still one order.
        .then_with(|| whole(one.finding).cmp(&whole(other.finding)))
}

/// The whole finding as bytes; findings without a canonical form are equal here.
fn whole(finding: &Finding) -> Option<Vec<u8>> {
    canonical::to_bytes(finding).ok()
}

#[cfg(test)]
mod tests;
