//! What entries name by digest: somebody who takes a document away, or alters one, is noticed;
//! texts of people can be erased.

use crate::folder::export;
use crate::found;
use crate::house::House;
use crate::people::Founding;
use crate::tale::Tale;
use countersign_domain::document::named_in;
use countersign_domain::{DocumentKind, NamedDocument};
use countersign_evidence::{
    DemandedDocuments, FindingKind, LogName, LogReport, TrustedRoots, check_documents,
    verify_folder,
};
use std::collections::BTreeSet;

fn house() -> House {
    let mut house = House::ready(Founding::default());
    Tale::approved(&mut house);
    Tale::standing(&mut house);
    house
}

/// Everything that both logs name, with where.
fn named(house: &House) -> Vec<(LogName, u64, NamedDocument)> {
    let mut named = Vec::new();
    for log in [LogName::Recommendations, LogName::Authorizations] {
        for (index, entry) in (0..).zip(house.entries(log)) {
            let found = named_in(entry).into_iter();
            named.extend(found.map(|document| (log, index, document)));
        }
    }
    named
}

fn words(report: &LogReport) -> Vec<String> {
    report
        .findings
        .list
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn each_document_that_is_deleted_or_altered_is_found_at_the_entries_that_name_it() {
    let whole = house();
    let documents: BTreeSet<_> = named(&whole)
        .into_iter()
        .map(|(.., document)| document)
        .filter(|document| !document.kind.is_erasable())
        .collect();
    let kinds: BTreeSet<_> = documents.iter().map(|document| document.kind).collect();
    assert_eq!(
        kinds,
        BTreeSet::from([DocumentKind::PolicyFile, DocumentKind::Facts])
    );
    for document in documents {
        let places: Vec<_> = named(&whole)
            .into_iter()
            .filter(|(.., named)| *named == document)
            .map(|(log, index, _)| (log, Some(index)))
            .collect();
        let mut deleted = whole.clone();
        deleted.blobs.remove(&document.digest).unwrap();
        let mut altered = whole.clone();
        altered
            .blobs
            .get_mut(&document.digest)
            .unwrap()
            .1
            .push(b' ');
        // Known to be lost, it is counted; altered, it is a finding in any case.
        let known = deleted.verify_with(DemandedDocuments::None);
        assert!(known.is_ok(), "{:?}", known.findings);
        assert_eq!(known.documents.missing, places.len() as u64);
        found(
            &altered.verify_with(DemandedDocuments::None),
            &[FindingKind::Missing],
        );
        for (house, word) in [(deleted, "not kept"), (altered, "altered")] {
            let report = house.verify();
            found(&report, &[FindingKind::Missing]);
            let found: Vec<_> = report
                .findings
                .list
                .iter()
                .map(|finding| (finding.log, finding.index))
                .collect();
            assert_eq!(found, places);
            let said = words(&report).join("\n");
            assert!(said.contains(word), "{said}");
            assert!(said.contains(document.kind.as_str()), "{said}");
            assert!(said.contains(&document.digest.to_string()), "{said}");
            assert_eq!(report.documents.missing, places.len() as u64);
        }
    }
}

#[test]
fn the_facts_of_a_decision_are_named_by_the_decision_and_by_the_warrant() {
    let house = house();
    let facts: BTreeSet<_> = named(&house)
        .into_iter()
        .filter(|(.., document)| document.kind == DocumentKind::Facts)
        .map(|(_, index, _)| house.authorizations[index as usize][0] == b'{')
        .collect();
    assert_eq!(facts, BTreeSet::from([true, false]));
}

#[test]
fn texts_of_people_can_be_erased_but_not_altered() {
    let mut house = house();
    let texts: Vec<_> = named(&house)
        .into_iter()
        .filter(|(.., document)| document.kind.is_erasable())
        .collect();
    let kinds: BTreeSet<_> = texts.iter().map(|(.., text)| text.kind).collect();
    assert!(kinds.contains(&DocumentKind::Name), "{kinds:?}");
    assert!(kinds.contains(&DocumentKind::AgentRationale), "{kinds:?}");
    let before = house.verify();
    assert!(before.is_ok(), "{:?}", words(&before));
    assert_eq!(before.documents.texts, texts.len() as u64);

    let kept = house.blobs.clone();
    for (.., text) in &texts {
        house.blobs.remove(&text.digest);
    }
    let erased = house.verify();
    assert!(erased.is_ok(), "{:?}", words(&erased));
    assert_eq!(erased.documents.texts_absent, texts.len() as u64);
    assert_eq!(erased.documents.missing, 0);

    house.blobs = kept;
    let (.., text) = texts
        .iter()
        .find(|(.., text)| text.kind == DocumentKind::AgentRationale)
        .unwrap();
    house.blobs.get_mut(&text.digest).unwrap().1 = b"nicer words".to_vec();
    let altered = house.verify();
    found(&altered, &[FindingKind::Missing]);
    let places = texts.iter().filter(|(.., named)| named == text).count();
    assert_eq!(
        (altered.documents.missing, altered.documents.texts_absent),
        (places as u64, before.documents.texts_absent)
    );
}

#[test]
fn an_export_without_documents_says_that_it_carries_none() {
    let mut house = house();
    let folder = tempfile::tempdir().unwrap();
    export(&house, folder.path());
    let verified = || {
        let trusted = TrustedRoots {
            genesis: Some(house.genesis),
            ..TrustedRoots::default()
        };
        verify_folder(folder.path(), &trusted, &mut |_| {}).unwrap()
    };
    let whole = verified();
    assert!(whole.is_ok() && whole.documents.carried, "{whole:?}");

    let (.., facts) = *named(&house)
        .iter()
        .find(|(.., document)| document.kind == DocumentKind::Facts)
        .unwrap();
    let blobs = folder.path().join("blobs");
    std::fs::remove_file(blobs.join(facts.digest.to_string().replace("sha256:", ""))).unwrap();
    found(&verified(), &[FindingKind::Missing]);

    std::fs::remove_dir_all(&blobs).unwrap();
    let bare = verified();
    assert!(bare.is_ok(), "{:?}", words(&bare));
    assert!(!bare.documents.carried);
    assert_eq!(bare.documents.named, whole.documents.named);
    assert!(
        bare.documents.to_string().contains("carries no documents"),
        "{}",
        bare.documents
    );

    // What is looked for by itself is what a verification looks for.
    house.blobs.remove(&facts.digest);
    let mut missing = Vec::new();
    let summary = check_documents(&house, &mut |_| {}, &mut |log, index, missed| {
        missing.push((log, Some(index), missed.document));
    })
    .unwrap();
    let report = house.verify();
    assert_eq!(summary, report.documents);
    let places = missing.iter().map(|(log, index, _)| (*log, *index));
    let found = report.findings.list.iter();
    assert!(places.eq(found.map(|finding| (finding.log, finding.index))));
    assert!(missing.iter().all(|(.., document)| *document == facts));
}
