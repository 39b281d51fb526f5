//! Runs that the hook sees: a plain apt-get is refused without a plan and covered by one, by way of
//! the real daemon in a process of its own.

use crate::gate::Gate;
use crate::loop_end_to_end::Deployment;
use crate::sandboxed::{Place, place, proposal};
use countersign_domain::receipt::Ending;
use countersign_domain::{ChangeId, Timestamp};
use countersign_host::enroll::enroll;
use countersign_host::journal;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

fn real_now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_unix_seconds(since.as_secs().cast_signed())
}

/// An admitted host under the machine's clock, in a guarded sandbox.
pub fn admitted(change: impl FnOnce(&mut Place)) -> Deployment {
    let mut place = place();
    change(&mut place);
    let gate = Gate::start(&place.config.host, &place.config.deployment, real_now());
    place.config.server = gate.server.clone();
    place.config.genesis = gate.genesis;
    place.write_config();
    let enrolled = enroll(&place.config, [7; 32], false).unwrap();
    gate.admit(&enrolled.public_key);
    place.guard("enforce");
    Deployment { place, gate }
}

/// One that starts nothing by itself.
pub fn waiting() -> Deployment {
    admitted(|place| place.config.hook.only_when_asked = true)
}

pub fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// `countersign-host run`, ended by its id when it is dropped.
pub struct Daemon(Child);

impl Daemon {
    pub fn start(here: &Deployment) -> Self {
        here.gate.state().now = real_now();
        let socket = here.place.config.hook_socket();
        let child = Command::new(env!("CARGO_BIN_EXE_countersign-host"))
            .args(["run", "--config"])
            .arg(here.place.config_path())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let daemon = Self(child);
        // A socket may be left over from a daemon that was killed: connecting tells.
        until("it listens", || {
            std::os::unix::net::UnixStream::connect(&socket).is_ok()
        });
        daemon
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.0.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn authorized(here: &Deployment, packages: &[(&str, &str)]) -> ChangeId {
    let mut wanted = proposal(&here.place.config, packages);
    wanted.proposed_at = real_now();
    let change = here.gate.propose(wanted);
    let prepared = Command::new(env!("CARGO_BIN_EXE_countersign-host"))
        .args(["run", "--once", "--config"])
        .arg(here.place.config_path())
        .output()
        .unwrap();
    assert!(prepared.status.success(), "{prepared:?}");
    here.gate.authorize(&change);
    change
}

pub fn settled(here: &Deployment, change: &ChangeId) -> countersign_domain::Receipt {
    until("it is settled", || {
        !here.gate.change(change).receipts.is_empty()
    });
    here.receipt(change)
}

#[test]
fn a_plain_apt_get_runs_under_an_authorized_plan_and_is_settled() {
    let here = waiting();
    let change = authorized(&here, &[("cs-web", "1.1")]);
    let _daemon = Daemon::start(&here);
    // What no plan contains is refused as ever.
    let other = here.place.sandbox.plain_install("cs-db").unwrap();
    assert_eq!(other.exit_code, Some(100), "{}", other.said);
    assert!(here.gate.change(&change).warrant.is_none());
    let run = here.place.sandbox.plain_install("cs-web").unwrap();
    assert_eq!(run.exit_code, Some(0), "{}", run.said);
    let receipt = settled(&here, &change);
    assert_eq!(receipt.ending, Ending::Succeeded, "{:?}", receipt.notes);
    assert_eq!(receipt.in_place.len(), 1);
    assert!(receipt.health[0].passed);
    // Spent: going back by hand, and forward again, is refused.
    let again = here.place.sandbox.plain_install("cs-web=1.0").unwrap();
    assert_eq!(again.exit_code, Some(100), "{}", again.said);
}

#[test]
fn a_subset_of_the_plan_runs_and_the_receipt_says_which() {
    let here = waiting();
    let change = authorized(&here, &[("cs-web", "1.1"), ("cs-db", "1.1")]);
    let _daemon = Daemon::start(&here);
    let run = here.place.sandbox.plain_install("cs-web").unwrap();
    assert_eq!(run.exit_code, Some(0), "{}", run.said);
    let receipt = settled(&here, &change);
    assert_eq!(receipt.ending, Ending::Succeeded, "{:?}", receipt.notes);
    assert_eq!(receipt.in_place.len(), 1);
    assert_eq!(receipt.in_place[0].name.as_str(), "cs-web");
    // The rest belonged to that session's warrant, which is over.
    let second = here.place.sandbox.plain_install("cs-db").unwrap();
    assert_eq!(second.exit_code, Some(100), "{}", second.said);
    assert_eq!(here.place.version("cs-db").as_deref(), Some("1.0"));
}

#[test]
fn a_run_that_fails_its_check_is_rolled_back_even_under_a_halt() {
    let here = waiting();
    let change = authorized(&here, &[("cs-cache", "1.2")]);
    let _daemon = Daemon::start(&here);
    let run = here.place.sandbox.plain_install("cs-cache").unwrap();
    here.gate.state().halted = true;
    assert_eq!(run.exit_code, Some(0), "{}", run.said);
    let receipt = settled(&here, &change);
    assert_eq!(receipt.ending, Ending::RolledBack, "{:?}", receipt.notes);
    assert_eq!(here.place.version("cs-cache").as_deref(), Some("1.0"));
}

#[test]
fn without_a_daemon_an_authorized_plan_covers_nothing() {
    let here = waiting();
    let change = authorized(&here, &[("cs-web", "1.1")]);
    drop(Daemon::start(&here));
    let run = here.place.sandbox.plain_install("cs-web").unwrap();
    assert_eq!(run.exit_code, Some(100), "{}", run.said);
    assert!(run.said.contains("cannot be asked"), "{}", run.said);
    assert!(here.gate.change(&change).warrant.is_none());
    assert_eq!(here.place.version("cs-web").as_deref(), Some("1.0"));
    // Observing, it passes and says so.
    here.place.guard("observe");
    let run = here.place.sandbox.plain_install("cs-web").unwrap();
    assert_eq!(run.exit_code, Some(0), "{}", run.said);
    let log = countersign_host::hook::refusals_path(&here.place.config.state_dir);
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("\"observed\"") && log.contains("cannot be asked"));
}

#[test]
fn a_daemon_that_is_killed_during_the_run_settles_it_on_its_next_start() {
    let here = waiting();
    let change = authorized(&here, &[("cs-web", "1.1")]);
    here.gate.state().receipts_fail = true;
    let daemon = Daemon::start(&here);
    let run = here.place.sandbox.plain_install("cs-web").unwrap();
    assert_eq!(run.exit_code, Some(0), "{}", run.said);
    drop(daemon);
    here.gate.state().receipts_fail = false;
    let _again = Daemon::start(&here);
    let receipt = settled(&here, &change);
    assert_eq!(receipt.ending, Ending::Succeeded, "{:?}", receipt.notes);
    let state = journal::read(&here.place.config.state_dir).unwrap();
    assert_eq!(state.open().count(), 0);
    let log = std::fs::read_to_string(here.place.sandbox.root().join("var/log/dpkg.log")).unwrap();
    assert_eq!(log.matches("upgrade cs-web:all 1.0 1.1").count(), 1);
}
