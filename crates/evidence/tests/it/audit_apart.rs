//! What an audit must not take for one: hosts, exports of a ticket system, dry runs and real ones.

use crate::audit::{CLOUDTRAIL, audited, audited_in, excluded, question, servicenow};
use countersign_evidence::audit::{
    Context, Exclusion, Format, People, Reason, Verdict, audit, find, render,
};

/// Runs of unattended-upgrades, each by its day and one package.
fn history(runs: &[(&str, &str)]) -> String {
    runs.iter()
        .map(|(day, package)| {
            format!(
                "Start-Date: 2026-11-{day}  06:00:00\nCommandline: /usr/bin/unattended-upgrade\n\
                 Upgrade: {package}:amd64 (1, 2)\nEnd-Date: 2026-11-{day}  06:00:05\n\n"
            )
        })
        .collect()
}

fn write(folder: &std::path::Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn dpkg(days: &[&str]) -> String {
    days.iter()
        .map(|day| format!("2026-11-{day} 01:00:00 startup archives unpack\n"))
        .collect()
}

#[test]
fn what_dpkgs_log_does_not_cover_is_not_disproven_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| write(folder.path(), name, &text);
    // Between two files of dpkg's there may have been a third.
    write("a/dpkg.log.2", dpkg(&["01", "04"]));
    write("a/dpkg.log", dpkg(&["10", "14"]));
    write(
        "a/apt/history.log",
        history(&[("03", "phantom"), ("07", "between")]),
    );
    // Another folder may be another host's.
    write("b/history.log", history(&[("12", "elsewhere")]));
    // Without an end nobody knows for how long.
    let cut = history(&[("13", "cut")]).replace("End-Date", "Nothing");
    write("a/apt/history.log.1", cut);
    let report = audited_in("UTC", folder.path());
    let left: Vec<_> = report
        .actions
        .iter()
        .map(|one| &one.action.items[0])
        .collect();
    let left: Vec<_> = left
        .iter()
        .map(|item| item.split(':').next().unwrap())
        .collect();
    assert_eq!(left, ["between", "elsewhere", "cut"]);
    assert_eq!(excluded(&report, Exclusion::DryRun), 1);
}

#[test]
fn a_dpkg_log_further_up_disproves_nothing_of_a_host_below() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| write(folder.path(), name, &text);
    // This host's own dpkg.log, and another host's apt: no kind of log lies in two folders.
    write("dpkg.log", dpkg(&["01", "20"]));
    write(
        "web1/var/log/apt/history.log",
        history(&[("03", "curl"), ("05", "ssh")]),
    );
    let counted = |one_host: bool| {
        let mut context = Context::new(Some("UTC"), "here").unwrap();
        if one_host {
            context = context.of_one_host();
        }
        let found = find(&[folder.path().to_owned()]).unwrap();
        let people = People::default();
        let report = audit(found, &[], &context, &people, &question(), 2, |_| {}).unwrap();
        (report.actions.len(), excluded(&report, Exclusion::DryRun))
    };
    assert_eq!(counted(false), (2, 0));
    assert_eq!(counted(true), (2, 0));
    // The one that lies where a host keeps both does disprove them.
    write("web1/var/log/dpkg.log", dpkg(&["01", "20"]));
    assert_eq!(counted(true), (0, 2));
}

#[test]
fn typing_dry_run_hides_nothing() {
    let stanza = |command: &str| {
        format!(
            "Start-Date: 2026-11-02  06:00:00\nCommandline: {command}\nRequested-By: svc (998)\n\
             Install: evil:amd64 (1)\nEnd-Date: 2026-11-02  06:00:05\n"
        )
    };
    for (command, actions) in [
        ("apt-get -o X::Y=--dry-run install evil", 1),
        ("apt-get install evil --dry-run", 1),
        ("/usr/bin/unattended-upgrade --dry-run-not", 1),
        ("/usr/bin/unattended-upgrade -v --dry-run", 0),
    ] {
        let report = audited(&[("history.log", stanza(command).as_bytes())]);
        assert_eq!(report.actions.len(), actions, "{command}");
    }
}

/// Two hosts on which the same was done in the same second, and what each has of its own.
fn two_hosts() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| write(folder.path(), name, &text);
    let ran =
        |day: &str, package: &str| format!("2026-11-{day} 06:00:02 upgrade {package}:amd64 1 2\n");
    let (first, last) = (dpkg(&["01"]), dpkg(&["20"]));
    // What web1 shows was a dry run there; on web2 it was done.
    let both = history(&[("03", "both"), ("05", "curl")]);
    write("web1/var/log/apt/history.log", both.clone());
    write(
        "web1/var/log/dpkg.log",
        format!("{first}{}{last}", ran("03", "both")),
    );
    write("web2/var/log/apt/history.log", both);
    write(
        "web2/var/log/dpkg.log",
        format!("{first}{}{}{last}", ran("03", "both"), ran("05", "curl")),
    );
    folder
}

