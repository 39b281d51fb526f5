//! A host that is enrolled and does not report is an alarm, once for each silence.

use crate::deployment::change_roster;
use crate::fixture::*;
use crate::packages::Reporter;
use countersign_domain::Timestamp;
use countersign_domain::plan::RollbackSource;
use countersign_domain::roster::Operation;
use countersign_gate::state::ContactRecord;
use countersign_gate::{fold, found};
use countersign_store::{Apply, Log, rebuild};
use pollster::block_on;

const DAY: i64 = 86_400;

fn told(world: &World) -> u32 {
    block_on(world.gate.sweep_hosts(world.now)).unwrap()
}

fn alarms(world: &World) -> Vec<String> {
    let alarms = world.gate.alarms(100).unwrap().into_iter();
    let silent = alarms.filter(|alarm| alarm.kind == "host-silent");
    silent.map(|alarm| alarm.text).collect()
}

fn contact(world: &World, name: &str) -> ContactRecord {
    let contacts = world.gate.contacts().unwrap();
    contacts
        .into_iter()
        .find(|contact| contact.host == host(name))
        .unwrap()
}

fn enrol(world: &World, name: &str) {
    let operation = Operation::SetHost {
        host: host(name),
        public_key: found::hex_key(&key(name)),
    };
    change_roster(world, "maria", vec![operation]).unwrap();
}

fn remove(world: &World, name: &str) {
    let operation = Operation::RemoveHost { host: host(name) };
    change_roster(world, "maria", vec![operation]).unwrap();
}

#[test]
fn a_silent_host_is_one_alarm_until_it_reports_again() {
    let mut world = World::new(&["web-1", "web-2"]);
    world.observe("web-1", RollbackSource::Mirror);
    world.observe("web-2", RollbackSource::Mirror);
    let since = world.now;
    world.now = since.plus_seconds(DAY - 1);
    assert_eq!(told(&world), 0);
    world.observe("web-2", RollbackSource::Mirror);
    world.now = since.plus_seconds(DAY);
    assert_eq!(told(&world), 1);
    assert_eq!(
        alarms(&world),
        [format!("host `web-1` has not reported since {since}")]
    );
    let silent = contact(&world, "web-1");
    assert_eq!((silent.since, silent.reported), (since, true));
    assert_eq!(silent.silent.unwrap().0, world.now);
    assert_eq!(contact(&world, "web-2").silent, None);
    // However long it lasts, it is told once.
    world.now = since.plus_seconds(10 * DAY);
    world.observe("web-2", RollbackSource::Mirror);
    let size = world.gate.store().checkpoint(Log::Authorizations).0;
    assert_eq!(told(&world), 0);
    assert_eq!(world.gate.store().checkpoint(Log::Authorizations).0, size);
    // It reports, and falls silent again: that is another silence.
    world.observe("web-1", RollbackSource::Mirror);
    assert_eq!(contact(&world, "web-1").silent, None);
    assert_eq!(told(&world), 0);
    world.now = world.now.plus_seconds(DAY);
    world.observe("web-2", RollbackSource::Mirror);
    assert_eq!(told(&world), 1);
    assert_eq!(alarms(&world).len(), 2);
    let folded = rebuild(&database(&world), Apply::No, &mut |tx, index, bytes| {
        fold::apply(tx, index, bytes)
    })
    .unwrap();
    assert!(folded.differences.is_empty(), "{:?}", folded.differences);
}

#[test]
fn a_host_that_never_reported_is_silent_since_its_enrolment() {
    let mut world = World::new(&["web-1"]);
    enrol(&world, "web-9");
    let since = world.now;
    assert_eq!(
        contact(&world, "web-9"),
        ContactRecord {
            host: host("web-9"),
            since,
            reported: false,
            silent: None
        }
    );
    world.now = since.plus_seconds(DAY);
    world.observe("web-1", RollbackSource::Mirror);
    assert_eq!(told(&world), 1);
    assert_eq!(
        alarms(&world),
        [format!(
            "host `web-9` was enrolled at {since} and has never reported"
        )]
    );
    assert_eq!(told(&world), 0);
}

#[test]
fn a_host_that_left_is_not_waited_for() {
    let mut world = World::new(&["web-1"]);
    enrol(&world, "web-9");
    remove(&world, "web-9");
    world.now = world.now.plus_seconds(2 * DAY);
    world.observe("web-1", RollbackSource::Mirror);
    assert_eq!(told(&world), 0);
    // Enrolled anew, it has its time again.
    enrol(&world, "web-9");
    let since: Timestamp = contact(&world, "web-9").since;
    assert_eq!(since, world.now);
    assert_eq!(told(&world), 0);
}

#[test]
fn a_report_of_packages_ends_a_silence_and_the_policy_says_how_long_one_may_be() {
    let mut world = World::new(&["web-1"]);
    let mut web = Reporter::begun(&world, "web-1");
    let starter = countersign_policy::starter_for(&person("omar"));
    let settings = String::from_utf8(starter.files()["policy.toml"].clone()).unwrap();
    let shorter = settings.replace(
        "host_silence_seconds = 86400",
        "host_silence_seconds = 7200",
    );
    assert_ne!(settings, shorter);
    world
        .sign_policy_with(&[("policy.toml", &shorter)])
        .unwrap();
    world.now = world.now.plus_seconds(7_199);
    assert_eq!(told(&world), 0);
    world.now = world.now.plus_seconds(1);
    assert_eq!(told(&world), 1);
    web.report(&world, Vec::new()).unwrap();
    assert_eq!(contact(&world, "web-1").silent, None);
    assert_eq!(told(&world), 0);
    // Where the policy says nothing, it is a day.
    let line = "host_silence_seconds = 7200\n";
    let silent = shorter.replace(line, "");
    assert_ne!(shorter, silent);
    world.sign_policy_with(&[("policy.toml", &silent)]).unwrap();
    world.now = world.now.plus_seconds(DAY - 1);
    assert_eq!(told(&world), 0);
    world.now = world.now.plus_seconds(1);
    assert_eq!(told(&world), 1);
}
