//! Attacks on a warrant that the real server handed over, as the host verifies it: other hosts, other
//! times, other arguments, other signatures, and a captured warrant key.

use crate::app::base64url;
use crate::house::{House, Stopped, TestHost, deployment, vote_subject};
use countersign::ambient;
use countersign_domain::jws::{self, PROPOSAL_TYP, take_apart};
use countersign_domain::lease::Handover;
use countersign_domain::statement::Vote;
use countersign_domain::warrant::{Ground, WARRANT_TYP};
use countersign_domain::{
    AgentId, ChangeId, ChangeState, Digest, Environment, Nonce, Timestamp, Warrant, canonical,
};
use countersign_store::{Log, StoreError};
use countersign_verify::{Permit, Refusal};
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::json;
use std::time::{Duration, Instant};

/// A warrant for the first host, fresh from the server.
struct Fresh {
    house: House,
    handover: Handover,
    nonce: Nonce,
    plan: Digest,
    change: ChangeId,
    now: Timestamp,
}

fn fresh() -> Fresh {
    let house = House::start(&["web-1", "web-2"], Environment::Staging, 3);
    let change = house.prepared(&house.proposal("openssl", &[vec!["web-1", "web-2"]]));
    assert_eq!(change.state, ChangeState::Authorized);
    let (handover, nonce) = house.hosts[0].ask(&change.id).unwrap();
    let plan = house.hosts[0].plan_in(&handover);
    Fresh {
        handover,
        nonce,
        plan,
        change: change.id,
        now: ambient::now(),
        house,
    }
}

impl Fresh {
    fn host(&self) -> &TestHost {
        &self.house.hosts[0]
    }

    fn judged(&self, handover: &Handover) -> Result<Permit, Refusal> {
        self.host()
            .judge(handover, &self.nonce, &self.plan, self.now)
    }

    fn tampered(&self, edit: impl FnOnce(&mut Handover)) -> Refusal {
        let mut handover = self.handover.clone();
        edit(&mut handover);
        self.judged(&handover).unwrap_err()
    }

    fn at(&self, seconds: i64) -> Result<Permit, Refusal> {
        let now = self.now.plus_seconds(seconds);
        self.host()
            .judge(&self.handover, &self.nonce, &self.plan, now)
    }
}

#[test]
fn a_warrant_replayed_at_another_host_is_refused() {
    let fresh = fresh();
    fresh.judged(&fresh.handover).unwrap();
    let other = &fresh.house.hosts[1];
    let plan = other.plan_in(&fresh.handover);
    let refused = other.judge(&fresh.handover, &fresh.nonce, &plan, fresh.now);
    assert!(matches!(refused, Err(Refusal::Warrant(_))), "{refused:?}");
    // Nor with a lease of its own: the warrant names one host.
    let (own, nonce) = other.ask(&fresh.change).unwrap();
    let mixed = Handover {
        warrant: fresh.handover.warrant.clone(),
        proof: fresh.handover.proof.clone(),
        ..own
    };
    let refused = other.judge(&mixed, &nonce, &plan, fresh.now);
    assert!(matches!(refused, Err(Refusal::Warrant(_))), "{refused:?}");
}

#[test]
fn a_warrant_replayed_later_or_used_early_is_refused() {
    let fresh = fresh();
    fresh.at(0).unwrap();
    assert!(matches!(fresh.at(90), Err(Refusal::LeaseHeldBack { .. })));
    assert!(matches!(fresh.at(20 * 60), Err(Refusal::Warrant(_))));
    assert!(matches!(fresh.at(-10 * 60), Err(Refusal::Warrant(_))));
    // A fresh lease for the same warrant answers another nonce, and does not lengthen its life.
    let (again, nonce) = fresh.host().ask(&fresh.change).unwrap();
    assert_eq!(again.warrant, fresh.handover.warrant, "one warrant a host");
    let stale = fresh
        .host()
        .judge(&again, &fresh.nonce, &fresh.plan, fresh.now);
    assert!(
        matches!(stale, Err(Refusal::LeaseMismatch("nonce"))),
        "{stale:?}"
    );
    let late = fresh.now.plus_seconds(20 * 60);
    assert!(
        fresh
            .host()
            .judge(&again, &nonce, &fresh.plan, late)
            .is_err()
    );
}

