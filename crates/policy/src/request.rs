//! From facts to Cedar's entities and context: built natively, once for each decision. What is
//! missing or stale is absent and named in `missing` or `stale`. Facts that do not fit are refused.

use crate::reads::Reads;
use crate::vocabulary::{Unfit, Vocabulary, context, record, unfit};
use cedar_policy::{Context, Entities, EntityUid, Request};
use cedar_policy_core::ast::{Entity, EntityUID, PartialValue, Value};
use cedar_policy_core::entities::{Entities as CoreEntities, NoEntitiesSchema, TCComputation};
use cedar_policy_core::extensions::Extensions;
use countersign_domain::asset::{Criticality, Environment, Exposure, Scope};
use countersign_domain::facts::{DecisionFacts, Fact, Known, TargetScope, TechnicalImpact};
use countersign_domain::{Tier, Timestamp};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

impl Vocabulary {
    /// Requests and entities for every scope of these facts, with what `reads` names of the context.
    pub(crate) fn situations(
        &self,
        facts: &DecisionFacts,
        reads: &Reads,
    ) -> Result<Vec<Situation>, Unfit> {
        if facts.scopes.is_empty() {
            return Err(Unfit("there is no target".into()));
        }
        let context = self.context(facts, reads)?;
        let agent_uid = self.uid("Agent", facts.agent.as_str())?;
        let owner = self.word("Person", facts.owner.as_str())?;
        let agent = Arc::new(entity(&agent_uid, [("owner", owner)]));
        facts
            .scopes
            .iter()
            .enumerate()
            .map(|(number, scope)| {
                let target_uid = self.uid("Target", &format!("scope-{number}"))?;
                let strictest = Strictest::of(scope)?;
                let target = Arc::new(self.target(&target_uid, scope, strictest)?);
                let actions: &CoreEntities = self.remediation().as_ref();
                let entities = actions
                    .clone()
                    .add_entities(
                        [Arc::clone(&agent), target],
                        None::<&NoEntitiesSchema>,
                        // Neither is in anything.
                        TCComputation::AssumeAlreadyComputed,
                        Extensions::all_available(),
                    )
                    .map_err(unfit)?
                    .into();
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
                })
            })
            .collect()
    }

    fn target(
        &self,
        uid: &EntityUid,
        scope: &TargetScope,
        strictest: Strictest,
    ) -> Result<Entity, Unfit> {
        let scopes = strictest.scopes.into_iter().map(scope_word);
        let attributes = [
            (
                "environment",
                self.word("Environment", strictest.environment.as_str())?,
            ),
            ("tier", long(strictest.tier.number())),
            ("criticality", long(strictest.criticality)),
            ("exposure", long(strictest.exposure)),
            ("scopes", self.words("Scope", scopes)?),
            ("known", strictest.known.into()),
            ("hosts", count(scope.assets.len())?),
        ];
        Ok(entity(uid, attributes))
    }

    /// The context: what is known of the change as a whole, as far as a rule reads it.
    fn context(&self, facts: &DecisionFacts, reads: &Reads) -> Result<Context, Unfit> {
        let blast = &facts.blast;
        let reserved = &facts.reservations;
        let (lower, calendar) = (&facts.lower, &facts.calendar);
        let mut members = Members::new(reads);
        members.put("context.at", || self.at(facts.at))?;
        members.put("context.path", || self.word("Path", facts.path.as_str()))?;
        members.put("context.category", || {
            self.word("Category", facts.category.as_str())
        })?;
        members.put("context.securityOrigin", || {
            Ok(Value::from(facts.security_origin))
        })?;
        self.vulnerability(facts, &mut members)?;
        members.record(
            "context.blast",
            [
                ("context.blast.hosts", blast.hosts.into()),
                ("context.blast.percent", blast.percent.into()),
                ("context.blast.clusters", blast.clusters.into()),
                ("context.blast.accounts", blast.accounts.into()),
            ],
        )?;
        members.record(
            "context.reservations",
            [
                (
                    "context.reservations.inFlightAgent",
                    reserved.in_flight_agent.into(),
                ),
                (
                    "context.reservations.inFlightOwner",
                    reserved.in_flight_owner.into(),
                ),
                (
                    "context.reservations.inFlightService",
                    reserved.in_flight_service.into(),
                ),
                (
                    "context.reservations.inFlightEnvironment",
                    reserved.in_flight_environment.into(),
                ),
                (
                    "context.reservations.inFlightFleet",
                    reserved.in_flight_fleet.into(),
                ),
                ("context.reservations.hourOwner", reserved.hour_owner.into()),
                ("context.reservations.hourFleet", reserved.hour_fleet.into()),
                ("context.reservations.dayOwner", reserved.day_owner.into()),
                ("context.reservations.dayFleet", reserved.day_fleet.into()),
            ],
        )?;
        let mut rollback = Members::new(reads);
        rollback.put("context.rollback.source", || {
            self.word("RollbackSource", facts.rollback.source.as_str())
        })?;
        rollback.put("context.rollback.priorInSimilar", || {
            Ok(long(facts.rollback.prior_in_similar))
        })?;
        members.put("context.rollback", || Ok(record(rollback.pairs)))?;
        members.record(
            "context.chain",
            [
                ("context.chain.upgraded", facts.chain.upgraded.into()),
                ("context.chain.added", facts.chain.added.into()),
                ("context.chain.removed", facts.chain.removed.into()),
            ],
        )?;
        members.record(
            "context.lower",
            [
                ("context.lower.healthyHosts", lower.healthy_hosts.into()),
                ("context.lower.healthyHours", lower.healthy_hours.into()),
            ],
        )?;
        let mut times = Members::new(reads);
        times.put("context.calendar.inWindow", || {
            Ok(Value::from(calendar.in_window))
        })?;
        times.put("context.calendar.freeze", || {
            Ok(Value::from(calendar.freeze))
        })?;
        members.put("context.calendar", || Ok(record(times.pairs)))?;
        members.put("context.evidenceAge", || {
            self.made_of("duration", &format!("{}s", facts.evidence_age_seconds))
        })?;
        members.put("context.contradictions", || {
            count(facts.contradictions.len())
        })?;
        members.put("context.policyLapsed", || {
            Ok(Value::from(facts.policy_lapsed))
        })?;
        members.put("context.trial", || Ok(Value::from(facts.trial)))?;
        context(members.pairs)
    }

    /// To the second, in the one form that Cedar reads.
    fn at(&self, time: Timestamp) -> Result<Value, Unfit> {
        let time = Timestamp::from_unix_seconds(time.unix_seconds());
        self.made_of("datetime", &time.to_string())
    }

    /// What is known of the vulnerabilities, and the names of what is stale or missing.
    fn vulnerability(&self, facts: &DecisionFacts, context: &mut Members<'_>) -> Result<(), Unfit> {
        let of = &facts.vulnerability;
        // Read or not: facts that cannot be are refused.
        if let Known::Fresh(tenths @ 101..) = of.cvss_tenths.value {
            return Err(Unfit(format!("a CVSS score of {tenths} tenths")));
        }
        if let Known::Fresh(parts @ 10_001..) = of.epss_ten_thousandths.value {
            return Err(Unfit(format!("an EPSS of {parts} ten-thousandths")));
        }
        let mut sorted = Sorted::new(context.reads);
        sorted.put("context.vuln.cves", &of.cves, |count| Ok(long(*count)))?;
        sorted.put("context.vuln.kev", &of.kev, |listed| {
            Ok(Value::from(*listed))
        })?;
        sorted.put("context.vuln.cvss", &of.cvss_tenths, |tenths| {
            self.made_of("decimal", &format!("{}.{}", tenths / 10, tenths % 10))
        })?;
        sorted.put("context.vuln.epss", &of.epss_ten_thousandths, |parts| {
            self.made_of(
                "decimal",
                &format!("{}.{:04}", parts / 10_000, parts % 10_000),
            )
        })?;
        sorted.put("context.vuln.exploitation", &of.exploitation, |word| {
            self.word("Exploitation", word.as_str())
        })?;
        sorted.put("context.vuln.automatable", &of.automatable, |yes| {
            Ok(Value::from(*yes))
        })?;
        sorted.put("context.vuln.impact", &of.technical_impact, |impact| {
            self.word("Impact", impact_word(*impact))
        })?;
        sorted.put("context.vuln.timeline", &of.timeline, |word| {
            self.word("Timeline", word.as_str())
        })?;
        sorted.put("context.vuln.priority", &of.priority, |word| {
            self.word("Priority", word.as_str())
        })?;
        let Sorted {
            values,
            stale,
            missing,
        } = sorted;
        context.put("context.vuln", || Ok(record(values.pairs)))?;
        context.put("context.stale", || self.words("FactName", stale))?;
        context.put("context.missing", || self.words("FactName", missing))
    }
}

