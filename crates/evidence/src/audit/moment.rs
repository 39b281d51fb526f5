//! Times as logs tell them: an instant, or the two between which it lies. A local time without a
//! zone is read in a zone that somebody names; where a clock was put back, it names two instants, and where it was put forward, none.

use super::schema;
use countersign_domain::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use schemars::JsonSchema;
use serde::Serialize;

const DAY_MILLIS: i64 = 24 * 3600 * 1000;
/// The last second of the year 9999.
const MILLIS_MAX: i64 = 253_402_300_799_000;

/// When something happened, as precisely as its log tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub struct Moment {
    /// Not before.
    #[schemars(schema_with = "schema::time")]
    pub earliest: Timestamp,
    /// Not after.
    #[schemars(schema_with = "schema::time")]
    pub latest: Timestamp,
}

/// How two moments stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The one was first, or both were at once.
    NotAfter,
    /// The one came after the other.
    After,
    /// The clocks do not tell.
    Unclear,
}

impl Moment {
    /// Before anything, where a window has no beginning.
    pub(crate) const ALWAYS: Self = Self::exact(Timestamp::EPOCH);
    /// The end of the year 9999, where a window has no end.
    pub(crate) const NEVER: Self = Self::exact(Timestamp::from_unix_millis(MILLIS_MAX));

    /// One instant.
    #[must_use]
    pub const fn exact(at: Timestamp) -> Self {
        Self {
            earliest: at,
            latest: at,
        }
    }

    /// From RFC 3339, or from ISO 8601 with an offset as `+1000`. None where it is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(at) = Self::parse_utc(text.as_bytes()) {
            return Some(at);
        }
        let at = text
            .parse::<jiff::Timestamp>()
            .or_else(|_| jiff::Timestamp::strptime("%Y-%m-%dT%H:%M:%S%.f%z", text))
            .ok()?;
        Some(Self::exact(Timestamp::from_unix_millis(
            at.as_millisecond(),
        )))
    }

    /// From RFC 3339 as nearly all logs write it, in UTC with `Z`. None for any other form.
    pub(crate) fn parse_utc(text: &[u8]) -> Option<Self> {
        in_utc(text).map(|millis| Self::exact(Timestamp::from_unix_millis(millis)))
    }

    /// From milliseconds since 1970. None beyond the year 9999, and before 1970.
    #[must_use]
    pub fn of_millis(millis: i64) -> Option<Self> {
        (0..=MILLIS_MAX)
            .contains(&millis)
            .then(|| Self::exact(Timestamp::from_unix_millis(millis)))
    }

    /// From a local time without a zone, `YYYY-MM-DD HH:MM:SS` with any white space or `T`, read in
    /// `zone`. None where it is no such time.
    #[must_use]
    pub fn local(text: &str, zone: &TimeZone) -> Option<Self> {
        let short = text.as_bytes().try_into().ok();
        let local = match short.and_then(|short| civil(short, b' ')) {
            Some(local) => local,
            None => {
                let (date, time) = text.split_once(['T', ' '])?;
                let local = format!("{date}T{}", time.trim_start());
                local.parse::<DateTime>().ok()?
            }
        };
        let at = |offset: jiff::tz::Offset| {
            let at = offset.to_timestamp(local).ok()?;
            Some(Timestamp::from_unix_millis(at.as_millisecond()))
        };
        match zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => at(offset).map(Self::exact),
            AmbiguousOffset::Fold { before, after } | AmbiguousOffset::Gap { before, after } => {
                let (one, other) = (at(before)?, at(after)?);
                Some(Self {
                    earliest: one.min(other),
                    latest: one.max(other),
                })
            }
        }
    }

    /// How `self` stands to `other`, where their clocks may differ by so many seconds.
    #[must_use]
    pub fn order(&self, other: &Self, skew_seconds: i64) -> Order {
        if self.latest <= other.earliest.plus_seconds(skew_seconds) {
            Order::NotAfter
        } else if self.earliest > other.latest.plus_seconds(skew_seconds) {
            Order::After
        } else {
            Order::Unclear
        }
    }

    /// The day of its earliest instant, in days since 1970 in UTC.
    #[must_use]
    pub const fn day(&self) -> i64 {
        self.earliest.unix_millis().div_euclid(DAY_MILLIS)
    }

    /// How such a day is written: `YYYY-MM-DD`.
    #[must_use]
    pub fn day_name(day: i64) -> String {
        let begins = Timestamp::from_unix_millis(day.saturating_mul(DAY_MILLIS));
        begins.to_string().chars().take(10).collect()
    }
}

