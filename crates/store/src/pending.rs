//! The answer to a submitted job: to block on, or to await under any runtime. Not a queue.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Waker};

use crate::contract::StoreError;
use crate::locked::locked;

struct Slot<T, E> {
    answer: Option<Result<T, E>>,
    waker: Option<Waker>,
}

struct Shared<T, E> {
    slot: Mutex<Slot<T, E>>,
    answered: Condvar,
}

/// A job's answer, which comes once the job is durable, or will never be.
///
/// As a future it gives the answer once; it is not to be polled again after that. Dropping it
/// does not take the job back.
#[must_use = "the job runs anyway, but only its answer says whether it is durable"]
pub struct Pending<T, E> {
    shared: Arc<Shared<T, E>>,
}

/// The other end. Dropped without an answer, it answers that the store has stopped.
pub(crate) struct Answer<T, E: From<StoreError>> {
    shared: Option<Arc<Shared<T, E>>>,
}

pub(crate) fn pending<T, E: From<StoreError>>() -> (Answer<T, E>, Pending<T, E>) {
    let shared = Arc::new(Shared {
        slot: Mutex::new(Slot {
            answer: None,
            waker: None,
        }),
        answered: Condvar::new(),
    });
    let answer = Answer {
        shared: Some(Arc::clone(&shared)),
    };
    (answer, Pending { shared })
}

impl<T, E: From<StoreError>> Answer<T, E> {
    pub(crate) fn send(mut self, answer: Result<T, E>) {
        self.put(answer);
    }

    fn put(&mut self, answer: Result<T, E>) {
        if let Some(shared) = self.shared.take() {
            let waker = {
                let mut slot = locked(&shared.slot);
                slot.answer = Some(answer);
                slot.waker.take()
            };
            shared.answered.notify_all();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl<T, E: From<StoreError>> Drop for Answer<T, E> {
    fn drop(&mut self) {
        if self.shared.is_some() {
            let stopped = StoreError::Stopped("it was closed before the job was tried".to_owned());
            self.put(Err(stopped.into()));
        }
    }
}

impl<T, E> Pending<T, E> {
    /// Blocks until the job is durable, or will never be.
    ///
    /// # Errors
    /// The job's own, or the store's.
    pub fn wait(self) -> Result<T, E> {
        let mut slot = locked(&self.shared.slot);
        loop {
            match slot.answer.take() {
                Some(answer) => return answer,
                None => {
                    slot = self
                        .shared
                        .answered
                        .wait(slot)
                        .unwrap_or_else(std::sync::PoisonError::into_inner);
                }
            }
        }
    }
}

impl<T, E> Future for Pending<T, E> {
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = locked(&self.shared.slot);
        match slot.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::thread;

    struct Counting(AtomicUsize, thread::Thread);

    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
            self.1.unpark();
        }
    }

    #[test]
    fn an_answer_from_another_thread_wakes_the_awaiting_one() {
        let (answer, mut pending) = pending::<u8, StoreError>();
        let woken = Arc::new(Counting(AtomicUsize::new(0), thread::current()));
        let waker = Arc::clone(&woken).into();
        let mut context = Context::from_waker(&waker);
        assert!(Pin::new(&mut pending).poll(&mut context).is_pending());
        let sender = thread::spawn(move || answer.send(Ok(7)));
        while woken.0.load(Ordering::SeqCst) == 0 {
            thread::park();
        }
        assert!(matches!(
            Pin::new(&mut pending).poll(&mut context),
            Poll::Ready(Ok(7))
        ));
        sender.join().unwrap();
    }

    #[test]
    fn blocking_works_before_and_after_the_answer() {
        let (answer, waits) = pending::<u8, StoreError>();
        answer.send(Ok(1));
        assert_eq!(waits.wait().unwrap(), 1);
        let (answer, waits) = pending::<u8, StoreError>();
        let waiting = thread::spawn(move || waits.wait());
        answer.send(Ok(2));
        assert_eq!(waiting.join().unwrap().unwrap(), 2);
    }

    #[test]
    fn no_answer_is_an_answer() {
        let (answer, pending) = pending::<u8, StoreError>();
        drop(answer);
        assert!(matches!(pending.wait(), Err(StoreError::Stopped(_))));
    }
}
