//! Requests, issues and approvals, in each of the shapes in which they are exported.

use super::Jira;
use crate::audit::model::{ChangeKind, Decision, Exclusion, Nature, Outcome, Plan, Reference, Row};
use crate::audit::moment::Moment;
use crate::audit::reader::Taken;
use crate::audit::reader::testing::{self, changes, decisions, taken};
use serde_json::{Value, json};

fn user(name: &str) -> Value {
    json!({"accountId": format!("5b10{name}"), "emailAddress": format!("{name}@example.org"),
        "displayName": format!("{name} of the desk"), "accountType": "atlassian", "active": true})
}

fn approval() -> Value {
    json!({
        "id": "1", "name": "CAB approval", "finalDecision": "approved", "canAnswerApproval": false,
        "approvers": [{"approver": user("mia"), "approverDecision": "approved"}],
        "createdDate": {"iso8601": "2026-05-01T10:00:00+0200", "epochMillis": 1_777_622_400_000_i64},
        "completedDate": {"iso8601": "2026-05-01T11:00:00+0200",
            "jira": "2026-05-01T11:00:00.250+0200", "epochMillis": 1_777_626_000_250_i64},
        "_links": {"self": "https://Desk.example.org/jira/rest/servicedeskapi/request/CHG-7/approval/1"}
    })
}

fn request() -> Value {
    json!({
        "issueId": "10700", "issueKey": "CHG-7", "requestTypeId": "4", "serviceDeskId": "2",
        "createdDate": {"iso8601": "2026-05-01T09:00:00+0200"}, "reporter": user("bot"),
        "currentStatus": {"status": "Implementing", "statusCategory": "INDETERMINATE"},
        "requestFieldValues": [
            {"fieldId": "summary", "label": "Summary", "value": "Patch OpenSSL for CHG-99"},
            {"fieldId": "customfield_1", "label": "Affected systems", "value": "web-1, web-2\nweb-1"},
            {"fieldId": "customfield_2", "label": "Planned start", "value": {"iso8601": "2026-05-02T05:00:00+0200"}},
            {"fieldId": "customfield_3", "label": "Planned end", "value": "2026-05-02T07:00:00.000+0200"},
            {"fieldId": "customfield_4", "label": "Change type", "value": {"id": "1", "value": "Emergency"}},
            {"fieldId": "customfield_5", "label": "Backout plan", "value": ""},
            {"fieldId": "customfield_6", "label": "Test plan", "value": {"type": "doc", "content": [{"type": "paragraph", "content": [{"type": "text", "text": "smoke"}]}]}},
            {"fieldId": "customfield_7", "label": "Countersign ID", "value": "csa_99EF"}
        ],
        "_links": {"self": "https://desk.example.org/jira/rest/servicedeskapi/request/10700"}
    })
}

fn issue() -> Value {
    json!({
        "id": "10700", "key": "CHG-7", "self": "https://desk.example.org/jira/rest/api/3/issue/10700",
        "fields": {
            "summary": "Patch OpenSSL", "created": "2026-05-01T09:00:00.000+0200",
            "reporter": user("bot"), "creator": user("ada"), "status": {"name": "Implementing"},
            "resolution": null,
            "customfield_1": [{"value": "web-1"}, {"value": "web-2"}],
            "customfield_2": "2026-05-02", "customfield_3": "2026-05-03",
            "customfield_9": [approval()]
        },
        "names": {"customfield_1": "Affected hosts", "customfield_2": "Planned start date",
            "customfield_3": "Planned end date", "customfield_9": "Approvals"}
    })
}

fn with(mut record: Value, edits: &[(&str, Value)]) -> Value {
    for (pointer, value) in edits {
        testing::set(&mut record, pointer, value.clone());
    }
    record
}

fn rows_of(record: Value, edits: &[(&str, Value)]) -> Vec<Row> {
    let record = with(record, edits);
    let (taken, rows) = taken(&Jira, record.to_string().as_bytes());
    assert!(matches!(taken, Taken::Read(_)), "{taken:?} of {record}");
    rows
}

fn decided(edits: &[(&str, Value)]) -> Vec<Decision> {
    decisions(&rows_of(approval(), edits))
}

fn at(text: &str) -> Moment {
    Moment::parse(text).unwrap()
}

