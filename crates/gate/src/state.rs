//! The gate's records: what the projections hold, as typed JSON documents. They are only ever
//! written by `fold`; everything else reads them.

mod change;
mod deployment;
mod emergency;
mod packages;

pub use change::*;
pub use deployment::*;
pub use emergency::*;
pub use packages::*;

use countersign_domain::Timestamp;
use countersign_store::{Document, DocumentQuery, Read, StoreError, Write};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// A record that is kept as a document.
pub trait Record: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// The documents' kind.
    const KIND: &'static str;
    /// Its key.
    fn key(&self) -> String;
    /// The word it is selected by.
    fn state(&self) -> String {
        String::new()
    }
    /// When somebody has to look at it again.
    fn due_at(&self) -> Option<Timestamp> {
        None
    }
    /// True when it is listed by kind or state; otherwise it is found by key or due time only.
    const LISTED: bool = false;
    /// What listings are ordered by.
    fn order(&self) -> u64 {
        0
    }
}

/// Reads a record.
///
/// # Errors
/// When storage fails or the document cannot be read back.
pub fn load<R: Record>(store: &dyn Read, key: &str) -> Result<Option<R>, StoreError> {
    Ok(read(store, key)?.map(Arc::unwrap_or_clone))
}

/// Reads a record that is only looked at.
///
/// # Errors
/// As [`load`].
pub fn read<R: Record>(store: &dyn Read, key: &str) -> Result<Option<Arc<R>>, StoreError> {
    let known = store.recall(R::KIND, key);
    if let Some(record) = known.and_then(|known| known.downcast::<R>().ok()) {
        return Ok(Some(record));
    }
    let Some(document) = store.document(R::KIND, key)? else {
        return Ok(None);
    };
    let record: Arc<R> = Arc::new(parse(&document)?);
    store.remember(R::KIND, key, Arc::clone(&record) as _);
    Ok(Some(record))
}

/// Records of one kind, as their documents.
///
/// # Errors
/// When storage fails, or a listing is asked for of a kind that is not listed: it would find none.
pub fn documents<R: Record>(
    store: &dyn Read,
    query: &DocumentQuery<'_>,
) -> Result<Vec<Document>, StoreError> {
    if query.is_listing() && !R::LISTED {
        return Err(StoreError::Engine(format!(
            "records of kind `{}` are found by key or due time only",
            R::KIND
        )));
    }
    store.documents(R::KIND, query)
}

/// Records whose time has come, `limit` of them at most: the next look finds more.
///
/// # Errors
/// When storage fails.
pub fn due<R: Record>(store: &dyn Read, by: Timestamp, limit: usize) -> Result<Vec<R>, StoreError> {
    let query = DocumentQuery {
        due_by: Some(by),
        limit,
        ..Default::default()
    };
    let documents = documents::<R>(store, &query)?;
    documents.iter().map(parse).collect()
}

/// The record in a document.
///
/// # Errors
/// When the document cannot be read back.
pub fn parse<R: Record>(document: &Document) -> Result<R, StoreError> {
    serde_json::from_str(&document.body)
        .map_err(|error| StoreError::Damaged(format!("{} `{}`: {error}", R::KIND, document.key)))
}

/// Writes a record.
///
/// # Errors
/// When storage fails.
pub fn save<R: Record>(store: &mut dyn Write, record: &R) -> Result<(), StoreError> {
    let body = serde_json::to_string(record)
        .map_err(|error| StoreError::Damaged(format!("{} cannot be written: {error}", R::KIND)))?;
    let document = Document {
        kind: R::KIND,
        key: record.key(),
        state: record.state(),
        due_at: record.due_at(),
        order: record.order(),
        listed: R::LISTED,
        body,
    };
    store.put_document(&document)?;
    store.remember(R::KIND, &document.key, Arc::new(record.clone()));
    Ok(())
}
