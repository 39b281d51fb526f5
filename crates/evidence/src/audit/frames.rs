//! Cuts a stream into JSON objects by structure alone (strings, escapes, depth), so that one record
//! at a time is looked at: JSON lines, values one after the other, arrays, and the wrappers in which
//! known services send lists. Memory is bounded by the longest record that is let through. What is
//! broken is told once, and reading goes on at the next record that can be found. Parses nothing.

mod scan;
mod wrapper;

use super::pages::{PAGES_MAX, Page};
use super::structure::{Line, line};
use memchr::{memchr, memchr_iter};
use scan::{Scan, Step};
use std::io::{ErrorKind, Read};
use wrapper::Head;

/// The longest record that is let through, unless the caller says otherwise.
pub(crate) const RECORD_BYTES_MAX: usize = 16 << 20;
/// How far into an object is looked for the list that it wraps, and for the end of a line.
const LOOK_BYTES_MAX: usize = 64 << 10;
/// How much is read at once.
const READ_BYTES: usize = 128 << 10;

/// What was cut out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// An object, from brace to brace.
    Object {
        /// Its bytes.
        bytes: &'a [u8],
        /// Where it begins in the stream.
        offset: u64,
        /// On which line, counted from 1.
        line: u64,
    },
    /// Something that is no object, or none that ends.
    Broken {
        /// Where it begins in the stream.
        offset: u64,
        /// On which line, counted from 1.
        line: u64,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// Where the cutter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between records, outside any wrapper. Brackets and commas are passed over.
    Between,
    /// Between the records of a wrapper's list, this many arrays deep in it.
    List(u32),
    /// Behind a wrapper's list, before its closing brace.
    Tail(Scan),
    /// In a record.
    Record(Scan),
    /// In a record that has been told broken, and whose end is not known yet.
    Skip(Scan),
    /// The depth is lost: on to a line that begins with a brace.
    Lost,
}

