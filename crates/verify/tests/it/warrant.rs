//! Warrants: one test for each claim that a host must not take on trust.

use crate::support::{deployment, host, key, now, public, refused, sign, warrant};
use countersign_domain::warrant::{AuthorizationDetails, Ground, WARRANT_TYP, Warrant};
use countersign_domain::{DeploymentId, Digest};
use countersign_verify::VerifiedWarrant;
use countersign_verify::warrant::{Expected, GATE_KID, WarrantError, verify, verify_past};
use proptest::prelude::*;

pub fn sign_warrant(warrant: &Warrant) -> String {
    sign(&key("gate"), WARRANT_TYP, GATE_KID, warrant)
}

fn check_jws(jws: &str, seconds: i64, trial_host: bool) -> Result<VerifiedWarrant, WarrantError> {
    let expected = Expected {
        gate_key: &public(&key("gate")),
        deployment: &deployment(),
        host: &host("web-1"),
        now: now().plus_seconds(seconds),
        skew_seconds: 30,
        trial_host,
    };
    verify(jws, &expected)
}

fn check(edit: impl FnOnce(&mut Warrant)) -> Result<VerifiedWarrant, WarrantError> {
    let mut warrant = warrant();
    edit(&mut warrant);
    check_jws(&sign_warrant(&warrant), 0, false)
}

fn check_details(
    edit: impl FnOnce(&mut AuthorizationDetails),
) -> Result<VerifiedWarrant, WarrantError> {
    check(|warrant| edit(&mut warrant.authorization_details[0]))
}

#[test]
fn a_genuine_warrant_is_accepted() {
    let jws = sign_warrant(&warrant());
    let verified = check_jws(&jws, 0, false).unwrap();
    assert_eq!(*verified, warrant());
    assert_eq!(*verified.digest(), Digest::of(jws.as_bytes()));
    assert!(verified.permits("package.transition"));
    assert!(!verified.permits("package"));
}

#[test]
fn a_warrant_of_another_gate_deployment_or_host_is_refused() {
    let forged = sign(&key("web-1"), WARRANT_TYP, GATE_KID, &warrant());
    refused!(check_jws(&forged, 0, false), WarrantError::Jws(_));
    let as_host = sign(&key("gate"), WARRANT_TYP, "web-1", &warrant());
    refused!(check_jws(&as_host, 0, false), WarrantError::Jws(_));
    refused!(
        check(|w| w.iss = DeploymentId::new("example.org/other").unwrap()),
        WarrantError::Issuer { .. }
    );
    refused!(
        check(|w| {
            w.aud = host("web-2");
            w.authorization_details[0].locations = vec![host("web-2")];
        }),
        WarrantError::Audience { .. }
    );
}

#[test]
fn a_lease_or_token_signed_by_the_gate_is_no_warrant() {
    for typ in ["lease+jws", "token+jwt", "jwt", "receipt+jws"] {
        let jws = sign(&key("gate"), typ, GATE_KID, &warrant());
        refused!(check_jws(&jws, 0, false), WarrantError::Jws(_));
    }
}

#[test]
fn exactly_one_detail_for_exactly_this_host_and_one_use() {
    refused!(
        check(|w| w.authorization_details.clear()),
        WarrantError::DetailsCount(0)
    );
    refused!(
        check(|w| w
            .authorization_details
            .push(w.authorization_details[0].clone())),
        WarrantError::DetailsCount(2)
    );
    refused!(
        check_details(|d| d.kind = "urn:other".into()),
        WarrantError::DetailsType(_)
    );
    refused!(
        check_details(|d| d.locations.clear()),
        WarrantError::Locations(_)
    );
    refused!(
        check_details(|d| d.locations.push(host("web-2"))),
        WarrantError::Locations(_)
    );
    refused!(
        check_details(|d| d.locations = vec![host("web-2")]),
        WarrantError::Locations(_)
    );
    for uses in [0, 2, u32::MAX] {
        refused!(check_details(|d| d.uses = uses), WarrantError::Uses(_));
    }
    for actions in [
        vec![],
        vec!["a b".into()],
        vec!["a".into(), "a".into()],
        vec![String::new()],
    ] {
        refused!(
            check_details(|d| d.actions = actions),
            WarrantError::Actions
        );
    }
    refused!(
        check_details(|d| d.targets_max = 0),
        WarrantError::Range("targets_max")
    );
    refused!(
        check_details(|d| d.targets_max = 501),
        WarrantError::Range("targets_max")
    );
    refused!(check_details(|d| d.wave = 50), WarrantError::Range("wave"));
}

