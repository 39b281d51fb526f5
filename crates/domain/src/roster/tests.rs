//! What the roster takes and what it refuses.

use super::*;
use crate::id::{DeploymentId, GroupId, PersonId};

fn person(name: &str) -> PersonId {
    PersonId::new(name).unwrap()
}

fn group(name: &str) -> GroupId {
    GroupId::new(name).unwrap()
}

fn gate() -> Operation {
    Operation::SetGate(GateKeys {
        warrant: "00".repeat(32),
        authorizations: "a".into(),
        recommendations: "r".into(),
    })
}

fn join(name: &str) -> [Operation; 2] {
    [
        Operation::AddPerson {
            person: person(name),
            name: Digest::of(name.as_bytes()),
        },
        Operation::AddKey {
            person: person(name),
            fingerprint: format!("SHA256:{name}"),
            public_key: format!("ssh-ed25519 {name}"),
        },
    ]
}

fn genesis(quorum: u32) -> RosterChange {
    let mut operations = vec![gate()];
    operations.extend(join("maria"));
    operations.extend(join("chen"));
    operations.push(Operation::SetGroup {
        group: group("roster"),
        members: [person("maria"), person("chen")].into(),
    });
    operations.push(Operation::SetThreshold {
        group: group("roster"),
        quorum,
    });
    RosterChange {
        v: 1,
        deployment: DeploymentId::new("example/test").unwrap(),
        trial: false,
        version: 1,
        previous: None,
        at: Timestamp::EPOCH,
        operations,
    }
}

fn next(roster: &Roster, operations: Vec<Operation>) -> RosterChange {
    RosterChange {
        v: 1,
        deployment: roster.deployment.clone(),
        trial: roster.trial,
        version: roster.version + 1,
        previous: Some(roster.head),
        at: Timestamp::EPOCH,
        operations,
    }
}

#[test]
fn a_roster_must_be_able_to_sign_its_own_next_change() {
    assert!(Roster::found(&genesis(2)).is_ok());
    assert!(Roster::found(&genesis(3)).is_err());
    assert!(Roster::found(&genesis(0)).is_err());
    let roster = Roster::found(&genesis(2)).unwrap();
    let leave = next(
        &roster,
        vec![Operation::RemovePerson {
            person: person("chen"),
        }],
    );
    assert!(matches!(
        roster.extended(&leave),
        Err(RosterError::Unusable(_))
    ));
}

#[test]
fn only_a_linear_extension_is_taken() {
    let roster = Roster::found(&genesis(1)).unwrap();
    let good = next(&roster, join("ana").to_vec());
    assert_eq!(roster.extended(&good).unwrap().version, 2);
    for wrong in [
        RosterChange {
            version: 3,
            ..good.clone()
        },
        RosterChange {
            previous: None,
            ..good.clone()
        },
        RosterChange {
            previous: Some(Digest::of(b"other")),
            ..good.clone()
        },
        RosterChange {
            trial: true,
            ..good.clone()
        },
        RosterChange {
            deployment: DeploymentId::new("other").unwrap(),
            ..good.clone()
        },
    ] {
        assert!(
            matches!(roster.extended(&wrong), Err(RosterError::Order { .. })),
            "{wrong:?}"
        );
    }
}

#[test]
fn a_revoked_key_counts_no_more_and_never_returns() {
    let roster = Roster::found(&genesis(1)).unwrap();
    assert!(roster.key_at("SHA256:chen", 1).is_some());
    assert!(
        roster.key_at("SHA256:chen", 2).is_none(),
        "a version that does not exist yet"
    );
    let fingerprint = "SHA256:chen".to_owned();
    let revoked = roster
        .extended(&next(
            &roster,
            vec![Operation::RevokeKey {
                fingerprint: fingerprint.clone(),
            }],
        ))
        .unwrap();
    assert!(revoked.key_at("SHA256:chen", 1).is_none());
    let again = next(
        &revoked,
        vec![Operation::AddKey {
            person: person("chen"),
            fingerprint,
            public_key: "ssh-ed25519 chen".into(),
        }],
    );
    assert!(revoked.extended(&again).is_err());
}

#[test]
fn an_agent_keeps_a_human_who_answers_for_it() {
    let roster = Roster::found(&genesis(1)).unwrap();
    let agent = Operation::SetAgent {
        agent: AgentId::new("bot").unwrap(),
        owner: person("chen"),
        public_key: "11".repeat(32),
    };
    let with_agent = roster.extended(&next(&roster, vec![agent])).unwrap();
    let leave = next(
        &with_agent,
        vec![Operation::RemovePerson {
            person: person("chen"),
        }],
    );
    assert!(matches!(
        with_agent.extended(&leave),
        Err(RosterError::Unusable(_))
    ));
}
