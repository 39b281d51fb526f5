//! A served deployment that is no trial: four people, one agent, and as many hosts as a test wants.
//! Hosts speak through the real client of `countersign-host`, keep what it keeps, and verify with the
//! real verifier; only the installer is missing.

use crate::app::{person, request, signed, token};
use countersign::ambient;
use countersign::deployment::{Deployment, Founding, NewPerson, OPERATOR_TOKEN};
use countersign::serve::{Reach, Running, Server};
use countersign::signing::{Signer, SshKey};
use countersign_domain::asset::{Asset, Criticality, Environment, Exposure, Tier};
use countersign_domain::jws::{OBSERVATION_TYP, PLAN_TYP, PROPOSAL_TYP, RECEIPT_TYP};
use countersign_domain::lease::Handover;
use countersign_domain::receipt::{Ending, Receipt};
use countersign_domain::roster::Operation;
use countersign_domain::statement::{HaltScope, Subject, Vote};
use countersign_domain::{
    AgentId, ChangeId, DeploymentId, Digest, GroupId, GroupQuorum, HostId, Nonce, SignedStatement,
    Timestamp, canonical,
};
use countersign_facts::Inventory;
use countersign_gate::found::hex_key;
use countersign_gate::view::ChangeView;
use countersign_host::client::{Caller, Client, ClientError, Redemption};
use countersign_host::key::HostKey;
use countersign_host::seen::Seen;
use countersign_verify::Refusal;
use countersign_verify::handover::{HostPins, HostView, Permit, verify};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use tempfile::TempDir;

const DEPLOYMENT: &str = "example.org/test";

/// The deployment and its people's keys.
pub struct House {
    pub folder: TempDir,
    pub running: Running,
    pub agent: SigningKey,
    pub people: BTreeMap<&'static str, SshKey>,
    pub hosts: Vec<TestHost>,
}

/// A host without an installer.
pub struct TestHost {
    pub key: HostKey,
    pub seen: Seen,
    pub pins: HostPins,
    client: Client,
    deployment: DeploymentId,
    /// Changes that it would have installed, once for each permit.
    pub acted: Vec<ChangeId>,
}

/// Why a host did not act.
#[derive(Debug)]
pub enum Stopped {
    /// The gate's word.
    Gate(String),
    /// The host's own refusal.
    Host(Refusal),
}

/// A warrant that a host has verified and not settled yet.
#[derive(Debug)]
pub struct Held {
    pub permit: Permit,
}

pub fn deployment() -> DeploymentId {
    DeploymentId::new(DEPLOYMENT).unwrap()
}

fn host_id(name: &str) -> HostId {
    HostId::new(name).unwrap()
}