#[test]
fn hosts_whose_logs_lie_in_folders_of_their_own_are_not_mixed() {
    let folder = two_hosts();
    let report = audited_in("UTC", folder.path());
    let found: Vec<_> = report
        .actions
        .iter()
        .map(|one| (one.action.system.as_str(), one.action.items[0].as_str()))
        .collect();
    let (curl, both) = ("curl:amd64 (1, 2)", "both:amd64 (1, 2)");
    let mut sorted = found.clone();
    sorted.sort();
    assert_eq!(sorted, [("web1", both), ("web2", both), ("web2", curl)]);
    assert_eq!(excluded(&report, Exclusion::DryRun), 1);
    assert!(
        report
            .actions
            .iter()
            .all(|one| one.action.places.len() == 1)
    );
    let text = render(&report, 2_000);
    assert!(text.contains("taken to be of 2 hosts: web1 ("), "{text}");
    // Whoever names the host says that they are of one.
    let context = Context::new(Some("UTC"), "web-1").unwrap().of_one_host();
    let people = People::default();
    let found = find(&[folder.path().to_owned()]).unwrap();
    let one = audit(found, &[], &context, &people, &question(), 2, |_| {}).unwrap();
    assert_eq!(one.hosts[0].name, "web-1");
    assert!(one.actions.iter().all(|one| one.action.system == "web-1"));
    assert_eq!(one.actions.len(), 2);
    // Nor does a run of apt's stand for what dpkg did on another host.
    std::fs::remove_file(folder.path().join("web2/var/log/apt/history.log")).unwrap();
    let empty = folder.path().join("web2/var/log/apt/history.log.1");
    std::fs::write(empty, history(&[("01", "x")])).unwrap();
    let report = audited_in("UTC", folder.path());
    let by_dpkg = report
        .actions
        .iter()
        .filter(|one| one.action.format == Format::Dpkg);
    let systems: Vec<_> = by_dpkg.map(|one| one.action.system.as_str()).collect();
    assert_eq!(systems, ["web2", "web2"]);
}

#[test]
fn a_folder_called_like_this_host_is_another_host() {
    let folder = tempfile::tempdir().unwrap();
    let same = history(&[("03", "curl")]);
    std::fs::create_dir(folder.path().join("web-1")).unwrap();
    std::fs::write(folder.path().join("history.log"), &same).unwrap();
    std::fs::write(folder.path().join("web-1/history.log"), &same).unwrap();
    let context = Context::new(Some("UTC"), "web-1").unwrap();
    let found = find(&[folder.path().to_owned()]).unwrap();
    let people = People::default();
    let report = audit(found, &[], &context, &people, &question(), 2, |_| {}).unwrap();
    let systems = report.actions.iter().map(|one| one.action.system.as_str());
    let mut systems: Vec<_> = systems.collect();
    systems.sort();
    assert_eq!(systems, ["web-1", "web-1 (2)"]);
}

