//! Reads all files, and keeps what they come to: each action once, however often it is read; each
//! record with what its exports agree on; and of everything else how much there was, by day.

use super::confirm::Transitions;
use super::frames::{Frame, Frames, RECORD_BYTES_MAX};
use super::input::{self, Compression};
use super::model::{
    Action, Actor, Change, Decision, Exclusion, FileNumber, Format, Nature, Place, Row,
};
use super::moment::Moment;
use super::reader::lines::LineReader;
use super::reader::{Context, JsonReader, Record, Taken, servicenow};
use super::tables::{Table, is_table};
use countersign_domain::Digest;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

/// The longest line that is looked at, in bytes.
const LINE_BYTES_MAX: usize = 1024 * 1024;
/// Unreadable records that are named; more are counted.
const NAMED_MAX: usize = 100;

/// A record that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// Where it stands.
    pub place: Place,
    /// Why.
    pub why: &'static str,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
    /// Records or lines of no format that is known.
    pub unrecognised: u64,
    /// Why it was not read to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

impl FileRead {
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
}

/// How far reading has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Files that were read.
    pub files: usize,
    /// Files that there are.
    pub files_all: usize,
    /// Bytes that were read, expanded.
    pub bytes: u64,
}

/// Reads files.
pub(crate) struct Collector<'a> {
    context: &'a Context,
    readers: &'a [&'a dyn JsonReader],
    actions: BTreeMap<Digest, Action>,
    changes: BTreeMap<String, Change>,
    decisions: Vec<Decision>,
    transitions: Transitions,
    out: Collected,
    /// The reader that took the last record: the next is most often of the same format.
    last: usize,
    rows: Vec<Row>,
}

impl<'a> Collector<'a> {
    pub(crate) fn new(context: &'a Context, readers: &'a [&'a dyn JsonReader]) -> Self {
        Self {
            context,
            readers,
            actions: BTreeMap::new(),
            changes: BTreeMap::new(),
            decisions: Vec::new(),
            transitions: Transitions::default(),
            out: Collected::default(),
            last: 0,
            rows: Vec::new(),
        }
    }

    /// Reads a file. What cannot be read of it is told in its entry.
    pub(crate) fn file(&mut self, path: &Path, progress: &mut dyn FnMut(u64)) {
        let number = FileNumber(u32::try_from(self.out.files.len()).unwrap_or(u32::MAX));
        let mut file = FileRead {
            path: path.to_owned(),
            bytes: 0,
            sha256: String::new(),
            compression: Compression::None,
            rows: BTreeMap::new(),
            unreadable: 0,
            unrecognised: 0,
            broken: None,
        };
        match input::open(path) {
            Ok(mut opened) => {
                file.compression = opened.compression;
                if let Err(error) = self.content(&mut opened.content, number, &mut file, progress) {
                    file.broken = Some(error.to_string());
                }
                match opened.whole() {
                    Ok(whole) => {
                        file.bytes = whole.bytes;
                        file.sha256 = whole.sha256;
                    }
                    Err(error) => file.broken = Some(error.to_string()),
                }
            }
            Err(error) => file.broken = Some(error.to_string()),
        }
        self.out.files.push(file);
    }

    fn content(
        &mut self,
        content: &mut dyn BufRead,
        number: FileNumber,
        file: &mut FileRead,
        progress: &mut dyn FnMut(u64),
    ) -> io::Result<()> {
        let mut offset = 0;
        if content.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
            content.consume(3);
            offset = 3;
        }
        let first = content
            .fill_buf()?
            .iter()
            .find(|byte| !byte.is_ascii_whitespace())
            .copied();
        if matches!(first, Some(b'{' | b'[')) {
            return self.json(content, offset, number, file, progress);
        }
        if is_table(content.fill_buf()?) {
            return self.table(content, offset, number, file, progress);
        }
        self.lines(content, offset, number, file, progress)
    }

    fn lines(
        &mut self,
        content: &mut dyn BufRead,
        mut offset: u64,
        number: FileNumber,
        file: &mut FileRead,
        progress: &mut dyn FnMut(u64),
    ) -> io::Result<()> {
        let mut reader = LineReader::default();
        let mut line = Vec::new();
        let mut count = 0;
        loop {
            line.clear();
            let length = bounded_line(content, &mut line)?;
            if length == 0 {
                break;
            }
            count += 1;
            progress(length);
            let place = Place {
                file: number,
                offset,
                line: Some(count),
            };
            offset += length;
            if length > LINE_BYTES_MAX as u64 {
                self.unreadable(file, place, "a line of more than a megabyte");
                continue;
            }
            while line
                .last()
                .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
            {
                line.pop();
            }
            if line.first() == Some(&b'{') {
                self.record(
                    Record {
                        bytes: &line,
                        place,
                    },
                    file,
                );
                continue;
            }
            let Ok(text) = std::str::from_utf8(&line) else {
                self.unreadable(file, place, "not UTF-8");
                continue;
            };
            let (format, taken) = reader.line(
                text,
                place,
                self.context,
                &mut self.rows,
                &mut self.transitions.all,
            );
            self.keep(Format::AptHistory);
            match (format, taken) {
                (Some(format), Taken::Read(at)) => {
                    if let (Format::Dpkg, Some(at)) = (format, &at) {
                        self.transitions.cover(at);
                    }
                    self.count(file, format, at.as_ref());
                }
                (_, Taken::Unreadable(why)) => self.unreadable(file, place, why),
                (None, Taken::Read(_)) => {}
                (_, Taken::NotMine) => file.unrecognised += 1,
            }
        }
        reader.end(self.context, &mut self.rows);
        self.keep(Format::AptHistory);
        Ok(())
    }

