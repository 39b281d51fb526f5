//! Confirms what apt's history says by what dpkg did. `unattended-upgrade --dry-run` writes whole
//! stanzas of upgrades that never were; and what dpkg did within no stanza was done by somebody.

use super::model::{Action, Actor, FileNumber, Format, Nature};
use super::moment::Moment;
use super::reader::lenient::key;
use super::reader::lines::Transition;
use countersign_domain::Timestamp;
use std::collections::BTreeMap;
use std::path::Path;

/// dpkg's lines and apt's dates are rounded to the second, each by itself.
const ROUNDING_SECONDS: i64 = 2;
/// Transitions nearer to each other than this are one run of dpkg's.
const PAUSE_SECONDS: i64 = 60;
/// Packages of a run that are kept by name.
const ITEMS_MAX: usize = 2_000;

/// What dpkg did on one system.
#[derive(Debug, Default)]
pub(crate) struct Transitions {
    /// In the order of time, once `settle` was called.
    pub(crate) all: Vec<Transition>,
    /// The first and the last line of any kind, by file: between two files, lines may be missing.
    covered: BTreeMap<FileNumber, (Timestamp, Timestamp)>,
}

/// What came of confirming.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Confirmed {
    /// Stanzas of upgrades that never were.
    pub(crate) phantoms: u64,
    /// Stanzas that dpkg's log would tell of, and that it does not cover.
    pub(crate) unconfirmed: u64,
}

impl Transitions {
    /// A line of dpkg's was read, of this time.
    pub(crate) fn cover(&mut self, file: FileNumber, at: &Moment) {
        let of = self.covered.entry(file);
        let (first, last) = of.or_insert((at.earliest, at.latest));
        *first = (*first).min(at.earliest);
        *last = (*last).max(at.latest);
    }

    /// Takes in what another part of the logs tells.
    pub(crate) fn and(&mut self, other: Self) {
        self.all.extend(other.all);
        for (file, (from, until)) in other.covered {
            let (first, last) = self.covered.entry(file).or_insert((from, until));
            *first = (*first).min(from);
            *last = (*last).max(until);
        }
    }

    /// By the host that each file is of.
    pub(crate) fn by_host<'h>(
        self,
        host: impl Fn(FileNumber) -> &'h str,
    ) -> BTreeMap<String, Self> {
        let mut hosts: BTreeMap<&str, Self> = BTreeMap::new();
        for (file, span) in self.covered {
            hosts
                .entry(host(file))
                .or_default()
                .covered
                .insert(file, span);
        }
        let only = self.all.first().map(|one| host(one.place.file));
        let is_only = |one: &Transition| Some(host(one.place.file)) == only;
        match only.filter(|_| self.all.iter().all(is_only)) {
            Some(only) => hosts.entry(only).or_default().all = self.all,
            None => {
                for transition in self.all {
                    let of = hosts.entry(host(transition.place.file)).or_default();
                    of.all.push(transition);
                }
            }
        }
        hosts
            .into_iter()
            .map(|(host, of)| (host.to_owned(), of))
            .collect()
    }

    /// Takes out of `actions` the stanzas of `system` that dpkg's log disproves, and adds the runs of
    /// dpkg's that no stanza tells of.
    /// `root` tells in which folder the logs of a file's host lie.
    pub(crate) fn confirm<'f>(
        &mut self,
        system: &str,
        actions: &mut Vec<Action>,
        root: impl Fn(FileNumber) -> &'f Path,
    ) -> Confirmed {
        self.all.sort();
        self.all.dedup_by(|one, other| {
            let order = one.told().cmp(&other.told());
            order.is_eq()
        });
        let mut confirmed = Confirmed::default();
        let mut told = vec![false; self.all.len()];
        actions.retain(|action| {
            if action.format != Format::AptHistory || action.system != system {
                return true;
            }
            let ended = action.ended.unwrap_or(action.started);
            let from = action.started.earliest.plus_seconds(-ROUNDING_SECONDS);
            let until = ended.latest.plus_seconds(ROUNDING_SECONDS);
            let begin = self.all.partition_point(|one| one.at.latest < from);
            let mut any = false;
            for (transition, told) in self.all.iter().zip(&mut told).skip(begin) {
                if transition.at.earliest > until {
                    break;
                }
                // `pkg:arch` in both logs; apt leaves the architecture of `all` out at times.
                let package = transition.package();
                let name = package.split_once(':').map_or(package, |(name, _)| name);
                let named = action.items.iter().any(|item| {
                    item.strip_prefix(name)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', ':']))
                });
                if named {
                    *told = true;
                    any = true;
                }
            }
            // Disproven only where one file of dpkg's tells of the time before and after, and lies
            // in the same host's folder as apt's: another folder may be another host's.
            let beside = |file: FileNumber| {
                let dpkg = root(file);
                action.places.iter().all(|place| root(place.file) == dpkg)
            };
            let covered = action.ended.is_some()
                && self.covered.iter().any(|(file, (first, last))| {
                    *first <= action.started.earliest && ended.latest <= *last && beside(*file)
                });
            if !any && covered {
                confirmed.phantoms += 1;
                return false;
            }
            if !any {
                confirmed.unconfirmed += 1;
            }
            true
        });
        let untold = self
            .all
            .iter()
            .zip(&told)
            .filter(|(_, told)| !**told)
            .map(|(transition, _)| transition);
        actions.extend(runs(system, untold));
        confirmed
    }
}

/// Runs of dpkg by itself.
fn runs<'a>(system: &str, transitions: impl Iterator<Item = &'a Transition>) -> Vec<Action> {
    let mut runs: Vec<Vec<&Transition>> = Vec::new();
    for transition in transitions {
        match runs.last_mut() {
            Some(run)
                if run.last().is_some_and(|last| {
                    let pause = transition.at.earliest.seconds_since(last.at.latest);
                    pause <= PAUSE_SECONDS
                }) =>
            {
                run.push(transition);
            }
            _ => runs.push(vec![transition]),
        }
    }
    runs.iter()
        .filter_map(|run| {
            let (first, last) = (run.first()?, run.last()?);
            let items: Vec<String> = run
                .iter()
                .take(ITEMS_MAX)
                .map(|one| {
                    let [old, new] = one.versions().map(|version| version.unwrap_or("<none>"));
                    format!("{} ({old}, {new})", one.package())
                })
                .collect();
            let began = first.at.earliest.to_string();
            let key = key(Format::Dpkg, &[system, &began, &items.join("\n")]);
            Some(Action {
                key,
                format: Format::Dpkg,
                places: vec![first.place],
                started: first.at,
                ended: Some(last.at),
                system: system.to_owned(),
                environment: None,
                summary: match run.len() {
                    1 => "1 transition that apt does not tell of".to_owned(),
                    count => format!("{count} transitions that apt does not tell of"),
                },
                items,
                actor: Actor::new("dpkg", Nature::Unclear),
                references: Vec::new(),
            })
        })
        .collect()
}
