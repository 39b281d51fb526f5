//! Every projection can be thrown away and rebuilt from the log.

use crate::emergency::{review_of, told};
use crate::fixture::*;
use crate::packages::{Reporter, line, records};
use countersign_domain::receipt::Ending;
use countersign_domain::statement::{HaltScope, Subject, Verdict, Vote};
use countersign_gate::fold;
use countersign_store::{Apply, rebuild};
use pollster::block_on;

/// A deployment in which a bit of everything has happened.
fn eventful() -> World {
    let mut world = World::new(&["web-1", "web-2"]);
    let mut web = Reporter::begun(&world, "web-1");
    let first = world.prepared("openssl", &[&["web-1"], &["web-2"]]);
    let handover = world.redeem(&first.id, "web-1").unwrap();
    world
        .settle(&first.id, "web-1", &handover.warrant, Ending::RolledBack)
        .unwrap();
    let at = world.now;
    let seen = |name| line(name, Some("1.0"), Some("1.1"), at);
    web.installed.extend([("curl", "1.1"), ("rootkit", "6.6")]);
    web.report(&world, vec![seen("openssl"), seen("curl")])
        .unwrap();
    let found = records(&world).remove(0);
    let subject = Subject::Unwarranted {
        finding: found.index,
        entry: found.entry,
        verdict: Verdict::Concern,
        note: None,
    };
    let signed = world.sign("chen", subject);
    block_on(world.gate.review_unwarranted(found.index, signed, None, at)).unwrap();
    let asked = world.prepared("postgresql-15", &[&["web-1"]]);
    for name in ["maria", "chen"] {
        let _ = world.vote(name, &asked, Vote::Approve);
    }
    world.redeem(&asked.id, "web-1").unwrap();
    world
        .submit(&world.proposal("curl", &[&["web-2"]]))
        .unwrap();
    let signed = world.sign(
        "omar",
        Subject::Halt {
            halt: HaltScope::Everything,
        },
    );
    block_on(world.gate.halt(signed, world.now)).unwrap();
    let emergency = told(&world, &["maria", "ana"]);
    let signed = review_of(&world, "chen", &emergency);
    block_on(
        world
            .gate
            .review_emergency(&emergency.change, signed, None, world.now),
    )
    .unwrap();
    told(&world, &["chen"]);
    world.now = world.now.plus_seconds(7200);
    web.report(&world, Vec::new()).unwrap();
    block_on(world.gate.sweep(world.now)).unwrap();
    block_on(world.gate.cross_commit(world.now)).unwrap();
    world
}

#[test]
fn projections_equal_the_fold_of_the_log() {
    let world = eventful();
    let report = rebuild(&database(&world), Apply::No, &mut |tx, index, bytes| {
        fold::apply(tx, index, bytes)
    })
    .unwrap();
    assert!(report.entries > 20);
    assert!(report.differences.is_empty(), "{:?}", report.differences);
}

#[test]
fn a_forgotten_row_is_noticed_and_put_back() {
    let world = eventful();
    let path = database(&world);
    let dir = world.dir.path().to_owned();
    let World {
        gate, dir: keep, ..
    } = world;
    drop(gate);
    let change = "DELETE FROM documents WHERE kind = 'execution'";
    // Behind the store's back: nothing of ours deletes a row like that.
    let done = std::process::Command::new("sqlite3")
        .arg(&path)
        .arg(change)
        .status();
    assert!(done.unwrap().success());
    let mut fold = |tx: &mut dyn countersign_store::Write, index: u64, bytes: &[u8]| {
        fold::apply(tx, index, bytes)
    };
    let report = rebuild(&path, Apply::Yes, &mut fold).unwrap();
    assert!(!report.differences.is_empty() && report.applied);
    let report = rebuild(&path, Apply::No, &mut fold).unwrap();
    assert!(report.differences.is_empty());
    drop((dir, keep));
}
