//! `countersign policy`: write the starter, check, test, explain, sign, and show what is in force.

use super::calendar::{CalendarArguments, load_whole};
use super::change::{encoded, find};
use super::collect::{Destination, Matter, sign_and_send};
use super::render::{table, when};
use super::{Context, Exit, Failure};
use crate::ambient;
use crate::api::wire::{PolicyView, Preview};
use crate::client::ClientError;
use countersign_domain::PersonId;
use countersign_domain::text::shown;
use countersign_policy::{
    Finding, Policy, PolicySource, authority_in_words, load, run_cases, starter_for,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What can be done with the policy.
#[derive(Debug, clap::Subcommand)]
pub enum PolicyCommand {
    /// Write the starter policy into a folder
    Init {
        /// The folder, which must not be there yet
        folder: PathBuf,
        /// Who answers for its rules [default: you]
        #[arg(long)]
        owner: Option<PersonId>,
    },
    /// Check a policy folder
    Check {
        /// The folder
        folder: PathBuf,
    },
    /// Run a policy folder's cases
    Test {
        /// The folder
        folder: PathBuf,
    },
    /// Show the policy in force
    Show,
    /// Show what change windows and freezes say
    ///
    /// Calendars are iCalendar files in the policy's folder: `calendars/windows.ics` and
    /// `calendars/freezes.ics` hold everywhere, `calendars/windows.production.ics` and the like in
    /// one environment. Where an environment has no windows, every hour is in the window.
    Calendar(CalendarArguments),
    /// Explain how each rule looks at a change now
    Explain {
        /// The change's id, or the beginning of it
        change: String,
    },
    /// Sign a policy folder as the next version
    Sign {
        /// The folder
        folder: PathBuf,
        /// Who wrote it; authors may not sign it, outside a trial
        #[arg(long)]
        author: Vec<PersonId>,
        #[command(flatten)]
        destination: Destination,
    },
}

pub(super) fn run(context: &Context, command: PolicyCommand) -> Result<ExitCode, Failure> {
    match command {
        PolicyCommand::Init { folder, owner } => init(context, &folder, owner)?,
        PolicyCommand::Check { folder } => return check(context, &folder),
        PolicyCommand::Test { folder } => return test(context, &folder),
        PolicyCommand::Show => {
            let view: PolicyView = context.client()?.get("policy")?;
            context.answer(&view, in_full)?;
        }
        PolicyCommand::Calendar(arguments) => super::calendar::run(context, &arguments)?,
        PolicyCommand::Explain { change } => {
            let client = context.client()?;
            let id = find(&client, &change)?.id;
            let preview: Preview =
                client.get(&format!("changes/{}/preview", encoded(id.as_str())))?;
            context.answer(&preview, |preview| {
                let mut text = format!("{id} would now be: {}\n", preview.outcome.as_str());
                for reason in &preview.reasons {
                    text.push_str(&format!("  {}\n", shown(&reason.text, 400)));
                }
                text.push('\n');
                text.push_str(&super::render::quoted(&preview.words, ""));
                text
            })?;
        }
        PolicyCommand::Sign {
            folder,
            author,
            destination,
        } => sign(context, &folder, author, &destination)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn init(context: &Context, folder: &Path, owner: Option<PersonId>) -> Result<(), Failure> {
    let owner = match owner {
        Some(owner) => owner,
        None => context.person(&context.client()?.roster()?)?.0,
    };
    std::fs::create_dir(folder).map_err(|error| Failure::file(folder, &error))?;
    let source = starter_for(&owner);
    for (path, bytes) in source.files() {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| Failure::file(parent, &error))?;
        }
        std::fs::write(&path, bytes).map_err(|error| Failure::file(&path, &error))?;
    }
    let answer = serde_json::json!({"folder": folder, "policy": source.digest(), "owner": owner});
    context.answer(&answer, |_| {
        format!(
            "written to {}; next: countersign policy sign {}",
            folder.display(),
            folder.display()
        )
    })
}

fn read(folder: &Path) -> Result<PolicySource, Failure> {
    load::from_folder(folder).map_err(|error| Failure::refused(error.to_string()))
}

/// Tells every finding with its place in the source.
fn tell(findings: &[Finding]) {
    for finding in findings {
        eprintln!("{:?}", finding.report());
    }
}

fn check(context: &Context, folder: &Path) -> Result<ExitCode, Failure> {
    let source = read(folder)?;
    match load_whole(&source) {
        Ok(policy) => {
            let answer = serde_json::json!({
                "policy": source.digest(),
                "rules": policy.rules().count(),
                "authority": authority_in_words(&policy),
                "findings": [],
            });
            context.answer(&answer, |_| {
                let mut text = format!(
                    "{} rules, sound: {}\n",
                    policy.rules().count(),
                    source.digest()
                );
                text.push_str("what agents could do without asking:\n");
                for line in authority_in_words(&policy) {
                    text.push_str(&format!("  {}\n", shown(&line, 600)));
                }
                text
            })?;
            Ok(ExitCode::SUCCESS)
        }
        Err(findings) => {
            tell(&findings);
            let answer = serde_json::json!({"policy": source.digest(), "findings": findings});
            context.answer(&answer, |_| {
                format!("{} findings; the policy does not load", findings.len())
            })?;
            Ok(Exit::Refused.into())
        }
    }
}

fn test(context: &Context, folder: &Path) -> Result<ExitCode, Failure> {
    let policy = Policy::load_without_running_cases(&read(folder)?).map_err(|findings| {
        tell(&findings);
        Failure::refused(format!(
            "{} findings; the policy does not load",
            findings.len()
        ))
    })?;
    let results = run_cases(&policy);
    let failed = results
        .iter()
        .filter(|result| !result.failures.is_empty())
        .count();
    context.answer(&results, |results| {
        let rows = results.iter().map(|result| {
            let verdict = if result.failures.is_empty() {
                "ok"
            } else {
                "FAILED"
            };
            [
                verdict.to_owned(),
                format!("{}:{}", result.file, result.line),
                result.name.clone(),
                result.failures.join("; "),
            ]
        });
        format!(
            "{}\n{} cases, {failed} failed",
            table(["", "place", "case", "what differs"], rows),
            results.len()
        )
    })?;
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        Exit::Refused.into()
    })
}

