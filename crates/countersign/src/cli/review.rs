//! `countersign review`: a human accepts what ran by itself, or records a concern.

use super::change::{encoded, find};
use super::context::signer;
use super::decide::{digest_of, effect, prove};
use super::render::{packages, table, when};
use super::signed::show_and_sign;
use super::{Context, Failure};
use crate::ambient;
use crate::api::wire::{Changes, ReviewBody, StateAnswer};
use countersign_domain::receipt::Ending;
use countersign_domain::statement::{Subject, Verdict};
use countersign_domain::text::SaltedText;
use countersign_domain::{ChangeId, Digest, HostId};

/// What can be done with reviews.
#[derive(Debug, clap::Subcommand)]
pub enum ReviewCommand {
    /// List changes that wait for a review
    List,
    /// Accept what ran
    Accept(ReviewArguments),
    /// Record that something is wrong
    Concern(ReviewArguments),
    /// Sign how it ended on a host, where nobody knows and what the host shows does not settle it
    Outcome(OutcomeArguments),
}

/// Arguments of `review outcome`.
#[derive(Debug, clap::Args)]
pub struct OutcomeArguments {
    /// The change's id, or the beginning of it
    change: String,
    /// The host whose outcome is unknown
    #[arg(long)]
    host: HostId,
    /// How it ended, as you found when you looked at the host
    #[arg(long, value_enum)]
    ending: Found,
    /// What you found; kept beside the log, bound by what you sign
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

/// How an execution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Found {
    /// Every transition is in place, and the host is well
    Succeeded,
    /// Something failed, and the host was not wholly brought back
    Failed,
    /// Every transition was reversed
    RolledBack,
    /// It was never started, and never will be
    NeverStarted,
}

impl From<Found> for Ending {
    fn from(found: Found) -> Self {
        match found {
            Found::Succeeded => Self::Succeeded,
            Found::Failed => Self::Failed,
            Found::RolledBack => Self::RolledBack,
            Found::NeverStarted => Self::NeverStarted,
        }
    }
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
        ReviewCommand::Outcome(arguments) => outcome(context, &arguments),
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
    let about = |change, change_digest, note| Subject::Review {
        change,
        change_digest,
        verdict,
        note,
    };
    let note = arguments.note.as_ref();
    sign_and_send(context, &arguments.change, note, "reviews", about)
}

fn outcome(context: &Context, arguments: &OutcomeArguments) -> Result<(), Failure> {
    let about = |change, change_digest, note| Subject::Ending {
        change,
        change_digest,
        host: arguments.host.clone(),
        ending: arguments.ending.into(),
        note,
    };
    let note = arguments.note.as_ref();
    sign_and_send(context, &arguments.change, note, "endings", about)
}

/// Shows a change as it was authorized, signs what is said about it, and hands that in.
fn sign_and_send(
    context: &Context,
    change: &str,
    note: Option<&String>,
    place: &str,
    about: impl FnOnce(ChangeId, Digest, Option<Digest>) -> Subject,
) -> Result<(), Failure> {
    let client = context.client()?;
    let roster = client.roster()?;
    let view = find(&client, change)?;
    let proven = prove(&client, &roster, &view.id)?;
    let (person, key) = context.person(&roster)?;
    let note = note.map(|text| SaltedText::new(ambient::random(), text.clone()));
    let subject = about(view.id.clone(), proven.digest, digest_of(note.as_ref())?);
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
    let path = format!("changes/{}/{place}", encoded(view.id.as_str()));
    let answer: StateAnswer = client.post(&path, &ReviewBody { statement, note })?;
    context.answer(
        &serde_json::json!({"change": view.id, "state": answer.state}),
        |_| format!("{} is {}", view.id, answer.state),
    )
}
