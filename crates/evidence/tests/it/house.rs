//! A gate by hand: appends what an honest gate would, one step a call, so that tests can leave a
//! step out, forge it, or do it in another order. Serves as the source, too.

use crate::people::{
    Founding, deployment, genesis, log_signer, names, sign, start, state, witness,
};
use countersign_domain::canonical;
use countersign_domain::entry::{Entry, Event, LogEntry, PolicyFile};
use countersign_domain::statement::Subject;
use countersign_domain::warrant::{LogReference, Signer, WARRANT_TYP};
use countersign_domain::{ChangeId, Digest, Timestamp, Warrant};
use countersign_evidence::{
    Blob, DemandedDocuments, LogName, LogReport, Source, SourceError, TrustedRoots, Why, trail,
    verify_log, why,
};
use countersign_ledger::{
    AddCheckpoint, Checkpoint, Hash, LogSigner, SignedCheckpoint, TlogProof, Tree, VolatileHeads,
    Witness, leaf_hash,
};
use std::collections::BTreeMap;

#[derive(Clone)]
pub struct House {
    pub trial: bool,
    pub now: Timestamp,
    pub recommendations: Vec<Vec<u8>>,
    pub authorizations: Vec<Vec<u8>>,
    pub blobs: BTreeMap<Digest, Blob>,
    /// The digest and signers of the policy in force.
    pub policy: (Digest, Vec<Signer>),
    pub genesis: Digest,
    pub halt_epoch: u64,
    /// Checkpoints as they were signed before somebody changed the entries.
    pub sealed: Option<(SignedCheckpoint, SignedCheckpoint)>,
    pub witnessed: bool,
}

impl House {
    pub fn found(founding: Founding) -> Self {
        let signed = genesis(founding);
        let mut house = Self {
            trial: founding.trial,
            now: start(),
            recommendations: Vec::new(),
            authorizations: Vec::new(),
            blobs: names()
                .into_iter()
                .map(|(_, text)| {
                    let digest = text.digest().unwrap();
                    (digest, (Some(text.salt), text.text.into_bytes()))
                })
                .collect(),
            policy: (Digest::of(b""), Vec::new()),
            genesis: Digest::of(signed.change.as_bytes()),
            halt_epoch: 0,
            sealed: None,
            witnessed: founding.witnesses > 0,
        };
        house.event(Event::Roster { signed });
        house
    }

    /// Founded, with a policy that both owners signed.
    pub fn ready(founding: Founding) -> Self {
        let mut house = Self::found(founding);
        house.sign_policy(&["maria", "chen"], 90 * 86_400);
        house
    }

    pub fn sign_policy(&mut self, signers: &[&str], current_for_seconds: i64) {
        let rules = format!("rules {}", self.authorizations.len());
        let files = vec![PolicyFile {
            path: "rules/standing.cedar".into(),
            sha256: self.keep(&rules),
        }];
        let policy = canonical::digest(&files).unwrap();
        let version = 1 + self
            .events()
            .filter(|event| matches!(event, Event::Policy { .. }))
            .count() as u64;
        let subject = Subject::Policy {
            policy,
            version,
            authors: Vec::new(),
        };
        let mut people: Vec<_> = signers
            .iter()
            .map(|name| Signer {
                person: crate::people::person(name),
                at: self.now,
            })
            .collect();
        people.sort();
        self.policy = (policy, people);
        self.event(Event::Policy {
            policy,
            version,
            files,
            review_due_at: self.now.plus_seconds(current_for_seconds),
            authors: Vec::new(),
            statements: signers
                .iter()
                .map(|name| state(name, self.now, subject.clone()))
                .collect(),
        });
    }

    /// Keeps a document beside the logs.
    pub fn keep(&mut self, document: &str) -> Digest {
        let digest = Digest::of(document.as_bytes());
        self.blobs.insert(digest, (None, document.into()));
        digest
    }

    pub fn events(&self) -> impl Iterator<Item = Event> {
        self.authorizations
            .iter()
            .filter_map(|bytes| match LogEntry::read(bytes) {
                Ok(LogEntry::Entry(entry)) => Some(entry.event),
                _ => None,
            })
    }

    pub fn entry(&self, event: Event) -> Vec<u8> {
        let entry = Entry {
            v: 1,
            deployment: deployment(),
            trial: self.trial,
            at: self.now,
            event,
        };
        canonical::to_bytes(&entry).unwrap()
    }

    /// Appends an event; its index. A second passes.
    pub fn event(&mut self, event: Event) -> u64 {
        let entry = self.entry(event);
        self.append(entry)
    }

    pub fn append(&mut self, entry: Vec<u8>) -> u64 {
        self.authorizations.push(entry);
        self.now = self.now.plus_seconds(1);
        self.authorizations.len() as u64 - 1
    }

