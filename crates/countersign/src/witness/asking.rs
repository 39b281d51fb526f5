//! Asks witnesses over HTTP to cosign a checkpoint (C2SP tlog-witness), all at once, each within a
//! deadline. What their lines are worth is checked by the store, and by whoever relies on them.

use crate::deployment::{DeploymentError, WitnessAddress};
use countersign_domain::text::shown;
use countersign_ledger::{AddCheckpoint, Hash, SignedCheckpoint, WitnessKey};
use countersign_store::{CosignError, CosignRequest, Cosigner, Log, Store};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use ureq::Agent;

/// How long answers of the gate wait for cosignatures.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long one request to a witness may take.
const REQUEST_TIME: Duration = Duration::from_secs(2);
/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;
/// Requests to one witness for one checkpoint: the second with the size that it named.
const ATTEMPTS: usize = 2;

/// The witnesses of a deployment.
pub struct Cosigners {
    agent: Agent,
    keys: Vec<WitnessKey>,
    places: Vec<Place>,
}

struct Place {
    url: String,
    /// The size that this witness saw last, as far as is known.
    seen: AtomicU64,
}

impl Cosigners {
    /// The witnesses at these addresses; none when there are none.
    ///
    /// # Errors
    /// When a key is malformed.
    pub fn new(addresses: &[WitnessAddress]) -> Result<Option<Self>, DeploymentError> {
        if addresses.is_empty() {
            return Ok(None);
        }
        let keys = addresses
            .iter()
            .map(|address| {
                WitnessKey::parse(&address.vkey).map_err(|error| DeploymentError::Invalid {
                    field: "witness.vkey",
                    problem: error.to_string(),
                })
            })
            .collect::<Result<_, _>>()?;
        let places = addresses
            .iter()
            .map(|address| Place {
                url: add_checkpoint(address),
                seen: AtomicU64::new(u64::MAX),
            })
            .collect();
        Ok(Some(Self {
            agent: agent(),
            keys,
            places,
        }))
    }

    fn ask(&self, place: &Place, request: &CosignRequest<'_>) -> Result<String, String> {
        let mut old_size = match place.seen.load(Ordering::Relaxed) {
            u64::MAX => request.old_size(),
            seen => seen,
        };
        for _ in 0..ATTEMPTS {
            let proof = request
                .consistency(old_size)
                .map_err(|error| error.to_string())?;
            let body = AddCheckpoint {
                old_size,
                proof,
                checkpoint: request.checkpoint().clone(),
            };
            let (status, text) = post(&self.agent, &place.url, &body)?;
            match status {
                200 => {
                    place
                        .seen
                        .store(request.checkpoint().claimed().size(), Ordering::Relaxed);
                    return Ok(text);
                }
                409 => match text.trim().parse::<u64>() {
                    Ok(size) => old_size = size,
                    Err(_) => return Err(shown(text.trim(), 200)),
                },
                _ => return Err(format!("{status}: {}", shown(text.trim(), 200))),
            }
        }
        Err("it saw other checkpoints meanwhile".into())
    }
}

/// What a witness has seen of a log, beside the log's own newest checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing that this log does not have: as much, or less.
    NoMore,
    /// More entries than there are: so many.
    More(u64),
    /// Other entries: as many, or fewer that do not lead to what there is.
    Others,
}

/// The proof that the log extends what it was at a size.
type Consistency<'a> = dyn Fn(u64) -> Result<Vec<Hash>, String> + Sync + 'a;

/// Asks each witness at once what it has seen last. It is shown the log's own newest checkpoint as
/// if it had seen exactly that, which it contradicts with the size that it did see. Where that is
/// less, it is shown the proof from there on: a longer log is another one unless it extends that.
pub(crate) fn ask_all(addresses: &[WitnessAddress], store: &Store) -> Vec<Result<Seen, String>> {
    let log = Log::Authorizations;
    let (size, signed) = store.checkpoint(log);
    let consistency = |from: u64| {
        let proof = store.consistency(log, from, size);
        proof.map_err(|error| error.to_string())
    };
    let (consistency, signed): (&Consistency<'_>, _) = (&consistency, &signed);
    let agent = agent();
    at_once(addresses, |address| {
        seen(&agent, address, signed, consistency)
    })
}

/// Asks all of them at once, each on a thread of its own; their answers in the same order.
fn at_once<P: Sync, T: Send>(
    places: &[P],
    ask: impl Fn(&P) -> Result<T, String> + Sync,
) -> Vec<Result<T, String>> {
    let ask = &ask;
    std::thread::scope(|scope| {
        let asking: Vec<_> = places
            .iter()
            .map(|place| scope.spawn(move || ask(place)))
            .collect();
        asking
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err("the request failed".into()))
            })
            .collect()
    })
}

fn seen(
    agent: &Agent,
    address: &WitnessAddress,
    signed: &SignedCheckpoint,
    consistency: &Consistency<'_>,
) -> Result<Seen, String> {
    let size = signed.claimed().size();
    let ask = |old_size: u64, proof: Vec<Hash>| {
        let body = AddCheckpoint {
            old_size,
            proof,
            checkpoint: signed.clone(),
        };
        post(agent, &add_checkpoint(address), &body)
    };
    let failed = |status: u16, text: &str| Err(format!("{status}: {}", shown(text.trim(), 200)));
    let (status, text) = ask(size, Vec::new())?;
    let less = match (status, text.trim().parse::<u64>()) {
        (200, _) | (409, Ok(0)) => return Ok(Seen::NoMore),
        (409, Ok(seen)) if seen > size => return Ok(Seen::More(seen)),
        (409, Ok(seen)) => seen,
        // The same size, and words instead of a number: two roots at that size.
        (409, Err(_)) => return Ok(Seen::Others),
        _ => return failed(status, &text),
    };
    let (status, text) = ask(less, consistency(less)?)?;
    match (status, text.trim().parse::<u64>()) {
        (200, _) => Ok(Seen::NoMore),
        // Somebody else was heard in between.
        (409, Ok(seen)) if seen > size => Ok(Seen::More(seen)),
        // The proof does not lead from what it saw to this.
        (422, _) | (409, Err(_)) => Ok(Seen::Others),
        _ => failed(status, &text),
    }
}

fn add_checkpoint(witness: &WitnessAddress) -> String {
    format!("{}/add-checkpoint", witness.url.trim_end_matches('/'))
}

fn agent() -> Agent {
    Agent::config_builder()
        .timeout_global(Some(REQUEST_TIME))
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .build()
        .new_agent()
}

/// Status and bounded text of an answer.
fn post(agent: &Agent, url: &str, body: &AddCheckpoint) -> Result<(u16, String), String> {
    let mut answer = agent
        .post(url)
        .send(body.to_string())
        .map_err(|error| error.to_string())?;
    let status = answer.status().as_u16();
    let text = answer
        .body_mut()
        .with_config()
        .limit(ANSWER_BYTES_MAX)
        .read_to_string()
        .map_err(|error| error.to_string())?;
    Ok((status, text))
}

impl Cosigner for Cosigners {
    fn witnesses(&self) -> &[WitnessKey] {
        &self.keys
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn cosign(&self, request: &CosignRequest<'_>) -> Result<String, CosignError> {
        let answers = at_once(&self.places, |place| {
            self.ask(place, request)
                .map_err(|why| format!("{}: {why}", place.url))
        });
        let (lines, failures): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        if lines.is_empty() {
            let failures: Vec<_> = failures.into_iter().filter_map(Result::err).collect();
            return Err(CosignError(failures.join("; ")));
        }
        Ok(lines.into_iter().flatten().collect())
    }
}
