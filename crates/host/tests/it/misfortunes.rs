//! What goes wrong around a host: a gate that refuses, a journal that is gone, half a way back.

use crate::gate::{key, sign};
use crate::loop_end_to_end::{Deployment, crash, deployment, world};
use crate::sandboxed::proposal;
use countersign_domain::entry::change_digest;
use countersign_domain::jws::PROPOSAL_TYP;
use countersign_domain::lease::HostPlan;
use countersign_domain::receipt::Ending;
use countersign_domain::{ChangeId, Digest, canonical};
use countersign_host::journal;
use countersign_host::progress::Progress;
use countersign_host::work::{Host, World};
use rand::SeedableRng as _;
use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};

fn refuse(here: &Deployment, what: &str, status: u16, word: &'static str) {
    here.gate
        .state()
        .refuse
        .insert(what.to_owned(), (status, word));
}

fn relent(here: &Deployment) {
    here.gate.state().refuse.clear();
}

fn lose_journal(here: &Deployment) {
    let path = journal::path(&here.place.config.state_dir);
    std::fs::rename(&path, path.with_extension("aside")).unwrap();
}

#[test]
fn what_is_refused_for_now_runs_later_in_the_same_run() {
    let here = deployment(|_| {});
    let change = here.authorized("cs-web", "1.1");
    let mut rng = rand::rngs::StdRng::seed_from_u64(1);
    let mut host = Host::open(here.place.config.clone(), world()).unwrap();
    for (status, word) in [
        (409, "not-your-turn"),
        (409, "halted"),
        (409, "decided-again"),
        (429, "overloaded"),
        (401, "unauthenticated"),
    ] {
        refuse(&here, "redemptions", status, word);
        let summary = host.run_once(world(), &mut rng).unwrap();
        assert_eq!((summary.executed, summary.refused), (0, 0), "{word}");
        assert!(here.gate.change(&change).receipts.is_empty(), "{word}");
    }
    relent(&here);
    assert_eq!(host.run_once(world(), &mut rng).unwrap().executed, 1);
    assert_eq!(here.receipt(&change).ending, Ending::Succeeded);
}

#[test]
fn a_warrant_that_is_out_is_not_settled_while_the_gate_only_waits() {
    let here = deployment(|_| {});
    let change = here.authorized("cs-web", "1.1");
    here.gate.state().lose_handover = true;
    assert!(here.try_run().is_err());
    refuse(&here, "redemptions", 409, "halted");
    assert_eq!(here.run().refused, 0);
    assert!(here.gate.change(&change).receipts.is_empty());
    // Gone for good: then it is.
    refuse(&here, "redemptions", 409, "settled");
    assert_eq!(here.run().refused, 1);
    assert_eq!(here.receipt(&change).ending, Ending::NeverStarted);
}

#[test]
fn a_lost_journal_makes_what_was_done_unknown() {
    let here = deployment(|_| {});
    let change = here.authorized("cs-web", "1.1");
    here.gate.state().receipts_fail = true;
    assert!(here.try_run().is_err());
    assert_eq!(here.place.version("cs-web").as_deref(), Some("1.1"));
    lose_journal(&here);
    here.gate.state().receipts_fail = false;
    assert_eq!(here.run().executed, 0);
    let receipt = here.receipt(&change);
    assert_eq!(receipt.ending, Ending::Unknown);
    assert!(
        receipt.notes[0].contains("begun anew"),
        "{:?}",
        receipt.notes
    );
    // Handed over once more, with the journal lost once more, it is still not acted on.
    lose_journal(&here);
    here.gate.authorize(&change);
    assert_eq!(here.run().executed, 0);
    let log = std::fs::read_to_string(here.place.sandbox.root().join("var/log/dpkg.log")).unwrap();
    assert_eq!(log.matches("upgrade cs-web:all 1.0 1.1").count(), 1);
    // What is authorized after that is as good as ever.
    let next = here.authorized("cs-db", "1.1");
    assert_eq!(here.run().executed, 1);
    assert_eq!(here.receipt(&next).ending, Ending::Succeeded);
}

#[test]
fn a_lost_journal_makes_a_warrant_that_is_out_unknown_and_never_executed() {
    let here = deployment(|_| {});
    here.authorized("cs-web", "1.1");
    assert_eq!(here.run().executed, 1);
    let change = here.authorized("cs-db", "1.1");
    here.gate.state().lose_handover = true;
    assert!(here.try_run().is_err());
    lose_journal(&here);
    assert_eq!(here.run().executed, 0);
    assert_eq!(here.receipt(&change).ending, Ending::Unknown);
    assert_eq!(here.place.version("cs-db").as_deref(), Some("1.0"));
}

