//! How transitions fared on hosts: one row for each change, host and transition, the last word
//! on it (a late receipt replaces what was taken for a failure).

use rusqlite::{Connection, params};

use super::environment;
use crate::contract::{StoreError, TransitionOutcome};
use crate::engine::parsed;
use countersign_domain::Timestamp;

/// The most that a query gives.
const LIMIT: usize = 1_000;

/// Writes an outcome, replacing that of the same change, host and transition.
pub(crate) fn put(conn: &Connection, outcome: &TransitionOutcome) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO outcomes (transition, change, host, environment, tier, succeeded, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (transition, change, host) DO UPDATE SET environment = excluded.environment,
         tier = excluded.tier, succeeded = excluded.succeeded, at = excluded.at",
    )?
    .execute(params![
        outcome.transition,
        outcome.change.as_str(),
        outcome.host.as_str(),
        outcome.environment.as_str(),
        outcome.tier,
        outcome.succeeded,
        outcome.at.unix_millis()
    ])?;
    Ok(())
}

/// Outcomes of these transitions since a time, newest first.
pub(crate) fn query(
    conn: &Connection,
    transitions: &[String],
    since: Timestamp,
) -> Result<Vec<TransitionOutcome>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT change, host, environment, tier, succeeded, at FROM outcomes
         WHERE transition = ?1 AND at >= ?2 ORDER BY at DESC, change, host LIMIT ?3",
    )?;
    let mut wanted: Vec<&String> = transitions.iter().collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut found = Vec::new();
    for transition in wanted {
        let mut rows = statement.query(params![transition, since.unix_millis(), LIMIT as i64])?;
        while let Some(row) = rows.next()? {
            found.push(TransitionOutcome {
                change: parsed(row.get(0)?)?,
                host: parsed(row.get(1)?)?,
                transition: transition.clone(),
                environment: environment(&row.get::<_, String>(2)?)?,
                tier: row.get(3)?,
                succeeded: row.get(4)?,
                at: Timestamp::from_unix_millis(row.get(5)?),
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
        (b.at, &a.transition, &a.change, &a.host).cmp(&(a.at, &b.transition, &b.change, &b.host))
    });
    found.truncate(LIMIT);
}
