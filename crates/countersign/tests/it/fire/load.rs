//! Agents and hosts that go on asking while the server dies and comes back: what was not answered is
//! asked again with the same bytes, and every answer is kept.

use super::crew::{Asked, CAPACITY, Crew, HOSTS};
use crate::app::token;
use countersign::ambient;
use countersign::api::wire::RedemptionBody;
use countersign_domain::asset::Tier;
use countersign_domain::lease::{Handover, LEASE_SECONDS_MAX};
use countersign_ledger::{SignedCheckpoint, TlogProof};
use countersign_store::Log;
use countersign_verify::Checkpoint;
use countersign_verify::handover::{self, HostPins, HostView};
use countersign_verify::roster::VerifiedRoster;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// Clients at once. Each speaks for hosts of its own.
pub const CLIENTS: usize = 6;
/// The longest wait for a server or for acknowledgements.
const PATIENCE: Duration = Duration::from_secs(60);

/// A warrant that was handed over, and believed by a host's own verifier.
pub struct Redeemed {
    pub change: String,
    pub warrant: String,
    pub index: u64,
    pub proof: String,
}

/// Everything that the server acknowledged.
#[derive(Default)]
pub struct Acknowledged {
    /// Changes that were answered as authorized, with the proposal as signed.
    pub authorized: Vec<(String, String)>,
    pub redeemed: Vec<Redeemed>,
    pub checkpoints: Vec<(Log, SignedCheckpoint)>,
    /// Requests that got no answer, and were asked again.
    pub unanswered: usize,
}

#[derive(Default)]
struct State {
    /// Where the server is; none while it is known to be down.
    url: Option<String>,
    ended: bool,
    kept: Acknowledged,
}

pub struct Load<'a> {
    crew: &'a Crew,
    roster: &'a VerifiedRoster,
    next: AtomicUsize,
    state: Mutex<State>,
    changed: Condvar,
}

