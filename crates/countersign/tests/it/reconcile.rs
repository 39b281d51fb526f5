//! Reconciliation from end to end: real dpkg in a root of its own, the real host, the real server, the
//! command line. What the loop does itself gives nothing to look at; what others do, all of it.

use crate::app::{TestApp, signed};
use crate::program::{Ran, countersign};
use countersign::ambient;
use countersign_domain::jws::PROPOSAL_TYP;
use countersign_domain::{Tier, Timestamp};
use countersign_host::Config;
use countersign_host::config::{HookConfig, Pins};
use countersign_host::enroll::enroll;
use countersign_host::progress::Progress;
use countersign_host::sandbox::Sandbox;
use countersign_host::work::{Host, World};
use rand::SeedableRng as _;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Place {
    app: TestApp,
    sandbox: Sandbox,
    config: Config,
}

fn clock() -> Timestamp {
    ambient::now()
}

/// A served deployment with an enrolled host on a sandbox of its own.
fn place(only_when_asked: bool) -> Place {
    let app = TestApp::start();
    let sandbox = Sandbox::build(&app.folder.path().join("sandbox")).unwrap();
    let world = app.gate().world().unwrap();
    let hook = HookConfig {
        only_when_asked,
        ..HookConfig::default()
    };
    let config = Config {
        host: "web-1".parse().unwrap(),
        deployment: world.roster.deployment.clone(),
        genesis: world.roster.genesis,
        server: app.running.as_ref().unwrap().url(),
        state_dir: app.folder.path().join("host"),
        key_file: None,
        observe_seconds: 3600,
        plan_seconds: 3600,
        pins: Pins {
            tier: Tier::LOWEST,
            trial: true,
            required_humans: Vec::new(),
            witness_quorum: 0,
            offline_start: false,
            lease_seconds_max: 60,
            clock_skew_seconds_max: 30,
            emergency: Vec::new(),
        },
        apt: sandbox.apt_config(),
        checks: sandbox.checks(),
        recipes: Default::default(),
        hook,
        network: None,
    };
    // The key that the roster holds.
    let enrolled = enroll(&config, app.host.to_bytes(), false).unwrap();
    assert!(enrolled.admitted);
    let place = Place {
        app,
        sandbox,
        config,
    };
    std::fs::write(place.config_path(), place.config.to_toml().unwrap()).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(place.config_path(), mode).unwrap();
    place
}

impl Place {
    fn config_path(&self) -> PathBuf {
        self.app.folder.path().join("host.toml")
    }

    fn guard(&self, mode: &str) {
        let config = self.config_path().display().to_string();
        let program = env!("CARGO_BIN_EXE_countersign");
        let words = [
            program, "host", "apt-hook", "--config", &config, "--mode", mode,
        ];
        self.sandbox.guard(&words.map(str::to_owned)).unwrap();
    }

    fn run(&self) {
        let world = World {
            clock: &clock,
            progress: Progress::silent(),
        };
        let mut rng = rand::rngs::StdRng::from_seed(ambient::random());
        let mut host = Host::open(self.config.clone(), world).unwrap();
        host.run_once(world, &mut rng).unwrap();
    }

    /// Proposed, prepared by the host, approved by a human at the command line.
    fn approved(&self, package: &str, to: &str) -> String {
        let proposal = json!({
            "v": 1, "deployment": "example.org/test", "agent": "patcher", "nonce": ambient::nonce(),
            "proposed_at": ambient::now(), "path": "patch", "category": "os-security",
            "waves": [["web-1"]],
            "packages": [{"name": package, "architecture": "all", "to": to}],
            "rollback": "reverse-transitions", "claims": {},
        });
        let jws = signed(PROPOSAL_TYP, "patcher", &self.app.agent, &proposal);
        let body = json!({"proposal": jws});
        let (status, proposed) = self
            .app
            .post("proposals", Some(&self.app.agent_token()), &body);
        assert_eq!(status, 201, "{proposed}");
        let change = proposed["change"].as_str().unwrap().to_owned();
        self.run();
        countersign(&self.app.dir(), &["approve", &change, "--yes"]).done();
        change
    }

    fn state(&self, change: &str) -> Value {
        let (status, view) = self
            .app
            .get(&format!("changes/{change}"), Some(&self.app.agent_token()));
        assert_eq!(status, 200, "{view}");
        view["executions"][0]["state"].clone()
    }

    fn dpkg(&self, arguments: &[&str]) {
        let run = self.sandbox.plain_dpkg(arguments).unwrap();
        assert_eq!(run.exit_code, Some(0), "{}", run.said);
    }

    fn reconcile(&self, arguments: &[&str]) -> Ran {
        countersign(&self.app.dir(), &[&["reconcile"], arguments].concat())
    }

    /// What a human has to look at, the newest first: package, versions, where it was seen.
    fn open(&self) -> Vec<String> {
        let ran = self.reconcile(&["--json"]);
        let found = ran.json()["unwarranted"].as_array().unwrap().clone();
        assert_eq!(ran.code, i32::from(!found.is_empty()), "{}", ran.stderr);
        let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        found
            .iter()
            .map(|record| {
                let seen = &record["transition"];
                format!(
                    "{} {}>{} {}",
                    word(&seen["name"]),
                    word(&seen["old"]),
                    word(&seen["new"]),
                    word(&seen["seen_in"])
                )
            })
            .collect()
    }

