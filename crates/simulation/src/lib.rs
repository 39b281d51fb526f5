//! Seeded simulation: a real gate over its real store, machines with real journals and the real
//! verifier, agents, people and an attacker, in one process with one clock and one source of chance.
//! After every step the rules of `checks` hold, or the run ends with a seed that replays it.
//!
//! For development only: no shipped program contains it. What is simulated: time, chance, the network,
//! the disk's failures, crashes, the package manager. What is not: the CLI, HTTP, apt, several gates.
//!
//! It is a test in the form of a library: what cannot fail in its own fixtures is unwrapped; whatever
//! comes from the house is a [`Violation`].
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod actors;
mod checks;
mod deployment;
mod finish;
mod machine;
mod network;
mod run;
mod steps;
mod truth;

pub use machine::Flaw;
pub use run::{GateFlaw, Report, Simulation, Violation};