/// The milliseconds of `YYYY-MM-DDTHH:MM:SSZ`, with up to nine digits of a fraction, as nearly all logs
/// write times. None for any other form, which is for a parser of all forms to read.
fn in_utc(text: &[u8]) -> Option<i64> {
    let (text, rest) = text.split_first_chunk()?;
    let fraction = match rest {
        [b'Z'] => &[],
        [b'.', fraction @ .., b'Z'] if (1..=9).contains(&fraction.len()) => fraction,
        _ => return None,
    };
    let mut millis = 0;
    for (at, digit) in fraction.iter().enumerate() {
        let digit = i64::from(number(&[*digit])?);
        millis += [100, 10, 1].get(at).copied().unwrap_or(0) * digit;
    }
    let [year, month, day, hour, minute, second] = numbers(text, b'T')?;
    let is_date = (1970..9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day);
    if !is_date || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let [hour, minute, second] = [hour, minute, second].map(i64::from);
    let minutes = (days_since_1970(year, month, day) * 24 + hour) * 60 + minute;
    Some((minutes * 60 + second) * 1000 + millis)
}

/// The days of a month.
const fn days_of(year: i16, month: i16) -> i16 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// From the first day of 1970 to this one.
fn days_since_1970(year: i16, month: i16, day: i16) -> i64 {
    let [year, month, day] = [year, month, day].map(i64::from);
    // Years from March on: then the leap day is the last of its year.
    let (year, month) = match month {
        3.. => (year, month - 3),
        _ => (year - 1, month + 9),
    };
    let of_years = year * 365 + year / 4 - year / 100 + year / 400;
    of_years + (month * 153 + 2) / 5 + day - 719_469
}

/// `YYYY-MM-DD HH:MM:SS`, with this byte between date and time. None where it is no such time.
fn civil(text: &[u8; 19], between: u8) -> Option<DateTime> {
    let [year, rest @ ..] = numbers(text, between)?;
    let [month, day, hour, minute, second] = rest.map(|number| i8::try_from(number).ok());
    let date = Date::new(year, month?, day?).ok()?;
    let time = Time::new(hour?, minute?, second?, 0).ok()?;
    Some(date.to_datetime(time))
}

/// The numbers in `YYYY-MM-DD HH:MM:SS`, with this byte between date and time, whatever they are.
fn numbers(text: &[u8; 19], between: u8) -> Option<[i16; 6]> {
    let [
        y,
        yy,
        yyy,
        yyyy,
        b'-',
        o,
        oo,
        b'-',
        d,
        dd,
        t,
        h,
        hh,
        b':',
        m,
        mm,
        b':',
        s,
        ss,
    ] = *text
    else {
        return None;
    };
    let two = |one, other| number(&[one, other]);
    let (date, time) = (
        [number(&[y, yy, yyy, yyyy])?, two(o, oo)?, two(d, dd)?],
        [two(h, hh)?, two(m, mm)?, two(s, ss)?],
    );
    let ([year, month, day], [hour, minute, second]) = (date, time);
    (t == between).then_some([year, month, day, hour, minute, second])
}

