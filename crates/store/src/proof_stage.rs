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

/// A committed state of the authorizations log, and the jobs whose answers wait for it.
struct Committed {
    state: Arc<Published>,
    jobs: Vec<Box<dyn AnyJob>>,
    until: Instant,
}

enum Message {
    Committed(Committed),
    /// The size asked for, and the note with its cosignatures if there are any.
    Asked(u64, Option<SignedCheckpoint>),
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
            asking: false,
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

    /// Takes over the answers of a group that the authorizations log grew by.
    pub(crate) fn committed(&self, state: Arc<Published>, jobs: Vec<Box<dyn AnyJob>>) {
        let committed = Message::Committed(Committed {
            state,
            jobs,
            until: Instant::now() + self.deadline,
        });
        // Where the stage is gone, the jobs are dropped, which answers them.
        let _ = self.messages.send(committed);
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
    asking: bool,
    /// In the order of commits, so of sizes and of deadlines.
    waiting: VecDeque<Committed>,
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
                Ok(Message::Committed(committed)) => self.waiting.push_back(committed),
                Ok(Message::Asked(size, note)) => {
                    self.asking = false;
                    self.asked(size, note);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => {
                    while let Some(committed) = self.waiting.pop_front() {
                        self.answer(committed);
                    }
                    return;
                }
            }
            self.expire(Instant::now());
            self.ask_for_newest();
        }
    }

    fn ask_for_newest(&mut self) {
        if let (false, Some(newest)) = (self.asking, self.waiting.back()) {
            self.asking = self.ask.send(Arc::clone(&newest.state)).is_ok();
        }
    }

    fn asked(&mut self, size: u64, note: Option<SignedCheckpoint>) {
        if let Some(note) = note {
            let known = self.waiting.iter().map(|committed| &committed.state);
            let published = self.shared.published(Log::Authorizations);
            let state = known
                .chain([&published])
                .find(|state| state.tree.size() == size)
                .map(|state| state.tree.clone());
            (self.keep)(Note {
                signed: note.clone(),
                cosigned: true,
            });
            if let Some(tree) = state {
                let cosigned = Published {
                    tree,
                    note,
                    cosigned: true,
                };
                self.shared.publish(Log::Authorizations, Arc::new(cosigned));
            }
        }
        // Cosigned or refused: either way these have their answer.
        while let Some(first) = self.waiting.pop_front() {
            if first.state.tree.size() > size {
                self.waiting.push_front(first);
                break;
            }
            self.answer(first);
        }
    }

    fn expire(&mut self, now: Instant) {
        while let Some(first) = self.waiting.pop_front() {
            if first.until > now {
                self.waiting.push_front(first);
                break;
            }
            self.answer(first);
        }
    }

    /// What is published by now is at least this state, cosigned or not.
    fn answer(&self, committed: Committed) {
        self.shared.publish(Log::Authorizations, committed.state);
        for job in committed.jobs {
            job.settle();
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
            let size = state.tree.size();
            let note = catch_unwind(AssertUnwindSafe(|| self.cosigned(&state))).unwrap_or(None);
            if note.is_some() {
                self.cosigned_size = size;
            }
            if self.answers.send(Message::Asked(size, note)).is_err() {
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
