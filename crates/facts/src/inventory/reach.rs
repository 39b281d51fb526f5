//! What an attacker on one host could reach next, by the inventory's `neighbours`. A bounded walk,
//! not a network scan: an edge that the inventory does not name is not seen.

use super::Inventory;
use countersign_domain::id::HostId;
use std::collections::{BTreeSet, VecDeque};

/// Hosts within reach of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The hosts, without the one the walk began at.
    pub hosts: BTreeSet<HostId>,
    /// False when the walk ended at its bound: then there is more.
    pub complete: bool,
}

pub(super) fn reach(inventory: &Inventory, from: &HostId, hosts_max: usize) -> Reached {
    let mut hosts = BTreeSet::new();
    let mut queue = VecDeque::from([from.clone()]);
    while let Some(host) = queue.pop_front() {
        let Some(asset) = inventory.assets.get(&host) else {
            continue;
        };
        for next in &asset.neighbours {
            if next == from || hosts.contains(next) {
                continue;
            }
            if hosts.len() == hosts_max {
                return Reached {
                    hosts,
                    complete: false,
                };
            }
            hosts.insert(next.clone());
            queue.push_back(next.clone());
        }
    }
    Reached {
        hosts,
        complete: true,
    }
}
