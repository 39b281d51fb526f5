//! The network process's life: become nobody in particular, listen, enter the sandbox, then answer.
//! Nothing is read from the socket or the network before the sandbox is entered.

use super::account::{self, AccountError};
use super::frame;
use super::sandbox::{self, SandboxError};
use super::settings::Settings;
use crate::client::{ClientError, Direct};
use crate::config::ConfigError;
use rustix::fs::Mode;
use rustix::net::sockopt::socket_peercred;
use rustix::process::{getegid, geteuid, umask};
use std::convert::Infallible;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Requests answered at the same time at most; one executor asks one thing at a time.
const REQUESTS_MAX: usize = 8;
/// How long a request may take to arrive, and an answer to leave.
const EXCHANGE: Duration = Duration::from_secs(10);
/// Between two looks at a listener that fails.
const AFTER_FAILURE: Duration = Duration::from_millis(200);
/// What name service is configured by. A file that was replaced is another file to the sandbox.
const NAME_SERVICE: [&str; 3] = ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"];

/// Why the network process does not run, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The account.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The server's address.
    #[error(transparent)]
    Server(#[from] ClientError),
    /// Root.
    #[error(
        "the network process must not run as root; hint: start it as its own user, or with `--user countersign-network`"
    )]
    Root,
    /// The socket.
    #[error("socket `{path}`: {problem}; hint: its folder has to belong to the network process's user", path = .path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why.
        problem: std::io::Error,
    },
    /// The sandbox.
    #[error(
        "{0}; the network process does not run without its sandbox (root can allow that: `unsandboxed = true`)"
    )]
    Sandbox(#[from] SandboxError),
    /// Name service is configured anew.
    #[error(
        "`{0}` was replaced, and the sandbox knows the old file only; hint: started again (the unit does it), it reads the new one"
    )]
    Replaced(&'static str),
}

/// Runs the network process, as `user` where one is given. `tell` is told what happens.
///
/// # Errors
/// When it cannot be set up as it must be, or has to be started again.
pub fn serve(
    config: &Path,
    user: Option<&str>,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Infallible, NetworkError> {
    let settings = Settings::load(config)?;
    drop_root(user)?;
    let direct = Arc::new(Direct::new(&settings.server, false)?);
    let listener = listen(&settings.socket).map_err(|problem| NetworkError::Socket {
        path: settings.socket.clone(),
        problem,
    })?;
    let known = name_service();
    let ports: Vec<u16> = settings.port().into_iter().collect();
    match sandbox::enter(&ports) {
        Ok(enforced) if enforced.tcp_ports => tell("sandboxed: files, programs, calls, TCP ports"),
        Ok(_) => tell("sandboxed: files, programs, calls (this kernel holds no TCP ports)"),
        Err(error) if settings.unsandboxed => tell(&format!(
            "WARNING: NOT SANDBOXED: {error}; running all the same, because the configuration says `unsandboxed = true`"
        )),
        Err(error) => return Err(error.into()),
    }
    tell(&format!(
        "listening for the executor, talking to {}",
        settings.server
    ));
    let running = Arc::new(AtomicUsize::new(0));
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) => {
                tell(&format!("no connection taken: {error}"));
                std::thread::sleep(AFTER_FAILURE);
                continue;
            }
        };
        if let Some(path) = replaced(&known) {
            return Err(NetworkError::Replaced(path));
        }
        let place = Place::take(&running);
        let direct = Arc::clone(&direct);
        if place.is_some() && may_ask(&stream) {
            // A thread that cannot be started closes the connection: the executor hears of it.
            let started = std::thread::Builder::new().spawn(move || {
                answer(&direct, &stream);
                drop(place);
            });
            if let Err(error) = started {
                tell(&format!("no thread for a request: {error}"));
            }
        }
    }
}

/// Stops being root; whoever is not root already stays who it is.
pub(super) fn drop_root(user: Option<&str>) -> Result<(), NetworkError> {
    if let Some(user) = user {
        account::become_for_good(user)?;
    }
    if geteuid().is_root() || getegid().is_root() && user.is_some() {
        return Err(NetworkError::Root);
    }
    Ok(())
}

/// Listens where only this user, and root, can connect. A socket that nobody listens on any more is
/// replaced.
fn listen(path: &Path) -> std::io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() && UnixStream::connect(path).is_err() => {
            std::fs::remove_file(path)?;
        }
        Ok(_) | Err(_) => {}
    }
    // Only ever narrowed: nothing that this process makes is for others.
    umask(Mode::RWXG | Mode::RWXO);
    UnixListener::bind(path)
}

/// Root, or this very user. Whoever else gets to the socket is not listened to.
fn may_ask(stream: &UnixStream) -> bool {
    socket_peercred(stream).is_ok_and(|peer| peer.uid.is_root() || peer.uid == geteuid())
}

/// One of the places for a request; given back when dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(running: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(Arc::clone(running));
        (running.fetch_add(1, Ordering::SeqCst) < REQUESTS_MAX).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Answers one request. Nothing of it is logged: it holds a token.
fn answer(direct: &Direct, stream: &UnixStream) {
    let answer = match frame::read_request(stream, Instant::now() + EXCHANGE) {
        Ok(request) => direct.send(&request).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    // Who went away needs no answer.
    let _ = frame::write_answer(stream, &answer, Instant::now() + EXCHANGE);
}

type Identity = Option<(u64, u64)>;

fn name_service() -> [(&'static str, Identity); 3] {
    NAME_SERVICE.map(|path| (path, identity(path)))
}

fn identity(path: &str) -> Identity {
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

/// The first file of name service that is another one than at the start.
fn replaced(known: &[(&'static str, Identity)]) -> Option<&'static str> {
    let mut changed = known.iter().filter(|(path, was)| identity(path) != *was);
    changed.next().map(|(path, _)| *path)
}
