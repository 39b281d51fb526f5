//! The apt hook (`DPkg::Pre-Install-Pkgs`, protocol 3): the guard rail that stops whatever is not
//! covered by a warrant that this host is acting on right now. In enforce mode everything that is
//! not clearly covered is refused (invariants 1 and 2). A guard rail, not a wall: whoever is root
//! can go around it, and reconciliation finds that.

mod dpkg;
mod ground;
mod parse;

pub use dpkg::{dpkg_configuration, run as run_dpkg};
pub use ground::Ground;
pub use parse::{Direction, HookError, Line, Target, parse, without_settings};

use crate::artifact::file_digest;
use crate::asked;
use crate::config::Config;
use crate::durable;
use crate::journal::{self, Intended, Phase, State};
use countersign_domain::text::shown;
use countersign_domain::{Timestamp, Transition};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// The descriptor that apt writes to, by configuration.
pub const INFO_FD: u32 = 20;
/// What apt may write at most, in bytes.
pub(crate) const INFO_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// What the hook does with what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Reports, and lets it pass.
    Observe,
    /// Refuses what is not covered.
    Enforce,
}

/// What the hook found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every line is covered by the execution that is open.
    Covered,
    /// Not covered, and why, in words.
    NotCovered(String),
    /// Not covered by what stands in the journal, and why; the daemon may know of a plan that is.
    Ask(String),
}

/// The settings that make apt ask `command`, in the form of an `apt.conf`. `None` when a word cannot
/// stand there: the first must be an absolute path, and none may hold white space or quotes.
#[must_use]
pub fn apt_configuration(command: &[String]) -> Option<String> {
    if !is_command(command) {
        return None;
    }
    let program = command.first()?;
    Some(format!(
        "DPkg::Pre-Install-Pkgs:: \"{}\";\nDPkg::Tools::Options::{program}::Version \"3\";\nDPkg::Tools::Options::{program}::InfoFD \"{INFO_FD}\";\n",
        command.join(" ")
    ))
}

/// Whether these words can stand in a configuration that hands them to a shell.
fn is_command(command: &[String]) -> bool {
    let fits = |word: &String| {
        !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"/._-+=@,".contains(&b))
    };
    command.first().is_some_and(|word| word.starts_with('/')) && command.iter().all(fits)
}

/// Runs the hook: reads what apt is about to do, decides, reports. True lets apt go on.
#[must_use]
pub fn run(config: Result<Config, String>, mode: Mode, now: Timestamp) -> bool {
    let (verdict, state_dir) = match config {
        Ok(config) => (verdict(&config), Some(config.state_dir)),
        Err(problem) => (Verdict::NotCovered(problem), None),
    };
    let why = match verdict {
        Verdict::Covered => return true,
        Verdict::NotCovered(why) | Verdict::Ask(why) => why,
    };
    report(state_dir.as_deref(), mode, &why, now)
}

/// Tells of what is not covered, keeps a record of it, and says whether it may go on all the same.
pub(crate) fn report(state_dir: Option<&Path>, mode: Mode, why: &str, now: Timestamp) -> bool {
    let (word, passes) = match mode {
        Mode::Observe => ("observed", true),
        Mode::Enforce => ("refused", false),
    };
    if let Some(state_dir) = state_dir {
        // apt leaves no trace of a refusal; this is the only one.
        let line = serde_json::json!({"at": now, "verdict": word, "why": why});
        let path = refusals_path(state_dir);
        if let Err(error) = durable::append_line(&path, &line.to_string()) {
            eprintln!(
                "countersign: `{}` could not be written: {error}",
                path.display()
            );
        }
    }
    match mode {
        Mode::Observe => eprintln!("countersign (observing): not covered by a warrant: {why}"),
        Mode::Enforce => eprintln!(
            "countersign: refused, nothing was changed: {why}\n  hint: changes on this host need a warrant; let an agent propose them, or ask the people who run the gate"
        ),
    }
    passes
}

/// Where refusals are kept.
#[must_use]
pub fn refusals_path(state_dir: &Path) -> std::path::PathBuf {
    state_dir.join("refusals.jsonl")
}