impl House {
    /// Founded and served, with an inventory and the starter policy in force, and every host
    /// observed. `ana` owns the agent; `omar` wrote the policy and signs nothing.
    pub fn start(names: &[&str], environment: Environment, tier: u8) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let agent = SigningKey::from_bytes(&ambient::random());
        let people: BTreeMap<_, _> = ["maria", "chen", "ana", "omar"]
            .map(|name| (name, SshKey::generate().unwrap()))
            .into();
        let keys: Vec<_> = names
            .iter()
            .map(|name| {
                let dir = folder.path().join(name);
                std::fs::create_dir(&dir).unwrap();
                HostKey::create(&dir.join("key"), host_id(name), ambient::random()).unwrap()
            })
            .collect();
        let mut operations = vec![Operation::SetAgent {
            agent: AgentId::new("patcher").unwrap(),
            owner: person("ana"),
            public_key: hex_key(&agent),
        }];
        operations.extend(keys.iter().map(|key| Operation::SetHost {
            host: key.host().clone(),
            public_key: key.public_key(),
        }));
        let group = |name: &str, members: &[&str]| {
            let members: BTreeSet<_> = members.iter().map(|name| person(name)).collect();
            (GroupId::new(name).unwrap(), members)
        };
        let founding = Founding {
            deployment: deployment(),
            trial: false,
            people: people
                .iter()
                .map(|(name, key)| NewPerson {
                    person: person(name),
                    name: format!("{name} of the example"),
                    public_key: key.public_key().into(),
                })
                .collect(),
            groups: vec![
                group("change-approvers", &["maria", "chen", "ana"]),
                group("database-owners", &["chen"]),
                group("policy-owners", &["maria", "chen"]),
                group("reviewers", &["maria", "chen"]),
            ],
            threshold: (GroupId::new("policy-owners").unwrap(), 1),
            operations,
            listen: countersign::deployment::LISTEN,
            origins: Vec::new(),
            witnesses: Vec::new(),
            now: ambient::now(),
        };
        let dir = folder.path().join("data");
        let signers = [(person("maria"), &people["maria"])];
        let founded = Deployment::create(&dir, founding, &signers, None).unwrap();
        let mut reach = Reach::ephemeral();
        reach.announce = true;
        let running = Server::start(founded, reach).unwrap();
        let mut house = Self {
            folder,
            running,
            agent,
            people,
            hosts: Vec::new(),
        };
        let assets = names.iter().map(|name| Asset {
            host: host_id(name),
            environment,
            tier: Tier::new(tier).unwrap(),
            criticality: Criticality::Medium,
            exposure: Exposure::Controlled,
            scopes: BTreeSet::new(),
            owner: None,
            service: Some("web".into()),
            cluster: None,
            account: None,
            neighbours: BTreeSet::new(),
            known: true,
        });
        let inventory = Inventory::from_assets(assets).to_toml().unwrap();
        let subject = Subject::Inventory {
            inventory: Digest::of(inventory.as_bytes()),
        };
        let statements = [house.state("maria", subject)];
        house.post_ok(
            "inventory",
            None,
            &json!({"inventory": inventory, "statements": statements}),
        );
        house.sign_starter();
        for key in keys {
            let host = house.enrolled(key, tier);
            host.observe();
            house.hosts.push(host);
        }
        house
    }

    fn sign_starter(&self) {
        let source = countersign_policy::starter_for(&person("omar"));
        let subject = Subject::Policy {
            policy: source.digest(),
            version: 1,
            authors: vec![person("omar")],
        };
        let statements = [self.state("chen", subject)];
        let files: BTreeMap<_, _> = source
            .files()
            .iter()
            .map(|(path, bytes)| (path.clone(), String::from_utf8(bytes.clone()).unwrap()))
            .collect();
        let body = json!({"files": files, "authors": ["omar"], "statements": statements});
        self.post_ok("policy", None, &body);
    }

    /// A host that begins with nothing but the pinned genesis.
    fn enrolled(&self, key: HostKey, tier: u8) -> TestHost {
        // The client takes nothing but the address from it.
        let config = json!({
            "host": key.host(), "deployment": DEPLOYMENT, "genesis": Digest::of(b""),
            "server": self.running.url(), "state_dir": self.folder.path(), "pins": {"tier": tier},
        });
        let client = Client::of(&serde_json::from_value(config).unwrap()).unwrap();
        let genesis = client.deployment().unwrap().genesis;
        let mut changes = client.roster(0).unwrap().changes;
        let rest = changes.split_off(1);
        let dir = self.folder.path().join(key.host().as_str());
        let mut seen = Seen::begin(&dir, &genesis, changes.remove(0)).unwrap();
        seen.extend(&rest).unwrap();
        TestHost {
            key,
            seen,
            pins: HostPins {
                tier: Tier::new(tier).unwrap(),
                trial: false,
                required_humans: Vec::new(),
                witness_quorum: 0,
                lease_seconds_max: 60,
                clock_skew_seconds_max: 60,
            },
            client,
            deployment: deployment(),
            acted: Vec::new(),
        }
    }

    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn gate(&self) -> &countersign_gate::Gate {
        self.running.deployment().gate()
    }

    pub fn sizes(&self) -> (u64, u64) {
        let store = self.gate().store();
        (
            store.checkpoint(countersign_store::Log::Recommendations).0,
            store.checkpoint(countersign_store::Log::Authorizations).0,
        )
    }

    pub fn state(&self, name: &str, subject: Subject) -> SignedStatement {
        let signer = Signer {
            key: &self.people[name],
            person: person(name),
            deployment: deployment(),
            roster_version: self.gate().world().unwrap().roster.version,
        };
        signer.state(subject, ambient::now()).unwrap()
    }

    pub fn agent_token(&self) -> String {
        token("patcher", &self.agent)
    }

    pub fn operator_token(&self) -> String {
        let path = self.dir().join(OPERATOR_TOKEN);
        std::fs::read_to_string(path).unwrap().trim().to_owned()
    }

    pub fn post(&self, path: &str, token: Option<&str>, body: &Value) -> (u16, Value) {
        let url = format!("{}/api/v1/{path}", self.running.url());
        request("POST", &url, token, Some(body.to_string().into_bytes()))
    }

    pub fn post_ok(&self, path: &str, token: Option<&str>, body: &Value) -> Value {
        let (status, answer) = self.post(path, token, body);
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    /// A proposal to upgrade one package on hosts in waves.
    pub fn proposal(&self, package: &str, waves: &[Vec<&str>]) -> Value {
        let category = match package {
            "postgresql-15" => "database-engine",
            _ => "os-security",
        };
        json!({
            "v": 1, "deployment": DEPLOYMENT, "agent": "patcher", "nonce": ambient::nonce(),
            "proposed_at": ambient::now(), "path": "patch", "category": category, "waves": waves,
            "packages": [{"name": package, "architecture": "amd64", "from": "1.0", "to": "1.1"}],
            "rollback": "reverse-transitions", "claims": {},
        })
    }

    /// Hands a proposal in, signed by the agent's key.
    pub fn propose(&self, proposal: &Value) -> (u16, Value) {
        let jws = signed(PROPOSAL_TYP, "patcher", &self.agent, proposal);
        self.post(
            "proposals",
            Some(&self.agent_token()),
            &json!({"proposal": jws}),
        )
    }

    /// Proposes, and lets the hosts of the proposal prepare.
    pub fn prepared(&self, proposal: &Value) -> ChangeView {
        let (status, answer) = self.propose(proposal);
        assert_eq!(status, 201, "{answer}");
        let change = ChangeId::new(answer["change"].as_str().unwrap()).unwrap();
        let waves = proposal["waves"].to_string();
        for host in &self.hosts {
            if waves.contains(&format!("\"{}\"", host.name())) {
                host.prepare();
            }
        }
        self.change(&change)
    }

    pub fn change(&self, change: &ChangeId) -> ChangeView {
        self.gate().change(change).unwrap()
    }

    /// A person's vote on a change as it is shown now.
    pub fn vote(&self, name: &str, change: &ChangeView, vote: Vote) -> (u16, Value) {
        let statement = self.state(name, vote_subject(change, vote));
        let path = format!("changes/{}/votes", change.id);
        self.post(&path, None, &json!({"statement": statement}))
    }

    pub fn halt(&self, name: &str, halt: HaltScope) {
        let statement = self.state(name, Subject::Halt { halt });
        self.post_ok("halts", None, &json!({"statement": statement}));
    }

    /// What an auditor finds in both logs.
    pub fn findings(&self) -> Vec<String> {
        let ran = crate::program::countersign(&self.dir(), &["log", "verify", "--json"]);
        let report = ran.json();
        let all = report["findings"]["list"].as_array().unwrap();
        assert_eq!(ran.code != 0, !all.is_empty(), "{report}");
        all.iter().map(ToString::to_string).collect()
    }
}

