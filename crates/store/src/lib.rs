//! State and log entries in one transaction.
//!
//! [`Store`] keeps both logs, the blobs beside them and the projections that are folds of them, in
//! one SQLite file. What changes state is a job: it runs in a savepoint of the one write
//! transaction, many jobs are made durable by one fsync, and only then are checkpoints signed and
//! answers given.
//!
//! What is not here: what entries and documents mean (see `gate`), any decision, any clock. SQL is
//! in this crate alone.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)
)]

mod buffered;
mod cache;
mod compare;
mod contract;
mod copy;
mod cosign;
mod damage;
mod engine;
mod error;
mod faults;
mod fsck;
mod history;
mod job;
mod latest;
mod lock;
mod locked;
mod open;
mod pending;
mod per_log;
mod pool;
mod proof_stage;
mod publish;
mod raw;
mod rebuild;
mod salvage;
mod schema;
mod shared;
mod store;
mod tables;
mod view;
mod wal;
mod write;
mod writer;

pub use contract::{
    Appended, Blob, Document, DocumentQuery, Head, Healthy, IntelRow, Log, Read, Reservation,
    ReservationQuery, StoreError, TransitionOutcome, Write,
};
pub use copy::copy;
pub use cosign::{CosignError, CosignRequest, Cosigner};
pub use error::OpenError;
pub use faults::{CommitPoint, Faults};
pub use fsck::{FsckReport, LogReport, fsck};
pub use lock::{Lock, take as lock};
pub use pending::Pending;
pub use per_log::PerLog;
pub use raw::RawCommits;
pub use rebuild::{Apply, Difference, Fold, RebuildError, RebuildReport, rebuild};
pub use salvage::{Recovery, Wreck, latest_beside};
pub use store::{Options, Signers, Store};
pub use tables::blobs::BLOB_BYTES_MAX;
