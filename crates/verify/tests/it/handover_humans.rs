//! Hosts that pin human signatures: even a captured gate cannot make them act.

use crate::case::Case;
use crate::handover::check;
use crate::support::{group, now, person, refused, sign_statement, ssh_key, state, statement};
use countersign_domain::statement::{Statement, Subject, Vote};
use countersign_domain::warrant::Ground;
use countersign_domain::{Digest, Duties, GroupQuorum, Outcome, SignedStatement};
use countersign_verify::handover::UnusableApproval;
use countersign_verify::ssh::StatementError;
use countersign_verify::{Permit, Refusal};

fn subject(case: &Case, vote: Vote) -> Subject {
    Subject::Change {
        change: case.warrant.txn.clone(),
        change_digest: case.change_digest(),
        vote,
        policy: case.warrant.basis.policy,
        outcome: Outcome::Ask,
        rules: case.warrant.basis.rules.clone(),
        duties: Duties::default(),
        rationale: None,
    }
}

fn approval(case: &Case, name: &str) -> SignedStatement {
    state(name, 1, subject(case, Vote::Approve))
}

/// A case whose host pins two of group `dba` (maria, who owns the agent, chen, and ana).
fn pinned(case: &mut Case, quorum: u32) {
    case.warrant.basis.decision = Ground::Approved;
    case.pins.required_humans = vec![GroupQuorum {
        group: group("dba"),
        quorum,
    }];
}

fn check_with(quorum: u32, names: &[&str]) -> Result<Permit, Refusal> {
    check(|case| {
        pinned(case, quorum);
        case.statements = names.iter().map(|name| approval(case, name)).collect();
    })
}

/// One approval by chen where one is needed, with this subject.
fn check_subject(edit: impl FnOnce(&mut Subject)) -> Result<Permit, Refusal> {
    check(|case| {
        pinned(case, 1);
        let mut subject = subject(case, Vote::Approve);
        edit(&mut subject);
        case.statements = vec![state("chen", 1, subject)];
    })
}

macro_rules! no_quorum {
    ($result:expr, $why:pat) => {
        match $result {
            Err(Refusal::HumanQuorum {
                unusable: Some(why),
                ..
            }) => {
                assert!(matches!(*why, $why), "{why:?}");
            }
            other => panic!("expected a missing quorum, got {other:?}"),
        }
    };
}

#[test]
fn the_pinned_quorum_of_distinct_humans_gives_a_permit() {
    let permit = check_with(2, &["chen", "ana"]).unwrap();
    assert_eq!(permit.approvals().len(), 2);
    refused!(
        check_with(2, &["chen"]),
        Refusal::HumanQuorum {
            needed: 2,
            found: 1,
            ..
        }
    );
    refused!(check_with(1, &[]), Refusal::HumanQuorum { found: 0, .. });
}

#[test]
fn one_human_who_signs_twice_counts_once() {
    refused!(
        check_with(2, &["chen", "chen"]),
        Refusal::HumanQuorum { found: 1, .. }
    );
}

#[test]
fn standing_authority_is_refused_where_humans_are_pinned() {
    refused!(
        check(|case| {
            pinned(case, 1);
            case.warrant.basis.decision = Ground::Standing;
            case.statements = vec![approval(case, "chen")];
        }),
        Refusal::StandingRefused
    );
}

#[test]
fn the_agents_owner_cannot_approve_for_it() {
    no_quorum!(
        check_with(2, &["maria", "chen"]),
        UnusableApproval::Owner(_)
    );
    assert!(check_with(2, &["maria", "chen", "ana"]).is_ok());
    // In a trial one person may do it all, where the host agreed to be part of one.
    let mut trial = Case::of_trial(true);
    pinned(&mut trial, 1);
    trial.statements = vec![approval(&trial, "maria")];
    assert!(trial.check().is_ok());
}

#[test]
fn one_verified_refusal_stops_the_change() {
    refused!(
        check(|case| {
            pinned(case, 1);
            case.statements = vec![
                approval(case, "chen"),
                state("ana", 1, subject(case, Vote::Refuse)),
            ];
        }),
        Refusal::RefusedBy(name) if name == person("ana")
    );
}

#[test]
fn an_approval_of_something_else_does_not_count() {
    assert!(check_subject(|_| {}).is_ok());
    no_quorum!(
        check_subject(|subject| {
            if let Subject::Change { change_digest, .. } = subject {
                *change_digest = Digest::of(b"other");
            }
        }),
        UnusableApproval::OtherSubject(_)
    );
    no_quorum!(
        check_subject(|subject| {
            if let Subject::Change { policy, .. } = subject {
                *policy = Digest::of(b"other");
            }
        }),
        UnusableApproval::OtherSubject(_)
    );
    for wrong in [Outcome::Deny, Outcome::Allow] {
        no_quorum!(
            check_subject(|subject| {
                if let Subject::Change { outcome, .. } = subject {
                    *outcome = wrong;
                }
            }),
            UnusableApproval::OtherSubject(_)
        );
    }
    no_quorum!(
        check_subject(|subject| {
            *subject = Subject::Policy {
                policy: Digest::of(b"policy"),
                version: 1,
                authors: Vec::new(),
            };
        }),
        UnusableApproval::OtherSubject(_)
    );
}

#[test]
fn forged_and_expired_approvals_do_not_count_and_do_not_block() {
    let with = |first: fn(&Case) -> SignedStatement, rest: &[&str]| {
        check(|case| {
            pinned(case, 1);
            case.statements = vec![first(case)];
            let rest: Vec<_> = rest.iter().map(|name| approval(case, name)).collect();
            case.statements.extend(rest);
        })
    };
    let forged = |case: &Case| {
        let statement = statement("chen", 1, subject(case, Vote::Approve));
        sign_statement(&ssh_key("mallory"), &statement)
    };
    no_quorum!(
        with(forged, &[]),
        UnusableApproval::Statement(StatementError::OtherKey { .. })
    );
    assert!(with(forged, &["ana"]).is_ok());
    let expired = |case: &Case| {
        let statement = Statement {
            not_after: now().plus_seconds(-1),
            ..statement("chen", 1, subject(case, Vote::Approve))
        };
        sign_statement(&ssh_key("chen"), &statement)
    };
    no_quorum!(
        with(expired, &[]),
        UnusableApproval::Statement(StatementError::Expired(_))
    );
}

#[test]
fn every_pinned_group_must_reach_its_quorum() {
    let both = |names: &[&str]| {
        check(|case| {
            pinned(case, 1);
            case.pins.required_humans.push(GroupQuorum {
                group: group("owners"),
                quorum: 1,
            });
            case.statements = names.iter().map(|name| approval(case, name)).collect();
        })
    };
    // Chen is in both groups; ana only in `dba`.
    assert!(both(&["chen"]).is_ok());
    refused!(both(&["ana"]), Refusal::HumanQuorum { group: g, .. } if g == group("owners"));
}

#[test]
fn a_pin_that_demands_nobody_is_a_mistake_not_a_permission() {
    refused!(check_with(0, &["chen"]), Refusal::PinQuorumZero(_));
    refused!(
        check(|case| {
            pinned(case, 1);
            case.pins.required_humans[0].group = group("nobody");
            case.statements = vec![approval(case, "chen")];
        }),
        Refusal::HumanQuorum { found: 0, .. }
    );
}
