//! Which CVE ids an upgrade fixes: those that the new version's changelog names in entries newer
//! than the installed source version. Security origin first; bounded in bytes and time; kept on disk
//! by source and version. What could not be learned is said, never guessed. No origin and no name
//! counts as severity here.

use super::index::Records;
use super::{Apt, AptError, Spec, deb, version};
use crate::progress::Progress;
use countersign_domain::observation::CveCoverage;
use countersign_domain::{CveId, PackageName, Version};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// CVE ids taken from one changelog at most.
const CVES_MAX: usize = 4_000;
/// Entries of one changelog looked at, at most.
const ENTRIES_MAX: usize = 2_000;
/// Files downloaded in one run of apt.
const BATCH: usize = 8;
/// Attempts at the changelog server that may fail before it is given up.
const ONLINE_FAILURES_MAX: usize = 2;
/// A single file larger than this is not downloaded for its changelog alone, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Runs of apt that may fail wholly before fetching is given up.
const FAILURES_MAX: usize = 2;
/// Packages of one source looked into, at most.
const CARRIERS_MAX: usize = 3;

/// One entry of a changelog: a source version and the ids it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    version: Version,
    cves: BTreeSet<CveId>,
}

/// An upgrade whose CVE ids are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The new version.
    pub spec: Spec,
    /// The source version installed now.
    pub installed_source: Version,
    /// From the distribution's security archive: read first.
    pub security: bool,
}

/// How much may be spent on reading changelogs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Bytes downloaded at most.
    pub bytes: u64,
    /// Time spent at most.
    pub time: Duration,
}

/// What is left of a budget.
#[derive(Debug)]
struct Spending<'a> {
    progress: Progress<'a>,
    /// Runs of apt that may still fail wholly: then there is no network, and no use in trying.
    failures_left: usize,
    deadline: Instant,
    bytes_left: u64,
    online_failures_left: usize,
}

impl Spending<'_> {
    fn tell_failure(&mut self, error: &AptError) {
        self.failures_left = self.failures_left.saturating_sub(1);
        self.progress.line(format!("changelogs: {error}"));
    }

    /// Takes a file's size off the budget, when there is enough left.
    fn affords(&mut self, size: u64) -> bool {
        let affords = size <= FILE_BYTES_MAX
            && size <= self.bytes_left
            && self.seconds_left() > 0
            && self.failures_left > 0;
        if affords {
            self.bytes_left -= size;
        }
        affords
    }

    fn seconds_left(&self) -> u64 {
        let left = self.deadline.saturating_duration_since(Instant::now());
        left.as_secs().min(120)
    }
}

/// Binary packages of one source version: one changelog serves them all.
#[derive(Debug)]
struct Source {
    name: PackageName,
    version: Version,
    security: bool,
    /// Binary packages that may carry it, smallest first.
    carriers: Vec<(u64, Spec)>,
}

impl Apt {
    /// The CVE ids of each upgrade, or why they could not be learned.
    ///
    /// # Errors
    /// When our own cache cannot be written; a changelog that cannot be had is no error.
    pub fn cves(
        &self,
        wanted: &[Wanted],
        records: &Records,
        budget: Budget,
        progress: Progress<'_>,
    ) -> Result<BTreeMap<Spec, CveCoverage>, AptError> {
        let mut sources = by_source(wanted, records);
        let mut known: BTreeMap<(PackageName, Version), Result<Vec<Entry>, String>> =
            BTreeMap::new();
        sources.retain(|source| match self.kept(source) {
            Some(entries) => {
                known.insert((source.name.clone(), source.version.clone()), Ok(entries));
                false
            }
            None => true,
        });
        let mut spending = Spending {
            progress,
            failures_left: FAILURES_MAX,
            deadline: Instant::now() + budget.time,
            bytes_left: budget.bytes,
            online_failures_left: ONLINE_FAILURES_MAX,
        };
        let total = sources.len();
        let mut done = 0;
        for batch in sources.chunks(BATCH) {
            progress.counted("changelogs", done, total);
            for (source, entries) in batch.iter().zip(self.read_batch(batch, &mut spending)?) {
                if let Ok(entries) = &entries {
                    self.keep(source, entries)?;
                }
                known.insert((source.name.clone(), source.version.clone()), entries);
            }
            done += batch.len();
        }
        progress.counted("changelogs", total, total);
        Ok(wanted
            .iter()
            .map(|want| {
                let coverage = records
                    .get(&want.spec)
                    .and_then(|record| {
                        known.get(&(record.source.clone(), record.source_version.clone()))
                    })
                    .map_or_else(
                        || unknown("the package index does not know this version"),
                        |entries| match entries {
                            Ok(entries) => coverage(entries, &want.installed_source),
                            Err(why) => unknown(why),
                        },
                    );
                (want.spec.clone(), coverage)
            })
            .collect())
    }

