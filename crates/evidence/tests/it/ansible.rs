//! The audit of Ansible's runs: a real run and a real dry run of the same play (cut down), and runs in
//! a workflow of AWX's that somebody approved.

use crate::audit::audited;
use countersign_evidence::audit::{Exclusion, Format, Reason, Report, Verdict};

const RUN: &str = include_str!("../fixtures/ansible/run.jsonl");
const DRY: &str = include_str!("../fixtures/ansible/dry.jsonl");

/// The file that runner keeps beside a run's events.
fn command(option: &str) -> String {
    format!(
        r#"{{"command": ["ansible-playbook", "{option}", "-i", "/srv/inventory", "patch.yml"], "cwd": "/srv/play", "env": {{"HOME": "/root"}}}}"#
    )
}

fn summaries(report: &Report) -> Vec<&str> {
    let actions = report.actions.iter();
    actions.map(|found| found.action.summary.as_str()).collect()
}

fn dry_runs(report: &Report) -> u64 {
    let dry = |one: &&countersign_evidence::audit::Excluded| one.why == Exclusion::DryRun;
    report
        .excluded
        .iter()
        .filter(dry)
        .map(|one| one.records)
        .sum()
}

fn gap(report: &Report) -> bool {
    report.gaps.iter().any(|gap| gap.contains("--check"))
}

#[test]
fn a_dry_run_is_told_by_the_command_line_beside_its_events() {
    // The dry run says that it changed a file, as if it had. Here it is a package.
    let dry = DRY.replace("ansible.builtin.copy", "ansible.builtin.package");
    let alone = audited(&[("events.jsonl", dry.as_bytes())]);
    assert_eq!(
        summaries(&alone),
        ["package: Copy", "command: Always in check"]
    );
    assert!(gap(&alone), "{:?}", alone.gaps);
    for option in ["--check", "-C"] {
        let beside = audited(&[
            ("command", command(option).as_bytes()),
            ("events.jsonl", dry.as_bytes()),
        ]);
        // A command that was run all the same (check_mode: false) stays.
        assert_eq!(summaries(&beside), ["command: Always in check"]);
        assert_eq!(dry_runs(&beside), 1);
        assert!(!gap(&beside), "{:?}", beside.gaps);
    }
}

#[test]
fn a_real_run_is_told_with_and_without_its_command_line() {
    let alone = audited(&[("events.jsonl", RUN.as_bytes())]);
    let beside = audited(&[
        ("events.jsonl", RUN.as_bytes()),
        ("command", command("-e change=CHG0099999").as_bytes()),
    ]);
    assert_eq!(summaries(&alone), summaries(&beside));
    assert_eq!((alone.actions.len(), alone.counts.ungoverned), (7, 7));
    assert!(gap(&alone) && !gap(&beside));
    let names = |report: &Report| report.actions[0].action.references.len();
    assert_eq!((names(&alone), names(&beside)), (1, 2));
}

/// The report of files below a folder, by their paths.
fn below(files: &[(&str, &str)]) -> Report {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    crate::audit::audited_in("UTC", folder.path())
}

#[test]
fn only_a_runs_own_folder_can_make_it_a_dry_one() {
    let (dry, real) = (command("--check"), command("-v"));
    let events = "runs/artifacts/normal/job_events/all.jsonl";
    let own = below(&[("runs/artifacts/normal/command", &dry), (events, RUN)]);
    // What was done all the same (check_mode: false) stays, as in every dry run.
    assert_eq!(own.counts.ungoverned + dry_runs(&own), 7);
    assert!(dry_runs(&own) > 0 && !gap(&own));
    for elsewhere in [
        "command",
        "runs/command",
        "runs/artifacts/command",
        "runs/artifacts/other/command",
        "runs/artifacts/normal/job_events/command",
        "runs/artifacts/normal/job_events/deeper/command",
        // A result that a play wrote is not what runner wrote.
        "runs/artifacts/normal/result.json",
    ] {
        let report = below(&[(elsewhere, &dry), (events, RUN)]);
        assert_eq!(report.counts.ungoverned, 7, "{elsewhere}");
        assert!(gap(&report), "{elsewhere}");
    }
    // Whose command line a folder has in which events of two runs stand, nothing says.
    let both = below(&[
        ("command", &dry),
        ("dry.jsonl", DRY),
        ("job_events/real.jsonl", RUN),
    ]);
    assert!(
        both.counts.ungoverned >= 7 && gap(&both),
        "{:?}",
        both.counts
    );
    let again = RUN.replace("284599fb", "384599fb");
    let again = below(&[("command", &dry), ("a.jsonl", RUN), ("b.jsonl", &again)]);
    assert!(
        again.counts.ungoverned >= 7 && gap(&again),
        "{:?}",
        again.counts
    );
    // Of two copies that contradict each other, the one that hides nothing counts.
    let two = below(&[("command", &dry), ("command.bak", &real), ("a.jsonl", RUN)]);
    assert_eq!(two.counts.ungoverned, 7);
}

