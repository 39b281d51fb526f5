//! Reads all files, on as many threads as it is given: each thread takes a file, and once none is left
//! helps with those that others read. Of a file of JSON records, whoever is free cuts the next batch
//! out and reads it, or hashes what was read of it; tables and lines are read by one. Memory is bounded
//! by threads, not by files.

mod records;
mod shape;

use super::collect::{FileRead, Part, Progress, TRANSITION_BYTES};
use super::database::Database;
use super::input::{self, Shared};
use super::model::{FileNumber, Format, Place, Row};
use super::reader::lines::LineReader;
use super::reader::{Context, JsonReader, Record, Taken, dnf, mapped, servicenow};
use super::tables::{Table, columns};
use memchr::memchr;
use records::{Batch, Records};
pub(super) use shape::Shape;
use std::io::{self, BufRead};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The longest line that is looked at, in bytes.
const LINE_BYTES_MAX: usize = 1024 * 1024;
/// How often progress is told.
const TICK: Duration = Duration::from_millis(100);

/// Reads `files` on so many threads. `progress` is called on this one, a few times a second.
pub(crate) fn read(
    files: &[PathBuf],
    context: &Context,
    readers: &[&dyn JsonReader],
    threads: usize,
    progress: &mut dyn FnMut(Progress),
) -> (Part, Vec<FileRead>) {
    let work = Work::new(files, context, readers);
    let parts = std::thread::scope(|scope| {
        let (told, tells) = mpsc::channel::<()>();
        let threads: Vec<_> = (0..threads.max(1))
            .map(|_| {
                let (work, told) = (&work, told.clone());
                scope.spawn(move || {
                    let _told = told;
                    Reading::new(work).run()
                })
            })
            .collect();
        drop(told);
        while tells.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            progress(work.progress());
        }
        let mut parts = Part::default();
        for thread in threads {
            match thread.join() {
                Ok(part) => parts = parts.and(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        parts
    });
    progress(work.progress());
    let state = work.state.into_inner();
    let mut files = state.unwrap_or_else(PoisonError::into_inner).files;
    files.sort_by_key(|(number, _)| *number);
    (parts, files.into_iter().map(|(_, file)| file).collect())
}

/// What all threads share.
struct Work<'a> {
    files: &'a [PathBuf],
    context: &'a Context,
    readers: &'a [&'a dyn JsonReader],
    state: Mutex<State>,
    /// A file was opened.
    changed: Condvar,
    /// Bytes that were read, expanded.
    bytes: AtomicU64,
    /// Nanoseconds.
    hashing: AtomicU64,
    /// About how many bytes all threads keep.
    kept: AtomicU64,
    finished: AtomicUsize,
}

#[derive(Default)]
struct State {
    /// The next file that nobody has taken.
    next: usize,
    /// Files that somebody has taken, and of which it is not known yet whether others can help.
    opening: usize,
    /// Files with which others can help.
    open: Vec<Arc<Records>>,
    files: Vec<(FileNumber, FileRead)>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Work<'a> {
    /// Nothing of these files has been read.
    fn new(files: &'a [PathBuf], context: &'a Context, readers: &'a [&'a dyn JsonReader]) -> Self {
        Self {
            files,
            context,
            readers,
            state: Mutex::default(),
            changed: Condvar::new(),
            bytes: AtomicU64::new(0),
            hashing: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            finished: AtomicUsize::new(0),
        }
    }

    fn progress(&self) -> Progress {
        Progress {
            files: self.finished.load(Ordering::Relaxed),
            files_all: self.files.len(),
            bytes: self.bytes.load(Ordering::Relaxed),
            hashing: Duration::from_nanos(self.hashing.load(Ordering::Relaxed)),
        }
    }

    /// A file was read to its end, or as far as can be.
    fn finished(&self, number: FileNumber, mut file: FileRead, source: Shared) {
        match source.whole() {
            Ok(whole) => {
                file.bytes = whole.bytes;
                file.sha256 = whole.sha256;
                let nanos = u64::try_from(whole.hashing.as_nanos()).unwrap_or(u64::MAX);
                self.hashing.fetch_add(nanos, Ordering::Relaxed);
            }
            Err(error) => file.broken = Some(error.to_string()),
        }
        self.closed(number, file);
    }

    fn closed(&self, number: FileNumber, file: FileRead) {
        self.finished.fetch_add(1, Ordering::Relaxed);
        locked(&self.state).files.push((number, file));
    }

    /// True where more is kept than shall be: then nothing is judged, and nothing more is kept.
    fn is_full(&self) -> bool {
        self.kept.load(Ordering::Relaxed) > self.context.memory
    }

    fn passed(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// A file that a thread has taken and is about to open. However that ends, in a panic too, the others
/// wait no longer.
struct Opening<'a> {
    work: &'a Work<'a>,
    /// With what others can help.
    records: Option<Arc<Records>>,
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        let mut state = locked(&self.work.state);
        state.opening -= 1;
        state.open.extend(self.records.take());
        self.work.changed.notify_all();
    }
}

