//! The one thread that writes: takes a job, drains the queue, commits the group in one
//! transaction, signs what grew, publishes, answers. Nothing is decided here.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rusqlite::Connection;

use crate::cache::DocumentCache;
use crate::contract::{Head, Log, StoreError};
use crate::engine::Transaction;
use crate::faults::{CommitPoint, Faults};
use crate::job::AnyJob;
use crate::latest::LatestFile;
use crate::lock::Lock;
use crate::per_log::PerLog;
use crate::proof_stage::ProofStage;
use crate::shared::{Published, Shared};
use crate::store::Signers;
use crate::tables::checkpoints::{self, Note};
use crate::tables::{digest, logs};
use crate::wal::WalCopier;
use crate::write::{self, Finished};
use countersign_ledger::{Checkpoint, Tree};

/// With nothing to do for so long, notes are stored by themselves.
const IDLE: Duration = Duration::from_millis(50);
/// Groups between two prunings of old checkpoints.
const GROUPS_A_PRUNING: u32 = 256;

/// What comes through the queue.
pub(crate) enum Message {
    /// Something to run.
    Job(Box<dyn AnyJob>),
    /// A cosigned note of the authorizations log to keep.
    Cosigned(Note),
    /// The end: jobs behind it are not tried.
    Close,
}

/// All that the thread owns.
pub(crate) struct Writer {
    pub(crate) conn: Connection,
    /// After the connection, so that it is dropped after it.
    pub(crate) wal: WalCopier,
    pub(crate) trees: PerLog<Tree>,
    pub(crate) cache: DocumentCache,
    pub(crate) signers: Signers,
    pub(crate) shared: Arc<Shared>,
    pub(crate) batch_max: usize,
    pub(crate) latest: LatestFile,
    pub(crate) stage: Option<ProofStage>,
    pub(crate) faults: Option<Arc<dyn Faults>>,
    /// Notes that go into the database with the next group: signing an unchanged head again gives
    /// the same bytes, so nothing is lost where they do not get there.
    pub(crate) notes: Vec<(Log, Note)>,
    pub(crate) groups: u32,
    /// Given back when the thread ends.
    pub(crate) _lock: Lock,
}

/// The store cannot go on: what was committed is not known for sure.
struct Fatal(String);

impl From<StoreError> for Fatal {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

impl From<rusqlite::Error> for Fatal {
    fn from(error: rusqlite::Error) -> Self {
        Self(error.to_string())
    }
}

impl Writer {
    /// Works until told to close, or until a commit fails.
    pub(crate) fn run(mut self, inbox: &Receiver<Message>) {
        loop {
            let message = if self.notes.is_empty() {
                inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                inbox.recv_timeout(IDLE)
            };
            let done = match message {
                Ok(Message::Job(first)) => {
                    let (group, close) = self.gather(first, inbox);
                    self.commit_group(group).map(|()| close)
                }
                Ok(Message::Cosigned(note)) => {
                    self.notes.push((Log::Authorizations, note));
                    Ok(false)
                }
                Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => Ok(true),
                Err(RecvTimeoutError::Timeout) => self.store_notes().map(|()| false),
            };
            match done {
                Ok(false) => {}
                Ok(true) => {
                    if let Err(Fatal(why)) = self.store_notes() {
                        self.shared.stop(why);
                    }
                    self.shared.stop("it was closed".to_owned());
                    self.wal.stop(&mut self.conn);
                    // So that the database is whole in one file; where readers are in the way, the
                    // next start does it.
                    let _ = self
                        .conn
                        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
                    return;
                }
                // Never tried again: the disk may hold either state. The queue answers itself as
                // it is dropped.
                Err(Fatal(why)) => {
                    self.shared.stop(why);
                    return;
                }
            }
        }
    }

    /// The first job and all that wait behind it, up to the limit. True where the end came too.
    fn gather(
        &mut self,
        first: Box<dyn AnyJob>,
        inbox: &Receiver<Message>,
    ) -> (Vec<Box<dyn AnyJob>>, bool) {
        let mut group = vec![first];
        while group.len() < self.batch_max {
            match inbox.try_recv() {
                Ok(Message::Job(job)) => group.push(job),
                Ok(Message::Cosigned(note)) => self.notes.push((Log::Authorizations, note)),
                Ok(Message::Close) => return (group, true),
                Err(_) => break,
            }
        }
        (group, false)
    }

    fn commit_group(&mut self, mut group: Vec<Box<dyn AnyJob>>) -> Result<(), Fatal> {
        if let Some(stopped) = self.shared.stopped() {
            let why = stopped.to_string();
            fail_all(group, &why, StoreError::Stopped);
            return Err(Fatal(why));
        }
        let before = PerLog {
            recommendations: self.trees.recommendations.size(),
            authorizations: self.trees.authorizations.size(),
        };
        // Another program may hold the write lock (a rebuild, say): nothing happened yet.
        if let Err(error) = self.begin() {
            fail_all(group, &error.to_string(), StoreError::Engine);
            return Ok(());
        }
        if let Err(Fatal(why)) = self.try_group(&mut group, &before) {
            fail_all(group, &why, StoreError::Stopped);
            return Err(Fatal(why));
        }
        // INVARIANT (only what is durable is signed): the commit has returned.
        match self.sign_and_publish(&before) {
            Ok(for_stage) => {
                // INVARIANT (answers tell of nothing unpublished): also what added nothing may have
                // seen what still waits for a witness.
                let size = self.trees.authorizations.size();
                let waits = self.shared.published(Log::Authorizations).tree.size() < size;
                match &self.stage {
                    Some(stage) if waits => stage.committed(for_stage, size, group),
                    _ => group.into_iter().for_each(AnyJob::settle),
                }
                Ok(())
            }
            Err(Fatal(why)) => {
                fail_all(group, &why, StoreError::Stopped);
                Err(Fatal(why))
            }
        }
    }

