//! Intelligence: one record for each CVE id and feed.

use rusqlite::{Connection, params};

use crate::contract::{IntelRow, StoreError};
use countersign_domain::CveId;

/// Replaces all rows of a feed (`whole`), or only those for the CVE ids given.
pub(crate) fn put(
    conn: &Connection,
    feed: &str,
    whole: bool,
    rows: &mut dyn Iterator<Item = IntelRow>,
) -> Result<(), StoreError> {
    if whole {
        conn.prepare_cached("DELETE FROM intel WHERE feed = ?1")?
            .execute([feed])?;
    }
    let mut statement = conn.prepare_cached(
        "INSERT INTO intel (cve, feed, body) VALUES (?1, ?2, ?3)
         ON CONFLICT (cve, feed) DO UPDATE SET body = excluded.body",
    )?;
    for row in rows {
        if row.feed != feed {
            return Err(StoreError::Engine(format!(
                "a row of feed `{}` is among those of `{feed}`",
                row.feed
            )));
        }
        statement.execute(params![row.cve.as_str(), feed, row.body])?;
    }
    Ok(())
}

/// All rows for these CVE ids, by CVE id and feed.
pub(crate) fn query(conn: &Connection, cves: &[CveId]) -> Result<Vec<IntelRow>, StoreError> {
    let mut statement =
        conn.prepare_cached("SELECT feed, body FROM intel WHERE cve = ?1 ORDER BY feed")?;
    let mut wanted: Vec<&CveId> = cves.iter().collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut found = Vec::new();
    for cve in wanted {
        let mut rows = statement.query([cve.as_str()])?;
        while let Some(row) = rows.next()? {
            found.push(IntelRow {
                feed: row.get(0)?,
                cve: cve.clone(),
                body: row.get(1)?,
            });
        }
    }
    Ok(found)
}
