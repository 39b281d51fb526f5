//! Tests of decision tables: the two that come along, the two forms, and incomplete ones.

use super::*;
use countersign_domain::asset::{Asset, Criticality, Exposure};
use countersign_domain::facts::{
    Exploitation, PatchPriority, RemediationTimeline, TechnicalImpact,
};
use countersign_domain::id::HostId;
use proptest::prelude::*;

fn asset(exposure: Exposure, criticality: Criticality) -> Asset {
    Asset {
        exposure,
        criticality,
        ..Asset::unknown(HostId::new("a").unwrap())
    }
}

/// A table in CERT/CC's JSON form, as that of `tables`.
fn certcc(table: &DecisionTable) -> serde_json::Value {
    let points: serde_json::Map<_, _> = table
        .inputs
        .iter()
        .chain([&table.outcome])
        .map(|point| {
            let values: Vec<_> = point
                .values
                .iter()
                .map(|key| serde_json::json!({"key": key, "name": key, "definition": "…"}))
                .collect();
            (point.id.clone(), serde_json::json!({"values": values}))
        })
        .collect();
    let mapping: Vec<_> = table
        .rows
        .iter()
        .map(|(inputs, outcome)| {
            let row: serde_json::Map<_, _> = table
                .inputs
                .iter()
                .zip(inputs)
                .chain([(&table.outcome, outcome)])
                .map(|(point, at)| (point.id.clone(), point.values[*at].clone().into()))
                .collect();
            row
        })
        .collect();
    serde_json::json!({
        "namespace": table.namespace, "key": table.key, "version": table.version,
        "name": table.name, "schemaVersion": "2.0.0", "definition": "…",
        "decision_points": points, "outcome": table.outcome.id, "mapping": mapping,
    })
}

fn from_value(value: &serde_json::Value) -> Result<DecisionTable, TableError> {
    DecisionTable::from_json(&serde_json::to_vec(value).unwrap())
}

#[test]
fn the_embedded_tables_are_whole() {
    let tables = Tables::embedded().unwrap();
    assert_eq!(tables.bod_26_04().id(), "cisa:DT_BOD2604:1.0.0");
    assert_eq!(tables.bod_26_04().rows.len(), 16);
    assert_eq!(tables.deployer().id(), "ssvc:DT_DP:1.0.0");
    assert_eq!(tables.deployer().rows.len(), 72);
    assert!(
        tables
            .deployer()
            .notice()
            .unwrap()
            .contains("Carnegie Mellon")
    );
}

/// CISA's directive and CERT/CC's table at the points that people quote.
#[test]
fn lookups_follow_the_published_tables() {
    use RemediationTimeline::{Days3, Days3Forensics, Days14, Days60, OnSystemUpgrade};
    let tables = Tables::embedded().unwrap();
    for (kev, exposure, automatable, impact, expected) in [
        (
            false,
            Exposure::Small,
            false,
            TechnicalImpact::Total,
            OnSystemUpgrade,
        ),
        (
            false,
            Exposure::Controlled,
            true,
            TechnicalImpact::Partial,
            Days60,
        ),
        (
            true,
            Exposure::Controlled,
            false,
            TechnicalImpact::Partial,
            Days14,
        ),
        (false, Exposure::Open, true, TechnicalImpact::Total, Days3),
        (true, Exposure::Open, true, TechnicalImpact::Partial, Days3),
        (
            true,
            Exposure::Open,
            false,
            TechnicalImpact::Total,
            Days3Forensics,
        ),
    ] {
        let input = BodInput {
            kev: Some(kev),
            automatable: Some(automatable),
            technical_impact: Some(impact),
        };
        assert_eq!(
            tables.timeline(input, &asset(exposure, Criticality::Low)),
            Some((expected, expected)),
            "{input:?} {exposure:?}"
        );
    }
    for (exploitation, automatable, exposure, criticality, expected) in [
        (
            Exploitation::None,
            false,
            Exposure::Small,
            Criticality::Low,
            PatchPriority::Defer,
        ),
        (
            Exploitation::None,
            true,
            Exposure::Open,
            Criticality::Vital,
            PatchPriority::OutOfCycle,
        ),
        (
            Exploitation::PublicPoc,
            false,
            Exposure::Open,
            Criticality::Low,
            PatchPriority::Scheduled,
        ),
        (
            Exploitation::Active,
            false,
            Exposure::Open,
            Criticality::Vital,
            PatchPriority::Immediate,
        ),
    ] {
        let input = DeployerInput {
            exploitation: Some(exploitation),
            automatable: Some(automatable),
        };
        assert_eq!(
            tables.priority(input, &asset(exposure, criticality)),
            Some((expected, expected))
        );
    }
}

