//! The 30-day question over logs that exist already: was there, for each autonomous action in
//! production, a named human approver and an authorization from before it ran? Logs of many formats
//! are read into actions, change records and decisions (`reading`, `reader`, `collect`), linked and judged
//! (`judge`), and reported with what is missing first (`report`). Offline; writes nothing.

mod collect;
mod confirm;
mod controllers;
mod counts;
mod database;
mod frames;
mod gaps;
mod hashing;
mod hosts;
mod input;
mod judge;
mod mapping;
mod members;
mod model;
mod moment;
mod output;
mod own;
mod pages;
mod people;
mod proposal;
mod quote;
mod reader;
mod reading;
mod reason;
mod report;
mod runs;
mod schema;
mod series;
mod structure;
mod tables;
mod text;

pub use collect::{Collected, FileRead, Progress, Unreadable};
pub use hosts::Host;
pub use input::{Compression, FILES_MAX, Found, Skipped, find};
pub use judge::{By, Judged, Link, RUN_SECONDS, Records, judge};
pub use mapping::{MAPPING_BYTES_MAX, Mapping, MappingError};
pub use model::{
    Action, Actor, Change, ChangeKind, Decision, Exclusion, FileNumber, Format, Nature, Outcome,
    Place, Plan, Reference,
};
pub use moment::{Moment, Order};
pub use output::{Form, OutputError, Provenance};
pub use own::OwnLog;
pub use people::{Known, PEOPLE_BYTES_MAX, People, PeopleError};
pub use proposal::{Proposal, ProposalError, propose};
pub use quote::{Explained, Quote, Role, explained};
pub use reader::{About, Context, MEMORY_DEFAULT, ZoneError, formats};
pub use reason::{Reason, Verdict};
pub use report::{
    ActionFound, ChangeFound, Counts, Coverage, Estate, Excluded, FORM, Group, Missing, Question,
    Report,
};
pub use schema::{ID as SCHEMA_ID, schema};
pub use text::{explain, quoted, render};

/// The logs hold more than is kept ([`Context::within`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the logs hold more actions and approvals than fit into {} MiB; hint: give logs of fewer systems or months at a time, or more `--memory`", .0 >> 20)]
pub struct TooMuch(u64);

/// Reads `found`, and `logs` that somebody has opened, on so many threads, and judges what they come
/// to. `progress` is called a few times a second while files are read.
///
/// # Errors
/// Where they hold more than shall be kept: part of them would be judged without the rest.
pub fn audit(
    found: Found,
    logs: &[OwnLog<'_>],
    context: &Context,
    people: &People,
    question: &Question,
    threads: usize,
    mut progress: impl FnMut(Progress),
) -> Result<Report, TooMuch> {
    let (mut part, mut files) =
        reading::read(&found.files, context, reader::JSON, threads, &mut progress);
    let mut own = own::OwnRead::default();
    let exports: Vec<_> = found.exports.into_iter().map(OwnLog::Exported).collect();
    for (number, log) in (files.len()..).zip(exports.iter().chain(logs)) {
        let number = FileNumber(u32::try_from(number).unwrap_or(u32::MAX));
        files.push(own::read(log, number, context, &mut part, &mut own));
    }
    if part.kept > context.memory {
        return Err(TooMuch(context.memory));
    }
    let people = people.with(
        own.people
            .iter()
            .map(|person| (person.to_string(), own::handle(person))),
    );
    let mut report = Report::of(
        part.finish(context, files),
        found.skipped,
        &people,
        question,
    );
    report.gaps.append(&mut own.gaps);
    Ok(report)
}
