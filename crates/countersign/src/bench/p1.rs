//! P1: authorizations per second over HTTP, beside the ceiling of the same machine in the same run.
//!
//! One authorization is a proposal that comes with its host's signed plan, and the redemption of
//! what the policy allowed: two requests, six log entries, two durable commits, a warrant with its
//! inclusion proof. Rounds over HTTP, of the ceiling and of raw commits take turns, so that noise of
//! the machine hits all alike; each figure is the median of the rounds.

use super::bed::Bed;
use super::captured::{self, Captured};
use super::figures::{Compared, Measured, Report};
use super::fleet::Kind;
use super::{BenchError, ceiling, check, failed, scratch};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Arguments of `bench p1`.
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

pub(super) fn measure(arguments: &Arguments) -> Result<Report, BenchError> {
    let scratch = scratch(arguments.scratch.as_deref())?;
    let dir = scratch.path().join("deployment");
    let mut bed = Bed::found(&dir, Kind::Staging, arguments.agents, arguments.hosts)?;
    let outcome = rounds(&mut bed, arguments, scratch.path());
    let (measurements, captured) = outcome?;
    let checked = bed.finish(&dir)?;
    Ok(Report::new(measurements, &captured, checked))
}

fn rounds(
    bed: &mut Bed,
    arguments: &Arguments,
    scratch: &Path,
) -> Result<(Vec<Measured>, Vec<Captured>), BenchError> {
    let seconds = Duration::from_secs(u64::from(arguments.seconds));
    let first = check::sizes(bed.deployment());
    let mut rates = Vec::new();
    for &clients in &arguments.clients {
        eprintln!("warming up with {clients} clients");
        let some = usize::from(clients).max(8) * 20;
        rates.push(bed.over_http(clients, some)?.per_second);
    }
    let captured = captured::capture(bed.deployment(), first)?;
    let policy = captured::InForce::of(bed.deployment())?;
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
            let share = (bed.left()) / left.max(1);
            let count = ((rate * seconds.as_secs_f64()) as usize).clamp(1, share.max(1));
            left -= 1;
            let http = bed.over_http(measured.clients, count)?;
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
                    ceiling: ceiling::run(&path("ceiling")?, clients, seconds, &policy, &captured)?,
                    raw: ceiling::raw(&path("raw")?, clients, seconds, &captured)?,
                })
            };
            measured.add(http, compared);
        }
    }
    Ok((measured, captured))
}
