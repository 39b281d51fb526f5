//! Proposes a mapping from a sample of records: which column or path is which field, told by its name
//! and by whether what stands in it can be that. What cannot be told is left to whoever reads the
//! proposal, as a comment with the columns that it could be.

mod names;

use super::frames::{Frame, Frames, RECORD_BYTES_MAX};
use super::input;
use super::mapping::Mapping;
use super::tables::Table;
use countersign_domain::text::shown;
use jiff::tz::TimeZone;
use names::{ACTION, CHANGE, DECISION, Holds, Likely, OUTCOMES};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, BufRead as _};
use std::path::Path;

/// Records of the sample that are looked at.
const RECORDS_MAX: usize = 500;
/// Columns that are looked at.
const COLUMNS_MAX: usize = 500;
/// How deep paths go.
const DEPTH_MAX: usize = 4;
/// Different values of a column that are shown.
const VALUES_SHOWN: usize = 8;
/// The longest example that is shown, in characters.
const EXAMPLE_CHARS: usize = 50;

/// Times, as they are tried.
const TIMES: [&str; 11] = [
    "rfc3339",
    "epoch",
    "epoch-ms",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M:%S",
    "%d.%m.%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
];

/// What a proposal came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// The mapping, in TOML, with comments.
    pub toml: String,
    /// What must be filled in before it can be used; empty where it can be as it is.
    pub missing: Vec<String>,
}

/// Why nothing can be proposed.
#[derive(Debug, thiserror::Error)]
pub enum ProposalError {
    /// The sample cannot be read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// There are no records in it.
    #[error("it holds no records; hint: a CSV file with a head, or JSON objects")]
    Nothing,
}

/// A column or path, and what stands in it.
struct Column {
    name: String,
    values: Vec<String>,
}

/// Proposes a mapping from the first records of a file.
///
/// # Errors
/// [`ProposalError`] where it cannot be read, or holds no records.
pub fn propose(file: &Path) -> Result<Proposal, ProposalError> {
    let (columns, records) = sample(file)?;
    if columns.is_empty() || records == 0 {
        return Err(ProposalError::Nothing);
    }
    let (kind, fields) = kind(&columns);
    let chosen: Vec<Option<&Column>> = fields
        .iter()
        .map(|likely| find(likely.names, &columns))
        .collect();
    let times: Vec<&Column> = fields
        .iter()
        .zip(&chosen)
        .filter(|(likely, _)| likely.holds == Holds::Time)
        .filter_map(|(_, column)| *column)
        .collect();
    let written = written(times.first().copied());
    let mut out = format!(
        "# Proposed from {} and {}: read it before you use it.\n# What begins with `#` could not be \
         told.\n\nkind = \"{kind}\"\n",
        count(records, "record"),
        count(columns.len(), "column")
    );
    let mut missing = Vec::new();
    match written.as_slice() {
        [one] => {
            let _ = writeln!(out, "time = {}", quoted(one));
        }
        [] if times.is_empty() => {}
        several => {
            let _ = writeln!(out, "# time = {}", several.join("   or   "));
            missing.push("`time`: how times are written".to_owned());
        }
    }
    out.push_str("\n[fields]\n");
    for (likely, column) in fields.iter().zip(&chosen) {
        let fits = |column: &&&Column| {
            likely.holds == Holds::Text
                || written.len() != 1
                || written.iter().all(|time| is_time(time, column))
        };
        match column.as_ref().filter(fits) {
            Some(column) => {
                let example = column.values.iter().find(|value| !value.is_empty());
                let example = shown(example.map_or("", String::as_str), EXAMPLE_CHARS);
                let _ = writeln!(
                    out,
                    "{} = {}  # such as: {example}",
                    likely.field,
                    quoted(&column.name)
                );
            }
            None => {
                let _ = writeln!(out, "# {} = \"COLUMN\"", likely.field);
                if likely.required {
                    missing.push(format!("`{}` under [fields]", likely.field));
                }
            }
        }
    }
    marks(kind, &columns, fields, &chosen, &mut out, &mut missing);
    let used: BTreeSet<&str> = chosen
        .iter()
        .flatten()
        .map(|one| one.name.as_str())
        .collect();
    let rest: Vec<_> = columns
        .iter()
        .filter(|column| !used.contains(column.name.as_str()))
        .map(|column| shown(&column.name, EXAMPLE_CHARS))
        .collect();
    if !rest.is_empty() {
        let _ = writeln!(
            out,
            "\n# Columns that nothing was made of: {}",
            rest.join(" | ")
        );
    }
    if missing.is_empty()
        && let Err(error) = Mapping::read(&out)
    {
        missing.push(error.to_string());
    }
    Ok(Proposal { toml: out, missing })
}

