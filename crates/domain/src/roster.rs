//! The roster: named humans and their keys, groups, agents and owners, hosts, the gate's keys. Its
//! own chain: each change names its predecessor and is signed under the roster's own threshold.
//! This module folds changes; `verify` checks who signed them.

use crate::canonical::{self, CanonicalError};
use crate::digest::Digest;
use crate::id::{AgentId, DeploymentId, GroupId, HostId, PersonId};
use crate::statement::SignedStatement;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Operations in one roster change at most.
pub const OPERATIONS_MAX: usize = 100;
/// The longest OpenSSH public key that is taken, in bytes.
pub const PUBLIC_KEY_BYTES_MAX: usize = 4 * 1024;

/// One edit of the roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Operation {
    /// How many distinct members of which group sign roster changes and policy versions.
    SetThreshold {
        /// The group.
        group: GroupId,
        /// Distinct people, at least 1.
        quorum: u32,
    },
    /// A named human joins.
    AddPerson {
        /// The handle.
        person: PersonId,
        /// Salted digest of the display name, whose text is kept beside the log.
        name: Digest,
    },
    /// A named human leaves: the keys no longer count, the groups lose a member.
    RemovePerson {
        /// The handle.
        person: PersonId,
    },
    /// A person gets a key.
    AddKey {
        /// Whose.
        person: PersonId,
        /// The fingerprint, such as `SHA256:…`; `verify` compares it with the key.
        fingerprint: String,
        /// The public key in OpenSSH form, without a comment.
        public_key: String,
    },
    /// A key no longer counts.
    RevokeKey {
        /// The fingerprint.
        fingerprint: String,
    },
    /// A group's members, all of them; an empty set removes the group.
    SetGroup {
        /// The group.
        group: GroupId,
        /// Its members.
        members: BTreeSet<PersonId>,
    },
    /// An agent, with the human who answers for it. Naming it again replaces owner and key.
    SetAgent {
        /// The agent.
        agent: AgentId,
        /// Who answers for it.
        owner: PersonId,
        /// Its Ed25519 public key, 64 hex digits.
        public_key: String,
    },
    /// An agent may no longer propose.
    RemoveAgent {
        /// The agent.
        agent: AgentId,
    },
    /// A host. Naming it again replaces its key.
    SetHost {
        /// The host.
        host: HostId,
        /// Its Ed25519 public key, 64 hex digits.
        public_key: String,
    },
    /// A host no longer takes part.
    RemoveHost {
        /// The host.
        host: HostId,
    },
    /// The gate's keys.
    SetGate(GateKeys),
    /// Witnesses, and how many of them a checkpoint needs.
    SetWitnesses {
        /// Verifier keys in signed-note form.
        witnesses: Vec<String>,
        /// How many must have cosigned; 0 demands none.
        quorum: u32,
    },
}

/// The public keys of the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateKeys {
    /// Signs warrants and leases: Ed25519, 64 hex digits.
    pub warrant: String,
    /// Signs checkpoints of the authorizations log: verifier key in signed-note form.
    pub authorizations: String,
    /// Signs checkpoints of the recommendations log: verifier key in signed-note form.
    pub recommendations: String,
}

/// A change of the roster, before signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RosterChange {
    /// The form of this document: 1.
    pub v: u8,
    /// The deployment.
    pub deployment: DeploymentId,
    /// True in a trial deployment; fixed by the first change.
    pub trial: bool,
    /// The version it makes: 1 for the genesis, then one more each.
    pub version: u64,
    /// Digest of the change before; none for the genesis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// When it was written.
    pub at: Timestamp,
    /// The edits, in order.
    pub operations: Vec<Operation>,
}

/// A roster change as signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedRosterChange {
    /// The canonical bytes of a [`RosterChange`].
    pub change: String,
    /// Statements of kind `roster`, one per signer.
    pub statements: Vec<SignedStatement>,
}

