//! What the quickstart found: one JSON document for scripts, a table for people.

use super::QuickstartError;
use super::host::HostProcess;
use super::past::Past;
use super::person::Human;
use crate::serve::Running;
use comfy_table::{ContentArrangement, Table, presets};
use countersign_domain::decision::Outcome;
use countersign_domain::text::shown;
use countersign_domain::{
    ChangeId, ChangeState, Digest, ExecutionState, HostId, PersonId, RuleId, Timestamp,
};
use countersign_gate::view::ChangeView;
use serde::Serialize;
use std::io::IsTerminal as _;
use std::path::Path;

/// The document.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    deployment: String,
    genesis: Digest,
    trial: bool,
    host: HostId,
    policy: PolicyPart,
    changes: Vec<ChangePart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plain_apt: Option<PlainApt>,
    /// What this machine's own logs show of the time before.
    #[serde(skip_serializing_if = "Option::is_none")]
    audit: Option<Past>,
}

#[derive(Debug, Serialize)]
struct PolicyPart {
    digest: Digest,
    version: u64,
    signed_by: Vec<PersonId>,
    signed_at: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct ChangePart {
    id: ChangeId,
    package: String,
    from: Option<String>,
    to: String,
    outcome: Option<Outcome>,
    rule: Option<RuleId>,
    rules: Vec<RuleId>,
    reasons: Vec<String>,
    state: ChangeState,
    #[serde(skip_serializing_if = "Option::is_none")]
    review_due_at: Option<Timestamp>,
    executions: Vec<ExecutionPart>,
}

#[derive(Debug, Serialize)]
struct ExecutionPart {
    host: HostId,
    state: ExecutionState,
    notes: Vec<String>,
}

/// What a plain `apt-get` without a warrant came to.
#[derive(Debug, Serialize)]
pub(super) struct PlainApt {
    pub(super) command: String,
    pub(super) refused: bool,
    pub(super) exit_code: Option<i32>,
    pub(super) said: String,
}

impl Document {
    /// Reads it from the gate.
    pub(super) fn gather(
        server: &Running,
        host: &HostProcess,
        plain_apt: Option<PlainApt>,
        audit: Option<Past>,
    ) -> Result<Self, QuickstartError> {
        let gate = server.deployment().gate();
        let world = gate.world()?;
        let record = &world.policy()?.record;
        let mut changes = gate.changes(&[], None, 1000)?;
        changes.reverse();
        Ok(Self {
            deployment: world.roster.deployment.to_string(),
            genesis: world.roster.genesis,
            trial: world.roster.trial,
            host: host.host.clone(),
            policy: PolicyPart {
                digest: record.policy,
                version: record.version,
                signed_by: record
                    .signers
                    .iter()
                    .map(|signer| signer.person.clone())
                    .collect(),
                signed_at: record.signers.iter().map(|signer| signer.at).max(),
            },
            changes: changes.into_iter().map(change).collect(),
            plain_apt,
            audit,
        })
    }
}

fn change(view: ChangeView) -> ChangePart {
    let package = view.packages.first();
    let mut reasons: Vec<String> = view
        .reasons
        .iter()
        .map(|reason| reason.text.clone())
        .collect();
    reasons.extend(view.closed);
    ChangePart {
        id: view.id,
        package: package
            .map(|package| package.name.to_string())
            .unwrap_or_default(),
        from: package.and_then(|package| package.from.as_ref().map(ToString::to_string)),
        to: package
            .map(|package| package.to.to_string())
            .unwrap_or_default(),
        outcome: view.outcome,
        rule: view.rules.first().cloned(),
        rules: view.rules,
        reasons,
        state: view.state,
        review_due_at: view.review_due_at,
        executions: view
            .executions
            .into_iter()
            .map(|execution| ExecutionPart {
                host: execution.host,
                state: execution.state,
                notes: execution.notes,
            })
            .collect(),
    }
}

/// The document as JSON.
pub(super) fn json(document: &Document) -> String {
    // INVARIANT: plain strings, numbers and lists, which always serialise.
    serde_json::to_string_pretty(document).unwrap_or_default()
}

/// The table, and what is worth typing next.
pub(super) fn print(document: &Document, dir: &Path, dir_was_named: bool, human: &Human) {
    let signed_at = document
        .policy
        .signed_at
        .map(|at| at.to_string())
        .unwrap_or_default();
    let of = |outcome: Option<Outcome>| {
        document
            .changes
            .iter()
            .filter(move |one| one.outcome == outcome)
            .collect::<Vec<_>>()
    };
    // On the real machine nothing runs: the host only observes.
    let standing = if document.plain_apt.is_some() {
        "ran, or were tried, by themselves"
    } else {
        "would run by themselves"
    };
    let sections = [
        (Some(Outcome::Allow), standing),
        (Some(Outcome::Ask), "are for a human to decide"),
        (
            Some(Outcome::Escalate),
            "escalated: outside what the policy foresaw",
        ),
        (Some(Outcome::Deny), "denied"),
        (None, "without a decision"),
    ];
    for (outcome, words) in sections {
        let changes = of(outcome);
        if changes.is_empty() {
            continue;
        }
        let signed = if outcome == Some(Outcome::Allow) {
            format!(
                ", under policy version {} signed by {} at {signed_at}",
                document.policy.version, human.name
            )
        } else {
            String::new()
        };
        println!("\n{} {words}{signed}", changes.len());
        print_groups(&changes);
    }
    if document.changes.is_empty() {
        println!(
            "\nNothing is pending on this machine. `countersign quickstart --sandbox --fresh` shows a full run."
        );
    }
    if let Some(plain) = &document.plain_apt {
        let verdict = if plain.refused {
            "refused by the hook"
        } else {
            "NOT refused"
        };
        println!("\nplain `{}` without a warrant: {verdict}", plain.command);
    }
    if let Some(past) = &document.audit {
        println!("\n{}", past.text(&program()));
    }
    next_commands(document, dir, dir_was_named);
}

/// Rows of one group that are printed; `change list` and `--json` have them all.
const ROWS_MAX: usize = 12;
/// How wide the page is where there is no terminal.
const WIDTH: u16 = 120;

/// Changes under the same rules for the same reason together, the reason said once.
fn print_groups(changes: &[&ChangePart]) {
    let mut groups: Vec<(String, Vec<&ChangePart>)> = Vec::new();
    for change in changes {
        let rules: Vec<_> = change.rules.iter().map(RuleId::as_str).collect();
        let why = shown(change.reasons.first().map_or("", String::as_str), 200);
        let heading = if rules.is_empty() {
            why
        } else {
            format!("{}: {why}", rules.join(", "))
        };
        match groups.iter_mut().find(|(known, _)| *known == heading) {
            Some((_, members)) => members.push(change),
            None => groups.push((heading, vec![change])),
        }
    }
    for (heading, members) in groups {
        println!("\n  {heading}");
        println!("{}", table(&members));
        if members.len() > ROWS_MAX {
            println!(
                "    … and {} more: see them with `change list`",
                members.len() - ROWS_MAX
            );
        }
    }
}

fn table(changes: &[&ChangePart]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    if !std::io::stdout().is_terminal() {
        table.set_width(WIDTH);
    }
    for change in changes.iter().take(ROWS_MAX) {
        let from = change.from.as_deref().unwrap_or("–");
        table.add_row([
            format!("   {}", change.id),
            change.package.clone(),
            format!("{from} → {}", change.to),
            standing(change),
        ]);
    }
    table
}

/// Where a change stands, and how it ended on its host.
fn standing(change: &ChangePart) -> String {
    let ended: Vec<String> = change
        .executions
        .iter()
        .filter(|execution| execution.state != ExecutionState::Waiting)
        .map(|execution| execution.state.to_string())
        .collect();
    if ended.is_empty() {
        change.state.to_string()
    } else {
        format!("{}; {}", ended.join(", "), change.state)
    }
}

/// How this program is called from here.
fn program() -> String {
    std::env::current_exe().map_or_else(
        |_| "countersign".to_owned(),
        |path| {
            let here = std::env::current_dir().unwrap_or_default();
            match path.strip_prefix(&here) {
                Ok(relative) => format!("./{}", relative.display()),
                Err(_) => path.display().to_string(),
            }
        },
    )
}

fn next_commands(document: &Document, dir: &Path, dir_was_named: bool) {
    let program = program();
    let option = if dir_was_named {
        format!(" --dir {}", dir.display())
    } else {
        String::new()
    };
    let first = |wanted: &[ChangeState]| {
        document
            .changes
            .iter()
            .find(|change| wanted.contains(&change.state))
    };
    let why = first(&[
        ChangeState::ReviewDue,
        ChangeState::Settled,
        ChangeState::Authorized,
    ])
    .or(document.changes.first());
    let waiting = first(&[ChangeState::AwaitingApproval, ChangeState::Escalated]);
    println!("\nNext:");
    if let Some(change) = why {
        println!("  {program} why {}{option}", change.id);
    }
    if let Some(change) = waiting {
        println!("  {program} approve {}{option}", change.id);
    }
    println!("  {program} log verify{option}");
}
