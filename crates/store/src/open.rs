//! Opening: what must hold before a store may write or be believed.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::contract::{Log, StoreError};
use crate::damage;
use crate::engine::{Transaction, open_reader, open_writer};
use crate::error::OpenError;
use crate::latest;
use crate::per_log::PerLog;
use crate::schema;
use crate::shared::Published;
use crate::store::Signers;
use crate::tables::checkpoints::{self, Note};
use crate::tables::nodes::LogHashes;
use crate::tables::{digest, entries, hash, logs};
use crate::writer::sign;
use countersign_ledger::{RestoreError, SignedCheckpoint, Tree, VerifierKey};

/// A database that passed, ready to write to.
pub(crate) struct Opened {
    pub(crate) conn: Connection,
    pub(crate) trees: PerLog<Tree>,
    pub(crate) published: PerLog<Published>,
    pub(crate) cosigned: Option<Published>,
}

/// Creates or migrates, checks, and signs the heads.
pub(crate) fn for_writing(path: &Path, signers: &Signers) -> Result<Opened, OpenError> {
    create_private(path)?;
    let conn = open_writer(path)?;
    schema::migrate(&conn)?;
    let transaction = Transaction::write(&conn)?;
    for log in Log::ALL {
        found_or_match(&conn, log, signers)?;
    }
    transaction.commit()?;
    // A commit that nobody was told of may be in the file and not yet on the disk. The head is
    // signed below, so it has to be durable now: this fsyncs the log and the database.
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    damage::check_pages(&conn)?;
    let beside = latest::read(path)?;
    let transaction = Transaction::snapshot(&conn)?;
    let trees = PerLog::try_from_fn(|log| {
        let key = signers.get(log).verifier_key();
        let tree = restored(&conn, log)?;
        check_signed(&conn, log, key, tree.size(), beside.as_ref())?;
        damage::check_newest_entries(&conn, log, tree.size())?;
        Ok::<_, OpenError>(tree)
    })?;
    let newest_cosigned = checkpoints::newest_cosigned(&conn, Log::Authorizations)?;
    let cosigned = cosigned(&conn, newest_cosigned.as_ref())?;
    transaction.commit()?;
    let published = PerLog::try_from_fn(|log| {
        let tree = trees.get(log).clone();
        let note = sign(signers, log, &tree).map_err(StoreError::Engine)?;
        let note = Note {
            signed: note,
            cosigned: false,
        };
        checkpoints::put(&conn, log, &note)?;
        let cosigned = newest_cosigned
            .clone()
            .filter(|c| c.signed.claimed() == note.signed.claimed());
        let note = cosigned.unwrap_or(note);
        Ok::<_, OpenError>(Published {
            tree,
            note: note.signed,
            cosigned: note.cosigned,
        })
    })?;
    latest::write(
        path,
        &PerLog {
            recommendations: published.recommendations.note.clone(),
            authorizations: published.authorizations.note.clone(),
        },
    )
    .map_err(OpenError::file(&latest::path_beside(path)))?;
    Ok(Opened {
        conn,
        trees,
        published,
        cosigned,
    })
}

/// The state that a cosigned note is about.
fn cosigned(conn: &Connection, note: Option<&Note>) -> Result<Option<Published>, OpenError> {
    let Some(note) = note else { return Ok(None) };
    let checkpoint = note.signed.claimed();
    Ok(Some(Published {
        tree: restored_at(
            conn,
            Log::Authorizations,
            checkpoint.size(),
            checkpoint.root(),
        )?,
        note: note.signed.clone(),
        cosigned: true,
    }))
}

/// A database that passed, to read from.
pub(crate) struct OpenedToRead {
    pub(crate) keys: PerLog<VerifierKey>,
    pub(crate) published: PerLog<Published>,
    pub(crate) cosigned: Option<Published>,
    /// Entries that were committed.
    pub(crate) committed: PerLog<u64>,
}

impl OpenedToRead {
    fn publishes(&self, sizes: &PerLog<u64>) -> bool {
        Log::ALL
            .iter()
            .all(|log| self.published.get(*log).tree.size() >= *sizes.get(*log))
    }
}

/// How long a server takes to store what it has signed, and some more.
const NOTED_WITHIN: Duration = Duration::from_millis(250);
/// How long it is waited for at a time.
const NOTED_LOOK: Duration = Duration::from_millis(10);

/// Checks what a reader relies on. A server that runs stores its checkpoints a moment after it has
/// answered: what was committed by now is waited for, so that what was answered can be proven. After
/// a server that was killed nothing comes any more.
pub(crate) fn for_reading_soon(path: &Path) -> Result<OpenedToRead, OpenError> {
    let mut opened = for_reading(path)?;
    let committed = opened.committed;
    let begun = Instant::now();
    while !opened.publishes(&committed) && begun.elapsed() < NOTED_WITHIN {
        thread::sleep(NOTED_LOOK);
        opened = for_reading(path)?;
    }
    Ok(opened)
}

/// Refuses all but a database of this build's version.
pub(crate) fn connect_to_read(path: &Path) -> Result<Connection, OpenError> {
    if !path.is_file() {
        return Err(OpenError::Absent {
            path: path.to_owned(),
        });
    }
    let conn = open_reader(path)?;
    let found = schema::check(&conn)?;
    if found < schema::version_known() {
        return Err(OpenError::Older {
            found,
            known: schema::version_known(),
        });
    }
    Ok(conn)
}

