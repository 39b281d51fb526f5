//! `countersign roster`: shows who is in it, and changes it.

use super::collect::{Destination, Matter, sign_and_send};
use super::render::table;
use super::roster_edit::{self, Edit};
use super::{Context, Failure, statement};
use crate::ambient;
use crate::api::wire::{Contacts, People};
use countersign_domain::roster::RosterChange;
use countersign_domain::{Roster, canonical};
use std::path::PathBuf;

/// What can be done with the roster.
#[derive(Debug, clap::Subcommand)]
pub enum RosterCommand {
    /// Show people, keys, groups, agents and hosts
    Show,
    /// Show enrolled hosts, when each was last heard of, and which are silent
    Hosts,
    #[command(flatten)]
    Edit(EditCommand),
    /// Make several edits at once, from a TOML file of `[[operation]]` tables
    Change {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        destination: Destination,
    },
    /// Hand in a change that enough people have signed
    Submit {
        /// The file, or copies of it that were signed apart
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// One edit.
#[derive(Debug, clap::Subcommand)]
pub enum EditCommand {
    /// Add a named human with a key
    AddPerson(Sent<roster_edit::AddPerson>),
    /// Remove a named human: the keys no longer count
    RemovePerson(Sent<roster_edit::RemovePerson>),
    /// Give a person another key
    AddKey(Sent<roster_edit::AddKey>),
    /// Revoke a key
    RevokeKey(Sent<roster_edit::RevokeKey>),
    /// Set a group's members
    SetGroup(Sent<roster_edit::SetGroup>),
    /// Add an agent, or replace its owner and key
    AddAgent(Sent<roster_edit::AddAgent>),
    /// Remove an agent
    RemoveAgent(Sent<roster_edit::RemoveAgent>),
    /// Add a host, or replace its key
    AddHost(Sent<roster_edit::AddHost>),
    /// Remove a host
    RemoveHost(Sent<roster_edit::RemoveHost>),
    /// Set who signs roster changes and policies
    SetThreshold(Sent<roster_edit::SetThreshold>),
    /// Set the witnesses, and how many of them a checkpoint needs
    SetWitnesses(Sent<roster_edit::SetWitnesses>),
}

/// An edit and where it goes.
#[derive(Debug, clap::Args)]
pub struct Sent<E: clap::Args> {
    #[command(flatten)]
    edit: E,
    #[command(flatten)]
    destination: Destination,
}

pub(super) fn run(context: &Context, command: RosterCommand) -> Result<(), Failure> {
    match command {
        RosterCommand::Show => {
            let client = context.client()?;
            let roster = client.roster()?;
            // Names need the operator's token, and may have been erased.
            let people = client.get::<People>("people").ok();
            context.answer(&roster, |roster| in_full(roster, people.as_ref()))
        }
        RosterCommand::Hosts => {
            let contacts: Contacts = context.client()?.get("contacts")?;
            context.answer(&contacts, hosts)
        }
        RosterCommand::Change { file, destination } => {
            let edit = roster_edit::from_file(&file)?;
            change(context, edit, &destination)
        }
        RosterCommand::Submit { files } => statement::submit(context, &files),
        RosterCommand::Edit(command) => match command {
            EditCommand::AddPerson(sent) => edit(context, sent),
            EditCommand::RemovePerson(sent) => edit(context, sent),
            EditCommand::AddKey(sent) => edit(context, sent),
            EditCommand::RevokeKey(sent) => edit(context, sent),
            EditCommand::SetGroup(sent) => edit(context, sent),
            EditCommand::AddAgent(sent) => edit(context, sent),
            EditCommand::RemoveAgent(sent) => edit(context, sent),
            EditCommand::AddHost(sent) => edit(context, sent),
            EditCommand::RemoveHost(sent) => edit(context, sent),
            EditCommand::SetThreshold(sent) => edit(context, sent),
            EditCommand::SetWitnesses(sent) => edit(context, sent),
        },
    }
}

fn edit<E>(context: &Context, sent: Sent<E>) -> Result<(), Failure>
where
    E: clap::Args + TryInto<Edit, Error = Failure>,
{
    change(context, sent.edit.try_into()?, &sent.destination)
}

/// Signs a change of the roster and sends it where it goes.
///
/// # Errors
/// When it is not signed, written or accepted.
pub fn change(context: &Context, edit: Edit, destination: &Destination) -> Result<(), Failure> {
    let client = context.client()?;
    let roster = client.roster()?;
    let change = RosterChange {
        v: 1,
        deployment: roster.deployment.clone(),
        trial: roster.trial,
        version: roster.version + 1,
        previous: Some(roster.head),
        at: ambient::now(),
        operations: edit.operations,
    };
    // Says now what would not be accepted, before anybody signs it.
    roster
        .extended(&change)
        .map_err(|error| Failure::refused(error.to_string()))?;
    let matter = Matter::Roster {
        change: canonical::to_text(&change)?,
        texts: edit.texts,
    };
    sign_and_send(context, &client, &roster, matter, destination)
}

fn hosts(contacts: &Contacts) -> String {
    let rows = contacts.contacts.iter().map(|contact| {
        let heard = match contact.reported {
            true => contact.since.to_string(),
            false => format!("never; enrolled at {}", contact.since),
        };
        let silent = contact.silent.as_ref().map_or(String::new(), |(told, _)| {
            format!("SILENT since {}, alarm at {told}", contact.since)
        });
        [contact.host.to_string(), heard, silent]
    });
    table(["host", "last report", "silence"], rows)
}

fn in_full(roster: &Roster, people: Option<&People>) -> String {
    let persons = roster.people.iter().map(|(handle, person)| {
        let name = people
            .and_then(|people| people.names.get(handle))
            .cloned()
            .unwrap_or_default();
        let keys: Vec<_> = roster
            .keys
            .iter()
            .filter(|(_, key)| key.person == *handle && key.revoked_at.is_none())
            .map(|(fingerprint, _)| fingerprint.clone())
            .collect();
        let left = person.removed_at.map_or(String::new(), |version| {
            format!("left at version {version}")
        });
        [handle.to_string(), name, keys.join(" "), left]
    });
    let groups = roster.groups.iter().map(|(group, members)| {
        let members: Vec<_> = members.iter().map(|member| member.as_str()).collect();
        [group.to_string(), members.join(", ")]
    });
    let agents = roster.agents.iter().map(|(agent, entry)| {
        [
            agent.to_string(),
            entry.owner.to_string(),
            entry.public_key.clone(),
        ]
    });
    let hosts = roster
        .hosts
        .iter()
        .map(|(host, key)| [host.to_string(), key.clone()]);
    format!(
        "deployment {}{}\nroster version {}, genesis {}\nthreshold {} of `{}`; {} of {} witnesses\n\n{}\n\n{}\n\n{}\n\n{}",
        roster.deployment,
        if roster.trial { " (trial)" } else { "" },
        roster.version,
        roster.genesis,
        roster.threshold.quorum,
        roster.threshold.group,
        roster.witness_quorum,
        roster.witnesses.len(),
        table(["person", "name", "keys", ""], persons),
        table(["group", "members"], groups),
        table(["agent", "owner", "key"], agents),
        table(["host", "key"], hosts),
    )
}
