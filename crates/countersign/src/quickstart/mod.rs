//! `countersign quickstart`: from nothing to a governed machine in one command. Founds a trial
//! deployment, lets this machine observe itself, lets the built-in agent propose, and shows what
//! would run by itself, what waits for a human, and why. With `--sandbox` it really runs, inside a
//! private apt root. Nothing of the machine itself is changed in either mode.

mod demo;
mod host;
mod machine;
mod past;
mod person;
mod prompt;
mod report;
mod setup;
mod stage;

use crate::ambient;
use crate::deployment::{self, DeploymentError};
use crate::serve::{Reach, Running, ServeError, Server};
use crate::signing::SigningError;
use countersign_domain::asset::{Environment, Tier};
use countersign_gate::GateError;
use std::cell::Cell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `quickstart`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Build a private apt root with demo packages and really upgrade, roll back and refuse in it;
    /// needs no network and no root
    #[arg(long)]
    sandbox: bool,
    /// The named human behind this deployment (default: `git config user.name`, else asked)
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The handle of that human in the roster, such as `maria.ortiz` (default: from the name)
    #[arg(long, value_name = "HANDLE")]
    person: Option<String>,
    /// The SSH private key that the human signs with (default: asked, else a key made for this trial)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// What this machine is for: development, staging or production
    #[arg(long, value_name = "ENVIRONMENT", value_parser = machine::environment)]
    environment: Option<Environment>,
    /// How much depends on it: 0 (most) to 4 (least)
    #[arg(long, value_name = "TIER", value_parser = machine::tier)]
    tier: Option<Tier>,
    /// Propose at most so many of the pending upgrades, the most urgent first
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    limit: usize,
    /// Ask nothing: take flags and defaults, and sign as the named human
    #[arg(long, short)]
    yes: bool,
    /// Write one JSON document to stdout
    #[arg(long)]
    json: bool,
    /// Exit when done instead of serving
    #[arg(long)]
    no_serve: bool,
    /// Where the server listens afterwards
    #[arg(long, value_name = "ADDRESS", default_value_t = deployment::LISTEN)]
    listen: SocketAddr,
    /// The data directory (default: $COUNTERSIGN_DIR, else ~/.local/share/countersign)
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Move a deployment that is there aside and begin anew; nothing is deleted
    #[arg(long)]
    fresh: bool,
}

