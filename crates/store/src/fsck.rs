//! Reads a database back and recomputes all that can be: leaves, nodes, roots, signatures,
//! digests, sums. It goes on after a problem, changes nothing, and works on a database that a
//! server refuses to open. What entries mean is not checked here; see `rebuild`.

use std::path::Path;

use rusqlite::Connection;

use crate::contract::{Log, StoreError};
use crate::engine::Transaction;
use crate::error::OpenError;
use crate::open::{connect_to_read, stored_key};
use crate::per_log::PerLog;
use crate::tables::{blobs, digest, entries, logs, nodes, reservations};
use crate::{latest, tables};
use countersign_domain::Digest;
use countersign_ledger::{Hash, SignedCheckpoint, Tree, VerifierKey, leaf_hash};

/// Problems listed in words; beyond that they are only counted.
const PROBLEMS_LISTED: usize = 1_000;
/// Entries read at a time.
const CHUNK: usize = 256;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FsckReport {
    /// Each log, recomputed.
    pub logs: PerLog<LogReport>,
    /// Blobs hashed again.
    pub blobs: u64,
    /// What is wrong, in words.
    pub problems: Vec<String>,
    /// How many problems there are, listed or not.
    pub problems_total: u64,
}

impl FsckReport {
    /// True when nothing is wrong.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.problems_total == 0
    }
}

/// One log, recomputed from its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogReport {
    /// Its verifier key, as the database names it.
    pub vkey: String,
    /// Entries read and hashed.
    pub size: u64,
    /// The root that they give.
    pub root: Digest,
    /// Nodes compared with what the entries give.
    pub nodes: u64,
    /// Signed checkpoints held against the roots that the entries give.
    pub checkpoints: u64,
}

#[derive(Default)]
struct Problems {
    listed: Vec<String>,
    total: u64,
}

impl Problems {
    fn add(&mut self, problem: String) {
        self.total += 1;
        if self.listed.len() < PROBLEMS_LISTED {
            self.listed.push(problem);
        }
    }

    /// The value, or a problem.
    fn take<T>(&mut self, result: Result<T, StoreError>) -> Option<T> {
        result.map_err(|error| self.add(error.to_string())).ok()
    }
}

/// Checks the database at `path`, beside a running server or without one. With `trusted` keys,
/// checkpoints are held against those; else against the ones that the database names.
///
/// # Errors
/// Only when it cannot be read as a database of ours at all; all else is in the report.
pub fn fsck(path: &Path, trusted: Option<&PerLog<VerifierKey>>) -> Result<FsckReport, OpenError> {
    let conn = connect_to_read(path)?;
    let mut problems = Problems::default();
    // Before the snapshot, so that it is never ahead of it.
    let beside = match latest::read(path) {
        Ok(beside) => beside,
        Err(error) => {
            problems.add(error.to_string());
            None
        }
    };
    let transaction = Transaction::snapshot(&conn)?;
    // Where pages are so broken that it gives up, that is one problem more.
    if let Err(error) = check_engine(&conn, &mut problems) {
        problems.add(format!("database file: {error}"));
    }
    let logs = PerLog::try_from_fn(|log| {
        let key = stored_key(&conn, log)?;
        if trusted.is_some_and(|trusted| *trusted.get(log) != key) {
            problems.add(format!(
                "the {} log has another key than trusted",
                log.as_str()
            ));
        }
        let check = LogCheck {
            conn: &conn,
            log,
            key: trusted.map_or(&key, |trusted| trusted.get(log)),
            problems: &mut problems,
        };
        check.run(beside.as_ref().map(|notes| notes.get(log)))
    })?;
    let blobs = blobs::verify_all(&conn, |digest| {
        problems.add(format!("blob `{digest}` does not have that digest"));
    });
    let blobs = problems.take(blobs).unwrap_or(0);
    for sum in problems
        .take(reservations::wrong_sums(&conn))
        .unwrap_or_default()
    {
        problems.add(format!("sum of reservations for {sum}"));
    }
    // It only read. On broken pages a commit fails where giving it back does not.
    drop(transaction);
    Ok(FsckReport {
        logs,
        blobs,
        problems: problems.listed,
        problems_total: problems.total,
    })
}

/// The engine's own check of its pages and indexes.
fn check_engine(conn: &Connection, problems: &mut Problems) -> Result<(), StoreError> {
    let mut statement = conn.prepare("PRAGMA integrity_check(100)")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let line: String = row.get(0)?;
        if line != "ok" {
            problems.add(format!("database file: {line}"));
        }
    }
    Ok(())
}

struct LogCheck<'a> {
    conn: &'a Connection,
    log: Log,
    key: &'a VerifierKey,
    problems: &'a mut Problems,
}

