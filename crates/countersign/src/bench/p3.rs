//! P3: remediations through their whole life, and a complete record of each afterwards.

use super::bed::Bed;
use super::figures::Figures;
use super::fleet::Kind;
use super::{BenchError, Figured, failed, scratch};
use crate::deployment::Deployment;
use crate::evidence::StoreSource;
use countersign_evidence::{TrustedRoots, verify_log};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Agents, each with an owner of its own.
pub(super) const AGENTS: u16 = 100;

/// Arguments of `bench p3`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Remediations
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    remediations: u32,
    /// Concurrent clients
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=512))]
    clients: u16,
    /// Hosts
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=5000))]
    hosts: u16,
    /// A folder on the disk to measure [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    what: &'static str,
    version: &'static str,
    cores: usize,
    lives: Figures,
    /// Changes whose review is due, by the log, which was replayed whole.
    verified: u64,
    /// How long that took, in seconds.
    verified_seconds: f64,
}

const WHAT: &str = "P3: remediations proposed, prepared, authorized, redeemed, started and settled, each step \
    a request over HTTP/1.1 on loopback that is durable when it is answered; load generator in the same \
    process; starter policy with its limits raised, production hosts; then both logs verified from the pinned genesis, and a review due for each";

pub(super) fn measure(arguments: &Arguments) -> Result<Report, BenchError> {
    let count = usize::try_from(arguments.remediations).unwrap_or(usize::MAX);
    let scratch = scratch(arguments.scratch.as_deref())?;
    let dir = scratch.path().join("deployment");
    let mut bed = Bed::found(&dir, Kind::Production, AGENTS, arguments.hosts)?;
    let lives = bed.lives(arguments.clients, count)?;
    bed.finish(&dir)?;
    eprintln!("verifying the record of each");
    let started = Instant::now();
    let verified = verified(&dir, count)?;
    Ok(Report {
        what: WHAT,
        version: env!("CARGO_PKG_VERSION"),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        lives,
        verified,
        verified_seconds: started.elapsed().as_secs_f64(),
    })
}

/// Replays both logs, and counts the changes whose review is due.
fn verified(dir: &Path, count: usize) -> Result<u64, BenchError> {
    const WHAT: &str = "verifying the logs";
    let (config, gate) = Deployment::open_read_only(dir).map_err(failed(WHAT))?;
    let trusted = TrustedRoots {
        genesis: Some(config.genesis),
        ..TrustedRoots::default()
    };
    let report = verify_log(&StoreSource(&gate), &trusted, &mut |_| {}).map_err(failed(WHAT))?;
    if !report.is_ok() {
        return Err(BenchError::Void(format!(
            "the logs do not hold: {:?}",
            report.findings
        )));
    }
    let kinds = &report.authorizations.kinds;
    let due = kinds.get("review-required").copied().unwrap_or_default();
    if usize::try_from(due) != Ok(count) {
        return Err(BenchError::Void(format!(
            "{count} remediations were settled, a review is due for {due}"
        )));
    }
    Ok(due)
}

impl Figured for Report {
    fn table(&self) -> String {
        format!(
            "{}.\n\n{} lives in {:.2} s: {:.1} per second, p50 {:.2} ms, p99 {:.2} ms\n\
             verified in {:.2} s: a review is due for {} of them; countersign {}, {} cores",
            self.what,
            self.lives.authorizations,
            self.lives.seconds,
            self.lives.per_second,
            self.lives.p50_ms,
            self.lives.p99_ms,
            self.verified_seconds,
            self.verified,
            self.version,
            self.cores
        )
    }
}