/// Two events of job 42, on two hosts.
fn events() -> String {
    let event = |host: &str, uuid: &str| {
        format!(
            r#"{{"id":7,"type":"job_event","event":"runner_on_ok","uuid":"{uuid}","created":"2026-11-05T02:01:00Z",
            "event_data":{{"play":"Patch","task":"upgrade","task_action":"apt","host":"{host}","res":{{"changed":true}}}},
            "job":42,"host_name":"{host}","changed":true,"summary_fields":{{"job":{{"id":42,"name":"Patch web"}}}}}}"#
        )
    };
    format!(
        r#"{{"count":2,"next":null,"previous":null,"results":[{},{}]}}"#,
        event("web01", "u-1"),
        event("web02", "u-2")
    )
}

fn job(kind: &str, workflow: &str) -> String {
    format!(
        r#"{{"count":1,"next":null,"previous":null,"results":[{{"id":42,"type":"job","name":"Patch web","status":"successful",
        "job_type":"{kind}","launch_type":"workflow","launched_by":{{"name":"Weekly","type":"workflow_job"}},
        "created":"2026-11-05T01:59:00Z","started":"2026-11-05T02:00:00Z","finished":"2026-11-05T02:02:00Z","playbook":"patch.yml",
        "limit":"web01","summary_fields":{{"source_workflow_job":{workflow}}}}}]}}"#
    )
}

const TWELVE: &str = r#"{"id":12,"name":"Weekly"}"#;

fn approval(workflow: &str, who: &str, created_by: &str, at: &str) -> String {
    format!(
        r#"{{"count":1,"next":null,"previous":null,"results":[{{"id":43,"type":"workflow_approval","name":"May we?",
        "status":"successful","launch_type":"workflow","timed_out":false,"created":"2026-11-05T01:00:00Z","finished":"{at}",
        "summary_fields":{{"workflow_job":{workflow},"source_workflow_job":{workflow},
        "created_by":{{"username":"{created_by}"}},"approved_or_denied_by":{{"username":"{who}"}}}}}}]}}"#
    )
}

fn judged(files: &[&str]) -> Vec<(String, Option<Verdict>, Vec<Reason>)> {
    let of = |files: &[&str]| {
        let named: Vec<(String, &[u8])> = files
            .iter()
            .enumerate()
            .map(|(at, text)| (format!("{at}.json"), text.as_bytes()))
            .collect();
        let named: Vec<(&str, &[u8])> = named
            .iter()
            .map(|(name, text)| (name.as_str(), *text))
            .collect();
        let found = |found: &countersign_evidence::audit::ActionFound| {
            let reasons = found.reasons.iter().copied().collect();
            (found.action.system.clone(), found.verdict, reasons)
        };
        audited(&named)
            .actions
            .iter()
            .map(found)
            .collect::<Vec<_>>()
    };
    let forwards = of(files);
    let backwards: Vec<&str> = files.iter().rev().copied().collect();
    let mut turned = of(&backwards);
    let mut sorted = forwards.clone();
    turned.sort_by(|one, other| one.0.cmp(&other.0));
    sorted.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(sorted, turned);
    sorted
}

