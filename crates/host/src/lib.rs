//! Enforcement on a machine: observe, prepare, verify, journal, act, roll back, settle.
//!
//! Everything that changes a machine under Countersign happens here, and only behind a
//! `countersign_verify::handover::Permit`, which nothing but a verified warrant makes (invariant
//! 1). Not here: policy, the log, approvals, and any command that came from outside (invariant
//! 13): argv and environment are this crate's own, checks are the host's own configuration.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::panic,
        clippy::indexing_slicing,
        missing_docs
    )
)]

pub mod act;
pub mod apt;
pub mod artifact;
pub mod asked;
pub mod check;
mod child;
pub mod cli;
pub mod client;
pub mod config;
mod durable;
pub mod enroll;
pub mod guard;
pub mod hook;
pub mod journal;
pub mod key;
pub mod network;
pub mod observe;
pub mod prepare;
pub mod progress;
mod put_off;
pub mod sandbox;
pub mod seen;
pub mod session;
mod transitions;
mod words;

pub mod work;

pub use cli::{Command, run};
pub use config::Config;
