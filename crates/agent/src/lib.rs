//! The built-in patch agent: fetches findings, ranks them, proposes and follows up, as a plain
//! client of the HTTP API with an agent's own key. It decides nothing and gets no door of its own:
//! whatever it does, any other agent could do.
//!
//! [`rank`] and [`propose`] are pure; [`client`] talks to the server; [`run`](mod@run) puts them
//! together. Time and randomness are arguments.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod client;
pub mod propose;
pub mod rank;
pub mod run;

#[cfg(test)]
#[path = "../tests/it/samples.rs"]
mod samples;

pub use client::{AgentIdentity, Client, ClientError};
pub use propose::Grouping;
pub use rank::{Ranked, rank};
pub use run::{Event, Mode, Options, Report, run};

/// Randomness for salts and nonces, which nobody may be able to guess.
pub trait Randomness: rand::RngCore + rand::CryptoRng {}

impl<T: rand::RngCore + rand::CryptoRng> Randomness for T {}