/// What a person signs who votes on a change as it is shown.
pub fn vote_subject(change: &ChangeView, vote: Vote) -> Subject {
    Subject::Change {
        change: change.id.clone(),
        change_digest: change.digest.unwrap(),
        vote,
        policy: change.policy.unwrap(),
        outcome: change.outcome.unwrap(),
        rules: change.rules.clone(),
        duties: change.duties.clone().unwrap(),
        rationale: None,
    }
}

impl TestHost {
    pub fn caller(&self) -> Caller<'_> {
        Caller {
            key: &self.key,
            deployment: &self.deployment,
            now: ambient::now(),
        }
    }

    pub fn name(&self) -> &str {
        self.key.host().as_str()
    }

    /// Demands the signatures of this many approvers for each change.
    pub fn pin_humans(&mut self, quorum: u32) {
        self.pins.required_humans = vec![GroupQuorum {
            group: GroupId::new("change-approvers").unwrap(),
            quorum,
        }];
    }

    /// Says that it could upgrade `openssl`, `curl` and `postgresql-15`.
    fn observe(&self) {
        let pending: Vec<_> = ["openssl", "curl", "postgresql-15"]
            .map(|name| {
                json!({
                    "name": name, "architecture": "amd64", "from": "1.0", "to": "1.1",
                    "origin": "Debian-Security:12/stable-security", "security": true,
                    "section": "libs", "essential": false, "pulls_in": [], "rollback": "mirror",
                    "cves": {"coverage": "read", "ids": ["CVE-2024-0001"]},
                })
            })
            .into();
        let observation = json!({
            "v": 1, "deployment": DEPLOYMENT, "host": self.name(), "observed_at": ambient::now(),
            "pending": pending,
        });
        let jws = self.key.sign(OBSERVATION_TYP, &observation).unwrap();
        self.client.observed(self.caller(), &jws).unwrap();
    }

    /// Prepares whatever it is asked to.
    pub fn prepare(&self) {
        for task in self.client.work(self.caller()).unwrap().prepare {
            let proposal =
                countersign_verify::proposal::verify(&task.proposal, self.seen.roster()).unwrap();
            let plan = self.plan(proposal.digest(), proposal.packages[0].name.as_str());
            let jws = self.key.sign(PLAN_TYP, &plan).unwrap();
            self.client
                .prepared(self.caller(), &task.change, &jws)
                .unwrap();
        }
    }

    pub fn plan(&self, proposal: &Digest, package: &str) -> Value {
        let now = ambient::now();
        let transition = |old: &str, new: &str| {
            json!({
                "name": package, "architecture": "amd64", "old": old, "new": new,
                "sha256": Digest::of(format!("{package}{new}").as_bytes()),
            })
        };
        json!({
            "v": 1, "deployment": DEPLOYMENT, "host": self.name(), "proposal": proposal,
            "prepared_at": now, "expires_at": now.plus_seconds(3600),
            "steps": [{
                "transition": transition("1.0", "1.1"), "requested": true, "security": true,
                "fetched": true, "section": "libs", "essential": false,
                "reverse": {"transition": transition("1.1", "1.0"), "source": "mirror", "stored": true},
            }],
            "checks": [], "definitions": Digest::of(b"definitions"),
        })
    }

    /// Asks the gate for its warrant, and believes nothing of it yet.
    pub fn ask(&self, change: &ChangeId) -> Result<(Handover, Nonce), Stopped> {
        let redemption = Redemption {
            nonce: ambient::nonce(),
            checkpoint_size: self.seen.checkpoint().map_or(0, |seen| seen.size),
            roster_version: self.seen.roster().version,
        };
        let handover = self
            .client
            .redeem(self.caller(), change, &redemption)
            .map_err(|error| Stopped::Gate(word(&error)))?;
        Ok((handover, redemption.nonce))
    }

    /// What this host thinks of a handover at a time: everything that it checks before it acts.
    pub fn judge(
        &self,
        handover: &Handover,
        nonce: &Nonce,
        plan: &Digest,
        now: Timestamp,
    ) -> Result<Permit, Refusal> {
        let view = HostView {
            host: self.key.host(),
            roster: self.seen.roster(),
            pins: &self.pins,
            own_plan_digest: plan,
            nonce,
            last_checkpoint: self.seen.checkpoint(),
            last_halt_epoch: self.seen.halt_epoch(),
            now,
            // As long as `now` lies ahead.
            waited: std::time::Duration::from_millis(
                (now.unix_millis() - ambient::now().unix_millis())
                    .max(0)
                    .unsigned_abs(),
            ),
        };
        verify(handover, &view)
    }

    /// The plan of this host that a handover names.
    pub fn plan_in(&self, handover: &Handover) -> Digest {
        let own = handover
            .plans
            .iter()
            .find(|plan| plan.host == *self.key.host());
        own.unwrap().plan
    }

    /// Redeems, verifies, and would act.
    pub fn redeem(&mut self, change: &ChangeId) -> Result<Held, Stopped> {
        let (handover, nonce) = self.ask(change)?;
        self.seen.extend(&handover.roster).unwrap();
        let plan = self.plan_in(&handover);
        let permit = self
            .judge(&handover, &nonce, &plan, ambient::now())
            .map_err(Stopped::Host)?;
        self.seen
            .advance(permit.checkpoint(), permit.halt_epoch())
            .unwrap();
        self.acted.push(change.clone());
        Ok(Held { permit })
    }

    /// Settles with a receipt of its own.
    pub fn settle(&self, held: &Held, ending: Ending) -> Result<(), String> {
        let warrant = held.permit.warrant();
        self.hand_in(&warrant.txn, *warrant.digest(), ending)
    }

    /// Settles a warrant that it never acted on.
    pub fn settle_unstarted(&self, change: &ChangeId, warrant: &str) -> Result<(), String> {
        self.hand_in(change, Digest::of(warrant.as_bytes()), Ending::NeverStarted)
    }

    fn hand_in(&self, change: &ChangeId, warrant: Digest, ending: Ending) -> Result<(), String> {
        let now = ambient::now();
        let receipt = Receipt {
            v: 1,
            deployment: deployment(),
            host: self.key.host().clone(),
            change: change.clone(),
            warrant,
            started_at: (ending != Ending::NeverStarted).then_some(now),
            ended_at: now,
            ending,
            in_place: Vec::new(),
            health: Vec::new(),
            notes: Vec::new(),
        };
        let jws = self.key.sign(RECEIPT_TYP, &receipt).unwrap();
        self.client
            .settled(self.caller(), change, &jws)
            .map_err(|error| word(&error))
    }
}

fn word(error: &ClientError) -> String {
    error
        .word()
        .map_or_else(|| format!("no problem: {error}"), str::to_owned)
}

/// The digest of a proposal as plans are bound to it.
pub fn digest_of(proposal: &Value) -> Digest {
    canonical::digest(proposal).unwrap()
}
