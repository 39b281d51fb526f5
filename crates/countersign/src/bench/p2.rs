//! P2: the policy decision alone, with few and many rules: from facts to a decision with its rules,
//! duties and reasons. Beside it, the same with the digest of the facts, which the gate makes once
//! where it keeps them; and plain Cedar over the same rules, on requests that are ready.

use super::figures::rounded;
use super::{BenchError, Figured, failed};
use countersign_domain::plan::RollbackSource;
use countersign_domain::proposal::Category;
use countersign_domain::{Outcome, PersonId, canonical};
use countersign_policy::sheet::FactSheet;
use countersign_policy::yardstick::Yardstick;
use countersign_policy::{Policy, PolicySource, starter_for};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Arguments of `bench p2`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Rules for agents, one measurement each
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000", value_parser = clap::value_parser!(u16).range(1..=5000))]
    rules: Vec<u16>,
    /// Rounds of each measurement
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: u16,
    /// Decisions in a round
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    decisions: u32,
}

/// Microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
struct Micros {
    p50: f64,
    p99: f64,
}

impl Micros {
    fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        let at = |percent: usize| {
            let rank = (all.len() * percent).div_ceil(100).max(1);
            let found = all.get(rank - 1).copied().unwrap_or_default();
            rounded(found.as_secs_f64() * 1e6, 1)
        };
        Self {
            p50: at(50),
            p99: at(99),
        }
    }
}

/// What was measured with one number of rules.
#[derive(Debug, Serialize)]
struct Measured {
    rules: usize,
    /// The decision alone, as the gate asks for it.
    decide: Micros,
    /// The decision with the canonical digest of the facts made for it.
    decide_and_digest: Micros,
    /// Every rule by plain Cedar, for both actions.
    plain: Micros,
    /// The decision to plain Cedar, by p50.
    decide_to_plain: f64,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    what: &'static str,
    version: &'static str,
    cores: usize,
    measured: Vec<Measured>,
}

const WHAT: &str = "P2: from facts to a decision that is allowed, on one core, without and with the canonical \
    digest of the facts; plain Cedar evaluates the same rules on requests that are ready, in turns";

pub(super) fn measure(arguments: &Arguments) -> Result<Report, BenchError> {
    let facts = FactSheet {
        category: Category::OsSecurity,
        security_origin: true,
        cves: Some(1),
        rollback: RollbackSource::Mirror,
        ..FactSheet::default()
    };
    let facts = facts.facts().map_err(failed("the facts"))?;
    let mut measured = Vec::new();
    for &rules in &arguments.rules {
        let policy = Policy::load(&organisation(rules)?).map_err(|findings| {
            BenchError::Void(format!("the policy does not load: {findings:?}"))
        })?;
        let yardstick = Yardstick::of(&policy).map_err(failed("plain Cedar"))?;
        let ready = yardstick.ready(&facts).map_err(failed("plain Cedar"))?;
        let decision = policy.decide(&facts).decision;
        if decision.outcome != Outcome::Allow || yardstick.plain(&ready) == 0 {
            return Err(BenchError::Void(format!(
                "with {rules} rules nothing is allowed: {:?}",
                decision.reasons
            )));
        }
        let digest = canonical::digest(&facts).map_err(failed("the facts"))?;
        let (mut decide, mut named, mut plain) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=arguments.rounds {
            let timed = |work: &dyn Fn()| -> Vec<Duration> {
                (0..arguments.decisions)
                    .map(|_| {
                        let started = Instant::now();
                        work();
                        started.elapsed()
                    })
                    .collect()
            };
            let alone = timed(&|| {
                drop(black_box(policy.decide_named(black_box(&facts), digest)));
            });
            let with_digest = timed(&|| drop(black_box(policy.decide(black_box(&facts)))));
            let theirs = timed(&|| {
                black_box(yardstick.plain(black_box(&ready)));
            });
            // The first round warms up.
            if round > 0 {
                decide.extend(alone);
                named.extend(with_digest);
                plain.extend(theirs);
            }
        }
        let (decide, plain) = (Micros::of(decide), Micros::of(plain));
        measured.push(Measured {
            rules: yardstick.rules(),
            decide,
            decide_and_digest: Micros::of(named),
            plain,
            decide_to_plain: rounded(decide.p50 / plain.p50.max(f64::MIN_POSITIVE), 2),
        });
    }
    Ok(Report {
        what: WHAT,
        version: env!("CARGO_PKG_VERSION"),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        measured,
    })
}

