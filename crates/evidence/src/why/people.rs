//! Names and texts that are kept beside the log: shown only where they have the digest that an
//! entry binds. They can be erased; then the handle stands alone.

use super::collect::Collector;
use super::model::{Person, SignedBy};
use crate::finding::{FindingKind, Note};
use crate::replay::Replay;
use crate::source::proven_blob;
use countersign_domain::text::shown;
use countersign_domain::warrant::Signer;
use countersign_domain::{Digest, PersonId, Timestamp};

/// A display name at most, in characters.
const NAME_CHARS_MAX: usize = 60;

impl Collector<'_> {
    pub(super) fn signed_by(&self, signers: &[Signer], replay: &Replay) -> Vec<SignedBy> {
        signers
            .iter()
            .map(|signer| self.signed(&signer.person, signer.at, replay))
            .collect()
    }

    pub(super) fn signed(&self, person: &PersonId, at: Timestamp, replay: &Replay) -> SignedBy {
        SignedBy {
            person: self.person(person, replay),
            at,
        }
    }

    /// The display name where it is still kept, and is the one that the roster binds.
    pub(super) fn person(&self, handle: &PersonId, replay: &Replay) -> Person {
        let name = replay
            .roster()
            .and_then(|roster| roster.people.get(handle))
            .and_then(|person| proven_blob(self.source, &person.name).ok().flatten())
            .map(|bytes| shown(&String::from_utf8_lossy(&bytes), NAME_CHARS_MAX));
        Person {
            handle: handle.clone(),
            name,
        }
    }

    /// What is kept beside the log; what is kept wrongly is a finding.
    pub(super) fn kept(&self, digest: &Digest, note: &mut Note<'_>) -> Option<Vec<u8>> {
        match proven_blob(self.source, digest) {
            Ok(bytes) => bytes,
            Err(error) => {
                note.say(FindingKind::Link, error.to_string());
                None
            }
        }
    }

    pub(super) fn text(&self, digest: &Digest, note: &mut Note<'_>) -> Option<String> {
        let bytes = self.kept(digest, note)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}
