//! The command line of a host: translates, never decides. stdout is data; what goes on goes to
//! stderr. Exit codes: 0 done, 1 failed or refused, 2 wrong usage.

mod emergency;

pub use emergency::EmergencyCommand;

use crate::apt::Apt;
use crate::config::Config;
use crate::hook::{self, Mode};
use crate::progress::{Event, Progress};
use crate::work::{Host, World};
use crate::{enroll, guard, journal, network, observe};
use countersign_domain::Timestamp;
use rand::RngCore as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where the configuration lies unless another place is named. Never taken from the environment:
/// the hook inherits that from whoever typed apt.
pub const CONFIG_PATH: &str = "/etc/countersign/host.toml";

#[derive(Debug, clap::Args)]
struct ConfigArgument {
    /// The host's configuration.
    #[arg(long, default_value = CONFIG_PATH, value_name = "FILE")]
    config: PathBuf,
}

/// What a host can be told to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Verify the roster from the pinned genesis and make this host's key
    Enroll(EnrollArguments),
    /// Observe, prepare, redeem and act, until stopped
    Run(RunArguments),
    /// Say what upgrades are pending here, changing nothing
    Observe(ObserveArguments),
    /// Say what this host has done and what is open
    Status(ShowArguments),
    /// Called by apt: let through only what a warrant covers
    AptHook(HookArguments),
    /// Let apt and dpkg ask before they change anything, or no longer
    #[command(subcommand)]
    Hook(HookCommand),
    /// Carry requests between the executor and the gate: not root, sandboxed, without a key
    Network(NetworkArguments),
    /// Called by dpkg: let through only what runs under a warrant
    DpkgHook(HookArguments),
    /// Break the glass: act without the gate on what the pinned quorum has signed
    #[command(subcommand)]
    Emergency(EmergencyCommand),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// Arguments of `enroll`.
#[derive(Debug, clap::Args)]
pub struct EnrollArguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Keep a key that is there already
    #[arg(long)]
    keep_key: bool,
}

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct RunArguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Stop when nothing remains to be done
    #[arg(long)]
    once: bool,
    /// Observe and prepare, but redeem nothing: what is authorized is left for a later run
    #[arg(long)]
    prepare_only: bool,
}

/// Arguments of `observe`.
#[derive(Debug, clap::Args)]
pub struct ObserveArguments {
    #[command(flatten)]
    show: ShowArguments,
    /// Hand it in at the gate, with what is installed and the transitions in dpkg's log since the
    /// last time. (`run` does so by itself.)
    #[arg(long, conflicts_with = "json")]
    send: bool,
}

/// Arguments of `observe` and `status`.
#[derive(Debug, clap::Args)]
pub struct ShowArguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `apt-hook` and `dpkg-hook`.
#[derive(Debug, clap::Args)]
pub struct HookArguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Refuse what is not covered, or only report it
    #[arg(long, value_enum, default_value = "enforce")]
    mode: Mode,
}

/// Switching the hooks on and off.
#[derive(Debug, clap::Subcommand)]
pub enum HookCommand {
    /// Make apt and dpkg ask, or set the mode anew
    Enable(EnableArguments),
    /// Make them ask no longer
    Disable(DisableArguments),
}

/// Arguments of `hook enable`.
#[derive(Debug, clap::Args)]
pub struct EnableArguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Refuse what is not covered by a warrant, or only report it
    #[arg(long, value_enum)]
    mode: Mode,
    #[command(flatten)]
    root: RootArgument,
}

/// Arguments of `hook disable`.
#[derive(Debug, clap::Args)]
pub struct DisableArguments {
    #[command(flatten)]
    root: RootArgument,
}

/// Whose apt and dpkg.
#[derive(Debug, clap::Args)]
pub struct RootArgument {
    /// The root that apt and dpkg have their configuration under
    #[arg(long, default_value = "/", value_name = "FOLDER")]
    root: PathBuf,
}

