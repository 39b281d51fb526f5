//! The ceiling: the same entries, committed by the same engine in the same two steps, by threads of
//! this process; each authorization with one policy decision and the signatures it needs (proposal
//! and plan verified; warrant and lease signed; the checkpoint of each commit is signed by the
//! store). No HTTP, no facts looked up, no projections: what is left is what cannot be left out.
//! Beside it, the raw group commit of the same bytes.

use super::captured::{Captured, InForce};
use super::figures::Figures;
use super::{BenchError, failed};
use crate::ambient;
use countersign_domain::lease::Lease;
use countersign_domain::{Outcome, canonical, jws};
use countersign_ledger::{LogSigner, Origin};
use countersign_store::{Log, Options, RawCommits, Signers, Store, StoreError};
use ed25519_dalek::{Signer as _, SigningKey};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Measures the ceiling with so many submitting threads.
pub(super) fn run(
    path: &Path,
    threads: u16,
    seconds: Duration,
    in_force: &InForce,
    captured: &[Captured],
) -> Result<Figures, BenchError> {
    const WHAT: &str = "the ceiling's store";
    let signer = |log: Log| {
        let origin =
            Origin::new(&format!("localhost/ceiling/{}", log.as_str())).map_err(failed(WHAT))?;
        LogSigner::from_seed(origin, &ambient::random()).map_err(failed(WHAT))
    };
    let signers = Signers {
        recommendations: signer(Log::Recommendations)?,
        authorizations: signer(Log::Authorizations)?,
    };
    let store = Store::open(path, signers, Options::default()).map_err(failed(WHAT))?;
    let entries: Vec<Arc<Entries>> = captured.iter().map(Entries::of).map(Arc::new).collect();
    let ceiling = Ceiling {
        store,
        in_force,
        captured,
        entries,
        key: SigningKey::from_bytes(&ambient::random()),
        next: AtomicUsize::new(0),
    };
    let started = Instant::now();
    let until = started + seconds;
    let latencies = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| ceiling.work(until)))
            .collect();
        let mut all = Vec::new();
        for thread in threads {
            let gone = |_| BenchError::Void("a thread of the ceiling panicked".into());
            all.extend(thread.join().map_err(gone)??);
        }
        Ok::<_, BenchError>(all)
    })?;
    Ok(Figures::of(latencies, started.elapsed()))
}

/// The bytes of one authorization, by job.
struct Entries {
    proposal: Vec<u8>,
    authorized: Vec<Vec<u8>>,
    warrant: Vec<u8>,
}

impl Entries {
    fn of(captured: &Captured) -> Self {
        Self {
            proposal: captured.proposal.clone().into_bytes(),
            authorized: captured.authorized.clone(),
            warrant: captured.warrant.clone().into_bytes(),
        }
    }
}

struct Ceiling<'a> {
    store: Store,
    in_force: &'a InForce,
    captured: &'a [Captured],
    entries: Vec<Arc<Entries>>,
    key: SigningKey,
    next: AtomicUsize,
}

impl Ceiling<'_> {
    /// One thread's share: the latency of each authorization.
    fn work(&self, until: Instant) -> Result<Vec<Duration>, BenchError> {
        let mut latencies = Vec::new();
        loop {
            let started = Instant::now();
            if started >= until {
                return Ok(latencies);
            }
            let place = self.next.fetch_add(1, Ordering::Relaxed) % self.captured.len();
            let (Some(captured), Some(entries)) =
                (self.captured.get(place), self.entries.get(place))
            else {
                return Ok(latencies);
            };
            self.authorize(captured, entries)?;
            latencies.push(started.elapsed());
        }
    }

    fn authorize(&self, captured: &Captured, entries: &Arc<Entries>) -> Result<(), BenchError> {
        const WHAT: &str = "the ceiling";
        let roster = &self.in_force.world.roster;
        let proposal = countersign_verify::proposal::verify(&captured.proposal, roster)
            .map_err(failed(WHAT))?;
        let plan = countersign_verify::plan::verify(&captured.plan, roster, &proposal)
            .map_err(failed(WHAT))?;
        let decided = captured
            .facts
            .as_ref()
            .map(|facts| self.in_force.policy.decide(facts));
        if decided.is_none_or(|decided| decided.decision.outcome != Outcome::Allow) {
            return Err(BenchError::Void("the ceiling's decision differs".into()));
        }
        // The warrant names an authorization that is durable: two commits, here as there.
        let job = Arc::clone(entries);
        self.store
            .submit(move |tx| {
                tx.append(Log::Recommendations, &job.proposal)?;
                job.authorized
                    .iter()
                    .try_for_each(|entry| tx.append(Log::Authorizations, entry).map(drop))
            })
            .wait()
            .map_err(|error: StoreError| failed::<StoreError>(WHAT)(error))?;
        let input = captured
            .warrant
            .rsplit_once('.')
            .map_or("", |(input, _)| input);
        black_box(self.key.sign(black_box(input.as_bytes())));
        let job = Arc::clone(entries);
        self.store
            .submit(move |tx| tx.append(Log::Authorizations, &job.warrant).map(drop))
            .wait()
            .map_err(|error: StoreError| failed::<StoreError>(WHAT)(error))?;
        let lease = Lease {
            v: 1,
            deployment: roster.deployment.clone(),
            host: plan.host.clone(),
            nonce: ambient::nonce(),
            at: ambient::now(),
            halt_epoch: 0,
            halted: false,
        };
        let bytes = canonical::to_bytes(&lease).map_err(failed(WHAT))?;
        let input = jws::signing_input(jws::LEASE_TYP, countersign_gate::GATE_KID, &bytes);
        black_box(self.key.sign(input.as_bytes()));
        Ok(())
    }
}

/// Measures the raw group commit: the rows of so many authorizations in each transaction.
pub(super) fn raw(
    path: &Path,
    group: u16,
    seconds: Duration,
    captured: &[Captured],
) -> Result<Figures, BenchError> {
    const WHAT: &str = "the raw commits";
    let rows = RawCommits::create(path).map_err(failed(WHAT))?;
    let mut all = captured.iter().cycle();
    let mut latencies = Vec::new();
    let started = Instant::now();
    while started.elapsed() < seconds {
        let begun = Instant::now();
        let group: Vec<&Captured> = all.by_ref().take(usize::from(group)).collect();
        rows.commit(group.iter().flat_map(|captured| captured.entries()))
            .map_err(failed(WHAT))?;
        let took = begun.elapsed();
        latencies.extend(group.iter().map(|_| took));
    }
    Ok(Figures::of(latencies, started.elapsed()))
}
