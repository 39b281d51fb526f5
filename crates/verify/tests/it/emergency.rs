//! The glass is broken by the quorum that the host pins, for one order and one plan, and by
//! nothing else.

use crate::support::{
    deployment, group, host, nonce, now, openssh, person, refused, roster, roster_of,
    sign_statement, ssh_key, state, statement,
};
use countersign_domain::emergency::{EMERGENCY_STATEMENTS_MAX, EmergencyBundle};
use countersign_domain::plan::{Reverse, RollbackSource, Step};
use countersign_domain::proposal::PackageRequest;
use countersign_domain::statement::Subject;
use countersign_domain::{
    Digest, EmergencyOrder, GroupQuorum, PreparedPlan, SignedStatement, Timestamp, Transition,
    canonical,
};
use countersign_verify::emergency::{
    EmergencyPermit, EmergencyRefusal, EmergencyView, UnusableStatement, verify,
};
use countersign_verify::roster::VerifiedRoster;

fn order() -> EmergencyOrder {
    EmergencyOrder {
        v: 1,
        deployment: deployment(),
        host: host("web-1"),
        nonce: nonce("aaaabbbbccccddddeeeeffff00001111"),
        ordered_at: now(),
        packages: vec![PackageRequest {
            name: "demo".parse().unwrap(),
            architecture: "amd64".parse().unwrap(),
            from: None,
            to: "1.1".parse().unwrap(),
        }],
    }
}

