//! Recurrence rules, read strictly: the library passes over what it does not know, and a freeze that
//! recurs by a word nobody understood must not vanish.

use super::error::Problem;
use super::file::Property;
use super::value::{self, Written};
use countersign_domain::text::shown;
use ical::recur::{IcalRecurFreq, IcalRecurRule};
use ical::value::IcalValue;
use std::collections::BTreeSet;

/// Occurrences of a counted rule at most.
const COUNT_MAX: u32 = 10_000;
/// The largest step of a rule.
const INTERVAL_MAX: u32 = 1_000;

/// The parts that are understood.
const PARTS: [&str; 14] = [
    "FREQ",
    "UNTIL",
    "COUNT",
    "INTERVAL",
    "BYSECOND",
    "BYMINUTE",
    "BYHOUR",
    "BYDAY",
    "BYMONTHDAY",
    "BYYEARDAY",
    "BYWEEKNO",
    "BYMONTH",
    "BYSETPOS",
    "WKST",
];

/// A rule, and its end as it is written: on which clock, the event knows.
pub(super) struct Rule {
    pub(super) rule: IcalRecurRule,
    pub(super) until: Option<Written>,
}

/// Reads an RRULE.
pub(super) fn read(property: &Property) -> Result<Rule, Problem> {
    let IcalValue::Recur(recur) = &property.decoded.value else {
        return Err(Problem::Value(property.shown_name()));
    };
    let text = recur.0.as_ref();
    let wrong = |problem: String| Problem::Rule(problem);
    let mut seen = BTreeSet::new();
    let mut until = None;
    for part in text.split(';') {
        let (name, content) = part
            .split_once('=')
            .ok_or_else(|| wrong(format!("`{}` is no part of a rule", shown(part, 40))))?;
        let name = name.to_ascii_uppercase();
        if !PARTS.contains(&name.as_str()) {
            return Err(wrong(format!("`{}` is not understood", shown(&name, 40))));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-".contains(&byte);
        if content
            .split(',')
            .any(|item| item.is_empty() || !item.bytes().all(plain))
        {
            return Err(wrong(format!(
                "`{}` has a value that cannot be read",
                shown(&name, 40)
            )));
        }
        if name == "UNTIL" {
            until = Some(value::written(content, 0)?);
        }
        if !seen.insert(name) {
            return Err(wrong(format!("`{}` says a part twice", shown(text, 80))));
        }
    }
    let mut rule = IcalRecurRule::parse(text)
        .map_err(|_| wrong(format!("`{}` cannot be read", shown(text, 80))))?;
    if let Some(problem) = rule.problems().first() {
        return Err(wrong(problem.to_string()));
    }
    if matches!(rule.freq, IcalRecurFreq::Secondly | IcalRecurFreq::Minutely)
        || [&rule.by_minute, &rule.by_second]
            .into_iter()
            .any(|part| distinct(part) > 1)
    {
        return Err(wrong(
            "recurs more often than every hour; give one event its whole length".into(),
        ));
    }
    if rule.by_second.contains(&60) {
        return Err(wrong("names a leap second".into()));
    }
    if rule.interval > INTERVAL_MAX {
        return Err(wrong(format!("INTERVAL is at most {INTERVAL_MAX}")));
    }
    if rule
        .count
        .is_some_and(|count| !(1..=COUNT_MAX).contains(&count))
    {
        return Err(wrong(format!("COUNT is from 1 to {COUNT_MAX}")));
    }
    if rule.by_day.iter().any(|day| {
        day.ordinal
            .is_some_and(|ordinal| !(1..=53).contains(&ordinal.unsigned_abs()))
    }) {
        return Err(wrong("BYDAY counts from 1 to 53".into()));
    }
    rule.until = None;
    Ok(Rule { rule, until })
}

fn distinct(part: &[u8]) -> usize {
    part.iter().collect::<BTreeSet<_>>().len()
}
