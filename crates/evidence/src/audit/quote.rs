//! Quotes the lines of the logs that an action, its record and its approval stand in: read again from
//! the file, at their place, in bounds. Says where a file is no longer what was read. Judges nothing.

use super::database::{Database, beside};
use super::frames;
use super::input;
use super::model::{Format, Place};
use super::own::OwnLog;
use super::reader::{Context, dnf};
use super::reading::Shape;
use super::report::{ActionFound, Report};
use crate::{FolderSource, LogName, Source};
use serde::Serialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _};
use std::path::{Path, PathBuf};

/// Places that are quoted at most.
const PLACES_MAX: usize = 40;
/// Lines of one place at most.
const LINES_MAX: usize = 200;
/// Bytes of one place at most, those of the line that names the columns among them.
const BYTES_MAX: usize = 16 * 1024;
/// Bytes of the line that names the columns.
const HEAD_BYTES_MAX: usize = 4 * 1024;
/// How far from its place a record is looked for.
const WINDOW: usize = 256 * 1024;

/// What is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// What was done.
    Action,
    /// The change record that it rests on.
    Record,
    /// The approval that it rests on.
    Approval,
}

/// The lines at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quote {
    /// What stands there.
    pub of: Vec<Role>,
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub place: Place,
    /// The line that names the columns, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// The lines as they stand there; hostile text.
    pub lines: Vec<String>,
    /// True where they, or the line that names the columns, go on beyond what is quoted.
    pub cut: bool,
    /// What keeps them from being what was judged, or from being quoted at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// An action with its lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explained<'r> {
    /// What was found of it.
    #[serde(flatten)]
    pub found: &'r ActionFound,
    /// The lines that it rests on.
    pub quotes: Vec<Quote>,
    /// Places beyond those that are quoted.
    pub more_places: usize,
}

/// Reads again the lines that `found` rests on. `context` and `logs` are those with which `report` was
/// made.
#[must_use]
pub fn explained<'r>(
    report: &'r Report,
    found: &'r ActionFound,
    context: &Context,
    logs: &[OwnLog<'_>],
) -> Explained<'r> {
    let record = found.change.iter().flat_map(|change| &change.places);
    let places = (found
        .action
        .places
        .iter()
        .map(|place| (Role::Action, place)))
    .chain(record.map(|place| (Role::Record, place)))
    .chain(
        found
            .approval_places
            .iter()
            .map(|place| (Role::Approval, place)),
    );
    let mut by_place: BTreeMap<Place, Vec<Role>> = BTreeMap::new();
    let mut more_places = 0;
    for (role, place) in places {
        if by_place.len() >= PLACES_MAX && !by_place.contains_key(place) {
            more_places += 1;
            continue;
        }
        let roles = by_place.entry(*place).or_default();
        if !roles.contains(&role) {
            roles.push(role);
        }
    }
    let mut files: BTreeMap<_, Vec<Quote>> = BTreeMap::new();
    for (place, of) in by_place {
        let file = report.files.get(place.file.0 as usize);
        files.entry(place.file).or_default().push(Quote {
            of,
            path: file.map_or_else(PathBuf::new, |file| file.path.clone()),
            place,
            head: None,
            lines: Vec::new(),
            cut: false,
            note: None,
        });
    }
    let mut quotes = Vec::new();
    for (number, mut of_file) in files {
        if let Some(file) = report.files.get(number.0 as usize) {
            let again = if file.rows.contains_key(&Format::Countersign) {
                own(&file.path, logs, &mut of_file)
            } else {
                let judged = Judged {
                    sha256: &file.sha256,
                    beside_sha256: beside_sha256(report, &file.path),
                };
                again(&file.path, judged, found, context, &mut of_file)
            };
            if let Err(why) = again {
                for quote in &mut of_file {
                    quote.note = Some(match quote.note.take() {
                        Some(also) => format!("{why}; {also}"),
                        None => why.clone(),
                    });
                }
            }
        }
        quotes.append(&mut of_file);
    }
    quotes.sort_by_key(|quote| (quote.of.first().copied(), quote.place));
    Explained {
        found,
        quotes,
        more_places,
    }
}

