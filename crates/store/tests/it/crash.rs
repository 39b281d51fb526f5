//! Killed at any moment, a store keeps what it acknowledged, and what it signed stays true.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs, thread};

use countersign_ledger::SignedCheckpoint;
use countersign_store::{Log, OpenError, Options, Store, StoreError, fsck};

use crate::conformance::policy;
use crate::fixture::{database, document, open, signers};

const FOLDER: &str = "COUNTERSIGN_STORE_CRASH_FOLDER";

/// Not a test by itself: what the test below kills.
#[test]
#[ignore = "started and killed by `acknowledged_entries_survive_sigkill`"]
fn endless_writer() {
    let folder = env::var(FOLDER).unwrap();
    let store = open(Path::new(&folder));
    let run = std::process::id();
    thread::scope(|scope| {
        for thread in 0..4_u64 {
            let store = &store;
            scope.spawn(move || {
                for number in 0_u64.. {
                    let entry = format!("{run}/{thread}/{number}").into_bytes();
                    let answer = store.submit::<_, StoreError>(move |tx| {
                        tx.append(Log::Recommendations, &entry)?;
                        let appended = tx.append(Log::Authorizations, &entry)?;
                        let key = String::from_utf8_lossy(&entry);
                        tx.put_document(&document(&key, "", None, appended.index))?;
                        Ok(appended.index)
                    });
                    let index = answer.wait().unwrap();
                    // One write call a line: whole lines only, as far as they got.
                    println!("acknowledged {index} {run}/{thread}/{number}");
                }
            });
        }
    });
}

#[test]
fn acknowledged_entries_survive_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<(u64, String)> = Vec::new();
    for lines in [1, 60, 400] {
        let mut child = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "crash::endless_writer",
                "--ignored",
                "--nocapture",
            ])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut heard = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let Some(rest) = line.strip_prefix("acknowledged ") else {
                continue;
            };
            let (index, entry) = rest.split_once(' ').unwrap();
            acknowledged.push((index.parse().unwrap(), entry.to_owned()));
            heard += 1;
            if heard == lines {
                child.kill().unwrap();
            }
        }
        assert!(heard >= lines, "the writer died by itself");
        child.wait().unwrap();
        let report = fsck(&database(folder.path()), None).unwrap();
        assert!(report.is_sound(), "{:#?}", report.problems);
        let store = open(folder.path());
        store
            .read::<_, StoreError>(|view| {
                for (index, entry) in &acknowledged {
                    let found = view.entry(Log::Authorizations, *index)?.unwrap();
                    assert_eq!(found, entry.as_bytes());
                    assert_eq!(view.document("change", entry)?.unwrap().order, *index);
                }
                let sizes = Log::ALL.map(|log| view.head(log).unwrap().size);
                assert_eq!(sizes[0], sizes[1], "one transaction, both logs");
                Ok(())
            })
            .unwrap();
        assert!(
            policy(Log::Authorizations)
                .check(&store.checkpoint(Log::Authorizations).1)
                .is_ok()
        );
    }
}

#[test]
fn a_copy_of_the_files_in_mid_run_opens_with_all_that_was_acknowledged() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(folder.path());
    let mut signed: Vec<SignedCheckpoint> = Vec::new();
    for number in 0..50_u8 {
        let answer =
            store.submit::<_, StoreError>(move |tx| tx.append(Log::Authorizations, &[number]));
        answer.wait().unwrap();
        signed.push(store.checkpoint(Log::Authorizations).1);
    }
    // Not closed: the write-ahead log holds what the database does not have yet.
    for name in ["countersign.db", "countersign.db-wal"] {
        fs::copy(folder.path().join(name), elsewhere.path().join(name)).unwrap();
    }
    let copy = open(elsewhere.path());
    assert_eq!(
        copy.checkpoint(Log::Authorizations),
        store.checkpoint(Log::Authorizations)
    );
    // Every checkpoint ever handed out is of the same history.
    for earlier in signed {
        let (old, new) = (earlier.claimed(), copy.checkpoint(Log::Authorizations).1);
        let proof = copy
            .consistency(Log::Authorizations, old.size(), 50)
            .unwrap();
        countersign_ledger::verify_consistency(
            old.size(),
            old.root(),
            50,
            new.claimed().root(),
            &proof,
        )
        .unwrap();
    }
    // And the copy is another file: the lock is on the folder of each.
    let again = Store::open(&database(folder.path()), signers(), Options::default());
    assert!(matches!(again.err().unwrap(), OpenError::InUse { .. }));
}
