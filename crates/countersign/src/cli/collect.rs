//! What needs several signatures, as a file that people pass on: the thing itself, and the
//! statements about it so far. Each signer sees it rendered from the file, never from a server.

use super::calendar::load_whole;
use super::context::signer;
use super::render::operation;
use super::signed::show_and_sign;
use super::{Context, Failure};
use crate::ambient;
use crate::api::wire::{
    HaltAnswer, InventoryAnswer, InventoryBody, PolicyAnswer, PolicyBody, ResumptionBody,
    RosterAnswer, RosterBody,
};
use crate::client::Client;
use countersign_domain::roster::{RosterChange, SignedRosterChange};
use countersign_domain::statement::{HaltScope, Subject};
use countersign_domain::text::{SaltedText, shown};
use countersign_domain::{Digest, PersonId, Roster, SignedStatement, canonical};
use countersign_policy::{PolicySource, authority_in_words};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The longest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What is signed together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Matter {
    /// A roster change.
    Roster {
        /// Its canonical bytes.
        change: String,
        /// The texts behind the digests of names in it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        texts: Vec<SaltedText>,
    },
    /// A policy version.
    Policy {
        /// Its number.
        version: u64,
        /// Its files.
        files: BTreeMap<String, String>,
        /// Who wrote it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        authors: Vec<PersonId>,
    },
    /// An inventory.
    Inventory {
        /// The file.
        inventory: String,
    },
    /// A resume.
    Resume {
        /// What was halted.
        halt: HaltScope,
        /// The halt epoch.
        halt_epoch: u64,
    },
}

/// A matter and its signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collected {
    /// The matter.
    pub matter: Matter,
    /// Signatures so far.
    #[serde(default)]
    pub statements: Vec<SignedStatement>,
}

/// Writes a file that people pass on, replacing it.
///
/// # Errors
/// When it cannot be written.
pub fn replace<T: Serialize>(path: &Path, value: &T) -> Result<(), Failure> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Failure::refused(error.to_string()))?;
    File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(format!("{text}\n").as_bytes()))
        .map_err(|error| Failure::file(path, &error))
}

impl Matter {
    /// What each signer states.
    ///
    /// # Errors
    /// When the matter is malformed.
    pub fn subject(&self) -> Result<Subject, Failure> {
        Ok(match self {
            Self::Roster { change, .. } => {
                let read: RosterChange = canonical::from_bytes(change.as_bytes())?;
                Subject::Roster {
                    change: Digest::of(change.as_bytes()),
                    version: read.version,
                }
            }
            Self::Policy {
                version,
                files,
                authors,
            } => Subject::Policy {
                policy: source(files)?.digest(),
                version: *version,
                authors: authors.clone(),
            },
            Self::Inventory { inventory } => Subject::Inventory {
                inventory: Digest::of(inventory.as_bytes()),
            },
            Self::Resume { halt, halt_epoch } => Subject::Resume {
                halt: halt.clone(),
                halt_epoch: *halt_epoch,
            },
        })
    }

    /// What it would bring about, for the signer.
    ///
    /// # Errors
    /// When the matter is malformed.
    pub fn details(&self) -> Result<String, Failure> {
        let lines: Vec<String> = match self {
            Self::Roster { change, texts } => {
                let read: RosterChange = canonical::from_bytes(change.as_bytes())?;
                let mut lines = vec!["  The roster would change so:".to_owned()];
                lines.extend(
                    read.operations
                        .iter()
                        .map(|edit| format!("      {}", operation(edit))),
                );
                lines.extend(
                    texts
                        .iter()
                        .map(|text| format!("      name: {}", shown(&text.text, 200))),
                );
                lines
            }
            Self::Policy { files, authors, .. } => {
                let policy = load_whole(&source(files)?).map_err(|findings| {
                    let mut failure = Failure::refused("the policy does not validate");
                    failure.findings = findings.iter().map(ToString::to_string).collect();
                    failure
                })?;
                let mut lines = vec!["  What agents could then do without asking:".to_owned()];
                lines.extend(
                    authority_in_words(&policy)
                        .iter()
                        .map(|line| format!("      {}", shown(line, 20_000))),
                );
                lines.push(format!(
                    "  Files: {}",
                    files.keys().cloned().collect::<Vec<_>>().join(", ")
                ));
                let authors: Vec<_> = authors.iter().map(|author| author.as_str()).collect();
                if !authors.is_empty() {
                    lines.push(format!("  Written by: {}", authors.join(", ")));
                }
                lines
            }
            Self::Inventory { inventory } => {
                let read = countersign_facts::Inventory::parse(inventory.as_bytes())
                    .map_err(|error| Failure::refused(error.to_string()))?;
                let mut lines = vec!["  The inventory would say:".to_owned()];
                lines.extend(read.assets().map(|asset| {
                    format!(
                        "      {}: environment {}, tier {}",
                        asset.host,
                        asset.environment.as_str(),
                        asset.tier.number()
                    )
                }));
                lines
            }
            Self::Resume { .. } => vec!["  What was revoked meanwhile stays revoked.".to_owned()],
        };
        Ok(lines.join("\n"))
    }
}