#[test]
fn a_document_that_the_gate_refuses_does_not_stop_the_host() {
    let here = deployment(|_| {});
    refuse(&here, "observations", 422, "invalid");
    refuse(&here, "plans", 422, "invalid");
    let change = here
        .gate
        .propose(proposal(&here.place.config, &[("cs-web", "1.1")]));
    let summary = here.run();
    assert_eq!((summary.observed, summary.unprepared), (0, 1));
    let why = here.gate.change(&change).unprepared.unwrap();
    assert!(why.contains("was not taken"), "{why}");
    // Not even that is taken: the run comes to an end all the same.
    refuse(&here, "unprepared", 409, "state");
    here.gate
        .propose(proposal(&here.place.config, &[("cs-db", "1.1")]));
    assert_eq!(here.run().unprepared, 1);
    relent(&here);
    assert_eq!(here.run().prepared, 1);
}

#[test]
fn a_receipt_that_is_refused_for_good_does_not_jam_the_host() {
    let here = deployment(|_| {});
    let change = here.authorized("cs-web", "1.1");
    refuse(&here, "receipts", 429, "overloaded");
    assert_eq!(here.run().executed, 1);
    refuse(&here, "receipts", 409, "conflict");
    here.run();
    let state = journal::read(&here.place.config.state_dir).unwrap();
    assert_eq!(state.undelivered().count(), 0);
    let settlement = state.executions().next().unwrap().settlement.clone();
    assert!(settlement.unwrap().refused.unwrap().contains("conflict"));
    let next: ChangeId = here.authorized("cs-db", "1.1");
    assert_eq!(here.run().executed, 1);
    // As long as the gate asks, it is answered: the first of both arrives in the end.
    relent(&here);
    here.run();
    for change in [&change, &next] {
        assert_eq!(here.receipt(change).ending, Ending::Succeeded);
    }
}

/// Only a part of the way back is there, and apt would remove a package to go it.
#[test]
fn half_a_way_back_is_not_gone() {
    let here = deployment(|place| {
        for check in place.config.checks.values_mut() {
            check.command = Some(vec!["/bin/false".into()]);
        }
        // No archive offers the old `cs-legacy` any more; `cs-old`, which conflicts with the new
        // one, is still there.
        let lists = place.sandbox.root().join("var/lib/apt/lists");
        let list = std::fs::read_dir(lists)
            .unwrap()
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.to_string_lossy().ends_with("_demo_._Packages"))
            .unwrap();
        let text = std::fs::read_to_string(&list).unwrap();
        let kept: Vec<_> = text
            .split("\n\n")
            .filter(|stanza| !stanza.contains("Package: cs-legacy\n"))
            .collect();
        assert!(kept.len() < text.split("\n\n").count());
        std::fs::write(&list, kept.join("\n\n")).unwrap();
    });
    let change = here.authorized("cs-legacy", "1.1");
    assert_eq!(here.run().executed, 1);
    let receipt = here.receipt(&change);
    assert_eq!(receipt.ending, Ending::Failed, "{:?}", receipt.notes);
    assert!(
        receipt
            .notes
            .iter()
            .any(|note| note.contains("nothing was reversed") && note.contains("cs-legacy")),
        "{:?}",
        receipt.notes
    );
    assert_eq!(here.place.version("cs-legacy").as_deref(), Some("1.1"));
    assert_eq!(here.place.version("cs-old"), None);
}

/// A gate may put an old plan under a new change: what the humans saw of that change is not it.
#[test]
fn a_warrant_that_pairs_this_plan_with_another_change_is_refused() {
    let here = deployment(|_| {});
    let harmless = proposal(&here.place.config, &[("cs-db", "1.1")]);
    let other = here.gate.propose(harmless.clone());
    let change = here.authorized_beside("cs-web", "1.1", 2);
    let digest = canonical::digest(&harmless).unwrap();
    let host = here.place.config.host.clone();
    let signed = sign(&key("patcher"), PROPOSAL_TYP, "patcher", &harmless);
    here.gate.state().tamper_warrant = Some(Box::new(move |warrant| {
        warrant.txn = ChangeId::from_proposal(&digest);
        let details = &mut warrant.authorization_details[0];
        let plans = [HostPlan {
            host: host.clone(),
            plan: details.plan_digest,
        }];
        details.change_digest = change_digest(&digest, &harmless.waves, &plans).unwrap();
    }));
    here.gate.state().tamper_handover = Some(Box::new(move |handover| {
        handover.proposal.clone_from(&signed);
    }));
    here.run();
    assert_eq!(here.place.version("cs-web").as_deref(), Some("1.0"));
    assert!(here.gate.change(&change).notices.is_empty());
    let receipt = here.receipt(&other);
    assert_eq!(receipt.ending, Ending::NeverStarted);
    assert!(
        receipt.notes[0].contains("another proposal"),
        "{:?}",
        receipt.notes
    );
}

