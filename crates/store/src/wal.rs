//! Copies the write-ahead log into the database beside the writer, so that no commit waits for pages
//! that lie all over the disk. SQLite calls this a checkpoint; nothing here is signed.

use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;

use crate::engine::open_copier;

/// Pages that the log gathers before they are copied (8 MiB).
const COPIED_FROM: i32 = 2_000;
/// Pages at which the writer copies what is left by itself, so that the log begins anew: while the
/// other thread copies, it grows, and never ends empty (64 MiB).
const BEGUN_ANEW_FROM: i32 = 16_000;

/// The thread that copies. It ends with the writer's connection, or when told to.
pub(crate) struct WalCopier(Option<JoinHandle<()>>);

impl WalCopier {
    /// Takes the copying over from `writer`, whose commits then say how long the log is.
    pub(crate) fn start(path: &Path, writer: &mut Connection) -> io::Result<Self> {
        let (longer, inbox) = sync_channel(1);
        writer
            .wal_hook(Some(watch(longer)))
            .map_err(io::Error::other)?;
        let path = path.to_owned();
        let thread = thread::Builder::new()
            .name("wal-copier".to_owned())
            .spawn(move || copy(&path, &inbox))?;
        Ok(Self(Some(thread)))
    }

    /// Ends the copying, so that nobody else holds the log.
    pub(crate) fn stop(&mut self, writer: &mut Connection) {
        // The thread ends when nobody can wake it any more.
        if writer.wal_hook(None::<Watch>).is_ok()
            && let Some(thread) = self.0.take()
        {
            let _ = thread.join();
        }
    }
}

impl Drop for WalCopier {
    fn drop(&mut self) {
        // The writer's connection is gone by now, and with it who could wake the thread.
        if let Some(thread) = self.0.take() {
            let _ = thread.join();
        }
    }
}

type Watch = Box<dyn FnMut(&mut rusqlite::hooks::Wal, i32) -> rusqlite::Result<()> + Send>;

/// Called after each commit with the length of the log, in pages.
fn watch(longer: SyncSender<()>) -> Watch {
    let mut copied = 0;
    Box::new(move |wal, pages| {
        // Shorter than it was: it began anew.
        copied = copied.min(pages);
        if pages - copied >= COPIED_FROM {
            copied = pages;
            // Full: it was woken already.
            let _ = longer.try_send(());
        }
        if pages >= BEGUN_ANEW_FROM {
            // Busy while the thread copies: then one of the next commits does it. Whatever else goes
            // wrong, what was committed is durable in the log.
            let _ = wal.checkpoint();
        }
        Ok(())
    })
}

fn copy(path: &Path, inbox: &Receiver<()>) {
    let mut conn = None;
    while inbox.recv().is_ok() {
        // Where this fails, the writer does it in the end.
        if conn.is_none() {
            conn = open_copier(path).ok();
        }
        if let Some(conn) = &conn {
            let _ = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        }
    }
}
