//! What every command has: where the gate is, who signs, how to talk and to ask.

use super::{Failure, Global};
use crate::client::{Client, Target};
use crate::deployment::{TRIAL_KEY, default_dir};
use crate::signing::{KeyQuery, Signer, SshKey, candidates, in_roster};
use countersign_domain::{Digest, PersonId, Roster};
use serde::Serialize;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

/// What every command has.
pub struct Context {
    target: Target,
    key: Option<PathBuf>,
    /// True to write JSON.
    pub json: bool,
    yes: bool,
}

impl Context {
    pub(super) fn new(global: Global) -> Self {
        let dir = global
            .dir
            .or_else(default_dir)
            .unwrap_or_else(|| PathBuf::from("countersign-data"));
        Self {
            target: Target {
                dir,
                server: global.server,
                token_file: global.token_file,
                genesis: global.genesis,
            },
            key: global.key,
            json: global.json,
            yes: global.yes,
        }
    }

    /// The data directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.target.dir
    }

    /// The genesis digest that was pinned on the command line.
    #[must_use]
    pub const fn genesis(&self) -> Option<Digest> {
        self.target.genesis
    }

    /// The key that was named.
    #[must_use]
    pub fn named_key(&self) -> Option<&Path> {
        self.key.as_deref()
    }

    /// A connection to the gate.
    ///
    /// # Errors
    /// When there is none to be had.
    pub fn client(&self) -> Result<Client, Failure> {
        Ok(Client::connect(&self.target)?)
    }

    /// Every key of the person at the terminal.
    ///
    /// # Errors
    /// When the key that was named cannot be used.
    pub fn keys(&self) -> Result<Vec<SshKey>, Failure> {
        let query = KeyQuery {
            named: self.key.clone(),
            trial: Some(self.dir().join(TRIAL_KEY)),
        };
        Ok(candidates(&query)?)
    }

    /// The person at the terminal, by the first of their keys that is in the roster.
    ///
    /// # Errors
    /// When none is.
    pub fn person(&self, roster: &Roster) -> Result<(PersonId, SshKey), Failure> {
        Ok(in_roster(self.keys()?, roster)?)
    }

    /// Asks whether to go on.
    ///
    /// # Errors
    /// When the answer is no, or there is nobody to ask.
    pub fn confirm(&self, question: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            return Err(
                Failure::usage("there is nobody to ask: stdin is not a terminal")
                    .hint("look at what would be signed, then add `--yes`"),
            );
        }
        eprint!("{question} [y/N] ");
        // Whether the prompt could be written shows by the answer.
        let _ = std::io::stderr().flush();
        let mut answer = String::new();
        std::io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(|error| Failure::refused(error.to_string()))?;
        match answer.trim() {
            "y" | "Y" | "yes" => Ok(()),
            _ => Err(Failure::refused("not signed")),
        }
    }

    /// Writes text to stdout.
    pub fn say(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        // A reader that has gone away (`| head`) is no failure of the command.
        let _ = writeln!(out, "{}", text.trim_end_matches('\n'));
    }

    /// Writes a value: JSON where asked for, else the text.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    pub fn answer<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        if self.json {
            let text = serde_json::to_string_pretty(value)
                .map_err(|error| Failure::refused(error.to_string()))?;
            self.say(&text);
        } else {
            self.say(&text(value));
        }
        Ok(())
    }
}

/// A signer over a roster.
#[must_use]
pub fn signer<'a>(roster: &Roster, person: &PersonId, key: &'a SshKey) -> Signer<'a> {
    Signer {
        key,
        person: person.clone(),
        deployment: roster.deployment.clone(),
        roster_version: roster.version,
    }
}
