//! Crash at any instruction: the real executor is killed at many moments of a real run, alone or with
//! the package tool that it had started. On its next start the journal says where it was, nothing is
//! installed twice, and what the receipt says is what is so.

use crate::loop_end_to_end::Deployment;
use crate::seen::{admitted, authorized, until};
use countersign_domain::receipt::Ending;
use countersign_host::config::{CheckConfig, Pattern};
use countersign_host::journal;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn once(here: &Deployment) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign-host"));
    command
        .args(["run", "--once", "--config"])
        .arg(here.place.config_path())
        .stdin(Stdio::null());
    command
}

fn run_once(here: &Deployment) -> Output {
    once(here).output().unwrap()
}

/// The processes below `pid`, it included.
fn below(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while next < found.len() {
        let children = format!("/proc/{0}/task/{0}/children", found[next]);
        let children = std::fs::read_to_string(children).unwrap_or_default();
        found.extend(
            children
                .split_ascii_whitespace()
                .map(|pid| pid.parse::<u32>().unwrap()),
        );
        next += 1;
    }
    found
}

fn kill(mut executor: Child, with_its_children: bool) {
    if with_its_children {
        for pid in below(executor.id()).into_iter().rev() {
            let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
    let _ = executor.kill();
    executor.wait().unwrap();
}

/// When it is killed: so long after it started, or after the journal has its transitions as spent.
#[derive(Debug)]
enum Moment {
    Started(Duration),
    Spent(Duration),
}

fn is_spent(here: &Deployment) -> bool {
    let state = journal::read(&here.place.config.state_dir).unwrap();
    state
        .executions()
        .any(|one| one.intended.as_ref().is_some_and(|one| one.spent.is_some()))
}

/// What one crash came to: the state of the journal after it, and how it was settled.
fn crash_at(moment: &Moment, with_its_children: bool, package: &str, to: &str) -> (String, Ending) {
    let here = admitted(|_| {});
    let change = authorized(&here, &[(package, to)]);
    let executor = once(&here).stderr(Stdio::null()).spawn().unwrap();
    let delay = match moment {
        Moment::Started(delay) => delay,
        Moment::Spent(delay) => {
            while !is_spent(&here) {
                std::thread::sleep(Duration::from_millis(1));
            }
            delay
        }
    };
    std::thread::sleep(*delay);
    kill(executor, with_its_children);
    let after = journal::read(&here.place.config.state_dir).unwrap();
    let open = after.open().next();
    let was = match (
        open.and_then(|one| one.intended.as_ref()),
        after.executions().count(),
    ) {
        (Some(intended), _) if intended.spent.is_some() => "spent",
        (Some(_), _) => "intent",
        (None, 0) => "nothing",
        (None, _) => "settled",
    };
    // The first start may find a package tool that still runs.
    let before = Instant::now();
    until("it is settled", || {
        let run = run_once(&here);
        assert!(run.status.success(), "{run:?}");
        assert!(before.elapsed() < Duration::from_secs(60));
        !here.gate.change(&change).receipts.is_empty()
    });
    let context = format!("{package}, {moment:?}, {was}, children {with_its_children}");
    let receipt = here.receipt(&change);
    let log = std::fs::read_to_string(here.place.sandbox.root().join("var/log/dpkg.log")).unwrap();
    let forward = log
        .matches(&format!("upgrade {package}:all 1.0 {to}"))
        .count();
    let back = log
        .matches(&format!("upgrade {package}:all {to} 1.0"))
        .count();
    assert!(forward <= 1 && back <= 1, "{context}: {log}");
    let version = here.place.version(package);
    match receipt.ending {
        Ending::Succeeded => {
            assert_eq!((forward, version.as_deref()), (1, Some(to)), "{context}");
        }
        Ending::RolledBack => assert_eq!(version.as_deref(), Some("1.0"), "{context}"),
        // Half way: not as it was, and not as it was to be.
        Ending::Failed => assert_eq!(was, "spent", "{context}: {:?}", receipt.notes),
        // The journal is whole, so it can always be known whether something was begun.
        Ending::NeverStarted | Ending::Unknown => {
            panic!("{context}: {:?} {:?}", receipt.ending, receipt.notes)
        }
    }
    // Nothing more happens, whatever is asked again.
    assert!(run_once(&here).status.success());
    assert_eq!(here.place.version(package), version, "{context}");
    assert_eq!(here.gate.change(&change).receipts.len(), 1, "{context}");
    let state = journal::read(&here.place.config.state_dir).unwrap();
    assert_eq!(
        (state.open().count(), state.executions().count()),
        (0, 1),
        "{context}"
    );
    (was.to_owned(), receipt.ending)
}

/// Two health checks of the new version: one, without a shell that might change its mask, says what
/// signals it would not take; the other waits, and then passes.
#[test]
fn an_executor_that_is_asked_to_end_finishes_what_it_has_begun() {
    let here = admitted(|place| {
        let said = place.dir.path().join("masks");
        let script = place.dir.path().join("check");
        let service = place.sandbox.root().join("usr/lib/cs-web/service");
        let text = format!(
            "grep -q 'cs-web 1.1' {} && ! test -e {1} || exit 0\n\
             : > {1} && sleep 2\n",
            service.display(),
            said.display()
        );
        std::fs::write(&script, text).unwrap();
        for check in place.config.checks.values_mut() {
            check.command = Some(vec!["/bin/sh".into(), script.display().to_string()]);
        }
        // Passes only where nothing is blocked.
        let words = ["/bin/grep", "-E", "SigBlk:.0+$", "/proc/self/status"];
        let unblocked = CheckConfig {
            command: Some(words.map(str::to_owned).into()),
            http: None,
            tcp: None,
            timeout_seconds: 5,
            packages: vec![Pattern("cs-web".into())],
        };
        let name = "nothing-is-blocked".parse().unwrap();
        place.config.checks.insert(name, unblocked);
    });
    let change = authorized(&here, &[("cs-web", "1.1")]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign-host"));
    command
        .args(["run", "--config"])
        .arg(here.place.config_path());
    let mut daemon = command.stderr(Stdio::null()).spawn().unwrap();
    let masks = here.place.dir.path().join("masks");
    until("the check runs", || masks.exists());
    let pid = rustix::process::Pid::from_child(&daemon);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let ended = daemon.wait().unwrap();
    assert_eq!(ended.signal(), Some(15), "{ended:?}");
    // It is settled, in the journal at least, and the next start has nothing to mend.
    let state = journal::read(&here.place.config.state_dir).unwrap();
    assert_eq!(state.open().count(), 0);
    assert!(run_once(&here).status.success());
    let receipt = here.receipt(&change);
    assert_eq!(receipt.ending, Ending::Succeeded, "{:?}", receipt.notes);
    assert_eq!(here.place.version("cs-web").as_deref(), Some("1.1"));
    // What it starts can be asked to end as ever.
    let name = "nothing-is-blocked".parse().unwrap();
    let unblocked = receipt.health.iter().find(|one| one.check == name);
    assert!(unblocked.unwrap().passed, "{:?}", receipt.health);
    // And so can it itself, where it does nothing.
    let mut idle = command.spawn().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let pid = rustix::process::Pid::from_child(&idle);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let asked = Instant::now();
    idle.wait().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(3));
}

const SOON: Duration = Duration::from_millis(0);

fn crashes(package: &str, to: &str, with_its_children: bool, moments: &[Moment]) {
    let mut met = Vec::new();
    for moment in moments {
        let was = crash_at(moment, with_its_children, package, to);
        // Everything that follows an intent is longer than it takes to look.
        if matches!(moment, Moment::Spent(SOON)) {
            assert_eq!(was.0, "spent");
        }
        met.push((moment, was));
    }
    println!("{package}: {met:?}");
}

fn millis(times: &[u64], of: fn(Duration) -> Moment) -> Vec<Moment> {
    let times = times.iter().copied();
    times.map(Duration::from_millis).map(of).collect()
}

#[test]
fn an_executor_that_is_killed_never_installs_twice() {
    crashes(
        "cs-web",
        "1.1",
        false,
        &millis(&[0, 60, 200], Moment::Spent),
    );
}

#[test]
fn an_executor_that_is_killed_with_its_apt_never_installs_twice() {
    let mut moments = millis(&[0, 150, 300, 450], Moment::Started);
    moments.extend(millis(&[0, 40, 90, 150, 250, 400], Moment::Spent));
    crashes("cs-web", "1.1", true, &moments);
}

#[test]
fn an_executor_that_is_killed_around_a_rollback_never_goes_back_twice() {
    let moments = millis(&[0, 200, 400, 500, 600, 800], Moment::Spent);
    crashes("cs-cache", "1.2", true, &moments);
}
