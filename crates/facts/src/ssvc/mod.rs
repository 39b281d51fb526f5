//! SSVC decision tables: every combination of inputs mapped to exactly one outcome. Loads CERT/CC's
//! JSON form and our compact form, checks completeness, looks up. Does not know where inputs come
//! from; `tables` and `vulnerability` do.

mod form;
mod tables;

pub use tables::{BodInput, DeployerInput, Tables};

use form::TableForm;
use serde::{Deserialize, Serialize};

/// Decision points that feed one table at most.
const INPUTS_MAX: usize = 8;
/// Values of one decision point at most.
const VALUES_MAX: usize = 16;
/// Combinations in one table at most.
const COMBINATIONS_MAX: usize = 10_000;
/// The longest identifier or value key, in bytes.
const WORD_BYTES_MAX: usize = 60;

/// Why a decision table was refused. The one in use stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Not the JSON or TOML of a decision table.
    #[error("not a decision table: {0}")]
    Form(String),
    /// A field is out of bounds or does not fit the others.
    #[error("decision table `{field}`: {problem}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A combination of inputs is mapped more than once.
    #[error("decision table maps `{0}` more than once")]
    Twice(String),
    /// Combinations are not mapped.
    #[error(
        "decision table maps {mapped} of {combinations} combinations of inputs; all are needed"
    )]
    Incomplete {
        /// Combinations mapped.
        mapped: usize,
        /// Combinations that there are.
        combinations: usize,
    },
    /// Not a table that facts are derived from here.
    #[error("decision table `{0}` is not used here; expected `cisa:DT_BOD2604` or `ssvc:DT_DP`")]
    Unknown(String),
}

/// A decision point: an input or the outcome of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Namespace, key and version, such as `ssvc:E:1.1.0`.
    pub id: String,
    /// Keys of its values, least grave first.
    pub values: Vec<String>,
}

/// A decision table, complete: every combination of its inputs has exactly one outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "TableForm", try_from = "TableForm")]
pub struct DecisionTable {
    namespace: String,
    key: String,
    version: String,
    name: String,
    notice: Option<String>,
    inputs: Vec<Point>,
    outcome: Point,
    /// Positions of the inputs' values, and of the outcome's.
    rows: Vec<(Vec<usize>, usize)>,
}

impl DecisionTable {
    /// Reads CERT/CC's JSON form (schema version 2).
    ///
    /// # Errors
    /// When it is not that form, or the table is not complete.
    pub fn from_json(bytes: &[u8]) -> Result<Self, TableError> {
        form::from_json(bytes)?.try_into()
    }

    /// Reads our compact TOML form, in which the tables of this crate are kept.
    ///
    /// # Errors
    /// When it is not that form, or the table is not complete.
    pub fn from_toml(text: &str) -> Result<Self, TableError> {
        let form: TableForm = toml::from_str(text).map_err(|error| {
            TableError::Form(countersign_domain::text::shown(error.message(), 200))
        })?;
        form.try_into()
    }

    /// Namespace, key and version, such as `cisa:DT_BOD2604:1.0.0`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}:{}:{}", self.namespace, self.key, self.version)
    }

    /// Its title.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The licence notice that travels with it.
    #[must_use]
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    /// The inputs, in the table's order.
    #[must_use]
    pub fn inputs(&self) -> &[Point] {
        &self.inputs
    }

    /// The outcome.
    #[must_use]
    pub const fn outcome(&self) -> &Point {
        &self.outcome
    }

    /// The positions of the least and the gravest outcome that are possible when the inputs are
    /// `known` (in the table's order, by value key; `None` where an input is not known). The two
    /// are equal when the missing inputs make no difference. None when a value is not the table's.
    #[must_use]
    pub fn range(&self, known: &[Option<&str>]) -> Option<(usize, usize)> {
        if known.len() != self.inputs.len() {
            return None;
        }
        let wanted = self
            .inputs
            .iter()
            .zip(known)
            .map(|(point, value)| match value {
                None => Some(None),
                Some(key) => point.position(key).map(Some),
            })
            .collect::<Option<Vec<Option<usize>>>>()?;
        let outcomes = self.rows.iter().filter_map(|(row, outcome)| {
            row.iter()
                .zip(&wanted)
                .all(|(value, want)| want.is_none_or(|want| want == *value))
                .then_some(*outcome)
        });
        // INVARIANT: a table is complete, so at least one row fits.
        outcomes.fold(None, |range, outcome| {
            let (least, most) = range.unwrap_or((outcome, outcome));
            Some((least.min(outcome), most.max(outcome)))
        })
    }
}

impl Point {
    fn position(&self, key: &str) -> Option<usize> {
        self.values.iter().position(|value| value == key)
    }
}

#[cfg(test)]
mod tests;
