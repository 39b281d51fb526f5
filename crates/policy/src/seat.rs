//! May this person act on this matter? Asked for every vote. Never counts a quorum: the gate does.

use crate::annotations::RuleKind;
use crate::policy::Policy;
use crate::vocabulary::{Unfit, context};
use cedar_policy::{Authorizer, Decision as Verdict, Request};
use cedar_policy_core::ast::Value;
use countersign_domain::{Environment, GroupId, PersonId, Reason, RuleId, Tier};
use serde::Serialize;
use std::collections::BTreeSet;

/// What a human does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HumanAction {
    /// Approves or refuses a change that asks.
    Approve,
    /// Reviews a change that ran.
    Review,
    /// Takes up a change that was escalated.
    TakeUp,
    /// Signs a policy version.
    ApprovePolicy,
    /// Signs a roster change.
    ApproveRoster,
    /// Signs an inventory that raises the AI's authority.
    ApproveInventory,
    /// Lifts a halt.
    Resume,
}

impl HumanAction {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Approve,
        Self::Review,
        Self::TakeUp,
        Self::ApprovePolicy,
        Self::ApproveRoster,
        Self::ApproveInventory,
        Self::Resume,
    ];

    /// The action's name in rules.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Review => "review",
            Self::TakeUp => "override",
            Self::ApprovePolicy => "approvePolicy",
            Self::ApproveRoster => "approveRoster",
            Self::ApproveInventory => "approveInventory",
            Self::Resume => "resume",
        }
    }

    const fn resource(self) -> &'static str {
        match self {
            Self::Approve | Self::Review | Self::TakeUp => "Change",
            Self::ApprovePolicy => "PolicyVersion",
            Self::ApproveRoster => "RosterVersion",
            Self::ApproveInventory => "Inventory",
            Self::Resume => "Halt",
        }
    }
}

/// Who a person is with regard to a matter; gathered by the gate from roster, change and policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seat {
    /// The person.
    pub person: PersonId,
    /// The groups they are in.
    pub groups: BTreeSet<GroupId>,
    /// The groups whose quorum the matter needs.
    pub asked: BTreeSet<GroupId>,
    /// They made the proposal.
    pub is_requester: bool,
    /// They own the agent that made it.
    pub is_agent_owner: bool,
    /// They carry it out.
    pub is_implementer: bool,
    /// They wrote the policy in question.
    pub is_rule_author: bool,
    /// The deployment is a trial.
    pub trial: bool,
    /// The strictest environment of the change, where it is about one.
    pub environment: Option<Environment>,
    /// The highest tier of the change, where it is about one.
    pub tier: Option<Tier>,
}

impl Seat {
    /// Invariant 5 stands whatever a policy says: outside a trial nobody decides on their own.
    const fn conflict(&self, action: HumanAction) -> Option<&'static str> {
        if self.trial {
            return None;
        }
        match action {
            HumanAction::Approve | HumanAction::TakeUp => {
                if self.is_requester {
                    Some("they asked for it themselves")
                } else if self.is_agent_owner {
                    Some("they own the agent that asks")
                } else if self.is_implementer {
                    Some("they carry it out themselves")
                } else if self.is_rule_author {
                    Some("they wrote the rules it is decided by")
                } else {
                    None
                }
            }
            HumanAction::ApprovePolicy => {
                if self.is_rule_author {
                    Some("they wrote it themselves")
                } else {
                    None
                }
            }
            HumanAction::Review
            | HumanAction::ApproveRoster
            | HumanAction::ApproveInventory
            | HumanAction::Resume => None,
        }
    }
}

/// Whether a person may act, by which rules, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seating {
    /// True when they may.
    pub allowed: bool,
    /// The rules that determined it. Sorted.
    pub rules: Vec<RuleId>,
    /// Why, in words.
    pub reasons: Vec<Reason>,
    /// A rule that could not be evaluated: an operator has to know (invariant 2).
    pub alarm: Option<String>,
}

impl Seating {
    fn refused(text: String, alarm: Option<String>) -> Self {
        Self {
            allowed: false,
            rules: Vec::new(),
            reasons: vec![Reason { rule: None, text }],
            alarm,
        }
    }
}

