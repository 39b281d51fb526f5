//! Tries, as the network process, what that process must not be able to do: once before it enters its
//! sandbox and once inside, so that a refusal shows what refused. Changes nothing but a file of its own
//! in the folder for temporary files.

use super::sandbox::{self, Enforced};
use super::serve::{NetworkError, drop_root};
use super::settings::Settings;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io;
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::path::Path;
use std::process::Command;

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// What.
    pub act: &'static str,
    /// How it went outside; `done`, or the error.
    pub outside: String,
    /// How it went inside.
    pub inside: String,
    /// True when it went inside as it must.
    pub as_it_must: bool,
}

/// Everything that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What the kernel holds.
    pub enforced: Enforced,
    /// What was tried.
    pub attempts: Vec<Attempt>,
}

impl Report {
    /// True when all went as it must.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.attempts.iter().all(|attempt| attempt.as_it_must)
    }
}

/// How an act must go inside the sandbox.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Must {
    Fail,
    Succeed,
    /// Fail where the kernel holds TCP ports; else it is told and not counted.
    FailWherePorts,
}

type Act<'a> = (&'static str, Must, Box<dyn Fn() -> io::Result<()> + 'a>);

/// Becomes `user` where one is given, enters the sandbox of the network process that `config`
/// describes, and tries. This process is of no use afterwards.
///
/// # Errors
/// When it cannot be set up, or the sandbox is not enforced.
pub fn selfcheck(config: &Path, user: Option<&str>) -> Result<Report, NetworkError> {
    let settings = Settings::load(config)?;
    drop_root(user)?;
    let socket = |problem| NetworkError::Socket {
        path: settings.socket.clone(),
        problem,
    };
    let elsewhere = TcpListener::bind("127.0.0.1:0").map_err(socket)?;
    let elsewhere = (elsewhere.local_addr().map_err(socket)?, elsewhere);
    let own = tempfile::NamedTempFile::new().map_err(socket)?;
    let acts = acts(own.path(), &elsewhere.0);
    let outside: Vec<_> = acts.iter().map(|(_, _, act)| told(&act())).collect();
    let ports: Vec<u16> = settings.port().into_iter().collect();
    let enforced = sandbox::enter(&ports)?;
    let attempts = acts
        .iter()
        .zip(outside)
        .map(|((act, must, attempt), outside)| {
            let went = attempt();
            let as_it_must = match must {
                Must::Succeed => went.is_ok(),
                Must::Fail => went.is_err(),
                Must::FailWherePorts => went.is_err() || !enforced.tcp_ports,
            };
            Attempt {
                act,
                outside,
                inside: told(&went),
                as_it_must,
            }
        })
        .collect();
    Ok(Report { enforced, attempts })
}

