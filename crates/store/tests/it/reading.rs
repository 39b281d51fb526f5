//! The published side: read-only stores, tiles, bundles, folders that others verify.

use std::fs;

use countersign_ledger::{TileKind, TilePath, leaf_hash, parse_bundle, verify_consistency};
use countersign_store::{Log, Store, StoreError};

use crate::fixture::{database, open, signers};

fn entry(number: u32) -> Vec<u8> {
    format!("entry {number}").into_bytes()
}

fn fill(store: &Store, range: std::ops::Range<u32>) {
    let answer = store.submit::<_, StoreError>(move |tx| {
        for number in range {
            tx.append(Log::Authorizations, &entry(number))?;
        }
        Ok(())
    });
    answer.wait().unwrap();
}

#[test]
fn a_read_only_store_sees_what_the_server_published() {
    let folder = tempfile::tempdir().unwrap();
    let server = open(folder.path());
    fill(&server, 0..700);
    // The newest checkpoint reaches the disk a moment after the answer, and is waited for.
    let reader = Store::open_read_only(&database(folder.path())).unwrap();
    assert_eq!(reader.checkpoint(Log::Authorizations).0, 700);
    assert_eq!(
        reader.checkpoint(Log::Authorizations),
        server.checkpoint(Log::Authorizations)
    );
    let proof = reader.proof(Log::Authorizations, 3).unwrap();
    let policy = crate::conformance::policy(Log::Authorizations);
    assert!(proof.verify(&entry(3), &policy).is_ok());
    assert_eq!(
        reader.verifier_key(Log::Authorizations),
        signers().authorizations.verifier_key()
    );
    let refused = reader.submit::<_, StoreError>(|tx| tx.append(Log::Authorizations, b"no"));
    assert!(matches!(refused.wait(), Err(StoreError::Stopped(_))));
    fill(&server, 700..701);
    let found = reader.read::<_, StoreError>(|view| view.entry(Log::Authorizations, 700));
    assert_eq!(found.unwrap().unwrap(), entry(700));
}

#[test]
fn exported_folders_hold_exactly_the_tiles_that_are_served() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(folder.path());
    let log = Log::Authorizations;
    for (range, size) in [(0..300, 300), (300..1_100, 1_100)] {
        fill(&store, range);
        let exported = store.export(log, out.path()).unwrap();
        assert_eq!(exported.size, size);
        let key = signers().authorizations.verifier_key().clone();
        let report = countersign_ledger::fsck(out.path(), &key).unwrap();
        assert_eq!(report.size, size);
        let kinds = [
            TileKind::Entries,
            TileKind::Hashes { level: 0 },
            TileKind::Hashes { level: 1 },
        ];
        for kind in kinds {
            for index in 0..8 {
                let tile = TilePath::in_tree(kind, index, size);
                let width = tile.map_or(1, |tile| tile.width());
                let served = match kind {
                    TileKind::Entries => store.bundle(log, index, width),
                    TileKind::Hashes { level } => store.tile(log, level, index, width),
                };
                let file = tile.map(|tile| fs::read(out.path().join(tile.to_string())).unwrap());
                assert_eq!(served.unwrap(), file, "{kind:?} {index}");
            }
        }
    }
    // Narrower partials of earlier checkpoints are served as well; wider ones do not exist.
    let partial = store.bundle(log, 4, 10).unwrap().unwrap();
    assert_eq!(parse_bundle(&partial, 10).unwrap()[9], entry(4 * 256 + 9));
    let hashes = store.tile(log, 0, 0, 2).unwrap().unwrap();
    assert_eq!(&hashes[32..], leaf_hash(&entry(1)).as_bytes());
    assert_eq!(store.bundle(log, 4, 77).unwrap(), None);
    assert_eq!(store.tile(log, 0, 0, 0).unwrap(), None);
    assert_eq!(store.tile(log, 0, 0, 257).unwrap(), None);
    assert_eq!(store.tile(log, 200, u64::MAX, 1).unwrap(), None);
    // An empty log is a folder too.
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(
        store
            .export(Log::Recommendations, empty.path())
            .unwrap()
            .size,
        0
    );
}

#[test]
fn every_earlier_size_is_consistent_with_every_later_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut heads = vec![store.checkpoint(Log::Authorizations).1];
    for (start, end) in [(0, 1), (1, 255), (255, 256), (256, 5_000), (5_000, 9_001)] {
        fill(&store, start..end);
        heads.push(store.checkpoint(Log::Authorizations).1);
    }
    for (number, old) in heads.iter().enumerate() {
        for new in &heads[number..] {
            let (old, new) = (old.claimed(), new.claimed());
            let proof = store
                .consistency(Log::Authorizations, old.size(), new.size())
                .unwrap();
            verify_consistency(old.size(), old.root(), new.size(), new.root(), &proof).unwrap();
        }
    }
    assert!(store.consistency(Log::Authorizations, 5, 4).is_err());
    assert!(store.consistency(Log::Authorizations, 5, 9_002).is_err());
}