/// What a step came to.
enum Cut {
    /// An object of so many bytes, from the mark.
    Object(usize),
    /// The same; it fills a line, and the next byte begins another one.
    Line(usize),
    /// What begins at the mark is broken.
    Broken(&'static str),
    /// Nothing to tell yet.
    Nothing,
    /// More bytes are needed.
    More,
}

/// Cuts a stream into frames.
pub(crate) struct Frames<R> {
    input: R,
    /// What was read and not dropped yet.
    buffer: Vec<u8>,
    /// How much of the buffer holds bytes.
    filled: usize,
    /// Where in the buffer the record begins that is being read.
    mark: usize,
    /// How far the buffer was looked at.
    at: usize,
    /// How many bytes were dropped before the buffer.
    dropped: u64,
    /// The line of `counted`.
    line: u64,
    /// How far lines were counted, in the buffer.
    counted: usize,
    record_bytes_max: usize,
    state: State,
    /// What is around the record that is being read.
    around: State,
    /// With what the last object began that wraps no list: others that do wrap none either.
    plain: Vec<u8>,
    /// Of lists that have several.
    pages: Vec<Page>,
    /// A line has ended since the last record.
    lines: bool,
    /// Within something that is no JSON, which was told.
    garbage: bool,
    /// Nothing but white space or a separator stands before, so that a brace begins a record.
    ready: bool,
    ended: bool,
    /// Why the stream ends where it does, where that is not its end.
    failed: Option<std::io::Error>,
}

impl<R: Read> Frames<R> {
    /// Over a stream, letting through objects of at most so many bytes.
    pub(crate) fn new(input: R, record_bytes_max: usize) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            filled: 0,
            mark: 0,
            at: 0,
            dropped: 0,
            line: 1,
            counted: 0,
            record_bytes_max,
            state: State::Between,
            around: State::Between,
            plain: Vec::new(),
            pages: Vec::new(),
            lines: true,
            garbage: false,
            ready: true,
            ended: false,
            failed: None,
        }
    }

    /// The next frame; none at the end.
    ///
    /// # Errors
    ///
    /// Where the stream cannot be read on: once, behind all that was read before.
    pub(crate) fn next(&mut self) -> std::io::Result<Option<Frame<'_>>> {
        loop {
            let cut = match self.state {
                State::Between => self.between(),
                State::List(depth) => self.list(depth),
                State::Tail(scan) => self.tail(scan),
                State::Record(scan) => self.record(scan),
                State::Skip(scan) => self.skip(scan),
                State::Lost => self.lost(),
            };
            match cut {
                Cut::Nothing => {}
                Cut::Object(length) | Cut::Line(length) => {
                    let (offset, line) = self.place();
                    if let Cut::Line(_) = cut {
                        (self.line, self.counted) = (line + 1, self.at);
                    }
                    let bytes = self
                        .buffer
                        .get(self.mark..self.mark + length)
                        .unwrap_or_default();
                    return Ok(Some(Frame::Object {
                        bytes,
                        offset,
                        line,
                    }));
                }
                Cut::Broken(why) => {
                    let (offset, line) = self.place();
                    return Ok(Some(Frame::Broken { offset, line, why }));
                }
                Cut::More if self.ended => return self.end(),
                // What was read may hold whole records still.
                Cut::More => {
                    self.failed = self.fill().err();
                    self.ended |= self.failed.is_some();
                }
            }
        }
    }

    /// The pages that were begun, of lists that have several.
    pub(crate) fn pages(&mut self) -> Vec<Page> {
        std::mem::take(&mut self.pages)
    }

    /// How many bytes of the stream were passed.
    pub(crate) fn position(&self) -> u64 {
        self.dropped + self.at as u64
    }

    /// What is told of a stream that ends where it is.
    fn end(&mut self) -> std::io::Result<Option<Frame<'_>>> {
        let state = std::mem::replace(&mut self.state, State::Lost);
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let why = match state {
            State::Between | State::Skip(_) | State::Lost => return Ok(None),
            State::Record(_) => "the stream ends within a record",
            State::List(_) | State::Tail(_) => "the stream ends within a list",
        };
        let (offset, line) = self.place();
        Ok(Some(Frame::Broken { offset, line, why }))
    }

    /// Offset and line of the mark.
    fn place(&mut self) -> (u64, u64) {
        let passed = self.buffer.get(self.counted..self.mark).unwrap_or_default();
        self.line += memchr_iter(b'\n', passed).count() as u64;
        self.counted = self.counted.max(self.mark);
        (self.dropped + self.mark as u64, self.line)
    }

    /// Reads on; drops what lies before the mark.
    fn fill(&mut self) -> std::io::Result<()> {
        if self.mark > 0 {
            self.place();
            self.buffer.copy_within(self.mark..self.filled, 0);
            self.dropped += self.mark as u64;
            self.filled -= self.mark;
            self.at -= self.mark;
            self.counted -= self.mark;
            self.mark = 0;
        }
        let wanted = self.filled + READ_BYTES;
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        loop {
            let free = self.buffer.get_mut(self.filled..).unwrap_or_default();
            match self.input.read(free) {
                Ok(0) => self.ended = true,
                Ok(count) => self.filled = (self.filled + count).min(self.buffer.len()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            return Ok(());
        }
    }

    /// What was read and not looked at.
    fn rest(&self) -> &[u8] {
        self.buffer.get(self.at..self.filled).unwrap_or_default()
    }

    /// Passes over so many bytes that belong to no record.
    fn pass(&mut self, count: usize) {
        self.at += count;
        self.mark = self.at;
    }

    fn between(&mut self) -> Cut {
        self.mark = self.at;
        let rest = self.rest();
        let Some(&byte) = rest.first() else {
            return Cut::More;
        };
        match byte {
            b'{' if self.ready => return self.object(),
            b'\n' => (self.ready, self.lines) = (true, true),
            b',' | b'[' | b']' => self.ready = true,
            b' ' | b'\t' | b'\r' => {}
            // A byte order mark is no part of the text.
            0xEF if self.dropped == 0 && self.at == 0 => match rest.get(..3) {
                Some([0xEF, 0xBB, 0xBF]) => {
                    self.pass(3);
                    return Cut::Nothing;
                }
                None if !self.ended => return Cut::More,
                _ => return self.garbage(),
            },
            _ => return self.garbage(),
        }
        self.pass(1);
        Cut::Nothing
    }

    /// Something that is no JSON object: told once for all of it up to the next record.
    fn garbage(&mut self) -> Cut {
        let told = self.garbage;
        self.garbage = true;
        let ready = std::mem::take(&mut self.ready);
        let rest = self.rest();
        let look = rest.get(..LOOK_BYTES_MAX).unwrap_or(rest);
        // A text among an array's elements may hold anything, but for the end of a line.
        let length = match look.split_first() {
            Some((b'"', text)) if ready => match scan::text(text) {
                scan::Text::Ends(length) | scan::Text::Line(length) => length + 1,
                scan::Text::Open(_) if look.len() == LOOK_BYTES_MAX || self.ended => look.len(),
                scan::Text::Open(_) => {
                    (self.garbage, self.ready) = (told, ready);
                    return Cut::More;
                }
            },
            _ => rest
                .iter()
                .position(|byte| matches!(byte, b'\n' | b',' | b'[' | b']'))
                .unwrap_or(rest.len()),
        };
        self.mark = self.at;
        self.at += length;
        if told {
            self.mark = self.at;
            Cut::Nothing
        } else {
            Cut::Broken("no JSON object")
        }
    }

    /// At the brace of an object outside any wrapper: one of a line, a wrapper, or a record.
    fn object(&mut self) -> Cut {
        self.mark = self.at;
        let rest = self.rest();
        let look = rest.get(..LOOK_BYTES_MAX).unwrap_or(rest);
        let whole = look.len() == LOOK_BYTES_MAX || self.ended;
        if self.plain.is_empty() || !look.starts_with(&self.plain) {
            match wrapper::head(look) {
                Head::List(length) => {
                    let page = look.get(..length).and_then(Page::of);
                    if self.pages.len() < PAGES_MAX {
                        self.pages.extend(page);
                    }
                    self.pass(length);
                    self.state = State::List(1);
                    return Cut::Nothing;
                }
                Head::Open if !whole => return Cut::More,
                Head::Open => {}
                Head::Plain(length) => {
                    let told_by = look.get(..length).unwrap_or_default();
                    self.plain = told_by.to_owned();
                }
            }
        }
        let rest = self.rest();
        let look = rest.get(..LOOK_BYTES_MAX).unwrap_or(rest);
        if self.lines {
            match line(look) {
                None if !whole => return Cut::More,
                Some(line) if line.end + 1 == look.len() && !whole => return Cut::More,
                Some(line) => {
                    if let Some(length) = single(look, line) {
                        self.at += line.end + 1;
                        self.garbage = false;
                        return Cut::Line(length);
                    }
                }
                None => {}
            }
        }
        self.begin(State::Between);
        Cut::Nothing
    }

    /// Begins a record at the brace that is next.
    fn begin(&mut self, around: State) {
        self.mark = self.at;
        self.around = around;
        self.garbage = false;
        self.state = State::Record(Scan::default());
    }

    /// Goes on behind a record, where another may begin.
    fn resume(&mut self, state: State) {
        (self.state, self.ready, self.lines) = (state, true, false);
    }

    fn record(&mut self, mut scan: Scan) -> Cut {
        let step = scan.run(self.buffer.get(..self.filled).unwrap_or_default(), self.at);
        let (Step::End(at) | Step::Next(at) | Step::Lost(at) | Step::More(at)) = step;
        self.at = at;
        let length = at - self.mark;
        let long = length > self.record_bytes_max;
        match step {
            Step::End(_) => {
                self.resume(self.around);
                if long {
                    return Cut::Broken(TOO_LONG);
                }
                Cut::Object(length)
            }
            Step::Lost(_) => {
                self.state = State::Lost;
                Cut::Broken(if long { TOO_LONG } else { UNBALANCED })
            }
            Step::Next(_) => {
                self.resume(State::Between);
                self.lines = true;
                Cut::Broken(if long { TOO_LONG } else { UNBALANCED })
            }
            Step::More(_) if long => {
                self.state = State::Skip(scan);
                Cut::Broken(TOO_LONG)
            }
            Step::More(_) => {
                self.state = State::Record(scan);
                Cut::More
            }
        }
    }

    fn skip(&mut self, mut scan: Scan) -> Cut {
        let step = scan.run(self.buffer.get(..self.filled).unwrap_or_default(), self.at);
        let (Step::End(at) | Step::Next(at) | Step::Lost(at) | Step::More(at)) = step;
        (self.at, self.mark) = (at, at);
        match step {
            Step::End(_) => {
                self.resume(self.around);
                Cut::Nothing
            }
            Step::Lost(_) => {
                self.state = State::Lost;
                Cut::Nothing
            }
            Step::Next(_) => {
                self.resume(State::Between);
                self.lines = true;
                Cut::Nothing
            }
            Step::More(_) => {
                self.state = State::Skip(scan);
                Cut::More
            }
        }
    }

    fn lost(&mut self) -> Cut {
        let rest = self.rest();
        match memchr(b'\n', rest) {
            None => {
                let count = rest.len();
                self.pass(count);
                Cut::More
            }
            Some(end) => match rest.get(end + 1) {
                None if !self.ended => {
                    self.pass(end);
                    Cut::More
                }
                Some(b'{') => {
                    self.pass(end + 1);
                    self.resume(State::Between);
                    self.lines = true;
                    Cut::Nothing
                }
                _ => {
                    self.pass(end + 1);
                    Cut::Nothing
                }
            },
        }
    }

    fn list(&mut self, depth: u32) -> Cut {
        self.mark = self.at;
        let Some(&byte) = self.rest().first() else {
            return Cut::More;
        };
        match byte {
            b'{' => {
                self.begin(State::List(depth));
                return Cut::Nothing;
            }
            b']' if depth <= 1 => self.state = State::Tail(Scan::inside()),
            b']' => self.state = State::List(depth - 1),
            b'[' => self.state = State::List(depth.saturating_add(1)),
            b',' | b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => {
                // What stands here is no record, and how deep it goes is not known.
                self.state = State::Lost;
                return Cut::Broken("no JSON object in a list");
            }
        }
        self.pass(1);
        Cut::Nothing
    }

    fn tail(&mut self, mut scan: Scan) -> Cut {
        let step = scan.run(self.buffer.get(..self.filled).unwrap_or_default(), self.at);
        let (Step::End(at) | Step::Next(at) | Step::Lost(at) | Step::More(at)) = step;
        (self.at, self.mark) = (at, at);
        match step {
            Step::End(_) => {
                self.resume(State::Between);
                Cut::Nothing
            }
            Step::Lost(_) => {
                self.state = State::Lost;
                Cut::Broken(UNBALANCED)
            }
            Step::Next(_) => {
                self.resume(State::Between);
                self.lines = true;
                Cut::Broken(UNBALANCED)
            }
            Step::More(_) => {
                self.state = State::Tail(scan);
                Cut::More
            }
        }
    }
}

/// Why a record is not let through.
const TOO_LONG: &str = "longer than records may be";
/// Why a record has no end.
const UNBALANCED: &str = "its brackets and quotes do not balance";

/// Where the object ends with which these bytes begin, as streams of them are cut, though it be no JSON:
/// as what fills a line, and by its brackets. All of them where it goes on and they are not `whole`.
pub(crate) fn ends(bytes: &[u8], whole: bool) -> [Option<usize>; 2] {
    let look = bytes.get(..LOOK_BYTES_MAX).unwrap_or(bytes);
    let by_brackets = match Scan::default().run(bytes, 0) {
        Step::End(end) => Some(end),
        Step::More(_) if !whole => Some(bytes.len()),
        Step::More(_) | Step::Next(_) | Step::Lost(_) => None,
    };
    [line(look).and_then(|line| single(look, line)), by_brackets]
}

/// How long the object seems to be that fills a line: the line ends with a brace, the next
/// one begins with one, and no brace is followed by white space or another brace. An object that
/// went on behind such a line would go on with a comma or a closing bracket. What is broken within
/// the line is for whoever parses it to find.
fn single(bytes: &[u8], line: Line) -> Option<usize> {
    let text = bytes.get(..line.end)?;
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let alone = text.last() == Some(&b'}') && bytes.get(line.end + 1) == Some(&b'{');
    (alone && line.dense).then_some(text.len())
}

#[cfg(test)]
mod tests;
