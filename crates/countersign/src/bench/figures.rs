//! What was measured, as numbers, as a table, and as JSON.

use super::captured::Captured;
use super::check::Checked;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// One round.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Figures {
    /// Authorizations.
    pub(super) authorizations: usize,
    /// How long it took, in seconds.
    pub(super) seconds: f64,
    /// Authorizations per second.
    pub(super) per_second: f64,
    /// Half of them took at most so long, in milliseconds.
    pub(super) p50_ms: f64,
    /// 99 of 100 took at most so long, in milliseconds.
    pub(super) p99_ms: f64,
}

impl Figures {
    pub(super) fn of(mut latencies: Vec<Duration>, elapsed: Duration) -> Self {
        latencies.sort_unstable();
        let percentile = |percent: usize| {
            let rank = (latencies.len() * percent).div_ceil(100).max(1);
            let latency = latencies.get(rank - 1).copied().unwrap_or_default();
            rounded(latency.as_secs_f64() * 1000.0, 3)
        };
        let seconds = elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        Self {
            authorizations: latencies.len(),
            seconds: rounded(seconds, 3),
            per_second: rounded(latencies.len() as f64 / seconds, 1),
            p50_ms: percentile(50),
            p99_ms: percentile(99),
        }
    }

    /// Each figure the median of the rounds'; authorizations and seconds are their sums.
    pub(super) fn over(rounds: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(rounds.iter().map(figure).collect());
        Self {
            authorizations: rounds.iter().map(|round| round.authorizations).sum(),
            seconds: rounded(rounds.iter().map(|round| round.seconds).sum(), 3),
            per_second: of(|round| round.per_second),
            p50_ms: of(|round| round.p50_ms),
            p99_ms: of(|round| round.p99_ms),
        }
    }
}

pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let upper = values.get(values.len() / 2).copied();
    let lower = values.get(values.len().saturating_sub(1) / 2).copied();
    match (lower, upper) {
        (Some(lower), Some(upper)) => rounded((lower + upper) / 2.0, 3),
        _ => 0.0,
    }
}

pub(super) fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

/// What a round over HTTP is held against.
pub(super) struct Compared {
    pub(super) ceiling: Figures,
    pub(super) raw: Figures,
}

/// The rounds with one number of clients.
pub(super) struct Measured {
    pub(super) clients: u16,
    http: Vec<Figures>,
    ceiling: Vec<Figures>,
    raw: Vec<Figures>,
}

impl Measured {
    pub(super) const fn new(clients: u16) -> Self {
        Self {
            clients,
            http: Vec::new(),
            ceiling: Vec::new(),
            raw: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, http: Figures, compared: Option<Compared>) {
        self.http.push(http);
        if let Some(compared) = compared {
            self.ceiling.push(compared.ceiling);
            self.raw.push(compared.raw);
        }
    }
}

/// Medians with one number of clients.
#[derive(Debug, Serialize)]
struct Medians {
    http: Figures,
    #[serde(skip_serializing_if = "Option::is_none")]
    ceiling: Option<Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<Figures>,
    /// HTTP to ceiling, authorizations per second: the median of the rounds' own ratios.
    #[serde(skip_serializing_if = "Option::is_none")]
    http_to_ceiling: Option<f64>,
}

impl Medians {
    fn of(measured: &Measured) -> Self {
        let over = |rounds: &[Figures]| (!rounds.is_empty()).then(|| Figures::over(rounds));
        let ratios: Vec<f64> = measured
            .http
            .iter()
            .zip(&measured.ceiling)
            .map(|(http, ceiling)| http.per_second / ceiling.per_second.max(f64::MIN_POSITIVE))
            .collect();
        Self {
            http: Figures::over(&measured.http),
            ceiling: over(&measured.ceiling),
            raw: over(&measured.raw),
            http_to_ceiling: (!ratios.is_empty()).then(|| rounded(median(ratios), 2)),
        }
    }
}

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    what: &'static str,
    version: &'static str,
    cores: usize,
    rounds: usize,
    entries_per_authorization: usize,
    bytes_per_authorization: usize,
    clients: BTreeMap<u16, Medians>,
    checked: Checked,
}

const WHAT: &str = "P1: proposal with its plan to warrant with inclusion proof, over HTTP/1.1 on loopback, \
    load generator in the same process; starter policy; SQLite, synchronous=FULL; medians of the rounds. \
    Ceiling: the same entries in the same two commits, one decision and the signatures each. \
    Raw: the same bytes in groups of as many authorizations as clients";

impl Report {
    pub(super) fn new(measured: Vec<Measured>, captured: &[Captured], checked: Checked) -> Self {
        let sample = captured.first();
        Self {
            what: WHAT,
            version: env!("CARGO_PKG_VERSION"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            rounds: measured.first().map_or(0, |measured| measured.http.len()),
            entries_per_authorization: sample.map_or(0, |captured| captured.entries().count()),
            bytes_per_authorization: sample
                .map_or(0, |captured| captured.entries().map(<[u8]>::len).sum()),
            clients: measured
                .iter()
                .map(|measured| (measured.clients, Medians::of(measured)))
                .collect(),
            checked,
        }
    }
}

impl super::Figured for Report {
    fn table(&self) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
        table.set_header([
            "clients",
            "path",
            "per second",
            "p50 ms",
            "p99 ms",
            "seconds",
            "of ceiling",
        ]);
        for (clients, medians) in &self.clients {
            let paths = [
                ("http", Some(&medians.http)),
                ("ceiling", medians.ceiling.as_ref()),
                ("raw", medians.raw.as_ref()),
            ];
            for (path, figures) in paths {
                let Some(figures) = figures else { continue };
                let ratio = medians.http_to_ceiling.filter(|_| path == "http");
                table.add_row([
                    clients.to_string(),
                    path.to_owned(),
                    format!("{:.0}", figures.per_second),
                    format!("{:.2}", figures.p50_ms),
                    format!("{:.2}", figures.p99_ms),
                    format!("{:.1}", figures.seconds),
                    ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
                ]);
            }
        }
        let mut text = format!("{}.\n\n{table}\n\n", self.what);
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "countersign {}, {} cores, {} rounds; {} entries, {} bytes an authorization\n\
             checked: {:?}",
            self.version,
            self.cores,
            self.rounds,
            self.entries_per_authorization,
            self.bytes_per_authorization,
            self.checked
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Figures, median};
    use std::time::Duration;

    #[test]
    fn percentiles_are_ranks_of_what_was_measured() {
        let latencies = (1..=200).rev().map(Duration::from_millis).collect();
        let figures = Figures::of(latencies, Duration::from_secs(4));
        assert_eq!((figures.authorizations, figures.per_second), (200, 50.0));
        assert_eq!((figures.p50_ms, figures.p99_ms), (100.0, 198.0));
        let one = Figures::of(vec![Duration::from_millis(7)], Duration::from_secs(1));
        assert_eq!((one.p50_ms, one.p99_ms), (7.0, 7.0));
    }

    #[test]
    fn medians_do_not_follow_one_bad_round() {
        assert_eq!(median(vec![900.0, 2.0, 3.0]), 3.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
