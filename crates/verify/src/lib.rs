//! Pure checks shared by gate, host, gateway and evidence: signatures, warrants, log proofs,
//! human statements, the roster chain, and all of them together before a host acts.
//!
//! No I/O, no clock, no randomness and no keys that could sign: `now` is an argument, and what
//! comes in is hostile until a function here has returned `Ok`. Types whose name begins with
//! `Verified`, and [`handover::Permit`], have no other constructor than the check they are named
//! after. Whether somebody *should* be allowed something is not decided here; see `policy`.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod document;
pub mod emergency;
pub mod handover;
pub mod jws;
pub mod key;
pub mod log;
pub mod observation;
pub mod package_report;
pub mod plan;
pub mod proposal;
pub mod receipt;
pub mod roster;
pub mod ssh;
pub mod started;
pub mod token;
pub mod warrant;

pub use handover::{HostPins, HostView, Permit, Refusal};
pub use jws::Verified;
pub use key::Ed25519Key;
pub use log::{Checkpoint, LogKeys, ProvenEntry};
pub use roster::VerifiedRoster;
pub use ssh::{Presence, VerifiedStatement};
pub use warrant::VerifiedWarrant;

/// How far a clock may be off at most, in seconds, whatever a configuration says.
pub const SKEW_SECONDS_MAX: i64 = 300;