/// The policy of an organisation with so many rules for agents: standing authority, requests and
/// limits by environment, tier, kind of package and size, as such policies have them.
fn organisation(rules: u16) -> Result<PolicySource, BenchError> {
    const ENVIRONMENTS: [&str; 3] = ["production", "staging", "development"];
    const CATEGORIES: [&str; 3] = ["os-security", "dependency", "application"];
    let author = PersonId::new("author").map_err(failed("a name"))?;
    let mut text = String::new();
    for number in 0..rules {
        let kind = number % 10;
        let turn = usize::from(number / 10);
        let environment = ENVIRONMENTS.get(turn % 3).copied().unwrap_or_default();
        let category = CATEGORIES.get(turn / 3 % 3).copied().unwrap_or_default();
        let tier = turn % 5;
        let size = 1 + number % 40;
        // Six of ten give standing authority, two say whom to ask, two are limits.
        let (id, effect, action, rest, when) = match kind {
            0 | 1 | 3 | 4 | 6 | 7 => (
                format!("SA-{}", 1000 + number),
                "permit",
                "action == Action::\"execute\"",
                "@review_within(\"24h\")\n",
                format!(
                    "resource.environment == Environment::\"{environment}\" && resource.tier >= {tier} && \
                     context.path == Path::\"patch\" && context.category == Category::\"{category}\" && \
                     context.securityOrigin && context.vuln has cves && context.vuln.cves > 0 && \
                     context.rollback.priorInSimilar == 0 && context.chain.removed == 0 && \
                     context.chain.upgraded <= {size} && context.evidenceAge <= duration(\"6h\") && \
                     context.blast.hosts <= {size} && \
                     context.reservations.inFlightOwner + context.blast.hosts <= {size}"
                ),
            ),
            2 | 8 => (
                format!("RQ-{}", 1000 + number),
                "permit",
                "action == Action::\"request\"",
                "@approvers(\"change-approvers=1\")\n",
                format!(
                    "resource.environment == Environment::\"{environment}\" && resource.tier >= {tier} && \
                     context.path == Path::\"patch\" && context.category == Category::\"{category}\""
                ),
            ),
            _ => (
                format!("HL-{}", 1000 + number),
                "forbid",
                "action in Action::\"remediate\"",
                "",
                format!(
                    "resource.environment == Environment::\"{environment}\" && resource.tier == {tier} && \
                     context.blast.hosts > {}",
                    100 + number
                ),
            ),
        };
        let _ = write!(
            text,
            "@id(\"{id}\")\n@owner(\"platform\")\n@title(\"Rule {number}\")\n@why(\"Measured.\")\n{rest}\
             {effect} (principal is Agent, {action}, resource is Target)\nwhen {{ {when} }};\n\n"
        );
    }
    let starter = starter_for(&author);
    let mut files: BTreeMap<String, Vec<u8>> = starter
        .files()
        .iter()
        .filter(|(path, _)| *path == "policy.toml" || path.ends_with("people.cedar"))
        .map(|(path, bytes)| (path.clone(), bytes.clone()))
        .collect();
    files.insert("rules/agents.cedar".into(), text.into_bytes());
    PolicySource::new(files).map_err(failed("the policy"))
}

impl Figured for Report {
    fn table(&self) -> String {
        let mut text = format!("{}.\n\n", self.what);
        for one in &self.measured {
            let _ = writeln!(
                text,
                "{:>5} rules: decide p50 {:.1} µs, p99 {:.1} µs; with the digest p50 {:.1} µs; \
                 plain Cedar p50 {:.1} µs; ratio {:.2}",
                one.rules,
                one.decide.p50,
                one.decide.p99,
                one.decide_and_digest.p50,
                one.plain.p50,
                one.decide_to_plain
            );
        }
        let _ = write!(text, "countersign {}, {} cores", self.version, self.cores);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Arguments, measure};

    #[test]
    fn policies_of_any_size_load_and_allow() {
        let arguments = Arguments {
            rules: vec![1, 10, 60],
            rounds: 1,
            decisions: 2,
        };
        let report = measure(&arguments).unwrap();
        let rules: Vec<_> = report.measured.iter().map(|one| one.rules).collect();
        assert_eq!(rules, [1, 10, 60]);
        assert!(report.measured.iter().all(|one| one.decide.p50 > 0.0));
    }
}
