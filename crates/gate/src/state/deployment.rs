//! Records of the deployment as a whole: hosts, roster, policy, inventory, feeds, halts, alarms.

use super::Record;
use countersign_domain::asset::{Asset, Environment};
use countersign_domain::entry::PolicyFile;
use countersign_domain::observation::PendingUpgrade;
use countersign_domain::package::{Architecture, PackageName};
use countersign_domain::statement::HaltScope;
use countersign_domain::warrant::Signer;
use countersign_domain::{AgentId, ChangeId, Digest, HostId, PersonId, Roster, Timestamp};
use countersign_facts::feed::{FeedState, IntelRecord};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The last observation of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecord {
    /// The host.
    pub host: HostId,
    /// Digest of the signed observation, kept beside the log.
    pub observation: Digest,
    /// When, by the host's clock.
    pub observed_at: Timestamp,
    /// When it came in.
    pub received_at: Timestamp,
    /// The entry.
    pub index: u64,
}

impl Record for HostRecord {
    const KIND: &'static str = "host";
    const LISTED: bool = true;
    fn key(&self) -> String {
        self.host.to_string()
    }
    fn order(&self) -> u64 {
        self.index
    }
}

/// When a host that is enrolled was last heard of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactRecord {
    /// The host.
    pub host: HostId,
    /// When it last reported, by the gate's clock; else when it was enrolled.
    pub since: Timestamp,
    /// False when it never reported since it was enrolled.
    pub reported: bool,
    /// The alarm of this silence, where it was raised: when, and which entry.
    pub silent: Option<(Timestamp, u64)>,
}

impl Record for ContactRecord {
    const KIND: &'static str = "contact";
    const LISTED: bool = true;
    fn key(&self) -> String {
        self.host.to_string()
    }
    fn due_at(&self) -> Option<Timestamp> {
        // How long after that silence is an alarm is for the policy in force to say.
        self.silent.is_none().then_some(self.since)
    }
}

/// An upgrade that a host could make, from its last observation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingRecord {
    /// The host.
    pub host: HostId,
    /// The observation that says so.
    pub observation: Digest,
    /// When it was observed.
    pub observed_at: Timestamp,
    /// The entry.
    pub index: u64,
    /// The upgrade.
    pub upgrade: PendingUpgrade,
}

impl PendingRecord {
    /// Keys of all pending upgrades of a host start with this.
    #[must_use]
    pub fn key_prefix(host: &HostId) -> String {
        format!("{host} ")
    }

    /// The key of one.
    #[must_use]
    pub fn key_of(host: &HostId, name: &PackageName, architecture: &Architecture) -> String {
        format!("{host} {name} {architecture}")
    }
}

impl Record for PendingRecord {
    const KIND: &'static str = "pending";
    fn key(&self) -> String {
        Self::key_of(&self.host, &self.upgrade.name, &self.upgrade.architecture)
    }
    fn order(&self) -> u64 {
        self.index
    }
}

/// The roster in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterRecord {
    /// The fold of all changes.
    pub roster: Roster,
    /// The entries of the changes, in order.
    pub entries: Vec<u64>,
}

impl Record for RosterRecord {
    const KIND: &'static str = "roster";
    fn key(&self) -> String {
        "current".into()
    }
}

/// Who answers for an agent of the roster in force: found without reading the roster whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRecord {
    /// The agent.
    pub agent: AgentId,
    /// Who answers for it.
    pub owner: PersonId,
}

impl Record for AgentRecord {
    const KIND: &'static str = "agent";
    fn key(&self) -> String {
        self.agent.to_string()
    }
}

/// The policy version in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// Its digest.
    pub policy: Digest,
    /// Its number.
    pub version: u64,
    /// The entry.
    pub index: u64,
    /// When it came into force.
    pub at: Timestamp,
    /// Its files.
    pub files: Vec<PolicyFile>,
    /// Until when its review is current.
    pub review_due_at: Timestamp,
    /// Who wrote it.
    pub authors: Vec<PersonId>,
    /// Who signed it, and when.
    pub signers: Vec<Signer>,
    /// The alarm that its calendars cannot be read any more, where it was raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendars_alarm: Option<u64>,
}

impl Record for PolicyRecord {
    const KIND: &'static str = "policy";
    fn key(&self) -> String {
        "current".into()
    }
}

/// An asset, as the inventory in force has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetRecord {
    /// The asset.
    pub asset: Asset,
}

impl Record for AssetRecord {
    const KIND: &'static str = "asset";
    fn key(&self) -> String {
        self.asset.host.to_string()
    }
    fn state(&self) -> String {
        self.asset.environment.as_str().to_owned()
    }
}

/// The inventory in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryRecord {
    /// Digest of the file, kept beside the log.
    pub inventory: Digest,
    /// The entry.
    pub index: u64,
    /// When it came into force.
    pub at: Timestamp,
    /// Assets by environment: what a blast radius is a percentage of.
    pub assets: BTreeMap<Environment, u32>,
}

impl Record for InventoryRecord {
    const KIND: &'static str = "inventory";
    fn key(&self) -> String {
        "current".into()
    }
}

/// The last import of a feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedRecord {
    /// Its name; decision tables have one each.
    pub feed: String,
    /// What it was.
    pub import: FeedState,
    /// Records taken.
    pub records: u64,
    /// The entry.
    pub index: u64,
}

impl Record for FeedRecord {
    const KIND: &'static str = "feed";
    const LISTED: bool = true;
    fn key(&self) -> String {
        self.feed.clone()
    }
    fn order(&self) -> u64 {
        self.index
    }
}

/// A row of intelligence, with the import that brought it where rows of one feed come from several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredIntel {
    /// The record.
    pub record: IntelRecord,
    /// The import; none where the feed's last import is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import: Option<FeedState>,
}

/// What is halted, and how often halts and resumes have been.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaltRecord {
    /// Counts every halt and resume.
    pub epoch: u64,
    /// What is halted: by the scope's canonical text, with the entry that halted it.
    pub active: BTreeMap<String, (HaltScope, u64)>,
}

impl Record for HaltRecord {
    const KIND: &'static str = "halt";
    fn key(&self) -> String {
        "current".into()
    }
}

/// Something that a human should look into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmRecord {
    /// The entry.
    pub index: u64,
    /// When.
    pub at: Timestamp,
    /// The kind.
    pub kind: String,
    /// The change concerned.
    pub change: Option<ChangeId>,
    /// In words.
    pub text: String,
}

impl Record for AlarmRecord {
    const KIND: &'static str = "alarm";
    const LISTED: bool = true;
    fn key(&self) -> String {
        format!("{:020}", self.index)
    }
    fn order(&self) -> u64 {
        self.index
    }
}