    fn json(
        &mut self,
        content: &mut dyn BufRead,
        offset: u64,
        number: FileNumber,
        file: &mut FileRead,
        progress: &mut dyn FnMut(u64),
    ) -> io::Result<()> {
        let mut frames = Frames::new(content, RECORD_BYTES_MAX);
        let mut told = 0;
        while let Some(frame) = frames.next()? {
            let at = match frame {
                Frame::Object {
                    bytes,
                    offset: at,
                    line,
                } => {
                    let place = Place {
                        file: number,
                        offset: offset + at,
                        line: Some(line),
                    };
                    self.record(Record { bytes, place }, file);
                    at + bytes.len() as u64
                }
                Frame::Broken {
                    offset: at,
                    line,
                    why,
                } => {
                    let place = Place {
                        file: number,
                        offset: offset + at,
                        line: Some(line),
                    };
                    self.unreadable(file, place, why);
                    at
                }
            };
            if at > told {
                progress(at - told);
                told = at;
            }
        }
        Ok(())
    }

    fn table(
        &mut self,
        content: &mut dyn BufRead,
        offset: u64,
        number: FileNumber,
        file: &mut FileRead,
        progress: &mut dyn FnMut(u64),
    ) -> io::Result<()> {
        let mut table = Table::new(content)?;
        let mut told = 0;
        while let Some(row) = table.next()? {
            let place = Place {
                file: number,
                offset: offset + row.offset,
                line: Some(row.line),
            };
            progress(row.offset.saturating_sub(told));
            told = row.offset;
            let Some(cells) = row.cells else {
                self.unreadable(file, place, "not UTF-8");
                continue;
            };
            let taken = servicenow::from_csv_row(&cells, place, self.context, &mut self.rows);
            self.keep(Format::ServiceNow);
            match taken {
                Taken::NotMine => file.unrecognised += 1,
                Taken::Unreadable(why) => self.unreadable(file, place, why),
                Taken::Read(at) => self.count(file, Format::ServiceNow, at.as_ref()),
            }
        }
        Ok(())
    }

    /// Hands a JSON record to the reader that knows it.
    fn record(&mut self, record: Record<'_>, file: &mut FileRead) {
        let count = self.readers.len();
        for turn in 0..count {
            let at = (self.last + turn) % count;
            let Some(reader) = self.readers.get(at) else {
                continue;
            };
            match reader.take(record, self.context, &mut self.rows) {
                Taken::NotMine => {}
                Taken::Unreadable(why) => {
                    self.rows.clear();
                    return self.unreadable(file, record.place, why);
                }
                Taken::Read(time) => {
                    self.last = at;
                    let format = reader.format();
                    self.keep(format);
                    return self.count(file, format, time.as_ref());
                }
            }
        }
        file.unrecognised += 1;
    }

    fn count(&mut self, file: &mut FileRead, format: Format, at: Option<&Moment>) {
        *file.rows.entry(format).or_default() += 1;
        if let Some(at) = at {
            let days = self.out.days.entry(format).or_default();
            *days.entry(at.day()).or_default() += 1;
        }
    }

    fn unreadable(&mut self, file: &mut FileRead, place: Place, why: &'static str) {
        file.unreadable += 1;
        if self.out.unreadable.len() < NAMED_MAX {
            self.out.unreadable.push(Unreadable { place, why });
        }
    }

    /// Keeps what a reader found.
    fn keep(&mut self, format: Format) {
        for row in self.rows.drain(..) {
            match row {
                Row::Action(action) => match self.actions.get_mut(&action.key) {
                    Some(known) => again(known, *action),
                    None => {
                        self.actions.insert(action.key, *action);
                    }
                },
                Row::Change(change) => match self.changes.get_mut(&change.key) {
                    Some(known) => merge(known, *change),
                    None => {
                        self.changes.insert(change.key.clone(), *change);
                    }
                },
                Row::Decision(decision) => self.decisions.push(*decision),
                Row::Excluded(exclusion) => {
                    *self.out.excluded.entry((format, exclusion)).or_default() += 1;
                }
            }
        }
    }

    /// All of it, once every file was read.
    pub(crate) fn finish(mut self) -> Collected {
        let mut actions: Vec<Action> = self.actions.into_values().collect();
        let confirmed = self.transitions.confirm(&self.context.host, &mut actions);
        self.out.unconfirmed = confirmed.unconfirmed;
        if confirmed.phantoms > 0 {
            let phantoms = (Format::AptHistory, Exclusion::DryRun);
            *self.out.excluded.entry(phantoms).or_default() += confirmed.phantoms;
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
        Collected {
            actions,
            changes: self.changes.into_values().collect(),
            decisions: self.decisions,
            ..self.out
        }
    }
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
fn again(known: &mut Action, other: Action) {
    known.places.extend(&other.places);
    let unclear = |actor: &Actor| (actor.nature == Nature::Unclear, actor.clone());
    if unclear(&other.actor) < unclear(&known.actor) {
        known.actor = other.actor;
    }
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
    union(&mut known.places, other.places);
    union(&mut known.references, other.references);
    union(&mut known.targets, other.targets);
    union(&mut known.requesters, other.requesters);
    known.withdrawn |= other.withdrawn;
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

/// Reads a line with its end. Of a line that is too long, its length counts and its bytes are gone.
fn bounded_line(content: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<u64> {
    let mut length = 0;
    loop {
        let buffer = content.fill_buf()?;
        if buffer.is_empty() {
            return Ok(length);
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(buffer.len(), |end| end + 1);
        if line.len() + taken <= LINE_BYTES_MAX {
            line.extend_from_slice(buffer.get(..taken).unwrap_or_default());
        }
        content.consume(taken);
        length += taken as u64;
        if end.is_some() {
            return Ok(length);
        }
    }
}
