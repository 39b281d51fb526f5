//! The dpkg hook on real dpkg: what it stops, what it lets through, and what it never sees.

use crate::loop_end_to_end::{Deployment, deployment};
use crate::sandboxed::{Place, place};
use crate::seen::{Daemon, authorized, settled, waiting};
use countersign_domain::receipt::Ending;
use countersign_host::hook;
use std::process::Command;

fn guard_dpkg(place: &Place, mode: &str) {
    let config = place.config_path();
    let words = [
        env!("CARGO_BIN_EXE_countersign-host"),
        "dpkg-hook",
        "--config",
        config.to_str().unwrap(),
        "--mode",
        mode,
    ];
    place.sandbox.guard_dpkg(&words.map(str::to_owned)).unwrap();
}

fn file(place: &Place, name: &str) -> String {
    let path = place.sandbox.file(name, "1.1").unwrap();
    path.to_str().unwrap().to_owned()
}

fn refusals(place: &Place) -> String {
    let path = hook::refusals_path(&place.config.state_dir);
    std::fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn a_plain_dpkg_is_refused_whatever_it_does_and_observing_passes() {
    let place = place();
    let deb = file(&place, "cs-web");
    guard_dpkg(&place, "enforce");
    for (arguments, action) in [
        (vec!["-i", &deb], "install"),
        (vec!["--unpack", &deb], "unpack"),
        (vec!["-r", "cs-old"], "remove"),
        (vec!["-P", "cs-old"], "purge"),
        (vec!["--configure", "-a"], "configure"),
    ] {
        let run = place.sandbox.plain_dpkg(&arguments).unwrap();
        assert_eq!(run.exit_code, Some(2), "{action}: {}", run.said);
        let log = refusals(&place);
        let last = log.lines().last().unwrap();
        assert!(
            last.contains("\"refused\"") && last.contains(&format!("dpkg was to {action} ")),
            "{last}"
        );
        // What it was called with is kept, as its own word.
        assert!(last.contains(arguments[1]), "{last}");
    }
    assert_eq!(place.version("cs-web").as_deref(), Some("1.0"));
    assert_eq!(place.version("cs-old").as_deref(), Some("1.0"));
    // Asking dpkg is no change.
    let asked = place.sandbox.plain_dpkg(&["-l", "cs-web"]).unwrap();
    assert_eq!(asked.exit_code, Some(0), "{}", asked.said);
    guard_dpkg(&place, "observe");
    let run = place.sandbox.plain_dpkg(&["-i", &deb]).unwrap();
    assert_eq!(run.exit_code, Some(0), "{}", run.said);
    assert!(refusals(&place).contains("\"observed\""));
    assert_eq!(place.version("cs-web").as_deref(), Some("1.1"));
}

#[test]
fn a_missing_dpkg_hook_or_configuration_fails_closed() {
    let place = place();
    let deb = file(&place, "cs-web");
    let missing = place.dir.path().join("no-such-hook").display().to_string();
    place.sandbox.guard_dpkg(&[missing]).unwrap();
    let run = place.sandbox.plain_dpkg(&["-i", &deb]).unwrap();
    assert_eq!(run.exit_code, Some(2), "{}", run.said);
    guard_dpkg(&place, "enforce");
    std::fs::remove_file(place.config_path()).unwrap();
    let run = place.sandbox.plain_dpkg(&["-i", &deb]).unwrap();
    assert_eq!(run.exit_code, Some(2), "{}", run.said);
    assert_eq!(place.version("cs-web").as_deref(), Some("1.0"));
}

fn here_with_both_hooks() -> Deployment {
    let here = deployment(|_| {});
    guard_dpkg(&here.place, "enforce");
    here
}

#[test]
fn the_hosts_own_run_passes_the_dpkg_hook_in_both_directions() {
    let here = here_with_both_hooks();
    let good = here.authorized("cs-web", "1.1");
    assert_eq!(here.run().executed, 1);
    assert_eq!(here.receipt(&good).ending, Ending::Succeeded);
    let bad = here.authorized("cs-cache", "1.2");
    assert_eq!(here.run().executed, 1);
    assert_eq!(here.receipt(&bad).ending, Ending::RolledBack);
    assert_eq!(refusals(&here.place), "");
    // Nothing is open any more.
    let deb = file(&here.place, "cs-db");
    let run = here.place.sandbox.plain_dpkg(&["-i", &deb]).unwrap();
    assert_eq!(run.exit_code, Some(2), "{}", run.said);
}

#[test]
fn a_run_that_the_apt_hook_covers_passes_the_dpkg_hook_and_nobody_else_does_meanwhile() {
    let here = waiting();
    guard_dpkg(&here.place, "enforce");
    let change = authorized(&here, &[("cs-web", "1.1")]);
    let _daemon = Daemon::start(&here);
    // While that run spends its warrant, another dpkg tries its luck, from the run's own archive.
    let deb = file(&here.place, "cs-db");
    let sandbox = here.place.sandbox.clone();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let run = sandbox.plain_dpkg(&["-i", &deb]).unwrap();
                assert_eq!(run.exit_code, Some(2), "{}", run.said);
            }
        });
        let run = here.place.sandbox.plain_install("cs-web").unwrap();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(run.exit_code, Some(0), "{}", run.said);
    });
    let receipt = settled(&here, &change);
    assert_eq!(receipt.ending, Ending::Succeeded, "{:?}", receipt.notes);
    assert_eq!(here.place.version("cs-db").as_deref(), Some("1.0"));
}

/// Known bypasses, so that nobody believes more of the hook than is so.
#[test]
fn what_unpacks_without_dpkg_is_not_seen() {
    let place = place();
    guard_dpkg(&place, "enforce");
    let deb = file(&place, "cs-web");
    let unpacked = Command::new("dpkg-deb")
        .arg("-x")
        .args([&deb, &place.sandbox.root().display().to_string()])
        .status()
        .unwrap();
    assert!(unpacked.success());
    assert_eq!(refusals(&place), "");
    // Nothing is on record as installed, and inspection by digest tells.
    assert_eq!(place.version("cs-web").as_deref(), Some("1.0"));
    let service = place.sandbox.root().join("usr/lib/cs-web/service");
    assert!(
        std::fs::read_to_string(service)
            .unwrap()
            .starts_with("cs-web 1.1")
    );
}
