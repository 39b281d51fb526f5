//! What logs are read into, whatever their format: actions, change records, and decisions on them.
//! Pure values; who counts as a named human is looked up in `people`, what belongs together is
//! found in `link`.

use super::controllers::Given;
use super::moment::Moment;
use super::runs::Run;
use super::schema;
use countersign_domain::Digest;
use schemars::JsonSchema;
use serde::Serialize;

/// A log format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Countersign's own log.
    Countersign,
    /// apt's `history.log`.
    AptHistory,
    /// `dpkg.log`.
    Dpkg,
    /// `unattended-upgrades.log`.
    UnattendedUpgrades,
    /// AWS CloudTrail.
    #[serde(rename = "cloudtrail")]
    CloudTrail,
    /// Kubernetes audit events (`audit.k8s.io/v1`).
    Kubernetes,
    /// GitHub pull requests and their reviews.
    #[serde(rename = "github")]
    GitHub,
    /// `ServiceNow` change requests and their approvals.
    #[serde(rename = "servicenow")]
    ServiceNow,
    /// Jira Service Management requests and their approvals.
    Jira,
    /// The events of ansible-runner.
    AnsibleRunner,
    /// AWX (Ansible Automation Platform): jobs, their events, approvals in workflows.
    Awx,
    /// dnf's history.
    Dnf,
    /// Any other, by a mapping.
    Mapped,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Countersign,
        Self::AptHistory,
        Self::Dpkg,
        Self::UnattendedUpgrades,
        Self::CloudTrail,
        Self::Kubernetes,
        Self::GitHub,
        Self::ServiceNow,
        Self::Jira,
        Self::AnsibleRunner,
        Self::Awx,
        Self::Dnf,
        Self::Mapped,
    ];

    /// Its name, as reports write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Countersign => "countersign",
            Self::AptHistory => "apt-history",
            Self::Dpkg => "dpkg",
            Self::UnattendedUpgrades => "unattended-upgrades",
            Self::CloudTrail => "cloudtrail",
            Self::Kubernetes => "kubernetes",
            Self::GitHub => "github",
            Self::ServiceNow => "servicenow",
            Self::Jira => "jira",
            Self::AnsibleRunner => "ansible-runner",
            Self::Awx => "awx",
            Self::Dnf => "dnf",
            Self::Mapped => "mapped",
        }
    }
}

/// A file that was read, by its number in the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct FileNumber(pub u32);

/// Where something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub struct Place {
    /// The file.
    pub file: FileNumber,
    /// Byte offset of the record in the file, uncompressed.
    pub offset: u64,
    /// Line of the record, counted from 1, where the format has lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

/// What a log tells of who did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Nature {
    /// A person, as the log has it. A named human only if the registry knows them.
    Person,
    /// A program, a service, a role of a machine, a bot.
    Automation,
    /// A group, which is nobody in particular.
    Group,
    /// The log cannot tell.
    Unclear,
}

/// Who did something, as the log has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub struct Actor {
    /// How the log names them; hostile text.
    pub name: String,
    /// Other names of the same one: login, address, ARN, account id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// What the log tells of them.
    pub nature: Nature,
}

impl Actor {
    /// Somebody with one name.
    #[must_use]
    pub fn new(name: impl Into<String>, nature: Nature) -> Self {
        Self {
            name: name.into(),
            also: Vec::new(),
            nature,
        }
    }

    /// With another name.
    #[must_use]
    pub fn or(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        if !name.is_empty() && name != self.name && !self.also.contains(&name) {
            self.also.push(name);
        }
        self
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.also.iter().map(String::as_str))
    }
}

/// By what an action and a change record can belong together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(tag = "kind", content = "value", rename_all = "kebab-case")]
pub enum Reference {
    /// An id of Countersign's (an authorization, a change, a warrant).
    Countersign(String),
    /// A number of a change record: `CHG0031337`, `OPS-12`. In upper case.
    Number(String),
    /// A commit, as 40 (or 64) hexadecimal digits in lower case.
    Commit(String),
    /// An id of the acting system itself: a command id, a workflow id.
    Native(String),
}

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Action {
    /// The same for the same action, however often and in whatever file it is read.
    #[schemars(schema_with = "schema::digest")]
    pub key: Digest,
    /// Whose log.
    pub format: Format,
    /// Where it stands; several where it was read several times.
    pub places: Vec<Place>,
    /// When it began.
    pub started: Moment,
    /// When it ended, where the log says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Moment>,
    /// What it was done to: a host, an instance, a repository, a cluster.
    pub system: String,
    /// The environment, where the log or the caller says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// What was done, in few words; hostile text.
    pub summary: String,
    /// Packages, images, documents it touched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<String>,
    /// Who did it.
    pub actor: Actor,
    /// What it names as its reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<Reference>,
}

