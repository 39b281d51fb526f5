//! Why a calendar is refused: the file, the line, the event, and what to do.

use std::fmt;

/// Why a policy's calendars were refused, all of them: what is not understood could be a freeze.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarError {
    /// The file, by its path inside the policy folder.
    pub path: String,
    /// The line, from 1, where one is at fault.
    pub line: Option<usize>,
    /// The UID of the event, made harmless to show.
    pub event: Option<String>,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for CalendarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.path)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(event) = &self.event {
            write!(f, ", event `{event}`")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for CalendarError {}

/// What is wrong with a calendar. Every message says what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A name that says neither windows nor freezes.
    #[error(
        "a calendar is called `windows.ics` or `freezes.ics`, or for one environment `windows.production.ics` (development, staging, production); rename it"
    )]
    Name,
    /// Too many bytes.
    #[error("has {0} bytes; {max} are allowed: take out what is over, or what is not about time", max = super::CALENDAR_BYTES_MAX)]
    Bytes(usize),
    /// Too many events in all calendars together.
    #[error("there are more than {max} events in the calendars; a recurring event says the same in one", max = super::EVENTS_MAX)]
    Events,
    /// Looking it up would take too long.
    #[error(
        "the recurring events would take too long to look up; let them end (UNTIL), or begin later, or merge them"
    )]
    Work,
    /// Not UTF-8.
    #[error("is not UTF-8 text")]
    Encoding,
    /// A line without a name and a colon, or one outside of every component.
    #[error("`{0}` is no line of a calendar; lines are `NAME:value`")]
    Line(String),
    /// BEGIN and END do not match.
    #[error("{0}")]
    Nesting(&'static str),
    /// Something other than one VCALENDAR of version 2.0.
    #[error(
        "a file holds one VCALENDAR with VERSION:2.0, CALSCALE GREGORIAN if any, METHOD PUBLISH or REQUEST if any"
    )]
    Calendar,
    /// A component that is not read.
    #[error(
        "`{0}` is not read: a calendar of windows or freezes holds VEVENT and VTIMEZONE; take it out"
    )]
    Component(String),
    /// A property that is not known to mean nothing here.
    #[error(
        "`{0}` is not understood, so the event might mean something else; correct it, or take it out"
    )]
    Property(String),
    /// A property twice.
    #[error("`{0}` is there twice; say it once")]
    Twice(String),
    /// A property that has to be there.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A value that cannot be read.
    #[error("the value of `{0}` cannot be read, or has a parameter that does not go with it")]
    Value(String),
    /// A date or time that cannot be read.
    #[error(
        "`{0}` is no time that is read here: write `20261224`, `20261224T180000` or `20261224T180000Z`, from 1970 to 2099"
    )]
    Time(String),
    /// A local time on no clock.
    #[error(
        "a time without a zone means another hour for everybody: add TZID, write it in UTC (`…Z`), or say X-WR-TIMEZONE in the VCALENDAR"
    )]
    Floating,
    /// A zone that cannot be read.
    #[error("the time zone {0}")]
    Zone(String),
    /// Dates and times that do not go together.
    #[error(
        "`{0}` is written otherwise than DTSTART: both as dates or both as times, and DTEND in the same zone"
    )]
    Mixed(&'static str),
    /// No end, or one that is not after the start.
    #[error("has no length: add a DTEND after DTSTART, or a DURATION")]
    Length,
    /// Too long.
    #[error("lasts more than {max} days; end it, or let it recur", max = super::EVENT_DAYS_MAX)]
    Long,
    /// A recurrence rule that cannot be taken.
    #[error("the recurrence rule: {0}")]
    Rule(String),
    /// The first occurrence is not DTSTART.
    #[error(
        "DTSTART is not an occurrence of its own recurrence rule, and RFC 5545 leaves open what that means; begin at the first occurrence"
    )]
    Unsynchronized,
    /// An end of the rule that is not written as it must be.
    #[error(
        "UNTIL is a date where DTSTART is one, else a time in UTC (`…Z`), and not before DTSTART"
    )]
    Until,
    /// An exception to nothing.
    #[error("`{0}` names no occurrence, so it takes nothing away; correct it, or take it out")]
    NoOccurrence(&'static str),
    /// All following occurrences changed at once.
    #[error("RANGE is not read; end the series with UNTIL, and begin another")]
    Range,
    /// A status that is not known.
    #[error("STATUS is CONFIRMED, TENTATIVE or CANCELLED")]
    Status,
}
