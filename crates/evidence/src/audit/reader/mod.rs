//! The readers, one a format: what each takes as an action, as an approval, and how it tells a
//! person from an automation. A reader sees one record at a time, keeps nothing between records
//! unless its format needs it, and believes nothing: what it does not understand is unreadable.

mod ansible;
mod awx;
mod cloudtrail;
pub(crate) mod dnf;
mod github;
mod jira;
mod kubernetes;
pub(crate) mod lenient;
pub(crate) mod lines;
pub(crate) mod mapped;
mod references;
pub(crate) mod servicenow;
#[cfg(test)]
mod testing;

use super::mapping::Mapping;
use super::model::{Format, Place, Row};
use super::moment::Moment;
use countersign_domain::Digest;
use jiff::tz::TimeZone;

/// What readers are told.
#[derive(Debug, Clone)]
pub struct Context {
    /// The zone of local times that name none.
    pub(crate) zone: TimeZone,
    /// The system that a log is of where it names none (a host's own `history.log`).
    pub(crate) host: String,
    /// That all such logs are of that one, wherever they lie.
    pub(crate) one_host: bool,
    /// What records of other formats are.
    pub(crate) mappings: Vec<Mapping>,
    /// The genesis that logs of Countersign's are held against.
    pub(crate) genesis: Option<Digest>,
    /// About how many bytes of actions and approvals are kept.
    pub(crate) memory: u64,
}

/// About how many bytes of actions, approvals and package transitions are kept unless asked otherwise:
/// a million actions.
pub const MEMORY_DEFAULT: u64 = 2 * 1024 * 1024 * 1024;

/// There is no such zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time zone; hint: a name such as `Europe/Berlin`, or `UTC`")]
pub struct ZoneError(String);

impl Context {
    /// Local times are read in the zone of this name, or in this machine's; logs that name no system
    /// are of `host`.
    ///
    /// # Errors
    /// Where there is no such zone.
    pub fn new(zone: Option<&str>, host: impl Into<String>) -> Result<Self, ZoneError> {
        let zone = match zone {
            Some(name) => TimeZone::get(name)
                .map_err(|_| ZoneError(countersign_domain::text::shown(name, 60)))?,
            None => TimeZone::system(),
        };
        Ok(Self {
            zone,
            host: host.into(),
            one_host: false,
            mappings: Vec::new(),
            genesis: None,
            memory: MEMORY_DEFAULT,
        })
    }

    /// Also reads what these mappings are for; a record is read by the first that fits, before any
    /// format that is known.
    #[must_use]
    pub fn with_mappings(mut self, mappings: Vec<Mapping>) -> Self {
        self.mappings = mappings;
        self
    }

    /// All logs that name no system are of that host, in whatever folders they lie.
    #[must_use]
    pub fn of_one_host(self) -> Self {
        Self {
            one_host: true,
            ..self
        }
    }

    /// Actions, approvals and package transitions of about so many bytes are kept at most; of logs that
    /// hold more, nothing is judged.
    #[must_use]
    pub fn within(self, memory: u64) -> Self {
        Self { memory, ..self }
    }

    /// Logs of Countersign's must begin with this genesis.
    #[must_use]
    pub fn pinned(self, genesis: Digest) -> Self {
        Self {
            genesis: Some(genesis),
            ..self
        }
    }

    /// The zone's name.
    #[must_use]
    pub fn zone_name(&self) -> &str {
        self.zone.iana_name().unwrap_or("this machine's zone")
    }
}

/// One record, as its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    /// A JSON value, or a line without its end.
    pub(crate) bytes: &'a [u8],
    /// Where it stands.
    pub(crate) place: Place,
}

/// What a reader made of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Of another format.
    NotMine,
    /// Of this format, but broken; why.
    Unreadable(&'static str),
    /// Read. With the record's time, if it has one.
    Read(Option<Moment>),
}

/// A format whose records are JSON objects.
pub(crate) trait JsonReader: Sync {
    /// Whose records it reads.
    fn format(&self) -> Format;

    /// Reads a record, and puts what it comes to into `rows`.
    fn take(&self, record: Record<'_>, context: &Context, rows: &mut Vec<Row>) -> Taken;

    /// What it takes as an action, what as an approval, and how it tells people from automations.
    fn about(&self) -> About;
}

/// What a reader says of itself; `countersign audit formats` prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct About {
    /// The format.
    pub format: Format,
    /// What is read.
    pub reads: &'static str,
    /// What counts as an action.
    pub actions: &'static str,
    /// What counts as an approval.
    pub approvals: &'static str,
    /// How people are told from automations.
    pub people: &'static str,
    /// False where no real sample was to be had: the documented shape, unproven.
    pub proven: bool,
}

/// The readers of JSON records.
pub(crate) const JSON: &[&dyn JsonReader] = &[
    &cloudtrail::CloudTrail,
    &kubernetes::Kubernetes,
    &github::GitHub,
    &servicenow::ServiceNow,
    &jira::Jira,
    &ansible::AnsibleRunner,
    &awx::Awx,
];

/// What every reader says of itself.
#[must_use]
pub fn formats() -> Vec<About> {
    let mut all = vec![super::own::ABOUT];
    all.extend(lines::ABOUT);
    all.extend([dnf::ABOUT, mapped::ABOUT]);
    all.extend(JSON.iter().map(|reader| reader.about()));
    all
}
