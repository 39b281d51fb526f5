//! Recognises the objects in which services wrap lists of records, by the keys before the list:
//! CloudTrail's `Records`, the `result` of `ServiceNow`, the `values` and `issues` of Jira, the
//! `results` of AWX, the `items` of a Kubernetes list. An object with any other key before it is a record itself.

use super::scan::{Text, text};

/// What the beginning of an object tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// It wraps a list, whose bracket is that many bytes in (with it).
    List(usize),
    /// It wraps none; its first bytes tell that, as many as these where they are known.
    Plain(usize),
    /// It cannot be told yet.
    Open,
}

/// Keys whose array holds the records.
const LISTS: [&[u8]; 6] = [
    b"Records", b"result", b"results", b"values", b"issues", b"items",
];
/// Keys that may stand before it.
const BESIDE: [&[u8]; 19] = [
    b"count",
    b"next",
    b"previous",
    b"kind",
    b"apiVersion",
    b"metadata",
    b"size",
    b"start",
    b"limit",
    b"isLastPage",
    b"isLast",
    b"startAt",
    b"maxResults",
    b"total",
    b"self",
    b"nextPage",
    b"expand",
    b"_expands",
    b"_links",
];

/// What `bytes`, which begin with an object's brace, tell.
pub(super) fn head(bytes: &[u8]) -> Head {
    read(bytes).unwrap_or(Head::Open)
}

/// None where the bytes end too early.
fn read(bytes: &[u8]) -> Option<Head> {
    let mut at = space(bytes, 1)?;
    loop {
        if bytes.get(at) != Some(&b'"') {
            return Some(Head::Plain(0));
        }
        let key = match text(bytes.get(at + 1..)?) {
            Text::Ends(length) => bytes.get(at + 1..at + length)?,
            Text::Line(_) => return Some(Head::Plain(0)),
            Text::Open(_) => return None,
        };
        let list = LISTS.contains(&key);
        if !list && !BESIDE.contains(&key) {
            return Some(Head::Plain(at + key.len() + 2));
        }
        at = space(bytes, at + key.len() + 2)?;
        if bytes.get(at) != Some(&b':') {
            return Some(Head::Plain(0));
        }
        at = space(bytes, at + 1)?;
        if list && bytes.get(at) == Some(&b'[') {
            let first = bytes.get(space(bytes, at + 1)?)?;
            return Some(if matches!(first, b'{' | b']') {
                Head::List(at + 1)
            } else {
                Head::Plain(0)
            });
        }
        at = space(bytes, value(bytes, at)?)?;
        if bytes.get(at) != Some(&b',') {
            return Some(Head::Plain(0));
        }
        at = space(bytes, at + 1)?;
    }
}

/// The place of the next byte that is no white space. None where there is none.
fn space(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let count = rest
        .iter()
        .position(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))?;
    Some(from + count)
}

/// The place behind the value that begins at `from`.
fn value(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    let mut depth = 0_u32;
    loop {
        match bytes.get(at)? {
            b'"' => match text(bytes.get(at + 1..)?) {
                Text::Ends(length) => at += length + 1,
                // Broken; what it is does not matter any more.
                Text::Line(length) => return Some(at + length),
                Text::Open(_) => return None,
            },
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' if depth > 1 => {
                depth -= 1;
                at += 1;
            }
            b'}' | b']' if depth == 1 => return Some(at + 1),
            b'}' | b']' | b',' if depth == 0 => return Some(at),
            _ => {
                at += 1;
                continue;
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}
