//! The attributes of Cedar's context: what each is called, and how it is made of the facts. Made are
//! those that a rule reads. What is missing or stale is absent and named in `missing` or `stale`.

use crate::reads::Reads;
use crate::vocabulary::{Unfit, Vocabulary, context, record, unfit};
use cedar_policy::Context;
use cedar_policy_core::ast::Value;
use countersign_domain::Timestamp;
use countersign_domain::facts::{DecisionFacts, Fact, Known, TechnicalImpact, VulnerabilityFacts};

/// Makes an attribute of the facts; nothing, where it is not known.
type Make = fn(&Vocabulary, &DecisionFacts) -> Result<Option<Value>, Unfit>;

/// Every attribute; those of a record one after the other.
const ATTRIBUTES: [(&str, Make); 41] = [
    ("context.at", |words, facts| at(words, facts.at).map(Some)),
    ("context.path", |words, facts| {
        words.word("Path", facts.path.as_str()).map(Some)
    }),
    ("context.category", |words, facts| {
        words.word("Category", facts.category.as_str()).map(Some)
    }),
    ("context.securityOrigin", |_, facts| {
        truth(facts.security_origin)
    }),
    ("context.vuln.cves", |_, facts| {
        known(&facts.vulnerability.cves, |count| Ok(long(*count)))
    }),
    ("context.vuln.kev", |_, facts| {
        known(&facts.vulnerability.kev, |listed| Ok((*listed).into()))
    }),
    ("context.vuln.cvss", |words, facts| {
        known(&facts.vulnerability.cvss_tenths, |tenths| {
            words.made_of("decimal", &format!("{}.{}", tenths / 10, tenths % 10))
        })
    }),
    ("context.vuln.epss", |words, facts| {
        known(&facts.vulnerability.epss_ten_thousandths, |parts| {
            let text = format!("{}.{:04}", parts / 10_000, parts % 10_000);
            words.made_of("decimal", &text)
        })
    }),
    ("context.vuln.exploitation", |words, facts| {
        known(&facts.vulnerability.exploitation, |word| {
            words.word("Exploitation", word.as_str())
        })
    }),
    ("context.vuln.automatable", |_, facts| {
        known(&facts.vulnerability.automatable, |yes| Ok((*yes).into()))
    }),
    ("context.vuln.impact", |words, facts| {
        known(&facts.vulnerability.technical_impact, |impact| {
            words.word("Impact", impact_word(*impact))
        })
    }),
    ("context.vuln.timeline", |words, facts| {
        known(&facts.vulnerability.timeline, |word| {
            words.word("Timeline", word.as_str())
        })
    }),
    ("context.vuln.priority", |words, facts| {
        known(&facts.vulnerability.priority, |word| {
            words.word("Priority", word.as_str())
        })
    }),
    ("context.stale", |words, facts| {
        named(words, facts, State::Stale)
    }),
    ("context.missing", |words, facts| {
        named(words, facts, State::Missing)
    }),
    ("context.blast.hosts", |_, facts| number(facts.blast.hosts)),
    ("context.blast.percent", |_, facts| {
        number(facts.blast.percent)
    }),
    ("context.blast.clusters", |_, facts| {
        number(facts.blast.clusters)
    }),
    ("context.blast.accounts", |_, facts| {
        number(facts.blast.accounts)
    }),
    ("context.reservations.inFlightAgent", |_, facts| {
        number(facts.reservations.in_flight_agent)
    }),
    ("context.reservations.inFlightOwner", |_, facts| {
        number(facts.reservations.in_flight_owner)
    }),
    ("context.reservations.inFlightService", |_, facts| {
        number(facts.reservations.in_flight_service)
    }),
    ("context.reservations.inFlightEnvironment", |_, facts| {
        number(facts.reservations.in_flight_environment)
    }),
    ("context.reservations.inFlightFleet", |_, facts| {
        number(facts.reservations.in_flight_fleet)
    }),
    ("context.reservations.hourOwner", |_, facts| {
        number(facts.reservations.hour_owner)
    }),
    ("context.reservations.hourFleet", |_, facts| {
        number(facts.reservations.hour_fleet)
    }),
    ("context.reservations.dayOwner", |_, facts| {
        number(facts.reservations.day_owner)
    }),
    ("context.reservations.dayFleet", |_, facts| {
        number(facts.reservations.day_fleet)
    }),
    ("context.rollback.source", |words, facts| {
        let source = facts.rollback.source.as_str();
        words.word("RollbackSource", source).map(Some)
    }),
    ("context.rollback.priorInSimilar", |_, facts| {
        number(facts.rollback.prior_in_similar)
    }),
    ("context.chain.upgraded", |_, facts| {
        number(facts.chain.upgraded)
    }),
    ("context.chain.added", |_, facts| number(facts.chain.added)),
    ("context.chain.removed", |_, facts| {
        number(facts.chain.removed)
    }),
    ("context.lower.healthyHosts", |_, facts| {
        number(facts.lower.healthy_hosts)
    }),
    ("context.lower.healthyHours", |_, facts| {
        number(facts.lower.healthy_hours)
    }),
    ("context.calendar.inWindow", |_, facts| {
        truth(facts.calendar.in_window)
    }),
    ("context.calendar.freeze", |_, facts| {
        truth(facts.calendar.freeze)
    }),
    ("context.evidenceAge", |words, facts| {
        let text = format!("{}s", facts.evidence_age_seconds);
        words.made_of("duration", &text).map(Some)
    }),
    ("context.contradictions", |_, facts| {
        count(facts.contradictions.len()).map(Some)
    }),
    ("context.policyLapsed", |_, facts| {
        truth(facts.policy_lapsed)
    }),
    ("context.trial", |_, facts| truth(facts.trial)),
];

