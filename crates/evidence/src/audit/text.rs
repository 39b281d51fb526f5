//! The report for a terminal: gaps first, then the verdict, then what is missing, then the actions.
//! As wide as it is told; no meaning by colour; what came from logs is shown harmless.

use super::hosts::Host;
use super::model::{Exclusion, Nature};
use super::moment::Moment;
use super::quote::{Explained, Role};
use super::reason::{Reason, Verdict};
use super::report::{ActionFound, Group, Report};
use crate::why::page::wrapped;
use countersign_domain::text::shown;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Actions that are listed for each verdict.
const LISTED_MAX: usize = 15;
/// The longest line that is quoted, in characters.
const LINE_CHARS_MAX: usize = 16 * 1024;
/// Hosts that are named.
const HOSTS_NAMED: usize = 20;
/// The narrowest page.
const WIDTH_MIN: usize = 60;

/// The report as text, so many columns wide.
#[must_use]
pub fn render(report: &Report, width: usize) -> String {
    let width = width.max(WIDTH_MIN);
    let mut page = Page {
        text: String::new(),
        width,
    };
    let day =
        |at: countersign_domain::Timestamp| -> String { at.to_string().chars().take(10).collect() };
    let environment = report
        .environment
        .as_deref()
        .map_or_else(String::new, |name| {
            format!(", environment {}", shown(name, 40))
        });
    page.line(&format!(
        "Was there a named human, before it ran? {} to {}{environment}",
        day(report.since),
        day(report.until)
    ));
    if !report.gaps.is_empty() {
        page.head("What is missing in what was read");
        for gap in &report.gaps {
            page.item("!", gap);
        }
    }
    verdict(&mut page, report);
    for (verdict, title) in [
        (Verdict::Ungoverned, "Ungoverned"),
        (Verdict::Partial, "Partial"),
        (Verdict::Clean, "Clean"),
    ] {
        let all: Vec<_> = report
            .autonomous()
            .filter(|found| found.verdict == Some(verdict))
            .collect();
        list(&mut page, title, &all);
    }
    let others: Vec<_> = report
        .actions
        .iter()
        .filter(|found| found.verdict.is_none())
        .collect();
    list(
        &mut page,
        "Not judged: by people, or by whom cannot be told",
        &others,
    );
    read(&mut page, report);
    page.text
}

/// What was found of one action, with where its lines stand.
#[must_use]
pub fn explain(report: &Report, found: &ActionFound, width: usize) -> String {
    let mut page = Page {
        text: String::new(),
        width: width.max(WIDTH_MIN),
    };
    let action = &found.action;
    page.line(&format!("{}  {}", found.id, shown(&action.summary, 200)));
    let mut field = |name: &str, value: String| page.item(&format!("{name:<10}"), &value);
    field(
        "verdict",
        match found.verdict {
            Some(verdict) => verdict.as_str().to_owned(),
            None => "not judged".to_owned(),
        },
    );
    field("when", when(&action.started));
    field("system", shown(&action.system, 100));
    field("by", who(found));
    if let Some(change) = &found.change {
        field("record", shown(&change.number, 100));
    }
    if let Some(approver) = &found.approver {
        let at = found
            .approved_at
            .as_ref()
            .map_or_else(String::new, |at| format!(", {}", when(at)));
        field("approved", format!("{}{at}", shown(approver, 100)));
    }
    for reason in &found.reasons {
        field(
            "because",
            format!("{} [{}]", reason.words(), reason.as_str()),
        );
    }
    for place in &action.places {
        let file = usize::try_from(place.file.0)
            .ok()
            .and_then(|at| report.files.get(at));
        let path = file.map_or_else(String::new, |file| shown(&file.path.to_string_lossy(), 200));
        let line = place
            .line
            .map_or_else(String::new, |line| format!("line {line}, "));
        field("stands in", format!("{path}, {line}byte {}", place.offset));
    }
    for item in action.items.iter().take(40) {
        field("", shown(item, 200));
    }
    page.text
}