/// What kind of change a record is of (ITIL).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// Approved one by one.
    Normal,
    /// Of a class that was approved before, as a template.
    Standard,
    /// Approved afterwards, where there was no time.
    Emergency,
}

/// Whether a record has a plan of some kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Plan {
    /// It has one.
    Given,
    /// It has the field, and it is empty.
    Missing,
    /// The format has no such field.
    NotKept,
}

/// A record of a change: a ticket, a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The same for the same record, in every export of it.
    pub key: String,
    /// Other keys, by which decisions may name it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// Whose.
    pub format: Format,
    /// Where it stands.
    pub places: Vec<Place>,
    /// How people call it.
    pub number: String,
    /// What it can be found by.
    pub references: Vec<Reference>,
    /// What kind it is.
    pub kind: ChangeKind,
    /// The systems that it names.
    pub targets: Vec<String>,
    /// From when to when it may be done, where it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<(Moment, Moment)>,
    /// Who asked for it.
    pub requesters: Vec<Actor>,
    /// True where it was rejected, cancelled or withdrawn.
    pub withdrawn: bool,
    /// True where the record itself says that somebody has yet to decide.
    pub pending: bool,
    /// What it may be found by, where it cannot be told whether it is the one that is meant.
    pub unclear: Vec<Reference>,
    /// The commit that it came to, if it is one of code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// How it is tested.
    pub test: Plan,
    /// How it is undone.
    pub rollback: Plan,
    /// What it calls these.
    pub named: Naming,
}

/// What a change record names besides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Naming {
    /// The version of the policy, or of the template, that a standing authorization rests on.
    pub policy_version: Option<String>,
    /// How it is tested; hostile text.
    pub test: Option<String>,
    /// How it is undone; hostile text.
    pub rollback: Option<String>,
}

/// What somebody decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Yes.
    Approved,
    /// No.
    Rejected,
}

/// A decision on a change record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// The key of the change that it is on.
    pub change: String,
    /// Whose log.
    pub format: Format,
    /// Where it stands.
    pub places: Vec<Place>,
    /// Who decided.
    pub approver: Actor,
    /// Who entered it, where the log tells and it is somebody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entered_by: Option<Actor>,
    /// What they decided.
    pub outcome: Outcome,
    /// When, where the log says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided: Option<Moment>,
    /// The commit that they looked at, if it is one of code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// Why a record that could be an action is not counted as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Exclusion {
    /// It only shows what would be done.
    DryRun,
    /// It failed.
    Failed,
    /// It was not permitted.
    Denied,
    /// It changes nothing.
    ReadOnly,
    /// It says the same as another row that is counted.
    Repeated,
    /// It concerns something else than changes to software.
    Other,
}

/// What one record came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// Something was done.
    Action(Box<Action>),
    /// A record of a change.
    Change(Box<Change>),
    /// A decision on a change.
    Decision(Box<Decision>),
    /// Counted, and no more.
    Excluded(Exclusion),
    /// Of a record that came to other rows, a part could not be read.
    PartUnread {
        /// Where the record stands.
        place: Place,
        /// What is wrong with the part.
        why: &'static str,
    },
    /// What is told of a whole run.
    Run(Box<Run>),
    /// The action with this key was done, even where its run was a dry one.
    Certain(Digest),
    /// The acting system gave an id to something.
    Given(Box<Given>),
    /// The change record that one export calls by `number` is the one that others call by `id`: both as
    /// keys.
    Same {
        /// By its number.
        number: String,
        /// By its id.
        id: String,
        /// Whether the record itself says so, and not an approval of it.
        own: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn names_of_formats_are_what_json_says() {
        for format in Format::ALL {
            let json = serde_json::to_string(&format).unwrap();
            assert_eq!(json, format!("\"{}\"", format.as_str()));
        }
    }
}
