//! Formats of lines: apt's `history.log` (stanzas), `dpkg.log`, `unattended-upgrades.log`. Which one
//! a line is of is told by the line, so that a file may hold several. What dpkg did is kept, and
//! confirms what apt says it did: see `confirm`.

use super::super::model::{Action, Actor, Exclusion, Format, Nature, Place, Row};
use super::super::moment::Moment;
use super::lenient::{bounded, first, key};
use super::references;
use super::{About, Context, Taken};
use std::cmp::Ordering;

/// Packages of one stanza that are kept by name.
const ITEMS_MAX: usize = 2_000;
/// Characters of one of them.
const ITEM_CHARS_MAX: usize = 300;
/// Lines of one stanza at most; apt writes nine.
const STANZA_LINES_MAX: usize = 40;

/// One thing that dpkg did to a package. There may be millions, so its words are kept as one.
#[derive(Debug, Clone)]
pub(crate) struct Transition {
    /// When.
    pub(crate) at: Moment,
    /// Where it stands.
    pub(crate) place: Place,
    /// The package, and the versions before and after.
    words: Box<str>,
    /// Where the first and the second of them end.
    ends: [u16; 2],
}

impl Transition {
    /// Characters of a package and of a version that are kept.
    const WORD_MAX: usize = 200;

    /// Words as dpkg writes them.
    pub(crate) fn new(at: Moment, words: [&str; 3], place: Place) -> Self {
        let [package, old, new] = words.map(|word| first(word, Self::WORD_MAX));
        let end = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
        Self {
            at,
            place,
            words: [package, old, new].concat().into(),
            ends: [end(package.len()), end(package.len() + old.len())],
        }
    }

    fn words(&self) -> [&str; 3] {
        let [package, old] = self.ends.map(usize::from);
        [0..package, package..old, old..self.words.len()]
            .map(|range| self.words.get(range).unwrap_or_default())
    }

    /// With its architecture: `openssl:amd64`.
    pub(crate) fn package(&self) -> &str {
        let [package, ..] = self.words();
        package
    }

    /// The versions before and after; None where it was not or is no longer installed.
    pub(crate) fn versions(&self) -> [Option<&str>; 2] {
        let [_, old, new] = self.words();
        [old, new].map(|version| (version != "<none>").then_some(version))
    }

    /// What happened, wherever it stands.
    pub(crate) fn told(&self) -> impl Ord + '_ {
        (self.at, self.package(), self.versions())
    }
}

impl Ord for Transition {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.told(), self.place).cmp(&(other.told(), other.place))
    }
}

impl PartialOrd for Transition {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Transition {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Transition {}

/// Reads lines of one file, one after the other.
#[derive(Debug, Default)]
pub(crate) struct LineReader {
    stanza: Option<Stanza>,
}

/// A stanza of `history.log` that is not complete yet.
#[derive(Debug)]
struct Stanza {
    place: Place,
    started: Option<Moment>,
    started_text: String,
    ended: Option<Moment>,
    command: String,
    requested_by: Option<String>,
    error: bool,
    verbs: Vec<&'static str>,
    items: Vec<String>,
    lines: usize,
}

impl LineReader {
    /// Reads a line. `NotMine` where it is of none of these formats.
    pub(crate) fn line(
        &mut self,
        line: &str,
        place: Place,
        context: &Context,
        rows: &mut Vec<Row>,
        transitions: &mut Vec<Transition>,
    ) -> (Option<Format>, Taken) {
        if line.is_empty() {
            self.end(context, rows);
            return (None, Taken::Read(None));
        }
        if !line.starts_with(|first: char| first.is_ascii_digit())
            && let Some((key, value)) = line.split_once(": ").or_else(|| line.split_once(':'))
            && is_key(key)
        {
            return self.of_history(key, value.trim(), place, context, rows);
        }
        let (Some(stamp), Some(rest)) = (line.get(..19), line.get(19..)) else {
            return (None, Taken::NotMine);
        };
        if !is_stamp(stamp) {
            return (None, Taken::NotMine);
        }
        // Python's logging writes milliseconds after a comma; dpkg writes none.
        if rest.starts_with(',') {
            let read = Moment::local(stamp, &context.zone);
            return (
                Some(Format::UnattendedUpgrades),
                read.map_or(Taken::Unreadable("no such time"), |at| {
                    Taken::Read(Some(at))
                }),
            );
        }
        let Some(rest) = rest.strip_prefix(' ') else {
            return (None, Taken::NotMine);
        };
        of_dpkg(stamp, rest, place, context, transitions)
    }

