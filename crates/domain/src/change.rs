//! The life of a change: one transition table, states listed, no wildcard.

use serde::{Deserialize, Serialize};

/// Where a change stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeState {
    /// Its proposal is logged.
    Proposed,
    /// Hosts prepare their plans.
    Preparing,
    /// Policy forbids it. Final.
    Denied,
    /// Outside what the policy foresaw: a human has to take it up.
    Escalated,
    /// Waiting for the signatures that policy asks for.
    AwaitingApproval,
    /// It may run; hosts can redeem.
    Authorized,
    /// A human refused it. Final.
    Refused,
    /// Not decided or not redeemed in time. Final.
    Expired,
    /// The agent took it back before it ran. Final.
    Withdrawn,
    /// Authority was taken away before it ran (halt). Final.
    Revoked,
    /// At least one warrant is out.
    Running,
    /// Every execution has ended.
    Settled,
    /// It ran on its own in production: a human has to review it.
    ReviewDue,
    /// The review is late; the number is the rung of the escalation ladder, from 1.
    Overdue(u8),
    /// A human has reviewed it. Final.
    Reviewed,
}

/// What can happen to a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeEvent {
    /// Hosts are asked for plans.
    Prepare,
    /// Decided: deny.
    Deny,
    /// Decided: escalate.
    Escalate,
    /// Decided: ask. On an escalated change: a human took it up.
    Ask,
    /// Decided: allow, or the quorum is complete.
    Authorize,
    /// A human refused.
    Refuse,
    /// The facts changed what people are asked: their signatures no longer count.
    VoidSignatures,
    /// The first warrant was issued.
    Redeem,
    /// Time ran out.
    Expire,
    /// The agent took it back.
    Withdraw,
    /// A human took the authority away.
    Revoke,
    /// The last execution ended.
    Settle,
    /// It has to be reviewed.
    RequireReview,
    /// A human reviewed it.
    Review,
    /// The review's time, or the rung's, has passed.
    ReviewOverdue,
}

/// The event cannot happen in this state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a change that is `{state}` cannot take `{event:?}`")]
pub struct ChangeError {
    /// Where it stands.
    pub state: ChangeState,
    /// What was tried.
    pub event: ChangeEvent,
}

macro_rules! any_event {
    () => {
        Prepare
            | Deny
            | Escalate
            | Ask
            | Authorize
            | Refuse
            | VoidSignatures
            | Redeem
            | Expire
            | Withdraw
            | Revoke
            | Settle
            | RequireReview
            | Review
            | ReviewOverdue
    };
}

impl ChangeState {
    /// The state after `event`.
    ///
    /// # Errors
    /// When the event cannot happen in this state.
    pub const fn next(self, event: ChangeEvent) -> Result<Self, ChangeError> {
        use ChangeEvent::*;
        use ChangeState::*;
        let next = match (self, event) {
            (Proposed, Prepare) => Preparing,
            (Proposed | Preparing | Escalated | AwaitingApproval | Authorized, Withdraw) => {
                Withdrawn
            }
            (Proposed | Preparing | Escalated | AwaitingApproval | Authorized, Expire) => Expired,

            (Preparing | Escalated | Authorized, Deny) => Denied,
            (Preparing, Escalate) => Escalated,
            (Preparing | Escalated | Authorized, Ask) => AwaitingApproval,
            (Preparing | AwaitingApproval, Authorize) => Authorized,
            (Escalated | AwaitingApproval, Refuse) => Refused,
            (AwaitingApproval, VoidSignatures) => AwaitingApproval,
            (AwaitingApproval, Deny) => Denied,
            (Authorized, Revoke) => Revoked,

            (Authorized, Redeem) => Running,
            (Running, Settle) => Settled,
            (Settled, RequireReview) => ReviewDue,
            (ReviewDue | Overdue(_), Review) => Reviewed,
            (ReviewDue, ReviewOverdue) => Overdue(1),
            (Overdue(rung), ReviewOverdue) => Overdue(rung.saturating_add(1)),

            (
                Proposed,
                Deny | Escalate | Ask | Authorize | Refuse | VoidSignatures | Redeem | Revoke
                | Settle | RequireReview | Review | ReviewOverdue,
            )
            | (
                Preparing,
                Prepare | Refuse | VoidSignatures | Redeem | Revoke | Settle | RequireReview
                | Review | ReviewOverdue,
            )
            | (
                Escalated,
                Prepare | Escalate | Authorize | VoidSignatures | Redeem | Revoke | Settle
                | RequireReview | Review | ReviewOverdue,
            )
            | (
                AwaitingApproval,
                Prepare | Escalate | Ask | Redeem | Revoke | Settle | RequireReview | Review
                | ReviewOverdue,
            )
            | (
                Authorized,
                Prepare | Escalate | Authorize | Refuse | VoidSignatures | Settle | RequireReview
                | Review | ReviewOverdue,
            )
            | (
                Running,
                Prepare | Deny | Escalate | Ask | Authorize | Refuse | VoidSignatures | Redeem
                | Expire | Withdraw | Revoke | RequireReview | Review | ReviewOverdue,
            )
            | (
                Settled,
                Prepare | Deny | Escalate | Ask | Authorize | Refuse | VoidSignatures | Redeem
                | Expire | Withdraw | Revoke | Settle | Review | ReviewOverdue,
            )
            | (
                ReviewDue | Overdue(_),
                Prepare | Deny | Escalate | Ask | Authorize | Refuse | VoidSignatures | Redeem
                | Expire | Withdraw | Revoke | Settle | RequireReview,
            )
            | (Denied | Refused | Expired | Withdrawn | Revoked | Reviewed, any_event!()) => {
                return Err(ChangeError { state: self, event });
            }
        };
        Ok(next)
    }