/// Holds dpkg's lock as a package tool does, in a process of its own, until it is dropped.
struct PackageTool(std::process::Child);

impl PackageTool {
    fn lock(path: &std::path::Path) -> Self {
        // `struct flock` of Linux on 64 bits: a write lock on the whole file.
        let script = "open F, '+<', $ARGV[0] or die; my $l = pack('s s x4 q q i x4', 1, 0, 0, 0, 0); fcntl(F, 6, $l) or die; $| = 1; print qq(held\\n); sleep 120;";
        let mut child = std::process::Command::new("perl")
            .args(["-e", script])
            .arg(path)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut held = [0; 5];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut held)
            .unwrap();
        Self(child)
    }
}

impl Drop for PackageTool {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn beside_an_open_intent_nothing_starts_and_the_run_settles_it_later() {
    let here = deployment(|_| {});
    let interrupted = here
        .gate
        .propose(proposal(&here.place.config, &[("cs-web", "1.1")]));
    here.run();
    crash(&here, &interrupted);
    let lock = here.place.sandbox.root().join("var/lib/dpkg/lock-frontend");
    std::fs::write(&lock, "").unwrap();
    let tool = PackageTool::lock(&lock);
    let mut rng = rand::rngs::StdRng::seed_from_u64(1);
    let mut host = Host::open(here.place.config.clone(), world()).unwrap();
    let change = here
        .gate
        .propose(proposal(&here.place.config, &[("cs-db", "1.1")]));
    host.run_once(world(), &mut rng).unwrap();
    here.gate.authorize(&change);
    assert_eq!(host.run_once(world(), &mut rng).unwrap().executed, 0);
    assert!(here.gate.change(&change).warrant.is_none(), "not redeemed");
    assert!(here.gate.change(&interrupted).receipts.is_empty());
    drop(tool);
    assert_eq!(host.run_once(world(), &mut rng).unwrap().executed, 1);
    assert_eq!(here.receipt(&interrupted).ending, Ending::RolledBack);
    assert_eq!(here.receipt(&change).ending, Ending::Succeeded);
}

#[test]
fn an_answer_that_was_held_back_is_not_acted_on_although_the_clock_stands_still() {
    let here = deployment(|place| place.config.pins.lease_seconds_max = 1);
    let change = here.authorized("cs-web", "1.1");
    // The clock of these tests stands still: by it the answer is as fresh as can be.
    here.gate.state().tamper_handover = Some(Box::new(|_| {
        std::thread::sleep(std::time::Duration::from_millis(1200));
    }));
    assert_eq!(here.run().executed, 0);
    assert_eq!(here.place.version("cs-web").as_deref(), Some("1.0"));
    let receipt = here.receipt(&change);
    assert_eq!(receipt.ending, Ending::NeverStarted);
    assert!(
        receipt.notes.join(" ").contains("after it was asked for"),
        "{:?}",
        receipt.notes
    );
}

#[test]
fn an_answer_that_grew_old_before_the_start_is_not_acted_on_although_the_clock_stands_still() {
    let here = deployment(|place| place.config.pins.lease_seconds_max = 1);
    let change = here.authorized("cs-web", "1.1");
    let seen = here.place.config.state_dir.join("seen.json");
    let before = std::fs::read(&seen).unwrap();
    // It passes slowly once the handover is verified, and does not advance.
    let slept = AtomicBool::new(false);
    let clock = || {
        if std::fs::read(&seen).unwrap() != before && !slept.swap(true, Ordering::SeqCst) {
            std::thread::sleep(std::time::Duration::from_millis(1200));
        }
        crate::sandboxed::now()
    };
    let slow = World {
        clock: &clock,
        progress: Progress::silent(),
    };
    let mut rng = rand::rngs::StdRng::seed_from_u64(1);
    let mut host = Host::open(here.place.config.clone(), slow).unwrap();
    host.run_once(slow, &mut rng).unwrap();
    assert_eq!(here.place.version("cs-web").as_deref(), Some("1.0"));
    let receipt = here.receipt(&change);
    assert_eq!(receipt.ending, Ending::NeverStarted);
    assert!(
        receipt.notes.join(" ").contains("too old to start on"),
        "{:?}",
        receipt.notes
    );
}

#[test]
fn warrants_that_nobody_issued_do_not_fill_the_journal() {
    let here = deployment(|_| {});
    here.run();
    // Whoever carries the answers says so; the round ends where the receipts are handed over.
    here.gate.state().forged_unsettled =
        (0_u32..500).map(|n| Digest::of(&n.to_be_bytes())).collect();
    here.gate.state().receipts_fail = true;
    assert!(here.try_run().is_err());
    let state = journal::read(&here.place.config.state_dir).unwrap();
    assert_eq!(state.executions().count(), 32);
}