    fn begin(&self) -> rusqlite::Result<()> {
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(())
    }

    /// Runs all jobs and commits. On an error the transaction ends with the connection.
    fn try_group(
        &mut self,
        group: &mut [Box<dyn AnyJob>],
        before: &PerLog<u64>,
    ) -> Result<(), Fatal> {
        self.cache.check(&self.conn)?;
        for job in group {
            self.try_job(job.as_mut())?;
        }
        for log in Log::ALL {
            let tree = self.trees.get(log);
            if tree.size() != *before.get(log) {
                let head = Head {
                    size: tree.size(),
                    root: digest(&tree.root()),
                };
                logs::move_head(&self.conn, log, *before.get(log), &head)?;
            }
        }
        self.put_notes()?;
        self.strike(CommitPoint::Before)?;
        self.conn.prepare_cached("COMMIT")?.execute([])?;
        self.strike(CommitPoint::After)?;
        self.notes.clear();
        Ok(())
    }

    /// Fails here where a simulated disk does.
    fn strike(&self, point: CommitPoint) -> Result<(), Fatal> {
        let struck = self.faults.as_ref().and_then(|faults| faults.strike(point));
        struck.map_or(Ok(()), |why| Err(Fatal(why)))
    }

    /// One job in its own savepoint: its failure is its own affair.
    fn try_job(&mut self, job: &mut dyn AnyJob) -> Result<(), Fatal> {
        self.conn.prepare_cached("SAVEPOINT job")?.execute([])?;
        let mut transaction = write::Job::new(&self.conn, &mut self.trees, &self.cache);
        let keep = job.run(&mut transaction);
        let Finished {
            undo,
            documents,
            failed,
        } = transaction.finish(keep);
        // The engine gives up a whole transaction when the disk is full or broken.
        if self.conn.is_autocommit() {
            return Err(Fatal(match failed {
                Some(failed) => failed.to_string(),
                None => "the engine gave up a transaction".to_owned(),
            }));
        }
        if keep && failed.is_none() {
            documents.into_cache(&mut self.cache);
        } else {
            self.conn.prepare_cached("ROLLBACK TO job")?.execute([])?;
            for (tree, undo) in [
                (&mut self.trees.recommendations, undo.recommendations),
                (&mut self.trees.authorizations, undo.authorizations),
            ] {
                if let Some(undo) = undo {
                    *tree = undo;
                }
            }
        }
        if let Some(failed) = failed {
            job.overrule(failed);
        }
        self.conn.prepare_cached("RELEASE job")?.execute([])?;
        Ok(())
    }

    /// Signs each log that grew. Gives back the authorizations log's new state where its
    /// publication is the proof stage's.
    fn sign_and_publish(&mut self, before: &PerLog<u64>) -> Result<Option<Arc<Published>>, Fatal> {
        let mut for_stage = None;
        for log in Log::ALL {
            let tree = self.trees.get(log);
            if tree.size() == *before.get(log) {
                continue;
            }
            let signed = sign(&self.signers, log, tree).map_err(Fatal)?;
            self.latest.offer(log, &signed);
            let published = Arc::new(Published {
                tree: tree.clone(),
                note: signed.clone(),
                cosigned: false,
            });
            self.notes.push((
                log,
                Note {
                    signed,
                    cosigned: false,
                },
            ));
            match (log, &self.stage) {
                (Log::Authorizations, Some(_)) => for_stage = Some(published),
                _ => self.shared.publish(log, published),
            }
        }
        Ok(for_stage)
    }

    fn put_notes(&mut self) -> Result<(), Fatal> {
        for (log, note) in &self.notes {
            checkpoints::put(&self.conn, *log, note)?;
        }
        self.groups = self.groups.wrapping_add(1);
        if self.groups.is_multiple_of(GROUPS_A_PRUNING) {
            for log in Log::ALL {
                checkpoints::prune(&self.conn, log)?;
            }
        }
        Ok(())
    }

    fn store_notes(&mut self) -> Result<(), Fatal> {
        if self.notes.is_empty() {
            return Ok(());
        }
        if self.begin().is_err() {
            // Locked by another program: they go with the next group.
            return Ok(());
        }
        let transaction = Transaction(&self.conn);
        for (log, note) in &self.notes {
            checkpoints::put(&self.conn, *log, note)?;
        }
        transaction.commit()?;
        self.notes.clear();
        Ok(())
    }
}

fn fail_all(group: Vec<Box<dyn AnyJob>>, why: &str, error: fn(String) -> StoreError) {
    for job in group {
        job.fail(error(why.to_owned()));
    }
}

/// Signs the state of a log, which must be durable.
pub(crate) fn sign(
    signers: &Signers,
    log: Log,
    tree: &Tree,
) -> Result<countersign_ledger::SignedCheckpoint, String> {
    let signer = signers.get(log);
    let checkpoint = Checkpoint::new(signer.origin().clone(), tree.size(), tree.root())
        .map_err(|error| error.to_string())?;
    signer.sign(&checkpoint).map_err(|error| error.to_string())
}
