//! Keeps what files come to: each action once, however often it is read; each record with what its
//! exports agree on; and of everything else how much there was, by day. Kept in parts that come to
//! the same however the records were shared out among them.

use super::confirm::{Confirmed, Transitions};
use super::controllers::{Controllers, Given};
use super::counts::Counts;
use super::hosts::{Host, Hosts, is_nameless, root};
use super::input::Compression;
use super::model::{
    Action, Change, Decision, Exclusion, FileNumber, Format, Place, Reference, Row,
};
use super::moment::Moment;
use super::own;
use super::pages::Page;
use super::reader::Context;
use super::runs::{Runs, clearer};
use countersign_domain::Digest;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Records that no mapping fits, and that are named.
const UNMAPPED_MAX: usize = 5;
/// Unreadable records that are named; more are counted.
const NAMED_MAX: usize = 100;

/// A record that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Unreadable {
    /// Where it stands.
    pub place: Place,
    /// Why.
    pub why: &'static str,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FileRead {
    /// Its path.
    pub path: PathBuf,
    /// Its own bytes.
    pub bytes: u64,
    /// Their SHA-256, in hexadecimal digits.
    pub sha256: String,
    /// How it is compressed.
    pub compression: Compression,
    /// Records or lines of each format.
    pub rows: BTreeMap<Format, u64>,
    /// Records that could not be read.
    pub unreadable: u64,
    /// Those of them whose format is known.
    #[serde(skip)]
    pub(crate) refused: u64,
    /// Records or lines of no format that is known.
    pub unrecognised: u64,
    /// The pages in it, of lists that have several.
    #[serde(skip)]
    pub(crate) pages: Vec<Page>,
    /// Why it was not read to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

impl FileRead {
    /// One of which nothing was read yet.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            bytes: 0,
            sha256: String::new(),
            compression: Compression::None,
            rows: BTreeMap::new(),
            unreadable: 0,
            refused: 0,
            unrecognised: 0,
            pages: Vec::new(),
            broken: None,
        }
    }

    /// True where nothing in it was of a known format.
    #[must_use]
    pub fn is_unrecognised(&self) -> bool {
        self.rows.is_empty()
    }
}

/// What all files came to.
#[derive(Debug, Default)]
pub struct Collected {
    /// Actions, in the order of time.
    pub actions: Vec<Action>,
    /// Change records, in the order of their keys.
    pub changes: Vec<Change>,
    /// Decisions.
    pub decisions: Vec<Decision>,
    /// What was not counted as an action.
    pub excluded: BTreeMap<(Format, Exclusion), u64>,
    /// Rows by format and day.
    pub days: BTreeMap<Format, BTreeMap<String, u64>>,
    /// The files, by their numbers.
    pub files: Vec<FileRead>,
    /// The first records that could not be read.
    pub unreadable: Vec<Unreadable>,
    /// Stanzas of apt's that dpkg's logs would tell of, and do not cover.
    pub unconfirmed: u64,
    /// Actions of which it cannot be told whether they were a dry run's.
    pub unknown_runs: u64,
    /// The hosts that logs which name none are taken to be of.
    pub hosts: Vec<Host>,
    /// The first records that no mapping fits, though one nearly does, and what is missing.
    pub unmapped: Vec<(Place, String)>,
}

/// How far reading has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files that were read.
    pub files: usize,
    /// Files that there are.
    pub files_all: usize,
    /// Bytes that were read, expanded.
    pub bytes: u64,
    /// How long all threads together hashed the files that were read to their ends.
    pub hashing: Duration,
}

/// About what an action, a change record or an approval takes, in bytes, with what points to it.
const ROW_BYTES: u64 = 2 * 1024;
/// About what a package transition takes.
pub(crate) const TRANSITION_BYTES: u64 = 64;

/// What was counted of a file, but for its rows.
#[derive(Debug, Default)]
struct Tally {
    unreadable: u64,
    refused: u64,
    unrecognised: u64,
}

/// The ids that a number is that of: as change records say themselves, and as approvals say of them.
#[derive(Debug, Default)]
struct Ids {
    own: BTreeSet<String>,
    told: BTreeSet<String>,
}

