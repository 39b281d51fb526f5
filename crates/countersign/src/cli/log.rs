//! `countersign log`: shows entries, checks the database, writes both logs as static folders. Reads
//! the data directory itself, beside a running server or without one.

use super::backup::Bar;
use super::{Context, Exit, Failure};
use crate::deployment::{DATABASE, Deployment};
use crate::evidence::StoreSource;
use countersign_domain::Digest;
use countersign_domain::jws::take_apart;
use countersign_domain::text::shown;
use countersign_evidence::{Blob, DocumentSummary, LogName, Source, SourceError, check_documents};
use countersign_gate::fold::{self, FoldError};
use countersign_ledger::VerifierKey;
use countersign_store::{Apply, Log, PerLog, StoreError};
use serde_json::{Value, json};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Missing documents that are listed; beyond that they are only counted.
const MISSING_LISTED: usize = 1_000;

/// What can be done with the logs.
#[derive(Debug, clap::Subcommand)]
pub enum LogCommand {
    /// Show entries
    Show {
        /// Which log: authorizations or recommendations
        #[arg(long, default_value = "authorizations", value_parser = named)]
        log: Log,
        /// The first entry
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// At most so many
        #[arg(long, default_value_t = 20)]
        count: usize,
    },
    /// Check the database: every hash, checkpoint and blob, and every document that an entry names
    Fsck {
        /// Rebuild every projection from the log as well, and compare
        #[arg(long)]
        rebuild: bool,
        /// Replace projections that differ; the server has to be stopped
        #[arg(long, requires = "rebuild")]
        apply: bool,
        #[command(flatten)]
        salvage: super::salvage::SalvageArguments,
    },
    /// Verify both logs whole: signatures, roots, order, quorums; offline, from a pinned genesis
    Verify(super::verify::VerifyArguments),
    /// Write both logs as static C2SP folders
    Export {
        /// The folder
        out: PathBuf,
        /// Write the documents and texts beside the logs as well (names of people among them), to
        /// rebuild a database from
        #[arg(long)]
        blobs: bool,
    },
}

fn named(text: &str) -> Result<Log, String> {
    Log::ALL
        .into_iter()
        .find(|log| log.as_str() == text)
        .ok_or_else(|| "expected authorizations or recommendations".to_owned())
}

pub(super) fn run(context: &Context, command: LogCommand) -> Result<ExitCode, Failure> {
    match command {
        LogCommand::Show { log, from, count } => show(context, log, from, count.min(10_000))?,
        LogCommand::Fsck {
            rebuild,
            apply,
            salvage,
        } => {
            return match salvage.run(context)? {
                Some(exit) => Ok(exit),
                None => fsck(context, rebuild, apply),
            };
        }
        LogCommand::Verify(arguments) => return super::verify::run(context, &arguments),
        LogCommand::Export { out, blobs } => export(context, &out, blobs)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn undecided(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Undecided, error.to_string())
}

fn show(context: &Context, log: Log, from: u64, count: usize) -> Result<(), Failure> {
    let (_, gate) = Deployment::open_read_only(context.dir())?;
    let entries: Vec<Vec<u8>> = gate
        .store()
        .read(|view| view.entries(log, from, count))
        .map_err(|error: StoreError| undecided(error))?;
    let entries: Vec<Value> = (from..)
        .zip(&entries)
        .map(|(index, bytes)| json!({"index": index, "entry": legible(bytes)}))
        .collect();
    context.answer(&entries, |entries| {
        let lines: Vec<_> = entries
            .iter()
            .map(|entry| {
                format!(
                    "{} {}",
                    entry["index"],
                    shown(&entry["entry"].to_string(), 4000)
                )
            })
            .collect();
        if lines.is_empty() {
            "none".to_owned()
        } else {
            lines.join("\n")
        }
    })
}

/// An entry as JSON: itself, or the parts of the JWS that it is.
fn legible(bytes: &[u8]) -> Value {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return value;
    }
    let text = String::from_utf8_lossy(bytes);
    match take_apart(&text) {
        Ok(parts) => json!({
            "header": parts.header,
            "payload": serde_json::from_slice::<Value>(&parts.payload).unwrap_or(Value::Null),
        }),
        Err(_) => Value::String(text.into_owned()),
    }
}

