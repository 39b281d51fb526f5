//! CVE 5 records: CVSS base scores from whoever scored, and from CISA's own container (known by its
//! organisation id, so that no other container can speak for CISA) SSVC and the mark of the
//! catalogue of known exploited vulnerabilities.

use super::record::{CveRecord, CvssScore, Intel, IntelRecord, SsvcJudgement, lenient_time};
use countersign_domain::facts::{Exploitation, TechnicalImpact};
use countersign_domain::package::CveId;
use countersign_domain::text::shown;
use countersign_domain::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// CISA's organisation id as an authorized data publisher of the CVE programme.
const CISA_ADP: &str = "134c704f-9b21-4f2e-91b3-4a467353bcc0";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    cve_metadata: Metadata,
    containers: Containers,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    cve_id: String,
    state: String,
    date_updated: Option<String>,
}

#[derive(Deserialize)]
struct Containers {
    #[serde(default)]
    cna: Container,
    #[serde(default)]
    adp: Vec<Container>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    #[serde(default)]
    provider_metadata: Provider,
    #[serde(default)]
    metrics: Vec<Metric>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Provider {
    #[serde(default)]
    org_id: String,
    #[serde(default)]
    short_name: String,
    date_updated: Option<String>,
}

#[derive(Deserialize)]
struct Metric {
    #[serde(rename = "cvssV4_0")]
    v4_0: Option<Cvss>,
    #[serde(rename = "cvssV3_1")]
    v3_1: Option<Cvss>,
    #[serde(rename = "cvssV3_0")]
    v3_0: Option<Cvss>,
    other: Option<Other>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cvss {
    base_score: f64,
}

#[derive(Deserialize)]
struct Other {
    r#type: String,
    #[serde(default)]
    content: Value,
}

#[derive(Deserialize)]
struct Ssvc {
    timestamp: Option<String>,
    #[serde(default)]
    options: Vec<BTreeMap<String, String>>,
}

/// Reads one record; an error says why it is not one.
pub(super) fn read(bytes: &[u8]) -> Result<IntelRecord, String> {
    let record: Record = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let cve = CveId::new(record.cve_metadata.cve_id).map_err(|error| error.to_string())?;
    let rejected = match record.cve_metadata.state.as_str() {
        "PUBLISHED" => false,
        "REJECTED" => true,
        other => return Err(format!("`state` `{}` is not known", shown(other, 40))),
    };
    let mut says = CveRecord {
        rejected,
        updated_at: time(record.cve_metadata.date_updated.as_deref()),
        ..CveRecord::default()
    };
    if !rejected {
        let containers = std::iter::once(&record.containers.cna).chain(&record.containers.adp);
        for container in containers {
            read_container(container, &mut says)?;
        }
    }
    Ok(IntelRecord {
        cve,
        says: Intel::Cve(says),
    })
}

fn read_container(container: &Container, says: &mut CveRecord) -> Result<(), String> {
    let provider = &container.provider_metadata;
    says.updated_at = says.updated_at.max(time(provider.date_updated.as_deref()));
    for metric in &container.metrics {
        let scores = [
            ("4.0", &metric.v4_0),
            ("3.1", &metric.v3_1),
            ("3.0", &metric.v3_0),
        ];
        for (version, cvss) in scores {
            let Some(cvss) = cvss else { continue };
            let tenths = tenths(cvss.base_score)?;
            if says.cvss.as_ref().is_none_or(|best| tenths > best.tenths) {
                says.cvss = Some(CvssScore {
                    tenths,
                    version: version.into(),
                    by: shown(&provider.short_name, 60),
                });
            }
        }
        if let Some(other) = metric
            .other
            .as_ref()
            .filter(|_| provider.org_id == CISA_ADP)
        {
            match other.r#type.as_str() {
                "kev" => says.kev = true,
                "ssvc" => {
                    let judgement = judgement(&other.content)?;
                    if says.ssvc.is_none_or(|known| judgement.at > known.at) {
                        says.ssvc = Some(judgement);
                    }
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn judgement(content: &Value) -> Result<SsvcJudgement, String> {
    let ssvc = Ssvc::deserialize(content).map_err(|error| format!("`ssvc`: {error}"))?;
    let mut judgement = SsvcJudgement {
        at: time(ssvc.timestamp.as_deref()),
        ..SsvcJudgement::default()
    };
    // A point that is given twice counts with its graver value.
    for (point, word) in ssvc.options.iter().flatten() {
        let word = word.to_ascii_lowercase();
        match point.as_str() {
            "Exploitation" => {
                let value = match word.as_str() {
                    "none" => Some(Exploitation::None),
                    "poc" | "public poc" => Some(Exploitation::PublicPoc),
                    "active" => Some(Exploitation::Active),
                    _ => None,
                };
                judgement.exploitation = judgement.exploitation.max(value);
            }
            "Automatable" => {
                let value = match word.as_str() {
                    "no" => Some(false),
                    "yes" => Some(true),
                    _ => None,
                };
                judgement.automatable = judgement.automatable.max(value);
            }
            "Technical Impact" => {
                let value = match word.as_str() {
                    "partial" => Some(TechnicalImpact::Partial),
                    "total" => Some(TechnicalImpact::Total),
                    _ => None,
                };
                judgement.technical_impact = judgement.technical_impact.max(value);
            }
            _ => {}
        }
    }
    Ok(judgement)
}

fn tenths(score: f64) -> Result<u8, String> {
    if !(0.0..=10.0).contains(&score) {
        return Err("`baseScore` is not from 0 to 10".into());
    }
    // Within 0 to 100 by the check above, so nothing is cut.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok((score * 10.0).round() as u8)
}

fn time(text: Option<&str>) -> Option<Timestamp> {
    text.and_then(lenient_time)
}
