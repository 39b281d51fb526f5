//! `countersign alarm`: what a human should look into.

use super::render::table;
use super::{Context, Failure};
use crate::api::wire::Alarms;

/// What can be done with alarms.
#[derive(Debug, clap::Subcommand)]
pub enum AlarmCommand {
    /// List alarms, newest first
    List {
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
}

pub(super) fn run(context: &Context, command: &AlarmCommand) -> Result<(), Failure> {
    let AlarmCommand::List { limit } = command;
    let alarms: Alarms = context.client()?.get(&format!("alarms?limit={limit}"))?;
    context.answer(&alarms, |alarms| {
        let rows = alarms.alarms.iter().map(|alarm| {
            [
                alarm.at.to_string(),
                alarm.kind.clone(),
                alarm
                    .change
                    .as_ref()
                    .map_or(String::new(), ToString::to_string),
                alarm.text.clone(),
            ]
        });
        table(["at", "kind", "change", "what"], rows)
    })
}
