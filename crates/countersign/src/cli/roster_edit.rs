//! The edits of the roster that the command line offers, each turned into operations.

use super::Failure;
use crate::ambient;
use crate::signing::SshKey;
use countersign_domain::roster::Operation;
use countersign_domain::text::SaltedText;
use countersign_domain::{AgentId, GroupId, HostId, PersonId};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Operations, and the texts that they name by digest.
#[derive(Debug, Default)]
pub struct Edit {
    /// In order.
    pub operations: Vec<Operation>,
    /// Names of people.
    pub texts: Vec<SaltedText>,
}

impl From<Operation> for Edit {
    fn from(operation: Operation) -> Self {
        Self {
            operations: vec![operation],
            texts: Vec::new(),
        }
    }
}

/// The person's public key, read from a file.
fn key_operation(person: &PersonId, path: &Path) -> Result<Operation, Failure> {
    let key = SshKey::open(path)?;
    Ok(Operation::AddKey {
        person: person.clone(),
        fingerprint: key.fingerprint().to_owned(),
        public_key: key.public_key().to_owned(),
    })
}

/// A named human with a key.
#[derive(Debug, clap::Args)]
pub struct AddPerson {
    /// The handle
    person: PersonId,
    /// The name to show
    #[arg(long)]
    name: String,
    /// The SSH public key
    #[arg(long, value_name = "FILE")]
    public_key: PathBuf,
}

impl TryFrom<AddPerson> for Edit {
    type Error = Failure;

    fn try_from(add: AddPerson) -> Result<Self, Failure> {
        let name = SaltedText::new(ambient::random(), add.name);
        let digest = name
            .digest()
            .map_err(|error| Failure::usage(error.to_string()))?;
        let key = key_operation(&add.person, &add.public_key)?;
        let person = Operation::AddPerson {
            person: add.person,
            name: digest,
        };
        Ok(Self {
            operations: vec![person, key],
            texts: vec![name],
        })
    }
}

/// A person leaves.
#[derive(Debug, clap::Args)]
pub struct RemovePerson {
    /// The handle
    person: PersonId,
}

/// Another key of a person.
#[derive(Debug, clap::Args)]
pub struct AddKey {
    /// The handle
    person: PersonId,
    /// The SSH public key
    #[arg(long, value_name = "FILE")]
    public_key: PathBuf,
}

/// A key no longer counts.
#[derive(Debug, clap::Args)]
pub struct RevokeKey {
    /// The fingerprint, such as `SHA256:…`
    fingerprint: String,
}

/// A group's members.
#[derive(Debug, clap::Args)]
pub struct SetGroup {
    /// The group
    group: GroupId,
    /// All of its members; none removes the group
    members: Vec<PersonId>,
}

/// An agent and its owner.
#[derive(Debug, clap::Args)]
pub struct AddAgent {
    /// The agent
    agent: AgentId,
    /// The human who answers for it
    #[arg(long)]
    owner: PersonId,
    /// Its Ed25519 public key, 64 hex digits
    #[arg(long, value_name = "HEX")]
    public_key: String,
}

/// An agent leaves.
#[derive(Debug, clap::Args)]
pub struct RemoveAgent {
    /// The agent
    agent: AgentId,
}

/// A host.
#[derive(Debug, clap::Args)]
pub struct AddHost {
    /// The host
    host: HostId,
    /// Its Ed25519 public key, 64 hex digits, as `countersign-host enroll` prints it
    #[arg(long, value_name = "HEX")]
    public_key: String,
}

/// A host leaves.
#[derive(Debug, clap::Args)]
pub struct RemoveHost {
    /// The host
    host: HostId,
}

/// Who signs.
#[derive(Debug, clap::Args)]
pub struct SetThreshold {
    /// The group
    group: GroupId,
    /// How many distinct people of it
    quorum: u32,
}

/// Who cosigns.
#[derive(Debug, clap::Args)]
pub struct SetWitnesses {
    /// Verifier keys, as `countersign witness keygen` prints them
    witnesses: Vec<String>,
    /// How many must have cosigned; 0 demands none
    #[arg(long, default_value_t = 0)]
    quorum: u32,
}

macro_rules! edits {
    ($($name:ident($edit:ident) => $operation:expr;)*) => {$(
        impl TryFrom<$name> for Edit {
            type Error = Failure;

            fn try_from($edit: $name) -> Result<Self, Failure> {
                Ok(Self::from($operation))
            }
        }
    )*};
}

edits! {
    RemovePerson(edit) => Operation::RemovePerson { person: edit.person };
    AddKey(edit) => key_operation(&edit.person, &edit.public_key)?;
    RevokeKey(edit) => Operation::RevokeKey { fingerprint: edit.fingerprint };
    SetGroup(edit) => Operation::SetGroup {
        group: edit.group,
        members: edit.members.into_iter().collect::<BTreeSet<_>>(),
    };
    AddAgent(edit) => Operation::SetAgent {
        agent: edit.agent,
        owner: edit.owner,
        public_key: edit.public_key,
    };
    RemoveAgent(edit) => Operation::RemoveAgent { agent: edit.agent };
    AddHost(edit) => Operation::SetHost { host: edit.host, public_key: edit.public_key };
    RemoveHost(edit) => Operation::RemoveHost { host: edit.host };
    SetThreshold(edit) => Operation::SetThreshold { group: edit.group, quorum: edit.quorum };
    SetWitnesses(edit) => Operation::SetWitnesses { witnesses: edit.witnesses, quorum: edit.quorum };
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EditFile {
    operation: Vec<toml::Table>,
}

/// Reads several edits from a TOML file. Operations are in their log form, but for people: they are
/// named, `{op = "add-person", person = "…", name = "Their Name", key_file = "…"}`.
///
/// # Errors
/// When the file cannot be read, or an operation is not known.
pub fn from_file(path: &Path) -> Result<Edit, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
    let wrong = |error: String| Failure::usage(format!("`{}`: {error}", path.display()));
    let file: EditFile = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let mut edit = Edit::default();
    for table in file.operation {
        let get = |name: &str| {
            table
                .get(name)
                .and_then(toml::Value::as_str)
                .map(str::to_owned)
        };
        let is = |op: &str| get("op").as_deref() == Some(op);
        if is("add-person") || (is("add-key") && table.contains_key("key_file")) {
            let missing =
                |name: &str| wrong(format!("an `add-person` or `add-key` lacks `{name}`"));
            let person = PersonId::new(get("person").ok_or_else(|| missing("person"))?)
                .map_err(|error| wrong(error.to_string()))?;
            let key = PathBuf::from(get("key_file").ok_or_else(|| missing("key_file"))?);
            if is("add-key") {
                edit.operations.push(key_operation(&person, &key)?);
                continue;
            }
            let added = Edit::try_from(AddPerson {
                person,
                name: get("name").ok_or_else(|| missing("name"))?,
                public_key: key,
            })?;
            edit.operations.extend(added.operations);
            edit.texts.extend(added.texts);
            continue;
        }
        let operation = toml::Value::Table(table)
            .try_into()
            .map_err(|error: toml::de::Error| wrong(error.to_string()))?;
        edit.operations.push(operation);
    }
    Ok(edit)
}
