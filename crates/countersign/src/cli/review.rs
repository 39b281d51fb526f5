//! `countersign review`: a human accepts what ran by itself, or records a concern.

use super::change::{encoded, find};
use super::context::signer;
use super::decide::{digest_of, effect, prove};
use super::render::{packages, table, when};
use super::signed::show_and_sign;
use super::{Context, Failure};
use crate::ambient;
use crate::api::wire::{Changes, ReviewBody, StateAnswer};
use countersign_domain::statement::{Subject, Verdict};
use countersign_domain::text::SaltedText;

/// What can be done with reviews.
#[derive(Debug, clap::Subcommand)]
pub enum ReviewCommand {
    /// List changes that wait for a review
    List,
    /// Accept what ran
    Accept(ReviewArguments),
    /// Record that something is wrong
    Concern(ReviewArguments),
}

/// Arguments of a review.
#[derive(Debug, clap::Args)]
pub struct ReviewArguments {
    /// The change's id, or the beginning of it
    change: String,
    /// Your note; kept beside the log, bound by what you sign
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

pub(super) fn run(context: &Context, command: ReviewCommand) -> Result<(), Failure> {
    match command {
        ReviewCommand::List => {
            let changes: Changes = context
                .client()?
                .get("changes?state=review-due,overdue&limit=200")?;
            context.answer(&changes, |changes| {
                let rows = changes.changes.iter().map(|change| {
                    [
                        change.id.to_string(),
                        change.state.to_string(),
                        change
                            .review_due_at
                            .map_or(String::new(), |due| when(due, ambient::now())),
                        packages(change),
                    ]
                });
                table(["change", "state", "due", "what"], rows)
            })
        }
        ReviewCommand::Accept(arguments) => review(context, &arguments, Verdict::Accept),
        ReviewCommand::Concern(arguments) => review(context, &arguments, Verdict::Concern),
    }
}

fn review(context: &Context, arguments: &ReviewArguments, verdict: Verdict) -> Result<(), Failure> {
    let client = context.client()?;
    let roster = client.roster()?;
    let view = find(&client, &arguments.change)?;
    let proven = prove(&client, &roster, &view.id)?;
    let (person, key) = context.person(&roster)?;
    let note = arguments
        .note
        .as_ref()
        .map(|text| SaltedText::new(ambient::random(), text.clone()));
    let subject = Subject::Review {
        change: view.id.clone(),
        change_digest: proven.digest,
        verdict,
        note: digest_of(note.as_ref())?,
    };
    let now = ambient::now();
    let details = format!(
        "{}\n\n{}",
        super::render::change(&view, now),
        effect(&proven, true)
    );
    let statement = show_and_sign(
        context,
        &signer(&roster, &person, &key),
        subject,
        &details,
        false,
        now,
    )?;
    let path = format!("changes/{}/reviews", encoded(view.id.as_str()));
    let answer: StateAnswer = client.post(&path, &ReviewBody { statement, note })?;
    context.answer(
        &serde_json::json!({"change": view.id, "state": answer.state}),
        |_| format!("{} is {}", view.id, answer.state),
    )
}
