//! The vocabulary of Countersign: pure values, the two transition tables and canonical digests.
//!
//! No I/O, no clock, no randomness and no async: time and chance come in as arguments of the
//! crates that use these values. Nothing here decides; `policy` decides, `gate` acts on it.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::panic,
        clippy::indexing_slicing,
        missing_docs
    )
)]

pub mod asset;
pub mod canonical;
pub mod change;
pub mod decision;
pub mod digest;
pub mod document;
pub mod emergency;
pub mod entry;
pub mod execution;
pub mod facts;
pub mod finding;
pub mod id;
pub mod jws;
pub mod lease;
pub mod observation;
pub mod package;
pub mod package_report;
pub mod plan;
pub mod proposal;
pub mod receipt;
pub mod roster;
pub mod statement;
pub mod text;
pub mod time;
pub mod warrant;

pub use asset::{Asset, Criticality, Environment, Exposure, Scope, Tier};
pub use change::{ChangeEvent, ChangeState};
pub use decision::{Decision, Duties, GroupQuorum, Outcome, Reason};
pub use digest::Digest;
pub use document::{DocumentKind, NamedDocument};
pub use emergency::EmergencyOrder;
pub use execution::{ExecutionEvent, ExecutionState};
pub use id::{
    AgentId, ChangeId, DeploymentId, GroupId, HostId, Nonce, PersonId, RequestId, RuleId,
};
pub use package::{Architecture, CveId, PackageName, Transition, Version};
pub use plan::PreparedPlan;
pub use proposal::Proposal;
pub use receipt::Receipt;
pub use roster::{Roster, RosterChange};
pub use statement::{SignedStatement, Statement};
pub use time::Timestamp;
pub use warrant::Warrant;
