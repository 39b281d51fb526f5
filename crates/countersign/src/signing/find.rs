//! Finds the SSH keys of the person at the terminal, and the one among them that the roster knows.

use super::{SigningError, SshKey};
use countersign_domain::{PersonId, Roster};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The names under which OpenSSH keeps keys, the better ones first.
const HOME_KEYS: [&str; 5] = [
    "id_ed25519",
    "id_ed25519_sk",
    "id_ecdsa",
    "id_ecdsa_sk",
    "id_rsa",
];
/// Keys in the agent that are looked at.
const AGENT_KEYS_MAX: usize = 50;

/// Where to look.
#[derive(Debug, Clone, Default)]
pub struct KeyQuery {
    /// The key that was named: then no other is looked at.
    pub named: Option<PathBuf>,
    /// A key in the data directory, made for a trial.
    pub trial: Option<PathBuf>,
}

/// Every key that is there, in the order in which they are tried.
///
/// # Errors
/// When the key that was named cannot be used. Others that cannot be used are passed over.
pub fn candidates(query: &KeyQuery) -> Result<Vec<SshKey>, SigningError> {
    if let Some(path) = &query.named {
        return Ok(vec![SshKey::open(path)?]);
    }
    let mut keys: Vec<SshKey> = Vec::new();
    let mut take = |key: Result<SshKey, SigningError>| {
        if let Ok(key) = key
            && keys
                .iter()
                .all(|known| known.fingerprint() != key.fingerprint())
        {
            keys.push(key);
        }
    };
    if let Some(path) = query.trial.as_deref().filter(|path| path.is_file()) {
        take(SshKey::open(path));
    }
    match git_key() {
        Some(GitKey::Line(line)) => take(SshKey::in_agent(&line)),
        Some(GitKey::File(path)) => take(SshKey::open(&path)),
        None => {}
    }
    if let Some(home) = home() {
        for name in HOME_KEYS {
            let path = home.join(".ssh").join(name);
            if path.is_file() {
                take(SshKey::open(&path));
            }
        }
    }
    for line in agent_lines() {
        take(SshKey::in_agent(&line));
    }
    Ok(keys)
}

/// The first of these keys that counts in the roster now, and whose it is.
///
/// # Errors
/// When there is none.
pub fn in_roster(keys: Vec<SshKey>, roster: &Roster) -> Result<(PersonId, SshKey), SigningError> {
    if keys.is_empty() {
        return Err(SigningError::NoKey);
    }
    let count = keys.len();
    keys.into_iter()
        .find_map(|key| {
            let entry = roster.key_at(key.fingerprint(), roster.version)?;
            roster
                .is_member(&entry.person)
                .then(|| (entry.person.clone(), key))
        })
        .ok_or(SigningError::NotInRoster(count))
}

fn home() -> Option<PathBuf> {
    std::env::var_os("HOME")
        .filter(|home| !home.is_empty())
        .map(PathBuf::from)
}

enum GitKey {
    /// A public key itself: the agent holds the other half.
    Line(String),
    /// A file.
    File(PathBuf),
}

/// The key with which git signs, when it signs with SSH.
fn git_key() -> Option<GitKey> {
    if output("git", &["config", "--get", "gpg.format"])?.trim() != "ssh" {
        return None;
    }
    let value = output("git", &["config", "--get", "user.signingkey"])?;
    let value = value.trim();
    if let Some(line) = value.strip_prefix("key::") {
        return Some(GitKey::Line(line.to_owned()));
    }
    if value.starts_with("ssh-") || value.starts_with("ecdsa-") || value.starts_with("sk-") {
        return Some(GitKey::Line(value.to_owned()));
    }
    let path = match value.strip_prefix("~/") {
        Some(rest) => home()?.join(rest),
        None => Path::new(value).to_owned(),
    };
    path.is_file().then_some(GitKey::File(path))
}

fn agent_lines() -> Vec<String> {
    if std::env::var_os("SSH_AUTH_SOCK").is_none() {
        return Vec::new();
    }
    let text = output("ssh-add", &["-L"]).unwrap_or_default();
    text.lines()
        .take(AGENT_KEYS_MAX)
        .map(str::to_owned)
        .collect()
}

/// What a program prints; none when it fails or is not there.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
