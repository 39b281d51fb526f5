//! The inventory's file form: TOML with a version, defaults and a list of assets. Reads and writes
//! it; knows nothing of what the assets mean.
//!
//! ```toml
//! version = 1
//!
//! [defaults]
//! environment = "production"
//! tier = 2
//!
//! [[assets]]
//! host = "web-1"
//! exposure = "open"
//! neighbours = ["db-1"]
//! ```
//!
//! What neither an asset nor the defaults say gets the strictest reading, as for an unknown host.

use super::{ASSETS_MAX, INVENTORY_BYTES_MAX, Inventory, NEIGHBOURS_MAX};
use countersign_domain::asset::{Asset, Criticality, Environment, Exposure, Scope, Tier};
use countersign_domain::id::{AccountId, ClusterId, HostId, PersonId};
use countersign_domain::text::shown;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use toml::Spanned;

/// The longest service name, in bytes.
const SERVICE_BYTES_MAX: usize = 100;

/// Why an inventory was refused. The old one stays in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InventoryError {
    /// Larger than [`INVENTORY_BYTES_MAX`].
    #[error("the inventory has {0} bytes; {INVENTORY_BYTES_MAX} are allowed: split the deployment")]
    TooLarge(usize),
    /// More than [`ASSETS_MAX`] assets.
    #[error("the inventory has {0} assets; {ASSETS_MAX} are allowed: split the deployment")]
    TooManyAssets(usize),
    /// Not UTF-8.
    #[error("line {line}: not UTF-8 text")]
    Encoding {
        /// The line, from 1.
        line: usize,
    },
    /// Not TOML, or not the TOML of an inventory.
    #[error("line {line}: {problem}")]
    Field {
        /// The line, from 1.
        line: usize,
        /// What is wrong with which field, and what would be right.
        problem: String,
    },
}

/// What may stand in `[defaults]`, and in an asset besides its host and neighbours.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Defaults {
    environment: Option<Environment>,
    tier: Option<Tier>,
    criticality: Option<Criticality>,
    exposure: Option<Exposure>,
    scopes: Option<BTreeSet<Scope>>,
    owner: Option<PersonId>,
    service: Option<Spanned<String>>,
    cluster: Option<ClusterId>,
    account: Option<AccountId>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    host: Spanned<HostId>,
    environment: Option<Environment>,
    tier: Option<Tier>,
    criticality: Option<Criticality>,
    exposure: Option<Exposure>,
    scopes: Option<BTreeSet<Scope>>,
    owner: Option<PersonId>,
    service: Option<Spanned<String>>,
    cluster: Option<ClusterId>,
    account: Option<AccountId>,
    #[serde(default)]
    neighbours: BTreeSet<HostId>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: Spanned<u32>,
    #[serde(default)]
    defaults: Defaults,
    #[serde(default)]
    assets: Vec<Entry>,
}

pub(super) fn parse(bytes: &[u8]) -> Result<Inventory, InventoryError> {
    if bytes.len() > INVENTORY_BYTES_MAX {
        return Err(InventoryError::TooLarge(bytes.len()));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| InventoryError::Encoding {
        line: line_of(bytes, error.valid_up_to()),
    })?;
    let wrong = |at: usize, problem: String| InventoryError::Field {
        line: line_of(bytes, at),
        problem,
    };
    let file: File = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        wrong(at, shown(error.message(), 400))
    })?;
    if *file.version.get_ref() != 1 {
        return Err(wrong(
            file.version.span().start,
            format!(
                "`version` {} is not known; expected 1",
                file.version.get_ref()
            ),
        ));
    }
    if file.assets.len() > ASSETS_MAX {
        return Err(InventoryError::TooManyAssets(file.assets.len()));
    }
    check_service(file.defaults.service.as_ref()).map_err(|(at, problem)| wrong(at, problem))?;
    let mut assets = BTreeMap::new();
    for entry in file.assets {
        let at = entry.host.span().start;
        check_service(entry.service.as_ref()).map_err(|(at, problem)| wrong(at, problem))?;
        if entry.neighbours.len() > NEIGHBOURS_MAX {
            return Err(wrong(
                at,
                format!(
                    "`neighbours` of `{}` has {} entries; {NEIGHBOURS_MAX} are allowed",
                    entry.host.get_ref(),
                    entry.neighbours.len()
                ),
            ));
        }
        let asset = resolve(entry, &file.defaults);
        if assets.contains_key(&asset.host) {
            return Err(wrong(
                at,
                format!("`host` `{}` is named twice; name each once", asset.host),
            ));
        }
        assets.insert(asset.host.clone(), asset);
    }
    Ok(Inventory { assets })
}

fn resolve(entry: Entry, defaults: &Defaults) -> Asset {
    let strictest = Asset::unknown(entry.host.into_inner());
    let service = entry.service.or_else(|| defaults.service.clone());
    Asset {
        environment: entry
            .environment
            .or(defaults.environment)
            .unwrap_or(strictest.environment),
        tier: entry.tier.or(defaults.tier).unwrap_or(strictest.tier),
        criticality: entry
            .criticality
            .or(defaults.criticality)
            .unwrap_or(strictest.criticality),
        exposure: entry
            .exposure
            .or(defaults.exposure)
            .unwrap_or(strictest.exposure),
        scopes: entry
            .scopes
            .or_else(|| defaults.scopes.clone())
            .unwrap_or_default(),
        owner: entry.owner.or_else(|| defaults.owner.clone()),
        service: service.map(Spanned::into_inner),
        cluster: entry.cluster.or_else(|| defaults.cluster.clone()),
        account: entry.account.or_else(|| defaults.account.clone()),
        neighbours: entry.neighbours,
        known: true,
        host: strictest.host,
    }
}

fn check_service(service: Option<&Spanned<String>>) -> Result<(), (usize, String)> {
    let Some(service) = service else {
        return Ok(());
    };
    let name = service.get_ref();
    if name.is_empty() || name.len() > SERVICE_BYTES_MAX || name.chars().any(char::is_control) {
        return Err((
            service.span().start,
            format!(
                "`service` `{}` is not 1 to {SERVICE_BYTES_MAX} printable bytes",
                shown(name, 40)
            ),
        ));
    }
    Ok(())
}

fn line_of(bytes: &[u8], at: usize) -> usize {
    1 + bytes.iter().take(at).filter(|byte| **byte == b'\n').count()
}

#[derive(Serialize)]
struct WrittenFile<'a> {
    version: u32,
    assets: Vec<WrittenAsset<'a>>,
}

/// An asset without `known`, which a file cannot say.
#[derive(Serialize)]
struct WrittenAsset<'a> {
    host: &'a HostId,
    environment: Environment,
    tier: Tier,
    criticality: Criticality,
    exposure: Exposure,
    scopes: &'a BTreeSet<Scope>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: &'a Option<PersonId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: &'a Option<ClusterId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: &'a Option<AccountId>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    neighbours: &'a BTreeSet<HostId>,
}

pub(super) fn write(inventory: &Inventory) -> Result<String, toml::ser::Error> {
    toml::to_string(&WrittenFile {
        version: 1,
        assets: inventory
            .assets()
            .map(|asset| WrittenAsset {
                host: &asset.host,
                environment: asset.environment,
                tier: asset.tier,
                criticality: asset.criticality,
                exposure: asset.exposure,
                scopes: &asset.scopes,
                owner: &asset.owner,
                service: &asset.service,
                cluster: &asset.cluster,
                account: &asset.account,
                neighbours: &asset.neighbours,
            })
            .collect(),
    })
}
