//! What an auditor asks of each action, as texts that are harmless to show: the columns of the CSV,
//! and what the other forms share with it.

use crate::audit::judge::{By, Link};
use crate::audit::model::{ChangeKind, FileNumber, Place, Plan, Reference};
use crate::audit::moment::Moment;
use crate::audit::report::{ActionFound, Report};
use countersign_domain::text::shown;
use std::collections::BTreeSet;

/// The longest cell, in characters.
const CELL_CHARS_MAX: usize = 2000;

/// One action, in an auditor's columns.
pub(super) struct Columns {
    pub(super) change_id: String,
    pub(super) system: String,
    pub(super) environment: String,
    pub(super) description: String,
    pub(super) kind: &'static str,
    pub(super) requester: String,
    pub(super) implementer: String,
    pub(super) approver: String,
    pub(super) approved_at: String,
    pub(super) started_at: String,
    pub(super) ended_at: String,
    pub(super) test: String,
    pub(super) rollback: String,
    pub(super) policy_version: String,
    pub(super) authorization_id: String,
    pub(super) classification: &'static str,
    pub(super) evidence_sha256: String,
    pub(super) verdict: &'static str,
    pub(super) reasons: String,
    pub(super) link: String,
    pub(super) evidence: String,
}

impl Columns {
    /// Of one action in its report.
    pub(super) fn of(report: &Report, found: &ActionFound) -> Self {
        let action = &found.action;
        let change = found.change.as_ref();
        let text = |text: &str| shown(text, CELL_CHARS_MAX);
        let optional = |value: Option<&str>| value.map(text).unwrap_or_default();
        Self {
            change_id: optional(change.map(|change| change.number.as_str())),
            system: text(&action.system),
            environment: optional(
                (action.environment.as_deref()).or(report.environment.as_deref()),
            ),
            description: description(found),
            kind: change.map_or("", |change| kind(change.kind)),
            requester: change
                .map_or_else(String::new, |change| text(&change.requesters.join("; "))),
            implementer: text(&action.actor.name),
            approver: optional(found.approver.as_deref()),
            approved_at: found.approved_at.as_ref().map(time).unwrap_or_default(),
            started_at: time(&action.started),
            ended_at: action.ended.as_ref().map(time).unwrap_or_default(),
            test: optional(change.map(|change| {
                let named = change.test_ref.as_deref();
                named.unwrap_or_else(|| plan(change.test))
            })),
            rollback: optional(change.map(|change| {
                let named = change.rollback_ref.as_deref();
                named.unwrap_or_else(|| plan(change.rollback))
            })),
            policy_version: optional(change.and_then(|change| change.policy_version.as_deref())),
            authorization_id: authorization(found).map(text).unwrap_or_default(),
            classification: by(found.by),
            evidence_sha256: digests(report, found),
            verdict: found
                .verdict
                .map_or("not judged", |verdict| verdict.as_str()),
            reasons: codes(found),
            link: found.link.as_ref().map(link).unwrap_or_default(),
            evidence: stands(report, found),
        }
    }
}

/// What was done, and to what.
pub(super) fn description(found: &ActionFound) -> String {
    let action = &found.action;
    let mut text = action.summary.clone();
    if !action.items.is_empty() {
        text.push_str(": ");
        text.push_str(&action.items.join(", "));
    }
    shown(&text, CELL_CHARS_MAX)
}

/// Whose doing it is.
pub(super) const fn by(by: By) -> &'static str {
    match by {
        By::Automation => "automation",
        By::NamedHuman => "named human",
        By::CannotTell => "cannot be told",
    }
}

/// A kind of change.
pub(super) const fn kind(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Normal => "normal",
        ChangeKind::Standard => "standard",
        ChangeKind::Emergency => "emergency",
    }
}

/// Whether there is a plan.
pub(super) const fn plan(plan: Plan) -> &'static str {
    match plan {
        Plan::Given => "given",
        Plan::Missing => "missing",
        Plan::NotKept => "not kept by this source",
    }
}

/// How action and record belong together.
pub(super) fn link(link: &Link) -> String {
    match link {
        Link::SystemAndTime => "system and time alone".into(),
        Link::Reference(reference) => {
            let (kind, value) = match reference {
                Reference::Countersign(value) => ("countersign id", value),
                Reference::Number(value) => ("change number", value),
                Reference::Commit(value) => ("commit", value),
                Reference::Native(value) => ("native id", value),
            };
            format!("{kind} {}", shown(value, 200))
        }
    }
}

/// An instant, or the two between which it lies as an interval of ISO 8601.
pub(super) fn time(at: &Moment) -> String {
    if at.earliest == at.latest {
        at.earliest.to_string()
    } else {
        format!("{}/{}", at.earliest, at.latest)
    }
}

/// The codes of its reasons.
pub(super) fn codes(found: &ActionFound) -> String {
    let codes: Vec<_> = found.reasons.iter().map(|reason| reason.as_str()).collect();
    codes.join("; ")
}

/// An id of Countersign's that the action names.
fn authorization(found: &ActionFound) -> Option<&str> {
    let references = found.action.references.iter();
    references
        .filter_map(|reference| match reference {
            Reference::Countersign(id) => Some(id.as_str()),
            _ => None,
        })
        .next()
}

/// Everywhere that something of an action stands: itself, its record, its approval.
pub(super) fn places(found: &ActionFound) -> impl Iterator<Item = (&'static str, &Place)> {
    let change = found.change.iter().flat_map(|change| &change.places);
    let action = found.action.places.iter().map(|place| ("action", place));
    action
        .chain(change.map(|place| ("change record", place)))
        .chain(
            found
                .approval_places
                .iter()
                .map(|place| ("approval", place)),
        )
}

/// A file's path, as it is shown.
pub(super) fn path(report: &Report, file: FileNumber) -> String {
    let file = usize::try_from(file.0)
        .ok()
        .and_then(|at| report.files.get(at));
    file.map_or_else(String::new, |file| {
        shown(&file.path.to_string_lossy(), CELL_CHARS_MAX)
    })
}

/// A place in words: path, line, byte.
pub(super) fn stands_in(report: &Report, place: &Place) -> String {
    let line = place
        .line
        .map_or_else(String::new, |line| format!("line {line}, "));
    format!("{}, {line}byte {}", path(report, place.file), place.offset)
}

fn stands(report: &Report, found: &ActionFound) -> String {
    let all: Vec<_> = places(found)
        .map(|(what, place)| format!("{what}: {}", stands_in(report, place)))
        .collect();
    all.join("; ")
}

/// The SHA-256 of every file that something of it stands in.
fn digests(report: &Report, found: &ActionFound) -> String {
    let files: BTreeSet<FileNumber> = places(found).map(|(_, place)| place.file).collect();
    let all: Vec<_> = files
        .into_iter()
        .filter_map(|file| report.files.get(usize::try_from(file.0).ok()?))
        .map(|file| file.sha256.as_str())
        .collect();
    all.join("; ")
}
