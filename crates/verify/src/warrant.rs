//! Warrants: who issued one, for which host, when, on what ground. Whether it is in the log and
//! whether it may be acted on now is decided in `handover`; what it permits is done by `host`.

use crate::SKEW_SECONDS_MAX;
use crate::jws::{self, JwsError, Verified};
use crate::key::Ed25519Key;
use crate::log::authorizations_origin;
use countersign_domain::proposal::{HOSTS_MAX, WAVES_MAX};
use countersign_domain::text::shown;
use countersign_domain::warrant::{
    AuthorizationDetails, DETAILS_TYPE, Ground, WARRANT_SECONDS_MAX, WARRANT_TYP, Warrant,
};
use countersign_domain::{DeploymentId, Digest, HostId, Timestamp};
use std::collections::BTreeSet;
use std::ops::Deref;

/// `kid` of everything that the gate signs with its warrant key.
pub const GATE_KID: &str = "gate";
/// A warrant at most, in bytes: one log entry.
pub const WARRANT_BYTES_MAX: usize = countersign_domain::entry::ENTRY_BYTES_MAX;
/// Actions, rules or approvers in one warrant at most.
pub const LIST_MAX: usize = 64;

/// What a host demands of a warrant.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The gate's warrant key, from the roster.
    pub gate_key: &'a Ed25519Key,
    /// The deployment that the host is enrolled in.
    pub deployment: &'a DeploymentId,
    /// The host itself.
    pub host: &'a HostId,
    /// The time.
    pub now: Timestamp,
    /// How far the gate's clock may be ahead, in seconds; at most [`SKEW_SECONDS_MAX`] count.
    pub skew_seconds: i64,
    /// True when the host itself is enrolled as trial.
    pub trial_host: bool,
}

/// A warrant that the gate signed and that is consistent in itself. Only [`verify`] and
/// [`verify_past`] make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedWarrant {
    warrant: Verified<Warrant>,
    details: AuthorizationDetails,
}

/// Why a warrant must not be acted on.
#[derive(Debug, thiserror::Error)]
pub enum WarrantError {
    /// Longer than a log entry.
    #[error("warrant of {0} bytes is longer than {WARRANT_BYTES_MAX}; it cannot be a log entry")]
    TooLong(usize),
    /// The signature, type or form.
    #[error("warrant: {0}")]
    Jws(#[from] JwsError),
    /// Of another deployment.
    #[error("warrant was issued by `{found}`, this host is enrolled in `{expected}`")]
    Issuer {
        /// Where the host is enrolled.
        expected: DeploymentId,
        /// Who issued it.
        found: DeploymentId,
    },
    /// For another host.
    #[error("warrant is for host `{found}`, this is `{expected}`; redeem one for this host")]
    Audience {
        /// This host.
        expected: HostId,
        /// Whose it is.
        found: HostId,
    },
    /// None or several authorization details.
    #[error("warrant has {0} authorization details, expected exactly one; report the gate")]
    DetailsCount(usize),
    /// Details of an unknown type.
    #[error("warrant details have type `{0}`, expected `{DETAILS_TYPE}`; update this host")]
    DetailsType(String),
    /// Details that name other hosts than the audience.
    #[error("warrant details do not name exactly the host `{0}` that the warrant is for")]
    Locations(HostId),
    /// More or fewer uses than one.
    #[error("warrant allows {0} uses, expected exactly 1")]
    Uses(u32),
    /// No action, too many, one twice, or one that is not a word.
    #[error("warrant actions must be 1 to {LIST_MAX} different words such as `package.transition`")]
    Actions,
    /// A number that no change can have.
    #[error("warrant `{0}` is out of range; report the gate")]
    Range(&'static str),
    /// Ends before it begins, or lives too long.
    #[error("warrant lives `{0}` s; at most {WARRANT_SECONDS_MAX} s are accepted")]
    Lifetime(i64),
    /// Issued in the future.
    #[error("warrant was issued {0} s in the future; set the clocks of gate and host")]
    Future(i64),
    /// Not yet valid.
    #[error("warrant is not valid for another {0} s; wait for its window, or set the clock")]
    NotYet(i64),
    /// Expired.
    #[error("warrant expired {0} s ago; redeem the authorization again")]
    Expired(i64),
    /// From a trial, for a host that is not one.
    #[error(
        "warrant is from a trial deployment; this host is not enrolled as trial and refuses it"
    )]
    Trial,
    /// Standing authority without a rule.
    #[error("warrant rests on standing authority, but names no rule; report the gate")]
    NoRule,
    /// More rules than are looked at, or one twice.
    #[error("warrant must name at most {LIST_MAX} rules, each once")]
    Rules,
    /// No named human behind it, too many, or one twice.
    #[error("warrant must name 1 to {LIST_MAX} human approvers, each once; without one it is void")]
    Approvers,
    /// A signature from after the warrant.
    #[error("approver `{0}` signed after the warrant was issued; the times contradict each other")]
    ApproverTime(countersign_domain::PersonId),
    /// Cites another log.
    #[error("warrant cites an authorization in log `{0}`, which is not this deployment's")]
    AuthorizationLog(String),
    /// Cites an entry outside the tree that it names.
    #[error("warrant cites entry `{index}` of a tree of {size} entries; report the gate")]
    AuthorizationIndex {
        /// Leaf index.
        index: u64,
        /// Tree size.
        size: u64,
    },
}

