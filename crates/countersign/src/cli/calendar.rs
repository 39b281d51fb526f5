//! `countersign policy calendar`: what the change windows and freezes of a policy say at a time.
//! Shows; decides nothing. Also loads a policy whole, its calendars included.

use super::render::{table, when};
use super::{Context, Failure, collect};
use crate::ambient;
use crate::api::wire::PolicyView;
use countersign_domain::{Environment, Timestamp};
use countersign_facts::calendar::{Outlook, Turn};
use countersign_policy::{Finding, Policy, PolicySource, load};
use std::path::{Path, PathBuf};

/// Arguments of `policy calendar`.
#[derive(Debug, clap::Args)]
pub struct CalendarArguments {
    /// A policy folder [default: the policy in force]
    folder: Option<PathBuf>,
    /// When, such as `2026-12-24T18:00:00Z` [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Where: development, staging or production [default: all three]
    #[arg(long, value_name = "ENVIRONMENT", value_parser = super::halt::environment)]
    env: Option<Environment>,
}

/// Loads a policy with its calendars.
pub(super) fn load_whole(source: &PolicySource) -> Result<Policy, Vec<Finding>> {
    let policy = Policy::load(source);
    match (policy, countersign_gate::calendars(source)) {
        (policy, Ok(_)) => policy,
        (policy, Err(error)) => {
            let message = match &error.event {
                Some(event) => format!("event `{event}`: {}", error.problem),
                None => error.problem.to_string(),
            };
            let mut findings = policy.err().unwrap_or_default();
            findings.push(Finding::about(&error.path, error.line, message));
            Err(findings)
        }
    }
}

pub(super) fn run(context: &Context, arguments: &CalendarArguments) -> Result<(), Failure> {
    let source = match &arguments.folder {
        Some(folder) => from_folder(folder)?,
        None => collect::source(&context.client()?.get::<PolicyView>("policy")?.files)?,
    };
    let calendars = countersign_gate::calendars(&source)
        .map_err(|error| Failure::refused(error.to_string()))?;
    let at = arguments.at.unwrap_or_else(ambient::now);
    let outlooks: Vec<Outlook> = Environment::ALL
        .into_iter()
        .filter(|environment| arguments.env.is_none_or(|wanted| wanted == *environment))
        .map(|environment| calendars.outlook(environment, at))
        .collect();
    context.answer(&outlooks, |outlooks| {
        let mut text = format!("at {at}; calendars: {}\n", calendars.files());
        for outlook in outlooks {
            text.push_str(&in_words(outlook));
        }
        text
    })
}

fn from_folder(folder: &Path) -> Result<PolicySource, Failure> {
    load::from_folder(folder).map_err(|error| Failure::refused(error.to_string()))
}

fn in_words(outlook: &Outlook) -> String {
    let window = match (outlook.answer.in_window, outlook.has_windows) {
        (true, true) => "in a change window",
        (true, false) => "every hour is in the window",
        (false, _) => "outside of every change window",
    };
    let freeze = if outlook.answer.frozen {
        "FROZEN"
    } else {
        "not frozen"
    };
    let mut text = format!("\n{}: {window}, {freeze}\n", outlook.environment.as_str());
    for cited in &outlook.because {
        text.push_str(&format!(
            "  {}: {} (`{}`), {} to {}\n",
            cited.path, cited.summary, cited.event, cited.from, cited.until
        ));
    }
    if !outlook.next.is_empty() {
        let rows = outlook.next.iter().map(|(at, turn)| {
            let turn = match turn {
                Turn::WindowOpens => "the window opens",
                Turn::WindowCloses => "the window closes",
                Turn::FreezeBegins => "a freeze begins",
                Turn::FreezeEnds => "the freeze ends",
            };
            [turn.to_owned(), when(*at, outlook.at)]
        });
        text.push_str(&table(["next", "at"], rows));
        text.push('\n');
    }
    text
}
