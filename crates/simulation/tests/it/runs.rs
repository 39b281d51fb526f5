//! Fixed seeds hold; equal seeds give equal runs; a broken rule is noticed.

use countersign_simulation::{Flaw, GateFlaw, Report, Simulation, Violation};

const SEEDS: &str = include_str!("../../seeds.txt");

fn run(seed: u64, steps: u64, flaw: Flaw, gate_flaw: GateFlaw) -> Result<Report, Violation> {
    Simulation::new(seed, flaw, gate_flaw)?.run(steps)
}

fn sound(seed: u64, steps: u64) -> Report {
    run(seed, steps, Flaw::None, GateFlaw::None).unwrap_or_else(|violation| panic!("{violation}"))
}

/// The first violation among a few seeds; a flaw that none of them shows is a hole in the checks.
fn caught(flaw: Flaw, gate_flaw: GateFlaw) -> String {
    (1..=10)
        .find_map(|seed| run(seed, 500, flaw, gate_flaw).err())
        .expect("no check notices the flaw")
        .check
}

#[test]
fn every_rule_holds_for_the_seeds_that_are_kept() {
    let lines = SEEDS.lines();
    let kept = lines.filter(|line| !line.starts_with('#') && !line.is_empty());
    let run = |line: &'static str| {
        let (seed, steps) = line.split_once(' ').unwrap();
        sound(seed.parse().unwrap(), steps.parse().unwrap())
    };
    let effects: usize = std::thread::scope(|scope| {
        let runs: Vec<_> = kept.map(|line| scope.spawn(move || run(line))).collect();
        runs.into_iter()
            .map(|handle| handle.join().unwrap().effects)
            .sum()
    });
    assert!(
        effects > 20,
        "only {effects} transitions happened: the runs show little"
    );
}

#[test]
fn equal_seeds_give_equal_runs_and_others_give_others() {
    let first = sound(11, 200);
    assert_eq!(first, sound(11, 200));
    assert_ne!(first.digest, sound(12, 200).digest);
}

#[test]
fn a_host_that_skips_its_journal_is_caught() {
    assert_eq!(
        caught(Flaw::SkipsJournal, GateFlaw::None),
        "1 intent before effect"
    );
}

#[test]
fn a_host_that_lies_about_success_is_caught() {
    assert_eq!(
        caught(Flaw::Lies, GateFlaw::None),
        "10 success was inspected"
    );
}

#[test]
fn a_gate_that_forgets_halts_is_caught() {
    assert_eq!(
        caught(Flaw::None, GateFlaw::ForgetsHalts),
        "what is acknowledged is logged"
    );
}

#[test]
fn a_host_that_acts_without_a_warrant_is_caught() {
    assert_eq!(
        caught(Flaw::ActsUnwarranted, GateFlaw::None),
        "1 no warrant, no effect"
    );
}

#[test]
fn a_host_that_spends_twice_is_caught() {
    assert_eq!(caught(Flaw::ActsTwice, GateFlaw::None), "4 one spend");
}

#[test]
fn a_host_that_installs_something_else_is_caught() {
    let check = caught(Flaw::ActsOtherwise, GateFlaw::None);
    assert!(["1 intent before effect", "13 the host defines"].contains(&check.as_str()));
}

#[test]
fn a_host_that_keeps_its_permits_is_caught() {
    assert_eq!(
        caught(Flaw::KeepsPermits, GateFlaw::None),
        "11 a halt binds hosts in time"
    );
}

#[test]
fn a_gate_that_comes_back_from_a_backup_is_caught() {
    assert_eq!(
        caught(Flaw::None, GateFlaw::RestoresBackup),
        "published entries stay"
    );
}

#[test]
fn a_stolen_signature_is_caught() {
    assert_eq!(
        caught(Flaw::None, GateFlaw::StolenKey),
        "6 named humans are proven"
    );
}

#[test]
fn a_gate_that_believes_claims_is_caught() {
    assert_eq!(
        caught(Flaw::None, GateFlaw::BelievesClaims),
        "3 facts, not claims"
    );
}

#[test]
fn a_host_that_trusts_its_clock_is_caught() {
    assert_eq!(
        caught(Flaw::TrustsItsClock, GateFlaw::None),
        "11 a halt binds hosts in time"
    );
}
