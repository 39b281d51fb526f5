//! Rebuilding where the database is lost or its pages are broken: everything that was signed for is
//! found in an export or in the readable rows, or what is missing is named and nothing is rebuilt.

use super::backups::{authorized, checkpoint_of, names};
use super::crew::Crew;
use super::damaged::{PAGE, authorize, files, settled};
use super::process::serve;
use crate::program::{Ran, countersign};
use countersign::deployment::{DATABASE, Deployment};
use countersign_ledger::leaf_hash;
use countersign_store::{Log, StoreError};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A deployment that was served, and ended.
struct Ended {
    folder: tempfile::TempDir,
    dir: PathBuf,
    crew: Crew,
    granted: BTreeSet<String>,
}

impl Ended {
    fn new(granted: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("data");
        let crew = Crew::found(&dir);
        let mut ended = Self {
            folder,
            dir,
            crew,
            granted: BTreeSet::new(),
        };
        ended.grant(granted);
        ended
    }

    fn grant(&mut self, count: usize) {
        let server = serve(&self.dir).unwrap();
        for _ in 0..count {
            let number = self.granted.len();
            let change = authorize(&self.crew, &server, number).unwrap();
            self.granted.insert(change);
        }
        server.kill();
        settled(&self.dir);
    }

    fn export(&self, name: &str, more: &[&str]) -> PathBuf {
        let out = self.folder.path().join(name);
        let arguments = [&["log", "export", out.to_str().unwrap()], more].concat();
        countersign(&self.dir, &arguments).done();
        out
    }

    fn delete_database(&self) {
        for path in files(&self.dir).keys() {
            std::fs::remove_file(path).unwrap();
        }
    }

    fn place(&self) -> PathBuf {
        self.folder.path().join("rebuilt")
    }

    fn rebuild(&self, more: &[&str]) -> Ran {
        let into = self.place();
        let into = into.to_str().unwrap();
        let all = [
            &["log", "fsck", "--rebuild", "--json", "--into", into],
            more,
        ]
        .concat();
        countersign(&self.dir, &all)
    }

    /// Refused, with these words; nothing is left behind, and the old directory is as it was.
    fn refused(&self, more: &[&str], words: &str) -> String {
        let before = names(self.folder.path());
        let ran = self.rebuild(more);
        assert_eq!(ran.code, 1, "{words}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
        assert_eq!(names(self.folder.path()), before);
        ran.stderr
    }

    /// What was rebuilt is whole, and is gone on from.
    fn rebuilt(&self, report: &Value, number: usize) {
        let into = self.place();
        assert_eq!(authorized(&into), self.granted);
        let fsck = countersign(&into, &["log", "fsck", "--rebuild", "--json"]);
        let fsck = fsck.done().json();
        assert_eq!(fsck["sound"], true);
        assert_eq!(
            fsck["authorizations"]["root"],
            report["authorizations"]["root"]
        );
        let server = serve(&into).unwrap();
        authorize(&self.crew, &server, number).unwrap();
    }
}

#[test]
fn nothing_is_rebuilt_beside_a_server_that_goes_on() {
    let ended = Ended::new(1);
    let server = serve(&ended.dir).unwrap();
    let refused = ended.rebuild(&[]);
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("in use by process"),
        "{}",
        refused.stderr
    );
    assert!(!ended.place().exists());
    server.kill();
    ended.rebuild(&[]).done();
}

#[test]
fn a_deleted_database_is_rebuilt_from_an_export() {
    let mut ended = Ended::new(3);
    let earlier = ended.export("earlier", &["--blobs"]);
    ended.grant(2);
    let export = ended.export("export", &["--blobs"]);
    let bare = ended.export("bare", &[]);
    let size = sizes(&ended.dir);
    ended.delete_database();
    let said = serve(&ended.dir).err().expect("there is no database");
    assert!(
        said.contains("--rebuild --into NEW --from EXPORT"),
        "{said}"
    );
    ended.refused(&[], "can be read nowhere");
    ended.refused(&["--from", bare.to_str().unwrap()], "`--blobs`");
    let said = ended.refused(
        &["--from", earlier.to_str().unwrap()],
        "can be read nowhere",
    );
    let first = entries_of(&earlier);
    assert!(
        said.contains(&format!("entry `{first}` to `{}`", size - 1)),
        "{said}"
    );
    let done = ended
        .rebuild(&["--from", export.to_str().unwrap()])
        .done()
        .json();
    assert_eq!(done["authorizations"]["from_export"], json!(size));
    assert_eq!(done["authorizations"]["signed"], json!(size));
    ended.rebuilt(&done, 40);
    // It is not rebuilt over itself.
    ended.refused(&["--from", export.to_str().unwrap()], "is not empty");
}

fn sizes(dir: &Path) -> u64 {
    let (_, gate) = Deployment::open_read_only(dir).unwrap();
    gate.store().checkpoint(Log::Authorizations).0
}

/// As the checkpoint of an export says.
fn entries_of(export: &Path) -> u64 {
    let note = std::fs::read_to_string(export.join("authorizations/checkpoint")).unwrap();
    note.lines().nth(1).unwrap().parse().unwrap()
}

/// The page of the closed database that holds an entry with its leaf hash.
fn page_of(dir: &Path, log: Log, index: u64) -> usize {
    const LEAF_OF_A_TABLE: u8 = 13;
    let (_, gate) = Deployment::open_read_only(dir).unwrap();
    let entry = gate
        .store()
        .read::<_, StoreError>(|view| view.entry(log, index))
        .unwrap()
        .unwrap();
    drop(gate);
    let row = [leaf_hash(&entry).as_bytes().as_slice(), &entry].concat();
    let bytes = std::fs::read(dir.join(DATABASE)).unwrap();
    bytes
        .chunks(PAGE)
        .position(|page| {
            page[0] == LEAF_OF_A_TABLE && page.windows(row.len()).any(|part| part == row)
        })
        .unwrap()
}

