//! Edges of the hook and of time: two runs at once, a daemon that hangs, a hook that is killed, and a
//! way back that outlives the warrant and a halt.

use crate::loop_end_to_end::{Deployment, deployment};
use crate::sandboxed::now;
use crate::seen::{Daemon, admitted, authorized, settled, until, waiting};
use countersign_domain::receipt::Ending;
use countersign_domain::{GroupQuorum, Timestamp};
use countersign_host::config::CheckConfig;
use countersign_host::journal;
use countersign_host::progress::Progress;
use countersign_host::work::{Host, World};
use rand::SeedableRng as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Words of a hook that does `first` (in shell) and then asks as ever.
fn hook_after(here: &Deployment, first: &str) -> PathBuf {
    let path = here.place.dir.path().join("hook");
    let text = format!(
        "#!/bin/sh\n{first}\nexec {} apt-hook --config {}\n",
        env!("CARGO_BIN_EXE_countersign-host"),
        here.place.config_path().display(),
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let word = path.display().to_string();
    here.place.sandbox.guard(&[word]).unwrap();
    path
}

/// A hook that asks, is covered or refused, and then says so in the first file and waits for the second.
fn hook_that_waits(here: &Deployment) -> (PathBuf, PathBuf) {
    let [asked, go, waits] = ["asked", "go", "waits"].map(|name| here.place.dir.path().join(name));
    let text = format!(
        "#!/bin/sh\n{} apt-hook --config {} || exit 1\ntouch {}\nwhile [ ! -e {} ]; do sleep 0.05; done\n",
        env!("CARGO_BIN_EXE_countersign-host"),
        here.place.config_path().display(),
        asked.display(),
        go.display(),
    );
    std::fs::write(&waits, text).unwrap();
    std::fs::set_permissions(&waits, std::fs::Permissions::from_mode(0o755)).unwrap();
    let word = waits.display().to_string();
    here.place.sandbox.guard(&[word]).unwrap();
    (asked, go)
}

fn apt_get(here: &Deployment, package: &str) -> Child {
    Command::new("apt-get")
        .args(["-y", "-q", "install", "--", package])
        .env("APT_CONFIG", here.place.sandbox.apt_config_path())
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_second_session_is_refused_while_one_is_open() {
    let here = waiting();
    let first = authorized(&here, &[("cs-web", "1.1")]);
    let second = authorized(&here, &[("cs-db", "1.1")]);
    let _daemon = Daemon::start(&here);
    // The first run gets its yes and then loses the lock without an end: its hook asks, is covered,
    // and waits until it may go on.
    let (asked, go) = hook_that_waits(&here);
    let mut one = apt_get(&here, "cs-web");
    until("the first is covered", || asked.exists());
    // The locks alone would keep the second one out. It goes around them, so that it is the journal
    // that has to say no.
    for lock in [
        "lib/dpkg/lock-frontend",
        "lib/dpkg/lock",
        "cache/apt/archives/lock",
    ] {
        let path = here.place.sandbox.root().join("var").join(lock);
        std::fs::remove_file(path).unwrap();
    }
    here.place.guard("enforce");
    let two = apt_get(&here, "cs-db").wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&two.stderr).into_owned();
    assert_eq!(two.status.code(), Some(100), "{said}");
    assert!(said.contains("not by this run of apt"), "{said}");
    assert!(here.gate.change(&second).warrant.is_none());
    std::fs::write(&go, "").unwrap();
    one.wait().unwrap();
    settled(&here, &first);
    assert_eq!(here.place.version("cs-db").as_deref(), Some("1.0"));
    // When the first has ended, the second has its turn.
    let two = here.place.sandbox.plain_install("cs-db").unwrap();
    assert_eq!(two.exit_code, Some(0), "{}", two.said);
    assert_eq!(settled(&here, &second).ending, Ending::Succeeded);
}

#[test]
fn a_run_that_ended_while_a_package_tool_still_runs_is_waited_for_with_pauses() {
    let here = waiting();
    let change = authorized(&here, &[("cs-web", "1.1")]);
    let daemon = Daemon::start(&here);
    // Its yes comes before the daemon is stopped, which does not see how it ends.
    let (asked, go) = hook_that_waits(&here);
    let run = apt_get(&here, "cs-web");
    until("it is covered", || asked.exists());
    daemon.signal("STOP");
    std::fs::write(&go, "").unwrap();
    let run = run.wait_with_output().unwrap();
    assert!(run.status.success(), "{run:?}");
    let path = here.place.sandbox.root().join("var/lib/dpkg/lock-frontend");
    let held = std::fs::File::options().write(true).open(path).unwrap();
    rustix::fs::fcntl_lock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let before = here.gate.state().rounds;
    daemon.signal("CONT");
    std::thread::sleep(Duration::from_secs(6));
    let rounds = here.gate.state().rounds - before;
    assert!((1..=3).contains(&rounds), "{rounds} rounds in 6 s");
    assert!(here.gate.change(&change).receipts.is_empty());
    // As soon as the lock is free, it is settled.
    drop(held);
    assert_eq!(settled(&here, &change).ending, Ending::Succeeded);
}

#[test]
fn an_emergency_that_is_asked_to_end_first_concludes_what_it_found() {
    let here = admitted(|place| {
        place.config.hook.only_when_asked = true;
        place.config.pins.emergency = vec![GroupQuorum {
            group: "oncall".parse().unwrap(),
            quorum: 1,
        }];
        let [mark, script] = ["checked", "check"].map(|name| place.dir.path().join(name));
        let service = place.sandbox.root().join("usr/lib/cs-web/service");
        let text = format!(
            "grep -q 'cs-web 1.1' {} && ! test -e {mark} || exit 0\n: > {mark} && sleep 2\n",
            service.display(),
            mark = mark.display()
        );
        std::fs::write(&script, text).unwrap();
        for check in place.config.checks.values_mut() {
            check.command = Some(vec!["/bin/sh".into(), script.display().to_string()]);
        }
    });
    authorized(&here, &[("cs-web", "1.1")]);
    let order = here.place.dir.path().join("order.json");
    let emergency = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign-host"));
        command.arg("emergency").args(words).arg("--config");
        command.arg(here.place.config_path()).stderr(Stdio::null());
        command
    };
    let words = ["prepare", "--out", order.to_str().unwrap(), "cs-db=1.1"];
    assert!(emergency(&words).status().unwrap().success());
    // A run that was covered ends after its daemon was killed.
    let daemon = Daemon::start(&here);
    let (asked, go) = hook_that_waits(&here);
    let run = apt_get(&here, "cs-web");
    until("it is covered", || asked.exists());
    drop(daemon);
    std::fs::write(&go, "").unwrap();
    assert!(run.wait_with_output().unwrap().status.success());
    // Nobody signed the order; what is found open is concluded all the same.
    let words = ["run", order.to_str().unwrap()];
    let mut acting = emergency(&words).spawn().unwrap();
    let mark = here.place.dir.path().join("checked");
    until("the check runs", || mark.exists());
    let pid = rustix::process::Pid::from_child(&acting);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(acting.wait().unwrap().signal(), Some(15));
    let state = journal::read(&here.place.config.state_dir).unwrap();
    let ended = state.executions().next().unwrap().settlement.clone();
    assert_eq!(ended.unwrap().ending, Ending::Succeeded);
}

