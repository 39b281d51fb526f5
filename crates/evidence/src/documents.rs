//! Whether what entries name by digest is still kept beside the logs: documents have to be, texts of
//! people can be erased and are only counted. What is there is hashed again. What the documents say
//! is not looked at here.

use crate::log::Progress;
use crate::source::{Kept, LogName, Source, SourceError, kept};
use countersign_domain::document::named_in;
use countersign_domain::{Digest, NamedDocument};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;

/// Digests that are remembered as kept, so that a feed which was imported every hour is hashed once.
const REMEMBERED_MAX: usize = 10_000;
/// Entries between two calls of the progress callback.
const PROGRESS_EVERY: u64 = 256;

/// What entries name, and how much of it is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DocumentSummary {
    /// False where the source keeps nothing beside the logs, as an export without `--blobs`: then
    /// nothing was looked at, and the other numbers say only what is named.
    pub carried: bool,
    /// How often entries name a document.
    pub named: u64,
    /// How often it is not there, or it or a text has other bytes.
    pub missing: u64,
    /// How often entries name a text of a person.
    pub texts: u64,
    /// How often that is not there: erased, or kept elsewhere. This is lawful.
    pub texts_absent: u64,
}

impl fmt::Display for DocumentSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            carried,
            named,
            missing,
            texts,
            texts_absent,
        } = self;
        if *carried {
            write!(
                f,
                "entries name {named} documents, {missing} of them missing or altered, and {texts} texts of people, {texts_absent} of them not kept (they can be erased)"
            )
        } else {
            write!(
                f,
                "it carries no documents: {named} documents and {texts} texts of people that entries name were not looked at"
            )
        }
    }
}

/// A document that is not as an entry names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissingDocument {
    /// What it is, and its digest.
    pub document: NamedDocument,
    /// True when something else is kept under its digest.
    pub altered: bool,
}

impl fmt::Display for MissingDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NamedDocument { kind, digest } = self.document;
        let kind = kind.as_str();
        if self.altered {
            write!(
                f,
                "it names a document ({kind}, `{digest}`), and what is kept under that digest was altered"
            )
        } else {
            write!(
                f,
                "it names a document ({kind}, `{digest}`) that is not kept beside the log"
            )
        }
    }
}

/// Looks for everything that the entries of both logs name, and tells each document that is not as
/// it is named, with its log and the index of the entry.
///
/// # Errors
/// [`SourceError`] when the source cannot be read.
pub fn check_documents(
    source: &dyn Source,
    progress: &mut dyn FnMut(Progress),
    tell: &mut dyn FnMut(LogName, u64, MissingDocument),
) -> Result<DocumentSummary, SourceError> {
    let mut documents = Documents::of(source)?;
    for log in [LogName::Recommendations, LogName::Authorizations] {
        let size = source.size(log)?;
        for index in 0..size {
            if index % PROGRESS_EVERY == 0 {
                progress(Progress::of(log, index, size));
            }
            // An entry that is missing is found where hashes are.
            let entry = source.entry(log, index)?.unwrap_or_default();
            documents.see(&named_in(&entry), &mut |missing| tell(log, index, missing))?;
        }
        progress(Progress::of(log, size, size));
    }
    Ok(documents.summary)
}

/// Looks for documents as entries name them.
pub(crate) struct Documents<'s> {
    source: &'s dyn Source,
    remembered: BTreeSet<Digest>,
    summary: DocumentSummary,
}

impl<'s> Documents<'s> {
    pub(crate) fn of(source: &'s dyn Source) -> Result<Self, SourceError> {
        Ok(Self {
            source,
            remembered: BTreeSet::new(),
            summary: DocumentSummary {
                carried: source.carries_documents()?,
                ..DocumentSummary::default()
            },
        })
    }

    pub(crate) const fn summary(&self) -> DocumentSummary {
        self.summary
    }

    /// Looks for what one entry names.
    pub(crate) fn see(
        &mut self,
        named: &[NamedDocument],
        tell: &mut dyn FnMut(MissingDocument),
    ) -> Result<(), SourceError> {
        for document in named {
            let erasable = document.kind.is_erasable();
            match erasable {
                true => self.summary.texts += 1,
                false => self.summary.named += 1,
            }
            if !self.summary.carried || self.remembered.contains(&document.digest) {
                continue;
            }
            let found = kept(self.source, &document.digest)?;
            match found {
                Kept::Whole(_) => {
                    if self.remembered.len() >= REMEMBERED_MAX {
                        self.remembered.clear();
                    }
                    self.remembered.insert(document.digest);
                }
                Kept::Absent if erasable => self.summary.texts_absent += 1,
                Kept::Absent | Kept::Altered => {
                    self.summary.missing += 1;
                    tell(MissingDocument {
                        document: *document,
                        altered: matches!(found, Kept::Altered),
                    });
                }
            }
        }
        Ok(())
    }
}
