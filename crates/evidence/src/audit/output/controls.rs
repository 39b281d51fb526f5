//! The controls that such evidence maps to, and where each one's boundary is: what the evidence shows,
//! and what it does not. A mapping is no statement of compliance.

use crate::audit::report::Counts;

/// A control.
pub(super) struct Control {
    /// Whose.
    pub(super) standard: &'static str,
    /// Its number there.
    pub(super) number: &'static str,
    /// What it asks for, in short.
    pub(super) title: &'static str,
    /// Its objective in the OSCAL catalogue, where it has one: the control, and the objective.
    pub(super) objective: Option<(&'static str, &'static str)>,
    /// What this evidence shows of it.
    pub(super) shows: &'static str,
    /// What it does not.
    pub(super) shows_not: &'static str,
}

/// The controls, the same in every form of the report.
pub(super) const CONTROLS: [Control; 6] = [
    Control {
        standard: "SOC 2 (TSC 2017, points of focus 2022)",
        number: "CC8.1",
        title: "Changes are authorized, tested and approved before they are implemented",
        objective: None,
        shows: "for each autonomous action: the change record, who approved it, when in relation to its start, and whether the record has a test plan and a way back",
        shows_not: "that tests were run or were adequate, that the logs handed in are all there are, or how the process is designed",
    },
    Control {
        standard: "PCI DSS v4.0.1",
        number: "6.5.1",
        title: "Changes follow procedures: approval by authorized parties, testing, a return to a secure state",
        objective: None,
        shows: "documented approval by a named person, and whether a test plan and a way back are recorded",
        shows_not: "the reason for the change, its security impact, that the approver was authorized to approve it, or that the tests passed",
    },
    Control {
        standard: "ISO/IEC 27001:2022",
        number: "A.8.32",
        title: "Changes are subject to change management",
        objective: None,
        shows: "which autonomous changes have a record with an approval from before they began, and which have none",
        shows_not: "impact assessment, communication, or changes that left no line in these logs",
    },
    Control {
        standard: "NIST SP 800-53 Rev. 5",
        number: "CM-3 b",
        title: "Proposed changes are reviewed, and approved or disapproved",
        objective: Some(("cm-3", "cm-3_obj.b-2")),
        shows: "an explicit decision by a named human on each autonomous change, before it began",
        shows_not: "that security and privacy impact was considered in the decision",
    },
    Control {
        standard: "NIST SP 800-53 Rev. 5",
        number: "CM-3 c",
        title: "Decisions on changes are documented",
        objective: Some(("cm-3", "cm-3_obj.c")),
        shows: "a change record for each autonomous change, with its place and the digest of its file",
        shows_not: "that the record is complete, or that nobody altered it before it was exported",
    },
    Control {
        standard: "NIST SP 800-53 Rev. 5",
        number: "CM-3 e",
        title: "Records of changes are retained",
        objective: Some(("cm-3", "cm-3_obj.e")),
        shows: "records of the actions in this period, by source and day, with gaps",
        shows_not: "retention beyond this period, or protection of the logs against those whose actions they tell",
    },
];

/// The boundary of the whole, in sentences.
pub(super) const LIMITS: [&str; 5] = [
    "This report says what the logs that were handed in tell, and no more. Whoever can write a log can write it falsely, and what a log leaves out is in no report on it.",
    "It maps to controls; it is no statement of compliance with any of them, and replaces no auditor's judgment.",
    "A person counts as a named human only where the registry that was handed in names them; whether that registry is right was not examined.",
    "Actions by people, and by whom the logs cannot tell, are counted and not judged.",
    "An approval is evidence that somebody decided, not that the decision was a good one.",
];

/// How an objective stands, as far as this evidence goes: met only where something was judged, all of
/// it was found, and the population is not known to have gaps.
pub(super) fn is_met(objective: &str, counts: &Counts, gaps: usize) -> bool {
    let found = match objective {
        "cm-3_obj.b-2" => counts.clean == counts.autonomous,
        "cm-3_obj.c" => counts.ungoverned == 0,
        _ => true,
    };
    found && counts.autonomous > 0 && gaps == 0
}
