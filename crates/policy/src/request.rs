//! From facts to Cedar's entities and context: built natively, once for each decision. What is
//! missing or stale is absent and named in `missing` or `stale`. Facts that do not fit are refused.

use crate::slices::{Facet, Facets};
use crate::vocabulary::{Unfit, Vocabulary};
use cedar_policy::{Context, Entities, Entity, EntityUid, Request, RestrictedExpression as Value};
use countersign_domain::asset::{Criticality, Environment, Exposure, Scope};
use countersign_domain::facts::{DecisionFacts, Fact, Known, TargetScope, TechnicalImpact};
use countersign_domain::{Tier, Timestamp};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Display;

fn unfit(error: impl Display) -> Unfit {
    Unfit(error.to_string())
}

impl Vocabulary {
    /// Requests and entities for every scope of these facts.
    pub(crate) fn situations(&self, facts: &DecisionFacts) -> Result<Vec<Situation>, Unfit> {
        if facts.scopes.is_empty() {
            return Err(Unfit("there is no target".into()));
        }
        let context = self.context(facts)?;
        let agent_uid = self.uid("Agent", facts.agent.as_str())?;
        let owner = self.word("Person", facts.owner.as_str())?;
        let agent = Entity::new(
            agent_uid.clone(),
            HashMap::from([("owner".to_owned(), owner)]),
            HashSet::new(),
        )
        .map_err(unfit)?;
        facts
            .scopes
            .iter()
            .enumerate()
            .map(|(number, scope)| {
                let target_uid = self.uid("Target", &format!("scope-{number}"))?;
                let strictest = Strictest::of(scope)?;
                let facets = facets(facts, &strictest);
                let target = self.target(target_uid.clone(), scope, strictest)?;
                let entities = self
                    .remediation()
                    .clone()
                    .add_entities([agent.clone(), target], None)
                    .map_err(unfit)?;
                let request = |action: &EntityUid| {
                    Request::new(
                        agent_uid.clone(),
                        action.clone(),
                        target_uid.clone(),
                        context.clone(),
                        // A property test shows that what is built here always fits the schema.
                        None,
                    )
                    .map_err(unfit)
                };
                Ok(Situation {
                    execute: request(&self.execute)?,
                    request: request(&self.request)?,
                    entities,
                    facets,
                })
            })
            .collect()
    }

    fn target(
        &self,
        uid: EntityUid,
        scope: &TargetScope,
        strictest: Strictest,
    ) -> Result<Entity, Unfit> {
        let attributes = HashMap::from([
            (
                "environment".to_owned(),
                self.word("Environment", strictest.environment.as_str())?,
            ),
            ("tier".to_owned(), long(strictest.tier.number())),
            ("criticality".to_owned(), long(strictest.criticality)),
            ("exposure".to_owned(), long(strictest.exposure)),
            (
                "scopes".to_owned(),
                self.words("Scope", strictest.scopes.into_iter().map(scope_word))?,
            ),
            ("known".to_owned(), Value::new_bool(strictest.known)),
            (
                "hosts".to_owned(),
                Value::new_long(i64::try_from(scope.assets.len()).map_err(unfit)?),
            ),
        ]);
        Entity::new(uid, attributes, HashSet::new()).map_err(unfit)
    }

