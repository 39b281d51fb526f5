//! Health checks by name, as the host's own configuration defines them (invariant 13). A check that
//! cannot be run has not passed.

use crate::child::Run;
use crate::config::{CheckConfig, Config};
use countersign_domain::id::CheckName;
use countersign_domain::observation::Health;
use countersign_domain::text::shown;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

/// What a check says at most, in characters.
const DETAIL_CHARS_MAX: usize = 200;

/// Runs the check `name`; one that the host does not define has not passed.
#[must_use]
pub fn run(config: &Config, name: &CheckName) -> Health {
    let result = match config.checks.get(name) {
        Some(check) => run_one(check),
        None => Err("this host defines no such check".into()),
    };
    Health {
        check: name.clone(),
        passed: result.is_ok(),
        detail: Some(match result {
            Ok(said) | Err(said) => shown(said.trim(), DETAIL_CHARS_MAX),
        })
        .filter(|text| !text.is_empty()),
    }
}

/// Runs several, in order.
#[must_use]
pub fn run_all<'a>(config: &Config, names: impl IntoIterator<Item = &'a CheckName>) -> Vec<Health> {
    names.into_iter().map(|name| run(config, name)).collect()
}

/// Runs several after a change: a service may need a moment, so checks that ask it over the network
/// are asked again until their own time limit has passed.
#[must_use]
pub fn settle_all<'a>(
    config: &Config,
    names: impl IntoIterator<Item = &'a CheckName>,
) -> Vec<Health> {
    names
        .into_iter()
        .map(|name| {
            let check = config.checks.get(name);
            let seconds = check.map_or(0, |check| check.timeout_seconds);
            let patient = check.is_some_and(|check| check.command.is_none());
            let deadline = Instant::now() + Duration::from_secs(u64::from(seconds));
            loop {
                let health = run(config, name);
                if health.passed || !patient || Instant::now() >= deadline {
                    return health;
                }
                std::thread::sleep(Duration::from_millis(500));
            }
        })
        .collect()
}

/// The checks that this host demands for a change of these packages.
pub fn demanded<'a>(
    config: &'a Config,
    packages: &'a [&'a str],
) -> impl Iterator<Item = &'a CheckName> {
    config
        .checks
        .iter()
        .filter(|(_, check)| {
            check
                .packages
                .iter()
                .any(|pattern| packages.iter().any(|name| pattern.matches(name)))
        })
        .map(|(name, _)| name)
}

fn run_one(check: &CheckConfig) -> Result<String, String> {
    let limit = Duration::from_secs(u64::from(check.timeout_seconds));
    match (&check.command, &check.http, &check.tcp) {
        (Some(words), None, None) => command(words, limit),
        (None, Some(url), None) => http(url, limit),
        (None, None, Some(address)) => tcp(address, limit),
        // `Config::check` refuses everything else; without it, it has not passed.
        _ => Err("the check defines nothing to run".into()),
    }
}

fn command(words: &[String], limit: Duration) -> Result<String, String> {
    let (program, arguments) = words.split_first().ok_or("the command is empty")?;
    let ended = Run::new(program)
        .args(arguments)
        .seconds(limit.as_secs())
        .bytes_max(256 * 1024)
        .end()
        .map_err(|error| error.to_string())?;
    if ended.status.success() {
        Ok(ended.text())
    } else {
        Err(format!("{}: {}", ended.status, ended.complaint()))
    }
}

fn http(url: &str, limit: Duration) -> Result<String, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(limit))
        .max_redirects(0)
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into();
    let status = agent
        .get(url)
        .call()
        .map_err(|error| error.to_string())?
        .status();
    if status.is_success() {
        Ok(format!("answered {status}"))
    } else {
        Err(format!("answered {status}"))
    }
}

fn tcp(address: &str, limit: Duration) -> Result<String, String> {
    let addresses = address
        .to_socket_addrs()
        .map_err(|error| error.to_string())?;
    let mut problem = "the name has no address".to_owned();
    for address in addresses.take(4) {
        match TcpStream::connect_timeout(&address, limit) {
            Ok(_) => return Ok("took a connection".into()),
            Err(error) => problem = error.to_string(),
        }
    }
    Err(problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    fn check(text: &str) -> CheckConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn commands_pass_by_exit_status_only() {
        assert!(run_one(&check("command = ['/bin/true']")).is_ok());
        let error = run_one(&check(
            "command = ['/bin/sh', '-c', 'echo down >&2; exit 3']",
        ));
        assert!(error.unwrap_err().contains("down"));
        assert!(run_one(&check("command = ['/no/such']")).is_err());
        let slow = check("command = ['/bin/sleep', '60']\ntimeout_seconds = 1");
        assert!(run_one(&slow).unwrap_err().contains("did not end"));
    }

    #[test]
    fn http_and_tcp_checks_ask_a_real_server() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            for status in ["200 OK", "503 Down"] {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 1024]);
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
            }
        });
        let url = format!("http = 'http://{address}/health'\ntimeout_seconds = 5");
        assert!(run_one(&check(&url)).is_ok());
        assert!(run_one(&check(&url)).unwrap_err().contains("503"));
        server.join().unwrap();
        assert!(run_one(&check(&format!("tcp = '{address}'\ntimeout_seconds = 2"))).is_err());
    }
}
