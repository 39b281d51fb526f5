//! Break-glass: what a quorum of named humans signs, on paper or a stick if need be, so that one
//! host may act without the gate (the one exception of invariant 1). Who has to sign is pinned on
//! the host; see `verify::emergency`. Nothing here decides.

use crate::canonical::{self, CanonicalError};
use crate::digest::Digest;
use crate::id::{ChangeId, DeploymentId, HostId, Nonce};
use crate::plan::{PreparedPlan, TRANSITIONS_MAX};
use crate::proposal::PackageRequest;
use crate::statement::SignedStatement;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How long an emergency signature may be acted on after it was made, in seconds: a day. What
/// takes longer is not an emergency.
pub const EMERGENCY_SECONDS_MAX: i64 = 86_400;
/// Statements in one bundle at most.
pub const EMERGENCY_STATEMENTS_MAX: usize = 16;
/// A bundle at most, in bytes.
pub const EMERGENCY_BYTES_MAX: usize = 512 * 1024;
/// The statements that count at most, as canonical JSON, in bytes. One entry of the log holds them
/// and the receipt.
pub const EMERGENCY_SIGNED_BYTES_MAX: usize = 24 * 1024;
/// The receipt of an emergency at most, in bytes. What is left of an entry is its frame's.
pub const EMERGENCY_RECEIPT_BYTES_MAX: usize = 36 * 1024;

/// What shall be done on one host. Made on the host; it takes the place of an agent's proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmergencyOrder {
    /// The form of this document: 1.
    pub v: u8,
    /// The deployment whose roster signs.
    pub deployment: DeploymentId,
    /// The only host that may act.
    pub host: HostId,
    /// Makes two equal orders two: each is spent once.
    pub nonce: Nonce,
    /// When it was made, by the host's clock.
    pub ordered_at: Timestamp,
    /// The packages and the versions that they shall get.
    pub packages: Vec<PackageRequest>,
}

/// Why an order is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("emergency order `{field}`: {problem}")]
pub struct OrderError {
    /// The field at fault.
    pub field: &'static str,
    /// What is wrong.
    pub problem: String,
}

impl EmergencyOrder {
    /// The digest of its canonical bytes: what is signed, and what the host spends.
    ///
    /// # Errors
    /// When it has no canonical bytes.
    pub fn digest(&self) -> Result<Digest, CanonicalError> {
        Ok(Digest::of(&canonical::to_bytes(self)?))
    }

    /// The change that it becomes in receipts and in the log.
    ///
    /// # Errors
    /// As [`Self::digest`].
    pub fn change(&self) -> Result<ChangeId, CanonicalError> {
        Ok(ChangeId::from_proposal(&self.digest()?))
    }

    /// Checks bounds.
    ///
    /// # Errors
    /// Names the first field at fault.
    pub fn check(&self) -> Result<(), OrderError> {
        let wrong = |field, problem: String| Err(OrderError { field, problem });
        if self.v != 1 {
            return wrong("v", format!("version {} is not known", self.v));
        }
        if self.packages.is_empty() || self.packages.len() > TRANSITIONS_MAX {
            return wrong(
                "packages",
                format!(
                    "{} packages; 1 to {TRANSITIONS_MAX} are allowed",
                    self.packages.len()
                ),
            );
        }
        let mut names: Vec<_> = self
            .packages
            .iter()
            .map(|one| (&one.name, &one.architecture))
            .collect();
        names.sort_unstable();
        names.dedup();
        if names.len() != self.packages.len() {
            return wrong("packages", "a package is named twice".into());
        }
        Ok(())
    }
}

/// An order with the plan that the host prepared for it and the signatures gathered so far: the
/// file that travels between the host's console and the people who sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmergencyBundle {
    /// The order.
    pub order: EmergencyOrder,
    /// What the host would do.
    pub plan: PreparedPlan,
    /// The version of the roster that the host goes by: signers state that they looked at it.
    pub roster_version: u64,
    /// The signatures.
    pub statements: Vec<SignedStatement>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> EmergencyOrder {
        EmergencyOrder {
            v: 1,
            deployment: DeploymentId::new("example.org/test").unwrap(),
            host: HostId::new("web1").unwrap(),
            nonce: Nonce::new("0123456789abcdef0123456789abcdef").unwrap(),
            ordered_at: "2026-11-21T12:00:00Z".parse().unwrap(),
            packages: vec![PackageRequest {
                name: "demo".parse().unwrap(),
                architecture: "all".parse().unwrap(),
                from: None,
                to: "1.1".parse().unwrap(),
            }],
        }
    }

    #[test]
    fn an_order_is_bounded_and_names_each_package_once() {
        assert_eq!(order().check(), Ok(()));
        let mut none = order();
        none.packages.clear();
        assert_eq!(none.check().unwrap_err().field, "packages");
        let mut twice = order();
        twice.packages.push(twice.packages[0].clone());
        assert_eq!(twice.check().unwrap_err().field, "packages");
        let mut other = order();
        other.v = 2;
        assert_eq!(other.check().unwrap_err().field, "v");
    }

    #[test]
    fn two_equal_orders_differ_by_their_nonce() {
        let mut again = order();
        again.nonce = Nonce::new("fedcba9876543210fedcba9876543210").unwrap();
        assert_ne!(order().digest().unwrap(), again.digest().unwrap());
        assert_ne!(order().change().unwrap(), again.change().unwrap());
    }
}
