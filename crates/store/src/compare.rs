//! Compares a projection of two databases row by row, in the order of its key, in bounded memory.

use std::cmp::Ordering;

use rusqlite::types::Value;
use rusqlite::{Connection, Rows};

use crate::contract::StoreError;

/// Differences named in each table; beyond that they are only counted.
const NAMED: usize = 5;

/// A table that is a fold of log entries.
pub(crate) struct Projection {
    pub(crate) name: &'static str,
    /// All columns, those of the key first.
    columns: &'static str,
    key_columns: usize,
    key: &'static str,
    /// Rows that say nothing, such as a sum of zero, are left out.
    says_something: &'static str,
}

/// All of them.
pub(crate) const PROJECTIONS: &[Projection] = &[
    Projection {
        name: "documents",
        columns: "kind, key, state, due_at, ord, listed, body",
        key_columns: 2,
        key: "kind, key",
        says_something: "TRUE",
    },
    Projection {
        name: "trails",
        columns: "opened, idx",
        key_columns: 2,
        key: "opened, idx",
        says_something: "TRUE",
    },
    Projection {
        name: "reservations",
        columns: "opened, host, agent, owner, service, environment, standing, at, released_at",
        key_columns: 2,
        key: "opened, host",
        says_something: "TRUE",
    },
    Projection {
        name: "in_flight",
        columns: "scope, name, hosts",
        key_columns: 2,
        key: "scope, name",
        says_something: "hosts <> 0",
    },
    Projection {
        name: "windows",
        columns: "owner, width, start, hosts",
        key_columns: 3,
        key: "owner, width, start",
        says_something: "hosts <> 0",
    },
    Projection {
        name: "outcomes",
        columns: "transition, opened, host, environment, tier, succeeded, at",
        key_columns: 3,
        key: "transition, opened, host",
        says_something: "TRUE",
    },
    Projection {
        name: "intel",
        columns: "cve, feed, body",
        key_columns: 2,
        key: "cve, feed",
        says_something: "TRUE",
    },
];

/// What differs in one projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The table.
    pub table: &'static str,
    /// Rows that differ.
    pub rows: u64,
    /// The first few, in words.
    pub named: Vec<String>,
}

impl Projection {
    /// Removes all rows.
    pub(crate) fn clear(&self, conn: &Connection) -> Result<(), StoreError> {
        conn.execute_batch(&format!("DELETE FROM main.{}", self.name))?;
        Ok(())
    }

    /// Takes all rows over from the database that is attached as `rebuilt`.
    pub(crate) fn take_over(&self, conn: &Connection) -> Result<(), StoreError> {
        self.clear(conn)?;
        let (name, columns) = (self.name, self.columns);
        conn.execute_batch(&format!(
            "INSERT INTO main.{name} ({columns}) SELECT {columns} FROM rebuilt.{name}"
        ))?;
        Ok(())
    }

    /// Compares the rows; none where all are equal.
    pub(crate) fn compare(
        &self,
        original: &Connection,
        rebuilt: &Connection,
    ) -> Result<Option<Difference>, StoreError> {
        let sql = format!(
            "SELECT {} FROM {} WHERE {} ORDER BY {}",
            self.columns, self.name, self.says_something, self.key
        );
        let (mut left, mut right) = (original.prepare(&sql)?, rebuilt.prepare(&sql)?);
        let (mut left, mut right) = (left.query([])?, right.query([])?);
        let mut difference = Difference {
            table: self.name,
            rows: 0,
            named: Vec::new(),
        };
        let (mut a, mut b) = (next(&mut left)?, next(&mut right)?);
        loop {
            let order = match (&a, &b) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(a), Some(b)) => self.key_order(a, b),
            };
            let (row, what) = match order {
                Ordering::Less => (&a, "is stored, but no entry makes it"),
                Ordering::Greater => (&b, "is missing"),
                Ordering::Equal if a == b => (&None, ""),
                Ordering::Equal => (&a, "is not what the entries make it"),
            };
            if let Some(row) = row {
                difference.rows += 1;
                if difference.named.len() < NAMED {
                    difference.named.push(format!("{} {what}", self.shown(row)));
                }
            }
            if order.is_le() {
                a = next(&mut left)?;
            }
            if order.is_ge() {
                b = next(&mut right)?;
            }
        }
        Ok((difference.rows > 0).then_some(difference))
    }

    fn key_order(&self, a: &[Value], b: &[Value]) -> Ordering {
        let pairs = a.iter().zip(b).take(self.key_columns);
        pairs
            .map(|(a, b)| value_order(a, b))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    fn shown(&self, row: &[Value]) -> String {
        let words = row.iter().take(self.key_columns).map(|value| match value {
            Value::Text(text) => format!("`{}`", countersign_domain::text::shown(text, 80)),
            Value::Integer(number) => format!("`{number}`"),
            other => format!("`{other:?}`"),
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

/// The order in which the engine gives key columns, which are texts and integers.
fn value_order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Integer(a), Value::Integer(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Integer(_), _) => Ordering::Less,
        (_, Value::Integer(_)) => Ordering::Greater,
        _ => Ordering::Equal,
    }
}

fn next(rows: &mut Rows<'_>) -> Result<Option<Vec<Value>>, StoreError> {
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let columns = row.as_ref().column_count();
    let values = (0..columns).map(|column| row.get(column));
    Ok(Some(values.collect::<Result<_, _>>()?))
}
