//! Puts things into words and tables for the terminal. What came from outside is shown through
//! `domain::text::shown`; no meaning by colour.

use comfy_table::{ContentArrangement, Table, presets};
use countersign_domain::decision::Duties;
use countersign_domain::text::shown;
use countersign_domain::time::in_words;
use countersign_domain::{Timestamp, roster::Operation};
use countersign_gate::view::ChangeView;

/// How wide a page is where there is no terminal to ask.
const WIDTH: usize = 100;

/// How wide a page is to be written.
pub fn width() -> usize {
    Table::new()
        .width()
        .map_or(WIDTH, usize::from)
        .clamp(60, 160)
}

/// A table that fits the terminal.
pub fn table<const N: usize>(
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(head);
    let mut empty = true;
    for row in rows {
        empty = false;
        table.add_row(row.map(|cell| shown(&cell, 400)));
    }
    if empty {
        format!("{}: none", head.first().copied().unwrap_or_default())
    } else {
        table.to_string()
    }
}

/// Text of several lines, each harmless, each behind `prefix`.
pub fn quoted(text: &str, prefix: &str) -> String {
    let lines: Vec<_> = text
        .lines()
        .take(100)
        .map(|line| format!("{prefix}{}", shown(line, 400)))
        .collect();
    lines.join("\n")
}

/// A time and how far it is from now.
pub fn when(at: Timestamp, now: Timestamp) -> String {
    let seconds = at.seconds_since(now);
    if seconds >= 0 {
        format!("{at} (in {})", in_words(seconds))
    } else {
        format!("{at} ({} ago)", in_words(-seconds))
    }
}

/// Who has to approve, in words.
pub fn duties(duties: &Duties) -> String {
    let mut parts: Vec<_> = duties
        .approvers
        .iter()
        .map(|approvers| format!("{} of `{}`", approvers.quorum, approvers.group))
        .collect();
    if parts.is_empty() {
        parts.push("nobody has to approve".into());
    }
    if duties.decide_within_seconds > 0 {
        parts.push(format!(
            "within {}",
            in_words(duties.decide_within_seconds.into())
        ));
    }
    if duties.review_within_seconds > 0 {
        parts.push(format!(
            "review within {}",
            in_words(duties.review_within_seconds.into())
        ));
    }
    parts.join(", ")
}

/// The packages of a change on one line.
pub fn packages(change: &ChangeView) -> String {
    let packages: Vec<_> = change
        .packages
        .iter()
        .map(|package| {
            let from = package
                .from
                .as_ref()
                .map_or("not installed", |version| version.as_str());
            format!("{} {from} → {}", package.name, package.to)
        })
        .collect();
    packages.join(", ")
}

/// One change in full.
pub fn change(change: &ChangeView, now: Timestamp) -> String {
    let mut lines = vec![
        format!("change    {}", change.id),
        format!("state     {}", change.state),
        format!(
            "asked by  agent `{}` of `{}`, {}",
            change.agent,
            change.owner,
            when(change.opened_at, now)
        ),
        format!("what      {}", shown(&packages(change), 400)),
    ];
    if let Some(outcome) = change.outcome {
        let rules: Vec<_> = change.rules.iter().map(|rule| rule.as_str()).collect();
        lines.push(format!(
            "outcome   {} by {}",
            outcome.as_str(),
            rules.join(", ")
        ));
    }
    if !change.withheld_by.is_empty() {
        let rules: Vec<_> = change
            .withheld_by
            .iter()
            .map(|rule| rule.as_str())
            .collect();
        lines.push(format!("withheld  by {}", rules.join(", ")));
    }
    for reason in &change.reasons {
        let rule = reason
            .rule
            .as_ref()
            .map_or(String::new(), |rule| format!("{rule}: "));
        lines.push(format!("          {rule}{}", shown(&reason.text, 400)));
    }
    if let Some(wanted) = &change.duties {
        lines.push(format!("asks for  {}", duties(wanted)));
    }
    if let Some(until) = change.until {
        lines.push(format!("until     {}", when(until, now)));
    }
    for vote in &change.votes {
        lines.push(
            format!(
                "vote      {:?} by `{}` at {}",
                vote.vote, vote.person, vote.at
            )
            .to_lowercase(),
        );
    }
    for signer in &change.signers {
        lines.push(format!(
            "behind it `{}`, signed {}",
            signer.person, signer.at
        ));
    }
    for execution in &change.executions {
        lines.push(format!(
            "host      {} (wave {}): {}",
            execution.host,
            execution.wave + 1,
            execution.state
        ));
        lines.extend(
            execution
                .notes
                .iter()
                .map(|note| format!("          {}", shown(note, 400))),
        );
    }
    if let Some(due) = change.review_due_at {
        lines.push(format!("review    due {}", when(due, now)));
    }
    if let Some((verdict, person, at)) = &change.reviewed {
        lines.push(format!("reviewed  {verdict:?} by {person} at {at}").to_lowercase());
    }
    if let Some(why) = &change.closed {
        lines.push(format!("closed    {}", shown(why, 400)));
    }
    lines.join("\n")
}

/// One edit of the roster, in words.
pub fn operation(operation: &Operation) -> String {
    match operation {
        Operation::SetThreshold { group, quorum } => {
            format!("{quorum} of `{group}` sign roster changes and policies")
        }
        Operation::AddPerson { person, .. } => format!("`{person}` joins"),
        Operation::RemovePerson { person } => {
            format!("`{person}` leaves: the keys no longer count")
        }
        Operation::AddKey {
            person,
            fingerprint,
            ..
        } => format!("`{person}` gets key {}", shown(fingerprint, 100)),
        Operation::RevokeKey { fingerprint } => {
            format!("key {} no longer counts", shown(fingerprint, 100))
        }
        Operation::SetGroup { group, members } => {
            let members: Vec<_> = members.iter().map(|member| member.as_str()).collect();
            match members.is_empty() {
                true => format!("group `{group}` is removed"),
                false => format!("group `{group}` is {}", members.join(", ")),
            }
        }
        Operation::SetAgent {
            agent,
            owner,
            public_key,
        } => format!(
            "agent `{agent}` may propose; `{owner}` answers for it; key {}",
            shown(public_key, 64)
        ),
        Operation::RemoveAgent { agent } => format!("agent `{agent}` may no longer propose"),
        Operation::SetHost { host, public_key } => {
            format!("host `{host}` takes part; key {}", shown(public_key, 64))
        }
        Operation::RemoveHost { host } => format!("host `{host}` no longer takes part"),
        Operation::SetGate(_) => "the gate's keys are replaced".to_owned(),
        Operation::SetWitnesses { witnesses, quorum } => {
            let witnesses: Vec<_> = witnesses.iter().map(|key| shown(key, 300)).collect();
            format!(
                "{quorum} of these witnesses cosign checkpoints: {}",
                witnesses.join(", ")
            )
        }
    }
}
