//! One event: when it holds, on which clock, and again when. Reads it whole or refuses it.

use super::error::Problem;
use super::file::{self, Component, Property};
use super::value::{self, Written};
use super::zone::Clock;
use super::{EVENT_DAYS_MAX, Kind, rule};
use countersign_domain::text::shown;
use ical::prop::IcalPropKind;
use ical::recur::expand::IcalRecurExpand;
use ical::recur::set::IcalRecurSet;
use ical::recur::{IcalRecurDateTime, IcalRecurFreq};
use std::collections::{BTreeMap, BTreeSet};

const DAY: i64 = 86_400;

/// Calendars end here.
const END: IcalRecurDateTime = IcalRecurDateTime::date(value::YEARS.end, 1, 1);

/// A time from which, and one until which an event holds, in seconds since the epoch.
pub(super) type Span = (i64, i64);

/// An event with its occurrences.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) uid: String,
    pub(super) summary: String,
    clock: Clock,
    whole_days: bool,
    seconds: i64,
    set: IcalRecurSet,
}

impl Event {
    /// How many days (hours, for an hourly rule) are looked at to answer a question in the last year.
    pub(super) fn work(&self) -> u64 {
        let Some((rule, start)) = self.set.rules.first().zip(self.set.start) else {
            return 1 + self.set.dates.len() as u64;
        };
        let end = rule.until.map_or(END, |until| until.min(END));
        let step = if rule.freq == IcalRecurFreq::Hourly {
            3_600
        } else {
            DAY
        };
        u64::try_from((end.seconds() - start.seconds()) / step).unwrap_or(0)
    }

    /// Every span that reaches into the time from `from` to `to`.
    pub(super) fn spans(&self, kind: Kind, from: i64, to: i64, mut each: impl FnMut(Span)) {
        // A local time is less than two days from the instant that it names.
        let last = IcalRecurDateTime::from_seconds(to.saturating_add(2 * DAY));
        let mut set = self.set.clone();
        for rule in &mut set.rules {
            rule.until = Some(rule.until.map_or(last, |until| until.min(last)));
        }
        let mut clock = self.clock.clone();
        for occurrence in set.expand().take_while(|occurrence| occurrence.id <= last) {
            if occurrence.id.seconds() + self.seconds + 2 * DAY < from {
                continue;
            }
            let span = self.span(kind, &mut clock, occurrence.id);
            if span.0 < span.1 && span.0 < to && span.1 > from {
                each(span);
            }
        }
    }

    /// INVARIANT (strictest wins): where a clock change leaves two readings of a start, an end or a
    /// length, a window takes the shorter and a freeze the longer.
    fn span(&self, kind: Kind, clock: &mut Clock, local: IcalRecurDateTime) -> Span {
        let begins = clock.readings(local);
        let ends = clock.readings(IcalRecurDateTime::from_seconds(
            local.seconds() + self.seconds,
        ));
        match (kind, self.whole_days) {
            (Kind::Window, true) => (begins.latest, ends.earliest),
            (Kind::Freeze, true) => (begins.earliest, ends.latest),
            (Kind::Window, false) => {
                let exactly = begins.latest.saturating_add(self.seconds);
                (begins.latest, ends.earliest.min(exactly))
            }
            (Kind::Freeze, false) => {
                let exactly = begins.earliest.saturating_add(self.seconds);
                (begins.earliest, ends.latest.max(exactly))
            }
        }
    }
}

/// What is wrong, at which line, with which event.
pub(super) type Wrong = (usize, Option<String>, Problem);

/// The zones of one file.
pub(super) struct Zones<'a> {
    own: &'a [Component],
    floating: Option<String>,
    known: BTreeMap<String, Clock>,
}

impl<'a> Zones<'a> {
    pub(super) const fn new(own: &'a [Component], floating: Option<String>) -> Self {
        Self {
            own,
            floating,
            known: BTreeMap::new(),
        }
    }

