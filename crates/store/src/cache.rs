//! Documents that earlier jobs of the writer read or wrote, as they stand in the database, so that
//! the records of a change are not read and parsed again with each step of its life.
//!
//! Only what was kept gets in, and all of it goes when another program has written: the writer never
//! sees anything here that the database does not say.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::Connection;

use crate::contract::Document;

/// Bytes of documents in one of the two generations (what they were read as is about as large).
const GENERATION_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A document: none where there is none under its key.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) document: Option<Document>,
    /// What the document was read as.
    pub(crate) value: Option<Arc<dyn Any + Send + Sync>>,
}

impl Known {
    fn bytes(&self, key: &str) -> usize {
        let body = self.document.as_ref().map_or(0, |it| it.body.len());
        key.len() * 2 + body + size_of::<Self>()
    }
}

#[derive(Default)]
struct Generation {
    known: HashMap<&'static str, HashMap<String, Known>>,
    bytes: usize,
}

impl Generation {
    fn get(&self, kind: &'static str, key: &str) -> Option<&Known> {
        self.known.get(kind)?.get(key)
    }

    fn put(&mut self, kind: &'static str, key: String, known: Known) {
        self.bytes += known.bytes(&key);
        let of_kind = self.known.entry(kind).or_default();
        if let Some((key, replaced)) = of_kind.remove_entry(&key) {
            self.bytes = self.bytes.saturating_sub(replaced.bytes(&key));
        }
        of_kind.insert(key, known);
    }
}

/// What was used since the last turn, and what was used before it and not since.
#[derive(Default)]
pub(crate) struct DocumentCache {
    young: Generation,
    old: Generation,
    /// The database's own count of what others wrote.
    version: i64,
}

impl DocumentCache {
    /// Forgets all where another connection has written since the last time.
    pub(crate) fn check(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        let version = conn
            .prepare_cached("PRAGMA data_version")?
            .query_row([], |row| row.get(0))?;
        if version != self.version {
            *self = Self {
                version,
                ..Self::default()
            };
        }
        Ok(())
    }

    /// A document, if it is known whether there is one.
    pub(crate) fn get(&self, kind: &'static str, key: &str) -> Option<&Known> {
        let young = self.young.get(kind, key);
        young.or_else(|| self.old.get(kind, key))
    }

    /// A job that was kept left a document so.
    pub(crate) fn put(&mut self, kind: &'static str, key: String, known: Known) {
        self.young.put(kind, key, known);
        if self.young.bytes > GENERATION_BYTES_MAX {
            self.old = std::mem::take(&mut self.young);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(body: &str) -> Known {
        Known {
            document: Some(Document {
                kind: "kind",
                key: "key".into(),
                state: String::new(),
                due_at: None,
                order: 0,
                listed: false,
                body: body.into(),
            }),
            value: None,
        }
    }

    fn body(cache: &DocumentCache, key: &str) -> Option<String> {
        let known = cache.get("kind", key)?;
        known.document.as_ref().map(|it| it.body.clone())
    }

    #[test]
    fn what_is_not_used_is_forgotten_and_memory_stays_bounded() {
        let mut cache = DocumentCache::default();
        let large = "x".repeat(100_000);
        cache.put("kind", "first".into(), known("first"));
        for number in 0..1_000 {
            cache.put("kind", number.to_string(), known(&large));
            let bytes = cache.young.bytes + cache.old.bytes;
            assert!(bytes <= 2 * GENERATION_BYTES_MAX + 200_000, "{bytes}");
        }
        assert_eq!(body(&cache, "first"), None);
        assert_eq!(body(&cache, "999"), Some(large));
    }

    #[test]
    fn the_last_word_counts_in_whichever_generation_the_first_was() {
        let mut cache = DocumentCache::default();
        cache.put("kind", "key".into(), known("first"));
        cache.old = std::mem::take(&mut cache.young);
        cache.put("kind", "key".into(), known("second"));
        assert_eq!(body(&cache, "key").as_deref(), Some("second"));
        cache.put("kind", "key".into(), known("third"));
        assert_eq!(body(&cache, "key").as_deref(), Some("third"));
        assert_eq!(cache.young.bytes, known("third").bytes("key"));
    }

    #[test]
    fn what_another_connection_writes_makes_it_forget() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Connection::open(folder.path().join("db")).unwrap();
        let (own, other) = (open(), open());
        let mut cache = DocumentCache::default();
        cache.check(&own).unwrap();
        cache.put("kind", "key".into(), known("first"));
        own.execute_batch("CREATE TABLE own (a)").unwrap();
        cache.check(&own).unwrap();
        assert!(cache.get("kind", "key").is_some());
        other.execute_batch("CREATE TABLE other (a)").unwrap();
        cache.check(&own).unwrap();
        assert!(cache.get("kind", "key").is_none());
    }
}
