//! Drives the whole program: server, API, CLI and witness, on data directories of their own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod api;
mod app;
mod attacks;
mod audit;
mod bench;
mod calendars;
mod changes;
mod cli;
mod deployments;
mod emergency;
mod fire;
mod house;
mod page;
mod policies;
mod program;
mod quickstart;
mod reconcile;
mod rosters;
mod signatures;
mod twenty;
mod witnesses;
