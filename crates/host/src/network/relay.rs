//! The executor's end: sends a request through the network process and takes its answer. Checks who
//! listens there, and holds it to bounds and time. Believes no answer: `work` verifies it, exactly as
//! it verifies what came directly.

use super::account::{self, AccountError};
use super::frame::{self, FrameError};
use crate::client::{Reply, Request, TIMEOUT};
use countersign_domain::text::shown;
use rustix::net::sockopt::{Timeout, set_socket_timeout, socket_peercred};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use serde::{Deserialize, Serialize};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long an answer may take: the network process's own limit, and some for the two sockets.
const ANSWER_WITHIN: Duration = TIMEOUT.saturating_add(Duration::from_secs(10));

/// The way to the gate through a network process: the section `[network]` of a host's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relay {
    /// Where that process listens.
    #[serde(default = "super::socket_path")]
    pub socket: PathBuf,
    /// The account that it runs as, by name or number; whoever else listens there is not talked to.
    #[serde(default = "super::user")]
    pub user: String,
    /// How long an answer may take, in seconds.
    #[serde(default = "answer_seconds_max")]
    pub answer_seconds_max: u32,
}

const fn answer_seconds_max() -> u32 {
    // A constant of some tens of seconds.
    #[allow(clippy::cast_possible_truncation)]
    let seconds = ANSWER_WITHIN.as_secs() as u32;
    seconds
}

/// Why a network process gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The account is not known here.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// Nobody listens.
    #[error("nobody listens: {0}")]
    Connect(io::Error),
    /// Somebody else listens.
    #[error("user id {found} listens there, not `{user}` ({expected}); nothing was sent")]
    Stranger {
        /// Who should.
        user: String,
        /// Its id.
        expected: u32,
        /// Who does.
        found: u32,
    },
    /// It broke off, was too slow, or did not answer in our form.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// It says that it has no answer.
    #[error("it has no answer: {0}")]
    Upstream(String),
}

impl Relay {
    /// Checks what types alone do not give; the field at fault and what would be right.
    ///
    /// # Errors
    /// See above.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if !self.socket.is_absolute() {
            return Err(("network.socket", "must be an absolute path"));
        }
        if self.user.is_empty() {
            return Err((
                "network.user",
                "must name the account of the network process",
            ));
        }
        if !(1..=answer_seconds_max()).contains(&self.answer_seconds_max) {
            return Err(("network.answer_seconds_max", "must be 1 to 70"));
        }
        Ok(())
    }

    /// Sends a request and waits for the answer.
    ///
    /// # Errors
    /// When somebody else listens, or there is no answer in time and in our form.
    pub fn send(&self, request: &Request) -> Result<Reply, RelayError> {
        let deadline = Instant::now() + Duration::from_secs(u64::from(self.answer_seconds_max));
        let expected = account::find(&self.user)?.uid;
        let stream = self.connect().map_err(RelayError::Connect)?;
        let peer = socket_peercred(&stream).map_err(|error| RelayError::Connect(error.into()))?;
        let found = peer.uid.as_raw();
        if found != expected {
            return Err(RelayError::Stranger {
                user: shown(&self.user, 64),
                expected,
                found,
            });
        }
        frame::write_request(&stream, request, deadline)?;
        frame::read_answer(&stream, deadline)?.map_err(|why| RelayError::Upstream(shown(&why, 300)))
    }

    /// Connects; a listener that takes no connections is waited for no longer than for an answer.
    fn connect(&self) -> io::Result<UnixStream> {
        let address = SocketAddrUnix::new(&self.socket)?;
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        let within = Duration::from_secs(u64::from(self.answer_seconds_max));
        set_socket_timeout(&socket, Timeout::Send, Some(within))?;
        connect(&socket, &address)?;
        Ok(socket.into())
    }
}
