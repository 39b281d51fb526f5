//! What comes between the snapshot that facts were gathered on and the transaction that decides: the
//! writer is held while one request after the other is prepared.

use crate::fixture::*;
use countersign_domain::plan::RollbackSource;
use countersign_domain::receipt::Ending;
use countersign_domain::statement::{HaltScope, Subject};
use countersign_domain::{ChangeState, RequestId, jws};
use countersign_gate::{GateError, Redemption, Submission, Withheld};
use countersign_ledger::WitnessKey;
use countersign_store::{CosignError, CosignRequest, Cosigner, Log, StoreError};
use pollster::block_on;
use std::pin::pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

/// Holds the writer until this is dropped: what is submitted meanwhile waits in order.
fn hold(world: &World) -> Sender<()> {
    let (holding, held) = channel();
    let (reached, begun) = channel();
    // Nobody waits for its answer.
    drop(world.gate.store().submit::<(), StoreError>(move |_| {
        reached.send(()).unwrap();
        let _ = held.recv();
        Ok(())
    }));
    begun.recv().unwrap();
    holding
}

#[test]
fn a_rollback_that_is_settled_in_between_counts() {
    let world = World::new(&["web-1", "web-2"]);
    let first = world.prepared("openssl", &[&["web-1"]]);
    let second = world.prepared("openssl", &[&["web-2"]]);
    let handover = world.redeem(&first.id, "web-1").unwrap();
    let receipt = world.receipt(&first.id, "web-1", &handover.warrant, Ending::RolledBack);
    let receipt = sign_jws("web-1", jws::RECEIPT_TYP, &receipt);
    let redemption = Redemption {
        change: second.id.clone(),
        host: host("web-2"),
        nonce: world.nonce(),
        checkpoint_size: 0,
        roster_version: 0,
        jti: world.nonce(),
    };

    let writer = hold(&world);
    let web_1 = host("web-1");
    let mut settled = pin!(world.gate.settle(&web_1, &first.id, receipt, world.now));
    let mut redeemed = pin!(world.gate.redeem(redemption, world.now));
    let mut context = Context::from_waker(Waker::noop());
    assert!(settled.as_mut().poll(&mut context).is_pending());
    assert!(redeemed.as_mut().poll(&mut context).is_pending());
    drop(writer);

    block_on(settled).unwrap();
    let refused = block_on(redeemed).unwrap_err();
    assert!(
        matches!(refused, GateError::Withheld(Withheld::DecidedAgain(_))),
        "{refused}"
    );
}

#[test]
fn an_observation_that_arrives_in_between_is_what_is_decided_on() {
    let mut world = World::new(&["web-1"]);
    world.now = world.now.plus_seconds(30);
    let decided = |world: &World, cves_are_gone: bool| {
        let proposal = world.proposal("openssl", &[&["web-1"]]);
        let submission = Submission {
            request: RequestId::new(world.nonce().as_str()).unwrap(),
            proposal: sign_jws(AGENT, jws::PROPOSAL_TYP, &proposal),
            rationale: None,
            plans: vec![world.plan("web-1", &proposal, RollbackSource::Cached)],
        };
        let mut observation = world.observation("web-1", RollbackSource::Cached);
        if cves_are_gone {
            observation.pending.clear();
        }
        let observation = sign_jws("web-1", jws::OBSERVATION_TYP, &observation);

        let writer = hold(world);
        let (agent, web_1) = (agent(), host("web-1"));
        let mut observed = pin!(world.gate.observed(&web_1, observation, world.now));
        let mut proposed = pin!(world.gate.propose(&agent, submission, world.now));
        let mut context = Context::from_waker(Waker::noop());
        assert!(observed.as_mut().poll(&mut context).is_pending());
        assert!(proposed.as_mut().poll(&mut context).is_pending());
        drop(writer);
        block_on(observed).unwrap();
        block_on(proposed).unwrap().state
    };
    assert_eq!(decided(&world, false), ChangeState::Authorized);
    world.now = world.now.plus_seconds(30);
    assert_ne!(decided(&world, true), ChangeState::Authorized);
}

