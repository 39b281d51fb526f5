//! Files that break off: whole records that were read before are judged as those of a whole file.

use crate::audit::{audited_by, gzip};
use countersign_evidence::audit::Verdict;
use serde_json::{Value, json};

fn event(number: usize) -> Value {
    json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Request",
        "auditID": format!("00000000-0000-4000-8000-{number:012}"), "stage": "ResponseComplete",
        "requestURI": "/apis/apps/v1/namespaces/shop/deployments/cart", "verb": "patch",
        "user": {"username": "system:serviceaccount:agents:patcher"},
        "objectRef": {"resource": "deployments", "namespace": "shop", "name": format!("cart-{number}")},
        "responseStatus": {"code": 200},
        "requestReceivedTimestamp": "2026-11-02T03:04:05.123456Z",
        "stageTimestamp": "2026-11-02T03:04:05.223456Z"
    })
}

/// The same events as lines (the last with and without an end), as a list, and as a list for people.
fn framings() -> Vec<(&'static str, String)> {
    let events: Vec<_> = (0..5).map(event).collect();
    let lines: Vec<_> = events.iter().map(Value::to_string).collect();
    let lines = lines.join("\n");
    let list = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": events});
    vec![
        ("lines", format!("{lines}\n")),
        ("lines without an end", lines),
        ("one", event(0).to_string()),
        ("array", Value::from(events.clone()).to_string()),
        ("list", list.to_string()),
        ("pretty", format!("{list:#}\n")),
        ("apt", crate::audit::HISTORY.trim_end().to_owned()),
    ]
}

fn spoilt(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let good = gzip(text.as_bytes());
    let mut wrong = good.clone();
    let at = wrong.len() - 8;
    wrong[at] ^= 1;
    let trailing = [&good[..], b"\x1f\x8b and more"].concat();
    let mut cut = good.clone();
    cut.truncate(good.len() - 8);
    vec![("crc", wrong), ("trailing", trailing), ("cut", cut)]
}

#[test]
fn the_last_record_before_a_file_breaks_off_is_judged() {
    for (framing, text) in framings() {
        for threads in [1, 2] {
            let actions = |bytes: &[u8]| {
                let folder = tempfile::tempdir().unwrap();
                std::fs::write(folder.path().join("log"), bytes).unwrap();
                let report = audited_by(threads, "UTC", folder.path());
                let of =
                    |one: &countersign_evidence::audit::ActionFound| (one.id.clone(), one.verdict);
                (report.actions.iter().map(of).collect::<Vec<_>>(), report)
            };
            let (whole, report) = actions(text.as_bytes());
            assert!(whole.iter().any(|one| one.1 == Some(Verdict::Ungoverned)));
            assert_eq!(report.files[0].broken, None);
            for (how, bytes) in spoilt(&text) {
                let (found, report) = actions(&bytes);
                assert_eq!(found, whole, "{framing} {how}");
                assert!(report.files[0].broken.is_some(), "{framing} {how}");
                let gap = "files that could not be read to their end: 1";
                assert!(
                    report.gaps.iter().any(|one| one == gap),
                    "{:?}",
                    report.gaps
                );
            }
        }
    }
}
