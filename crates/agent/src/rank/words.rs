//! A rank in sentences, for people and as the rationale of a proposal. Says only what the
//! contributions say; adds no judgement of its own.

use super::{Contribution, Factor, Ranked};

const fn name(factor: Factor) -> &'static str {
    match factor {
        Factor::KnownExploited => "known exploited vulnerabilities catalogue",
        Factor::Timeline => "BOD 26-04 timeline",
        Factor::Priority => "SSVC priority",
        Factor::Cvss => "highest CVSS base score",
        Factor::Epss => "highest EPSS probability",
        Factor::Exposure => "exposure of the host",
        Factor::Criticality => "criticality of the host",
        Factor::Tier => "tier of the host",
        Factor::Reach => "reachable from the host",
        Factor::SecurityOrigin => "from the distribution's security archive",
        Factor::CveCount => "CVE ids fixed",
        Factor::Age => "age",
    }
}

/// The explanation of a rank as sentences: the score, what added to it (most first), what was
/// known and added nothing, and what was not known.
#[must_use]
pub fn sentences(ranked: &Ranked<'_>) -> Vec<String> {
    let mut all = vec![format!("Ranked at {} points.", ranked.score)];
    let mut counted: Vec<&Contribution> = ranked
        .explanation
        .iter()
        .filter(|one| one.points > 0)
        .collect();
    counted.sort_by_key(|one| (std::cmp::Reverse(one.points), one.factor));
    all.extend(counted.iter().map(|one| {
        format!(
            "+{} for {}: {} (source: {}).",
            one.points,
            name(one.factor),
            one.value,
            one.source
        )
    }));
    let idle = list(ranked, |one| one.known && one.points == 0);
    if !idle.is_empty() {
        all.push(format!("Known, and adding nothing: {idle}."));
    }
    let missing = list(ranked, |one| !one.known);
    if !missing.is_empty() {
        all.push(format!("Not known, so not counted: {missing}."));
    }
    all
}

fn list(ranked: &Ranked<'_>, which: impl Fn(&Contribution) -> bool) -> String {
    let named = ranked.explanation.iter().filter(|one| which(one));
    let words: Vec<String> = named
        .map(|one| format!("{} ({})", name(one.factor), one.value))
        .collect();
    words.join("; ")
}