#[test]
fn a_daemon_that_hangs_means_no_after_the_time_that_was_set() {
    let here = admitted(|place| {
        place.config.hook.only_when_asked = true;
        place.config.hook.wait_seconds = 5;
    });
    let change = authorized(&here, &[("cs-web", "1.1")]);
    let daemon = Daemon::start(&here);
    daemon.signal("STOP");
    let began = Instant::now();
    let run = here.place.sandbox.plain_install("cs-web").unwrap();
    let took = began.elapsed();
    assert_eq!(run.exit_code, Some(100), "{}", run.said);
    assert!(run.said.contains("no answer in time"), "{}", run.said);
    assert!(
        took >= Duration::from_secs(5) && took < Duration::from_secs(20),
        "{took:?}"
    );
    // What it finds when it goes on is a hook that is gone: nothing is begun for it.
    daemon.signal("CONT");
    let log = here.place.config.state_dir.clone();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(journal::read(&log).unwrap().open().count(), 0);
    assert_eq!(here.place.version("cs-web").as_deref(), Some("1.0"));
    assert!(here.gate.change(&change).notices.is_empty());
}

#[test]
fn a_hook_that_is_killed_fails_closed() {
    let here = waiting();
    hook_after(&here, "kill -9 $$");
    let run = here.place.sandbox.plain_install("cs-web").unwrap();
    assert_eq!(run.exit_code, Some(100), "{}", run.said);
    // One that is killed while it waits for an answer, too.
    let socket = here.place.config.hook_socket();
    let _silent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let mark = here.place.dir.path().join("pid");
    hook_after(&here, &format!("echo $$ > {}", mark.display()));
    let apt = apt_get(&here, "cs-web");
    until("it asks", || {
        std::fs::read_to_string(&mark).is_ok_and(|text| text.ends_with('\n'))
    });
    std::thread::sleep(Duration::from_millis(300));
    let pid = std::fs::read_to_string(&mark).unwrap();
    let killed = Command::new("kill").args(["-9", pid.trim()]).status();
    assert!(killed.unwrap().success());
    let ended = apt.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(100));
    assert_eq!(here.place.version("cs-web").as_deref(), Some("1.0"));
}

#[test]
fn the_way_back_outlives_the_warrant_and_a_halt() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("checked");
    let here = deployment(|place| {
        // The check fails on the new version, and from then on it is two hours later and everything
        // is halted.
        let service = place.sandbox.root().join("usr/lib/cs-web/service");
        let test = format!(
            "grep -q 1.1 {} || exit 0; touch {}; exit 1",
            service.display(),
            mark.display()
        );
        for check in place.config.checks.values_mut() {
            *check = CheckConfig {
                command: Some(vec!["/bin/sh".into(), "-c".into(), test.clone()]),
                ..check.clone()
            };
        }
    });
    let change = here.authorized("cs-web", "1.1");
    let clock = || -> Timestamp {
        if mark.exists() {
            here.gate.state().halted = true;
            now().plus_seconds(7200)
        } else {
            now()
        }
    };
    let world = World {
        clock: &clock,
        progress: Progress::silent(),
    };
    let mut rng = rand::rngs::StdRng::seed_from_u64(1);
    let mut host = Host::open(here.place.config.clone(), world).unwrap();
    let _ = host.run_once(world, &mut rng);
    let receipt = here.receipt(&change);
    assert_eq!(receipt.ending, Ending::RolledBack, "{:?}", receipt.notes);
    let warrant = here.gate.change(&change).warrant.unwrap().0;
    let parts = countersign_domain::jws::take_apart(&warrant).unwrap();
    let warrant: countersign_domain::Warrant = serde_json::from_slice(&parts.payload).unwrap();
    assert!(receipt.ended_at.unix_seconds() > warrant.exp);
    assert!(here.gate.state().halted);
    assert_eq!(here.place.version("cs-web").as_deref(), Some("1.0"));
}
