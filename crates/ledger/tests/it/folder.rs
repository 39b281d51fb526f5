//! Static folders: written as the specification says, extended but never forked, and every
//! change to one noticed.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::path::Path;

use countersign_ledger::{
    ExportError, Exported, FsckError, LogSigner, SignedCheckpoint, VerifierKey, export, fsck,
    fsck_visit,
};
use tempfile::TempDir;

use crate::fixture::{checkpoint, entry, log, origin, signed, tree};

fn key() -> VerifierKey {
    log().verifier_key().clone()
}

fn write(folder: &Path, size: u64) -> Result<Exported, ExportError<Infallible>> {
    export(
        folder,
        &signed(&tree(size)),
        &key(),
        (0..size).map(|i| Ok(entry(i))),
    )
}

fn exported(size: u64) -> TempDir {
    let folder = TempDir::new().unwrap();
    write(folder.path(), size).unwrap();
    folder
}

/// All files below a folder, with their content.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for item in fs::read_dir(folder).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                found.insert(name.to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}

#[test]
fn a_folder_has_the_files_of_the_specification() {
    let folder = exported(600);
    let files = files(folder.path());
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "checkpoint",
            "tile/0/000",
            "tile/0/001",
            "tile/0/002.p/88",
            "tile/1/000.p/2",
            "tile/entries/000",
            "tile/entries/001",
            "tile/entries/002.p/88",
            "vkey",
        ]
    );
    assert_eq!(files["vkey"], format!("{}\n", key()).into_bytes());
    assert_eq!(files["checkpoint"], signed(&tree(600)).as_str().as_bytes());
    assert_eq!(files["tile/0/001"].len(), 8192);
    assert_eq!(files["tile/1/000.p/2"][..32], *tree(256).root().as_bytes());
    assert_eq!(files["tile/entries/000"][..2], [0, 2]);
    assert_eq!(files["tile/entries/000"][2..4], *b"0:");
}

#[test]
fn sound_folders_pass_at_every_kind_of_size() {
    for size in [0, 1, 2, 255, 256, 257, 511, 512, 513, 700] {
        let folder = exported(size);
        let mut seen = Vec::new();
        let report = fsck_visit(folder.path(), &key(), &mut |index, entry| {
            seen.push((index, entry.to_vec()));
        })
        .unwrap();
        assert_eq!(report.size, size);
        assert_eq!(report.root, tree(size).root());
        assert_eq!(seen, (0..size).map(|i| (i, entry(i))).collect::<Vec<_>>());
    }
}

#[test]
fn every_changed_byte_of_every_file_is_noticed() {
    let folder = exported(20);
    fsck(folder.path(), &key()).unwrap();
    let files = files(folder.path());
    assert_eq!(files.len(), 4);
    for (name, content) in files {
        let path = folder.path().join(&name);
        for position in 0..content.len() {
            for mask in [0x01, 0x20, 0x80, 0xff] {
                let mut altered = content.clone();
                altered[position] ^= mask;
                fs::write(&path, &altered).unwrap();
                let noticed = fsck(folder.path(), &key());
                assert!(
                    noticed.is_err(),
                    "`{name}` byte {position} xor {mask:#04x} passed"
                );
            }
        }
        for length in 0..content.len() {
            fs::write(&path, &content[..length]).unwrap();
            assert!(
                fsck(folder.path(), &key()).is_err(),
                "`{name}` cut to {length} passed"
            );
        }
        for tail in [&b"\0"[..], b"\n", b"x", &content] {
            fs::write(&path, [&content, tail].concat()).unwrap();
            assert!(
                fsck(folder.path(), &key()).is_err(),
                "`{name}` with a tail passed"
            );
        }
        fs::remove_file(&path).unwrap();
        assert!(
            matches!(fsck(folder.path(), &key()), Err(FsckError::Missing { path: missing }) if missing == path),
            "`{name}` removed"
        );
        fs::create_dir(&path).unwrap();
        assert!(matches!(
            fsck(folder.path(), &key()),
            Err(FsckError::File { .. })
        ));
        fs::remove_dir(&path).unwrap();
        fs::write(&path, &content).unwrap();
    }
    fsck(folder.path(), &key()).unwrap();
}

#[test]
fn changes_in_every_tile_of_a_larger_log_are_noticed_where_they_are() {
    let folder = exported(600);
    for (name, content) in files(folder.path()) {
        let path = folder.path().join(&name);
        for position in (0..content.len()).step_by(content.len() / 9 + 1) {
            let mut altered = content.clone();
            altered[position] ^= 0x10;
            fs::write(&path, &altered).unwrap();
            let error = fsck(folder.path(), &key()).unwrap_err().to_string();
            // A changed entry shows as the leaf tile that no longer fits it.
            let reported = name.replace("tile/entries/", "tile/0/");
            assert!(
                error.contains(&name) || error.contains(&reported),
                "`{name}`: {error}"
            );
        }
        fs::write(&path, &content).unwrap();
    }
    fsck(folder.path(), &key()).unwrap();
}

