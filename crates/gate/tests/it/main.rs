//! The lifecycle over a real store, with invented people, hosts and agents. No HTTP, no apt.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod approve;
mod attacks;
mod calendars;
mod deployment;
mod emergency;
mod endings;
mod fixture;
mod halt;
mod life;
mod packages;
mod races;
mod rebuild;
mod reconcile;
mod silence;
mod waves;
