//! Backups: taken while the real server is asked for more, restored with proof, and refused where
//! anything of them is not what it was, or others have seen more.

use super::crew::Crew;
use super::damaged::{PAGE, authorize};
use super::load::{CLIENTS, Load};
use super::process::serve;
use crate::app::request;
use crate::program::{Ran, command, countersign};
use countersign::deployment::{DATABASE, Deployment};
use countersign_domain::Digest;
use countersign_domain::entry::{Event, LogEntry};
use countersign_store::{Log, StoreError};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

pub(super) fn backup(dir: &Path, to: &Path, more: &[&str]) -> Ran {
    let mut arguments = vec!["backup", to.to_str().unwrap(), "--json"];
    arguments.extend(more);
    countersign(dir, &arguments)
}

pub(super) fn restore(from: &Path, dir: &Path, more: &[&str]) -> Ran {
    let mut arguments = vec!["restore", from.to_str().unwrap(), "--json"];
    arguments.extend(more);
    countersign(dir, &arguments)
}

pub(super) const NONE: [&str; 2] = ["--latest-checkpoint", "none"];

/// A deployment that is not served, and a backup of it with its keys.
pub(super) struct Kept {
    pub(super) folder: tempfile::TempDir,
    pub(super) dir: PathBuf,
    pub(super) backup: PathBuf,
    pub(super) crew: Crew,
}

impl Kept {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("data");
        let crew = Crew::found(&dir);
        let to = folder.path().join("backup");
        backup(&dir, &to, &["--with-keys"]).done();
        Self {
            dir,
            backup: to,
            crew,
            folder,
        }
    }

    pub(super) fn restored(&self) -> PathBuf {
        self.folder.path().join("restored")
    }

    /// Refused, with these words, and nothing is left behind.
    pub(super) fn refused(&self, more: &[&str], words: &str) {
        let ran = restore(&self.backup, &self.restored(), more);
        assert_eq!(ran.code, 1, "{words}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
        assert_eq!(names(self.folder.path()), ["backup", "data"], "{words}");
    }

    fn change_manifest(&self, change: impl FnOnce(&mut Value)) {
        let path = self.backup.join("manifest.json");
        let mut manifest = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut manifest);
        std::fs::write(path, manifest.to_string()).unwrap();
    }
}

/// What somebody writes into a manifest.
type Lie = Box<dyn Fn(&mut Value)>;

pub(super) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// All files below a folder.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

pub(super) fn checkpoint_of(url: &str, log: Log) -> String {
    let url = format!("{url}/api/v1/log/{}/checkpoint", log.as_str());
    request("GET", &url, None, None)
        .1
        .as_str()
        .unwrap()
        .to_owned()
}

/// The changes that the log of a data directory says were authorized.
pub(super) fn authorized(dir: &Path) -> BTreeSet<String> {
    let (_, gate) = Deployment::open_read_only(dir).unwrap();
    let size = usize::try_from(gate.store().checkpoint(Log::Authorizations).0).unwrap();
    let entries = gate
        .store()
        .read::<_, StoreError>(|view| view.entries(Log::Authorizations, 0, size))
        .unwrap();
    entries
        .iter()
        .filter_map(|bytes| match LogEntry::read(bytes).unwrap() {
            LogEntry::Entry(entry) => match entry.event {
                Event::Authorized { change, .. } => Some(change.to_string()),
                _ => None,
            },
            LogEntry::Warrant(_) => None,
        })
        .collect()
}

#[test]
fn a_backup_under_load_holds_all_that_was_acknowledged_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    let crew = Crew::found(&dir);
    let (_, gate) = Deployment::open_read_only(&dir).unwrap();
    let roster = gate.world().unwrap().roster.clone();
    drop(gate);
    let load = Load::new(&crew, &roster);
    let to = folder.path().join("backup");
    let earlier = folder.path().join("earlier.checkpoint");
    let later = folder.path().join("later.checkpoint");
    let mut before = Vec::new();
    std::thread::scope(|scope| {
        let server = serve(&dir).unwrap();
        let _ending = super::killed::EndOnDrop(&load);
        for place in 0..CLIENTS {
            let load = &load;
            scope.spawn(move || load.client(place));
        }
        load.serve_at(&server.url);
        load.wait_for_redeemed(30);
        std::fs::write(&earlier, checkpoint_of(&server.url, Log::Authorizations)).unwrap();
        before = load.authorized();
        let made = backup(&dir, &to, &["--with-keys"]).done();
        assert!(made.stdout.contains("sha256:"), "{}", made.stdout);
        let warrants = load.redeemed();
        load.wait_for_redeemed(warrants + 20);
        std::fs::write(&later, checkpoint_of(&server.url, Log::Authorizations)).unwrap();
        load.end();
        server.kill();
    });
    let after = load.into_acknowledged().authorized.len();
    assert!(before.len() >= 30 && after > before.len() + 15);

    let restored = folder.path().join("restored");
    let behind = restore(
        &to,
        &restored,
        &["--latest-checkpoint", later.to_str().unwrap()],
    );
    assert_eq!(behind.code, 1, "{}", behind.stderr);
    assert!(behind.stderr.contains("are missing"), "{}", behind.stderr);
    assert!(behind.stderr.contains("fork the log"), "{}", behind.stderr);
    assert!(!restored.exists());

    let done = restore(
        &to,
        &restored,
        &["--latest-checkpoint", earlier.to_str().unwrap()],
    );
    let report = done.done().json();
    let held = &report["held_against"][0];
    assert_eq!(
        (&held["log"], &held["signed"]),
        (&json!("authorizations"), &json!(true))
    );
    assert_eq!(report["manifest"]["keys"], true);
    assert_eq!(
        report["folded"],
        report["manifest"]["authorizations"]["size"]
    );
    let found = authorized(&restored);
    for change in &before {
        assert!(found.contains(change), "`{change}` was acknowledged");
    }
    assert!(found.len() < after, "it is from the middle of the load");
    let server = serve(&restored).unwrap();
    authorize(&crew, &server, 800).unwrap();
}