/// Whose signatures count stands in the roster, which the log's own chain proves.
fn keys_of_roster(context: &Context) -> Result<PerLog<VerifierKey>, Failure> {
    let (_, gate) = Deployment::open_read_only(context.dir())?;
    let world = gate.world().map_err(undecided)?;
    let key = |text: &str| VerifierKey::parse(text).map_err(undecided);
    Ok(PerLog {
        recommendations: key(&world.roster.gate.recommendations)?,
        authorizations: key(&world.roster.gate.authorizations)?,
    })
}

fn fsck(context: &Context, rebuild: bool, apply: bool) -> Result<ExitCode, Failure> {
    // A database that is too damaged for that is held against the keys of its directory.
    let trusted = match keys_of_roster(context) {
        Ok(trusted) => trusted,
        Err(failure) => Deployment::log_keys(context.dir()).map_err(|_| failure)?,
    };
    let database = context.dir().join(DATABASE);
    let report = countersign_store::fsck(&database, Some(&trusted)).map_err(undecided)?;
    let mut sound = report.is_sound();
    let mut lines = vec![format!(
        "authorizations: {} entries, recommendations: {} entries, {} blobs hashed again",
        report.logs.authorizations.size, report.logs.recommendations.size, report.blobs
    )];
    lines.extend(
        report
            .problems
            .iter()
            .map(|problem| format!("PROBLEM: {}", shown(problem, 500))),
    );
    let documents = documents(context);
    sound = sound && documents.are_whole();
    lines.extend(documents.lines());
    let mut rebuild_answer = Value::Null;
    let answer = |rebuild: Value, sound: bool| {
        json!({
            "sound": sound,
            "rebuild": rebuild,
            "authorizations": {"size": report.logs.authorizations.size, "root": report.logs.authorizations.root},
            "recommendations": {"size": report.logs.recommendations.size, "root": report.logs.recommendations.root},
            "blobs": report.blobs,
            "problems": report.problems,
            "documents": documents,
        })
    };
    if rebuild {
        let mode = if apply { Apply::Yes } else { Apply::No };
        match countersign_store::rebuild::<FoldError>(&database, mode, &mut fold::apply) {
            Ok(rebuilt) => {
                let differences: Vec<_> = rebuilt
                    .differences
                    .iter()
                    .map(|difference| {
                        let named = difference.named.join(", ");
                        format!(
                            "{} rows of `{}`: {named}",
                            difference.rows, difference.table
                        )
                    })
                    .collect();
                lines.push(format!(
                    "{} entries folded again, {} differences",
                    rebuilt.entries,
                    differences.len()
                ));
                lines.extend(
                    differences
                        .iter()
                        .map(|difference| format!("DIFFERENT: {}", shown(difference, 500))),
                );
                if rebuilt.applied {
                    lines.push("the rebuilt projections are in place".to_owned());
                }
                sound = sound && (differences.is_empty() || rebuilt.applied);
                rebuild_answer = json!({"entries": rebuilt.entries, "differences": differences, "applied": rebuilt.applied});
            }
            Err(error) if sound => return Err(undecided(error)),
            // What is wrong already is told all the same.
            Err(error) => {
                let error = error.to_string();
                lines.push(format!(
                    "PROBLEM: cannot be rebuilt: {}",
                    shown(&error, 500)
                ));
                rebuild_answer = json!({"failed": error});
            }
        }
    }
    context.answer(&answer(rebuild_answer, sound), |_| lines.join("\n"))?;
    Ok(if sound {
        ExitCode::SUCCESS
    } else {
        Exit::Refused.into()
    })
}

/// What entries name, and what of it is not there.
#[derive(Default, serde::Serialize)]
struct NamedDocuments {
    #[serde(flatten)]
    summary: Option<DocumentSummary>,
    /// Entries that could not be read, so that nobody knows what they name.
    unread_entries: u64,
    /// The first of what is missing or altered, each with the entry that names it.
    listed: Vec<String>,
}

