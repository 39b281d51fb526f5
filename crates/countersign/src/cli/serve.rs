//! `countersign serve`: runs the server until it is told to stop.

use super::{Context, Failure};
use crate::backup::Known;
use crate::deployment::{DATABASE, Deployment};
use crate::serve::{Reach, Server, wait_for_signal};
use std::net::SocketAddr;
use std::path::PathBuf;

/// A database of this size is said to take a while.
const LONG_BYTES: u64 = 256 * 1024 * 1024;

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct ServeArguments {
    /// Where to listen [default: as in deployment.toml]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Let other machines reach it; TLS is up to a proxy in front, which should pass on `/api/` alone
    #[arg(long)]
    allow_remote: bool,
    /// Do not start unless the logs contain this checkpoint, as for `restore`: after the data
    /// directory was put back by other means than that
    #[arg(long, value_name = "FILE")]
    latest_checkpoint: Vec<PathBuf>,
}

pub(super) fn run(context: &Context, arguments: &ServeArguments) -> Result<(), Failure> {
    say_what_takes_long(context);
    let known = Known::read(&arguments.latest_checkpoint)?;
    let deployment = Deployment::open(context.dir())?;
    known.check(deployment.gate().store())?;
    let reach = Reach {
        listen: arguments.listen.unwrap_or(deployment.config().listen),
        allow_remote: arguments.allow_remote,
        announce: true,
    };
    let id = deployment.config().deployment.clone();
    let running = Server::start(deployment, reach)?;
    let answer = serde_json::json!({"deployment": id, "address": running.addr.to_string()});
    context.answer(&answer, |_| {
        format!("serving `{id}` at http://localhost:{}", running.addr.port())
    })?;
    wait_for_signal().map_err(|error| Failure::refused(error.to_string()))?;
    eprintln!("stopping");
    running.stop();
    Ok(())
}

/// Every page is read back before the first decision: some seconds for each GiB.
fn say_what_takes_long(context: &Context) {
    let database = context.dir().join(DATABASE);
    let bytes = std::fs::metadata(database).map_or(0, |about| about.len());
    if bytes >= LONG_BYTES {
        eprintln!("reading back the database ({} MiB) …", bytes >> 20);
    }
}
