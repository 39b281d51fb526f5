//! How transitions fared on hosts: one row for each change, host and transition, the last word
//! on it (a late receipt replaces what was taken for a failure).

use rusqlite::{Connection, params};

use super::environment;
use crate::contract::{Healthy, StoreError, TransitionOutcome};
use crate::engine::{column, number, parsed};
use countersign_domain::{Environment, Timestamp};

/// The most failures that are given.
const LIMIT: usize = 1_000;

/// Writes an outcome, replacing that of the same change, host and transition.
pub(crate) fn put(conn: &Connection, outcome: &TransitionOutcome) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO outcomes (transition, opened, host, environment, tier, succeeded, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (transition, opened, host) DO UPDATE SET environment = excluded.environment,
         tier = excluded.tier, succeeded = excluded.succeeded, at = excluded.at",
    )?
    .execute(params![
        outcome.transition,
        column(outcome.opened)?,
        outcome.host.as_str(),
        outcome.environment.as_str(),
        outcome.tier,
        outcome.succeeded,
        outcome.at.unix_millis()
    ])?;
    Ok(())
}

/// Executions in which one of these transitions did not succeed, newest first.
pub(crate) fn failures(
    conn: &Connection,
    transitions: &[String],
    since: Timestamp,
) -> Result<Vec<TransitionOutcome>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT opened, host, environment, tier, at FROM outcomes
         WHERE transition = ?1 AND NOT succeeded AND at >= ?2
         ORDER BY at DESC, opened, host LIMIT ?3",
    )?;
    let mut found = Vec::new();
    for transition in distinct(transitions) {
        let mut rows = statement.query(params![transition, since.unix_millis(), LIMIT as i64])?;
        while let Some(row) = rows.next()? {
            found.push(TransitionOutcome {
                opened: number(row.get(0)?)?,
                host: parsed(row.get(1)?)?,
                transition: transition.clone(),
                environment: environment(&row.get::<_, String>(2)?)?,
                tier: row.get(3)?,
                succeeded: false,
                at: Timestamp::from_unix_millis(row.get(4)?),
            });
        }
        // Bounded while it is gathered: only the newest can be among the newest of all.
        if found.len() > 2 * LIMIT {
            newest(&mut found);
        }
    }
    newest(&mut found);
    Ok(found)
}

fn newest(found: &mut Vec<TransitionOutcome>) {
    found.sort_by(|a, b| {
        (b.at, &a.transition, a.opened, &a.host).cmp(&(a.at, &b.transition, b.opened, &b.host))
    });
    found.truncate(LIMIT);
}

fn distinct(transitions: &[String]) -> Vec<&String> {
    let mut distinct: Vec<&String> = transitions.iter().collect();
    distinct.sort_unstable();
    distinct.dedup();
    distinct
}

/// The last word on each host and transition counts; of two at the same time, the failure. Twice the
/// time, plus one for a failure, orders them so, in one number.
const HEALTHY: &str = "
    WITH last (host, word) AS (
        SELECT host, max(at * 2 + NOT succeeded) FROM outcomes
        WHERE transition IN (SELECT value FROM json_each(?1))
          AND environment IN (SELECT value FROM json_each(?2)) AND at >= ?3
        GROUP BY host, transition
    )
    SELECT count(*), min(at) FROM (
        SELECT max(word) / 2 AS at FROM last GROUP BY host
        HAVING count(*) = ?4 AND max(word % 2) = 0
    )";

/// On how many hosts of these environments all of these transitions succeeded last.
pub(crate) fn healthy(
    conn: &Connection,
    transitions: &[String],
    environments: &[Environment],
    since: Timestamp,
) -> Result<Healthy, StoreError> {
    let transitions = distinct(transitions);
    if transitions.is_empty() || environments.is_empty() {
        return Ok(Healthy::default());
    }
    let environments: Vec<&str> = environments.iter().map(|one| one.as_str()).collect();
    let (hosts, first): (u32, Option<i64>) = conn.prepare_cached(HEALTHY)?.query_row(
        params![
            json(&transitions)?,
            json(&environments)?,
            since.unix_millis(),
            transitions.len() as i64
        ],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(Healthy {
        hosts,
        first: first.map(Timestamp::from_unix_millis),
    })
}

fn json<T: serde::Serialize>(values: &[T]) -> Result<String, StoreError> {
    serde_json::to_string(values).map_err(|error| StoreError::Engine(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_at_each_decision_goes_by_an_index() {
        let conn = Connection::open_in_memory().unwrap();
        crate::schema::migrate(&conn).unwrap();
        let mut plan = conn
            .prepare(&format!("EXPLAIN QUERY PLAN {HEALTHY}"))
            .unwrap();
        let steps = plan.query_map(params!["[]", "[]", 0, 1], |row| row.get::<_, String>(3));
        let steps: Vec<String> = steps.unwrap().map(Result::unwrap).collect();
        let by = "SEARCH outcomes USING COVERING INDEX outcomes_by_environment \
                  (transition=? AND environment=? AND at>?)";
        assert!(steps.iter().any(|step| step == by), "{steps:#?}");
    }
}
