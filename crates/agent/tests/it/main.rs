//! The agent against a server of real HTTP bytes, friendly and hostile. The gate itself is not here.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod client;
mod fake;
mod run;
mod samples;
mod server;
