//! Any interleaving of jobs that succeed, fail or panic gives what a plain list would hold.

use std::collections::BTreeMap;

use countersign_domain::Digest;
use countersign_ledger::{Tree, leaf_hash};
use countersign_store::{Log, Options, Store, StoreError};
use proptest::prelude::*;

use crate::fixture::{Refusal, database, document, signers};

#[derive(Debug, Clone)]
enum End {
    Keeps,
    Refuses,
    WritesWrongly,
}

#[derive(Debug, Clone)]
struct Step {
    appends: Vec<(bool, Vec<u8>)>,
    document: Option<u8>,
    end: End,
    /// Whether to wait for the answer before the next one, which ends the group.
    waits: bool,
    reopens: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let append = (any::<bool>(), prop::collection::vec(any::<u8>(), 0..6));
    (
        prop::collection::vec(append, 0..40),
        prop::option::of(0_u8..5),
        prop_oneof![4 => Just(End::Keeps), 2 => Just(End::Refuses), 1 => Just(End::WritesWrongly)],
        any::<bool>(),
        prop::bool::weighted(0.05),
    )
        .prop_map(|(appends, document, end, waits, reopens)| Step {
            appends,
            document,
            end,
            waits,
            reopens,
        })
}

fn log_of(authorizations: bool) -> Log {
    match authorizations {
        true => Log::Authorizations,
        false => Log::Recommendations,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn jobs_leave_what_a_model_says(steps in prop::collection::vec(step(), 1..40), batch_max in 1_usize..8) {
        let folder = tempfile::tempdir().unwrap();
        let open = || {
            let options = Options { batch_max, ..Options::default() };
            Store::open(&database(folder.path()), signers(), options).unwrap()
        };
        let mut store = open();
        let mut logs: BTreeMap<Log, Vec<Vec<u8>>> = Log::ALL.map(|log| (log, Vec::new())).into();
        let mut documents = BTreeMap::new();
        let mut waiting = Vec::new();
        for (number, step) in (0_u64..).zip(steps) {
            if step.reopens {
                drop(store);
                store = open();
            }
            let kept = matches!(step.end, End::Keeps);
            let mut expected = Vec::new();
            if kept {
                for (authorizations, entry) in &step.appends {
                    let log = logs.get_mut(&log_of(*authorizations)).unwrap();
                    expected.push(log.len() as u64);
                    log.push(entry.clone());
                }
                if let Some(key) = step.document {
                    documents.insert(key, number);
                }
            }
            let waits = step.waits;
            let answer = store.submit(move |tx| {
                let mut indexes = Vec::new();
                for (authorizations, entry) in &step.appends {
                    indexes.push(tx.append(log_of(*authorizations), entry)?.index);
                }
                if let Some(key) = step.document {
                    tx.put_document(&document(&key.to_string(), "", None, number))?;
                }
                match step.end {
                    End::Keeps => Ok(indexes),
                    End::Refuses => Err(Refusal::Own("by plan")),
                    End::WritesWrongly => {
                        let (_, blob) = crate::fixture::plain(b"bytes");
                        let _ = tx.put_blob(&Digest::of(b"other bytes"), &blob);
                        Ok(indexes)
                    }
                }
            });
            let check = move |answer: Result<Vec<u64>, Refusal>| match answer {
                Ok(indexes) => kept && indexes == expected,
                Err(_) => !kept,
            };
            if waits {
                prop_assert!(check(answer.wait()));
            } else {
                waiting.push((answer, check));
            }
        }
        for (answer, check) in waiting {
            prop_assert!(check(answer.wait()));
        }
        for round in 0..2 {
            if round == 1 {
                drop(store);
                store = open();
            }
            for (log, entries) in &logs {
                let mut tree = Tree::new();
                for entry in entries {
                    tree.append(leaf_hash(entry)).unwrap();
                }
                let head = store.read::<_, StoreError>(|view| view.head(*log)).unwrap();
                prop_assert_eq!(head.size, entries.len() as u64);
                let root = tree.root();
                prop_assert_eq!(head.root.as_bytes(), root.as_bytes());
                let (size, signed) = store.checkpoint(*log);
                prop_assert_eq!((size, signed.claimed().root()), (tree.size(), tree.root()));
                let found = store.read::<_, StoreError>(|view| view.entries(*log, 0, 10_000)).unwrap();
                prop_assert_eq!(&found, entries);
            }
            for key in 0..5_u8 {
                let found = store.read::<_, StoreError>(|view| view.document("change", &key.to_string())).unwrap();
                prop_assert_eq!(found.map(|d| d.order), documents.get(&key).copied());
            }
        }
        drop(store);
        let report = countersign_store::fsck(&database(folder.path()), None).unwrap();
        prop_assert!(report.is_sound(), "{:?}", report.problems);
    }
}