#[test]
fn a_settled_warrant_is_not_handed_out_again() {
    let mut fresh = fresh();
    let held = fresh.house.hosts[0].redeem(&fresh.change).unwrap();
    let ending = countersign_domain::receipt::Ending::Succeeded;
    fresh.house.hosts[0].settle(&held, ending).unwrap();
    let again = fresh.house.hosts[0].ask(&fresh.change);
    let Err(Stopped::Gate(word)) = again else {
        panic!("handed over twice")
    };
    assert_eq!(word, "settled");
    assert_eq!(fresh.house.findings(), Vec::<String>::new());
}

#[test]
fn arguments_swapped_after_approval_are_refused() {
    let house = House::start(&["web-1", "web-2"], Environment::Production, 0);
    let mut proposal = house.proposal("openssl", &[vec!["web-1"]]);
    let change = house.prepared(&proposal);
    let statement = house.state("chen", vote_subject(&change, Vote::Approve));
    for name in ["maria", "chen"] {
        house.vote(name, &change, Vote::Approve);
    }
    assert_eq!(house.change(&change.id).state, ChangeState::Authorized);
    // The signature for this change does not carry over to another.
    let other = house.prepared(&house.proposal("curl", &[vec!["web-2"]]));
    let path = format!("changes/{}/votes", other.id);
    let (status, answer) = house.post(&path, None, &json!({"statement": statement}));
    assert!((400..500).contains(&status), "{status} {answer}");
    // Nor does the host take the gate's warrant with another proposal of the same agent, another
    // plan, or a plan more.
    let (handover, nonce) = house.hosts[0].ask(&change.id).unwrap();
    let plan = house.hosts[0].plan_in(&handover);
    let now = ambient::now();
    let judge = |handover: &Handover, plan: &Digest| {
        house.hosts[0]
            .judge(handover, &nonce, plan, now)
            .unwrap_err()
    };
    proposal["packages"][0]["name"] = json!("curl");
    let mut swapped = handover.clone();
    swapped.proposal = crate::app::signed(PROPOSAL_TYP, "patcher", &house.agent, &proposal);
    assert!(matches!(
        judge(&swapped, &plan),
        Refusal::OtherChange { .. }
    ));
    let elsewhere = Digest::of(b"another plan");
    assert!(matches!(
        judge(&handover, &elsewhere),
        Refusal::OtherPlan { .. }
    ));
    let mut swapped = handover.clone();
    swapped.plans[0].plan = elsewhere;
    assert!(matches!(
        judge(&swapped, &elsewhere),
        Refusal::OtherPlan { .. }
    ));
    let mut longer = handover.clone();
    longer.plans.push(longer.plans[0].clone());
    assert!(matches!(judge(&longer, &plan), Refusal::PlanList(_)));
    house.hosts[0].judge(&handover, &nonce, &plan, now).unwrap();
}

