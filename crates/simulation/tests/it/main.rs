//! Runs of the simulation with fixed seeds, and proof that it can fail.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod runs;
