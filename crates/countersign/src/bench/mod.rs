//! P1: authorizations per second over HTTP, beside the ceiling of the same machine in the same run.
//! Drives a real server in this process; nothing of it is in the way of a running deployment.
//!
//! One authorization is a proposal that comes with its host's signed plan, and the redemption of
//! what the policy allowed: two requests, six log entries, two durable commits, a warrant with its
//! inclusion proof. Rounds over HTTP, of the ceiling and of raw commits take turns, so that noise of
//! the machine hits all alike; each figure is the median of the rounds.

mod captured;
mod ceiling;
mod check;
mod clients;
mod figures;
mod fleet;
mod http;
mod prepared;

use crate::ambient;
use crate::serve::{Reach, Running, Server};
use captured::Captured;
use check::Samples;
use figures::{Compared, Figures, Measured, Report};
use fleet::Fleet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Arguments of `bench-p1`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Concurrent clients, one measurement each
    #[arg(long, value_delimiter = ',', default_value = "1,64", value_parser = clap::value_parser!(u16).range(1..=512))]
    clients: Vec<u16>,
    /// Rounds of each measurement
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: u16,
    /// Seconds that a round should take
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=60))]
    seconds: u16,
    /// Agents, each with an owner of its own; the starter policy lets each have 25 hosts in flight
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..=5000))]
    agents: u16,
    /// Hosts
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u16).range(1..=5000))]
    hosts: u16,
    /// A folder on the disk to measure [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Only the rounds over HTTP: for profilers
    #[arg(long)]
    http_only: bool,
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

/// Measures and prints: a table, or with `json` one JSON document.
#[must_use]
pub fn run(arguments: &Arguments, json: bool) -> ExitCode {
    let report = measure(arguments).and_then(|report| {
        let text = if json {
            serde_json::to_string_pretty(&report).map_err(failed("writing the figures"))?
        } else {
            report.table()
        };
        println!("{text}");
        Ok(())
    });
    match report {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<Report, BenchError> {
    let scratch = scratch(arguments)?;
    eprintln!(
        "founding a deployment: {} agents, {} hosts",
        arguments.agents, arguments.hosts
    );
    let dir = scratch.path().join("deployment");
    let (deployment, fleet) = fleet::found(&dir, arguments.agents, arguments.hosts)?;
    let running =
        Server::start(deployment, Reach::ephemeral()).map_err(failed("starting the server"))?;
    let mut bench = Bench {
        running,
        fleet,
        samples: Samples::default(),
        used: 0,
        capacity: usize::from(arguments.agents) * fleet::IN_FLIGHT_MAX,
    };
    let outcome = bench.measure(arguments, scratch.path());
    let Bench {
        running,
        samples,
        used,
        ..
    } = bench;
    let (measurements, captured) = outcome?;
    eprintln!("checking what was issued");
    check::logged(running.deployment(), used)?;
    let vkeys = check::vkeys(running.deployment());
    running.stop();
    let checked = check::database(&dir, &vkeys, used, &samples)?;
    Ok(Report::new(measurements, &captured, checked))
}

/// A folder of its own that is removed afterwards.
fn scratch(arguments: &Arguments) -> Result<tempfile::TempDir, BenchError> {
    /// `TMPFS_MAGIC` of statfs(2).
    const TMPFS: u64 = 0x0102_1994;
    let parent = arguments.scratch.clone().unwrap_or_else(std::env::temp_dir);
    let system = rustix::fs::statfs(&parent).map_err(failed("looking at the scratch folder"))?;
    // The field's width and sign differ between architectures.
    if u64::try_from(system.f_type).is_ok_and(|kind| kind == TMPFS) {
        return Err(BenchError::NotADisk(parent));
    }
    tempfile::tempdir_in(&parent).map_err(failed("making the scratch folder"))
}

/// A run under way.
struct Bench {
    running: Running,
    fleet: Fleet,
    samples: Samples,
    /// Authorizations so far.
    used: usize,
    /// Authorizations that the starter policy allows before any has settled.
    capacity: usize,
}

impl Bench {
    fn measure(
        &mut self,
        arguments: &Arguments,
        scratch: &Path,
    ) -> Result<(Vec<Measured>, Vec<Captured>), BenchError> {
        let seconds = Duration::from_secs(u64::from(arguments.seconds));
        let first = check::sizes(self.running.deployment());
        let mut rates = Vec::new();
        for &clients in &arguments.clients {
            eprintln!("warming up with {clients} clients");
            let some = usize::from(clients).max(8) * 20;
            rates.push(self.over_http(clients, some)?.per_second);
        }
        let captured = captured::capture(self.running.deployment(), first)?;
        let policy = captured::InForce::of(self.running.deployment())?;
        let mut measured: Vec<Measured> = arguments
            .clients
            .iter()
            .map(|&clients| Measured::new(clients))
            .collect();
        let mut left = usize::from(arguments.rounds) * measured.len();
        for round in 1..=arguments.rounds {
            for (measured, rate) in measured.iter_mut().zip(&rates) {
                eprintln!("round {round}: {} clients", measured.clients);
                // A fair share of what the policy still allows.
                let share = (self.capacity - self.used) / left.max(1);
                let count = ((rate * seconds.as_secs_f64()) as usize).clamp(1, share.max(1));
                left -= 1;
                let http = self.over_http(measured.clients, count)?;
                let compared = if arguments.http_only {
                    None
                } else {
                    let clients = measured.clients;
                    let path = |kind: &str| {
                        let folder = scratch.join(format!("{kind}-{clients}-{round}"));
                        std::fs::create_dir(&folder)
                            .map(|()| folder.join("database"))
                            .map_err(failed("making a folder"))
                    };
                    Some(Compared {
                        ceiling: ceiling::run(
                            &path("ceiling")?,
                            clients,
                            seconds,
                            &policy,
                            &captured,
                        )?,
                        raw: ceiling::raw(&path("raw")?, clients, seconds, &captured)?,
                    })
                };
                measured.add(http, compared);
            }
        }
        Ok((measured, captured))
    }

    /// One round over HTTP: signed before the clock starts, checked after it stopped.
    fn over_http(&mut self, clients: u16, count: usize) -> Result<Figures, BenchError> {
        if self.used + count > self.capacity {
            return Err(BenchError::Void(format!(
                "the starter policy allows {} authorizations in flight; use more `--agents`",
                self.capacity
            )));
        }
        let before = check::checkpoint(self.running.deployment())?;
        let work = prepared::sign(&self.fleet, self.used, count, &before, ambient::now())?;
        self.used += count;
        let round = clients::run(self.running.addr, clients, work)?;
        self.samples
            .check(self.running.deployment(), &before, &round)?;
        Ok(Figures::of(round.latencies, round.elapsed))
    }
}
