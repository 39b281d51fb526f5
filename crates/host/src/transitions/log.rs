//! dpkg's log with its rotations, read on from where it was left. The place is known by what stands
//! before it, not by a file's name or number: a rotation, a compression or a copy changes neither,
//! and a log that was cut or rewritten does not pass for the one that was read.

use super::line::{self, Line};
use countersign_domain::package_report::{SEEN_MAX, SeenTransition};
use countersign_domain::text::shown;
use countersign_domain::{Digest, Timestamp};
use flate2::read::MultiGzDecoder;
use jiff::tz::TimeZone;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The name of the log.
pub(super) const NAME: &str = "dpkg.log";
/// Bytes before the place by which it is known; a longer line is not understood.
const TAIL_BYTES: usize = 4096;
/// Bytes read of one file at most, after decompression.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Rotations that are looked at, the newest.
const FILES_MAX: usize = 60;
/// Names in the folder that are looked at.
const NAMES_MAX: usize = 10_000;

/// Up to where the log was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    /// Bytes from the beginning of its file, decompressed. 0 only where there was no line at all.
    offset: u64,
    /// Digest of the bytes before it, at most [`TAIL_BYTES`].
    tail: Digest,
    /// The time of the line before it; of the first report where there was none.
    last_at: Timestamp,
}

/// What was read.
#[derive(Debug)]
pub(super) struct Piece {
    /// In the log's order, at most [`SEEN_MAX`].
    pub transitions: Vec<SeenTransition>,
    /// Up to where.
    pub place: Place,
    /// True when more follows that did not fit.
    pub more: bool,
    /// What could not be read, in words.
    pub gaps: Vec<String>,
}

/// One file of the log, open.
struct Part {
    path: PathBuf,
    file: File,
    compressed: bool,
}

impl Part {
    /// Opens it where it is a plain file.
    fn open(path: PathBuf) -> io::Result<Option<Self>> {
        // A pipe that somebody put there must not hold us up.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = match fs::OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(&path)
        {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !file.metadata()?.is_file() {
            return Ok(None);
        }
        let compressed = path.extension().is_some_and(|end| end == "gz");
        Ok(Some(Self {
            path,
            file,
            compressed,
        }))
    }

    /// Its bytes from `offset` on.
    fn from(&self, offset: u64) -> io::Result<Box<dyn Read + '_>> {
        let mut file = &self.file;
        if self.compressed {
            file.seek(SeekFrom::Start(0))?;
            let mut bytes = MultiGzDecoder::new(file).take(FILE_BYTES_MAX);
            io::copy(&mut (&mut bytes).take(offset), &mut io::sink())?;
            return Ok(Box::new(bytes));
        }
        file.seek(SeekFrom::Start(offset))?;
        Ok(Box::new(file.take(FILE_BYTES_MAX)))
    }

    /// What stands before the place, when it lies in this file.
    fn before(&self, place: &Place) -> io::Result<Option<Vec<u8>>> {
        if place.offset > FILE_BYTES_MAX
            || !self.compressed && self.file.metadata()?.len() < place.offset
        {
            return Ok(None);
        }
        let length = place.offset.min(TAIL_BYTES as u64);
        let mut tail = Vec::new();
        self.from(place.offset - length)?
            .take(length)
            .read_to_end(&mut tail)?;
        Ok((tail.len() as u64 == length && Digest::of(&tail) == place.tail).then_some(tail))
    }
}

