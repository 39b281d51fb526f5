//! The report as one HTML file that asks for nothing from anywhere: charts, tables and what a person
//! needs to follow each verdict to its lines. The template escapes all text; should it ever not, the
//! page's own policy runs no script and applies no style but the two whose digests it names.

use super::charts::{self, Bar, Heat, Piece, share};
use super::columns::{Columns, places, stands_in};
use super::controls::{CONTROLS, Control, LIMITS};
use super::{OutputError, Provenance};
use crate::audit::model::Exclusion;
use crate::audit::reason::Verdict;
use crate::audit::report::{ActionFound, Group, Report};
use crate::audit::text;
use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_domain::text::shown;
use sha2::{Digest as _, Sha256};
use std::fmt::Display;
use std::io::Write;

const STYLE: &str = include_str!("../../../templates/audit.css");
const SCRIPT: &str = include_str!("../../../templates/audit.js");
/// Actions that the page shows; JSON and CSV have them all.
const ROWS_MAX: usize = 5000;
/// Files that the page lists.
const FILES_MAX: usize = 1000;
/// Packages and the like, and places, that are named for one action.
const ITEMS_MAX: usize = 40;
const PLACES_MAX: usize = 12;

#[derive(Template)]
#[template(path = "audit.html")]
struct Page<'a> {
    report: &'a Report,
    policy: String,
    style: &'static str,
    script: &'static str,
    since: String,
    until: String,
    environment: String,
    verdict: &'static str,
    verdict_class: &'static str,
    words: &'a str,
    groups: [(Group, &'static str, &'static str); 3],
    verdict_bar: Vec<Piece>,
    days: Vec<Bar>,
    days_most: u64,
    days_in_a_bar: i64,
    reasons: Vec<ReasonRow>,
    rows: Vec<Row>,
    left_out: String,
    heat_days: Vec<String>,
    heat: Vec<Heat>,
    files: Vec<FileRow>,
    files_left_out: usize,
    told: Vec<String>,
    sample: Option<SampleShown>,
    controls: &'static [Control],
    limits: &'static [&'static str],
    /// Whose logs those are taken to be that name no host.
    hosts: Option<String>,
    command: String,
    made: String,
    version: &'a str,
}

struct ReasonRow {
    words: &'static str,
    code: &'static str,
    actions: u64,
    share: u64,
}

struct Row {
    id: String,
    verdict: &'static str,
    class: &'static str,
    rank: u8,
    columns: Columns,
    summary: String,
    reasons: Vec<(&'static str, &'static str)>,
    items: Vec<String>,
    evidence: Vec<(&'static str, String)>,
    more: String,
}

struct FileRow {
    path: String,
    told: String,
    bytes: u64,
    sha256: String,
}

struct SampleShown {
    seed: u64,
    ids: Vec<String>,
}

impl Page<'_> {
    fn grouped(&self, number: impl Display) -> String {
        grouped(number)
    }

    /// Times for people, in a column that says of which zone they are.
    fn clock(&self, text: &str) -> String {
        text.replace('T', " ").replace('Z', "")
    }

    fn harmless(&self, text: &str) -> String {
        shown(text, 1000)
    }
}

/// Writes the page.
pub(super) fn write(
    report: &Report,
    provenance: &Provenance,
    mut out: impl Write,
) -> Result<(), OutputError> {
    let page = page(report, provenance);
    page.write_into(&mut out)?;
    Ok(())
}

fn page<'a>(report: &'a Report, provenance: &'a Provenance) -> Page<'a> {
    let (verdict, verdict_class) = group(report.estate.group);
    let words = report.estate.words.as_str();
    let by_day = charts::by_day(report);
    let (days_most, days_in_a_bar) = by_day
        .as_ref()
        .map_or((0, 1), |by_day| (by_day.most, by_day.days_in_a_bar));
    let (rows, left_out) = rows(report);
    Page {
        report,
        policy: policy(),
        style: STYLE,
        script: SCRIPT,
        since: report.since.to_string(),
        until: report.until.to_string(),
        environment: report
            .environment
            .as_deref()
            .map(|name| shown(name, 100))
            .unwrap_or_default(),
        verdict,
        verdict_class,
        // The heading says the group already.
        words: words.split_once(": ").map_or(words, |(_, rest)| rest),
        groups: [
            (
                Group::CleanRecords,
                "Clean records",
                "a named human approved each autonomous action before it ran",
            ),
            (
                Group::PartialRecords,
                "Partial records",
                "some actions lead to a human decision, others do not",
            ),
            (
                Group::NoRecords,
                "Essentially no records",
                "changes were made for nobody who would answer for them",
            ),
        ],
        verdict_bar: charts::verdicts(report),
        days: by_day.map_or_else(Vec::new, |by_day| by_day.bars),
        days_most,
        days_in_a_bar,
        reasons: reasons(report),
        rows,
        left_out,
        heat_days: charts::columns(report),
        heat: charts::heat(report),
        files: files(report),
        files_left_out: report.files.len().saturating_sub(FILES_MAX),
        told: told(report),
        sample: provenance.sample.map(|(size, seed)| SampleShown {
            seed,
            ids: (report.sample(size, seed).iter())
                .map(|found| found.id.clone())
                .collect(),
        }),
        controls: &CONTROLS,
        limits: &LIMITS,
        hosts: text::hosts(report),
        command: command(&provenance.command),
        made: provenance.made.to_string(),
        version: &provenance.version,
    }
}

/// What the page may do: the one style and the one script that it brings, and nothing else.
fn policy() -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

