//! Merges, pull requests and reviews, as lists and webhooks tell of them.

use super::GitHub;
use crate::audit::model::{Exclusion, Nature, Outcome, Reference, Row};
use crate::audit::reader::Taken;
use crate::audit::reader::testing::{self, actions, changes, decisions, taken};
use serde_json::{Value, json};

const HEAD: &str = "1111111111111111111111111111111111111111";
const MERGE: &str = "2222222222222222222222222222222222222222";

fn pull() -> Value {
    json!({
        "url": "https://api.github.com/repos/Acme/Shop/pulls/41", "number": 41,
        "title": "Bump openssl (CHG0070002)", "body": "Fixes OPS-9.", "state": "closed",
        "user": {"login": "renovate[bot]", "type": "Bot"},
        "created_at": "2026-05-02T01:00:00Z", "merged_at": "2026-05-02T03:00:00Z",
        "merged_by": {"login": "noa", "type": "User"}, "merge_commit_sha": MERGE,
        "auto_merge": null,
        "head": {"ref": "bump", "sha": HEAD}, "base": {"ref": "main", "repo": {"full_name": "Acme/Shop"}}
    })
}

fn review(state: &str) -> Value {
    json!({
        "id": 7, "user": {"login": "ines", "type": "User"}, "state": state,
        "submitted_at": "2026-05-02T02:00:00Z", "commit_id": HEAD,
        "pull_request_url": "https://api.github.com/repos/Acme/Shop/pulls/41"
    })
}

fn rows(record: &Value) -> Vec<Row> {
    let (taken, rows) = taken(&GitHub, record.to_string().as_bytes());
    assert!(matches!(taken, Taken::Read(Some(_))), "{taken:?}");
    rows
}

#[test]
fn a_merged_pull_request_is_an_action_and_its_change() {
    let rows = rows(&pull());
    let change = &changes(&rows)[0];
    assert_eq!(
        (change.key.as_str(), change.number.as_str()),
        ("github:acme/shop#41", "Acme/Shop#41")
    );
    assert_eq!(change.head.as_deref(), Some(HEAD));
    assert_eq!(change.requesters[0].nature, Nature::Automation);
    assert!(!change.withdrawn);
    let action = &actions(rows)[0];
    assert_eq!(action.system, change.targets[0]);
    assert_eq!(
        (action.actor.name.as_str(), action.actor.nature),
        ("noa", Nature::Person)
    );
    let number = |text: &str| Reference::Number(text.to_owned());
    assert_eq!(
        action.references,
        [
            number("ACME/SHOP#41"),
            Reference::Commit(MERGE.to_owned()),
            number("CHG0070002"),
            number("OPS-9")
        ]
    );
    assert_eq!(change.references, action.references[..2]);
}

#[test]
fn lists_and_webhooks_tell_the_same() {
    let hook = json!({"action": "closed", "number": 41, "pull_request": pull(), "repository": {"full_name": "Acme/Shop"}});
    assert_eq!(rows(&hook), rows(&pull()));
    let hook = json!({"action": "submitted", "review": review("approved"), "pull_request": pull()});
    assert_eq!(rows(&hook), rows(&review("APPROVED")));
    let opened = json!({"action": "opened", "pull_request": pull()});
    assert_eq!(rows(&opened), [Row::Excluded(Exclusion::Other)]);
}

#[test]
fn a_merge_in_which_a_program_had_a_hand_is_the_programs() {
    let bot = json!({"login": "github-merge-queue[bot]", "type": "Bot"});
    let noa = json!({"login": "noa", "type": "User"});
    for (by, enabler, name, nature) in [
        (
            &bot,
            &Value::Null,
            "github-merge-queue[bot]",
            Nature::Automation,
        ),
        (&noa, &bot, "github-merge-queue[bot]", Nature::Automation),
        (&noa, &noa, "noa", Nature::Person),
        (&Value::Null, &Value::Null, "not named", Nature::Unclear),
    ] {
        let mut pull = pull();
        testing::set(&mut pull, "/merged_by", by.clone());
        testing::set(&mut pull, "/auto_merge", json!({"enabled_by": enabler}));
        let actor = actions(rows(&pull)).remove(0).actor;
        assert_eq!((actor.name.as_str(), actor.nature), (name, nature));
    }
}

#[test]
fn what_was_not_merged_is_withdrawn_or_open() {
    for (state, withdrawn) in [("closed", true), ("open", false)] {
        let mut pull = pull();
        testing::set(&mut pull, "/merged_at", Value::Null);
        testing::set(&mut pull, "/state", json!(state));
        let rows = rows(&pull);
        assert_eq!(rows.len(), 1);
        let change = &changes(&rows)[0];
        assert_eq!((change.withdrawn, &change.head), (withdrawn, &None));
        // The commit of a merge that was only tried out is nobody's reference.
        assert_eq!(
            change.references,
            [Reference::Number("ACME/SHOP#41".to_owned())]
        );
    }
}

#[test]
fn a_review_is_a_decision_on_the_commit_that_it_names() {
    let approved = decisions(&rows(&review("APPROVED"))).remove(0);
    assert_eq!(approved.change, changes(&rows(&pull()))[0].key);
    assert_eq!(approved.commit.as_deref(), Some(HEAD));
    assert_eq!(
        (approved.outcome, approved.approver.nature),
        (Outcome::Approved, Nature::Person)
    );
    let refused = decisions(&rows(&review("CHANGES_REQUESTED"))).remove(0);
    assert_eq!(
        (refused.outcome, refused.decided),
        (Outcome::Rejected, approved.decided)
    );
    assert_eq!(
        rows(&review("commented")),
        [Row::Excluded(Exclusion::Other)]
    );
    let mut by_bot = review("APPROVED");
    testing::set(&mut by_bot, "/user/type", json!("Bot"));
    assert_eq!(
        decisions(&rows(&by_bot))[0].approver.nature,
        Nature::Automation
    );
}

#[test]
fn a_dismissal_outlasts_an_older_export_of_the_same_review() {
    let approved = decisions(&rows(&review("APPROVED")))
        .remove(0)
        .decided
        .unwrap();
    let dismissed = decisions(&rows(&review("DISMISSED"))).remove(0);
    assert_eq!(dismissed.outcome, Outcome::Rejected);
    assert!(dismissed.decided.unwrap().earliest > approved.latest);
    assert_eq!(
        dismissed
            .decided
            .unwrap()
            .latest
            .seconds_since(approved.latest),
        0
    );
}

#[test]
fn hostile_objects_are_read_or_refused() {
    testing::check_hostile(&GitHub, &pull());
    testing::check_hostile(&GitHub, &review("APPROVED"));
    for (pointer, value) in [
        (
            "/pull_request_url",
            json!("https://api.github.com/repos/Acme/pulls/x"),
        ),
        ("/state", json!("LGTM")),
        ("/user", json!(null)),
    ] {
        let mut review = review("APPROVED");
        testing::set(&mut review, pointer, value);
        let (taken, rows) = taken(&GitHub, review.to_string().as_bytes());
        assert!(
            matches!(taken, Taken::Unreadable(_)) && rows.is_empty(),
            "{pointer}"
        );
    }
}
