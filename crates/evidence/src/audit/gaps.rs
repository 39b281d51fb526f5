//! What is missing in what was read, as it stands above the verdict: days, files, members of rotated
//! series, records, and what confirms others. Judges no action.

use super::collect::Collected;
use super::model::{Format, Place};
use super::pages;
use super::people::People;
use super::report::Question;
use super::series;
use countersign_domain::text::shown;
use jiff::ToSpan as _;
use jiff::civil::Date;
use std::collections::BTreeMap;

/// Records that are named.
const RECORDS_NAMED: usize = 3;
/// Days of a gap that are named one by one.
const GAP_DAYS_NAMED: usize = 10;

/// What an auditor must know before the verdict: where the population is not complete.
pub(super) fn gaps(collected: &Collected, people: &People, question: &Question) -> Vec<String> {
    let mut gaps = Vec::new();
    for (format, days) in &collected.days {
        let (Some(first), Some(last)) = (days.keys().next(), days.keys().next_back()) else {
            continue;
        };
        let name = format.as_str();
        let since: String = question.since.to_string().chars().take(10).collect();
        if is_log(*format) && *first > since {
            gaps.push(format!(
                "{name}: begins on {first}, the period on {since}; what came before was not read"
            ));
        }
        if !is_log(*format) || !is_daily(*format) {
            continue;
        }
        let until: String = question.until.to_string().chars().take(10).collect();
        let missing = missing_days((&since).max(first), (&until).min(last), days);
        if !missing.is_empty() {
            let named: Vec<_> = missing.iter().take(GAP_DAYS_NAMED).cloned().collect();
            let more = missing.len().saturating_sub(named.len());
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            gaps.push(format!(
                "{name}: no record on {}{more}, though there are some before and after",
                named.join(", ")
            ));
        }
    }
    gaps.extend(series::gaps(&collected.files, |file| {
        file.rows.keys().any(|format| is_log(*format))
    }));
    let broken = collected.files.iter().filter(|file| file.broken.is_some());
    let broken = broken.count();
    if broken > 0 {
        gaps.push(format!(
            "files that could not be read to their end: {broken}"
        ));
    }
    let unrecognised = collected
        .files
        .iter()
        .filter(|file| file.is_unrecognised() && file.broken.is_none())
        .count();
    if unrecognised > 0 {
        gaps.push(format!("files of no format that is known: {unrecognised}"));
    }
    let unreadable: u64 = collected.files.iter().map(|file| file.unreadable).sum();
    if unreadable > 0 {
        let first = collected.unreadable.iter().take(RECORDS_NAMED);
        let first: Vec<_> = first.map(|one| at(collected, one.place, one.why)).collect();
        gaps.push(format!(
            "records that could not be read: {unreadable}; the first: {}",
            first.join("; ")
        ));
    }
    let pages = pages::missing(&collected.files);
    if !pages.is_empty() {
        let first = pages.iter().take(RECORDS_NAMED).map(|(path, next)| {
            let path = shown(&path.to_string_lossy(), 120);
            format!("{path}: {}", shown(next, 120))
        });
        gaps.push(format!(
            "pages that follow others and were not read: {}; the first: {}",
            pages.len(),
            first.collect::<Vec<_>>().join("; ")
        ));
    }
    if !collected.unmapped.is_empty() {
        let first = collected.unmapped.iter().take(RECORDS_NAMED);
        let first: Vec<_> = first
            .map(|(place, why)| at(collected, *place, why))
            .collect();
        gaps.push(format!(
            "records that no mapping is for, though one nearly is; the first: {}",
            first.join("; ")
        ));
    }
    if collected.unconfirmed > 0 {
        gaps.push(format!(
            "runs of apt not confirmed by dpkg.log, which does not cover their time: {}; some may have \
             been dry runs",
            collected.unconfirmed
        ));
    }
    if collected.unknown_runs > 0 {
        gaps.push(format!(
            "changes by Ansible of whose run nothing is told (the file `command` beside runner's \
             events, the job of AWX): {}; some may have been dry runs (--check)",
            collected.unknown_runs
        ));
    }
    if people.persons() == 0 && !collected.decisions.is_empty() {
        gaps.push(
            "no registry of named humans was given (--people), so no approver counts as one".into(),
        );
    }
    gaps
}

/// Where a record stands, and what is wrong with it.
fn at(collected: &Collected, place: Place, why: &str) -> String {
    let file = collected.files.get(place.file.0 as usize);
    let path = file.map_or_else(String::new, |file| shown(&file.path.to_string_lossy(), 120));
    match place.line {
        Some(line) => format!("{path} line {line}: {why}"),
        None => format!("{path} byte {}: {why}", place.offset),
    }
}

/// A log of what is done; the others are records of changes.
const fn is_log(format: Format) -> bool {
    match format {
        Format::Countersign
        | Format::AptHistory
        | Format::AnsibleRunner
        | Format::Awx
        | Format::Dnf
        | Format::Mapped
        | Format::Dpkg
        | Format::UnattendedUpgrades
        | Format::CloudTrail
        | Format::Kubernetes => true,
        Format::GitHub | Format::ServiceNow | Format::Jira => false,
    }
}

/// Whether there is no day without a record, as long as anything runs at all.
const fn is_daily(format: Format) -> bool {
    matches!(format, Format::CloudTrail | Format::Kubernetes)
}

fn missing_days(first: &str, last: &str, days: &BTreeMap<String, u64>) -> Vec<String> {
    let (Ok(first), Ok(last)) = (first.parse::<Date>(), last.parse::<Date>()) else {
        return Vec::new();
    };
    first
        .series(1.day())
        .take_while(|day| *day <= last)
        .map(|day| day.to_string())
        .filter(|day| !days.contains_key(day))
        .collect()
}
