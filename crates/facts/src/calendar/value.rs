//! Dates, times, lengths and lists of them, read strictly: what the grammar of RFC 5545 does not
//! say is refused, not guessed.

use super::error::Problem;
use super::file::Property;
use countersign_domain::text::shown;
use ical::recur::IcalRecurDateTime;
use ical::value::IcalValue;

/// The first year that a calendar's dates may name, and the first that they may not.
pub(super) const YEARS: std::ops::Range<i32> = 1970..2100;

/// A date or a time as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) local: IcalRecurDateTime,
    /// A whole day.
    pub(super) date: bool,
    /// Written in UTC.
    pub(super) utc: bool,
}

/// Reads `20261224`, `20261224T180000` or `20261224T180000Z`.
pub(super) fn written(text: &str, year_min: i32) -> Result<Written, Problem> {
    let wrong = || Problem::Time(shown(text, 40));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (day, time) = match text.split_once('T') {
        Some((day, time)) => (day, Some(time)),
        None => (text, None),
    };
    let utc = time.is_some_and(|time| time.ends_with('Z'));
    let clock = time.map(|time| time.strip_suffix('Z').unwrap_or(time));
    let shaped = day.len() == 8
        && digits(day)
        && clock.is_none_or(|clock| clock.len() == 6 && digits(clock));
    if !shaped {
        return Err(wrong());
    }
    let local = IcalRecurDateTime::parse(text).map_err(|_| wrong())?;
    if !(year_min..YEARS.end).contains(&local.year) || local.second > 59 {
        return Err(wrong());
    }
    Ok(Written {
        local,
        date: time.is_none(),
        utc,
    })
}

/// The text of a property with one date or time.
pub(super) fn single(property: &Property) -> Result<&str, Problem> {
    match &property.decoded.value {
        IcalValue::Date(date) => Ok(&date.0),
        IcalValue::DateTime(time) => Ok(&time.0),
        _ => Err(Problem::Value(property.shown_name())),
    }
}

/// The texts of a property with a list of dates or times.
pub(super) fn list(property: &Property) -> Result<Vec<&str>, Problem> {
    match &property.decoded.value {
        IcalValue::DateTimeList(texts) => Ok(texts.0.iter().map(AsRef::as_ref).collect()),
        _ => Ok(vec![single(property)?]),
    }
}

/// The text of a property, as it is.
pub(super) fn text(property: &Property) -> Result<&str, Problem> {
    match &property.decoded.value {
        IcalValue::Text(text) => Ok(&text.0),
        IcalValue::Unknown(unknown) => match unknown.components.as_slice() {
            [values] if values.len() == 1 => values
                .first()
                .map(AsRef::as_ref)
                .ok_or_else(|| Problem::Value(property.shown_name())),
            _ => Err(Problem::Value(property.shown_name())),
        },
        _ => Err(Problem::Value(property.shown_name())),
    }
}

/// A length in seconds: `PT4H`, `P1D`. Weeks and days are whole days here; what that means where a
/// clock changes is the event's.
pub(super) fn length(property: &Property) -> Result<i64, Problem> {
    let wrong = || Problem::Value(property.shown_name());
    let IcalValue::Duration(duration) = &property.decoded.value else {
        return Err(wrong());
    };
    if !duration
        .0
        .bytes()
        .all(|byte| b"+PWDTHMS0123456789".contains(&byte))
    {
        return Err(wrong());
    }
    duration.seconds().ok_or_else(wrong)
}
