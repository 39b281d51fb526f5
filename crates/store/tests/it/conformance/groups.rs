//! Jobs that share a transaction, and readers beside them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;

use countersign_store::{Log, StoreError};

use super::{Backend, policy};
use crate::fixture::{Refusal, document, plain, reservation};

/// Holds the writer until the returned sender is used, so that what is submitted meanwhile is
/// committed as one group.
fn hold<B: Backend>(store: &B) -> std::sync::mpsc::Sender<()> {
    let (go, wait) = channel();
    let (started, holding) = channel();
    let _held = store.submit(move |_| {
        started.send(()).unwrap();
        wait.recv().unwrap();
        Ok(())
    });
    holding.recv().unwrap();
    go
}

pub fn a_failing_job_takes_nothing_of_others_with_it<B: Backend>(place: &Path) {
    let store = B::open(place);
    let go = hold(&store);
    let answers: Vec<_> = (0..10_u8)
        .map(|number| {
            store.submit(move |tx| {
                let appended = tx.append(Log::Authorizations, &[number])?;
                tx.append(Log::Recommendations, &[number])?;
                tx.put_document(&document(&number.to_string(), "new", None, appended.index))?;
                tx.reserve(&reservation(1, &format!("web-{number}"), 0))?;
                let (digest, blob) = plain(&[number]);
                tx.put_blob(&digest, &blob)?;
                match number % 3 {
                    1 => Err(Refusal::Own("no room")),
                    _ => Ok(appended.index),
                }
            })
        })
        .collect();
    go.send(()).unwrap();
    let mut kept = Vec::new();
    for (number, answer) in (0_u8..).zip(answers) {
        match answer.wait() {
            Ok(index) => {
                assert_eq!(index, kept.len() as u64);
                kept.push(number);
            }
            Err(refusal) => assert!(matches!(refusal, Refusal::Own("no room"))),
        }
    }
    assert_eq!(kept, [0, 2, 3, 5, 6, 8, 9]);
    store.read(|view| {
        for log in Log::ALL {
            let entries: Vec<u8> = view.entries(log, 0, 100)?.concat();
            assert_eq!(entries, kept);
            assert_eq!(view.head(log)?.size, 7);
        }
        for number in 0..10_u8 {
            let is_kept = kept.contains(&number);
            let document = view.document("change", &number.to_string())?;
            assert_eq!(document.is_some(), is_kept);
            assert_eq!(view.blob(&plain(&[number]).0)?.is_some(), is_kept);
        }
        Ok(())
    });
    for (index, number) in (0..).zip(&kept) {
        let proof = store.proof(Log::Authorizations, index).unwrap();
        assert!(
            proof
                .verify(&[*number], &policy(Log::Authorizations))
                .is_ok()
        );
    }
}

pub fn a_panicking_job_is_alone_in_its_misfortune<B: Backend>(place: &Path) {
    let store = B::open(place);
    let go = hold(&store);
    let before = store.submit(|tx| Ok(tx.append(Log::Authorizations, b"before")?));
    let panics = store.submit::<()>(|tx| {
        tx.append(Log::Authorizations, b"lost")?;
        panic!("a defect in a job (this text belongs to a test)");
    });
    let after = store.submit(|tx| Ok(tx.append(Log::Authorizations, b"after")?));
    go.send(()).unwrap();
    assert_eq!(before.wait().unwrap().index, 0);
    assert!(matches!(
        panics.wait(),
        Err(Refusal::Store(StoreError::Engine(_)))
    ));
    assert_eq!(after.wait().unwrap().index, 1);
    let entries = store.read(|view| view.entries(Log::Authorizations, 0, 10));
    assert_eq!(entries, [b"before".to_vec(), b"after".to_vec()]);
}

pub fn a_swallowed_write_error_still_undoes_the_job<B: Backend>(place: &Path) {
    let store = B::open(place);
    let answer = store.submit(|tx| {
        tx.append(Log::Authorizations, b"half")?;
        // A digest that is not the blob's; the job goes on as if nothing had happened.
        let _ = tx.put_blob(&plain(b"one").0, &plain(b"another").1);
        assert!(tx.append(Log::Authorizations, b"other half").is_err());
        Ok(())
    });
    assert!(matches!(
        answer.wait(),
        Err(Refusal::Store(StoreError::Damaged(_)))
    ));
    assert_eq!(store.read(|view| view.head(Log::Authorizations)).size, 0);
    store.write(|tx| Ok(tx.append(Log::Authorizations, b"whole")?));
    assert_eq!(
        store
            .read(|view| view.entry(Log::Authorizations, 0))
            .unwrap(),
        b"whole"
    );
}

pub fn acknowledged_entries_of_many_threads_are_there_and_dense<B: Backend>(place: &Path) {
    const THREADS: u8 = 8;
    const JOBS: u16 = 60;
    let store = B::open(place);
    let acknowledged: Vec<(u64, Vec<u8>)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let store = &store;
                scope.spawn(move || {
                    let mut acknowledged = Vec::new();
                    for job in 0..JOBS {
                        let entry = [vec![thread], job.to_be_bytes().to_vec()].concat();
                        let bytes = entry.clone();
                        let appended =
                            store.write(move |tx| Ok(tx.append(Log::Authorizations, &bytes)?));
                        // Provable the moment it is answered.
                        let proof = store.proof(Log::Authorizations, appended.index).unwrap();
                        assert!(proof.verify(&entry, &policy(Log::Authorizations)).is_ok());
                        acknowledged.push((appended.index, entry));
                    }
                    acknowledged
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    let total = u64::from(THREADS) * u64::from(JOBS);
    let indexes: BTreeSet<u64> = acknowledged.iter().map(|(index, _)| *index).collect();
    assert!(indexes.iter().copied().eq(0..total));
    let entries = store.read(|view| view.entries(Log::Authorizations, 0, 10_000));
    assert_eq!(entries.len() as u64, total);
    for (index, entry) in acknowledged {
        assert_eq!(entries[index as usize], entry);
    }
}

pub fn a_snapshot_does_not_move_while_others_write<B: Backend>(place: &Path) {
    let store = B::open(place);
    let write = |number: u64| {
        store.write(move |tx| {
            tx.append(Log::Authorizations, &number.to_be_bytes())?;
            tx.put_document(&document("counter", &number.to_string(), None, number))?;
            Ok(())
        });
    };
    write(1);
    store.read(|view| {
        let before = view.head(Log::Authorizations)?;
        write(2);
        assert_eq!(view.head(Log::Authorizations)?, before);
        assert_eq!(view.entries(Log::Authorizations, 0, 10)?.len(), 1);
        assert_eq!(view.document("change", "counter")?.unwrap().state, "1");
        Ok(())
    });
    assert_eq!(store.read(|view| view.head(Log::Authorizations)).size, 2);
}

pub fn state_and_entries_commit_together<B: Backend>(place: &Path) {
    let store = B::open(place);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 1..=100_u64 {
                store.write(move |tx| {
                    tx.append(Log::Recommendations, &number.to_be_bytes())?;
                    tx.put_document(&document("counter", "", None, number))?;
                    tx.append(Log::Authorizations, &number.to_be_bytes())?;
                    Ok(())
                });
            }
        });
        while !writer.is_finished() {
            store.read(|view| {
                let counter = view.document("change", "counter")?.map_or(0, |d| d.order);
                for log in Log::ALL {
                    assert_eq!(view.head(log)?.size, counter);
                    assert_eq!(view.entries(log, 0, 1_000)?.len() as u64, counter);
                }
                Ok(())
            });
        }
    });
}
