//! Change windows and freezes, from iCalendar files (RFC 5545) of the policy folder.
//!
//! `calendars/windows.ics` and `calendars/freezes.ics` hold everywhere, `windows.production.ics`
//! and the like in one environment. Where an environment has windows, a change there is in the
//! window only inside one of them; a freeze takes the window away, whatever else is written.
//!
//! Whatever is not understood is refused when the policy is handed in, with the file, the line and
//! the event: a freeze that nobody understood must not vanish. Lines, values, recurrences and zones
//! that a file defines are read by `ical-rs`, named zones come with `jiff`, built in; what they
//! would pass over in silence is checked here. Reads no clock and keeps no file.

mod error;
mod event;
mod file;
mod question;
mod rule;
mod value;
mod zone;

#[cfg(test)]
mod tests;

pub use error::{CalendarError, Problem};
pub use question::{Answer, Cited, Outlook, Remembered, Turn};

use countersign_domain::Environment;
use event::{Event, Zones};
use std::ops::Range;

/// One calendar file at most, in bytes.
pub const CALENDAR_BYTES_MAX: usize = 512 * 1024;
/// Events in all calendars of a policy together at most.
pub const EVENTS_MAX: usize = 1_000;
/// How long one event may last, in days: ten years.
pub const EVENT_DAYS_MAX: i64 = 3_660;
/// How far ahead a question looks, in seconds.
pub const HORIZON_SECONDS: i64 = 400 * 86_400;
/// Days (for hourly rules, hours) that all recurring events together may ask to look at, from their
/// start to the last year that is answered.
const WORK_MAX: u64 = 10_000_000;
/// The ends of horizons that calendars speak of; beyond, nothing can be said.
const ANSWERABLE_SECONDS: Range<i64> = 0..4_102_444_800;

/// What a calendar's events mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Window,
    Freeze,
}

/// One file.
#[derive(Debug)]
struct Calendar {
    path: String,
    kind: Kind,
    /// The one environment that it is for.
    environment: Option<Environment>,
    events: Vec<Event>,
}

/// The calendars of one policy version.
#[derive(Debug)]
pub struct Calendars {
    calendars: Vec<Calendar>,
    readable: bool,
}

impl Calendars {
    /// Reads the calendars among a policy's files, given by their path inside its folder: those below
    /// `calendars/`, and whatever ends in `.ics`.
    ///
    /// # Errors
    /// When anything in any of them is not understood, or too large: then none is taken.
    pub fn read<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, CalendarError> {
        let mut calendars = Vec::new();
        let (mut events, mut work) = (0, 0_u64);
        for (path, bytes) in files {
            if !is_calendar(path) {
                continue;
            }
            let refused =
                |line: Option<usize>, event: Option<String>, problem: Problem| CalendarError {
                    path: countersign_domain::text::shown(path, 80),
                    line,
                    event,
                    problem,
                };
            let whole = |problem| refused(None, None, problem);
            let (kind, environment) = named(path).ok_or_else(|| whole(Problem::Name))?;
            if bytes.len() > CALENDAR_BYTES_MAX {
                return Err(whole(Problem::Bytes(bytes.len())));
            }
            let text = std::str::from_utf8(bytes).map_err(|error| {
                let before = bytes.iter().take(error.valid_up_to());
                let line = before.filter(|byte| **byte == b'\n').count() + 1;
                refused(Some(line), None, Problem::Encoding)
            })?;
            let read = read(kind, text, EVENTS_MAX - events)
                .map_err(|(line, event, problem)| refused(Some(line), event, problem))?;
            events += read.len();
            work = read
                .iter()
                .fold(work, |work, event| work.saturating_add(event.work()));
            if work > WORK_MAX {
                return Err(whole(Problem::Work));
            }
            calendars.push(Calendar {
                path: path.to_owned(),
                kind,
                environment,
                events: read,
            });
        }
        Ok(Self {
            calendars,
            readable: true,
        })
    }

    /// In the place of calendars that cannot be read although they are in force: frozen, and in no
    /// window (invariant 2).
    #[must_use]
    pub const fn unreadable() -> Self {
        Self {
            calendars: Vec::new(),
            readable: false,
        }
    }

    /// How many files there are.
    #[must_use]
    pub const fn files(&self) -> usize {
        self.calendars.len()
    }

    /// Those that apply in an environment.
    fn of(&self, environment: Environment) -> impl Iterator<Item = &Calendar> {
        self.calendars
            .iter()
            .filter(move |calendar| calendar.environment.is_none_or(|only| only == environment))
    }
}

/// True for what this module reads, or has to refuse.
#[must_use]
pub fn is_calendar(path: &str) -> bool {
    let extension = path.rsplit_once('.').map(|(_, extension)| extension);
    path.starts_with("calendars/") || extension.is_some_and(|one| one.eq_ignore_ascii_case("ics"))
}

/// What the name of a file says.
fn named(path: &str) -> Option<(Kind, Option<Environment>)> {
    let name = path.strip_prefix("calendars/")?.strip_suffix(".ics")?;
    let (kind, environment) = match name.split_once('.') {
        Some((kind, environment)) => (kind, Some(environment)),
        None => (name, None),
    };
    let kind = match kind {
        "windows" => Kind::Window,
        "freezes" => Kind::Freeze,
        _ => return None,
    };
    let environment = match environment {
        None => None,
        Some(wanted) => Some(
            Environment::ALL
                .into_iter()
                .find(|environment| environment.as_str() == wanted)?,
        ),
    };
    Some((kind, environment))
}

fn read(kind: Kind, text: &str, events_max: usize) -> Result<Vec<Event>, event::Wrong> {
    let plain = |(line, problem)| (line, None, problem);
    let calendar = file::read(text).map_err(plain)?;
    let zone = file::envelope(&calendar).map_err(plain)?;
    let floating = zone
        .map(|property| {
            value::text(property)
                .map(str::to_owned)
                .map_err(|problem| (property.line, None, problem))
        })
        .transpose()?;
    let (mut zones, mut events) = (Vec::new(), Vec::new());
    for component in calendar.children {
        match component.name.as_str() {
            "VTIMEZONE" => zones.push(component),
            "VEVENT" => {
                if events.len() == events_max {
                    return Err((component.line, None, Problem::Events));
                }
                inside(&component)?;
                events.push(component);
            }
            _ => {
                let problem = Problem::Component(component.shown_name());
                return Err((component.line, None, problem));
            }
        }
    }
    event::read_all(kind, &events, &mut Zones::new(&zones, floating))
}

/// What may stand in an event says nothing of when it holds: alarms, people and places.
fn inside(event: &file::Component) -> Result<(), event::Wrong> {
    const HARMLESS: [&str; 4] = ["VALARM", "PARTICIPANT", "VLOCATION", "VRESOURCE"];
    for component in &event.children {
        if !HARMLESS.contains(&component.name.as_str()) && !component.name.starts_with("X-") {
            let problem = Problem::Component(component.shown_name());
            return Err((component.line, None, problem));
        }
    }
    Ok(())
}
