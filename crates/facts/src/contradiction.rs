//! Claims at odds with facts (invariant 3). A claim that no fact speaks to stands uncontradicted;
//! it is not thereby true, and nothing rests on it.

use crate::observed::PlanFacts;
use countersign_domain::asset::Asset;
use countersign_domain::facts::{Contradiction, Exploitation, Fact, VulnerabilityFacts};
use countersign_domain::package::CveId;
use countersign_domain::plan::PreparedPlan;
use countersign_domain::proposal::Proposal;
use std::collections::BTreeSet;
use std::fmt::Display;

/// Things that one contradiction names; more are counted.
const NAMED_MAX: usize = 5;

/// The facts that claims are held against.
#[derive(Debug, Clone, Copy)]
pub struct Against<'a> {
    /// The targets as the inventory has them.
    pub assets: &'a [Asset],
    /// What intelligence says.
    pub vulnerability: &'a VulnerabilityFacts,
    /// The CVE ids that the change fixes, by the hosts' observations.
    pub cves: &'a Fact<BTreeSet<CveId>>,
    /// The hosts' plans.
    pub plans: &'a [&'a PreparedPlan],
    /// What follows from them; none while they are being made.
    pub plan_facts: Option<&'a PlanFacts>,
}

/// Where the proposal's claims contradict facts, in a fixed order. Only fresh facts contradict.
#[must_use]
pub fn contradictions(proposal: &Proposal, against: &Against<'_>) -> Vec<Contradiction> {
    [
        tier(proposal, against.assets),
        environment(proposal, against.assets),
        hosts(proposal),
        cvss(proposal, against.vulnerability),
        exploited(proposal, against.vulnerability),
        cves(proposal, against.cves),
        category(proposal, against.plan_facts),
    ]
    .into_iter()
    .flatten()
    .chain(versions(proposal, against.plans))
    .collect()
}

fn contradiction(
    field: &str,
    claimed: impl Display,
    fact: impl Display,
    source: impl Display,
) -> Contradiction {
    Contradiction {
        field: field.into(),
        claimed: claimed.to_string(),
        fact: fact.to_string(),
        source: source.to_string(),
    }
}

/// What the inventory does not know is an assumption there, not a fact: it contradicts nothing.
fn known(assets: &[Asset]) -> impl Iterator<Item = &Asset> {
    assets.iter().filter(|asset| asset.known)
}

fn tier(proposal: &Proposal, assets: &[Asset]) -> Option<Contradiction> {
    let claimed = proposal.claims.tier?;
    let highest = known(assets).min_by_key(|asset| asset.tier)?;
    let all_known = assets.iter().all(|asset| asset.known);
    // A stricter claim may still be true of an asset that is not known.
    let wrong = highest.tier < claimed || (all_known && highest.tier != claimed);
    wrong.then(|| {
        contradiction(
            "claims.tier",
            claimed.number(),
            format!("{} (`{}`)", highest.tier.number(), highest.host),
            "inventory",
        )
    })
}

fn environment(proposal: &Proposal, assets: &[Asset]) -> Option<Contradiction> {
    let claimed = proposal.claims.environment?;
    let other = known(assets)
        .filter(|asset| asset.environment != claimed)
        .max_by_key(|asset| asset.environment)?;
    Some(contradiction(
        "claims.environment",
        claimed.as_str(),
        format!("{} (`{}`)", other.environment.as_str(), other.host),
        "inventory",
    ))
}

fn hosts(proposal: &Proposal) -> Option<Contradiction> {
    let claimed = proposal.claims.hosts?;
    let named = proposal.hosts().count();
    (usize::try_from(claimed) != Ok(named))
        .then(|| contradiction("claims.hosts", claimed, named, "the proposal's waves"))
}

fn cvss(proposal: &Proposal, facts: &VulnerabilityFacts) -> Option<Contradiction> {
    let claimed = proposal.claims.cvss_tenths?;
    let fact = facts.cvss_tenths.fresh()?;
    let words = |tenths: u8| format!("{}.{}", tenths / 10, tenths % 10);
    (claimed != *fact).then(|| {
        contradiction(
            "claims.cvss_tenths",
            words(claimed),
            words(*fact),
            &facts.cvss_tenths.source,
        )
    })
}

fn exploited(proposal: &Proposal, facts: &VulnerabilityFacts) -> Option<Contradiction> {
    let claimed = proposal.claims.exploited?;
    let listed = facts.kev.fresh().copied();
    let active = facts
        .exploitation
        .fresh()
        .map(|exploitation| *exploitation == Exploitation::Active);
    let (fact, source) = match (claimed, listed, active) {
        (false, Some(true), _) => (
            "in the catalogue of known exploited vulnerabilities",
            &facts.kev.source,
        ),
        (false, _, Some(true)) => (
            "evidence of active exploitation",
            &facts.exploitation.source,
        ),
        // Not being listed does not prove that nobody exploits it; CISA's judgement says so.
        (true, Some(false) | None, Some(false)) => (
            "no evidence of active exploitation",
            &facts.exploitation.source,
        ),
        (true, _, _) | (false, _, _) => return None,
    };
    Some(contradiction("claims.exploited", claimed, fact, source))
}

fn cves(proposal: &Proposal, fact: &Fact<BTreeSet<CveId>>) -> Option<Contradiction> {
    let read = fact.fresh()?;
    let extra: Vec<&CveId> = proposal.claims.cves.difference(read).collect();
    (!extra.is_empty()).then(|| {
        let verb = if read.is_empty() {
            "the changelog names none".to_owned()
        } else {
            format!("the changelog names {}", listed(read.iter()))
        };
        contradiction("claims.cves", listed(extra.into_iter()), verb, &fact.source)
    })
}

/// The agent names the packages it asks for; what they pull in it cannot know before a host has
/// planned. So anything from the category of what is asked for to that of all that changes is true.
fn category(proposal: &Proposal, facts: Option<&PlanFacts>) -> Option<Contradiction> {
    let facts = facts?;
    let true_claims = facts.requested_category..=facts.category;
    (!true_claims.contains(&proposal.category)).then(|| {
        contradiction(
            "category",
            proposal.category.as_str(),
            facts.category.as_str(),
            "the hosts' plans",
        )
    })
}

fn versions<'a>(
    proposal: &'a Proposal,
    plans: &'a [&'a PreparedPlan],
) -> impl Iterator<Item = Contradiction> + 'a {
    proposal.packages.iter().filter_map(move |package| {
        let claimed = package.from.as_ref()?;
        let other = plans.iter().find_map(|plan| {
            let step = plan.steps.iter().find(|step| {
                step.requested
                    && step.transition.name == package.name
                    && step.transition.architecture == package.architecture
            })?;
            (step.transition.old.as_ref() != Some(claimed)).then_some((plan, step))
        });
        other.map(|(plan, step)| {
            contradiction(
                "packages.from",
                format!("{} {claimed}", package.name),
                match &step.transition.old {
                    Some(old) => format!("{} {old}", package.name),
                    None => format!("{} is not installed", package.name),
                },
                format!("host {}", plan.host),
            )
        })
    })
}

fn listed<'a>(mut words: impl ExactSizeIterator<Item = &'a CveId>) -> String {
    let named: Vec<&str> = words.by_ref().take(NAMED_MAX).map(CveId::as_str).collect();
    match words.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests;
