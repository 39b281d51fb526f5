//! Which process acts: its id, its start time and the boot, so that a hook can tell the executor's
//! own apt from any other (process ids come back, start times within one boot do not).

use serde::{Deserialize, Serialize};
use std::io;

/// Ancestors looked at, at most.
const DEPTH_MAX: usize = 32;

/// A process, identified for as long as its machine does not reboot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// The process id.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub start_ticks: u64,
    /// The kernel's id of this boot.
    pub boot: String,
}

impl Session {
    /// This process.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn current() -> io::Result<Self> {
        let (session, _) = read(std::process::id())?;
        Ok(session)
    }

    /// The process with this id.
    ///
    /// # Errors
    /// When there is none, or `/proc` cannot be read.
    pub fn of(pid: u32) -> io::Result<Self> {
        let (session, _) = read(pid)?;
        Ok(session)
    }

    /// True when that process descends from this session (or is it). False when that cannot be told.
    #[must_use]
    pub fn is_ancestor_of(&self, pid: u32) -> bool {
        self.is_above(pid, read)
    }

    /// True when this process descends from that session (or is it). False when that cannot be told.
    #[must_use]
    pub fn is_ancestor_of_this_process(&self) -> bool {
        self.is_above(std::process::id(), read)
    }

    /// Walks up from `pid`. The first process of all is compared too: in a container the executor
    /// may be it. Only its parent is none.
    fn is_above(&self, mut pid: u32, read: impl Fn(u32) -> io::Result<(Self, u32)>) -> bool {
        for _ in 0..DEPTH_MAX {
            let Ok((session, parent)) = read(pid) else {
                return false;
            };
            if session == *self {
                return true;
            }
            if parent == 0 {
                return false;
            }
            pid = parent;
        }
        false
    }

    /// True when that process still runs: one that has ended, and that nobody has asked about yet,
    /// does not.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        read(self.pid).is_ok_and(|(session, _)| session == *self) && !has_ended(self.pid)
    }
}

/// The processes that `pid` descends from, nearest first, itself left out; as far as they can be told.
#[must_use]
pub(crate) fn ancestors(mut pid: u32) -> Vec<u32> {
    let mut above = Vec::new();
    while above.len() < DEPTH_MAX
        && let Ok((_, parent)) = read(pid)
        && parent != 0
    {
        above.push(parent);
        pid = parent;
    }
    above
}

/// True for a process that has ended and waits for its parent to ask how. False when that cannot be
/// told.
fn has_ended(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(") ")
        .map(|(_, fields)| fields.chars().next());
    matches!(state, Some(Some('Z' | 'X')))
}

/// The session of a process, and its parent.
fn read(pid: u32) -> io::Result<(Session, u32)> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let wrong = || {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "`/proc/PID/stat` is not as expected",
        )
    };
    // The name in parentheses may hold anything, `)` and spaces included: fields start after the last.
    let (_, fields) = stat.rsplit_once(") ").ok_or_else(wrong)?;
    let mut fields = fields.split_ascii_whitespace();
    let parent = fields.nth(1).and_then(|text| text.parse().ok());
    let start = fields.nth(17).and_then(|text| text.parse().ok());
    match (parent, start) {
        (Some(parent), Some(start_ticks)) => Ok((
            Session {
                pid,
                start_ticks,
                boot: boot.trim().to_owned(),
            },
            parent,
        )),
        (None | Some(_), _) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_process_of_all_counts_as_an_ancestor() {
        let session = |pid| Session {
            pid,
            start_ticks: 7,
            boot: "boot".into(),
        };
        // 12 → 5 → 1 → none
        let table = |pid| match pid {
            12 => Ok((session(12), 5)),
            5 => Ok((session(5), 1)),
            1 => Ok((session(1), 0)),
            _ => Err(io::Error::other("no such process")),
        };
        assert!(session(1).is_above(12, table));
        assert!(session(1).is_above(1, table));
        assert!(!session(12).is_above(5, table));
        assert!(!session(3).is_above(12, table));
        let circle = |_| Ok((session(2), 2));
        assert!(!session(1).is_above(2, circle));
    }

    #[test]
    fn a_process_that_has_ended_is_over_before_its_parent_asks() {
        let mut child = std::process::Command::new("sleep")
            .arg("0.1")
            .spawn()
            .unwrap();
        let session = Session::of(child.id()).unwrap();
        assert!(session.is_alive());
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while session.is_alive() {
            assert!(std::time::Instant::now() < deadline);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        // Nobody has asked yet, so it is still in the table.
        assert!(read(child.id()).is_ok());
        child.wait().unwrap();
    }

    #[test]
    fn a_session_is_told_from_its_look_alikes() {
        let here = Session::current().unwrap();
        assert!(here.start_ticks > 0);
        assert!(here.is_ancestor_of_this_process() && here.is_alive());
        let (_, parent) = read(here.pid).unwrap();
        assert!(read(parent).unwrap().0.is_ancestor_of_this_process());
        assert_eq!(ancestors(here.pid).first(), Some(&parent));
        let recycled = Session {
            start_ticks: here.start_ticks + 1,
            ..here.clone()
        };
        assert!(!recycled.is_ancestor_of_this_process() && !recycled.is_alive());
        let rebooted = Session {
            boot: "another".into(),
            ..here
        };
        assert!(!rebooted.is_ancestor_of_this_process());
    }
}