/// The lines that an action rests on, as they stand in the logs, made harmless.
#[must_use]
pub fn quoted(explained: &Explained<'_>, width: usize) -> String {
    let mut page = Page {
        text: String::new(),
        width: width.max(WIDTH_MIN),
    };
    for quote in &explained.quotes {
        let roles = quote.of.iter().map(|role| match role {
            Role::Action => "the action",
            Role::Record => "the record",
            Role::Approval => "the approval",
        });
        let path = shown(&quote.path.to_string_lossy(), 200);
        let line = match quote.place.line {
            Some(line) => format!(", line {line}"),
            None => String::new(),
        };
        page.head(&format!(
            "{}, as it stands in {path}{line}, byte {}",
            roles.collect::<Vec<_>>().join(" and "),
            quote.place.offset
        ));
        if let Some(note) = &quote.note {
            page.item("!", &shown(note, 300));
        }
        // Not wrapped: whoever copies a line gets the line.
        for line in quote.head.iter().chain(&quote.lines) {
            let _ = writeln!(page.text, "  | {}", shown(line, LINE_CHARS_MAX));
        }
        if quote.cut {
            page.line("  (it goes on)");
        }
    }
    if explained.more_places > 0 {
        page.text.push('\n');
        page.line(&format!(
            "It stands in {} more places, which are not quoted.",
            explained.more_places
        ));
    }
    page.text
}

struct Page {
    text: String,
    width: usize,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.wrapped("", "", line);
    }

    fn head(&mut self, title: &str) {
        self.text.push('\n');
        self.line(title);
    }

    fn item(&mut self, mark: &str, text: &str) {
        let rest = " ".repeat(mark.chars().count() + 3);
        self.wrapped(&format!("  {mark} "), &rest, text);
    }

    fn wrapped(&mut self, first: &str, rest: &str, text: &str) {
        let mut lead = first;
        for line in wrapped(text, self.width.saturating_sub(rest.chars().count())) {
            let line = format!("{lead}{line}");
            self.text.push_str(line.trim_end());
            self.text.push('\n');
            lead = rest;
        }
    }
}

fn verdict(page: &mut Page, report: &Report) {
    let counts = &report.counts;
    page.head(match report.estate.group {
        Group::CleanRecords => "VERDICT: CLEAN RECORDS",
        Group::PartialRecords => "VERDICT: PARTIAL RECORDS",
        Group::NoRecords => "VERDICT: NO RECORDS",
        Group::NothingToJudge => "VERDICT: NOTHING TO JUDGE",
    });
    page.line(&report.estate.words);
    page.text.push('\n');
    for (count, words) in [
        (counts.autonomous, "autonomous actions, of which"),
        (
            counts.clean,
            "  clean: approved by a named human before they ran",
        ),
        (counts.partial, "  partial: there is a record, with gaps"),
        (
            counts.ungoverned,
            "  ungoverned: no record, or one from afterwards",
        ),
        (counts.human, "done by named humans themselves: not judged"),
        (
            counts.cannot_tell,
            "by whom the logs cannot tell: not judged",
        ),
    ] {
        let _ = writeln!(page.text, "{count:>8}  {words}");
    }
    if !report.estate.missing.is_empty() {
        page.head("What keeps autonomous actions from being clean");
        for missing in &report.estate.missing {
            page.item(
                &format!("{:>5}", missing.actions),
                &format!("{} [{}]", missing.words, missing.reason.as_str()),
            );
        }
    }
}

fn list(page: &mut Page, title: &str, all: &[&ActionFound]) {
    if all.is_empty() {
        return;
    }
    let first = if all.len() > LISTED_MAX {
        format!(", the first {LISTED_MAX} of")
    } else {
        String::new()
    };
    page.head(&format!("{title}{first} ({})", all.len()));
    for found in all.iter().take(LISTED_MAX) {
        let action = &found.action;
        page.item(
            &found.id,
            &format!(
                "{}, {}: {}, by {}{}",
                when(&action.started),
                shown(&action.system, 60),
                shown(&action.summary, 80),
                who(found),
                if found.verdict.is_some() {
                    because(&found.reasons)
                } else {
                    String::new()
                }
            ),
        );
    }
    if all.len() > LISTED_MAX {
        page.line("  (`--json` has all of them; `--explain ID` tells of one)");
    }
}

