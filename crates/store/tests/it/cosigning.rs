//! With a witness: what is handed out is cosigned when it answers, and not when it does not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use countersign_ledger::{
    AddCheckpoint, KeyName, QuorumPolicy, UpdateError, VolatileHeads, Witness, WitnessKey,
    WitnessSigner,
};
use countersign_store::{CosignError, CosignRequest, Cosigner, Log, Options, Store, StoreError};

use crate::fixture::{database, signers};

/// A witness in this process, of several moods.
struct InProcess {
    witness: Witness,
    heads: Mutex<VolatileHeads>,
    keys: Vec<WitnessKey>,
    mood: Mutex<Mood>,
    cosigned: AtomicU64,
    deadline: Duration,
}

#[derive(Clone, Copy)]
enum Mood {
    Answers,
    Refuses,
    Sleeps(Duration),
    Panics,
}

impl InProcess {
    fn new(mood: Mood, deadline: Duration) -> Arc<Self> {
        let name = KeyName::new("witness.example.org").unwrap();
        let signer = WitnessSigner::from_seed(name, &[3; 32]).unwrap();
        let log = signers().authorizations.verifier_key().clone();
        let keys = vec![signer.witness_key().clone()];
        Arc::new(Self {
            witness: Witness::new(signer, vec![log]),
            heads: Mutex::default(),
            keys,
            mood: Mutex::new(mood),
            cosigned: AtomicU64::new(0),
            deadline,
        })
    }

    fn policy(&self) -> QuorumPolicy {
        let log = signers().authorizations.verifier_key().clone();
        QuorumPolicy::new(vec![log], self.keys.clone(), 1).unwrap()
    }

    fn feel(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn ask(
        &self,
        request: &CosignRequest<'_>,
        old_size: u64,
    ) -> Result<String, UpdateError<String>> {
        let request = AddCheckpoint {
            old_size,
            proof: request.consistency(old_size).unwrap(),
            checkpoint: request.checkpoint().clone(),
        };
        let mut heads = self.heads.lock().unwrap();
        match self.witness.update(&mut *heads, &request, 1_700_000_000) {
            Err(UpdateError::Conflict { size }) => Err(UpdateError::Conflict { size }),
            other => other.map_err(|error| UpdateError::Store(error.to_string())),
        }
    }
}

impl Cosigner for InProcess {
    fn witnesses(&self) -> &[WitnessKey] {
        &self.keys
    }

    fn deadline(&self) -> Duration {
        self.deadline
    }

    fn cosign(&self, request: &CosignRequest<'_>) -> Result<String, CosignError> {
        match *self.mood.lock().unwrap() {
            Mood::Answers => {}
            Mood::Refuses => return Err(CosignError("not today".to_owned())),
            Mood::Sleeps(time) => thread::sleep(time),
            Mood::Panics => panic!("a defect in a cosigner (this text belongs to a test)"),
        }
        let answer = match self.ask(request, request.old_size()) {
            Err(UpdateError::Conflict { size }) => self.ask(request, size),
            other => other,
        };
        self.cosigned.fetch_add(1, Ordering::SeqCst);
        answer.map_err(|error| CosignError(error.to_string()))
    }
}

fn open(folder: &std::path::Path, cosigner: &Arc<InProcess>) -> Store {
    let options = Options {
        cosigner: Some(Arc::clone(cosigner) as Arc<dyn Cosigner>),
        ..Options::default()
    };
    Store::open(&database(folder), signers(), options).unwrap()
}

fn append(store: &Store, entry: &[u8]) -> u64 {
    let entry = entry.to_vec();
    let answer = store.submit::<_, StoreError>(move |tx| tx.append(Log::Authorizations, &entry));
    answer.wait().unwrap().index
}

#[test]
fn an_answer_means_that_a_cosigned_proof_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let witness = InProcess::new(Mood::Answers, Duration::from_secs(30));
    {
        let store = open(folder.path(), &witness);
        thread::scope(|scope| {
            for thread in 0..4_u8 {
                let (store, witness) = (&store, &witness);
                scope.spawn(move || {
                    for number in 0..25 {
                        let index = append(store, &[thread, number]);
                        let proof = store.proof(Log::Authorizations, index).unwrap();
                        proof.verify(&[thread, number], &witness.policy()).unwrap();
                    }
                });
            }
        });
        // Coalesced: never more requests than groups, and every one was answered.
        assert!(witness.cosigned.load(Ordering::SeqCst) <= 101);
    }
    // The cosigned note was kept, and the witness is asked on from where it stands.
    let store = open(folder.path(), &witness);
    let (size, signed) = store.checkpoint(Log::Authorizations);
    assert_eq!(size, 100);
    assert!(witness.policy().check(&signed).is_ok());
    let index = append(&store, b"next");
    let proof = store.proof(Log::Authorizations, index).unwrap();
    assert!(proof.verify(b"next", &witness.policy()).is_ok());
}

#[test]
fn without_a_cosignature_the_log_still_answers_and_quorums_refuse() {
    let folder = tempfile::tempdir().unwrap();
    for mood in [Mood::Refuses, Mood::Panics] {
        let witness = InProcess::new(mood, Duration::from_secs(30));
        let store = open(folder.path(), &witness);
        let index = append(&store, b"entry");
        let proof = store.proof(Log::Authorizations, index).unwrap();
        let alone = crate::conformance::policy(Log::Authorizations);
        assert!(proof.verify(b"entry", &alone).is_ok());
        assert!(proof.verify(b"entry", &witness.policy()).is_err());
    }
}

#[test]
fn what_was_cosigned_stays_provable_while_the_witness_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let witness = InProcess::new(Mood::Answers, Duration::from_secs(30));
    let store = open(folder.path(), &witness);
    let covered = append(&store, b"covered");
    witness.feel(Mood::Refuses);
    let later = append(&store, b"later");
    let cosigned = |index, entry: &[u8]| {
        let proof = store.proof(Log::Authorizations, index).unwrap();
        proof.verify(entry, &witness.policy()).is_ok()
    };
    assert!(cosigned(covered, b"covered"));
    assert!(!cosigned(later, b"later"));
    witness.feel(Mood::Answers);
    append(&store, b"latest");
    assert!(cosigned(later, b"later"));
}

#[test]
fn a_slow_witness_holds_answers_up_to_the_deadline_and_not_the_writer() {
    let folder = tempfile::tempdir().unwrap();
    let sleep = Duration::from_secs(30);
    let witness = InProcess::new(Mood::Sleeps(sleep), Duration::from_millis(200));
    let store = open(folder.path(), &witness);
    let start = Instant::now();
    let waiting: Vec<_> = (0..5_u8)
        .map(|number| {
            let log = Log::Authorizations;
            store.submit::<_, StoreError>(move |tx| tx.append(log, &[number]))
        })
        .collect();
    // What does not touch that log may have seen it: it waits as long, and no longer.
    let other = store.submit::<_, StoreError>(|tx| tx.append(Log::Recommendations, b"other"));
    for answer in waiting {
        answer.wait().unwrap();
    }
    other.wait().unwrap();
    assert!(start.elapsed() < sleep, "{:?}", start.elapsed());
    drop(store);
    assert!(
        start.elapsed() < sleep,
        "closing does not wait for the witness"
    );
}
