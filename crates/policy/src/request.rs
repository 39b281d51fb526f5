//! From facts to Cedar's requests and entities: built natively, once for each decision. Facts that do
//! not fit are refused.

use crate::attributes::{Attributes, count};
use crate::vocabulary::{Unfit, Vocabulary, unfit};
use cedar_policy::{Entities, EntityUid, Request};
use cedar_policy_core::ast::{Entity, EntityUID, PartialValue, Value};
use cedar_policy_core::entities::{Entities as CoreEntities, NoEntitiesSchema, TCComputation};
use cedar_policy_core::extensions::Extensions;
use countersign_domain::Tier;
use countersign_domain::asset::{Criticality, Environment, Exposure, Scope};
use countersign_domain::facts::{DecisionFacts, TargetScope};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

impl Vocabulary {
    /// Requests and entities for every scope of these facts, with these attributes of the context.
    pub(crate) fn situations(
        &self,
        facts: &DecisionFacts,
        attributes: &Attributes,
    ) -> Result<Vec<Situation>, Unfit> {
        if facts.scopes.is_empty() {
            return Err(Unfit("there is no target".into()));
        }
        let context = attributes.context(self, facts)?;
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

fn long(number: impl Into<i64>) -> Value {
    number.into().into()
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

#[cfg(test)]
mod tests;