    /// True when nothing can happen to it any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Denied
            | Self::Refused
            | Self::Expired
            | Self::Withdrawn
            | Self::Revoked
            | Self::Reviewed => true,
            Self::Proposed
            | Self::Preparing
            | Self::Escalated
            | Self::AwaitingApproval
            | Self::Authorized
            | Self::Running
            | Self::Settled
            | Self::ReviewDue
            | Self::Overdue(_) => false,
        }
    }

    /// The state in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Preparing => "preparing",
            Self::Denied => "denied",
            Self::Escalated => "escalated",
            Self::AwaitingApproval => "awaiting approval",
            Self::Authorized => "authorized",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Revoked => "revoked",
            Self::Running => "running",
            Self::Settled => "settled",
            Self::ReviewDue => "review due",
            Self::Overdue(_) => "review overdue",
            Self::Reviewed => "reviewed",
        }
    }
}

impl std::fmt::Display for ChangeState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::ChangeEvent::*;
    use super::ChangeState::*;
    use super::*;
    use proptest::prelude::*;

    pub(crate) const EVENTS: [ChangeEvent; 15] = [
        Prepare,
        Deny,
        Escalate,
        Ask,
        Authorize,
        Refuse,
        VoidSignatures,
        Redeem,
        Expire,
        Withdraw,
        Revoke,
        Settle,
        RequireReview,
        Review,
        ReviewOverdue,
    ];
    const STATES: [ChangeState; 15] = [
        Proposed,
        Preparing,
        Denied,
        Escalated,
        AwaitingApproval,
        Authorized,
        Refused,
        Expired,
        Withdrawn,
        Revoked,
        Running,
        Settled,
        ReviewDue,
        Overdue(1),
        Reviewed,
    ];

    /// The table of DESIGN.md §4, written a second time: by where a state can go.
    #[test]
    fn goes_exactly_where_the_design_says() {
        let expected: &[(ChangeState, &[ChangeState])] = &[
            (Proposed, &[Preparing, Expired, Withdrawn]),
            (
                Preparing,
                &[
                    Denied,
                    Escalated,
                    AwaitingApproval,
                    Authorized,
                    Expired,
                    Withdrawn,
                ],
            ),
            (
                Escalated,
                &[Denied, AwaitingApproval, Refused, Expired, Withdrawn],
            ),
            (
                AwaitingApproval,
                &[
                    Denied,
                    Authorized,
                    Refused,
                    AwaitingApproval,
                    Expired,
                    Withdrawn,
                ],
            ),
            (
                Authorized,
                &[
                    Denied,
                    AwaitingApproval,
                    Expired,
                    Withdrawn,
                    Revoked,
                    Running,
                ],
            ),
            (Running, &[Settled]),
            (Settled, &[ReviewDue]),
            (ReviewDue, &[Reviewed, Overdue(1)]),
            (Overdue(1), &[Reviewed, Overdue(2)]),
        ];
        for state in STATES {
            let listed = expected
                .iter()
                .find(|(from, _)| *from == state)
                .map_or(&[][..], |(_, to)| to);
            let reached: Vec<_> = EVENTS
                .iter()
                .filter_map(|event| state.next(*event).ok())
                .collect();
            for to in &reached {
                assert!(listed.contains(to), "{state:?} may not become {to:?}");
            }
            for to in listed {
                assert!(
                    reached.contains(to),
                    "{state:?} should be able to become {to:?}"
                );
            }
            assert_eq!(state.is_final(), reached.is_empty(), "{state:?}");
        }
    }

    proptest! {
        /// No path to `running` that does not pass through `authorized`, whatever is tried.
        #[test]
        fn nothing_runs_that_was_not_authorized(events in prop::collection::vec(prop::sample::select(&EVENTS[..]), 0..40)) {
            let mut state = Proposed;
            for event in events {
                let before = state;
                if let Ok(next) = state.next(event) {
                    state = next;
                }
                if state == Running && before != Running {
                    prop_assert_eq!(before, Authorized);
                }
            }
        }
    }
}