impl VerifiedWarrant {
    /// What is permitted: its one authorization detail.
    #[must_use]
    pub const fn details(&self) -> &AuthorizationDetails {
        &self.details
    }

    /// True when `action` is among what is permitted.
    #[must_use]
    pub fn permits(&self, action: &str) -> bool {
        self.details
            .actions
            .iter()
            .any(|permitted| permitted == action)
    }

    /// The digest of the JWS, which is the log entry: by it notices and receipts name a warrant.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        self.warrant.jws_digest()
    }
}

impl Deref for VerifiedWarrant {
    type Target = Warrant;

    fn deref(&self) -> &Warrant {
        &self.warrant
    }
}

/// Verifies a warrant that a host may be about to act on: signature, issuer, audience, inner
/// consistency, time, and trial.
///
/// # Errors
/// [`WarrantError`] names the first thing that does not hold.
pub fn verify(jws: &str, expected: &Expected<'_>) -> Result<VerifiedWarrant, WarrantError> {
    let warrant = verify_past(jws, expected.gate_key, expected.deployment)?;
    if warrant.aud != *expected.host {
        return Err(WarrantError::Audience {
            expected: expected.host.clone(),
            found: warrant.aud.clone(),
        });
    }
    check_time(&warrant, expected.now, expected.skew_seconds)?;
    if warrant.trial && !expected.trial_host {
        return Err(WarrantError::Trial);
    }
    Ok(warrant)
}

/// Verifies a warrant of the past, as evidence: signature, issuer and inner consistency. Says
/// nothing about the present, and must never be what an executor acts on.
///
/// # Errors
/// [`WarrantError`] names the first thing that does not hold.
pub fn verify_past(
    jws: &str,
    gate_key: &Ed25519Key,
    deployment: &DeploymentId,
) -> Result<VerifiedWarrant, WarrantError> {
    if jws.len() > WARRANT_BYTES_MAX {
        return Err(WarrantError::TooLong(jws.len()));
    }
    let warrant: Verified<Warrant> = jws::verify(jws, WARRANT_TYP, GATE_KID, gate_key)?;
    if warrant.iss != *deployment {
        return Err(WarrantError::Issuer {
            expected: deployment.clone(),
            found: warrant.iss.clone(),
        });
    }
    let details = check_details(&warrant)?.clone();
    check_lifetime(&warrant)?;
    check_basis(&warrant)?;
    Ok(VerifiedWarrant { warrant, details })
}