    fn clock(&mut self, name: &ClockName) -> Result<Clock, Problem> {
        let ClockName::Zone(name) = name else {
            return Ok(Clock::Utc);
        };
        if let Some(clock) = self.known.get(name) {
            return Ok(clock.clone());
        }
        let clock = Clock::named(name, self.own)?;
        self.known.insert(name.clone(), clock.clone());
        Ok(clock)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum ClockName {
    Utc,
    Zone(String),
}

/// A time, and the clock that it is written on.
#[derive(Debug, Clone)]
struct Time {
    written: Written,
    clock: ClockName,
}

fn times(property: &Property, texts: &[&str], zones: &Zones<'_>) -> Result<Vec<Time>, Problem> {
    let (zone, date) = file::time_parameters(property)?;
    texts
        .iter()
        .map(|text| {
            let written = value::written(text, value::YEARS.start)?;
            // A date says that it is one, and neither a date nor UTC has a zone.
            if date.unwrap_or(false) != written.date
                || (zone.is_some() && (written.date || written.utc))
            {
                return Err(Problem::Value(property.shown_name()));
            }
            let clock = match (written.utc, zone.or(zones.floating.as_deref())) {
                (true, _) => ClockName::Utc,
                (false, Some(zone)) => ClockName::Zone(zone.to_owned()),
                (false, None) => return Err(Problem::Floating),
            };
            Ok(Time { written, clock })
        })
        .collect()
}

fn time(property: &Property, zones: &Zones<'_>) -> Result<Time, Problem> {
    let texts = [value::single(property)?];
    let read = times(property, &texts, zones)?;
    read.into_iter()
        .next()
        .ok_or_else(|| Problem::Value(property.shown_name()))
}

/// What a VEVENT says, before it is put together with those that change its occurrences.
struct Draft<'a> {
    component: &'a Component,
    uid: String,
    summary: String,
    status: Status,
    start: Time,
    seconds: i64,
    changes: Option<Time>,
    rule: Option<rule::Rule>,
    more: Vec<Time>,
    less: Vec<Time>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Confirmed,
    Tentative,
    Cancelled,
}

/// Reads the events of one file, cancelled ones left out.
pub(super) fn read_all(
    kind: Kind,
    components: &[Component],
    zones: &mut Zones<'_>,
) -> Result<Vec<Event>, Wrong> {
    let mut series = Vec::new();
    let mut changes: BTreeMap<String, Vec<Time>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for component in components {
        let uid = component
            .text_of(IcalPropKind::Uid)
            .unwrap_or_default()
            .to_owned();
        let draft = draft(component, &uid, zones)?;
        match &draft.changes {
            Some(changed) => changes.entry(uid).or_default().push(changed.clone()),
            None if !seen.insert(uid) => {
                return Err((
                    component.line,
                    Some(draft.uid),
                    Problem::Twice("UID".into()),
                ));
            }
            None => {}
        }
        series.push(draft);
    }
    let mut events = Vec::new();
    for draft in series {
        let counts = match (draft.status, kind) {
            (Status::Confirmed, _) | (Status::Tentative, Kind::Freeze) => true,
            // INVARIANT (strictest wins): what is not sure opens no window.
            (Status::Tentative, Kind::Window) | (Status::Cancelled, _) => false,
        };
        let changed = match draft.changes {
            None => changes.remove(
                draft
                    .component
                    .text_of(IcalPropKind::Uid)
                    .unwrap_or_default(),
            ),
            Some(_) => None,
        };
        let (line, uid) = (draft.component.line, draft.uid.clone());
        let event = event(draft, changed.unwrap_or_default(), zones)
            .map_err(|problem| (line, Some(uid), problem))?;
        if counts {
            events.push(event);
        }
    }
    Ok(events)
}

fn draft<'a>(component: &'a Component, uid: &str, zones: &Zones<'_>) -> Result<Draft<'a>, Wrong> {
    let shown_uid = shown(uid, 80);
    let event = || (!uid.is_empty()).then(|| shown_uid.clone());
    let whole = |problem| (component.line, event(), problem);
    if uid.is_empty() {
        return Err(whole(Problem::Missing("UID")));
    }
    let mut found: BTreeMap<&'static str, &Property> = BTreeMap::new();
    let (mut more, mut less) = (Vec::new(), Vec::new());
    for property in &component.properties {
        let at = |problem| (property.line, event(), problem);
        match property.kind() {
            Some(IcalPropKind::RDate | IcalPropKind::ExDate) => {
                let texts = value::list(property).map_err(at)?;
                let read = times(property, &texts, zones).map_err(at)?;
                if property.kind() == Some(IcalPropKind::RDate) {
                    more.extend(read);
                } else {
                    less.extend(read);
                }
            }
            Some(kind) if single(kind) => {
                if found.insert(name(kind), property).is_some() {
                    return Err(at(Problem::Twice(property.shown_name())));
                }
            }
            Some(kind) if says_nothing_of_time(kind) => {}
            None if property.is_extension() => {}
            Some(_) | None => return Err(at(Problem::Property(property.shown_name()))),
        }
    }
    let read = |kind: IcalPropKind| -> Result<Option<Time>, Wrong> {
        let property = found.get(name(kind));
        property
            .map(|property| {
                time(property, zones).map_err(|problem| (property.line, event(), problem))
            })
            .transpose()
    };
    let start = read(IcalPropKind::DtStart)?.ok_or_else(|| whole(Problem::Missing("DTSTART")))?;
    let end = read(IcalPropKind::DtEnd)?;
    let duration = found
        .get(name(IcalPropKind::Duration))
        .map(|property| {
            value::length(property).map_err(|problem| (property.line, event(), problem))
        })
        .transpose()?;
    let rule = found
        .get(name(IcalPropKind::RRule))
        .map(|property| rule::read(property).map_err(|problem| (property.line, event(), problem)))
        .transpose()?;
    let status = match found.get(name(IcalPropKind::Status)) {
        None => Status::Confirmed,
        Some(property) => match value::text(property)
            .map(str::to_ascii_uppercase)
            .as_deref()
        {
            Ok("CONFIRMED") => Status::Confirmed,
            Ok("TENTATIVE") => Status::Tentative,
            Ok("CANCELLED") => Status::Cancelled,
            _ => return Err((property.line, event(), Problem::Status)),
        },
    };
    let seconds = match seconds(&start, end.as_ref(), duration) {
        // What is cancelled is often left without its end.
        Err(Problem::Length) if status == Status::Cancelled => DAY,
        other => other.map_err(whole)?,
    };
    Ok(Draft {
        component,
        uid: shown_uid.clone(),
        summary: shown(
            component.text_of(IcalPropKind::Summary).unwrap_or_default(),
            80,
        ),
        status,
        start,
        seconds,
        changes: read(IcalPropKind::RecurrenceId)?,
        rule,
        more,
        less,
    })
}

/// Its properties of which there is one at most.
const fn single(kind: IcalPropKind) -> bool {
    !name(kind).is_empty()
}

const fn name(kind: IcalPropKind) -> &'static str {
    match kind {
        IcalPropKind::Uid => "UID",
        IcalPropKind::DtStart => "DTSTART",
        IcalPropKind::DtEnd => "DTEND",
        IcalPropKind::Duration => "DURATION",
        IcalPropKind::RRule => "RRULE",
        IcalPropKind::RecurrenceId => "RECURRENCE-ID",
        IcalPropKind::Status => "STATUS",
        _ => "",
    }
}

