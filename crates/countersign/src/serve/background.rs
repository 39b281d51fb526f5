//! A router on its own threads: the socket, a bound on connections, a clean stop. For the server and
//! the witness alike; knows nothing of either.

use super::ServeError;
use axum::Router;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::Pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

/// How long requests may go on after the server was told to stop.
const STOP_TIME: Duration = Duration::from_secs(10);
/// Connections at once at most; more wait.
const CONNECTIONS_MAX: usize = 1024;
/// Threads that answer requests.
const WORKERS: usize = 4;

/// Tells when to stop.
pub type Stopped = watch::Receiver<bool>;
/// Work that goes on beside the requests until it is told to stop.
pub type Beside = Box<dyn FnOnce(Stopped) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// A router that is being served. Stops when it is dropped.
pub struct Background {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Serves `router` on `listener`, and runs `beside` along with it.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn start(listener: StdListener, router: Router, beside: Beside) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("server")
            .enable_all()
            .build()?;
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::Builder::new()
            .name("server-main".into())
            .spawn(move || {
                runtime.block_on(serve(listener, router, beside, stopped));
                runtime.shutdown_timeout(STOP_TIME);
            })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// No new requests; those under way are finished.
    pub fn stop(&mut self) {
        // The receiver is gone when the server has ended already.
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn serve(listener: StdListener, router: Router, beside: Beside, stopped: Stopped) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => Bounded::new(listener),
        Err(error) => {
            eprintln!("countersign: cannot listen: {error}");
            return;
        }
    };
    let beside = tokio::spawn(beside(stopped.clone()));
    let service = router.into_make_service_with_connect_info::<Peer>();
    let server = axum::serve(listener, service).with_graceful_shutdown(told(stopped.clone()));
    let serving = tokio::spawn(async move { server.await });
    told(stopped).await;
    // Connections that are kept open without a request must not keep the server.
    let _ = timeout(STOP_TIME, serving).await;
    let _ = beside.await;
}

/// Waits until it is time to stop.
pub async fn told(mut stopped: Stopped) {
    // An error means that the sender is gone, which stops the server too.
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Waits for SIGINT or SIGTERM.
///
/// # Errors
/// When signals cannot be waited for.
pub fn wait_for_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    })?
}

/// Runs a future of the gate from synchronous code.
///
/// # Errors
/// When no runtime can be had.
pub fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(future))
}

/// Binds a socket that a runtime can take over.
///
/// # Errors
/// [`ServeError::PortInUse`] or [`ServeError::Listen`].
pub fn bind(address: SocketAddr) -> Result<StdListener, ServeError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::PortInUse { address },
        _ => ServeError::Listen { address, source },
    };
    let listener = StdListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

impl Connected<IncomingStream<'_, Bounded>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// A listener that holds a bounded number of connections.
pub struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Bounded {
    /// Takes over a listener.
    #[must_use]
    pub fn new(listener: TcpListener) -> Self {
        Self {
            listener,
            places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        }
    }
}

impl Listener for Bounded {
    type Io = Held;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Held, SocketAddr) {
        loop {
            // The semaphore is never closed.
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                std::future::pending::<()>().await;
                continue;
            };
            let (stream, peer) = Listener::accept(&mut self.listener).await;
            // Answers are small and waited for.
            let _ = stream.set_nodelay(true);
            return (
                Held {
                    stream,
                    _place: place,
                },
                peer,
            );
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection and its place among the bounded number.
pub struct Held {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

mod held {
    //! Reading and writing through to the stream.

    use super::Held;
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    impl AsyncRead for Held {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for Held {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.stream).poll_write(cx, buf)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_shutdown(cx)
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[io::IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
        }

        fn is_write_vectored(&self) -> bool {
            self.stream.is_write_vectored()
        }
    }
}
