//! Bytes beside the logs, by digest. Not a projection: an entry commits to them, nothing makes them.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::contract::{Blob, StoreError};
use countersign_domain::Digest;

/// The largest blob, in bytes.
pub const BLOB_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Keeps a blob whose digest fits; one that is there already stays.
pub(crate) fn put(conn: &Connection, digest: &Digest, blob: &Blob) -> Result<(), StoreError> {
    let salt = checked_salt(digest, blob)?;
    conn.prepare_cached(
        "INSERT INTO blobs (digest, salt, bytes) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
    )?
    .execute(params![digest.as_bytes(), salt, blob.bytes])?;
    Ok(())
}

fn checked_salt(digest: &Digest, blob: &Blob) -> Result<Option<[u8; 16]>, StoreError> {
    if blob.bytes.len() > BLOB_BYTES_MAX {
        return Err(StoreError::TooLarge {
            what: "blob",
            bytes: blob.bytes.len(),
            max: BLOB_BYTES_MAX,
        });
    }
    let wrong = |what: &str| StoreError::Damaged(format!("blob `{digest}` {what}"));
    let salt = match &blob.salt {
        None => None,
        Some(text) => {
            let mut salt = [0_u8; 16];
            hex::decode_to_slice(text, &mut salt)
                .map_err(|_| wrong("has a salt that is not 32 hex digits"))?;
            Some(salt)
        }
    };
    // INVARIANT (what is kept is what the log commits to): the first bytes kept under a digest
    // stay, so wrong ones must never get there.
    if digest_of(salt.as_ref(), &blob.bytes) == *digest {
        Ok(salt)
    } else {
        Err(wrong("does not have that digest"))
    }
}

fn digest_of(salt: Option<&[u8; 16]>, bytes: &[u8]) -> Digest {
    match salt {
        None => Digest::of(bytes),
        Some(salt) => Digest::of_salted(salt, bytes),
    }
}

/// The blob with this digest.
pub(crate) fn get(conn: &Connection, digest: &Digest) -> Result<Option<Blob>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT salt, bytes FROM blobs WHERE digest = ?1")?;
    let found = statement
        .query_row([digest.as_bytes()], |row| {
            let salt: Option<[u8; 16]> = row.get(0)?;
            Ok(Blob {
                salt: salt.map(hex::encode),
                bytes: row.get(1)?,
            })
        })
        .optional()?;
    Ok(found)
}

/// Hashes every blob again. Gives the number of blobs, and each digest that does not fit.
pub(crate) fn verify_all(
    conn: &Connection,
    mut wrong: impl FnMut(Digest),
) -> Result<u64, StoreError> {
    let mut statement = conn.prepare("SELECT digest, salt, bytes FROM blobs")?;
    let mut rows = statement.query([])?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        count += 1;
        let digest = Digest::from_bytes(row.get(0)?);
        let salt: Option<[u8; 16]> = row.get(1)?;
        match row.get_ref(2)?.as_blob() {
            Ok(bytes) if digest_of(salt.as_ref(), bytes) == digest => {}
            _ => wrong(digest),
        }
    }
    Ok(count)
}

/// Shows every blob with its digest.
///
/// # Errors
/// Those of `see`, or of the engine.
pub(crate) fn visit<E: From<StoreError>>(
    conn: &Connection,
    see: &mut dyn FnMut(Digest, Blob) -> Result<(), E>,
) -> Result<(), E> {
    let mut next = 0;
    while let Some(rowid) = next_rowid(conn, next)? {
        if let Some((digest, blob)) = by_rowid(conn, rowid)? {
            see(digest, blob)?;
        }
        next = rowid + 1;
    }
    Ok(())
}

/// Shows every blob of a damaged database that can be read and has its digest. Gives the digests of
/// the others, as far as the index tells. Looks for `rows_max` rows where nothing tells how many
/// there are.
///
/// # Errors
/// Those of `see`.
pub(crate) fn visit_readable<E>(
    conn: &Connection,
    rows_max: u64,
    see: &mut dyn FnMut(Digest, Blob) -> Result<(), E>,
) -> Result<Vec<Digest>, E> {
    let rows_max = i64::try_from(rows_max).unwrap_or(i64::MAX);
    let mut missing = indexed(conn).unwrap_or_default();
    let last = conn
        .query_row("SELECT max(rowid) FROM blobs", [], |row| {
            row.get::<_, Option<i64>>(0)
        })
        .map_or(rows_max, |last| last.unwrap_or(0).min(rows_max));
    for rowid in 1..=last {
        if let Ok(Some((digest, blob))) = by_rowid(conn, rowid)
            && checked_salt(&digest, &blob).is_ok()
        {
            missing.remove(&digest);
            see(digest, blob)?;
        }
    }
    Ok(missing.into_iter().collect())
}

/// All digests, from the index alone.
fn indexed(conn: &Connection) -> Result<BTreeSet<Digest>, StoreError> {
    let mut statement = conn.prepare("SELECT digest FROM blobs ORDER BY digest")?;
    let rows = statement.query_map([], |row| row.get(0).map(Digest::from_bytes))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn next_rowid(conn: &Connection, from: i64) -> Result<Option<i64>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT min(rowid) FROM blobs WHERE rowid >= ?1")?;
    Ok(statement.query_row([from], |row| row.get(0))?)
}

fn by_rowid(conn: &Connection, rowid: i64) -> Result<Option<(Digest, Blob)>, StoreError> {
    let mut statement =
        conn.prepare_cached("SELECT digest, salt, bytes FROM blobs WHERE rowid = ?1")?;
    let found = statement
        .query_row([rowid], |row| {
            let salt: Option<[u8; 16]> = row.get(1)?;
            let blob = Blob {
                salt: salt.map(hex::encode),
                bytes: row.get(2)?,
            };
            Ok((Digest::from_bytes(row.get(0)?), blob))
        })
        .optional()?;
    Ok(found)
}
