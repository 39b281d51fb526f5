//! The `countersign-host` binary as people and apt call it.

use crate::gate::Gate;
use crate::sandboxed::{Place, place, proposal};
use countersign_domain::emergency::EmergencyBundle;
use countersign_domain::{GroupQuorum, Timestamp};
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

fn host(place: &Place, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_countersign-host"))
        .args(words)
        .arg("--config")
        .arg(place.config_path())
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_host_is_enrolled_runs_and_tells_its_status() {
    let mut place = place();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let real_now = Timestamp::from_unix_seconds(since.as_secs().cast_signed());
    let gate = Gate::start(&place.config.host, &place.config.deployment, real_now);
    place.config.server = gate.server.clone();
    place.config.genesis = gate.genesis;
    place.write_config();
    place.guard("enforce");

    let not_enrolled = host(&place, &["run", "--once"]);
    assert_eq!(not_enrolled.status.code(), Some(1));
    assert!(err(&not_enrolled).contains("countersign-host enroll"));

    let enrolled = host(&place, &["enroll"]);
    assert!(enrolled.status.success(), "{}", err(&enrolled));
    let key = out(&enrolled).trim().to_owned();
    assert_eq!(key.len(), 64);
    assert!(err(&enrolled).contains(&format!(
        "countersign roster add-host sandbox-1 --public-key {key}"
    )));
    let again = host(&place, &["enroll"]);
    assert!(err(&again).contains("--keep-key"), "{}", err(&again));
    assert_eq!(out(&host(&place, &["enroll", "--keep-key"])).trim(), key);
    gate.admit(&key);

    let change = gate.propose(proposal(&place.config, &[("cs-web", "1.1")]));
    let prepared = host(&place, &["run", "--once"]);
    assert!(prepared.status.success(), "{}", err(&prepared));
    gate.authorize(&change);
    let left = host(&place, &["run", "--once", "--prepare-only"]);
    assert!(err(&left).contains("0 executed"), "{}", err(&left));
    let ran = host(&place, &["run", "--once"]);
    assert!(err(&ran).contains("1 executed"), "{}", err(&ran));
    assert_eq!(place.version("cs-web").as_deref(), Some("1.1"));

    let status: serde_json::Value =
        serde_json::from_str(&out(&host(&place, &["status", "--json"]))).unwrap();
    assert_eq!(status["executions"][0]["ending"], "succeeded");
    assert_eq!(status["executions"][0]["receipt_delivered"], true);
    // The key stands in no output.
    let seed = std::fs::read_to_string(place.config.key_path()).unwrap();
    for output in [&enrolled, &prepared, &ran] {
        assert!(!out(output).contains(seed.trim()) && !err(output).contains(seed.trim()));
    }
}

#[test]
fn observing_writes_json_to_stdout_alone() {
    let place = place();
    let output = host(&place, &["observe", "--json"]);
    assert!(output.status.success(), "{}", err(&output));
    let observation: countersign_domain::observation::Observation =
        serde_json::from_str(&out(&output)).unwrap();
    assert_eq!(observation.pending.len(), 6);
}

#[test]
fn a_wrong_configuration_is_named() {
    let place = place();
    assert!(host(&place, &["config", "check"]).status.success());
    let text = std::fs::read_to_string(place.config_path()).unwrap();
    std::fs::write(place.config_path(), text.replace("tier = 4", "tier = 9")).unwrap();
    let output = host(&place, &["config", "check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        err(&output).contains("tier `9` does not exist"),
        "{}",
        err(&output)
    );
}

#[test]
fn a_proxy_from_the_environment_never_sees_the_token() {
    let mut place = place();
    let gate = Gate::start(
        &place.config.host,
        &place.config.deployment,
        Timestamp::EPOCH,
    );
    place.config.server = gate.server.clone();
    place.config.genesis = gate.genesis;
    place.write_config();
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let enrolled = Command::new(env!("CARGO_BIN_EXE_countersign-host"))
        .args(["enroll", "--config"])
        .arg(place.config_path())
        .envs(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"].map(|name| (name, &address)))
        .env_remove("no_proxy")
        .env_remove("NO_PROXY")
        .output()
        .unwrap();
    assert!(enrolled.status.success(), "{}", err(&enrolled));
    assert!(proxy.accept().is_err(), "the proxy was asked");
}

#[test]
fn an_order_is_written_under_a_bare_name_into_the_working_folder() {
    let mut place = place();
    let gate = Gate::start(
        &place.config.host,
        &place.config.deployment,
        Timestamp::EPOCH,
    );
    place.config.server = gate.server.clone();
    place.config.genesis = gate.genesis;
    place.config.pins.emergency = vec![GroupQuorum {
        group: "oncall".parse().unwrap(),
        quorum: 2,
    }];
    place.write_config();
    assert!(host(&place, &["enroll"]).status.success());
    let folder = tempfile::tempdir().unwrap();
    let prepare = || {
        Command::new(env!("CARGO_BIN_EXE_countersign-host"))
            .current_dir(folder.path())
            .args(["emergency", "prepare", "--out", "order.json", "cs-web=1.1"])
            .arg("--config")
            .arg(place.config_path())
            .output()
            .unwrap()
    };
    let prepared = prepare();
    assert!(prepared.status.success(), "{}", err(&prepared));
    let text = std::fs::read(folder.path().join("order.json")).unwrap();
    let bundle: EmergencyBundle = serde_json::from_slice(&text).unwrap();
    assert!(out(&prepared).contains(&bundle.order.digest().unwrap().to_string()));
    // One that exists is not overwritten.
    assert!(!prepare().status.success());
    assert_eq!(
        std::fs::read(folder.path().join("order.json")).unwrap(),
        text
    );
}
