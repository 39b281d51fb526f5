//! The forms in which decision tables are written: CERT/CC's JSON, and a compact one of our own
//! with a line for each row. Turning a form into a table is what checks it.

use super::{
    COMBINATIONS_MAX, DecisionTable, INPUTS_MAX, Point, TableError, VALUES_MAX, WORD_BYTES_MAX,
};
use countersign_domain::text::shown;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The compact form: `rows` hold the inputs' values and the outcome's, separated by spaces.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableForm {
    namespace: String,
    key: String,
    version: String,
    name: String,
    #[serde(default, rename = "NOTICE", skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
    inputs: Vec<Point>,
    outcome: Point,
    rows: Vec<String>,
}

/// CERT/CC's form. Other members (definitions, schema version) are texts for people.
#[derive(Deserialize)]
struct CertccTable {
    namespace: String,
    key: String,
    version: String,
    #[serde(default)]
    name: String,
    decision_points: BTreeMap<String, CertccPoint>,
    outcome: String,
    mapping: Vec<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct CertccPoint {
    values: Vec<CertccValue>,
}

#[derive(Deserialize)]
struct CertccValue {
    key: String,
}

fn field(field: &'static str, problem: impl Into<String>) -> TableError {
    TableError::Field {
        field,
        problem: problem.into(),
    }
}

pub(super) fn from_json(bytes: &[u8]) -> Result<TableForm, TableError> {
    let table: CertccTable = serde_json::from_slice(bytes)
        .map_err(|error| TableError::Form(shown(&error.to_string(), 200)))?;
    let mut points: BTreeMap<String, Point> = table
        .decision_points
        .into_iter()
        .map(|(id, point)| {
            let values = point.values.into_iter().map(|value| value.key).collect();
            (id.clone(), Point { id, values })
        })
        .collect();
    let outcome = points
        .remove(&table.outcome)
        .ok_or_else(|| field("outcome", "is none of `decision_points`"))?;
    let inputs: Vec<Point> = points.into_values().collect();
    let rows = table
        .mapping
        .into_iter()
        .enumerate()
        .map(|(at, mut row)| {
            let line = inputs
                .iter()
                .chain([&outcome])
                .map(|point| {
                    row.remove(&point.id).ok_or_else(|| {
                        let id = shown(&point.id, WORD_BYTES_MAX);
                        field("mapping", format!("row {at} has no `{id}`"))
                    })
                })
                .collect::<Result<Vec<_>, _>>()?
                .join(" ");
            match row.keys().next() {
                None => Ok(line),
                Some(extra) => {
                    let extra = shown(extra, WORD_BYTES_MAX);
                    Err(field(
                        "mapping",
                        format!("row {at} has an unknown `{extra}`"),
                    ))
                }
            }
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(TableForm {
        namespace: table.namespace,
        key: table.key,
        version: table.version,
        name: table.name,
        notice: None,
        inputs,
        outcome,
        rows,
    })
}

impl TryFrom<TableForm> for DecisionTable {
    type Error = TableError;

    fn try_from(form: TableForm) -> Result<Self, TableError> {
        for (name, word) in [
            ("namespace", &form.namespace),
            ("key", &form.key),
            ("version", &form.version),
        ] {
            check_word(name, word)?;
        }
        if form.name.len() > 200 || form.notice.as_ref().is_some_and(|n| n.len() > 4096) {
            return Err(field("name", "or `NOTICE` is too long"));
        }
        if !(1..=INPUTS_MAX).contains(&form.inputs.len()) {
            return Err(field("inputs", format!("1 to {INPUTS_MAX} are allowed")));
        }
        let mut ids = BTreeSet::new();
        for point in form.inputs.iter().chain([&form.outcome]) {
            check_point(point)?;
            if !ids.insert(&point.id) {
                return Err(field("inputs", format!("`{}` is named twice", point.id)));
            }
        }
        let combinations = form
            .inputs
            .iter()
            .try_fold(1_usize, |product, point| {
                product
                    .checked_mul(point.values.len())
                    .filter(|product| *product <= COMBINATIONS_MAX)
            })
            .ok_or_else(|| field("inputs", format!("over {COMBINATIONS_MAX} combinations")))?;
        let mut mapped = BTreeMap::new();
        for row in &form.rows {
            let (inputs, outcome) = read_row(row, &form)?;
            if mapped.insert(inputs, outcome).is_some() {
                return Err(TableError::Twice(shown(row, 100)));
            }
        }
        // Each row is a different combination, so the counts are equal only when none is missing.
        if mapped.len() != combinations {
            return Err(TableError::Incomplete {
                mapped: mapped.len(),
                combinations,
            });
        }
        Ok(Self {
            namespace: form.namespace,
            key: form.key,
            version: form.version,
            name: form.name,
            notice: form.notice,
            inputs: form.inputs,
            outcome: form.outcome,
            rows: mapped.into_iter().collect(),
        })
    }
}

impl From<DecisionTable> for TableForm {
    fn from(table: DecisionTable) -> Self {
        let rows = table
            .rows
            .iter()
            .map(|(values, outcome)| {
                let words = table
                    .inputs
                    .iter()
                    .zip(values)
                    .chain([(&table.outcome, outcome)])
                    .filter_map(|(point, at)| point.values.get(*at).map(String::as_str));
                words.collect::<Vec<_>>().join(" ")
            })
            .collect();
        Self {
            namespace: table.namespace,
            key: table.key,
            version: table.version,
            name: table.name,
            notice: table.notice,
            inputs: table.inputs,
            outcome: table.outcome,
            rows,
        }
    }
}

fn read_row(row: &str, form: &TableForm) -> Result<(Vec<usize>, usize), TableError> {
    let words: Vec<&str> = row.split(' ').collect();
    if words.len() != form.inputs.len() + 1 {
        return Err(field(
            "rows",
            format!(
                "`{}` has not {} words",
                shown(row, 100),
                form.inputs.len() + 1
            ),
        ));
    }
    let mut positions = form
        .inputs
        .iter()
        .chain([&form.outcome])
        .zip(words)
        .map(|(point, word)| {
            point.position(word).ok_or_else(|| {
                let word = shown(word, WORD_BYTES_MAX);
                field("rows", format!("`{word}` is not a value of `{}`", point.id))
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let outcome = positions
        .pop()
        .ok_or_else(|| field("rows", "a row is empty"))?;
    Ok((positions, outcome))
}

fn check_point(point: &Point) -> Result<(), TableError> {
    check_word("id", &point.id)?;
    if !(2..=VALUES_MAX).contains(&point.values.len()) {
        return Err(field(
            "values",
            format!("`{}` needs 2 to {VALUES_MAX}", point.id),
        ));
    }
    let mut seen = BTreeSet::new();
    for value in &point.values {
        check_word("values", value)?;
        if !seen.insert(value) {
            return Err(field(
                "values",
                format!("`{value}` stands twice in `{}`", point.id),
            ));
        }
    }
    Ok(())
}

fn check_word(name: &'static str, word: &str) -> Result<(), TableError> {
    let plain = word.bytes().all(|byte| byte.is_ascii_graphic());
    if plain && (1..=WORD_BYTES_MAX).contains(&word.len()) {
        Ok(())
    } else {
        Err(field(
            name,
            format!(
                "`{}` is not 1 to {WORD_BYTES_MAX} printable characters",
                shown(word, 40)
            ),
        ))
    }
}
