//! SIGKILL of the real server under load, fifty times. What it acknowledged is durable, what it
//! signed stays true, and what it rebuilds is what it had.

use super::crew::Crew;
use super::load::{Acknowledged, CLIENTS, Load};
use super::process::{serve, spawn};
use crate::program::countersign;
use countersign::deployment::{DATABASE, Deployment};
use countersign_domain::entry::{Event, LogEntry};
use countersign_ledger::{Hash, Tree, leaf_hash};
use countersign_store::{Log, PerLog, StoreError};
use countersign_verify::LogKeys;
use countersign_verify::log::verify_proof;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

const KILLS: usize = 50;

#[test]
fn fifty_kills_under_load_lose_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    let crew = Crew::found(&dir);
    let (_, gate) = Deployment::open_read_only(&dir).unwrap();
    let roster = gate.world().unwrap().roster.clone();
    drop(gate);
    let load = Load::new(&crew, &roster);
    let mut started = 0;
    std::thread::scope(|scope| {
        // Without it, a failure here would leave the clients waiting for ever.
        let _ending = EndOnDrop(&load);
        for place in 0..CLIENTS {
            let load = &load;
            scope.spawn(move || load.client(place));
        }
        while started < KILLS {
            // Every fifth dies while it starts, somewhere between its first step and its socket.
            if started % 5 == 4 {
                let mut starting = spawn(&dir);
                std::thread::sleep(Duration::from_millis(started as u64 * 3));
                starting.kill().unwrap();
                starting.wait().unwrap();
                started += 1;
                continue;
            }
            let served = serve(&dir).unwrap();
            let before = load.redeemed();
            load.serve_at(&served.url);
            // At another moment each time: after some warrants and some milliseconds.
            load.wait_for_redeemed(before + 1 + started % 5);
            std::thread::sleep(Duration::from_millis(started as u64 * 7 % 23));
            served.kill();
            started += 1;
        }
        let served = serve(&dir).unwrap();
        let before = load.redeemed();
        load.serve_at(&served.url);
        load.wait_for_redeemed(before + CLIENTS);
        load.end();
        // The last one dies too: the database is read as a dead server left it.
        served.kill();
    });
    let kept = load.into_acknowledged();
    assert!(kept.redeemed.len() >= 80, "{}", kept.redeemed.len());
    assert!(kept.unanswered >= KILLS / 2, "{}", kept.unanswered);
    eprintln!(
        "{KILLS} kills: {} authorizations and {} warrants acknowledged, {} checkpoints seen, {} requests unanswered",
        kept.authorized.len(),
        kept.redeemed.len(),
        kept.checkpoints.len(),
        kept.unanswered
    );
    // Starts once more, and writes its last word.
    drop(Deployment::open(&dir).unwrap());
    everything_is_found_again(&dir, &kept, &LogKeys::authorizations(&roster, 0).unwrap());

    let report = countersign(&dir, &["log", "verify", "--json"])
        .done()
        .json();
    assert!(report["authorizations"]["size"].as_u64().unwrap() as usize > kept.redeemed.len());
    let report = countersign(&dir, &["log", "fsck", "--rebuild", "--json"])
        .done()
        .json();
    assert_eq!(report["rebuild"]["differences"], serde_json::json!([]));
    assert!(dir.join(DATABASE).is_file());
}

pub(super) struct EndOnDrop<'a>(pub(super) &'a Load<'a>);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn everything_is_found_again(dir: &Path, kept: &Acknowledged, keys: &LogKeys) {
    let (_, gate) = Deployment::open_read_only(dir).unwrap();
    let entries = |log| -> Vec<Vec<u8>> {
        let all = usize::try_from(gate.store().checkpoint(log).0).unwrap();
        let read = gate
            .store()
            .read::<_, StoreError>(|view| view.entries(log, 0, all));
        read.unwrap()
    };
    let logs = PerLog {
        recommendations: entries(Log::Recommendations),
        authorizations: entries(Log::Authorizations),
    };

    let mut authorized = BTreeSet::new();
    let mut warrants = Vec::new();
    for bytes in &logs.authorizations {
        match LogEntry::read(bytes).unwrap() {
            LogEntry::Entry(entry) => {
                if let Event::Authorized { change, .. } = entry.event {
                    assert!(authorized.insert(change.to_string()), "authorized twice");
                }
            }
            LogEntry::Warrant(jws) => warrants.push(jws),
        }
    }
    let proposals: BTreeSet<_> = logs.recommendations.iter().map(Vec::as_slice).collect();
    for (change, proposal) in &kept.authorized {
        assert!(authorized.contains(change), "`{change}` was authorized");
        assert!(proposals.contains(proposal.as_bytes()), "{change}");
    }
    // Nothing was lost, and nothing was doubled by those who asked again.
    let acknowledged: BTreeSet<_> = kept.redeemed.iter().map(|one| &one.change).collect();
    assert_eq!(acknowledged.len(), kept.redeemed.len());
    let different: BTreeSet<_> = warrants.iter().collect();
    assert_eq!(different.len(), warrants.len());
    assert!(warrants.len() <= authorized.len());
    for one in &kept.redeemed {
        let entry = &logs.authorizations[usize::try_from(one.index).unwrap()];
        assert_eq!(entry, one.warrant.as_bytes(), "warrant of {}", one.change);
        let proven = verify_proof(entry, &one.proof, keys).unwrap();
        assert_eq!(proven.index, one.index);
    }
    for log in Log::ALL {
        let roots = roots(logs.get(log));
        let mut seen = 0;
        for (_, note) in kept.checkpoints.iter().filter(|(of, _)| *of == log) {
            let key = gate.store().verifier_key(log).clone();
            let checkpoint = note.verify(&[key]).unwrap();
            assert_eq!(
                roots.get(&checkpoint.size()),
                Some(&checkpoint.root()),
                "the {} log at size {}",
                log.as_str(),
                checkpoint.size()
            );
            seen += 1;
        }
        assert!(seen >= 50, "{seen} checkpoints of the {} log", log.as_str());
    }
}

/// The root of each size.
fn roots(entries: &[Vec<u8>]) -> BTreeMap<u64, Hash> {
    let mut tree = Tree::new();
    let mut roots = BTreeMap::from([(0, tree.root())]);
    for entry in entries {
        tree.append(leaf_hash(entry)).unwrap();
        roots.insert(tree.size(), tree.root());
    }
    roots
}