/// What a thread does next.
enum Turn {
    /// A file that nobody has taken.
    File(usize),
    /// Help with a file of somebody else's.
    Help(Arc<Records>),
}

/// One thread's reading.
struct Reading<'a> {
    work: &'a Work<'a>,
    part: Part,
    rows: Vec<Row>,
    /// The reader that took the last record: the next is most often of the same format.
    last: usize,
    batch: Batch,
}

impl<'a> Reading<'a> {
    fn new(work: &'a Work<'a>) -> Self {
        Self {
            work,
            part: Part::default(),
            rows: Vec::new(),
            last: 0,
            batch: Batch::default(),
        }
    }

    fn run(mut self) -> Part {
        while let Some(turn) = self.turn() {
            match turn {
                Turn::Help(records) => {
                    records.is_helped();
                    self.records(&records);
                }
                Turn::File(at) => {
                    let number = FileNumber(u32::try_from(at).unwrap_or(u32::MAX));
                    if let Some(path) = self.work.files.get(at) {
                        self.file(number, path);
                    }
                }
            }
        }
        self.part
    }

    fn turn(&self) -> Option<Turn> {
        let mut state = locked(&self.work.state);
        loop {
            if self.work.is_full() {
                return None;
            }
            if state.next < self.work.files.len() {
                state.next += 1;
                state.opening += 1;
                return Some(Turn::File(state.next - 1));
            }
            if let Some(records) = state.open.last() {
                return Some(Turn::Help(Arc::clone(records)));
            }
            if state.opening == 0 {
                return None;
            }
            state = self
                .work
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Reads a file. What cannot be read of it is told in its entry.
    fn file(&mut self, number: FileNumber, path: &Path) {
        let mut opening = Opening {
            work: self.work,
            records: None,
        };
        let mut file = FileRead::new(path.to_owned());
        let work_context = self.work.context;
        let opened = input::open(path).and_then(|mut opened| {
            let shape = Shape::of(&mut opened.content, work_context)?;
            Ok((opened, shape))
        });
        let (mut opened, (shape, offset)) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                file.broken = Some(error.to_string());
                return self.work.closed(number, file);
            }
        };
        file.compression = opened.compression;
        let read = match shape {
            Shape::Records => {
                let records = Records::new(number, opened.content, offset, file, opened.source);
                let records = Arc::new(records);
                opening.records = Some(Arc::clone(&records));
                drop(opening);
                return self.records(&records);
            }
            Shape::Table => {
                drop(opening);
                self.table(&mut opened.content, offset, number)
            }
            Shape::Database => {
                drop(opening);
                self.database(&mut opened.content, number, path)
            }
            Shape::Beside => {
                drop(opening);
                self.part.count(number, Format::Dnf, None);
                Ok(())
            }
            Shape::Lines => {
                drop(opening);
                let head = opened.content.fill_buf().map(columns).unwrap_or_default();
                if let Some(lacking) = mapped::lacks(&head, work_context) {
                    let line = Some(1);
                    let file = number;
                    self.part.unmapped(Place { file, offset, line }, lacking);
                }
                self.lines(&mut opened.content, offset, number)
            }
        };
        if let Err(error) = read {
            file.broken = Some(error.to_string());
        }
        self.work.finished(number, file, opened.source);
    }

