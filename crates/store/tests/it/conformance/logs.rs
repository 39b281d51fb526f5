//! Heads, entries, checkpoints and proofs.

use std::path::Path;

use countersign_domain::Digest;
use countersign_ledger::{ENTRY_BYTES_MAX, Tree, leaf_hash};
use countersign_store::{Head, Log, StoreError};

use super::{Backend, policy};
use crate::fixture::Refusal;

fn head_of<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Head {
    let mut tree = Tree::new();
    for entry in entries {
        tree.append(leaf_hash(entry)).unwrap();
    }
    Head {
        size: tree.size(),
        root: Digest::from_bytes(*tree.root().as_bytes()),
    }
}

pub fn an_append_gives_the_head_inside_the_transaction<B: Backend>(place: &Path) {
    let store = B::open(place);
    assert_eq!(
        store.read(|view| view.head(Log::Recommendations)),
        head_of([])
    );
    store.write(|tx| {
        let first = tx.append(Log::Authorizations, b"one")?;
        assert_eq!((first.index, first.head), (0, head_of([b"one".as_slice()])));
        let second = tx.append(Log::Authorizations, b"two")?;
        let both = head_of([b"one".as_slice(), b"two"]);
        assert_eq!((second.index, second.head), (1, both));
        assert_eq!(tx.head(Log::Authorizations)?, both);
        assert_eq!(tx.head(Log::Recommendations)?.size, 0);
        assert_eq!(tx.entry(Log::Authorizations, 1)?.unwrap(), b"two");
        Ok(())
    });
    let both = head_of([b"one".as_slice(), b"two"]);
    assert_eq!(store.read(|view| view.head(Log::Authorizations)), both);
    assert_eq!(store.checkpoint(Log::Authorizations).0, 2);
    assert_eq!(store.checkpoint(Log::Recommendations).0, 0);
}

pub fn entries_are_found_by_index_and_range<B: Backend>(place: &Path) {
    let store = B::open(place);
    store.write(|tx| {
        for entry in [b"a".as_slice(), b"b", b"a", b""] {
            tx.append(Log::Recommendations, entry)?;
        }
        tx.append(Log::Authorizations, b"other")?;
        Ok(())
    });
    store.read(|view| {
        let log = Log::Recommendations;
        assert_eq!(view.entry(log, 3)?.unwrap(), b"");
        assert_eq!(view.entry(log, 4)?, None);
        assert_eq!(view.entry(log, u64::MAX)?, None);
        assert_eq!(view.entries(log, 1, 2)?, [b"b".to_vec(), b"a".to_vec()]);
        assert_eq!(view.entries(log, 3, 100)?, [Vec::<u8>::new()]);
        assert!(view.entries(log, 4, 100)?.is_empty());
        Ok(())
    });
}

pub fn an_oversized_entry_is_refused_and_the_largest_taken<B: Backend>(place: &Path) {
    let store = B::open(place);
    let refused =
        store.submit(|tx| Ok(tx.append(Log::Authorizations, &vec![7; ENTRY_BYTES_MAX + 1])?));
    assert!(matches!(
        refused.wait(),
        Err(Refusal::Store(StoreError::TooLarge {
            max: ENTRY_BYTES_MAX,
            ..
        }))
    ));
    assert_eq!(store.read(|view| view.head(Log::Authorizations)).size, 0);
    // Refusing one does not spoil the job for another.
    let index = store.write(|tx| {
        assert!(
            tx.append(Log::Authorizations, &vec![7; ENTRY_BYTES_MAX + 1])
                .is_err()
        );
        Ok(tx
            .append(Log::Authorizations, &vec![7; ENTRY_BYTES_MAX])?
            .index)
    });
    assert_eq!(index, 0);
    let found = store
        .read(|view| view.entry(Log::Authorizations, 0))
        .unwrap();
    assert_eq!(found.len(), ENTRY_BYTES_MAX);
}

pub fn checkpoints_after_commit_verify_and_prove_every_entry<B: Backend>(place: &Path) {
    let store = B::open(place);
    for number in 0..20_u8 {
        let appended = store.write(move |tx| {
            tx.append(Log::Recommendations, &[number, 0])?;
            Ok(tx.append(Log::Authorizations, &[number])?)
        });
        let (size, signed) = store.checkpoint(Log::Authorizations);
        let policy = policy(Log::Authorizations);
        let checkpoint = policy.check(&signed).unwrap().checkpoint.clone();
        assert_eq!(size, appended.head.size);
        assert_eq!(checkpoint.size(), size);
        assert_eq!(checkpoint.root().as_bytes(), appended.head.root.as_bytes());
    }
    for log in Log::ALL {
        for number in 0..20_u8 {
            let entry: &[u8] = if log == Log::Recommendations {
                &[number, 0]
            } else {
                &[number]
            };
            let proof = store.proof(log, number.into()).unwrap();
            assert!(proof.verify(entry, &policy(log)).is_ok());
            assert!(proof.verify(b"forged", &policy(log)).is_err());
        }
        assert!(store.proof(log, 20).is_err());
    }
}

pub fn reopening_gives_the_same_roots<B: Backend>(place: &Path) {
    // Across a tile's edge, so that nodes are restored as well.
    let mut entries = Vec::new();
    for round in 0..3_u32 {
        let store = B::open(place);
        assert_eq!(
            store.checkpoint(Log::Authorizations).0,
            entries.len() as u64
        );
        let pending: Vec<_> = (0..200_u32)
            .map(|number| {
                let entry = (round * 1_000 + number).to_be_bytes().to_vec();
                entries.push(entry.clone());
                store.submit(move |tx| Ok(tx.append(Log::Authorizations, &entry)?))
            })
            .collect();
        for answer in pending {
            answer.wait().unwrap();
        }
        let head = store.read(|view| view.head(Log::Authorizations));
        assert_eq!(head, head_of(entries.iter().map(Vec::as_slice)));
    }
    let store = B::open(place);
    let head = store.read(|view| view.head(Log::Authorizations));
    assert_eq!(head, head_of(entries.iter().map(Vec::as_slice)));
    let (size, signed) = store.checkpoint(Log::Authorizations);
    assert_eq!(size, 600);
    assert!(policy(Log::Authorizations).check(&signed).is_ok());
}

pub fn old_entries_are_proven_from_storage<B: Backend>(place: &Path) {
    let store = B::open(place);
    // More than the tree in memory reaches back to.
    store.write(|tx| {
        for number in 0..6_000_u32 {
            tx.append(Log::Authorizations, &number.to_be_bytes())?;
        }
        Ok(())
    });
    let policy = policy(Log::Authorizations);
    for number in [0_u32, 1, 255, 256, 1_000, 5_999] {
        let proof = store.proof(Log::Authorizations, number.into()).unwrap();
        assert!(
            proof.verify(&number.to_be_bytes(), &policy).is_ok(),
            "{number}"
        );
    }
}
