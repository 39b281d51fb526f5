//! The integration tests of the ledger, one binary. Each module reads as a list of properties.

#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod checkpoints;
mod fixture;
mod folder;
mod oracle;
mod paths;
mod proofs;
mod quorums;
mod tlog_proofs;
mod tree;
mod witnesses;
