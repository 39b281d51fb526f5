//! Connections to read from, a bounded number of them, each with a small cache.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use crate::contract::StoreError;
use crate::engine::{Transaction, open_reader};
use crate::locked::locked;

/// Connections kept open while nobody reads.
const IDLE_MAX: usize = 8;
/// Readers at a time; more wait.
const READERS_MAX: usize = 32;
/// How long they wait.
const TURN_WAIT: Duration = Duration::from_secs(10);

/// The readers of one database.
pub(crate) struct Pool {
    path: PathBuf,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Connection>,
    reading: usize,
}

impl Pool {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            state: Mutex::default(),
            freed: Condvar::new(),
        }
    }

    /// Runs `read` on one snapshot.
    pub(crate) fn snapshot<T, E: From<StoreError>>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut turn = self.turn()?;
        let conn = match turn.conn.take() {
            Some(conn) => conn,
            None => open_reader(&self.path).map_err(StoreError::from)?,
        };
        // Given back last, when the transaction has ended, also by a panic in `read`.
        let conn = turn.conn.insert(conn);
        let transaction = Transaction::snapshot(conn).map_err(StoreError::from)?;
        let value = read(transaction.0)?;
        transaction.commit().map_err(StoreError::from)?;
        Ok(value)
    }

    fn turn(&self) -> Result<Turn<'_>, StoreError> {
        let state = locked(&self.state);
        let (mut state, wait) = self
            .freed
            .wait_timeout_while(state, TURN_WAIT, |state| state.reading >= READERS_MAX)
            .unwrap_or_else(PoisonError::into_inner);
        if wait.timed_out() && state.reading >= READERS_MAX {
            return Err(StoreError::Overloaded(READERS_MAX));
        }
        state.reading += 1;
        Ok(Turn {
            pool: self,
            conn: state.idle.pop(),
        })
    }
}

/// The right to read, and the connection to read with.
struct Turn<'a> {
    pool: &'a Pool,
    conn: Option<Connection>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = locked(&self.pool.state);
        state.reading -= 1;
        if let Some(conn) = self.conn.take()
            && state.idle.len() < IDLE_MAX
            && conn.is_autocommit()
        {
            state.idle.push(conn);
        }
        drop(state);
        self.pool.freed.notify_one();
    }
}