#[test]
fn a_backup_of_which_any_file_was_touched_is_refused() {
    let kept = Kept::new();
    let all = files(&kept.backup);
    assert_eq!(all.len(), 8, "{all:?}");
    for path in &all {
        let whole = std::fs::read(path).unwrap();
        let mut flipped = whole.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        let mut longer = whole.clone();
        longer.push(b'\n');
        let manifest = path.ends_with("manifest.json");
        for (how, bytes) in [&flipped, &whole[..whole.len() - 1], &longer[..]]
            .iter()
            .enumerate()
        {
            // A manifest with a line more says the same.
            if !(manifest && how == 2) {
                std::fs::write(path, bytes).unwrap();
                kept.refused(&NONE, "");
            }
        }
        std::fs::remove_file(path).unwrap();
        kept.refused(&NONE, if manifest { "is no backup" } else { "damaged" });
        std::fs::write(path, &whole).unwrap();
    }
    restore(&kept.backup, &kept.restored(), &NONE).done();
}

#[test]
fn a_manifest_that_lies_or_leads_elsewhere_is_refused() {
    let kept = Kept::new();
    let path = kept.backup.join("manifest.json");
    let whole = std::fs::read(&path).unwrap();
    let mark = serde_json::from_slice::<Value>(&whole).unwrap()["files"]["deployment.toml"].clone();
    let other = format!("sha256:{}", "ab".repeat(32));
    let lies: Vec<(&str, Lie)> = vec![
        (
            "manifest says",
            Box::new(|m| m["authorizations"]["size"] = json!(1)),
        ),
        (
            "manifest says",
            Box::new({
                let other = other.clone();
                move |m| m["recommendations"]["root"] = json!(other)
            }),
        ),
        ("manifest says", Box::new(|m| m["blobs"] = json!(0))),
        (
            "another deployment",
            Box::new(move |m| m["genesis"] = json!(other)),
        ),
        (
            "another deployment",
            Box::new(|m| m["deployment"] = json!("example.org/other")),
        ),
        (
            "does not list",
            Box::new(|m| {
                m["files"].as_object_mut().unwrap().remove("countersign.db");
            }),
        ),
        (
            "has a checkpoint",
            Box::new(|m| {
                let other = m["recommendations"]["checkpoint"].clone();
                m["authorizations"]["checkpoint"] = other;
            }),
        ),
        ("has form 9", Box::new(|m| m["form"] = json!(9))),
        ("damaged", Box::new(|m| m["more"] = json!(1))),
    ];
    for (words, lie) in lies {
        kept.change_manifest(lie);
        kept.refused(&NONE, words);
        std::fs::write(&path, &whole).unwrap();
    }
    for name in [
        "../data/keys/warrant.seed",
        "/etc/hostname",
        "keys/../deployment.toml",
        "x\u{202e}",
    ] {
        kept.change_manifest(|manifest| manifest["files"][name] = mark.clone());
        kept.refused(&NONE, "is no file of a backup");
        std::fs::write(&path, &whole).unwrap();
    }
    // Links, also to a file with the very same bytes.
    for name in ["deployment.toml", "countersign.db", "keys"] {
        let (place, aside) = (
            kept.backup.join(name),
            kept.folder.path().join("data/aside"),
        );
        std::fs::rename(&place, &aside).unwrap();
        symlink(&aside, &place).unwrap();
        kept.refused(&NONE, "damaged");
        std::fs::remove_file(&place).unwrap();
        std::fs::rename(&aside, &place).unwrap();
    }
    // A database that was altered along with its digest.
    let database = kept.backup.join("countersign.db");
    let mut bytes = std::fs::read(&database).unwrap();
    let page = bytes.len() / 4096 / 2 * 4096;
    bytes[page..page + 4096].fill(0x5a);
    std::fs::write(&database, &bytes).unwrap();
    kept.change_manifest(|manifest| {
        let digest = Digest::of(&bytes);
        manifest["files"]["countersign.db"]["sha256"] = json!(digest);
    });
    kept.refused(&NONE, "damaged");
}

