//! `countersign reconcile`: what changed on hosts without a warrant, and the human's look that each of
//! these needs.

use super::context::signer;
use super::decide::digest_of;
use super::render::{table, when};
use super::signed::show_and_sign;
use super::{Context, Exit, Failure};
use crate::ambient;
use crate::api::wire::{ReviewBody, Unwarranted, UnwarrantedView};
use countersign_domain::canonical;
use countersign_domain::entry::{Entry, Event};
use countersign_domain::package_report::SeenTransition;
use countersign_domain::statement::{Subject, Verdict};
use countersign_domain::text::SaltedText;
use countersign_domain::{Digest, HostId, Version};
use countersign_gate::state::UnwarrantedRecord;
use std::process::ExitCode;

/// Arguments of `reconcile`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ReconcileArguments {
    #[command(subcommand)]
    command: Option<ReconcileCommand>,
    /// Of this host only
    #[arg(long)]
    host: Option<HostId>,
    /// Those that a human has looked at, too
    #[arg(long)]
    all: bool,
}

/// What can be done with a transition that had no warrant.
#[derive(Debug, clap::Subcommand)]
pub enum ReconcileCommand {
    /// Sign that you looked at it, and that it is in order
    Accept(LookArguments),
    /// Sign that you looked at it, and that something is wrong
    Concern(LookArguments),
}

/// Arguments of a look.
#[derive(Debug, clap::Args)]
pub struct LookArguments {
    /// Its number, as `reconcile` lists it
    #[arg(value_name = "NUMBER")]
    finding: u64,
    /// Your note; kept beside the log, bound by what you sign
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

/// The exit code says whether a human still has to look at something.
pub(super) fn run(context: &Context, arguments: ReconcileArguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        Some(ReconcileCommand::Accept(look)) => review(context, &look, Verdict::Accept),
        Some(ReconcileCommand::Concern(look)) => review(context, &look, Verdict::Concern),
        None => list(context, arguments.host.as_ref(), arguments.all),
    }
}

fn list(context: &Context, host: Option<&HostId>, all: bool) -> Result<ExitCode, Failure> {
    let of_host = host.map_or(String::new(), |host| format!("&host={host}"));
    let client = context.client()?;
    let found: Unwarranted = client.get(&format!("unwarranted?reviewed={all}{of_host}"))?;
    let open = found
        .unwarranted
        .iter()
        .any(|record| record.reviewed.is_none());
    // Those that are looked at may fill the page: whether any is open is asked for by itself.
    let open = open
        || all && {
            let waiting: Unwarranted =
                client.get(&format!("unwarranted?reviewed=false{of_host}"))?;
            !waiting.unwarranted.is_empty()
        };
    let now = ambient::now();
    context.answer(&found, |found| {
        if found.unwarranted.is_empty() {
            return "every transition that hosts reported had a warrant".to_owned();
        }
        let rows = found.unwarranted.iter().map(|record| {
            let seen = &record.transition;
            [
                record.index.to_string(),
                record.host.to_string(),
                format!("{}:{}", seen.name, seen.architecture),
                versions(seen),
                seen.at.map_or("not known".to_owned(), |at| at.to_string()),
                seen.seen_in.as_str().to_owned(),
                standing(record, now),
            ]
        });
        table(
            [
                "number", "host", "package", "from, to", "at", "seen in", "review",
            ],
            rows,
        )
    })?;
    Ok(if open {
        Exit::Refused.into()
    } else {
        ExitCode::SUCCESS
    })
}

fn versions(seen: &SeenTransition) -> String {
    let word = |version: &Option<Version>| {
        version
            .as_ref()
            .map_or_else(|| "nothing".to_owned(), Version::to_string)
    };
    format!("{} → {}", word(&seen.old), word(&seen.new))
}

fn standing(record: &UnwarrantedRecord, now: countersign_domain::Timestamp) -> String {
    match (&record.reviewed, record.rung) {
        (Some((Verdict::Accept, person, at, _)), _) => format!("accepted by {person}, {at}"),
        (Some((Verdict::Concern, person, at, _)), _) => format!("concern of {person}, {at}"),
        (None, 0) => format!("due {}", when(record.due_at, now)),
        (None, rung) => format!("OVERDUE, rung {rung}"),
    }
}

fn review(context: &Context, look: &LookArguments, verdict: Verdict) -> Result<ExitCode, Failure> {
    let client = context.client()?;
    let roster = client.roster()?;
    let finding = look.finding;
    let view: UnwarrantedView = client.get(&format!("unwarranted/{finding}"))?;
    // What is shown comes from the very bytes whose digest is signed, not from the server's words.
    let entry: Entry = canonical::from_bytes(view.entry.as_bytes())
        .map_err(|error| Failure::refused(format!("entry {finding} cannot be read: {error}")))?;
    let Event::Unwarranted {
        host,
        report,
        transition,
        ..
    } = &entry.event
    else {
        return Err(Failure::refused(format!(
            "entry {finding} is no transition without a warrant"
        ))
        .hint("`countersign reconcile` lists their numbers"));
    };
    if entry.deployment != roster.deployment {
        return Err(Failure::refused("that entry is of another deployment"));
    }
    let (person, key) = context.person(&roster)?;
    let note = look
        .note
        .as_ref()
        .map(|text| SaltedText::new(ambient::random(), text.clone()));
    let subject = Subject::Unwarranted {
        finding,
        entry: Digest::of(view.entry.as_bytes()),
        verdict,
        note: digest_of(note.as_ref())?,
    };
    let details = format!(
        "  On host {host}, {}:{} went {}, without a warrant.\n  when            {}\n  seen in         {}\n  found           {}\n  host's report   {report}",
        transition.name,
        transition.architecture,
        versions(transition),
        transition
            .at
            .map_or_else(|| "not known".to_owned(), |at| at.to_string()),
        transition.seen_in.as_str(),
        entry.at,
    );
    let now = ambient::now();
    let statement = show_and_sign(
        context,
        &signer(&roster, &person, &key),
        subject,
        &details,
        false,
        now,
    )?;
    let path = format!("unwarranted/{finding}/reviews");
    let _: serde_json::Value = client.post(&path, &ReviewBody { statement, note })?;
    context.answer(
        &serde_json::json!({"finding": finding, "verdict": verdict}),
        |_| format!("{finding} is looked at by {person}"),
    )?;
    Ok(ExitCode::SUCCESS)
}