fn because(reasons: &BTreeSet<Reason>) -> String {
    if reasons.is_empty() {
        return String::new();
    }
    let codes: Vec<_> = reasons.iter().map(|reason| reason.as_str()).collect();
    format!(" [{}]", codes.join(", "))
}

fn who(found: &ActionFound) -> String {
    let actor = &found.action.actor;
    let nature = match actor.nature {
        Nature::Person => "",
        Nature::Automation => " (automation)",
        Nature::Group => " (group)",
        Nature::Unclear => " (cannot be told)",
    };
    format!("{}{nature}", shown(&actor.name, 80))
}

fn when(at: &Moment) -> String {
    if at.earliest == at.latest {
        at.earliest.to_string()
    } else {
        format!("between {} and {}", at.earliest, at.latest)
    }
}

fn read(page: &mut Page, report: &Report) {
    page.head("What was read");
    for coverage in &report.coverage {
        page.item(
            "-",
            &format!(
                "{}: {} on {}, {} to {}",
                coverage.format.as_str(),
                counted(coverage.rows, "row"),
                counted(coverage.days.len() as u64, "day"),
                coverage.first,
                coverage.last
            ),
        );
    }
    page.item(
        "-",
        &format!(
            "{} with {}; {} in the registry",
            counted(report.change_records as u64, "change record"),
            counted(report.decisions as u64, "decision"),
            counted(report.named_humans as u64, "named human")
        ),
    );
    for excluded in &report.excluded {
        page.item(
            "-",
            &format!(
                "{}: {} not counted: {}",
                excluded.format.as_str(),
                excluded.records,
                why(excluded.why)
            ),
        );
    }
    if let Some(words) = hosts(report) {
        page.item("-", &words);
    }
    page.item(
        "-",
        &format!(
            "local times without a zone were read as {}; clocks may differ by {} s",
            shown(&report.zone, 60),
            report.skew_seconds
        ),
    );
    for file in &report.files {
        let path = shown(&file.path.to_string_lossy(), 120);
        let told = match (&file.broken, file.is_unrecognised()) {
            (Some(broken), _) => format!("broken: {}", shown(broken, 120)),
            (None, true) => "not recognised".to_owned(),
            (None, false) => counted(file.rows.values().sum(), "row"),
        };
        let mut more = String::new();
        if file.unreadable > 0 {
            let _ = write!(more, ", {} unreadable", file.unreadable);
        }
        if file.unrecognised > 0 && !file.is_unrecognised() {
            let _ = write!(more, ", {} of no known format", file.unrecognised);
        }
        page.item(
            "-",
            &format!("{path}: {told}{more}, sha256 {}", file.sha256),
        );
    }
    for skipped in &report.skipped {
        let path = shown(&skipped.path.to_string_lossy(), 120);
        page.item(
            "-",
            &format!("{path}: not read, {}", shown(&skipped.why, 120)),
        );
    }
}

/// Whose logs those are taken to be that name no host.
pub(super) fn hosts(report: &Report) -> Option<String> {
    let named = |host: &Host| match &host.folder {
        None => shown(&host.name, 60),
        Some(folder) => format!(
            "{} ({})",
            shown(&host.name, 60),
            shown(&folder.to_string_lossy(), 120)
        ),
    };
    match &report.hosts[..] {
        [] => None,
        [one] => Some(format!(
            "logs of apt, dpkg and dnf name no host: all are taken to be of {}; --host names another",
            named(one)
        )),
        several => {
            let listed: Vec<_> = several.iter().take(HOSTS_NAMED).map(named).collect();
            let more = match several.len().saturating_sub(listed.len()) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            Some(format!(
                "logs of apt, dpkg and dnf name no host: by their folders, they are taken to be of {} \
                 hosts: {}{more}; --host takes them to be of one",
                several.len(),
                listed.join(", ")
            ))
        }
    }
}

fn counted(count: u64, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}

const fn why(exclusion: Exclusion) -> &'static str {
    match exclusion {
        Exclusion::DryRun => "dry runs",
        Exclusion::Failed => "failed",
        Exclusion::Denied => "not permitted",
        Exclusion::ReadOnly => "change nothing",
        Exclusion::Repeated => "say the same as others",
        Exclusion::Other => "concern something else",
    }
}
