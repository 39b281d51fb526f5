//! Who takes part: agents with an owner each, hosts, and a policy in force, so that a proposal which
//! comes with its host's plan is authorized without anybody being asked.

use crate::app::{person, signed};
use countersign::ambient;
use countersign::api::wire::ProposalBody;
use countersign::deployment::{Deployment, Founding, NewPerson};
use countersign::serve::block_on;
use countersign::signing::{Signer, SshKey};
use countersign_domain::asset::{Asset, Criticality, Environment, Exposure, Tier};
use countersign_domain::jws::{OBSERVATION_TYP, PLAN_TYP, PROPOSAL_TYP};
use countersign_domain::roster::Operation;
use countersign_domain::statement::Subject;
use countersign_domain::text::SaltedText;
use countersign_domain::{AgentId, DeploymentId, Digest, HostId, canonical};
use countersign_facts::Inventory;
use countersign_gate::found::hex_key;
use countersign_gate::{InventoryChange, PolicyChange};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// Agents: the starter policy lets each owner have 25 hosts in flight.
const AGENTS: usize = 36;
/// Hosts.
pub const HOSTS: usize = 12;
/// Authorizations that the policy allows before any has settled.
pub const CAPACITY: usize = AGENTS * 25;

pub struct Crew {
    agents: Vec<(String, SigningKey)>,
    hosts: Vec<(HostId, SigningKey)>,
}

/// One authorization to ask for.
pub struct Asked {
    pub agent: (String, SigningKey),
    pub host: (HostId, SigningKey),
    pub body: ProposalBody,
    pub plan: Digest,
}

impl Crew {
    /// Founds the deployment, enrols all, signs the policy, and lets every host observe.
    pub fn found(dir: &Path) -> Self {
        let key = || SigningKey::from_bytes(&ambient::random());
        let crew = Self {
            agents: (0..AGENTS)
                .map(|number| (format!("agent-{number}"), key()))
                .collect(),
            hosts: (0..HOSTS)
                .map(|number| (HostId::new(format!("host-{number}")).unwrap(), key()))
                .collect(),
        };
        let ada = SshKey::generate().unwrap();
        let deployment =
            Deployment::create(dir, crew.founding(&ada), &[(person("ada"), &ada)], None).unwrap();
        crew.set_up(&deployment, &ada);
        crew
    }

    fn founding(&self, ada: &SshKey) -> Founding {
        let author = SshKey::generate().unwrap();
        let new = |name: &str, key: &SshKey| NewPerson {
            person: person(name),
            name: name.into(),
            public_key: key.public_key().into(),
        };
        let id = DeploymentId::new("example.org/test").unwrap();
        let mut founding = Founding::of_one(id, false, new("ada", ada), ambient::now()).unwrap();
        founding.people.push(new("author", &author));
        for (agent, key) in &self.agents {
            let owner = person(&format!("owner-of-{agent}"));
            founding.operations.push(Operation::AddPerson {
                name: Digest::of(agent.as_bytes()),
                person: owner.clone(),
            });
            founding.operations.push(Operation::SetAgent {
                agent: AgentId::new(agent.clone()).unwrap(),
                owner,
                public_key: hex_key(key),
            });
        }
        for (host, key) in &self.hosts {
            founding.operations.push(Operation::SetHost {
                host: host.clone(),
                public_key: hex_key(key),
            });
        }
        founding
    }