/// What rules read of the context, ready to be made.
#[derive(Debug)]
pub(crate) struct Attributes(Vec<Member>);

/// A member of the context.
#[derive(Debug)]
enum Member {
    Attribute(&'static str, Make),
    Record(&'static str, Vec<(&'static str, Make)>),
}

impl Attributes {
    /// Those that `reads` names.
    pub(crate) fn read(reads: &Reads) -> Self {
        let mut members = Vec::new();
        for (path, make) in ATTRIBUTES {
            if !reads.contains(path) {
                continue;
            }
            let name = path.trim_start_matches("context.");
            match (name.split_once('.'), members.last_mut()) {
                (None, _) => members.push(Member::Attribute(name, make)),
                (Some((record, name)), Some(Member::Record(last, of))) if *last == record => {
                    of.push((name, make));
                }
                (Some((record, name)), _) => {
                    members.push(Member::Record(record, vec![(name, make)]));
                }
            }
        }
        Self(members)
    }

    /// The context: what is known of the change as a whole, as far as a rule reads it.
    pub(crate) fn context(
        &self,
        words: &Vocabulary,
        facts: &DecisionFacts,
    ) -> Result<Context, Unfit> {
        // Read or not: facts that cannot be are refused.
        let of = &facts.vulnerability;
        if let Known::Fresh(tenths @ 101..) = of.cvss_tenths.value {
            return Err(Unfit(format!("a CVSS score of {tenths} tenths")));
        }
        if let Known::Fresh(parts @ 10_001..) = of.epss_ten_thousandths.value {
            return Err(Unfit(format!("an EPSS of {parts} ten-thousandths")));
        }
        let mut members = Vec::with_capacity(self.0.len());
        for member in &self.0 {
            match member {
                Member::Attribute(name, make) => {
                    members.extend(make(words, facts)?.map(|value| (*name, value)));
                }
                Member::Record(name, of) => {
                    let mut inner = Vec::with_capacity(of.len());
                    for (name, make) in of {
                        inner.extend(make(words, facts)?.map(|value| (*name, value)));
                    }
                    members.push((*name, record(inner)));
                }
            }
        }
        context(members)
    }
}

fn long(number: impl Into<i64>) -> Value {
    number.into().into()
}

fn number(number: u32) -> Result<Option<Value>, Unfit> {
    Ok(Some(long(number)))
}

fn truth(truth: bool) -> Result<Option<Value>, Unfit> {
    Ok(Some(truth.into()))
}

fn known<T>(
    fact: &Fact<T>,
    make: impl FnOnce(&T) -> Result<Value, Unfit>,
) -> Result<Option<Value>, Unfit> {
    fact.fresh().map(make).transpose()
}

/// How many.
pub(crate) fn count(number: usize) -> Result<Value, Unfit> {
    i64::try_from(number).map(Value::from).map_err(unfit)
}

/// To the second, in the one form that Cedar reads.
fn at(words: &Vocabulary, time: Timestamp) -> Result<Value, Unfit> {
    let time = Timestamp::from_unix_seconds(time.unix_seconds());
    words.made_of("datetime", &time.to_string())
}

/// Why a fact is absent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Fresh,
    Stale,
    Missing,
}

const fn state<T>(fact: &Fact<T>) -> State {
    match fact.value {
        Known::Fresh(_) => State::Fresh,
        Known::Stale(_) => State::Stale,
        Known::Missing(_) => State::Missing,
    }
}

/// The names of the facts about vulnerabilities that are in this state.
fn named(words: &Vocabulary, facts: &DecisionFacts, wanted: State) -> Result<Option<Value>, Unfit> {
    let VulnerabilityFacts {
        cves,
        kev,
        cvss_tenths,
        epss_ten_thousandths,
        exploitation,
        automatable,
        technical_impact,
        timeline,
        priority,
    } = &facts.vulnerability;
    let states = [
        ("cves", state(cves)),
        ("kev", state(kev)),
        ("cvss", state(cvss_tenths)),
        ("epss", state(epss_ten_thousandths)),
        ("exploitation", state(exploitation)),
        ("automatable", state(automatable)),
        ("impact", state(technical_impact)),
        ("timeline", state(timeline)),
        ("priority", state(priority)),
    ];
    let names = states.into_iter().filter(|(_, state)| *state == wanted);
    words
        .words("FactName", names.map(|(name, _)| name))
        .map(Some)
}

pub(crate) const fn impact_word(of: TechnicalImpact) -> &'static str {
    match of {
        TechnicalImpact::Partial => "partial",
        TechnicalImpact::Total => "total",
    }
}