    /// The changelogs of a few sources: from the smallest package of each, then the next (some link
    /// to a sibling's), then from the changelog server.
    fn read_batch(
        &self,
        batch: &[Source],
        spending: &mut Spending<'_>,
    ) -> Result<Vec<Result<Vec<Entry>, String>>, AptError> {
        let mut results: Vec<Result<Vec<Entry>, String>> = batch
            .iter()
            .map(|_| {
                Err(
                    "the mirror does not answer, or the limits on bytes and time were reached"
                        .to_owned(),
                )
            })
            .collect();
        for attempt in 0..CARRIERS_MAX {
            let mut chosen = Vec::new();
            for (source, result) in batch.iter().zip(&results) {
                if result.is_err()
                    && let Some((size, spec)) = source.carriers.get(attempt)
                    && spending.affords(*size)
                {
                    chosen.push(spec.clone());
                }
            }
            if chosen.is_empty() {
                continue;
            }
            let scratch = self.scratch()?;
            let files = self.download(&chosen, scratch.path(), spending.seconds_left());
            let identified: BTreeMap<Spec, _> = match &files {
                Ok(files) => files
                    .iter()
                    .filter_map(|file| Some((deb::identity(file).ok()?, file)))
                    .collect(),
                Err(error) => {
                    spending.tell_failure(error);
                    BTreeMap::new()
                }
            };
            for (source, result) in batch.iter().zip(&mut results) {
                let Some((_, spec)) = source.carriers.get(attempt) else {
                    continue;
                };
                if !chosen.contains(spec) {
                    continue;
                }
                *result = match identified.get(spec) {
                    Some(file) => match deb::changelog(file) {
                        Ok(Some(text)) => Ok(parse(&text)),
                        Ok(None) => Err("the package carries no changelog of its own".into()),
                        Err(error) => Err(error.to_string()),
                    },
                    None => Err("the mirror did not serve the package".into()),
                };
                if result.as_ref().is_ok_and(Vec::is_empty) {
                    *result = Err("the package's changelog is not in Debian's form".into());
                }
            }
        }
        for (source, result) in batch.iter().zip(&mut results) {
            if let Err(why) = result
                && spending.online_failures_left > 0
                && spending.failures_left > 0
                && spending.seconds_left() > 0
            {
                match self.changelog_online(source) {
                    Ok(entries) if !entries.is_empty() => *result = Ok(entries),
                    Ok(_) | Err(_) => {
                        spending.online_failures_left -= 1;
                        why.push_str(", and the changelog server has none");
                    }
                }
            }
        }
        Ok(results)
    }

    /// `apt-get changelog`, for packages too large to fetch or without a changelog inside.
    fn changelog_online(&self, source: &Source) -> Result<Vec<Entry>, AptError> {
        let scratch = self.scratch()?;
        let Some((_, spec)) = source.carriers.first() else {
            return Ok(Vec::new());
        };
        let run = self
            .with_proxy(self.apt("apt-get"))
            .args([
                "-q",
                "-o",
                "Acquire::Retries=0",
                "-o",
                "Acquire::http::Timeout=8",
                "--download-only",
                "changelog",
                "--",
            ])
            .arg(self.argument(spec)?)
            .folder(scratch.path())
            .seconds(20);
        super::succeeded("apt-get changelog", &run.end()?)?;
        let path = scratch.path().join(format!("{}.changelog", spec.name));
        let bytes = crate::durable::read_bounded(&path, 24 * 1024 * 1024)
            .map_err(|source| AptError::io(&path, source))?;
        Ok(parse(&String::from_utf8_lossy(&bytes)))
    }

    fn kept_path(&self, source: &Source) -> std::path::PathBuf {
        // Versions have no `/`; names neither.
        self.folder
            .join("changelogs")
            .join(format!("{}_{}.json", source.name, source.version))
    }

