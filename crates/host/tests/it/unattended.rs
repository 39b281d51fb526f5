//! Package tools that are no apt-get, for real: unattended-upgrades in its minimal steps, and plain
//! python-apt, each on a private root.

use crate::loop_end_to_end::Deployment;
use crate::seen::{Daemon, authorized, settled, until, waiting};
use countersign_domain::Transition;
use countersign_domain::receipt::Ending;
use countersign_host::journal::{self, Phase, Record};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const UNATTENDED: &str = include_str!("unattended_upgrade.py");
const PYTHON_APT: &str = include_str!("python_apt.py");

/// The distribution's own program: unpacked by `cargo xtask test` into a folder of its own, because
/// installing the package would switch it on, or the machine's where it has one.
fn program() -> PathBuf {
    let unpacked = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .with_file_name("tools")
        .join("unattended-upgrades/usr/bin/unattended-upgrade");
    let installed = PathBuf::from("/usr/bin/unattended-upgrade");
    [unpacked, installed]
        .into_iter()
        .find(|path| path.is_file())
        .expect(
            "unattended-upgrade is missing; hint: `cargo xtask test --quick unattended` fetches it",
        )
}

/// What python-apt wants of another root, and the packages that may be upgraded unattended.
fn furnish(here: &Deployment, packages: &[&str]) {
    let root = here.place.sandbox.root();
    for folder in ["usr/bin", "var/run", "etc/apt/apt.conf.d"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    symlink("/usr/bin/dpkg", root.join("usr/bin/dpkg")).unwrap();
    let listed: String = packages
        .iter()
        .map(|name| format!("  \"^{name}$\";\n"))
        .collect();
    let text = format!(
        "Unattended-Upgrade::Origins-Pattern {{ \"origin=Countersign Demo\"; }};\nUnattended-Upgrade::Package-Whitelist {{\n{listed}}};\nUnattended-Upgrade::Package-Whitelist-Strict \"true\";\n"
    );
    std::fs::write(root.join("etc/apt/apt.conf.d/50unattended-upgrades"), text).unwrap();
}

/// Guards the root with the hook, and a line in `calls` for each time that it is called.
fn counted(here: &Deployment, mode: &str) -> PathBuf {
    let calls = here.place.dir.path().join("calls");
    let wrapper = here.place.dir.path().join("hook");
    let text = format!(
        "#!/bin/sh\necho called >> {}\nexec {} apt-hook --config {} --mode {mode}\n",
        calls.display(),
        env!("CARGO_BIN_EXE_countersign-host"),
        here.place.config_path().display(),
    );
    std::fs::write(&wrapper, text).unwrap();
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let word = wrapper.display().to_string();
    here.place.sandbox.guard(&[word]).unwrap();
    calls
}

fn count(calls: &Path) -> usize {
    std::fs::read_to_string(calls)
        .unwrap_or_default()
        .lines()
        .count()
}

fn python(here: &Deployment, text: &str, arguments: &[&str]) -> Output {
    let script = here.place.dir.path().join("script.py");
    std::fs::write(&script, text).unwrap();
    Command::new("/usr/bin/python3")
        .arg("-B")
        .arg(script)
        .arg(here.place.sandbox.root())
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("APT_CONFIG", here.place.sandbox.apt_config_path())
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .unwrap()
}

fn unattended(here: &Deployment) -> (Output, String) {
    let run = python(here, UNATTENDED, &[program().to_str().unwrap()]);
    let logs = here
        .place
        .sandbox
        .root()
        .join("var/log/unattended-upgrades");
    let mut said = format!("{run:?}\n");
    for name in ["unattended-upgrades.log", "unattended-upgrades-dpkg.log"] {
        said.push_str(&std::fs::read_to_string(logs.join(name)).unwrap_or_default());
    }
    (run, said)
}

/// What the journal has as spent forward, each time that it was.
fn spendings(here: &Deployment) -> Vec<Transition> {
    let text = std::fs::read_to_string(journal::path(&here.place.config.state_dir)).unwrap();
    let mut spent = Vec::new();
    for line in text.lines() {
        let json = line.splitn(3, ' ').nth(2).unwrap();
        if let Record::Spent {
            phase: Phase::Forward,
            transitions,
            ..
        } = serde_json::from_str(json).unwrap()
        {
            spent.extend(transitions);
        }
    }
    spent
}

fn dpkg_log(here: &Deployment) -> String {
    let path = here.place.sandbox.root().join("var/log/dpkg.log");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn unattended_upgrades_runs_its_steps_under_one_plan_each_spent_once() {
    let here = waiting();
    let names = ["cs-db", "cs-lib", "cs-web"];
    let change = authorized(&here, &names.map(|name| (name, "1.1")));
    furnish(&here, &names);
    let calls = counted(&here, "enforce");
    let _daemon = Daemon::start(&here);
    let (run, said) = unattended(&here);
    assert!(run.status.success(), "{said}");
    let receipt = settled(&here, &change);
    assert_eq!(receipt.ending, Ending::Succeeded, "{:?}", receipt.notes);
    assert_eq!(receipt.in_place.len(), names.len());
    // More calls than steps: its configuration loads more than once, and so does the hook's.
    assert!(count(&calls) >= 2 * names.len(), "{} calls", count(&calls));
    let mut spent: Vec<String> = spendings(&here)
        .iter()
        .map(|one| one.name.to_string())
        .collect();
    spent.sort();
    assert_eq!(spent, names);
    for name in names {
        let line = format!("upgrade {name}:all 1.0 1.1");
        assert_eq!(dpkg_log(&here).matches(&line).count(), 1, "{name}");
    }
}

#[test]
fn a_daemon_that_was_started_anew_lets_a_run_begin_no_further_step() {
    let here = waiting();
    let names = ["cs-db", "cs-web"];
    let change = authorized(&here, &names.map(|name| (name, "1.1")));
    furnish(&here, &names);
    // The hook of the second step waits until it may ask.
    let [waits, go, hook] = ["waits", "go", "hook"].map(|name| here.place.dir.path().join(name));
    let text = format!(
        "#!/bin/sh\nif grep -q ' upgrade ' {log}; then\ntouch {waits}\nwhile [ ! -e {go} ]; do sleep 0.05; done\nfi\nexec {program} apt-hook --config {config} --mode enforce\n",
        log = here.place.sandbox.root().join("var/log/dpkg.log").display(),
        waits = waits.display(),
        go = go.display(),
        program = env!("CARGO_BIN_EXE_countersign-host"),
        config = here.place.config_path().display(),
    );
    std::fs::write(&hook, text).unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let word = hook.display().to_string();
    here.place.sandbox.guard(&[word]).unwrap();
    let daemon = Daemon::start(&here);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| unattended(&here));
        until("the second step waits", || waits.exists());
        drop(daemon);
        let _again = Daemon::start(&here);
        std::fs::write(&go, "").unwrap();
        let (_, said) = run.join().unwrap();
        let receipt = settled(&here, &change);
        assert_eq!(receipt.in_place.len(), 1, "{said}");
        assert_eq!(dpkg_log(&here).matches(" upgrade cs-").count(), 1);
        let log = countersign_host::hook::refusals_path(&here.place.config.state_dir);
        let log = std::fs::read_to_string(log).unwrap();
        assert!(log.contains("was started anew"), "{log}");
    });
}