/// What an event may say besides. Anything else might change when it holds.
const fn says_nothing_of_time(kind: IcalPropKind) -> bool {
    matches!(
        kind,
        IcalPropKind::Attach
            | IcalPropKind::Attendee
            | IcalPropKind::Categories
            | IcalPropKind::Class
            | IcalPropKind::Color
            | IcalPropKind::Comment
            | IcalPropKind::Conference
            | IcalPropKind::Contact
            | IcalPropKind::Created
            | IcalPropKind::Description
            | IcalPropKind::DtStamp
            | IcalPropKind::Geo
            | IcalPropKind::Image
            | IcalPropKind::LastModified
            | IcalPropKind::Location
            | IcalPropKind::Organizer
            | IcalPropKind::Priority
            | IcalPropKind::RelatedTo
            | IcalPropKind::RequestStatus
            | IcalPropKind::Resources
            | IcalPropKind::Sequence
            | IcalPropKind::Summary
            | IcalPropKind::Transp
            | IcalPropKind::Url
    )
}

/// How long it holds, by the clock on the wall.
fn seconds(start: &Time, end: Option<&Time>, duration: Option<i64>) -> Result<i64, Problem> {
    let seconds = match (end, duration) {
        (Some(_), Some(_)) => return Err(Problem::Twice("DTEND and DURATION".into())),
        (Some(end), None) => {
            if end.written.date != start.written.date || end.clock != start.clock {
                return Err(Problem::Mixed("DTEND"));
            }
            end.written.local.seconds() - start.written.local.seconds()
        }
        (None, Some(seconds)) if start.written.date && seconds % DAY != 0 => {
            return Err(Problem::Mixed("DURATION"));
        }
        (None, Some(seconds)) => seconds,
        (None, None) if start.written.date => DAY,
        (None, None) => 0,
    };
    match seconds {
        ..=0 => Err(Problem::Length),
        _ if seconds > EVENT_DAYS_MAX * DAY => Err(Problem::Long),
        _ => Ok(seconds),
    }
}

