//! `countersign agent`: the built-in patch agent, a client of the HTTP API like any other.

use super::collect::Destination;
use super::roster_edit::{AddAgent, Edit};
use super::{Context, Failure, roster};
use crate::ambient;
use crate::client::Client as Connection;
use crate::serve::wait_for_signal;
use countersign_agent::{AgentIdentity, Client, Event, Grouping, Mode, Options};
use countersign_domain::AgentId;
use countersign_domain::text::shown;
use countersign_gate::found::hex_key;
use ed25519_dalek::SigningKey;
use rand::rngs::OsRng;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What can be done with agents.
#[derive(Debug, clap::Subcommand)]
pub enum AgentCommand {
    /// Make a key for an agent
    Keygen {
        /// The file to write it to
        key_file: PathBuf,
    },
    /// Add an agent to the roster (short for `roster add-agent`)
    Add {
        #[command(flatten)]
        agent: AddAgent,
        #[command(flatten)]
        destination: Destination,
    },
    /// Rank what hosts could upgrade, propose it, and follow up
    Run(RunArguments),
}

/// Who the agent is.
#[derive(Debug, clap::Args)]
pub struct Identity {
    /// The agent's name in the roster
    #[arg(long, value_name = "AGENT")]
    agent: AgentId,
    /// Its key, as `agent keygen` wrote it
    #[arg(long, value_name = "FILE")]
    agent_key: PathBuf,
}

impl Identity {
    /// A client of the API with this agent's key.
    ///
    /// # Errors
    /// When the key cannot be read, or the server is not known.
    pub(super) fn client(&self, connection: &Connection) -> Result<Client, Failure> {
        let identity = AgentIdentity {
            id: self.agent.clone(),
            deployment: connection.deployment()?.deployment,
            key: read_key(&self.agent_key)?,
        };
        Client::new(connection.url(), identity).map_err(|error| Failure::refused(error.to_string()))
    }
}

/// Arguments of `agent run`.
#[derive(Debug, clap::Args)]
pub struct RunArguments {
    #[command(flatten)]
    identity: Identity,
    /// Stop after one round
    #[arg(long)]
    once: bool,
    /// Seconds between rounds
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    every: u64,
    /// Propose at most so many in one round
    #[arg(long, default_value_t = 50, value_name = "COUNT")]
    max_proposals: usize,
    /// Propose the same upgrade on several hosts as one change, lower environments first
    #[arg(long)]
    waves: bool,
    /// Propose only security upgrades
    #[arg(long)]
    security_only: bool,
    /// Propose again what was refused or failed before
    #[arg(long)]
    again: bool,
}

pub(super) fn run(context: &Context, command: AgentCommand) -> Result<ExitCode, Failure> {
    match command {
        AgentCommand::Keygen { key_file } => {
            let public = create_key(&key_file)?;
            let answer = serde_json::json!({"public_key": public, "key_file": key_file});
            context.answer(&answer, |_| {
                format!("{public}\nnext: countersign agent add NAME --owner HANDLE --public-key {public}")
            })?;
            Ok(ExitCode::SUCCESS)
        }
        AgentCommand::Add { agent, destination } => {
            roster::change(context, Edit::try_from(agent)?, &destination)?;
            Ok(ExitCode::SUCCESS)
        }
        AgentCommand::Run(arguments) => propose(context, &arguments),
    }
}

fn propose(context: &Context, arguments: &RunArguments) -> Result<ExitCode, Failure> {
    let connection = context.client()?;
    let client = arguments.identity.client(&connection)?;
    let stop = Arc::new(AtomicBool::new(false));
    let signalled = Arc::clone(&stop);
    std::thread::spawn(move || {
        // Where signals cannot be waited for, they end the program at once, as they do by default.
        if wait_for_signal().is_ok() {
            signalled.store(true, Ordering::Relaxed);
        }
    });
    let json = context.json;
    let mut options = Options {
        mode: if arguments.once {
            Mode::Once
        } else {
            Mode::Continuous {
                interval: Duration::from_secs(arguments.every),
            }
        },
        max_proposals: arguments.max_proposals,
        grouping: if arguments.waves {
            Grouping::Waves
        } else {
            Grouping::HostByHost
        },
        again: arguments.again,
        withdraw_superseded: true,
        poll_every: Duration::from_secs(2),
        follow_for: Duration::from_secs(120),
        filter: &|finding| !arguments.security_only || finding.security,
        on_event: &mut |event| {
            if !json {
                tell(&event);
            }
        },
        now: &ambient::now,
        rng: &mut OsRng,
        stop: &stop,
    };
    let report = countersign_agent::run(&client, &mut options);
    let answer = serde_json::json!({
        "rounds": report.rounds,
        "findings": report.findings,
        "proposed": report.proposed.iter().map(|proposed| serde_json::json!({
            "change": proposed.change,
            "state": proposed.state,
            "score": proposed.score,
            "explanation": proposed.explanation,
        })).collect::<Vec<_>>(),
        "skipped": report.skipped.len(),
        "left_for_later": report.left_for_later,
        "withdrawn": report.withdrawn,
        "failures": report.failures,
    });
    context.answer(&answer, |_| {
        format!(
            "{} findings, {} proposed, {} skipped, {} failures",
            report.findings,
            report.proposed.len(),
            report.skipped.len(),
            report.failures.len()
        )
    })?;
    Ok(if report.failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn tell(event: &Event<'_>) {
    match event {
        Event::Ranked(ranked) => eprintln!("{} findings ranked", ranked.len()),
        Event::Proposed(proposed) => {
            eprintln!("proposed {} (score {})", proposed.change, proposed.score)
        }
        Event::Moved { view, .. } => eprintln!("{} is {}", view.id, view.state),
        Event::Withdrawn(change) => eprintln!("withdrew {change}"),
        Event::Failed(error) => eprintln!("failed: {}", shown(&error.to_string(), 500)),
        Event::Skipped(_) => {}
    }
}

/// Makes an agent's key; its public half.
///
/// # Errors
/// When the file is there already, or cannot be written.
pub fn create_key(path: &Path) -> Result<String, Failure> {
    let seed: [u8; 32] = ambient::random();
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| Failure::file(path, &error))?;
    writeln!(file, "{}", hex::encode(seed))
        .and_then(|()| file.sync_all())
        .map_err(|error| Failure::file(path, &error))?;
    Ok(hex_key(&SigningKey::from_bytes(&seed)))
}

/// Reads an agent's key.
///
/// # Errors
/// When it cannot be read, others can read it, or it is no key.
pub fn read_key(path: &Path) -> Result<SigningKey, Failure> {
    let failed = |error: std::io::Error| Failure::file(path, &error);
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
        return Err(
            Failure::refused(format!("`{}` can be read by others", path.display()))
                .hint(format!("run `chmod 600 {}`", path.display())),
        );
    }
    let mut text = String::new();
    file.take(200).read_to_string(&mut text).map_err(failed)?;
    let mut seed = [0; 32];
    hex::decode_to_slice(text.trim(), &mut seed).map_err(|_| {
        Failure::refused(format!(
            "`{}` is no agent key: expected 64 hex digits",
            path.display()
        ))
    })?;
    Ok(SigningKey::from_bytes(&seed))
}
