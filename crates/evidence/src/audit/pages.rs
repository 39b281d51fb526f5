//! Lists that a service gives page by page: AWX says before each page's records where the next one is.
//! Tells which of those pages were not read. Asks nobody for them, and reads no records.

use super::collect::FileRead;
use super::reader::lenient::clip;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::Path;

/// The most pages of one file that are told apart; of more, the first.
pub(crate) const PAGES_MAX: usize = 10_000;

/// What stands before the records of one page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// The address of the next, where there is one.
    next: Option<String>,
    /// That of the one before.
    previous: Option<String>,
}

#[derive(Deserialize)]
struct Head {
    next: Option<String>,
    previous: Option<String>,
}

impl Page {
    /// From the beginning of an object, up to the bracket of its list. None where it is the only page.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        memchr::memmem::find(head, b"\"next\"")?;
        let whole = [head, b"]}"].concat();
        let head: Head = serde_json::from_slice(&whole).ok()?;
        let one = |address: Option<String>| address.map(|text| clip(&text));
        (head.next.is_some() || head.previous.is_some()).then(|| Self {
            next: one(head.next),
            previous: one(head.previous),
        })
    }
}

/// Pages that others name as the next one, and that were not read: the file that does, and the address.
/// One that lies in another folder is another list's.
pub(crate) fn missing(files: &[FileRead]) -> Vec<(&Path, &str)> {
    let all = || {
        files.iter().flat_map(|file| {
            let path = file.path.as_path();
            file.pages.iter().map(move |page| (path, page))
        })
    };
    let read: BTreeSet<_> = all()
        .filter_map(|(path, page)| {
            let (list, number) = address(page.previous.as_deref()?)?;
            Some((path.parent(), list, number.checked_add(1)?))
        })
        .collect();
    all()
        .filter_map(|(path, page)| Some((path, page.next.as_deref()?)))
        .filter(|(path, next)| {
            let next = address(next).map(|(list, number)| (path.parent(), list, number));
            next.is_none_or(|next| !read.contains(&next))
        })
        .collect()
}

/// The list and the number of the page that an address is of: the first where it names none. None where
/// it says otherwise where to go on.
fn address(text: &str) -> Option<(Vec<&str>, u64)> {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let mut number = 1;
    let mut list = Vec::new();
    for part in query.split('&') {
        match part.strip_prefix("page=") {
            Some(page) => number = page.parse().ok()?,
            None => list.push(part),
        }
    }
    list.retain(|part| !part.is_empty());
    list.sort_unstable();
    list.push(path);
    Some((list, number))
}
