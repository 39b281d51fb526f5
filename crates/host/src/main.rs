//! The `countersign-host` binary: the command line of this crate's library, nothing else.

use clap::Parser as _;
use std::process::ExitCode;

/// Enforcement on a machine: acts only on warrants that it verified itself.
#[derive(clap::Parser)]
#[command(name = "countersign-host", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: countersign_host::Command,
}

fn main() -> ExitCode {
    countersign_host::run(Arguments::parse().command)
}
