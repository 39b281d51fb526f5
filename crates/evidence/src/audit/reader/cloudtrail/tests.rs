//! Who did what, by events as `CloudTrail` writes them.

use super::{CloudTrail, Head, parse};
use crate::audit::model::{Action, Exclusion, Format, Nature, Reference, Row};
use crate::audit::reader::testing::{self, taken};
use crate::audit::reader::{JsonReader, Taken};
use proptest::prelude::*;
use serde_json::{Value, json};

fn event() -> Value {
    json!({
        "eventVersion": "1.08",
        "userIdentity": {
            "type": "IAMUser", "arn": "arn:aws:iam::000000000001:user/noa",
            "accountId": "000000000001", "userName": "noa", "invokedBy": "AWS Internal"
        },
        "eventTime": "2026-05-02T03:04:05Z",
        "eventSource": "ssm.amazonaws.com",
        "eventName": "SendCommand",
        "awsRegion": "eu-north-1",
        "userAgent": "aws-cli/2.15",
        "requestParameters": {
            "documentName": "AWS-RunPatchBaseline",
            "instanceIds": ["i-00000000000000aa1", "i-00000000000000aa2"],
            "comment": "CHG0070001 csa_77AB",
            "parameters": "HIDDEN_DUE_TO_SECURITY_REASONS"
        },
        "responseElements": {"command": {"commandId": "c0ffee00-0000-4000-8000-000000000001"}},
        "eventID": "e-1", "recipientAccountId": "000000000001"
    })
}

fn with(changes: &[(&str, Value)]) -> Value {
    let mut event = event();
    for (pointer, value) in changes {
        testing::set(&mut event, pointer, value.clone());
    }
    event
}

fn rows(event: &Value) -> Vec<Row> {
    let (taken, rows) = taken(&CloudTrail, event.to_string().as_bytes());
    assert!(matches!(taken, Taken::Read(Some(_))), "{taken:?}");
    rows
}

fn actions(event: &Value) -> Vec<Action> {
    testing::actions(rows(event))
}

#[test]
fn a_command_is_one_action_for_each_instance() {
    let actions = actions(&event());
    let systems: Vec<_> = actions.iter().map(|action| &action.system).collect();
    assert_eq!(systems, ["i-00000000000000aa1", "i-00000000000000aa2"]);
    assert_ne!(actions[0].key, actions[1].key);
    assert_eq!(actions[0].summary, "SendCommand AWS-RunPatchBaseline");
    assert_eq!(
        actions[0].references,
        [
            Reference::Countersign("csa_77AB".to_owned()),
            Reference::Number("CHG0070001".to_owned()),
            Reference::Native("c0ffee00-0000-4000-8000-000000000001".to_owned()),
        ]
    );
    // "AWS Internal" is still the user.
    assert_eq!(
        (actions[0].actor.name.as_str(), actions[0].actor.nature),
        ("noa", Nature::Person)
    );
    assert_eq!(self::actions(&event())[0].key, actions[0].key);
}

#[test]
fn many_instances_are_bounded_and_the_rest_is_counted() {
    let ids: Vec<_> = (0..500).map(|n| format!("i-{n:017x}")).collect();
    let actions = actions(&with(&[("/requestParameters/instanceIds", json!(ids))]));
    assert_eq!(actions.len(), 101);
    assert_eq!(
        actions[100].system,
        "000000000001:eu-north-1:400 more instances"
    );
}