const fn group(group: Group) -> (&'static str, &'static str) {
    match group {
        Group::CleanRecords => ("Clean records", "clean"),
        Group::PartialRecords => ("Partial records", "partial"),
        Group::NoRecords => ("Essentially no records", "ungoverned"),
        Group::NothingToJudge => ("Nothing to judge", "other"),
    }
}

fn reasons(report: &Report) -> Vec<ReasonRow> {
    let missing = &report.estate.missing;
    let most = missing.first().map_or(1, |missing| missing.actions);
    missing
        .iter()
        .map(|missing| ReasonRow {
            words: missing.words,
            code: missing.reason.as_str(),
            actions: missing.actions,
            share: share(missing.actions, most).max(6),
        })
        .collect()
}

/// The rows, the worst first; and, where there are too many, what is left out.
fn rows(report: &Report) -> (Vec<Row>, String) {
    let mut all: Vec<(u8, &ActionFound)> = report
        .actions
        .iter()
        .map(|found| (rank(found.verdict), found))
        .collect();
    all.sort_by_key(|(rank, _)| *rank);
    let mut left = [0_u64; 4];
    for (rank, _) in all.iter().skip(ROWS_MAX) {
        if let Some(count) = left.get_mut(usize::from(*rank)) {
            *count += 1;
        }
    }
    let named: Vec<_> = ["ungoverned", "partial", "clean", "not judged"]
        .iter()
        .zip(left)
        .filter(|(_, count)| *count > 0)
        .map(|(what, count)| format!("{} {what}", grouped(count)))
        .collect();
    let rows = (all.into_iter().take(ROWS_MAX))
        .map(|(rank, found)| row(report, rank, found))
        .collect();
    (rows, named.join(", "))
}

const fn rank(verdict: Option<Verdict>) -> u8 {
    match verdict {
        Some(Verdict::Ungoverned) => 0,
        Some(Verdict::Partial) => 1,
        Some(Verdict::Clean) => 2,
        None => 3,
    }
}

fn row(report: &Report, rank: u8, found: &ActionFound) -> Row {
    let action = &found.action;
    let all = places(found).count();
    let mut more = Vec::new();
    if action.items.len() > ITEMS_MAX {
        more.push(format!("{} further items", action.items.len() - ITEMS_MAX));
    }
    if all > PLACES_MAX {
        more.push(format!("{} further places", all - PLACES_MAX));
    }
    Row {
        id: found.id.clone(),
        verdict: found.verdict.map_or("not judged", Verdict::as_str),
        class: found.verdict.map_or("other", Verdict::as_str),
        rank,
        columns: Columns::of(report, found),
        summary: shown(&action.summary, 160),
        reasons: (found.reasons.iter())
            .map(|reason| (reason.words(), reason.as_str()))
            .collect(),
        items: (action.items.iter().take(ITEMS_MAX))
            .map(|item| shown(item, 200))
            .collect(),
        evidence: (places(found).take(PLACES_MAX))
            .map(|(what, place)| (what, shown(&stands_in(report, place), 400)))
            .collect(),
        more: more.join(", "),
    }
}

fn files(report: &Report) -> Vec<FileRow> {
    let files = report.files.iter().take(FILES_MAX);
    files
        .map(|file| {
            let mut told = match (&file.broken, file.is_unrecognised()) {
                (Some(broken), _) => format!("not read to its end: {}", shown(broken, 120)),
                (None, true) => "of no known format".to_owned(),
                (None, false) => {
                    let rows = file.rows.iter();
                    let rows: Vec<_> = rows
                        .map(|(format, rows)| format!("{} {}", grouped(*rows), format.as_str()))
                        .collect();
                    rows.join(", ")
                }
            };
            if file.unreadable > 0 {
                told.push_str(&format!(", {} unreadable", grouped(file.unreadable)));
            }
            FileRow {
                path: shown(&file.path.to_string_lossy(), 400),
                told,
                bytes: file.bytes,
                sha256: file.sha256.clone(),
            }
        })
        .collect()
}

/// What was read and not counted, or not read.
fn told(report: &Report) -> Vec<String> {
    let excluded = report.excluded.iter().map(|excluded| {
        let why = match excluded.why {
            Exclusion::DryRun => "only show what would be done",
            Exclusion::Failed => "failed",
            Exclusion::Denied => "were not permitted",
            Exclusion::ReadOnly => "change nothing",
            Exclusion::Repeated => "say the same as others",
            Exclusion::Other => "concern something else",
        };
        let records = grouped(excluded.records);
        format!("{}: {records} records {why}", excluded.format.as_str())
    });
    let skipped = report.skipped.iter().take(100).map(|skipped| {
        let path = shown(&skipped.path.to_string_lossy(), 200);
        format!("{path}: not read, {}", shown(&skipped.why, 120))
    });
    let unreadable = report.unreadable.iter().map(|unreadable| {
        format!(
            "{}: could not be read, {}",
            shown(&stands_in(report, &unreadable.place), 400),
            unreadable.why
        )
    });
    excluded.chain(skipped).chain(unreadable).collect()
}

/// The command as a shell takes it.
fn command(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+%".contains(c);
    let quoted: Vec<_> = words
        .iter()
        .map(|word| {
            if !word.is_empty() && word.chars().all(plain) {
                word.clone()
            } else {
                format!("'{}'", shown(word, 400).replace('\'', "'\\''"))
            }
        })
        .collect();
    quoted.join(" ")
}

/// A number with its thousands apart.
fn grouped(number: impl Display) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{command, grouped};

    #[test]
    fn numbers_and_commands_can_be_read_and_typed() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        let words = ["audit", "my logs", "it's", "", "--tz=Europe/Berlin"].map(String::from);
        assert_eq!(
            command(&words),
            r"audit 'my logs' 'it'\''s' '' --tz=Europe/Berlin"
        );
    }
}