fn plan(order: &EmergencyOrder) -> PreparedPlan {
    let transition = Transition {
        name: "demo".parse().unwrap(),
        architecture: "amd64".parse().unwrap(),
        old: Some("1.0".parse().unwrap()),
        new: Some("1.1".parse().unwrap()),
        sha256: Some(Digest::of(b"demo_1.1")),
    };
    PreparedPlan {
        v: 1,
        deployment: order.deployment.clone(),
        host: order.host.clone(),
        proposal: order.digest().unwrap(),
        prepared_at: now().plus_seconds(-60),
        expires_at: now().plus_seconds(7 * 86_400),
        steps: vec![Step {
            reverse: Reverse {
                transition: Transition {
                    old: transition.new.clone(),
                    new: transition.old.clone(),
                    sha256: Some(Digest::of(b"demo_1.0")),
                    ..transition.clone()
                },
                source: RollbackSource::Cached,
                stored: true,
                note: None,
            },
            transition,
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

fn plan_digest(plan: &PreparedPlan) -> Digest {
    Digest::of(&canonical::to_bytes(plan).unwrap())
}

fn subject(bundle: &EmergencyBundle) -> Subject {
    Subject::Emergency {
        host: bundle.order.host.clone(),
        order: bundle.order.digest().unwrap(),
        plan: plan_digest(&bundle.plan),
        reason: None,
    }
}

/// A bundle signed by these people.
fn bundle(signers: &[&str]) -> EmergencyBundle {
    let order = order();
    let mut bundle = EmergencyBundle {
        plan: plan(&order),
        order,
        roster_version: 1,
        statements: Vec::new(),
    };
    sign(&mut bundle, signers);
    bundle
}

fn sign(bundle: &mut EmergencyBundle, signers: &[&str]) {
    let subject = subject(bundle);
    bundle.statements = signers
        .iter()
        .map(|name| state(name, 1, subject.clone()))
        .collect();
}

struct Host {
    name: &'static str,
    roster: VerifiedRoster,
    quorum: Vec<GroupQuorum>,
    trial: bool,
    plan: Digest,
    now: Timestamp,
}

impl Host {
    fn new() -> Self {
        Self {
            name: "web-1",
            roster: roster(),
            quorum: vec![GroupQuorum {
                group: group("dba"),
                quorum: 2,
            }],
            trial: false,
            plan: plan_digest(&plan(&order())),
            now: now(),
        }
    }

    fn asked(&self, bundle: &EmergencyBundle) -> Result<EmergencyPermit, EmergencyRefusal> {
        verify(
            bundle,
            &EmergencyView {
                host: &host(self.name),
                roster: &self.roster,
                quorum: &self.quorum,
                trial: self.trial,
                own_plan_digest: &self.plan,
                now: self.now,
            },
        )
    }
}

#[test]
fn the_pinned_quorum_breaks_the_glass_for_a_day() {
    let permit = Host::new().asked(&bundle(&["chen", "ana"])).unwrap();
    assert_eq!(permit.approvals().len(), 2);
    assert_eq!(*permit.order(), order().digest().unwrap());
    assert_eq!(*permit.nonce(), order().nonce);
    assert_eq!(*permit.plan(), Host::new().plan);
    assert_eq!(*permit.change(), order().change().unwrap());
    // The statements can be used for an hour.
    assert_eq!(permit.start_before(), now().plus_seconds(3600));
}

#[test]
fn one_person_is_one_person_however_often_they_sign() {
    for signers in [&["chen"][..], &["chen", "chen"], &[]] {
        refused!(
            Host::new().asked(&bundle(signers)),
            EmergencyRefusal::Quorum { needed: 2, found, .. } if found <= 1
        );
    }
}

#[test]
fn a_host_that_pins_nobody_or_nothing_obeys_nobody() {
    let mut none = Host::new();
    none.quorum.clear();
    refused!(
        none.asked(&bundle(&["chen", "ana"])),
        EmergencyRefusal::NotPinned
    );
    let mut zero = Host::new();
    zero.quorum[0].quorum = 0;
    refused!(
        zero.asked(&bundle(&["chen", "ana"])),
        EmergencyRefusal::PinQuorumZero(_)
    );
}

#[test]
fn every_pinned_group_has_to_reach_its_quorum() {
    let mut both = Host::new();
    both.quorum.push(GroupQuorum {
        group: group("owners"),
        quorum: 2,
    });
    refused!(
        both.asked(&bundle(&["chen", "ana"])),
        EmergencyRefusal::Quorum { found: 1, .. }
    );
    assert!(both.asked(&bundle(&["chen", "maria"])).is_ok());
}

#[test]
fn signatures_for_another_host_order_plan_or_purpose_do_not_count() {
    let good = bundle(&[]);
    let changed = |edit: fn(&mut Subject)| {
        let mut subject = subject(&good);
        edit(&mut subject);
        subject
    };
    let others = [
        changed(|subject| {
            if let Subject::Emergency { host: named, .. } = subject {
                *named = host("web-2");
            }
        }),
        changed(|subject| {
            if let Subject::Emergency { order, .. } = subject {
                *order = Digest::of(b"another");
            }
        }),
        changed(|subject| {
            if let Subject::Emergency { plan, .. } = subject {
                *plan = Digest::of(b"another");
            }
        }),
        Subject::Inventory {
            inventory: order().digest().unwrap(),
        },
    ];
    for other in others {
        let mut bundle = bundle(&["chen"]);
        bundle.statements.push(state("ana", 1, other));
        match Host::new().asked(&bundle) {
            Err(EmergencyRefusal::Quorum {
                found: 1,
                unusable: Some(why),
                ..
            }) => assert!(matches!(*why, UnusableStatement::OtherSubject(_)), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_is_signed_by_strangers_or_altered_does_not_count() {
    let mut altered = bundle(&["chen", "ana"]);
    altered.statements[1].statement = altered.statements[1].statement.replace("web-1", "web-2");
    refused!(
        Host::new().asked(&altered),
        EmergencyRefusal::Quorum { found: 1, .. }
    );
    // Mallory's own key under Ana's name.
    let mut forged = bundle(&["chen"]);
    let claim = statement("ana", 1, subject(&forged));
    assert!(!openssh(&ssh_key("mallory")).is_empty());
    forged
        .statements
        .push(sign_statement(&ssh_key("mallory"), &claim));
    refused!(
        Host::new().asked(&forged),
        EmergencyRefusal::Quorum { found: 1, .. }
    );
    assert_eq!(person("ana"), claim.approver);
}

#[test]
fn a_bad_statement_does_not_block_good_ones() {
    let mut noisy = bundle(&["chen", "ana"]);
    noisy.statements.insert(
        0,
        SignedStatement {
            statement: "{}".into(),
            signature: "nothing".into(),
        },
    );
    assert!(Host::new().asked(&noisy).is_ok());
    let many = vec!["chen"; EMERGENCY_STATEMENTS_MAX + 1];
    refused!(
        Host::new().asked(&bundle(&many)),
        EmergencyRefusal::TooMany(_)
    );
}

#[test]
fn another_order_host_deployment_or_plan_is_refused() {
    let good = bundle(&["chen", "ana"]);
    let mut elsewhere = Host::new();
    elsewhere.name = "web-2";
    refused!(elsewhere.asked(&good), EmergencyRefusal::Host { .. });
    let mut replanned = Host::new();
    replanned.plan = Digest::of(b"another");
    refused!(replanned.asked(&good), EmergencyRefusal::OtherPlan { .. });
    let mut foreign = bundle(&[]);
    foreign.order.deployment = countersign_domain::DeploymentId::new("example.org/other").unwrap();
    refused!(
        Host::new().asked(&foreign),
        EmergencyRefusal::Deployment { .. }
    );
    // A plan that does more than was ordered.
    let mut more = bundle(&[]);
    more.plan.steps[0].transition.new = Some("6.6".parse().unwrap());
    more.plan.steps[0].reverse.transition.old = Some("6.6".parse().unwrap());
    sign(&mut more, &["chen", "ana"]);
    let mut willing = Host::new();
    willing.plan = plan_digest(&more.plan);
    refused!(willing.asked(&more), EmergencyRefusal::Plan(_));
}

#[test]
fn signatures_and_plans_grow_old() {
    let good = bundle(&["chen", "ana"]);
    // The statement's own end: an hour.
    let mut late = Host::new();
    late.now = now().plus_seconds(3601);
    refused!(late.asked(&good), EmergencyRefusal::Quorum { found: 0, .. });
    // A statement that may be handed in for a week may still be acted on for a day only.
    let mut long = bundle(&[]);
    let subject = subject(&long);
    long.statements = ["chen", "ana"]
        .map(|name| {
            let mut statement = statement(name, 1, subject.clone());
            statement.not_after = now().plus_seconds(7 * 86_400);
            sign_statement(&ssh_key(name), &statement)
        })
        .to_vec();
    let permit = Host::new().asked(&long).unwrap();
    assert_eq!(permit.start_before(), now().plus_seconds(86_400 - 600));
    let mut next_day = Host::new();
    next_day.now = now().plus_seconds(86_400);
    match next_day.asked(&long) {
        Err(EmergencyRefusal::Quorum {
            unusable: Some(why),
            ..
        }) => assert!(matches!(*why, UnusableStatement::TooOld { .. }), "{why}"),
        other => panic!("{other:?}"),
    }
    let mut stale = bundle(&[]);
    stale.plan.expires_at = now();
    sign(&mut stale, &["chen", "ana"]);
    let mut holder = Host::new();
    holder.plan = plan_digest(&stale.plan);
    refused!(holder.asked(&stale), EmergencyRefusal::PlanExpired(_));
}

#[test]
fn a_trial_breaks_no_glass_outside_a_trial() {
    let mut trial = Host::new();
    trial.roster = roster_of(true);
    refused!(
        trial.asked(&bundle(&["chen", "ana"])),
        EmergencyRefusal::Trial
    );
    trial.trial = true;
    assert!(trial.asked(&bundle(&["chen", "ana"])).is_ok());
}