fn break_page(dir: &Path, whole: &[u8], page: usize) {
    let mut bytes = whole.to_vec();
    bytes[page * PAGE..(page + 1) * PAGE].fill(0xa5);
    for path in files(dir).keys() {
        std::fs::remove_file(path).unwrap();
    }
    std::fs::write(dir.join(DATABASE), bytes).unwrap();
}

#[test]
fn an_entry_missing_in_the_middle_is_named_and_found_in_an_export() {
    let mut ended = Ended::new(9);
    let export = ended.export("export", &["--blobs"]);
    ended.grant(3);
    let whole = std::fs::read(ended.dir.join(DATABASE)).unwrap();
    for (log, index) in [(Log::Authorizations, 9), (Log::Recommendations, 1)] {
        std::fs::write(ended.dir.join(DATABASE), &whole).unwrap();
        let page = page_of(&ended.dir, log, index);
        break_page(&ended.dir, &whole, page);
        assert!(serve(&ended.dir).is_err());
        let said = ended.refused(&[], "can be read nowhere");
        assert!(said.contains(log.as_str()), "{said}");
        assert!(
            said.contains(&format!("`{index}`")) || said.contains(" to `"),
            "{said}"
        );
        // The export ends before the database does: what is left of both is all of it.
        let done = ended.rebuild(&["--from", export.to_str().unwrap()]).done();
        let report = done.json();
        let log = &report["authorizations"];
        assert!(log["from_export"].as_u64().unwrap() < log["size"].as_u64().unwrap());
        ended.rebuilt(&report, 50);
        std::fs::remove_dir_all(ended.place()).unwrap();
    }
}

#[test]
fn broken_pages_cost_nothing_that_can_be_folded_again_or_are_named() {
    let ended = Ended::new(8);
    let whole = std::fs::read(ended.dir.join(DATABASE)).unwrap();
    let pages = whole.len() / PAGE;
    let (mut rebuilt, mut named) = (0, 0);
    for page in (0..24).map(|part| part * pages / 24) {
        break_page(&ended.dir, &whole, page);
        let ran = ended.rebuild(&[]);
        if ran.code == 0 {
            // Whole: checked before it was put in place, and here once more.
            let into = ended.place();
            assert_eq!(authorized(&into), ended.granted, "page {page}");
            countersign(&into, &["log", "verify"]).done();
            std::fs::remove_dir_all(&into).unwrap();
            rebuilt += 1;
        } else {
            assert!(
                ran.stderr.contains("cannot be rebuilt whole"),
                "page {page}: {}",
                ran.stderr
            );
            assert_eq!(names(ended.folder.path()), ["data"], "page {page}");
            named += 1;
        }
    }
    assert!(
        rebuilt >= 3 && named >= 3,
        "{rebuilt} rebuilt, {named} named"
    );
}

#[test]
fn nothing_is_rebuilt_without_knowing_how_far_the_logs_had_got() {
    let mut ended = Ended::new(2);
    let export = ended.export("export", &["--blobs"]);
    let from = ["--from", export.to_str().unwrap()];
    let server = serve(&ended.dir).unwrap();
    ended
        .granted
        .insert(authorize(&ended.crew, &server, 2).unwrap());
    let newest = ended.folder.path().join("data/newest");
    std::fs::write(&newest, checkpoint_of(&server.url, Log::Authorizations)).unwrap();
    server.kill();
    ended.delete_database();
    std::fs::remove_file(ended.dir.join("checkpoints.latest")).unwrap();
    ended.refused(&from, "--latest-checkpoint FILE");
    let named = ["--latest-checkpoint", newest.to_str().unwrap()];
    ended.refused(&[&from[..], &named].concat(), "can be read nowhere");
    // Tiles of an export that were touched are no export.
    let bundle = export.join("authorizations/tile/entries");
    let bundle = walk(&bundle).pop().unwrap();
    let bytes = std::fs::read(&bundle).unwrap();
    let mut altered = bytes.clone();
    altered[40] ^= 1;
    std::fs::write(&bundle, &altered).unwrap();
    let none = ["--latest-checkpoint", "none"];
    ended.refused(&[&from[..], &none].concat(), "the export:");
    std::fs::write(&bundle, &bytes).unwrap();
    // A text that was exchanged has another digest.
    let blob = walk(&export.join("blobs")).remove(0);
    let bytes = std::fs::read(&blob).unwrap();
    std::fs::write(&blob, b"something else").unwrap();
    ended.refused(&[&from[..], &none].concat(), "");
    std::fs::write(&blob, &bytes).unwrap();
    // A document that is gone is named: facts, an observation, the policy, the inventory.
    let documents: Vec<_> = walk(&export.join("blobs"))
        .into_iter()
        .filter(|path| path.extension().is_none() && !path.with_extension("salt").exists())
        .collect();
    for gone in documents.iter().step_by(documents.len().div_ceil(4)) {
        let bytes = std::fs::read(gone).unwrap();
        std::fs::remove_file(gone).unwrap();
        let name = gone.file_name().unwrap().to_string_lossy();
        ended.refused(&[&from[..], &none].concat(), &name);
        std::fs::write(gone, &bytes).unwrap();
    }
    let done = ended.rebuild(&[&from[..], &none].concat()).done().json();
    assert!(done["authorizations"]["size"].as_u64().unwrap() > 0);
    serve(&ended.place()).unwrap().kill();
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}