/// A witness that does not answer before it is told to.
struct Hesitant(Mutex<Receiver<()>>);

impl Cosigner for Hesitant {
    fn witnesses(&self) -> &[WitnessKey] {
        &[]
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn cosign(&self, _: &CosignRequest<'_>) -> Result<String, CosignError> {
        let _ = self.0.lock().unwrap().recv();
        Err(CosignError("it only hesitates".into()))
    }
}

/// Entries that are committed, published or not.
fn size(world: &World) -> u64 {
    let head = |view: &dyn countersign_store::Read| view.head(Log::Authorizations);
    world.gate.store().read(head).unwrap().size
}

#[test]
fn a_halt_that_no_witness_has_seen_yet_holds_all_the_same() {
    let mut world = World::new(&["web-1", "web-2"]);
    let (answer, hesitation) = channel();
    world.reopen(Some(Arc::new(Hesitant(Mutex::new(hesitation)))));
    // The first signature of a head is cosigned, too.
    answer.send(()).unwrap();
    let before = world.gate.world().unwrap().halts.epoch;
    let committed = size(&world);
    let subject = Subject::Halt {
        halt: HaltScope::Everything,
    };
    let signed = world.sign("omar", subject);
    let mut halted = pin!(world.gate.halt(signed, world.now));
    let mut context = Context::from_waker(Waker::noop());
    assert!(halted.as_mut().poll(&mut context).is_pending());
    while size(&world) == committed {
        std::thread::sleep(Duration::from_millis(1));
    }

    // Committed, not published: it holds for whoever asks.
    assert_eq!(world.gate.world().unwrap().halts.epoch, before + 1);
    // A request meanwhile is prepared on it, and does not end in a conflict.
    let proposal = world.proposal("openssl", &[&["web-1"]]);
    let submission = Submission {
        request: RequestId::new("while-halted").unwrap(),
        proposal: sign_jws(AGENT, jws::PROPOSAL_TYP, &proposal),
        rationale: None,
        plans: Vec::new(),
    };
    let agent = agent();
    let mut proposed = pin!(world.gate.propose(&agent, submission, world.now));
    assert!(proposed.as_mut().poll(&mut context).is_pending());
    drop(answer);
    assert_eq!(block_on(proposed).unwrap().state, ChangeState::Preparing);
    assert_eq!(block_on(halted).unwrap(), before + 1);
}

#[test]
fn a_redemption_that_is_asked_for_again_waits_for_the_same_warrant() {
    let mut world = World::new(&["web-1"]);
    let change = world.prepared("openssl", &[&["web-1"]]);
    let (answer, hesitation) = channel();
    world.reopen(Some(Arc::new(Hesitant(Mutex::new(hesitation)))));
    answer.send(()).unwrap();
    let redemption = || Redemption {
        change: change.id.clone(),
        host: host("web-1"),
        nonce: world.nonce(),
        checkpoint_size: 0,
        roster_version: 0,
        jti: world.nonce(),
    };
    let committed = size(&world);
    let mut first = pin!(world.gate.redeem(redemption(), world.now));
    let mut context = Context::from_waker(Waker::noop());
    assert!(first.as_mut().poll(&mut context).is_pending());
    while size(&world) == committed {
        std::thread::sleep(Duration::from_millis(1));
    }
    // The warrant is in the log, and nobody has been handed it.
    let mut second = pin!(world.gate.redeem(redemption(), world.now));
    for _ in 0..20 {
        assert!(second.as_mut().poll(&mut context).is_pending());
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(answer);
    let warrants = [block_on(first), block_on(second)].map(|handover| handover.unwrap().warrant);
    assert_eq!(warrants[0], warrants[1]);
}
