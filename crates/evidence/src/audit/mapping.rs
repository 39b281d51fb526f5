//! Mappings: what the columns or paths of records of any other format are to us, as somebody wrote it
//! down in TOML. A mapping says what a record is, never that an approval is good: that is judged.

use super::moment::Moment;
use jiff::tz::TimeZone;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The longest mapping that is read, in bytes.
pub const MAPPING_BYTES_MAX: u64 = 64 * 1024;

/// What records of one kind look like.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Mapping {
    /// What a record is.
    pub(crate) kind: Kind,
    /// Columns or paths that only such records have, besides those that must be there.
    #[serde(default)]
    pub(crate) requires: Vec<String>,
    /// The column or path of each field.
    pub(crate) fields: BTreeMap<Field, Columns>,
    /// What stands in none of them.
    #[serde(default)]
    pub(crate) constants: BTreeMap<Field, String>,
    /// How times are written: `rfc3339`, `epoch`, `epoch-ms`, or a pattern as of strftime.
    #[serde(default = "rfc3339")]
    time: String,
    /// By what values a record is marked: column, and what stands there.
    #[serde(default)]
    marks: BTreeMap<Mark, BTreeMap<String, Vec<String>>>,
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    Action,
    Change,
    Decision,
}

/// Our fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Field {
    Id,
    System,
    Environment,
    Started,
    Ended,
    Summary,
    Items,
    Actor,
    References,
    Number,
    Targets,
    From,
    Until,
    Requester,
    Test,
    Rollback,
    Change,
    Approver,
    Decided,
}

/// What a record can be marked as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mark {
    Failed,
    DryRun,
    ReadOnly,
    Automation,
    Person,
    Group,
    Approved,
    Rejected,
    Withdrawn,
    Standard,
    Emergency,
}

/// One column, or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Columns {
    One(String),
    Several(Vec<String>),
}

/// Why a mapping cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// Not TOML of this form; with line and column.
    #[error("{0}")]
    Toml(String),
    /// A field that such a record needs.
    #[error(
        "an {kind} needs `{field}`; hint: under [fields], `{field} = \"COLUMN\"` (a column of CSV, \
         `a.b` or `/a/b` in JSON), or a constant under [constants]"
    )]
    Missing {
        /// What a record is.
        kind: &'static str,
        /// The field.
        field: &'static str,
    },
    /// A format of times that there is not.
    #[error(
        "`time = \"{0}\"` is no format of times; hint: `rfc3339`, `epoch`, `epoch-ms`, or a pattern \
         such as `%d/%m/%Y %H:%M:%S`"
    )]
    Time(String),
    /// A decision that nothing tells.
    #[error(
        "nothing says which decisions are approvals; hint: under [marks.approved], `COLUMN = \
         [\"Approved\"]`"
    )]
    Outcome,
}

fn rfc3339() -> String {
    "rfc3339".to_owned()
}

impl Columns {
    pub(crate) fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(several) => several,
        }
    }
}

impl Mapping {
    /// Reads a mapping.
    ///
    /// # Errors
    /// [`MappingError`] says what to do.
    pub fn read(text: &str) -> Result<Self, MappingError> {
        let mapping: Self =
            toml::from_str(text).map_err(|error| MappingError::Toml(error.to_string()))?;
        let required: &[(Field, &'static str)] = match mapping.kind {
            Kind::Action => &[(Field::System, "system"), (Field::Started, "started")],
            Kind::Change => &[(Field::Number, "number")],
            Kind::Decision => &[(Field::Change, "change"), (Field::Approver, "approver")],
        };
        let kind = match mapping.kind {
            Kind::Action => "action",
            Kind::Change => "change",
            Kind::Decision => "decision",
        };
        for (field, name) in required {
            let constant = *name == "system" && mapping.constants.contains_key(field);
            if mapping.columns(*field).is_empty() && !constant {
                return Err(MappingError::Missing { kind, field: name });
            }
        }
        if mapping.kind == Kind::Decision && !mapping.marks.contains_key(&Mark::Approved) {
            return Err(MappingError::Outcome);
        }
        let known = matches!(mapping.time.as_str(), "rfc3339" | "epoch" | "epoch-ms");
        let pattern = mapping.time.contains('%')
            && jiff::fmt::strtime::format(&mapping.time, &jiff::Zoned::default()).is_ok();
        if !known && !pattern {
            let shown = countersign_domain::text::shown(&mapping.time, 60);
            return Err(MappingError::Time(shown));
        }
        Ok(mapping)
    }

    /// The columns of a field.
    pub(crate) fn columns(&self, field: Field) -> &[String] {
        self.fields.get(&field).map_or(&[], Columns::all)
    }

    /// What a record must have to be one of these.
    pub(crate) fn required(&self) -> BTreeSet<&str> {
        let fields: &[Field] = match self.kind {
            Kind::Action => &[Field::System, Field::Started],
            Kind::Change => &[Field::Number],
            Kind::Decision => &[Field::Change, Field::Approver],
        };
        fields
            .iter()
            .flat_map(|field| self.columns(*field))
            .chain(&self.requires)
            .map(String::as_str)
            .collect()
    }

    /// Whether a record is marked so. `get` tells what stands in a column.
    pub(crate) fn marked(&self, mark: Mark, get: &dyn Fn(&str) -> Option<String>) -> bool {
        self.marks
            .get(&mark)
            .into_iter()
            .flatten()
            .any(|(column, values)| {
                let value = get(column).unwrap_or_default();
                values
                    .iter()
                    .any(|one| one.trim().eq_ignore_ascii_case(value.trim()))
            })
    }

    /// Whether it says by what such a mark is told.
    pub(crate) fn tells(&self, mark: Mark) -> bool {
        self.marks.contains_key(&mark)
    }

    /// A time, as this mapping says that times are written. None where it is no such time.
    pub(crate) fn time(&self, text: &str, zone: &TimeZone) -> Option<Moment> {
        let text = text.trim();
        match self.time.as_str() {
            "rfc3339" => Moment::parse(text),
            "epoch" => Moment::of_millis(text.parse::<i64>().ok()?.checked_mul(1000)?),
            "epoch-ms" => Moment::of_millis(text.parse().ok()?),
            pattern => {
                let parsed = jiff::fmt::strtime::parse(pattern, text).ok()?;
                if parsed.offset().is_some() {
                    let at = parsed.to_timestamp().ok()?;
                    return Moment::of_millis(at.as_millisecond());
                }
                Moment::local(&parsed.to_datetime().ok()?.to_string(), zone)
            }
        }
    }
}
