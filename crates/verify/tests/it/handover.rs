//! What a host checks before it acts: a genuine handover passes, each attack on it is refused.

use crate::case::{Case, ORIGIN, WARRANT_AT, plan_of};
use crate::support::{agent, host, key, nonce, now, refused, sign, sign_change};
use countersign_domain::Digest;
use countersign_domain::jws::{LEASE_TYP, PROPOSAL_TYP};
use countersign_domain::lease::Handover;
use countersign_domain::roster::{Operation, SignedRosterChange};
use countersign_verify::log::LogError;
use countersign_verify::warrant::{GATE_KID, WarrantError};
use countersign_verify::{Permit, Refusal};
use std::time::Duration;

/// A genuine case, changed before it is signed.
pub fn check(edit: impl FnOnce(&mut Case)) -> Result<Permit, Refusal> {
    let mut case = Case::new();
    edit(&mut case);
    case.check()
}

/// A genuine handover, changed after it was signed.
fn check_tampered(edit: impl FnOnce(&mut Handover)) -> Result<Permit, Refusal> {
    let case = Case::new();
    let mut handover = case.handover();
    edit(&mut handover);
    case.check_handover(&handover)
}

#[test]
fn a_genuine_handover_gives_a_permit() {
    let case = Case::new();
    let permit = case.check().unwrap();
    assert_eq!(permit.warrant().aud, host("web-1"));
    assert_eq!(permit.log_index(), WARRANT_AT as u64);
    let log = case.log();
    assert_eq!(*permit.checkpoint(), log.checkpoint(ORIGIN, log.0.len()));
    assert_eq!(permit.halt_epoch(), 4);
    assert!(permit.approvals().is_empty());
}

#[test]
fn the_first_contact_and_an_unmoved_log_are_accepted() {
    assert!(
        check(|case| {
            case.seen = None;
            case.seen_size = 0;
        })
        .is_ok()
    );
    assert!(
        check(|case| {
            let log = case.log();
            case.seen_size = log.0.len();
            case.seen = Some(log.checkpoint(ORIGIN, log.0.len()));
        })
        .is_ok()
    );
}

#[test]
fn an_unlogged_warrant_is_refused() {
    // Signed by the gate's key, but another than the one in the log: a captured signing key.
    let mut other = Case::new();
    other.warrant.jti = nonce("other");
    refused!(
        check_tampered(|h| h.warrant = other.handover().warrant),
        Refusal::NotLogged(LogError::Merkle(_))
    );
    refused!(check_tampered(|h| h.proof.clear()), Refusal::NotLogged(_));
}

#[test]
fn a_log_without_enough_witnesses_is_refused() {
    refused!(
        check(|case| case.witnesses.clear()),
        Refusal::NotLogged(LogError::Quorum { .. })
    );
    // The pin tightens what the roster demands, and never loosens it.
    refused!(
        check(|case| case.pins.witness_quorum = 2),
        Refusal::NotLogged(LogError::Quorum {
            needed: 2,
            found: 1
        })
    );
    refused!(
        check(|case| {
            case.pins.witness_quorum = 0;
            case.witnesses.clear();
        }),
        Refusal::NotLogged(LogError::Quorum { needed: 1, .. })
    );
    refused!(
        check(|case| case.pins.witness_quorum = 3),
        Refusal::LogKeys(_)
    );
}

#[test]
fn a_warrant_that_cites_an_authorization_behind_itself_is_refused() {
    for (index, size) in [(5, 6), (4, 6), (6, 7), (5, 9)] {
        refused!(
            check(|case| {
                case.warrant.basis.authorization.index = index;
                case.warrant.basis.authorization.size = size;
            }),
            Refusal::AuthorizationNotBefore { .. }
        );
    }
}

#[test]
fn a_rolled_back_log_is_refused() {
    refused!(
        check(|case| {
            let mut longer = case.log();
            longer.0.push(b"one more".to_vec());
            case.seen = Some(longer.checkpoint(ORIGIN, longer.0.len()));
        }),
        Refusal::LogRolledBack { seen: 10, now: 9 }
    );
}

