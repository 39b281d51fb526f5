//! Disks that fill up and databases that are not what was signed: what was acknowledged is kept, or
//! the server refuses to start and says how to recover.

use super::crew::Crew;
use super::process::{Served, listening, serve};
use crate::app::{request, token};
use crate::program::countersign;
use countersign::deployment::{DATABASE, Deployment, WitnessAddress};
use countersign::witness::WitnessDir;
use countersign_store::Log;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Asks for one authorization; the change when it was granted, else the status.
pub(super) fn authorize(crew: &Crew, server: &Served, number: usize) -> Result<String, u16> {
    let asked = crew.ask(number, number);
    let token = token(&asked.agent.0, &asked.agent.1);
    let url = format!("{}/api/v1/proposals", server.url);
    let body = serde_json::to_vec(&asked.body).unwrap();
    match request("POST", &url, Some(&token), Some(body)) {
        (201, answer) => Ok(answer["change"].as_str().unwrap().to_owned()),
        (status, _) => Err(status),
    }
}

/// The files of a database, write-ahead log and published checkpoints included.
pub(super) fn files(dir: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with(DATABASE)
        })
        .map(|path| (path.clone(), std::fs::read(&path).unwrap()))
        .collect()
}

#[test]
fn an_older_copy_of_the_database_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    let crew = Crew::found(&dir);
    let older = files(&dir);
    let server = serve(&dir).unwrap();
    for number in 0..3 {
        authorize(&crew, &server, number).unwrap();
    }
    // Signed and published at the latest a moment after the answer.
    let deadline = Instant::now() + Duration::from_secs(20);
    let url = format!("{}/api/v1/log/authorizations/checkpoint", server.url);
    let published = |server: &str| request("GET", server, None, None).1.to_string();
    let before = published(&url);
    authorize(&crew, &server, 3).unwrap();
    while published(&url) == before {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(50));
    }
    server.kill();
    for path in files(&dir).keys() {
        std::fs::remove_file(path).unwrap();
    }
    for (path, bytes) in &older {
        std::fs::write(path, bytes).unwrap();
    }
    let refused = serve(&dir).err().expect("an older copy is refused");
    assert!(refused.contains("older copy"), "{refused}");
    assert!(refused.contains("Restore the newest"), "{refused}");
}

/// The server with no room for files beyond this many KiB: as a full disk, writes fail.
fn serve_in_little_room(dir: &Path, kib: u64) -> Result<Served, String> {
    let child = Command::new("bash")
        .arg("-c")
        .arg("ulimit -f \"$0\" && trap '' XFSZ && exec \"$@\"")
        .arg(kib.to_string())
        .arg(env!("CARGO_BIN_EXE_countersign"))
        .args(["serve", "--listen", "127.0.0.1:0", "--json", "--dir"])
        .arg(dir)
        .env("HOME", dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    listening(child)
}

#[test]
fn a_full_disk_grants_nothing_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    let crew = Crew::found(&dir);
    let longest = files(&dir).values().map(Vec::len).max().unwrap() as u64;
    let server = serve_in_little_room(&dir, longest / 1024 + 200).unwrap();
    let mut granted = Vec::new();
    let mut number = 0;
    let status = loop {
        match authorize(&crew, &server, number) {
            Ok(change) => granted.push(change),
            Err(status) => break status,
        }
        number += 1;
        assert!(number < 500, "the disk never filled up");
    };
    assert!((500..600).contains(&status), "{status}");
    assert!(!granted.is_empty());
    server.kill();

    // With room again, it goes on from what it acknowledged.
    let server = serve(&dir).unwrap();
    authorize(&crew, &server, number + 1).unwrap();
    server.kill();
    let shown = countersign(&dir, &["log", "verify", "--json"])
        .done()
        .json();
    assert_eq!(shown["findings"]["list"].as_array().unwrap().len(), 0);
    let rebuilt = countersign(&dir, &["log", "fsck", "--rebuild", "--json"])
        .done()
        .json();
    assert_eq!(rebuilt["rebuild"]["differences"], serde_json::json!([]));
    for change in &granted {
        let why = countersign(&dir, &["why", change, "--json"]);
        assert!(why.stdout.contains(change), "{change}: {}", why.stderr);
    }
}

