//! `countersign-sim`: runs the simulation from a seed, or from seed after seed. See the library.

use clap::Parser;
use countersign_simulation::{Flaw, GateFlaw, Simulation};
use rand::RngCore as _;
use std::process::ExitCode;

/// Simulates gate, hosts, agents and people from a seed.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask sim", disable_version_flag = true)]
struct Arguments {
    /// The seed; a random one otherwise.
    #[arg(long)]
    seed: Option<u64>,
    /// How many steps a run takes.
    #[arg(long, default_value_t = 2_000)]
    steps: u64,
    /// How many runs, each with the next seed.
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// When a rule does not hold, show every event, not only the last ones.
    #[arg(long)]
    all_events: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let first = arguments
        .seed
        .unwrap_or_else(|| u64::from(rand::rngs::OsRng.next_u32()));
    for run in 0..arguments.runs {
        let seed = first.wrapping_add(run);
        eprintln!("seed {seed}");
        let report = Simulation::new(seed, Flaw::None, GateFlaw::None)
            .and_then(|simulation| simulation.run(arguments.steps));
        match report {
            Ok(report) => {
                let digest = report
                    .digest
                    .map(|digest| digest.to_string())
                    .unwrap_or_default();
                println!(
                    "seed {seed}: {} steps, {} entries, {} warrants, {} effects, {} crashes, {} refusals, {} checks, {digest}",
                    report.steps,
                    report.entries,
                    report.warrants,
                    report.effects,
                    report.crashes,
                    report.refusals,
                    report.checked
                );
            }
            Err(violation) => {
                if arguments.all_events {
                    violation
                        .events
                        .iter()
                        .for_each(|event| eprintln!("{event}"));
                }
                eprintln!("{violation}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
