//! When hosts had time to report: not right after the server came up, nor after its machine slept or
//! its clock was set. Reads no clock itself; what silence is, the gate says.

use countersign_domain::Timestamp;
use std::time::Duration;

/// How long hosts have to report before they can be called silent. They do so each hour, if not told
/// otherwise.
const HOSTS_HAVE: Duration = Duration::from_secs(2 * 3600);
/// What two clocks may differ by from one look to the next before the server counts as away, in
/// milliseconds.
const DIVERGENCE_MAX: u64 = 60_000;

/// What both clocks of the server say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks {
    /// The time of day, as somebody may set it.
    pub(super) wall: Timestamp,
    /// How long the server has run, without the time that its machine slept.
    pub(super) up: Duration,
}

impl Clocks {
    /// How much more or less went by on one clock than on the other, in milliseconds.
    fn divergence(self, before: Self) -> u64 {
        let wall = i128::from(self.wall.unix_millis()) - i128::from(before.wall.unix_millis());
        let up = i128::try_from(self.up.as_millis()).unwrap_or(i128::MAX);
        let up_before = i128::try_from(before.up.as_millis()).unwrap_or(i128::MAX);
        let apart = wall.saturating_sub(up.saturating_sub(up_before));
        u64::try_from(apart.unsigned_abs()).unwrap_or(u64::MAX)
    }
}

/// What hosts may be told of their silence now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hosts {
    /// They had time to report: who did not is silent.
    HadTime,
    /// They have time yet.
    HaveTime,
    /// They have it anew: the server's clocks went apart.
    HaveTimeAgain,
}

/// The time that hosts have to report.
#[derive(Debug)]
pub(super) struct Patience {
    since: Duration,
    looked: Clocks,
}

impl Patience {
    /// From now on.
    pub(super) const fn from(now: Clocks) -> Self {
        Self {
            since: now.up,
            looked: now,
        }
    }

    /// Looks at both clocks.
    pub(super) fn look(&mut self, now: Clocks) -> Hosts {
        let apart = now.divergence(self.looked);
        self.looked = now;
        if apart > DIVERGENCE_MAX {
            self.since = now.up;
            Hosts::HaveTimeAgain
        } else if now.up.saturating_sub(self.since) < HOSTS_HAVE {
            Hosts::HaveTime
        } else {
            Hosts::HadTime
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;

    fn at(wall: i64, up: u64) -> Clocks {
        Clocks {
            wall: Timestamp::from_unix_millis(1_750_000_000_000 + wall * 1000),
            up: Duration::from_secs(up),
        }
    }

    #[test]
    fn hosts_have_two_hours_once_the_server_is_up() {
        let mut patience = Patience::from(at(0, 5));
        assert_eq!(patience.look(at(7_199, 7_204)), Hosts::HaveTime);
        assert_eq!(patience.look(at(7_200, 7_205)), Hosts::HadTime);
        // A look that took long is no jump, nor is a clock that is put right by little.
        assert_eq!(patience.look(at(9_000, 9_005)), Hosts::HadTime);
        assert_eq!(patience.look(at(9_065, 9_010)), Hosts::HadTime);
        assert_eq!(patience.look(at(9_010, 9_015)), Hosts::HadTime);
    }

    #[test]
    fn hosts_have_their_time_again_when_the_machine_slept_or_its_clock_was_set() {
        for jump in [61, -61, 3 * 86_400, -3 * 86_400] {
            let mut patience = Patience::from(at(0, 0));
            let day = 24 * HOUR;
            assert_eq!(patience.look(at(86_400, day)), Hosts::HadTime);
            let woken = |after: i64| at(86_405 + jump + after, day + 5 + after.unsigned_abs());
            assert_eq!(patience.look(woken(0)), Hosts::HaveTimeAgain, "{jump}");
            assert_eq!(patience.look(woken(5)), Hosts::HaveTime, "{jump}");
            assert_eq!(patience.look(woken(7_199)), Hosts::HaveTime, "{jump}");
            assert_eq!(patience.look(woken(7_200)), Hosts::HadTime, "{jump}");
        }
    }
}
