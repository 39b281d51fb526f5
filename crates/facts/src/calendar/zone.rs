//! Clocks: what instant a local time names, in UTC, in a zone of the IANA database, or in one that
//! the calendar defines itself (VTIMEZONE). Where a clock skips or repeats a time, both readings are
//! given; which one counts is decided by whoever asks.

use super::error::Problem;
use super::file::{Component, Property};
use super::{rule, value};
use ical::prop::IcalPropKind;
use ical::recur::set::IcalRecurSet;
use ical::recur::{IcalRecurDateTime, IcalRecurFreq};
use ical::tz::{IcalTz, IcalTzObservance, IcalTzOffset, IcalTzTransitions};
use ical::value::IcalValue;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

/// Observances of one zone at most.
const OBSERVANCES_MAX: usize = 100;

/// The last year of which a zone is asked.
const YEAR_MAX: i32 = 2101;

/// What a local time names, in seconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Readings {
    pub(super) earliest: i64,
    pub(super) latest: i64,
    /// As RFC 5545 reads a written time: the first of two, and in a gap by the offset before it.
    pub(super) written: i64,
}

impl Readings {
    fn of(local: i64, before: i32, after: i32) -> Self {
        let (before, after) = (local - i64::from(before), local - i64::from(after));
        Self {
            earliest: before.min(after),
            latest: before.max(after),
            written: before,
        }
    }
}

/// A clock that times are written on.
#[derive(Debug, Clone)]
pub(super) enum Clock {
    Utc,
    Named(TimeZone),
    /// Of the file's own making, with its transitions up to [`YEAR_MAX`].
    Own(Box<(IcalTz, IcalTzTransitions)>),
}

impl Clock {
    /// The clock of this name: of the IANA database, else of the file's own zones.
    pub(super) fn named(name: &str, zones: &[Component]) -> Result<Self, Problem> {
        if let Ok(zone) = TimeZoneDatabase::bundled().get(name) {
            return Ok(Self::Named(zone));
        }
        let mut own = zones.iter().filter(|zone| zone.tzid() == Some(name));
        match (own.next(), own.next()) {
            (Some(zone), None) => own_zone(name, zone),
            (Some(_), Some(_)) => Err(Problem::Zone("is defined twice".into())),
            (None, _) => Err(Problem::Zone(format!(
                "`{}` is neither a name of the IANA database, such as `Europe/Berlin`, nor defined by a VTIMEZONE of the file",
                countersign_domain::text::shown(name, 60)
            ))),
        }
    }

    /// What this local time names.
    pub(super) fn readings(&mut self, local: IcalRecurDateTime) -> Readings {
        let seconds = local.seconds();
        match self {
            Self::Utc => Readings::of(seconds, 0, 0),
            Self::Named(zone) => {
                match civil(local).map(|civil| zone.to_ambiguous_timestamp(civil).offset()) {
                    Some(AmbiguousOffset::Unambiguous { offset }) => {
                        Readings::of(seconds, offset.seconds(), offset.seconds())
                    }
                    Some(
                        AmbiguousOffset::Gap { before, after }
                        | AmbiguousOffset::Fold { before, after },
                    ) => Readings::of(seconds, before.seconds(), after.seconds()),
                    // Years are bounded before: unreachable, and then read as every offset there is.
                    None => Readings::of(seconds, 86_400, -86_400),
                }
            }
            Self::Own(own) => match own.1.resolve(local) {
                IcalTzOffset::One(offset) => Readings::of(seconds, offset, offset),
                IcalTzOffset::Gap { before, after } => Readings::of(seconds, before, after),
                IcalTzOffset::Fold { earlier, later } => Readings::of(seconds, earlier, later),
            },
        }
    }

    /// What this clock shows at an instant.
    pub(super) fn local(&self, instant: i64) -> IcalRecurDateTime {
        let offset = match self {
            Self::Utc => 0,
            Self::Named(zone) => jiff::Timestamp::from_second(instant)
                .map_or(0, |instant| zone.to_offset(instant).seconds()),
            Self::Own(own) => return own.0.local(instant),
        };
        IcalRecurDateTime::from_seconds(instant.saturating_add(i64::from(offset)))
    }
}

fn civil(local: IcalRecurDateTime) -> Option<jiff::civil::DateTime> {
    let small = |number: u8| i8::try_from(number).ok();
    jiff::civil::DateTime::new(
        i16::try_from(local.year).ok()?,
        small(local.month)?,
        small(local.day)?,
        small(local.hour)?,
        small(local.minute)?,
        small(local.second)?,
        0,
    )
    .ok()
}