impl Policy {
    /// May the person in this seat do this? Errors refuse (invariant 2).
    #[must_use]
    pub fn may(&self, seat: &Seat, action: HumanAction) -> Seating {
        let person = &seat.person;
        if let Some(why) = seat.conflict(action) {
            let mut seating =
                Seating::refused(format!("`{person}` may not decide on this: {why}"), None);
            // Cite the policy's own rule where it has one.
            if let Ok(by_policy) = self.evaluate_seat(seat, action)
                && !by_policy.allowed
            {
                seating.rules = by_policy.rules;
                seating.reasons.extend(by_policy.reasons);
            }
            return seating;
        }
        match self.evaluate_seat(seat, action) {
            Ok(seating) => seating,
            Err(error) => Seating::refused(
                "the policy could not be evaluated, so nobody may act on it".into(),
                Some(error.to_string()),
            ),
        }
    }

    fn evaluate_seat(&self, seat: &Seat, action: HumanAction) -> Result<Seating, Unfit> {
        let book = self.book();
        let set = book
            .seats
            .get(&action)
            .ok_or_else(|| Unfit("no rules for this action".into()))?;
        let response = Authorizer::new().is_authorized(
            &self.seat_request(seat, action)?,
            set,
            self.vocabulary().action_entities(),
        );
        let errors: Vec<_> = response
            .diagnostics()
            .errors()
            .map(ToString::to_string)
            .collect();
        if !errors.is_empty() {
            return Err(Unfit(errors.join("; ")));
        }
        let mut rules: Vec<_> = response
            .diagnostics()
            .reason()
            .filter_map(|id| book.rules.get(id))
            .collect();
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        debug_assert!(
            rules
                .iter()
                .all(|rule| matches!(rule.kind, RuleKind::SeatPermit | RuleKind::SeatForbid))
        );
        if rules.is_empty() {
            return Ok(Seating::refused(
                format!(
                    "no rule lets `{}` do this (`{}`); they are in: {}; asked are: {}",
                    seat.person,
                    action.as_str(),
                    join(&seat.groups),
                    join(&seat.asked)
                ),
                None,
            ));
        }
        Ok(Seating {
            allowed: response.decision() == Verdict::Allow,
            rules: rules.iter().map(|rule| rule.id.clone()).collect(),
            reasons: rules
                .iter()
                .map(|rule| Reason {
                    rule: Some(rule.id.clone()),
                    text: rule.why.clone(),
                })
                .collect(),
            alarm: None,
        })
    }

    pub(crate) fn seat_request(&self, seat: &Seat, action: HumanAction) -> Result<Request, Unfit> {
        let words = self.vocabulary();
        let groups =
            |groups: &BTreeSet<GroupId>| words.words("Group", groups.iter().map(GroupId::as_str));
        let mut pairs = vec![
            ("isRequester", Value::from(seat.is_requester)),
            ("isAgentOwner", Value::from(seat.is_agent_owner)),
            ("isImplementer", Value::from(seat.is_implementer)),
            ("isRuleAuthor", Value::from(seat.is_rule_author)),
            ("groups", groups(&seat.groups)?),
            ("asked", groups(&seat.asked)?),
            ("trial", Value::from(seat.trial)),
        ];
        if let Some(environment) = seat.environment {
            pairs.push((
                "environment",
                words.word("Environment", environment.as_str())?,
            ));
        }
        if let Some(tier) = seat.tier {
            pairs.push(("tier", Value::from(i64::from(tier.number()))));
        }
        Request::new(
            words.uid("Person", seat.person.as_str())?,
            words.uid("Action", action.as_str())?,
            words.uid(action.resource(), "this")?,
            context(pairs)?,
            Some(&words.schema),
        )
        .map_err(|error| Unfit(error.to_string()))
    }
}

fn join(groups: &BTreeSet<GroupId>) -> String {
    if groups.is_empty() {
        return "none".into();
    }
    let names: Vec<_> = groups.iter().map(GroupId::as_str).collect();
    names.join(", ")
}
