//! Founds a deployment: makes its keys, writes its directory and its genesis, which named humans
//! sign. Everything is made in a folder beside and renamed, so nothing half-founded is left.

use super::keys::Keys;
use super::{
    Config, DATABASE, Deployment, DeploymentError, FORM, OPERATOR_TOKEN, TRIAL_KEY, WitnessAddress,
    private,
};
use crate::ambient;
use crate::signing::{Signer, SigningError, SshKey};
use countersign_domain::roster::{Operation, RosterChange, SignedRosterChange};
use countersign_domain::statement::Subject;
use countersign_domain::text::SaltedText;
use countersign_domain::{DeploymentId, GroupId, PersonId, Timestamp, canonical};
use countersign_gate::Gate;
use countersign_store::{Options, Store};
use countersign_verify::ssh;
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A named human who is in the roster from the beginning.
#[derive(Debug, Clone)]
pub struct NewPerson {
    /// The handle.
    pub person: PersonId,
    /// The name to show.
    pub name: String,
    /// The public key in OpenSSH form, without a comment.
    pub public_key: String,
}

/// What a deployment is founded with.
#[derive(Debug, Clone)]
pub struct Founding {
    /// Its id.
    pub deployment: DeploymentId,
    /// True for a trial, in which one person may hold every seat (invariant 5).
    pub trial: bool,
    /// The first people.
    pub people: Vec<NewPerson>,
    /// Groups and their members.
    pub groups: Vec<(GroupId, BTreeSet<PersonId>)>,
    /// Who signs roster changes and policies: the group, and how many of it.
    pub threshold: (GroupId, u32),
    /// More operations of the genesis: agents, hosts, witnesses.
    pub operations: Vec<Operation>,
    /// Where it will listen.
    pub listen: SocketAddr,
    /// Addresses at which people reach it.
    pub origins: Vec<String>,
    /// Where witnesses are asked.
    pub witnesses: Vec<WitnessAddress>,
    /// The present.
    pub now: Timestamp,
}

impl Founding {
    /// A deployment of one person, in every group that the starter policy names.
    ///
    /// # Errors
    /// Never in practice: the names of the groups are constants.
    pub fn of_one(
        deployment: DeploymentId,
        trial: bool,
        person: NewPerson,
        now: Timestamp,
    ) -> Result<Self, DeploymentError> {
        let group = |name: &str| {
            GroupId::new(name).map_err(|error| DeploymentError::Invalid {
                field: "group",
                problem: error.to_string(),
            })
        };
        let groups = STARTER_GROUPS
            .iter()
            .map(|name| Ok((group(name)?, BTreeSet::from([person.person.clone()]))))
            .collect::<Result<_, DeploymentError>>()?;
        Ok(Self {
            deployment,
            trial,
            people: vec![person],
            groups,
            threshold: (group(OWNERS)?, 1),
            operations: Vec::new(),
            listen: LISTEN,
            origins: vec![format!("http://localhost:{}", LISTEN.port())],
            witnesses: Vec::new(),
            now,
        })
    }
}

/// Where a server listens unless told otherwise.
pub const LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8440);
/// The group that signs roster changes and policies, by the starter policy.
const OWNERS: &str = "policy-owners";
/// The groups that the starter policy names.
const STARTER_GROUPS: [&str; 4] = ["change-approvers", "database-owners", OWNERS, "reviewers"];

impl Deployment {
    /// Founds a deployment in `dir`, which must be absent or empty, and opens it. Each of `signers`
    /// signs the genesis; they have to reach its own threshold. `trial_key` is kept in the directory
    /// for the human who had no key.
    ///
    /// # Errors
    /// [`DeploymentError`]; then `dir` is as it was before.
    pub fn create(
        dir: &Path,
        founding: Founding,
        signers: &[(PersonId, &SshKey)],
        trial_key: Option<&SshKey>,
    ) -> Result<Self, DeploymentError> {
        let staging = staging(dir)?;
        let founded = fill(&staging, founding, signers, trial_key)
            .and_then(|()| fs::rename(&staging, dir).map_err(DeploymentError::file(dir)));
        if let Err(error) = founded {
            // What is left of it holds no deployment; the first error matters more than this one.
            let _ = fs::remove_dir_all(&staging);
            return Err(error);
        }
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            private::sync_folder(parent)?;
        }
        Self::open(dir)
    }
}