/// One file that holds all entries, nothing in the write-ahead log.
pub(super) fn settled(dir: &Path) -> Vec<u8> {
    drop(Deployment::open(dir).unwrap());
    let all = std::fs::read(dir.join(DATABASE)).unwrap();
    // The heads that were signed once more when it was opened: they are in `checkpoints.latest`.
    for path in files(dir).keys() {
        std::fs::remove_file(path).unwrap();
    }
    std::fs::write(dir.join(DATABASE), &all).unwrap();
    all
}

#[test]
fn a_database_with_broken_pages_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    let crew = Crew::found(&dir);
    let server = serve(&dir).unwrap();
    for number in 0..12 {
        authorize(&crew, &server, number).unwrap();
    }
    server.kill();
    let whole = settled(&dir);
    let pages = whole.len() / PAGE;
    let (mut refused, mut listed) = (0, 0);
    // The head, and places all over the file: tables, indexes, long values.
    let places = (0..16).map(|part| part * pages / 16);
    for page in places {
        let mut bytes = whole.clone();
        bytes[page * PAGE..(page + 1) * PAGE].fill(0xa5);
        std::fs::write(dir.join(DATABASE), bytes).unwrap();
        match serve(&dir) {
            Err(said) => {
                assert!(said.contains("damaged"), "page {page}: {said}");
                assert!(said.contains("countersign restore"), "{said}");
                assert!(said.contains("log fsck --rebuild --into"), "{said}");
                // What is wrong is listed all the same, unless the list of tables is broken.
                let fsck = countersign(&dir, &["log", "fsck", "--json"]);
                if fsck.code == 1 {
                    assert_eq!(fsck.json()["sound"], false, "page {page}");
                    listed += 1;
                } else {
                    assert!(fsck.stderr.contains("damaged"), "{}", fsck.stderr);
                }
                assert!(said.contains("restore the newest backup"), "{said}");
                refused += 1;
            }
            // A page that nothing is stored in.
            Ok(server) => {
                server.kill();
                assert_ne!(page, 0);
                let shown = countersign(&dir, &["log", "verify", "--json"]);
                let findings = &shown.done().json()["findings"]["list"];
                assert_eq!(findings.as_array().unwrap().len(), 0, "page {page}");
                let fsck = countersign(&dir, &["log", "fsck", "--rebuild", "--json"]);
                assert_eq!(fsck.done().json()["sound"], true, "page {page}");
            }
        }
        for path in files(&dir).keys() {
            std::fs::remove_file(path).unwrap();
        }
    }
    assert!(refused >= 14 && listed >= 10, "{refused}, {listed}");
    std::fs::write(dir.join(DATABASE), whole).unwrap();
    let server = serve(&dir).unwrap();
    authorize(&crew, &server, 20).unwrap();
}

pub(super) const PAGE: usize = 4096;

#[test]
fn a_write_ahead_log_that_was_cut_is_not_gone_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    let crew = Crew::found(&dir);
    let server = serve(&dir).unwrap();
    let granted: Vec<_> = (0..6)
        .map(|number| authorize(&crew, &server, number).unwrap())
        .collect();
    // What was signed last stands in `checkpoints.latest` a moment later.
    std::thread::sleep(Duration::from_millis(500));
    server.kill();
    let left = files(&dir);
    let wal = dir.join(format!("{DATABASE}-wal"));
    let length = left[&wal].len();
    assert!(length > 10 * PAGE, "{length}");
    for cut in [0, 100, length / 3, length / 2, length - PAGE, length - 1] {
        for (path, bytes) in &left {
            std::fs::write(path, bytes).unwrap();
        }
        // The index of the log is no part of what is durable.
        let _ = std::fs::remove_file(dir.join(format!("{DATABASE}-shm")));
        std::fs::write(&wal, &left[&wal][..cut]).unwrap();
        match serve(&dir) {
            Err(said) => assert!(said.contains("older copy"), "{cut} bytes: {said}"),
            // The last commit may be one that keeps a checkpoint, and no entry.
            Ok(server) => {
                server.kill();
                assert!(cut > length / 2);
                for change in &granted {
                    countersign(&dir, &["why", change, "--json"]).done();
                }
            }
        }
    }
    for (path, bytes) in &left {
        std::fs::write(path, bytes).unwrap();
    }
    let server = serve(&dir).unwrap();
    authorize(&crew, &server, 7).unwrap();
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    let private = std::fs::metadata(from).unwrap().permissions();
    std::fs::set_permissions(to, private).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let target = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            copy_folder(&file.path(), &target);
        } else {
            std::fs::copy(file.path(), target).unwrap();
        }
    }
}