pub(super) fn source(files: &BTreeMap<String, String>) -> Result<PolicySource, Failure> {
    let files = files
        .iter()
        .map(|(path, text)| (path.clone(), text.clone().into_bytes()))
        .collect();
    PolicySource::new(files).map_err(|error| Failure::refused(error.to_string()))
}

impl Collected {
    /// A matter that nobody has signed yet.
    #[must_use]
    pub const fn new(matter: Matter) -> Self {
        Self {
            matter,
            statements: Vec::new(),
        }
    }

    /// Shows it to the person at the terminal and adds their signature.
    ///
    /// # Errors
    /// When they say no, have signed it already, or are not in the roster.
    pub fn sign(
        &mut self,
        context: &Context,
        roster: &Roster,
        collected: bool,
    ) -> Result<PersonId, Failure> {
        let (person, key) = context.person(roster)?;
        for statement in &self.statements {
            if statement.unverified()?.approver == person {
                return Err(Failure::refused(format!(
                    "`{person}` has signed this already"
                )));
            }
        }
        let details = self.matter.details()?;
        let signer = signer(roster, &person, &key);
        let subject = self.matter.subject()?;
        let statement = show_and_sign(
            context,
            &signer,
            subject,
            &details,
            collected,
            ambient::now(),
        )?;
        self.statements.push(statement);
        Ok(person)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or is not one of these.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text))
            .map_err(|error| Failure::file(path, &error))?;
        serde_json::from_str(&text).map_err(|error| {
            Failure::usage(format!(
                "`{}` holds nothing to sign: {error}",
                path.display()
            ))
            .hint("such files are written by `--out FILE`")
        })
    }

    /// Writes a file, replacing it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        replace(path, self)
    }

    /// Takes the signatures of another file about the same matter.
    ///
    /// # Errors
    /// When it is about something else.
    pub fn merge(&mut self, other: Self) -> Result<(), Failure> {
        if other.matter != self.matter {
            return Err(Failure::usage(
                "the files are about different things; hand in one thing at a time",
            ));
        }
        for statement in other.statements {
            if !self.statements.contains(&statement) {
                self.statements.push(statement);
            }
        }
        Ok(())
    }

    /// Hands it in. What came of it, as JSON and in words.
    ///
    /// # Errors
    /// When the gate refuses.
    pub fn submit(self, client: &Client) -> Result<(serde_json::Value, String), Failure> {
        let statements = self.statements;
        let (json, words) = match self.matter {
            Matter::Roster { change, texts } => {
                let signed = SignedRosterChange { change, statements };
                let answer: RosterAnswer = client.post("roster", &RosterBody { signed, texts })?;
                let words = format!("the roster is at version {}", answer.roster_version);
                (serde_json::to_value(answer), words)
            }
            Matter::Policy {
                version,
                files,
                authors,
            } => {
                let body = PolicyBody {
                    files,
                    authors,
                    statements,
                };
                let answer: PolicyAnswer = client.post("policy", &body)?;
                let words = format!("policy version {version} is in force: {}", answer.policy);
                (serde_json::to_value(answer), words)
            }
            Matter::Inventory { inventory } => {
                let answer: InventoryAnswer = client.post(
                    "inventory",
                    &InventoryBody {
                        inventory,
                        statements,
                    },
                )?;
                let mut words = "the inventory is in force".to_owned();
                for raise in &answer.raises {
                    words.push_str(&format!(
                        "\nraises what the AI may do: {}",
                        shown(raise, 300)
                    ));
                }
                (serde_json::to_value(answer), words)
            }
            Matter::Resume { .. } => {
                let answer: HaltAnswer =
                    client.post("resumptions", &ResumptionBody { statements })?;
                let words = format!("resumed; halt epoch {}", answer.halt_epoch);
                (serde_json::to_value(answer), words)
            }
        };
        Ok((
            json.map_err(|error| Failure::refused(error.to_string()))?,
            words,
        ))
    }
}

/// Where a matter goes once this person has signed it: to a file for others, or to the gate.
#[derive(Debug, Clone, clap::Args)]
pub struct Destination {
    /// Sign, and write to this file for others to sign, instead of handing it in
    #[arg(long, value_name = "FILE")]
    pub out: Option<std::path::PathBuf>,
}

/// Signs a matter and sends it where it goes.
///
/// # Errors
/// When it is not signed, written or accepted.
pub fn sign_and_send(
    context: &Context,
    client: &Client,
    roster: &Roster,
    matter: Matter,
    destination: &Destination,
) -> Result<(), Failure> {
    let mut collected = Collected::new(matter);
    collected.sign(context, roster, destination.out.is_some())?;
    if let Some(path) = &destination.out {
        collected.write(path)?;
        return context.answer(&collected, |_| {
            format!(
                "written to {}; others sign with `countersign statement sign {}`, then `countersign statement submit {}`",
                path.display(),
                path.display(),
                path.display()
            )
        });
    }
    let (json, words) = collected
        .submit(client)
        .map_err(|failure| match failure.hint {
            Some(_) => failure,
            None => failure
                .hint("where several people have to sign, collect signatures with `--out FILE`"),
        })?;
    context.answer(&json, |_| words)
}