/// What a file was when it was judged.
struct Judged<'r> {
    sha256: &'r str,
    /// The same of the second file of a database, where it was among what was read, and not empty.
    beside_sha256: Option<&'r str>,
}

fn beside_sha256<'r>(report: &'r Report, path: &Path) -> Option<&'r str> {
    let beside = beside(path)?;
    let file = report.files.iter().find(|file| file.path == beside)?;
    Some(file.sha256.as_str()).filter(|_| file.bytes > 0)
}

/// Reads a file again, for the places in it.
fn again(
    path: &Path,
    judged: Judged<'_>,
    found: &ActionFound,
    context: &Context,
    quotes: &mut [Quote],
) -> Result<(), String> {
    if path.as_os_str() == "-" {
        return Err("it came by standard input, which cannot be read again".to_owned());
    }
    let failed = |error: io::Error| format!("it cannot be read again: {error}");
    // Opening what is no plain file might wait for ever.
    if !path.metadata().map_err(failed)?.is_file() {
        return Err("it is no plain file any more".to_owned());
    }
    let mut opened = input::open(path).map_err(failed)?;
    let (shape, begins) = Shape::of(&mut opened.content, context).map_err(failed)?;
    let mut beside = Ok(());
    if shape == Shape::Database {
        let now = database(&mut opened.content, path, quotes).map_err(failed)?;
        beside = unchanged_beside(judged.beside_sha256, now.as_deref());
    } else {
        let mut window = Window {
            content: &mut opened.content,
            bytes: Vec::new(),
            begins,
        };
        let head = if shape == Shape::Table {
            let beginning = window.at(begins).map_err(failed)?;
            Some(text(beginning.get(..row(beginning)).unwrap_or_default()))
        } else {
            None
        };
        for quote in quotes.iter_mut() {
            let bytes = window.at(quote.place.offset).map_err(failed)?;
            let filled = bytes.len() >= WINDOW;
            match (shape, bytes.first()) {
                (Shape::Table, _) => {
                    quote.head.clone_from(&head);
                    let blank = bytes.iter().take_while(|byte| byte.is_ascii_whitespace());
                    let bytes = bytes.get(blank.count()..).unwrap_or_default();
                    quote.take(bytes, row(bytes), filled);
                }
                (_, Some(b'{')) => {
                    let (length, certain) = object(bytes, filled);
                    quote.take(bytes, length, filled);
                    if !certain {
                        quote.cut = true;
                        quote.note = Some("where this record ends cannot be told".to_owned());
                    }
                }
                _ if of_dpkg(quote, found) => dpkg(bytes, &found.action.items, quote),
                _ => quote.take(bytes, stanza(bytes), filled),
            }
        }
    }
    let whole = opened.source.whole().map_err(failed)?;
    if whole.sha256 != judged.sha256 {
        return Err(
            "the file has changed since it was judged: this is what stands there now".to_owned(),
        );
    }
    beside
}

/// Whether the second file of a database is what it was when its rows were judged.
fn unchanged_beside(judged: Option<&str>, now: Option<&str>) -> Result<(), String> {
    let why = match (judged, now) {
        (None, None) => return Ok(()),
        (Some(judged), Some(now)) if judged == now => return Ok(()),
        (None, Some(_)) => {
            "the file -wal beside it, in which its newest rows may stand, was not among what was \
             judged, or was empty: whether it has changed since cannot be told"
        }
        (Some(_), _) => {
            "the file -wal beside it, in which its newest rows may stand, has changed since it was \
             judged: this is what stands there now"
        }
    };
    Err(why.to_owned())
}

