//! Signed documents of hosts and agents: by whom, in whose name, and within which bounds.

use crate::case::Case;
use crate::support::{deployment, host, key, now, proposal, refused, roster, sign};
use countersign_domain::jws::{OBSERVATION_TYP, PLAN_TYP, PROPOSAL_TYP, RECEIPT_TYP, STARTED_TYP};
use countersign_domain::observation::{CveCoverage, Observation, PENDING_MAX, PendingUpgrade};
use countersign_domain::plan::{PreparedPlan, Reverse, RollbackSource, Step};
use countersign_domain::receipt::{Ending, Receipt, StartNotice};
use countersign_domain::{
    Architecture, ChangeId, DeploymentId, Digest, PackageName, Proposal, Transition, Version,
};
use countersign_verify::document::DocumentError;
use countersign_verify::{Verified, observation, plan, proposal as proposals, receipt, started};

fn signed_proposal(edit: impl FnOnce(&mut Proposal)) -> Result<Verified<Proposal>, DocumentError> {
    let mut proposal = proposal();
    edit(&mut proposal);
    proposals::verify(
        &sign(&key("patcher"), PROPOSAL_TYP, "patcher", &proposal),
        &roster(),
    )
}

fn transition(old: &str, new: &str) -> Transition {
    Transition {
        name: PackageName::new("openssl").unwrap(),
        architecture: Architecture::new("amd64").unwrap(),
        old: Some(Version::new(old).unwrap()),
        new: Some(Version::new(new).unwrap()),
        sha256: Some(Digest::of(new.as_bytes())),
    }
}

fn prepared(proposal: &Verified<Proposal>) -> PreparedPlan {
    PreparedPlan {
        v: 1,
        deployment: deployment(),
        host: host("web-1"),
        proposal: *proposal.digest(),
        prepared_at: now(),
        expires_at: now().plus_seconds(3600),
        steps: vec![Step {
            transition: transition("3.0.15-1", "3.0.17-1"),
            reverse: Reverse {
                transition: transition("3.0.17-1", "3.0.15-1"),
                source: RollbackSource::Cached,
                stored: true,
                note: None,
            },
            requested: true,
            security: true,
            fetched: true,
            section: None,
            essential: false,
        }],
        checks: Vec::new(),
        definitions: Digest::of(b"definitions"),
        limits: Vec::new(),
    }
}

fn signed_plan(
    edit: impl FnOnce(&mut PreparedPlan),
) -> Result<Verified<PreparedPlan>, DocumentError> {
    let proposal = signed_proposal(|_| {}).unwrap();
    let mut plan = prepared(&proposal);
    edit(&mut plan);
    plan::verify(
        &sign(&key("web-1"), PLAN_TYP, "web-1", &plan),
        &roster(),
        &proposal,
    )
}

#[test]
fn a_proposal_is_the_agents_own_and_within_bounds() {
    assert!(signed_proposal(|_| {}).is_ok());
    refused!(
        signed_proposal(|p| p.packages.clear()),
        DocumentError::Content { .. }
    );
    refused!(
        signed_proposal(|p| p.agent = crate::support::agent("other")),
        DocumentError::OthersName { .. }
    );
    refused!(
        signed_proposal(|p| p.deployment = DeploymentId::new("example.org/other").unwrap()),
        DocumentError::Deployment { .. }
    );
    refused!(
        proposals::verify(&"x".repeat(49 * 1024), &roster()),
        DocumentError::TooLong { .. }
    );
}

#[test]
fn a_host_cannot_propose_nor_an_agent_prepare() {
    let jws = sign(&key("web-1"), PROPOSAL_TYP, "web-1", &proposal());
    refused!(
        proposals::verify(&jws, &roster()),
        DocumentError::UnknownSigner { .. }
    );
    let proposal = signed_proposal(|_| {}).unwrap();
    let jws = sign(&key("patcher"), PLAN_TYP, "patcher", &prepared(&proposal));
    refused!(
        plan::verify(&jws, &roster(), &proposal),
        DocumentError::UnknownSigner { .. }
    );
}

#[test]
fn a_plan_answers_this_proposal_on_this_host() {
    assert!(signed_plan(|_| {}).is_ok());
    refused!(
        signed_plan(|p| p.host = host("web-2")),
        DocumentError::OthersName { .. }
    );
    refused!(
        signed_plan(|p| p.proposal = Digest::of(b"other")),
        DocumentError::Content { .. }
    );
    refused!(
        signed_plan(|p| p.steps.clear()),
        DocumentError::Content { .. }
    );
    refused!(
        signed_plan(|p| p.limits = vec!["x".into(); 21]),
        DocumentError::Content { .. }
    );
    refused!(
        signed_plan(|p| p.steps[0].reverse.note = Some("x".repeat(301))),
        DocumentError::Content { .. }
    );
    // A plan of web-2 under the name of web-1: its key does not fit.
    let proposal = signed_proposal(|_| {}).unwrap();
    let jws = sign(&key("web-2"), PLAN_TYP, "web-1", &prepared(&proposal));
    refused!(
        plan::verify(&jws, &roster(), &proposal),
        DocumentError::Jws { .. }
    );
}

