//! Whole lives of remediations over HTTP, as an agent and its hosts would ask: proposed, prepared and
//! authorized, redeemed, started, settled; five requests, each on record before it is answered. One
//! thread drives all clients, and signs what depends on a warrant meanwhile.

use super::clients::expect;
use super::figures::Figures;
use super::fleet::Fleet;
use super::http::Connection;
use super::prepared::{Asked, Tokens, post, signed};
use super::{BenchError, failed};
use crate::ambient;
use crate::api::wire::{PlanBody, ProposalBody, ReceiptBody, RedemptionBody, StartedBody};
use countersign_domain::receipt::{Ending, Receipt, StartNotice};
use countersign_domain::{ChangeId, DeploymentId, Digest, HostId, jws};
use ed25519_dalek::SigningKey;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Lives that are signed at a time: tokens are good for five minutes.
const AT_A_TIME: usize = 5_000;

/// A life, ready to be lived.
struct Life {
    change: ChangeId,
    proposal: Vec<u8>,
    plan: Vec<u8>,
    redemption: Vec<u8>,
    deployment: DeploymentId,
    host: (HostId, SigningKey),
    host_token: String,
}

/// Lets `count` remediations live, the `first` of them not used before.
pub(super) fn run(
    fleet: &Fleet,
    address: SocketAddr,
    clients: u16,
    first: usize,
    count: usize,
    checkpoint_size: u64,
) -> Result<Figures, BenchError> {
    let mut latencies = Vec::new();
    let mut elapsed = Duration::ZERO;
    let mut done = 0;
    while done < count {
        let share = (count - done).min(AT_A_TIME);
        let lives = sign(fleet, first + done, share, checkpoint_size)?;
        let started = Instant::now();
        latencies.extend(live(address, clients, lives)?);
        elapsed += started.elapsed();
        done += share;
        eprintln!("{done} of {count} lives, {:.1} s", elapsed.as_secs_f64());
    }
    Ok(Figures::of(latencies, elapsed))
}

fn sign(
    fleet: &Fleet,
    first: usize,
    count: usize,
    checkpoint_size: u64,
) -> Result<Vec<Life>, BenchError> {
    let now = ambient::now();
    let tokens = Tokens::of(fleet, now)?;
    (first..first + count)
        .map(|number| {
            let asked = Asked::sign(fleet, &tokens, number, now)?;
            let change = asked.change;
            let proposal = ProposalBody {
                proposal: asked.proposal,
                rationale: None,
                plans: Vec::new(),
            };
            let plan = PlanBody { plan: asked.plan };
            let redemption = RedemptionBody {
                nonce: ambient::nonce(),
                checkpoint_size,
                roster_version: fleet.roster_version,
            };
            let of_change = |what: &str| format!("changes/{change}/{what}");
            Ok(Life {
                proposal: post("proposals", asked.agent_token, &proposal)?,
                plan: post(&of_change("plans"), asked.host_token, &plan)?,
                redemption: post(&of_change("redemptions"), asked.host_token, &redemption)?,
                change,
                deployment: fleet.deployment.clone(),
                host: asked.host.clone(),
                host_token: asked.host_token.to_owned(),
            })
        })
        .collect()
}

fn live(address: SocketAddr, clients: u16, lives: Vec<Life>) -> Result<Vec<Duration>, BenchError> {
    let lives = Arc::new(lives);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed("starting the clients"))?;
    runtime.block_on(async {
        let next = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..clients)
            .map(|_| tokio::spawn(client(address, Arc::clone(&lives), Arc::clone(&next))))
            .collect();
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.extend(task.await.map_err(failed("a client"))??);
        }
        Ok(latencies)
    })
}

async fn client(
    address: SocketAddr,
    lives: Arc<Vec<Life>>,
    next: Arc<AtomicUsize>,
) -> Result<Vec<Duration>, BenchError> {
    let opened = Connection::open(address).await;
    let mut connection = opened.map_err(failed("connecting"))?;
    let mut latencies = Vec::new();
    loop {
        let place = next.fetch_add(1, Ordering::Relaxed);
        let Some(life) = lives.get(place) else {
            return Ok(latencies);
        };
        let started = Instant::now();
        life.live(&mut connection).await?;
        latencies.push(started.elapsed());
    }
}

impl Life {
    async fn live(&self, connection: &mut Connection) -> Result<(), BenchError> {
        const SENDING: &str = "sending a request";
        let in_state = |state: &'static str| {
            move |body: &[u8]| body.ends_with(format!(r#""state":"{state}"}}"#).as_bytes())
        };
        let answer = connection.exchange(&self.proposal).await;
        let answer = answer.map_err(failed(SENDING))?;
        expect("a proposal", &answer, 201, in_state("preparing"))?;
        let answer = connection.exchange(&self.plan).await;
        let answer = answer.map_err(failed(SENDING))?;
        expect("a plan", &answer, 200, in_state("authorized"))?;
        let answer = connection.exchange(&self.redemption).await;
        let answer = answer.map_err(failed(SENDING))?;
        expect("a redemption", &answer, 200, |body| {
            body.starts_with(WARRANT)
        })?;
        let warrant = answer.body.get(WARRANT.len() - 2..).unwrap_or_default();
        let warrant = warrant.split(|byte| *byte == b'"').next();
        let warrant = Digest::of(warrant.unwrap_or_default());
        let started = self.started(warrant)?;
        let answer = connection.exchange(&started).await;
        let answer = answer.map_err(failed(SENDING))?;
        expect("a start notice", &answer, 200, in_state("running"))?;
        let receipt = self.receipt(warrant)?;
        let answer = connection.exchange(&receipt).await;
        let answer = answer.map_err(failed(SENDING))?;
        expect("a receipt", &answer, 200, in_state("review-due"))
    }

    fn started(&self, warrant: Digest) -> Result<Vec<u8>, BenchError> {
        let (host, key) = &self.host;
        let notice = StartNotice {
            v: 1,
            deployment: self.deployment.clone(),
            host: host.clone(),
            change: self.change.clone(),
            warrant,
            started_at: ambient::now(),
        };
        let body = StartedBody {
            notice: signed(jws::STARTED_TYP, host.as_str(), key, &notice)?,
        };
        let path = format!("changes/{}/started", self.change);
        post(&path, &self.host_token, &body)
    }

    fn receipt(&self, warrant: Digest) -> Result<Vec<u8>, BenchError> {
        let (host, key) = &self.host;
        let now = ambient::now();
        let receipt = Receipt {
            v: 1,
            deployment: self.deployment.clone(),
            host: host.clone(),
            change: self.change.clone(),
            warrant,
            started_at: Some(now),
            ended_at: now,
            ending: Ending::Succeeded,
            in_place: Vec::new(),
            health: Vec::new(),
            notes: Vec::new(),
        };
        let body = ReceiptBody {
            receipt: signed(jws::RECEIPT_TYP, host.as_str(), key, &receipt)?,
        };
        let path = format!("changes/{}/receipts", self.change);
        post(&path, &self.host_token, &body)
    }
}

/// How an answer that hands a warrant over begins: a compact JWS begins with these letters.
const WARRANT: &[u8] = br#"{"warrant":"ey"#;