#[test]
fn a_consistent_rewrite_of_history_fails_against_the_signed_root() {
    let folder = exported(20);
    let forged = TempDir::new().unwrap();
    // Another history, with tiles that fit it, under the true checkpoint.
    let mut other = countersign_ledger::Tree::new();
    let entries: Vec<Vec<u8>> = (0..20)
        .map(|i| entry(if i == 7 { 70 } else { i }))
        .collect();
    for entry in &entries {
        other.append(countersign_ledger::leaf_hash(entry)).unwrap();
    }
    let checkpoint = log().sign(&checkpoint(&other)).unwrap();
    let entries = entries.into_iter().map(Ok::<_, Infallible>);
    export(forged.path(), &checkpoint, &key(), entries).unwrap();
    fs::copy(
        folder.path().join("checkpoint"),
        forged.path().join("checkpoint"),
    )
    .unwrap();
    assert!(matches!(
        fsck(forged.path(), &key()),
        Err(FsckError::Root { .. })
    ));
}

#[test]
fn the_key_is_the_callers_not_the_folders() {
    let folder = exported(20);
    let other = LogSigner::from_seed(log().origin().clone(), &[6; 32]).unwrap();
    let other = other.verifier_key().clone();
    assert!(matches!(
        fsck(folder.path(), &other),
        Err(FsckError::OtherKey { .. })
    ));
    fs::write(folder.path().join("vkey"), format!("{other}\n")).unwrap();
    assert!(matches!(
        fsck(folder.path(), &other),
        Err(FsckError::Signature { .. })
    ));
    assert!(matches!(
        fsck(folder.path(), &key()),
        Err(FsckError::OtherKey { .. })
    ));
}

#[test]
fn what_does_not_belong_below_tile_is_noticed() {
    let tile = vec![0; 32];
    for extra in [
        "tile/0/000.p/21",
        "tile/0/000",
        "tile/0/001",
        "tile/0/001.p/1",
        "tile/1/000.p/1",
        "tile/entries/001.p/1",
        "tile/0/readme",
        "tile/0/000.p/20.tmp",
        "tile/x/y",
        "tile/0/x000/000",
        "tile/0/a/b/c/d/e/f/g/h/i",
        "tile/file",
    ] {
        let folder = exported(20);
        let path = folder.path().join(extra);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &tile).unwrap();
        let error = fsck(folder.path(), &key()).unwrap_err();
        assert!(
            matches!(error, FsckError::Unexpected { .. }),
            "`{extra}`: {error}"
        );
    }
    // Beside the log's own files anything may be.
    let folder = exported(20);
    fs::write(folder.path().join("README"), "hello").unwrap();
    fsck(folder.path(), &key()).unwrap();
    // An empty log has no tiles.
    let folder = exported(0);
    fs::create_dir_all(folder.path().join("tile/0/000.p")).unwrap();
    fs::write(folder.path().join("tile/0/000.p/1"), &tile).unwrap();
    assert!(matches!(
        fsck(folder.path(), &key()),
        Err(FsckError::Unexpected { .. })
    ));
}

#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    let folder = exported(20);
    let path = folder.path().join("tile/0/000.p/20");
    let aside = folder.path().join("aside");
    fs::rename(&path, &aside).unwrap();
    std::os::unix::fs::symlink(&aside, &path).unwrap();
    assert!(matches!(
        fsck(folder.path(), &key()),
        Err(FsckError::File { .. })
    ));
}

#[test]
fn a_checkpoint_that_states_more_than_there_is_fails_at_once() {
    let folder = exported(20);
    let huge = countersign_ledger::Checkpoint::new(
        log().origin().clone(),
        countersign_ledger::TREE_SIZE_MAX,
        tree(20).root(),
    );
    let huge = log().sign(&huge.unwrap()).unwrap();
    fs::write(folder.path().join("checkpoint"), huge.as_str()).unwrap();
    assert!(matches!(
        fsck(folder.path(), &key()),
        Err(FsckError::Missing { .. })
    ));
}