/// What some of the records come to.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// By their keys; those of which only the file tells the host, by file too.
    actions: BTreeMap<(Digest, Option<FileNumber>), Action>,
    /// Ids that controllers gave.
    given: BTreeSet<Given>,
    /// Numbers of change records, and the ids that they are the numbers of.
    same: BTreeMap<String, Ids>,
    /// The first of them.
    unmapped: BTreeSet<(Place, String)>,
    changes: BTreeMap<String, Change>,
    decisions: Vec<Decision>,
    /// Actions that a log of Countersign's proves, which is held against a pinned genesis.
    pub(crate) proven: BTreeSet<Digest>,
    /// What dpkg did.
    pub(crate) transitions: Transitions,
    runs: Runs,
    excluded: Counts<(Format, Exclusion)>,
    /// Rows by format and by days since 1970.
    days: Counts<(Format, i64)>,
    rows: Counts<(FileNumber, Format)>,
    tallies: BTreeMap<FileNumber, Tally>,
    /// The first of them.
    unreadable: BTreeSet<Unreadable>,
    /// About how many bytes are kept in all this.
    pub(crate) kept: u64,
}

impl Part {
    /// A row of this format was read, of this time.
    pub(crate) fn count(&mut self, file: FileNumber, format: Format, at: Option<&Moment>) {
        let of_format = format as usize;
        self.rows.add((file, format), of_format);
        if let Some(at) = at {
            let day = at.day();
            // Days of one month are apart, and those of two formats nearly always.
            let spread = usize::try_from(day).unwrap_or_default() + 31 * of_format;
            self.days.add((format, day), spread);
        }
    }

    /// A record of no known format was read.
    pub(crate) fn unrecognised(&mut self, file: FileNumber) {
        self.tallies.entry(file).or_default().unrecognised += 1;
    }

    /// A record could not be read.
    pub(crate) fn unreadable(&mut self, place: Place, why: &'static str) {
        self.tallies.entry(place.file).or_default().unreadable += 1;
        self.unreadable.insert(Unreadable { place, why });
        if self.unreadable.len() > NAMED_MAX {
            self.unreadable.pop_last();
        }
    }

    /// A record could not be read, although its format is known.
    pub(crate) fn refused(&mut self, place: Place, why: &'static str) {
        self.unreadable(place, why);
        self.tallies.entry(place.file).or_default().refused += 1;
    }

    /// No mapping fits a record, and one nearly does.
    pub(crate) fn unmapped(&mut self, place: Place, lacking: String) {
        self.unmapped.insert((place, lacking));
        if self.unmapped.len() > UNMAPPED_MAX {
            self.unmapped.pop_last();
        }
    }

    /// Keeps what a reader found.
    pub(crate) fn keep(&mut self, format: Format, rows: &mut Vec<Row>) {
        for row in rows.drain(..) {
            if !matches!(row, Row::Excluded(_) | Row::PartUnread { .. }) {
                self.kept += ROW_BYTES;
            }
            match row {
                Row::Action(action) => self.action(*action),
                Row::Change(change) => self.change(*change),
                Row::Decision(decision) => self.decisions.push(*decision),
                Row::Excluded(exclusion) => {
                    self.excluded.add((format, exclusion), exclusion as usize);
                }
                Row::PartUnread { place, why } => self.refused(place, why),
                Row::Run(run) => self.runs.keep(*run),
                Row::Certain(action) => self.runs.certain(action),
                Row::Given(given) => {
                    self.given.insert(*given);
                }
                Row::Same { number, id, own } => {
                    let ids = self.same.entry(number).or_default();
                    if own { &mut ids.own } else { &mut ids.told }.insert(id);
                }
            }
        }
    }

    fn action(&mut self, action: Action) {
        let place = action.places.first();
        let file = place.filter(|_| is_nameless(action.format));
        let key = (action.key, file.map(|place| place.file));
        keep(&mut self.actions, key, action);
    }

    fn change(&mut self, change: Change) {
        match self.changes.get_mut(&change.key) {
            Some(known) => merge(known, change),
            None => {
                self.changes.insert(change.key.clone(), change);
            }
        }
    }

    /// What this part and another come to.
    pub(crate) fn and(mut self, other: Self) -> Self {
        for action in other.actions.into_values() {
            self.action(action);
        }
        for change in other.changes.into_values() {
            self.change(change);
        }
        self.decisions.extend(other.decisions);
        self.given.extend(other.given);
        for (number, ids) in other.same {
            let known = self.same.entry(number).or_default();
            known.own.extend(ids.own);
            known.told.extend(ids.told);
        }
        for (place, lacking) in other.unmapped {
            self.unmapped(place, lacking);
        }
        self.proven.extend(other.proven);
        self.transitions.and(other.transitions);
        self.kept += other.kept;
        self.runs.and(other.runs);
        self.excluded.and(other.excluded);
        self.days.and(other.days);
        self.rows.and(other.rows);
        for (file, tally) in other.tallies {
            let known = self.tallies.entry(file).or_default();
            known.unreadable += tally.unreadable;
            known.refused += tally.refused;
            known.unrecognised += tally.unrecognised;
        }
        self.unreadable.extend(other.unreadable);
        while self.unreadable.len() > NAMED_MAX {
            self.unreadable.pop_last();
        }
        self
    }