fn sign(
    context: &Context,
    folder: &Path,
    authors: Vec<PersonId>,
    destination: &Destination,
) -> Result<(), Failure> {
    let source = read(folder)?;
    if let Err(findings) = load_whole(&source) {
        tell(&findings);
        return Err(Failure::refused(
            "the policy does not validate; the version in force stays",
        ));
    }
    let mut files = BTreeMap::new();
    for (path, bytes) in source.files() {
        let text = String::from_utf8(bytes.clone()).map_err(|_| {
            Failure::refused(format!(
                "`{path}` is not UTF-8; take it out of the policy's folder"
            ))
        })?;
        files.insert(path.clone(), text);
    }
    let client = context.client()?;
    let roster = client.roster()?;
    let version = match client.get::<PolicyView>("policy") {
        Ok(view) => view.version + 1,
        // None is in force yet.
        Err(ClientError::Refused(problem)) if problem.word() == "conflict" => 1,
        Err(error) => return Err(error.into()),
    };
    let matter = Matter::Policy {
        version,
        files,
        authors,
    };
    sign_and_send(context, &client, &roster, matter, destination)
}

fn in_full(view: &PolicyView) -> String {
    let now = ambient::now();
    let mut lines = vec![
        format!("policy version {} ({})", view.version, view.policy),
        format!("in force since {}", view.at),
        match view.lapsed {
            true => format!(
                "LAPSED: its review was due {}; everything asks a human",
                view.review_due_at
            ),
            false => format!("review due {}", when(view.review_due_at, now)),
        },
    ];
    lines.extend(
        view.signers
            .iter()
            .map(|signer| format!("signed by `{}` at {}", signer.person, signer.at)),
    );
    lines.push("what agents may do without asking:".to_owned());
    lines.extend(
        view.authority
            .iter()
            .map(|line| format!("  {}", shown(line, 600))),
    );
    lines.push(format!(
        "files: {}",
        view.files.keys().cloned().collect::<Vec<_>>().join(", ")
    ));
    lines.join("\n")
}