/// Members of a record, as far as they are read.
struct Members<'a> {
    reads: &'a Reads,
    pairs: Vec<(&'static str, Value)>,
}

impl<'a> Members<'a> {
    fn new(reads: &'a Reads) -> Self {
        Self {
            reads,
            pairs: Vec::with_capacity(16),
        }
    }

    fn put(
        &mut self,
        path: &'static str,
        value: impl FnOnce() -> Result<Value, Unfit>,
    ) -> Result<(), Unfit> {
        if self.reads.contains(path) {
            self.pairs.push((last(path), value()?));
        }
        Ok(())
    }

    /// A record of numbers.
    fn record<const N: usize>(
        &mut self,
        path: &'static str,
        members: [(&'static str, i64); N],
    ) -> Result<(), Unfit> {
        let mut inner = Self::new(self.reads);
        for (path, number) in members {
            inner.put(path, || Ok(number.into()))?;
        }
        self.put(path, || Ok(record(inner.pairs)))
    }
}

/// The last word of a path.
fn last(path: &'static str) -> &'static str {
    path.rsplit_once('.').map_or(path, |(_, name)| name)
}

/// What one scope is decided on.
#[derive(Debug)]
pub(crate) struct Situation {
    pub(crate) execute: Request,
    pub(crate) request: Request,
    pub(crate) entities: Entities,
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
struct Sorted<'a> {
    values: Members<'a>,
    stale: Vec<&'static str>,
    missing: Vec<&'static str>,
}

impl<'a> Sorted<'a> {
    fn new(reads: &'a Reads) -> Self {
        Self {
            values: Members::new(reads),
            stale: Vec::new(),
            missing: Vec::new(),
        }
    }

    fn put<T>(
        &mut self,
        path: &'static str,
        fact: &Fact<T>,
        value: impl FnOnce(&T) -> Result<Value, Unfit>,
    ) -> Result<(), Unfit> {
        match &fact.value {
            Known::Fresh(known) => return self.values.put(path, || value(known)),
            Known::Stale(_) => self.stale.push(last(path)),
            Known::Missing(_) => self.missing.push(last(path)),
        }
        Ok(())
    }
}

fn long(number: impl Into<i64>) -> Value {
    number.into().into()
}

fn count(number: usize) -> Result<Value, Unfit> {
    i64::try_from(number).map(Value::from).map_err(unfit)
}

/// An entity that is in no other.
fn entity<const N: usize>(uid: &EntityUid, attributes: [(&'static str, Value); N]) -> Entity {
    let uid: &EntityUID = uid.as_ref();
    let attributes = attributes.map(|(name, value)| (name.into(), PartialValue::Value(value)));
    Entity::new_with_attr_partial_value(uid.clone(), attributes, HashSet::new(), HashSet::new(), [])
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
