//! The roster's chain: who may found and change it, and what must not slip in.

use crate::support::{
    NoteSigner, add_person, agent, gate_keys, genesis, group, host, key, now, openssh, person, pin,
    public, refused, roster, sign_change, signed_genesis, ssh_fingerprint, ssh_key, state,
};
use countersign_domain::roster::{GateKeys, Operation};
use countersign_domain::statement::Subject;
use countersign_domain::{Digest, Roster, RosterChange};
use countersign_verify::log::LogKeysError;
use countersign_verify::roster::{
    ChainError, ChangeProblem, UnusableKey, VerifiedRoster, accept, chain, extend, found,
};

pub fn next(before: &Roster, operations: Vec<Operation>) -> RosterChange {
    RosterChange {
        v: 1,
        deployment: before.deployment.clone(),
        trial: before.trial,
        version: before.version + 1,
        previous: Some(before.head),
        at: now(),
        operations,
    }
}

fn try_next(operations: Vec<Operation>, signers: &[&str]) -> Result<VerifiedRoster, ChainError> {
    let before = roster();
    extend(
        &before,
        &sign_change(&next(&before, operations), 1, signers),
    )
}

fn try_genesis(edit: impl FnOnce(&mut RosterChange)) -> Result<VerifiedRoster, ChainError> {
    let mut change = genesis(false);
    edit(&mut change);
    let signed = sign_change(&change, 1, &["maria", "chen"]);
    found(&pin(&signed), &signed)
}

macro_rules! problem {
    ($result:expr, $pattern:pat) => {
        refused!(
            $result,
            ChainError {
                problem: $pattern,
                ..
            }
        )
    };
}

#[test]
fn a_chain_is_followed_from_the_pinned_genesis() {
    let first = signed_genesis(false);
    let before = found(&pin(&first), &first).unwrap();
    let second = sign_change(
        &next(&before, add_person("dana").to_vec()),
        1,
        &["chen", "maria"],
    );
    let roster = chain(&pin(&first), &[first.clone(), second.clone()]).unwrap();
    assert_eq!(roster.version, 2);
    assert!(roster.is_member(&person("dana")));
    let third = sign_change(
        &next(
            &roster,
            vec![Operation::RemoveHost {
                host: host("web-2"),
            }],
        ),
        2,
        &["maria", "chen"],
    );
    assert_eq!(
        chain(
            &pin(&first),
            &[first.clone(), second.clone(), third.clone()]
        )
        .unwrap()
        .version,
        3
    );
    // A step left out, repeated or exchanged.
    for (changes, step) in [
        (vec![first.clone(), third.clone()], 2),
        (vec![first.clone(), second.clone(), second.clone()], 3),
        (vec![first.clone(), first.clone()], 2),
        (vec![second, first.clone()], 1),
        (vec![], 1),
    ] {
        assert_eq!(chain(&pin(&first), &changes).unwrap_err().step, step);
    }
}

#[test]
fn a_genesis_other_than_the_pinned_one_is_refused() {
    let signed = signed_genesis(false);
    problem!(
        found(&Digest::of(b"other"), &signed),
        ChangeProblem::Pin { .. }
    );
    let mut spaced = signed.clone();
    spaced.change.push(' ');
    problem!(found(&pin(&spaced), &spaced), ChangeProblem::Form(_));
}

#[test]
fn a_change_needs_the_quorum_of_distinct_members_of_the_roster_before_it() {
    let leave = || {
        vec![Operation::RemoveHost {
            host: host("web-2"),
        }]
    };
    assert!(try_next(leave(), &["maria", "chen"]).is_ok());
    problem!(
        try_next(leave(), &[]),
        ChangeProblem::Quorum {
            needed: 2,
            found: 0,
            ..
        }
    );
    problem!(
        try_next(leave(), &["maria"]),
        ChangeProblem::Quorum { found: 1, .. }
    );
    problem!(
        try_next(leave(), &["maria", "maria"]),
        ChangeProblem::Quorum { found: 1, .. }
    );
    // In the roster, but not in the group of the threshold.
    problem!(
        try_next(leave(), &["maria", "ana"]),
        ChangeProblem::Quorum { found: 1, .. }
    );
}

#[test]
fn a_newcomer_cannot_sign_the_change_that_brings_them_in() {
    let mut operations = add_person("mallory").to_vec();
    operations.push(Operation::SetGroup {
        group: group("owners"),
        members: [person("mallory"), person("maria")].into(),
    });
    problem!(
        try_next(operations, &["maria", "mallory"]),
        ChangeProblem::Statement { at: 1, .. }
    );
}

#[test]
fn a_threshold_is_changed_only_under_itself() {
    let lower = || {
        vec![Operation::SetThreshold {
            group: group("owners"),
            quorum: 1,
        }]
    };
    problem!(
        try_next(lower(), &["maria"]),
        ChangeProblem::Quorum { needed: 2, .. }
    );
    let after = try_next(lower(), &["maria", "chen"]).unwrap();
    let change = next(
        &after,
        vec![Operation::RemoveHost {
            host: host("web-2"),
        }],
    );
    assert!(extend(&after, &sign_change(&change, 2, &["maria"])).is_ok());
}

