//! The command line: resource, then verb. stdout is data, stderr is talk. Parses, asks the gate over
//! HTTP, and prints; decides nothing.

mod agent;
mod alarm;
mod audit;
mod audit_report;
mod backup;
mod calendar;
mod change;
mod collect;
mod context;
mod decide;
mod emergency;
mod failure;
mod feed;
mod halt;
mod init;
mod inventory;
mod log;
mod policy;
mod reconcile;
mod render;
mod review;
mod roster;
mod roster_edit;
mod salvage;
mod serve;
mod signed;
mod statement;
mod verify;
mod why;
mod witness;

pub(crate) use audit::own as own_logs;
pub use context::Context;
pub use failure::{Exit, Failure};

use clap::{CommandFactory as _, Parser, Subcommand};
use countersign_domain::Digest;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// Pre-execution authorization for AI patch agents: a named human behind every change.
#[derive(Debug, Parser)]
#[command(
    name = "countersign",
    version,
    about,
    propagate_version = true,
    after_help = "Exit codes: 0 done; 1 refused or failed; 2 wrong usage; 3 could not decide, or the server cannot be reached.\nWith --json, stdout is one JSON document."
)]
pub struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
struct Global {
    /// The data directory [default: $XDG_DATA_HOME/countersign, else ~/.local/share/countersign]
    #[arg(long, global = true, env = "COUNTERSIGN_DIR", value_name = "DIR")]
    dir: Option<PathBuf>,
    /// A server to talk to, instead of the one of the data directory
    #[arg(long, global = true, env = "COUNTERSIGN_SERVER", value_name = "URL")]
    server: Option<String>,
    /// The genesis digest that a server elsewhere has to prove
    #[arg(
        long,
        global = true,
        env = "COUNTERSIGN_GENESIS",
        value_name = "DIGEST"
    )]
    genesis: Option<Digest>,
    /// The file with the operator's token, for a server elsewhere
    #[arg(
        long,
        global = true,
        env = "COUNTERSIGN_TOKEN_FILE",
        value_name = "FILE"
    )]
    token_file: Option<PathBuf>,
    /// The SSH key to sign with [default: the first of yours that is in the roster]
    #[arg(long, global = true, env = "COUNTERSIGN_KEY", value_name = "FILE")]
    key: Option<PathBuf>,
    /// Write JSON to stdout
    #[arg(long, global = true)]
    json: bool,
    /// Sign without asking
    #[arg(long, short, global = true)]
    yes: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// See it work: a trial on this machine, or a sandbox that really runs
    Quickstart(crate::quickstart::Arguments),
    /// Found a deployment in the data directory
    Init(init::InitArguments),
    /// Run the server
    Serve(serve::ServeArguments),
    /// Changes: what agents asked for and what became of it
    #[command(subcommand)]
    Change(change::ChangeCommand),
    /// Who decided a change, on what basis, when, and against which way back; with proofs
    Why(why::WhyArguments),
    /// Approve a change (short for `change approve`)
    Approve(decide::DecideArguments),
    /// Refuse a change (short for `change refuse`)
    Refuse(decide::DecideArguments),
    /// Review what ran by itself
    #[command(subcommand)]
    Review(review::ReviewCommand),
    /// What changed on hosts without a warrant; exit code 1 while a human has to look at any of it
    Reconcile(reconcile::ReconcileArguments),
    /// The 30-day question over logs that exist: a named human, before it ran?
    Audit(audit::AuditArguments),
    /// Stop everything, or one agent, rule or environment
    Halt(halt::HaltArguments),
    /// Let what was halted go on
    Resume(halt::ResumeArguments),
    /// Break-glass: sign what a host may do without the gate
    #[command(subcommand)]
    Emergency(emergency::EmergencyCommand),
    /// People, keys, groups, agents and hosts
    #[command(subcommand)]
    Roster(roster::RosterCommand),
    /// Sign what others have prepared, and hand it in
    #[command(subcommand)]
    Statement(statement::StatementCommand),
    /// The built-in patch agent
    #[command(subcommand)]
    Agent(agent::AgentCommand),
    /// The policy: check, test, explain, sign
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// The inventory of assets
    #[command(subcommand)]
    Inventory(inventory::InventoryCommand),
    /// Intelligence feeds: CISA KEV, EPSS, CVE records, SSVC tables
    #[command(subcommand)]
    Feed(feed::FeedCommand),
    /// Alarms
    #[command(subcommand)]
    Alarm(alarm::AlarmCommand),
    /// Copy the deployment to a new directory, while the server runs
    Backup(backup::BackupArguments),
    /// Put a backup into a new data directory, with proof that nothing is missing
    Restore(backup::RestoreArguments),
    /// Both logs: show, check, export
    #[command(subcommand)]
    Log(log::LogCommand),
    /// A witness of logs: its own process, with its own key
    #[command(subcommand)]
    Witness(witness::WitnessCommand),
    /// The enforcement point of a machine (the program `countersign-host`)
    #[command(subcommand, hide = true)]
    Host(countersign_host::Command),
    /// Measure this program on this machine (`cargo xtask bench`)
    #[command(subcommand, hide = true)]
    Bench(crate::bench::Bench),
    /// Write completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Runs the program with these arguments.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too, with exit code 0.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let context = Context::new(arguments.global);
    match dispatch(&context, arguments.command) {
        Ok(exit) => exit,
        Err(failure) => {
            failure.print();
            failure.exit.into()
        }
    }
}

fn dispatch(context: &Context, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Quickstart(arguments) => return Ok(crate::quickstart::run(&arguments)),
        Command::Init(arguments) => init::run(context, arguments)?,
        Command::Serve(arguments) => serve::run(context, &arguments)?,
        Command::Change(command) => change::run(context, command)?,
        Command::Why(arguments) => return why::run(context, &arguments),
        Command::Approve(arguments) => decide::approve(context, &arguments)?,
        Command::Refuse(arguments) => decide::refuse(context, &arguments)?,
        Command::Review(command) => review::run(context, command)?,
        Command::Reconcile(arguments) => return reconcile::run(context, arguments),
        Command::Audit(arguments) => return audit::run(context, &arguments),
        Command::Halt(arguments) => halt::halt(context, arguments)?,
        Command::Resume(arguments) => halt::resume(context, arguments)?,
        Command::Emergency(command) => return emergency::run(context, command),
        Command::Roster(command) => roster::run(context, command)?,
        Command::Statement(command) => statement::run(context, command)?,
        Command::Agent(command) => return agent::run(context, command),
        Command::Policy(command) => return policy::run(context, command),
        Command::Inventory(command) => inventory::run(context, command)?,
        Command::Feed(command) => feed::run(context, command)?,
        Command::Alarm(command) => alarm::run(context, &command)?,
        Command::Backup(arguments) => backup::backup(context, &arguments)?,
        Command::Restore(arguments) => backup::restore(context, &arguments)?,
        Command::Log(command) => return log::run(context, command),
        Command::Witness(command) => witness::run(context, command)?,
        Command::Host(command) => return Ok(countersign_host::run(command)),
        Command::Bench(bench) => return Ok(crate::bench::run(&bench, context.json)),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "countersign", &mut script);
            context.say(&String::from_utf8_lossy(&script));
        }
    }
    Ok(ExitCode::SUCCESS)
}