fn count(number: usize, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {what}{s}")
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A name without what differs between spellings of it.
fn plain(name: &str) -> String {
    let last = name.rsplit(['.', '/']).next().unwrap_or(name);
    let letters = last.chars().filter(|c| c.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

fn find<'a>(names: &[&str], columns: &'a [Column]) -> Option<&'a Column> {
    names.iter().find_map(|name| {
        let mut of = columns.iter();
        of.find(|column| plain(&column.name) == *name)
    })
}

/// What the records are, by the columns that only such records have.
fn kind(columns: &[Column]) -> (&'static str, &'static [Likely]) {
    let has = |field: &str, of: &[Likely]| {
        let mut of = of.iter();
        of.find(|likely| likely.field == field)
            .is_some_and(|likely| find(likely.names, columns).is_some())
    };
    if has("approver", DECISION) && has("change", DECISION) {
        ("decision", DECISION)
    } else if has("number", CHANGE) && (has("from", CHANGE) || has("rollback", CHANGE)) {
        ("change", CHANGE)
    } else {
        ("action", ACTION)
    }
}

/// In which forms all of a column's values are times.
fn written(column: Option<&Column>) -> Vec<&'static str> {
    let Some(column) = column else {
        return Vec::new();
    };
    let times = TIMES.into_iter();
    times.filter(|time| is_time(time, column)).collect()
}

fn is_time(time: &str, column: &Column) -> bool {
    // Ten digits are seconds, thirteen milliseconds: both would be times of some kind.
    let digits = match time {
        "epoch" => Some(10),
        "epoch-ms" => Some(13),
        _ => None,
    };
    let text = format!(
        "kind = \"action\"\ntime = {}\n[fields]\nsystem = \"a\"\nstarted = \"b\"\n",
        quoted(time)
    );
    let Ok(mapping) = Mapping::read(&text) else {
        return false;
    };
    let mut values = column
        .values
        .iter()
        .filter(|value| !value.is_empty())
        .peekable();
    values.peek().is_some()
        && values.all(|value| {
            digits.is_none_or(|digits| value.len() == digits)
                && mapping.time(value, &TimeZone::UTC).is_some()
        })
}

/// Says how outcomes and automations are marked, as far as values tell.
fn marks(
    kind: &str,
    columns: &[Column],
    fields: &[Likely],
    chosen: &[Option<&Column>],
    out: &mut String,
    missing: &mut Vec<String>,
) {
    let outcome = find(&OUTCOMES, columns);
    let values = outcome.map(different).unwrap_or_default();
    let like = |words: &[&str]| -> Vec<&str> {
        let of = values.iter().map(String::as_str);
        of.filter(|value| words.iter().any(|word| value.to_lowercase().contains(word)))
            .collect()
    };
    let section = |mark: &str, found: Vec<&str>| -> Option<String> {
        let column = outcome.filter(|_| !found.is_empty())?;
        let found: Vec<_> = found.into_iter().map(quoted).collect();
        let column = quoted_key(&column.name);
        Some(format!(
            "\n[marks.{mark}]\n{column} = [{}]\n",
            found.join(", ")
        ))
    };
    match kind {
        "decision" => {
            let no = like(&[
                "not approved",
                "unapproved",
                "disapproved",
                "reject",
                "declin",
                "denied",
            ]);
            let mut yes = like(&["approved", "accepted"]);
            yes.retain(|value| !no.contains(value));
            match section("approved", yes) {
                Some(text) => out.push_str(&text),
                None => {
                    missing.push("[marks.approved]: which values are approvals".to_owned());
                    out.push_str("\n# [marks.approved]\n# COLUMN = [\"Approved\"]\n");
                }
            }
            out.extend(section("rejected", no));
        }
        "change" => {
            let words = ["reject", "cancel", "withdrawn"];
            out.extend(section("withdrawn", like(&words)));
        }
        _ => {
            let words = ["fail", "error", "cancel", "abort", "timeout", "timed out"];
            out.extend(section("failed", like(&words)));
            let words = ["dry run", "dry-run", "simulat", "preview"];
            out.extend(section("dry-run", like(&words)));
        }
    }
    if let Some(column) = outcome
        && !values.is_empty()
    {
        let values: Vec<_> = values
            .iter()
            .take(VALUES_SHOWN)
            .map(|v| shown(v, 30))
            .collect();
        let name = shown(&column.name, EXAMPLE_CHARS);
        let _ = writeln!(out, "# In {name} there stands: {}", values.join(" | "));
    }
    let actor = fields
        .iter()
        .zip(chosen)
        .find(|(likely, _)| likely.field == "actor");
    if let Some((_, Some(column))) = actor {
        let values: Vec<_> = different(column)
            .iter()
            .take(VALUES_SHOWN)
            .map(|value| quoted(&shown(value, 60)))
            .collect();
        let _ = write!(
            out,
            "\n# Which of these are automations? Whom nothing marks is nobody who could be told.\n\
             # [marks.automation]\n# {} = [{}]\n",
            quoted_key(&column.name),
            values.join(", ")
        );
    }
}

