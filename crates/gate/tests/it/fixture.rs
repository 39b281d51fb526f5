//! A deployment in a temporary folder: four people, an agent, hosts, the starter policy.

use countersign_domain::asset::{Criticality, Exposure, Tier};
use countersign_domain::canonical;
use countersign_domain::decision::{GroupQuorum, Outcome};
use countersign_domain::id::GroupId;
use countersign_domain::jws;
use countersign_domain::lease::Handover;
use countersign_domain::observation::{CveCoverage, Observation, PendingUpgrade};
use countersign_domain::package::Transition;
use countersign_domain::plan::{Reverse, RollbackSource, Step};
use countersign_domain::proposal::{
    Category, Claims, PackageRequest, RemediationPath, RollbackPlan,
};
use countersign_domain::receipt::{Ending, Receipt};
use countersign_domain::roster::{GateKeys, Operation, SignedRosterChange};
use countersign_domain::statement::{SSH_NAMESPACE, SignedStatement, Statement, Subject, Vote};
use countersign_domain::text::SaltedText;
use countersign_domain::*;
use countersign_facts::Inventory;
use countersign_gate::view::ChangeView;
use countersign_gate::{
    Gate, GateError, InventoryChange, PolicyChange, Proposed, Redemption, Submission, found,
};
use countersign_ledger::{LogSigner, Origin};
use countersign_store::{Cosigner, Options, Signers, Store};
use ed25519_dalek::{Signer, SigningKey};
use pollster::block_on;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub const AGENT: &str = "patch-bot";

/// A gate with everything around it.
pub struct World {
    pub gate: Gate,
    pub dir: tempfile::TempDir,
    pub now: Timestamp,
    pub genesis: Digest,
    counter: Cell<u64>,
    trial: bool,
}

pub fn person(name: &str) -> PersonId {
    PersonId::new(name).unwrap()
}

pub fn group(name: &str) -> GroupId {
    GroupId::new(name).unwrap()
}

pub fn host(name: &str) -> HostId {
    HostId::new(name).unwrap()
}

pub fn agent() -> AgentId {
    AgentId::new(AGENT).unwrap()
}

/// A key that a name always has.
pub fn key(name: &str) -> SigningKey {
    SigningKey::from_bytes(Digest::of(name.as_bytes()).as_bytes())
}

/// A person's SSH key.
pub fn ssh_key(name: &str) -> ssh_key::PrivateKey {
    let pair = ssh_key::private::Ed25519Keypair::from_seed(Digest::of(name.as_bytes()).as_bytes());
    ssh_key::PrivateKey::from(pair)
}