#[test]
fn a_split_view_is_refused() {
    // The host saw another history: at a smaller size, at the same size, and at size 4, which the
    // warrant cites as well.
    for size in [2, 4, 9] {
        refused!(
            check(|case| {
                let mut other = case.log();
                other.0[1] = b"another history".to_vec();
                case.seen = Some(other.checkpoint(ORIGIN, size));
                case.seen_size = size;
            }),
            Refusal::SplitView { .. }
        );
    }
    refused!(
        check_tampered(|h| h.consistency.clear()),
        Refusal::SplitView { .. }
    );
    refused!(
        check_tampered(|h| h.consistency[0] = "no hash".into()),
        Refusal::SplitView { .. }
    );
    refused!(
        check(|case| case.seen.as_mut().unwrap().origin = "example.org/test/recommendations".into()),
        Refusal::SplitView { .. }
    );
    // The warrant cites another root for the very size that the host has seen.
    refused!(
        check(|case| case.warrant.basis.authorization.root = Digest::of(b"other")),
        Refusal::SplitView { seen: 4, .. }
    );
    // At the first contact there is nothing to be consistent with.
    refused!(
        check(|case| case.seen = None),
        Refusal::SplitView { seen: 0, .. }
    );
}

#[test]
fn a_replayed_or_foreign_lease_is_refused() {
    refused!(
        check(|c| c.lease.nonce = nonce("older")),
        Refusal::LeaseMismatch("nonce")
    );
    refused!(
        check(|c| c.lease.host = host("web-2")),
        Refusal::LeaseMismatch("host")
    );
    refused!(check(|c| c.lease.v = 2), Refusal::LeaseMismatch("v"));
    let other = Case::new();
    refused!(
        check_tampered(|h| h.lease = sign(&key("web-1"), LEASE_TYP, GATE_KID, &other.lease)),
        Refusal::Lease(_)
    );
    refused!(
        check_tampered(|h| h.lease = h.warrant.clone()),
        Refusal::Lease(_)
    );
}

/// A lease of that age, asked for that long ago.
fn aged(seconds: i64, waited: u64, max: i64) -> Result<Permit, Refusal> {
    check(|c| {
        c.lease.at = now().plus_seconds(-seconds);
        c.waited = Duration::from_secs(waited);
        c.pins.lease_seconds_max = max;
    })
}

#[test]
fn a_lease_binds_for_a_minute_at_most() {
    assert!(aged(60, 60, 60).is_ok());
    refused!(aged(61, 60, 60), Refusal::LeaseAge { .. });
    refused!(aged(61, 60, 3600), Refusal::LeaseAge { max_ms: 60_000, .. });
    refused!(aged(11, 10, 10), Refusal::LeaseAge { max_ms: 10_000, .. });
}

#[test]
fn an_answer_that_was_held_back_is_refused_whatever_the_clocks_say() {
    // The host's clock stands still, or was set back: by it the answer is fresh.
    refused!(
        aged(0, 61, 60),
        Refusal::LeaseHeldBack {
            waited_ms: 61_000,
            max_ms: 60_000
        }
    );
    refused!(aged(0, 61, 3600), Refusal::LeaseHeldBack { .. });
    refused!(aged(-20, 11, 10), Refusal::LeaseHeldBack { .. });
    assert!(aged(0, 60, 60).is_ok());
}

#[test]
fn clocks_that_disagree_beyond_a_bound_are_refused_with_the_remedy() {
    // The answer was made between asking and now: the skew of 30 s is for the clocks alone.
    assert!(aged(30, 0, 60).is_ok() && aged(40, 10, 60).is_ok() && aged(-30, 0, 60).is_ok());
    refused!(
        aged(31, 0, 60),
        Refusal::ClocksDisagree {
            by_ms: 31_000,
            max_ms: 30_000,
            ..
        }
    );
    refused!(
        aged(42, 10, 60),
        Refusal::ClocksDisagree { by_ms: 32_000, .. }
    );
    let behind = aged(-31, 0, 60).unwrap_err().to_string();
    assert!(
        behind.contains("31000` ms behind the gate's") && behind.contains("set the clock"),
        "{behind}"
    );
    let ahead = aged(50, 0, 60).unwrap_err().to_string();
    assert!(ahead.contains("ahead of the gate's"), "{ahead}");
}

#[test]
fn a_halt_stops_and_is_not_forgotten() {
    refused!(check(|c| c.lease.halted = true), Refusal::Halted);
    refused!(
        check(|c| c.seen_halt_epoch = 5),
        Refusal::HaltEpochBack { seen: 5, now: 4 }
    );
    refused!(
        check(|c| c.warrant.halt_epoch = 3),
        Refusal::HaltEpochOld { warrant: 3, now: 4 }
    );
    refused!(
        check(|c| c.warrant.halt_epoch = 5),
        Refusal::HaltEpochAhead { warrant: 5, now: 4 }
    );
}

