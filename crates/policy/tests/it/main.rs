//! Integration tests of the policy crate, through its public API only.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod authority;
mod decision_table;
mod loading;
