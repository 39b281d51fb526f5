//! Values that the tests write, and the keys they sign with.

use std::path::{Path, PathBuf};

use countersign_domain::{AgentId, CveId, Digest, Environment, HostId, PersonId, Timestamp};
use countersign_ledger::{LogSigner, Origin};
use countersign_store::{
    Blob, Document, IntelRow, Options, Reservation, Signers, Store, StoreError, TransitionOutcome,
};

pub fn signer(name: &str, seed: u8) -> LogSigner {
    LogSigner::from_seed(Origin::new(name).unwrap(), &[seed; 32]).unwrap()
}

pub fn signers() -> Signers {
    Signers {
        recommendations: signer("example.org/test/recommendations", 1),
        authorizations: signer("example.org/test/authorizations", 2),
    }
}

pub fn database(folder: &Path) -> PathBuf {
    folder.join("countersign.db")
}

pub fn open(folder: &Path) -> Store {
    Store::open(&database(folder), signers(), Options::default()).unwrap()
}

/// A job's error in these tests: its own refusal, or the store's.
#[derive(Debug)]
pub enum Refusal {
    Own(&'static str),
    Store(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_700_000_000 + seconds)
}

pub fn host(name: &str) -> HostId {
    HostId::new(name).unwrap()
}

pub fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

pub fn person(name: &str) -> PersonId {
    PersonId::new(name).unwrap()
}

pub fn document(key: &str, state: &str, due_at: Option<i64>, order: u64) -> Document {
    Document {
        kind: "change",
        key: key.to_owned(),
        state: state.to_owned(),
        due_at: due_at.map(at),
        order,
        listed: true,
        body: format!("{{\"key\":\"{key}\"}}"),
    }
}

pub fn reservation(opened: u64, on: &str, seconds: i64) -> Reservation {
    Reservation {
        opened,
        host: host(on),
        agent: agent("patcher"),
        owner: person("maria"),
        service: Some("shop".to_owned()),
        environment: Environment::Production,
        standing: true,
        at: at(seconds),
    }
}

pub fn outcome(
    opened: u64,
    on: &str,
    transition: &str,
    seconds: i64,
    succeeded: bool,
) -> TransitionOutcome {
    TransitionOutcome {
        opened,
        host: host(on),
        transition: transition.to_owned(),
        environment: Environment::Staging,
        tier: 3,
        succeeded,
        at: at(seconds),
    }
}

pub fn intel(feed: &str, cve: &str, body: &str) -> IntelRow {
    IntelRow {
        feed: feed.to_owned(),
        cve: CveId::new(cve).unwrap(),
        body: body.to_owned(),
    }
}

pub fn plain(bytes: &[u8]) -> (Digest, Blob) {
    let blob = Blob {
        salt: None,
        bytes: bytes.to_vec(),
    };
    (Digest::of(bytes), blob)
}

pub fn salted(salt: [u8; 16], bytes: &[u8]) -> (Digest, Blob) {
    let salt_text: String = salt.iter().map(|b| format!("{b:02x}")).collect();
    let blob = Blob {
        salt: Some(salt_text),
        bytes: bytes.to_vec(),
    };
    (Digest::of_salted(&salt, bytes), blob)
}