impl<'a> Load<'a> {
    pub fn new(crew: &'a Crew, roster: &'a VerifiedRoster) -> Self {
        Self {
            crew,
            roster,
            next: AtomicUsize::new(0),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Sends the clients to this server.
    pub fn serve_at(&self, url: &str) {
        self.state.lock().unwrap().url = Some(url.to_owned());
        self.changed.notify_all();
    }

    /// Lets clients finish nothing more.
    pub fn end(&self) {
        self.state.lock().unwrap().ended = true;
        self.changed.notify_all();
    }

    pub fn into_acknowledged(self) -> Acknowledged {
        self.state.into_inner().unwrap().kept
    }

    /// Changes that were answered as authorized so far.
    pub fn authorized(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let changes = state.kept.authorized.iter();
        changes.map(|(change, _)| change.clone()).collect()
    }

    /// Warrants so far.
    pub fn redeemed(&self) -> usize {
        self.state.lock().unwrap().kept.redeemed.len()
    }

    /// Waits until there are so many warrants.
    pub fn wait_for_redeemed(&self, count: usize) {
        let state = self.state.lock().unwrap();
        let (state, timeout) = self
            .changed
            .wait_timeout_while(state, PATIENCE, |state| {
                state.kept.redeemed.len() < count && !state.ended
            })
            .unwrap();
        assert!(!timeout.timed_out(), "the load stands still");
        assert!(!state.ended, "a client ended early");
    }

    /// One client, until it is told to end.
    pub fn client(&self, place: usize) {
        // However it ends, nobody waits for it in vain.
        let _ending = Ending(self);
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(20)))
            .build()
            .new_agent();
        let mut seen: Vec<Option<Checkpoint>> = vec![None; HOSTS];
        let mut turn = place;
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            assert!(number < CAPACITY, "the policy allows no more");
            let host = turn % HOSTS;
            turn += CLIENTS;
            let asked = self.crew.ask(number, host);
            if self.run(&agent, asked, &mut seen[host]).is_none() {
                return;
            }
        }
    }

    /// One authorization; none when it is time to end.
    fn run(&self, http: &ureq::Agent, asked: Asked, seen: &mut Option<Checkpoint>) -> Option<()> {
        let token_of_agent = token(&asked.agent.0, &asked.agent.1);
        let body = serde_json::to_vec(&asked.body).unwrap();
        let (status, answer) = self.ask(http, "proposals", &token_of_agent, &body)?;
        assert_eq!(
            (status, &answer["state"]),
            (201, &"authorized".into()),
            "{answer}"
        );
        let change = answer["change"].as_str().unwrap().to_owned();
        let kept = (change.clone(), asked.body.proposal.clone());
        self.state.lock().unwrap().kept.authorized.push(kept);

        let nonce = ambient::nonce();
        let redemption = RedemptionBody {
            nonce: nonce.clone(),
            checkpoint_size: seen.as_ref().map_or(0, |seen| seen.size),
            roster_version: self.roster.version,
        };
        let (host, key) = &asked.host;
        let path = format!("changes/{change}/redemptions");
        let body = serde_json::to_vec(&redemption).unwrap();
        let (status, answer) = self.ask(http, &path, &token(host.as_str(), key), &body)?;
        assert_eq!(status, 200, "{answer}");
        let handover: Handover = serde_json::from_value(answer).unwrap();
        let pins = HostPins {
            tier: Tier::new(3).unwrap(),
            trial: false,
            required_humans: Vec::new(),
            witness_quorum: 0,
            lease_seconds_max: LEASE_SECONDS_MAX,
            clock_skew_seconds_max: 0,
        };
        // What the host saw before the last death is still a beginning of the log.
        let view = HostView {
            host,
            roster: self.roster,
            pins: &pins,
            own_plan_digest: &asked.plan,
            nonce: &nonce,
            last_checkpoint: seen.as_ref(),
            last_halt_epoch: 0,
            now: ambient::now(),
            waited: std::time::Duration::from_secs(LEASE_SECONDS_MAX.unsigned_abs()),
        };
        let permit = handover::verify(&handover, &view).unwrap();
        *seen = Some(permit.checkpoint().clone());
        let proof = TlogProof::parse(&handover.proof).unwrap();
        let url = format!("{}/api/v1/log/recommendations/checkpoint", self.url()?);
        let other = http.get(&url).call().ok();
        let other = other.and_then(|mut other| other.body_mut().read_to_string().ok());
        let mut state = self.state.lock().unwrap();
        let kept = &mut state.kept;
        kept.redeemed.push(Redeemed {
            change,
            warrant: handover.warrant,
            index: permit.log_index(),
            proof: handover.proof,
        });
        kept.checkpoints
            .push((Log::Authorizations, proof.checkpoint().clone()));
        if let Some(note) = other {
            let note = SignedCheckpoint::parse(&note).unwrap();
            kept.checkpoints.push((Log::Recommendations, note));
        }
        drop(state);
        self.changed.notify_all();
        Some(())
    }

    /// Asks until there is an answer; none when it is time to end.
    fn ask(
        &self,
        http: &ureq::Agent,
        path: &str,
        token: &str,
        body: &[u8],
    ) -> Option<(u16, serde_json::Value)> {
        let started = Instant::now();
        loop {
            let url = self.url()?;
            let answer = http
                .post(format!("{url}/api/v1/{path}"))
                .header("authorization", format!("Bearer {token}"))
                .header("content-type", "application/json")
                .send(body)
                .and_then(|mut response| {
                    let status = response.status().as_u16();
                    Ok((status, response.body_mut().read_to_vec()?))
                });
            if let Ok((status, bytes)) = answer {
                return Some((status, serde_json::from_slice(&bytes).unwrap()));
            }
            assert!(started.elapsed() < PATIENCE, "no server answers");
            let mut state = self.state.lock().unwrap();
            state.kept.unanswered += 1;
            // Down, unless another one is up already.
            if state.url.as_ref() == Some(&url) {
                state.url = None;
            }
        }
    }

    /// Waits for a server; none when it is time to end.
    fn url(&self) -> Option<String> {
        let state = self.state.lock().unwrap();
        let state = self
            .changed
            .wait_while(state, |state| state.url.is_none() && !state.ended)
            .unwrap();
        if state.ended { None } else { state.url.clone() }
    }
}

struct Ending<'a>(&'a Load<'a>);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}
