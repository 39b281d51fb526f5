//! What a host tells of a broken glass: recorded whatever it was, an alarm, reviewed by somebody else.

use crate::fixture::*;
use countersign_domain::emergency::EmergencyBundle;
use countersign_domain::plan::RollbackSource;
use countersign_domain::receipt::Ending;
use countersign_domain::statement::{Subject, Verdict};
use countersign_domain::{
    ChangeId, EmergencyOrder, PreparedPlan, Receipt, SignedStatement, canonical, jws,
};
use countersign_gate::GateError;
use countersign_gate::state::EmergencyRecord;
use countersign_store::Log;
use pollster::block_on;

/// An order of `web-1` with its plan, signed by these.
pub fn bundle(world: &World, signers: &[&str]) -> EmergencyBundle {
    let proposal = world.proposal("openssl", &[&["web-1"]]);
    let order = EmergencyOrder {
        v: 1,
        deployment: world.deployment(),
        host: host("web-1"),
        nonce: world.nonce(),
        ordered_at: world.now,
        packages: proposal.packages.clone(),
    };
    let plan = PreparedPlan {
        proposal: order.digest().unwrap(),
        ..world.plan_of("web-1", &proposal, RollbackSource::Mirror)
    };
    let subject = Subject::Emergency {
        host: host("web-1"),
        order: order.digest().unwrap(),
        plan: canonical::digest(&plan).unwrap(),
        reason: None,
    };
    EmergencyBundle {
        statements: signers
            .iter()
            .map(|name| world.sign(name, subject.clone()))
            .collect(),
        order,
        plan,
        roster_version: 1,
    }
}

fn receipt(world: &World, bundle: &EmergencyBundle, ending: Ending) -> Receipt {
    let change = bundle.order.change().unwrap();
    Receipt {
        warrant: bundle.order.digest().unwrap(),
        ..world.receipt(&change, "web-1", "", ending)
    }
}

fn tell(
    world: &World,
    name: &str,
    bundle: &EmergencyBundle,
    receipt: &Receipt,
) -> Result<(), GateError> {
    let signed = sign_jws(name, jws::RECEIPT_TYP, receipt);
    block_on(
        world
            .gate
            .emergency(&host(name), bundle.clone(), signed, world.now),
    )
}

pub fn told(world: &World, signers: &[&str]) -> EmergencyRecord {
    let bundle = bundle(world, signers);
    let receipt = receipt(world, &bundle, Ending::Succeeded);
    tell(world, "web-1", &bundle, &receipt).unwrap();
    world.gate.emergencies(false).unwrap().remove(0)
}

pub fn review_of(world: &World, name: &str, record: &EmergencyRecord) -> SignedStatement {
    world.sign(
        name,
        Subject::EmergencyReview {
            emergency: record.change.clone(),
            entry: record.entry,
            verdict: Verdict::Accept,
            note: None,
        },
    )
}

fn review(world: &World, name: &str, record: &EmergencyRecord) -> Result<(), GateError> {
    let signed = review_of(world, name, record);
    block_on(
        world
            .gate
            .review_emergency(&record.change, signed, None, world.now),
    )
}

fn size(world: &World) -> u64 {
    world.gate.store().checkpoint(Log::Authorizations).0
}

