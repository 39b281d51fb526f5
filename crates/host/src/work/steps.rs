//! Until when a run that the hook saw may begin steps under its warrant, by a clock that nobody sets. The
//! journal holds the same end by the machine's clock, which can be set back; see `journal::State::admits`.

use countersign_domain::Digest;
use countersign_domain::warrant::WARRANT_SECONDS_MAX;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What was begun in this run of the program. Of what was begun before it, no time is known.
#[derive(Debug, Default)]
pub(super) struct Steps(BTreeMap<Digest, Instant>);

impl Steps {
    /// Steps may be begun as long as the warrant has `left` by the machine's clock, and at most as long
    /// as a warrant lives since it was `asked` for.
    pub(super) fn allow(&mut self, warrant: Digest, left: Duration, asked: Instant, now: Instant) {
        let most = Duration::from_secs(WARRANT_SECONDS_MAX.unsigned_abs());
        // Later than any instant cannot be: then none is allowed.
        let ends = now.checked_add(left).zip(asked.checked_add(most));
        if let Some((end, most)) = ends {
            self.0.insert(warrant, end.min(most));
        }
    }

    /// Forgets all but these.
    pub(super) fn keep(&mut self, is_open: impl Fn(&Digest) -> bool) {
        self.0.retain(|warrant, _| is_open(warrant));
    }

    /// Why no further step may be begun under this warrant; none when one may.
    pub(super) fn over(&self, warrant: &Digest, now: Instant) -> Option<&'static str> {
        match self.0.get(warrant) {
            Some(until) if now <= *until => None,
            Some(_) => {
                Some("its warrant's time is over: what this run has not begun needs another one")
            }
            None => Some(
                "this host was started anew since this run began, and cannot tell whether its warrant's time is over: what it has not begun needs another one",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_end_by_a_clock_that_nobody_sets_and_with_the_program() {
        let (warrant, start) = (Digest::of(b"w"), Instant::now());
        let later = |seconds| start + Duration::from_secs(seconds);
        let mut steps = Steps::default();
        assert!(steps.over(&warrant, start).unwrap().contains("anew"));
        steps.allow(warrant, Duration::from_secs(600), start, later(10));
        assert_eq!(steps.over(&warrant, later(610)), None);
        assert!(steps.over(&warrant, later(611)).unwrap().contains("over"));
        // A clock that was set back meanwhile makes no warrant live longer.
        steps.allow(warrant, Duration::from_secs(86_400), start, later(10));
        assert_eq!(steps.over(&warrant, later(900)), None);
        assert!(steps.over(&warrant, later(901)).is_some());
        steps.keep(|_| false);
        assert!(steps.over(&warrant, later(20)).is_some());
    }
}
