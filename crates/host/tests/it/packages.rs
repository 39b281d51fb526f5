//! What a host reports of its packages, with real dpkg in a root of its own.

use crate::loop_end_to_end::{Deployment, deployment};
use crate::seen::{Daemon, until, waiting};
use countersign_domain::Digest;
use countersign_domain::package_report::{PackageReport, SeenTransition};
use std::fs;
use std::path::PathBuf;

fn deployed() -> Deployment {
    let here = deployment(|_| {});
    // Whoever changes this root by hand is not what is tested here.
    fs::remove_file(hook(&here)).unwrap();
    here
}

fn hook(here: &Deployment) -> PathBuf {
    let root = here.place.sandbox.root();
    root.join("etc/apt/apt.conf.d/90countersign")
}

fn dpkg(here: &Deployment, arguments: &[&str]) {
    let run = here.place.sandbox.plain_dpkg(arguments).unwrap();
    assert_eq!(run.exit_code, Some(0), "{}", run.said);
}

fn install(here: &Deployment, name: &str, version: &str) {
    let file = here.place.sandbox.file(name, version).unwrap();
    dpkg(here, &["-i", file.to_str().unwrap()]);
}

/// Every report that the gate took, verified as the gate does.
fn reports(here: &Deployment) -> Vec<PackageReport> {
    let state = here.gate.state();
    let roster = countersign_verify::roster::chain(&here.gate.genesis, &state.roster).unwrap();
    let verified = |signed: &String| {
        countersign_verify::package_report::verify(signed, &roster)
            .unwrap()
            .into_inner()
    };
    let reports: Vec<_> = state.reports.iter().map(verified).collect();
    for (number, report) in reports.iter().enumerate().skip(1) {
        if report.sequence > 1 {
            let before = Digest::of(state.reports[number - 1].as_bytes());
            assert_eq!(report.previous, Some(before), "a chain");
            assert_eq!(report.sequence, reports[number - 1].sequence + 1);
        }
    }
    reports
}

fn words(transitions: &[SeenTransition]) -> Vec<String> {
    let version = |version: &Option<countersign_domain::Version>| {
        version.as_ref().map_or("-".to_owned(), ToString::to_string)
    };
    transitions
        .iter()
        .map(|seen| {
            format!(
                "{}:{} {}>{}",
                seen.name,
                seen.architecture,
                version(&seen.old),
                version(&seen.new)
            )
        })
        .collect()
}

/// What all reports told, in order; none of them has a gap.
fn told(here: &Deployment) -> Vec<String> {
    let reports = reports(here);
    assert!(reports.iter().all(|report| report.gaps.is_empty()));
    reports
        .iter()
        .flat_map(|report| words(&report.transitions))
        .collect()
}

fn installed(report: &PackageReport, name: &str) -> Option<String> {
    let packages = report.installed.as_ref()?.packages.as_ref()?;
    packages
        .iter()
        .find(|package| package.name.as_str() == name)
        .map(|package| package.version.to_string())
}

#[test]
fn the_first_report_is_the_baseline_and_each_transition_is_told_once() {
    let here = deployed();
    here.run();
    let first = reports(&here).remove(0);
    assert_eq!((first.sequence, first.transitions.len()), (1, 0));
    assert_eq!(installed(&first, "cs-web").as_deref(), Some("1.0"));

    install(&here, "cs-web", "1.1");
    dpkg(&here, &["-P", "cs-old"]);
    here.run();
    let second = reports(&here).remove(1);
    assert_eq!(
        words(&second.transitions),
        ["cs-web:all 1.0>1.1", "cs-old:all 1.0>-"]
    );
    assert_eq!(installed(&second, "cs-web").as_deref(), Some("1.1"));
    assert_eq!(installed(&second, "cs-old"), None);

    here.run();
    let third = reports(&here).remove(2);
    assert!(third.transitions.is_empty());
    let state = third.installed.unwrap();
    assert_eq!(state.packages, None, "the same list is not told again");
    assert_eq!(state.digest, second.installed.unwrap().digest);
}

