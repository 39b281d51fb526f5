//! The shapes of the HTML report's charts: whole numbers in a box of 1000 by 1000, and the words that
//! say the same. Knows no markup.

use crate::audit::reason::Verdict;
use crate::audit::report::{ActionFound, Coverage, Report};
use countersign_domain::Timestamp;
use jiff::ToSpan as _;
use jiff::civil::Date;

/// How wide and high a chart's box is.
const BOX: u64 = 1000;
/// Bars that a chart has at most; days are drawn together where there are more.
const BARS_MAX: i64 = 62;
/// Columns that the table of coverage has at most.
const COLUMNS_MAX: i64 = 31;
/// The verdicts, the worst first.
pub(super) const VERDICTS: [Verdict; 3] = [Verdict::Ungoverned, Verdict::Partial, Verdict::Clean];

/// A piece of a bar.
pub(super) struct Piece {
    pub(super) class: &'static str,
    pub(super) x: u64,
    pub(super) y: u64,
    pub(super) width: u64,
    pub(super) height: u64,
}

/// Days that are drawn together, and what happened on them.
pub(super) struct Bar {
    pub(super) days: String,
    /// Ungoverned, partial, clean.
    pub(super) counts: [u64; 3],
    pub(super) pieces: Vec<Piece>,
}

/// Actions by day.
pub(super) struct ByDay {
    pub(super) bars: Vec<Bar>,
    pub(super) most: u64,
    pub(super) days_in_a_bar: i64,
}

/// A source's rows on the days of the period.
pub(super) struct Heat {
    pub(super) source: &'static str,
    pub(super) cells: Vec<Cell>,
    pub(super) outside: u64,
}

/// The rows of one source on some days.
pub(super) struct Cell {
    pub(super) rows: u64,
    /// From 0, nothing, to 4, the most.
    pub(super) step: u64,
}

/// The period, in equal stretches of days.
struct Stretches {
    first: Date,
    count: usize,
    days: i64,
}

impl Stretches {
    /// None where the period has no days.
    fn of(report: &Report, count_max: i64) -> Option<Self> {
        let first = date(report.since)?;
        let days = days_between(first, date(report.until)?)? + 1;
        if days < 1 {
            return None;
        }
        let each = (days + count_max - 1) / count_max;
        Some(Self {
            first,
            count: usize::try_from((days + each - 1) / each).ok()?,
            days: each,
        })
    }

    fn at(&self, day: Date) -> Option<usize> {
        let at = days_between(self.first, day).filter(|at| *at >= 0)?;
        usize::try_from(at / self.days)
            .ok()
            .filter(|at| *at < self.count)
    }

    fn named(&self, at: usize) -> String {
        let begins = i64::try_from(at).ok().and_then(|at| {
            let after = at.checked_mul(self.days)?;
            self.first.checked_add(after.days()).ok()
        });
        let Some(begins) = begins else {
            return String::new();
        };
        match begins.checked_add((self.days - 1).days()) {
            Ok(ends) if ends > begins => format!("{begins} to {ends}"),
            _ => begins.to_string(),
        }
    }
}

/// The verdicts as one bar.
pub(super) fn verdicts(report: &Report) -> Vec<Piece> {
    let counts = &report.counts;
    let all = counts.autonomous.max(1);
    let mut x = 0;
    let mut pieces = Vec::new();
    for (verdict, count) in [
        (Verdict::Ungoverned, counts.ungoverned),
        (Verdict::Partial, counts.partial),
        (Verdict::Clean, counts.clean),
    ] {
        if count == 0 {
            continue;
        }
        // Whatever there is can be seen.
        let width = share(count, all).max(6).min(BOX.saturating_sub(x));
        pieces.push(Piece {
            class: verdict.as_str(),
            x,
            y: 0,
            width,
            height: BOX,
        });
        x += width;
    }
    if let Some(last) = pieces.last_mut() {
        last.width = BOX.saturating_sub(last.x);
    }
    pieces
}

/// The autonomous actions by day and verdict.
pub(super) fn by_day(report: &Report) -> Option<ByDay> {
    let stretches = Stretches::of(report, BARS_MAX)?;
    let mut counts = vec![[0_u64; 3]; stretches.count];
    for found in report.autonomous() {
        let slot = day_of(found)
            .and_then(|day| stretches.at(day))
            .and_then(|at| counts.get_mut(at));
        let number = VERDICTS
            .iter()
            .position(|verdict| Some(*verdict) == found.verdict);
        if let (Some(slot), Some(number)) = (slot, number)
            && let Some(count) = slot.get_mut(number)
        {
            *count += 1;
        }
    }
    let most: u64 = counts.iter().map(|three| three.iter().sum()).max()?;
    let step = BOX / u64::try_from(stretches.count).ok()?.max(1);
    let bars = counts
        .into_iter()
        .enumerate()
        .map(|(at, counts)| {
            let x = u64::try_from(at).unwrap_or_default() * step;
            Bar {
                days: stretches.named(at),
                counts,
                pieces: stacked(counts, x, step, most.max(1)),
            }
        })
        .collect();
    Some(ByDay {
        bars,
        most,
        days_in_a_bar: stretches.days,
    })
}

/// The worst at the bottom, where bars can be compared.
fn stacked(counts: [u64; 3], x: u64, step: u64, most: u64) -> Vec<Piece> {
    let mut top = BOX;
    let mut pieces = Vec::new();
    for (verdict, count) in VERDICTS.iter().zip(counts) {
        if count == 0 {
            continue;
        }
        let height = share(count, most).max(8).min(top);
        top -= height;
        pieces.push(Piece {
            class: verdict.as_str(),
            x: x + step / 10,
            y: top,
            width: (step - step / 5).max(1),
            height,
        });
    }
    pieces
}

/// The days of the columns of [`heat`].
pub(super) fn columns(report: &Report) -> Vec<String> {
    Stretches::of(report, COLUMNS_MAX).map_or_else(Vec::new, |stretches| {
        (0..stretches.count).map(|at| stretches.named(at)).collect()
    })
}

/// How much there was of each source on each day of the period.
pub(super) fn heat(report: &Report) -> Vec<Heat> {
    let Some(stretches) = Stretches::of(report, COLUMNS_MAX) else {
        return Vec::new();
    };
    report
        .coverage
        .iter()
        .map(|coverage| row(coverage, &stretches))
        .collect()
}

fn row(coverage: &Coverage, stretches: &Stretches) -> Heat {
    let mut rows = vec![0_u64; stretches.count];
    let mut outside = 0;
    for (day, count) in &coverage.days {
        let at = day.parse().ok().and_then(|day| stretches.at(day));
        match at.and_then(|at| rows.get_mut(at)) {
            Some(slot) => *slot += count,
            None => outside += count,
        }
    }
    let most = rows.iter().copied().max().unwrap_or_default().max(1);
    Heat {
        source: coverage.format.as_str(),
        cells: rows
            .into_iter()
            .map(|rows| Cell {
                rows,
                step: (rows.saturating_mul(4)).div_ceil(most),
            })
            .collect(),
        outside,
    }
}

/// How much of a chart's box `count` of `all` is.
pub(super) fn share(count: u64, all: u64) -> u64 {
    count.saturating_mul(BOX) / all.max(1)
}

fn day_of(found: &ActionFound) -> Option<Date> {
    date(found.action.started.earliest)
}

fn date(at: Timestamp) -> Option<Date> {
    let day: String = at.to_string().chars().take(10).collect();
    day.parse().ok()
}

fn days_between(first: Date, last: Date) -> Option<i64> {
    Some(i64::from(first.until(last).ok()?.get_days()))
}
