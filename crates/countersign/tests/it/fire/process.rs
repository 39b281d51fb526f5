//! `countersign serve` as a process of its own, which tests kill.

use crate::program::command;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Stdio};

/// A server that listens. Killed when it is dropped.
pub struct Served {
    child: Child,
    /// Its base URL.
    pub url: String,
}

/// Starts a server; none when it ended before it listened, with what it said.
pub fn serve(dir: &Path) -> Result<Served, String> {
    listening(spawn(dir))
}

/// Starts a server without waiting for it.
pub fn spawn(dir: &Path) -> Child {
    command(dir, &["serve", "--listen", "127.0.0.1:0", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until it says where it listens: a JSON document on stdout.
pub fn listening(mut child: Child) -> Result<Served, String> {
    let mut said = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    while lines.read_line(&mut said).unwrap() > 0 {
        if let Ok(answer) = serde_json::from_str::<serde_json::Value>(&said) {
            let address = answer["address"].as_str().unwrap();
            let url = format!("http://{address}");
            return Ok(Served { child, url });
        }
    }
    let mut errors = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut errors).unwrap();
    let status = child.wait().unwrap();
    Err(format!("{status}: {errors}"))
}

impl Served {
    /// SIGKILL.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.end();
    }
}