#[test]
fn rotating_the_log_hides_nothing_and_a_log_of_its_own_shows_in_the_state() {
    let here = deployed();
    here.run();
    let log = here.place.sandbox.root().join("var/log/dpkg.log");
    install(&here, "cs-web", "1.1");
    fs::rename(&log, log.with_extension("log.1")).unwrap();
    install(&here, "cs-cache", "1.2");
    here.run();
    assert_eq!(told(&here), ["cs-web:all 1.0>1.1", "cs-cache:all 1.0>1.2"]);

    // The last `--log` counts: this one leaves no line.
    let file = here.place.sandbox.file("cs-db", "1.1").unwrap();
    dpkg(&here, &["--log=/dev/null", "-i", file.to_str().unwrap()]);
    here.run();
    assert_eq!(told(&here).len(), 2);
    let last = reports(&here).pop().unwrap();
    assert_eq!(installed(&last, "cs-db").as_deref(), Some("1.1"));
}

#[test]
fn a_report_that_got_lost_is_handed_in_again_as_it_was_signed() {
    let here = deployed();
    here.run();
    install(&here, "cs-web", "1.1");
    here.gate
        .state()
        .refuse
        .insert("packages".into(), (503, "lost"));
    assert!(here.try_run().is_err());
    // What was signed is kept, whatever happens meanwhile.
    let kept = fs::read_to_string(here.place.config.state_dir.join("packages.json")).unwrap();
    install(&here, "cs-cache", "1.2");
    here.gate.state().refuse.clear();
    here.run();
    here.run();
    let second = here.gate.state().reports[1].clone();
    assert!(kept.contains(&second));
    assert_eq!(told(&here), ["cs-web:all 1.0>1.1", "cs-cache:all 1.0>1.2"]);
}

#[test]
fn a_host_that_lost_its_place_begins_anew() {
    let here = deployed();
    here.run();
    here.run();
    assert_eq!(reports(&here)[1].sequence, 2);
    // The gate knows another last report: it says so, once.
    here.gate
        .state()
        .refuse
        .insert("packages".into(), (409, "conflict"));
    here.run();
    here.gate.state().refuse.clear();
    here.run();
    let third = reports(&here).remove(2);
    assert_eq!((third.sequence, third.previous), (1, None));
    assert!(installed(&third, "cs-web").is_some(), "the whole list");

    // So does one whose state is damaged.
    let state = here.place.config.state_dir.join("packages.json");
    fs::write(state, b"{\"told\": nonsense").unwrap();
    here.run();
    assert_eq!(reports(&here).pop().unwrap().sequence, 1);
}

#[test]
fn the_hosts_own_steps_are_told_like_any_others() {
    let here = deployment(|_| {});
    let change = here.authorized("cs-cache", "1.2");
    here.run();
    assert_eq!(
        here.receipt(&change).ending,
        countersign_domain::receipt::Ending::RolledBack
    );
    assert_eq!(
        told(&here),
        ["cs-cache:all 1.0>1.2", "cs-cache:all 1.2>1.0"]
    );
}

#[test]
fn the_daemon_reports_what_happens_beside_it() {
    let here = waiting();
    fs::remove_file(hook(&here)).unwrap();
    let _daemon = Daemon::start(&here);
    until("the baseline", || !here.gate.state().reports.is_empty());
    install(&here, "cs-web", "1.1");
    until("the transition", || !told(&here).is_empty());
    assert_eq!(told(&here), ["cs-web:all 1.0>1.1"]);
}

#[test]
fn observe_sends_when_it_is_told_to() {
    let here = deployed();
    let observe = |more: &[&str]| {
        let run = std::process::Command::new(env!("CARGO_BIN_EXE_countersign-host"))
            .args(["observe", "--config"])
            .arg(here.place.config_path())
            .args(more)
            .output()
            .unwrap();
        assert!(run.status.success(), "{run:?}");
        let observed = here.gate.state().observations.len();
        (observed, reports(&here).len())
    };
    assert_eq!(observe(&[]), (0, 0));
    assert_eq!(observe(&["--send"]), (1, 1));
    install(&here, "cs-web", "1.1");
    assert_eq!(observe(&["--send"]), (2, 2));
    assert_eq!(told(&here), ["cs-web:all 1.0>1.1"]);
}