#[test]
fn an_approval_in_a_workflow_covers_what_that_run_did() {
    let yes = approval(TWELVE, "ada", "ben", "2026-11-05T01:30:00Z");
    let (events, run) = (events(), job("run", TWELVE));
    let both = judged(&[&events, &run, &yes]);
    assert_eq!(
        both,
        ["web01", "web02"].map(|host| (host.to_owned(), Some(Verdict::Clean), vec![]))
    );
    // Without events, the job itself counts, for whom its limit names.
    let alone = judged(&[&run, &yes]);
    assert_eq!(alone, [("web01".to_owned(), Some(Verdict::Clean), vec![])]);
    use Reason as R;
    for (workflow, who, by, at, reasons) in [
        (
            r#"{"id":13,"name":"Weekly"}"#,
            "ada",
            "ben",
            "2026-11-05T01:30:00Z",
            R::NoRecord,
        ),
        // The same number, of another controller.
        (
            r#"{"id":12,"name":"Nightly"}"#,
            "ada",
            "ben",
            "2026-11-05T01:30:00Z",
            R::NoRecord,
        ),
        (
            TWELVE,
            "ada",
            "ben",
            "2026-11-05T02:30:00Z",
            R::ApprovedLate,
        ),
        (
            TWELVE,
            "ada",
            "ada",
            "2026-11-05T01:30:00Z",
            R::SelfApproval,
        ),
        (
            TWELVE,
            "mallory",
            "ben",
            "2026-11-05T01:30:00Z",
            R::ApproverUnknown,
        ),
        (TWELVE, "ada", "ben", "", R::NoDecisionTime),
    ] {
        let found = judged(&[&events, &run, &approval(workflow, who, by, at)]);
        assert!(found.iter().all(|one| one.2 == [reasons]), "{found:?}");
    }
    let denied = yes.replace("successful", "failed");
    let found = judged(&[&events, &run, &denied]);
    assert!(
        found.iter().all(|one| one.2 == [R::NotApproved]),
        "{found:?}"
    );
    // A play that is called as the run is no run of the workflow.
    let typed = job("run", "null").replace("Patch web", "awx workflow job 12 Weekly");
    let found = judged(&[&typed, &yes]);
    assert_eq!(found[0].2, [R::NoRecord]);
}

#[test]
fn the_events_of_a_dry_run_of_awx_are_none() {
    let report = audited(&[
        ("events", events().as_bytes()),
        ("job", job("check", TWELVE).as_bytes()),
    ]);
    assert!(report.actions.is_empty());
    // Two events, and the job.
    assert_eq!(dry_runs(&report), 3);
    let rows = report.files[0].rows[&Format::Awx] + report.files[1].rows[&Format::Awx];
    assert_eq!(rows, 3);
}

fn reasons(report: &Report) -> Vec<(String, Option<Verdict>, Vec<Reason>)> {
    let mut all: Vec<_> = report
        .actions
        .iter()
        .map(|one| {
            let reasons = one.reasons.iter().copied().collect();
            (one.action.system.clone(), one.verdict, reasons)
        })
        .collect();
    all.sort();
    all
}

#[test]
fn an_approval_of_another_controller_that_counts_alike_makes_nothing_clean() {
    let yes = approval(TWELVE, "ada", "ben", "2026-11-05T01:30:00Z");
    let (events, run) = (events(), job("run", TWELVE));
    // The same id for a job of the same name, which was made at another time: another controller's.
    let other = run.replace("2026-11-05T01:59:00Z", "2026-11-05T01:58:00Z");
    let both = |verdict, reason: &[Reason]| {
        ["web01", "web02"].map(|host| (host.to_owned(), Some(verdict), reason.to_vec()))
    };
    let one = below(&[
        ("awx/jobs/1.json", &run),
        ("awx/job_events/42/1.json", &events),
        ("awx/workflow_approvals/1.json", &yes),
    ]);
    assert_eq!(reasons(&one), both(Verdict::Clean, &[]));
    let apart = below(&[
        ("a/jobs.json", &run),
        ("a/approvals.json", &yes),
        ("b/jobs.json", &other),
        ("b/events.json", &events),
    ]);
    let of_a = ("web01".to_owned(), Some(Verdict::Clean), vec![]);
    let mut expected = both(Verdict::Ungoverned, &[Reason::NoRecord]).to_vec();
    expected.insert(0, of_a);
    assert_eq!(reasons(&apart), expected);
    let mixed = below(&[
        ("a.json", &run),
        ("approvals.json", &yes),
        ("b.json", &other),
        ("events.json", &events),
    ]);
    assert_eq!(
        reasons(&mixed),
        both(Verdict::Partial, &[Reason::ControllerUnclear])
    );
    // Nothing but folders speaks for two: then an approval of the one may be of the other.
    let thirteen = approval(
        r#"{"id":13,"name":"Other"}"#,
        "ada",
        "ben",
        "2026-11-05T01:30:00Z",
    )
    .replace("\"id\":43", "\"id\":44");
    let folders = below(&[
        ("a/approvals.json", &yes),
        ("b/approvals.json", &thirteen),
        ("b/jobs.json", &run),
        ("b/events.json", &events),
    ]);
    assert_eq!(
        reasons(&folders),
        both(Verdict::Partial, &[Reason::ControllerUnclear])
    );
    let beside = below(&[
        ("a/approvals.json", &thirteen),
        ("b/approvals.json", &yes),
        ("b/jobs.json", &run),
        ("b/events.json", &events),
    ]);
    assert_eq!(reasons(&beside), both(Verdict::Clean, &[]));
}

