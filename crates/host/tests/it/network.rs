//! The network process: really sandboxed, really carrying the loop, and harmless when it is hostile.

use crate::gate::Gate;
use crate::loop_end_to_end::{deployment, world};
use crate::sandboxed::{Place, now, place};
use countersign_domain::receipt::Ending;
use countersign_host::client::{Client, ClientError};
use countersign_host::config::ConfigError;
use countersign_host::enroll::enroll;
use countersign_host::network::{Relay, RelayError, Settings};
use countersign_host::work::Host;
use rand::SeedableRng as _;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// An account that every Debian has and that is not root.
const NOBODY: &str = "nobody";

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The account that the network process of a test runs as.
fn account() -> String {
    if is_root() {
        return NOBODY.into();
    }
    rustix::process::geteuid().as_raw().to_string()
}

fn own_account() -> String {
    rustix::process::geteuid().as_raw().to_string()
}

/// A configuration, and a folder that belongs to the network process's account.
struct Setting {
    config: PathBuf,
    socket: PathBuf,
    _dirs: [tempfile::TempDir; 2],
}

fn setting(server: &str) -> Setting {
    let [roots, theirs] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    if is_root() {
        let done = Command::new("chown")
            .arg(NOBODY)
            .arg(theirs.path())
            .status();
        assert!(done.unwrap().success());
    }
    let socket = theirs.path().join("network.sock");
    let config = roots.path().join("network.toml");
    let text = format!("server = \"{server}\"\nsocket = \"{}\"\n", socket.display());
    std::fs::write(&config, text).unwrap();
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o600)).unwrap();
    Setting {
        config,
        socket,
        _dirs: [roots, theirs],
    }
}

fn network(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign-host"));
    command.args(["network", "--config"]).arg(config);
    if is_root() {
        command.args(["--user", NOBODY]);
    }
    command
}

/// A running network process, ended with the test.
struct Running {
    child: Child,
    setting: Setting,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(server: &str) -> Running {
    let setting = setting(server);
    let child = network(&setting.config).stderr(Stdio::piped()).spawn();
    let mut running = Running {
        child: child.unwrap(),
        setting,
    };
    let begun = Instant::now();
    while UnixStream::connect(&running.setting.socket).is_err() {
        assert_eq!(running.child.try_wait().unwrap(), None, "it ended");
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "it does not listen"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    running
}

fn relay(socket: &Path, user: String) -> Option<Relay> {
    Some(Relay {
        socket: socket.to_owned(),
        user,
        answer_seconds_max: 60,
    })
}

#[test]
fn a_change_runs_through_the_sandboxed_network_process() {
    let mut deployment = deployment(|_| ());
    let network = start(&deployment.gate.server);
    deployment.place.config.network = relay(&network.setting.socket, account());
    // The executor itself could not reach this gate.
    deployment.place.config.server = "http://127.0.0.1:9".into();
    let change = deployment.authorized("cs-web", "1.1");
    assert_eq!(deployment.run().executed, 1);
    assert_eq!(deployment.receipt(&change).ending, Ending::Succeeded);
    assert_eq!(deployment.place.version("cs-web").as_deref(), Some("1.1"));
}

#[test]
fn answers_are_the_same_as_without_it() {
    let mut place = place();
    let gate = Gate::start(&place.config.host, &place.config.deployment, now());
    let network = start(&gate.server);
    place.config.server = gate.server.clone();
    let direct = Client::of(&place.config).unwrap();
    place.config.network = relay(&network.setting.socket, account());
    let relayed = Client::of(&place.config).unwrap();
    let told = |client: &Client| {
        let (deployment, roster) = (client.deployment().unwrap(), client.roster(0).unwrap());
        format!("{deployment:?} {roster:?}")
    };
    assert_eq!(told(&relayed), told(&direct));
    // A refusal keeps its status and word.
    gate.state()
        .refuse
        .insert("deployment".into(), (503, "busy"));
    let refused = relayed.deployment().unwrap_err();
    assert_eq!(refused.word(), Some("busy"), "{refused}");
    // A gate that is gone is said to be gone, by the process that is there.
    let gone = start("http://127.0.0.1:9");
    place.config.network = relay(&gone.setting.socket, account());
    let error = Client::of(&place.config).unwrap().deployment().unwrap_err();
    assert!(error.to_string().contains("does not answer"), "{error}");
}

#[test]
fn inside_the_sandbox_nothing_can_be_read_written_or_run() {
    let setting = setting("http://127.0.0.1:9");
    let output = network(&setting.config)
        .arg("--selfcheck")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let report: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert!(output.status.success(), "{report:#}");
    let attempts = report["attempts"].as_array().unwrap();
    let went = |act: &str| {
        let found = attempts
            .iter()
            .find(|attempt| attempt["act"] == act)
            .unwrap();
        (
            found["outside"].as_str().unwrap(),
            found["inside"].as_str().unwrap(),
        )
    };
    // What the same process could do a moment before, so that it is the sandbox that refuses.
    for act in [
        "read a file of everybody",
        "read a file of its own",
        "read its own memory map",
        "write a file of its own",
        "write to a device",
        "make a file",
        "make a folder",
        "change a file's mode",
        "run a program",
        "become another program",
        "listen for TCP",
        "listen for UDP",
        "change its user",
        "see its process group",
        "send a signal",
        "open a kernel socket",
    ] {
        let (outside, inside) = went(act);
        assert_eq!(outside, "done", "{act}");
        assert!(
            inside.contains("os error") || inside.contains("EPERM"),
            "{act}: {inside}"
        );
    }
    // Ways round the rules for ports. Outside, it is the kernel's settings whether they are open.
    for act in [
        "open a multipath socket",
        "connect to another port by sendto",
        "connect to another port by sendmsg",
        "connect to another port by sendmmsg",
    ] {
        let (outside, inside) = went(act);
        assert!(!outside.contains("os error 1)"), "{act}: {outside}");
        assert!(inside.contains("os error 1)"), "{act}: {inside}");
    }
    assert_ne!(went("read the password hashes").1, "done");
    assert_eq!(went("look up an address"), ("done", "done"));
    assert_eq!(went("start a thread"), ("done", "done"));
    let (outside, inside) = went("connect to another port");
    assert_eq!(outside, "done");
    let holds_ports = report["enforced"]["tcp_ports"].as_bool().unwrap();
    assert_eq!(inside != "done", holds_ports, "{inside}");
}

#[test]
fn it_refuses_to_be_root_and_to_take_a_file_of_others() {
    let setting = setting("http://127.0.0.1:9");
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign-host"));
        command
            .args(["network", "--config"])
            .arg(&setting.config)
            .args(words);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    if is_root() {
        assert!(run(&[]).contains("must not run as root"));
    }
    assert!(run(&["--user", "root"]).contains("is root"));
    assert!(run(&["--user", "no-such-account"]).contains("no account"));
    let open = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(&setting.config, open).unwrap();
    assert!(matches!(
        Settings::load(&setting.config),
        Err(ConfigError::Writable { .. })
    ));
}

/// Answers each connection with `bytes`, then hangs up after `pause`.
fn hostile(bytes: &'static [u8], pause: Duration) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("network.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(bytes);
                std::thread::sleep(pause);
            });
        }
    });
    (dir, socket)
}