#[test]
fn an_emergency_is_an_alarm_and_waits_for_somebody_else() {
    let world = World::new(&["web-1", "web-2"]);
    let bundle = bundle(&world, &["maria", "ana"]);
    let receipt = receipt(&world, &bundle, Ending::Succeeded);
    tell(&world, "web-1", &bundle, &receipt).unwrap();
    let record = world.gate.emergencies(false).unwrap().remove(0);
    assert_eq!(record.people, [person("ana"), person("maria")].into());
    assert_eq!(record.ending, Ending::Succeeded);
    assert!(record.due_at > world.now && record.due_at <= world.now.plus_seconds(86_400));
    let alarm = world.gate.alarms(1).unwrap().remove(0);
    assert_eq!(alarm.kind, "emergency");
    assert!(alarm.text.contains("ana, maria"), "{}", alarm.text);
    // The same again changes nothing; something else for the same order does not replace it.
    let before = size(&world);
    tell(&world, "web-1", &bundle, &receipt).unwrap();
    assert_eq!(size(&world), before);
    let other = Receipt {
        ending: Ending::Failed,
        ..receipt
    };
    assert!(matches!(
        tell(&world, "web-1", &bundle, &other),
        Err(GateError::Conflict(_))
    ));
    assert_eq!(world.gate.alarms(1).unwrap()[0].kind, "second-receipt");

    // Maria may review, and broke this glass herself; omar may not review at all.
    for name in ["maria", "omar"] {
        let refused = review(&world, name, &record);
        assert!(matches!(refused, Err(GateError::Forbidden(_))), "{name}");
    }
    let mut wrong = record.clone();
    wrong.entry = record.order;
    assert!(matches!(
        review(&world, "chen", &wrong),
        Err(GateError::Conflict(_))
    ));
    review(&world, "chen", &record).unwrap();
    assert!(matches!(
        review(&world, "chen", &record),
        Err(GateError::Conflict(_))
    ));
    assert!(world.gate.emergencies(false).unwrap().is_empty());
    let (verdict, who, ..) = world.gate.emergencies(true).unwrap()[0]
        .reviewed
        .clone()
        .unwrap();
    assert_eq!((verdict, who), (Verdict::Accept, person("chen")));
}

#[test]
fn what_is_not_that_hosts_or_does_not_fit_is_refused_and_leaves_no_trace() {
    let world = World::new(&["web-1", "web-2"]);
    let good = bundle(&world, &["maria"]);
    let settled = receipt(&world, &good, Ending::Succeeded);
    let before = size(&world);
    let refuse = |attack: &str, name: &str, bundle: &EmergencyBundle, receipt: &Receipt| {
        assert!(tell(&world, name, bundle, receipt).is_err(), "{attack}");
        assert_eq!(size(&world), before, "{attack}");
    };
    let theirs = Receipt {
        host: host("web-2"),
        ..settled.clone()
    };
    refuse("another host tells it", "web-2", &good, &theirs);
    let forged = Receipt {
        host: host("web-2"),
        ..settled.clone()
    };
    refuse("another host's receipt", "web-1", &good, &forged);
    let other = Receipt {
        warrant: canonical::digest(&settled).unwrap(),
        ..settled.clone()
    };
    refuse("a receipt for something else", "web-1", &good, &other);
    let other = Receipt {
        change: ChangeId::from_proposal(&settled.warrant).clone(),
        warrant: canonical::digest(&settled).unwrap(),
        ..settled.clone()
    };
    refuse("a receipt of another change", "web-1", &good, &other);
    let mut unfit = good.clone();
    unfit.plan.steps[0].transition.new = Some("6.6".parse().unwrap());
    refuse("a plan that does not answer", "web-1", &unfit, &settled);
    let mut unfit = good.clone();
    unfit.statements = vec![good.statements[0].clone(); 17];
    refuse("more statements than are read", "web-1", &unfit, &settled);
}

#[test]
fn signatures_that_do_not_count_are_not_put_in_anybodys_name() {
    let world = World::new(&["web-1"]);
    let mut bundle = bundle(&world, &["maria", "chen"]);
    let other = bundle.statements[0].signature.clone();
    bundle.statements[1].signature = other;
    let receipt = receipt(&world, &bundle, Ending::RolledBack);
    tell(&world, "web-1", &bundle, &receipt).unwrap();
    let record = world.gate.emergencies(false).unwrap().remove(0);
    assert_eq!(record.people, [person("maria")].into());
    // Nobody at all is recorded as that: it has happened.
    let nobody = told(&world, &[]);
    assert!(nobody.people.is_empty());
    let alarm = world.gate.alarms(1).unwrap().remove(0);
    assert!(alarm.text.contains("nobody whose signature counts"));
}

#[test]
fn a_review_of_an_emergency_that_nobody_makes_climbs() {
    let mut world = World::new(&["web-1"]);
    told(&world, &["maria", "ana"]);
    assert_eq!(block_on(world.gate.sweep(world.now)).unwrap().reviews, 0);
    for rung in 1..=2 {
        let record = world.gate.emergencies(false).unwrap().remove(0);
        world.now = record.due_at;
        assert_eq!(block_on(world.gate.sweep(world.now)).unwrap().reviews, 1);
        assert_eq!(world.gate.emergencies(false).unwrap()[0].rung, rung);
        assert_eq!(world.gate.alarms(1).unwrap()[0].kind, "review-overdue");
    }
}