fn settled() -> Receipt {
    Receipt {
        v: 1,
        deployment: deployment(),
        host: host("web-1"),
        change: ChangeId::new("chg-1").unwrap(),
        warrant: Digest::of(b"warrant"),
        started_at: Some(now()),
        ended_at: now().plus_seconds(9),
        ending: Ending::Succeeded,
        in_place: Vec::new(),
        health: Vec::new(),
        notes: vec!["done".into()],
    }
}

fn signed_receipt(edit: impl FnOnce(&mut Receipt)) -> Result<Verified<Receipt>, DocumentError> {
    let mut receipt = settled();
    edit(&mut receipt);
    receipt::verify(
        &sign(&key("web-1"), RECEIPT_TYP, "web-1", &receipt),
        &roster(),
    )
}

#[test]
fn a_receipt_is_bounded_and_does_not_contradict_itself() {
    assert!(signed_receipt(|_| {}).is_ok());
    for edit in [
        (|r| r.v = 2) as fn(&mut Receipt),
        |r| r.notes = vec![String::new(); 21],
        |r| r.notes = vec!["x".repeat(301)],
        |r| r.started_at = None,
        |r| r.ending = Ending::NeverStarted,
        |r| r.ended_at = now().plus_seconds(-1),
        |r| r.in_place = vec![transition("1", "2"); 101],
    ] {
        refused!(signed_receipt(edit), DocumentError::Content { .. });
    }
    assert!(
        signed_receipt(|r| {
            r.ending = Ending::NeverStarted;
            r.started_at = None;
        })
        .is_ok()
    );
    let as_other_kind = sign(&key("web-1"), STARTED_TYP, "web-1", &settled());
    refused!(
        receipt::verify(&as_other_kind, &roster()),
        DocumentError::Jws { .. }
    );
}

#[test]
fn notices_and_receipts_belong_to_one_warrant() {
    let permit = Case::new().check().unwrap();
    let warrant = permit.warrant();
    let mut receipt = settled();
    receipt.change = warrant.txn.clone();
    receipt.warrant = *warrant.digest();
    assert!(receipt::settles(&receipt, warrant));
    receipt.host = host("web-2");
    assert!(!receipt::settles(&receipt, warrant));
    assert!(!receipt::settles(&settled(), warrant));
    let notice = StartNotice {
        v: 1,
        deployment: deployment(),
        host: host("web-1"),
        change: warrant.txn.clone(),
        warrant: *warrant.digest(),
        started_at: now(),
    };
    let jws = sign(&key("web-1"), STARTED_TYP, "web-1", &notice);
    let notice = started::verify(&jws, &roster()).unwrap();
    assert!(started::is_of(&notice, warrant));
    let other = StartNotice {
        warrant: Digest::of(b"other"),
        ..notice.into_inner()
    };
    assert!(!started::is_of(&other, warrant));
    let newer = StartNotice { v: 2, ..other };
    let jws = sign(&key("web-1"), STARTED_TYP, "web-1", &newer);
    refused!(
        started::verify(&jws, &roster()),
        DocumentError::Content { .. }
    );
}

fn signed_observation(
    edit: impl FnOnce(&mut Observation),
) -> Result<Verified<Observation>, DocumentError> {
    let mut observed = Observation {
        v: 1,
        deployment: deployment(),
        host: host("web-1"),
        observed_at: now(),
        lists_refreshed_at: None,
        pending: Vec::new(),
        health: Vec::new(),
        gaps: Vec::new(),
    };
    edit(&mut observed);
    observation::verify(
        &sign(&key("web-1"), OBSERVATION_TYP, "web-1", &observed),
        &roster(),
    )
}

#[test]
fn an_observation_is_the_hosts_own_and_bounded() {
    let upgrade = PendingUpgrade {
        name: PackageName::new("openssl").unwrap(),
        architecture: Architecture::new("amd64").unwrap(),
        from: Version::new("1").unwrap(),
        to: Version::new("2").unwrap(),
        origin: "Debian".into(),
        security: false,
        section: None,
        essential: false,
        pulls_in: Vec::new(),
        cves: CveCoverage::Unknown {
            why: "offline".into(),
        },
        rollback: RollbackSource::Mirror,
    };
    let many = |count| vec![upgrade.clone(); count];
    assert!(signed_observation(|o| o.pending = many(PENDING_MAX)).is_ok());
    refused!(
        signed_observation(|o| o.pending = many(PENDING_MAX + 1)),
        DocumentError::Content { .. }
    );
    refused!(
        signed_observation(|o| {
            o.pending = many(1);
            o.pending[0].pulls_in = vec![transition("1", "2"); 101];
        }),
        DocumentError::Content { .. }
    );
    refused!(
        signed_observation(|o| o.gaps = vec![String::new(); 201]),
        DocumentError::Content { .. }
    );
    refused!(
        signed_observation(|o| o.v = 0),
        DocumentError::Content { .. }
    );
    refused!(
        signed_observation(|o| o.host = host("web-2")),
        DocumentError::OthersName { .. }
    );
}