#[test]
fn a_dry_run_of_another_controller_hides_no_run() {
    let (events, dry) = (events(), job("check", TWELVE));
    let real = job("run", TWELVE).replace("2026-11-05T01:59:00Z", "2026-11-05T01:58:00Z");
    for files in [
        [
            ("a/jobs.json", &dry),
            ("b/jobs.json", &real),
            ("b/events.json", &events),
        ],
        [
            ("dry.json", &dry),
            ("real.json", &real),
            ("events.json", &events),
        ],
    ] {
        let report = below(&files.map(|(path, text)| (path, text.as_str())));
        assert_eq!(report.counts.ungoverned, 2, "{files:?}");
        assert_eq!(dry_runs(&report), 1);
    }
}

#[test]
fn a_command_line_of_runners_hides_nothing_that_awx_ran() {
    let (run, dry) = (job("run", TWELVE), command("--check"));
    let alone = below(&[("awx/jobs.json", &run), ("awx/command", &dry)]);
    assert_eq!((alone.counts.ungoverned, dry_runs(&alone)), (1, 0));
    let with_events = below(&[
        ("awx/jobs.json", &run),
        ("awx/job_events/1.json", &events()),
        ("awx/command", &dry),
        ("awx/job_events/command", &dry),
    ]);
    assert_eq!(
        (with_events.counts.ungoverned, dry_runs(&with_events)),
        (2, 0)
    );
}

#[test]
fn of_records_that_contradict_each_other_the_one_that_hides_nothing_counts() {
    // One job, exported twice: once as what it was, once as a dry run.
    let (run, dry) = (job("run", TWELVE), job("check", TWELVE));
    let alone = below(&[("1.json", &run), ("2.json", &dry)]);
    assert_eq!(alone.counts.ungoverned, 1);
    for jobs in [[&run, &dry], [&dry, &run]] {
        let report = below(&[
            ("1.json", jobs[0]),
            ("2.json", jobs[1]),
            ("events.json", &events()),
        ]);
        assert_eq!(report.counts.ungoverned, 2);
    }
    // Events of a run, copied beside another command line.
    for copy in ["a", "x"] {
        let (copied, forged) = (format!("{copy}/job_events/1"), format!("{copy}/command"));
        let report = below(&[
            ("run/job_events/1", RUN),
            ("run/command", &command("-v")),
            (&copied, RUN),
            (&forged, &command("--check")),
        ]);
        assert_eq!((report.counts.ungoverned, dry_runs(&report)), (7, 0));
    }
    // Two copies of a dry run's are one.
    let twice = below(&[
        ("a/job_events/1", RUN),
        ("a/command", &command("--check")),
        ("x/job_events/1", RUN),
        ("x/command", &command("-C")),
    ]);
    assert!(twice.counts.ungoverned < 7 && dry_runs(&twice) > 0);
}

#[test]
fn events_that_are_no_actions_do_not_hide_what_their_job_did() {
    let run = job("run", TWELVE);
    let unchanged = events().replace("true", "false");
    let beginning = events().replace("runner_on_ok", "playbook_on_start");
    let failed = events().replace("runner_on_ok", "runner_on_failed");
    for page in [&unchanged, &beginning, &failed] {
        let report = below(&[("jobs.json", &run), ("events.json", page)]);
        assert_eq!(summaries(&report), ["job Patch web: patch.yml"], "{page}");
        assert_eq!(report.counts.ungoverned, 1);
    }
    // What is an action takes the place of the job's own.
    let report = below(&[("jobs.json", &run), ("events.json", &events())]);
    assert_eq!(summaries(&report), ["apt: upgrade", "apt: upgrade"]);
}

