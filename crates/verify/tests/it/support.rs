//! A small deployment with known keys, and a log builder written from the definitions of RFC 6962.
//! Everything that the crate refuses to do is done here: signing, and building trees.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_domain::jws::{assemble, signing_input};
use countersign_domain::proposal::{
    Category, Claims, PackageRequest, Proposal, RemediationPath, RollbackPlan,
};
use countersign_domain::roster::{GateKeys, Operation, SignedRosterChange};
use countersign_domain::statement::{SSH_NAMESPACE, Subject};
use countersign_domain::warrant::{
    AuthorizationDetails, Basis, DETAILS_TYPE, Ground, LogReference, Signer as Approver, Warrant,
};
use countersign_domain::{
    AgentId, Architecture, ChangeId, DeploymentId, Digest, GroupId, HostId, Nonce, PackageName,
    PersonId, RosterChange, RuleId, SignedStatement, Statement, Timestamp, Version, canonical,
};
use countersign_verify::roster::{VerifiedRoster, found};
use countersign_verify::{Checkpoint, Ed25519Key};
use ed25519_dalek::{Signer as _, SigningKey};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use ssh_key::private::Ed25519Keypair;
use ssh_key::{HashAlg, LineEnding, PrivateKey};

/// Fails unless the result is an error of this pattern.
macro_rules! refused {
    ($result:expr, $pattern:pat $(if $guard:expr)?) => {
        match $result {
            Err($pattern) $(if $guard)? => {}
            other => panic!("expected {}, got {other:?}", stringify!($pattern)),
        }
    };
}
pub(crate) use refused;

pub fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

pub fn deployment() -> DeploymentId {
    DeploymentId::new("example.org/test").unwrap()
}

pub fn host(name: &str) -> HostId {
    HostId::new(name).unwrap()
}

pub fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

pub fn person(name: &str) -> PersonId {
    PersonId::new(name).unwrap()
}

pub fn group(name: &str) -> GroupId {
    GroupId::new(name).unwrap()
}

pub fn nonce(name: &str) -> Nonce {
    Nonce::new(name).unwrap()
}

/// A key of its own for each name.
pub fn key(name: &str) -> SigningKey {
    SigningKey::from_bytes(Digest::of(name.as_bytes()).as_bytes())
}

pub fn public(key: &SigningKey) -> Ed25519Key {
    Ed25519Key::from_bytes(key.verifying_key().as_bytes()).unwrap()
}

/// A warrant of standing authority for `web-1`.
pub fn warrant() -> Warrant {
    let seconds = now().unix_seconds();
    Warrant {
        iss: deployment(),
        aud: host("web-1"),
        sub: agent("patcher"),
        iat: seconds - 10,
        nbf: seconds - 10,
        exp: seconds + 800,
        jti: nonce("aabbccdd"),
        txn: ChangeId::new("chg-1").unwrap(),
        authorization_details: vec![AuthorizationDetails {
            kind: DETAILS_TYPE.into(),
            actions: vec!["package.transition".into()],
            locations: vec![host("web-1")],
            change_digest: Digest::of(b"change"),
            plan_digest: Digest::of(b"plan"),
            targets_max: 2,
            wave: 0,
            uses: 1,
        }],
        basis: Basis {
            policy: Digest::of(b"policy"),
            rules: vec![RuleId::new("standing-os-security").unwrap()],
            decision: Ground::Standing,
            approvers: vec![Approver {
                person: person("chen"),
                at: now().plus_seconds(-3600),
            }],
            facts: Digest::of(b"facts"),
            authorization: LogReference {
                origin: "example.org/test/authorizations".into(),
                index: 2,
                size: 3,
                root: Digest::of(b"root"),
            },
            roster_version: 1,
        },
        halt_epoch: 0,
        trial: false,
    }
}

/// What `patcher` asks for, in two waves.
pub fn proposal() -> Proposal {
    Proposal {
        v: 1,
        deployment: deployment(),
        agent: agent("patcher"),
        nonce: nonce("0011"),
        proposed_at: now().plus_seconds(-7200),
        path: RemediationPath::Patch,
        category: Category::OsSecurity,
        waves: vec![vec![host("web-2")], vec![host("web-1")]],
        packages: vec![PackageRequest {
            name: PackageName::new("openssl").unwrap(),
            architecture: Architecture::new("amd64").unwrap(),
            from: None,
            to: Version::new("3.0.17-1").unwrap(),
        }],
        checks: Vec::new(),
        recipe: None,
        rollback: RollbackPlan::ReverseTransitions,
        claims: Claims::default(),
        rationale: None,
    }
}

/// A JWS over the canonical bytes of `payload`.
pub fn sign<T: Serialize>(key: &SigningKey, typ: &str, kid: &str, payload: &T) -> String {
    sign_bytes(key, typ, kid, &canonical::to_bytes(payload).unwrap())
}

