//! `countersign log verify`: both logs whole, from a pinned genesis, believing nothing else. Over the
//! data directory, or over an exported folder, where it needs nothing of ours but this program.

use super::{Context, Exit, Failure};
use crate::deployment::Deployment;
use crate::evidence::StoreSource;
use countersign_domain::text::shown;
use countersign_evidence::{
    DemandedDocuments, LogReport, LogSummary, Progress, TrustedRoots, verify_folder, verify_log,
};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `log verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyArguments {
    /// An exported folder [default: the data directory]
    folder: Option<PathBuf>,
    /// Witnesses that must have cosigned both checkpoints, whatever the roster says
    #[arg(long, default_value_t = 0)]
    witness_quorum: u32,
    /// Demand the documents that entries name (facts, policies, observations): an export that carries
    /// none does not hold, whether it was made without --blobs or somebody took them away
    #[arg(long)]
    documents: bool,
}

/// Exits with 1 when something does not hold.
pub(super) fn run(context: &Context, arguments: &VerifyArguments) -> Result<ExitCode, Failure> {
    let mut trusted = TrustedRoots {
        genesis: context.genesis(),
        witness_quorum: arguments.witness_quorum,
        documents: match arguments.documents {
            true => DemandedDocuments::All,
            false => DemandedDocuments::WhereCarried,
        },
        ..TrustedRoots::default()
    };
    let bar = bar();
    let mut progress = |at: Progress| {
        bar.set_length(at.of);
        bar.set_position(at.done);
        bar.set_message(at.log.as_str());
    };
    let undecided = |error: String| Failure::new(Exit::Undecided, error);
    let report = match &arguments.folder {
        Some(folder) => verify_folder(folder, &trusted, &mut progress)
            .map_err(|error| undecided(error.to_string()))?,
        None => {
            let (config, gate) = Deployment::open_read_only(context.dir())?;
            trusted.genesis = trusted.genesis.or(Some(config.genesis));
            verify_log(&StoreSource(&gate), &trusted, &mut progress)
                .map_err(|error| undecided(error.to_string()))?
        }
    };
    bar.finish_and_clear();
    context.answer(&report, |report| text(report, context.genesis().is_some()))?;
    Ok(if report.is_ok() {
        ExitCode::SUCCESS
    } else {
        Exit::Refused.into()
    })
}

fn bar() -> ProgressBar {
    // Drawn on stderr, and only on a terminal.
    let bar = ProgressBar::new(0);
    if let Ok(style) =
        ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} entries, {eta} left")
    {
        bar.set_style(style);
    }
    bar
}

fn text(report: &LogReport, named: bool) -> String {
    let mut lines = Vec::new();
    if let Some(deployment) = &report.deployment {
        let mark = if report.trial {
            " (a trial: one person may hold every seat)"
        } else {
            ""
        };
        lines.push(format!("deployment {deployment}{mark}"));
    }
    match report.genesis {
        Some(genesis) if named => lines.push(format!("genesis {genesis}: as you pinned it")),
        Some(genesis) if report.genesis_pinned => lines.push(format!(
            "genesis {genesis}: as this data directory has it; pin your own with --genesis"
        )),
        Some(genesis) => lines.push(format!(
            "genesis {genesis}: NOT PINNED, so this log was only held against itself; pass --genesis"
        )),
        None => lines.push("no genesis that holds".to_owned()),
    }
    lines.push(format!(
        "{} changes, roster version {}",
        report.changes, report.roster_version
    ));
    lines.push(summary("authorizations", &report.authorizations));
    lines.push(summary("recommendations", &report.recommendations));
    lines.push(report.documents.to_string());
    if report.is_ok() {
        lines.push(
            "everything holds: signatures, roots, order, quorums, separation of duties".to_owned(),
        );
    } else {
        lines.push("FINDINGS:".to_owned());
        lines.extend(
            report
                .findings
                .list
                .iter()
                .map(|finding| shown(&finding.to_string(), 500)),
        );
    }
    lines.join("\n")
}

fn summary(name: &str, summary: &LogSummary) -> String {
    let kinds: Vec<_> = summary
        .kinds
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    format!("{name}: {} entries ({})", summary.size, kinds.join(", "))
}