impl LogCheck<'_> {
    fn add(&mut self, problem: &str) {
        let log = self.log.as_str();
        self.problems.add(format!("{log} log: {problem}"));
    }

    fn run(mut self, beside: Option<&SignedCheckpoint>) -> Result<LogReport, OpenError> {
        let vkey = self.key.to_string();
        let head = logs::head(self.conn, self.log)?;
        let stated = self.stated_roots(beside);
        let mut due = stated.iter().peekable();
        let mut tree = Tree::new();
        let mut nodes_expected = 0;
        let mut checked = 0;
        loop {
            while let Some((size, root, place)) = due.next_if(|(size, ..)| *size <= tree.size()) {
                checked += 1;
                if *size == tree.size() && *root != tree.root() {
                    self.add(&format!(
                        "the checkpoint of size `{size}` in {place} is not over these entries"
                    ));
                }
            }
            let until = due.peek().map_or(u64::MAX, |(size, ..)| *size);
            let wanted = (until - tree.size()).min(CHUNK as u64) as usize;
            let start = tree.size();
            let mut grown = Grown {
                tree,
                completed: Vec::new(),
                wrong: Vec::new(),
            };
            let read = entries::visit(self.conn, self.log, start, wanted, |index, leaf, bytes| {
                grown.see(index, leaf, bytes)
            });
            for wrong in &grown.wrong {
                self.add(wrong);
            }
            nodes_expected += grown.completed.len() as u64;
            for node in &grown.completed {
                let stored = nodes::one(self.conn, self.log, node.level, node.index);
                if self.problems.take(stored).flatten() != Some(node.hash) {
                    let (level, index) = (node.level, node.index);
                    self.add(&format!(
                        "node `{index}` of level `{level}` is not what the entries give"
                    ));
                }
            }
            tree = grown.tree;
            match self.problems.take(read) {
                Some(read) if read == wanted as u64 => {}
                _ => break,
            }
        }
        for (size, _, place) in due {
            self.add(&format!(
                "the checkpoint of size `{size}` in {place} is beyond the last entry"
            ));
        }
        let root = digest(&tree.root());
        if (head.size, head.root) != (tree.size(), root) {
            self.add(&format!(
                "the head says size `{}` and root `{}`, the entries give `{}` and `{root}`",
                head.size,
                head.root,
                tree.size()
            ));
        }
        self.count("entries", entries::count(self.conn, self.log), tree.size());
        self.count("nodes", nodes::count(self.conn, self.log), nodes_expected);
        Ok(LogReport {
            vkey,
            size: tree.size(),
            root,
            nodes: nodes_expected,
            checkpoints: checked,
        })
    }

    fn count(&mut self, what: &str, found: Result<u64, StoreError>, expected: u64) {
        if let Some(found) = self.problems.take(found)
            && found != expected
        {
            self.add(&format!(
                "`{found}` {what} are stored, there should be `{expected}`"
            ));
        }
    }

    /// Size and root of each checkpoint that the log's key signed, smallest first.
    fn stated_roots(
        &mut self,
        beside: Option<&SignedCheckpoint>,
    ) -> Vec<(u64, Hash, &'static str)> {
        let mut stated = Vec::new();
        let stored = tables::checkpoints::all(self.conn, self.log);
        for (size, text) in self.problems.take(stored).unwrap_or_default() {
            match SignedCheckpoint::parse(&text) {
                Ok(signed) if u64::try_from(size) == Ok(signed.claimed().size()) => {
                    self.state(&signed, "the database", &mut stated);
                }
                Ok(_) => self.add(&format!(
                    "the checkpoint stored at size `{size}` states another"
                )),
                Err(error) => self.add(&format!("the checkpoint of size `{size}`: {error}")),
            }
        }
        if let Some(signed) = beside {
            self.state(signed, "`checkpoints.latest`", &mut stated);
        }
        stated.sort_by_key(|(size, ..)| *size);
        stated
    }

    fn state(
        &mut self,
        signed: &SignedCheckpoint,
        place: &'static str,
        stated: &mut Vec<(u64, Hash, &'static str)>,
    ) {
        match signed.verify(std::slice::from_ref(self.key)) {
            Ok(checkpoint) => stated.push((checkpoint.size(), checkpoint.root(), place)),
            Err(error) => {
                let size = signed.claimed().size();
                self.add(&format!(
                    "the checkpoint of size `{size}` in {place}: {error}"
                ));
            }
        }
    }
}

/// A tree that grows by stored entries, and what was wrong with them.
struct Grown {
    tree: Tree,
    completed: Vec<countersign_ledger::CompletedNode>,
    wrong: Vec<String>,
}

impl Grown {
    fn see(&mut self, index: u64, stored: &[u8], bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.len() > countersign_ledger::ENTRY_BYTES_MAX {
            self.wrong.push(format!("entry `{index}` is too long"));
        }
        let leaf = leaf_hash(bytes);
        if leaf.as_bytes() != stored {
            self.wrong
                .push(format!("entry `{index}` does not have its leaf hash"));
        }
        let appended = self.tree.append(leaf);
        let appended = appended.map_err(|error| StoreError::Damaged(error.to_string()))?;
        self.completed.extend(appended.completed);
        Ok(())
    }
}
