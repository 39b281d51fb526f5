//! What the configuration takes and refuses.

use super::*;
use std::os::unix::fs::PermissionsExt as _;

const GOOD: &str = r#"
host = "web-1"
deployment = "localhost/trial"
genesis = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
server = "http://127.0.0.1:8440"
state_dir = "/var/lib/countersign-host"
[pins]
tier = 2
required_humans = [{ group = "ops", quorum = 2 }]
[checks.web]
http = "http://localhost/health"
packages = ["nginx*"]
"#;

fn parse(text: &str) -> Result<Config, String> {
    let config: Config = toml::from_str(text).map_err(|error| error.to_string())?;
    config.check().map_err(|error| error.to_string())?;
    Ok(config)
}

#[test]
fn a_configuration_reads_back_from_its_own_toml() {
    let config = parse(GOOD).unwrap();
    assert_eq!(parse(&config.to_toml().unwrap()), Ok(config.clone()));
    assert_eq!(
        config.key_path(),
        Path::new("/var/lib/countersign-host/host.key")
    );
    let mut other = config.clone();
    other.checks.clear();
    assert_ne!(config.definitions().unwrap(), other.definitions().unwrap());
}

#[test]
fn wrong_values_are_named_with_their_remedy() {
    for (from, to, said) in [
        ("host =", "hots =", "hots"),
        ("tier = 2", "tier = 7", "tiers run from 0"),
        ("http://127.0.0.1:8440", "http://gate.example", "`server`"),
        ("\"/var/lib", "\"var/lib", "`state_dir`"),
        (
            "tier = 2",
            "tier = 2\noffline_start = true",
            "`pins.offline_start`",
        ),
        (
            "tier = 2",
            "tier = 2\nlease_seconds_max = 61",
            "`pins.lease_seconds_max`",
        ),
        ("quorum = 2", "quorum = 0", "`pins.required_humans`"),
        ("packages =", "tcp = \"a:1\"\npackages =", "`checks.web`"),
        (
            "http = \"http://localhost/health\"",
            "command = [\"true\"]",
            "absolute path",
        ),
        (
            "http = \"http://localhost/health\"",
            "tcp = \"a\"",
            "host:port",
        ),
        (
            "packages =",
            "timeout_seconds = 0\npackages =",
            "timeout_seconds",
        ),
        (
            "[checks.web]",
            "[network]\nsocket = \"n.sock\"\n[checks.web]",
            "`network.socket`",
        ),
        (
            "[checks.web]",
            "[network]\nserver = \"https://gate.example\"\n[checks.web]",
            "server",
        ),
    ] {
        let text = GOOD.replace(from, to);
        assert_ne!(text, GOOD, "{from}");
        let error = parse(&text).unwrap_err();
        assert!(error.contains(said), "{to}: {error}");
    }
}

#[test]
fn a_file_that_others_can_write_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("host.toml");
    std::fs::write(&path, GOOD).unwrap();
    let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode));
    mode(0o644).unwrap();
    assert!(Config::load(&path).is_ok());
    mode(0o664).unwrap();
    assert!(matches!(
        Config::load(&path),
        Err(ConfigError::Writable { .. })
    ));
}

#[test]
fn a_host_defines_no_more_checks_than_one_plan_may_hold() {
    let with = |count: usize| {
        let mut text = GOOD.to_owned();
        for n in 1..count {
            text.push_str(&format!("[checks.extra-{n}]\ntcp = \"localhost:80\"\n"));
        }
        parse(&text)
    };
    assert_eq!(with(64).unwrap().checks.len(), 64);
    assert!(with(65).unwrap_err().contains("64"));
}