/// What the host makes of a network process of that kind.
fn error_with(place: &mut Place, socket: &Path, user: String) -> ClientError {
    place.config.network = relay(socket, user);
    if let Some(relay) = &mut place.config.network {
        relay.answer_seconds_max = 1;
    }
    let client = Client::of(&place.config).unwrap();
    client.deployment().unwrap_err()
}

#[test]
fn a_hostile_network_process_gets_an_error_and_no_effect() {
    const HUGE: &[u8] = b"CSN1\xff\xff\xff\xff\xff\xff\xff\xff";
    const SHORT: &[u8] = b"CSN1\x00\x00\x00\x0e\x00\x00\x00\xff{\"status\":200}{}";
    const FORGED: &[u8] = b"CSN1\x00\x00\x00\x0e\x00\x00\x00\x02{\"status\":200}{}";
    let mut deployment = deployment(|_| ());
    let change = deployment.authorized("cs-web", "1.1");
    let place = &mut deployment.place;
    for (what, bytes, pause) in [
        (
            "garbage",
            b"\x00garbage, more of it".as_slice(),
            Duration::ZERO,
        ),
        ("oversized", HUGE, Duration::ZERO),
        ("wrong length", SHORT, Duration::ZERO),
        ("hanging up", b"", Duration::ZERO),
        ("never answering", b"", Duration::from_secs(600)),
        ("forged", FORGED, Duration::ZERO),
    ] {
        let (_dir, socket) = hostile(bytes, pause);
        let begun = Instant::now();
        let error = error_with(place, &socket, own_account());
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        match &error {
            ClientError::Network { problem, .. } if what != "forged" => {
                assert!(matches!(problem, RelayError::Frame(_)), "{what}: {error}");
            }
            ClientError::Form { .. } if what == "forged" => {}
            _ => panic!("{what}: {error}"),
        }
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        let mut host = Host::open(place.config.clone(), world()).unwrap();
        assert!(host.run_once(world(), &mut rng).is_err(), "{what}");
        assert_eq!(place.version("cs-web").as_deref(), Some("1.0"), "{what}");
    }
    assert!(deployment.gate.change(&change).warrant.is_none());
}

#[test]
fn a_forged_handover_through_the_network_process_is_not_acted_on() {
    let mut deployment = deployment(|_| ());
    let network = start(&deployment.gate.server);
    deployment.place.config.network = relay(&network.setting.socket, account());
    let change = deployment.authorized("cs-web", "1.1");
    // What a captured network process could do at best: answer in form, without the gate's keys.
    deployment.gate.state().tamper_handover = Some(Box::new(|handover| {
        let (signed, signature) = handover.lease.rsplit_once('.').unwrap();
        let first = if signature.starts_with('A') { 'B' } else { 'A' };
        handover.lease = format!("{signed}.{first}{}", &signature[1..]);
    }));
    let summary = deployment.run();
    // It was asked for and came, and its signature was what this host refused.
    assert!(deployment.gate.change(&change).warrant.is_some());
    assert_eq!(summary.executed, 0);
    let receipt = deployment.receipt(&change);
    assert_eq!(receipt.ending, Ending::NeverStarted);
    assert!(
        receipt.notes[0].contains("signature"),
        "{:?}",
        receipt.notes
    );
    assert_eq!(deployment.place.version("cs-web").as_deref(), Some("1.0"));
}

#[test]
fn somebody_else_at_the_socket_is_told_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("network.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let heard = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        bytes.len()
    });
    let mut place = place();
    let error = error_with(&mut place, &socket, "daemon".into());
    let ClientError::Network { problem, .. } = &error else {
        panic!("{error}");
    };
    assert!(matches!(problem, RelayError::Stranger { .. }), "{error}");
    assert_eq!(heard.join().unwrap(), 0);
    // Neither is enrolling possible that way, nor where nobody listens or the account is unknown.
    assert!(enroll(&place.config, [7; 32], false).is_err());
    let nobody = error_with(&mut place, &dir.path().join("none"), own_account());
    assert!(nobody.to_string().contains("nobody listens"), "{nobody}");
    let unknown = error_with(&mut place, &socket, "no-such-account".into());
    assert!(unknown.to_string().contains("no account"), "{unknown}");
}
