//! `countersign halt` and `resume`: one signature stops, more let it go on (invariant 11).

use super::collect::{Destination, Matter, sign_and_send};
use super::context::signer;
use super::render::table;
use super::signed::{scope, show_and_sign};
use super::{Context, Failure};
use crate::ambient;
use crate::api::wire::{HaltAnswer, HaltBody, Halts};
use countersign_domain::statement::{HaltScope, Subject};
use countersign_domain::{AgentId, Environment, RuleId};

/// How much.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
pub struct ScopeArguments {
    /// Only what this agent does
    #[arg(long, value_name = "AGENT")]
    agent: Option<AgentId>,
    /// Only what this rule allows
    #[arg(long, value_name = "RULE")]
    rule: Option<RuleId>,
    /// Only in this environment: development, staging or production
    #[arg(long, value_name = "ENVIRONMENT", value_parser = environment)]
    environment: Option<Environment>,
}

impl ScopeArguments {
    fn scope(self) -> HaltScope {
        match (self.agent, self.rule, self.environment) {
            (Some(agent), _, _) => HaltScope::Agent(agent),
            (_, Some(rule), _) => HaltScope::Rule(rule),
            (_, _, Some(environment)) => HaltScope::Environment(environment),
            (None, None, None) => HaltScope::Everything,
        }
    }
}

/// Reads an environment.
pub(super) fn environment(text: &str) -> Result<Environment, String> {
    Environment::ALL
        .into_iter()
        .find(|environment| environment.as_str() == text)
        .ok_or_else(|| "expected development, staging or production".to_owned())
}

/// Arguments of `halt`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct HaltArguments {
    #[command(subcommand)]
    command: Option<HaltCommand>,
    #[command(flatten)]
    scope: ScopeArguments,
}

#[derive(Debug, clap::Subcommand)]
enum HaltCommand {
    /// List what is halted
    List,
}

/// Arguments of `resume`.
#[derive(Debug, clap::Args)]
pub struct ResumeArguments {
    #[command(flatten)]
    scope: ScopeArguments,
    #[command(flatten)]
    destination: Destination,
}

pub(super) fn halt(context: &Context, arguments: HaltArguments) -> Result<(), Failure> {
    let client = context.client()?;
    if let Some(HaltCommand::List) = arguments.command {
        let halts: Halts = client.get("halts")?;
        return context.answer(&halts, |halts| {
            let rows = halts
                .active
                .iter()
                .map(|(halt, entry)| [scope(halt), entry.to_string()]);
            format!(
                "halt epoch {}\n{}",
                halts.epoch,
                table(["halted", "by entry"], rows)
            )
        });
    }
    let roster = client.roster()?;
    let (person, key) = context.person(&roster)?;
    let halt = arguments.scope.scope();
    let subject = Subject::Halt { halt: halt.clone() };
    let details = "  No new warrants; what is authorized is revoked; hosts that have not started refuse within a minute.";
    let statement = show_and_sign(
        context,
        &signer(&roster, &person, &key),
        subject,
        details,
        false,
        ambient::now(),
    )?;
    let answer: HaltAnswer = client.post("halts", &HaltBody { statement })?;
    context.answer(&answer, |answer| {
        format!("halted {}; halt epoch {}", scope(&halt), answer.halt_epoch)
    })
}

pub(super) fn resume(context: &Context, arguments: ResumeArguments) -> Result<(), Failure> {
    let client = context.client()?;
    let roster = client.roster()?;
    let halts: Halts = client.get("halts")?;
    let halt = arguments.scope.scope();
    if halts.active.iter().all(|(active, _)| *active != halt) {
        return Err(Failure::refused(format!("{} is not halted", scope(&halt)))
            .hint("`countersign halt list` shows what is"));
    }
    let matter = Matter::Resume {
        halt,
        halt_epoch: halts.epoch,
    };
    sign_and_send(context, &client, &roster, matter, &arguments.destination)
}
