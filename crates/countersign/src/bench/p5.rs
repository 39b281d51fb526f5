//! P5: P1 with many entries in the log already, beside P1 with an empty log, in turns of one run.

use super::bed::Bed;
use super::figures::{Figures, median, rounded};
use super::fleet::Kind;
use super::p3::AGENTS;
use super::{BenchError, Figured, check, scratch};
use serde::Serialize;
use std::path::PathBuf;

/// Entries that one life leaves in the authorizations log, at least.
const ENTRIES_OF_A_LIFE: u64 = 6;

/// Arguments of `bench p5`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Entries that the authorizations log holds before
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=20_000_000))]
    entries: u64,
    /// Concurrent clients
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=512))]
    clients: u16,
    /// Rounds of each measurement
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: u16,
    /// Seconds that a round should take
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=60))]
    seconds: u16,
    /// Hosts
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..=5000))]
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
    rounds: u16,
    /// Entries of the authorizations log before the first round.
    entries: u64,
    empty: Figures,
    grown: Figures,
    /// Authorizations per second, empty to grown: the median of the rounds' own ratios.
    empty_to_grown: f64,
}

const WHAT: &str = "P5: authorizations per second over HTTP, on a deployment whose log has grown by whole \
    lives of remediations, beside a deployment of the same size whose log is empty, in turns";

pub(super) fn measure(arguments: &Arguments) -> Result<Report, BenchError> {
    let scratch = scratch(arguments.scratch.as_deref())?;
    let dirs = [scratch.path().join("empty"), scratch.path().join("grown")];
    let [empty_dir, grown_dir] = &dirs;
    let mut empty = Bed::found(empty_dir, Kind::Production, AGENTS, arguments.hosts)?;
    let mut grown = Bed::found(grown_dir, Kind::Production, AGENTS, arguments.hosts)?;
    while check::sizes(grown.deployment()).authorizations < arguments.entries {
        let missing = arguments.entries - check::sizes(grown.deployment()).authorizations;
        let count = usize::try_from(missing / ENTRIES_OF_A_LIFE).unwrap_or(usize::MAX);
        grown.lives(arguments.clients, count.clamp(1, 20_000))?;
    }
    let entries = check::sizes(grown.deployment()).authorizations;
    let warm = usize::from(arguments.clients) * 10;
    let rate = empty.over_http(arguments.clients, warm)?.per_second;
    grown.over_http(arguments.clients, warm)?;
    let wanted = (rate * f64::from(arguments.seconds)) as usize;
    let (mut of_empty, mut of_grown) = (Vec::new(), Vec::new());
    for round in 1..=arguments.rounds {
        eprintln!("round {round} of {}", arguments.rounds);
        let count = wanted.max(1);
        of_empty.push(empty.over_http(arguments.clients, count)?);
        of_grown.push(grown.over_http(arguments.clients, count)?);
    }
    empty.finish(empty_dir)?;
    grown.finish(grown_dir)?;
    let ratios = of_empty
        .iter()
        .zip(&of_grown)
        .map(|(empty, grown)| empty.per_second / grown.per_second.max(f64::MIN_POSITIVE))
        .collect();
    Ok(Report {
        what: WHAT,
        version: env!("CARGO_PKG_VERSION"),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        rounds: arguments.rounds,
        entries,
        empty: Figures::over(&of_empty),
        grown: Figures::over(&of_grown),
        empty_to_grown: rounded(median(ratios), 2),
    })
}

impl Figured for Report {
    fn table(&self) -> String {
        format!(
            "{}.\n\nempty: {:.1} per second, p99 {:.2} ms\nwith {} entries: {:.1} per second, p99 {:.2} ms\n\
             empty to grown {:.2}, over {} rounds; countersign {}, {} cores",
            self.what,
            self.empty.per_second,
            self.empty.p99_ms,
            self.entries,
            self.grown.per_second,
            self.grown.p99_ms,
            self.empty_to_grown,
            self.rounds,
            self.version,
            self.cores
        )
    }
}