    fn of_history(
        &mut self,
        key: &str,
        value: &str,
        place: Place,
        context: &Context,
        rows: &mut Vec<Row>,
    ) -> (Option<Format>, Taken) {
        let format = Some(Format::AptHistory);
        let mut time = None;
        if key == "Start-Date" {
            self.end(context, rows);
            time = Moment::local(value, &context.zone);
            self.stanza = Some(Stanza {
                place,
                started: time,
                started_text: bounded(value, 40),
                ended: None,
                command: String::new(),
                requested_by: None,
                error: false,
                verbs: Vec::new(),
                items: Vec::new(),
                lines: 0,
            });
            if time.is_none() {
                return (format, Taken::Unreadable("no such time"));
            }
            return (format, Taken::Read(time));
        }
        let Some(stanza) = &mut self.stanza else {
            return (format, Taken::Unreadable("a stanza without its beginning"));
        };
        stanza.lines += 1;
        if stanza.lines > STANZA_LINES_MAX {
            return (format, Taken::Unreadable("a stanza of too many lines"));
        }
        match key {
            "End-Date" => {
                time = Moment::local(value, &context.zone);
                stanza.ended = time;
                self.end(context, rows);
            }
            "Commandline" => stanza.command = bounded(value, 4_000),
            "Requested-By" => stanza.requested_by = Some(bounded(value, 200)),
            "Error" => stanza.error = true,
            _ => {
                if let Some(verb) = VERBS.iter().find(|(word, _)| *word == key) {
                    stanza.verbs.push(verb.1);
                    stanza
                        .items
                        .extend(packages(value).take(ITEMS_MAX.saturating_sub(stanza.items.len())));
                }
            }
        }
        (format, Taken::Read(time))
    }

    /// What is open at the end of a file is complete.
    pub(crate) fn end(&mut self, context: &Context, rows: &mut Vec<Row>) {
        let Some(stanza) = self.stanza.take() else {
            return;
        };
        let Some(started) = stanza.started else {
            return;
        };
        if is_dry_run(&stanza.command) {
            rows.push(Row::Excluded(Exclusion::DryRun));
            return;
        }
        if stanza.verbs.is_empty() {
            rows.push(Row::Excluded(Exclusion::Other));
            return;
        }
        // Where dpkg reported an error, some of it may have happened: it stays an action.
        let items = stanza.items.join("\n");
        let key = key(
            Format::AptHistory,
            &[&context.host, &stanza.started_text, &stanza.command, &items],
        );
        let mut named = Vec::new();
        references::find(&stanza.command, &mut named);
        let error = if stanza.error { ", with an error" } else { "" };
        rows.push(Row::Action(Box::new(Action {
            key,
            format: Format::AptHistory,
            places: vec![stanza.place],
            started,
            ended: stanza.ended,
            system: context.host.clone(),
            environment: None,
            summary: format!(
                "{} {} {}{error}",
                stanza.verbs.join(", "),
                stanza.items.len(),
                if stanza.items.len() == 1 {
                    "package"
                } else {
                    "packages"
                },
            ),
            references: named,
            actor: actor(&stanza.command, stanza.requested_by.as_deref()),
            items: stanza.items,
        })));
    }
}

/// Whether unattended-upgrades itself was told to change nothing, and writes stanzas all the same. Of any
/// other program those words mean nothing: apt writes no stanza for its own dry runs.
fn is_dry_run(command: &str) -> bool {
    let mut words = command.split(' ');
    let program = words.next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default();
    matches!(name, "unattended-upgrade" | "unattended-upgrades")
        && words.any(|word| word == "--dry-run")
}

/// Who ran apt. `Requested-By` is what sudo or pkexec said of the caller: an executor, never an
/// approver. Without it, only programs that run by themselves are known as what they are; a root
/// shell cannot be told from a script.
fn actor(command: &str, requested_by: Option<&str>) -> Actor {
    let program = command.split(' ').next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default();
    const BY_ITSELF: [&str; 4] = [
        "unattended-upgrade",
        "unattended-upgrades",
        "apt.systemd.daily",
        "cron-apt",
    ];
    if BY_ITSELF.contains(&name) {
        return Actor::new(name, Nature::Automation);
    }
    if let Some(requested) = requested_by {
        let (user, uid) = requested
            .rsplit_once(" (")
            .and_then(|(user, uid)| Some((user, uid.strip_suffix(')')?.parse::<u32>().ok()?)))
            .unwrap_or((requested, 0));
        // Debian policy 9.2.2: people from 1000 to 59999; below are services.
        let nature = match uid {
            1..=999 => Nature::Automation,
            1_000..=59_999 => Nature::Person,
            _ => Nature::Unclear,
        };
        return Actor::new(user, nature);
    }
    let program = if name.is_empty() { "unknown" } else { name };
    Actor::new(format!("root, by {program}"), Nature::Unclear)
}

const VERBS: [(&str, &str); 6] = [
    ("Install", "install"),
    ("Upgrade", "upgrade"),
    ("Remove", "remove"),
    ("Purge", "purge"),
    ("Downgrade", "downgrade"),
    ("Reinstall", "reinstall"),
];

fn is_key(key: &str) -> bool {
    matches!(
        key,
        "Start-Date" | "End-Date" | "Commandline" | "Requested-By" | "Error"
    ) || VERBS.iter().any(|(word, _)| *word == key)
}

/// `pkg:arch (old, new, automatic), pkg:arch (…)`, each with its versions, and bounded.
fn packages(value: &str) -> impl Iterator<Item = String> {
    let parts = value.split("), ").map(str::trim);
    parts.filter(|part| !part.is_empty()).map(|part| {
        let closing = if part.contains('(') && !part.ends_with(')') {
            ")"
        } else {
            ""
        };
        let mut item = [part, closing].concat();
        item.truncate(first(&item, ITEM_CHARS_MAX).len());
        item
    })
}

/// `YYYY-MM-DD HH:MM:SS`, as far as its shape goes.
fn is_stamp(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        10 => byte == b' ',
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    })
}

