//! Rotated files: `history.log`, `history.log.1`, `history.log.2.gz`. Says which members of a series
//! were not read though older ones were. What is older than the oldest, nothing can tell; files that
//! are rotated under dates have no numbers, and nothing is said of them.

use super::collect::FileRead;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Nothing is rotated so often; a higher number is a year, or means something else.
const NUMBER_MAX: u32 = 999;
/// How a member may be compressed.
const COMPRESSED: [&str; 4] = [".gz", ".xz", ".zst", ".bz2"];
/// Members of one series that are named one by one.
const NAMED_MAX: usize = 10;
/// Series that are told of one by one.
const SERIES_MAX: usize = 50;

/// A series of which members are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missing {
    /// Its newest member, whether it is there or not.
    pub(super) newest: PathBuf,
    /// The names of those that are not there, the newest first.
    pub(super) names: Vec<String>,
}

/// The members that were read.
#[derive(Default)]
struct Members {
    newest: bool,
    numbers: BTreeSet<u32>,
    is_log: bool,
}

/// Series of which members are missing. Only series in which `is_log` finds one count.
pub(super) fn missing(files: &[FileRead], is_log: impl Fn(&FileRead) -> bool) -> Vec<Missing> {
    let mut all: BTreeMap<(&Path, &str), Members> = BTreeMap::new();
    for file in files {
        if let Some((folder, name)) = split(&file.path)
            && let Some((base, number)) = numbered(name)
        {
            let members = all.entry((folder, base)).or_default();
            members.numbers.insert(number);
            members.is_log |= is_log(file);
        }
    }
    for file in files {
        if let Some(of) = split(&file.path)
            && let Some(members) = all.get_mut(&of)
        {
            members.newest = true;
            members.is_log |= is_log(file);
        }
    }
    all.into_iter()
        .filter(|(_, members)| members.is_log)
        .filter_map(|((folder, base), members)| {
            let oldest = *members.numbers.last()?;
            let newest = (!members.newest).then(|| base.to_owned());
            // Some count from 0, most from 1.
            let first = *members.numbers.first()?.min(&1);
            let numbers = (first..oldest).filter(|number| !members.numbers.contains(number));
            let numbers = numbers.map(|number| format!("{base}.{number}"));
            let names: Vec<String> = newest.into_iter().chain(numbers).collect();
            (!names.is_empty()).then(|| Missing {
                newest: folder.join(base),
                names,
            })
        })
        .collect()
}

/// What is told of them above the verdict.
pub(super) fn gaps(files: &[FileRead], is_log: impl Fn(&FileRead) -> bool) -> Vec<String> {
    let missing = missing(files, is_log);
    let more = missing.len().saturating_sub(SERIES_MAX);
    let mut gaps: Vec<String> = missing.iter().take(SERIES_MAX).map(told).collect();
    if more > 0 {
        gaps.push(format!(
            "rotated files are missing in {more} more series than those that are named"
        ));
    }
    gaps
}

fn told(missing: &Missing) -> String {
    let shown = |text: &str| countersign_domain::text::shown(text, 120);
    let named: Vec<_> = missing
        .names
        .iter()
        .take(NAMED_MAX)
        .map(|name| shown(name))
        .collect();
    let more = match missing.names.len().saturating_sub(named.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "{}: rotated, and not all of it was read: {}{more}, though older ones were; whatever ran then is \
         missing",
        shown(&missing.newest.to_string_lossy()),
        named.join(", ")
    )
}

/// The folder of a file, and its name without what says how it is compressed.
fn split(path: &Path) -> Option<(&Path, &str)> {
    let name = path.file_name()?.to_str()?;
    let plain = COMPRESSED.iter().find_map(|end| name.strip_suffix(end));
    Some((path.parent()?, plain.unwrap_or(name)))
}

/// The name of the newest, and the number of this one. A name that ends in a digit before its last
/// dot is a version or an address.
fn numbered(name: &str) -> Option<(&str, u32)> {
    let (base, number) = name.rsplit_once('.')?;
    let plain = number == "0" || !number.starts_with('0');
    if !plain || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = number.parse().ok().filter(|number| *number <= NUMBER_MAX)?;
    base.ends_with(|c: char| c.is_alphabetic())
        .then_some((base, number))
}

#[cfg(test)]
mod tests {
    use super::{gaps, missing};
    use crate::audit::FileRead;

    fn of(paths: &[&str]) -> Vec<String> {
        let files: Vec<_> = paths
            .iter()
            .map(|path| FileRead::new(path.into()))
            .collect();
        let missing = missing(&files, |_| true);
        missing
            .into_iter()
            .map(|one| format!("{}: {}", one.newest.display(), one.names.join(" ")))
            .collect()
    }

    #[test]
    fn members_that_are_missing_are_named_by_folder_and_series() {
        let whole = ["a/history.log", "a/history.log.1.gz", "a/history.log.2.xz"];
        assert!(of(&whole).is_empty());
        assert!(of(&["a/history.log"]).is_empty());
        assert_eq!(
            of(&["a/history.log", "a/history.log.1.gz", "a/history.log.3.gz"]),
            ["a/history.log: history.log.2"]
        );
        // Of other folders and other series nothing is taken.
        assert_eq!(
            of(&[
                "a/dpkg.log",
                "a/dpkg.log.2.zst",
                "a/history.log.1",
                "a/history.log.2.gz",
                "b/dpkg.log.1",
                "b/dpkg.log",
            ]),
            ["a/dpkg.log: dpkg.log.1", "a/history.log: history.log"]
        );
        // The newest may be missing with others; some count from 0.
        assert_eq!(
            of(&["u/unattended-upgrades.log.3"]),
            [
                "u/unattended-upgrades.log: unattended-upgrades.log unattended-upgrades.log.1 \
              unattended-upgrades.log.2"
            ]
        );
        assert_eq!(
            of(&["a/audit.log", "a/audit.log.0", "a/audit.log.2.gz"]),
            ["a/audit.log: audit.log.1"]
        );
    }

    #[test]
    fn names_that_are_no_series_say_nothing() {
        for paths in [
            &["a/history.log-20260101", "a/history.log-20260103.gz"][..],
            &["a/export.2024", "a/export.2026"],
            &["a/10.0.0.7", "a/10.0.0.9"],
            &["a/v1.2", "a/v1.5"],
            &["a/history.log.01", "a/history.log.03"],
            &["a/events.1.json", "a/events.3.json"],
            &["-"],
        ] {
            assert!(of(paths).is_empty(), "{paths:?}");
        }
    }

    #[test]
    fn what_somebody_called_so_is_told_in_bounds() {
        let files: Vec<_> = (0..80)
            .map(|n| FileRead::new(format!("\u{1b}[2J{n}/x.log.999").into()))
            .collect();
        let told = gaps(&files, |_| true);
        assert_eq!(told.len(), 51);
        assert!(told[0].contains("x.log.9 and 989 more"), "{}", told[0]);
        assert!(
            told.iter()
                .all(|gap| gap.len() < 2_000 && !gap.contains('\u{1b}'))
        );
        assert!(gaps(&files, |_| false).is_empty());
    }
}
