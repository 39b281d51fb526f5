//! A server that keeps the API's promises as far as an agent sees them: it checks signatures,
//! digests and idempotency keys, and lets changes move. It decides nothing.

use crate::client::{assert_authenticated, identity};
use crate::samples::noon;
use crate::server::{Answer, Request, Server};
use countersign_domain::finding::Finding;
use countersign_domain::jws::take_apart;
use countersign_domain::text::SaltedText;
use countersign_domain::{ChangeId, ChangeState, Digest, ExecutionState, Proposal, canonical};
use ed25519_dalek::{Signature, Verifier as _};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

pub struct Kept {
    pub proposal: Proposal,
    pub state: ChangeState,
    pub execution: ExecutionState,
    pub looks: u32,
}

#[derive(Default)]
pub struct State {
    pub findings: Vec<Finding>,
    pub changes: BTreeMap<ChangeId, Kept>,
    /// In the order of arrival, repeats included.
    pub posts: Vec<(String, ChangeId)>,
    keys: BTreeMap<String, Digest>,
    /// Looks at a change after which it is decided; never when none.
    pub decided_after: Option<u32>,
    /// Answers to proposals that are lost on the way, before others go through.
    pub lost_answers: u32,
    /// What every proposal is refused with.
    pub refusal: Option<(u16, Value)>,
}

pub struct Fake {
    pub server: Server,
    state: Arc<Mutex<State>>,
}

impl Fake {
    pub fn start(findings: Vec<Finding>) -> Self {
        let state = Arc::new(Mutex::new(State {
            findings,
            decided_after: Some(2),
            ..State::default()
        }));
        let shared = Arc::clone(&state);
        let server = Server::start(move |request| shared.lock().unwrap().answer(request));
        Self { server, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn answer(&mut self, request: &Request) -> Answer {
        assert_authenticated(request);
        let path = request.path.strip_prefix("/api/v1/").unwrap();
        let segments: Vec<&str> = path.split('/').collect();
        match (request.method.as_str(), segments.as_slice()) {
            ("GET", ["findings"]) => {
                Answer::Json(200, json!({"as_of": noon(), "findings": self.findings}))
            }
            ("GET", ["changes?limit=100"]) => {
                let all: Vec<Value> = self.changes.iter().map(|(id, one)| view(id, one)).collect();
                Answer::Json(200, json!({"changes": all}))
            }
            ("GET", ["changes", id]) => {
                let id = ChangeId::new(*id).unwrap();
                let decided_after = self.decided_after;
                let one = self.changes.get_mut(&id).unwrap();
                one.looks += 1;
                if one.state == ChangeState::Preparing
                    && decided_after.is_some_and(|looks| one.looks >= looks)
                {
                    one.state = ChangeState::AwaitingApproval;
                }
                Answer::Json(200, view(&id, one))
            }
            ("POST", ["proposals"]) => self.propose(request),
            ("POST", ["changes", id, "withdrawals"]) => {
                let id = ChangeId::new(*id).unwrap();
                self.changes.get_mut(&id).unwrap().state = ChangeState::Withdrawn;
                Answer::Json(200, json!({"state": "withdrawn"}))
            }
            other => panic!("{other:?}"),
        }
    }

    fn propose(&mut self, request: &Request) -> Answer {
        if let Some((status, problem)) = &self.refusal {
            self.posts
                .push((String::new(), ChangeId::new("none").unwrap()));
            return Answer::Json(*status, problem.clone());
        }
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let jws = body["proposal"].as_str().unwrap();
        let parts = take_apart(jws).unwrap();
        let signature = Signature::from_bytes(&parts.signature);
        let key = identity().key.verifying_key();
        key.verify(parts.signing_input.as_bytes(), &signature)
            .unwrap();
        assert_eq!(parts.header.typ, "proposal+jws");
        let proposal: Proposal = canonical::from_bytes(&parts.payload).unwrap();
        proposal.check().unwrap();
        let rationale: SaltedText = serde_json::from_value(body["rationale"].clone()).unwrap();
        assert_eq!(proposal.rationale, Some(rationale.digest().unwrap()));

        let digest = Digest::of(jws.as_bytes());
        let id = ChangeId::from_proposal(&digest);
        let key = request.headers["idempotency-key"].clone();
        if *self.keys.entry(key.clone()).or_insert(digest) != digest {
            let detail = "idempotency key was used for another proposal";
            return Answer::Json(409, json!({"type": "x/conflict", "detail": detail}));
        }
        self.posts.push((key, id.clone()));
        self.changes.entry(id.clone()).or_insert(Kept {
            proposal,
            state: ChangeState::Preparing,
            execution: ExecutionState::Waiting,
            looks: 0,
        });
        if self.lost_answers > 0 {
            self.lost_answers -= 1;
            return Answer::Bytes(Vec::new());
        }
        Answer::Json(201, json!({"change": id, "state": "preparing"}))
    }
}

fn view(id: &ChangeId, one: &Kept) -> Value {
    let packages: Vec<Value> = one
        .proposal
        .packages
        .iter()
        .map(|package| json!({"name": package.name, "from": package.from, "to": package.to, "architecture": package.architecture}))
        .collect();
    let hosts: Vec<Value> = one
        .proposal
        .hosts()
        .map(|host| json!({"host": host, "wave": one.proposal.wave_of(host), "execution": one.execution}))
        .collect();
    json!({"id": id, "state": one.state, "agent": one.proposal.agent, "packages": packages,
        "hosts": hosts, "outcome": null, "rules": [], "reasons": [], "withheld_by": [],
        "executions": []})
}
