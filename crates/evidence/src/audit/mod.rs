//! The 30-day question over logs that exist already: was there, for each autonomous action in
//! production, a named human approver and an authorization from before it ran? Logs of many formats
//! are read into actions, change records and decisions (`reader`, `collect`), linked and judged
//! (`judge`), and reported with what is missing first (`report`). Offline; writes nothing.

mod collect;
mod confirm;
mod frames;
mod input;
mod judge;
mod model;
mod moment;
mod output;
mod people;
mod reader;
mod reason;
mod report;
mod tables;
mod text;

pub use collect::{Collected, FileRead, Progress, Unreadable};
pub use input::{Compression, FILES_MAX, Found, Skipped, find};
pub use judge::{By, Judged, Link, RUN_SECONDS, Records, judge};
pub use model::{
    Action, Actor, Change, ChangeKind, Decision, Exclusion, FileNumber, Format, Nature, Outcome,
    Place, Plan, Reference,
};
pub use moment::{Moment, Order};
pub use output::{Form, OutputError, Provenance};
pub use people::{Known, PEOPLE_BYTES_MAX, People, PeopleError};
pub use reader::{About, Context, ZoneError, formats};
pub use reason::{Reason, Verdict};
pub use report::{
    ActionFound, ChangeFound, Counts, Coverage, Estate, Excluded, FORM, Group, Missing, Question,
    Report,
};
pub use text::{explain, render};

use collect::Collector;

/// Reads `found`, and judges what it comes to.
pub fn audit(
    found: Found,
    context: &Context,
    people: &People,
    question: &Question,
    mut progress: impl FnMut(Progress),
) -> Report {
    let mut collector = Collector::new(context, reader::JSON);
    let files_all = found.files.len();
    let mut bytes = 0;
    for (files, path) in found.files.iter().enumerate() {
        collector.file(path, &mut |read| {
            bytes += read;
            progress(Progress {
                files,
                files_all,
                bytes,
            });
        });
    }
    Report::of(collector.finish(), found.skipped, people, question)
}