fn acts<'a>(own: &'a Path, elsewhere: &'a std::net::SocketAddr) -> Vec<Act<'a>> {
    let run = |program: &'static str| Command::new(program).status().map(drop);
    let open = |path: &Path| File::open(path).map(drop);
    vec![
        (
            "look up an address",
            Must::Succeed,
            Box::new(move || ("localhost", 0).to_socket_addrs().map(drop)),
        ),
        (
            "start a thread",
            Must::Succeed,
            Box::new(move || {
                let thread = std::thread::Builder::new().spawn(|| ())?;
                thread.join().map_err(|_| io::ErrorKind::Other.into())
            }),
        ),
        (
            "read a file of everybody",
            Must::Fail,
            Box::new(move || open(Path::new("/etc/passwd"))),
        ),
        (
            "read the password hashes",
            Must::Fail,
            Box::new(move || open(Path::new("/etc/shadow"))),
        ),
        (
            "read a file of its own",
            Must::Fail,
            Box::new(move || open(own)),
        ),
        (
            "read its own memory map",
            Must::Fail,
            Box::new(move || open(Path::new("/proc/self/maps"))),
        ),
        (
            "write a file of its own",
            Must::Fail,
            Box::new(move || OpenOptions::new().write(true).open(own).map(drop)),
        ),
        (
            "write to a device",
            Must::Fail,
            Box::new(move || OpenOptions::new().write(true).open("/dev/null").map(drop)),
        ),
        (
            "make a file",
            Must::Fail,
            Box::new(move || tempfile::tempfile().map(drop)),
        ),
        (
            "make a folder",
            Must::Fail,
            Box::new(move || tempfile::tempdir().map(drop)),
        ),
        (
            "change a file's mode",
            Must::Fail,
            Box::new(move || {
                let mode = std::fs::metadata(own)?.permissions();
                std::fs::set_permissions(own, mode)
            }),
        ),
        (
            "run a program",
            Must::Fail,
            Box::new(move || run("/bin/true")),
        ),
        (
            "become another program",
            Must::Fail,
            Box::new(move || {
                // Not there, so that nothing comes of it: that answer means that the call was let through.
                match nix::unistd::execv::<&std::ffi::CStr>(c"/nonexistent", &[]) {
                    Err(nix::errno::Errno::ENOENT) => Ok(()),
                    Err(error) => Err(error.into()),
                }
            }),
        ),
        (
            "listen for TCP",
            Must::Fail,
            Box::new(move || TcpListener::bind("127.0.0.1:0").map(drop)),
        ),
        (
            "listen for UDP",
            Must::Fail,
            Box::new(move || UdpSocket::bind("127.0.0.1:0").map(drop)),
        ),
        (
            "change its user",
            Must::Fail,
            Box::new(move || nix::unistd::setuid(nix::unistd::getuid()).map_err(io::Error::from)),
        ),
        (
            "see its process group",
            Must::Fail,
            Box::new(move || {
                rustix::process::getpgid(None)
                    .map(drop)
                    .map_err(io::Error::from)
            }),
        ),
        (
            "send a signal",
            Must::Fail,
            Box::new(move || {
                let me = rustix::process::getpid();
                rustix::process::test_kill_process(me).map_err(io::Error::from)
            }),
        ),
        (
            "open a kernel socket",
            Must::Fail,
            Box::new(move || {
                use rustix::net::{AddressFamily, SocketType, socket};
                let opened = socket(AddressFamily::NETLINK, SocketType::RAW, None);
                opened.map(drop).map_err(io::Error::from)
            }),
        ),
        (
            "connect to another port",
            Must::FailWherePorts,
            Box::new(move || TcpStream::connect(elsewhere).map(drop)),
        ),
        (
            "open a multipath socket",
            Must::Fail,
            Box::new(move || {
                use rustix::net::{AddressFamily, SocketType, ipproto, socket};
                let opened = socket(
                    AddressFamily::INET,
                    SocketType::STREAM,
                    Some(ipproto::MPTCP),
                );
                opened.map(drop).map_err(io::Error::from)
            }),
        ),
        (
            "connect to another port by sendto",
            Must::Fail,
            Box::new(move || opening(*elsewhere, Sending::To)),
        ),
        (
            "connect to another port by sendmsg",
            Must::Fail,
            Box::new(move || opening(*elsewhere, Sending::Message)),
        ),
        (
            "connect to another port by sendmmsg",
            Must::Fail,
            Box::new(move || opening(*elsewhere, Sending::Messages)),
        ),
    ]
}

/// Which call sends.
#[derive(Clone, Copy)]
enum Sending {
    To,
    Message,
    Messages,
}

/// TCP Fast Open: connects by sending, without `connect`.
fn opening(to: std::net::SocketAddr, by: Sending) -> io::Result<()> {
    use rustix::net::{self, AddressFamily, SendAncillaryBuffer, SendFlags, SocketType};
    let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    let flags = SendFlags::from_bits_retain(libc::MSG_FASTOPEN.cast_unsigned());
    let pieces = [io::IoSlice::new(b"x")];
    let mut control = SendAncillaryBuffer::default();
    match by {
        Sending::To => net::sendto(&socket, b"x", flags, &to).map(drop)?,
        Sending::Message => {
            net::sendmsg_addr(&socket, &to, &pieces, &mut control, flags).map(drop)?;
        }
        Sending::Messages => {
            let address = net::SocketAddrAny::from(to);
            let message = net::MMsgHdr::new_with_addr(&address, &pieces, &mut control);
            net::sendmmsg(&socket, &mut [message], flags).map(drop)?;
        }
    }
    Ok(())
}

fn told(went: &io::Result<()>) -> String {
    went.as_ref()
        .map_or_else(ToString::to_string, |()| "done".to_owned())
}
