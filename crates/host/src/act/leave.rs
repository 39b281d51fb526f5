//! Leave to act, whoever gave it: a warrant that was verified, or the quorum that broke the glass. Made
//! from a permit and from nothing else, so that whoever holds one has the check behind it.

use super::ACTION;
use countersign_domain::{ChangeId, Digest, HostId, Nonce, Timestamp};
use countersign_verify::emergency::EmergencyPermit;
use countersign_verify::handover::Permit;
use std::time::{Duration, Instant};

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
    /// When the gate was asked, by a clock that nobody sets; nobody was in an emergency.
    pub(super) asked: Option<Instant>,
    pub(super) expires_at: Timestamp,
    /// The warrant's bytes; nothing in an emergency.
    pub(super) jws: &'a str,
    /// The bundle that was signed, in an emergency.
    pub(super) emergency: Option<Digest>,
}

impl<'a> Leave<'a> {
    pub(super) fn by_warrant(permit: &'a Permit, jws: &'a str, asked: Instant) -> Self {
        let warrant = permit.warrant();
        Self {
            change: &warrant.txn,
            spends: *warrant.digest(),
            jti: &warrant.jti,
            plan: warrant.details().plan_digest,
            host: &warrant.aud,
            permits_packages: warrant.permits(ACTION),
            start_before: permit.start_before(),
            asked: Some(asked),
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
            asked: None,
            expires_at: permit.start_before(),
            jws: "",
            emergency: Some(bundle),
        }
    }

    /// True when the gate was asked longer ago than its answer may be old. The gate answered after it
    /// was asked, so this holds although the host's clock is wrong, or is set meanwhile.
    pub(super) fn is_stale(&self, now: Instant, seconds_max: u64) -> bool {
        self.asked
            .is_some_and(|asked| is_stale(asked, now, seconds_max))
    }

    pub(super) const fn expired(&self) -> &'static str {
        match self.emergency {
            None => "the warrant has expired",
            Some(_) => "the signatures are too old to act on",
        }
    }
}

fn is_stale(asked: Instant, now: Instant, seconds_max: u64) -> bool {
    now.saturating_duration_since(asked) > Duration::from_secs(seconds_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_too_old_by_the_time_since_it_was_asked_for() {
        let asked = Instant::now();
        let after = |seconds| asked + Duration::from_secs(seconds);
        assert!(!is_stale(asked, after(60), 60));
        assert!(is_stale(asked, after(61), 60));
        assert!(is_stale(asked, after(1), 0));
    }
}
