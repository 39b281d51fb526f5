//! Disks that fill up and databases that are not what was signed: what was acknowledged is kept, or
//! the server refuses to start and says how to recover.

use super::crew::Crew;
use super::process::{Served, listening, serve};
use crate::app::{request, token};
use crate::program::countersign;
use countersign::deployment::DATABASE;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Asks for one authorization; the change when it was granted, else the status.
fn authorize(crew: &Crew, server: &Served, number: usize) -> Result<String, u16> {
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
fn files(dir: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
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

#[test]
fn a_database_with_a_broken_head_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    Crew::found(&dir);
    let path = dir.join(DATABASE);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[..4096].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let refused = serve(&dir).err().expect("damage is refused");
    assert!(refused.contains("database"), "{refused}");
}