    /// The context: everything that is known of the change as a whole.
    fn context(&self, facts: &DecisionFacts) -> Result<Context, Unfit> {
        let vulnerability = self.vulnerability(facts)?;
        let blast = &facts.blast;
        let reserved = &facts.reservations;
        let pairs = vec![
            ("at", at(facts.at)),
            ("path", self.word("Path", facts.path.as_str())?),
            ("category", self.word("Category", facts.category.as_str())?),
            ("securityOrigin", Value::new_bool(facts.security_origin)),
            ("vuln", record(vulnerability.values)?),
            ("stale", self.words("FactName", vulnerability.stale)?),
            ("missing", self.words("FactName", vulnerability.missing)?),
            (
                "blast",
                record(vec![
                    ("hosts", long(blast.hosts)),
                    ("percent", long(blast.percent)),
                    ("clusters", long(blast.clusters)),
                    ("accounts", long(blast.accounts)),
                ])?,
            ),
            (
                "reservations",
                record(vec![
                    ("inFlightAgent", long(reserved.in_flight_agent)),
                    ("inFlightOwner", long(reserved.in_flight_owner)),
                    ("inFlightService", long(reserved.in_flight_service)),
                    ("inFlightEnvironment", long(reserved.in_flight_environment)),
                    ("inFlightFleet", long(reserved.in_flight_fleet)),
                    ("hourOwner", long(reserved.hour_owner)),
                    ("hourFleet", long(reserved.hour_fleet)),
                    ("dayOwner", long(reserved.day_owner)),
                    ("dayFleet", long(reserved.day_fleet)),
                ])?,
            ),
            (
                "rollback",
                record(vec![
                    (
                        "source",
                        self.word("RollbackSource", facts.rollback.source.as_str())?,
                    ),
                    ("priorInSimilar", long(facts.rollback.prior_in_similar)),
                ])?,
            ),
            (
                "chain",
                record(vec![
                    ("upgraded", long(facts.chain.upgraded)),
                    ("added", long(facts.chain.added)),
                    ("removed", long(facts.chain.removed)),
                ])?,
            ),
            (
                "lower",
                record(vec![
                    ("healthyHosts", long(facts.lower.healthy_hosts)),
                    ("healthyHours", long(facts.lower.healthy_hours)),
                ])?,
            ),
            (
                "calendar",
                record(vec![
                    ("inWindow", Value::new_bool(facts.calendar.in_window)),
                    ("freeze", Value::new_bool(facts.calendar.freeze)),
                ])?,
            ),
            (
                "evidenceAge",
                Value::new_duration(format!("{}s", facts.evidence_age_seconds)),
            ),
            (
                "contradictions",
                Value::new_long(i64::try_from(facts.contradictions.len()).map_err(unfit)?),
            ),
            ("policyLapsed", Value::new_bool(facts.policy_lapsed)),
            ("trial", Value::new_bool(facts.trial)),
        ];
        Context::from_pairs(
            pairs
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value)),
        )
        .map_err(unfit)
    }

    fn vulnerability(&self, facts: &DecisionFacts) -> Result<Sorted, Unfit> {
        let of = &facts.vulnerability;
        let mut sorted = Sorted::default();
        sorted.put("cves", &of.cves, |count| Ok(long(*count)))?;
        sorted.put("kev", &of.kev, |listed| Ok(Value::new_bool(*listed)))?;
        sorted.put("cvss", &of.cvss_tenths, |tenths| match tenths {
            0..=100 => Ok(Value::new_decimal(format!(
                "{}.{}",
                tenths / 10,
                tenths % 10
            ))),
            _ => Err(Unfit(format!("a CVSS score of {tenths} tenths"))),
        })?;
        sorted.put("epss", &of.epss_ten_thousandths, |parts| match parts {
            0..=10_000 => Ok(Value::new_decimal(format!(
                "{}.{:04}",
                parts / 10_000,
                parts % 10_000
            ))),
            _ => Err(Unfit(format!("an EPSS of {parts} ten-thousandths"))),
        })?;
        sorted.put("exploitation", &of.exploitation, |word| {
            self.word("Exploitation", word.as_str())
        })?;
        sorted.put("automatable", &of.automatable, |yes| {
            Ok(Value::new_bool(*yes))
        })?;
        sorted.put("impact", &of.technical_impact, |impact| {
            self.word("Impact", impact_word(*impact))
        })?;
        sorted.put("timeline", &of.timeline, |word| {
            self.word("Timeline", word.as_str())
        })?;
        sorted.put("priority", &of.priority, |word| {
            self.word("Priority", word.as_str())
        })?;
        Ok(sorted)
    }
}