fn event(draft: Draft<'_>, changed: Vec<Time>, zones: &mut Zones<'_>) -> Result<Event, Problem> {
    let clock = zones.clock(&draft.start.clock)?;
    let start = draft.start.written;
    if draft.changes.is_some() && (draft.rule.is_some() || !draft.more.is_empty()) {
        return Err(Problem::Rule(
            "an event with RECURRENCE-ID does not recur itself".into(),
        ));
    }
    let mut told = |time: &Time, property: &'static str| {
        if time.written.date != start.date {
            return Err(Problem::Mixed(property));
        }
        if time.clock == draft.start.clock {
            return Ok(time.written.local);
        }
        let instant = zones
            .clock(&time.clock)?
            .readings(time.written.local)
            .written;
        Ok(clock.local(instant))
    };
    let mut dates = draft
        .more
        .iter()
        .map(|time| told(time, "RDATE"))
        .collect::<Result<Vec<_>, _>>()?;
    dates.sort_unstable();
    dates.dedup();
    let exceptions = draft.less.iter().map(|time| (time, "EXDATE"));
    let changes = changed.iter().map(|time| (time, "RECURRENCE-ID"));
    let less = exceptions
        .chain(changes)
        .map(|(time, property)| Ok((told(time, property)?, property)))
        .collect::<Result<BTreeMap<_, _>, Problem>>()?;
    if let Some(time) = &draft.changes {
        told(time, "RECURRENCE-ID")?;
    }
    let rules = match draft.rule {
        Some(rule) => vec![bounded(rule, start, &clock)?],
        None => Vec::new(),
    };
    let mut set = IcalRecurSet {
        start: Some(start.local),
        rules,
        dates,
        ..IcalRecurSet::default()
    };
    excepted(&set, less.clone())?;
    set.exdates = less.into_keys().collect();
    Ok(Event {
        uid: draft.uid,
        summary: draft.summary,
        clock,
        whole_days: start.date,
        seconds: draft.seconds,
        set,
    })
}

/// A rule with its end on the event's clock, which it begins with.
fn bounded(
    read: rule::Rule,
    start: Written,
    clock: &Clock,
) -> Result<ical::recur::IcalRecurRule, Problem> {
    let rule::Rule { mut rule, until } = read;
    let until = match until {
        None => END,
        Some(until) if until.date != start.date => return Err(Problem::Until),
        Some(until) if until.date => until.local,
        Some(until) if !until.utc => return Err(Problem::Until),
        Some(until) => clock.local(until.local.seconds()),
    };
    if until < start.local {
        return Err(Problem::Until);
    }
    rule.until = Some(until.min(END));
    if IcalRecurExpand::new(rule.clone(), start.local).next() == Some(start.local) {
        Ok(rule)
    } else {
        Err(Problem::Unsynchronized)
    }
}

/// Every exception takes an occurrence away.
fn excepted(
    set: &IcalRecurSet,
    mut less: BTreeMap<IcalRecurDateTime, &'static str>,
) -> Result<(), Problem> {
    if let Some(last) = less.last_key_value().map(|(last, _)| *last) {
        for occurrence in set.expand().take_while(|occurrence| occurrence.id <= last) {
            less.remove(&occurrence.id);
        }
    }
    match less.into_values().next() {
        None => Ok(()),
        Some(property) => Err(Problem::NoOccurrence(property)),
    }
}
