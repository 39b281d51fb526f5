//! Between commit and answer, where a cosigner is set: answers wait until their entries are under
//! a cosigned checkpoint, or until the deadline. The writer goes on meanwhile, and whatever it
//! commits while the witness thinks is cosigned together next time.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::contract::Log;
use crate::cosign::{CosignRequest, Cosigner};
use crate::job::AnyJob;
use crate::shared::{Published, Shared};
use crate::tables::checkpoints::Note;
use countersign_ledger::SignedCheckpoint;

/// Jobs whose answers wait until the log of this size is cosigned, or until then.
struct Waiting {
    size: u64,
    jobs: Vec<Box<dyn AnyJob>>,
    until: Instant,
}

enum Message {
    /// The new state, where the log grew, and what waits for it, or for an earlier one.
    Committed(Option<Arc<Published>>, Waiting),
    /// The note that was asked for, with its cosignatures, if there are any.
    Asked(Option<SignedCheckpoint>),
    Close,
}

/// The stage, as the writer sees it. Dropped, it gives the answers that still wait.
pub(crate) struct ProofStage {
    messages: Sender<Message>,
    deadline: Duration,
    thread: Option<JoinHandle<()>>,
}

impl ProofStage {
    /// Starts its two threads. `keep` is told of each cosigned note.
    pub(crate) fn start(
        shared: Arc<Shared>,
        cosigner: Arc<dyn Cosigner>,
        cosigned_size: u64,
        keep: impl Fn(Note) + Send + 'static,
    ) -> io::Result<Self> {
        let deadline = cosigner.deadline();
        let (messages, inbox) = mpsc::channel();
        let (ask, questions) = mpsc::channel::<Arc<Published>>();
        let asker = Asker {
            shared: Arc::clone(&shared),
            cosigner,
            cosigned_size,
            answers: messages.clone(),
        };
        // Not joined: a witness that hangs must not hold up the end of the program.
        thread::Builder::new()
            .name("cosigner".to_owned())
            .spawn(move || asker.run(&questions))?;
        let stage = Stage {
            shared,
            ask,
            newest: None,
            asked: None,
            waiting: VecDeque::new(),
            keep: Box::new(keep),
        };
        let thread = thread::Builder::new()
            .name("proof-stage".to_owned())
            .spawn(move || stage.run(&inbox))?;
        Ok(Self {
            messages,
            deadline,
            thread: Some(thread),
        })
    }

    /// Takes over the answers of a group, which wait until the authorizations log of `size` entries
    /// is published. `state` is that log, where this group made it.
    pub(crate) fn committed(
        &self,
        state: Option<Arc<Published>>,
        size: u64,
        jobs: Vec<Box<dyn AnyJob>>,
    ) {
        let waiting = Waiting {
            size,
            jobs,
            until: Instant::now() + self.deadline,
        };
        // Where the stage is gone, the jobs are dropped, which answers them.
        let _ = self.messages.send(Message::Committed(state, waiting));
    }
}

impl Drop for ProofStage {
    fn drop(&mut self) {
        let _ = self.messages.send(Message::Close);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Stage {
    shared: Arc<Shared>,
    ask: Sender<Arc<Published>>,
    /// The newest committed state, until the cosigner is asked for it.
    newest: Option<Arc<Published>>,
    /// What the cosigner is asked for just now.
    asked: Option<Arc<Published>>,
    /// In the order of commits, so of sizes and of deadlines.
    waiting: VecDeque<Waiting>,
    keep: Box<dyn Fn(Note) + Send>,
}

impl Stage {
    fn run(mut self, inbox: &Receiver<Message>) {
        loop {
            let message = match self.waiting.front() {
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(first) => {
                    inbox.recv_timeout(first.until.saturating_duration_since(Instant::now()))
                }
            };
            match message {
                Ok(Message::Committed(Some(state), waiting)) => {
                    self.newest = Some(state);
                    self.waiting.push_back(waiting);
                }
                Ok(Message::Committed(None, waiting)) => {
                    let published = self.shared.published(Log::Authorizations).tree.size();
                    if waiting.size <= published {
                        waiting.jobs.into_iter().for_each(AnyJob::settle);
                    } else {
                        self.waiting.push_back(waiting);
                    }
                }
                Ok(Message::Asked(note)) => self.asked(note),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => {
                    self.answer_while(|_| true);
                    return;
                }
            }
            let now = Instant::now();
            self.answer_while(|waiting| waiting.until <= now);
            self.ask_for_newest();
        }
    }

    fn ask_for_newest(&mut self) {
        if self.asked.is_none()
            && let Some(newest) = &self.newest
            && self.ask.send(Arc::clone(newest)).is_ok()
        {
            self.asked = self.newest.take();
        }
    }

    fn asked(&mut self, note: Option<SignedCheckpoint>) {
        let Some(state) = self.asked.take() else {
            return;
        };
        let size = state.tree.size();
        let cosigned = note.is_some();
        if let Some(note) = note {
            (self.keep)(Note {
                signed: note.clone(),
                cosigned,
            });
            let tree = state.tree.clone();
            self.publish(Arc::new(Published {
                tree,
                note,
                cosigned,
            }));
        } else {
            self.publish(state);
        }
        // Cosigned or refused: either way these have their answer.
        self.settle_while(|waiting| waiting.size <= size);
    }

    /// Answers without a cosignature: what was committed last holds all of these.
    fn answer_while(&mut self, done: impl Fn(&Waiting) -> bool) {
        if self.waiting.front().is_some_and(&done) {
            let last = self.newest.as_ref().or(self.asked.as_ref());
            if let Some(last) = last {
                self.publish(Arc::clone(last));
            }
            self.settle_while(done);
        }
    }

    fn publish(&self, state: Arc<Published>) {
        self.shared.publish(Log::Authorizations, state);
    }

    fn settle_while(&mut self, done: impl Fn(&Waiting) -> bool) {
        while let Some(waiting) = self.waiting.pop_front() {
            if !done(&waiting) {
                self.waiting.push_front(waiting);
                return;
            }
            waiting.jobs.into_iter().for_each(AnyJob::settle);
        }
    }
}

/// Asks the cosigner, one checkpoint at a time.
struct Asker {
    shared: Arc<Shared>,
    cosigner: Arc<dyn Cosigner>,
    cosigned_size: u64,
    answers: Sender<Message>,
}

impl Asker {
    fn run(mut self, questions: &Receiver<Arc<Published>>) {
        while let Ok(state) = questions.recv() {
            let note = catch_unwind(AssertUnwindSafe(|| self.cosigned(&state))).unwrap_or(None);
            if note.is_some() {
                self.cosigned_size = state.tree.size();
            }
            if self.answers.send(Message::Asked(note)).is_err() {
                return;
            }
        }
    }

    fn cosigned(&self, state: &Published) -> Option<SignedCheckpoint> {
        let request = CosignRequest {
            shared: &self.shared,
            published: state,
            old_size: self.cosigned_size,
        };
        let lines = self.cosigner.cosign(&request).ok()?;
        let mut note = state.note.clone();
        let added = note
            .add_cosignatures(&lines, self.cosigner.witnesses())
            .ok()?;
        (added > 0).then_some(note)
    }
}