/// Arguments of `network`.
#[derive(Debug, clap::Args)]
pub struct NetworkArguments {
    /// The network process's own configuration
    #[arg(long, default_value = network::CONFIG_PATH, value_name = "FILE")]
    config: PathBuf,
    /// Started as root, become this account first
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Enter the sandbox, try what it must refuse, write as JSON how each went, and end
    #[arg(long)]
    selfcheck: bool,
}

/// What can be done with the configuration.
#[derive(Debug, clap::Subcommand)]
pub enum ConfigCommand {
    /// Read and check it
    Check(CheckArguments),
}

/// Arguments of `config check`.
#[derive(Debug, clap::Args)]
pub struct CheckArguments {
    #[command(flatten)]
    config: ConfigArgument,
}

type Failure = Box<dyn std::error::Error>;

/// Runs a command; the exit code of the process.
#[must_use]
pub fn run(command: Command) -> ExitCode {
    let done = match command {
        Command::Enroll(arguments) => run_enroll(&arguments),
        Command::Run(arguments) => run_loop(&arguments),
        Command::Observe(arguments) => run_observe(&arguments),
        Command::Status(arguments) => run_status(&arguments),
        Command::Network(arguments) => run_network(&arguments),
        Command::Hook(command) => run_hook(&command),
        Command::Emergency(command) => emergency::run(&command),
        Command::Config(ConfigCommand::Check(arguments)) => run_check(&arguments),
        Command::AptHook(arguments) => {
            let config = Config::load(&arguments.config.config).map_err(|error| error.to_string());
            return passing(hook::run(config, arguments.mode, now()));
        }
        Command::DpkgHook(arguments) => {
            let config = Config::load(&arguments.config.config).map_err(|error| error.to_string());
            let action = std::env::var("DPKG_HOOK_ACTION").ok();
            return passing(hook::run_dpkg(
                config,
                arguments.mode,
                action.as_deref(),
                now(),
            ));
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("countersign-host: {error}");
            ExitCode::FAILURE
        }
    }
}

const fn passing(passes: bool) -> ExitCode {
    if passes {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The system's clock. The only place of this crate that reads it for a decision.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    });
    Timestamp::from_unix_millis(millis)
}

fn tell(event: Event) {
    match event {
        Event::Line(line) => eprintln!("{line}"),
        // Every tenth, so that a log stays readable; surfaces with a terminal draw a bar instead.
        Event::Counted { what, done, total } if done == total || done % 10 == 0 => {
            eprintln!("{what}: {done} of {total}");
        }
        Event::Counted { .. } => {}
    }
}

fn run_enroll(arguments: &EnrollArguments) -> Result<(), Failure> {
    let config = Config::load(&arguments.config.config)?;
    let mut seed = [0_u8; 32];
    rand::rngs::OsRng.try_fill_bytes(&mut seed)?;
    let enrolled = enroll::enroll(&config, seed, arguments.keep_key)?;
    println!("{}", enrolled.public_key);
    eprintln!(
        "roster verified up to version {} from the pinned genesis",
        enrolled.roster_version
    );
    if enrolled.admitted {
        eprintln!("this host is in the roster");
    } else {
        eprintln!(
            "to have this host admitted, a named human runs:\n  {}",
            enrolled.command
        );
    }
    Ok(())
}

fn run_loop(arguments: &RunArguments) -> Result<(), Failure> {
    let config = Config::load(&arguments.config.config)?;
    let world = World {
        clock: &now,
        progress: Progress::new(&tell),
    };
    let mut host = Host::open(config, world)?;
    if arguments.prepare_only {
        host = host.preparing_only();
    }
    if !arguments.once {
        return Err(host.run(world, &mut rand::rngs::OsRng).into());
    }
    let summary = host.run_once(world, &mut rand::rngs::OsRng)?;
    eprintln!(
        "done: {} observed, {} prepared, {} not prepared, {} executed, {} refused",
        summary.observed, summary.prepared, summary.unprepared, summary.executed, summary.refused
    );
    Ok(())
}

fn run_observe(arguments: &ObserveArguments) -> Result<(), Failure> {
    let config = Config::load(&arguments.show.config.config)?;
    if arguments.send {
        let world = World {
            clock: &now,
            progress: Progress::new(&tell),
        };
        let taken = Host::open(config, world)?.observe_once(world)?;
        return if taken {
            eprintln!("handed in");
            Ok(())
        } else {
            Err("the gate did not take the observation".into())
        };
    }
    let arguments = &arguments.show;
    let mut apt = Apt::open(&config.apt, &config.state_dir)?;
    let observation = observe::observe(&config, &mut apt, now(), Progress::new(&tell))?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&observation)?);
        return Ok(());
    }
    for upgrade in &observation.pending {
        let cves = match &upgrade.cves {
            countersign_domain::observation::CveCoverage::Read { ids } => {
                format!("{} CVE ids", ids.len())
            }
            countersign_domain::observation::CveCoverage::Unknown { .. } => {
                "CVE ids unknown".into()
            }
        };
        println!(
            "{} {} → {}{}, {cves}, pulls in {}, rollback {}",
            upgrade.name,
            upgrade.from,
            upgrade.to,
            if upgrade.security { " (security)" } else { "" },
            upgrade.pulls_in.len(),
            upgrade.rollback.as_str()
        );
    }
    for gap in &observation.gaps {
        println!("not known: {gap}");
    }
    Ok(())
}