/// A number of at most four digits.
fn number(digits: &[u8]) -> Option<i16> {
    let mut number = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number * 10 + i16::from(digit);
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::{Moment, Order, Timestamp, civil, in_utc};
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    proptest! {
        /// What is read in short is what the parser of all forms reads.
        #[test]
        fn a_time_in_utc_is_the_same_read_either_way(
            year in prop_oneof![Just(1969), Just(1970), Just(2026), Just(9998), Just(9999), 0..10_000],
            month in 0..14, day in 0..33, hour in 0..26, minute in 0..62, second in 0..62,
            fraction in "(|[.,][0-9]{0,10})",
            end in "(Z|z|[+]00:00|)",
        ) {
            let text = format!(
                "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{end}"
            );
            let local = text.replace('T', " ").chars().take(19).collect::<String>();
            if let Some(short) = local.as_bytes().try_into().ok().and_then(|short| civil(short, b' ')) {
                prop_assert_eq!(Some(short), local.replace(' ', "T").parse().ok());
                prop_assert!(Moment::local(&local, &TimeZone::UTC).is_some() || year > 9998);
            }
            let short = (1970..9999).contains(&year) && second < 60 && end == "Z"
                && (fraction.is_empty() || fraction.len() > 1 && fraction.starts_with('.'));
            if short {
                let parsed = text.parse::<jiff::Timestamp>().ok();
                prop_assert_eq!(in_utc(text.as_bytes()), parsed.map(|at| at.as_millisecond()));
            }
            if let Some(millis) = in_utc(text.as_bytes()) {
                let at: jiff::Timestamp = text.parse().unwrap();
                prop_assert_eq!(millis, at.as_millisecond());
                let moment = Moment::exact(Timestamp::from_unix_millis(millis));
                prop_assert_eq!(Moment::parse(&text), Some(moment));
            }
        }
    }

    #[test]
    fn a_time_in_utc_is_read_in_short() {
        assert_eq!(in_utc(b"1970-01-02T00:00:00.0019Z"), Some(86_400_001));
        for other in [
            "2026-02-29T00:00:00Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01T00:00:00",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00.Z",
            "1969-12-31T23:59:59.5Z",
        ] {
            assert_eq!(in_utc(other.as_bytes()), None, "{other}");
        }
    }

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").unwrap()
    }

    fn spread(text: &str) -> i64 {
        let moment = Moment::local(text, &berlin()).unwrap();
        moment.latest.seconds_since(moment.earliest)
    }

    #[test]
    fn offsets_are_read_in_both_forms() {
        let one = Moment::parse("2026-11-19T10:00:00+1000").unwrap();
        assert_eq!(one, Moment::parse("2026-11-19T00:00:00Z").unwrap());
        assert_eq!(one, Moment::parse("2026-11-19T10:00:00.000+10:00").unwrap());
        for wrong in ["", "2026-11-19", "2026-11-19T10:00:00", "yesterday"] {
            assert_eq!(Moment::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_hour_that_comes_twice_or_never_is_unclear() {
        assert_eq!(spread("2026-10-25  02:30:00"), 3600);
        assert_eq!(spread("2026-03-29 02:30:00"), 3600);
        assert_eq!(spread("2026-10-25 03:30:00"), 0);
        let twice = Moment::local("2026-10-25 02:30:00", &berlin()).unwrap();
        let within = Moment::parse("2026-10-25T01:00:00Z").unwrap();
        assert_eq!(twice.order(&within, 0), Order::Unclear);
        assert_eq!(within.order(&twice, 0), Order::Unclear);
        let after = Moment::parse("2026-10-25T01:30:01Z").unwrap();
        assert_eq!(after.order(&twice, 0), Order::After);
        assert_eq!(twice.order(&after, 0), Order::NotAfter);
    }

    #[test]
    fn skew_is_granted_to_the_first() {
        let one = Moment::parse("2026-01-01T00:00:05Z").unwrap();
        let other = Moment::parse("2026-01-01T00:00:00Z").unwrap();
        assert_eq!(one.order(&other, 5), Order::NotAfter);
        assert_eq!(one.order(&other, 4), Order::After);
    }
}