/// The same as it is now. The keys are those that the database itself names.
fn for_reading(path: &Path) -> Result<OpenedToRead, OpenError> {
    let conn = connect_to_read(path)?;
    // Before the snapshot, so that it is never ahead of it.
    let beside = latest::read(path)?;
    let transaction = Transaction::snapshot(&conn)?;
    let keys = PerLog::try_from_fn(|log| stored_key(&conn, log))?;
    let published = PerLog::try_from_fn(|log| {
        let key = keys.get(log);
        let head = logs::head(&conn, log)?;
        let stored = check_signed(&conn, log, key, head.size, beside.as_ref())?;
        let note = stored.ok_or_else(|| OpenError::Checkpoint {
            place: path.display().to_string(),
            why: format!("the {} log has none", log.as_str()),
        })?;
        let checkpoint = note.signed.claimed();
        let tree = restored_at(&conn, log, checkpoint.size(), checkpoint.root())?;
        Ok::<_, OpenError>(Published {
            tree,
            note: note.signed,
            cosigned: note.cosigned,
        })
    })?;
    let newest_cosigned = checkpoints::newest_cosigned(&conn, Log::Authorizations)?;
    let cosigned = cosigned(&conn, newest_cosigned.as_ref())?;
    let committed = PerLog::try_from_fn(|log| {
        let head = logs::head(&conn, log)?;
        Ok::<_, OpenError>(head.size)
    })?;
    transaction.commit()?;
    Ok(OpenedToRead {
        keys,
        published,
        cosigned,
        committed,
    })
}

/// Texts of people are in here: nobody but the owner reads it.
pub(crate) fn create_private(path: &Path) -> Result<(), OpenError> {
    let created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match created {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(OpenError::file(path)(source))
        }
        _ => Ok(()),
    }
}

fn found_or_match(conn: &Connection, log: Log, signers: &Signers) -> Result<(), OpenError> {
    let signer = signers.get(log);
    let expected = signer.vkey();
    match logs::vkey(conn, log)? {
        None => {
            let tree = Tree::new();
            let head = crate::contract::Head {
                size: tree.size(),
                root: digest(&tree.root()),
            };
            Ok(logs::found(
                conn,
                log,
                signer.origin().as_str(),
                &expected,
                &head,
            )?)
        }
        Some(found) if found == expected => Ok(()),
        Some(found) => Err(OpenError::OtherDeployment {
            log,
            found,
            expected,
        }),
    }
}

pub(crate) fn stored_key(conn: &Connection, log: Log) -> Result<VerifierKey, OpenError> {
    let missing = || StoreError::Damaged(format!("the {} log has no key", log.as_str()));
    let vkey = logs::vkey(conn, log)?.ok_or_else(missing)?;
    Ok(VerifierKey::parse(&vkey).map_err(|error| StoreError::Damaged(error.to_string()))?)
}

fn restored(conn: &Connection, log: Log) -> Result<Tree, OpenError> {
    let head = logs::head(conn, log)?;
    let end = entries::end(conn, log)?;
    if end != head.size {
        return Err(OpenError::Head {
            log,
            why: format!(
                "the head says `{}` entries, the last one is before `{end}`",
                head.size
            ),
        });
    }
    Tree::restore(&LogHashes { conn, log }, head.size, hash(&head.root)).map_err(|error| {
        OpenError::Head {
            log,
            why: error.to_string(),
        }
    })
}

pub(crate) fn restored_at(
    conn: &Connection,
    log: Log,
    size: u64,
    root: countersign_ledger::Hash,
) -> Result<Tree, OpenError> {
    Tree::restore(&LogHashes { conn, log }, size, root).map_err(|error| match error {
        RestoreError::Root { .. } => OpenError::Forked { log, size },
        other => OpenError::Head {
            log,
            why: other.to_string(),
        },
    })
}

/// Holds the log against what was signed of it: the stored checkpoints and the file beside.
/// Gives the newest.
fn check_signed(
    conn: &Connection,
    log: Log,
    key: &VerifierKey,
    size: u64,
    beside: Option<&PerLog<SignedCheckpoint>>,
) -> Result<Option<Note>, OpenError> {
    let beside = beside.map(|notes| Note {
        signed: notes.get(log).clone(),
        cosigned: false,
    });
    let stored = checkpoints::newest(conn, log)?;
    let mut newest: Option<Note> = None;
    for (place, note) in [("database", stored), ("checkpoints.latest", beside)] {
        let Some(note) = note else { continue };
        let checkpoint = note
            .signed
            .verify(std::slice::from_ref(key))
            .map_err(|error| OpenError::Checkpoint {
                place: place.to_owned(),
                why: error.to_string(),
            })?;
        if checkpoint.size() > size {
            return Err(OpenError::Behind {
                log,
                size,
                signed: checkpoint.size(),
            });
        }
        restored_at(conn, log, checkpoint.size(), checkpoint.root())?;
        let later = newest
            .as_ref()
            .is_none_or(|n| checkpoint.size() > n.signed.claimed().size());
        if later {
            newest = Some(note);
        }
    }
    Ok(newest)
}
