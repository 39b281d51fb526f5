//! Leave to act, whoever gave it: a warrant that was verified, or the quorum that broke the glass. Made
//! from a permit and from nothing else, so that whoever holds one has the check behind it.

use super::ACTION;
use countersign_domain::{ChangeId, Digest, HostId, Nonce, Timestamp};
use countersign_verify::emergency::EmergencyPermit;
use countersign_verify::handover::Permit;

/// Leave to act once on one plan.
pub(super) struct Leave<'a> {
    pub(super) change: &'a ChangeId,
    /// What is spent: the warrant's digest, or the emergency order's.
    pub(super) spends: Digest,
    pub(super) jti: &'a Nonce,
    pub(super) plan: Digest,
    pub(super) host: &'a HostId,
    pub(super) permits_packages: bool,
    pub(super) start_before: Timestamp,
    pub(super) expires_at: Timestamp,
    /// The warrant's bytes; nothing in an emergency.
    pub(super) jws: &'a str,
    /// The bundle that was signed, in an emergency.
    pub(super) emergency: Option<Digest>,
}

impl<'a> Leave<'a> {
    pub(super) fn by_warrant(permit: &'a Permit, jws: &'a str) -> Self {
        let warrant = permit.warrant();
        Self {
            change: &warrant.txn,
            spends: *warrant.digest(),
            jti: &warrant.jti,
            plan: warrant.details().plan_digest,
            host: &warrant.aud,
            permits_packages: warrant.permits(ACTION),
            start_before: permit.start_before(),
            expires_at: Timestamp::from_unix_seconds(warrant.exp),
            jws,
            emergency: None,
        }
    }

    /// `host` is the one that the permit was verified on; `bundle` is what was verified.
    pub(super) const fn by_quorum(
        permit: &'a EmergencyPermit,
        host: &'a HostId,
        bundle: Digest,
    ) -> Self {
        Self {
            change: permit.change(),
            spends: *permit.order(),
            jti: permit.nonce(),
            plan: *permit.plan(),
            host,
            permits_packages: true,
            start_before: permit.start_before(),
            expires_at: permit.start_before(),
            jws: "",
            emergency: Some(bundle),
        }
    }

    pub(super) const fn expired(&self) -> &'static str {
        match self.emergency {
            None => "the warrant has expired",
            Some(_) => "the signatures are too old to act on",
        }
    }
}
