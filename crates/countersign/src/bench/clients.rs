//! Concurrent clients over HTTP: each asks for one authorization after another, as fast as it is
//! answered. One thread drives all of them.

use super::http::{Answer, Connection};
use super::prepared::Authorization;
use super::{BenchError, failed};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Every so many handovers are kept, to be verified as a host would.
const KEEP_EVERY: usize = 50;

/// What came of one round.
pub(super) struct Round {
    /// From sending the proposal to holding the warrant with its proof, one for each authorization.
    pub(super) latencies: Vec<Duration>,
    /// From the first request to the last answer.
    pub(super) elapsed: Duration,
    /// What was asked for.
    pub(super) work: Arc<Vec<Authorization>>,
    /// Some of the handovers, each with the place of its authorization in `work`.
    pub(super) kept: Vec<(usize, Vec<u8>)>,
}

#[derive(Default)]
struct Done {
    latencies: Vec<Duration>,
    kept: Vec<(usize, Vec<u8>)>,
}

/// Works through all of it.
pub(super) fn run(
    address: SocketAddr,
    clients: u16,
    work: Vec<Authorization>,
) -> Result<Round, BenchError> {
    let work = Arc::new(work);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed("starting the clients"))?;
    runtime.block_on(async {
        let mut connections = Vec::new();
        for _ in 0..clients {
            let opened = Connection::open(address).await;
            connections.push(opened.map_err(failed("connecting"))?);
        }
        let next = Arc::new(AtomicUsize::new(0));
        let started = Instant::now();
        let tasks: Vec<_> = connections
            .into_iter()
            .map(|connection| {
                tokio::spawn(client(connection, Arc::clone(&work), Arc::clone(&next)))
            })
            .collect();
        let mut all = Done::default();
        for task in tasks {
            let done = task.await.map_err(failed("a client"))??;
            all.latencies.extend(done.latencies);
            all.kept.extend(done.kept);
        }
        Ok(Round {
            elapsed: started.elapsed(),
            latencies: all.latencies,
            kept: all.kept,
            work,
        })
    })
}

async fn client(
    mut connection: Connection,
    work: Arc<Vec<Authorization>>,
    next: Arc<AtomicUsize>,
) -> Result<Done, BenchError> {
    let mut done = Done::default();
    loop {
        let place = next.fetch_add(1, Ordering::Relaxed);
        let Some(authorization) = work.get(place) else {
            return Ok(done);
        };
        let started = Instant::now();
        let answer = connection.exchange(&authorization.proposal).await;
        let answer = answer.map_err(failed("sending a proposal"))?;
        // Standing authority was granted: nobody has to be asked.
        expect("a proposal", &answer, 201, |body| {
            body.ends_with(br#""state":"authorized"}"#)
        })?;
        let answer = connection.exchange(&authorization.redemption).await;
        let answer = answer.map_err(failed("sending a redemption"))?;
        expect("a redemption", &answer, 200, |body| {
            body.starts_with(br#"{"warrant":"ey"#)
        })?;
        done.latencies.push(started.elapsed());
        if place.is_multiple_of(KEEP_EVERY) {
            done.kept.push((place, answer.body.to_vec()));
        }
    }
}

pub(super) fn expect(
    what: &'static str,
    answer: &Answer<'_>,
    status: u16,
    fits: impl FnOnce(&[u8]) -> bool,
) -> Result<(), BenchError> {
    if answer.status == status && fits(answer.body) {
        return Ok(());
    }
    let start = answer.body.get(..400).unwrap_or(answer.body);
    Err(BenchError::Answer {
        what,
        status: answer.status,
        body: String::from_utf8_lossy(start).into_owned(),
    })
}
