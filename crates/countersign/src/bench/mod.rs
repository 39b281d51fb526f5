//! What `cargo xtask bench` measures. Drives real servers; nothing of it is in the way of a running
//! deployment. What is measured is checked afterwards: a run with a flaw gives no figures.

mod audit;
mod bed;
mod captured;
mod ceiling;
mod check;
mod clients;
mod estate;
mod figures;
mod fleet;
mod http;
mod lives;
mod p1;
mod p2;
mod p3;
mod p5;
mod p6;
mod p7;
mod prepared;

use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What is measured.
#[derive(Debug, clap::Subcommand)]
pub enum Bench {
    /// Authorizations per second over HTTP, beside the ceiling of the same run
    P1(p1::Arguments),
    /// The policy decision alone, beside plain Cedar
    P2(p2::Arguments),
    /// Remediations through their whole life over HTTP, and verified afterwards
    P3(p3::Arguments),
    /// Authorizations per second with many entries in the log, beside an empty log
    P5(p5::Arguments),
    /// Offline verification of one warrant with its proof, beside the bare signatures in it
    P6(p6::Arguments),
    /// Resident memory of a server: idle, and after many changes
    P7(p7::Arguments),
    /// The audit over a gigabyte of logs, beside DuckDB and jq
    Audit(audit::Arguments),
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// The folder would not keep anything.
    #[error(
        "`{}` is in memory, so commits to it are not durable; name a folder on a disk with `--scratch`",
        .0.display()
    )]
    NotADisk(PathBuf),
    /// An answer was no authorization or no warrant.
    #[error("{what} was answered with {status}: {body}")]
    Answer {
        /// What was asked.
        what: &'static str,
        /// The status.
        status: u16,
        /// The start of the body.
        body: String,
    },
    /// What was measured does not hold: the figures would be worth nothing.
    #[error("the run is void: {0}")]
    Void(String),
    /// Something that the measurement needs failed.
    #[error("{what}: {why}")]
    Failed {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        why: String,
    },
}

/// Names what failed, in front of why.
fn failed<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> BenchError {
    move |error| BenchError::Failed {
        what,
        why: error.to_string(),
    }
}

/// Figures that were measured.
trait Figured: Serialize {
    /// For people.
    fn table(&self) -> String;
}

/// Measures and prints: a table, or with `json` one JSON document.
#[must_use]
pub fn run(bench: &Bench, json: bool) -> ExitCode {
    let printed = match bench {
        Bench::P1(arguments) => p1::measure(arguments).and_then(|report| print(&report, json)),
        Bench::P2(arguments) => p2::measure(arguments).and_then(|report| print(&report, json)),
        Bench::P3(arguments) => p3::measure(arguments).and_then(|report| print(&report, json)),
        Bench::P5(arguments) => p5::measure(arguments).and_then(|report| print(&report, json)),
        Bench::P6(arguments) => p6::measure(arguments).and_then(|report| print(&report, json)),
        Bench::P7(arguments) => p7::measure(arguments).and_then(|report| print(&report, json)),
        Bench::Audit(arguments) => {
            audit::measure(arguments).and_then(|report| print(&report, json))
        }
    };
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print(report: &impl Figured, json: bool) -> Result<(), BenchError> {
    let text = if json {
        serde_json::to_string_pretty(report).map_err(failed("writing the figures"))?
    } else {
        report.table()
    };
    println!("{text}");
    Ok(())
}

/// A folder of its own that is removed afterwards: in `parent`, or where the system has such folders.
fn scratch(parent: Option<&Path>) -> Result<tempfile::TempDir, BenchError> {
    /// `TMPFS_MAGIC` of statfs(2).
    const TMPFS: u64 = 0x0102_1994;
    let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
    let system = rustix::fs::statfs(&parent).map_err(failed("looking at the scratch folder"))?;
    // The field's width and sign differ between architectures.
    if u64::try_from(system.f_type).is_ok_and(|kind| kind == TMPFS) {
        return Err(BenchError::NotADisk(parent));
    }
    tempfile::tempdir_in(&parent).map_err(failed("making the scratch folder"))
}