#[test]
fn a_backup_without_keys_brings_no_secret_that_somebody_added() {
    let kept = Kept::new();
    let to = kept.dir.join("without");
    backup(&kept.dir, &to, &[]).done();
    let planted = "ab".repeat(32);
    std::fs::write(to.join("operator.token"), &planted).unwrap();
    let path = to.join("manifest.json");
    let whole = std::fs::read_to_string(&path).unwrap();
    for says_keys in [false, true] {
        let mut manifest: Value = serde_json::from_str(&whole).unwrap();
        manifest["keys"] = json!(says_keys);
        manifest["files"]["operator.token"] = json!({
            "bytes": planted.len(), "sha256": Digest::of(planted.as_bytes()),
        });
        std::fs::write(&path, manifest.to_string()).unwrap();
        let keys = kept.dir.to_str().unwrap();
        let more = ["--latest-checkpoint", "none", "--keys", keys];
        let new = kept.restored();
        let refused = restore(&to, &new, &more);
        assert_eq!(refused.code, 1, "{}", refused.stderr);
        assert!(
            refused.stderr.contains("operator.token"),
            "{}",
            refused.stderr
        );
        assert!(!new.exists());
    }
}

#[test]
fn nothing_is_restored_behind_what_was_signed() {
    let kept = Kept::new();
    // The true checkpoint of one moment, and a database that has more: as if somebody had added to it.
    let path = kept.backup.join("manifest.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let early: Value = serde_json::from_str(&text).unwrap();
    let later = kept.dir.join("later");
    let server = serve(&kept.dir).unwrap();
    authorize(&kept.crew, &server, 3).unwrap();
    server.kill();
    backup(&kept.dir, &later, &["--with-keys"]).done();
    let path = later.join("manifest.json");
    let mut manifest: Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_ne!(manifest["authorizations"], early["authorizations"]);
    manifest["authorizations"]["checkpoint"] = early["authorizations"]["checkpoint"].clone();
    std::fs::write(&path, manifest.to_string()).unwrap();
    let new = kept.restored();
    let refused = restore(&later, &new, &NONE);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("and the database has"),
        "{}",
        refused.stderr
    );
    assert!(!new.exists());
}

#[test]
fn a_backup_has_no_keys_unless_asked_and_says_which_are_needed() {
    let kept = Kept::new();
    let to = kept.dir.join("without");
    let made = backup(&kept.dir, &to, &[]).done().json();
    assert_eq!(made["keys"], false);
    let seeds = files(&kept.dir.join("keys"));
    assert_eq!(seeds.len(), 3);
    let mut secret_files = seeds.clone();
    secret_files.push(kept.dir.join("operator.token"));
    let secrets = secret_files.iter().map(|path| {
        let text = std::fs::read_to_string(path).unwrap();
        (text.trim().to_owned(), hex::decode(text.trim()).unwrap())
    });
    let secrets: Vec<_> = secrets.collect();
    for path in files(&to) {
        let bytes = std::fs::read(&path).unwrap();
        let has = |secret: &[u8]| bytes.windows(secret.len()).any(|part| part == secret);
        assert!(
            !secrets
                .iter()
                .any(|(text, raw)| has(text.as_bytes()) || has(raw))
        );
    }
    for path in files(&kept.backup).iter().chain(&files(&to)) {
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
        let folder = std::fs::metadata(path.parent().unwrap()).unwrap();
        assert_eq!(folder.permissions().mode() & 0o777, 0o700);
    }
    let said = countersign(
        &kept.dir,
        &[
            "backup",
            kept.dir.join("third").to_str().unwrap(),
            "--with-keys",
        ],
    );
    assert!(said.done().stdout.contains("WITH KEYS"));

    let restored = kept.restored();
    let refused = restore(&to, &restored, &NONE);
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("keys/warrant.seed"),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("--keys DIR"), "{}", refused.stderr);
    // Keys of somebody else do not fit.
    let others = kept.dir.join("others");
    Crew::found(&others);
    let wrong = restore(
        &to,
        &restored,
        &[&NONE[..], &["--keys", others.to_str().unwrap()]].concat(),
    );
    assert_eq!(wrong.code, 1, "{}", wrong.stderr);
    assert!(!restored.exists());
    for keys in [kept.dir.clone(), kept.dir.join("keys")] {
        let keys = keys.to_str().unwrap();
        let done = restore(&to, &restored, &[&NONE[..], &["--keys", keys]].concat()).done();
        assert_eq!(done.json()["new_operator_token"], true);
        let token = std::fs::read_to_string(restored.join("operator.token")).unwrap();
        assert_ne!(
            token,
            std::fs::read_to_string(kept.dir.join("operator.token")).unwrap()
        );
        serve(&restored).unwrap().kill();
        std::fs::remove_dir_all(&restored).unwrap();
    }
}