/// The log's files, the newest first, each once: a file that is renamed meanwhile is not read twice,
/// and none is passed over.
fn parts(folder: &Path, gaps: &mut Vec<String>) -> io::Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut known = BTreeSet::new();
    let mut add = |path: PathBuf, parts: &mut Vec<Part>| -> io::Result<()> {
        match Part::open(path.clone()) {
            Ok(Some(part)) => {
                let metadata = part.file.metadata()?;
                if known.insert((metadata.dev(), metadata.ino())) {
                    parts.push(part);
                }
            }
            Ok(None) => {}
            Err(error) => gaps.push(unread(&path, &error)),
        }
        Ok(())
    };
    // The newest is opened before the folder is listed: whatever is renamed then is in the list.
    add(folder.join(NAME), &mut parts)?;
    let mut rotations = Vec::new();
    let names = match fs::read_dir(folder) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(parts),
        Err(error) => return Err(error),
    };
    for entry in names.take(NAMES_MAX) {
        let name = entry?.file_name();
        if let Some(age) = name.to_str().and_then(age) {
            rotations.push((age, folder.join(&name)));
        }
    }
    rotations.sort();
    rotations.truncate(FILES_MAX);
    for (_, path) in rotations {
        add(path, &mut parts)?;
    }
    Ok(parts)
}

/// How old a rotation is, by its name: `dpkg.log.3`, `dpkg.log.3.gz` or `dpkg.log-20261101.gz`.
fn age(name: &str) -> Option<u64> {
    let rest = name.strip_prefix(NAME)?;
    let rest = rest.strip_suffix(".gz").unwrap_or(rest);
    let number = |digits: &str| -> Option<u64> {
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten()
    };
    match (rest.strip_prefix('.'), rest.strip_prefix('-')) {
        (Some(turn), _) => number(turn),
        (None, Some(date)) => number(date).map(|date| u64::MAX - date),
        (None, None) => None,
    }
}

fn unread(path: &Path, error: &io::Error) -> String {
    format!("`{}` could not be read: {error}", path.display())
}

/// The end of the log as it is now: what came before is not told.
pub(super) fn end(folder: &Path, now: Timestamp) -> io::Result<Place> {
    let nothing = Place {
        offset: 0,
        tail: Digest::of(b""),
        last_at: now,
    };
    let mut gaps = Vec::new();
    for part in parts(folder, &mut gaps)? {
        let mut reading = Reading::new(nothing.clone(), Vec::new());
        reading.skim(BufReader::new(part.from(0)?))?;
        if reading.place.offset > 0 {
            return Ok(reading.place);
        }
    }
    Ok(nothing)
}

/// Reads on from `place`.
pub(super) fn read(folder: &Path, place: &Place, zone: &TimeZone) -> io::Result<Piece> {
    let mut gaps = Vec::new();
    let parts = parts(folder, &mut gaps)?;
    let mut reading = Reading::new(place.clone(), gaps);
    let mut at = None;
    if place.offset > 0 {
        for (number, part) in parts.iter().enumerate() {
            match part.before(place) {
                Ok(Some(tail)) => {
                    at = Some((number, tail));
                    break;
                }
                Ok(None) => {}
                Err(error) => reading.gaps.push(unread(&part.path, &error)),
            }
        }
        if at.is_none() {
            reading.gaps.push(format!(
                "the place in the package log is lost: it was cut, rewritten or rotated away; lines up to {} were told, and those after it are told as far as they are there",
                place.last_at
            ));
            reading.after = Some(place.last_at);
            reading.place.offset = 0;
            reading.place.tail = Digest::of(b"");
        }
    } else {
        // There was no line at all: whatever is there from then on is new.
        let second = place.last_at.unix_seconds();
        reading.after = Some(Timestamp::from_unix_seconds(second.saturating_sub(1)));
    }
    // From the file that holds the place, or from the oldest.
    let (number, mut tail) = match at {
        Some((number, tail)) => (number, Some(tail)),
        None => (parts.len().saturating_sub(1), None),
    };
    let parts = parts.get(..=number).unwrap_or_default();
    for part in parts.iter().rev() {
        let (offset, tail) = match tail.take() {
            Some(tail) => (place.offset, tail),
            None => (0, Vec::new()),
        };
        let read = part
            .from(offset)
            .and_then(|bytes| reading.lines(BufReader::new(bytes), offset, tail, zone));
        match read {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => reading.gaps.push(unread(&part.path, &error)),
        }
    }
    Ok(reading.into_piece())
}