fn check_details(warrant: &Warrant) -> Result<&AuthorizationDetails, WarrantError> {
    let [details] = warrant.authorization_details.as_slice() else {
        let count = warrant.authorization_details.len();
        return Err(WarrantError::DetailsCount(count));
    };
    if details.kind != DETAILS_TYPE {
        return Err(WarrantError::DetailsType(shown(&details.kind, 60)));
    }
    if details.locations.as_slice() != std::slice::from_ref(&warrant.aud) {
        return Err(WarrantError::Locations(warrant.aud.clone()));
    }
    // INVARIANT (one spend): the host spends `jti` durably; more than one use cannot be asked for.
    if details.uses != 1 {
        return Err(WarrantError::Uses(details.uses));
    }
    let word = |action: &String| {
        (1..=60).contains(&action.len())
            && action
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b".-".contains(&b))
    };
    let words = details.actions.iter().all(word);
    if !words || details.actions.is_empty() || !is_short_set(&details.actions) {
        return Err(WarrantError::Actions);
    }
    if !(1..=HOSTS_MAX).contains(&(details.targets_max as usize)) {
        return Err(WarrantError::Range("targets_max"));
    }
    if details.wave as usize >= WAVES_MAX {
        return Err(WarrantError::Range("wave"));
    }
    Ok(details)
}

fn check_lifetime(warrant: &Warrant) -> Result<(), WarrantError> {
    if warrant.iat < 0 || warrant.nbf < 0 {
        return Err(WarrantError::Range("iat, nbf"));
    }
    // Counted from the earlier of the two, so that an old warrant cannot wait for its window.
    let lifetime = warrant.exp.saturating_sub(warrant.nbf.min(warrant.iat));
    let ordered = warrant.nbf < warrant.exp && warrant.iat < warrant.exp;
    if !ordered || lifetime > WARRANT_SECONDS_MAX {
        return Err(WarrantError::Lifetime(lifetime));
    }
    Ok(())
}

fn check_basis(warrant: &Warrant) -> Result<(), WarrantError> {
    let basis = &warrant.basis;
    match basis.decision {
        Ground::Standing if basis.rules.is_empty() => return Err(WarrantError::NoRule),
        Ground::Standing | Ground::Approved => {}
    }
    if !is_short_set(&basis.rules) {
        return Err(WarrantError::Rules);
    }
    let people: Vec<_> = basis
        .approvers
        .iter()
        .map(|signer| &signer.person)
        .collect();
    if people.is_empty() || !is_short_set(&people) {
        return Err(WarrantError::Approvers);
    }
    // The signer's clock and the gate's may differ.
    let issued = warrant.iat.saturating_add(SKEW_SECONDS_MAX);
    if let Some(late) = basis
        .approvers
        .iter()
        .find(|signer| signer.at.unix_seconds() > issued)
    {
        return Err(WarrantError::ApproverTime(late.person.clone()));
    }
    let reference = &basis.authorization;
    if reference.origin != authorizations_origin(&warrant.iss) {
        return Err(WarrantError::AuthorizationLog(shown(
            &reference.origin,
            100,
        )));
    }
    if reference.index >= reference.size {
        return Err(WarrantError::AuthorizationIndex {
            index: reference.index,
            size: reference.size,
        });
    }
    if basis.roster_version == 0 {
        return Err(WarrantError::Range("basis.roster_version"));
    }
    Ok(())
}

fn check_time(warrant: &Warrant, now: Timestamp, skew_seconds: i64) -> Result<(), WarrantError> {
    let skew = skew_seconds.clamp(0, SKEW_SECONDS_MAX);
    let now = now.unix_seconds();
    if warrant.iat > now + skew {
        return Err(WarrantError::Future(warrant.iat - now));
    }
    if warrant.nbf > now + skew {
        return Err(WarrantError::NotYet(warrant.nbf - now));
    }
    // No leeway at this end: a clock that is off may cost a warrant, never prolong one.
    if warrant.exp <= now {
        return Err(WarrantError::Expired(now - warrant.exp));
    }
    Ok(())
}

/// At most [`LIST_MAX`] entries, each once.
fn is_short_set<T: Ord>(list: &[T]) -> bool {
    list.len() <= LIST_MAX && list.iter().collect::<BTreeSet<_>>().len() == list.len()
}