pub fn sign_bytes(key: &SigningKey, typ: &str, kid: &str, payload: &[u8]) -> String {
    let input = signing_input(typ, kid, payload);
    assemble(&input, &key.sign(input.as_bytes()).to_bytes())
}

/// A key as it stands in a roster, and in signed notes.
pub struct NoteSigner {
    pub name: String,
    pub kind: u8,
    pub key: SigningKey,
}

impl NoteSigner {
    pub fn log(name: &str) -> Self {
        Self::new(name, 1)
    }

    pub fn witness(name: &str) -> Self {
        Self::new(name, 4)
    }

    fn new(name: &str, kind: u8) -> Self {
        let key = key(name);
        let name = name.to_owned();
        Self { name, kind, key }
    }

    pub fn encoded(&self) -> Vec<u8> {
        let mut bytes = vec![self.kind];
        bytes.extend_from_slice(self.key.verifying_key().as_bytes());
        bytes
    }

    pub fn id(&self) -> Vec<u8> {
        let mut bytes = format!("{}\n", self.name).into_bytes();
        bytes.extend(self.encoded());
        Sha256::digest(bytes)[..4].to_vec()
    }

    pub fn vkey(&self) -> String {
        let id: String = self.id().iter().map(|b| format!("{b:02x}")).collect();
        format!("{}+{id}+{}", self.name, STANDARD.encode(self.encoded()))
    }

    /// One signature line over `text`.
    pub fn line(&self, text: &str) -> String {
        let mut bytes = self.id();
        if self.kind == 4 {
            let time = 1_795_000_000_u64;
            let message = format!("cosignature/v1\ntime {time}\n{text}");
            bytes.extend(time.to_be_bytes());
            bytes.extend(self.key.sign(message.as_bytes()).to_bytes());
        } else {
            bytes.extend(self.key.sign(text.as_bytes()).to_bytes());
        }
        format!("— {} {}\n", self.name, STANDARD.encode(bytes))
    }
}

/// A log, as its entries.
#[derive(Clone, Default)]
pub struct Log(pub Vec<Vec<u8>>);

impl Log {
    pub fn root_at(&self, size: usize) -> Digest {
        mth(&self.0[..size])
    }

    pub fn body(&self, origin: &str, size: usize) -> String {
        let root = STANDARD.encode(self.root_at(size).as_bytes());
        format!("{origin}\n{size}\n{root}\n")
    }

    pub fn note(&self, origin: &str, size: usize, signers: &[&NoteSigner]) -> String {
        let body = self.body(origin, size);
        let lines: String = signers.iter().map(|signer| signer.line(&body)).collect();
        format!("{body}\n{lines}")
    }

    pub fn proof(
        &self,
        origin: &str,
        index: usize,
        size: usize,
        signers: &[&NoteSigner],
    ) -> String {
        let mut text = format!("c2sp.org/tlog-proof@v1\nindex {index}\n");
        for hash in path(index, &self.0[..size]) {
            text.push_str(&format!("{}\n", STANDARD.encode(hash.as_bytes())));
        }
        format!("{text}\n{}", self.note(origin, size, signers))
    }

    pub fn consistency(&self, old: usize, new: usize) -> Vec<Digest> {
        if old == 0 || old == new {
            return Vec::new();
        }
        subproof(old, &self.0[..new], true)
    }

    pub fn checkpoint(&self, origin: &str, size: usize) -> Checkpoint {
        Checkpoint {
            origin: origin.to_owned(),
            size: size as u64,
            root: self.root_at(size),
        }
    }
}

fn sha(parts: &[&[u8]]) -> Digest {
    Digest::of(&parts.concat())
}

fn split(n: usize) -> usize {
    let mut k = 1;
    while k * 2 < n {
        k *= 2;
    }
    k
}

/// MTH of RFC 6962, section 2.1.
pub fn mth(entries: &[Vec<u8>]) -> Digest {
    match entries {
        [] => Digest::of(b""),
        [one] => sha(&[&[0], one]),
        many => {
            let (left, right) = many.split_at(split(many.len()));
            sha(&[&[1], mth(left).as_bytes(), mth(right).as_bytes()])
        }
    }
}

/// PATH of RFC 6962, section 2.1.1.
pub fn path(m: usize, entries: &[Vec<u8>]) -> Vec<Digest> {
    if entries.len() == 1 {
        return Vec::new();
    }
    let (left, right) = entries.split_at(split(entries.len()));
    let (mut proof, sibling) = if m < left.len() {
        (path(m, left), mth(right))
    } else {
        (path(m - left.len(), right), mth(left))
    };
    proof.push(sibling);
    proof
}

/// SUBPROOF of RFC 6962, section 2.1.2.
fn subproof(m: usize, entries: &[Vec<u8>], whole: bool) -> Vec<Digest> {
    if m == entries.len() {
        return if whole {
            Vec::new()
        } else {
            vec![mth(entries)]
        };
    }
    let (left, right) = entries.split_at(split(entries.len()));
    if m <= left.len() {
        let mut proof = subproof(m, left, whole);
        proof.push(mth(right));
        proof
    } else {
        let mut proof = subproof(m - left.len(), right, false);
        proof.push(mth(left));
        proof
    }
}

