//! The daemon's end of the socket: who may ask, and what is read of a question. One at a time.

use super::{ANSWER_BYTES_MAX, Answer, frame, is_ours};
use crate::durable;
use crate::hook::{self, INFO_BYTES_MAX, Line};
use crate::words::within;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::socket_peercred;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A question must be there whole within this time, and take its answer within it.
const FRAME: Duration = Duration::from_secs(3);

/// The socket on which the hook asks.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
}

/// What the hook asks about.
#[derive(Debug)]
pub struct Question {
    stream: UnixStream,
    /// The process that asks, as the kernel says.
    pub pid: u32,
    /// What apt is about to do.
    pub lines: Vec<Line>,
}

impl Listener {
    /// Listens at `path`, of mode 0600. Whoever calls holds the host's journal, so that a socket
    /// that lies there already is left over from a daemon that is gone.
    ///
    /// # Errors
    /// When something else lies there, or the folder cannot be written.
    pub fn open(path: &Path) -> io::Result<Self> {
        if let Some(parent) = path.parent() {
            durable::folder(parent)?;
        }
        match fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => fs::remove_file(path)?,
            Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let socket = UnixListener::bind(path)?;
        // Whoever connected before this is asked for credentials all the same.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            path: path.to_owned(),
        })
    }

    /// Waits for a question, at most `patience`. None when there was none, or none to be taken:
    /// that one has its answer then.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn wait(&self, patience: Duration) -> io::Result<Option<Question>> {
        let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
        let mut wanted = [PollFd::new(&self.socket, PollFlags::IN)];
        match poll(&mut wanted, Some(&patience)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(None),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        match self.socket.accept() {
            Ok((stream, _)) => Ok(taken(stream)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn taken(mut stream: UnixStream) -> Option<Question> {
    // INVARIANT (no warrant, no effect): only root may ask, or who runs this daemon, and it is the
    // kernel that says who does.
    let peer = socket_peercred(&stream).ok()?;
    let pid = u32::try_from(peer.pid.as_raw_nonzero().get()).ok()?;
    if !is_ours(peer.uid) {
        reply(stream, Err("only root may ask".into()));
        return None;
    }
    stream.set_nonblocking(false).ok()?;
    let bytes_max = usize::try_from(INFO_BYTES_MAX).unwrap_or(usize::MAX);
    let bytes = frame::receive(&mut stream, bytes_max, Instant::now() + FRAME).ok()?;
    let lines = String::from_utf8(bytes)
        .map_err(|error| error.to_string())
        .and_then(|text| hook::parse(&text).map_err(|error| error.to_string()));
    match lines {
        Ok(lines) => Some(Question { stream, pid, lines }),
        Err(why) => {
            reply(stream, Err(why));
            None
        }
    }
}

impl Question {
    /// Answers: covered, or why not. An asker that is gone takes no answer, and apt no step.
    pub fn answer(self, answer: Result<(), String>) {
        reply(self.stream, answer);
    }
}

fn reply(mut stream: UnixStream, answer: Result<(), String>) {
    let answer = Answer {
        covered: answer.is_ok(),
        why: within(&answer.err().unwrap_or_default(), ANSWER_BYTES_MAX / 8),
    };
    if let Ok(bytes) = serde_json::to_vec(&answer) {
        let _ = frame::send(&mut stream, &bytes, Instant::now() + FRAME);
    }
}
