//! The `countersign` program as a library, so that tests can drive it: surfaces that translate
//! between people, HTTP and the gate, and never decide.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::panic,
        clippy::indexing_slicing,
        missing_docs
    )
)]

pub mod ambient;
pub mod api;
pub mod backup;
pub mod bench;
pub mod cli;
pub mod client;
pub mod deployment;
pub mod evidence;
pub mod quickstart;
pub mod serve;
pub mod signing;
pub mod witness;
