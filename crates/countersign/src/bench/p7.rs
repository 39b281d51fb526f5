//! P7: resident memory of `countersign serve` as a process of its own: idle, and after many changes.

use super::fleet::Kind;
use super::p3::AGENTS;
use super::{BenchError, Figured, failed, fleet, lives, scratch};
use serde::Serialize;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Arguments of `bench p7`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Changes, each through its whole life
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=1_900_000))]
    changes: u32,
    /// Concurrent clients
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=512))]
    clients: u16,
    /// A folder on the disk to use [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

/// What was measured, in MiB.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    what: &'static str,
    version: &'static str,
    changes: u32,
    idle_mib: f64,
    /// After each tenth of the changes.
    grown_mib: Vec<f64>,
    /// The most there ever was.
    peak_mib: f64,
}

const WHAT: &str = "P7: resident memory (VmRSS) of `countersign serve`, which is idle after its start, and \
    after changes that went through their whole life over HTTP";

pub(super) fn measure(arguments: &Arguments) -> Result<Report, BenchError> {
    let scratch = scratch(arguments.scratch.as_deref())?;
    let dir = scratch.path().join("deployment");
    let changes = usize::try_from(arguments.changes).unwrap_or(usize::MAX);
    let (deployment, fleet) = fleet::found(&dir, Kind::Production, AGENTS, 500)?;
    drop(deployment);
    let served = Served::start(&dir)?;
    std::thread::sleep(Duration::from_secs(3));
    let idle_mib = served.mib("VmRSS")?;
    let mut grown_mib = Vec::new();
    let mut done = 0;
    for tenth in 1..=10 {
        let count = changes * tenth / 10 - done;
        if count > 0 {
            lives::run(&fleet, served.address, arguments.clients, done, count, 0)?;
        }
        done += count;
        grown_mib.push(served.mib("VmRSS")?);
    }
    Ok(Report {
        what: WHAT,
        version: env!("CARGO_PKG_VERSION"),
        changes: arguments.changes,
        idle_mib,
        grown_mib,
        peak_mib: served.mib("VmHWM")?,
    })
}

/// The server's process; ended when it is dropped.
struct Served {
    child: Child,
    address: SocketAddr,
}

impl Served {
    fn start(dir: &Path) -> Result<Self, BenchError> {
        const WHAT: &str = "starting the server";
        let program = std::env::current_exe().map_err(failed(WHAT))?;
        let mut child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--json", "--dir"])
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed(WHAT))?;
        let stdout = child.stdout.take();
        let mut served = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let nothing = || BenchError::Void("the server did not say where it listens".into());
        let mut said = String::new();
        let mut lines = BufReader::new(stdout.ok_or_else(nothing)?);
        loop {
            if lines.read_line(&mut said).map_err(failed(WHAT))? == 0 {
                return Err(nothing());
            }
            // The document may take several lines.
            if let Ok(document) = serde_json::from_str::<serde_json::Value>(&said) {
                let address = document.get("address").and_then(|address| address.as_str());
                served.address = address.ok_or_else(nothing)?.parse().map_err(failed(WHAT))?;
                return Ok(served);
            }
        }
    }

    /// A line of the process's `status`, which counts KiB.
    fn mib(&self, name: &str) -> Result<f64, BenchError> {
        const WHAT: &str = "reading the server's memory";
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .map_err(failed(WHAT))?;
        let kib: Option<f64> = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        let kib =
            kib.ok_or_else(|| BenchError::Void(format!("no `{name}`: the server is gone")))?;
        Ok(super::figures::rounded(kib / 1024.0, 1))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Figured for Report {
    fn table(&self) -> String {
        let grown: Vec<_> = self
            .grown_mib
            .iter()
            .map(|mib| format!("{mib:.0}"))
            .collect();
        format!(
            "{}.\n\nidle {:.1} MiB; after each tenth of {} changes: {} MiB; peak {:.1} MiB\ncountersign {}",
            self.what,
            self.idle_mib,
            self.changes,
            grown.join(", "),
            self.peak_mib,
            self.version
        )
    }
}
