//! The forms that a report is written in, over one small estate that has every verdict.

use crate::audit::{CLOUDTRAIL, HISTORY, audited, servicenow};
use countersign_evidence::audit::{
    By, Form, Provenance, Reason, Report, SCHEMA_ID, Verdict, schema,
};
use expect_test::expect_file;
use serde_json::{Value, json};

/// A clean action, a partial one, ungoverned ones, a human's own, and one of nobody who can be told.
pub(crate) fn estate() -> Report {
    let approved = servicenow("ada", "2026-11-04 15:00:00");
    audited(&[
        ("history.log", HISTORY.as_bytes()),
        ("trail.json", CLOUDTRAIL.as_bytes()),
        ("changes.json", approved.as_bytes()),
    ])
}

pub(crate) fn provenance() -> Provenance {
    Provenance {
        made: "2026-12-01T08:00:00Z".parse().unwrap(),
        version: "0.1.0".into(),
        command: vec!["countersign".into(), "audit".into(), "logs/".into()],
        sample: None,
    }
}

pub(crate) fn written(form: Form, report: &Report, provenance: &Provenance) -> String {
    let mut out = Vec::new();
    form.write(report, provenance, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The rows of a CSV, each cell under the name of its column.
fn rows(text: &str) -> Vec<std::collections::HashMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

#[test]
fn csv_has_an_auditors_columns_for_the_whole_population() {
    let report = estate();
    let text = written(Form::Csv, &report, &provenance());
    assert!(
        text.starts_with(
            "change_id,system,environment,description,type,requester,implementer,approvers,\
             approved_at,started_at,ended_at,test_ref,rollback_ref,authorization_id,policy_version,\
             classification,evidence_sha256,verdict,reasons,"
        ),
        "{text}"
    );
    let rows = rows(&text);
    assert_eq!(rows.len(), report.actions.len());
    let of = |verdict: &str| rows.iter().find(|row| row["verdict"] == verdict).unwrap();
    let clean = of("clean");
    for (column, value) in [
        ("change_id", "CHG0031337"),
        ("system", "i-0a1b2c3d4e5f60718"),
        ("type", "normal"),
        ("requester", "Patch Bot"),
        ("approvers", "Ada Stone"),
        ("approved_at", "2026-11-04T15:00:00Z"),
        ("started_at", "2026-11-05T02:00:00Z"),
        ("test_ref", "canary"),
        ("rollback_ref", "snapshot"),
        ("policy_version", ""),
        ("classification", "automation"),
        ("reasons", ""),
        ("link", "change number CHG0031337"),
        ("sampled", ""),
    ] {
        assert_eq!(clean[column], value, "{column}");
    }
    let trail = (report.files.iter()).find(|file| file.path.ends_with("trail.json"));
    assert!(clean["evidence_sha256"].contains(&trail.unwrap().sha256));
    // The action, its record and its approval: each with its place.
    assert_eq!(clean["evidence"].matches("byte ").count(), 3, "{clean:?}");
    assert_eq!(of("partial")["reasons"], "target-not-named");
    let human = of("not judged");
    assert_eq!(human["classification"], "named human");
    assert_eq!(human["authorization_id"], "csa_01JD8Z");
}

#[test]
fn a_cell_that_a_spreadsheet_would_run_is_text() {
    let mut report = estate();
    report.actions[0].action.summary = "=cmd|' /C calc'!A0".into();
    report.actions[1].action.system = "\t=1+1".into();
    report.actions[2].action.actor.name = "two\nlines, \"quoted\"\u{202e}".into();
    let text = written(Form::Csv, &report, &provenance());
    let rows = rows(&text);
    assert!(rows[0]["description"].starts_with("'=cmd|"), "{text}");
    // What cannot be seen is shown: nothing of it begins a formula any more.
    assert_eq!(rows[1]["system"], "\\u{9}=1+1");
    assert_eq!(
        rows[2]["implementer"],
        "two\\u{a}lines, \"quoted\"\\u{202e}"
    );
    let begins = |cell: &String| cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    assert!(!rows.iter().flat_map(|row| row.values()).any(begins));
}

#[test]
fn a_sample_is_marked_in_the_population() {
    let report = estate();
    let sampled = Provenance {
        sample: Some((2, 7)),
        ..provenance()
    };
    let rows = rows(&written(Form::Csv, &report, &sampled));
    let mut marked: Vec<_> = (rows.iter().filter(|row| row["sampled"] == "yes"))
        .map(|row| row["action_id"].clone())
        .collect();
    let mut drawn: Vec<_> = report.sample(2, 7).iter().map(|f| f.id.clone()).collect();
    marked.sort();
    drawn.sort();
    assert_eq!(marked, drawn);
    assert_eq!(marked.len(), 2);
}

#[test]
fn the_estate_of_these_tests_has_every_verdict() {
    let report = estate();
    for verdict in [Verdict::Clean, Verdict::Partial, Verdict::Ungoverned] {
        assert!(report.autonomous().any(|f| f.verdict == Some(verdict)));
    }
    for by in [By::NamedHuman, By::CannotTell] {
        assert!(report.actions.iter().any(|found| found.by == by));
    }
}

/// The schema with nothing allowed that it does not name, so that a field without a place in it shows.
fn closed(mut schema: Value) -> Value {
    fn close(value: &mut Value) {
        match value {
            Value::Object(object) => {
                object.values_mut().for_each(close);
                if object.contains_key("properties") && !object.contains_key("$ref") {
                    object.insert("additionalProperties".into(), false.into());
                }
            }
            Value::Array(all) => all.iter_mut().for_each(close),
            _ => {}
        }
    }
    close(&mut schema);
    schema
}

fn violations(schema: &Value, instance: &Value) -> Vec<String> {
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(schema)
        .unwrap();
    let errors = validator.iter_errors(instance);
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn the_published_schema_is_the_one_that_reports_keep() {
    let text = format!("{:#}\n", schema());
    expect_file!["../../../../docs/schemas/audit-report.schema.json"].assert_eq(&text);
    let schema = closed(schema());
    let mut broken = audited(&[
        ("cut", b"Start-Date: tomorrow\n".as_slice()),
        ("picture", b"\x89PNG\r\n"),
        ("broken.json", b"{\"a\": [1, 2"),
    ]);
    broken.environment = Some("production".into());
    for report in [estate(), broken, audited(&[])] {
        let text = written(Form::Json, &report, &provenance());
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["$schema"], SCHEMA_ID);
        assert_eq!(violations(&schema, &value), Vec::<String>::new());
    }
    // Each of these is noticed.
    let good = serde_json::to_value(estate()).unwrap();
    for (pointer, wrong) in [
        ("/form", json!("1")),
        ("/estate/group", json!("compliant")),
        ("/since", json!("yesterday")),
        ("/actions/0/key", json!("sha256:00")),
        ("/actions/0/verdict", json!("fine")),
        ("/files/0/bytes", json!(-1)),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = wrong;
        assert!(!violations(&schema, &bad).is_empty(), "{pointer}");
    }
}

const OSCAL: &str = include_str!("../schemas/oscal_assessment-results_1.2.1.json");

/// The estate with everything in it that a log could bring into a document.
fn hostile() -> Report {
    let mut report = estate();
    let words = || " \n\u{202e}<script>\u{1b}[2J \"'=".to_owned();
    report.gaps.push(words());
    for file in &mut report.files {
        file.path = std::path::PathBuf::from(format!("a b:%/#?{}", words()));
    }
    for found in &mut report.actions {
        found.action.summary = words();
        found.action.system = words();
        found.action.actor.name = words();
        found.action.items = vec![words()];
        if let Some(change) = &mut found.change {
            change.number = words();
            change.requesters = vec![words()];
            change.test_ref = Some(words());
            change.rollback_ref = Some(words());
            change.policy_version = Some(words());
        }
    }
    // And nothing at all.
    report.actions[0].action.system = String::new();
    report.actions[0].action.summary = String::new();
    report.actions[0].action.actor.name = String::new();
    report
}

#[test]
fn a_document_of_oscal_stays_in_bounds_and_says_what_it_leaves_out() {
    // One that is partial comes first in time, and not among the worst.
    let mut report = estate();
    let partial =
        |one: &&countersign_evidence::audit::ActionFound| one.verdict == Some(Verdict::Partial);
    let ungoverned =
        |one: &&countersign_evidence::audit::ActionFound| one.verdict == Some(Verdict::Ungoverned);
    let partial = report.actions.iter().find(partial).unwrap().clone();
    let ungoverned = report.actions.iter().find(ungoverned).unwrap().clone();
    report.actions = (0..5_003_u32)
        .map(|number| {
            let mut one = if number < 2 { &partial } else { &ungoverned }.clone();
            one.action.key = countersign_domain::Digest::of(&number.to_be_bytes());
            one
        })
        .collect();
    let schema: Value = serde_json::from_str(OSCAL).unwrap();
    let document: Value =
        serde_json::from_str(&written(Form::Oscal, &report, &provenance())).unwrap();
    assert_eq!(violations(&schema, &document), Vec::<String>::new());
    let result = &document["assessment-results"]["results"][0];
    let observations = result["observations"].as_array().unwrap();
    let of = |words: &str| {
        let title = |one: &&Value| one["title"].as_str().unwrap().starts_with(words);
        observations.iter().filter(title).count()
    };
    assert_eq!((of("ungoverned"), of("partial")), (5_000, 0));
    let told = observations.iter().find(|one| {
        let title = one["title"].as_str().unwrap();
        title.contains("no observation of their own")
    });
    let told = told.unwrap()["description"].as_str().unwrap();
    assert!(
        told.contains("Of 1 ungoverned and 2 partial actions more"),
        "{told}"
    );
}

#[test]
fn oscal_keeps_the_official_schema_and_tells_every_action_that_is_not_clean() {
    let schema: Value = serde_json::from_str(OSCAL).unwrap();
    for report in [estate(), hostile(), audited(&[])] {
        let text = written(Form::Oscal, &report, &provenance());
        assert_eq!(text, written(Form::Oscal, &report, &provenance()));
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(violations(&schema, &value), Vec::<String>::new());
        // Every id is there once, and every reference leads to one.
        let uuids: Vec<&str> = text
            .match_indices("\"uuid\": \"")
            .map(|(at, found)| &text[at + found.len()..at + found.len() + 36])
            .collect();
        let known: std::collections::BTreeSet<&str> = uuids.iter().copied().collect();
        assert_eq!(known.len(), uuids.len());
        for (at, found) in text.match_indices("\"href\": \"#") {
            assert!(known.contains(&text[at + found.len()..at + found.len() + 36]));
        }
    }
    let report = estate();
    let text = written(Form::Oscal, &report, &provenance());
    let document: Value = serde_json::from_str(&text).unwrap();
    let result = &document["assessment-results"]["results"][0];
    let observations = result["observations"].as_array().unwrap();
    let unclean = report.counts.partial + report.counts.ungoverned;
    let told = observations.iter().filter(|one| one["props"].is_array());
    assert_eq!(told.count() as u64, unclean);
    assert_eq!(result["findings"][0]["target"]["target-id"], "cm-3_obj.b-2");
    assert_eq!(
        result["findings"][0]["target"]["status"]["state"],
        "not-satisfied"
    );
    assert_eq!(result["findings"][0]["target"]["status"]["reason"], "fail");
    // All of it clean, and nothing missing: as far as this evidence goes.
    let mut clean = estate();
    clean
        .actions
        .retain(|found| found.verdict == Some(Verdict::Clean));
    clean.counts.autonomous = 1;
    (clean.counts.partial, clean.counts.ungoverned) = (0, 0);
    let status = |report: &Report| {
        let text = written(Form::Oscal, report, &provenance());
        let document: Value = serde_json::from_str(&text).unwrap();
        let finding = &document["assessment-results"]["results"][0]["findings"][0];
        let status = finding["target"]["status"].clone();
        (status["state"].clone(), status["reason"].clone())
    };
    clean.gaps = vec!["a day is missing".into()];
    assert_eq!(status(&clean), (json!("not-satisfied"), json!("other")));
    clean.gaps.clear();
    assert_eq!(status(&clean), (json!("satisfied"), json!("pass")));
    // The check can fail.
    let mut broken = document.clone();
    broken["assessment-results"]["results"][0]["start"] = json!("yesterday");
    assert!(!violations(&schema, &broken).is_empty());
}

const OCSF: &str = include_str!("../schemas/ocsf_compliance_finding_1.8.0.json");

#[test]
fn ocsf_findings_keep_the_dictionary_one_for_each_autonomous_action() {
    let schema: Value = serde_json::from_str(OCSF).unwrap();
    for report in [estate(), hostile()] {
        let text = written(Form::Ocsf, &report, &provenance());
        let findings: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(findings.len() as u64, report.counts.autonomous);
        for (finding, found) in findings.iter().zip(report.autonomous()) {
            assert_eq!(violations(&schema, finding), Vec::<String>::new());
            let (status, id) = match found.verdict.unwrap() {
                Verdict::Clean => ("Pass", 1),
                Verdict::Partial | Verdict::Ungoverned => ("Fail", 3),
            };
            assert_eq!(finding["compliance"]["status"], status);
            assert_eq!(finding["compliance"]["status_id"], id);
            let reasons = serde_json::to_value(&found.reasons).unwrap();
            assert_eq!(finding["unmapped"]["countersign"]["reasons"], reasons);
        }
    }
    // What the logs leave open yields no result; anything else beside it fails.
    let mut report = estate();
    let partial = |found: &&mut countersign_evidence::audit::ActionFound| {
        found.verdict == Some(Verdict::Partial)
    };
    report
        .actions
        .retain(|found| found.verdict == Some(Verdict::Partial));
    let found = report.actions.iter_mut().find(partial).unwrap();
    found.reasons = [Reason::ClockUnclear].into();
    let status = |report: &Report| -> Value {
        let text = written(Form::Ocsf, report, &provenance());
        let finding: Value = serde_json::from_str(text.trim()).unwrap();
        finding["compliance"]["status"].clone()
    };
    assert_eq!(status(&report), "Warning");
    report.actions[0].reasons.insert(Reason::SelfApproval);
    assert_eq!(status(&report), "Fail");
    // The check can fail: an attribute that the dictionary has not, and a number that no enum has.
    let text = written(Form::Ocsf, &estate(), &provenance());
    let good: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    for (pointer, wrong) in [
        ("/compliance", json!({"verdict": "clean"})),
        ("/severity_id", json!(42)),
        ("/class_uid", json!(2004)),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = wrong;
        assert!(!violations(&schema, &bad).is_empty(), "{pointer}");
    }
}
