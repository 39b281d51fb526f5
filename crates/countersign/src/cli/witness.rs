//! `countersign witness`: a process of its own, with its own key, that cosigns checkpoints.

use super::{Context, Failure};
use crate::serve::wait_for_signal;
use crate::witness::WitnessDir;
use countersign_ledger::VerifierKey;
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What can be done with a witness.
#[derive(Debug, clap::Subcommand)]
pub enum WitnessCommand {
    /// Make a witness's key
    Keygen {
        /// Its folder
        #[arg(long, value_name = "DIR")]
        witness_dir: PathBuf,
        /// Its name, such as `witness.example.org/one`
        #[arg(long)]
        name: String,
    },
    /// Cosign checkpoints that extend what was seen before
    Run {
        /// Its folder
        #[arg(long, value_name = "DIR")]
        witness_dir: PathBuf,
        /// Verifier keys of the logs to witness, as `GET /api/v1/deployment` names them
        #[arg(long = "log", required = true, value_name = "VKEY")]
        logs: Vec<String>,
        /// Where to listen
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8441")]
        listen: SocketAddr,
    },
}

pub(super) fn run(context: &Context, command: WitnessCommand) -> Result<(), Failure> {
    match command {
        WitnessCommand::Keygen { witness_dir, name } => {
            let vkey = WitnessDir::create(&witness_dir, &name)?.vkey()?;
            context.answer(&json!({"vkey": vkey}), |_| {
                format!("{vkey}\nnext: countersign roster set-witnesses '{vkey}' --quorum 1, and a [[witness]] in deployment.toml")
            })
        }
        WitnessCommand::Run {
            witness_dir,
            logs,
            listen,
        } => {
            let logs = logs
                .iter()
                .map(|vkey| {
                    VerifierKey::parse(vkey).map_err(|error| Failure::usage(error.to_string()))
                })
                .collect::<Result<_, _>>()?;
            let witness = WitnessDir::open(&witness_dir)?;
            let running = witness.start(logs, listen)?;
            context.answer(
                &json!({"address": running.addr.to_string(), "vkey": witness.vkey()?}),
                |_| format!("witnessing at http://{}", running.addr),
            )?;
            wait_for_signal().map_err(|error| Failure::refused(error.to_string()))?;
            running.stop();
            Ok(())
        }
    }
}