#[test]
fn who_acted_is_a_person_an_automation_or_cannot_be_told() {
    let role = "arn:aws:sts::000000000001:assumed-role/patcher/";
    for (identity, name, nature) in [
        (
            json!({"type": "IdentityCenterUser", "onBehalfOf": {"userId": "u-1"}}),
            "u-1",
            Nature::Person,
        ),
        (
            json!({"type": "Root", "accountId": "000000000001"}),
            "root of 000000000001",
            Nature::Person,
        ),
        (
            json!({"type": "AssumedRole", "arn": format!("{role}cli"), "sessionContext": {"sourceIdentity": "noa"}}),
            "noa",
            Nature::Person,
        ),
        (
            json!({"type": "AssumedRole", "arn": format!("{role}cli"), "invokedBy": "events.amazonaws.com",
                   "sessionContext": {"sourceIdentity": "noa"}}),
            "events.amazonaws.com",
            Nature::Automation,
        ),
        (
            json!({"type": "AWSService", "invokedBy": "ssm.amazonaws.com"}),
            "ssm.amazonaws.com",
            Nature::Automation,
        ),
        (
            json!({"type": "AssumedRole", "arn": format!("{role}i-00000000000000aa1")}),
            "i-00000000000000aa1",
            Nature::Automation,
        ),
        (
            json!({"type": "AssumedRole", "arn": format!("{role}i-am-noa")}),
            "arn:aws:sts::000000000001:assumed-role/patcher/i-am-noa",
            Nature::Unclear,
        ),
        (
            json!({"type": "WebIdentityUser", "userName": "ci"}),
            "ci",
            Nature::Unclear,
        ),
        (json!("noa"), "not named", Nature::Unclear),
    ] {
        let actor = actions(&with(&[("/userIdentity", identity.clone())]))[0]
            .actor
            .clone();
        assert_eq!(
            (actor.name.as_str(), actor.nature),
            (name, nature),
            "{identity}"
        );
    }
    let agent = actions(&with(&[("/userAgent", json!("amazon-ssm-agent/3.2"))]));
    assert_eq!(agent[0].actor.nature, Nature::Automation);
}

#[test]
fn what_changes_nothing_is_excluded_and_says_why() {
    for (changes, exclusion) in [
        (vec![("/readOnly", json!(true))], Exclusion::ReadOnly),
        (
            vec![("/errorCode", json!("AccessDenied"))],
            Exclusion::Denied,
        ),
        (
            vec![("/errorCode", json!("InvalidInstanceId"))],
            Exclusion::Failed,
        ),
        (
            vec![("/errorCode", json!("Client.DryRunOperation"))],
            Exclusion::DryRun,
        ),
        (
            vec![("/eventName", json!("PutInventory"))],
            Exclusion::Other,
        ),
        (
            vec![("/eventSource", json!("ssm.example.com"))],
            Exclusion::Other,
        ),
        (
            vec![(
                "/requestParameters/parameters",
                json!({"Operation": ["Scan"]}),
            )],
            Exclusion::DryRun,
        ),
        (
            vec![(
                "/requestParameters/documentName",
                json!("AWS-GatherSoftwareInventory"),
            )],
            Exclusion::ReadOnly,
        ),
        (
            vec![
                ("/eventSource", json!("rds.amazonaws.com")),
                ("/eventName", json!("ModifyDBInstance")),
            ],
            Exclusion::Other,
        ),
    ] {
        assert_eq!(
            rows(&with(&changes)),
            [Row::Excluded(exclusion)],
            "{changes:?}"
        );
    }
}

#[test]
fn neither_auto_approve_nor_a_signal_is_an_approval() {
    let start = with(&[
        ("/eventName", json!("StartAutomationExecution")),
        (
            "/requestParameters",
            json!({"documentName": "Patch", "parameters": {"AutoApprove": ["true"], "InstanceId": ["i-00000000000000aa1"]}}),
        ),
        ("/responseElements", json!({"automationExecutionId": "a-1"})),
    ]);
    let rows = rows(&start);
    assert!(matches!(&rows[..], [Row::Action(action)] if action.system == "i-00000000000000aa1"));
    let signal = with(&[
        ("/eventName", json!("SendAutomationSignal")),
        (
            "/requestParameters",
            json!({"signalType": "Approve", "automationExecutionId": "a-1"}),
        ),
    ]);
    assert_eq!(self::rows(&signal), [Row::Excluded(Exclusion::Other)]);
}

#[test]
fn updates_of_services_are_actions_on_what_they_name() {
    for (source, name, parameters, system) in [
        (
            "lambda",
            "UpdateFunctionCode20150331v2",
            json!({"functionName": "bill"}),
            "bill",
        ),
        (
            "ecs",
            "UpdateService",
            json!({"cluster": "prod", "service": "web"}),
            "prod/web",
        ),
        (
            "rds",
            "ModifyDBInstance",
            json!({"dBInstanceIdentifier": "db1", "engineVersion": "16.4"}),
            "db1",
        ),
        (
            "ssm",
            "SendCommand",
            json!({"targets": [{"key": "tag:Role", "values": ["web", "api"]}]}),
            "tag:Role=web,api",
        ),
    ] {
        let event = with(&[
            ("/eventSource", json!(format!("{source}.amazonaws.com"))),
            ("/eventName", json!(name)),
            ("/requestParameters", parameters),
        ]);
        assert_eq!(
            actions(&event)[0].system,
            format!("000000000001:eu-north-1:{system}")
        );
    }
}