#[test]
fn a_request_is_a_change_record() {
    let rows = rows_of(request(), &[]);
    assert_eq!(rows.len(), 1);
    let change = &changes(&rows)[0];
    assert_eq!(change.key, "jira:desk.example.org/jira:chg-7");
    assert_eq!(change.also, ["jira:desk.example.org/jira:10700"]);
    // What its summary names is not what it is.
    assert_eq!(
        change.references,
        [
            Reference::Number("CHG-7".into()),
            Reference::Countersign("csa_99EF".into())
        ]
    );
    assert_eq!(change.targets, ["web-1", "web-2"]);
    let window = (at("2026-05-02T03:00:00Z"), at("2026-05-02T05:00:00Z"));
    assert_eq!(change.window, Some(window));
    assert_eq!(
        (change.kind, change.test, change.rollback, change.withdrawn),
        (ChangeKind::Emergency, Plan::Given, Plan::Missing, false)
    );
    assert_eq!(change.requesters.len(), 1);
    let names: Vec<_> = change.requesters[0].names().collect();
    assert_eq!(
        names,
        [
            "bot of the desk <bot@example.org>",
            "bot@example.org",
            "5b10bot"
        ]
    );
}

#[test]
fn an_issue_tells_the_same_with_its_approvals() {
    let rows = rows_of(issue(), &[]);
    let (of_issue, of_request) = (
        changes(&rows).remove(0),
        changes(&rows_of(request(), &[])).remove(0),
    );
    assert_eq!(
        (&of_issue.key, &of_issue.also, &of_issue.targets),
        (&of_request.key, &of_request.also, &of_request.targets)
    );
    assert_eq!(of_issue.requesters.len(), 2);
    let window = (at("2026-05-02T00:00:00Z"), at("2026-05-03T23:59:59.999Z"));
    assert_eq!(of_issue.window, Some(window));
    let apart = decided(&[]);
    assert_eq!(decisions(&rows), apart);
    assert_eq!(of_issue.test, Plan::NotKept);
    // Without what fields are called, no system is named.
    let bare = rows_of(issue(), &[("/names", Value::Null)]);
    assert!(changes(&bare)[0].targets.is_empty());
    assert_eq!(decisions(&bare), apart);
}

#[test]
fn what_was_declined_or_cancelled_is_withdrawn() {
    for status in ["Declined", "Canceled", "cancelled", "Withdrawn "] {
        let edit = [("/currentStatus/status", json!(status))];
        assert!(changes(&rows_of(request(), &edit))[0].withdrawn, "{status}");
        for pointer in ["/fields/status", "/fields/resolution"] {
            let edit = [(pointer, json!({"name": status}))];
            assert!(changes(&rows_of(issue(), &edit))[0].withdrawn, "{status}");
        }
    }
}

#[test]
fn approvers_decide_when_the_approval_is_complete() {
    let decision = decided(&[]).remove(0);
    assert_eq!(decision.change, "jira:desk.example.org/jira:chg-7");
    assert_eq!(
        (decision.outcome, decision.approver.nature),
        (Outcome::Approved, Nature::Person)
    );
    // Its notations differ by a quarter of a second.
    let time = decision.decided.unwrap();
    assert_eq!(
        (time.earliest, time.latest),
        (
            "2026-05-01T09:00:00Z".parse().unwrap(),
            "2026-05-01T09:00:00.250Z".parse().unwrap()
        )
    );
    let untimed = decided(&[("/completedDate", Value::Null)]);
    assert_eq!(untimed[0].decided, None);
    let contradicting = decided(&[("/completedDate/epochMillis", json!(0))]);
    assert_eq!(
        contradicting[0].decided.unwrap().earliest,
        "1970-01-01T00:00:00Z".parse().unwrap()
    );
    for pending in ["pending", "soon"] {
        let rows = rows_of(approval(), &[("/finalDecision", json!(pending))]);
        assert_eq!(rows, [Row::Excluded(Exclusion::Other)]);
    }
}

#[test]
fn who_approved_what_was_declined_approved_nothing() {
    let two = json!([
        {"approver": user("mia"), "approverDecision": "approved"},
        {"approver": user("ben"), "approverDecision": "declined"},
        {"approver": user("kim"), "approverDecision": "pending"}
    ]);
    let found = |end: &str| -> Vec<_> {
        decided(&[("/finalDecision", json!(end)), ("/approvers", two.clone())])
            .into_iter()
            .map(|one| (one.approver.also[0].clone(), one.outcome))
            .collect()
    };
    let (mia, ben) = ("mia@example.org".to_owned(), "ben@example.org".to_owned());
    assert_eq!(found("declined"), [(ben.clone(), Outcome::Rejected)]);
    assert_eq!(
        found("approved"),
        [(mia, Outcome::Approved), (ben, Outcome::Rejected)]
    );
}

