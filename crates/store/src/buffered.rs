//! The documents that one job has read or written: each is read from the database once, and written
//! there once, when the job is kept. What a document means is not known here, only kept for who does.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::Connection;

use crate::cache::{DocumentCache, Known};
use crate::contract::{Document, DocumentQuery, StoreError};
use crate::tables::documents::{self, Found};

/// One document as the job has it: none where it is not there, or was removed.
struct Slot {
    known: Known,
    written: bool,
    /// By what the stored document is found, where the job looked at it.
    stored: Option<Found>,
}

impl Slot {
    fn read(known: Known) -> Self {
        Self {
            stored: known.document.as_ref().map(Found::of),
            known,
            written: false,
        }
    }

    const fn written(document: Option<Document>) -> Self {
        Self {
            known: Known {
                document,
                value: None,
            },
            written: true,
            stored: None,
        }
    }
}

/// Documents of one job, by kind and key.
#[derive(Default)]
pub(crate) struct Buffered(RefCell<BTreeMap<&'static str, BTreeMap<String, Slot>>>);

impl Buffered {
    /// One document, as this job left it, or as earlier ones did.
    pub(crate) fn get(
        &self,
        conn: &Connection,
        cache: Option<&DocumentCache>,
        kind: &'static str,
        key: &str,
    ) -> Result<Option<Document>, StoreError> {
        if let Some(document) = self.of_slot(cache, kind, key, |known| known.document.clone()) {
            return Ok(document);
        }
        let document = documents::get(conn, kind, key)?;
        let slot = Slot::read(Known {
            document: document.clone(),
            value: None,
        });
        let mut kinds = self.0.borrow_mut();
        kinds.entry(kind).or_default().insert(key.to_owned(), slot);
        Ok(document)
    }

    /// Something of a document that this job has, or that is known from earlier ones.
    fn of_slot<T>(
        &self,
        cache: Option<&DocumentCache>,
        kind: &'static str,
        key: &str,
        read: impl FnOnce(&Known) -> T,
    ) -> Option<T> {
        let mut kinds = self.0.borrow_mut();
        let of_kind = kinds.entry(kind).or_default();
        if let Some(slot) = of_kind.get(key) {
            return Some(read(&slot.known));
        }
        let known = cache?.get(kind, key)?.clone();
        let found = read(&known);
        of_kind.insert(key.to_owned(), Slot::read(known));
        Some(found)
    }

    /// Replaces a document, or removes it.
    pub(crate) fn put(&mut self, kind: &'static str, key: &str, document: Option<Document>) {
        let of_kind = self.0.get_mut().entry(kind).or_default();
        if let Some(slot) = of_kind.get_mut(key) {
            // What says the same as before need not be written.
            slot.written |= slot.known.document != document;
            slot.known.document = document;
            slot.known.value = None;
        } else {
            of_kind.insert(key.to_owned(), Slot::written(document));
        }
    }

    /// What a document was read as, unless it was written since.
    pub(crate) fn recall(
        &self,
        cache: Option<&DocumentCache>,
        kind: &'static str,
        key: &str,
    ) -> Option<Arc<dyn Any + Send + Sync>> {
        self.of_slot(cache, kind, key, |known| known.value.clone())?
    }

    /// Keeps what a document that this job has was read as.
    pub(crate) fn remember(
        &self,
        kind: &'static str,
        key: &str,
        value: Arc<dyn Any + Send + Sync>,
    ) {
        let mut kinds = self.0.borrow_mut();
        if let Some(slot) = kinds.get_mut(kind).and_then(|kind| kind.get_mut(key)) {
            slot.known.value = Some(value);
        }
    }

    /// Documents of one kind, what this job wrote among them.
    pub(crate) fn query(
        &self,
        conn: &Connection,
        kind: &'static str,
        query: &DocumentQuery<'_>,
    ) -> Result<Vec<Document>, StoreError> {
        let kinds = self.0.borrow();
        let written: BTreeMap<&str, Option<&Document>> = kinds
            .get(kind)
            .into_iter()
            .flatten()
            .filter(|(_, slot)| slot.written)
            .map(|(key, slot)| (key.as_str(), slot.known.document.as_ref()))
            .collect();
        if written.is_empty() {
            return documents::query(conn, kind, query);
        }
        let limit = documents::limit(query);
        let stored = DocumentQuery {
            // As many as asked for are left when those that the job wrote are taken out.
            limit: limit.saturating_add(written.len()),
            ..*query
        };
        let mut found = documents::query(conn, kind, &stored)?;
        found.retain(|stored| !written.contains_key(stored.key.as_str()));
        let ours = written.values().copied().flatten();
        found.extend(ours.filter(|ours| documents::fits(ours, query)).cloned());
        documents::sort(&mut found, query);
        found.truncate(limit);
        Ok(found)
    }

    /// Writes all that the job left different from what it found.
    pub(crate) fn write(&self, conn: &Connection) -> Result<(), StoreError> {
        for (kind, of_kind) in self.0.borrow().iter() {
            for (key, slot) in of_kind.iter().filter(|(_, slot)| slot.written) {
                match (&slot.known.document, &slot.stored) {
                    (Some(document), Some(stored)) => documents::replace(conn, document, stored)?,
                    (Some(document), None) => documents::put(conn, document)?,
                    (None, _) => documents::remove(conn, kind, key)?,
                }
            }
        }
        Ok(())
    }

    /// The job was kept: what it read and wrote is what the database says.
    pub(crate) fn into_cache(self, cache: &mut DocumentCache) {
        for (kind, of_kind) in self.0.into_inner() {
            for (key, slot) in of_kind {
                cache.put(kind, key, slot.known);
            }
        }
    }
}