/// An SSH key of its own for each name.
pub fn ssh_key(name: &str) -> PrivateKey {
    let seed = Digest::of(format!("ssh {name}").as_bytes());
    Ed25519Keypair::from_seed(seed.as_bytes()).into()
}

pub fn openssh(key: &PrivateKey) -> String {
    key.public_key().to_openssh().unwrap().trim_end().to_owned()
}

pub fn ssh_fingerprint(key: &PrivateKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

pub fn statement(name: &str, roster_version: u64, subject: Subject) -> Statement {
    Statement {
        v: 1,
        deployment: deployment(),
        approver: person(name),
        credential: ssh_fingerprint(&ssh_key(name)),
        roster_version,
        nonce: nonce("00112233445566778899aabbccddeeff"),
        signed_at: now().plus_seconds(-600),
        not_after: now().plus_seconds(3600),
        subject,
    }
}

pub fn sign_statement(key: &PrivateKey, statement: &Statement) -> SignedStatement {
    sign_text(key, canonical::to_text(statement).unwrap())
}

pub fn sign_text(key: &PrivateKey, text: String) -> SignedStatement {
    let signature = key
        .sign(SSH_NAMESPACE, HashAlg::Sha512, text.as_bytes())
        .unwrap()
        .to_pem(LineEnding::LF)
        .unwrap();
    SignedStatement {
        statement: text,
        signature,
    }
}

/// A statement of `name`, signed with the key of that name.
pub fn state(name: &str, roster_version: u64, subject: Subject) -> SignedStatement {
    sign_statement(&ssh_key(name), &statement(name, roster_version, subject))
}

pub fn add_person(name: &str) -> [Operation; 2] {
    [
        Operation::AddPerson {
            person: person(name),
            name: Digest::of(name.as_bytes()),
        },
        Operation::AddKey {
            person: person(name),
            fingerprint: ssh_fingerprint(&ssh_key(name)),
            public_key: openssh(&ssh_key(name)),
        },
    ]
}

pub fn gate_keys() -> GateKeys {
    GateKeys {
        warrant: public(&key("gate")).to_string(),
        authorizations: NoteSigner::log("example.org/test/authorizations").vkey(),
        recommendations: NoteSigner::log("example.org/test/recommendations").vkey(),
    }
}

pub fn genesis(trial: bool) -> RosterChange {
    let mut operations = vec![Operation::SetGate(gate_keys())];
    for name in ["maria", "chen", "ana"] {
        operations.extend(add_person(name));
    }
    let members = |names: &[&str]| names.iter().map(|name| person(name)).collect();
    operations.extend([
        Operation::SetGroup {
            group: group("owners"),
            members: members(&["maria", "chen"]),
        },
        Operation::SetGroup {
            group: group("dba"),
            members: members(&["maria", "chen", "ana"]),
        },
        Operation::SetThreshold {
            group: group("owners"),
            quorum: 2,
        },
        Operation::SetAgent {
            agent: agent("patcher"),
            owner: person("maria"),
            public_key: public(&key("patcher")).to_string(),
        },
        Operation::SetWitnesses {
            witnesses: vec![
                NoteSigner::witness("witness.example/one").vkey(),
                NoteSigner::witness("witness.example/two").vkey(),
            ],
            quorum: 1,
        },
    ]);
    for name in ["web-1", "web-2"] {
        operations.push(Operation::SetHost {
            host: host(name),
            public_key: public(&key(name)).to_string(),
        });
    }
    RosterChange {
        v: 1,
        deployment: deployment(),
        trial,
        version: 1,
        previous: None,
        at: now().plus_seconds(-86_400),
        operations,
    }
}

/// A roster change, signed by these people looking at `roster_version`.
pub fn sign_change(
    change: &RosterChange,
    roster_version: u64,
    signers: &[&str],
) -> SignedRosterChange {
    let text = canonical::to_text(change).unwrap();
    let subject = Subject::Roster {
        change: Digest::of(text.as_bytes()),
        version: change.version,
    };
    SignedRosterChange {
        statements: signers
            .iter()
            .map(|name| state(name, roster_version, subject.clone()))
            .collect(),
        change: text,
    }
}

pub fn signed_genesis(trial: bool) -> SignedRosterChange {
    sign_change(&genesis(trial), 1, &["maria", "chen"])
}

pub fn pin(signed: &SignedRosterChange) -> Digest {
    Digest::of(signed.change.as_bytes())
}

pub fn roster_of(trial: bool) -> VerifiedRoster {
    let signed = signed_genesis(trial);
    found(&pin(&signed), &signed).unwrap()
}

pub fn roster() -> VerifiedRoster {
    roster_of(false)
}
