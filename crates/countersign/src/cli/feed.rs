//! `countersign feed`: imports intelligence from files or URLs, and lists what is known.

use super::render::{table, when};
use super::{Context, Failure};
use crate::ambient;
use crate::api::wire::{FeedAnswer, Feeds};
use countersign_facts::feed::Limits;
use countersign_facts::fetch::{self, Source};

/// What can be done with feeds.
#[derive(Debug, clap::Subcommand)]
pub enum FeedCommand {
    /// Import a feed: CISA KEV, EPSS, CVE records, or an SSVC decision table
    Import {
        /// A file, or an https URL
        source: String,
    },
    /// List the feeds that were imported
    List,
}

pub(super) fn run(context: &Context, command: FeedCommand) -> Result<(), Failure> {
    match command {
        FeedCommand::Import { source } => {
            let parsed =
                Source::parse(&source).map_err(|error| Failure::usage(error.to_string()))?;
            let document = fetch::document(&parsed, &Limits::default())
                .map_err(|error| Failure::refused(error.to_string()))?;
            let client = context.client()?;
            let name = parsed.to_string();
            let live = if parsed.is_live() { "true" } else { "false" };
            let answer: FeedAnswer =
                client.post_bytes("feeds", &[("source", &name), ("live", live)], &document)?;
            context.answer(&answer, |answer| {
                format!("{}: {} records", answer.feed, answer.records)
            })
        }
        FeedCommand::List => {
            let feeds: Feeds = context.client()?.get("feeds")?;
            context.answer(&feeds, |feeds| {
                let now = ambient::now();
                let rows = feeds.feeds.iter().map(|feed| {
                    [
                        feed.feed.clone(),
                        feed.records.to_string(),
                        feed.published_at
                            .map_or_else(|| "unknown".to_owned(), |at| when(at, now)),
                        when(feed.imported_at, now),
                        feed.source.clone(),
                    ]
                });
                table(["feed", "records", "published", "imported", "from"], rows)
            })
        }
    }
}
