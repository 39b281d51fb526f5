//! The life of an execution, one per host of a change: one transition table, no wildcard.

use serde::{Deserialize, Serialize};

/// Where an execution stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExecutionState {
    /// No warrant yet.
    Waiting,
    /// A warrant is out.
    Issued,
    /// It will not run: authority was taken away, or the host never started. Final.
    Revoked,
    /// It will not run: time ran out. Final.
    Expired,
    /// The host journalled its intent and acts.
    Started,
    /// Done, inspected, healthy. Final.
    Succeeded,
    /// Failed and not wholly undone. Final.
    Failed,
    /// Failed and undone. Final.
    RolledBack,
    /// Nobody knows; an alarm stands until it is reconciled or a late receipt comes.
    Unknown,
}

/// What can happen to an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExecutionEvent {
    /// A warrant was issued.
    Issue,
    /// The gate closes it before a warrant was out.
    Revoke,
    /// Its time ran out before a warrant was out.
    Expire,
    /// The host signed that it never started, and the authority had been taken away or the host
    /// refused.
    NeverStarted,
    /// The host signed that it never started, and the warrant has run out.
    NeverStartedInTime,
    /// The host signed that it starts.
    Start,
    /// The host signed success.
    Succeed,
    /// The host signed failure.
    Fail,
    /// The host signed that it rolled back.
    RollBack,
    /// The host signed that it does not know, or was silent past expiry.
    LoseSight,
}

/// The event cannot happen in this state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an execution that is `{state}` cannot take `{event:?}`")]
pub struct ExecutionError {
    /// Where it stands.
    pub state: ExecutionState,
    /// What was tried.
    pub event: ExecutionEvent,
}

macro_rules! any_event {
    () => {
        Issue
            | Revoke
            | Expire
            | NeverStarted
            | NeverStartedInTime
            | Start
            | Succeed
            | Fail
            | RollBack
            | LoseSight
    };
}

impl ExecutionState {
    /// The state after `event`.
    ///
    /// # Errors
    /// When the event cannot happen in this state.
    pub const fn next(self, event: ExecutionEvent) -> Result<Self, ExecutionError> {
        use ExecutionEvent::*;
        use ExecutionState as S;
        let next = match (self, event) {
            (S::Waiting, Issue) => S::Issued,
            (S::Waiting, Revoke) => S::Revoked,
            (S::Waiting, Expire) => S::Expired,

            // Once a warrant is out, only the host's own word ends it (invariant 10).
            (S::Issued, Start) => S::Started,
            (S::Issued | S::Unknown, NeverStarted) => S::Revoked,
            (S::Issued, NeverStartedInTime) => S::Expired,
            // A late word of the host that it never started closes an unknown one the same way.
            (S::Unknown, NeverStartedInTime) => S::Revoked,
            // Silence first, and then the host's own word that it does not know: it stays unknown.
            (S::Issued | S::Started | S::Unknown, LoseSight) => S::Unknown,

            (S::Started | S::Unknown, Succeed) => S::Succeeded,
            (S::Started | S::Unknown, Fail) => S::Failed,
            (S::Started | S::Unknown, RollBack) => S::RolledBack,

            (
                S::Waiting,
                NeverStarted | NeverStartedInTime | Start | Succeed | Fail | RollBack | LoseSight,
            )
            | (S::Issued, Issue | Revoke | Expire | Succeed | Fail | RollBack)
            | (S::Started, Issue | Revoke | Expire | NeverStarted | NeverStartedInTime | Start)
            | (S::Unknown, Issue | Revoke | Expire | Start)
            | (S::Revoked | S::Expired | S::Succeeded | S::Failed | S::RolledBack, any_event!()) => {
                return Err(ExecutionError { state: self, event });
            }
        };
        Ok(next)
    }

    /// True when it has ended. `Unknown` has not: somebody has to find out.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Revoked | Self::Expired | Self::Succeeded | Self::Failed | Self::RolledBack => {
                true
            }
            Self::Waiting | Self::Issued | Self::Started | Self::Unknown => false,
        }
    }

    /// The state in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Issued => "issued",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Started => "started",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::RolledBack => "rolled back",
            Self::Unknown => "unknown",
        }
    }
}

impl std::fmt::Display for ExecutionState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::ExecutionEvent::*;
    use super::ExecutionState as S;
    use super::*;
    use proptest::prelude::*;

    const EVENTS: [ExecutionEvent; 10] = [
        Issue,
        Revoke,
        Expire,
        NeverStarted,
        NeverStartedInTime,
        Start,
        Succeed,
        Fail,
        RollBack,
        LoseSight,
    ];
    const STATES: [S; 9] = [
        S::Waiting,
        S::Issued,
        S::Revoked,
        S::Expired,
        S::Started,
        S::Succeeded,
        S::Failed,
        S::RolledBack,
        S::Unknown,
    ];

    #[test]
    fn goes_exactly_where_the_design_says() {
        let expected: &[(S, &[S])] = &[
            (S::Waiting, &[S::Issued, S::Revoked, S::Expired]),
            (S::Issued, &[S::Started, S::Revoked, S::Expired, S::Unknown]),
            (
                S::Started,
                &[S::Succeeded, S::Failed, S::RolledBack, S::Unknown],
            ),
            (
                S::Unknown,
                &[
                    S::Succeeded,
                    S::Failed,
                    S::RolledBack,
                    S::Revoked,
                    S::Unknown,
                ],
            ),
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
        /// INVARIANT (no warrant, no effect): `started` only ever follows `issued`.
        #[test]
        fn nothing_starts_without_an_issued_warrant(events in prop::collection::vec(prop::sample::select(&EVENTS[..]), 0..40)) {
            let mut state = S::Waiting;
            let mut issued = false;
            for event in events {
                if let Ok(next) = state.next(event) {
                    state = next;
                    issued |= state == S::Issued;
                }
                if matches!(state, S::Started | S::Succeeded | S::Failed | S::RolledBack) {
                    prop_assert!(issued);
                }
            }
        }
    }
}