#[test]
fn events_that_lie_apart_from_all_jobs_are_never_taken_for_those_of_one_of_them() {
    let (events, run, dry) = (events(), job("run", TWELVE), job("check", TWELVE));
    let yes = approval(TWELVE, "ada", "ben", "2026-11-05T01:30:00Z");
    // The other controller's jobs were not exported.
    let hidden = below(&[("a/jobs.json", &dry), ("b/events.json", &events)]);
    assert_eq!((hidden.counts.ungoverned, dry_runs(&hidden)), (2, 1));
    assert!(gap(&hidden), "{:?}", hidden.gaps);
    // An approval of the one's run is none of the other's, wherever it lies.
    let unclear = |host: &str| {
        let reasons = vec![Reason::ControllerUnclear];
        (host.to_owned(), Some(Verdict::Partial), reasons)
    };
    for (approvals, of_the_job) in [
        (
            "a/approvals.json",
            ("web01".to_owned(), Some(Verdict::Clean), vec![]),
        ),
        ("b/approvals.json", unclear("web01")),
        ("c/approvals.json", unclear("web01")),
    ] {
        let report = below(&[
            ("a/jobs.json", &run),
            (approvals, &yes),
            ("b/events.json", &events),
        ]);
        let expected = [of_the_job, unclear("web01"), unclear("web02")];
        assert_eq!(reasons(&report), expected, "{approvals}");
    }
    // Nor does the one's job say who started the other's, or what it was for.
    let by_hand = run.replace(r#""launch_type":"workflow""#, r#""launch_type":"manual""#);
    let by_hand = by_hand.replace(
        r#""name":"Weekly","type":"workflow_job""#,
        r#""name":"ada","type":"user""#,
    );
    let by_hand = by_hand.replace(r#""playbook""#, r#""extra_vars":"CHG0031337","playbook""#);
    let report = below(&[("a/jobs.json", &by_hand), ("b/events.json", &events)]);
    assert_eq!(report.counts.ungoverned, 2);
    let number = |found: &&countersign_evidence::audit::ActionFound| {
        format!("{:?}", found.action.references).contains("CHG0031337")
    };
    assert_eq!(report.actions.iter().filter(number).count(), 1);
    // Below the folder with the jobs, they are of these.
    let below_it = below(&[
        ("awx/jobs/1.json", &run),
        ("awx/approvals.json", &yes),
        ("awx/runs/42/job_events/1.json", &events),
    ]);
    assert_eq!(below_it.counts.clean, 2);
}

#[test]
fn a_page_that_was_not_read_is_a_gap() {
    let page = |next: &str, previous: &str| {
        events()
            .replace("\"next\":null", &format!("\"next\":{next}"))
            .replace("\"previous\":null", &format!("\"previous\":{previous}"))
    };
    let at = |number: u64| format!("\"/api/v2/job_events/?page={number}&page_size=200\"");
    let first = page(&at(2), "null");
    // The page before the second is the first, which has no number.
    let second = page(&at(3), "\"/api/v2/job_events/?page_size=200\"");
    let third = page("null", &at(2));
    let other = page("null", "\"/api/v2/jobs/?page_size=200\"");
    let told = |files: &[(&str, &str)]| {
        let report = below(files);
        let mut gaps = report.gaps.iter();
        let gap = gaps.find(|gap| gap.starts_with("pages"));
        gap.map(|gap| gap.rsplit("page=").next().unwrap_or_default().to_owned())
    };
    let two = Some("2&page_size=200".to_owned());
    let three = Some("3&page_size=200".to_owned());
    assert_eq!(told(&[("1", &events())]), None);
    assert_eq!(told(&[("1", &first)]), two);
    assert_eq!(told(&[("1", &first), ("2", &second)]), three);
    assert_eq!(told(&[("3", &third), ("1", &first)]), two);
    assert_eq!(told(&[("2", &second), ("3", &third), ("1", &first)]), None);
    assert_eq!(told(&[("all", &[&*first, &second, &third].concat())]), None);
    // Another list's second page, or one of another controller's.
    assert_eq!(told(&[("1", &first), ("2", &other)]), two);
    let elsewhere = [("a/1", &*first), ("b/2", &second), ("b/3", &third)];
    assert_eq!(told(&elsewhere), two);
    // Whatever else is said of where to go on was not followed.
    let cursor = page("\"/api/v2/job_events/?page=x\"", "null");
    assert_eq!(told(&[("1", &cursor)]), Some("x".to_owned()));
}
