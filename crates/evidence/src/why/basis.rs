//! What a decision rested on, from the facts that are kept beside the log under their digest.

use super::model::{Basis, FactLine, Freshness};
use countersign_domain::asset::{Environment, Tier};
use countersign_domain::facts::{DecisionFacts, Fact, Known};

/// The facts in the form in which they are shown.
pub(super) fn basis(facts: &DecisionFacts) -> Basis {
    let assets = || facts.scopes.iter().flat_map(|scope| &scope.assets);
    Basis {
        at: facts.at,
        facts: lines(facts),
        // Nothing known counts as the strictest.
        environment: assets()
            .map(|asset| asset.environment)
            .max()
            .unwrap_or(Environment::Production),
        tier: assets()
            .map(|asset| asset.tier)
            .min()
            .unwrap_or(Tier::HIGHEST),
        blast: facts.blast,
        rollbacks_in_similar: facts.rollback.prior_in_similar,
        healthy_in_lower: (facts.lower.healthy_hosts, facts.lower.healthy_hours),
        chain: (facts.chain.upgraded, facts.chain.added, facts.chain.removed),
        evidence_age_seconds: facts.evidence_age_seconds,
        window_and_freeze: (facts.calendar.in_window, facts.calendar.freeze),
        contradictions: facts.contradictions.clone(),
    }
}

fn lines(facts: &DecisionFacts) -> Vec<FactLine> {
    let known = &facts.vulnerability;
    let tenths = |tenths: &u8| format!("{}.{}", tenths / 10, tenths % 10);
    let percent = |parts: &u16| format!("{}.{:02} %", parts / 100, parts % 100);
    let yes = |yes: &bool| if *yes { "yes" } else { "no" }.to_owned();
    let impact =
        |impact: &countersign_domain::facts::TechnicalImpact| format!("{impact:?}").to_lowercase();
    vec![
        line("CVEs fixed", &known.cves, u32::to_string),
        line("exploited (KEV)", &known.kev, yes),
        line("CVSS", &known.cvss_tenths, tenths),
        line("EPSS", &known.epss_ten_thousandths, percent),
        line("exploitation", &known.exploitation, |value| {
            value.as_str().to_owned()
        }),
        line("automatable", &known.automatable, yes),
        line("impact", &known.technical_impact, impact),
        line("remediate", &known.timeline, |value| {
            value.as_str().to_owned()
        }),
        line("priority", &known.priority, |value| {
            value.as_str().to_owned()
        }),
    ]
}

fn line<T>(name: &str, fact: &Fact<T>, words: impl Fn(&T) -> String) -> FactLine {
    let (freshness, value) = match &fact.value {
        Known::Fresh(value) => (Freshness::Fresh, words(value)),
        Known::Stale(value) => (Freshness::Stale, words(value)),
        Known::Missing(why) => (Freshness::Missing, why.clone()),
    };
    FactLine {
        name: name.to_owned(),
        value,
        freshness,
        source: fact.source.clone(),
        at: fact.at,
        digest: fact.digest,
    }
}
