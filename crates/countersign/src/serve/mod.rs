//! The running server: its socket, its threads, and the clockwork beside it (sweeps, and the
//! cross-commits of both logs). Starts and stops from synchronous code; decides nothing.

mod background;
mod patience;

pub use background::{Background, Peer, bind, block_on, told, wait_for_signal};

use crate::ambient;
use crate::api::{App, router};
use crate::deployment::{Deployment, ServerFile};
use background::Stopped;
use countersign_gate::Gate;
use countersign_store::Log;
use patience::{Clocks, Hosts, Patience};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, interval};

/// How often what has run out of time is ended.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// How often the logs commit to one another, when something changed.
const CROSS_COMMIT_EVERY: Duration = Duration::from_secs(60);
/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Somebody listens there already.
    #[error("port {} is in use ({address}); stop what listens there, or name another with `--listen`", address.port())]
    PortInUse {
        /// Where.
        address: SocketAddr,
    },
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}; name another with `--listen`")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The network would see it.
    #[error(
        "{0} can be reached from other machines, and this server speaks plain HTTP; put a TLS proxy in front and add `--allow-remote`"
    )]
    Remote(SocketAddr),
    /// Threads or files.
    #[error("cannot start the server: {0}")]
    System(#[from] io::Error),
    /// The data directory.
    #[error(transparent)]
    Deployment(#[from] crate::deployment::DeploymentError),
}

/// The server.
pub struct Server;

/// A running server. Stops when it is dropped.
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    deployment: Option<Arc<Deployment>>,
    background: Background,
    announced: bool,
}

/// How a server is reached.
#[derive(Debug, Clone, Copy)]
pub struct Reach {
    /// Where it listens; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// True when other machines may reach it.
    pub allow_remote: bool,
    /// True to write the address into the data directory, for the CLI to find.
    pub announce: bool,
}

impl Reach {
    /// On any free port of this machine, for one command.
    #[must_use]
    pub const fn ephemeral() -> Self {
        Self {
            listen: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0),
            allow_remote: false,
            announce: false,
        }
    }

    /// On this address of this machine, announced in the data directory.
    #[must_use]
    pub const fn at(listen: SocketAddr) -> Self {
        Self {
            listen,
            allow_remote: false,
            announce: true,
        }
    }
}

impl Server {
    /// Starts a server on its own threads, with its clockwork.
    ///
    /// # Errors
    /// [`ServeError`] says what to do.
    pub fn start(deployment: Deployment, reach: Reach) -> Result<Running, ServeError> {
        if !reach.listen.ip().is_loopback() && !reach.allow_remote {
            return Err(ServeError::Remote(reach.listen));
        }
        let listener = bind(reach.listen)?;
        let addr = listener.local_addr()?;
        if reach.announce {
            let file = ServerFile {
                address: addr,
                process: std::process::id(),
            };
            file.write(deployment.dir())?;
        } else {
            // Whoever holds the store is the only server: a file that is there is an old one.
            ServerFile::remove(deployment.dir());
        }
        let deployment = Arc::new(deployment);
        let app = App::new(&deployment);
        let gate = Arc::clone(deployment.gate());
        let beside = move |stopped| Box::pin(clockwork(gate, stopped)) as _;
        let background = Background::start(listener, router(&app), Box::new(beside))?;
        Ok(Running {
            addr,
            deployment: Some(deployment),
            background,
            announced: reach.announce,
        })
    }
}

impl Running {
    /// The base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The deployment that it serves.
    #[must_use]
    pub fn deployment(&self) -> &Deployment {
        // INVARIANT: taken only when it stops, which consumes or drops the value.
        self.deployment
            .as_deref()
            .expect("a running server has a deployment")
    }

    /// Stops it: no new requests, those under way are finished, the store is closed.
    pub fn stop(mut self) {
        self.shut_down();
    }

    /// Waits for SIGINT or SIGTERM, then stops.
    ///
    /// # Errors
    /// When signals cannot be waited for.
    pub fn run_until_signal(self) -> Result<(), ServeError> {
        wait_for_signal()?;
        self.stop();
        Ok(())
    }

    fn shut_down(&mut self) {
        self.background.stop();
        if let Some(deployment) = self.deployment.take()
            && self.announced
        {
            ServerFile::remove(deployment.dir());
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// Ends what time ends, and ties the logs to one another.
async fn clockwork(gate: Arc<Gate>, stopped: Stopped) {
    let mut ticks = interval(SWEEP_EVERY);
    let up_since = Instant::now();
    let clocks = || Clocks {
        wall: ambient::now(),
        up: up_since.elapsed(),
    };
    let mut patience = Patience::from(clocks());
    let mut committed_at = Instant::now();
    let mut committed_size = gate.store().checkpoint(Log::Authorizations).0;
    let mut stop = std::pin::pin!(told(stopped));
    loop {
        tokio::select! {
            () = &mut stop => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = gate.sweep(ambient::now()).await {
            eprintln!("countersign: sweep: {error}");
        }
        let now = clocks();
        match patience.look(now) {
            Hosts::HadTime => {
                if let Err(error) = gate.sweep_hosts(now.wall).await {
                    eprintln!("countersign: silent hosts: {error}");
                }
            }
            Hosts::HaveTime => {}
            Hosts::HaveTimeAgain => eprintln!(
                "countersign: this machine slept, or its clock was set: no host counts as silent for two hours"
            ),
        }
        if committed_at.elapsed() < CROSS_COMMIT_EVERY {
            continue;
        }
        committed_at = Instant::now();
        let size = gate.store().checkpoint(Log::Authorizations).0;
        if size == committed_size {
            continue;
        }
        match gate.cross_commit(ambient::now()).await {
            Ok(()) => committed_size = size,
            Err(error) => eprintln!("countersign: cross-commit: {error}"),
        }
    }
}