#[test]
fn publishing_again_extends_and_keeps_earlier_partials() {
    let folder = exported(20);
    let again = write(folder.path(), 20).unwrap();
    assert_eq!(
        again.files_written, 1,
        "only the checkpoint, which may have new signatures"
    );
    for size in [21, 300, 300, 513] {
        write(folder.path(), size).unwrap();
        assert_eq!(fsck(folder.path(), &key()).unwrap().size, size);
    }
    let report = fsck(folder.path(), &key()).unwrap();
    assert_eq!(report.earlier_partials, 7);
    // An earlier partial is history too: every byte of it is compared.
    for name in ["tile/0/000.p/20", "tile/entries/000.p/21", "tile/1/000.p/1"] {
        let path = folder.path().join(name);
        let content = fs::read(&path).unwrap();
        for position in 0..content.len() {
            let mut altered = content.clone();
            altered[position] ^= 1;
            fs::write(&path, &altered).unwrap();
            let error = fsck(folder.path(), &key()).unwrap_err();
            assert!(
                matches!(error, FsckError::EarlierPartial { .. }),
                "`{name}` {position}: {error}"
            );
        }
        for length in 0..content.len() {
            fs::write(&path, &content[..length]).unwrap();
            assert!(
                fsck(folder.path(), &key()).is_err(),
                "`{name}` cut to {length} passed"
            );
        }
        fs::write(&path, &content).unwrap();
    }
    fsck(folder.path(), &key()).unwrap();
}

#[test]
fn a_folder_is_never_forked_nor_taken_back() {
    let folder = exported(300);
    let before = files(folder.path());
    assert!(matches!(
        write(folder.path(), 299),
        Err(ExportError::Newer {
            present: 300,
            size: 299
        })
    ));
    // Another history that goes on after another entry 290.
    let mut other = countersign_ledger::Tree::new();
    let entries: Vec<Vec<u8>> = (0..310)
        .map(|i| entry(if i == 290 { 1 } else { i }))
        .collect();
    for entry in &entries {
        other.append(countersign_ledger::leaf_hash(entry)).unwrap();
    }
    let fork = log().sign(&checkpoint(&other)).unwrap();
    let entries = entries.into_iter().map(Ok::<_, Infallible>);
    assert!(matches!(
        export(folder.path(), &fork, &key(), entries),
        Err(ExportError::Forked(300))
    ));
    assert_eq!(files(folder.path()), before);

    // A tile that somebody altered is not silently repaired: it may have been served.
    let tile = folder.path().join("tile/0/000");
    for altered in [vec![0; 8192], vec![0; 8191], vec![0; 8193]] {
        fs::write(&tile, altered).unwrap();
        let refused = write(folder.path(), 310);
        assert!(matches!(refused, Err(ExportError::Differs { path }) if path == tile));
    }
    fs::write(&tile, &before["tile/0/000"]).unwrap();

    // Another log.
    let stranger = LogSigner::from_seed(origin("example.org/stranger"), &[6; 32]).unwrap();
    let stranger_checkpoint =
        countersign_ledger::Checkpoint::new(stranger.origin().clone(), 300, tree(300).root());
    let signed = stranger.sign(&stranger_checkpoint.unwrap()).unwrap();
    let entries = (0..300).map(|i| Ok::<_, Infallible>(entry(i)));
    let refused = export(folder.path(), &signed, stranger.verifier_key(), entries);
    assert!(matches!(refused, Err(ExportError::Differs { .. })));
    assert_eq!(files(folder.path()), before);
}

#[test]
fn an_export_that_fails_leaves_no_checkpoint() {
    let attempt = |signed: &SignedCheckpoint, entries: Vec<Result<Vec<u8>, &'static str>>| {
        let folder = TempDir::new().unwrap();
        let error = export(folder.path(), signed, &key(), entries).unwrap_err();
        assert!(!folder.path().join("checkpoint").exists());
        error
    };
    let good = |count: u64| -> Vec<Result<Vec<u8>, &'static str>> {
        (0..count).map(|i| Ok(entry(i))).collect()
    };
    let ten = signed(&tree(10));
    assert!(matches!(
        attempt(&ten, good(9)),
        ExportError::Count {
            expected: 10,
            found: 9
        }
    ));
    assert!(matches!(
        attempt(&ten, good(11)),
        ExportError::Count {
            expected: 10,
            found: 11
        }
    ));
    let mut failing = good(10);
    failing[4] = Err("disk on fire");
    assert!(matches!(
        attempt(&ten, failing),
        ExportError::Entries("disk on fire")
    ));
    let mut long = good(10);
    long[4] = Ok(vec![0; 65_536]);
    assert!(matches!(
        attempt(&ten, long),
        ExportError::EntryTooLong {
            index: 4,
            bytes: 65_536
        }
    ));
    let mut wrong = good(10);
    wrong[4] = Ok(b"forged".to_vec());
    assert!(matches!(attempt(&ten, wrong), ExportError::Root));
    let impostor = LogSigner::from_seed(log().origin().clone(), &[6; 32]).unwrap();
    let unsigned = impostor.sign(&checkpoint(&tree(10))).unwrap();
    assert!(matches!(
        attempt(&unsigned, good(10)),
        ExportError::Signature(_)
    ));
}