    /// All of it, once every file was read.
    pub(crate) fn finish(mut self, context: &Context, mut files: Vec<FileRead>) -> Collected {
        self.controllers(&Controllers::of(&files, &self.given));
        for action in self.runs.alone() {
            self.action(action);
        }
        for ((number, format), count) in std::mem::take(&mut self.rows).into_map() {
            if let Some(file) = files.get_mut(number.0 as usize) {
                file.rows.insert(format, count);
            }
        }
        for (number, tally) in std::mem::take(&mut self.tallies) {
            if let Some(file) = files.get_mut(number.0 as usize) {
                file.unreadable = tally.unreadable;
                file.refused = tally.refused;
                file.unrecognised = tally.unrecognised;
            }
        }
        self.same();
        let hosts = Hosts::of(&files, context);
        let mut placed: BTreeMap<Digest, Action> = BTreeMap::new();
        for mut action in self.actions.into_values() {
            hosts.place(&mut action);
            keep(&mut placed, action.key, action);
        }
        let mut actions: Vec<Action> = placed.into_values().collect();
        let applied = self.runs.apply(&files, &mut actions);
        let mut excluded = self.excluded.into_map();
        for (format, count) in applied.dry_runs {
            *excluded.entry((format, Exclusion::DryRun)).or_default() += count;
        }
        let confirmed = confirm(self.transitions, &hosts, &files, &mut actions);
        if confirmed.phantoms > 0 {
            let phantoms = (Format::AptHistory, Exclusion::DryRun);
            *excluded.entry(phantoms).or_default() += confirmed.phantoms;
        }
        let told = own::retold(&mut actions, &self.proven);
        if told > 0 {
            let repeated = (Format::AptHistory, Exclusion::Repeated);
            *excluded.entry(repeated).or_default() += told;
        }
        for action in &mut actions {
            action.places.sort();
            action.places.dedup();
        }
        actions.sort_by_key(|one| (one.started, one.key));
        self.decisions
            .sort_by(|one, other| identity(one).cmp(&identity(other)));
        self.decisions.dedup_by(|again, known| {
            let same = identity(again) == identity(known);
            if same {
                known.places.append(&mut again.places);
            }
            same
        });
        for decision in &mut self.decisions {
            decision.places.sort();
        }
        let mut days: BTreeMap<Format, BTreeMap<String, u64>> = BTreeMap::new();
        for ((format, day), count) in self.days.into_map() {
            days.entry(format)
                .or_default()
                .insert(Moment::day_name(day), count);
        }
        Collected {
            actions,
            changes: self
                .changes
                .into_values()
                .map(|mut change| {
                    change.places.sort();
                    change.places.dedup();
                    change
                })
                .collect(),
            decisions: self.decisions,
            excluded,
            days,
            files,
            unreadable: self.unreadable.into_iter().collect(),
            unconfirmed: confirmed.unconfirmed,
            unknown_runs: applied.unknown,
            hosts: hosts.all,
            unmapped: self.unmapped.into_iter().collect(),
        }
    }

    /// Tells apart what several controllers gave the same id.
    fn controllers(&mut self, controllers: &Controllers) {
        self.runs = std::mem::take(&mut self.runs).of(controllers);
        for action in self.actions.values_mut() {
            controllers.of_action(action);
        }
        let of_awx = |change: &Change| change.format == Format::Awx;
        let keys: Vec<_> = self
            .changes
            .values()
            .filter(|change| of_awx(change))
            .collect();
        let keys: Vec<_> = keys.into_iter().map(|change| change.key.clone()).collect();
        for key in keys {
            if let Some(mut change) = self.changes.remove(&key) {
                controllers.of_change(&mut change);
                self.change(change);
            }
        }
        for decision in &mut self.decisions {
            if decision.format == Format::Awx {
                decision.change = controllers.id(&decision.change);
            }
        }
    }

