//! OCSF 1.8.0 compliance findings (class 2003) as JSON Lines: one for each autonomous action. What the
//! dictionary has no place for stands in `unmapped`.

use super::columns::{Columns, places, stands_in};
use super::controls::CONTROLS;
use super::{OutputError, Provenance};
use crate::audit::model::Nature;
use crate::audit::reason::{Reason, Verdict};
use crate::audit::report::{ActionFound, Report};
use countersign_domain::text::shown;
use serde_json::{Value, json};
use std::io::Write;

/// The version of the dictionary.
const OCSF: &str = "1.8.0";
/// The longest text, in characters.
const CHARS_MAX: usize = 1000;

/// How the check came out (`compliance.status_id`).
#[derive(Clone, Copy)]
enum Status {
    Pass = 1,
    /// "did not yield a result due to missing information"
    Warning = 2,
    Fail = 3,
}

impl Status {
    /// Partial fails, unless nothing but what the logs leave open stands against it.
    fn of(found: &ActionFound) -> Self {
        let open = |reason: &Reason| {
            matches!(
                reason,
                Reason::ClockUnclear
                    | Reason::ControllerUnclear
                    | Reason::NoDecisionTime
                    | Reason::WeakLink
            )
        };
        match found.verdict {
            Some(Verdict::Clean) => Self::Pass,
            Some(Verdict::Partial) if found.reasons.iter().all(open) => Self::Warning,
            _ => Self::Fail,
        }
    }

    const fn caption(self) -> &'static str {
        match self {
            Self::Pass => "Pass",
            Self::Warning => "Warning",
            Self::Fail => "Fail",
        }
    }
}

/// Writes a line for each autonomous action.
pub(super) fn write(
    report: &Report,
    provenance: &Provenance,
    mut out: impl Write,
) -> Result<(), OutputError> {
    for found in report.autonomous() {
        serde_json::to_writer(&mut out, &finding(report, provenance, found))?;
        writeln!(out)?;
    }
    Ok(())
}

fn finding(report: &Report, provenance: &Provenance, found: &ActionFound) -> Value {
    let columns = Columns::of(report, found);
    let action = &found.action;
    let status = Status::of(found);
    let (severity_id, severity) = match found.verdict {
        Some(Verdict::Clean) => (1, "Informational"),
        Some(Verdict::Partial) => (3, "Medium"),
        _ => (4, "High"),
    };
    let named = |text: &str| {
        let text = shown(text, CHARS_MAX);
        if text.is_empty() {
            "unknown".to_owned()
        } else {
            text
        }
    };
    let actor = match action.actor.nature {
        Nature::Person => json!({ "user": { "name": named(&action.actor.name) } }),
        Nature::Automation | Nature::Group | Nature::Unclear => {
            json!({ "app_name": named(&action.actor.name) })
        }
    };
    let evidence: Vec<_> = places(found)
        .map(|(what, place)| format!("{what}: {}", stands_in(report, place)))
        .collect();
    let words: Vec<_> = found.reasons.iter().map(|reason| reason.words()).collect();
    let codes: Vec<_> = found.reasons.iter().map(|reason| reason.as_str()).collect();
    let mut compliance = json!({
        "control": "NIST SP 800-53 Rev. 5 CM-3 b",
        "desc": "A named human who neither asked for the change nor made it approved it before it began.",
        "standards": standards(),
        "requirements": requirements(),
        "status": status.caption(),
        "status_id": status as i32,
        "status_details": words,
    });
    if let (Some(first), Some(compliance)) = (codes.first(), compliance.as_object_mut()) {
        compliance.insert("status_code".into(), (*first).into());
    }
    json!({
        "activity_id": 1,
        "activity_name": "Create",
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": 2003,
        "class_name": "Compliance Finding",
        "type_uid": 200_301,
        "type_name": "Compliance Finding: Create",
        "severity_id": severity_id,
        "severity": severity,
        "status_id": 1,
        "status": "New",
        "time": report.until.unix_millis(),
        "start_time": action.started.earliest.unix_millis(),
        "end_time": action.ended.unwrap_or(action.started).latest.unix_millis(),
        "message": format!("{}: {} on {}", columns.verdict, columns.description, columns.system),
        "metadata": {
            "version": OCSF,
            "product": {
                "name": "Countersign",
                "vendor_name": "Countersign",
                "version": named(&provenance.version),
                "feature": { "name": "audit" },
            },
        },
        "finding_info": {
            "uid": action.key,
            "title": format!("Autonomous change, {}", columns.verdict),
            "desc": columns.description,
            "created_time": report.until.unix_millis(),
            "first_seen_time": action.started.earliest.unix_millis(),
            "data_sources": [action.format.as_str()],
            "types": ["Change governance"],
        },
        "compliance": compliance,
        "resources": [{ "name": named(&action.system), "type": "system" }],
        "evidences": [{
            "name": "log records",
            "actor": actor,
            "data": { "places": evidence, "sha256": columns.evidence_sha256 },
        }],
        "unmapped": {
            "countersign": {
                "verdict": columns.verdict,
                "reasons": codes,
                "action_id": found.id,
                "environment": columns.environment,
                "change_id": columns.change_id,
                "change_type": columns.kind,
                "requester": columns.requester,
                "approver": columns.approver,
                "approved_at": columns.approved_at,
                "authorization_id": columns.authorization_id,
                "link": columns.link,
                "gaps": report.gaps.len(),
            },
        },
    })
}

fn standards() -> Vec<&'static str> {
    let mut standards: Vec<_> = CONTROLS.iter().map(|control| control.standard).collect();
    standards.dedup();
    standards
}

/// What the finding maps to; it states compliance with none.
fn requirements() -> Vec<String> {
    CONTROLS
        .iter()
        .map(|control| format!("maps to {} {}", control.standard, control.number))
        .collect()
}
