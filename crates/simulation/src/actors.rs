//! Who acts in a simulation, and how each signs. Keys are made from names, so that a seed is all that
//! a run depends on. Nothing here decides what is done.

use countersign_domain::id::GroupId;
use countersign_domain::roster::{GateKeys, Operation};
use countersign_domain::statement::{SSH_NAMESPACE, SignedStatement, Statement, Subject};
use countersign_domain::{
    AgentId, DeploymentId, Digest, Environment, HostId, Nonce, PersonId, Timestamp, canonical, jws,
};
use ed25519_dalek::{Signer as _, SigningKey};

/// The people. The first two own the policy.
pub const PEOPLE: [&str; 4] = ["maria", "chen", "ana", "omar"];
/// The agents, each with its owner.
pub const AGENTS: [(&str, &str); 2] = [("patch-bot", "ana"), ("other-bot", "omar")];
/// The hosts.
pub const HOSTS: [&str; 4] = ["web-1", "web-2", "stage-1", "stage-2"];
/// The groups, with their members.
pub const GROUPS: [(&str, &[&str]); 4] = [
    ("policy-owners", &["maria", "chen"]),
    ("change-approvers", &["maria", "chen", "ana"]),
    ("database-owners", &["chen"]),
    ("reviewers", &["chen", "maria"]),
];
/// Who wrote the policy.
pub const AUTHOR: &str = "omar";
/// The packages.
pub const PACKAGES: [&str; 3] = ["openssl", "curl", "postgresql-15"];

/// The environment of a host.
#[must_use]
pub fn environment(host: &str) -> Environment {
    if host.starts_with("web") {
        Environment::Production
    } else {
        Environment::Staging
    }
}

/// The deployment.
#[must_use]
pub fn deployment() -> DeploymentId {
    DeploymentId::new("example/simulation").unwrap()
}

/// A person by handle.
#[must_use]
pub fn person(name: &str) -> PersonId {
    PersonId::new(name).unwrap()
}

/// A host by name.
#[must_use]
pub fn host(name: &str) -> HostId {
    HostId::new(name).unwrap()
}

/// An agent by name.
#[must_use]
pub fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

/// The key that a name always has.
#[must_use]
pub fn key(name: &str) -> SigningKey {
    SigningKey::from_bytes(Digest::of(name.as_bytes()).as_bytes())
}

fn ssh_key(name: &str) -> ssh_key::PrivateKey {
    let seed = Digest::of(name.as_bytes());
    ssh_key::private::Ed25519Keypair::from_seed(seed.as_bytes()).into()
}

/// The public key of a person, in OpenSSH form without a comment.
#[must_use]
pub fn public_key(name: &str) -> String {
    let text = ssh_key(name).public_key().to_openssh().unwrap();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// The fingerprint of a person's key.
#[must_use]
pub fn fingerprint(name: &str) -> String {
    countersign_verify::ssh::fingerprint(&public_key(name)).unwrap()
}

/// A document that `name` signs with its own key, under the key id `kid`.
pub fn sign_as<T: serde::Serialize>(name: &str, kid: &str, typ: &str, payload: &T) -> String {
    let input = jws::signing_input(typ, kid, &canonical::to_bytes(payload).unwrap());
    jws::assemble(&input, &key(name).sign(input.as_bytes()).to_bytes())
}

/// A document that `name` signs.
pub fn sign<T: serde::Serialize>(name: &str, typ: &str, payload: &T) -> String {
    sign_as(name, name, typ, payload)
}

/// What a person is asked to sign: everything but the person's own.
#[derive(Debug, Clone)]
pub struct Asked {
    /// About what.
    pub subject: Subject,
    /// The roster version.
    pub roster_version: u64,
    /// Unique.
    pub nonce: Nonce,
    /// When it is signed.
    pub at: Timestamp,
    /// For how long it holds, in seconds.
    pub seconds: i64,
}

/// A person's statement, signed with the key of `signer` (another name: a forgery).
#[must_use]
pub fn statement(name: &str, signer: &str, asked: Asked) -> SignedStatement {
    let statement = Statement {
        v: 1,
        deployment: deployment(),
        approver: person(name),
        credential: fingerprint(name),
        roster_version: asked.roster_version,
        nonce: asked.nonce,
        signed_at: asked.at,
        not_after: asked.at.plus_seconds(asked.seconds),
        subject: asked.subject,
    };
    let text = canonical::to_text(&statement).unwrap();
    let signature = ssh_key(signer)
        .sign(SSH_NAMESPACE, ssh_key::HashAlg::Sha512, text.as_bytes())
        .unwrap();
    SignedStatement {
        statement: text,
        signature: signature.to_pem(ssh_key::LineEnding::LF).unwrap(),
    }
}

/// The roster that a deployment begins with.
#[must_use]
pub fn genesis(authorizations: String, recommendations: String) -> Vec<Operation> {
    let hex = |name: &str| countersign_gate::found::hex_key(&key(name));
    let mut operations = vec![Operation::SetGate(GateKeys {
        warrant: hex("warrant"),
        authorizations,
        recommendations,
    })];
    for name in PEOPLE {
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
    for (name, members) in GROUPS {
        operations.push(Operation::SetGroup {
            group: GroupId::new(name).unwrap(),
            members: members.iter().map(|name| person(name)).collect(),
        });
    }
    operations.push(Operation::SetThreshold {
        group: GroupId::new("policy-owners").unwrap(),
        quorum: 1,
    });
    for (name, owner) in AGENTS {
        operations.push(Operation::SetAgent {
            agent: agent(name),
            owner: person(owner),
            public_key: hex(name),
        });
    }
    for name in HOSTS {
        operations.push(Operation::SetHost {
            host: host(name),
            public_key: hex(name),
        });
    }
    operations
}