/// What is being read.
struct Reading {
    transitions: Vec<SeenTransition>,
    place: Place,
    more: bool,
    gaps: Vec<String>,
    not_understood: usize,
    first_not_understood: Option<String>,
    /// Lines up to this time are told already.
    after: Option<Timestamp>,
}

impl Reading {
    const fn new(place: Place, gaps: Vec<String>) -> Self {
        Self {
            transitions: Vec::new(),
            place,
            more: false,
            gaps,
            not_understood: 0,
            first_not_understood: None,
            after: None,
        }
    }

    /// Reads whole lines; false when no more fit. A line without an end is still being written, and
    /// is left for the next time.
    fn lines(
        &mut self,
        mut bytes: impl BufRead,
        mut offset: u64,
        mut tail: Vec<u8>,
        zone: &TimeZone,
    ) -> io::Result<bool> {
        let mut line = Vec::new();
        while let Some(length) = next_line(&mut bytes, &mut line)? {
            if self.transitions.len() >= SEEN_MAX {
                self.more = true;
                return Ok(false);
            }
            let whole = length == line.len() as u64;
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let said = if whole {
                line::read(text, zone, self.place.last_at)
            } else {
                Line::NotUnderstood
            };
            offset = offset.saturating_add(length);
            remember(&mut tail, &line);
            self.place.offset = offset;
            self.take(said, text);
            self.place.tail = Digest::of(&tail);
        }
        Ok(true)
    }

    /// Moves to the end without telling anything.
    fn skim(&mut self, mut bytes: impl BufRead) -> io::Result<()> {
        let (mut line, mut tail) = (Vec::new(), Vec::new());
        while let Some(length) = next_line(&mut bytes, &mut line)? {
            self.place.offset = self.place.offset.saturating_add(length);
            remember(&mut tail, &line);
        }
        self.place.tail = Digest::of(&tail);
        Ok(())
    }

    fn take(&mut self, said: Line, text: &[u8]) {
        let fresh = |at: Timestamp, after: Option<Timestamp>| after.is_none_or(|after| at > after);
        match said {
            Line::Transition(seen) => {
                let at = seen.at.unwrap_or(self.place.last_at);
                if fresh(at, self.after) {
                    self.transitions.push(seen);
                    self.place.last_at = at;
                }
            }
            Line::Other(at) => {
                if fresh(at, self.after) {
                    self.place.last_at = at;
                }
            }
            Line::NotUnderstood => {
                self.not_understood += 1;
                self.first_not_understood
                    .get_or_insert_with(|| shown(&String::from_utf8_lossy(text), 100));
            }
        }
    }

    fn into_piece(mut self) -> Piece {
        if let Some(first) = &self.first_not_understood {
            self.gaps.push(format!(
                "{} lines of the package log are not understood, the first is `{first}`",
                self.not_understood
            ));
        }
        Piece {
            transitions: self.transitions,
            place: self.place,
            more: self.more,
            gaps: self.gaps,
        }
    }
}

/// Keeps the bytes by which a place is known. A line that is longer than what is kept of it is known
/// by its end.
fn remember(tail: &mut Vec<u8>, line: &[u8]) {
    tail.extend_from_slice(line);
    let over = tail.len().saturating_sub(TAIL_BYTES);
    tail.drain(..over);
}

/// The next line with its end, and its length; none when there is no whole one. Of a line that is too
/// long only the end is kept.
fn next_line(bytes: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<u64>> {
    line.clear();
    let mut length = 0_u64;
    loop {
        let part = bytes.fill_buf()?;
        if part.is_empty() {
            return Ok(None);
        }
        let (count, ended) = match part.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (part.len(), false),
        };
        line.extend_from_slice(part.get(..count).unwrap_or_default());
        bytes.consume(count);
        length = length.saturating_add(count as u64);
        if line.len() > TAIL_BYTES {
            let over = line.len() - TAIL_BYTES;
            line.drain(..over);
        }
        if ended {
            return Ok(Some(length));
        }
    }
}

#[cfg(test)]
mod tests;