fn verdict(config: &Config) -> Verdict {
    let text = match read_info() {
        Ok(text) => text,
        Err(error) => {
            return Verdict::NotCovered(format!("what apt is about to do cannot be read: {error}"));
        }
    };
    let lines = match parse(&text) {
        Ok(lines) => lines,
        Err(error) => return Verdict::NotCovered(error.to_string()),
    };
    let ground = Ground::of(config);
    let judged = journal::read(&config.state_dir).map(|state| judge(&state, &ground, &lines));
    let why = match judged {
        Ok(Verdict::Ask(why)) => why,
        Ok(verdict) => return verdict,
        Err(error) => return Verdict::NotCovered(error.to_string()),
    };
    match without_settings(&text).map(|text| asked::ask(config, &text)) {
        Some(Ok(asked::Answer { covered: true, .. })) => Verdict::Covered,
        Some(Ok(asked::Answer { why: said, .. })) => {
            Verdict::NotCovered(format!("{why}; the daemon says: {}", shown(&said, 500)))
        }
        Some(Err(error)) => Verdict::NotCovered(format!("{why}; {error}")),
        None => Verdict::NotCovered(why),
    }
}

fn read_info() -> io::Result<String> {
    let mut text = String::new();
    File::open(format!("/proc/self/fd/{INFO_FD}"))?
        .take(INFO_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > INFO_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "too long"));
    }
    Ok(text)
}

/// Whether every line is among the transitions that are spent by what is open in this very session, in the direction that it is in. A subset is fine, and so is a repeat (apt asks
/// twice at times); anything else is not covered.
#[must_use]
pub fn judge(state: &State, ground: &Ground, lines: &[Line]) -> Verdict {
    let not = |why: String| Verdict::NotCovered(why);
    let first = lines.first().map_or("nothing", |line| line.name.as_str());
    let open: Vec<&Intended> = state
        .open()
        .filter_map(|open| open.intended.as_ref())
        .collect();
    if open.is_empty() {
        return Verdict::Ask(format!(
            "no warrant is being acted on; apt wants to change `{first}`"
        ));
    }
    // A run that the hook sees may be under several plans; this host's own is under one.
    let ours: Vec<&Intended> = open
        .into_iter()
        .filter(|intended| intended.session.is_ancestor_of_this_process())
        .collect();
    if ours.is_empty() {
        return not("a warrant is being acted on, but not by this run of apt".into());
    }
    // This host's own apt is never asked about: it may do what is spent, and nothing else.
    let uncovered = |why: String| {
        if ours.iter().all(|intended| intended.is_seen_forward()) {
            Verdict::Ask(why)
        } else {
            Verdict::NotCovered(why)
        }
    };
    let spent: Vec<&(Phase, Vec<Transition>)> = ours
        .iter()
        .filter_map(|intended| intended.spent.as_ref())
        .collect();
    if spent.is_empty() {
        return uncovered("the warrant that is being acted on is not spent yet".into());
    }
    for line in lines {
        let mut closest = None;
        for (phase, transitions) in &spent {
            match permitted(line, transitions, ground) {
                Ok(_) => {
                    closest = None;
                    break;
                }
                Err(why) => closest = Some((phase, why)),
            }
        }
        if let Some((phase, why)) = closest {
            let direction = match phase {
                Phase::Forward => "change",
                Phase::Reverse => "rollback",
            };
            return uncovered(format!(
                "`{}` is not covered by the {direction} that is being acted on: {why}",
                shown(line.name.as_str(), 100)
            ));
        }
    }
    Verdict::Covered
}

/// The one of `transitions` that this line is, file included.
pub(crate) fn permitted<'a>(
    line: &Line,
    transitions: &'a [Transition],
    ground: &Ground,
) -> Result<&'a Transition, String> {
    let transition = transitions
        .iter()
        .find(|one| {
            one.name == line.name
                && one.new == line.new
                && line
                    .new_architecture
                    .as_ref()
                    .is_none_or(|a| *a == one.architecture)
                && line
                    .old_architecture
                    .as_ref()
                    .is_none_or(|a| *a == one.architecture || line.new_architecture.is_some())
        })
        .ok_or("no such transition is permitted")?;
    match &line.target {
        Target::File(path) => {
            if line.old != transition.old {
                return Err("another version is installed than was permitted to change".into());
            }
            ground
                .check(path)
                .map_err(|why| format!("its file: {why}"))?;
            let found = file_digest(path).map_err(|error| format!("its file: {error}"))?;
            if transition.sha256 == Some(found) {
                Ok(transition)
            } else {
                Err(format!(
                    "its file has digest `{found}`, which is not permitted"
                ))
            }
        }
        Target::Remove => {
            if line.old == transition.old && transition.new.is_none() {
                Ok(transition)
            } else {
                Err("its removal is not permitted".into())
            }
        }
        // The files were judged when they were unpacked; configuring the permitted version is part of it.
        Target::Configure if transition.new.is_some() => Ok(transition),
        Target::Configure => Err("it is to be removed, not configured".into()),
    }
}

#[cfg(test)]
mod tests;