impl Quote {
    /// Quotes so many of these bytes, in bounds. With the end of the window, the record may go on.
    fn take(&mut self, bytes: &[u8], length: usize, filled: bool) {
        let record = bytes.get(..length).unwrap_or(bytes);
        self.cut = filled && record.len() == bytes.len();
        let quoted = record.get(..BYTES_MAX).unwrap_or(record);
        self.cut |= quoted.len() < record.len();
        let mut lines = quoted.split(|byte| *byte == b'\n').map(text);
        self.lines = lines.by_ref().take(LINES_MAX).collect();
        self.cut |= lines.next().is_some();
        while self.lines.last().is_some_and(String::is_empty) {
            self.lines.pop();
        }
        self.bound();
    }

    /// Keeps no more than so many bytes of all that is quoted, as it is shown.
    fn bound(&mut self) {
        let mut left = BYTES_MAX;
        if let Some(head) = &mut self.head {
            self.cut |= shorten(head, HEAD_BYTES_MAX);
            left = left.saturating_sub(head.len());
        }
        let mut kept = 0;
        for line in &mut self.lines {
            if left == 0 {
                break;
            }
            self.cut |= shorten(line, left);
            left = left.saturating_sub(line.len() + 1);
            kept += 1;
        }
        self.cut |= kept < self.lines.len();
        self.lines.truncate(kept);
    }
}

/// Cuts a text to at most so many bytes. True where there were more.
fn shorten(text: &mut String, bytes_max: usize) -> bool {
    let longer = text.len() > bytes_max;
    if longer {
        let mut end = bytes_max;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    longer
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line)
        .trim_end_matches(['\r', '\n'])
        .to_owned()
}

/// A stream, of which a part is looked at from one place after the other.
struct Window<'c> {
    content: &'c mut dyn BufRead,
    bytes: Vec<u8>,
    /// Where in the stream they begin.
    begins: u64,
}

impl Window<'_> {
    /// What stands at this place and behind it. Places are asked for in their order.
    fn at(&mut self, offset: u64) -> io::Result<&[u8]> {
        let passed = offset.saturating_sub(self.begins);
        let kept = usize::try_from(passed).unwrap_or(usize::MAX);
        if kept <= self.bytes.len() {
            self.bytes.drain(..kept);
        } else {
            let skip = passed - self.bytes.len() as u64;
            self.bytes.clear();
            io::copy(&mut (&mut *self.content).take(skip), &mut io::sink())?;
        }
        self.begins = self.begins.max(offset);
        let wanted = WINDOW.saturating_sub(self.bytes.len()) as u64;
        let read = (&mut *self.content)
            .take(wanted)
            .read_to_end(&mut self.bytes);
        // Of a file that breaks off, what stands before it is quoted.
        match read {
            Err(error) if self.bytes.is_empty() => Err(error),
            _ => Ok(&self.bytes),
        }
    }
}

/// How long the object is with which these bytes begin, and whether that is certain. Where no end of it
/// is found, its first line: what stands behind it is other records'.
fn object(bytes: &[u8], filled: bool) -> (usize, bool) {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<IgnoredAny>();
    if let Some(Ok(_)) = values.next() {
        return (values.byte_offset(), true);
    }
    match frames::ends(bytes, !filled) {
        [Some(line), Some(brackets)] => (line.min(brackets), line == brackets),
        [Some(end), None] | [None, Some(end)] => (end, true),
        [None, None] => {
            let mut lines = bytes.split(|byte| *byte == b'\n');
            (lines.next().map_or(0, <[u8]>::len), false)
        }
    }
}

/// How long the row is with which these bytes begin.
fn row(bytes: &[u8]) -> usize {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(bytes);
    match reader.read_byte_record(&mut csv::ByteRecord::new()) {
        Ok(true) => usize::try_from(reader.position().byte()).unwrap_or(bytes.len()),
        _ => bytes.len(),
    }
}

/// How long the stanza is with which these bytes begin: to an empty line, or to where the next begins.
fn stanza(bytes: &[u8]) -> usize {
    let mut length = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if line.trim_ascii().is_empty() || (length > 0 && line.starts_with(b"Start-Date:")) {
            break;
        }
        length += line.len();
    }
    length
}