impl NamedDocuments {
    /// False also where it could not be looked for.
    fn are_whole(&self) -> bool {
        self.unread_entries == 0 && self.summary.is_some_and(|summary| summary.missing == 0)
    }

    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.summary.iter().map(ToString::to_string).collect();
        let listed = self.listed.iter();
        lines.extend(listed.map(|words| format!("MISSING: {}", shown(words, 500))));
        let missing = self.summary.map_or(0, |summary| summary.missing);
        let more = missing.saturating_sub(self.listed.len() as u64);
        if more > 0 {
            lines.push(format!("MISSING: {more} more"));
        }
        if self.unread_entries > 0 {
            lines.push(format!(
                "MISSING: {} entries cannot be read, and what they name was not looked for",
                self.unread_entries
            ));
        }
        lines
    }
}

/// A store with broken pages: a document on them counts as altered, an entry on them as unread, and
/// the rest is looked at.
struct Damaged<'a> {
    store: StoreSource<'a>,
    unread_entries: Cell<u64>,
}

impl Source for Damaged<'_> {
    fn entry(&self, log: LogName, index: u64) -> Result<Option<Vec<u8>>, SourceError> {
        Ok(self.store.entry(log, index).unwrap_or_else(|_| {
            self.unread_entries.set(self.unread_entries.get() + 1);
            None
        }))
    }

    fn size(&self, log: LogName) -> Result<u64, SourceError> {
        self.store.size(log)
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Blob>, SourceError> {
        // Bytes that do not have this digest, whichever it is.
        let others: &[u8] = match Digest::of(&[]) == *digest {
            true => &[0],
            false => &[],
        };
        let altered = |_| Some((None, others.to_vec()));
        Ok(self.store.blob(digest).unwrap_or_else(altered))
    }

    fn proof(&self, log: LogName, index: u64) -> Result<String, SourceError> {
        self.store.proof(log, index)
    }

    fn checkpoint(&self, log: LogName) -> Result<String, SourceError> {
        self.store.checkpoint(log)
    }
}

/// Looks for every document that an entry names. Never ends the check: what else is wrong was found
/// already, and has to be told.
fn documents(context: &Context) -> NamedDocuments {
    let mut listed = Vec::new();
    let gate = match Deployment::open_read_only(context.dir()) {
        Ok((_, gate)) => gate,
        // So damaged that it does not open.
        Err(error) => {
            return NamedDocuments {
                listed: vec![format!("documents could not be looked for: {error}")],
                ..NamedDocuments::default()
            };
        }
    };
    let source = Damaged {
        store: StoreSource(&gate),
        unread_entries: Cell::new(0),
    };
    let bar = Bar::new();
    let checked = check_documents(
        &source,
        &mut |at| bar.at("looking for documents", at.done, at.of),
        &mut |log, index, missing| {
            if listed.len() < MISSING_LISTED {
                listed.push(format!("{log} entry {index}: {missing}"));
            }
        },
    );
    bar.0.finish_and_clear();
    let summary = match checked {
        Ok(summary) => Some(summary),
        Err(error) => {
            listed.push(format!("documents could not be looked for: {error}"));
            None
        }
    };
    NamedDocuments {
        summary,
        unread_entries: source.unread_entries.get(),
        listed,
    }
}

fn export(context: &Context, out: &Path, blobs: bool) -> Result<(), Failure> {
    let (config, gate) = Deployment::open_read_only(context.dir())?;
    std::fs::create_dir_all(out).map_err(|error| Failure::file(out, &error))?;
    let mut sizes = serde_json::Map::new();
    for log in Log::ALL {
        let folder = out.join(log.as_str());
        gate.store()
            .export(log, &folder)
            .map_err(|error| Failure::refused(format!("`{}`: {error}", folder.display())))?;
        sizes.insert(
            log.as_str().to_owned(),
            json!(gate.store().checkpoint(log).0),
        );
    }
    if blobs {
        let written = super::salvage::export_blobs(gate.store(), &out.join("blobs"))?;
        sizes.insert("blobs".to_owned(), json!(written));
    }
    let answer = json!({"out": out, "genesis": config.genesis, "sizes": sizes});
    context.answer(&answer, |_| {
        format!(
            "written to {}; whoever verifies it pins genesis {}",
            out.display(),
            config.genesis
        )
    })
}
