//! The policy decision point: reads a policy folder, decides on facts, and explains itself.
//!
//! The only crate that imports Cedar, and the only evaluator there is (invariant 12): server, CLI,
//! simulation and tests all call [`Policy::decide`]. Pure but for [`load`], which reads a folder; no
//! clock, no network. It never counts votes, reserves capacity or resolves calendars: the gate does,
//! and hands the result in as facts.
//!
//! ```
//! use countersign_policy::{Policy, starter};
//! let policy = Policy::load(&starter()).map_err(|findings| format!("{findings:?}"))?;
//! assert!(countersign_policy::run_cases(&policy).iter().all(|result| result.failures.is_empty()));
//! # Ok::<(), String>(())
//! ```
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::panic,
        clippy::indexing_slicing,
        missing_docs
    )
)]

mod annotations;
mod attributes;
mod authority;
mod case_file;
mod cases;
mod conditions;
mod decide;
mod evaluation;
mod explain;
mod finding;
pub mod load;
mod nesting;
mod policy;
mod reads;
mod request;
mod rules;
mod seat;
mod settings;
pub mod sheet;
mod source;
mod starter;
#[cfg(test)]
mod strategies;
mod vocabulary;
mod words;
pub mod yardstick;

pub use annotations::{Rule, RuleKind};
pub use authority::authority_in_words;
pub use cases::{CaseResult, run_cases};
pub use decide::Decided;
pub use explain::{Condition, Explanation, RuleExplanation, ScopeExplanation, Truth};
pub use finding::Finding;
pub use policy::Policy;
pub use seat::{HumanAction, Seat, Seating};
pub use settings::{
    Defaults, Escalation, Freshness, HOST_SILENCE_SECONDS, Limits, PolicyQuorum, ReviewCadence,
    Sensitive, Settings,
};
pub use source::{PolicySource, SourceError};
pub use starter::{starter, starter_for};