#[test]
fn a_whole_folder_put_back_from_an_older_copy_is_refused_by_what_the_witness_cosigned() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    let crew = Crew::found(&dir);
    let (mut config, gate) = Deployment::open_read_only(&dir).unwrap();
    let log = gate.store().verifier_key(Log::Authorizations).clone();
    drop(gate);
    let witness =
        WitnessDir::create(&folder.path().join("witness"), "witness.example/one").unwrap();
    let vkey = witness.vkey().unwrap();
    let witness = witness
        .start(vec![log], "127.0.0.1:0".parse().unwrap())
        .unwrap();
    let url = format!("http://{}", witness.addr);
    config.witnesses = vec![WitnessAddress { vkey, url }];
    config.write(&dir).unwrap();
    let server = serve(&dir).unwrap();
    authorize(&crew, &server, 0).unwrap();
    server.kill();
    let older = folder.path().join("older");
    copy_folder(&dir, &older);
    let server = serve(&dir).unwrap();
    // Answered when it is cosigned.
    authorize(&crew, &server, 1).unwrap();
    server.kill();
    // The newer folder still agrees with its witness, and the older one with itself alone.
    serve(&dir).unwrap().kill();
    let said = serve(&older).err().expect("the witness has seen more");
    assert!(said.contains("witness at http://127.0.0.1"), "{said}");
    assert!(said.contains("older copy"), "{said}");
    witness.stop();
}

/// Whether this machine lets a test mount something for itself alone.
fn can_mount() -> bool {
    Command::new("unshare")
        .args(["-rm", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Serves `dir` where it cannot be written.
fn serve_read_only(dir: &Path, mounted: bool) -> Result<Served, String> {
    let program = env!("CARGO_BIN_EXE_countersign");
    let serving = ["serve", "--listen", "127.0.0.1:0", "--json", "--dir"];
    let mut command = if mounted {
        let mut command = Command::new("unshare");
        let script =
            r#"mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd / && exec "$@""#;
        command.args(["-rm", "bash", "-c", script]).arg(dir);
        command
    } else if rustix::process::geteuid().is_root() {
        // Root writes everything: somebody else, whose files these are.
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command
    } else {
        Command::new("env")
    };
    let child = command
        .arg(program)
        .args(serving)
        .arg(dir)
        .env("HOME", dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    listening(child)
}

/// Takes away everybody's right to write below `folder`, and as root gives it to somebody else.
fn forbid_writing(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            forbid_writing(&entry.path());
        } else {
            restrict(&entry.path(), 0o400);
        }
    }
    restrict(folder, 0o500);
}

fn restrict(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(path, Some(65534), Some(65534)).unwrap();
    }
}

#[test]
fn a_disk_that_cannot_be_written_is_said_and_nothing_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    let crew = Crew::found(&dir);
    let refused = |mounted| {
        let said = serve_read_only(&dir, mounted)
            .err()
            .expect("it cannot be written");
        assert!(said.contains("cannot be written"), "{said}");
        assert!(said.contains("make it writable"), "{said}");
        said
    };
    // A real read-only mount, where the machine lets tests make one; without it, and besides, a
    // folder that the server may not write to.
    if can_mount() {
        let said = refused(true);
        assert!(said.contains("Read-only file system"), "{said}");
        let server = serve(&dir).unwrap();
        authorize(&crew, &server, 0).unwrap();
    } else {
        eprintln!("no mount namespaces here: tried by permissions alone");
    }
    restrict(folder.path(), 0o700);
    forbid_writing(&dir);
    let said = refused(false);
    assert!(said.contains("Permission denied"), "{said}");
    // So that the folder can be removed by whoever runs the tests.
    restrict(&dir, 0o700);
    restrict(&dir.join("keys"), 0o700);
}
