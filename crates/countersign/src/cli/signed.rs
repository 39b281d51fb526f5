//! Shows exactly what a human is about to sign, from the canonical bytes, before it is signed.

use super::render::{duties, quoted};
use super::{Context, Failure};
use crate::signing::Signer;
use countersign_domain::statement::{HaltScope, Subject};
use countersign_domain::{SignedStatement, Statement, Timestamp, canonical};

/// How long a statement can be handed in, in seconds.
const USABLE_SECONDS: i64 = 3600;
/// The same for one that waits for other signers, in seconds.
pub const COLLECTED_SECONDS: i64 = 7 * 86_400;

/// Shows the statement with its details, asks, and signs.
///
/// # Errors
/// When the human says no, or the key does not sign.
pub fn show_and_sign(
    context: &Context,
    signer: &Signer<'_>,
    subject: Subject,
    details: &str,
    collected: bool,
    now: Timestamp,
) -> Result<SignedStatement, Failure> {
    let seconds = if collected {
        COLLECTED_SECONDS
    } else {
        USABLE_SECONDS
    };
    show_and_sign_for(context, signer, subject, details, seconds, now)
}

/// The same, for a statement that can be handed in for so many seconds.
///
/// # Errors
/// As [`show_and_sign`].
pub fn show_and_sign_for(
    context: &Context,
    signer: &Signer<'_>,
    subject: Subject,
    details: &str,
    seconds: i64,
    now: Timestamp,
) -> Result<SignedStatement, Failure> {
    let statement = signer.statement(subject, now, seconds);
    // What is shown is read back from the bytes that are signed.
    let bytes = canonical::to_bytes(&statement)?;
    let read: Statement = canonical::from_bytes(&bytes)?;
    eprintln!("{}", in_words(&read));
    if !details.is_empty() {
        eprintln!("\n{details}");
    }
    context.confirm("Sign this?")?;
    Ok(signer.sign(&read)?)
}

/// A statement in words, field by field.
#[must_use]
pub fn in_words(statement: &Statement) -> String {
    let mut lines = vec![
        format!("You are about to sign, as `{}`:", statement.approver),
        String::new(),
    ];
    lines.push(format!("  {}", about(&statement.subject)));
    lines.extend(
        details(&statement.subject)
            .into_iter()
            .map(|line| format!("  {line}")),
    );
    lines.push(String::new());
    lines.push(format!("  deployment      {}", statement.deployment));
    lines.push(format!(
        "  with key        {}",
        quoted(&statement.credential, "")
    ));
    lines.push(format!("  roster version  {}", statement.roster_version));
    lines.push(format!("  usable until    {}", statement.not_after));
    lines.join("\n")
}

fn about(subject: &Subject) -> String {
    match subject {
        Subject::Change { change, vote, .. } => {
            format!("{} change {change}", format!("{vote:?}").to_uppercase())
        }
        Subject::Review {
            change, verdict, ..
        } => {
            format!(
                "REVIEW of change {change}: {}",
                format!("{verdict:?}").to_lowercase()
            )
        }
        Subject::Ending {
            change,
            host,
            ending,
            ..
        } => format!(
            "OUTCOME of change {change} on host {host}, which nobody knew: {}",
            ending.as_str()
        ),
        Subject::Unwarranted {
            finding, verdict, ..
        } => {
            format!(
                "REVIEW of the unwarranted transition {finding}: {}",
                format!("{verdict:?}").to_lowercase()
            )
        }
        Subject::EmergencyReview {
            emergency, verdict, ..
        } => {
            format!(
                "REVIEW of emergency {emergency}: {}",
                format!("{verdict:?}").to_lowercase()
            )
        }
        Subject::Policy { version, .. } => format!("POLICY version {version} comes into force"),
        Subject::Roster { version, .. } => format!("ROSTER change: version {version}"),
        Subject::Inventory { .. } => "INVENTORY that raises what the AI may do".to_owned(),
        Subject::Emergency { host, .. } => format!("EMERGENCY on `{host}`, without the gate"),
        Subject::Halt { halt } => format!("HALT {}", scope(halt)),
        Subject::Resume { halt, halt_epoch } => {
            format!("RESUME {} (halt epoch {halt_epoch})", scope(halt))
        }
    }
}

fn details(subject: &Subject) -> Vec<String> {
    match subject {
        Subject::Change {
            change_digest,
            policy,
            outcome,
            rules,
            duties: wanted,
            rationale,
            ..
        } => {
            let rules: Vec<_> = rules.iter().map(|rule| rule.as_str()).collect();
            let mut lines = vec![
                format!("change digest   {change_digest}"),
                format!("policy digest   {policy}"),
                format!(
                    "outcome         {} by {}",
                    outcome.as_str(),
                    rules.join(", ")
                ),
                format!("asks for        {}", duties(wanted)),
            ];
            lines.extend(rationale.iter().map(|digest| {
                format!("your reasons    {digest} (the text is kept beside the log)")
            }));
            lines
        }
        Subject::Review {
            change_digest,
            note,
            ..
        }
        | Subject::Ending {
            change_digest,
            note,
            ..
        } => {
            let mut lines = vec![format!("change digest   {change_digest}")];
            lines.extend(note.iter().map(|digest| {
                format!("your note       {digest} (the text is kept beside the log)")
            }));
            lines
        }
        Subject::Unwarranted { entry, note, .. } | Subject::EmergencyReview { entry, note, .. } => {
            let mut lines = vec![format!("entry digest    {entry}")];
            lines.extend(note.iter().map(|digest| {
                format!("your note       {digest} (the text is kept beside the log)")
            }));
            lines
        }
        Subject::Policy { policy, .. } => vec![format!("policy digest   {policy}")],
        Subject::Roster { change, .. } => vec![format!("change digest   {change}")],
        Subject::Inventory { inventory } => vec![format!("inventory       {inventory}")],
        Subject::Emergency { order, plan, .. } => vec![
            format!("order digest    {order}"),
            format!("plan digest     {plan}"),
        ],
        Subject::Halt { .. } | Subject::Resume { .. } => Vec::new(),
    }
}

/// How much is halted, in words.
#[must_use]
pub fn scope(halt: &HaltScope) -> String {
    match halt {
        HaltScope::Everything => "everything".to_owned(),
        HaltScope::Agent(agent) => format!("agent `{agent}`"),
        HaltScope::Rule(rule) => format!("rule `{rule}`"),
        HaltScope::Environment(environment) => format!("environment `{}`", environment.as_str()),
    }
}
