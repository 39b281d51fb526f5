//! `countersign change`: looks at changes, decides on them, takes them back.

use super::agent::Identity;
use super::render::{change as in_full, packages, table};
use super::{Context, Failure, decide};
use crate::ambient;
use crate::api::wire::Changes;
use crate::client::Client;
use countersign_domain::ChangeId;
use countersign_domain::text::shown;
use countersign_gate::view::ChangeView;

/// What can be done with changes.
#[derive(Debug, clap::Subcommand)]
pub enum ChangeCommand {
    /// List changes, newest first
    List {
        /// Only in these states, separated by commas, such as `awaiting-approval,escalated`
        #[arg(long, value_name = "STATES")]
        state: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// The next page: the number that the last one ended with
        #[arg(long, value_name = "NUMBER")]
        after: Option<u64>,
    },
    /// Show one change
    Show {
        /// Its id, or the beginning of it
        change: String,
    },
    /// Approve a change
    Approve(decide::DecideArguments),
    /// Refuse a change
    Refuse(decide::DecideArguments),
    /// Take a change back, as the agent that asked for it
    Withdraw {
        /// Its id, or the beginning of it
        change: String,
        #[command(flatten)]
        identity: Identity,
    },
}

pub(super) fn run(context: &Context, command: ChangeCommand) -> Result<(), Failure> {
    match command {
        ChangeCommand::List {
            state,
            limit,
            after,
        } => {
            let mut query = format!("changes?limit={limit}");
            if let Some(state) = state {
                query.push_str(&format!("&state={}", encoded(&state)));
            }
            if let Some(after) = after {
                query.push_str(&format!("&after={after}"));
            }
            let changes: Changes = context.client()?.get(&query)?;
            context.answer(&changes, |changes| {
                let rows = changes.changes.iter().map(|change| {
                    [
                        change.id.to_string(),
                        change.state.to_string(),
                        change
                            .outcome
                            .map_or(String::new(), |outcome| outcome.as_str().to_owned()),
                        packages(change),
                        change.agent.to_string(),
                    ]
                });
                let mut text = table(["change", "state", "outcome", "what", "agent"], rows);
                if let Some(next) = changes.next {
                    text.push_str(&format!("\nmore: --after {next}"));
                }
                text
            })
        }
        ChangeCommand::Show { change } => {
            let view = find(&context.client()?, &change)?;
            context.answer(&view, |view| in_full(view, ambient::now()))
        }
        ChangeCommand::Approve(arguments) => decide::approve(context, &arguments),
        ChangeCommand::Refuse(arguments) => decide::refuse(context, &arguments),
        ChangeCommand::Withdraw { change, identity } => {
            let client = context.client()?;
            let id = find(&client, &change)?.id;
            let agent = identity.client(&client)?;
            let state = agent
                .withdraw(&id, ambient::now())
                .map_err(|error| Failure::refused(error.to_string()))?;
            context.answer(&serde_json::json!({"change": id, "state": state}), |_| {
                format!("{id} is {state}")
            })
        }
    }
}

/// The one change whose id begins so.
///
/// # Errors
/// When there is none, or more than one.
pub fn find(client: &Client, prefix: &str) -> Result<ChangeView, Failure> {
    if ChangeId::new(prefix).is_err() {
        return Err(Failure::usage(format!(
            "`{}` is no change id",
            shown(prefix, 60)
        )));
    }
    let found: Changes = client.get(&format!("changes?prefix={}", encoded(prefix)))?;
    let mut changes = found.changes;
    // What a server returns besides is not what was asked for.
    changes.retain(|change| change.id.as_str().starts_with(prefix));
    if let Some(at) = changes
        .iter()
        .position(|change| change.id.as_str() == prefix)
    {
        return Ok(changes.swap_remove(at));
    }
    match (changes.pop(), changes.is_empty()) {
        (Some(change), true) => Ok(change),
        (Some(_), false) => Err(Failure::usage(format!(
            "more than one change begins with `{prefix}`; type more of it"
        ))),
        (None, _) => Err(Failure::refused(format!("there is no change `{prefix}`"))
            .hint("`countersign change list` shows those that there are")),
    }
}

/// Text as part of an address.
#[must_use]
pub fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
