//! What a refusal by the gate means for this host's work: one document that is not taken must not
//! stop the others, and what is refused only now must be tried again.

use crate::client::ClientError;

/// How long a refusal lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The same may be taken later.
    ForNow,
    /// The same will never be taken.
    ForGood,
}

/// The words of refusals that pass: a halt ends, a wave comes, a decision is made again.
const PASSING: [&str; 6] = [
    "halted",
    "not-your-turn",
    "decided-again",
    "unauthenticated",
    "changed",
    "overloaded",
];

/// Whether the gate said no (a 4xx), and for how long. None for everything else: no answer, an
/// answer that is not understood, a failure at the gate.
pub(super) fn refusal(error: &ClientError) -> Option<Refusal> {
    let ClientError::Refused { status, problem } = error else {
        return None;
    };
    match status {
        401 | 408 | 425 | 429 => Some(Refusal::ForNow),
        400..=499 if PASSING.contains(&problem.word()) => Some(Refusal::ForNow),
        400..=499 => Some(Refusal::ForGood),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Problem;

    #[test]
    fn only_what_cannot_change_is_for_good() {
        let refused = |status, word: &str| {
            refusal(&ClientError::Refused {
                status,
                problem: Problem {
                    kind: format!("https://x/problems/{word}"),
                    ..Problem::default()
                },
            })
        };
        for word in ["halted", "not-your-turn", "decided-again"] {
            assert_eq!(refused(409, word), Some(Refusal::ForNow), "{word}");
        }
        for status in [401, 429] {
            assert_eq!(refused(status, "x"), Some(Refusal::ForNow), "{status}");
        }
        for (status, word) in [(403, "unproven"), (409, "conflict"), (422, "too-large")] {
            assert_eq!(refused(status, word), Some(Refusal::ForGood), "{word}");
        }
        assert_eq!(refused(503, "overloaded"), None);
        assert_eq!(refused(302, ""), None);
        assert_eq!(refusal(&ClientError::Server("x".into())), None);
    }
}
