//! What a host checks before it acts without the gate (invariant 1, its one exception): an order
//! for this very host, the plan that it prepared itself, and the signatures of the quorum that its
//! own root-owned configuration pins, by keys of the roster that it pinned.
//!
//! Not here: spending the order and journalling intent, which need a disk; see `host`. The gate's
//! halt does not reach an emergency: who can break the glass is who is pinned.

use crate::roster::VerifiedRoster;
use crate::ssh::{StatementError, VerifiedStatement, verify_statement};
use countersign_domain::canonical::{self, CanonicalError};
use countersign_domain::emergency::{
    EMERGENCY_SECONDS_MAX, EMERGENCY_STATEMENTS_MAX, EmergencyBundle, OrderError,
};
use countersign_domain::plan::PlanError;
use countersign_domain::statement::Subject;
use countersign_domain::{
    ChangeId, DeploymentId, Digest, GroupId, GroupQuorum, HostId, Nonce, PersonId, Roster,
    Timestamp,
};
use std::collections::BTreeSet;

/// What the host knows when it is asked to act in an emergency.
#[derive(Debug, Clone, Copy)]
pub struct EmergencyView<'a> {
    /// The host.
    pub host: &'a HostId,
    /// The last roster that it verified.
    pub roster: &'a VerifiedRoster,
    /// The groups and quorums that its configuration pins for emergencies. Empty: none may.
    pub quorum: &'a [GroupQuorum],
    /// True when the host is enrolled as trial.
    pub trial: bool,
    /// The digest of the plan that it holds and would act on.
    pub own_plan_digest: &'a Digest,
    /// The time.
    pub now: Timestamp,
}

/// Why nothing is done.
#[derive(Debug, thiserror::Error)]
pub enum EmergencyRefusal {
    /// The host pins no quorum.
    #[error(
        "this host pins nobody who could break the glass; set `pins.emergency` in its configuration"
    )]
    NotPinned,
    /// A pinned quorum that demands nothing.
    #[error("the quorum pinned for group `{0}` is 0, which demands nothing; pin at least 1")]
    PinQuorumZero(GroupId),
    /// A trial's roster on a host that is not enrolled as trial.
    #[error("the roster is a trial's, and this host is not enrolled as trial")]
    Trial,
    /// Another deployment.
    #[error("the order is for deployment `{found}`, this host belongs to `{expected}`")]
    Deployment {
        /// The host's.
        expected: DeploymentId,
        /// The order's.
        found: DeploymentId,
    },
    /// Another host.
    #[error("the order is for host `{found}`, this is `{expected}`")]
    Host {
        /// This one.
        expected: HostId,
        /// The order's.
        found: HostId,
    },
    /// The order is out of bounds.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// The plan does not answer the order.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The plan is not the one that this host holds.
    #[error("the bundle holds plan `{found}`, this host prepared `{own}`; prepare the order again")]
    OtherPlan {
        /// The host's.
        own: Digest,
        /// The bundle's.
        found: Digest,
    },
    /// The plan is too old.
    #[error("the plan expired at `{0}`; prepare the order again")]
    PlanExpired(Timestamp),
    /// More than may be handed in.
    #[error("the bundle holds {0} statements, at most {EMERGENCY_STATEMENTS_MAX} are read")]
    TooMany(usize),
    /// A number that canonical JSON cannot carry.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// Too few people signed.
    #[error("group `{group}` has to sign {needed} times, {found} of it did{}", unusable_text(.unusable.as_deref()))]
    Quorum {
        /// The group.
        group: GroupId,
        /// How many distinct people have to.
        needed: u32,
        /// How many did.
        found: u32,
        /// Why a statement did not count; the first.
        unusable: Option<Box<UnusableStatement>>,
    },
}

/// Why one statement does not count.
#[derive(Debug, thiserror::Error)]
pub enum UnusableStatement {
    /// It does not verify.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// About something else.
    #[error("`{0}` signed something else than this order and plan on this host")]
    OtherSubject(PersonId),
    /// Signed too long ago.
    #[error("`{person}` signed at `{signed_at}`: an emergency is acted on within a day")]
    TooOld {
        /// Who.
        person: PersonId,
        /// When.
        signed_at: Timestamp,
    },
}

fn unusable_text(unusable: Option<&UnusableStatement>) -> String {
    unusable.map_or_else(String::new, |why| format!(" (one did not count: {why})"))
}

/// Leave to act, once, on an emergency order. Only [`verify`] makes one.
#[derive(Debug)]
pub struct EmergencyPermit {
    change: ChangeId,
    order: Digest,
    nonce: Nonce,
    plan: Digest,
    start_before: Timestamp,
    approvals: Vec<VerifiedStatement>,
}

impl EmergencyPermit {
    /// The change that the order becomes.
    #[must_use]
    pub const fn change(&self) -> &ChangeId {
        &self.change
    }

    /// The order's digest: it is spent in the place of a warrant's.
    #[must_use]
    pub const fn order(&self) -> &Digest {
        &self.order
    }

    /// The order's nonce: it is spent in the place of a warrant's `jti`.
    #[must_use]
    pub const fn nonce(&self) -> &Nonce {
        &self.nonce
    }

    /// The plan.
    #[must_use]
    pub const fn plan(&self) -> &Digest {
        &self.plan
    }

    /// The last moment at which the signatures and the plan are fresh enough to start on.
    #[must_use]
    pub const fn start_before(&self) -> Timestamp {
        self.start_before
    }

