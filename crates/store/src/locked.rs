//! Taking a lock whose values stay sound when a holder panicked: every critical section of this
//! crate only moves whole values in and out.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

/// Locks, poisoned or not.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A copy of what is behind the lock.
pub(crate) fn copied<T: Clone>(shared: &RwLock<T>) -> T {
    shared
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

/// Puts a value behind the lock, if `newer` says so of the one that is there.
pub(crate) fn replace_if<T>(shared: &RwLock<T>, value: T, newer: impl FnOnce(&T, &T) -> bool) {
    let mut held = shared.write().unwrap_or_else(PoisonError::into_inner);
    if newer(&held, &value) {
        *held = value;
    }
}
