//! Everything looked up: intelligence feeds, inventory, hosts' observations; each fact with its
//! source, time and digest.
//!
//! Takes and gives plain values. Keeps nothing (rows are the store's), reads no clock (`now` is an
//! argument) and decides nothing (`policy` does). Only [`fetch`] touches files and the network.
//!
//! One rule runs through it: what is not known is never guessed in favour of the AI. An unknown
//! asset gets the strictest reading; a feed that was never imported, is too old, or had entries
//! that could not be read makes its facts missing or stale, and policy sees that (invariant 2).
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::panic,
        clippy::indexing_slicing,
        missing_docs
    )
)]

pub mod calendar;
pub mod contradiction;
pub mod feed;
pub mod fetch;
pub mod finding;
pub mod inventory;
pub mod observed;
#[cfg(test)]
mod samples;
pub mod ssvc;
pub mod vulnerability;

pub use contradiction::contradictions;
pub use feed::{FeedKind, FeedState, Import, IntelRecord};
pub use inventory::Inventory;
pub use vulnerability::vulnerability;