fn of_dpkg(
    stamp: &str,
    rest: &str,
    place: Place,
    context: &Context,
    transitions: &mut Vec<Transition>,
) -> (Option<Format>, Taken) {
    let format = Some(Format::Dpkg);
    let mut words = rest.split(' ');
    let verb = words.next().unwrap_or_default();
    const OTHERS: [&str; 6] = [
        "startup",
        "status",
        "configure",
        "trigproc",
        "conffile",
        "disappear",
    ];
    let changes = matches!(verb, "install" | "upgrade" | "remove" | "purge");
    if !changes && !OTHERS.contains(&verb) {
        return (None, Taken::NotMine);
    }
    let Some(at) = Moment::local(stamp, &context.zone) else {
        return (format, Taken::Unreadable("no such time"));
    };
    if changes {
        let (Some(package), Some(old), Some(new)) = (words.next(), words.next(), words.next())
        else {
            return (format, Taken::Unreadable("a transition cut short"));
        };
        transitions.push(Transition::new(at, [package, old, new], place));
    }
    (format, Taken::Read(Some(at)))
}

/// What these formats say of themselves.
pub(crate) const ABOUT: [About; 3] = [
    About {
        format: Format::AptHistory,
        reads: "apt's history.log, rotated ones too",
        actions: "each stanza that dpkg.log confirms; where no dpkg.log covers its time, as it stands; `--dry-run` never",
        approvals: "none; a change number or `-o Countersign::Authorization=…` in the command line refers to one",
        people: "unattended-upgrade and cron-apt are automations, as are users below 1000; Requested-By names who ran it, never an approver; without it (root) it cannot be told",
        proven: true,
    },
    About {
        format: Format::Dpkg,
        reads: "dpkg.log, rotated ones too",
        actions: "transitions within no stanza of apt's, together as one run",
        approvals: "none",
        people: "cannot be told",
        proven: true,
    },
    About {
        format: Format::UnattendedUpgrades,
        reads: "unattended-upgrades.log",
        actions: "none: apt's history has them; its days are counted as covered",
        approvals: "none",
        people: "does not matter",
        proven: true,
    },
];

#[cfg(test)]
mod tests {
    use super::{Transition, packages};
    use crate::audit::model::{FileNumber, Place};
    use crate::audit::moment::Moment;

    #[test]
    fn words_of_a_transition_are_bounded_and_told_apart() {
        let place = Place {
            file: FileNumber(0),
            offset: 7,
            line: Some(1),
        };
        let of = |words| Transition::new(Moment::ALWAYS, words, place);
        let long = "\u{1F4E6}".repeat(300);
        let one = of([&long, "<none>", "1.0-1"]);
        assert_eq!(one.package(), "\u{1F4E6}".repeat(200));
        assert_eq!(one.versions(), [None, Some("1.0-1")]);
        assert_eq!(of(["a:amd64", "", "<none>"]).versions(), [Some(""), None]);
        // The same letters, otherwise parted, are another thing; and what is new sorts first.
        assert_ne!(of(["ab", "c", "d"]), of(["a", "bc", "d"]));
        assert!(of(["a", "<none>", "1"]) < of(["a", "1", "2"]));
    }

    #[test]
    fn packages_of_a_stanza_have_their_brackets_and_an_end() {
        let long = "x".repeat(400);
        let items: Vec<_> = packages(&format!("a:amd64 (1, 2), b, c (3), {long}")).collect();
        assert_eq!(items, ["a:amd64 (1, 2)", "b, c (3)", &long[..300]]);
    }
}
