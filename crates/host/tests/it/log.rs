//! A log for tests, written from the definitions of RFC 6962, with C2SP notes around it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_domain::Digest;
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};

pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The key of a log, by the log's origin.
pub struct NoteKey {
    pub origin: String,
    pub key: SigningKey,
}

impl NoteKey {
    fn encoded(&self) -> Vec<u8> {
        let mut bytes = vec![1];
        bytes.extend_from_slice(self.key.verifying_key().as_bytes());
        bytes
    }

    fn id(&self) -> [u8; 4] {
        let mut bytes = format!("{}\n", self.origin).into_bytes();
        bytes.extend(self.encoded());
        Sha256::digest(bytes)[..4].try_into().unwrap()
    }

    pub fn vkey(&self) -> String {
        let id: String = self.id().iter().map(|b| format!("{b:02x}")).collect();
        format!("{}+{id}+{}", self.origin, base64(&self.encoded()))
    }

    fn note(&self, entries: &[Vec<u8>]) -> String {
        let root = base64(mth(entries).as_bytes());
        let body = format!("{}\n{}\n{root}\n", self.origin, entries.len());
        let mut signature = self.id().to_vec();
        signature.extend(self.key.sign(body.as_bytes()).to_bytes());
        format!("{body}\n— {} {}\n", self.origin, base64(&signature))
    }

    pub fn proof(&self, index: usize, entries: &[Vec<u8>]) -> String {
        let mut text = format!("c2sp.org/tlog-proof@v1\nindex {index}\n");
        for hash in path(index, entries) {
            text.push_str(&format!("{}\n", base64(hash.as_bytes())));
        }
        format!("{text}\n{}", self.note(entries))
    }
}

fn sha(parts: &[&[u8]]) -> Digest {
    Digest::of(&parts.concat())
}

fn split(n: usize) -> usize {
    let mut k = 1;
    while k * 2 < n {
        k *= 2;
    }
    k
}

pub fn mth(entries: &[Vec<u8>]) -> Digest {
    match entries {
        [] => Digest::of(b""),
        [one] => sha(&[&[0], one]),
        many => {
            let (left, right) = many.split_at(split(many.len()));
            sha(&[&[1], mth(left).as_bytes(), mth(right).as_bytes()])
        }
    }
}

fn path(m: usize, entries: &[Vec<u8>]) -> Vec<Digest> {
    if entries.len() == 1 {
        return Vec::new();
    }
    let (left, right) = entries.split_at(split(entries.len()));
    let (mut proof, sibling) = if m < left.len() {
        (path(m, left), mth(right))
    } else {
        (path(m - left.len(), right), mth(left))
    };
    proof.push(sibling);
    proof
}

pub fn consistency(old: usize, entries: &[Vec<u8>]) -> Vec<String> {
    if old == 0 || old == entries.len() {
        return Vec::new();
    }
    let hashes = subproof(old, entries, true);
    hashes.iter().map(|hash| base64(hash.as_bytes())).collect()
}

fn subproof(m: usize, entries: &[Vec<u8>], whole: bool) -> Vec<Digest> {
    if m == entries.len() {
        return if whole {
            Vec::new()
        } else {
            vec![mth(entries)]
        };
    }
    let (left, right) = entries.split_at(split(entries.len()));
    if m <= left.len() {
        let mut proof = subproof(m, left, whole);
        proof.push(mth(right));
        proof
    } else {
        let mut proof = subproof(m - left.len(), right, false);
        proof.push(mth(left));
        proof
    }
}