/// A named human in the roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Salted digest of the display name.
    pub name: Digest,
    /// The version at which the person left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<u64>,
}

/// A key, and between which versions it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonKey {
    /// Whose.
    pub person: PersonId,
    /// In OpenSSH form.
    pub public_key: String,
    /// From this version on.
    pub added_at: u64,
    /// No longer from this version on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<u64>,
}

/// An agent and its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// The human who answers for it.
    pub owner: PersonId,
    /// Ed25519, 64 hex digits.
    pub public_key: String,
}

/// How many of which group sign roster changes and policy versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threshold {
    /// The group.
    pub group: GroupId,
    /// Distinct people.
    pub quorum: u32,
}

/// The roster at one version: the fold of all changes up to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster {
    /// The deployment.
    pub deployment: DeploymentId,
    /// True in a trial deployment.
    pub trial: bool,
    /// The number of the last change.
    pub version: u64,
    /// The digest of the last change.
    pub head: Digest,
    /// The digest of the first change: what enrolment pins.
    pub genesis: Digest,
    /// Who signs changes.
    pub threshold: Threshold,
    /// People, by handle.
    pub people: BTreeMap<PersonId, Person>,
    /// Keys, by fingerprint; revoked ones too.
    pub keys: BTreeMap<String, PersonKey>,
    /// Groups.
    pub groups: BTreeMap<GroupId, BTreeSet<PersonId>>,
    /// Agents.
    pub agents: BTreeMap<AgentId, Agent>,
    /// Hosts: Ed25519, 64 hex digits.
    pub hosts: BTreeMap<HostId, String>,
    /// The gate's keys.
    pub gate: GateKeys,
    /// Witnesses: verifier keys in signed-note form.
    pub witnesses: Vec<String>,
    /// How many witnesses a checkpoint needs.
    pub witness_quorum: u32,
}