    /// Calls change records by their ids that some exports call by their numbers. Not where a number is
    /// that of several: then nothing says which of them is meant. What approvals say of it counts only
    /// where no record says it itself, and then all of it, so that no approval takes away another's; of
    /// an id that they tell for two numbers, nothing says which of them is meant.
    fn same(&mut self) {
        let same = std::mem::take(&mut self.same);
        let mut own: BTreeMap<&String, usize> = BTreeMap::new();
        let mut told: BTreeMap<&String, usize> = BTreeMap::new();
        for ids in same.values() {
            for id in &ids.own {
                *own.entry(id).or_default() += 1;
            }
            for id in &ids.told {
                *told.entry(id).or_default() += 1;
            }
        }
        let mut renamed: BTreeMap<&String, &String> = BTreeMap::new();
        for (number, ids) in &same {
            if let (1, Some(id)) = (ids.own.len(), ids.own.first())
                && own.get(id) == Some(&1)
            {
                renamed.insert(number, id);
            }
            if !ids.own.is_empty() {
                continue;
            }
            for id in &ids.told {
                // What a record says of itself, no approval of it says otherwise.
                if own.contains_key(id) || self.changes.contains_key(id) {
                    continue;
                }
                if told.get(id) == Some(&1) {
                    renamed.insert(id, number);
                } else if let Some(change) = self.changes.get_mut(number) {
                    change.also.push(id.clone());
                    change.unclear.push(Reference::Native(id.clone()));
                }
            }
        }
        for decision in &mut self.decisions {
            if let Some(name) = renamed.get(&decision.change) {
                decision.change.clone_from(name);
            }
        }
        for (key, name) in &renamed {
            if let Some(mut change) = self.changes.remove(*key) {
                change.key.clone_from(name);
                self.change(change);
            }
        }
    }
}

/// Keeps an action, with what is known of it.
fn keep<K: Ord>(actions: &mut BTreeMap<K, Action>, key: K, action: Action) {
    match actions.get_mut(&key) {
        Some(known) => again(known, action),
        None => {
            actions.insert(key, action);
        }
    }
}

/// Confirms what apt says by what dpkg says, host by host.
fn confirm(
    transitions: Transitions,
    hosts: &Hosts,
    files: &[FileRead],
    actions: &mut Vec<Action>,
) -> Confirmed {
    let root = |file: FileNumber| {
        let file = files.get(file.0 as usize);
        file.map_or(Path::new(""), |file| root(&file.path))
    };
    let mut by_host: BTreeMap<String, (Vec<Action>, Transitions)> = BTreeMap::new();
    for action in std::mem::take(actions) {
        if action.format != Format::AptHistory {
            actions.push(action);
        } else if let Some((of_host, _)) = by_host.get_mut(&action.system) {
            of_host.push(action);
        } else {
            by_host.insert(
                action.system.clone(),
                (vec![action], Transitions::default()),
            );
        }
    }
    for (host, transitions) in transitions.by_host(|file| hosts.name(file)) {
        by_host.entry(host).or_default().1 = transitions;
    }
    let mut confirmed = Confirmed::default();
    for (host, (mut of_host, mut transitions)) in by_host {
        let of = transitions.confirm(&host, &mut of_host, root);
        confirmed.phantoms += of.phantoms;
        confirmed.unconfirmed += of.unconfirmed;
        actions.append(&mut of_host);
    }
    confirmed
}

fn identity(decision: &Decision) -> impl Ord + '_ {
    (
        &decision.change,
        decision.decided,
        &decision.approver,
        decision.outcome,
        &decision.commit,
        &decision.entered_by,
    )
}

/// Brings two readings of one action together: one export may tell who it was where another cannot.
fn again(known: &mut Action, mut other: Action) {
    let told = (&other.ended, &other.summary, &other.items);
    if told < (&known.ended, &known.summary, &known.items) {
        std::mem::swap(known, &mut other);
    }
    known.places.extend(&other.places);
    known.actor = clearer(known.actor.clone(), other.actor);
    for reference in other.references {
        if !known.references.contains(&reference) {
            known.references.push(reference);
        }
    }
    known.references.sort();
}

/// Brings two exports of one record together: what either names is named, and what is withdrawn in
/// one of them is withdrawn. Where they contradict each other, the smaller stands, in whatever order
/// they were read.
fn merge(known: &mut Change, other: Change) {
    fn union<T: Ord>(one: &mut Vec<T>, other: Vec<T>) {
        one.extend(other);
        one.sort();
        one.dedup();
    }
    known.places.extend(other.places);
    union(&mut known.also, other.also);
    union(&mut known.references, other.references);
    union(&mut known.targets, other.targets);
    union(&mut known.requesters, other.requesters);
    union(&mut known.unclear, other.unclear);
    for (known, other) in [
        (&mut known.named.policy_version, other.named.policy_version),
        (&mut known.named.test, other.named.test),
        (&mut known.named.rollback, other.named.rollback),
    ] {
        *known = match (known.take(), other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    known.withdrawn |= other.withdrawn;
    known.pending |= other.pending;
    known.kind = known.kind.min(other.kind);
    known.window = match (known.window, other.window) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    known.head = match (known.head.take(), other.head) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    // What came to a commit was taken up again after it had been closed.
    known.withdrawn &= known.head.is_none();
    known.test = known.test.min(other.test);
    known.rollback = known.rollback.min(other.rollback);
}
