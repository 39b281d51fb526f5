//! The audit with tickets of Jira's: what pages of approvals come to for the actions that name them.

use crate::audit::{CLOUDTRAIL, audited, commands};
use countersign_evidence::audit::{Exclusion, Reason, Verdict};

const NAMED: &str = "i-0a1b2c3d4e5f60718";

/// A page of requests, in one of the shapes that the interface has.
fn requests() -> String {
    format!(
        r#"{{"_expands":[],"size":1,"start":0,"limit":50,"isLastPage":true,"_links":{{"base":"x"}},"values":[
        {{"issueId":"10700","issueKey":"CHG-7","createdDate":{{"iso8601":"2026-11-03T10:00:00+0000"}},
         "reporter":{{"accountId":"b-1","emailAddress":"bot@example.org","displayName":"Patch Bot","accountType":"app"}},
         "currentStatus":{{"status":"Implementing"}},
         "requestFieldValues":[{{"fieldId":"c1","label":"Affected systems","value":["{NAMED}"]}}],
         "_links":{{"self":"https://desk.example.org/rest/servicedeskapi/request/10700"}}}}]}}"#
    )
}

/// An approval by `who` on the request that `of` names.
fn approval(of: &str, who: &str, decision: &str, at: &str) -> String {
    format!(
        r#"{{"id":"1","name":"CAB","finalDecision":"{decision}",
        "approvers":[{{"approver":{who},"approverDecision":"{decision}"}}],
        "createdDate":{{"iso8601":"2026-11-03T11:00:00+0000"}},{at}
        "_links":{{"self":"https://desk.example.org/rest/servicedeskapi/request/{of}/approval/1"}}}}"#
    )
}

fn page(approvals: &[String]) -> String {
    format!(
        r#"{{"size":{},"start":0,"limit":50,"isLastPage":true,"values":[{}]}}"#,
        approvals.len(),
        approvals.join(",\n")
    )
}

const ADA: &str = r#"{"accountId":"5b10","displayName":"A. Stone","name":"ada"}"#;
const BEFORE: &str = r#""completedDate":{"iso8601":"2026-11-04T10:00:00+0100"},"#;
const AFTER: &str = r#""completedDate":{"iso8601":"2026-11-05T02:30:00+0000"},"#;

fn judged(approvals: &[String]) -> (Option<Verdict>, Vec<Reason>) {
    let log = CLOUDTRAIL.replace("CHG0031337", "CHG-7");
    let found = commands(&[
        ("log", log.as_bytes()),
        ("requests.json", requests().as_bytes()),
        ("approvals.json", page(approvals).as_bytes()),
    ]);
    let (system, verdict, reasons) = found.into_iter().next().unwrap();
    assert_eq!(system, NAMED);
    (verdict, reasons)
}

#[test]
fn a_ticket_is_worth_what_its_approvals_are() {
    use Verdict::{Clean, Partial, Ungoverned};
    let app = r#"{"accountId":"b-2","accountType":"app","emailAddress":"ada@example.org"}"#;
    let reporter = r#"{"accountId":"b-1","name":"ada"}"#;
    let spoof = r#"{"accountId":"m-1","displayName":"Ada Stone"}"#;
    let group = r#"{"groupId":"g-1","name":"cab"}"#;
    let yes = |of: &str, who: &str, at: &str| approval(of, who, "approved", at);
    let declined_later = approval("CHG-7", ADA, "declined", AFTER);
    for (what, approvals, verdict, reason) in [
        ("by key", vec![yes("CHG-7", ADA, BEFORE)], Clean, None),
        ("by id", vec![yes("10700", ADA, BEFORE)], Clean, None),
        ("none", vec![], Ungoverned, Some(Reason::NotApproved)),
        (
            "pending",
            vec![approval("CHG-7", ADA, "pending", "")],
            Ungoverned,
            Some(Reason::NotApproved),
        ),
        (
            "late",
            vec![yes("CHG-7", ADA, AFTER)],
            Ungoverned,
            Some(Reason::ApprovedLate),
        ),
        (
            "no time",
            vec![yes("CHG-7", ADA, "")],
            Partial,
            Some(Reason::NoDecisionTime),
        ),
        (
            "app",
            vec![yes("CHG-7", app, BEFORE)],
            Partial,
            Some(Reason::ApproverAutomation),
        ),
        (
            "group",
            vec![yes("CHG-7", group, BEFORE)],
            Partial,
            Some(Reason::ApproverGroup),
        ),
        (
            "self",
            vec![yes("CHG-7", reporter, BEFORE)],
            Partial,
            Some(Reason::SelfApproval),
        ),
        (
            "display name",
            vec![yes("CHG-7", spoof, BEFORE)],
            Partial,
            Some(Reason::ApproverUnknown),
        ),
        (
            "another request",
            vec![yes("CHG-8", ADA, BEFORE)],
            Ungoverned,
            Some(Reason::NotApproved),
        ),
        (
            "declined afterwards, by id",
            vec![
                yes("CHG-7", ADA, BEFORE),
                declined_later.replace("CHG-7", "10700"),
            ],
            Partial,
            Some(Reason::Contested),
        ),
        (
            "declined",
            vec![approval("CHG-7", ADA, "declined", BEFORE)],
            Ungoverned,
            Some(Reason::NotApproved),
        ),
    ] {
        let (found, reasons) = judged(&approvals);
        assert_eq!(found, Some(verdict), "{what}: {reasons:?}");
        assert_eq!(reasons, Vec::from_iter(reason), "{what}");
    }
}

#[test]
fn a_ticket_of_another_site_is_another_ticket() {
    let elsewhere = approval("CHG-7", ADA, "approved", BEFORE).replace("desk.", "other.");
    assert_eq!(judged(&[elsewhere]).1, [Reason::NotApproved]);
}

#[test]
fn what_a_page_of_approvals_cannot_tell_is_counted() {
    let nameless = approval("CHG-7", ADA, "approved", BEFORE).replace("_links", "links");
    let pending = approval("CHG-7", ADA, "pending", "");
    let report = audited(&[("a", page(&[nameless, pending]).as_bytes())]);
    assert_eq!(report.files[0].unreadable, 1);
    assert!(report.unreadable[0].why.contains("_links.self"));
    let other = |one: &&countersign_evidence::audit::Excluded| one.why == Exclusion::Other;
    assert_eq!(report.excluded.iter().filter(other).count(), 1);
}
