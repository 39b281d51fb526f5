//! The inventory: what the organisation says of its hosts, from one TOML file. Not a discovery:
//! a host that the file does not name gets the strictest reading.

mod file;
mod raises;
mod reach;

pub use file::InventoryError;
pub use reach::Reached;

use countersign_domain::asset::{Asset, Environment};
use countersign_domain::id::HostId;
use std::collections::BTreeMap;

/// Assets in one inventory at most.
pub const ASSETS_MAX: usize = 100_000;
/// An inventory file at most, in bytes.
pub const INVENTORY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Neighbours of one asset at most.
pub const NEIGHBOURS_MAX: usize = 1_000;

/// Everything the inventory says, by host. Compares equal when every asset does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    assets: BTreeMap<HostId, Asset>,
}

impl Inventory {
    /// Reads an inventory file.
    ///
    /// # Errors
    /// Names the line and the field at fault: unknown keys, values out of range, a host twice, or
    /// more than [`ASSETS_MAX`] assets.
    pub fn parse(bytes: &[u8]) -> Result<Self, InventoryError> {
        file::parse(bytes)
    }

    /// The inventory of these assets; of two with the same host the later stands.
    #[must_use]
    pub fn from_assets(assets: impl IntoIterator<Item = Asset>) -> Self {
        Self {
            assets: assets
                .into_iter()
                .map(|asset| (asset.host.clone(), asset))
                .collect(),
        }
    }

    /// The file form: every asset in full, sorted by host. Reads back to an equal inventory.
    ///
    /// # Errors
    /// When a value has no TOML form; none of the types here is known to lack one.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        file::write(self)
    }

    /// What is known of `host`; the strictest reading when the inventory does not name it.
    #[must_use]
    pub fn asset(&self, host: &HostId) -> Asset {
        self.assets
            .get(host)
            .cloned()
            .unwrap_or_else(|| Asset::unknown(host.clone()))
    }

    /// All assets, sorted by host.
    pub fn assets(&self) -> impl Iterator<Item = &Asset> {
        self.assets.values()
    }

    /// How many hosts the inventory names in `environment`: what a share of it is counted against.
    #[must_use]
    pub fn hosts_in(&self, environment: Environment) -> usize {
        self.assets
            .values()
            .filter(|asset| asset.environment == environment)
            .count()
    }

    /// What could be reached from `host`, should it fall: its neighbours, theirs, and so on, up to
    /// `hosts_max` hosts. The host itself is left out.
    #[must_use]
    pub fn reach(&self, host: &HostId, hosts_max: usize) -> Reached {
        reach::reach(self, host, hosts_max)
    }

    /// The edits from `self` to `new` that raise what the AI may do, in words, sorted by host.
    /// Empty: the new inventory takes authority away or leaves it as it is, and needs no signature.
    #[must_use]
    pub fn raises(&self, new: &Self) -> Vec<String> {
        raises::raises(self, new)
    }
}

#[cfg(test)]
mod tests;