#[test]
fn nothing_is_ever_overwritten_by_a_backup_or_a_restore() {
    let kept = Kept::new();
    let before: Vec<_> = files(&kept.backup)
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    let again = backup(&kept.dir, &kept.backup, &[]);
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("is not empty"), "{}", again.stderr);
    let after: Vec<_> = files(&kept.backup)
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    assert_eq!(before, after);
    let into = restore(&kept.backup, &kept.dir, &NONE);
    assert_eq!(into.code, 1);
    assert!(into.stderr.contains("is not empty"), "{}", into.stderr);
    serve(&kept.dir).unwrap().kill();
    // An empty directory is as good as none.
    std::fs::create_dir(kept.restored()).unwrap();
    restore(&kept.backup, &kept.restored(), &NONE).done();
}

#[test]
fn what_is_killed_half_way_leaves_no_backup_and_no_data_directory() {
    let kept = Kept::new();
    let server = serve(&kept.dir).unwrap();
    for number in 0..4 {
        authorize(&kept.crew, &server, number).unwrap();
    }
    server.kill();
    let (mut absent, mut whole) = (0, 0);
    for turn in 0..24_u64 {
        let to = kept.dir.join(format!("killed-{turn}"));
        let (target, arguments) = if turn % 2 == 0 {
            (
                to.clone(),
                vec!["backup", to.to_str().unwrap(), "--with-keys"],
            )
        } else {
            let from = kept.backup.to_str().unwrap();
            (
                to.clone(),
                vec!["restore", from, "--latest-checkpoint", "none"],
            )
        };
        let dir = if turn % 2 == 0 { &kept.dir } else { &to };
        let mut child = command(dir, &arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(turn * 11));
        // It may have ended.
        let _ = child.kill();
        child.wait().unwrap();
        if !target.exists() {
            absent += 1;
            continue;
        }
        // Renamed at the very end, so it is all there.
        whole += 1;
        if turn % 2 == 0 {
            let check = kept.dir.join(format!("check-{turn}"));
            restore(&target, &check, &NONE).done();
        } else {
            countersign(&target, &["log", "verify"]).done();
        }
    }
    assert!(
        absent >= 4,
        "{absent} of 24 were killed half-way, {whole} done"
    );
}

#[test]
fn a_damaged_deployment_or_a_full_disk_gives_no_backup() {
    let kept = Kept::new();
    let to = kept.folder.path().join("another");
    let database = kept.dir.join(DATABASE);
    let whole = std::fs::read(&database).unwrap();
    // A file longer than this cannot be written: as on a full disk.
    let full = Command::new("bash")
        .arg("-c")
        .arg("ulimit -f \"$0\" && trap '' XFSZ && exec \"$@\"")
        .arg((whole.len() / 2048).to_string())
        .arg(env!("CARGO_BIN_EXE_countersign"))
        .args(["backup", to.to_str().unwrap(), "--dir"])
        .arg(&kept.dir)
        .output()
        .unwrap();
    assert!(!full.status.success());
    assert_eq!(names(kept.folder.path()), ["backup", "data"]);
    let mut broken = whole.clone();
    let page = broken.len() / PAGE * 3 / 4 * PAGE;
    broken[page..page + PAGE].fill(0xa5);
    std::fs::write(&database, broken).unwrap();
    let refused = backup(&kept.dir, &to, &[]);
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("damaged"), "{}", refused.stderr);
    assert_eq!(names(kept.folder.path()), ["backup", "data"]);
    std::fs::write(&database, whole).unwrap();
    std::fs::write(kept.dir.join("notes.txt"), "not ours").unwrap();
    let done = backup(&kept.dir, &to, &[]).done().json();
    assert_eq!(done["left_out"], json!(["notes.txt"]));
}

#[test]
fn a_backup_of_another_genesis_than_pinned_is_refused() {
    let kept = Kept::new();
    let other = format!("sha256:{}", "cd".repeat(32));
    kept.refused(&[&NONE[..], &["--genesis", &other]].concat(), "you pinned");
    let (config, gate) = Deployment::open_read_only(&kept.dir).unwrap();
    drop(gate);
    let own = config.genesis.to_string();
    restore(
        &kept.backup,
        &kept.restored(),
        &[&NONE[..], &["--genesis", &own]].concat(),
    )
    .done();
}
