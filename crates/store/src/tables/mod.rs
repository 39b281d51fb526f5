//! All SQL, a module for each table. Functions on a connection, called within a transaction;
//! who may call them when is decided in `view` and `write`.

pub(crate) mod blobs;
pub(crate) mod checkpoints;
pub(crate) mod documents;
pub(crate) mod entries;
pub(crate) mod intel;
pub(crate) mod logs;
pub(crate) mod nodes;
pub(crate) mod outcomes;
pub(crate) mod reservations;
pub(crate) mod trails;

use crate::contract::{Log, StoreError};
use countersign_domain::{Digest, Environment};
use countersign_ledger::Hash;

/// A log as its column says it.
pub(crate) const fn code(log: Log) -> i64 {
    match log {
        Log::Recommendations => 0,
        Log::Authorizations => 1,
    }
}

/// A tree's hash as the vocabulary says it.
pub(crate) const fn digest(hash: &Hash) -> Digest {
    Digest::from_bytes(*hash.as_bytes())
}

/// A digest as a tree says it.
pub(crate) const fn hash(digest: &Digest) -> Hash {
    Hash::from_bytes(*digest.as_bytes())
}

fn environment(text: &str) -> Result<Environment, StoreError> {
    [
        Environment::Development,
        Environment::Staging,
        Environment::Production,
    ]
    .into_iter()
    .find(|environment| environment.as_str() == text)
    .ok_or_else(|| StoreError::Damaged(format!("environment `{text}` is unknown")))
}
