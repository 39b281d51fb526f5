//! A question from the hook to the daemon: "apt is about to do this; is there a plan for it?" Over a
//! unix socket that only root (or whoever runs the daemon) may use, in bounded frames, with a
//! deadline on both sides. Here is how it is asked and who asks; what is answered is in `work`.

mod frame;
mod holder;
mod listener;

pub use holder::{HolderError, session};
pub use listener::{Listener, Question};

use crate::config::Config;
use rustix::net::sockopt::socket_peercred;
use rustix::process::Uid;
use serde::{Deserialize, Serialize};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Why there is no answer. Whoever enforces takes it for a no.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens, or the daemon does not answer in time.
    #[error("the daemon cannot be asked at `{path}`: {source}; hint: is `countersign-host run` running, and not busy?", path = .path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else listens there.
    #[error("`{path}` belongs to user {uid}, not to root; nothing was asked", path = .path.display())]
    Stranger {
        /// The socket.
        path: PathBuf,
        /// Who listens.
        uid: u32,
    },
    /// Another kind of answer.
    #[error("the daemon's answer is not understood: {0}")]
    Form(#[from] serde_json::Error),
}

/// What the daemon says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// True when every line may happen now.
    pub covered: bool,
    /// Why not, in words; empty when it may.
    pub why: String,
}

/// Asks the daemon of this host about the lines that apt wrote, settings left out.
///
/// # Errors
/// When there is no answer within `hook.wait_seconds`.
pub fn ask(config: &Config, text: &str) -> Result<Answer, AskError> {
    let path = config.hook_socket();
    let deadline = Instant::now() + Duration::from_secs(u64::from(config.hook.wait_seconds));
    let io = |source| AskError::Io {
        path: path.clone(),
        source,
    };
    let mut stream = UnixStream::connect(&path).map_err(io)?;
    let peer = socket_peercred(&stream).map_err(|error| io(error.into()))?;
    if !is_ours(peer.uid) {
        let uid = peer.uid.as_raw();
        return Err(AskError::Stranger { path, uid });
    }
    let said = frame::send(&mut stream, text.as_bytes(), deadline)
        .and_then(|()| frame::receive(&mut stream, ANSWER_BYTES_MAX, deadline))
        .map_err(io)?;
    Ok(serde_json::from_slice(&said)?)
}

/// Whether the kernel's word of the other end is believed: root, or who runs this process.
fn is_ours(uid: Uid) -> bool {
    uid.is_root() || uid == rustix::process::geteuid()
}

#[cfg(test)]
mod tests;
