//! The store as a source for `countersign-evidence`, which believes nothing that it reads here.

use countersign_domain::Digest;
use countersign_evidence::{Blob, LogName, Source, SourceError};
use countersign_gate::Gate;
use countersign_store::{Log, StoreError};

/// Both logs and the blobs of a gate's store, read beside a running server or without one.
pub struct StoreSource<'a>(pub &'a Gate);

const fn log(name: LogName) -> Log {
    match name {
        LogName::Recommendations => Log::Recommendations,
        LogName::Authorizations => Log::Authorizations,
    }
}

impl Source for StoreSource<'_> {
    fn entry(&self, name: LogName, index: u64) -> Result<Option<Vec<u8>>, SourceError> {
        self.0
            .store()
            .read(|view| view.entry(log(name), index))
            .map_err(|error: StoreError| SourceError::new(format!("{name} entry {index}"), error))
    }

    fn size(&self, name: LogName) -> Result<u64, SourceError> {
        // What a checkpoint covers: an entry behind it is not proven yet.
        Ok(self.0.store().checkpoint(log(name)).0)
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Blob>, SourceError> {
        self.0
            .store()
            .read(|view| view.blob(digest))
            .map(|blob| blob.map(|blob| (blob.salt, blob.bytes)))
            .map_err(|error: StoreError| SourceError::new(format!("blob {digest}"), error))
    }

    fn proof(&self, name: LogName, index: u64) -> Result<String, SourceError> {
        self.0
            .store()
            .proof(log(name), index)
            .map(|proof| proof.to_string())
            .map_err(|error| SourceError::new(format!("the proof of {name} entry {index}"), error))
    }

    fn checkpoint(&self, name: LogName) -> Result<String, SourceError> {
        Ok(self.0.store().checkpoint(log(name)).1.as_str().to_owned())
    }
}