pub fn public_key(name: &str) -> String {
    let key = ssh_key(name);
    let text = key.public_key().to_openssh().unwrap();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

pub fn fingerprint(name: &str) -> String {
    countersign_verify::ssh::fingerprint(&public_key(name)).unwrap()
}

fn log_signer(origin: &str, seed: u8) -> LogSigner {
    LogSigner::from_seed(Origin::new(origin).unwrap(), &[seed; 32]).unwrap()
}

pub fn open(dir: &Path) -> Store {
    open_with(dir, Options::default())
}

fn open_with(dir: &Path, options: Options) -> Store {
    let signers = Signers {
        recommendations: log_signer("example/test/recommendations", 1),
        authorizations: log_signer("example/test/authorizations", 2),
    };
    Store::open(&dir.join("countersign.db"), signers, options).unwrap()
}

/// Where the database is.
pub fn database(world: &World) -> PathBuf {
    world.dir.path().join("countersign.db")
}

impl World {
    /// A deployment that is not a trial, with these production hosts.
    pub fn new(hosts: &[&str]) -> Self {
        Self::build(false, hosts, &|host| {
            asset(host, Environment::Production, 2)
        })
    }

    pub fn build(trial: bool, hosts: &[&str], assets: &dyn Fn(&str) -> Asset) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let gate = Gate::new(open(dir.path()), key("warrant"));
        let mut world = Self {
            gate,
            dir,
            now: "2026-11-20T12:00:00Z".parse().unwrap(),
            genesis: Digest::of(b""),
            counter: Cell::new(0),
            trial,
        };
        world.found(hosts);
        let assets = hosts.iter().map(|host| assets(host));
        let inventory = Inventory::from_assets(assets)
            .to_toml()
            .unwrap()
            .into_bytes();
        let subject = Subject::Inventory {
            inventory: Digest::of(&inventory),
        };
        let change = InventoryChange {
            statements: vec![world.sign("maria", subject)],
            bytes: inventory,
        };
        block_on(world.gate.change_inventory(change, world.now)).unwrap();
        world.sign_policy().unwrap();
        for host in hosts {
            world.observe(host, RollbackSource::Mirror);
        }
        world
    }

    /// Closes the store, and opens it again with this cosigner.
    pub fn reopen(&mut self, cosigner: Option<Arc<dyn Cosigner>>) {
        let elsewhere = tempfile::tempdir().unwrap();
        drop(std::mem::replace(
            &mut self.gate,
            Gate::new(open(elsewhere.path()), key("warrant")),
        ));
        let options = Options {
            cosigner,
            ..Options::default()
        };
        self.gate = Gate::new(open_with(self.dir.path(), options), key("warrant"));
    }

    fn found(&mut self, hosts: &[&str]) {
        let signers = self.gate.store();
        let mut operations = vec![Operation::SetGate(GateKeys {
            warrant: found::hex_key(&key("warrant")),
            authorizations: signers
                .verifier_key(countersign_store::Log::Authorizations)
                .to_string(),
            recommendations: signers
                .verifier_key(countersign_store::Log::Recommendations)
                .to_string(),
        })];
        let people = ["maria", "chen", "ana", "omar"];
        for name in people {
            operations.push(Operation::AddPerson {
                person: person(name),
                name: Digest::of(name.as_bytes()),
            });
            operations.push(Operation::AddKey {
                person: person(name),
                fingerprint: fingerprint(name),
                public_key: public_key(name),
            });
        }
        for (name, members) in [
            ("policy-owners", vec!["maria", "chen"]),
            ("change-approvers", vec!["maria", "chen", "ana"]),
            ("database-owners", vec!["chen"]),
            ("reviewers", vec!["chen", "maria"]),
        ] {
            operations.push(Operation::SetGroup {
                group: group(name),
                members: members.into_iter().map(person).collect(),
            });
        }
        operations.push(Operation::SetThreshold {
            group: group("policy-owners"),
            quorum: 1,
        });
        operations.push(Operation::SetAgent {
            agent: agent(),
            owner: person("ana"),
            public_key: found::hex_key(&key(AGENT)),
        });
        for name in hosts {
            operations.push(Operation::SetHost {
                host: host(name),
                public_key: found::hex_key(&key(name)),
            });
        }
        let change = RosterChange {
            v: 1,
            deployment: self.deployment(),
            trial: self.trial,
            version: 1,
            previous: None,
            at: self.now,
            operations,
        };
        let subject = Subject::Roster {
            change: canonical::digest(&change).unwrap(),
            version: 1,
        };
        let signed = SignedRosterChange {
            change: canonical::to_text(&change).unwrap(),
            statements: vec![self.sign_at("maria", subject, 1)],
        };
        self.genesis = block_on(self.gate.found(signed, Vec::new(), self.now)).unwrap();
    }

    pub fn deployment(&self) -> DeploymentId {
        DeploymentId::new("example/test").unwrap()
    }

    /// The starter policy, signed by chen; omar wrote it.
    pub fn sign_policy(&self) -> Result<Digest, GateError> {
        self.sign_policy_with(&[])
    }

    /// The starter policy with more files, signed by chen; omar wrote it.
    pub fn sign_policy_with(&self, more: &[(&str, &str)]) -> Result<Digest, GateError> {
        let mut files = countersign_policy::starter_for(&person("omar"))
            .files()
            .clone();
        for (path, text) in more {
            files.insert((*path).to_owned(), text.as_bytes().to_vec());
        }
        let source = countersign_policy::PolicySource::new(files).unwrap();
        let version = self
            .gate
            .world()?
            .policy
            .as_ref()
            .map_or(1, |policy| policy.record.version + 1);
        let subject = Subject::Policy {
            policy: source.digest(),
            version,
            authors: vec![person("omar")],
        };
        let change = PolicyChange {
            statements: vec![self.sign("chen", subject)],
            source,
            authors: vec![person("omar")],
        };
        block_on(self.gate.change_policy(change, self.now))
    }

    pub fn nonce(&self) -> Nonce {
        self.counter.set(self.counter.get() + 1);
        Nonce::new(format!("n{:031}", self.counter.get())).unwrap()
    }

    /// A person's signature under a subject.
    pub fn sign(&self, name: &str, subject: Subject) -> SignedStatement {
        let version = self.gate.world().unwrap().roster.version;
        self.sign_at(name, subject, version)
    }

    fn sign_at(&self, name: &str, subject: Subject, roster_version: u64) -> SignedStatement {
        let statement = Statement {
            v: 1,
            deployment: self.deployment(),
            approver: person(name),
            credential: fingerprint(name),
            roster_version,
            nonce: self.nonce(),
            signed_at: self.now,
            not_after: self.now.plus_seconds(3600),
            subject,
        };
        sign_statement(name, &statement)
    }

    /// A host says what it could upgrade: `openssl` with one CVE, and `postgresql-15`.
    pub fn observe(&self, name: &str, rollback: RollbackSource) {
        let jws = sign_jws(
            name,
            jws::OBSERVATION_TYP,
            &self.observation(name, rollback),
        );
        block_on(self.gate.observed(&host(name), jws, self.now)).unwrap();
    }

    pub fn observation(&self, name: &str, rollback: RollbackSource) -> Observation {
        let upgrade = |package: &str, cves: &[&str]| PendingUpgrade {
            name: PackageName::new(package).unwrap(),
            architecture: Architecture::new("amd64").unwrap(),
            from: Version::new("1.0").unwrap(),
            to: Version::new("1.1").unwrap(),
            origin: "Debian-Security:12/stable-security".into(),
            security: true,
            section: Some("libs".into()),
            essential: false,
            pulls_in: Vec::new(),
            cves: CveCoverage::Read {
                ids: cves.iter().map(|cve| CveId::new(*cve).unwrap()).collect(),
            },
            rollback,
        };
        Observation {
            v: 1,
            deployment: self.deployment(),
            host: host(name),
            observed_at: self.now,
            lists_refreshed_at: None,
            pending: vec![
                upgrade("openssl", &["CVE-2024-0001"]),
                upgrade("curl", &["CVE-2024-0002"]),
                upgrade("postgresql-15", &["CVE-2024-0003"]),
            ],
            health: Vec::new(),
            gaps: Vec::new(),
        }
    }

    /// A proposal to upgrade one package on hosts in waves.
    pub fn proposal(&self, package: &str, waves: &[&[&str]]) -> Proposal {
        Proposal {
            v: 1,
            deployment: self.deployment(),
            agent: agent(),
            nonce: self.nonce(),
            proposed_at: self.now,
            path: RemediationPath::Patch,
            category: match package {
                "postgresql-15" => Category::DatabaseEngine,
                _ => Category::OsSecurity,
            },
            waves: waves
                .iter()
                .map(|wave| wave.iter().map(|name| host(name)).collect())
                .collect(),
            packages: vec![PackageRequest {
                name: PackageName::new(package).unwrap(),
                architecture: Architecture::new("amd64").unwrap(),
                from: Some(Version::new("1.0").unwrap()),
                to: Version::new("1.1").unwrap(),
            }],
            checks: Vec::new(),
            recipe: None,
            rollback: RollbackPlan::ReverseTransitions,
            claims: Claims::default(),
            rationale: None,
        }
    }

    pub fn submit(&self, proposal: &Proposal) -> Result<Proposed, GateError> {
        self.submit_with(proposal, None, Vec::new())
    }

    pub fn submit_with(
        &self,
        proposal: &Proposal,
        rationale: Option<SaltedText>,
        plans: Vec<String>,
    ) -> Result<Proposed, GateError> {
        let submission = Submission {
            request: RequestId::new(self.nonce().as_str()).unwrap(),
            proposal: sign_jws(AGENT, jws::PROPOSAL_TYP, proposal),
            rationale,
            plans,
        };
        block_on(self.gate.propose(&agent(), submission, self.now))
    }

    /// The plan of a host for a proposal, signed.
    pub fn plan(&self, name: &str, proposal: &Proposal, rollback: RollbackSource) -> String {
        sign_jws(name, jws::PLAN_TYP, &self.plan_of(name, proposal, rollback))
    }

    pub fn plan_of(
        &self,
        name: &str,
        proposal: &Proposal,
        rollback: RollbackSource,
    ) -> PreparedPlan {
        let steps = proposal.packages.iter().map(|package| {
            let old = Some(Version::new("1.0").unwrap());
            let artifact =
                |version: &str| Some(Digest::of(format!("{}{version}", package.name).as_bytes()));
            let known = rollback != RollbackSource::Unavailable;
            Step {
                transition: Transition {
                    name: package.name.clone(),
                    architecture: package.architecture.clone(),
                    old: old.clone(),
                    new: Some(package.to.clone()),
                    sha256: artifact("1.1"),
                },
                reverse: Reverse {
                    transition: Transition {
                        name: package.name.clone(),
                        architecture: package.architecture.clone(),
                        old: Some(package.to.clone()),
                        new: old,
                        sha256: artifact("1.0").filter(|_| known),
                    },
                    source: rollback,
                    stored: known,
                    note: None,
                },
                requested: true,
                security: true,
                fetched: true,
                section: Some("libs".into()),
                essential: false,
            }
        });
        PreparedPlan {
            v: 1,
            deployment: self.deployment(),
            host: host(name),
            proposal: canonical::digest(proposal).unwrap(),
            prepared_at: self.now,
            expires_at: self.now.plus_seconds(3600),
            steps: steps.collect(),
            checks: Vec::new(),
            definitions: Digest::of(b"definitions"),
            limits: Vec::new(),
        }
    }

    /// Proposes, and lets every host prepare. The change afterwards.
    pub fn prepared(&self, package: &str, waves: &[&[&str]]) -> ChangeView {
        let proposal = self.proposal(package, waves);
        let proposed = self.submit(&proposal).unwrap();
        for name in waves.iter().flat_map(|wave| wave.iter()) {
            let plan = self.plan(name, &proposal, RollbackSource::Mirror);
            block_on(
                self.gate
                    .prepared(&host(name), &proposed.change, plan, self.now),
            )
            .unwrap();
        }
        self.gate.change(&proposed.change).unwrap()
    }

    /// A vote on a change as it is shown now.
    pub fn vote(
        &self,
        name: &str,
        change: &ChangeView,
        vote: Vote,
    ) -> Result<ChangeState, GateError> {
        let signed = self.sign(name, vote_subject(change, vote));
        block_on(self.gate.vote(&change.id, signed, None, self.now))
    }

    pub fn redeem(&self, change: &ChangeId, name: &str) -> Result<Handover, GateError> {
        block_on(self.gate.redeem(
            Redemption {
                change: change.clone(),
                host: host(name),
                nonce: self.nonce(),
                checkpoint_size: 0,
                roster_version: 0,
                jti: self.nonce(),
            },
            self.now,
        ))
    }

    /// Settles with a receipt that the host signs.
    pub fn settle(
        &self,
        change: &ChangeId,
        name: &str,
        warrant: &str,
        ending: Ending,
    ) -> Result<ChangeState, GateError> {
        let receipt = self.receipt(change, name, warrant, ending);
        let jws = sign_jws(name, jws::RECEIPT_TYP, &receipt);
        block_on(self.gate.settle(&host(name), change, jws, self.now))
    }

    pub fn receipt(&self, change: &ChangeId, name: &str, warrant: &str, ending: Ending) -> Receipt {
        Receipt {
            v: 1,
            deployment: self.deployment(),
            host: host(name),
            change: change.clone(),
            warrant: Digest::of(warrant.as_bytes()),
            started_at: (ending != Ending::NeverStarted).then_some(self.now),
            ended_at: self.now,
            ending,
            in_place: Vec::new(),
            health: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub fn state(&self, change: &ChangeId) -> ChangeState {
        self.gate.change(change).unwrap().state
    }
}

pub fn vote_subject(change: &ChangeView, vote: Vote) -> Subject {
    Subject::Change {
        change: change.id.clone(),
        change_digest: change.digest.unwrap(),
        vote,
        policy: change.policy.unwrap(),
        outcome: change.outcome.unwrap_or(Outcome::Deny),
        rules: change.rules.clone(),
        duties: change.duties.clone().unwrap(),
        rationale: None,
    }
}

pub fn sign_statement(name: &str, statement: &Statement) -> SignedStatement {
    let text = canonical::to_text(statement).unwrap();
    let signature = ssh_key(name)
        .sign(SSH_NAMESPACE, ssh_key::HashAlg::Sha512, text.as_bytes())
        .unwrap();
    SignedStatement {
        statement: text,
        signature: signature.to_pem(ssh_key::LineEnding::LF).unwrap(),
    }
}

pub fn sign_jws<T: serde::Serialize>(name: &str, typ: &str, payload: &T) -> String {
    let input = jws::signing_input(typ, name, &canonical::to_bytes(payload).unwrap());
    jws::assemble(&input, &key(name).sign(input.as_bytes()).to_bytes())
}

pub fn asset(name: &str, environment: Environment, tier: u8) -> Asset {
    Asset {
        host: host(name),
        environment,
        tier: Tier::new(tier).unwrap(),
        criticality: Criticality::Medium,
        exposure: Exposure::Controlled,
        scopes: Default::default(),
        owner: None,
        service: Some("web".into()),
        cluster: None,
        account: None,
        neighbours: Default::default(),
        known: true,
    }
}

/// The duties of a change as a map.
pub fn approvers(change: &ChangeView) -> BTreeMap<String, u32> {
    let duties = change.duties.as_ref().unwrap();
    duties
        .approvers
        .iter()
        .map(|GroupQuorum { group, quorum }| (group.to_string(), *quorum))
        .collect()
}
