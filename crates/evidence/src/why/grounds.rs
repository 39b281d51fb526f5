//! The sentences about what a decision rested on: facts with their sources, circumstances, and
//! claims that contradict them.

use super::lines::{SHOWN_MAX, short, time};
use super::model::{Basis, FactLine, Freshness};
use countersign_domain::text::shown;
use countersign_domain::time::in_words;
use std::collections::BTreeMap;

/// Facts of one source together; what is stale says so. What is missing is named in one row, with
/// the first reason: each one's own stands in the JSON.
pub(super) fn facts(basis: &Basis) -> Vec<String> {
    let mut groups: BTreeMap<(Freshness, String), Vec<String>> = BTreeMap::new();
    let mut missing = Vec::new();
    for fact in &basis.facts {
        match fact.freshness {
            Freshness::Fresh | Freshness::Stale => groups
                .entry((fact.freshness, origin(fact)))
                .or_default()
                .push(format!("{} {}", fact.name, shown(&fact.value, SHOWN_MAX))),
            Freshness::Missing => missing.push(fact),
        }
    }
    let mut rows: Vec<String> = groups
        .into_iter()
        .map(|((freshness, origin), said)| {
            let word = match freshness {
                Freshness::Fresh => "fresh",
                Freshness::Stale => "STALE",
                Freshness::Missing => "MISSING",
            };
            format!("{word:<7} {}  [{origin}]", said.join(", "))
        })
        .collect();
    if let Some(first) = missing.first() {
        let names: Vec<_> = missing.iter().map(|fact| fact.name.as_str()).collect();
        rows.push(format!(
            "MISSING {}  [{}: {}]",
            names.join(", "),
            shown(&first.source, 60),
            shown(&first.value, 160)
        ));
    }
    rows
}

fn origin(fact: &FactLine) -> String {
    let mut origin = shown(&fact.source, 60);
    if let Some(at) = fact.at {
        origin.push_str(&format!(", {}", time(at)));
    }
    if let Some(digest) = &fact.digest {
        origin.push_str(&format!(", {}", short(digest)));
    }
    origin
}

/// What was looked up of targets and history.
pub(super) fn circumstances(basis: &Basis) -> String {
    let (hosts, hours) = basis.healthy_in_lower;
    let (upgraded, added, removed) = basis.chain;
    let window = match basis.window_and_freeze {
        (_, true) => "in a FREEZE",
        (true, false) => "in window",
        (false, false) => "outside a window",
    };
    format!(
        "{} tier {}; hosts touched {} ({} %); pulls in {} upgraded, {} new, {} removed; healthy on {} \
         lower hosts for {} h; {} rollbacks like it in 90 d; {window}; oldest evidence {}",
        basis.environment.as_str(),
        basis.tier.number(),
        basis.blast.hosts,
        basis.blast.percent,
        upgraded,
        added,
        removed,
        hosts,
        hours,
        basis.rollbacks_in_similar,
        in_words(i64::from(basis.evidence_age_seconds)),
    )
}

pub(super) fn contradictions(basis: &Basis) -> Vec<String> {
    basis
        .contradictions
        .iter()
        .map(|one| {
            format!(
                "! CONTRADICTION: the agent claims {} {}, {} says {}",
                shown(&one.field, 60),
                shown(&one.claimed, 60),
                shown(&one.source, 60),
                shown(&one.fact, 60)
            )
        })
        .collect()
}