    /// Reads the records of a file that nobody has read yet, until there is none.
    fn records(&mut self, records: &Arc<Records>) {
        let work = self.work;
        while records.each(work, |place, cut| self.cut(place, cut)) {}
        let mut batch = std::mem::take(&mut self.batch);
        while records.cut(&mut batch, work) {
            for (place, cut) in &batch.cuts {
                let bytes = |range: &Range<usize>| batch.bytes.get(range.clone());
                let cut = cut.as_ref().map(|range| bytes(range).unwrap_or_default());
                self.cut(*place, cut.map_err(|why| *why));
            }
        }
        self.batch = batch;
        let mut state = locked(&work.state);
        state.open.retain(|other| !Arc::ptr_eq(other, records));
    }

    fn cut(&mut self, place: Place, cut: Result<&[u8], &'static str>) {
        match cut {
            Ok(bytes) => self.record(Record { bytes, place }),
            Err(why) => self.part.unreadable(place, why),
        }
    }

    /// Keeps what a reader found, while there is room.
    fn keep(&mut self, format: Format) {
        if self.rows.is_empty() {
            return;
        }
        if self.work.is_full() {
            return self.rows.clear();
        }
        let before = self.part.kept;
        self.part.keep(format, &mut self.rows);
        self.took(self.part.kept - before);
    }