#[test]
fn apps_the_system_and_groups_are_no_people() {
    let app = with(user("rules"), &[("/accountType", json!("app"))]);
    let group = json!({"groupId": "77", "name": "cab"});
    let by_address = json!({"name": "cab", "self": "https://x/rest/api/2/group?groupname=cab"});
    for (approver, nature) in [
        (app, Nature::Automation),
        (group, Nature::Group),
        (by_address, Nature::Group),
        (json!({"name": "mia", "key": "JIRAUSER1"}), Nature::Person),
        (
            json!({"accountId": "1", "accountType": "new"}),
            Nature::Unclear,
        ),
    ] {
        let found = decided(&[("/approvers/0/approver", approver.clone())]);
        assert_eq!(found[0].approver.nature, nature, "{approver}");
    }
    let system = decided(&[("/systemDecided", json!(true))]);
    assert_eq!(system[0].approver.nature, Nature::Automation);
    // Decided, and by nobody who is named.
    for approvers in [json!([]), json!([{"approverDecision": "pending"}])] {
        for (end, outcome) in [
            ("approved", Outcome::Approved),
            ("declined", Outcome::Rejected),
        ] {
            let found = decided(&[
                ("/approvers", approvers.clone()),
                ("/finalDecision", json!(end)),
            ]);
            assert_eq!(found.len(), 1);
            assert_eq!(
                (found[0].outcome, found[0].approver.nature),
                (outcome, Nature::Unclear)
            );
        }
    }
}

#[test]
fn a_display_name_names_nobody_to_the_registry() {
    let spoof = with(user("mallory"), &[("/displayName", json!("Ada Stone"))]);
    let bare = json!({"displayName": "Ada Stone"});
    for approver in [spoof, bare] {
        let found = decided(&[("/approvers/0/approver", approver)]);
        assert!(found[0].approver.names().all(|name| name != "Ada Stone"));
        assert!(found[0].approver.name.contains("Ada Stone"));
    }
}

#[test]
fn an_approval_without_its_request_is_unreadable() {
    for (pointer, value) in [
        ("/_links", Value::Null),
        (
            "/_links/self",
            json!("https://x/rest/servicedeskapi/request/"),
        ),
        (
            "/_links/self",
            json!("https://x/rest/servicedeskapi/request/CHG-7/comment/1"),
        ),
        ("/_links/self", json!("CHG-7")),
        ("/completedDate", json!("soon")),
        ("/completedDate/epochMillis", json!(-1)),
        ("/completedDate/iso8601", json!("2026-13-01")),
        ("/finalDecision", json!("")),
    ] {
        let record = with(approval(), &[(pointer, value)]);
        let (taken, rows) = taken(&Jira, record.to_string().as_bytes());
        assert!(
            matches!(taken, Taken::Unreadable(_)) && rows.is_empty(),
            "{pointer} {taken:?}"
        );
    }
    let window = with(request(), &[("/requestFieldValues/2/value", json!("soon"))]);
    let (of_window, _) = taken(&Jira, window.to_string().as_bytes());
    assert!(matches!(of_window, Taken::Unreadable(_)));
    // Others have final decisions and fields, too.
    for other in [
        json!({"finalDecision": "approve"}),
        json!({"fields": {"a": 1}, "key": "x", "self": "https://x/rest/api/2/thing"}),
    ] {
        let (taken, _) = taken(&Jira, other.to_string().as_bytes());
        assert_eq!(taken, Taken::NotMine, "{other}");
    }
}

#[test]
fn hostile_records_are_read_or_refused() {
    testing::check_hostile(&Jira, &approval());
    testing::check_hostile(&Jira, &request());
    let small = with(issue(), &[("/fields/creator", Value::Null)]);
    testing::check_hostile(&Jira, &small);
    let hostile = "\u{1b}[31m<script>\u{202e}\u{0}\n".repeat(100);
    for pointer in [
        "/approvers/0/approver/displayName",
        "/approvers/0/approver/emailAddress",
        "/approvers/0/approver/accountId",
    ] {
        let found = decided(&[(pointer, json!(hostile))]);
        for name in found[0].approver.names() {
            assert!(
                !name.contains(['\u{1b}', '\u{202e}', '\u{0}', '\n']),
                "{name}"
            );
            assert!(name.chars().count() <= 4000);
        }
    }
    let targets: String = (0..10_000).map(|n| format!("web-{n},")).collect();
    let rows = rows_of(
        request(),
        &[("/requestFieldValues/1/value", json!(targets))],
    );
    assert_eq!(changes(&rows)[0].targets.len(), 500);
}
