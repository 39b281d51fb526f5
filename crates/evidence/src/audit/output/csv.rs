//! CSV: one row an action, with the columns that auditors ask for (RFC 4180, UTF-8, one head). What
//! a spreadsheet would take for a formula is defused; nothing else is changed.

use super::columns::Columns;
use super::{OutputError, Provenance};
use crate::audit::report::Report;
use countersign_domain::Digest;
use std::borrow::Cow;
use std::collections::HashSet;
use std::io::Write;

/// The columns.
const HEAD: [&str; 23] = [
    "change_id",
    "system",
    "environment",
    "description",
    "type",
    "requester",
    "implementer",
    "approvers",
    "approved_at",
    "started_at",
    "ended_at",
    "test_ref",
    "rollback_ref",
    "authorization_id",
    "policy_version",
    "classification",
    "evidence_sha256",
    "verdict",
    "reasons",
    "action_id",
    "link",
    "evidence",
    "sampled",
];

/// Writes the whole population; of a sample, which rows are in it.
pub(super) fn write(
    report: &Report,
    provenance: &Provenance,
    out: impl Write,
) -> Result<(), OutputError> {
    let sample: Option<HashSet<Digest>> = provenance.sample.map(|(size, seed)| {
        let drawn = report.sample(size, seed).into_iter();
        drawn.map(|found| found.action.key).collect()
    });
    let mut writer = ::csv::Writer::from_writer(out);
    writer.write_record(HEAD)?;
    for found in &report.actions {
        let columns = Columns::of(report, found);
        let sampled = match &sample {
            None => "",
            Some(drawn) if drawn.contains(&found.action.key) => "yes",
            Some(_) => "no",
        };
        let row: [&str; 23] = [
            &columns.change_id,
            &columns.system,
            &columns.environment,
            &columns.description,
            columns.kind,
            &columns.requester,
            &columns.implementer,
            &columns.approver,
            &columns.approved_at,
            &columns.started_at,
            &columns.ended_at,
            &columns.test,
            &columns.rollback,
            &columns.authorization_id,
            &columns.policy_version,
            columns.classification,
            &columns.evidence_sha256,
            columns.verdict,
            &columns.reasons,
            &found.id,
            &columns.link,
            &columns.evidence,
            sampled,
        ];
        for cell in row {
            writer.write_field(defused(cell).as_bytes())?;
        }
        writer.write_record(None::<&[u8]>)?;
    }
    writer.flush()?;
    Ok(())
}

/// A cell that a spreadsheet takes for text: `'` before whatever begins like a formula. Spreadsheets
/// skip white space, and some read full-width forms as the plain ones.
fn defused(cell: &str) -> Cow<'_, str> {
    let begins = |c: char| matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠');
    if cell.starts_with(['\t', '\r', '\n']) || cell.trim_start().starts_with(begins) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

#[cfg(test)]
mod tests {
    use super::defused;

    #[test]
    fn what_begins_like_a_formula_is_text() {
        for cell in [
            "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\rx", "\nx", "  =1", "＝1",
        ] {
            assert_eq!(defused(cell), format!("'{cell}"));
        }
        for cell in ["", "a=1", "CHG0031337", "1-2", "'=1"] {
            assert_eq!(defused(cell), cell);
        }
    }
}