    fn took(&self, bytes: u64) {
        if bytes > 0 {
            self.work.kept.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Hands a JSON record to the reader that knows it.
    fn record(&mut self, record: Record<'_>) {
        match mapped::from_json(record, self.work.context, &mut self.rows) {
            Taken::NotMine => {}
            Taken::Unreadable(why) => {
                self.rows.clear();
                return self.part.refused(record.place, why);
            }
            Taken::Read(at) => {
                self.keep(Format::Mapped);
                return self
                    .part
                    .count(record.place.file, Format::Mapped, at.as_ref());
            }
        }
        let readers = self.work.readers;
        for turn in 0..readers.len() {
            let at = (self.last + turn) % readers.len();
            let Some(reader) = readers.get(at) else {
                continue;
            };
            match reader.take(record, self.work.context, &mut self.rows) {
                Taken::NotMine => {}
                Taken::Unreadable(why) => {
                    self.rows.clear();
                    return self.part.refused(record.place, why);
                }
                Taken::Read(time) => {
                    self.last = at;
                    let format = reader.format();
                    self.keep(format);
                    return self.part.count(record.place.file, format, time.as_ref());
                }
            }
        }
        if let Some(lacking) = mapped::lacks_json(record, self.work.context) {
            self.part.unmapped(record.place, lacking);
        }
        self.part.unrecognised(record.place.file);
    }

    fn database(
        &mut self,
        content: &mut dyn BufRead,
        number: FileNumber,
        path: &Path,
    ) -> io::Result<()> {
        let database = Database::open(&mut &mut *content, path)?;
        let told = dnf::read(&database, number, self.work.context, &mut self.rows);
        // What was read before it broke off counts.
        self.keep(Format::Dnf);
        for (place, told) in told?.unwrap_or_default() {
            match told {
                Ok(at) => self.part.count(number, Format::Dnf, Some(&at)),
                Err(why) => self.part.refused(place, why),
            }
        }
        Ok(())
    }

    fn table(
        &mut self,
        content: &mut dyn BufRead,
        offset: u64,
        number: FileNumber,
    ) -> io::Result<()> {
        let mut table = Table::new(content)?;
        let mut told = 0;
        while let Some(row) = table.next()? {
            let place = Place {
                file: number,
                offset: offset + row.offset,
                line: Some(row.line),
            };
            self.work.passed(row.offset.saturating_sub(told));
            told = row.offset;
            let Some(cells) = row.cells else {
                self.part.unreadable(place, "not UTF-8");
                continue;
            };
            let context = self.work.context;
            let mut format = Format::Mapped;
            let mut taken = mapped::from_csv_row(&cells, place, context, &mut self.rows);
            if taken == Taken::NotMine {
                format = Format::ServiceNow;
                taken = servicenow::from_csv_row(&cells, place, context, &mut self.rows);
            }
            match taken {
                Taken::NotMine => {
                    let columns: Vec<_> = cells.iter().map(|(name, _)| (*name).into()).collect();
                    if let Some(lacking) = mapped::lacks(&columns, context) {
                        self.part.unmapped(place, lacking);
                    }
                    self.part.unrecognised(number);
                }
                Taken::Unreadable(why) => {
                    self.rows.clear();
                    self.part.refused(place, why);
                }
                Taken::Read(at) => {
                    self.keep(format);
                    self.part.count(number, format, at.as_ref());
                }
            }
        }
        Ok(())
    }

    fn lines(
        &mut self,
        content: &mut dyn BufRead,
        mut offset: u64,
        number: FileNumber,
    ) -> io::Result<()> {
        let mut reader = LineReader::default();
        let mut line = Vec::new();
        let mut count = 0;
        let mut failed = None;
        // What was read before it broke off counts.
        while failed.is_none() {
            line.clear();
            let length;
            (length, failed) = bounded_line(content, &mut line);
            if length == 0 {
                break;
            }
            count += 1;
            self.work.passed(length);
            let place = Place {
                file: number,
                offset,
                line: Some(count),
            };
            offset += length;
            if length > LINE_BYTES_MAX as u64 {
                self.part
                    .unreadable(place, "a line of more than a megabyte");
                continue;
            }
            while line
                .last()
                .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
            {
                line.pop();
            }
            if line.first() == Some(&b'{') {
                self.record(Record {
                    bytes: &line,
                    place,
                });
                continue;
            }
            let Ok(text) = std::str::from_utf8(&line) else {
                self.part.unreadable(place, "not UTF-8");
                continue;
            };
            let transitions = self.part.transitions.all.len();
            let (format, taken) = reader.line(
                text,
                place,
                self.work.context,
                &mut self.rows,
                &mut self.part.transitions.all,
            );
            if self.work.is_full() {
                self.part.transitions.all.truncate(transitions);
            } else if self.part.transitions.all.len() > transitions {
                self.part.kept += TRANSITION_BYTES;
                self.took(TRANSITION_BYTES);
            }
            self.keep(Format::AptHistory);
            match (format, taken) {
                (Some(format), Taken::Read(at)) => {
                    if let (Format::Dpkg, Some(at)) = (format, &at) {
                        self.part.transitions.cover(number, at);
                    }
                    self.part.count(number, format, at.as_ref());
                }
                (_, Taken::Unreadable(why)) => self.part.refused(place, why),
                (None, Taken::Read(_)) => {}
                (_, Taken::NotMine) => self.part.unrecognised(number),
            }
        }
        reader.end(self.work.context, &mut self.rows);
        self.keep(Format::AptHistory);
        failed.map_or(Ok(()), Err)
    }
}

/// Reads a line with its end, or what there is of it and why there is no more. Of a line that is too long,
/// its length counts and its bytes are gone.
fn bounded_line(content: &mut dyn BufRead, line: &mut Vec<u8>) -> (u64, Option<io::Error>) {
    let mut length = 0;
    loop {
        let buffer = match content.fill_buf() {
            Ok([]) => return (length, None),
            Ok(buffer) => buffer,
            Err(error) => return (length, Some(error)),
        };
        let end = memchr(b'\n', buffer);
        let taken = end.map_or(buffer.len(), |end| end + 1);
        if line.len() + taken <= LINE_BYTES_MAX {
            line.extend_from_slice(buffer.get(..taken).unwrap_or_default());
        }
        content.consume(taken);
        length += taken as u64;
        if end.is_some() {
            return (length, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_panic_while_a_file_is_opened_leaves_nobody_waiting() {
        let context = Context::new(Some("UTC"), "host").unwrap();
        let files = [PathBuf::from("log")];
        let work = Work::new(&files, &context, &[]);
        let reading = Reading::new(&work);
        assert!(matches!(reading.turn(), Some(Turn::File(0))));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _opening = Opening {
                work: &work,
                records: None,
            };
            panic!("a decoder's mistake");
        }));
        assert!(panicked.is_err());
        assert!(reading.turn().is_none());
    }
}
