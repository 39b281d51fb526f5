//! The systemd units that are shipped: sound to systemd itself, and in step with the program's defaults.

use countersign_host::config::HOOK_SOCKET;
use countersign_host::network::{self, Relay};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const EXECUTOR: &str = "countersign-host.service";
const NETWORK: &str = "countersign-host-network.service";
/// Where the package puts the program.
const PROGRAM: &str = "/usr/bin/countersign-host";

pub fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging")
}

fn unit(name: &str) -> String {
    std::fs::read_to_string(packaging().join("systemd").join(name)).unwrap()
}

/// The values of one key of a unit.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    let lines = unit.lines().filter_map(|line| line.split_once('='));
    lines
        .filter(|(name, _)| *name == key)
        .map(|(_, value)| value)
        .collect()
}

/// Both units in a folder, with the program that was built in the place of the installed one.
fn copies(change: impl Fn(&str, String) -> String) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in [EXECUTOR, NETWORK] {
        let text = unit(name).replace(PROGRAM, env!("CARGO_BIN_EXE_countersign-host"));
        std::fs::write(dir.path().join(name), change(name, text)).unwrap();
    }
    dir
}

fn analyze(words: &[&str], dir: &Path, names: &[&str]) -> Output {
    let mut command = Command::new("systemd-analyze");
    command
        .args(words)
        .args(names.iter().map(|name| dir.join(name)));
    command.env("SYSTEMD_COLORS", "0").output().unwrap()
}

/// What systemd says about our units; of others of this machine it may say what it likes.
fn complaints(dir: &Path) -> Vec<String> {
    let output = analyze(&["verify", "--man=no"], dir, &[EXECUTOR, NETWORK]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut ours: Vec<_> = said
        .lines()
        .filter(|line| line.contains("countersign"))
        .map(str::to_owned)
        .collect();
    if !output.status.success() && ours.is_empty() {
        ours.push(said);
    }
    ours
}

#[test]
fn systemd_takes_the_units_without_a_word() {
    let sound = copies(|_, text| text);
    assert_eq!(complaints(sound.path()), Vec::<String>::new());
    // It would notice: a key that does not exist, and a program that is not there.
    let misspelt = copies(|_, text| text.replace("RuntimeDirectory=", "RuntimeDirectoy="));
    assert!(!complaints(misspelt.path()).is_empty());
    let absent = copies(|_, text| text.replace("countersign-host ", "countersign-ghost "));
    assert!(!complaints(absent.path()).is_empty());
}

#[test]
fn the_network_process_is_exposed_little_by_systemds_own_measure() {
    let exposed = |dir: &tempfile::TempDir| {
        // In tenths: 3.0 of 10. What is left is its purpose (network) and its own seccomp list,
        // which systemd does not see.
        let words = ["security", "--offline=yes", "--no-pager", "--threshold=30"];
        !analyze(&words, dir.path(), &[NETWORK]).status.success()
    };
    assert!(!exposed(&copies(|_, text| text)));
    assert!(exposed(&copies(
        |_, text| text.replace("ProtectSystem=strict", "")
    )));
}

#[test]
fn the_units_say_what_the_program_expects() {
    let (executor, network) = (unit(EXECUTOR), unit(NETWORK));
    let start = |unit: &str| values(unit, "ExecStart")[0].to_owned();
    assert_eq!(start(&executor), format!("{PROGRAM} run"));
    assert_eq!(start(&network), format!("{PROGRAM} network"));
    assert_eq!(
        values(&executor, "ConditionPathExists"),
        [countersign_host::cli::CONFIG_PATH]
    );
    assert_eq!(
        values(&network, "ConditionPathExists"),
        [network::CONFIG_PATH]
    );
    // The executor finds the network process by its defaults.
    let relay: Relay = toml::from_str("").unwrap();
    assert_eq!(values(&network, "User"), [relay.user.as_str()]);
    let folder_of = |socket: &Path| socket.parent().unwrap().to_owned();
    let runtime = |unit: &str| Path::new("/run").join(values(unit, "RuntimeDirectory")[0]);
    assert_eq!(runtime(&network), folder_of(&relay.socket));
    assert_eq!(runtime(&executor), folder_of(Path::new(HOOK_SOCKET)));
    // A folder of its own each: the one must not replace the other's socket.
    assert_ne!(runtime(&network), runtime(&executor));
    // Maintainer scripts inherit the executor's confinement, and apt must survive its end.
    assert_eq!(values(&executor, "KillMode"), ["process"]);
    for confinement in ["ProtectSystem", "NoNewPrivileges", "User", "PrivateTmp"] {
        assert!(values(&executor, confinement).is_empty(), "{confinement}");
    }
}