#[test]
fn json_and_csv_exports_of_one_change_are_one_record() {
    let json = servicenow("ada", "2026-11-04 15:00:00").replace(
        r#""sysapproval":{"display_value":"a1","value":"a1"}"#,
        r#""sysapproval":{"display_value":"CHG0031337","value":"a1"}"#,
    );
    let (change, approval) = json
        .trim_start_matches(r#"{"result":["#)
        .trim_end_matches("]}")
        .split_once("},{")
        .unwrap();
    let (change, approval) = (format!("{change}}}"), format!("{{{approval}"));
    let csv_change = "Number,Type,State,Approval,Requested by,Planned start date,Planned end date,Configuration item,Test plan,Backout plan,Task type\n\
        CHG0031337,Normal,Closed,Approved,Patch Bot,2026-11-05 01:00:00,2026-11-05 04:00:00,i-0a1b2c3d4e5f60718,canary,snapshot,Change Request\n";
    let csv_approval = "Approval for,Approver,State,Updated,Updated by\nCHG0031337,ada,Approved,2026-11-04 15:00:00,ada\n";
    let first = |files: &[&str]| {
        let mut named = vec![("t.json", CLOUDTRAIL.as_bytes())];
        let names = ["1", "2", "3", "4", "5"];
        named.extend(
            names
                .into_iter()
                .zip(files.iter().map(|text| text.as_bytes())),
        );
        let report = audited(&named);
        let found = &report.actions[0];
        let reasons: Vec<_> = found.reasons.iter().copied().collect();
        (found.verdict.unwrap(), reasons, report.change_records)
    };
    let clean = (Verdict::Clean, vec![], 1);
    assert_eq!(first(&[&change, csv_approval]), clean);
    assert_eq!(first(&[csv_change, &approval]), clean);
    assert_eq!(
        first(&[csv_change, csv_approval, &change, &approval]),
        clean
    );
    // One more approval takes none away, whatever it says of the number.
    let stray = approval.replace("\"value\":\"a1\"", "\"value\":\"b2\"");
    assert_ne!(stray, approval);
    assert_eq!(first(&[csv_change, &approval, &stray]), clean);
    assert_eq!(first(&[&change, csv_approval, &stray]), clean);
    // Nor is it one of a record that says which id it has.
    let (verdict, reasons, _) = first(&[&change, &stray]);
    assert_eq!(
        (verdict, &reasons[..]),
        (Verdict::Ungoverned, &[Reason::NotApproved][..])
    );
    // What was cancelled in one export is cancelled.
    let cancelled = change.replace(
        r#""state":{"display_value":"3","value":"3"}"#,
        r#""state":{"display_value":"Canceled","value":"4"}"#,
    );
    assert_ne!(cancelled, change);
    let withdrawn = (Verdict::Ungoverned, vec![Reason::Withdrawn], 1);
    assert_eq!(first(&[csv_change, csv_approval, &cancelled]), withdrawn);
    // Of a number that two instances have, nothing says which of them an approval is of.
    let other = change.replace("\"a1\"", "\"b2\"");
    let (verdict, reasons, records) = first(&[&change, &other, csv_approval]);
    assert_eq!((verdict, records), (Verdict::Ungoverned, 2));
    assert_eq!(reasons, [Reason::NotApproved]);
}

#[test]
fn an_approval_that_names_two_changes_moves_no_approval_and_joins_no_records() {
    let row = |number: &str, host: &str| {
        format!(
            "{number},Normal,Closed,Approved,Patch Bot,2026-11-05 01:00:00,2026-11-05 04:00:00,{host},canary,snapshot,Change Request\n"
        )
    };
    let changes = format!(
        "Number,Type,State,Approval,Requested by,Planned start date,Planned end date,Configuration item,Test plan,Backout plan,Task type\n{}{}",
        row("CHG0031337", "i-0a1b2c3d4e5f60718"),
        row("CHG0000002", "i-0other"),
    );
    let approval = |id: &str, number: &str, state: &str| {
        let of = |name: &str, shown: &str, value: &str| {
            format!(r#""{name}":{{"display_value":"{shown}","value":"{value}"}}"#)
        };
        format!(
            "{{{}}}",
            [
                of("sys_id", "e5", "e5"),
                of("sysapproval", number, id),
                of("source_table", "change_request", "change_request"),
                of("approver", "ada", "ada"),
                of("state", state, state),
                of(
                    "sys_updated_on",
                    "2026-11-04 15:00:00",
                    "2026-11-04 15:00:00"
                ),
                of("sys_updated_by", "ada", "ada"),
            ]
            .join(",")
        )
    };
    let judged = |approvals: &[String]| {
        let report = audited(&[
            ("t.json", CLOUDTRAIL.as_bytes()),
            ("changes.csv", changes.as_bytes()),
            ("approvals.json", approvals.join("\n").as_bytes()),
        ]);
        let found = &report.actions[0];
        let reasons: Vec<_> = found.reasons.iter().copied().collect();
        let unreadable: u64 = report.files.iter().map(|file| file.unreadable).sum();
        (
            found.verdict.unwrap(),
            reasons,
            report.change_records,
            unreadable,
        )
    };
    let ours = approval("x1", "CHG0031337", "approved");
    assert_eq!(
        judged(std::slice::from_ref(&ours)),
        (Verdict::Clean, vec![], 2, 0)
    );
    // Told for two numbers, an id may be that of either: neither clean, nor the other's alone.
    let both = [ours.clone(), approval("x1", "CHG0000002", "approved")];
    let unclear = (Verdict::Partial, vec![Reason::ControllerUnclear], 2, 0);
    assert_eq!(judged(&both), unclear);
    assert_eq!(judged(&[both[1].clone(), both[0].clone()]), unclear);
    // A number is no id: it joins no records, and gives none the approval of another.
    for (id, state) in [
        ("CHG0000002", "approved"),
        ("chg0000002", "rejected"),
        ("Chg0000002", "approved"),
    ] {
        let crossed = approval(id, "CHG0031337", state);
        let (verdict, reasons, records, unreadable) = judged(std::slice::from_ref(&crossed));
        assert_eq!((verdict, records, unreadable), (Verdict::Ungoverned, 2, 1));
        assert_eq!(reasons, [Reason::NotApproved]);
        assert_eq!(
            judged(&[ours.clone(), crossed]),
            (Verdict::Clean, vec![], 2, 1)
        );
    }
    // A record that says its own id is not renamed by what an approval says of it.
    let own = servicenow("nobody", "2026-11-04 15:00:00");
    let own = own
        .trim_start_matches(r#"{"result":["#)
        .split_once("},{")
        .unwrap()
        .0;
    let of_another = approval("a1", "CHG0000002", "approved");
    let (_, _, records, _) = judged(&[format!("{own}}}"), of_another]);
    assert_eq!(records, 2);
}