#[test]
fn unattended_upgrades_takes_steps_under_several_changes_in_one_session() {
    let here = waiting();
    let names = ["cs-db", "cs-web"];
    let first = authorized(&here, &[("cs-db", "1.1")]);
    let second = authorized(&here, &[("cs-web", "1.1")]);
    furnish(&here, &names);
    let calls = counted(&here, "enforce");
    let _daemon = Daemon::start(&here);
    let (run, said) = unattended(&here);
    assert!(run.status.success(), "{said}");
    for change in [first, second] {
        let receipt = settled(&here, &change);
        assert_eq!(receipt.ending, Ending::Succeeded, "{:?}", receipt.notes);
        assert_eq!(receipt.in_place.len(), 1);
    }
    assert!(count(&calls) >= 4, "{} calls", count(&calls));
    assert_eq!(spendings(&here).len(), 2);
}

#[test]
fn unattended_upgrades_without_a_plan_is_refused_and_changes_nothing() {
    let here = waiting();
    let change = authorized(&here, &[("cs-db", "1.1")]);
    furnish(&here, &["cs-web"]);
    let calls = counted(&here, "enforce");
    let _daemon = Daemon::start(&here);
    let (run, said) = unattended(&here);
    assert!(!run.status.success(), "{said}");
    assert!(count(&calls) >= 1);
    assert_eq!(here.place.version("cs-web").as_deref(), Some("1.0"));
    assert!(here.gate.change(&change).warrant.is_none());
    let log = countersign_host::hook::refusals_path(&here.place.config.state_dir);
    let log = std::fs::read_to_string(log).unwrap();
    assert!(
        log.contains("\"refused\"") && log.contains("cs-web"),
        "{log}"
    );
}

#[test]
fn python_apt_is_refused_without_a_plan_and_passes_with_one() {
    let here = waiting();
    furnish(&here, &[]);
    counted(&here, "enforce");
    let refused = python(&here, PYTHON_APT, &["cs-web"]);
    assert!(!refused.status.success(), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("no warrant is being acted on"), "{said}");
    assert_eq!(here.place.version("cs-web").as_deref(), Some("1.0"));
    let change = authorized(&here, &[("cs-web", "1.1")]);
    let _daemon = Daemon::start(&here);
    let run = python(&here, PYTHON_APT, &["cs-web"]);
    assert!(run.status.success(), "{run:?}");
    let receipt = settled(&here, &change);
    assert_eq!(receipt.ending, Ending::Succeeded, "{:?}", receipt.notes);
    assert_eq!(here.place.version("cs-web").as_deref(), Some("1.1"));
}

#[test]
fn one_apt_get_runs_under_several_changes_when_together_they_contain_it() {
    let here = waiting();
    let first = authorized(&here, &[("cs-db", "1.1")]);
    let second = authorized(&here, &[("cs-web", "1.1")]);
    let _daemon = Daemon::start(&here);
    // With a package of no plan among them, none is redeemed.
    let more = here
        .place
        .sandbox
        .plain_install_all(&["cs-db", "cs-lib", "cs-web"])
        .unwrap();
    assert_eq!(more.exit_code, Some(100), "{}", more.said);
    assert!(here.gate.change(&first).warrant.is_none());
    let run = here
        .place
        .sandbox
        .plain_install_all(&["cs-db", "cs-web"])
        .unwrap();
    assert_eq!(run.exit_code, Some(0), "{}", run.said);
    for change in [first, second] {
        assert_eq!(settled(&here, &change).ending, Ending::Succeeded);
    }
}
