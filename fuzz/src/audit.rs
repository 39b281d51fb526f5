//! The audit, over a file of any bytes: every reader, every compression, the database and a mapping.

use countersign_domain::Timestamp;
use countersign_evidence::audit::{
    Context, Found, Mapping, People, Question, Report, audit as judge, explain, render,
};
use std::path::PathBuf;
use std::sync::LazyLock;

/// A record of each format, so that each reader is reached.
pub(crate) const SEEDS: [&str; 12] = [
    "Start-Date: 2026-11-02  06:10:00\nCommandline: apt-get -o Countersign::Authorization=csa_01JD8Z install vim # CHG0031337\nRequested-By: ada (1000)\nInstall: vim:amd64 (9.1)\nEnd-Date: 2026-11-02  06:10:05\n",
    "2026-11-02 06:10:02 upgrade openssl:amd64 3.0.1 3.0.2\n2026-11-02 06:10:02 status installed openssl:amd64 3.0.2\n",
    "2026-11-02 06:10:02,123 INFO Packages that will be upgraded: openssl\n",
    r#"{"Records":[{"eventVersion":"1.09","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::1:assumed-role/a/i-0123456789abcdef0"},"eventTime":"2026-11-02T06:10:00Z","eventSource":"ssm.amazonaws.com","eventName":"SendCommand","requestParameters":{"documentName":"AWS-RunPatchBaseline","instanceIds":["i-0123456789abcdef0"],"comment":"CHG0031337"},"responseElements":{"command":{"commandId":"c-1"}},"eventID":"e","readOnly":false}]}"#,
    r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a","stage":"ResponseComplete","requestURI":"/apis?dryRun=All","verb":"patch","user":{"username":"system:serviceaccount:a:b"},"objectRef":{"resource":"deployments","namespace":"shop","name":"cart"},"responseStatus":{"code":200},"requestObject":{"metadata":{"annotations":{"kubernetes.io/change-cause":"OPS-7"}},"spec":{"template":{"spec":{"containers":[{"image":"a/b:0123456789012345678901234567890123456789"}]}}}},"requestReceivedTimestamp":"2026-11-02T06:10:00.000000Z"}"#,
    r#"{"action":"closed","pull_request":{"number":7,"html_url":"https://example.org/a/b/pull/7","user":{"login":"bot[bot]","type":"Bot"},"merged":true,"merged_at":"2026-11-02T06:10:00Z","merge_commit_sha":"0123456789012345678901234567890123456789","head":{"sha":"0123456789012345678901234567890123456789"},"body":"CHG0031337"},"repository":{"full_name":"a/b"}}"#,
    r#"{"result":[{"sys_id":{"display_value":"a","value":"a"},"number":{"display_value":"CHG0031337","value":"CHG0031337"},"type":{"display_value":"Normal","value":"normal"},"approval":{"display_value":"Approved","value":"approved"},"start_date":{"display_value":"2026-11-01 23:00:00","value":"2026-11-02 06:00:00"},"end_date":{"display_value":"","value":"2026-11-02 08:00:00"}}]}"#,
    "number,sysapproval,approver,state,sys_updated_on\nA1,CHG0031337,Ada Stone,approved,2026-11-01 10:00:00\n\"A2\n\",CHG1,\"x,\"\"y\",rejected,\n",
    r#"{"values":[{"id":"1","finalDecision":"approved","approvers":[{"approver":{"accountId":"5","displayName":"Ada"},"approverDecision":"approved"}],"createdDate":{"iso8601":"2026-11-01T10:00:00+0000"},"completedDate":{"epochMillis":1793527200000},"_links":{"self":"https://example.org/rest/servicedeskapi/request/CHG-7/approval/1"}}]}"#,
    r#"{"uuid":"u","counter":7,"event":"runner_on_ok","created":"2026-11-02T06:10:00.000000","runner_ident":"r","event_data":{"playbook":"patch.yml","play":"OPS-7","task":"upgrade","task_action":"apt","host":"web-1","res":{"changed":true},"start":"2026-11-02T06:10:00.000000","end":"2026-11-02T06:10:04.000000"}}"#,
    r#"{"id":7,"type":"job","name":"patch","launch_type":"scheduled","status":"successful","job_type":"run","started":"2026-11-02T06:10:00Z","finished":"2026-11-02T06:11:00Z","limit":"web-1"}"#,
    "host,patch,when,ticket\nweb-1,KB1,2026-11-02T06:10:00Z,CHG0031337\n",
];

struct Known {
    context: Context,
    people: People,
    question: Question,
    folder: tempfile::TempDir,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let mapping = Mapping::read(MAPPING).expect("the mapping is one");
    Known {
        context: Context::new(Some("Europe/Berlin"), "web-1")
            .expect("the zone is known")
            .with_mappings(vec![mapping]),
        people: People::read("name,login\nAda Stone,ada\n".as_bytes()).expect("people"),
        question: Question {
            since: Timestamp::EPOCH,
            until: Timestamp::from_unix_millis(4_000_000_000_000),
            environment: None,
            skew_seconds: 60,
            zone: "Europe/Berlin".to_owned(),
        },
        folder: tempfile::tempdir().expect("a folder"),
    }
});

const MAPPING: &str = "kind = \"action\"\n[fields]\nsystem = \"host\"\nstarted = \"when\"\nsummary = \"patch\"\nreferences = \"ticket\"\n";

fn report(file: PathBuf, threads: usize) -> Report {
    let found = Found {
        files: vec![file],
        ..Found::default()
    };
    let Known {
        context,
        people,
        question,
        ..
    } = &*KNOWN;
    judge(found, &[], context, people, question, threads, |_| {}).expect("little is kept")
}

/// Reads it on one thread and on two: the same report, which can be shown, and of which nothing on
/// screen is more than text.
pub fn audit(data: &[u8]) {
    let file = KNOWN.folder.path().join("log");
    std::fs::write(&file, data).expect("the file can be written");
    let one = report(file.clone(), 1);
    assert_eq!(one, report(file, 2));
    let mut shown = render(&one, 80);
    for found in &one.actions {
        shown.push_str(&explain(&one, found, 80));
    }
    let harmless = |c: char| c == '\n' || !c.is_control();
    assert!(shown.chars().all(harmless), "{shown:?}");
}
