//! Reading within one transaction. Opens and ends no transaction itself.

use rusqlite::Connection;

use crate::contract::{
    Blob, Document, DocumentQuery, Head, Healthy, IntelRow, Log, Read, ReservationQuery,
    StoreError, TransitionOutcome,
};
use crate::tables::{blobs, documents, entries, intel, logs, outcomes, reservations, trails};
use countersign_domain::facts::Reservations;
use countersign_domain::{CveId, Digest, Environment, Timestamp};

/// A consistent view: the caller holds a transaction on this connection.
pub(crate) struct View<'a> {
    pub(crate) conn: &'a Connection,
}

impl Read for View<'_> {
    fn head(&self, log: Log) -> Result<Head, StoreError> {
        logs::head(self.conn, log)
    }

    fn entry(&self, log: Log, index: u64) -> Result<Option<Vec<u8>>, StoreError> {
        entries::one(self.conn, log, index)
    }

    fn entries(&self, log: Log, start: u64, count: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        entries::range(self.conn, log, start, count)
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Blob>, StoreError> {
        blobs::get(self.conn, digest)
    }

    fn document(&self, kind: &'static str, key: &str) -> Result<Option<Document>, StoreError> {
        documents::get(self.conn, kind, key)
    }

    fn documents(
        &self,
        kind: &'static str,
        query: &DocumentQuery<'_>,
    ) -> Result<Vec<Document>, StoreError> {
        documents::query(self.conn, kind, query)
    }

    fn trail(&self, opened: u64) -> Result<Vec<u64>, StoreError> {
        trails::get(self.conn, opened)
    }

    fn reservations(&self, query: &ReservationQuery<'_>) -> Result<Reservations, StoreError> {
        reservations::query(self.conn, query)
    }

    fn failures(
        &self,
        transitions: &[String],
        since: Timestamp,
    ) -> Result<Vec<TransitionOutcome>, StoreError> {
        outcomes::failures(self.conn, transitions, since)
    }

    fn healthy(
        &self,
        transitions: &[String],
        environments: &[Environment],
        since: Timestamp,
    ) -> Result<Healthy, StoreError> {
        outcomes::healthy(self.conn, transitions, environments, since)
    }

    fn intel(&self, cves: &[CveId]) -> Result<Vec<IntelRow>, StoreError> {
        intel::query(self.conn, cves)
    }
}