#[test]
fn what_is_missing_widens_the_answer() {
    let tables = Tables::embedded().unwrap();
    let open = asset(Exposure::Open, Criticality::High);
    let input = BodInput {
        kev: Some(true),
        ..BodInput::default()
    };
    assert_eq!(
        tables.timeline(input, &open),
        Some((
            RemediationTimeline::Days14,
            RemediationTimeline::Days3Forensics
        ))
    );
    // Whether it can be automated makes no difference here.
    let input = BodInput {
        technical_impact: Some(TechnicalImpact::Total),
        ..input
    };
    let worst = RemediationTimeline::Days3Forensics;
    assert_eq!(tables.timeline(input, &open), Some((worst, worst)));
}

#[test]
fn both_forms_read_back() {
    let tables = Tables::embedded().unwrap();
    for table in [tables.bod_26_04(), tables.deployer()] {
        let mut from_json = from_value(&certcc(table)).unwrap();
        assert_eq!(from_json.notice, None);
        from_json.notice = table.notice.clone();
        assert_eq!(from_json, *table);
        let kept = countersign_domain::canonical::to_bytes(table).unwrap();
        let back: DecisionTable = countersign_domain::canonical::from_bytes(&kept).unwrap();
        assert_eq!(back, *table);
    }
}

#[test]
fn unsound_tables_are_refused() {
    let tables = Tables::embedded().unwrap();
    let sound = certcc(tables.bod_26_04());
    let edited = |edit: fn(&mut serde_json::Value)| {
        let mut value = sound.clone();
        edit(&mut value);
        from_value(&value).unwrap_err().to_string()
    };
    for (edit, expected) in [
        (
            (|v| {
                v["mapping"].as_array_mut().unwrap().pop();
            }) as fn(&mut serde_json::Value),
            "decision table maps 15 of 16 combinations of inputs; all are needed",
        ),
        (
            |v| v["mapping"][1] = v["mapping"][0].clone(),
            "decision table maps `N N N P FSU` more than once",
        ),
        (
            |v| v["mapping"][0]["ssvc:A:2.0.0"] = "maybe".into(),
            "decision table `rows`: `maybe` is not a value of `ssvc:A:2.0.0`",
        ),
        (
            |v| {
                v["mapping"][0]
                    .as_object_mut()
                    .unwrap()
                    .remove("ssvc:A:2.0.0");
            },
            "decision table `mapping`: row 0 has no `ssvc:A:2.0.0`",
        ),
        (
            |v| v["mapping"][0]["more"] = "N".into(),
            "decision table `mapping`: row 0 has an unknown `more`",
        ),
        (
            |v| v["outcome"] = "cisa:NONE:1.0.0".into(),
            "decision table `outcome`: is none of `decision_points`",
        ),
    ] {
        assert_eq!(edited(edit), expected);
    }
}

#[test]
fn only_tables_with_known_inputs_are_used() {
    let mut tables = Tables::embedded().unwrap();
    let mut other = certcc(tables.bod_26_04());
    other["key"] = "DT_X".into();
    let other = from_value(&other).unwrap();
    assert_eq!(
        tables.replace(other),
        Err(TableError::Unknown("cisa:DT_X:1.0.0".into()))
    );
    // The same words in another order would turn every timeline upside down.
    let mut reversed = certcc(tables.bod_26_04());
    reversed["decision_points"]["cisa:BOD2604:1.0.0"]["values"]
        .as_array_mut()
        .unwrap()
        .reverse();
    let reversed = from_value(&reversed).unwrap();
    assert!(matches!(
        tables.replace(reversed),
        Err(TableError::Field {
            field: "decision_points",
            ..
        })
    ));
    let newer = {
        let mut value = certcc(tables.bod_26_04());
        value["version"] = "1.0.1".into();
        from_value(&value).unwrap()
    };
    tables.replace(newer).unwrap();
    assert_eq!(tables.bod_26_04().id(), "cisa:DT_BOD2604:1.0.1");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Knowing more can only narrow what is possible.
    #[test]
    fn knowing_more_narrows(kev: Option<bool>, automatable: Option<bool>, total: Option<bool>, open: bool) {
        let tables = Tables::embedded().unwrap();
        let asset = asset(if open { Exposure::Open } else { Exposure::Small }, Criticality::Low);
        let impact = total.map(|total| if total { TechnicalImpact::Total } else { TechnicalImpact::Partial });
        let input = BodInput { kev, automatable, technical_impact: impact };
        let (least, most) = tables.timeline(input, &asset).unwrap();
        let (all_least, all_most) = tables.timeline(BodInput::default(), &asset).unwrap();
        prop_assert!(all_least <= least && least <= most && most <= all_most);
    }

    #[test]
    fn mutated_tables_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = serde_json::to_vec(&certcc(Tables::embedded().unwrap().bod_26_04())).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = DecisionTable::from_json(&bytes);
    }
}