    fn set_up(&self, deployment: &Deployment, ada: &SshKey) {
        let gate = deployment.gate();
        let state = |subject| {
            let world = gate.world().unwrap();
            let signer = Signer {
                key: ada,
                person: person("ada"),
                deployment: world.deployment().clone(),
                roster_version: world.roster.version,
            };
            signer.state(subject, ambient::now()).unwrap()
        };
        let assets = self.hosts.iter().map(|(host, _)| Asset {
            host: host.clone(),
            environment: Environment::Staging,
            tier: Tier::new(3).unwrap(),
            criticality: Criticality::Medium,
            exposure: Exposure::Controlled,
            scopes: BTreeSet::new(),
            owner: None,
            service: Some(format!("service-of-{host}")),
            cluster: None,
            account: None,
            neighbours: BTreeSet::new(),
            known: true,
        });
        let bytes = Inventory::from_assets(assets)
            .to_toml()
            .unwrap()
            .into_bytes();
        let statements = vec![state(Subject::Inventory {
            inventory: Digest::of(&bytes),
        })];
        let change = InventoryChange { bytes, statements };
        block_on(gate.change_inventory(change, ambient::now()))
            .unwrap()
            .unwrap();
        let author = person("author");
        let source = countersign_policy::starter_for(&author);
        let statements = vec![state(Subject::Policy {
            policy: source.digest(),
            version: 1,
            authors: vec![author.clone()],
        })];
        let change = PolicyChange {
            source,
            authors: vec![author],
            statements,
        };
        block_on(gate.change_policy(change, ambient::now()))
            .unwrap()
            .unwrap();
        for (host, key) in &self.hosts {
            let now = ambient::now();
            let observation = json!({
                "v": 1, "deployment": "example.org/test", "host": host, "observed_at": now,
                "lists_refreshed_at": now, "pending": [upgrade()],
            });
            let jws = signed(OBSERVATION_TYP, host.as_str(), key, &observation);
            block_on(gate.observed(host, jws, now)).unwrap().unwrap();
        }
    }

    /// The `number`th authorization, signed now. Agents and hosts take turns.
    pub fn ask(&self, number: usize, host: usize) -> Asked {
        let (agent, agent_key) = &self.agents[number % AGENTS];
        let (host, host_key) = &self.hosts[host % HOSTS];
        let now = ambient::now();
        let rationale = SaltedText::new([9; 16], "a vulnerability that is exploited");
        let proposal = json!({
            "v": 1, "deployment": "example.org/test", "agent": agent, "nonce": ambient::nonce(),
            "proposed_at": now, "path": "patch", "category": "os-security", "waves": [[host]],
            "packages": [{"name": "openssl", "architecture": "amd64", "from": OLD, "to": NEW}],
            "rollback": "reverse-transitions", "claims": {}, "rationale": rationale.digest().unwrap(),
        });
        let step = |old: &str, new: &str| json!({"name": "openssl", "architecture": "amd64", "old": old, "new": new, "sha256": Digest::of(new.as_bytes())});
        let plan = json!({
            "v": 1, "deployment": "example.org/test", "host": host,
            "proposal": canonical::digest(&proposal).unwrap(), "prepared_at": now,
            "expires_at": now.plus_seconds(3600),
            "steps": [{
                "transition": step(OLD, NEW), "requested": true, "security": true, "fetched": true,
                "section": "utils", "essential": false,
                "reverse": {"transition": step(NEW, OLD), "source": "mirror", "stored": true},
            }],
            "checks": [], "definitions": Digest::of(b"definitions"),
        });
        Asked {
            agent: (agent.clone(), agent_key.clone()),
            host: (host.clone(), host_key.clone()),
            body: ProposalBody {
                proposal: signed(PROPOSAL_TYP, agent, agent_key, &proposal),
                rationale: Some(rationale),
                plans: vec![signed(PLAN_TYP, host.as_str(), host_key, &plan)],
            },
            plan: canonical::digest(&plan).unwrap(),
        }
    }
}

const OLD: &str = "3.0.15-1~deb12u1";
const NEW: &str = "3.0.17-1~deb12u2";

fn upgrade() -> Value {
    json!({
        "name": "openssl", "architecture": "amd64", "from": OLD, "to": NEW,
        "origin": "Debian-Security:12/stable-security", "security": true, "section": "utils",
        "essential": false, "pulls_in": [], "rollback": "mirror",
        "cves": {"coverage": "read", "ids": ["CVE-2026-0001"]},
    })
}
