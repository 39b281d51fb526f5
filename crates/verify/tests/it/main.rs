//! The checks from outside: what they accept, and each attack that they must refuse, by name.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod case;
mod differential;
mod documents;
mod emergency;
mod handover;
mod handover_humans;
mod hostile_bytes;
mod jws;
mod log_notes;
mod merkle;
mod roster;
mod security_keys;
mod ssh;
mod support;
mod warrant;
