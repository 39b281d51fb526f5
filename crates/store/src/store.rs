//! The store: one file, one writer, any number of readers.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use crate::cache::DocumentCache;
use crate::contract::{Log, Read, StoreError, Write};
use crate::cosign::Cosigner;
use crate::error::OpenError;
use crate::faults::Faults;
use crate::job::erased;
use crate::latest::LatestFile;
use crate::lock;
use crate::open::{self, Opened};
use crate::pending::Pending;
use crate::per_log::PerLog;
use crate::proof_stage::ProofStage;
use crate::shared::Shared;
use crate::view::View;
use crate::wal::WalCopier;
use crate::writer::{Message, Writer};
use countersign_ledger::LogSigner;

/// The signing keys of both logs.
pub type Signers = PerLog<LogSigner>;

/// How a store works. `Options::default()` suits.
#[derive(Clone)]
pub struct Options {
    /// The most jobs that are committed together.
    pub batch_max: usize,
    /// The most jobs that wait; more are refused.
    pub queue_max: usize,
    /// Who gets cosignatures for the authorizations log; nobody by default.
    pub cosigner: Option<Arc<dyn Cosigner>>,
    /// Makes commits fail, for simulations of a disk; none by default.
    pub faults: Option<Arc<dyn Faults>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            batch_max: 1_024,
            queue_max: 8_192,
            cosigner: None,
            faults: None,
        }
    }
}

/// An open store. Dropping it finishes what was submitted.
pub struct Store {
    pub(crate) shared: Arc<Shared>,
    /// None where it was opened to read only.
    queue: Option<Queue>,
}

struct Queue {
    messages: SyncSender<Message>,
    jobs_max: usize,
    thread: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens the store to write, creating it where there is none, and locks out other writers.
    /// Files beside it: `lock`, `checkpoints.latest`, and SQLite's own, so one store a folder.
    ///
    /// # Errors
    /// [`OpenError`] says which promise would not hold, and what to do.
    pub fn open(path: &Path, signers: Signers, options: Options) -> Result<Self, OpenError> {
        let lock = lock::take(path)?;
        let keys = PerLog {
            recommendations: signers.recommendations.verifier_key().clone(),
            authorizations: signers.authorizations.verifier_key().clone(),
        };
        let Opened {
            mut conn,
            trees,
            published,
            cosigned,
        } = open::for_writing(path, &signers)?;
        let notes = PerLog {
            recommendations: published.recommendations.note.clone(),
            authorizations: published.authorizations.note.clone(),
        };
        let cosigned_size = cosigned.as_ref().map_or(0, |state| state.tree.size());
        let shared = Arc::new(Shared::new(path.to_owned(), keys, published, cosigned));
        let thread_failed = |source| OpenError::File {
            path: path.to_owned(),
            source,
        };
        let (messages, inbox) = sync_channel(options.queue_max.max(1));
        let latest = LatestFile::start(Arc::clone(&shared), notes).map_err(thread_failed)?;
        let stage = match options.cosigner {
            None => None,
            Some(cosigner) => {
                let to_writer = messages.clone();
                // A full queue loses it, and the next one is kept: it is only history.
                let keep = move |note| drop(to_writer.try_send(Message::Cosigned(note)));
                let stage = ProofStage::start(Arc::clone(&shared), cosigner, cosigned_size, keep)
                    .map_err(thread_failed)?;
                let state = shared.published(Log::Authorizations);
                if !state.cosigned {
                    let size = state.tree.size();
                    stage.committed(Some(state), size, Vec::new());
                }
                Some(stage)
            }
        };
        let wal = WalCopier::start(path, &mut conn).map_err(thread_failed)?;
        let writer = Writer {
            conn,
            wal,
            trees,
            cache: DocumentCache::default(),
            signers,
            shared: Arc::clone(&shared),
            batch_max: options.batch_max.max(1),
            latest,
            stage,
            faults: options.faults,
            notes: Vec::new(),
            groups: 0,
            _lock: lock,
        };
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(&inbox))
            .map_err(thread_failed)?;
        Ok(Self {
            shared,
            queue: Some(Queue {
                messages,
                jobs_max: options.queue_max,
                thread: Some(thread),
            }),
        })
    }

    /// Opens the store to read, beside a running server or without one. What is published is the
    /// newest checkpoint found, which covers what was committed before, where a server runs; keys are those that the database names, so whoever wants proof
    /// holds checkpoints against keys of their own.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_read_only(path: &Path) -> Result<Self, OpenError> {
        let opened = open::for_reading_soon(path)?;
        let (keys, published) = (opened.keys, opened.published);
        Ok(Self {
            shared: Arc::new(Shared::new(
                path.to_owned(),
                keys,
                published,
                opened.cosigned,
            )),
            queue: None,
        })
    }

    /// Runs `read` on a consistent snapshot, which holds all that was answered before.
    ///
    /// # Errors
    /// Those of `read`, or the store's.
    pub fn read<T, E: From<StoreError>>(
        &self,
        read: impl FnOnce(&dyn Read) -> Result<T, E>,
    ) -> Result<T, E> {
        self.shared.pool.snapshot(|conn| read(&View { conn }))
    }

    /// Queues `job` for the write transaction. It runs on the writer's thread, so it should only
    /// check and write; it must not submit and wait. Its error or panic undoes its own writes alone.
    pub fn submit<T, E>(
        &self,
        job: impl FnOnce(&mut dyn Write) -> Result<T, E> + Send + 'static,
    ) -> Pending<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (job, pending) = erased(job);
        let refused = match (&self.queue, self.shared.stopped()) {
            (None, _) => StoreError::Stopped("it was opened to read only".to_owned()),
            (Some(_), Some(stopped)) => stopped,
            (Some(queue), None) => match queue.messages.try_send(Message::Job(job)) {
                Ok(()) => return pending,
                Err(TrySendError::Full(Message::Job(job))) => {
                    job.fail(StoreError::Overloaded(queue.jobs_max));
                    return pending;
                }
                // Dropping the job answers it.
                Err(_) => return pending,
            },
        };
        job.fail(refused);
        pending
    }

    /// True where this store is the one that writes, so that nothing changes but by its jobs.
    #[must_use]
    pub const fn is_writer(&self) -> bool {
        self.queue.is_some()
    }

    /// Why nothing is written any more, where that is so.
    #[must_use]
    pub fn stopped(&self) -> Option<StoreError> {
        self.shared.stopped()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // Blocks while the queue is full; where the writer is gone, so is its inbox.
        let _ = self.messages.send(Message::Close);
        if let Some(thread) = self.thread.take() {
            // A job may hold the last reference: the writer cannot wait for itself.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}
