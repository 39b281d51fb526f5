//! The words that rules and facts share: our Cedar schema, its entity types and its actions. Knows
//! nothing of any particular decision.

use cedar_policy::{Context, Entities, EntityId, EntityTypeName, EntityUid, Schema};
use cedar_policy_core::ast::{self, EntityUID, Name, PartialValue, Value, ValueKind};
use cedar_policy_core::extensions::Extensions;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

/// Our Cedar schema, in its human syntax.
pub(crate) const SCHEMA: &str = include_str!("schema.cedarschema");

/// Actions that rules can name, each with its group.
pub(crate) const ACTIONS: [(&str, &str); 9] = [
    ("execute", "remediate"),
    ("request", "remediate"),
    ("approve", "govern"),
    ("review", "govern"),
    ("override", "govern"),
    ("approvePolicy", "govern"),
    ("approveRoster", "govern"),
    ("approveInventory", "govern"),
    ("resume", "govern"),
];

/// What agents do, and its group.
const REMEDIATION: [&str; 3] = ["remediate", "execute", "request"];

/// Facts that do not fit the schema.
#[derive(Debug, thiserror::Error)]
#[error("the facts do not fit the policy's schema: {0}")]
pub(crate) struct Unfit(pub(crate) String);

/// The schema and the entity types that facts are put into words with.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    pub(crate) schema: Schema,
    /// The action entities, so that `action in Action::"remediate"` holds.
    actions: Entities,
    /// Those of them that agents' changes are decided on.
    remediation: Entities,
    types: BTreeMap<&'static str, EntityTypeName>,
    /// Functions that make values of text.
    makers: BTreeMap<&'static str, Name>,
    pub(crate) execute: EntityUid,
    pub(crate) request: EntityUid,
}

const TYPES: [&str; 20] = [
    "Environment",
    "Path",
    "Category",
    "RollbackSource",
    "Scope",
    "Exploitation",
    "Impact",
    "Timeline",
    "Priority",
    "FactName",
    "Person",
    "Group",
    "Agent",
    "Target",
    "Change",
    "PolicyVersion",
    "RosterVersion",
    "Inventory",
    "Halt",
    "Action",
];

/// Types whose values are made of text.
const MADE_OF_TEXT: [&str; 3] = ["datetime", "decimal", "duration"];

impl Vocabulary {
    pub(crate) fn new() -> Result<Self, String> {
        let (schema, _) =
            Schema::from_cedarschema_str(SCHEMA).map_err(|error| error.to_string())?;
        let actions = schema
            .action_entities()
            .map_err(|error| error.to_string())?;
        let mut types = BTreeMap::new();
        for name in TYPES {
            let parsed = EntityTypeName::from_str(name).map_err(|error| error.to_string())?;
            types.insert(name, parsed);
        }
        let mut makers = BTreeMap::new();
        for name in MADE_OF_TEXT {
            let parsed = Name::from_str(name).map_err(|error| error.to_string())?;
            makers.insert(name, parsed);
        }
        let action = |name: &str| {
            types
                .get("Action")
                .map(|of| EntityUid::from_type_name_and_id(of.clone(), EntityId::new(name)))
                .ok_or("no type `Action`")
        };
        let remediation = Entities::from_entities(
            actions
                .iter()
                .filter(|one| REMEDIATION.contains(&one.uid().id().unescaped()))
                .cloned(),
            None,
        )
        .map_err(|error| error.to_string())?;
        Ok(Self {
            execute: action("execute")?,
            request: action("request")?,
            schema,
            actions,
            remediation,
            types,
            makers,
        })
    }

    /// The actions that rules can name, each with its group.
    pub(crate) fn leaf_actions(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        ACTIONS.into_iter()
    }

    /// The action entities alone.
    pub(crate) const fn action_entities(&self) -> &Entities {
        &self.actions
    }

    /// The action entities of agents' changes: `remediate` and what is in it.
    pub(crate) const fn remediation(&self) -> &Entities {
        &self.remediation
    }

    /// The entity `Type::"id"`.
    pub(crate) fn uid(&self, of: &str, id: &str) -> Result<EntityUid, Unfit> {
        self.types
            .get(of)
            .map(|of| EntityUid::from_type_name_and_id(of.clone(), EntityId::new(id)))
            .ok_or_else(|| Unfit(format!("no type `{of}`")))
    }

    /// `Type::"id"` as a value.
    pub(crate) fn word(&self, of: &str, id: &str) -> Result<Value, Unfit> {
        self.uid(of, id)
            .map(|uid| Value::from(EntityUID::from(uid)))
    }

    /// A set of `Type::"…"`.
    pub(crate) fn words<'a>(
        &self,
        of: &str,
        ids: impl IntoIterator<Item = &'a str>,
    ) -> Result<Value, Unfit> {
        let items: Result<Vec<_>, _> = ids.into_iter().map(|id| self.word(of, id)).collect();
        items.map(|items| Value::set(items, None))
    }

    /// A value of the type `of`, which Cedar makes of its text.
    pub(crate) fn made_of(&self, of: &str, text: &str) -> Result<Value, Unfit> {
        let maker = self
            .makers
            .get(of)
            .ok_or_else(|| Unfit(format!("no type `{of}` is made of text")))?;
        let made = Extensions::all_available()
            .func(maker)
            .map_err(unfit)?
            .call(&[Value::from(text)]);
        match made.map_err(unfit)? {
            PartialValue::Value(value) => Ok(value),
            PartialValue::Residual(_) => Err(Unfit(format!("`{text}` is no {of}"))),
        }
    }
}

/// A record of values.
pub(crate) fn record(members: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::record(members, None)
}

/// A context of values.
pub(crate) fn context(
    members: impl IntoIterator<Item = (&'static str, Value)>,
) -> Result<Context, Unfit> {
    match record(members).value {
        ValueKind::Record(members) => Ok(ast::Context::Value(members).into()),
        _ => Err(Unfit("the context is no record".into())),
    }
}

pub(crate) fn unfit(error: impl Display) -> Unfit {
    Unfit(error.to_string())
}
