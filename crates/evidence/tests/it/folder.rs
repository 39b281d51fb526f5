//! Exported folders: verified file by file, then entry by entry; and `why` from the folder alone.

use crate::house::House;
use crate::people::{Founding, log_signer};
use crate::tale::Tale;
use countersign_domain::Digest;
use countersign_evidence::{
    FindingKind, FolderError, FolderSource, LogName, Rationale, TrustedRoots, verify_folder, why,
};
use std::convert::Infallible;
use std::path::Path;

pub fn export(house: &House, folder: &Path) {
    for log in [LogName::Recommendations, LogName::Authorizations] {
        let entries = house
            .entries(log)
            .iter()
            .map(|entry| Ok::<_, Infallible>(entry.clone()));
        countersign_ledger::export(
            &folder.join(log.as_str()),
            &house.signed(log),
            log_signer(log).verifier_key(),
            entries,
        )
        .unwrap();
    }
    let blobs = folder.join("blobs");
    std::fs::create_dir(&blobs).unwrap();
    for (digest, (salt, bytes)) in &house.blobs {
        let hex = digest.to_string().replace("sha256:", "");
        std::fs::write(blobs.join(&hex), bytes).unwrap();
        if let Some(salt) = salt {
            std::fs::write(blobs.join(format!("{hex}.salt")), salt).unwrap();
        }
    }
}

fn exported() -> (House, Tale, tempfile::TempDir) {
    let mut house = House::ready(Founding::default());
    // More than one bundle, so that tiles of two levels are read.
    for _ in 0..35 {
        Tale::standing(&mut house);
    }
    let tale = Tale::approved(&mut house);
    house.cross_commit();
    let folder = tempfile::tempdir().unwrap();
    export(&house, folder.path());
    (house, tale, folder)
}

#[test]
fn a_folder_proves_what_the_store_proves() {
    let (house, tale, folder) = exported();
    let trusted = TrustedRoots {
        genesis: Some(house.genesis),
        authorizations: Some(log_signer(LogName::Authorizations).vkey()),
        recommendations: Some(log_signer(LogName::Recommendations).vkey()),
        witness_quorum: 0,
        ..TrustedRoots::default()
    };
    let report = verify_folder(folder.path(), &trusted, &mut |_| {}).unwrap();
    assert!(report.is_ok(), "{:?}", report.findings);
    assert_eq!(report, house.verify());
    let source = FolderSource::open(folder.path()).unwrap();
    let now = house.now.plus_seconds(60);
    let from_folder = why(&source, &tale.change, &house.trail(&tale.change), now).unwrap();
    assert_eq!(from_folder, house.why(&tale.change));
    assert!(matches!(from_folder.rationale, Rationale::Claimed(_)));
}

#[test]
fn a_changed_file_is_found() {
    let (_, _, folder) = exported();
    let bundle = folder.path().join("authorizations/tile/entries/000");
    let mut bytes = std::fs::read(&bundle).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&bundle, bytes).unwrap();
    let report = verify_folder(folder.path(), &TrustedRoots::default(), &mut |_| {}).unwrap();
    assert!(report.findings.has(FindingKind::Folder));
    assert!(report.findings.has(FindingKind::Checkpoint));
}

#[test]
fn a_key_that_came_with_the_folder_is_not_believed() {
    let (house, _, folder) = exported();
    // Mallory signs the same entries with a key of her own and puts that key beside them.
    let origin = LogName::Authorizations.origin(&crate::people::deployment());
    let mallory = countersign_ledger::LogSigner::from_seed(
        countersign_ledger::Origin::new(&origin).unwrap(),
        &[66; 32],
    )
    .unwrap();
    let tree = crate::house::tree(&house.authorizations);
    let path = folder.path().join("authorizations");
    std::fs::write(
        path.join("checkpoint"),
        crate::house::sign_head(&mallory, &tree, false).as_str(),
    )
    .unwrap();
    std::fs::write(path.join("vkey"), format!("{}\n", mallory.vkey())).unwrap();
    let report = verify_folder(folder.path(), &TrustedRoots::default(), &mut |_| {}).unwrap();
    crate::found(&report, &[FindingKind::Checkpoint]);
}

#[test]
fn what_is_no_export_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = verify_folder(folder.path(), &TrustedRoots::default(), &mut |_| {});
    assert!(
        matches!(refused, Err(FolderError::Missing(_))),
        "{refused:?}"
    );
}

#[test]
fn a_blob_with_other_bytes_is_a_finding() {
    let (mut house, tale, _) = exported();
    let rationale = tale.proposal.rationale.unwrap();
    house.blobs.get_mut(&rationale).unwrap().1 = b"nicer words".to_vec();
    let why = house.why(&tale.change);
    assert!(why.findings.has(FindingKind::Link));
    assert_eq!(why.rationale, Rationale::Erased);
    assert_ne!(rationale, Digest::of(b"nicer words"));
}
