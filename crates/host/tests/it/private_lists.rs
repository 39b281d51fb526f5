//! Package lists of our own: what an unprivileged observer uses, and what it falls back to.

use crate::sandboxed::{Place, now, place};
use countersign_domain::observation::Observation;
use countersign_domain::plan::RollbackSource;
use countersign_host::apt::AptError;
use countersign_host::observe::observe;
use countersign_host::progress::Progress;
use std::path::Path;

fn private() -> Place {
    let mut place = place();
    place.config.apt.private = true;
    place.config.apt.execute = false;
    // What a real machine has: a repack is thinkable, but needs rights that we lack.
    place.config.apt.repack = true;
    place.config.check().unwrap();
    place
}

fn look(place: &Place) -> Result<Observation, AptError> {
    observe(&place.config, &mut place.apt(), now(), Progress::silent())
}

/// Every file below a folder, with its size and time of change.
fn state_of(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        all.push(format!(
            "{path:?} {} {:?}",
            metadata.len(),
            metadata.modified().unwrap()
        ));
        if metadata.is_dir() {
            all.extend(state_of(&path));
        }
    }
    all.sort();
    all
}

#[test]
fn observing_with_private_lists_changes_nothing_on_the_machine() {
    let place = private();
    let before = state_of(&place.sandbox.root());
    let observation = look(&place).unwrap();
    assert_eq!(observation.pending.len(), 6);
    assert!(observation.gaps.is_empty(), "{:?}", observation.gaps);
    let mut changed = state_of(&place.sandbox.root());
    changed.retain(|line| !before.contains(line));
    assert_eq!(changed, [""; 0]);
    let tools = observation
        .pending
        .iter()
        .find(|one| one.name.as_str() == "cs-tools");
    assert_eq!(tools.unwrap().rollback, RollbackSource::Repacked);
}

#[test]
fn without_a_mirror_the_machines_own_lists_serve_and_it_is_said() {
    let place = private();
    let repository = place.dir.path().join("sandbox/repository");
    std::fs::rename(&repository, place.dir.path().join("gone")).unwrap();
    let observation = look(&place).unwrap();
    assert_eq!(observation.pending.len(), 6);
    let gaps = observation.gaps.join("\n");
    for said in [
        "not refreshed",
        "the machine's own package lists",
        "6 upgrades could not be learned",
    ] {
        assert!(gaps.contains(said), "{gaps}");
    }
    // Nor are there any: an error with what works instead.
    let lists = place.sandbox.root().join("var/lib/apt/lists");
    std::fs::remove_dir_all(&lists).unwrap();
    std::fs::create_dir_all(lists.join("partial")).unwrap();
    let error = look(&place).unwrap_err();
    assert!(matches!(error, AptError::NoLists(_)), "{error}");
    assert!(error.to_string().contains("--sandbox"), "{error}");
}

#[test]
fn a_cached_file_counts_only_when_it_is_the_one_that_was_installed() {
    let place = private();
    let apt = place.apt();
    let installed = apt.installed().unwrap();
    let spec = countersign_host::apt::Spec {
        name: "cs-web".parse().unwrap(),
        architecture: "all".parse().unwrap(),
        version: "1.0".parse().unwrap(),
    };
    assert!(installed.get(&spec.name, &spec.architecture).is_some());
    let records = apt
        .index(std::slice::from_ref(&spec), &mut Vec::new())
        .unwrap();
    let repository = place.dir.path().join("sandbox/repository");
    let cached = place
        .sandbox
        .root()
        .join("var/cache/apt/archives/cs-web_1.0_all.deb");
    let found = |known| apt.rollback(&spec, known, None).unwrap();
    let none = Default::default();

    assert_eq!(found(&records).source, RollbackSource::Mirror);
    assert_eq!(found(&none).source, RollbackSource::Repacked);
    std::fs::copy(repository.join("demo/cs-web_1.0_all.deb"), &cached).unwrap();
    assert_eq!(found(&records).source, RollbackSource::Cached);
    // No index knows it any more: its files are those that are installed.
    assert_eq!(found(&none).source, RollbackSource::Cached);
    // Under the right name, another file.
    std::fs::copy(repository.join("demo-security/cs-web_1.1_all.deb"), &cached).unwrap();
    assert_eq!(found(&records).source, RollbackSource::Mirror);
    assert_eq!(found(&none).source, RollbackSource::Repacked);
}
