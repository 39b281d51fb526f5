//! A submitted job with its types erased, so that jobs of every kind share one queue.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::contract::{StoreError, Write};
use crate::pending::{Answer, Pending, pending};

/// A job on its way through the writer: run once, then settled once.
pub(crate) trait AnyJob: Send {
    /// Runs it. True when what it wrote shall be kept.
    fn run(&mut self, transaction: &mut dyn Write) -> bool;
    /// Turns its success into this error.
    fn overrule(&mut self, error: StoreError);
    /// Gives its own answer.
    fn settle(self: Box<Self>);
    /// Answers with this error, whatever it said itself.
    fn fail(self: Box<Self>, error: StoreError);
}

struct TypedJob<T, E: From<StoreError>, F> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    answer: Answer<T, E>,
}

/// Erases a job's types; its answer comes through what is returned beside it.
pub(crate) fn erased<T, E, F>(work: F) -> (Box<dyn AnyJob>, Pending<T, E>)
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
    F: FnOnce(&mut dyn Write) -> Result<T, E> + Send + 'static,
{
    let (answer, pending) = pending();
    let job = TypedJob {
        work: Some(work),
        result: None,
        answer,
    };
    (Box::new(job), pending)
}

impl<T, E, F> AnyJob for TypedJob<T, E, F>
where
    T: Send,
    E: From<StoreError> + Send,
    F: FnOnce(&mut dyn Write) -> Result<T, E> + Send,
{
    fn run(&mut self, transaction: &mut dyn Write) -> bool {
        let Some(work) = self.work.take() else {
            return false;
        };
        // What the job wrote is undone by the caller, and nothing else of it is seen again.
        let result = catch_unwind(AssertUnwindSafe(|| work(transaction))).unwrap_or_else(|_| {
            let why = "the transaction panicked, and nothing of it was kept".to_owned();
            Err(StoreError::Engine(why).into())
        });
        self.result.insert(result).is_ok()
    }

    fn overrule(&mut self, error: StoreError) {
        if matches!(self.result, Some(Ok(_))) {
            self.result = Some(Err(error.into()));
        }
    }

    fn settle(self: Box<Self>) {
        // Without a result, dropping the answer answers.
        if let Some(result) = self.result {
            self.answer.send(result);
        }
    }

    fn fail(self: Box<Self>, error: StoreError) {
        self.answer.send(Err(error.into()));
    }
}
