//! The dpkg hook (`pre-invoke`): dpkg says neither which packages nor which files, so it is decided by
//! who runs it. A dpkg below a run whose transitions the journal has as spent is that run's own: what it
//! may do was judged when apt asked. Any other one is not covered. What its command line says is its own
//! word: it is shown and kept, and nothing rests on it. `dpkg-deb -x`, `tar` and a dpkg with other
//! settings do not come by here.

use super::{Mode, report};
use crate::config::Config;
use crate::journal::{self, State};
use crate::session;
use countersign_domain::Timestamp;
use countersign_domain::text::shown;

/// How much is read of a command line, in bytes.
const COMMAND_BYTES_MAX: u64 = 4096;
/// How much of it is shown, in characters.
const SHOWN: usize = 1000;

/// The setting that makes dpkg ask `command`, a line for a file in `/etc/dpkg/dpkg.cfg.d/`. `None` when
/// a word cannot stand there: see [`super::apt_configuration`].
#[must_use]
pub fn dpkg_configuration(command: &[String]) -> Option<String> {
    super::is_command(command).then(|| format!("pre-invoke={}\n", command.join(" ")))
}

/// Runs the hook: decides, reports. `action` is what dpkg says that it is about to do. True lets dpkg
/// go on.
#[must_use]
pub fn run(
    config: Result<Config, String>,
    mode: Mode,
    action: Option<&str>,
    now: Timestamp,
) -> bool {
    let (why, state_dir) = match config {
        Ok(config) => match journal::read(&config.state_dir) {
            Ok(state) => match uncovered(&state) {
                None => return true,
                Some(why) => (why.to_owned(), Some(config.state_dir)),
            },
            Err(error) => (error.to_string(), Some(config.state_dir)),
        },
        Err(problem) => (problem, None),
    };
    let action = shown(action.unwrap_or("something unnamed"), 50);
    let command = command_line();
    let why = format!("dpkg was to {action} (it was called as `{command}`): {why}");
    report(state_dir.as_deref(), mode, &why, now)
}

/// Why this process is below no run that spends a warrant; none when it is.
fn uncovered(state: &State) -> Option<&'static str> {
    let mut open = state
        .open()
        .filter_map(|one| one.intended.as_ref())
        .peekable();
    if open.peek().is_none() {
        return Some("no warrant is being acted on");
    }
    let mut ours = open
        .filter(|intended| intended.session.is_ancestor_of_this_process())
        .peekable();
    if ours.peek().is_none() {
        return Some("a warrant is being acted on, but not by this run of dpkg");
    }
    // INVARIANT (intent before effect): apt asks before it calls dpkg, and is told yes only then.
    ours.all(|intended| intended.spent.is_none())
        .then_some("the warrant that is being acted on is not spent yet")
}

/// The command line of the dpkg above this process, as it shows itself.
fn command_line() -> String {
    let dpkg = session::ancestors(std::process::id())
        .into_iter()
        .find(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/comm"))
                .is_ok_and(|name| name.trim_end() == "dpkg")
        });
    let words = dpkg.and_then(|pid| first_bytes(&format!("/proc/{pid}/cmdline")));
    match words {
        Some(bytes) => {
            let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
            shown(text.trim_end(), SHOWN)
        }
        None => "not known".into(),
    }
}

fn first_bytes(path: &str) -> Option<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .ok()?
        .take(COMMAND_BYTES_MAX)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(bytes)
}