fn of_dpkg(quote: &Quote, found: &ActionFound) -> bool {
    found.action.format == Format::Dpkg && quote.of.contains(&Role::Action)
}

/// Quotes the lines of dpkg's that tell of `items`, from the first on.
fn dpkg(bytes: &[u8], items: &[String], quote: &mut Quote) {
    let told: Vec<String> = items
        .iter()
        .filter_map(|item| {
            let (package, versions) = item.split_once(" (")?;
            let (old, new) = versions.strip_suffix(')')?.split_once(", ")?;
            Some(format!(" {package} {old} {new}"))
        })
        .collect();
    let all = bytes.split(|byte| *byte == b'\n').map(text);
    let mut lines = all.filter(|line| told.iter().any(|told| line.ends_with(told.as_str())));
    quote.lines = lines.by_ref().take(told.len().min(LINES_MAX)).collect();
    quote.cut = quote.lines.len() < told.len();
    quote.bound();
}

/// Quotes rows of dnf's history, by the ids of their transactions. Returns the SHA-256 of the second
/// file that was read with it.
fn database(
    content: &mut dyn BufRead,
    path: &Path,
    quotes: &mut [Quote],
) -> io::Result<Option<String>> {
    let mut content = content;
    let database = Database::open(&mut content, path)?;
    for quote in quotes {
        let id = quote.place.line.unwrap_or_default();
        (quote.lines, quote.cut) = dnf::quoted(&database, id, LINES_MAX, BYTES_MAX)?;
        if quote.lines.is_empty() {
            quote.note = Some("the database has no such row any more".to_owned());
        }
        quote.bound();
    }
    Ok(database.beside_sha256)
}

/// Quotes entries of Countersign's own log, by their numbers.
fn own(path: &Path, logs: &[OwnLog<'_>], quotes: &mut [Quote]) -> Result<(), String> {
    let opened = logs.iter().find_map(|log| match log {
        OwnLog::Opened(of, source) if of == path => Some(*source),
        _ => None,
    });
    let exported;
    let source: &dyn Source = match opened {
        Some(source) => source,
        None => {
            exported = FolderSource::open(path).map_err(|error| error.to_string())?;
            &exported
        }
    };
    for quote in quotes {
        let entry = source.entry(
            LogName::Authorizations,
            quote.place.line.unwrap_or_default(),
        );
        match entry.map_err(|error| error.to_string())? {
            Some(bytes) => quote.take(&bytes, bytes.len(), false),
            None => quote.note = Some("the log has no such entry any more".to_owned()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::object;

    #[test]
    fn an_object_that_is_no_json_is_quoted_without_its_neighbours() {
        let neighbour = r#"{"of":"another"}"#;
        let deep = format!("{{\"a\":{}1{},}}", "[".repeat(5_000), "]".repeat(5_000));
        // By its brackets, as a line, and up to the end of its line.
        for (broken, certain) in [
            (r#"{"a":tru,"b":{}}"#, true),
            ("{\"a\":\n tru}", true),
            (r#"{"a":[1}"#, true),
            (r#"{"a":"open}"#, true),
            (r#"{"a":"open"#, false),
            (deep.as_str(), true),
        ] {
            let bytes = format!("{broken}\n{neighbour}\n{neighbour}\n");
            let whole = (broken.len(), certain);
            assert_eq!(object(bytes.as_bytes(), false), whole, "{broken:.40}");
        }
        let listed = format!("{{\"a\":tru}},{neighbour}]");
        assert_eq!(object(listed.as_bytes(), false), (9, true));
        // What goes on beyond the window is all of this record.
        let long = format!("{{\"a\":tru,\n\"b\":\"{}", "x".repeat(1_000));
        assert_eq!(object(long.as_bytes(), true), (long.len(), true));
        // And what is JSON is what a parser says.
        assert_eq!(object(neighbour.as_bytes(), false), (neighbour.len(), true));
    }
}