    /// The signatures that count.
    #[must_use]
    pub fn approvals(&self) -> &[VerifiedStatement] {
        &self.approvals
    }
}

/// Checks everything that a host demands before it acts in an emergency.
///
/// # Errors
/// [`EmergencyRefusal`] names the first thing that does not hold. A refusal changes nothing.
pub fn verify(
    bundle: &EmergencyBundle,
    view: &EmergencyView<'_>,
) -> Result<EmergencyPermit, EmergencyRefusal> {
    if view.quorum.is_empty() {
        return Err(EmergencyRefusal::NotPinned);
    }
    if view.roster.trial && !view.trial {
        return Err(EmergencyRefusal::Trial);
    }
    if bundle.order.deployment != view.roster.deployment {
        return Err(EmergencyRefusal::Deployment {
            expected: view.roster.deployment.clone(),
            found: bundle.order.deployment.clone(),
        });
    }
    if bundle.order.host != *view.host {
        return Err(EmergencyRefusal::Host {
            expected: view.host.clone(),
            found: bundle.order.host.clone(),
        });
    }
    let (order, plan) = check_form(bundle)?;
    if plan != *view.own_plan_digest {
        return Err(EmergencyRefusal::OtherPlan {
            own: *view.own_plan_digest,
            found: plan,
        });
    }
    if bundle.plan.expires_at <= view.now {
        return Err(EmergencyRefusal::PlanExpired(bundle.plan.expires_at));
    }
    let (approvals, unusable) = statements(bundle, view.roster, Some(view.now))?;
    let people: BTreeSet<_> = approvals.iter().map(|one| &one.approver).collect();
    for pin in view.quorum {
        if pin.quorum == 0 {
            return Err(EmergencyRefusal::PinQuorumZero(pin.group.clone()));
        }
        let members = view.roster.members(&pin.group);
        let found = members.filter(|person| people.contains(person)).count();
        let found = u32::try_from(found).unwrap_or(u32::MAX);
        if found < pin.quorum {
            return Err(EmergencyRefusal::Quorum {
                group: pin.group.clone(),
                needed: pin.quorum,
                found,
                unusable: unusable.map(Box::new),
            });
        }
    }
    let start_before = approvals
        .iter()
        .map(|one| {
            let day = one.signed_at.plus_seconds(EMERGENCY_SECONDS_MAX);
            day.min(one.not_after)
        })
        .fold(bundle.plan.expires_at, Timestamp::min);
    Ok(EmergencyPermit {
        change: ChangeId::from_proposal(&order),
        order,
        nonce: bundle.order.nonce.clone(),
        plan,
        start_before,
        approvals,
    })
}

/// The digests of order and plan, after both were held against their bounds and each other.
///
/// # Errors
/// [`EmergencyRefusal`].
pub fn check_form(bundle: &EmergencyBundle) -> Result<(Digest, Digest), EmergencyRefusal> {
    bundle.order.check()?;
    let order = bundle.order.digest()?;
    bundle.plan.check_emergency(&bundle.order, &order)?;
    let plan = Digest::of(&canonical::to_bytes(&bundle.plan)?);
    Ok((order, plan))
}

/// The statements that count for this order and plan, and why the first other one does not. With
/// `now` they have to be usable at that time; without, this is evidence about the past.
///
/// A statement that does not verify is passed over, so that one bad line cannot block good ones.
///
/// # Errors
/// [`EmergencyRefusal`] when the bundle is out of bounds.
pub fn statements(
    bundle: &EmergencyBundle,
    roster: &Roster,
    now: Option<Timestamp>,
) -> Result<(Vec<VerifiedStatement>, Option<UnusableStatement>), EmergencyRefusal> {
    if bundle.statements.len() > EMERGENCY_STATEMENTS_MAX {
        return Err(EmergencyRefusal::TooMany(bundle.statements.len()));
    }
    let (order, plan) = check_form(bundle)?;
    let mut good = Vec::new();
    let mut unusable = None;
    for signed in &bundle.statements {
        let judged = verify_statement(signed, roster, now)
            .map_err(UnusableStatement::from)
            .and_then(|statement| judge(statement, bundle, &order, &plan, now));
        match judged {
            Ok(statement) => good.push(statement),
            Err(why) => {
                unusable.get_or_insert(why);
            }
        }
    }
    Ok((good, unusable))
}

fn judge(
    statement: VerifiedStatement,
    bundle: &EmergencyBundle,
    order: &Digest,
    plan: &Digest,
    now: Option<Timestamp>,
) -> Result<VerifiedStatement, UnusableStatement> {
    let about_this = match &statement.subject {
        Subject::Emergency {
            host,
            order: signed_order,
            plan: signed_plan,
            reason: _,
        } => *host == bundle.order.host && signed_order == order && signed_plan == plan,
        Subject::Change { .. }
        | Subject::Review { .. }
        | Subject::Ending { .. }
        | Subject::Unwarranted { .. }
        | Subject::EmergencyReview { .. }
        | Subject::Policy { .. }
        | Subject::Roster { .. }
        | Subject::Inventory { .. }
        | Subject::Halt { .. }
        | Subject::Resume { .. } => false,
    };
    if !about_this {
        return Err(UnusableStatement::OtherSubject(statement.approver.clone()));
    }
    let signed_at = statement.signed_at;
    if now.is_some_and(|now| signed_at.plus_seconds(EMERGENCY_SECONDS_MAX) < now) {
        return Err(UnusableStatement::TooOld {
            person: statement.approver.clone(),
            signed_at,
        });
    }
    Ok(statement)
}