    pub fn warrant(&mut self, warrant: &Warrant) -> (u64, Digest) {
        let jws = sign("gate", WARRANT_TYP, warrant);
        let digest = Digest::of(jws.as_bytes());
        (self.append(jws.into_bytes()), digest)
    }

    pub fn recommend(&mut self, jws: &str) -> LogReference {
        self.recommendations.push(jws.as_bytes().to_vec());
        self.reference(
            LogName::Recommendations,
            self.recommendations.len() as u64 - 1,
        )
    }

    /// Commits the authorizations log's head into the other log.
    pub fn cross_commit(&mut self) {
        let head = self.reference(LogName::Authorizations, 0);
        let entry = self.entry(Event::CrossCommitted {
            origin: head.origin,
            size: head.size,
            root: head.root,
        });
        self.recommendations.push(entry);
    }

    /// A place in a log, under its root as it is now.
    pub fn reference(&self, log: LogName, index: u64) -> LogReference {
        let tree = tree(self.entries(log));
        LogReference {
            origin: log.origin(&deployment()),
            index,
            size: tree.size(),
            root: Digest::from_bytes(*tree.root().as_bytes()),
        }
    }

    pub fn entries(&self, log: LogName) -> &[Vec<u8>] {
        match log {
            LogName::Recommendations => &self.recommendations,
            LogName::Authorizations => &self.authorizations,
        }
    }

    /// Keeps the checkpoints as they are now, whatever happens to the entries.
    pub fn seal(&mut self) {
        self.sealed = Some((
            self.signed(LogName::Recommendations),
            self.signed(LogName::Authorizations),
        ));
    }

    pub fn signed(&self, log: LogName) -> SignedCheckpoint {
        match (&self.sealed, log) {
            (Some((sealed, _)), LogName::Recommendations)
            | (Some((_, sealed)), LogName::Authorizations) => sealed.clone(),
            (None, _) => sign_head(&log_signer(log), &tree(self.entries(log)), self.witnessed),
        }
    }

    pub fn verify(&self) -> LogReport {
        self.verify_with(DemandedDocuments::default())
    }

    pub fn verify_with(&self, documents: DemandedDocuments) -> LogReport {
        let trusted = TrustedRoots {
            genesis: Some(self.genesis),
            documents,
            ..TrustedRoots::default()
        };
        verify_log(self, &trusted, &mut |_| {}).unwrap()
    }

    /// The entries that concern a change, as a gate's index would list them.
    pub fn trail(&self, change: &ChangeId) -> Vec<u64> {
        trail(self, change).unwrap()
    }

    pub fn why(&self, change: &ChangeId) -> Why {
        why(self, change, &self.trail(change), self.now.plus_seconds(60)).unwrap()
    }
}

pub fn sign_head(signer: &LogSigner, tree: &Tree, witnessed: bool) -> SignedCheckpoint {
    let checkpoint = Checkpoint::new(signer.origin().clone(), tree.size(), tree.root()).unwrap();
    let mut signed = signer.sign(&checkpoint).unwrap();
    if witnessed {
        let cosigner = Witness::new(witness(), vec![signer.verifier_key().clone()]);
        let request = AddCheckpoint::parse(&format!("old 0\n\n{signed}")).unwrap();
        let lines = cosigner
            .update(&mut VolatileHeads::default(), &request, 1_795_000_000)
            .unwrap();
        signed
            .add_cosignatures(&lines, &[witness().witness_key().clone()])
            .unwrap();
    }
    signed
}

pub fn tree(entries: &[Vec<u8>]) -> Tree {
    let mut tree = Tree::new();
    for entry in entries {
        tree.append(leaf_hash(entry)).unwrap();
    }
    tree
}

impl Source for House {
    fn entry(&self, log: LogName, index: u64) -> Result<Option<Vec<u8>>, SourceError> {
        Ok(self.entries(log).get(index as usize).cloned())
    }

    fn size(&self, log: LogName) -> Result<u64, SourceError> {
        Ok(self.entries(log).len() as u64)
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Blob>, SourceError> {
        Ok(self.blobs.get(digest).cloned())
    }

    fn proof(&self, log: LogName, index: u64) -> Result<String, SourceError> {
        let signed = self.signed(log);
        let hashes: Vec<Hash> = tree(self.entries(log))
            .inclusion_proof(signed.claimed().size(), index)
            .map_err(|error| SourceError::new("proof", error))?;
        Ok(TlogProof::new(index, hashes, signed).unwrap().to_string())
    }

    fn checkpoint(&self, log: LogName) -> Result<String, SourceError> {
        Ok(self.signed(log).to_string())
    }
}
