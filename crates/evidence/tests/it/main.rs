//! Whole logs, good and with one defect each, and the page that `why` prints for them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod ansible;
mod audit;
mod audit_apart;
mod audit_broken;
mod audit_output;
mod audit_own;
mod audit_page;
mod audit_quotes;
mod browser;
mod dnf;
mod documents;
mod emergency;
mod facts;
mod folder;
mod good;
mod house;
mod mapped;
mod packages;
mod pages;
mod people;
mod permission;
mod rewritten;
mod stories;
mod tale;
mod tickets;

use countersign_evidence::{FindingKind, LogReport};

/// The report has findings of exactly these kinds.
#[track_caller]
pub fn found(report: &LogReport, kinds: &[FindingKind]) {
    let mut found: Vec<_> = report
        .findings
        .list
        .iter()
        .map(|finding| finding.kind)
        .collect();
    found.sort();
    found.dedup();
    let mut kinds = kinds.to_vec();
    kinds.sort();
    let words: Vec<_> = report
        .findings
        .list
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(found, kinds, "{}", words.join("\n"));
    assert!(!report.is_ok());
}