#[test]
fn broken_parameters_hide_no_action() {
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(4000), "]".repeat(4000));
    let event = with(&[("/requestParameters", json!("@broken@"))]);
    let text = event.to_string().replace("\"@broken@\"", &deep);
    let (taken, rows) = taken(&CloudTrail, text.as_bytes());
    assert!(matches!(taken, Taken::Read(Some(_))), "{taken:?}");
    assert!(matches!(rows.last(), Some(Row::PartUnread { .. })));
    assert_eq!(testing::actions(rows).len(), 1);
}

#[test]
fn hostile_events_are_read_or_refused_and_rows_stay_small() {
    let long = "A".repeat(1_000_000);
    let wrong = json!([{"x": [1, null, {"y": 2.5}]}]);
    let mut hostile = with(&[
        ("/userIdentity/userName", json!(long)),
        ("/requestParameters/comment", json!(long)),
    ]);
    let action = &actions(&hostile)[0];
    assert!(serde_json::to_string(action).unwrap().len() < 4000);
    for pointer in [
        "/userIdentity",
        "/requestParameters",
        "/responseElements",
        "/readOnly",
        "/eventID",
        "/awsRegion",
    ] {
        testing::set(&mut hostile, pointer, wrong.clone());
    }
    assert_eq!(actions(&hostile).len(), 1);
    assert!(Head::of(event().to_string().as_bytes()).is_some());
    testing::check_hostile(&CloudTrail, &event());
    testing::set(&mut hostile, "/eventTime", json!("soon"));
    let (taken, _) = taken(&CloudTrail, hostile.to_string().as_bytes());
    assert_eq!(taken, Taken::Unreadable("eventTime is no time"));
    assert_eq!(CloudTrail.format(), Format::CloudTrail);
}

/// Prints MB/s of cutting and reading: `cargo test --release -p countersign-evidence cloudtrail --
/// --ignored --nocapture`.
#[test]
#[ignore = "measures; run it by hand, in release"]
fn speed() {
    use crate::audit::frames::{Frame, Frames, RECORD_BYTES_MAX};
    let read = with(&[
        ("/readOnly", json!(true)),
        ("/eventName", json!("DescribeInstances")),
    ]);
    let text = vec![read.to_string(); 200_000].join("\n");
    let began = std::time::Instant::now();
    let mut frames = Frames::new(text.as_bytes(), RECORD_BYTES_MAX);
    let mut count = 0;
    while let Some(Frame::Object { bytes, .. }) = frames.next().unwrap() {
        let (taken, rows) = taken(&CloudTrail, bytes);
        assert!(matches!(taken, Taken::Read(_)));
        count += rows.len();
    }
    assert_eq!(count, 200_000);
    let rate = text.len() as f64 / 1e6 / began.elapsed().as_secs_f64();
    eprintln!("{rate:.0} MB/s");
}

fn odd(values: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let others = [
        json!(null),
        json!(7),
        json!(1.5),
        json!(true),
        json!(false),
        json!({"eventName": "x"}),
    ];
    let words = ["", "true", " x ", "\"", "\\u0067et", "\n", "\u{7f}", "é"];
    prop_oneof![
        10 => prop::sample::select(values).prop_map(|text| json!(text)),
        2 => prop::sample::select(words.to_vec()).prop_map(|text| json!(text)),
        2 => prop::sample::select(others.to_vec()),
    ]
}

proptest! {
    /// What is told of an event without a parser is what a parser tells of it.
    #[test]
    fn the_head_of_an_event_is_what_a_parser_reads(
        time in odd(&["2026-05-02T03:04:05Z"]),
        source in odd(&["ssm.amazonaws.com"]),
        name in odd(&["SendCommand"]),
        read_only in odd(&["true", "false"]),
        error in odd(&["AccessDenied"]),
    ) {
        let mut event = event();
        let members = json!({
            "eventTime": time, "eventSource": source, "eventName": name, "readOnly": read_only,
            "errorCode": error,
        });
        event.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let text = event.to_string();
        if let Some(head) = Head::of(text.as_bytes()) {
            let parsed = parse::<Head<'_>>(text.as_bytes()).unwrap();
            prop_assert_eq!(head.event_time, parsed.event_time);
            prop_assert_eq!(head.event_source, parsed.event_source);
            prop_assert_eq!(head.event_name, parsed.event_name);
            prop_assert_eq!(head.read_only, parsed.read_only);
            prop_assert_eq!(head.error_code, parsed.error_code);
        }
    }
}