#[test]
fn a_warrant_lives_at_most_fifteen_minutes_and_only_then() {
    let jws = sign_warrant(&warrant());
    for seconds in [-40, 0, 799] {
        assert!(check_jws(&jws, seconds, false).is_ok(), "{seconds}");
    }
    refused!(check_jws(&jws, -41, false), WarrantError::Future(31));
    refused!(check_jws(&jws, 800, false), WarrantError::Expired(0));
    refused!(check_jws(&jws, 9000, false), WarrantError::Expired(_));
    let seconds = now().unix_seconds();
    refused!(check(|w| w.nbf = seconds + 31), WarrantError::NotYet(31));
    assert!(check(|w| w.exp = w.nbf + 900).is_ok());
    refused!(check(|w| w.exp = w.nbf + 901), WarrantError::Lifetime(901));
    // An old warrant that waited for its window.
    refused!(check(|w| w.iat -= 100), WarrantError::Lifetime(910));
    refused!(check(|w| w.exp = w.nbf), WarrantError::Lifetime(0));
    refused!(
        check(|w| w.exp = 9_007_199_254_740_991),
        WarrantError::Lifetime(_)
    );
    refused!(check(|w| w.nbf = -1), WarrantError::Range(_));
}

#[test]
fn a_trials_warrant_is_refused_by_hosts_that_are_no_trial() {
    refused!(check(|w| w.trial = true), WarrantError::Trial);
    let mut trial = warrant();
    trial.trial = true;
    assert!(check_jws(&sign_warrant(&trial), 0, true).is_ok());
}

#[test]
fn a_warrant_rests_on_rules_named_humans_and_a_logged_authorization() {
    refused!(check(|w| w.basis.rules.clear()), WarrantError::NoRule);
    assert!(
        check(|w| {
            w.basis.rules.clear();
            w.basis.decision = Ground::Approved;
        })
        .is_ok()
    );
    refused!(
        check(|w| w.basis.rules.push(w.basis.rules[0].clone())),
        WarrantError::Rules
    );
    refused!(
        check(|w| w.basis.approvers.clear()),
        WarrantError::Approvers
    );
    refused!(
        check(|w| w.basis.approvers.push(w.basis.approvers[0].clone())),
        WarrantError::Approvers
    );
    refused!(
        check(|w| w.basis.approvers[0].at = now().plus_seconds(600)),
        WarrantError::ApproverTime(_)
    );
    refused!(
        check(|w| w.basis.authorization.origin = "example.org/test/recommendations".into()),
        WarrantError::AuthorizationLog(_)
    );
    refused!(
        check(|w| w.basis.authorization.index = 3),
        WarrantError::AuthorizationIndex { index: 3, size: 3 }
    );
    refused!(
        check(|w| w.basis.roster_version = 0),
        WarrantError::Range(_)
    );
}

#[test]
fn evidence_of_the_past_does_not_ask_for_the_time() {
    let jws = sign_warrant(&warrant());
    assert!(verify_past(&jws, &public(&key("gate")), &deployment()).is_ok());
    let mut long = warrant();
    long.exp += 900;
    let jws = sign_warrant(&long);
    refused!(
        verify_past(&jws, &public(&key("gate")), &deployment()),
        WarrantError::Lifetime(_)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_warrant_with_one_byte_changed_is_refused(at in any::<prop::sample::Index>(), byte in 0_u8..128) {
        let good = sign_warrant(&warrant());
        let mut bytes = good.clone().into_bytes();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        let text = String::from_utf8(bytes).unwrap();
        prop_assert!(check_jws(&text, 0, false).is_err());
    }
}