/// A new folder beside `dir`, on the same file system.
fn staging(dir: &Path) -> Result<PathBuf, DeploymentError> {
    match fs::read_dir(dir) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(DeploymentError::Occupied(dir.to_owned()));
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(DeploymentError::file(dir)(error)),
    }
    let name = dir.file_name().ok_or_else(|| DeploymentError::Invalid {
        field: "dir",
        problem: "expected a path that ends in a name".into(),
    })?;
    let parent = dir.parent().unwrap_or(Path::new(""));
    if !parent.as_os_str().is_empty() {
        fs::create_dir_all(parent).map_err(DeploymentError::file(parent))?;
    }
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".founding-{}", hex::encode(ambient::random::<8>())));
    let staging = parent.join(beside);
    private::create_folder(&staging)?;
    Ok(staging)
}

fn fill(
    dir: &Path,
    founding: Founding,
    signers: &[(PersonId, &SshKey)],
    trial_key: Option<&SshKey>,
) -> Result<(), DeploymentError> {
    let keys = Keys::create(dir, &founding.deployment)?;
    if let Some(key) = trial_key {
        key.write(&dir.join(TRIAL_KEY))?;
    }
    let token: [u8; 32] = ambient::random();
    private::create(
        &dir.join(OPERATOR_TOKEN),
        format!("{}\n", hex::encode(token)).as_bytes(),
    )?;
    let now = founding.now;
    let (change, texts) = genesis(&founding, &keys)?;
    let signed = sign(&change, signers, now)?;
    let warrant = keys.warrant.clone();
    let store = Store::open(&dir.join(DATABASE), keys.log_signers, Options::default())?;
    let gate = Gate::new(store, warrant);
    let genesis = crate::serve::block_on(gate.found(signed, texts, now))
        .map_err(DeploymentError::file(dir))??;
    // The store closes before the directory moves.
    drop(gate);
    let config = Config {
        form: FORM,
        deployment: founding.deployment,
        genesis,
        listen: founding.listen,
        origins: founding.origins,
        witnesses: founding.witnesses,
    };
    config.write(dir)?;
    private::sync_folder(dir)
}

fn genesis(
    founding: &Founding,
    keys: &Keys,
) -> Result<(RosterChange, Vec<SaltedText>), DeploymentError> {
    let invalid = |field, problem: String| DeploymentError::Invalid { field, problem };
    let mut operations = vec![Operation::SetGate(keys.public())];
    let mut texts = Vec::new();
    for person in &founding.people {
        let name = SaltedText::new(ambient::random(), person.name.clone());
        operations.push(Operation::AddPerson {
            person: person.person.clone(),
            name: name
                .digest()
                .map_err(|error| invalid("name", error.to_string()))?,
        });
        texts.push(name);
        operations.push(Operation::AddKey {
            person: person.person.clone(),
            fingerprint: ssh::fingerprint(&person.public_key)
                .map_err(|error| invalid("key", error.to_string()))?,
            public_key: person.public_key.clone(),
        });
    }
    for (group, members) in &founding.groups {
        operations.push(Operation::SetGroup {
            group: group.clone(),
            members: members.clone(),
        });
    }
    let (group, quorum) = founding.threshold.clone();
    operations.push(Operation::SetThreshold { group, quorum });
    operations.extend(founding.operations.iter().cloned());
    let change = RosterChange {
        v: 1,
        deployment: founding.deployment.clone(),
        trial: founding.trial,
        version: 1,
        previous: None,
        at: founding.now,
        operations,
    };
    Ok((change, texts))
}

fn sign(
    change: &RosterChange,
    signers: &[(PersonId, &SshKey)],
    now: Timestamp,
) -> Result<SignedRosterChange, SigningError> {
    let subject = Subject::Roster {
        change: canonical::digest(change)?,
        version: change.version,
    };
    let statements = signers
        .iter()
        .map(|(person, key)| {
            let signer = Signer {
                key,
                person: person.clone(),
                deployment: change.deployment.clone(),
                roster_version: change.version,
            };
            signer.state(subject.clone(), now)
        })
        .collect::<Result<_, _>>()?;
    Ok(SignedRosterChange {
        change: canonical::to_text(change)?,
        statements,
    })
}