/// What tells rules apart, of one scope. A test compares it with what Cedar is given.
fn facets(facts: &DecisionFacts, of: &Strictest) -> Facets {
    Facets::of([
        ("resource.environment", Facet::Word(of.environment.as_str())),
        ("resource.tier", Facet::Number(of.tier.number().into())),
        ("resource.criticality", Facet::Number(of.criticality.into())),
        ("resource.exposure", Facet::Number(of.exposure.into())),
        ("resource.known", Facet::Truth(of.known)),
        ("context.path", Facet::Word(facts.path.as_str())),
        ("context.category", Facet::Word(facts.category.as_str())),
        (
            "context.rollback.source",
            Facet::Word(facts.rollback.source.as_str()),
        ),
        (
            "context.securityOrigin",
            Facet::Truth(facts.security_origin),
        ),
        (
            "context.calendar.inWindow",
            Facet::Truth(facts.calendar.in_window),
        ),
        (
            "context.calendar.freeze",
            Facet::Truth(facts.calendar.freeze),
        ),
        ("context.policyLapsed", Facet::Truth(facts.policy_lapsed)),
        ("context.trial", Facet::Truth(facts.trial)),
    ])
}

/// What one scope is decided on.
#[derive(Debug)]
pub(crate) struct Situation {
    pub(crate) execute: Request,
    pub(crate) request: Request,
    pub(crate) entities: Entities,
    /// The same facts once more, to tell which rules can hold.
    pub(crate) facets: Facets,
}

/// A scope as strictly as the strictest of its assets.
#[derive(Debug)]
pub(crate) struct Strictest {
    pub(crate) environment: Environment,
    pub(crate) tier: Tier,
    criticality: u8,
    exposure: u8,
    scopes: BTreeSet<Scope>,
    known: bool,
}

impl Strictest {
    pub(crate) fn of(scope: &TargetScope) -> Result<Self, Unfit> {
        let assets = &scope.assets;
        let empty = || Unfit("a scope has no asset".into());
        Ok(Self {
            environment: assets
                .iter()
                .map(|a| a.environment)
                .max()
                .ok_or_else(empty)?,
            tier: assets.iter().map(|a| a.tier).min().ok_or_else(empty)?,
            criticality: assets
                .iter()
                .map(|a| criticality_number(a.criticality))
                .max()
                .ok_or_else(empty)?,
            exposure: assets
                .iter()
                .map(|a| exposure_number(a.exposure))
                .max()
                .ok_or_else(empty)?,
            scopes: assets
                .iter()
                .flat_map(|a| a.scopes.iter().copied())
                .collect(),
            known: assets.iter().all(|a| a.known),
        })
    }
}

/// Facts sorted into known, stale and missing.
#[derive(Default)]
struct Sorted {
    values: Vec<(&'static str, Value)>,
    stale: Vec<&'static str>,
    missing: Vec<&'static str>,
}

impl Sorted {
    fn put<T>(
        &mut self,
        name: &'static str,
        fact: &Fact<T>,
        value: impl FnOnce(&T) -> Result<Value, Unfit>,
    ) -> Result<(), Unfit> {
        match &fact.value {
            Known::Fresh(known) => self.values.push((name, value(known)?)),
            Known::Stale(_) => self.stale.push(name),
            Known::Missing(_) => self.missing.push(name),
        }
        Ok(())
    }
}

fn long(number: impl Into<i64>) -> Value {
    Value::new_long(number.into())
}

/// To the second, in the one form that Cedar reads.
fn at(time: Timestamp) -> Value {
    Value::new_datetime(Timestamp::from_unix_seconds(time.unix_seconds()).to_string())
}

fn record(pairs: Vec<(&'static str, Value)>) -> Result<Value, Unfit> {
    Value::new_record(
        pairs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value)),
    )
    .map_err(unfit)
}

const fn criticality_number(of: Criticality) -> u8 {
    match of {
        Criticality::Low => 1,
        Criticality::Medium => 2,
        Criticality::High => 3,
        Criticality::Vital => 4,
    }
}

const fn exposure_number(of: Exposure) -> u8 {
    match of {
        Exposure::Small => 1,
        Exposure::Controlled => 2,
        Exposure::Open => 3,
    }
}

const fn scope_word(of: Scope) -> &'static str {
    match of {
        Scope::Pci => "pci",
        Scope::Hipaa => "hipaa",
        Scope::Sox => "sox",
        Scope::Soc2 => "soc2",
        Scope::Gdpr => "gdpr",
    }
}

const fn impact_word(of: TechnicalImpact) -> &'static str {
    match of {
        TechnicalImpact::Partial => "partial",
        TechnicalImpact::Total => "total",
    }
}

#[cfg(test)]
mod tests;