    fn alarms(&self, kind: &str) -> usize {
        let all = self.app.gate().alarms(100).unwrap();
        all.iter().filter(|alarm| alarm.kind == kind).count()
    }

    fn log_holds(&self) {
        let ran = countersign(&self.app.dir(), &["log", "verify"]);
        assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    }
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn an_outside_change_is_an_alarm_and_a_review_and_the_loops_own_are_not() {
    let here = place(false);
    here.guard("enforce");
    here.run();
    let upgrade = here.approved("cs-web", "1.1");
    here.run();
    assert_eq!(here.state(&upgrade), json!("succeeded"));
    let sick = here.approved("cs-cache", "1.2");
    here.run();
    assert_eq!(here.state(&sick), json!("rolled-back"));
    here.run();
    assert_eq!(here.open(), Vec::<String>::new());
    let said = here.reconcile(&[]).done().stdout;
    assert!(said.contains("had a warrant"), "{said}");

    // Somebody with root: past apt and its hook, back to what was vulnerable, and without a log.
    let old = here.sandbox.file("cs-db", "1.1").unwrap().to_owned();
    here.dpkg(&["-i", old.to_str().unwrap()]);
    here.dpkg(&["--log=/dev/null", "-P", "cs-old"]);
    here.run();
    assert_eq!(
        here.open(),
        ["cs-old 1.0>- state", "cs-db 1.0>1.1 package-log"]
    );
    assert_eq!(here.alarms("unwarranted-transition"), 2);
    let shown = here.reconcile(&["--host", "web-1"]);
    assert_eq!(shown.code, 1);
    for part in [
        "cs-db:all",
        "1.0 → 1.1",
        "not in the package log",
        "web-1",
        "due 20",
    ] {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }
    assert_eq!(here.reconcile(&["--host", "web-2"]).code, 0);

    // Each is looked at by a human, who signs what was found.
    let found = here.reconcile(&["--json"]).json();
    let numbers: Vec<String> = found["unwarranted"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record["index"].to_string())
        .collect();
    let unasked = here.reconcile(&["accept", &numbers[0]]);
    assert_eq!(unasked.code, 2, "nothing is signed unasked");
    let accepted = here
        .reconcile(&[
            "accept",
            &numbers[0],
            "--note",
            "asked for by ticket 7",
            "--yes",
        ])
        .done();
    assert!(
        accepted
            .stderr
            .contains("cs-old:all went 1.0 → nothing, without a warrant"),
        "{}",
        accepted.stderr
    );
    assert_eq!(here.reconcile(&["accept", &numbers[0], "--yes"]).code, 1);
    assert_eq!(here.open().len(), 1);
    here.reconcile(&["concern", &numbers[1], "--yes"]).done();
    assert_eq!(here.open(), Vec::<String>::new());
    let all = here.reconcile(&["--all"]).done().stdout;
    assert!(
        all.contains("accepted by ada") && all.contains("concern of ada"),
        "{all}"
    );
    assert_eq!(here.reconcile(&["accept", "1", "--yes"]).code, 1);
    here.log_holds();
}

/// `countersign host run`, ended by its id when it is dropped.
struct Daemon(Child);

impl Daemon {
    fn start(here: &Place) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .args(["host", "run", "--config"])
            .arg(here.config_path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let socket = here.config.hook_socket();
        let daemon = Self(child);
        until("it listens", || {
            std::os::unix::net::UnixStream::connect(&socket).is_ok()
        });
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_run_that_the_hook_covered_gives_nothing_to_look_at() {
    let here = place(true);
    here.guard("enforce");
    here.run();
    let change = here.approved("cs-web", "1.1");
    let _daemon = Daemon::start(&here);
    let run = here.sandbox.plain_install("cs-web").unwrap();
    assert_eq!(run.exit_code, Some(0), "{}", run.said);
    until("it is settled", || {
        here.state(&change) == json!("succeeded")
    });
    // The next outside change shows that reports of after it were taken.
    let file = here.sandbox.file("cs-db", "1.1").unwrap().to_owned();
    here.dpkg(&["-i", file.to_str().unwrap()]);
    until("the outside change", || !here.open().is_empty());
    assert_eq!(here.open(), ["cs-db 1.0>1.1 package-log"]);
    here.log_holds();
}

#[test]
fn rotating_the_log_and_losing_its_place_hides_nothing() {
    let here = place(false);
    here.run();
    let log = here.sandbox.root().join("var/log/dpkg.log");
    let file = here.sandbox.file("cs-web", "1.1").unwrap().to_owned();
    here.dpkg(&["-i", file.to_str().unwrap()]);
    std::fs::rename(&log, log.with_extension("log.1")).unwrap();
    here.run();
    assert_eq!(here.open(), ["cs-web 1.0>1.1 package-log"]);
    // Everything that this host remembers of its reports is gone, and the log with it.
    let file = here.sandbox.file("cs-db", "1.1").unwrap().to_owned();
    here.dpkg(&["-i", file.to_str().unwrap()]);
    std::fs::remove_file(&log).unwrap();
    std::fs::remove_file(here.config.state_dir.join("packages.json")).unwrap();
    here.run();
    assert_eq!(
        here.open(),
        ["cs-db 1.0>1.1 state", "cs-web 1.0>1.1 package-log"]
    );
    assert_eq!(here.alarms("package-reports-begun-anew"), 1);
    here.log_holds();
}