fn run_status(arguments: &ShowArguments) -> Result<(), Failure> {
    let config = Config::load(&arguments.config.config)?;
    let state = journal::read(&config.state_dir)?;
    let executions: Vec<_> = state
        .executions()
        .map(|execution| {
            let settlement = execution.settlement.as_ref();
            serde_json::json!({
                "change": execution.change,
                "warrant": execution.warrant,
                "started_at": execution.intended.as_ref().map(|intended| intended.at),
                "ended_at": settlement.map(|settlement| settlement.at),
                "ending": settlement.map(|settlement| settlement.ending),
                "receipt_delivered": settlement.is_some_and(|settlement| settlement.delivered),
            })
        })
        .collect();
    if arguments.json {
        let all = serde_json::json!({"host": config.host, "executions": executions});
        println!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    println!(
        "{}: {} warrants used or refused",
        config.host,
        executions.len()
    );
    if let Some(log_size) = state.blind_before() {
        println!(
            "the journal was begun anew: of warrants before entry {log_size} of the log nothing is known"
        );
    }
    for execution in state.executions() {
        let ending = execution
            .settlement
            .as_ref()
            .map_or("open", |settlement| settlement.ending.as_str());
        println!("{} {ending}", execution.change);
    }
    Ok(())
}

fn run_hook(command: &HookCommand) -> Result<(), Failure> {
    match command {
        HookCommand::Enable(arguments) => {
            let program = std::env::current_exe()?;
            let config = &arguments.config.config;
            let written = guard::enable(&arguments.root.root, &program, config, arguments.mode)?;
            for path in written {
                println!("wrote {}", path.display());
            }
        }
        HookCommand::Disable(arguments) => {
            let removed = guard::disable(&arguments.root.root)?;
            if removed.is_empty() {
                println!("the hooks were not on");
            }
            for path in removed {
                println!("removed {}", path.display());
            }
        }
    }
    Ok(())
}

fn run_network(arguments: &NetworkArguments) -> Result<(), Failure> {
    let user = arguments.user.as_deref();
    if !arguments.selfcheck {
        let tell = |line: &str| eprintln!("countersign-host network: {line}");
        let Err(ended) = network::serve(&arguments.config, user, &tell);
        return Err(ended.into());
    }
    let report = network::selfcheck(&arguments.config, user)?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    if report.holds() {
        return Ok(());
    }
    Err("the sandbox let through what it must refuse; hint: report it as SECURITY.md says".into())
}

fn run_check(arguments: &CheckArguments) -> Result<(), Failure> {
    let config = Config::load(&arguments.config.config)?;
    config.definitions()?;
    println!(
        "{}: host `{}` of `{}`, {} checks, {}",
        arguments.config.config.display(),
        config.host,
        config.deployment,
        config.checks.len(),
        if config.apt.execute {
            "executes"
        } else {
            "only observes"
        }
    );
    Ok(())
}