    fn kept(&self, source: &Source) -> Option<Vec<Entry>> {
        let bytes = crate::durable::read_bounded(&self.kept_path(source), 8 * 1024 * 1024).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    fn keep(&self, source: &Source, entries: &[Entry]) -> Result<(), AptError> {
        let path = self.kept_path(source);
        let bytes = serde_json::to_vec(entries)
            .map_err(|error| AptError::said("changelog cache", &error.to_string()))?;
        crate::durable::replace(&path, &bytes).map_err(|source| AptError::io(&path, source))
    }
}

fn unknown(why: &str) -> CveCoverage {
    CveCoverage::Unknown {
        why: countersign_domain::text::shown(why, 300),
    }
}

fn by_source(wanted: &[Wanted], records: &Records) -> Vec<Source> {
    let mut sources: BTreeMap<(PackageName, Version), Source> = BTreeMap::new();
    for want in wanted {
        let Some(record) = records.get(&want.spec) else {
            continue;
        };
        let source = sources
            .entry((record.source.clone(), record.source_version.clone()))
            .or_insert_with(|| Source {
                name: record.source.clone(),
                version: record.source_version.clone(),
                security: false,
                carriers: Vec::new(),
            });
        source.security |= want.security;
        source.carriers.push((record.size, want.spec.clone()));
    }
    let mut sources: Vec<_> = sources.into_values().collect();
    for source in &mut sources {
        source.carriers.sort();
    }
    let size = |source: &Source| source.carriers.first().map_or(0, |(size, _)| *size);
    sources.sort_by_key(|source| (!source.security, size(source)));
    sources
}

/// The ids named by entries newer than `installed`; unknown when the entries end before that one.
fn coverage(entries: &[Entry], installed: &Version) -> CveCoverage {
    let mut ids = BTreeSet::new();
    for entry in entries {
        match version::compare(&entry.version, installed) {
            Some(Ordering::Greater) => ids.extend(entry.cves.iter().cloned()),
            // Entries are in falling order: from here on everything is installed already.
            Some(Ordering::Equal | Ordering::Less) => return CveCoverage::Read { ids },
            None => return unknown("the changelog names a version that has no order"),
        }
        if ids.len() > CVES_MAX {
            return unknown("the changelog names more CVE ids than are taken");
        }
    }
    // It was trimmed, or is longer than is read: what it does not show may fix something too.
    unknown("the changelog does not reach back to the installed version")
}

/// Reads the entries of a Debian changelog (policy 4.4), newest first.
fn parse(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for line in text.lines() {
        if let Some(version) = heading(line) {
            if entries.len() == ENTRIES_MAX {
                break;
            }
            entries.push(Entry {
                version,
                cves: BTreeSet::new(),
            });
        } else if let Some(entry) = entries.last_mut() {
            entry.cves.extend(cve_ids(line));
        }
    }
    entries
}

/// `openssl (3.0.22-1~deb12u2) bookworm-security; urgency=medium`
fn heading(line: &str) -> Option<Version> {
    if line.starts_with([' ', '\t']) {
        return None;
    }
    let (name, rest) = line.split_once(" (")?;
    let (version, rest) = rest.split_once(')')?;
    if !rest.contains(';') {
        return None;
    }
    PackageName::new(name).ok()?;
    Version::new(version).ok()
}

/// Every `CVE-…` of a line.
fn cve_ids(line: &str) -> impl Iterator<Item = CveId> {
    line.match_indices("CVE-").filter_map(|(at, _)| {
        let rest = line.get(at..)?;
        let year = rest.get(4..8)?;
        let digits: String = rest
            .get(9..)?
            .chars()
            .take_while(char::is_ascii_digit)
            .take(12)
            .collect();
        if rest.get(8..9)? != "-" {
            return None;
        }
        CveId::new(format!("CVE-{year}-{digits}")).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "openssl (3.0.22-1~deb12u2) bookworm-security; urgency=medium\n\n  * CVE-2099-0001, CVE-2099-0002 (a thing)\n  * fixes CVE-2099-000, cve-2099-0009\n\n -- X <x@y>  Mon, 01 Jan 2024 00:00:00 +0000\n\nopenssl (3.0.20-1~deb12u1) bookworm; urgency=medium\n\n  * CVE-2098-12345.\n\n -- X\n\nopenssl (3.0.9-1) unstable; urgency=low\n\n  * CVE-2097-0001\n";

    fn ids(installed: &str) -> Vec<String> {
        match coverage(&parse(TEXT), &Version::new(installed).unwrap()) {
            CveCoverage::Read { ids } => ids.iter().map(ToString::to_string).collect(),
            CveCoverage::Unknown { why } => vec![why],
        }
    }

    #[test]
    fn only_entries_newer_than_the_installed_version_count() {
        assert_eq!(ids("3.0.20-1~deb12u1"), ["CVE-2099-0001", "CVE-2099-0002"]);
        assert_eq!(
            ids("3.0.9-1"),
            ["CVE-2098-12345", "CVE-2099-0001", "CVE-2099-0002"]
        );
        assert!(ids("3.0.22-1~deb12u2").is_empty());
        // Older than all that the changelog shows: some of it may have been trimmed.
        let beyond = "the changelog does not reach back to the installed version";
        assert_eq!(ids("1.0"), [beyond]);
        assert_eq!(ids("3.0.8-1"), [beyond]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn nothing_makes_it_panic(text in "(CVE-|é|[ -~]|\\n|[a-z]{1,3} \\(1\\) x;){0,60}") {
            let _ = parse(&text);
        }
    }
}
