//! Files that are not what was written: pages overwritten anywhere, a write-ahead log cut short. A
//! store either refuses to open and says what to do, or what it holds is proven whole.

use std::fs;
use std::path::Path;

use countersign_store::{
    Apply, Log, OpenError, Options, RebuildError, Store, StoreError, Write, fsck, rebuild,
};

use crate::fixture::{database, document, open, plain, signers};

const PAGE: usize = 4096;

fn try_open(folder: &Path) -> Result<Store, OpenError> {
    Store::open(&database(folder), signers(), Options::default())
}

/// Entries of many lengths, some of them over several pages; blobs and documents beside.
fn fill(store: &Store, groups: u64) {
    for group in 0..groups {
        let answer = store.submit::<_, StoreError>(move |tx| {
            for n in 0..20 {
                let number = group * 20 + n;
                let length = usize::try_from(number * 97 % 9_000).unwrap_or(0);
                let entry: Vec<u8> = (0..length + 8)
                    .map(|i| (i as u64 ^ number) as u8 | 1)
                    .collect();
                tx.append(Log::Authorizations, &entry)?;
                tx.append(Log::Recommendations, &entry[..entry.len() / 2])?;
                let (digest, blob) = plain(&entry);
                tx.put_blob(&digest, &blob)?;
                tx.put_document(&document(&format!("key-{number}"), "open", Some(5), number))?;
            }
            Ok(())
        });
        answer.wait().unwrap();
    }
}

/// What a broken disk or another program leaves of the page at `at`.
fn overwritten(bytes: &[u8], at: usize, how: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let other = bytes[(at + 7 * PAGE) % bytes.len()..][..PAGE].to_vec();
    let page = &mut bytes[at..at + PAGE];
    match how {
        0 => page.fill(0xa5),
        1 => page.fill(0),
        // The page of another place, written here.
        _ => page.copy_from_slice(&other),
    }
    bytes
}

#[test]
fn a_page_overwritten_anywhere_is_refused_or_changed_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, 15);
    drop(store);
    let path = database(folder.path());
    let whole = fs::read(&path).unwrap();
    let pages = whole.len() / PAGE;
    assert!(pages > 500, "{pages} pages");
    let (mut refused, mut harmless, mut unreadable) = (0, Vec::new(), Vec::new());
    for (turn, page) in (0..pages).step_by(3).enumerate() {
        let how = turn % 3;
        let bytes = overwritten(&whole, page * PAGE, how);
        if bytes == whole {
            continue;
        }
        fs::write(&path, bytes).unwrap();
        match try_open(folder.path()) {
            Err(error) => {
                let said = error.to_string();
                assert!(
                    matches!(error, OpenError::Damaged(_) | OpenError::Head { .. }),
                    "page {page}, {how}: {said}"
                );
                assert!(said.contains("restore the newest backup"), "{said}");
                refused += 1;
                match fsck(&path, None) {
                    Ok(report) => assert!(!report.is_sound(), "page {page}, {how}"),
                    // The list of tables, or of logs, is broken.
                    Err(_) => unreadable.push(page),
                }
            }
            Ok(store) => {
                drop(store);
                harmless.push((page, how));
                // The tail of a blob keeps its form; it is found by its digest when it is read. The
                // index by leaf hash finds entries for nobody who decides.
                let report = match fsck(&path, None) {
                    Ok(report) => report,
                    Err(error) => panic!("page {page}, {how}: {error}"),
                };
                let others: Vec<_> = report
                    .problems
                    .iter()
                    .filter(|problem| !problem.starts_with("blob ") && !problem.contains("_leaf"))
                    .collect();
                assert!(others.is_empty(), "page {page}, {how}: {others:?}");
            }
        }
        for beside in ["countersign.db-wal", "countersign.db-shm"] {
            let _ = fs::remove_file(folder.path().join(beside));
        }
    }
    assert!(
        harmless.len() * 5 < refused,
        "{refused} refused, not {harmless:?}"
    );
    assert!(unreadable.len() < 10, "{unreadable:?}");
    fs::write(&path, &whole).unwrap();
    assert!(try_open(folder.path()).is_ok());
}

#[test]
fn a_file_cut_short_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, 4);
    drop(store);
    let path = database(folder.path());
    let whole = fs::read(&path).unwrap();
    for length in [
        100,
        PAGE,
        whole.len() / 2,
        whole.len() - PAGE,
        whole.len() - 1,
    ] {
        fs::write(&path, &whole[..length]).unwrap();
        let error = try_open(folder.path()).err().unwrap();
        assert!(
            matches!(error, OpenError::Damaged(_)),
            "{length} bytes: {error}"
        );
    }
}

#[test]
fn projections_are_not_put_right_among_broken_pages() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, 4);
    drop(store);
    let path = database(folder.path());
    let whole = fs::read(&path).unwrap();
    let at = whole.len() / PAGE / 2 * PAGE;
    let broken = overwritten(&whole, at, 0);
    fs::write(&path, &broken).unwrap();
    let nothing = &mut |_: &mut dyn Write, _, _: &[u8]| Ok::<_, StoreError>(());
    let refused = rebuild(&path, Apply::Yes, nothing).err().unwrap();
    assert!(
        matches!(refused, RebuildError::Open(OpenError::Damaged(_))),
        "{refused}"
    );
    assert_eq!(fs::read(&path).unwrap(), broken);
    fs::write(&path, &whole).unwrap();
    assert!(rebuild(&path, Apply::Yes, nothing).unwrap().applied);
}