/// A zone that the file defines. What is not understood of it is refused: the library would pass it
/// over.
fn own_zone(name: &str, zone: &Component) -> Result<Clock, Problem> {
    let wrong = |problem: &str| {
        Problem::Zone(format!(
            "`{}`: {problem}",
            countersign_domain::text::shown(name, 60)
        ))
    };
    if zone.children.is_empty() || zone.children.len() > OBSERVANCES_MAX {
        return Err(wrong(
            "a VTIMEZONE has from one to a hundred STANDARD and DAYLIGHT parts",
        ));
    }
    let observances = zone
        .children
        .iter()
        .map(|part| observance(part).map_err(|problem| wrong(&problem.to_string())))
        .collect::<Result<Vec<_>, _>>()?;
    let zone = IcalTz {
        id: name.to_owned(),
        observances,
    };
    let mut transitions = IcalTzTransitions::of_zone(zone.clone());
    transitions.resolve(IcalRecurDateTime::date(YEAR_MAX, 1, 1));
    Ok(Clock::Own(Box::new((zone, transitions))))
}

fn observance(part: &Component) -> Result<IcalTzObservance, Problem> {
    let daylight = match part.name.as_str() {
        "DAYLIGHT" => true,
        "STANDARD" => false,
        _ => return Err(Problem::Component(part.shown_name())),
    };
    let (mut from, mut to, mut start) = (None, None, None);
    let (mut rules, mut dates) = (Vec::new(), Vec::new());
    for property in &part.properties {
        match property.kind() {
            Some(IcalPropKind::TzOffsetFrom) => once(&mut from, property, offset)?,
            Some(IcalPropKind::TzOffsetTo) => once(&mut to, property, offset)?,
            Some(IcalPropKind::DtStart) => once(&mut start, property, onset)?,
            Some(IcalPropKind::RDate) => {
                for text in value::list(property)? {
                    dates.push(local(text)?);
                }
            }
            Some(IcalPropKind::RRule) => rules.push(property),
            Some(IcalPropKind::TzName | IcalPropKind::TzUrl | IcalPropKind::Comment) => {}
            _ if property.is_extension() => {}
            _ => return Err(Problem::Property(property.shown_name())),
        }
    }
    let missing = |name: &'static str| Problem::Missing(name);
    let from = from.ok_or_else(|| missing("TZOFFSETFROM"))?;
    let start = start.ok_or_else(|| missing("DTSTART"))?;
    let rules = rules
        .into_iter()
        .map(|property| {
            let mut rule = rule::read(property)?;
            if rule.rule.freq != IcalRecurFreq::Yearly || rule.rule.count.is_some() {
                return Err(Problem::Rule(
                    "a zone changes its offset by FREQ=YEARLY, without COUNT".into(),
                ));
            }
            if let Some(until) = rule.until {
                // INVARIANT (zones end where they say): UNTIL is in UTC, onsets in the offset before.
                let seconds = until.local.seconds() + if until.utc { i64::from(from) } else { 0 };
                rule.rule.until = Some(IcalRecurDateTime::from_seconds(seconds));
            }
            Ok(rule.rule)
        })
        .collect::<Result<Vec<_>, Problem>>()?;
    dates.sort_unstable();
    dates.dedup();
    Ok(IcalTzObservance {
        daylight,
        from,
        to: to.ok_or_else(|| missing("TZOFFSETTO"))?,
        onsets: IcalRecurSet {
            start: Some(start),
            rules,
            dates,
            ..IcalRecurSet::default()
        },
    })
}

fn once<T>(
    slot: &mut Option<T>,
    property: &Property,
    read: impl Fn(&Property) -> Result<T, Problem>,
) -> Result<(), Problem> {
    if slot.is_some() {
        return Err(Problem::Twice(property.shown_name()));
    }
    *slot = Some(read(property)?);
    Ok(())
}

fn offset(property: &Property) -> Result<i32, Problem> {
    match &property.decoded.value {
        IcalValue::UtcOffset(offset) => offset
            .seconds()
            .filter(|seconds| seconds.abs() < 86_400)
            .ok_or_else(|| Problem::Value(property.shown_name())),
        _ => Err(Problem::Value(property.shown_name())),
    }
}

fn onset(property: &Property) -> Result<IcalRecurDateTime, Problem> {
    local(value::single(property)?)
}

/// The local time of an onset; zones begin long before any calendar.
fn local(text: &str) -> Result<IcalRecurDateTime, Problem> {
    let written = value::written(text, 1600)?;
    if written.utc || written.date {
        return Err(Problem::Time(countersign_domain::text::shown(text, 40)));
    }
    Ok(written.local)
}
