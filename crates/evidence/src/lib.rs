//! The read side over log entries: who decided what, on what basis, when, and whether the log
//! proves it. [`why()`] tells the story of one change; [`verify_log`] and [`verify_folder`] check
//! both logs whole, offline, from a pinned genesis.
//!
//! Nothing here is believed that an entry, a signature or a Merkle root does not prove: the roster
//! is rebuilt from its chain, every statement, plan, notice, receipt and warrant is verified with
//! the roster as it was then, and states follow the transition tables of `domain`. What does not
//! hold is a [`Finding`], never skipped. Signatures are checked by `verify`, trees are built by
//! `ledger`. Not here: SQL, policy evaluation, and any way to write.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod audit;
mod bounded;
mod documents;
mod finding;
mod folder;
mod log;
mod replay;
mod source;
mod why;

pub use documents::{DocumentSummary, MissingDocument, check_documents};
pub use finding::{FINDINGS_MAX, Finding, FindingKind, Findings};
pub use folder::{FolderError, FolderSource};
pub use log::{
    DemandedDocuments, LogReport, LogSummary, Progress, TrustedRoots, verify_folder, verify_log,
};
pub use source::{Blob, LogName, Source, SourceError};
pub use why::{
    Asked, Authorized, Basis, Closed, Decided, Ended, ExecutedOn, FactLine, Freshness, HaltLine,
    IssuedWarrant, Noted, Person, PlanStep, Planned, PolicyVersion, Proofs, Rationale, Review,
    Reviewed, SignedBy, Started, Stated, TRAIL_MAX, VoteCast, Why, WhyError, render, trail, why,
};
