//! An invented deployment: people with SSH keys, an agent, hosts, the gate's keys, a genesis.

use countersign_domain::jws::{assemble, signing_input};
use countersign_domain::roster::{GateKeys, Operation, SignedRosterChange};
use countersign_domain::statement::{SSH_NAMESPACE, Subject};
use countersign_domain::text::SaltedText;
use countersign_domain::{
    AgentId, DeploymentId, Digest, GroupId, HostId, Nonce, PersonId, RosterChange, SignedStatement,
    Statement, Timestamp, canonical,
};
use countersign_evidence::LogName;
use countersign_ledger::{LogSigner, Origin, WitnessSigner};
use ed25519_dalek::{Signer as _, SigningKey};
use serde::Serialize;
use ssh_key::private::Ed25519Keypair;
use ssh_key::{HashAlg, LineEnding, PrivateKey};

pub fn start() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

pub fn deployment() -> DeploymentId {
    DeploymentId::new("example.org/test").unwrap()
}

pub fn host(name: &str) -> HostId {
    HostId::new(name).unwrap()
}

pub fn agent() -> AgentId {
    AgentId::new("patcher").unwrap()
}

pub fn person(name: &str) -> PersonId {
    PersonId::new(name).unwrap()
}

pub fn group(name: &str) -> GroupId {
    GroupId::new(name).unwrap()
}

fn seed(name: &str) -> [u8; 32] {
    *Digest::of(name.as_bytes()).as_bytes()
}

/// A key of its own for each name.
pub fn key(name: &str) -> SigningKey {
    SigningKey::from_bytes(&seed(name))
}

fn public(name: &str) -> String {
    let key = key(name).verifying_key();
    key.as_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A JWS by the key of `kid`.
pub fn sign<T: Serialize>(kid: &str, typ: &str, payload: &T) -> String {
    sign_with(kid, kid, typ, payload)
}

/// A JWS in the name of `kid` by another's key.
pub fn sign_with<T: Serialize>(signer: &str, kid: &str, typ: &str, payload: &T) -> String {
    let input = signing_input(typ, kid, &canonical::to_bytes(payload).unwrap());
    assemble(&input, &key(signer).sign(input.as_bytes()).to_bytes())
}

pub fn log_signer(log: LogName) -> LogSigner {
    let origin = log.origin(&deployment());
    LogSigner::from_seed(Origin::new(&origin).unwrap(), &seed(&origin)).unwrap()
}

pub fn witness() -> WitnessSigner {
    let name = "witness.example/one";
    WitnessSigner::from_seed(Origin::new(name).unwrap(), &seed(name)).unwrap()
}

fn ssh(name: &str) -> PrivateKey {
    Ed25519Keypair::from_seed(&seed(&format!("ssh {name}"))).into()
}

/// The display names that are kept beside the log.
pub fn names() -> Vec<(&'static str, SaltedText)> {
    [
        ("maria", "Maria Ortiz"),
        ("chen", "Chen Wei"),
        ("ana", "Ana\u{202e} Silva"),
    ]
    .map(|(handle, name)| (handle, SaltedText::new([7; 16], name)))
    .into()
}

/// A statement of `name`, signed with the key of `signer`.
pub fn state_with(signer: &str, name: &str, at: Timestamp, subject: Subject) -> SignedStatement {
    let nonce = canonical::digest(&(name, at, &subject)).unwrap();
    let statement = Statement {
        v: 1,
        deployment: deployment(),
        approver: person(name),
        credential: ssh(name).fingerprint(HashAlg::Sha256).to_string(),
        roster_version: 1,
        nonce: Nonce::new(nonce.short()).unwrap(),
        signed_at: at,
        not_after: at.plus_seconds(3600),
        subject,
    };
    let text = canonical::to_text(&statement).unwrap();
    let signature = ssh(signer)
        .sign(SSH_NAMESPACE, HashAlg::Sha512, text.as_bytes())
        .unwrap()
        .to_pem(LineEnding::LF)
        .unwrap();
    SignedStatement {
        statement: text,
        signature,
    }
}

pub fn state(name: &str, at: Timestamp, subject: Subject) -> SignedStatement {
    state_with(name, name, at, subject)
}

/// How a deployment is founded.
#[derive(Clone, Copy, Default)]
pub struct Founding {
    pub trial: bool,
    pub witnesses: u32,
    /// Another deployment with the same names: its genesis differs.
    pub other: bool,
}

pub fn genesis(founding: Founding) -> SignedRosterChange {
    let mut operations = vec![
        Operation::SetGate(GateKeys {
            warrant: public("gate"),
            authorizations: log_signer(LogName::Authorizations).vkey(),
            recommendations: log_signer(LogName::Recommendations).vkey(),
        }),
        Operation::SetWitnesses {
            witnesses: vec![witness().vkey()],
            quorum: founding.witnesses,
        },
    ];
    for (name, text) in names() {
        operations.push(Operation::AddPerson {
            person: person(name),
            name: text.digest().unwrap(),
        });
        operations.push(Operation::AddKey {
            person: person(name),
            fingerprint: ssh(name).fingerprint(HashAlg::Sha256).to_string(),
            public_key: ssh(name)
                .public_key()
                .to_openssh()
                .unwrap()
                .trim_end()
                .to_owned(),
        });
    }
    let members = |names: &[&str]| names.iter().map(|name| person(name)).collect();
    operations.extend([
        Operation::SetGroup {
            group: group("owners"),
            members: members(&["maria", "chen"]),
        },
        Operation::SetGroup {
            group: group("operators"),
            members: members(&["maria", "chen", "ana"]),
        },
        Operation::SetThreshold {
            group: group("owners"),
            quorum: 2,
        },
        Operation::SetAgent {
            agent: agent(),
            owner: person("maria"),
            public_key: public("patcher"),
        },
    ]);
    for name in ["web-1", "web-2"] {
        operations.push(Operation::SetHost {
            host: host(name),
            public_key: public(name),
        });
    }
    let change = RosterChange {
        v: 1,
        deployment: deployment(),
        trial: founding.trial,
        version: 1,
        previous: None,
        at: start().plus_seconds(if founding.other { -60 } else { -30 }),
        operations,
    };
    let text = canonical::to_text(&change).unwrap();
    let subject = Subject::Roster {
        change: Digest::of(text.as_bytes()),
        version: 1,
    };
    SignedRosterChange {
        statements: ["maria", "chen"]
            .map(|name| state(name, change.at, subject.clone()))
            .into(),
        change: text,
    }
}
