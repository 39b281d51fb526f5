//! Signed checkpoints: the newest, a bounded history, and the newest that a witness cosigned.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::code;
use crate::contract::{Log, StoreError};
use crate::engine::column;
use countersign_ledger::SignedCheckpoint;

/// How many of the newest are kept of each log.
pub(crate) const CHECKPOINTS_KEPT: u32 = 1_024;

/// A note, and whether a witness cosigned it.
#[derive(Debug, Clone)]
pub(crate) struct Note {
    pub(crate) signed: SignedCheckpoint,
    pub(crate) cosigned: bool,
}

/// Keeps a note. A cosigned one of the same size is not replaced by one without.
pub(crate) fn put(conn: &Connection, log: Log, note: &Note) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO checkpoints (log, size, note, cosigned) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (log, size) DO UPDATE SET note = excluded.note, cosigned = excluded.cosigned
         WHERE excluded.cosigned >= cosigned",
    )?
    .execute(params![
        code(log),
        column(note.signed.claimed().size())?,
        note.signed.as_str(),
        note.cosigned
    ])?;
    Ok(())
}

/// Removes all but the newest, and the newest cosigned one.
pub(crate) fn prune(conn: &Connection, log: Log) -> Result<(), StoreError> {
    conn.prepare_cached(
        "DELETE FROM checkpoints WHERE log = ?1
         AND size <= (SELECT size FROM checkpoints WHERE log = ?1
                      ORDER BY size DESC LIMIT 1 OFFSET ?2)
         AND size IS NOT (SELECT max(size) FROM checkpoints WHERE log = ?1 AND cosigned = 1)",
    )?
    .execute(params![code(log), CHECKPOINTS_KEPT])?;
    Ok(())
}

fn note(text: &str, cosigned: bool) -> Result<Note, StoreError> {
    let signed = SignedCheckpoint::parse(text)
        .map_err(|error| StoreError::Damaged(format!("a stored checkpoint: {error}")))?;
    Ok(Note { signed, cosigned })
}

/// The newest, whoever signed it.
pub(crate) fn newest(conn: &Connection, log: Log) -> Result<Option<Note>, StoreError> {
    one(
        conn,
        log,
        "SELECT note, cosigned FROM checkpoints WHERE log = ?1 ORDER BY size DESC LIMIT 1",
    )
}

/// The newest that a witness cosigned.
pub(crate) fn newest_cosigned(conn: &Connection, log: Log) -> Result<Option<Note>, StoreError> {
    one(
        conn,
        log,
        "SELECT note, cosigned FROM checkpoints WHERE log = ?1 AND cosigned = 1
         ORDER BY size DESC LIMIT 1",
    )
}

fn one(conn: &Connection, log: Log, sql: &str) -> Result<Option<Note>, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let found: Option<(String, bool)> = statement
        .query_row([code(log)], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    found
        .map(|(text, cosigned)| note(&text, cosigned))
        .transpose()
}

/// Size column and text of each, smallest first.
pub(crate) fn all(conn: &Connection, log: Log) -> Result<Vec<(i64, String)>, StoreError> {
    let mut statement =
        conn.prepare_cached("SELECT size, note FROM checkpoints WHERE log = ?1 ORDER BY size")?;
    let rows = statement.query_map([code(log)], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_ledger::{Checkpoint, Hash, LogSigner, Origin};

    #[test]
    fn history_is_bounded_and_keeps_what_was_cosigned() {
        let conn = Connection::open_in_memory().unwrap();
        crate::schema::migrate(&conn).unwrap();
        let origin = Origin::new("example.org/log").unwrap();
        let signer = LogSigner::from_seed(origin.clone(), &[1; 32]).unwrap();
        let log = Log::Authorizations;
        let note = |size: u64, cosigned: bool| {
            let root = Hash::from_bytes([size.to_be_bytes()[7] | 1; 32]);
            let checkpoint = Checkpoint::new(origin.clone(), size, root).unwrap();
            let signed = signer.sign(&checkpoint).unwrap();
            Note { signed, cosigned }
        };
        for size in 1..=1_100 {
            put(&conn, log, &note(size, size == 5 || size == 9)).unwrap();
        }
        // The same size without a cosignature does not take it away.
        put(&conn, log, &note(9, false)).unwrap();
        put(&conn, Log::Recommendations, &note(3, false)).unwrap();
        prune(&conn, log).unwrap();
        let kept: Vec<i64> = all(&conn, log)
            .unwrap()
            .into_iter()
            .map(|(size, _)| size)
            .collect();
        assert!(kept.into_iter().eq(std::iter::once(9).chain(77..=1_100)));
        let newest_size = |note: Option<Note>| note.unwrap().signed.claimed().size();
        assert_eq!(newest_size(newest(&conn, log).unwrap()), 1_100);
        assert_eq!(newest_size(newest_cosigned(&conn, log).unwrap()), 9);
        assert_eq!(all(&conn, Log::Recommendations).unwrap().len(), 1);
    }
}
