//! A gate for tests: real signatures, a real log, a real roster, real HTTP; it allows whatever it is
//! told to, and can be told to misbehave.

use crate::http::serve;
use crate::log::{NoteKey, consistency, mth};
use countersign_domain::entry::change_digest;
use countersign_domain::jws::{LEASE_TYP, PROPOSAL_TYP, assemble, signing_input};
use countersign_domain::lease::{Handover, HostPlan, Lease};
use countersign_domain::roster::{GateKeys, Operation, SignedRosterChange};
use countersign_domain::statement::{SSH_NAMESPACE, Subject};
use countersign_domain::warrant::{
    AuthorizationDetails, Basis, DETAILS_TYPE, Ground, LogReference, Signer, WARRANT_TYP, Warrant,
};
use countersign_domain::{
    ChangeId, DeploymentId, Digest, HostId, Nonce, Proposal, RosterChange, SignedStatement,
    Statement, Timestamp, canonical,
};
use ed25519_dalek::{Signer as _, SigningKey};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard};

pub fn key(name: &str) -> SigningKey {
    SigningKey::from_bytes(Digest::of(name.as_bytes()).as_bytes())
}

pub fn hex(key: &SigningKey) -> String {
    key.verifying_key()
        .as_bytes()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

pub fn sign<T: Serialize>(key: &SigningKey, typ: &str, kid: &str, payload: &T) -> String {
    let input = signing_input(typ, kid, &canonical::to_bytes(payload).unwrap());
    assemble(&input, &key.sign(input.as_bytes()).to_bytes())
}

/// One change at the gate.
#[derive(Clone)]
pub struct Change {
    pub proposal: Proposal,
    pub plan: Option<String>,
    pub unprepared: Option<String>,
    /// Offered for redemption, even when it was settled.
    pub authorized: bool,
    pub warrant: Option<(String, usize)>,
    pub notices: Vec<String>,
    pub receipts: Vec<String>,
}

/// What a test can set to make the gate misbehave: the warrant before it is signed, the handover
/// before it is sent.
pub type TamperWarrant = Box<dyn FnMut(&mut Warrant) + Send>;
pub type TamperHandover = Box<dyn FnMut(&mut Handover) + Send>;

pub struct State {
    pub host: HostId,
    pub deployment: DeploymentId,
    pub now: Timestamp,
    pub roster: Vec<SignedRosterChange>,
    pub entries: Vec<Vec<u8>>,
    pub changes: BTreeMap<ChangeId, Change>,
    pub observations: Vec<String>,
    /// Reports of packages that were taken.
    pub reports: Vec<String>,
    /// Emergencies as they were handed in.
    pub emergencies: Vec<Value>,
    /// Warrants that nobody issued, told as unsettled.
    pub forged_unsettled: Vec<Digest>,
    /// How often a host asked what there is to do.
    pub rounds: usize,
    pub halted: bool,
    pub receipts_fail: bool,
    /// What the next requests of a kind (the last segment of their path) are refused with: status
    /// and word.
    pub refuse: BTreeMap<String, (u16, &'static str)>,
    /// The next handover is lost on its way, after the warrant was logged.
    pub lose_handover: bool,
    pub tamper_warrant: Option<TamperWarrant>,
    pub tamper_handover: Option<TamperHandover>,
    jti: u8,
}

pub struct Gate {
    pub server: String,
    pub genesis: Digest,
    state: Arc<Mutex<State>>,
}

fn log_key(deployment: &DeploymentId) -> NoteKey {
    NoteKey {
        origin: format!("{deployment}/authorizations"),
        key: key("authorizations"),
    }
}

fn signed_change(change: &RosterChange) -> SignedRosterChange {
    let text = canonical::to_text(change).unwrap();
    let key = ssh();
    let statement = Statement {
        v: 1,
        deployment: change.deployment.clone(),
        approver: "maria".parse().unwrap(),
        credential: key.fingerprint(ssh_key::HashAlg::Sha256).to_string(),
        roster_version: change.version.max(2) - 1,
        nonce: Nonce::new("n").unwrap(),
        signed_at: change.at,
        not_after: change.at.plus_seconds(3600),
        subject: Subject::Roster {
            change: Digest::of(text.as_bytes()),
            version: change.version,
        },
    };
    let statement = canonical::to_text(&statement).unwrap();
    let signature = key
        .sign(
            SSH_NAMESPACE,
            ssh_key::HashAlg::Sha512,
            statement.as_bytes(),
        )
        .unwrap()
        .to_pem(ssh_key::LineEnding::LF)
        .unwrap();
    SignedRosterChange {
        change: text,
        statements: vec![SignedStatement {
            statement,
            signature,
        }],
    }
}

fn ssh() -> ssh_key::PrivateKey {
    person("maria")
}

/// The SSH key of a named human.
pub fn person(name: &str) -> ssh_key::PrivateKey {
    let seed = Digest::of(format!("ssh {name}").as_bytes());
    ssh_key::private::Ed25519Keypair::from_seed(seed.as_bytes()).into()
}

impl Gate {
    /// A gate of a trial whose roster holds the agent `patcher`; the host is not admitted yet.
    pub fn start(host: &HostId, deployment: &DeploymentId, now: Timestamp) -> Self {
        let person: countersign_domain::PersonId = "maria".parse().unwrap();
        let group: countersign_domain::GroupId = "owners".parse().unwrap();
        let recommendations = NoteKey {
            origin: format!("{deployment}/recommendations"),
            key: key("recommendations"),
        };
        let genesis = RosterChange {
            v: 1,
            deployment: deployment.clone(),
            trial: true,
            version: 1,
            previous: None,
            at: now.plus_seconds(-86_400),
            operations: vec![
                Operation::SetGate(GateKeys {
                    warrant: hex(&key("gate")),
                    authorizations: log_key(deployment).vkey(),
                    recommendations: recommendations.vkey(),
                }),
                Operation::AddPerson {
                    person: person.clone(),
                    name: Digest::of(b"Maria"),
                },
                Operation::AddKey {
                    person: person.clone(),
                    fingerprint: ssh().fingerprint(ssh_key::HashAlg::Sha256).to_string(),
                    public_key: ssh()
                        .public_key()
                        .to_openssh()
                        .unwrap()
                        .trim_end()
                        .to_owned(),
                },
                Operation::SetGroup {
                    group: group.clone(),
                    members: [person.clone()].into(),
                },
                Operation::SetThreshold { group, quorum: 1 },
                Operation::SetAgent {
                    agent: "patcher".parse().unwrap(),
                    owner: person,
                    public_key: hex(&key("patcher")),
                },
            ],
        };
        let signed = signed_change(&genesis);
        let state = Arc::new(Mutex::new(State {
            host: host.clone(),
            deployment: deployment.clone(),
            now,
            roster: vec![signed.clone()],
            entries: vec![b"genesis".to_vec()],
            changes: BTreeMap::new(),
            observations: Vec::new(),
            reports: Vec::new(),
            emergencies: Vec::new(),
            forged_unsettled: Vec::new(),
            rounds: 0,
            halted: false,
            receipts_fail: false,
            refuse: BTreeMap::new(),
            lose_handover: false,
            tamper_warrant: None,
            tamper_handover: None,
            jti: 0,
        }));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(&shared, stream);
            }
        });
        Self {
            server,
            genesis: Digest::of(signed.change.as_bytes()),
            state,
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Admits the host's key by a signed roster change.
    pub fn admit(&self, public_key: &str) {
        let host = self.state().host.clone();
        self.change_roster(vec![Operation::SetHost {
            host,
            public_key: public_key.to_owned(),
        }]);
    }

    /// Changes the roster, signed by who may.
    pub fn change_roster(&self, operations: Vec<Operation>) {
        let mut state = self.state();
        let previous = Digest::of(state.roster.last().unwrap().change.as_bytes());
        let change = RosterChange {
            v: 1,
            deployment: state.deployment.clone(),
            trial: true,
            version: state.roster.len() as u64 + 1,
            previous: Some(previous),
            at: state.now,
            operations,
        };
        state.roster.push(signed_change(&change));
    }

    pub fn propose(&self, proposal: Proposal) -> ChangeId {
        let digest = canonical::digest(&proposal).unwrap();
        let id = ChangeId::from_proposal(&digest);
        let change = Change {
            proposal,
            plan: None,
            unprepared: None,
            authorized: false,
            warrant: None,
            notices: Vec::new(),
            receipts: Vec::new(),
        };
        self.state().changes.insert(id.clone(), change);
        id
    }

    pub fn authorize(&self, change: &ChangeId) {
        self.state().changes.get_mut(change).unwrap().authorized = true;
    }

    pub fn change(&self, change: &ChangeId) -> Change {
        self.state().changes[change].clone()
    }
}

fn payload<T: serde::de::DeserializeOwned>(jws: &str) -> T {
    let parts = countersign_domain::jws::take_apart(jws).unwrap();
    serde_json::from_slice(&parts.payload).unwrap()
}

impl State {
    fn plan_digest(&self, change: &Change) -> Digest {
        let plan: Value = payload(change.plan.as_ref().unwrap());
        canonical::digest(&plan).unwrap()
    }

    fn work(&self) -> Value {
        let proposal =
            |change: &Change| sign(&key("patcher"), PROPOSAL_TYP, "patcher", &change.proposal);
        let prepare: Vec<_> = self
            .changes
            .iter()
            .filter(|(_, change)| change.plan.is_none() && change.unprepared.is_none())
            .map(|(id, change)| json!({"change": id, "proposal": proposal(change), "prepare_until": self.now}))
            .collect();
        let redeem: Vec<_> = self
            .changes
            .iter()
            .filter(|(_, change)| {
                change.authorized && (change.warrant.is_none() || !change.receipts.is_empty())
            })
            .map(|(id, change)| json!({"change": id, "plan": self.plan_digest(change), "until": self.now}))
            .collect();
        let forged = self
            .forged_unsettled
            .iter()
            .map(|warrant| json!({"change": ChangeId::from_proposal(warrant), "warrant": warrant}));
        let unsettled: Vec<_> = self
            .changes
            .iter()
            .filter(|(_, change)| change.receipts.is_empty())
            .filter_map(|(id, change)| {
                let (jws, _) = change.warrant.as_ref()?;
                Some(json!({"change": id, "warrant": Digest::of(jws.as_bytes())}))
            })
            .chain(forged)
            .collect();
        json!({"prepare": prepare, "redeem": redeem, "unsettled": unsettled})
    }

    fn issue(&mut self, id: &ChangeId) -> (String, usize) {
        if let Some(issued) = &self.changes[id].warrant {
            return issued.clone();
        }
        let change = self.changes[id].clone();
        let authorization = self.entries.len();
        self.entries.push(format!("authorized {id}").into_bytes());
        let plans = self.host_plans(&change);
        let proposal = canonical::digest(&change.proposal).unwrap();
        self.jti += 1;
        let seconds = self.now.unix_seconds();
        let mut warrant = Warrant {
            iss: self.deployment.clone(),
            aud: self.host.clone(),
            sub: change.proposal.agent.clone(),
            iat: seconds,
            nbf: seconds,
            exp: seconds + 600,
            jti: Nonce::from_random([self.jti; 16]),
            txn: id.clone(),
            authorization_details: vec![AuthorizationDetails {
                kind: DETAILS_TYPE.into(),
                actions: vec!["package.transition".into()],
                locations: vec![self.host.clone()],
                change_digest: change_digest(&proposal, &change.proposal.waves, &plans).unwrap(),
                plan_digest: self.plan_digest(&change),
                targets_max: 1,
                wave: 0,
                uses: 1,
            }],
            basis: Basis {
                policy: Digest::of(b"policy"),
                rules: vec!["standing-security".parse().unwrap()],
                decision: Ground::Standing,
                approvers: vec![Signer {
                    person: "maria".parse().unwrap(),
                    at: self.now,
                }],
                facts: Digest::of(b"facts"),
                authorization: LogReference {
                    origin: format!("{}/authorizations", self.deployment),
                    index: authorization as u64,
                    size: self.entries.len() as u64,
                    root: mth(&self.entries),
                },
                roster_version: self.roster.len() as u64,
            },
            halt_epoch: 0,
            trial: true,
        };
        if let Some(tamper) = &mut self.tamper_warrant {
            tamper(&mut warrant);
        }
        let jws = sign(&key("gate"), WARRANT_TYP, "gate", &warrant);
        let index = self.entries.len();
        self.entries.push(jws.clone().into_bytes());
        self.changes.get_mut(id).unwrap().warrant = Some((jws.clone(), index));
        (jws, index)
    }

    fn host_plans(&self, change: &Change) -> Vec<HostPlan> {
        vec![HostPlan {
            host: self.host.clone(),
            plan: self.plan_digest(change),
        }]
    }

    fn redeem(&mut self, id: &ChangeId, body: &Value) -> Value {
        let (warrant, index) = self.issue(id);
        let change = self.changes[id].clone();
        let lease = Lease {
            v: 1,
            deployment: self.deployment.clone(),
            host: self.host.clone(),
            nonce: serde_json::from_value(body["nonce"].clone()).unwrap(),
            at: self.now,
            halt_epoch: 0,
            halted: self.halted,
        };
        let seen = usize::try_from(body["checkpoint_size"].as_u64().unwrap()).unwrap();
        let mut handover = Handover {
            proof: log_key(&self.deployment).proof(index, &self.entries),
            lease: sign(&key("gate"), LEASE_TYP, "gate", &lease),
            consistency: consistency(seen, &self.entries),
            roster: Vec::new(),
            statements: Vec::new(),
            proposal: sign(&key("patcher"), PROPOSAL_TYP, "patcher", &change.proposal),
            plans: self.host_plans(&change),
            warrant,
        };
        if let Some(tamper) = &mut self.tamper_handover {
            tamper(&mut handover);
        }
        serde_json::to_value(handover).unwrap()
    }

    pub fn answer(&mut self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let path = path.strip_prefix("/api/v1").unwrap();
        let segments: Vec<_> = path.trim_start_matches('/').split(['/', '?']).collect();
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        if let Some((status, word)) = segments.last().and_then(|last| self.refuse.get(*last)) {
            let kind = format!("https://countersign.dev/problems/{word}");
            return (*status, json!({"type": kind, "title": word}));
        }
        match (method, segments.as_slice()) {
            ("GET", ["deployment"]) => {
                let genesis = Digest::of(self.roster[0].change.as_bytes());
                (
                    200,
                    json!({"deployment": self.deployment, "trial": true, "genesis": genesis, "roster_version": self.roster.len()}),
                )
            }
            ("GET", ["roster", after]) => {
                let after: usize = after.strip_prefix("after=").unwrap().parse().unwrap();
                (
                    200,
                    json!({"version": self.roster.len(), "changes": self.roster[after..]}),
                )
            }
            ("POST", ["hosts", _, "observations"]) => {
                self.observations.push(text("observation"));
                (201, json!({}))
            }
            ("POST", ["hosts", _, "packages"]) => {
                self.reports.push(text("report"));
                (201, json!({}))
            }
            ("POST", ["hosts", _, "emergencies"]) => {
                self.emergencies.push(body.clone());
                (201, json!({}))
            }
            ("GET", ["hosts", _, "work"]) => {
                self.rounds += 1;
                (200, self.work())
            }
            ("POST", ["changes", id, "receipts"]) if self.receipts_fail => {
                (503, json!({"title": format!("no receipt for {id} today")}))
            }
            ("POST", ["changes", id, what]) => {
                let id: ChangeId = id.parse().unwrap();
                if *what == "redemptions" && std::mem::take(&mut self.lose_handover) {
                    self.redeem(&id, body);
                    return (503, json!({"title": "lost on its way"}));
                }
                if *what == "redemptions" {
                    return (200, self.redeem(&id, body));
                }
                let change = self.changes.get_mut(&id).unwrap();
                match *what {
                    "plans" => change.plan = Some(text("plan")),
                    "unprepared" => change.unprepared = Some(text("why")),
                    "started" => change.notices.push(text("notice")),
                    "receipts" => {
                        change.receipts.push(text("receipt"));
                        change.authorized = false;
                    }
                    other => panic!("{other}"),
                }
                (200, json!({"state": "x"}))
            }
            other => panic!("{other:?}"),
        }
    }
}
