//! Who the named human is, and which key they sign with.

use super::prompt::Prompt;
use super::{Arguments, QuickstartError};
use crate::signing::{KeyQuery, SshKey, candidates};
use countersign_domain::PersonId;
use std::process::{Command, Stdio};

/// The named human of a trial.
pub(super) struct Human {
    pub(super) person: PersonId,
    pub(super) name: String,
    pub(super) key: SshKey,
    /// True when the key was made for this trial.
    pub(super) trial_key: bool,
}

/// Takes the human from flags, from git's configuration, or asks.
pub(super) fn find(arguments: &Arguments, prompt: &Prompt) -> Result<Human, QuickstartError> {
    let known = arguments.name.clone().or_else(|| git("user.name"));
    let name = match &arguments.name {
        Some(name) => Some(name.clone()),
        None => prompt.text(
            "Who is the named human behind changes here",
            known.as_deref(),
        ),
    };
    let name = name
        .filter(|name| !name.trim().is_empty())
        .ok_or(QuickstartError::Nobody)?;
    let name: String = name.trim().chars().take(100).collect();
    let handle = arguments.person.clone().unwrap_or_else(|| handle(&name));
    let person = PersonId::new(handle).map_err(|error| QuickstartError::Invalid {
        field: "person",
        problem: error.to_string(),
    })?;
    let (key, trial_key) = key(arguments, prompt)?;
    Ok(Human {
        person,
        name,
        key,
        trial_key,
    })
}

/// The person's own SSH key where one is offered, else one made for this trial. An unattended run
/// takes only a key that was named: others may ask for a passphrase, and are not ours to use.
fn key(arguments: &Arguments, prompt: &Prompt) -> Result<(SshKey, bool), QuickstartError> {
    if let Some(path) = &arguments.key {
        return Ok((SshKey::open(path)?, false));
    }
    if prompt.asks() {
        for key in candidates(&KeyQuery::default())? {
            let question = format!("Sign with your SSH key {}?", key.fingerprint());
            if prompt.confirm(&question, true, false) {
                return Ok((key, false));
            }
        }
    }
    Ok((SshKey::generate()?, true))
}

/// A handle from a name: lower case, words joined by dots.
fn handle(name: &str) -> String {
    let words: Vec<String> = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    if words.is_empty() {
        "operator".into()
    } else {
        words.join(".").chars().take(60).collect()
    }
}

fn git(key: &str) -> Option<String> {
    let output = Command::new("git")
        .args(["config", "--get", key])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_a_handle() {
        assert_eq!(handle("Maria Ortiz"), "maria.ortiz");
        assert_eq!(handle("  Zoë O'Neill-Smith "), "zo.o.neill.smith");
        assert_eq!(handle("王小明"), "operator");
        for name in ["Maria Ortiz", "Zoë", "王小明", "../..", &"x".repeat(500)] {
            assert!(PersonId::new(handle(name)).is_ok(), "{name}");
        }
    }
}