#[test]
fn an_exchanged_proposal_is_refused() {
    let mut other = Case::new();
    other.proposal.nonce = nonce("0022");
    refused!(
        check_tampered(|h| h.proposal = other.handover().proposal),
        Refusal::OtherChange { .. }
    );
    let proposal = Case::new().proposal;
    refused!(
        check_tampered(|h| h.proposal = sign(&key("web-1"), PROPOSAL_TYP, "patcher", &proposal)),
        Refusal::Proposal(_)
    );
    refused!(
        check(|c| c.warrant.sub = agent("other")),
        Refusal::OtherAgent { .. }
    );
    refused!(
        check(|c| c.proposal.nonce = nonce("0022")),
        Refusal::OtherChange { .. }
    );
}

#[test]
fn exchanged_added_or_left_out_plans_are_refused() {
    refused!(
        check_tampered(|h| h.plans[1].plan = Digest::of(b"other")),
        Refusal::ChangeDigest { .. }
    );
    refused!(
        check_tampered(|h| h.plans.truncate(1)),
        Refusal::ChangeDigest { .. }
    );
    refused!(
        check_tampered(|h| drop(h.plans.remove(0))),
        Refusal::NotInChange
    );
    refused!(
        check_tampered(|h| h.plans[0].plan = Digest::of(b"other")),
        Refusal::OtherPlan { .. }
    );
    refused!(
        check_tampered(|h| h.plans.push(plan_of("web-3"))),
        Refusal::PlanList(_)
    );
    refused!(
        check_tampered(|h| h.plans.push(plan_of("web-2"))),
        Refusal::PlanList(_)
    );
    // The order of the list says nothing.
    assert!(check_tampered(|h| h.plans.reverse()).is_ok());
    refused!(
        check(|c| c.warrant.authorization_details[0].plan_digest = Digest::of(b"other")),
        Refusal::OtherPlan { .. }
    );
    refused!(
        check(|c| c.warrant.authorization_details[0].change_digest = Digest::of(b"other")),
        Refusal::ChangeDigest { .. }
    );
    refused!(
        check(|c| c.warrant.authorization_details[0].targets_max = 1),
        Refusal::TooManyTargets { plans: 2, max: 1 }
    );
    refused!(
        check(|c| c.warrant.authorization_details[0].wave = 0),
        Refusal::Wave { warrant: 0, own: 1 }
    );
}

#[test]
fn a_warrant_for_another_host_is_refused() {
    refused!(
        check(|c| {
            c.warrant.aud = host("web-2");
            c.warrant.authorization_details[0].locations = vec![host("web-2")];
        }),
        Refusal::Warrant(WarrantError::Audience { .. })
    );
}

#[test]
fn a_host_that_does_not_know_the_gates_roster_refuses() {
    refused!(
        check(|c| c.warrant.basis.roster_version = 2),
        Refusal::RosterBehind {
            handed: 2,
            known: 1
        }
    );
    refused!(
        check(|c| {
            let remove = Operation::RemoveHost {
                host: host("web-2"),
            };
            let change = crate::roster::next(&c.roster, vec![remove]);
            c.roster_changes = vec![sign_change(&change, 1, &["maria", "chen"])];
        }),
        Refusal::RosterBehind {
            handed: 2,
            known: 1
        }
    );
    refused!(
        check(|c| c.roster_changes = vec![SignedRosterChange {
            change: "no change".into(),
            statements: Vec::new(),
        }]),
        Refusal::RosterBehind { .. }
    );
}

#[test]
fn trial_and_production_do_not_mix() {
    assert!(Case::of_trial(true).check().is_ok());
    let mut production_host = Case::of_trial(true);
    production_host.pins.trial = false;
    refused!(
        production_host.check(),
        Refusal::Warrant(WarrantError::Trial)
    );
    // A trial's warrant that hides its mark, and a production warrant that bears one.
    let mut hidden = Case::of_trial(true);
    hidden.warrant.trial = false;
    refused!(hidden.check(), Refusal::TrialMark);
    let mut marked = Case::new();
    marked.warrant.trial = true;
    marked.pins.trial = true;
    refused!(marked.check(), Refusal::TrialMark);
}

#[test]
fn an_agent_that_left_the_roster_starts_nothing_more() {
    refused!(
        check(|c| {
            let remove = Operation::RemoveAgent {
                agent: agent("patcher"),
            };
            let change = crate::roster::next(&c.roster, vec![remove]);
            let signed = sign_change(&change, 1, &["maria", "chen"]);
            c.roster = countersign_verify::roster::extend(&c.roster, &signed).unwrap();
        }),
        Refusal::Proposal(_)
    );
}

#[test]
fn endless_handovers_are_refused_before_they_are_read() {
    refused!(
        check_tampered(|h| h.consistency = vec![String::new(); 64]),
        Refusal::TooMuch(_)
    );
    refused!(
        check_tampered(|h| h.plans = vec![plan_of("web-1"); 501]),
        Refusal::TooMuch(_)
    );
}