#[test]
fn signatures_for_another_change_or_version_do_not_count() {
    let before = roster();
    let change = next(
        &before,
        vec![Operation::RemoveHost {
            host: host("web-2"),
        }],
    );
    let good = sign_change(&change, 1, &["maria", "chen"]);
    let other = next(
        &before,
        vec![Operation::RemoveHost {
            host: host("web-1"),
        }],
    );
    let mut moved = good.clone();
    moved.statements = sign_change(&other, 1, &["maria", "chen"]).statements;
    problem!(
        extend(&before, &moved),
        ChangeProblem::OtherSubject { at: 0, .. }
    );
    let mut reused = good.clone();
    let subject = Subject::Policy {
        policy: pin(&good),
        version: 2,
        authors: Vec::new(),
    };
    reused.statements = vec![
        state("maria", 1, subject.clone()),
        state("chen", 1, subject),
    ];
    problem!(extend(&before, &reused), ChangeProblem::OtherSubject { .. });
    // From a version that does not exist yet, and from one long ago.
    problem!(
        extend(&before, &sign_change(&change, 2, &["maria", "chen"])),
        ChangeProblem::Statement { .. }
    );
    let second = extend(&before, &good).unwrap();
    let third = next(&second, add_person("dana").to_vec());
    problem!(
        extend(&second, &sign_change(&third, 1, &["maria", "chen"])),
        ChangeProblem::OtherSubject { .. }
    );
}

#[test]
fn a_removed_person_and_a_revoked_key_no_longer_sign() {
    let operations = vec![
        Operation::SetThreshold {
            group: group("dba"),
            quorum: 1,
        },
        Operation::RevokeKey {
            fingerprint: ssh_fingerprint(&ssh_key("ana")),
        },
        Operation::RemovePerson {
            person: person("chen"),
        },
    ];
    let after = try_next(operations, &["maria", "chen"]).unwrap();
    let change = next(
        &after,
        vec![Operation::RemoveHost {
            host: host("web-2"),
        }],
    );
    for gone in ["ana", "chen"] {
        problem!(
            extend(&after, &sign_change(&change, 2, &["maria", gone])),
            ChangeProblem::Statement { at: 1, .. }
        );
    }
    assert!(extend(&after, &sign_change(&change, 2, &["maria"])).is_ok());
}

#[test]
fn a_change_that_is_handed_in_late_is_not_accepted() {
    let before = roster();
    let change = next(
        &before,
        vec![Operation::RemoveHost {
            host: host("web-2"),
        }],
    );
    let signed = sign_change(&change, 1, &["maria", "chen"]);
    assert!(accept(&before, &signed, now()).is_ok());
    problem!(
        accept(&before, &signed, now().plus_seconds(3601)),
        ChangeProblem::Statement { .. }
    );
    assert!(extend(&before, &signed).is_ok());
}

#[test]
fn a_fingerprint_must_be_that_of_its_key() {
    let mut operations = add_person("dana").to_vec();
    if let Operation::AddKey { public_key, .. } = &mut operations[1] {
        *public_key = openssh(&ssh_key("mallory"));
    }
    problem!(
        try_next(operations, &["maria", "chen"]),
        ChangeProblem::Key {
            at: 1,
            problem: UnusableKey::Fingerprint { .. }
        }
    );
    for wrong in [
        "ssh-ed25519 AAAA".to_owned(),
        format!("{} comment", openssh(&ssh_key("dana"))),
        format!("{}\n", openssh(&ssh_key("dana"))),
        format!("command=\"id\" {}", openssh(&ssh_key("dana"))),
        String::new(),
    ] {
        let mut operations = add_person("dana").to_vec();
        if let Operation::AddKey { public_key, .. } = &mut operations[1] {
            *public_key = wrong;
        }
        problem!(
            try_next(operations, &["maria", "chen"]),
            ChangeProblem::Key {
                at: 1,
                problem: UnusableKey::Ssh(_)
            }
        );
    }
}

#[test]
fn keys_of_agents_hosts_witnesses_and_the_gate_must_be_usable() {
    let weak = format!("01{}", "00".repeat(31));
    for operation in [
        Operation::SetAgent {
            agent: agent("patcher"),
            owner: person("maria"),
            public_key: weak.clone(),
        },
        Operation::SetHost {
            host: host("web-3"),
            public_key: weak.clone(),
        },
        Operation::SetGate(GateKeys {
            warrant: weak,
            ..gate_keys()
        }),
        Operation::SetWitnesses {
            witnesses: vec!["w".into()],
            quorum: 1,
        },
        Operation::SetGate(GateKeys {
            authorizations: "a".into(),
            ..gate_keys()
        }),
    ] {
        problem!(
            try_next(vec![operation], &["maria", "chen"]),
            ChangeProblem::Key { at: 0, .. }
        );
    }
}

#[test]
fn the_two_logs_and_warrants_have_three_keys() {
    let shared = NoteSigner {
        name: "example.org/test/authorizations".into(),
        kind: 1,
        key: key("gate"),
    };
    let keys = GateKeys {
        authorizations: shared.vkey(),
        ..gate_keys()
    };
    assert_eq!(keys.warrant, public(&key("gate")).to_string());
    problem!(
        try_next(vec![Operation::SetGate(keys)], &["maria", "chen"]),
        ChangeProblem::Key {
            problem: UnusableKey::Shared,
            ..
        }
    );
}

#[test]
fn log_keys_bear_the_logs_names() {
    let keys = GateKeys {
        authorizations: NoteSigner::log("example.org/other/authorizations").vkey(),
        ..gate_keys()
    };
    problem!(
        try_genesis(|change| change.operations[0] = Operation::SetGate(keys)),
        ChangeProblem::LogKeys(LogKeysError::Origin { .. })
    );
}

#[test]
fn oversized_changes_are_refused_before_they_are_read() {
    let mut signed = signed_genesis(false);
    signed.change.push_str(&" ".repeat(60_000));
    problem!(found(&pin(&signed), &signed), ChangeProblem::TooMuch(_));
    let mut signed = signed_genesis(false);
    signed.statements = vec![signed.statements[0].clone(); 65];
    problem!(found(&pin(&signed), &signed), ChangeProblem::TooMuch(_));
}