#[test]
fn a_forged_warrant_of_any_algorithm_is_refused() {
    let fresh = fresh();
    let parts = take_apart(&fresh.handover.warrant).unwrap();
    let stranger = SigningKey::from_bytes(&ambient::random());
    let agent = &fresh.house.agent;
    for (key, typ, kid) in [
        (&stranger, WARRANT_TYP, "gate"),
        (agent, WARRANT_TYP, "gate"),
        (agent, WARRANT_TYP, "patcher"),
        (&stranger, jws::LEASE_TYP, "gate"),
    ] {
        let input = jws::signing_input(typ, kid, &parts.payload);
        let forged = jws::assemble(&input, &key.sign(input.as_bytes()).to_bytes());
        let refused = fresh.tampered(|handover| handover.warrant = forged);
        assert!(matches!(refused, Refusal::Warrant(_)), "{refused}");
    }
    // The lease is the gate's own signature, and still no warrant.
    let refused = fresh.tampered(|handover| handover.warrant = handover.lease.clone());
    assert!(matches!(refused, Refusal::Warrant(_)), "{refused}");
    let (payload, signature) = {
        let mut parts = fresh.handover.warrant.split('.').skip(1);
        (parts.next().unwrap(), parts.next().unwrap())
    };
    for alg in ["none", "HS256", "ES256", "RS256", "Ed25519"] {
        let header = json!({"alg": alg, "kid": "gate", "typ": WARRANT_TYP}).to_string();
        let header = base64url(header.as_bytes());
        for signature in [signature, ""] {
            let forged = format!("{header}.{payload}.{signature}");
            let refused = fresh.tampered(|handover| handover.warrant = forged);
            assert!(matches!(refused, Refusal::Warrant(_)), "{alg}: {refused}");
        }
    }
}

#[test]
fn every_byte_of_a_handover_counts() {
    let fresh = fresh();
    // Flip one character in each signed part, at places spread over it.
    let flip = |text: &mut String, at: usize| {
        let mut bytes = std::mem::take(text).into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        *text = String::from_utf8(bytes).unwrap();
    };
    for (what, length) in [
        ("warrant", fresh.handover.warrant.len()),
        ("lease", fresh.handover.lease.len()),
        ("proposal", fresh.handover.proposal.len()),
    ] {
        for at in (0..length).step_by(length / 40) {
            let _: Refusal = fresh.tampered(|handover| {
                let text = match what {
                    "warrant" => &mut handover.warrant,
                    "lease" => &mut handover.lease,
                    _ => &mut handover.proposal,
                };
                flip(text, at);
            });
        }
    }
}

/// The key that signs warrants, as somebody with the data directory has it.
fn captured(house: &House) -> SigningKey {
    let path = house.dir().join("keys/warrant.seed");
    let mut seed = [0; 32];
    hex::decode_to_slice(std::fs::read_to_string(path).unwrap().trim(), &mut seed).unwrap();
    SigningKey::from_bytes(&seed)
}

fn warrant_of(handover: &Handover) -> Warrant {
    let parts = take_apart(&handover.warrant).unwrap();
    canonical::from_bytes(&parts.payload).unwrap()
}

fn sign(key: &SigningKey, warrant: &Warrant) -> String {
    let payload = canonical::to_bytes(warrant).unwrap();
    let input = jws::signing_input(WARRANT_TYP, "gate", &payload);
    jws::assemble(&input, &key.sign(input.as_bytes()).to_bytes())
}

#[test]
fn a_captured_warrant_key_alone_makes_no_warrant() {
    let fresh = fresh();
    let key = captured(&fresh.house);
    let mut warrant = warrant_of(&fresh.handover);
    // Sanity: the key is the right one, and the bytes that are in the log pass.
    assert_eq!(sign(&key, &warrant), fresh.handover.warrant);
    warrant.jti = ambient::nonce();
    let refused = fresh.tampered(|handover| handover.warrant = sign(&key, &warrant));
    assert!(matches!(refused, Refusal::NotLogged(_)), "{refused}");
}