/// Why a roster change cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    /// Not canonical.
    #[error("the roster change is malformed: {0}")]
    Canonical(#[from] CanonicalError),
    /// It does not follow the roster it is applied to.
    #[error("roster change {found} does not follow version {current}: {problem}")]
    Order {
        /// The version that is there.
        current: u64,
        /// The version of the change.
        found: u64,
        /// What does not fit.
        problem: &'static str,
    },
    /// An operation that makes no sense.
    #[error("roster operation {at}: {problem}")]
    Operation {
        /// Which, from 0.
        at: usize,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The result could not sign its own next change, or lacks what every roster needs.
    #[error("the roster would be unusable: {0}")]
    Unusable(String),
}

impl Roster {
    /// The roster that the first change founds.
    ///
    /// # Errors
    /// When the change is not a genesis, or its result would be unusable.
    pub fn found(change: &RosterChange) -> Result<Self, RosterError> {
        if change.version != 1 || change.previous.is_some() {
            return Err(RosterError::Order {
                current: 0,
                found: change.version,
                problem: "a genesis has version 1 and no predecessor",
            });
        }
        let digest = canonical::digest(change)?;
        let mut threshold = None;
        let mut gate = None;
        for operation in &change.operations {
            match operation {
                Operation::SetThreshold { group, quorum } => {
                    threshold = Some(Threshold {
                        group: group.clone(),
                        quorum: *quorum,
                    });
                }
                Operation::SetGate(keys) => gate = Some(keys.clone()),
                Operation::AddPerson { .. }
                | Operation::RemovePerson { .. }
                | Operation::AddKey { .. }
                | Operation::RevokeKey { .. }
                | Operation::SetGroup { .. }
                | Operation::SetAgent { .. }
                | Operation::RemoveAgent { .. }
                | Operation::SetHost { .. }
                | Operation::RemoveHost { .. }
                | Operation::SetWitnesses { .. } => {}
            }
        }
        let missing =
            |what: &str| RosterError::Unusable(format!("the genesis does not set {what}"));
        let mut roster = Self {
            deployment: change.deployment.clone(),
            trial: change.trial,
            version: 1,
            head: digest,
            genesis: digest,
            threshold: threshold.ok_or_else(|| missing("a threshold"))?,
            people: BTreeMap::new(),
            keys: BTreeMap::new(),
            groups: BTreeMap::new(),
            agents: BTreeMap::new(),
            hosts: BTreeMap::new(),
            gate: gate.ok_or_else(|| missing("the gate's keys"))?,
            witnesses: Vec::new(),
            witness_quorum: 0,
        };
        roster.apply_operations(change)?;
        Ok(roster)
    }

    /// The roster after `change`. Says nothing about who signed it.
    ///
    /// # Errors
    /// When the change does not follow this version, or its result would be unusable.
    pub fn extended(&self, change: &RosterChange) -> Result<Self, RosterError> {
        let order = |problem| RosterError::Order {
            current: self.version,
            found: change.version,
            problem,
        };
        if change.deployment != self.deployment || change.trial != self.trial {
            return Err(order("it belongs to another deployment"));
        }
        if change.version != self.version + 1 {
            return Err(order("versions count up by one"));
        }
        if change.previous != Some(self.head) {
            return Err(order("it names another predecessor"));
        }
        let mut roster = self.clone();
        roster.version = change.version;
        roster.head = canonical::digest(change)?;
        roster.apply_operations(change)?;
        Ok(roster)
    }

    fn apply_operations(&mut self, change: &RosterChange) -> Result<(), RosterError> {
        if change.v != 1 || change.operations.is_empty() || change.operations.len() > OPERATIONS_MAX
        {
            return Err(RosterError::Unusable(format!(
                "a change has version 1 and 1 to {OPERATIONS_MAX} operations"
            )));
        }
        for (at, operation) in change.operations.iter().enumerate() {
            self.apply(operation)
                .map_err(|problem| RosterError::Operation { at, problem })?;
        }
        self.check()
    }

    fn apply(&mut self, operation: &Operation) -> Result<(), String> {
        match operation {
            Operation::SetThreshold { group, quorum } => {
                self.threshold = Threshold {
                    group: group.clone(),
                    quorum: *quorum,
                };
            }
            Operation::AddPerson { person, name } => {
                if self.is_member(person) {
                    return Err(format!("`{person}` is in the roster already"));
                }
                let person_entry = Person {
                    name: *name,
                    removed_at: None,
                };
                self.people.insert(person.clone(), person_entry);
            }
            Operation::RemovePerson { person } => {
                let version = self.version;
                let entry = self
                    .people
                    .get_mut(person)
                    .ok_or_else(|| format!("`{person}` is not in the roster"))?;
                entry.removed_at = Some(version);
                for key in self.keys.values_mut().filter(|key| key.person == *person) {
                    key.revoked_at.get_or_insert(version);
                }
                for members in self.groups.values_mut() {
                    members.remove(person);
                }
            }
            Operation::AddKey {
                person,
                fingerprint,
                public_key,
            } => {
                self.require_person(person)?;
                if public_key.len() > PUBLIC_KEY_BYTES_MAX || fingerprint.len() > 100 {
                    return Err("the key is too long".into());
                }
                if self.keys.contains_key(fingerprint) {
                    return Err(format!(
                        "key `{fingerprint}` was in the roster before; use another"
                    ));
                }
                let key = PersonKey {
                    person: person.clone(),
                    public_key: public_key.clone(),
                    added_at: self.version,
                    revoked_at: None,
                };
                self.keys.insert(fingerprint.clone(), key);
            }
            Operation::RevokeKey { fingerprint } => {
                let version = self.version;
                self.keys
                    .get_mut(fingerprint)
                    .ok_or_else(|| format!("key `{fingerprint}` is not in the roster"))?
                    .revoked_at
                    .get_or_insert(version);
            }
            Operation::SetGroup { group, members } => {
                for person in members {
                    self.require_person(person)?;
                }
                if members.is_empty() {
                    self.groups.remove(group);
                } else {
                    self.groups.insert(group.clone(), members.clone());
                }
            }
            Operation::SetAgent {
                agent,
                owner,
                public_key,
            } => {
                self.require_person(owner)?;
                check_ed25519(public_key)?;
                let entry = Agent {
                    owner: owner.clone(),
                    public_key: public_key.clone(),
                };
                self.agents.insert(agent.clone(), entry);
            }
            Operation::RemoveAgent { agent } => {
                self.agents
                    .remove(agent)
                    .ok_or_else(|| format!("agent `{agent}` is not in the roster"))?;
            }
            Operation::SetHost { host, public_key } => {
                check_ed25519(public_key)?;
                self.hosts.insert(host.clone(), public_key.clone());
            }
            Operation::RemoveHost { host } => {
                self.hosts
                    .remove(host)
                    .ok_or_else(|| format!("host `{host}` is not in the roster"))?;
            }
            Operation::SetGate(keys) => {
                check_ed25519(&keys.warrant)?;
                self.gate = keys.clone();
            }
            Operation::SetWitnesses { witnesses, quorum } => {
                let distinct: BTreeSet<_> = witnesses.iter().collect();
                if distinct.len() != witnesses.len() || (*quorum as usize) > witnesses.len() {
                    return Err(
                        "witnesses must differ, and the quorum be at most their number".into(),
                    );
                }
                self.witnesses.clone_from(witnesses);
                self.witness_quorum = *quorum;
            }
        }
        Ok(())
    }

    fn require_person(&self, person: &PersonId) -> Result<(), String> {
        if self.is_member(person) {
            Ok(())
        } else {
            Err(format!(
                "`{person}` is not in the roster; add the person first"
            ))
        }
    }

    fn check(&self) -> Result<(), RosterError> {
        let Threshold { group, quorum } = &self.threshold;
        let able = self
            .members(group)
            .filter(|person| {
                self.keys
                    .values()
                    .any(|key| key.person == **person && key.revoked_at.is_none())
            })
            .count();
        if *quorum == 0 || able < *quorum as usize {
            return Err(RosterError::Unusable(format!(
                "group `{group}` has {able} members with a key; its own threshold needs {}",
                (*quorum).max(1)
            )));
        }
        for (agent, entry) in &self.agents {
            if !self.is_member(&entry.owner) {
                return Err(RosterError::Unusable(format!(
                    "`{}` answers for agent `{agent}` and cannot leave before that is changed",
                    entry.owner
                )));
            }
        }
        Ok(())
    }

    /// True when the person is in the roster now.
    #[must_use]
    pub fn is_member(&self, person: &PersonId) -> bool {
        self.people
            .get(person)
            .is_some_and(|entry| entry.removed_at.is_none())
    }

    /// The members of a group; none when there is no such group.
    pub fn members(&self, group: &GroupId) -> impl Iterator<Item = &PersonId> {
        self.groups.get(group).into_iter().flatten()
    }

    /// The groups that a person is in.
    pub fn groups_of<'a>(&'a self, person: &'a PersonId) -> impl Iterator<Item = &'a GroupId> {
        self.groups
            .iter()
            .filter(move |(_, members)| members.contains(person))
            .map(|(group, _)| group)
    }

    /// The key with this fingerprint, when it counted at `version` and has not been revoked since.
    #[must_use]
    pub fn key_at(&self, fingerprint: &str, version: u64) -> Option<&PersonKey> {
        self.keys.get(fingerprint).filter(|key| {
            key.added_at <= version && version <= self.version && key.revoked_at.is_none()
        })
    }
}

fn check_ed25519(hex_key: &str) -> Result<(), String> {
    let well_formed = hex_key.len() == 64
        && hex_key
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if well_formed {
        Ok(())
    } else {
        Err("an Ed25519 public key is 64 lower-case hex digits".into())
    }
}

#[cfg(test)]
mod tests;
