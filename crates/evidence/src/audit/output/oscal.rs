//! OSCAL 1.2.1 assessment results (JSON): an observation for each action that is not clean, one for
//! those that are, one for the gaps, and a finding for each objective of the catalogue that such
//! evidence maps to. Ids are made from what they name: the same report gives the same bytes.

use super::columns::{Columns, places, stands_in};
use super::controls::{CONTROLS, Control, is_met};
use super::{OutputError, Provenance};
use crate::audit::reason::Verdict;
use crate::audit::report::{ActionFound, Report};
use countersign_domain::text::shown;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write;
use uuid::Uuid;

/// The version of OSCAL.
const OSCAL: &str = "1.2.1";
/// Whose properties these are: a name, and no address.
const NS: &str = "urn:countersign:ns:oscal";
/// The namespace of the ids.
const IDS: Uuid = Uuid::from_u128(0x9d1c_0f4e_6b5a_4c7e_8f21_3a6b_5e0d_71c4);
/// Actions with observations of their own; JSON and CSV have them all.
const OBSERVED_MAX: usize = 5_000;
/// The longest value of a property, in characters.
const VALUE_CHARS_MAX: usize = 400;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    assessment_results: AssessmentResults,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct AssessmentResults {
    uuid: Uuid,
    metadata: Metadata,
    import_ap: Import,
    results: [Results; 1],
    back_matter: BackMatter,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Metadata {
    title: &'static str,
    last_modified: String,
    version: String,
    oscal_version: &'static str,
    remarks: &'static str,
}

#[derive(Serialize)]
struct Import {
    href: String,
    remarks: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Results {
    uuid: Uuid,
    title: &'static str,
    description: String,
    start: String,
    end: String,
    props: Vec<Prop>,
    reviewed_controls: Reviewed,
    observations: Vec<Observation>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<Finding>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Reviewed {
    control_selections: [Selection; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Selection {
    include_controls: Vec<Included>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Included {
    control_id: &'static str,
}

#[derive(Serialize)]
struct Prop {
    name: &'static str,
    ns: &'static str,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Observation {
    uuid: Uuid,
    title: String,
    description: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    props: Vec<Prop>,
    methods: [&'static str; 1],
    types: [&'static str; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    relevant_evidence: Vec<Evidence>,
    collected: String,
}

#[derive(Serialize)]
struct Evidence {
    href: String,
    description: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Finding {
    uuid: Uuid,
    title: String,
    description: String,
    target: Target,
    related_observations: Vec<Related>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Target {
    r#type: &'static str,
    target_id: &'static str,
    status: Status,
}

#[derive(Serialize)]
struct Status {
    state: &'static str,
    reason: &'static str,
    remarks: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Related {
    observation_uuid: Uuid,
}

#[derive(Serialize)]
struct BackMatter {
    resources: Vec<Resource>,
}

#[derive(Serialize)]
struct Resource {
    uuid: Uuid,
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rlinks: Vec<Link>,
}

#[derive(Serialize)]
struct Link {
    href: String,
    hashes: [Hash; 1],
}

#[derive(Serialize)]
struct Hash {
    algorithm: &'static str,
    value: String,
}

/// Writes the document.
pub(super) fn write(
    report: &Report,
    provenance: &Provenance,
    mut out: impl Write,
) -> Result<(), OutputError> {
    let mut hasher = Sha256::new();
    serde_json::to_writer(&mut hasher, report)?;
    let base = hex::encode(hasher.finalize());
    let document = Document {
        assessment_results: assessment(report, provenance, &base),
    };
    serde_json::to_writer_pretty(&mut out, &document)?;
    writeln!(out)?;
    Ok(())
}

/// The id of something in this report.
fn id(base: &str, what: &str) -> Uuid {
    Uuid::new_v5(&IDS, format!("{base}\n{what}").as_bytes())
}

fn assessment(report: &Report, provenance: &Provenance, base: &str) -> AssessmentResults {
    let plan = id(base, "plan");
    let observations = observations(report, base);
    let findings = findings(report, base, &observations);
    let mut resources = vec![Resource {
        uuid: plan,
        title: "Method".into(),
        description: Some(
            "Logs and change records were read offline. Each autonomous action was held against the records that it names: was there a decision by a named human, from before it began? See docs/audit.md of Countersign.",
        ),
        rlinks: Vec::new(),
    }];
    resources.extend(
        report
            .files
            .iter()
            .enumerate()
            .map(|(number, file)| Resource {
                uuid: id(base, &format!("file {number}")),
                title: text(&file.path.to_string_lossy()),
                description: None,
                rlinks: vec![Link {
                    href: href(file.path.as_os_str().as_encoded_bytes()),
                    hashes: [Hash {
                        algorithm: "SHA-256",
                        value: file.sha256.clone(),
                    }],
                }],
            }),
    );
    let controls: BTreeSet<&str> = objectives().map(|(_, control, _)| control).collect();
    let counts = &report.counts;
    AssessmentResults {
        uuid: id(base, "document"),
        metadata: Metadata {
            title: "Audit of autonomous changes",
            last_modified: report.until.to_string(),
            version: text(&provenance.version),
            oscal_version: OSCAL,
            remarks: "Made by countersign audit from logs that were handed in. It maps to controls; it is no statement of compliance with them.",
        },
        import_ap: Import {
            href: format!("#{plan}"),
            remarks: "There is no assessment plan of its own; the resource tells the method.",
        },
        results: [Results {
            uuid: id(base, "results"),
            title: "Was there a named human, before it ran?",
            description: report.estate.words.clone(),
            start: report.since.to_string(),
            end: report.until.to_string(),
            props: [
                ("autonomous-actions", counts.autonomous),
                ("clean", counts.clean),
                ("partial", counts.partial),
                ("ungoverned", counts.ungoverned),
                ("by-named-humans", counts.human),
                ("by-whom-cannot-be-told", counts.cannot_tell),
            ]
            .map(|(name, count)| prop(name, &count.to_string()))
            .into(),
            reviewed_controls: Reviewed {
                control_selections: [Selection {
                    include_controls: (controls.into_iter())
                        .map(|control_id| Included { control_id })
                        .collect(),
                }],
            },
            observations,
            findings,
        }],
        back_matter: BackMatter { resources },
    }
}

/// The objectives of the catalogue: the control's words, its id, and the objective's.
fn objectives() -> impl Iterator<Item = (&'static Control, &'static str, &'static str)> {
    CONTROLS.iter().filter_map(|control| {
        let (id, objective) = control.objective?;
        Some((control, id, objective))
    })
}

/// The summary first, then the gaps if there are any, then the actions that are not clean: all, or the
/// worst of them and how many others there are.
fn observations(report: &Report, base: &str) -> Vec<Observation> {
    let counts = &report.counts;
    let plain = |what: &str, title: &str, description: String, kind| Observation {
        uuid: id(base, what),
        title: title.to_owned(),
        description,
        props: Vec::new(),
        methods: ["EXAMINE"],
        types: [kind],
        relevant_evidence: Vec::new(),
        collected: report.until.to_string(),
    };
    let mut all = vec![plain(
        "summary",
        "Autonomous actions with a clean record, and what was not judged",
        format!(
            "{} of {} autonomous actions are clean: approved by a named human before they began. Not judged: {} actions by named humans themselves, {} by whom the logs cannot tell. Clean actions have no observation of their own; the JSON and CSV forms of this report list them.",
            counts.clean, counts.autonomous, counts.human, counts.cannot_tell
        ),
        "control-objective",
    )];
    if !report.gaps.is_empty() {
        let gaps: Vec<_> = report.gaps.iter().map(|gap| text(gap)).collect();
        all.push(plain(
            "gaps",
            "What is missing in what was read",
            gaps.join("; "),
            "finding",
        ));
    }
    let mut unclean: Vec<_> = report
        .autonomous()
        .filter(|found| found.verdict != Some(Verdict::Clean))
        .collect();
    if unclean.len() > OBSERVED_MAX {
        // Ungoverned before partial, and of each the first.
        unclean.sort_by_key(|found| Reverse(found.verdict));
        let rest = unclean.split_off(OBSERVED_MAX);
        let ungoverned = rest.iter();
        let ungoverned = ungoverned.filter(|found| found.verdict == Some(Verdict::Ungoverned));
        let ungoverned = ungoverned.count();
        all.push(plain(
            "others",
            "Actions that are not clean and have no observation of their own",
            format!(
                "This document has observations of {OBSERVED_MAX} actions that are not clean, the worst verdicts first. Of {ungoverned} ungoverned and {} partial actions more it has none; the JSON and CSV forms of this report list them all.",
                rest.len() - ungoverned
            ),
            "finding",
        ));
    }
    all.extend(
        unclean
            .into_iter()
            .map(|found| observation(report, base, found)),
    );
    all
}

fn observation(report: &Report, base: &str, found: &ActionFound) -> Observation {
    let columns = Columns::of(report, found);
    let mut props = vec![
        prop("action-id", &found.id),
        prop("verdict", columns.verdict),
        prop("system", &columns.system),
        prop("started-at", &columns.started_at),
        prop("implementer", &columns.implementer),
        prop("change-id", &columns.change_id),
        prop("approver", &columns.approver),
        prop("approved-at", &columns.approved_at),
    ];
    props.extend(found.reasons.iter().map(|r| prop("reason", r.as_str())));
    props.retain(|prop| !prop.value.is_empty());
    let words: Vec<_> = found.reasons.iter().map(|r| r.words()).collect();
    Observation {
        uuid: id(base, &found.action.key.to_string()),
        title: text(&format!("{}: {}", columns.verdict, columns.system)),
        description: format!("{}: {}.", columns.description, words.join("; ")),
        props,
        methods: ["EXAMINE"],
        types: ["finding"],
        relevant_evidence: places(found)
            .map(|(what, place)| Evidence {
                href: format!("#{}", id(base, &format!("file {}", place.file.0))),
                description: format!("{what}: {}", stands_in(report, place)),
            })
            .collect(),
        collected: report.until.to_string(),
    }
}

/// One for each objective; none where nothing was judged.
fn findings(report: &Report, base: &str, observations: &[Observation]) -> Vec<Finding> {
    let counts = &report.counts;
    if counts.autonomous == 0 {
        return Vec::new();
    }
    let gaps = report.gaps.len();
    objectives()
        .map(|(control, _, objective)| {
            let met = is_met(objective, counts, gaps);
            let reason = match (met, is_met(objective, counts, 0)) {
                (true, _) => "pass",
                // Nothing speaks against it but that the population is not known to be complete.
                (false, true) => "other",
                (false, false) => "fail",
            };
            let mut remarks = format!(
                "As far as this evidence goes: it shows {}. It does not show {}.",
                control.shows, control.shows_not
            );
            if gaps > 0 {
                let _ = write!(remarks, " What was read has gaps ({gaps}).");
            }
            Finding {
                uuid: id(base, &format!("finding {objective}")),
                title: format!("{}: {}", control.number, control.title),
                description: format!(
                    "Of {} autonomous actions {} are clean, {} partial, {} ungoverned.",
                    counts.autonomous, counts.clean, counts.partial, counts.ungoverned
                ),
                target: Target {
                    r#type: "objective-id",
                    target_id: objective,
                    status: Status {
                        state: if met { "satisfied" } else { "not-satisfied" },
                        reason,
                        remarks,
                    },
                },
                related_observations: (observations.iter())
                    .map(|observation| Related {
                        observation_uuid: observation.uuid,
                    })
                    .collect(),
            }
        })
        .collect()
}

fn prop(name: &'static str, value: &str) -> Prop {
    Prop {
        name,
        ns: NS,
        value: shown(value, VALUE_CHARS_MAX).trim().to_owned(),
    }
}

/// A text of one line, and never an empty one.
fn text(value: &str) -> String {
    let text = shown(value, VALUE_CHARS_MAX).trim().to_owned();
    if text.is_empty() { "-".into() } else { text }
}

/// A path as a URI reference: what could be read as anything else is escaped.
fn href(path: &[u8]) -> String {
    let mut out = String::from(if path.starts_with(b"/") {
        "file://"
    } else {
        "./"
    });
    for byte in path {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(byte) {
            out.push(char::from(*byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