#[test]
fn a_captured_warrant_key_with_the_log_is_found_by_log_verify_and_refused_where_humans_are_pinned()
{
    let mut house = House::start(&["web-1"], Environment::Production, 0);
    assert_eq!(house.findings(), Vec::<String>::new());
    let proposal = house.proposal("openssl", &[vec!["web-1"]]);
    let change = house.prepared(&proposal);
    assert_eq!(
        change.state,
        ChangeState::AwaitingApproval,
        "nobody approved"
    );
    // Whoever holds the server writes a warrant that claims chen's approval straight into the log.
    let template = {
        let other = House::start(&["web-1"], Environment::Staging, 3);
        let allowed = other.prepared(&other.proposal("openssl", &[vec!["web-1"]]));
        let (handover, _) = other.hosts[0].ask(&allowed.id).unwrap();
        warrant_of(&handover)
    };
    let basis = house.gate().world().unwrap();
    let operator = house.operator_token();
    let path = format!("{}/api/v1/changes/{}/basis", house.running.url(), change.id);
    let (_, shown) = crate::app::request("GET", &path, Some(&operator), None);
    let shown: countersign::api::wire::Basis = serde_json::from_value(shown).unwrap();
    let plans = shown.bound;
    let plan = plans[0].plan;
    let digest = change.digest.unwrap();
    let head = house
        .gate()
        .store()
        .read(|view| view.head(Log::Authorizations))
        .unwrap();
    let now = ambient::now().unix_seconds();
    let mut warrant = Warrant {
        sub: AgentId::new("patcher").unwrap(),
        iat: now,
        nbf: now,
        exp: now + 600,
        jti: ambient::nonce(),
        txn: change.id.clone(),
        ..template
    };
    let details = &mut warrant.authorization_details[0];
    details.change_digest = digest;
    details.plan_digest = plan;
    warrant.basis.policy = change.policy.unwrap();
    warrant.basis.decision = Ground::Approved;
    warrant.basis.approvers = vec![countersign_domain::warrant::Signer {
        person: crate::app::person("chen"),
        at: ambient::now(),
    }];
    warrant.basis.roster_version = basis.roster.version;
    warrant.basis.authorization.index = head.size - 1;
    warrant.basis.authorization.size = head.size;
    warrant.basis.authorization.root = Digest::from_bytes(*head.root.as_bytes());
    let forged = sign(&captured(&house), &warrant);
    let entry = forged.clone().into_bytes();
    let appended = house
        .gate()
        .store()
        .submit(move |tx| Ok::<_, StoreError>(tx.append(Log::Authorizations, &entry)?.index));
    let index = pollster::block_on(appended).unwrap();

    // A host with pinned humans asks for the signatures themselves.
    let nonce = ambient::nonce();
    let handover = Handover {
        warrant: forged,
        proof: house
            .gate()
            .store()
            .proof(Log::Authorizations, index)
            .unwrap()
            .to_string(),
        lease: lease(&house, &nonce),
        consistency: Vec::new(),
        roster: Vec::new(),
        statements: Vec::new(),
        proposal: shown.proposal,
        plans,
    };
    let now = ambient::now();
    let host = &mut house.hosts[0];
    host.judge(&handover, &nonce, &plan, now)
        .expect("without pinned humans the server is trusted: the attack is real");
    host.pin_humans(1);
    let refused = host.judge(&handover, &nonce, &plan, now);
    assert!(
        matches!(refused, Err(Refusal::HumanQuorum { .. })),
        "{refused:?}"
    );

    // And whoever reads the log sees it.
    let found = read_with(&house, index);
    assert!(
        found.iter().any(|one| one.contains(&index.to_string())),
        "{found:?}"
    );
}

/// The findings of an auditor once the published checkpoint covers an entry.
fn read_with(house: &House, index: u64) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let report = crate::program::countersign(&house.dir(), &["log", "verify", "--json"]).json();
        if report["authorizations"]["size"].as_u64().unwrap() > index {
            return house.findings();
        }
        assert!(Instant::now() < deadline, "never published: {report}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn lease(house: &House, nonce: &Nonce) -> String {
    let lease = countersign_domain::lease::Lease {
        v: 1,
        deployment: deployment(),
        host: house.hosts[0].key.host().clone(),
        nonce: nonce.clone(),
        at: ambient::now(),
        halt_epoch: 0,
        halted: false,
    };
    let payload = canonical::to_bytes(&lease).unwrap();
    let input = jws::signing_input(jws::LEASE_TYP, "gate", &payload);
    jws::assemble(&input, &captured(house).sign(input.as_bytes()).to_bytes())
}
