//! Which edits of an inventory raise what the AI may do. Those need the quorum's signatures; all
//! others do not. Does not judge who signed.

use super::Inventory;
use countersign_domain::asset::{Asset, Criticality, Exposure, Scope};
use std::fmt::Display;

pub(super) fn raises(old: &Inventory, new: &Inventory) -> Vec<String> {
    let mut found = Vec::new();
    for asset in new.assets() {
        match old.assets.get(&asset.host) {
            // Unknown hosts get the strictest reading, so naming one can only loosen it. Taking a
            // host out is therefore never a raise.
            None => found.push(format!(
                "`{}` is added as {} tier {}; until now it was unknown and held to the strictest reading",
                asset.host,
                asset.environment.as_str(),
                asset.tier.number()
            )),
            Some(before) => compare(before, asset, &mut found),
        }
    }
    found
}

fn compare(before: &Asset, after: &Asset, found: &mut Vec<String>) {
    let host = &after.host;
    // A numerically higher tier is a lower one.
    if after.tier > before.tier {
        found.push(format!(
            "`{host}` moves from tier {} to tier {}, where less is asked",
            before.tier.number(),
            after.tier.number()
        ));
    }
    if after.environment < before.environment {
        found.push(format!(
            "`{host}` moves from {} to {}",
            before.environment.as_str(),
            after.environment.as_str()
        ));
    }
    if after.criticality < before.criticality {
        found.push(format!(
            "`{host}` is lowered from {} to {} criticality",
            criticality(before.criticality),
            criticality(after.criticality)
        ));
    }
    if after.exposure < before.exposure {
        found.push(format!(
            "`{host}` is lowered from {} to {} exposure",
            exposure(before.exposure),
            exposure(after.exposure)
        ));
    }
    for dropped in before.scopes.difference(&after.scopes) {
        found.push(format!("`{host}` leaves the {} scope", scope(*dropped)));
    }
    // A new owner is another person who may speak for the asset.
    changed(
        host,
        "owner",
        before.owner.as_ref(),
        after.owner.as_ref(),
        found,
    );
    // Limits on what is in flight are counted by these, so a move gets a host out of one count.
    changed(
        host,
        "service",
        before.service.as_ref(),
        after.service.as_ref(),
        found,
    );
    changed(
        host,
        "cluster",
        before.cluster.as_ref(),
        after.cluster.as_ref(),
        found,
    );
    changed(
        host,
        "account",
        before.account.as_ref(),
        after.account.as_ref(),
        found,
    );
}

fn changed<T: PartialEq + Display>(
    host: &impl Display,
    field: &str,
    before: Option<&T>,
    after: Option<&T>,
    found: &mut Vec<String>,
) {
    if before != after {
        let word =
            |value: Option<&T>| value.map_or("none".to_owned(), |value| format!("`{value}`"));
        found.push(format!(
            "`{host}` changes its {field} from {} to {}",
            word(before),
            word(after)
        ));
    }
}

const fn criticality(value: Criticality) -> &'static str {
    match value {
        Criticality::Low => "low",
        Criticality::Medium => "medium",
        Criticality::High => "high",
        Criticality::Vital => "vital",
    }
}

const fn exposure(value: Exposure) -> &'static str {
    match value {
        Exposure::Small => "small",
        Exposure::Controlled => "controlled",
        Exposure::Open => "open",
    }
}

const fn scope(value: Scope) -> &'static str {
    match value {
        Scope::Pci => "PCI DSS",
        Scope::Hipaa => "HIPAA",
        Scope::Sox => "SOX",
        Scope::Soc2 => "SOC 2",
        Scope::Gdpr => "GDPR",
    }
}