/// Why the quickstart stopped.
#[derive(Debug, thiserror::Error)]
pub enum QuickstartError {
    /// No directory to work in.
    #[error("there is no home directory; name a data directory with `--dir`")]
    NoDirectory,
    /// A deployment is there already.
    #[error(
        "there is a deployment in `{0}` already; go on with `countersign serve --dir {0}`, begin anew with `--fresh` (which moves it aside), or name another directory with `--dir`"
    )]
    Occupied(String),
    /// Nobody is named.
    #[error("nobody is named; say who stands behind changes here with `--name \"First Last\"`")]
    Nobody,
    /// Something that was given cannot be used.
    #[error("`{field}`: {problem}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// The human did not sign.
    #[error(
        "the policy was not signed, so nothing may be decided; run it again and sign, or write your own with `countersign policy init`"
    )]
    NotSigned,
    /// This machine has no apt.
    #[error(
        "this machine has no apt-get; `countersign` governs Debian and Ubuntu machines for now"
    )]
    NoApt,
    /// The host process failed.
    #[error("the host stopped: {said}{hint}")]
    Host {
        /// The end of what it said.
        said: String,
        /// What works instead.
        hint: &'static str,
    },
    /// The demonstration's own root.
    #[error(transparent)]
    Sandbox(#[from] countersign_host::sandbox::SandboxError),
    /// The data directory.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// The gate.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// The server.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A signature.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The agent.
    #[error("the agent: {0}")]
    Agent(String),
    /// A file.
    #[error("`{path}`: {source}")]
    File {
        /// Which.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something else of the system.
    #[error(transparent)]
    System(#[from] std::io::Error),
}

/// Runs it; the exit code of the process: 0 done, 1 failed.
#[must_use]
pub fn run(arguments: &Arguments) -> ExitCode {
    match go(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Some of it is what other programs said.
            for line in format!("error: {error}").lines() {
                eprintln!("{}", countersign_domain::text::shown(line, 500));
            }
            ExitCode::FAILURE
        }
    }
}

fn go(arguments: &Arguments) -> Result<(), QuickstartError> {
    let stage = stage::Stage::new(arguments.json);
    if !host::apt_is_here() {
        return Err(QuickstartError::NoApt);
    }
    if !arguments.no_serve {
        // Whether the port is free is better known before anything is founded.
        drop(crate::serve::bind(arguments.listen)?);
    }
    let prompt = prompt::Prompt::new(arguments.yes);
    let human = person::find(arguments, &prompt)?;
    let machine = machine::find(arguments, &prompt)?;
    let dir = directory(arguments)?;
    let made = Cell::new(false);
    match decided(arguments, &dir, &human, &machine, &prompt, &stage, &made) {
        Ok(server) => finish(arguments, server, &stage),
        Err(error) => {
            // Nothing half-written: what this very run has founded goes, so that the next can.
            if made.get()
                && let Err(left) = std::fs::remove_dir_all(&dir)
                && left.kind() != std::io::ErrorKind::NotFound
            {
                eprintln!("`{}` could not be removed: {left}", dir.display());
            }
            Err(error)
        }
    }
}

/// Founds (and says so in `made`), observes, proposes and decides; in the sandbox, acts. The
/// server, once everything is shown.
fn decided(
    arguments: &Arguments,
    dir: &Path,
    human: &person::Human,
    machine: &machine::Machine,
    prompt: &prompt::Prompt,
    stage: &stage::Stage,
    made: &Cell<bool>,
) -> Result<Running, QuickstartError> {
    let mut founded = setup::found(arguments, dir, human, machine, stage, made)?;
    setup::sign_policy(&founded, human, prompt, stage)?;
    let reach = if arguments.no_serve {
        Reach::ephemeral()
    } else {
        Reach::at(arguments.listen)
    };
    let server = Server::start(founded.deployment, reach)?;
    let step = stage.step("enrolling this host");
    founded.host.enroll(server.addr, &step)?;
    step.done("enrolled this host: it verified the roster from its pinned genesis");
    let mut act = demo::Act {
        arguments,
        server: &server,
        host: &founded.host,
        agent: founded.agent,
        human,
        prompt,
        stage,
    };
    let plain_apt = match &founded.sandbox {
        Some(sandbox) => Some(act.play(sandbox)?),
        None => {
            act.observe_and_propose()?;
            None
        }
    };
    // The sandbox is a world of its own, in which nothing was done before.
    let past = (founded.sandbox.is_none()).then(|| past::Past::of_this_machine(ambient::now()));
    let document = report::Document::gather(&server, &founded.host, plain_apt, past)?;
    if arguments.json {
        // stdout is data: this one document and nothing else.
        println!("{}", report::json(&document));
    } else {
        report::print(&document, dir, arguments.dir.is_some(), human);
    }
    Ok(server)
}

fn finish(
    arguments: &Arguments,
    server: Running,
    stage: &stage::Stage,
) -> Result<(), QuickstartError> {
    if arguments.no_serve {
        server.stop();
        return Ok(());
    }
    stage.line(&format!(
        "serving at http://localhost:{} — Ctrl-C stops it",
        server.addr.port()
    ));
    server.run_until_signal()?;
    Ok(())
}

/// The data directory; one that holds a deployment is moved aside with `--fresh` only.
fn directory(arguments: &Arguments) -> Result<PathBuf, QuickstartError> {
    let dir = match &arguments.dir {
        Some(dir) => std::path::absolute(dir)?,
        None => deployment::default_dir().ok_or(QuickstartError::NoDirectory)?,
    };
    let occupied = std::fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_some());
    if !occupied {
        return Ok(dir);
    }
    if !arguments.fresh {
        return Err(QuickstartError::Occupied(dir.display().to_string()));
    }
    let mut aside = dir.clone().into_os_string();
    aside.push(format!(".{}", ambient::now().unix_seconds()));
    std::fs::rename(&dir, &aside).map_err(|source| QuickstartError::File {
        path: dir.display().to_string(),
        source,
    })?;
    eprintln!(
        "moved the deployment that was there to `{}`",
        aside.display()
    );
    Ok(dir)
}
