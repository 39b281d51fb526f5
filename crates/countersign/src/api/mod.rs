//! The HTTP API under `/api/v1`, the static log addresses and the plain page. Translates between
//! HTTP and the gate: parses, authenticates, maps errors. Decides nothing.

mod access;
mod agents;
mod body;
mod emergencies;
mod hosts;
mod humans;
mod logs;
mod operator;
mod page;
mod problem;
mod reading;
mod routes;
mod unwarranted;
pub mod wire;

pub use access::Access;
pub use problem::{Problem, ProblemDocument};
pub use routes::{Route, router, routes};

use crate::ambient;
use crate::deployment::{Deployment, OperatorToken};
use countersign_domain::Timestamp;
use countersign_gate::Gate;
use std::sync::Arc;

/// What every handler works on.
#[derive(Clone)]
pub struct App {
    gate: Arc<Gate>,
    operator: OperatorToken,
    tokens: Arc<access::TokenCache>,
}

impl App {
    /// The application over an open deployment.
    #[must_use]
    pub fn new(deployment: &Deployment) -> Self {
        Self {
            gate: Arc::clone(deployment.gate()),
            operator: deployment.operator().clone(),
            tokens: Arc::default(),
        }
    }

    /// The gate.
    fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The present.
    fn now(&self) -> Timestamp {
        ambient::now()
    }
}

/// Runs work that reads much from disk, or computes long, without holding up other requests.
fn heavy<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}
