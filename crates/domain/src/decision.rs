//! Decisions: the outcome, the rules it rests on, the duties it carries and the reasons in words.

use crate::digest::Digest;
use crate::id::{GroupId, PersonId, RuleId};
use serde::{Deserialize, Serialize};

/// What the policy says of a change. Ordered: the strictest is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It may run under standing authority.
    Allow,
    /// A named human has to approve it.
    Ask,
    /// It lies outside what the policy foresaw; a named human has to look at it.
    Escalate,
    /// It may not run.
    Deny,
}

impl Outcome {
    /// The word used in files and on screen.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Escalate => "escalate",
            Self::Deny => "deny",
        }
    }

    /// The strictest of several; nothing decided means deny (invariant 2).
    #[must_use]
    pub fn strictest(outcomes: impl IntoIterator<Item = Self>) -> Self {
        outcomes.into_iter().max().unwrap_or(Self::Deny)
    }
}

/// How many distinct members of a group have to approve.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupQuorum {
    /// The group.
    pub group: GroupId,
    /// Distinct people, at least 1.
    pub quorum: u32,
}

/// What follows from a decision: who has to approve, by when, and when it is reviewed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Duties {
    /// Groups whose quorum has to approve; empty for `allow`. Sorted, each group once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<GroupQuorum>,
    /// Within which it has to be decided, else it expires; in seconds.
    pub decide_within_seconds: u32,
    /// Within which a human reviews it after it ran; in seconds.
    pub review_within_seconds: u32,
    /// The humans who own the rules that determined the outcome. Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rule_owners: Vec<PersonId>,
}

/// Why the outcome is what it is, in words, with the rule that says so where there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// The rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleId>,
    /// In words, for people.
    pub text: String,
}

/// What the policy decided, and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// The outcome: the strictest over all scopes.
    pub outcome: Outcome,
    /// The rules that determined it. Sorted.
    pub rules: Vec<RuleId>,
    /// Rules that kept a standing authority from applying, where the outcome is `ask`. Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld_by: Vec<RuleId>,
    /// What follows.
    pub duties: Duties,
    /// Why, in words.
    pub reasons: Vec<Reason>,
    /// The policy version that decided.
    pub policy: Digest,
    /// Digest of the facts it rests on.
    pub facts: Digest,
}

impl Decision {
    /// True when `other` asks something else of people: another outcome, other rules or duties.
    /// Then signatures given on this decision are void; a score that moved voids nothing.
    #[must_use]
    pub fn differs_for_people(&self, other: &Self) -> bool {
        self.outcome != other.outcome || self.rules != other.rules || self.duties != other.duties
    }
}