/// A key of TOML, which stands before a `=`.
fn quoted_key(name: &str) -> String {
    // A literal text is no key where it holds line ends, which escapes of a basic one can say.
    let basic: String = name
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c.is_control() => format!("\\u{:04X}", c as u32),
            c => c.to_string(),
        })
        .collect();
    format!("\"{basic}\"")
}

fn different(column: &Column) -> Vec<String> {
    let values: BTreeSet<&String> = column.values.iter().filter(|one| !one.is_empty()).collect();
    values.into_iter().cloned().collect()
}

/// The columns of the first records, in the order in which they come, and how many records these are.
fn sample(file: &Path) -> io::Result<(Vec<Column>, usize)> {
    let mut opened = input::open(file)?;
    let content = &mut opened.content;
    let first = content
        .fill_buf()?
        .iter()
        .find(|byte| !byte.is_ascii_whitespace());
    let mut columns = Vec::new();
    let mut records = 0;
    if matches!(first, Some(b'{' | b'[')) {
        let mut frames = Frames::new(content, RECORD_BYTES_MAX);
        while let (true, Some(frame)) = (records < RECORDS_MAX, frames.next()?) {
            if let Frame::Object { bytes, .. } = frame
                && let Ok(value) = serde_json::from_slice::<Value>(bytes)
            {
                records += 1;
                flatten(&value, "", 0, &mut columns);
            }
        }
    } else {
        let mut table = Table::new(content)?;
        while let (true, Some(row)) = (records < RECORDS_MAX, table.next()?) {
            records += 1;
            for (name, value) in row.cells.unwrap_or_default() {
                put(&mut columns, name, value.trim().to_owned());
            }
        }
    }
    Ok((columns, records))
}

fn put(columns: &mut Vec<Column>, name: &str, value: String) {
    let full = columns.len() >= COLUMNS_MAX || name.is_empty();
    match columns.iter_mut().find(|column| column.name == name) {
        Some(column) => column.values.push(value),
        None if full => {}
        None => columns.push(Column {
            name: name.to_owned(),
            values: vec![value],
        }),
    }
}

/// Paths of a record, as mappings write them.
fn flatten(value: &Value, path: &str, depth: usize, columns: &mut Vec<Column>) {
    match value {
        Value::Object(map) if depth < DEPTH_MAX => {
            for (name, value) in map {
                // A name with a dot in it could be taken for two.
                if name.is_empty() || name.contains(['.', '/']) {
                    continue;
                }
                let path = match path {
                    "" => name.clone(),
                    path => format!("{path}.{name}"),
                };
                flatten(value, &path, depth + 1, columns);
            }
        }
        Value::Object(_) => {}
        Value::Array(list) => {
            let texts: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            if !texts.is_empty() {
                put(columns, path, texts.join(","));
            }
        }
        Value::Null => put(columns, path, String::new()),
        Value::String(text) => put(columns, path, text.trim().to_owned()),
        other => put(columns, path, other.to_string()),
    }
}

#[cfg(test)]
mod tests;
